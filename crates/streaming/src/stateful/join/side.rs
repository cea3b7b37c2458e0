//! One side of a join of two streams.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, SchemaRef};
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Projection, lit};

use super::condition::{BoundTime, Condition};
use crate::stateful::aggregate::drop_late;
use crate::stateful::deduplicate::loose;
use crate::stateful::run::Batches;
use crate::stateful::store::{Layout, StateStore, instants};
use crate::stateful::{Operator, Times};

/// The new rows of a side, as they are remembered: a number, the columns of the input, the keys that are no columns, and
/// whether the row met one.
pub(super) struct Side {
    pub schema: DFSchemaRef,
    /// The places of the keys among what is remembered.
    keys: Vec<usize>,
    /// The place of the time by which rows are forgotten, and how far it is behind the watermark.
    time: Option<(usize, i64)>,
    pub new: Vec<RecordBatch>,
    /// The columns of the input of rows that can meet none, whatever comes.
    pub missed: Vec<RecordBatch>,
    pub dropped: usize,
}

impl Side {
    /// Reads the new rows of the left (0) or of the right (1), and opens the store.
    pub async fn read(
        batches: &Batches,
        operator: &mut Operator,
        side: usize,
        condition: &Condition,
        input: LogicalPlan,
        times: &Times,
    ) -> Result<Self> {
        let schema = Arc::clone(input.schema());
        let width = schema.fields().len();
        let event_time = schema.fields().iter().position(|f| times.contains_key(f.name()));
        let bound = condition.bound(side, &schema);
        let mut columns: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
        let mut keys = Vec::new();
        for (i, (left, right)) in condition.keys.iter().enumerate() {
            let key = if side == 0 { left } else { right };
            let zero = match key.get_type(&schema).spark()? {
                DataType::Float64 => Some(lit(0f64)),
                DataType::Float32 => Some(lit(0f32)),
                _ => None,
            };
            let place = match key {
                Expr::Column(c) if zero.is_none() => schema.index_of_column(c).spark()?,
                computed => {
                    // Keys are found by their bytes, and 0.0 equals -0.0.
                    let key = match zero {
                        Some(zero) => computed.clone() + zero,
                        None => computed.clone(),
                    };
                    columns.push(key.alias(format!("key {i}")));
                    columns.len() - 1
                }
            };
            // The number comes before all of them.
            keys.push(place + 1);
        }
        // Whether a row can meet any, where there is something that it must fulfil by itself.
        let can_meet = condition.alone[side].iter().cloned().reduce(Expr::and);
        let has_condition = can_meet.is_some();
        columns.extend(can_meet.map(|c| c.alias("can meet")));
        let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input)).spark()?);
        let mut rows = batches.collect(batches.physical(&plan).await?).await?;
        let mut dropped = 0;
        if let Some(column) = event_time {
            dropped = drop_late(&mut rows, column, batches.marks.late_us)?;
        }
        rows.retain(|batch| batch.num_rows() > 0);
        let mut missed = Vec::new();
        if has_condition {
            for batch in &mut rows {
                let (able, unable) = apart(batch)?;
                missed.push(unable.project(&(0..width).collect::<Vec<_>>()).map_err(internal)?);
                *batch = able;
            }
        }
        let read: SchemaRef = loose(&Arc::new(plan.schema().as_arrow().clone()));
        let kept = read.fields().len() - usize::from(has_condition);

        let number: FieldRef = Arc::new(Field::new("number", DataType::Int64, false));
        let mut values: Vec<FieldRef> = read.fields()[..kept].to_vec();
        values.push(Arc::new(Field::new("met", DataType::Boolean, true)));
        let time = bound.map(|bound| match bound.time {
            BoundTime::Key(i) => (keys[i], bound.behind_us),
            BoundTime::Column(i) => (i + 1, bound.behind_us),
        });
        let layout = Layout {
            keys: vec![number],
            values,
            time: time.map(|(place, _)| place),
            index: Some(keys.clone()),
            ..Layout::default()
        };
        let name = if side == 0 { "left" } else { "right" };
        let stored = loose(&operator.named_store(side, name, layout).await?.schema());

        // Numbers of a batch begin anew when it runs again, upon the state before it.
        let mut next = batches.batch_id << 32;
        let mut new = Vec::with_capacity(rows.len());
        for batch in rows {
            let count = batch.num_rows();
            let numbers = next..next + i64::try_from(count).unwrap_or(i64::MAX);
            next = numbers.end;
            let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(numbers))];
            columns.extend(batch.columns()[..kept].iter().cloned());
            columns.push(Arc::new(BooleanArray::from(vec![false; count])));
            new.push(RecordBatch::try_new(Arc::clone(&stored), columns).map_err(internal)?);
        }
        Ok(Self { schema, keys, time, new, missed, dropped })
    }

    /// The new rows that are remembered of the side whose rows meet the other's last: those that can meet ones of later batches,
    /// and those that come out alone.
    pub fn lasting(&self, batches: &Batches, come_out_alone: bool) -> Result<Vec<RecordBatch>> {
        let Some((place, behind_us)) = self.time else { return Ok(self.new.clone()) };
        let over_us = batches.marks.now_us.saturating_sub(behind_us);
        let lasting = |rows: &RecordBatch| {
            let times = instants(rows.column(place)).unwrap_or_default();
            let met = rows.column(rows.num_columns() - 1).as_boolean();
            let lasts = times
                .into_iter()
                .enumerate()
                .map(|(i, t)| Some(t.is_none_or(|t| t > over_us) || (come_out_alone && !met.value(i))));
            filter_record_batch(rows, &lasts.collect::<BooleanArray>()).map_err(internal)
        };
        self.new.iter().map(lasting).collect()
    }

    /// What the other side remembers that has the keys of the new rows.
    pub fn partners(&self, other: &StateStore) -> Result<Vec<RecordBatch>> {
        if self.new.is_empty() || other.len() == 0 {
            return Ok(Vec::new());
        }
        let keys = self.keys.iter().map(|place| {
            let parts: Vec<&dyn Array> = self.new.iter().map(|rows| rows.column(*place).as_ref()).collect();
            arrow::compute::concat(&parts).map_err(internal)
        });
        other.matching(&keys.collect::<Result<Vec<_>>>()?)
    }

    /// The columns of the input of remembered rows.
    pub fn columns(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        rows.columns()[1..=self.schema.fields().len()].to_vec()
    }

    /// Notes which of the new rows met one.
    pub fn met(&mut self, numbers: &HashSet<i64>) -> Result<()> {
        for rows in &mut self.new {
            let met = numbers_of(rows, 0).iter().map(|n| Some(numbers.contains(n))).collect();
            *rows = with_met(rows, met)?;
        }
        Ok(())
    }

    /// Forgets the rows that can meet no more; how many there were.
    pub fn forget(&self, store: &mut StateStore, batches: &Batches) -> Result<usize> {
        match self.time {
            Some((_, behind_us)) => store.forget_over(batches.marks.now_us.saturating_sub(behind_us)),
            None => Ok(0),
        }
    }

    /// The same, and gives them.
    pub fn give_up(&self, store: &mut StateStore, batches: &Batches) -> Result<Vec<RecordBatch>> {
        match self.time {
            Some((_, behind_us)) => store.expire(batches.marks.now_us.saturating_sub(behind_us)),
            None => Ok(Vec::new()),
        }
    }
}

