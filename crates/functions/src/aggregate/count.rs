//! `count`, `count_if`. (`count(*)` is `count(1)`.)

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Int64Type;
use boathouse_spec::{DataType, Error, Result};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::scalar::ScalarValue;

use super::fold::{Fold, booleans, primitive};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::comparison::has_floats;
use crate::{Registry, Want};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["count"], count);
    r.aggregate(&["count_if"], count_if);
}

fn count(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    if call.args.is_empty() {
        return Err(Error::new("WRONG_NUM_ARGS.WITH_SUGGESTION")
            .param("functionName", "`count`")
            .param("expectedNum", " >= 1")
            .param("actualNum", "0")
            .param("legacyNum", "0")
            .param("legacyConfKey", "\"spark.sql.legacy.allowParameterlessCount\"")
            .param("legacyConfValue", "\"true\"")
            .message("The function `count` takes at least one argument: `count(*)` counts rows."));
    }
    let types = call.types();
    let udf = match types.as_slice() {
        // DataFusion's own counts one column exactly so, and answers from statistics where it can.
        [t] if !c.distinct || counts_distinct(t) => count_udaf(),
        _ => SparkAggregate::of_fold("count", &types, &DataType::Long, false, call.context, Count)
            .with_empty(ScalarValue::Int64(Some(0)))
            .build(),
    };
    Ok(ResolvedAggregate::new(types, DataType::Long, false, udf))
}

/// The rows in which both columns have a value.
pub(super) fn regr_count(c: &AggregateCall) -> Result<ResolvedAggregate> {
    c.call.arity(2..=2)?;
    let types = c.call.want(&[Want::Numeric])?;
    let udf = SparkAggregate::of_fold("regr_count", &types, &DataType::Long, false, c.call.context, Count)
        .with_empty(ScalarValue::Int64(Some(0)));
    Ok(ResolvedAggregate::new(types, DataType::Long, false, udf.build()))
}

/// Whether DataFusion tells the type's values apart as Spark does.
fn counts_distinct(t: &DataType) -> bool {
    t.is_atomic() && *t != DataType::Variant && !has_floats(&boathouse_bridge::arrow_type(t))
}

/// Rows without any NULL among the columns.
struct Count;

impl Fold for Count {
    type State = i64;
    const RETRACTS: bool = true;

    fn start(&self) -> i64 {
        0
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [i64],
    ) -> Result<()> {
        match complete_rows(columns) {
            None => rows.for_each(|(_, group)| states[group] += 1),
            Some(valid) => rows.for_each(|(row, group)| states[group] += i64::from(valid.is_valid(row))),
        }
        Ok(())
    }

    fn retract(&self, columns: &[ArrayRef], state: &mut i64) -> Result<()> {
        let rows = columns.first().map_or(0, |c| c.len());
        *state -= (rows - complete_rows(columns).map_or(0, |n| n.null_count())) as i64;
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("count", DataType::Long)]
    }

    fn save(&self, states: &[i64]) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(Int64Array::from(states.to_vec()))])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [i64],
    ) -> Result<()> {
        add_counts(columns, rows, states)
    }

    fn finish(&self, states: &[i64]) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(states.to_vec())))
    }
}

fn complete_rows(columns: &[ArrayRef]) -> Option<NullBuffer> {
    columns.iter().fold(None, |all, c| NullBuffer::union(all.as_ref(), c.logical_nulls().as_ref()))
}

fn add_counts(
    columns: &[ArrayRef],
    rows: impl Iterator<Item = (usize, usize)>,
    states: &mut [i64],
) -> Result<()> {
    let counts = primitive::<Int64Type>(columns, 0)?;
    rows.for_each(|(row, group)| states[group] += counts.value(row));
    Ok(())
}

fn count_if(c: &AggregateCall) -> Result<ResolvedAggregate> {
    c.call.arity(1..=1)?;
    let coerced = c.call.want(&[Want::BOOLEAN])?;
    let udf = SparkAggregate::of_fold("count_if", &coerced, &DataType::Long, false, c.call.context, CountIf)
        .with_empty(ScalarValue::Int64(Some(0)));
    Ok(ResolvedAggregate::new(coerced, DataType::Long, false, udf.build()))
}

/// Rows whose column is true.
struct CountIf;

impl Fold for CountIf {
    type State = i64;
    const RETRACTS: bool = true;

    fn start(&self) -> i64 {
        0
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [i64],
    ) -> Result<()> {
        let values = booleans(columns, 0)?;
        rows.for_each(|(row, group)| states[group] += i64::from(values.is_valid(row) && values.value(row)));
        Ok(())
    }

    fn retract(&self, columns: &[ArrayRef], state: &mut i64) -> Result<()> {
        *state -= booleans(columns, 0)?.true_count() as i64;
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("count", DataType::Long)]
    }

    fn save(&self, states: &[i64]) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(Int64Array::from(states.to_vec()))])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [i64],
    ) -> Result<()> {
        add_counts(columns, rows, states)
    }

    fn finish(&self, states: &[i64]) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(states.to_vec())))
    }
}
