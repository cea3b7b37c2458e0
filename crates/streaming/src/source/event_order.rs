//! `withEventTimeOrder`: the table that is there when a query begins is read in the order of its event times, so that no row of it is
//! late for the watermark. Databricks' public documentation of streams from Delta tables.
//!
//! A batch has the rows of a range of event times, wherever they are. Its end is the offset's index: the first time of the next
//! range, so that a restart reads the same ranges whatever the limits are then.

use std::sync::Arc;

use boathouse_bridge::{ResultExt, UTC};
use boathouse_delta::{Add, DeltaScan, Snapshot};
use boathouse_formats::datetime_text::parse_timestamp;
use boathouse_formats::zone::Zone;
use boathouse_spec::{DataType, Error, Result};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use serde_json::Value;

/// The index of the instant 1970-01-01: indices are not negative.
const EPOCH_INDEX: i64 = 1 << 62;

/// Times in statistics are cut off to milliseconds.
const CUT_OFF_US: i64 = 999;

/// The event time that a stream from a table is read by.
#[derive(Debug, Clone)]
pub(super) struct EventOrder {
    column: String,
    physical: String,
    has_zone: bool,
}

/// A file and the event times in it, in microseconds since the epoch.
#[derive(Debug)]
pub(super) struct Timed {
    add: Arc<Add>,
    first_us: i64,
    last_us: i64,
    /// Rows of it may have no time.
    has_nulls: bool,
}

/// The rows of a range of times; without its beginning, also those without a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub from_us: Option<i64>,
    pub until_us: Option<i64>,
}

/// Where a range ends, as an offset's index.
pub(super) fn index_of(until_us: i64) -> i64 {
    EPOCH_INDEX.saturating_add(until_us)
}

/// The time that an index stands for; `None` for the beginning of the version.
pub(super) fn time_of(index: i64) -> Option<i64> {
    (index >= 0).then(|| index - EPOCH_INDEX)
}

impl EventOrder {
    pub fn new(table: &Snapshot, column: &str) -> Result<Self> {
        let field = table.schema().fields.iter().find(|f| f.name.eq_ignore_ascii_case(column));
        let field = field.ok_or_else(|| not_a_column(column))?;
        let has_zone = match field.data_type {
            DataType::Timestamp => true,
            DataType::TimestampNtz => false,
            _ => return Err(not_a_column(column)),
        };
        let physical = field.metadata_map().get("delta.columnMapping.physicalName").cloned();
        Ok(Self {
            column: field.name.clone(),
            physical: physical
                .and_then(|n| n.as_str().map(str::to_string))
                .unwrap_or_else(|| field.name.clone()),
            has_zone,
        })
    }

    /// The files in the order of their first times. One without statistics may have any times.
    pub fn timed(&self, files: impl Iterator<Item = Arc<Add>>) -> Vec<Timed> {
        let mut timed: Vec<Timed> = files
            .map(|add| {
                let stats = add.stats.as_deref().and_then(|s| serde_json::from_str::<Value>(s).ok());
                let time = |of: &str| {
                    let text = stats.as_ref()?.get(of)?.get(&self.physical)?.as_str()?.to_string();
                    parse_timestamp(&text, &Zone::UTC)
                };
                let nulls = stats.as_ref().and_then(|s| s.get("nullCount")?.get(&self.physical)?.as_i64());
                let (first, last) = (time("minValues"), time("maxValues"));
                Timed {
                    first_us: first.unwrap_or(i64::MIN),
                    last_us: last.map_or(i64::MAX, |us| us.saturating_add(CUT_OFF_US)),
                    has_nulls: nulls != Some(0),
                    add,
                }
            })
            .collect();
        timed.sort_by(|a, b| (a.first_us, &a.add.path).cmp(&(b.first_us, &b.add.path)));
        timed
    }

    /// The rows of a range, and how many files and bytes they are in.
    pub fn rows(
        &self,
        table: &Snapshot,
        files: &[Timed],
        range: Range,
    ) -> Result<(Arc<dyn TableProvider>, (usize, i64))> {
        let from = range.from_us.unwrap_or(i64::MIN);
        let until = range.until_us.unwrap_or(i64::MAX);
        let in_range = files.iter().filter(|f| {
            let is_in = f.last_us >= from && f.first_us < until;
            is_in || (range.from_us.is_none() && f.has_nulls)
        });
        let adds: Vec<Arc<Add>> = in_range.map(|f| Arc::clone(&f.add)).collect();
        let size = (adds.len(), adds.iter().map(|a| a.size).sum());
        let scan: Arc<dyn TableProvider> = Arc::new(DeltaScan::of_files(table.clone(), adds)?);
        let Some(filter) = self.filter(range) else { return Ok((scan, size)) };
        let plan = LogicalPlanBuilder::scan("rows", provider_as_source(scan), None).spark()?;
        let plan = plan.filter(filter).spark()?.build().spark()?;
        Ok((Arc::new(ViewTable::new(plan, None)), size))
    }

    fn filter(&self, range: Range) -> Option<Expr> {
        let time = Expr::Column(Column::new(Some("rows"), &self.column));
        let zone = self.has_zone.then(|| UTC.into());
        let at = |us: i64| lit(ScalarValue::TimestampMicrosecond(Some(us), zone.clone()));
        let until = range.until_us.map(|us| time.clone().lt(at(us)));
        match (range.from_us, until) {
            (None, None) => None,
            (None, Some(until)) => Some(time.is_null().or(until)),
            (Some(from), until) => {
                let begun = time.gt_eq(at(from));
                Some(until.map_or(begun.clone(), |until| begun.and(until)))
            }
        }
    }
}

/// Where a range ends that begins at a time and has about as many files as fit; `None` where it has all that is left.
pub(super) fn end(files: &[Timed], from_us: Option<i64>, max_files: i64, max_bytes: i64) -> Option<i64> {
    let from = from_us.unwrap_or(i64::MIN);
    let (mut count, mut bytes) = (0_i64, 0_i64);
    for file in files.iter().filter(|f| f.last_us >= from) {
        let is_full = count >= max_files || (count > 0 && bytes.saturating_add(file.add.size) > max_bytes);
        // What began before the range is in it, however much that is.
        if is_full && file.first_us > from {
            return Some(file.first_us);
        }
        count += 1;
        bytes = bytes.saturating_add(file.add.size);
    }
    None
}

fn not_a_column(column: &str) -> Error {
    Error::new("DELTA_EVENT_TIME_ORDER_COLUMN")
        .param("column", column)
        .message(format!(
            "withEventTimeOrder needs a watermark on a TIMESTAMP column of the Delta table itself, and {column} is none."
        ))
        .exception("AnalysisException")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_times() {
        for us in [-62_135_596_800_000_000, -1, 0, 1, 1_900_000_000_000_000] {
            assert!(index_of(us) >= 0);
            assert_eq!(time_of(index_of(us)), Some(us));
        }
        assert_eq!(time_of(-100), None);
    }
}
