//! Python functions that remember something of each group: `applyInPandasWithState` and `transformWithState`.
//!
//! The rows of a batch go to worker processes in parts of some groups, with what is remembered of these groups; what has
//! changed comes back with the functions' rows, and is written with the version of the batch as for every other operator.
//! So a worker holds no state beyond a part. `workers.rs` is the conversation, `group_state.rs` and `processor.rs` are what
//! the two kinds of functions remember, `variable.rs` is a variable of a processor.

mod group_state;
mod processor;
mod variable;
mod workers;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch, not, take};
use arrow::datatypes::FieldRef;
use boathouse_bridge::{ResultExt, arrow_schema};
use boathouse_engine::{Remembered, StateTime, StateTimes, StatefulGroups, StatefulTask};
use boathouse_spec::{Error, Result, StructField, StructType};
use datafusion::logical_expr::LogicalPlan;

use super::aggregate::drop_late;
use super::run::Batches;
use super::store::{StateStore, instants, internal};
use super::{Operator, Times};

/// What progress reports call the operator.
pub(super) fn name(task: &StatefulTask) -> &'static str {
    match task.remembered {
        Remembered::Value(_) => "applyInPandasWithState",
        Remembered::Variables if task.is_in_frames() => "transformWithStateInPandasExec",
        Remembered::Variables => "transformWithStateInPySparkExec",
    }
}

/// Runs the function over the rows of a batch. `times` are the event times of the input.
pub(super) async fn run(
    batches: &Batches,
    operator: &mut Operator,
    node: &StatefulGroups,
    inputs: Vec<LogicalPlan>,
    times: &Times,
) -> Result<Vec<RecordBatch>> {
    let task = &node.task;
    let mut inputs = inputs.into_iter();
    let input = inputs.next().ok_or_else(|| Error::internal("a stateful operator without input"))?;
    let mut rows = collected(batches, &input).await?;
    if task.time == StateTime::EventTime
        && let Some(column) = event_time(&input, times)
    {
        operator.progress.dropped +=
            drop_late(std::slice::from_mut(&mut rows), column, batches.marks.late_us)?;
    }
    let initial = match inputs.next() {
        // The state begins with the first batch.
        Some(plan) if batches.batch_id == 0 => collected(batches, &plan).await?,
        _ => rows.slice(0, 0),
    };
    let at = StateTimes {
        batch_ms: batches.batch_ms,
        watermark_ms: batches.marks.now_us.div_euclid(1000),
        has_watermark: !times.is_empty(),
    };
    operator.wakes = task.time == StateTime::ProcessingTime;
    let made = match &task.remembered {
        Remembered::Value(value) => group_state::run(operator, task, value, rows, at).await?,
        Remembered::Variables => processor::run(operator, task, [rows, initial], at).await?,
    };
    if let Some(column) = task.event_time {
        not_late(&made, task, column, at)?;
    }
    Ok(made)
}

async fn collected(batches: &Batches, plan: &LogicalPlan) -> Result<RecordBatch> {
    let physical = batches.physical(plan).await?;
    let schema = physical.schema();
    concat_batches(&schema, &batches.collect(physical).await?).spark()
}

/// The first event time among the columns.
fn event_time(input: &LogicalPlan, times: &Times) -> Option<usize> {
    input.schema().fields().iter().position(|f| times.contains_key(f.name()))
}

/// Rows that are older than the watermark would be dropped by what is above (Spark's `UpdateEventTimeColumnExec`).
fn not_late(made: &[RecordBatch], task: &StatefulTask, column: usize, at: StateTimes) -> Result<()> {
    let limit_us = at.watermark_ms.saturating_mul(1000);
    for batch in made {
        let times = instants(batch.column(column)).unwrap_or_default();
        let Some(late) = times.into_iter().flatten().find(|t| *t < limit_us) else { continue };
        let name = &task.output.fields[column].name;
        return Err(Error::new("EMITTING_ROWS_OLDER_THAN_WATERMARK_NOT_ALLOWED")
            .param("currentWatermark", at.watermark_ms)
            .param("emittedRowEventTime", late)
            .message(format!(
                "Previous node emitted a row with eventTime={late} which is older than current_watermark_value={} This can lead to \
                 correctness issues in the stateful operators downstream in the execution pipeline. Please correct the operator \
                 logic to emit rows after current global watermark value. (The column is {name}.)",
                at.watermark_ms.saturating_mul(1000)
            ))
            .exception("SparkRuntimeException"));
    }
    Ok(())
}

/// Columns as a store has them.
fn stored(fields: &[StructField]) -> Vec<FieldRef> {
    let nullable = fields.iter().map(|f| StructField { nullable: true, ..f.clone() });
    arrow_schema(&StructType::new(nullable.collect())).fields().iter().cloned().collect()
}

/// The time up to which groups are over, in milliseconds, where they ever are.
fn over_ms(task: &StatefulTask, at: StateTimes) -> Option<i64> {
    match task.time {
        StateTime::Never => None,
        StateTime::ProcessingTime => Some(at.batch_ms),
        StateTime::EventTime => Some(at.watermark_ms),
    }
}

/// Takes entries into a store, or out of it where they are not kept; how many of each there were.
fn take_changes(
    store: &mut StateStore,
    entries: &RecordBatch,
    kept: &BooleanArray,
) -> Result<(usize, usize)> {
    let put = filter_record_batch(entries, kept).map_err(internal)?;
    let gone = filter_record_batch(entries, &not(kept).map_err(internal)?).map_err(internal)?;
    store.put(&put)?;
    store.remove(&gone)?;
    Ok((put.num_rows(), gone.num_rows()))
}

/// The keys of the groups that rows are of.
fn keys_of(keys: &[ArrayRef], groups: &Int32Array) -> Result<Vec<ArrayRef>> {
    keys.iter().map(|k| take(k, groups, None).map_err(internal)).collect()
}

/// The rows of a column that say which group they are of.
fn groups_of(batch: &RecordBatch) -> Result<&Int32Array> {
    batch
        .column_by_name("group")
        .and_then(|c| c.as_primitive_opt())
        .filter(|c: &&Int32Array| c.null_count() == 0)
        .ok_or_else(|| Error::internal("changes of state without their groups"))
}
