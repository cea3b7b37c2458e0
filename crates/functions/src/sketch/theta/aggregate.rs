//! `theta_sketch_agg(value, lgNomEntries)`, `theta_union_agg(sketch, lgNomEntries)`, `theta_intersection_agg(sketch)`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, Float64Type, Int64Type};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;

use super::state::Theta;
use super::{DEFAULT_LG_NOMINAL, invalid_buffer, nominal_size};
use crate::aggregate::fold::{Fold, column};
use crate::collation::{Collator, collator_of};
use crate::mismatch::whole_number;
use crate::{AggregateCall, Call, Registry, ResolvedAggregate, ShownArg, SparkAggregate};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["theta_sketch_agg"], sketch_agg);
    r.aggregate(&["theta_union_agg"], |c| combine(c, Combination::Union));
    r.aggregate(&["theta_intersection_agg"], |c| combine(c, Combination::Intersection));
}

/// The constant `lgNomEntries`.
fn lg_nominal(call: &Call) -> Result<u8> {
    let value = match call.args.get(1) {
        None => DEFAULT_LG_NOMINAL,
        Some(arg) if !matches!(arg.data_type, DataType::Integer | DataType::Null) => {
            return Err(call.unexpected_input(1, "\"INT\""));
        }
        Some(arg) => whole_number(arg)
            .ok_or_else(|| {
                Error::new("THETA_LG_NOM_ENTRIES_MUST_BE_CONSTANT")
                    .param("function", format!("`{}`", call.name))
                    .message(format!("The `lgNomEntries` of `{}` must be a constant.", call.name))
            })?
            .unwrap_or(0),
    };
    nominal_size(value, call.name)
}

fn sketch_agg(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=2)?;
    let value = &call.args[0].data_type;
    let to = match value {
        DataType::Integer | DataType::Long | DataType::Null => DataType::Long,
        DataType::Float | DataType::Double => DataType::Double,
        DataType::Binary => DataType::Binary,
        DataType::String { .. } => value.clone(),
        DataType::Array { element, .. } if matches!(**element, DataType::Integer | DataType::Long) => {
            value.clone()
        }
        _ => {
            return Err(call.unexpected_input(
                0,
                "(\"ARRAY<INT>\" or \"ARRAY<BIGINT>\" or \"BINARY\" or \"DOUBLE\" or \"FLOAT\" or \"INT\" or \"BIGINT\" or \"STRING\")",
            ));
        }
    };
    let fold = Values { lg: lg_nominal(call)?, collator: collator_of(value)? };
    let lg = fold.lg;
    let mut coerced = call.types();
    coerced[0] = to;
    let udf = SparkAggregate::of_fold(call.name, &coerced, &DataType::Binary, false, call.context, fold)
        .with_parameters(lg)
        .with_empty(ScalarValue::Binary(Some(Theta::new(lg).to_bytes())));
    Ok(with_default(ResolvedAggregate::new(coerced, DataType::Binary, false, udf.build()), call.args.len()))
}

fn with_default(resolved: ResolvedAggregate, args: usize) -> ResolvedAggregate {
    match args {
        1 => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Text(DEFAULT_LG_NOMINAL.to_string())]),
        _ => resolved,
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Combination {
    Union,
    Intersection,
}

fn combine(c: &AggregateCall, how: Combination) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(if how == Combination::Union { 1..=2 } else { 1..=1 })?;
    if !matches!(call.args[0].data_type, DataType::Binary | DataType::Null) {
        return Err(call.unexpected_input(0, "\"BINARY\""));
    }
    let lg = lg_nominal(call)?;
    let mut coerced = call.types();
    coerced[0] = DataType::Binary;
    let fold = Sketches { lg, how, function: call.name.to_string() };
    let udf = SparkAggregate::of_fold(call.name, &coerced, &DataType::Binary, false, call.context, fold)
        .with_parameters((lg, how))
        .with_empty(ScalarValue::Binary(Some(Theta::new(lg).to_bytes())));
    let resolved = ResolvedAggregate::new(coerced, DataType::Binary, false, udf.build());
    Ok(if how == Combination::Union { with_default(resolved, call.args.len()) } else { resolved })
}

struct Values {
    lg: u8,
    /// Strings that are equal in it count once.
    collator: Option<Arc<Collator>>,
}