/// The rows of which the last column is true, and the others.
fn apart(rows: &RecordBatch) -> Result<(RecordBatch, RecordBatch)> {
    let can_meet = rows.column(rows.num_columns() - 1).as_boolean();
    let can_meet: BooleanArray = can_meet.iter().map(|b| Some(b == Some(true))).collect();
    let able = filter_record_batch(rows, &can_meet).map_err(internal)?;
    let cannot = arrow::compute::not(&can_meet).map_err(internal)?;
    Ok((able, filter_record_batch(rows, &cannot).map_err(internal)?))
}

/// How many rows there are.
pub(super) fn count(rows: &[RecordBatch]) -> usize {
    rows.iter().map(RecordBatch::num_rows).sum()
}

/// The numbers of rows, which a column has.
pub(super) fn numbers_of(rows: &RecordBatch, column: usize) -> &[i64] {
    rows.column(column).as_primitive::<Int64Type>().values()
}

/// The remembered rows that met none.
pub(super) fn unmet(rows: &RecordBatch) -> Result<RecordBatch> {
    let met = rows.column(rows.num_columns() - 1).as_boolean();
    filter_record_batch(rows, &arrow::compute::not(met).map_err(internal)?).map_err(internal)
}

/// The rows with some numbers.
pub(super) fn numbered(rows: &RecordBatch, numbers: &HashSet<i64>) -> Result<RecordBatch> {
    let is_one: BooleanArray = numbers_of(rows, 0).iter().map(|n| Some(numbers.contains(n))).collect();
    filter_record_batch(rows, &is_one).map_err(internal)
}

/// The rows as ones that met one.
pub(super) fn as_met(rows: &RecordBatch) -> Result<RecordBatch> {
    with_met(rows, BooleanArray::from(vec![true; rows.num_rows()]))
}

/// The rows with other words on whether they met one, which is the last column.
fn with_met(rows: &RecordBatch, met: BooleanArray) -> Result<RecordBatch> {
    let mut columns = rows.columns().to_vec();
    columns.pop();
    columns.push(Arc::new(met));
    RecordBatch::try_new(rows.schema(), columns).map_err(internal)
}

pub(super) fn internal(e: arrow::error::ArrowError) -> Error {
    Error::internal(format!("a join of streams: {e}"))
}
