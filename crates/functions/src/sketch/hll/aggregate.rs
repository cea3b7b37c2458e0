//! `hll_sketch_agg(value, lgConfigK)` and `hll_union_agg(sketch, allowDifferentLgConfigK)`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, Int64Type};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;

use super::state::Hll;
use super::{different_k, invalid_buffer};
use crate::aggregate::fold::{Fold, column};
use crate::collation::Collator;
use crate::mismatch::whole_number;
use crate::{AggregateCall, Registry, ResolvedAggregate, ShownArg, SparkAggregate};

const DEFAULT_LG_K: u8 = 12;

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["hll_sketch_agg"], sketch_agg);
    r.aggregate(&["hll_union_agg"], union_agg);
}

fn sketch_agg(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=2)?;
    let value = &call.args[0].data_type;
    if !matches!(value, DataType::Integer | DataType::Long | DataType::Binary | DataType::Null)
        && !value.is_string()
    {
        return Err(call.unexpected_input(0, "(\"INT\" or \"BIGINT\" or \"STRING\" or \"BINARY\")"));
    }
    let lg_k = match call.args.get(1) {
        None => i64::from(DEFAULT_LG_K),
        Some(arg) if !matches!(arg.data_type, DataType::Integer | DataType::Null) => {
            return Err(call.unexpected_input(1, "\"INT\""));
        }
        Some(arg) => whole_number(arg).ok_or_else(must_be_constant)?.unwrap_or(0),
    };
    if !(4..=21).contains(&lg_k) {
        return Err(Error::new("HLL_INVALID_LG_K")
            .param("function", "`hll_sketch_agg`")
            .param("min", 4)
            .param("max", 21)
            .param("value", lg_k)
            .message(format!("`hll_sketch_agg` takes an `lgConfigK` between 4 and 21, not {lg_k}.")));
    }
    let mut coerced = call.types();
    coerced[0] = match value {
        DataType::Integer | DataType::Long => DataType::Long,
        DataType::Null => DataType::Long,
        other => other.clone(),
    };
    let fold = Values { lg_k: lg_k as u8, collator: crate::collation::collator_of(value)? };
    let empty = ScalarValue::Binary(Some(Hll::new(lg_k as u8).to_bytes()));
    let udf = SparkAggregate::of_fold(call.name, &coerced, &DataType::Binary, false, call.context, fold)
        .with_parameters(lg_k)
        .with_empty(empty);
    Ok(with_default(
        ResolvedAggregate::new(coerced, DataType::Binary, false, udf.build()),
        call.args.len(),
        "12",
    ))
}

fn must_be_constant() -> Error {
    Error::new("HLL_K_MUST_BE_CONSTANT")
        .param("function", "`hll_sketch_agg`")
        .message("The `lgConfigK` of `hll_sketch_agg` must be a constant.")
}

fn with_default(resolved: ResolvedAggregate, args: usize, default: &str) -> ResolvedAggregate {
    match args {
        1 => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Text(default.into())]),
        _ => resolved,
    }
}

fn union_agg(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=2)?;
    if !matches!(call.args[0].data_type, DataType::Binary | DataType::Null) {
        return Err(call.unexpected_input(0, "\"BINARY\""));
    }
    let allow_different = match call.args.get(1) {
        None => false,
        Some(arg) if !matches!(arg.data_type, DataType::Boolean | DataType::Null) => {
            return Err(call.unexpected_input(1, "\"BOOLEAN\""));
        }
        Some(arg) => matches!(arg.constant, Some(ScalarValue::Boolean(Some(true)))),
    };
    let mut coerced = call.types();
    coerced[0] = DataType::Binary;
    let fold = Sketches { allow_different, function: call.name.to_string() };
    let empty = ScalarValue::Binary(Some(Hll::new(DEFAULT_LG_K).to_bytes()));
    let udf = SparkAggregate::of_fold(call.name, &coerced, &DataType::Binary, false, call.context, fold)
        .with_parameters(allow_different)
        .with_empty(empty);
    Ok(with_default(
        ResolvedAggregate::new(coerced, DataType::Binary, false, udf.build()),
        call.args.len(),
        "false",
    ))
}

struct Values {
    lg_k: u8,
    /// Strings that are equal in it count once.
    collator: Option<Arc<Collator>>,
}

impl Fold for Values {
    type State = Hll;
    const ON_HEAP: bool = true;

    fn start(&self) -> Hll {
        Hll::new(self.lg_k)
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Hll],
    ) -> Result<()> {
        let values = column(columns, 0)?;
        if *values.data_type() == ArrowType::Int64 {
            let numbers = values.as_primitive::<Int64Type>();
            rows.filter(|(row, _)| numbers.is_valid(*row))
                .for_each(|(row, group)| states[group].update_long(numbers.value(row)));
            return Ok(());
        }
        let bytes = match (&self.collator, values.data_type()) {
            (Some(collator), ArrowType::Utf8) => crate::collation::keys(values, Some(collator)),
            _ => cast(values, &ArrowType::Binary).spark()?,
        };
        let bytes = bytes.as_binary::<i32>();
        rows.filter(|(row, _)| bytes.is_valid(*row))
            .for_each(|(row, group)| states[group].update_bytes(bytes.value(row)));
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sketch", DataType::Binary)]
    }

    fn save(&self, states: &[Hll]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.finish(states)?])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Hll],
    ) -> Result<()> {
        let saved = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows {
            if saved.is_valid(row) {
                let other = Hll::from_bytes(saved.value(row))
                    .ok_or_else(|| Error::internal("a broken HLL sketch"))?;
                merge_into(&mut states[group], other);
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Hll]) -> Result<ArrayRef> {
        Ok(Arc::new(BinaryArray::from_iter_values(states.iter().map(Hll::to_bytes))))
    }

    fn bytes(&self, state: &Hll) -> usize {
        state.heap_bytes()
    }
}

/// The first part keeps its history.
fn merge_into(state: &mut Hll, other: Hll) {
    if state.is_empty() {
        *state = other;
    } else {
        state.unite(&other);
    }
}

struct Sketches {
    allow_different: bool,
    function: String,
}

impl Fold for Sketches {
    type State = Option<Hll>;
    const ON_HEAP: bool = true;

    fn start(&self) -> Option<Hll> {
        None
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Option<Hll>],
    ) -> Result<()> {
        let sketches = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows {
            if !sketches.is_valid(row) {
                continue;
            }
            let other = Hll::from_bytes(sketches.value(row)).ok_or_else(|| invalid_buffer(&self.function))?;
            match &mut states[group] {
                None => states[group] = Some(other),
                Some(state) => {
                    if state.lg_k != other.lg_k && !self.allow_different {
                        return Err(different_k(state.lg_k, other.lg_k, &self.function));
                    }
                    merge_into(state, other);
                }
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sketch", DataType::Binary)]
    }

    fn save(&self, states: &[Option<Hll>]) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(states.iter().map(|s| s.as_ref().map(Hll::to_bytes)).collect::<BinaryArray>())])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Option<Hll>],
    ) -> Result<()> {
        self.update(columns, rows, states)
    }

    fn finish(&self, states: &[Option<Hll>]) -> Result<ArrayRef> {
        let bytes =
            |s: &Option<Hll>| s.as_ref().map_or_else(|| Hll::new(DEFAULT_LG_K).to_bytes(), Hll::to_bytes);
        Ok(Arc::new(BinaryArray::from_iter_values(states.iter().map(bytes))))
    }

    fn bytes(&self, state: &Option<Hll>) -> usize {
        state.as_ref().map_or(0, Hll::heap_bytes)
    }
}