/// The little-endian bytes of an array of numbers.
pub(in crate::sketch) fn list_bytes(values: &ArrayRef) -> Result<Vec<u8>> {
    let numbers = cast(values, &ArrowType::Int64).spark()?;
    let numbers = numbers.as_primitive::<Int64Type>();
    Ok(match values.data_type() {
        ArrowType::Int32 => numbers.values().iter().flat_map(|n| (*n as i32).to_le_bytes()).collect(),
        _ => numbers.values().iter().flat_map(|n| n.to_le_bytes()).collect(),
    })
}

impl Fold for Values {
    type State = Theta;
    const ON_HEAP: bool = true;

    fn start(&self) -> Theta {
        Theta::new(self.lg)
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Theta],
    ) -> Result<()> {
        let values = column(columns, 0)?;
        let rows = rows.filter(|(row, _)| values.is_valid(*row));
        match values.data_type() {
            ArrowType::Int64 => {
                let numbers = values.as_primitive::<Int64Type>();
                rows.for_each(|(row, group)| states[group].update_long(numbers.value(row)));
            }
            ArrowType::Float64 => {
                let numbers = values.as_primitive::<Float64Type>();
                rows.for_each(|(row, group)| states[group].update_double(numbers.value(row)));
            }
            ArrowType::List(_) => {
                let lists = values.as_list::<i32>();
                for (row, group) in rows {
                    states[group].update_bytes(&list_bytes(&lists.value(row))?);
                }
            }
            _ => {
                let bytes = match (&self.collator, values.data_type()) {
                    (Some(collator), ArrowType::Utf8) => crate::collation::keys(values, Some(collator)),
                    _ => cast(values, &ArrowType::Binary).spark()?,
                };
                let bytes = bytes.as_binary::<i32>();
                rows.for_each(|(row, group)| states[group].update_bytes(bytes.value(row)));
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sketch", DataType::Binary)]
    }

    fn save(&self, states: &[Theta]) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(BinaryArray::from_iter_values(states.iter().map(Theta::to_bytes)))])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Theta],
    ) -> Result<()> {
        let saved = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows {
            if saved.is_valid(row) {
                let other = Theta::from_bytes(saved.value(row))
                    .ok_or_else(|| Error::internal("a broken theta sketch"))?;
                states[group].unite(&other);
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Theta]) -> Result<ArrayRef> {
        let finished = states.iter().map(|s| {
            let mut s = s.clone();
            s.shrink();
            s.to_bytes()
        });
        Ok(Arc::new(BinaryArray::from_iter_values(finished)))
    }

    fn bytes(&self, state: &Theta) -> usize {
        state.hashes.len() * 16
    }
}

struct Sketches {
    lg: u8,
    how: Combination,
    function: String,
}

impl Sketches {
    fn add(&self, state: &mut Option<Theta>, mut other: Theta) {
        other.lg_nominal = self.lg;
        match (state.as_mut(), self.how) {
            (None, Combination::Union) => {
                let mut whole = Theta::new(self.lg);
                whole.unite(&other);
                *state = Some(whole);
            }
            (None, Combination::Intersection) => *state = Some(other),
            (Some(s), Combination::Union) => s.unite(&other),
            (Some(s), Combination::Intersection) => s.intersect(&other),
        }
    }
}

impl Fold for Sketches {
    type State = Option<Theta>;
    const ON_HEAP: bool = true;

    fn start(&self) -> Option<Theta> {
        None
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Option<Theta>],
    ) -> Result<()> {
        let sketches = column(columns, 0)?.as_binary::<i32>();
        for (row, group) in rows {
            if sketches.is_valid(row) {
                let other =
                    Theta::from_bytes(sketches.value(row)).ok_or_else(|| invalid_buffer(&self.function))?;
                self.add(&mut states[group], other);
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("sketch", DataType::Binary)]
    }

    fn save(&self, states: &[Option<Theta>]) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(states.iter().map(|s| s.as_ref().map(Theta::to_bytes)).collect::<BinaryArray>())])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Option<Theta>],
    ) -> Result<()> {
        self.update(columns, rows, states)
    }

    fn finish(&self, states: &[Option<Theta>]) -> Result<ArrayRef> {
        let finished = states.iter().map(|s| {
            let mut s = s.clone().unwrap_or_else(|| Theta::new(self.lg));
            s.shrink();
            s.to_bytes()
        });
        Ok(Arc::new(BinaryArray::from_iter_values(finished)))
    }

    fn bytes(&self, state: &Option<Theta>) -> usize {
        state.as_ref().map_or(0, |s| s.hashes.len() * 16)
    }
}
