//! `applyInPandasWithState`: a value a group, and when it is over (Spark's `FlatMapGroupsInPandasWithStateExec`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use boathouse_bridge::conform;
use boathouse_engine::{GroupPart, GroupedRows, StateTimes, StatefulTask};
use boathouse_spec::{Error, Result, StructField, StructType};
use parking_lot::Mutex;

use super::workers::{Job, Memory, Workers, most};
use super::{groups_of, keys_of, over_ms, stored, take_changes};
use crate::stateful::Operator;
use crate::stateful::store::{Layout, StateStore, internal};

/// A value of state in milliseconds as the store's time.
pub(super) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

pub(super) async fn run(
    operator: &mut Operator,
    task: &StatefulTask,
    value: &StructType,
    rows: RecordBatch,
    at: StateTimes,
) -> Result<Vec<RecordBatch>> {
    let keys = stored(&task.keys);
    let count = keys.len();
    let value = StructField::new("groupState", boathouse_spec::DataType::Struct(value.clone()), true);
    let mut values = stored(&[value]);
    values.push(Arc::new(Field::new("timeoutTimestamp", instant(), true)));
    let store = operator.store(Layout { time: Some(count + 1), keys, values, ..Layout::default() }).await?;
    let memory = Mutex::new(Values { store, key_count: count, updated: 0, removed: 0 });
    let workers = Workers::new(task, at);
    let none = rows.slice(0, 0);
    let parts = GroupedRows::new(count, rows, none)?.parts(most())?;
    let mut made = workers.share("rows", parts.into_iter().map(Job::from).collect(), &memory).await?;
    if let Some(over_ms) = over_ms(task, at) {
        let jobs = memory.lock().timed_out(task, over_ms)?;
        made.extend(workers.share("timeouts", jobs, &memory).await?);
    }
    workers.finish().await?;
    let Values { updated, removed, .. } = memory.into_inner();
    operator.progress.updated += updated;
    operator.progress.removed += removed;
    Ok(made)
}

struct Values<'a> {
    store: &'a mut StateStore,
    key_count: usize,
    updated: usize,
    removed: usize,
}

impl Values<'_> {
    /// The groups whose time was before another, in milliseconds.
    fn timed_out(&self, task: &StatefulTask, before_ms: i64) -> Result<Vec<Job>> {
        let keys = self.store.due(before_ms.saturating_mul(1000).saturating_sub(1))?;
        let parts = super::variable::slices(&keys);
        Ok(parts.map(|k| Job::from(GroupPart::of_keys(task, k.columns().to_vec()))).collect())
    }
}

impl Memory for Values<'_> {
    fn recall(&self, keys: &[ArrayRef]) -> Result<Vec<(String, RecordBatch)>> {
        let found = self.store.lookup(keys)?;
        let value = Arc::clone(found.entries.column(self.key_count));
        let schema = Schema::new(vec![
            Field::new("group", DataType::Int32, false),
            Field::new("value", value.data_type().clone(), true),
        ]);
        let groups: ArrayRef = Arc::new(Int32Array::from(found.rows));
        let batch = RecordBatch::try_new(Arc::new(schema), vec![groups, value]).map_err(internal)?;
        Ok(vec![("state".to_string(), batch)])
    }

    fn change(&mut self, keys: &[ArrayRef], _: usize, changes: &RecordBatch) -> Result<()> {
        let column = |name: &str| {
            changes.column_by_name(name).ok_or_else(|| Error::internal("changes of state without columns"))
        };
        let mut columns = keys_of(keys, groups_of(changes)?)?;
        let schema = self.store.schema();
        columns.push(conform(column("value")?, schema.field(self.key_count).data_type())?);
        let over: TimestampMicrosecondArray = column("over")?
            .as_primitive::<Int64Type>()
            .iter()
            .map(|ms| ms.map(|ms| ms.saturating_mul(1000)))
            .collect();
        columns.push(Arc::new(over));
        let entries = RecordBatch::try_new(schema, columns).map_err(internal)?;
        let (put, gone) = take_changes(self.store, &entries, column("kept")?.as_boolean())?;
        self.updated += put;
        self.removed += gone;
        Ok(())
    }
}
