//! Rows by the file they are in: what a scan for rows that change comes back with.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::common::runtime::JoinSet;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use roaring::RoaringTreemap;

use crate::plan_watch::PlanWatch;

/// Positions of rows in files, by the position of the file.
#[derive(Debug, Default, Clone)]
pub(crate) struct RowSets {
    pub files: BTreeMap<i64, RoaringTreemap>,
    /// How many rows came, one that came twice counted twice.
    pub given: u64,
}

impl RowSets {
    pub fn insert(&mut self, file: i64, row: u64) {
        self.given += 1;
        self.files.entry(file).or_default().insert(row);
    }

    /// Takes in rows, mostly many of a file in a row.
    pub fn insert_all(&mut self, files: &[i64], rows: &[i64]) {
        let mut at = 0;
        while let Some(file) = files.get(at) {
            let length = files[at..].iter().take_while(|f| *f == file).count();
            let set = self.files.entry(*file).or_default();
            let mut rest = &rows[at..at + length];
            while let Some(first) = rest.first() {
                let run = rest.iter().zip(*first..).take_while(|(row, expected)| **row == *expected).count();
                let first = first.unsigned_abs();
                if run == 1 {
                    set.insert(first);
                } else {
                    set.insert_range(first..first + run as u64);
                }
                rest = &rest[run..];
            }
            at += length;
        }
        self.given += files.len() as u64;
    }

    pub fn merge(&mut self, other: RowSets) {
        self.given += other.given;
        for (file, rows) in other.files {
            *self.files.entry(file).or_default() |= rows;
        }
    }

    /// How many different rows there are.
    pub fn len(&self) -> u64 {
        self.files.values().map(RoaringTreemap::len).sum()
    }

    /// How many rows came that were there before.
    pub fn repeated(&self) -> u64 {
        self.given - self.len()
    }
}

/// Runs a plan and gives its rows to `take`, which keeps what it wants of a partition's batches in a `T`.
pub(crate) async fn collect_into<T: Default + Send + 'static>(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    take: impl Fn(&mut T, &RecordBatch) -> Result<()> + Send + Sync + Clone + 'static,
) -> Result<Vec<T>> {
    let found = run(&plan, &context, take).await;
    PlanWatch::ran(&context, &plan);
    found
}

async fn run<T: Default + Send + 'static>(
    plan: &Arc<dyn ExecutionPlan>,
    context: &Arc<TaskContext>,
    take: impl Fn(&mut T, &RecordBatch) -> Result<()> + Send + Sync + Clone + 'static,
) -> Result<Vec<T>> {
    let mut tasks = JoinSet::new();
    for partition in 0..plan.output_partitioning().partition_count() {
        let mut stream = plan.execute(partition, context.clone()).spark()?;
        let take = take.clone();
        tasks.spawn(async move {
            let mut out = T::default();
            while let Some(batch) = stream.next().await {
                take(&mut out, &batch.spark()?)?;
            }
            Ok::<T, Error>(out)
        });
    }
    let mut out = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        let part =
            joined.map_err(|e| Error::internal(format!("a search for rows to change did not end: {e}")))?;
        out.push(part?);
    }
    Ok(out)
}

/// The values of a BIGINT column without NULL.
pub(crate) fn longs(batch: &RecordBatch, index: usize) -> Result<&[i64]> {
    batch
        .columns()
        .get(index)
        .and_then(|c| c.as_primitive_opt::<Int64Type>())
        .filter(|c| c.null_count() == 0)
        .map(|c| c.values().as_ref())
        .ok_or_else(|| Error::internal(format!("column {index} of found rows has no numbers")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_once() {
        let mut sets = RowSets::default();
        sets.insert_all(&[1, 1, 1, 2, 1], &[4, 5, 9, 4, 5]);
        let mut other = RowSets::default();
        other.insert_all(&[2, 3], &[4, 0]);
        sets.merge(other);
        assert_eq!((sets.given, sets.len(), sets.repeated()), (7, 5, 2));
        assert_eq!(sets.files[&1].iter().collect::<Vec<_>>(), [4, 5, 9]);
    }
}
