//! Aggregation by sessions: windows that last as long as the rows of their key follow each other closely enough (Spark's
//! `SessionWindowStateStoreRestoreExec`, `MergingSessionsExec` and `SessionWindowStateStoreSaveExec`).
//!
//! Each row comes with a window of its own. What is remembered of a key that has new rows is merged with these: windows that
//! touch are one session. The state is Spark's: a session by its key and its start.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch, StructArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef, TimestampMicrosecondType};
use arrow::row::{RowConverter, SortField};
use boathouse_spec::{Error, Result};
use datafusion::common::hash_utils::RandomState;
use datafusion::logical_expr::{Aggregate, LogicalPlan};
use datafusion::physical_plan::aggregates::AggregateMode;
use hashbrown::HashTable;

use super::Operator;
use super::aggregate::{Plan, drop_late, pruned};
use super::check::global_sessions;
use super::run::Batches;
use super::store::Layout;
use crate::query::OutputMode;

/// Runs the aggregation over the rows of a batch, and gives its output for the mode. `session` is the key that is a session,
/// `is_timed` whether it is of an event time.
pub(super) async fn run(
    batches: &Batches,
    operator: &mut Operator,
    aggregate: &Aggregate,
    input: LogicalPlan,
    session: usize,
    is_timed: bool,
) -> Result<Vec<RecordBatch>> {
    let input = pruned(aggregate, input)?;
    let plan = Plan::of(batches, aggregate, &input).await?;
    let form = Form::new(Arc::clone(&plan.schema), plan.keys(), session)?;
    let mut new = plan.partial(batches, batches.physical(&input).await?).await?;
    if is_timed {
        operator.progress.dropped += drop_late(&mut new, session, batches.marks.late_us)?;
    }
    let new = concat_batches(&form.schema, &new).map_err(internal)?;

    let store = operator.store(form.layout()).await?;
    let known = store.matching(&form.keys(&new))?;
    let restored = known.iter().map(|k| form.restored(k)).collect::<Result<Vec<_>>>()?;
    let both = concat_batches(&form.schema, std::iter::once(&new).chain(&restored)).map_err(internal)?;
    let merged = plan.merged(batches, AggregateMode::PartialReduce, [&form.merged(&both)?]).await?;
    let merged = concat_batches(&form.schema, &merged).map_err(internal)?;
    let removed = store.replace(&known, &form.stored(&merged, store.schema())?)?;
    let (over, expired) = match batches.mode {
        OutputMode::Complete => (store.all().collect::<Result<Vec<_>>>()?, 0),
        _ => {
            let over = store.expire(batches.marks.now_us)?;
            let count = over.iter().map(RecordBatch::num_rows).sum();
            (over, count)
        }
    };
    // Spark sets all sessions of a key that has new rows.
    operator.progress.updated += merged.num_rows();
    operator.progress.removed += removed + expired;
    let over = over.iter().map(|o| form.restored(o)).collect::<Result<Vec<_>>>()?;
    plan.merged(batches, AggregateMode::Final, &over).await
}

/// How partial results are, and how they are remembered: keys, start; end, values.
struct Form {
    /// Of partial results: the keys, the session among them, then values.
    schema: SchemaRef,
    keys: usize,
    session: usize,
    /// The start and the end of a window.
    bounds: Fields,
}

impl Form {
    fn new(schema: SchemaRef, keys: usize, session: usize) -> Result<Self> {
        let DataType::Struct(bounds) = schema.field(session).data_type() else {
            return Err(Error::internal("a session is a window"));
        };
        if keys < 2 {
            return Err(global_sessions());
        }
        let bounds = bounds.clone();
        Ok(Self { schema, keys, session, bounds })
    }

    fn others(&self) -> impl Iterator<Item = usize> {
        (0..self.keys).filter(|i| *i != self.session)
    }

    fn layout(&self) -> Layout {
        let named = |i: usize, name: &str| Arc::new(self.bounds[i].as_ref().clone().with_name(name));
        let mut keys: Vec<FieldRef> = self.others().map(|i| Arc::clone(&self.schema.fields()[i])).collect();
        keys.push(named(0, "sessionStartTime"));
        let mut values: Vec<FieldRef> = vec![named(1, "sessionEndTime")];
        values.extend(self.schema.fields()[self.keys..].iter().cloned());
        Layout {
            time: Some(keys.len()),
            index: Some((0..keys.len() - 1).collect()),
            finds_null: true,
            counts_groups: false,
            keys,
            values,
        }
    }

