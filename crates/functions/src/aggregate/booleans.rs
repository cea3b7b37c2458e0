//! `bool_and` (`every`), `bool_or` (`some`, `any`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use boathouse_spec::{DataType, Result};

use super::fold::{Fold, booleans};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::{Registry, Want};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["bool_and", "every"], |c| resolve(c, false));
    r.aggregate(&["bool_or", "some", "any"], |c| resolve(c, true));
}

fn resolve(c: &AggregateCall, decisive: bool) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::BOOLEAN])?;
    let t = DataType::Boolean;
    let udf = SparkAggregate::of_fold(call.name, &coerced, &t, true, call.context, Any { decisive })
        .with_parameters(decisive);
    Ok(ResolvedAggregate::new(coerced, t, true, udf.build()))
}

/// Whether the decisive value occurs.
struct Any {
    decisive: bool,
}

impl Fold for Any {
    type State = Option<bool>;

    fn start(&self) -> Self::State {
        None
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        let values = booleans(columns, 0)?;
        for (row, group) in rows {
            if values.is_valid(row) && states[group] != Some(self.decisive) {
                states[group] = Some(values.value(row));
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("value", DataType::Boolean)]
    }

    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.finish(states)?])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        self.update(columns, rows, states)
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef> {
        Ok(Arc::new(states.iter().copied().collect::<BooleanArray>()))
    }
}
