//! Statistics of data files: the JSON in the log, as columns for pruning, and gathered while writing.

pub(crate) mod collect;
pub(crate) mod json;
pub(crate) mod prune;
pub(crate) mod table;

pub(crate) use table::StatsTable;

/// The number of rows of a file by its statistics, deleted ones included.
pub(crate) fn num_records(stats: Option<&str>) -> Option<i64> {
    let root = json::parse(stats?)?;
    root.get("numRecords")?.as_i64()
}
