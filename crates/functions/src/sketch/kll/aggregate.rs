//! `kll_sketch_agg_*` makes a sketch of values, `kll_merge_agg_*` one of sketches.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;

use super::state::Kll;
use super::{Item, invalid_buffer, items};
use crate::aggregate::fold::{Fold, column};
use crate::mismatch::{unexpected_null, whole_number};
use crate::{AggregateCall, Call, Registry, ResolvedAggregate, SparkAggregate};

const DEFAULT_K: u16 = 200;

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["kll_sketch_agg_bigint"], |c| {
        let integral = [DataType::Byte, DataType::Integer, DataType::Long, DataType::Short];
        sketch::<i64>(c, &integral, "(\"TINYINT\" or \"INT\" or \"BIGINT\" or \"SMALLINT\")")
    });
    r.aggregate(&["kll_sketch_agg_float"], |c| sketch::<f32>(c, &[DataType::Float], "\"FLOAT\""));
    r.aggregate(&["kll_sketch_agg_double"], |c| {
        sketch::<f64>(c, &[DataType::Float, DataType::Double], "(\"FLOAT\" or \"DOUBLE\")")
    });
    r.aggregate(&["kll_merge_agg_bigint"], merge::<i64>);
    r.aggregate(&["kll_merge_agg_float"], merge::<f32>);
    r.aggregate(&["kll_merge_agg_double"], merge::<f64>);
}

fn sketch<T: Item>(c: &AggregateCall, accepted: &[DataType], wanted: &str) -> Result<ResolvedAggregate> {
    c.call.arity(1..=2)?;
    let given = &c.call.args[0].data_type;
    if !accepted.contains(given) && *given != DataType::Null {
        return Err(c.call.unexpected_input(0, wanted));
    }
    let k = parameter_k(&c.call)?;
    resolved(c, T::data_type(), Values::<T> { k: k.unwrap_or(DEFAULT_K), item: PhantomData }, k)
}

fn merge<T: Item>(c: &AggregateCall) -> Result<ResolvedAggregate> {
    c.call.arity(1..=2)?;
    if !matches!(c.call.args[0].data_type, DataType::Binary | DataType::Null) {
        return Err(c.call.unexpected_input(0, "\"BINARY\""));
    }
    let k = parameter_k(&c.call)?;
    let fold = Sketches::<T> { k, function: c.call.name.to_string(), item: PhantomData };
    resolved(c, DataType::Binary, fold, k)
}

fn resolved<F: Fold>(
    c: &AggregateCall,
    argument: DataType,
    fold: F,
    k: Option<u16>,
) -> Result<ResolvedAggregate> {
    let call = &c.call;
    let mut coerced = call.types();
    coerced[0] = argument;
    let empty = ScalarValue::try_from_array(&fold.finish(&[fold.start()])?, 0)
        .map_err(boathouse_bridge::from_datafusion)?;
    let udf = SparkAggregate::of_fold(call.name, &coerced, &DataType::Binary, false, call.context, fold)
        .with_parameters(k)
        .with_empty(empty);
    Ok(ResolvedAggregate::new(coerced, DataType::Binary, false, udf.build()))
}

/// The constant `k`, where it is given.
fn parameter_k(call: &Call) -> Result<Option<u16>> {
    let Some(arg) = call.args.get(1) else { return Ok(None) };
    if !matches!(arg.data_type, DataType::Integer | DataType::Null) {
        return Err(call.unexpected_input(1, "\"INT\""));
    }
    let Some(value) = whole_number(arg) else {
        return Err(Error::new("DATATYPE_MISMATCH.NON_FOLDABLE_INPUT")
            .param("sqlExpr", format!("\"{}\"", call.sql()))
            .param("inputName", "k")
            .param("inputType", "int")
            .param("inputExpr", &arg.sql)
            .message(format!(
                "Cannot resolve \"{}\": k must be a constant int, not {}.",
                call.sql(),
                arg.sql
            )));
    };
    let Some(value) = value else { return Err(unexpected_null(call, "k")) };
    match u16::try_from(value) {
        Ok(k) if k >= 8 => Ok(Some(k)),
        _ => {
            let inner = format!(
                "[KLL_SKETCH_K_OUT_OF_RANGE] For function `{}`, the k parameter must be between 8 and 65535 \
                 (inclusive), but got {value}. SQLSTATE: 22003",
                call.name
            );
            Err(Error::new("DATATYPE_MISMATCH.TYPE_CHECK_FAILURE_WITH_HINT")
                .param("sqlExpr", format!("\"{}\"", call.sql()))
                .param("msg", &inner)
                .param("hint", "")
                .message(format!("Cannot resolve \"{}\": {inner}.", call.sql())))
        }
    }
}

struct Values<T> {
    k: u16,
    item: PhantomData<T>,
}

impl<T: Item> Fold for Values<T> {
    type State = Kll<T>;
    const ON_HEAP: bool = true;

    fn start(&self) -> Kll<T> {
        Kll::new(self.k)
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Kll<T>],
    ) -> Result<()> {
        let item = items::<T>(column(columns, 0)?)?;
        for (row, group) in rows {
            if let Some(value) = item(row) {
                states[group].update(value);
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sketch", DataType::Binary)]
    }

    fn save(&self, states: &[Kll<T>]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.finish(states)?])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Kll<T>],
    ) -> Result<()> {
        let saved = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows {
            if saved.is_valid(row) {
                let other = Kll::from_bytes(saved.value(row))
                    .ok_or_else(|| Error::internal("a broken KLL sketch"))?;
                states[group].merge(&other);
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Kll<T>]) -> Result<ArrayRef> {
        Ok(Arc::new(BinaryArray::from_iter_values(states.iter().map(Kll::to_bytes))))
    }

    fn bytes(&self, state: &Kll<T>) -> usize {
        state.retained() * T::BYTES
    }
}

/// The sketches of a group merge into one; without a `k` it has that of the first.
struct Sketches<T> {
    k: Option<u16>,
    function: String,
    item: PhantomData<T>,
}

impl<T: Item> Fold for Sketches<T> {
    type State = Option<Kll<T>>;
    const ON_HEAP: bool = true;

    fn start(&self) -> Option<Kll<T>> {
        self.k.map(Kll::new)
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Option<Kll<T>>],
    ) -> Result<()> {
        let sketches = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows {
            if sketches.is_valid(row) {
                let other = Kll::<T>::from_bytes(sketches.value(row))
                    .ok_or_else(|| invalid_buffer(&self.function))?;
                states[group].get_or_insert_with(|| Kll::new(other.k)).merge(&other);
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sketch", DataType::Binary)]
    }

    fn save(&self, states: &[Option<Kll<T>>]) -> Result<Vec<ArrayRef>> {
        let bytes = states.iter().map(|s| s.as_ref().map(Kll::to_bytes));
        Ok(vec![Arc::new(bytes.collect::<BinaryArray>())])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Option<Kll<T>>],
    ) -> Result<()> {
        self.update(columns, rows, states)
    }

    fn finish(&self, states: &[Option<Kll<T>>]) -> Result<ArrayRef> {
        let bytes = |s: &Option<Kll<T>>| {
            s.as_ref().map_or_else(|| Kll::<T>::new(DEFAULT_K).to_bytes(), Kll::to_bytes)
        };
        Ok(Arc::new(BinaryArray::from_iter_values(states.iter().map(bytes))))
    }

    fn bytes(&self, state: &Option<Kll<T>>) -> usize {
        state.as_ref().map_or(0, |s| s.retained() * T::BYTES)
    }
}
