//! `bit_and`, `bit_or`, `bit_xor`, and `product`.

use std::ops::{BitAnd, BitOr, BitXor};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::{Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use boathouse_spec::{DataType, Result};

use super::fold::{Fold, primitive};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::{Registry, Want};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["bit_and"], |c| resolve(c, Bits::And));
    r.aggregate(&["bit_or"], |c| resolve(c, Bits::Or));
    r.aggregate(&["bit_xor"], |c| resolve(c, Bits::Xor));
    r.aggregate(&["product"], |c| {
        c.call.arity(1..=1)?;
        let coerced = c.call.want(&[Want::DOUBLE])?;
        let t = DataType::Double;
        let fold = Reduce::<Float64Type> { t: t.clone(), reduce: |a, b| a * b };
        let udf = SparkAggregate::of_fold("product", &coerced, &t, true, c.call.context, fold);
        Ok(ResolvedAggregate::new(coerced, t, true, udf.build()))
    });
}

#[derive(Clone, Copy)]
enum Bits {
    And,
    Or,
    Xor,
}

fn resolve(c: &AggregateCall, bits: Bits) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=1)?;
    let t = match &call.args[0].data_type {
        DataType::Null => DataType::Integer,
        t if t.is_integral() => t.clone(),
        _ => return Err(call.unexpected_input(0, "\"INTEGRAL\"")),
    };
    fn udf<T>(c: &AggregateCall, t: &DataType, bits: Bits) -> SparkAggregate
    where
        T: ArrowPrimitiveType,
        T::Native: BitAnd<Output = T::Native> + BitOr<Output = T::Native> + BitXor<Output = T::Native>,
    {
        let reduce: fn(T::Native, T::Native) -> T::Native = match bits {
            Bits::And => |a, b| a & b,
            Bits::Or => |a, b| a | b,
            Bits::Xor => |a, b| a ^ b,
        };
        let fold = Reduce::<T> { t: t.clone(), reduce };
        SparkAggregate::of_fold(c.call.name, std::slice::from_ref(t), t, true, c.call.context, fold)
    }
    let udf = match t {
        DataType::Byte => udf::<Int8Type>(c, &t, bits),
        DataType::Short => udf::<Int16Type>(c, &t, bits),
        DataType::Integer => udf::<Int32Type>(c, &t, bits),
        _ => udf::<Int64Type>(c, &t, bits),
    };
    Ok(ResolvedAggregate::new(vec![t.clone()], t, true, udf.build()))
}

/// Values reduced two by two.
struct Reduce<T: ArrowPrimitiveType> {
    t: DataType,
    reduce: fn(T::Native, T::Native) -> T::Native,
}

impl<T: ArrowPrimitiveType> Fold for Reduce<T> {
    type State = Option<T::Native>;

    fn start(&self) -> Self::State {
        None
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        let values = primitive::<T>(columns, 0)?;
        for (row, group) in rows {
            if values.is_valid(row) {
                let value = values.value(row);
                states[group] = Some(states[group].map_or(value, |so_far| (self.reduce)(so_far, value)));
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![("value", self.t.clone())]
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
        Ok(Arc::new(states.iter().copied().collect::<PrimitiveArray<T>>()))
    }
}
