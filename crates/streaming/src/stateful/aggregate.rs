//! Aggregation over a stream: partial results by key are remembered, and merged with those of each batch.

mod flat_keys;
mod plan;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::common::Column;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection};
use datafusion::physical_plan::aggregates::AggregateMode;

use super::Operator;
use super::run::Batches;
use super::store::{Layout, instants};
use crate::query::OutputMode;
use crate::tap::TapExec;
pub(super) use plan::Plan;

/// The input with the columns that the aggregation reads, and no others.
pub(super) fn pruned(aggregate: &Aggregate, input: LogicalPlan) -> Result<LogicalPlan> {
    let exprs = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
    let needed: HashSet<Column> =
        exprs.flat_map(|e| e.column_refs().into_iter().cloned().collect::<Vec<_>>()).collect();
    let kept: Vec<Expr> =
        input.schema().columns().into_iter().filter(|c| needed.contains(c)).map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(kept, Arc::new(input)).spark()?))
}

/// Runs the aggregation over the rows of a batch, and gives its output for the mode. `time` is the key that is an event time.
pub(super) async fn run(
    batches: &Batches,
    operator: &mut Operator,
    aggregate: &Aggregate,
    input: LogicalPlan,
    time: Option<usize>,
) -> Result<Vec<RecordBatch>> {
    let input = pruned(aggregate, input)?;
    let plan = Plan::of(batches, aggregate, &input).await?;
    let rows = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&rows);
    let input = TapExec::new("AggregatedRowsExec", "", batches.physical(&input).await?, move |batch| {
        counted.fetch_add(batch.num_rows(), Ordering::Relaxed);
    });
    let mut new = plan.partial(batches, Arc::new(input)).await?;
    if plan.keys() > 0 && rows.load(Ordering::Relaxed) == 0 {
        // The group of all rows, of a ROLLUP, is none where there are no rows.
        new.clear();
    }
    // Where all groups are given out for ever, none is over (`StateStoreSaveExec`).
    if let Some(time) = time
        && batches.mode != OutputMode::Complete
    {
        operator.progress.dropped += drop_late(&mut new, time, batches.marks.late_us)?;
    }
    let keys = plan.schema.fields()[..plan.keys()].to_vec();
    let values = plan.schema.fields()[plan.keys()..].to_vec();
    let store = operator.store(Layout { keys, values, time, ..Layout::default() }).await?;

    let old = new.iter().map(|batch| store.get_many(batch)).collect::<Result<Vec<_>>>()?;
    let merged = plan.merged(batches, AggregateMode::PartialReduce, new.iter().chain(&old)).await?;
    store.put_all(&merged)?;
    let updated = merged.iter().map(RecordBatch::num_rows).sum::<usize>();
    let output = match batches.mode {
        OutputMode::Complete => store.all().collect::<Result<Vec<_>>>()?,
        mode => {
            let over = match time {
                Some(_) => store.expire(batches.marks.now_us)?,
                None => Vec::new(),
            };
            operator.progress.removed += over.iter().map(RecordBatch::num_rows).sum::<usize>();
            if mode == OutputMode::Append { over } else { merged }
        }
    };
    operator.progress.updated += updated;
    plan.merged(batches, AggregateMode::Final, &output).await
}

/// Takes away the rows whose time the watermark has passed; how many there were.
pub(super) fn drop_late(batches: &mut [RecordBatch], column: usize, late_us: Option<i64>) -> Result<usize> {
    let Some(late_us) = late_us else { return Ok(0) };
    let mut dropped = 0;
    for batch in batches {
        let Some(times) = instants(batch.column(column)) else { continue };
        let keep: Vec<bool> = times.iter().map(|t| t.is_none_or(|t| t > late_us)).collect();
        if keep.iter().all(|k| *k) {
            continue;
        }
        let before = batch.num_rows();
        *batch = arrow::compute::filter_record_batch(batch, &keep.into())
            .map_err(|e| Error::internal(e.to_string()))?;
        dropped += before - batch.num_rows();
    }
    Ok(dropped)
}