    /// The keys without the session.
    fn keys(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.others().map(|i| Arc::clone(rows.column(i))).collect()
    }

    fn window<'a>(&self, rows: &'a RecordBatch) -> Result<&'a StructArray> {
        let window = rows.column(self.session).as_struct_opt();
        window.ok_or_else(|| Error::internal("a session is a window"))
    }

    /// Partial results as they are remembered.
    fn stored(&self, rows: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch> {
        let window = self.window(rows)?;
        let mut columns = self.keys(rows);
        columns.extend(window.columns().iter().cloned());
        columns.extend(rows.columns()[self.keys..].iter().cloned());
        RecordBatch::try_new(schema, columns).map_err(internal)
    }

    /// What is remembered as partial results.
    fn restored(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let start = self.keys - 1;
        let bounds = vec![Arc::clone(rows.column(start)), Arc::clone(rows.column(start + 1))];
        let window = StructArray::try_new(self.bounds.clone(), bounds, None).map_err(internal)?;
        let mut columns = rows.columns()[..start].to_vec();
        columns.insert(self.session, Arc::new(window));
        columns.extend(rows.columns()[start + 2..].iter().cloned());
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(internal)
    }

    /// The rows of a key beside each other and in the order of time, each with the session it belongs to in place of its window.
    fn merged(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let keys = self.keys(rows);
        let groups = groups(&keys)?;
        let window = self.window(rows)?;
        let (starts, ends) = (instants(window.column(0))?, instants(window.column(1))?);
        let mut order: Vec<(u32, i64, i64, u64)> = groups
            .into_iter()
            .enumerate()
            .map(|(i, group)| (group, starts.value(i), ends.value(i), i as u64))
            .collect();
        order.sort_unstable();
        let mut sessions: Vec<(i64, i64)> = Vec::with_capacity(order.len());
        for part in order.chunk_by(|a, b| a.0 == b.0) {
            let first = sessions.len();
            for (_, start, end, _) in part {
                let (start, end) = (*start, *end);
                match sessions[first..].last() {
                    // Windows that touch are one.
                    Some((begun, until)) if start <= *until => sessions.push((*begun, end.max(*until))),
                    _ => sessions.push((start, end)),
                }
            }
            // What a session lasts to is known by its last row.
            let mut until: Option<(i64, i64)> = None;
            for session in sessions[first..].iter_mut().rev() {
                *session = *until.insert(until.filter(|u| u.0 == session.0).unwrap_or(*session));
            }
        }
        let indices = UInt64Array::from_iter_values(order.iter().map(|(.., i)| *i));
        let rows = take_record_batch(rows, &indices).map_err(internal)?;
        let bound = |i: usize, values: Vec<i64>| -> ArrayRef {
            let field: &Field = &self.bounds[i];
            let column: PrimitiveArray<TimestampMicrosecondType> = TimestampMicrosecondArray::from(values);
            Arc::new(column.with_data_type(field.data_type().clone()))
        };
        let (starts, ends) = sessions.into_iter().unzip();
        let window = StructArray::try_new(self.bounds.clone(), vec![bound(0, starts), bound(1, ends)], None);
        let mut columns = rows.columns().to_vec();
        columns[self.session] = Arc::new(window.map_err(internal)?);
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(internal)
    }
}

/// A number of each row, the same for equal keys.
fn groups(keys: &[ArrayRef]) -> Result<Vec<u32>> {
    let fields = keys.iter().map(|k| SortField::new(k.data_type().clone())).collect();
    let keys = RowConverter::new(fields).and_then(|c| c.convert_columns(keys)).map_err(internal)?;
    let hasher = RandomState::default();
    // The first row of each key, and the number of the key.
    let mut known: HashTable<(usize, u32)> = HashTable::new();
    let mut numbers = Vec::with_capacity(keys.num_rows());
    for (row, key) in keys.iter().enumerate() {
        let next = known.len() as u32;
        let number = *known
            .entry(
                hasher.hash_one(key.data()),
                |(first, _)| keys.row(*first) == key,
                |(first, _)| hasher.hash_one(keys.row(*first).data()),
            )
            .or_insert((row, next))
            .get();
        numbers.push(number.1);
    }
    Ok(numbers)
}

fn instants(column: &ArrayRef) -> Result<&TimestampMicrosecondArray> {
    column.as_primitive_opt().ok_or_else(|| Error::internal("a session has times"))
}

fn internal(e: arrow::error::ArrowError) -> Error {
    Error::internal(format!("sessions: {e}"))
}
