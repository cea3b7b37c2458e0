//! Rows that come with a number saying what is done with them: counted, and dropped or written.

use std::collections::BTreeMap;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use parking_lot::Mutex;

/// The rows of a write by their action.
#[derive(Debug)]
pub(crate) struct RowActions {
    column: &'static str,
    dropped: Vec<i64>,
    counts: Mutex<BTreeMap<i64, i64>>,
}

impl RowActions {
    /// `column` (BIGINT) has the action; rows of `dropped` actions are not written.
    pub fn new(column: &'static str, dropped: Vec<i64>) -> Self {
        Self { column, dropped, counts: Mutex::default() }
    }

    /// How many rows had each action.
    pub fn counts(&self) -> BTreeMap<i64, i64> {
        self.counts.lock().clone()
    }

    /// Counts the rows and gives those to be written.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let actions = batch
            .column_by_name(self.column)
            .and_then(|c| c.as_primitive_opt::<Int64Type>())
            .ok_or_else(|| Error::internal(format!("rows to be written have no column {}", self.column)))?;
        let mut counts = BTreeMap::new();
        for action in actions.values() {
            *counts.entry(*action).or_insert(0) += 1;
        }
        let drops = counts.keys().any(|a| self.dropped.contains(a));
        {
            let mut all = self.counts.lock();
            for (action, rows) in counts {
                *all.entry(action).or_insert(0) += rows;
            }
        }
        if !drops {
            return Ok(batch.clone());
        }
        let kept: BooleanArray = actions.values().iter().map(|a| Some(!self.dropped.contains(a))).collect();
        filter_record_batch(batch, &kept).spark()
    }
}
