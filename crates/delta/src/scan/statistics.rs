//! The plan's statistics, from the log's.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::scalar::ScalarValue;

use crate::file_set::FileWithStats;
use crate::schema::TableColumn;
use crate::stats::StatsTable;

/// Beyond so many columns of files only the table as a whole has statistics: they would take more memory than they save.
pub(crate) const MAX_PER_FILE_STATISTICS: usize = 200_000;

/// The statistics of one file, for each column of the source's schema.
pub(crate) fn of_file(
    file: &FileWithStats,
    columns: &[Option<&TableColumn>],
    schema: &SchemaRef,
) -> Statistics {
    let mut out = Statistics::new_unknown(schema);
    if let Some(rows) = file.live_rows() {
        out.num_rows = Precision::Exact(rows);
    }
    if let Ok(size) = usize::try_from(file.file.size) {
        out.total_byte_size = Precision::Inexact(size);
    }
    let whole = file.is_whole();
    for (column, target) in columns.iter().zip(&mut out.column_statistics) {
        let Some(bounds) = column.and_then(|c| file.stats.columns.get(c.logical())) else { continue };
        let known =
            |array: &dyn Array| ScalarValue::try_from_array(array, file.row).ok().filter(|v| !v.is_null());
        let precise = |value: Option<ScalarValue>| match value {
            Some(v) if bounds.exact && whole => Precision::Exact(v),
            Some(v) => Precision::Inexact(v),
            None => Precision::Absent,
        };
        target.min_value = precise(known(bounds.min.as_ref()));
        target.max_value = precise(known(bounds.max.as_ref()));
        if bounds.null_count.is_valid(file.row) {
            let count = bounds.null_count.value(file.row) as usize;
            target.null_count = if whole { Precision::Exact(count) } else { Precision::Inexact(count) };
        }
    }
    out
}

/// The statistics of all files together.
pub(crate) fn of_table(
    files: &[FileWithStats],
    columns: &[Option<&TableColumn>],
    schema: &SchemaRef,
) -> Statistics {
    let mut out = Statistics::new_unknown(schema);
    let rows: Option<usize> = files.iter().map(FileWithStats::live_rows).sum();
    out.num_rows = rows.map_or(Precision::Absent, Precision::Exact);
    out.total_byte_size =
        Precision::Inexact(files.iter().map(|f| usize::try_from(f.file.size).unwrap_or(0)).sum());
    let whole = files.iter().all(FileWithStats::is_whole);

    let mut by_table: HashMap<*const StatsTable, (&Arc<StatsTable>, Vec<&FileWithStats>)> = HashMap::new();
    for file in files {
        by_table.entry(Arc::as_ptr(&file.stats)).or_insert_with(|| (&file.stats, Vec::new())).1.push(file);
    }
    let groups: Vec<_> = by_table.into_values().collect();
    for (column, target) in columns.iter().zip(&mut out.column_statistics) {
        if let Some(column) = column {
            *target = of_column(column, &groups, whole);
        }
    }
    out
}

fn of_column(
    column: &TableColumn,
    groups: &[(&Arc<StatsTable>, Vec<&FileWithStats>)],
    whole: bool,
) -> ColumnStatistics {
    let mut out = ColumnStatistics::new_unknown();
    let (mut min, mut max): (Option<ScalarValue>, Option<ScalarValue>) = (None, None);
    let (mut known, mut exact) = (true, whole);
    let mut nulls = Some(0usize);
    for (table, files) in groups {
        let Some(bounds) = table.columns.get(column.logical()) else {
            return out;
        };
        exact &= bounds.exact;
        for file in files {
            let row = file.row;
            let count = bounds.null_count.is_valid(row).then(|| bounds.null_count.value(row) as usize);
            nulls = nulls.zip(count).map(|(a, b)| a.saturating_add(b));
            if bounds.min.is_null(row) || bounds.max.is_null(row) {
                // Only NULLs in the file: no bound is missing.
                let all_null = count.is_some() && count.map(|c| c as u64) == file.num_records();
                known &= all_null;
                continue;
            }
            let (Ok(low), Ok(high)) = (
                ScalarValue::try_from_array(bounds.min.as_ref(), row),
                ScalarValue::try_from_array(bounds.max.as_ref(), row),
            ) else {
                known = false;
                continue;
            };
            if min.as_ref().is_none_or(|m| low < *m) {
                min = Some(low);
            }
            if max.as_ref().is_none_or(|m| high > *m) {
                max = Some(high);
            }
        }
    }
    if let Some(count) = nulls {
        out.null_count = if whole { Precision::Exact(count) } else { Precision::Inexact(count) };
    }
    if known && let (Some(min), Some(max)) = (min, max) {
        let precise = |v| if exact { Precision::Exact(v) } else { Precision::Inexact(v) };
        out.min_value = precise(min);
        out.max_value = precise(max);
    }
    out
}
