//! Floats and doubles.

use std::sync::Arc;

use super::failure::{divide_by_zero, remainder_by_zero};
use super::typing::Operands;
use super::{Operator, Overflow};
use crate::apply::Operand;
use crate::apply::{map2, map2_result};
use crate::{Inputs, Resolved};
use arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, PrimitiveArray};
use arrow::datatypes::{ArrowPrimitiveType, Float32Type, Float64Type, Int64Type};
use boathouse_spec::{DataType, Error, Result};

pub(super) fn resolve(operator: Operator, overflow: Overflow, types: Operands) -> Result<Resolved> {
    let linear = matches!(operator, Operator::Add | Operator::Subtract | Operator::Multiply);
    let nullable = types.nullable || !linear || overflow == Overflow::Null;
    Ok(match types.computed {
        DataType::Float => {
            resolved::<Float32Type>(types.coerced, DataType::Float, nullable, operator, overflow)
        }
        _ => resolved::<Float64Type>(types.coerced, DataType::Double, nullable, operator, overflow),
    })
}

fn resolved<T: ArrowPrimitiveType>(
    coerced: Vec<DataType>,
    t: DataType,
    nullable: bool,
    operator: Operator,
    overflow: Overflow,
) -> Resolved {
    Resolved::new(coerced, t, nullable, move |inputs: &Inputs| {
        let (a, b, rows) = (operand::<T>(inputs, 0)?, operand::<T>(inputs, 1)?, inputs.rows());
        let zero = T::Native::ZERO;
        let out = match operator {
            Operator::Add => map2::<T, T, T>(&a, &b, rows, |x, y| x.add_wrapping(y)),
            Operator::Subtract => map2::<T, T, T>(&a, &b, rows, |x, y| x.sub_wrapping(y)),
            Operator::Multiply => map2::<T, T, T>(&a, &b, rows, |x, y| x.mul_wrapping(y)),
            Operator::Divide if b.constant && b.get(0).is_some_and(|y| y != zero) => {
                map2::<T, T, T>(&a, &b, rows, |x, y| x.div_wrapping(y))
            }
            _ => map2_result::<T, T, T>(&a, &b, rows, |x, y| {
                if y == zero {
                    return match overflow {
                        Overflow::Fail if operator == Operator::Divide => Err(divide_by_zero()),
                        Overflow::Fail => Err(remainder_by_zero()),
                        _ => Ok(None),
                    };
                }
                Ok(Some(match operator {
                    Operator::Divide => x.div_wrapping(y),
                    Operator::Remainder => x.mod_wrapping(y),
                    _ => {
                        let rest = x.mod_wrapping(y);
                        if rest < zero { rest.add_wrapping(y).mod_wrapping(y) } else { rest }
                    }
                }))
            })?,
        };
        let out: ArrayRef = Arc::new(out);
        Ok(out)
    })
}

/// An operand; whole numbers (strings beside whole numbers are read as such) become floats.
fn operand<T: ArrowPrimitiveType>(inputs: &Inputs, i: usize) -> Result<Operand<PrimitiveArray<T>>> {
    let operand = inputs.operand(i)?;
    if operand.array.data_type() != &arrow::datatypes::DataType::Int64 {
        return inputs.numbers::<T>(i);
    }
    let whole = inputs.numbers::<Int64Type>(i)?;
    let array: ArrayRef = Arc::new(whole.array.unary::<_, Float64Type>(|v| v as f64));
    let array =
        array.as_primitive_opt::<T>().cloned().ok_or_else(|| Error::internal("a quotient is a DOUBLE"))?;
    Ok(Operand { array, constant: whole.constant })
}
