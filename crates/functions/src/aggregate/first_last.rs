//! `first` (`first_value`), `last` (`last_value`), `any_value`.

use boathouse_bridge::arrow_type;
use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};

use super::fold::{Fold, array_of, booleans, column, scalar};
use super::in_order::{Needs, Rows};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::{Registry, ShownArg};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["first", "first_value", "any_value"], |c| resolve(c, false));
    r.aggregate(&["last", "last_value"], |c| resolve(c, true));
}

fn resolve(c: &AggregateCall, last: bool) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=2)?;
    let ignore_nulls = c.ignore_nulls.unwrap_or(false) || flag(c)?;
    let t = call.args[0].data_type.clone();
    let fold = OneOf { t: t.clone(), last, ignore_nulls };
    // The flag is an argument of the plan all the same.
    let coerced = call.types();
    let udf = SparkAggregate::of_fold(call.name, &coerced, &t, true, call.context, fold)
        .with_parameters((last, ignore_nulls))
        .with_needs(Needs { rows: if last { Rows::Last } else { Rows::First }, skips_nulls: ignore_nulls })
        .build();
    let mut resolved = ResolvedAggregate::new(coerced, t, true, udf).shown_with(vec![ShownArg::Arg(0)]);
    if let (Some(_), "first_value" | "last_value") = (c.ignore_nulls, call.name) {
        // `first_value(x) IGNORE NULLS` is shown by its older name, and so is `RESPECT NULLS`.
        resolved = resolved.shown_as(if last { "last" } else { "first" });
    }
    Ok(resolved)
}

/// The second argument, `isIgnoreNull`: a boolean constant.
fn flag(c: &AggregateCall) -> Result<bool> {
    match c.call.args.get(1) {
        None => Ok(false),
        Some(arg) => match (&arg.data_type, &arg.constant) {
            (DataType::Boolean, Some(ScalarValue::Boolean(Some(value)))) => Ok(*value),
            _ => Err(Error::new("_LEGACY_ERROR_TEMP_1210")
                .param("funcName", c.call.name)
                .message(format!("The second argument in {} should be a boolean literal.", c.call.name))),
        },
    }
}

struct OneOf {
    t: DataType,
    last: bool,
    ignore_nulls: bool,
}

impl OneOf {
    /// The row of each group to take from a batch.
    fn take(
        &self,
        values: &ArrayRef,
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Option<ScalarValue>],
    ) -> Result<()> {
        let nulls = if self.ignore_nulls { values.logical_nulls() } else { None };
        let valid = |row: usize| nulls.as_ref().is_none_or(|n| n.is_valid(row));
        if !self.last {
            for (row, group) in rows {
                if states[group].is_none() && valid(row) {
                    states[group] = Some(scalar(values, row)?);
                }
            }
            return Ok(());
        }
        if let [state] = states {
            if let Some((row, _)) = rows.filter(|(row, _)| valid(*row)).last() {
                *state = Some(scalar(values, row)?);
            }
            return Ok(());
        }
        let mut latest = vec![usize::MAX; states.len()];
        for (row, group) in rows {
            if valid(row) {
                latest[group] = row;
            }
        }
        for (group, row) in latest.into_iter().enumerate() {
            if row != usize::MAX {
                states[group] = Some(scalar(values, row)?);
            }
        }
        Ok(())
    }
}

impl Fold for OneOf {
    type State = Option<ScalarValue>;
    const ON_HEAP: bool = true;

    fn start(&self) -> Self::State {
        None
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        self.take(column(columns, 0)?, rows, states)
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("value", self.t.clone()), ("set", DataType::Boolean)]
    }

    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>> {
        let set: BooleanArray = states.iter().map(|s| Some(s.is_some())).collect();
        Ok(vec![self.finish(states)?, Arc::new(set)])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        let set = booleans(columns, 1)?;
        self.take(column(columns, 0)?, rows.filter(|(row, _)| set.value(*row)), states)
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef> {
        let t = arrow_type(&self.t);
        let none = ScalarValue::try_from(&t).map_err(boathouse_bridge::from_datafusion)?;
        array_of(states.iter().map(|s| s.clone().unwrap_or_else(|| none.clone())), &t)
    }

    fn bytes(&self, state: &Self::State) -> usize {
        state.as_ref().map_or(0, ScalarValue::size)
    }
}
