//! The plan's statistics, from the log's.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::scalar::ScalarValue;

use crate::file_set::{FileWithStats, StatsGroup};
use crate::schema::TableColumn;
use crate::stats::table::ColumnBounds;

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
    groups: &[StatsGroup],
    columns: &[Option<&TableColumn>],
    schema: &SchemaRef,
) -> Statistics {
    let mut out = Statistics::new_unknown(schema);
    let rows = groups.iter().try_fold(0u64, |sum, group| Some(sum.saturating_add(group.num_rows?)));
    let rows = rows.and_then(|rows| usize::try_from(rows).ok());
    out.num_rows = rows.map_or(Precision::Absent, Precision::Exact);
    let bytes = groups.iter().map(|g| g.bytes).fold(0i64, i64::saturating_add);
    out.total_byte_size = Precision::Inexact(usize::try_from(bytes).unwrap_or(0));
    let whole = groups.iter().all(|g| g.whole);
    for (column, target) in columns.iter().zip(&mut out.column_statistics) {
        if let Some(column) = column {
            *target = of_column(column, groups, whole);
        }
    }
    out
}

fn of_column(column: &TableColumn, groups: &[StatsGroup], whole: bool) -> ColumnStatistics {
    let mut out = ColumnStatistics::new_unknown();
    let (mut min, mut max): (Option<ScalarValue>, Option<ScalarValue>) = (None, None);
    let (mut known, mut exact) = (true, whole);
    let mut nulls = Some(0u64);
    for group in groups {
        let Some(bounds) = group.stats.columns.get(column.logical()) else {
            return out;
        };
        exact &= bounds.exact;
        let found = of_group(group, bounds);
        nulls = nulls.zip(found.nulls).map(|(a, b)| a.saturating_add(b));
        known &= found.known;
        if let Some(low) = found.min
            && min.as_ref().is_none_or(|m| low < *m)
        {
            min = Some(low);
        }
        if let Some(high) = found.max
            && max.as_ref().is_none_or(|m| high > *m)
        {
            max = Some(high);
        }
    }
    if let Some(count) = nulls.and_then(|n| usize::try_from(n).ok()) {
        out.null_count = if whole { Precision::Exact(count) } else { Precision::Inexact(count) };
    }
    if known && let (Some(min), Some(max)) = (min, max) {
        let precise = |v| if exact { Precision::Exact(v) } else { Precision::Inexact(v) };
        out.min_value = precise(min);
        out.max_value = precise(max);
    }
    out
}

/// What some files know of a column.
struct Found {
    min: Option<ScalarValue>,
    max: Option<ScalarValue>,
    nulls: Option<u64>,
    /// Whether no bound is missing.
    known: bool,
}

fn of_group(group: &StatsGroup, bounds: &ColumnBounds) -> Found {
    let all;
    let rows = match &group.rows {
        Some(rows) => rows,
        None => {
            all = (0..group.stats.files).collect();
            &all
        }
    };
    let count = |row: usize| bounds.null_count.is_valid(row).then(|| bounds.null_count.value(row));
    let nulls = rows.iter().try_fold(0u64, |sum, row| Some(sum.saturating_add(count(*row)?)));
    let records = &group.stats.num_records;
    // A file of NULLs only has no bounds, and none is missing.
    let is_all_null =
        |row: usize| records.is_valid(row) && count(row).is_some_and(|nulls| nulls == records.value(row));
    let has_bounds = |row: usize| bounds.min.is_valid(row) && bounds.max.is_valid(row);
    let known = rows.iter().all(|row| has_bounds(*row) || is_all_null(*row));
    let with_bounds: Vec<usize> = rows.iter().copied().filter(|row| has_bounds(*row)).collect();
    let min = extreme(&bounds.min, &with_bounds, Ordering::Less);
    let max = extreme(&bounds.max, &with_bounds, Ordering::Greater);
    Found { known: known && min.is_some() == max.is_some(), min, max, nulls }
}

/// The value that is `wanted` than all others.
fn extreme(values: &ArrayRef, rows: &[usize], wanted: Ordering) -> Option<ScalarValue> {
    let compare = make_comparator(values, values, SortOptions::default()).ok()?;
    let better = |best: usize, row: usize| if compare(row, best) == wanted { row } else { best };
    let row = rows.iter().copied().reduce(better)?;
    ScalarValue::try_from_array(values, row).ok()
}
