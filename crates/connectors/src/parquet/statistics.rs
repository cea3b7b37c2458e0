//! What the footers of Parquet files tell of a table: how many rows, and between which bounds.
//!
//! Plans choose the order of joins by it, so that a guess is enough: of many files some are asked, and they stand for the others.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use boathouse_bridge::{Footers, arrow_schema};
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::error::Result;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::footer;
use crate::table::{FileTable, TableFile};

/// So many footers are read at most.
const MAX_FOOTERS: usize = 256;
const PARALLEL: usize = 16;

/// The statistics of all files: for each column of the files, then for each partition column. Nothing of them is exact.
pub(crate) async fn of_table(table: &FileTable, state: &dyn Session) -> Result<Statistics> {
    let schema = Arc::new(arrow_schema(&table.data_schema));
    let footers = Footers::of_store(state, &table.place.store_url);
    let asked: Vec<&TableFile> =
        table.files.iter().step_by(table.files.len().div_ceil(MAX_FOOTERS).max(1)).collect();
    let each: Vec<_> =
        asked.iter().map(|file| of_file(table, file, &schema, Arc::clone(&footers)).boxed()).collect();
    let each: Vec<Statistics> = futures::stream::iter(each).buffered(PARALLEL).try_collect().await?;
    let mut all = Statistics::try_merge_iter(&each, &schema)?.to_inexact();
    let bytes = |files: &mut dyn Iterator<Item = &TableFile>| files.map(|f| f.meta.size as f64).sum::<f64>();
    let share = bytes(&mut table.files.iter()) / bytes(&mut asked.into_iter()).max(1.0);
    all = scaled(all, share);
    all.column_statistics.extend((0..table.partition_fields().len()).map(|i| of_partition_column(table, i)));
    Ok(all)
}

async fn of_file(
    table: &FileTable,
    file: &TableFile,
    schema: &SchemaRef,
    footers: Arc<FileMetadataCache>,
) -> Result<Statistics> {
    let reader = footer::reader(&table.place, file).with_file_metadata_cache(Some(footers));
    let mut statistics = reader.fetch_statistics(schema).await?;
    // Bytes as the log of a Delta table tells them: of files, not of columns. Plans over both are the same ones.
    statistics.total_byte_size = Precision::Inexact(usize::try_from(file.meta.size).unwrap_or(usize::MAX));
    for column in &mut statistics.column_statistics {
        column.byte_size = Precision::Absent;
    }
    Ok(statistics)
}

/// Statistics of a part of the table, or of more than was counted.
pub(crate) fn scaled(mut statistics: Statistics, share: f64) -> Statistics {
    let times = |n: Precision<usize>| match n {
        Precision::Exact(n) | Precision::Inexact(n) => Precision::Inexact((n as f64 * share) as usize),
        Precision::Absent => Precision::Absent,
    };
    statistics.num_rows = times(statistics.num_rows);
    statistics.total_byte_size = times(statistics.total_byte_size);
    for column in &mut statistics.column_statistics {
        column.null_count = times(column.null_count);
        column.byte_size = times(column.byte_size);
    }
    statistics
}

/// The bounds of what directories say, where all of them say something.
fn of_partition_column(table: &FileTable, column: usize) -> ColumnStatistics {
    let mut out = ColumnStatistics::new_unknown();
    let values = || table.files.iter().map(|f| &f.partition_values[column]);
    if values().any(ScalarValue::is_null) {
        return out;
    }
    let extreme = |wanted: fn(&ScalarValue, &ScalarValue) -> bool| {
        let best = values().reduce(|best, value| if wanted(value, best) { value } else { best });
        best.map_or(Precision::Absent, |value| Precision::Inexact(value.clone()))
    };
    out.min_value = extreme(|a, b| a < b);
    out.max_value = extreme(|a, b| a > b);
    out
}
