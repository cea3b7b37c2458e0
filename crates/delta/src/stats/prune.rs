//! Which files a filter can find rows in.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::SchemaRef;
use boathouse_spec::Result;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};

use super::StatsTable;

/// A filter over the table's columns, made ready to rule out files.
pub(crate) struct FilePruner {
    predicate: Option<Arc<PruningPredicate>>,
}

/// Longer lists of `IN` decide nothing.
const MAX_IN_LIST: usize = 100;

impl FilePruner {
    /// `filter` refers to columns of `schema` by name; one that no statistics can decide keeps every file.
    pub fn new(filter: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Self {
        let builder = PruningPredicateBuilder::new().with_file_schema(schema.clone());
        Self { predicate: builder.with_max_in_list_size(MAX_IN_LIST).build(filter.clone()) }
    }

    /// For each file of the table, whether it may have rows that pass.
    pub fn keep(&self, stats: &StatsTable) -> Result<Vec<bool>> {
        match &self.predicate {
            // A failure to decide is no failure of the query.
            Some(p) => Ok(p.prune(stats).unwrap_or_else(|e| {
                tracing::debug!("statistics decide nothing: {e}");
                vec![true; stats.files]
            })),
            None => Ok(vec![true; stats.files]),
        }
    }
}

impl PruningStatistics for StatsTable {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.columns.get(&column.name).map(|c| c.min.clone())
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.columns.get(&column.name).map(|c| c.max.clone())
    }

    fn num_containers(&self) -> usize {
        self.files
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        self.columns.get(&column.name).map(|c| Arc::new(c.null_count.clone()) as ArrayRef)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.num_records.clone()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
