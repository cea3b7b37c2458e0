//! Which row groups of a file a scan's filter may find rows in, by the statistics of the footer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_adapter::replace_columns_with_literals;
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

/// For each row group whether the filter may hold for one of its rows. A filter that is learnt while the query runs counts as
/// far as it is known.
pub(super) fn may_match(
    filter: &Arc<dyn PhysicalExpr>,
    constants: &HashMap<String, ScalarValue>,
    table: &SchemaRef,
    footer: &Arc<ParquetMetaData>,
) -> Vec<bool> {
    let row_groups = footer.num_row_groups();
    pruned(filter, constants, table, footer).unwrap_or_else(|| vec![true; row_groups])
}

fn pruned(
    filter: &Arc<dyn PhysicalExpr>,
    constants: &HashMap<String, ScalarValue>,
    table: &SchemaRef,
    footer: &Arc<ParquetMetaData>,
) -> Option<Vec<bool>> {
    let filter = snapshot_physical_expr(Arc::clone(filter)).ok()?;
    let filter = replace_columns_with_literals(filter, constants).ok()?;
    let predicate =
        PruningPredicateBuilder::new().with_file_schema(Arc::clone(table)).try_build(filter).ok()?;
    if predicate.always_true() {
        return None;
    }
    let reader = ArrowReaderMetadata::try_new(Arc::clone(footer), ArrowReaderOptions::new()).ok()?;
    predicate.prune(&RowGroups { table, reader: &reader }).ok()
}

struct RowGroups<'a> {
    table: &'a SchemaRef,
    reader: &'a ArrowReaderMetadata,
}

impl RowGroups<'_> {
    fn groups(&self) -> impl Iterator<Item = &RowGroupMetaData> {
        self.reader.metadata().row_groups().iter()
    }

    fn converter(&self, column: &Column) -> Option<StatisticsConverter<'_>> {
        let (schema, file) = (self.reader.schema(), self.reader.parquet_schema());
        StatisticsConverter::try_new(column.name(), schema, file).ok()
    }

    /// Bounds in the table's type, where a cast keeps their order.
    fn in_table_type(&self, column: &Column, bounds: ArrayRef) -> Option<ArrayRef> {
        let to = self.table.field_with_name(column.name()).ok()?.data_type();
        let keeps_order = match (bounds.data_type(), to) {
            (from, to) if from == to => return Some(bounds),
            (DataType::Decimal128(..), DataType::Decimal128(..)) => true,
            (from, to) => from.is_integer() && (to.is_integer() || matches!(to, DataType::Decimal128(..))),
        };
        keeps_order.then(|| cast(&bounds, to).ok()).flatten()
    }
}

impl PruningStatistics for RowGroups<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        let bounds = self.converter(column)?.row_group_mins(self.groups()).ok()?;
        self.in_table_type(column, bounds)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        let bounds = self.converter(column)?.row_group_maxes(self.groups()).ok()?;
        self.in_table_type(column, bounds)
    }

    fn num_containers(&self) -> usize {
        self.reader.metadata().num_row_groups()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let counts = self.converter(column)?.row_group_null_counts(self.groups()).ok()?;
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.groups().map(|g| u64::try_from(g.num_rows()).ok()).collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
