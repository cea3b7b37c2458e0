//! `approx_top_k` and `approx_top_k_accumulate`: values counted in a sketch, for their result or for its bytes.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int32Array, StringArray, StructArray, new_null_array};
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result};

use super::item::Kind;
use super::{
    Counted, DEFAULT_K, DEFAULT_TRACKED, number, refused, result_type, shown, state_type, too_few_tracked,
    tracked, type_text,
};
use crate::aggregate::fold::{Fold, column};
use crate::{AggregateCall, Registry, ResolvedAggregate, ShownArg, SparkAggregate};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["approx_top_k"], top_k);
    r.aggregate(&["approx_top_k_accumulate"], accumulate);
}

fn top_k(c: &AggregateCall) -> Result<ResolvedAggregate> {
    c.call.arity(1..=3)?;
    let (k, items) = (number(&c.call, 1, "k", DEFAULT_K)?, tracked(&c.call, 2, DEFAULT_TRACKED)?);
    if k > items {
        return Err(too_few_tracked(items, k));
    }
    let returned = result_type(&c.call.args[0].data_type);
    counting(c, items, returned, Output::Top(k as usize), &[DEFAULT_K, DEFAULT_TRACKED])
}

fn accumulate(c: &AggregateCall) -> Result<ResolvedAggregate> {
    c.call.arity(1..=2)?;
    let items = tracked(&c.call, 1, DEFAULT_TRACKED)?;
    let returned = state_type(&c.call.args[0].data_type);
    counting(c, items, returned, Output::State, &[DEFAULT_TRACKED])
}

fn counting(
    c: &AggregateCall,
    tracked: i64,
    returned: DataType,
    output: Output,
    defaults: &[i64],
) -> Result<ResolvedAggregate> {
    let call = &c.call;
    let t = call.args[0].data_type.clone();
    let kind = Kind::of(&t)
        .ok_or_else(|| refused(call, &format!("{} columns are not supported", t.simple_string())))?;
    let coerced = call.types();
    let fold = Counting { kind, t, tracked, returned: returned.clone(), output };
    let parameters = (tracked, fold.output.clone());
    let udf = SparkAggregate::of_fold(call.name, &coerced, &returned, false, call.context, fold)
        .with_parameters(parameters);
    let default = |(i, value): (usize, &i64)| match i + 1 < call.args.len() {
        true => ShownArg::Arg(i + 1),
        false => ShownArg::Text(value.to_string()),
    };
    let shown = std::iter::once(ShownArg::Arg(0)).chain(defaults.iter().enumerate().map(default));
    Ok(ResolvedAggregate::new(coerced, returned, false, udf.build()).shown_with(shown.collect()))
}

/// What a sketch is made for.
#[derive(Debug, Clone)]
enum Output {
    Top(usize),
    State,
}

struct Counting {
    kind: Kind,
    t: DataType,
    tracked: i64,
    returned: DataType,
    output: Output,
}

#[derive(Clone)]
pub(super) struct State {
    counted: Counted,
    /// Whether it was merged already, as Spark merges every sketch into an empty one at the end.
    is_merged: bool,
}

impl Counting {
    fn merged(&self, state: &State) -> Counted {
        if state.is_merged {
            return state.counted.clone();
        }
        let mut merged = Counted::tracking(self.tracked);
        merged.merge(&state.counted);
        merged
    }
}

impl Fold for Counting {
    type State = State;
    const ON_HEAP: bool = true;

    fn start(&self) -> State {
        State { counted: Counted::tracking(self.tracked), is_merged: false }
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [State],
    ) -> Result<()> {
        let items = self.kind.items(column(columns, 0)?)?;
        for (row, group) in rows {
            match &items[row] {
                Some(item) => states[group].counted.sketch.add(item, 1),
                None => states[group].counted.nulls += 1,
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sketch", DataType::Binary)]
    }

    fn save(&self, states: &[State]) -> Result<Vec<ArrayRef>> {
        let bytes = states.iter().map(|s| s.counted.to_bytes(&self.kind));
        Ok(vec![Arc::new(BinaryArray::from_iter_values(bytes))])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [State],
    ) -> Result<()> {
        let saved = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows {
            states[group].counted.merge(&Counted::from_bytes(saved.value(row), &self.kind)?);
            states[group].is_merged = true;
        }
        Ok(())
    }

    fn finish(&self, states: &[State]) -> Result<ArrayRef> {
        let merged: Vec<Counted> = states.iter().map(|s| self.merged(s)).collect();
        match self.output {
            Output::Top(k) => {
                let tops: Vec<_> = merged.iter().map(|m| Some(m.top(k))).collect();
                shown(&tops, &self.kind, &self.returned)
            }
            Output::State => {
                let sketches = merged.iter().map(|m| m.to_bytes(&self.kind));
                let ddl = type_text(&self.t);
                states_array(
                    &self.returned,
                    sketches.collect(),
                    vec![self.tracked as i32; merged.len()],
                    vec![ddl; merged.len()],
                )
            }
        }
    }

    fn bytes(&self, state: &State) -> usize {
        state.counted.sketch.bytes_in_memory()
    }
}

/// Sketches as they go from query to query.
pub(super) fn states_array(
    t: &DataType,
    sketches: Vec<Vec<u8>>,
    tracked: Vec<i32>,
    ddl: Vec<String>,
) -> Result<ArrayRef> {
    let ArrowType::Struct(fields) = arrow_type(t) else {
        return Err(Error::internal("a state is a struct"));
    };
    let rows = sketches.len();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BinaryArray::from_iter_values(sketches)),
        Arc::new(Int32Array::from(tracked)),
        new_null_array(fields[2].data_type(), rows),
        Arc::new(StringArray::from(ddl)),
    ];
    Ok(Arc::new(StructArray::try_new(fields, columns, None).spark()?))
}
