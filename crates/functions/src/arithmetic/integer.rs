//! Whole numbers.

use std::ops::{BitAnd, BitXor};
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowNativeTypeOp, PrimitiveArray};
use arrow::datatypes::{ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type};
use boathouse_spec::{DataType, Error, Result};

use super::failure::{divide_by_zero, overflow, remainder_by_zero, small_overflow};
use super::typing::Operands;
use super::{Operator, Overflow};
use crate::apply::{Operand, both_valid, map2, map2_result};
use crate::cast::failure::integer_sql;
use crate::{Inputs, Resolved};

pub(super) fn resolve(operator: Operator, overflow: Overflow, types: Operands) -> Result<Resolved> {
    let t = types.computed;
    let nullable = types.nullable
        || matches!(operator, Operator::Remainder | Operator::IntegralDivide | Operator::PositiveModulo)
        || overflow == Overflow::Null;
    Ok(match t {
        DataType::Byte => resolved::<Int8Type>(types.coerced, t, nullable, operator, overflow),
        DataType::Short => resolved::<Int16Type>(types.coerced, t, nullable, operator, overflow),
        DataType::Integer => resolved::<Int32Type>(types.coerced, t, nullable, operator, overflow),
        _ => resolved::<Int64Type>(types.coerced, t, nullable, operator, overflow),
    })
}

/// A whole number of the processor's.
pub trait Whole: ArrowNativeTypeOp + Into<i64> + BitXor<Output = Self> + BitAnd<Output = Self> {
    const LEAST: Self;
    fn product_overflows(self, other: Self) -> bool;
}

macro_rules! whole {
    ($($type:ty),*) => {$(
        impl Whole for $type {
            const LEAST: Self = <$type>::MIN;

            fn product_overflows(self, other: Self) -> bool {
                self.overflowing_mul(other).1
            }
        }
    )*};
}
whole!(i8, i16, i32, i64);

fn resolved<T: ArrowPrimitiveType>(
    coerced: Vec<DataType>,
    t: DataType,
    nullable: bool,
    operator: Operator,
    overflow: Overflow,
) -> Resolved
where
    T::Native: Whole,
{
    let computed = t.clone();
    Resolved::new(coerced, t, nullable, move |inputs: &Inputs| {
        let (a, b) = (inputs.numbers::<T>(0)?, inputs.numbers::<T>(1)?);
        let out: ArrayRef = Arc::new(evaluate(&a, &b, inputs.rows(), operator, overflow, &computed)?);
        Ok(out)
    })
}

fn evaluate<T: ArrowPrimitiveType>(
    a: &Operand<PrimitiveArray<T>>,
    b: &Operand<PrimitiveArray<T>>,
    rows: usize,
    operator: Operator,
    overflow: Overflow,
    t: &DataType,
) -> Result<PrimitiveArray<T>>
where
    T::Native: Whole,
{
    let failure = |x: T::Native, y: T::Native| out_of_range(x.into(), y.into(), operator, t);
    match operator {
        Operator::Add => linear(
            a,
            b,
            rows,
            overflow,
            |x, y| x.add_wrapping(y),
            |x, y| {
                let sum = x.add_wrapping(y);
                (x ^ sum) & (y ^ sum) < T::Native::ZERO
            },
            failure,
        ),
        Operator::Subtract => linear(
            a,
            b,
            rows,
            overflow,
            |x, y| x.sub_wrapping(y),
            |x, y| (x ^ y) & (x ^ x.sub_wrapping(y)) < T::Native::ZERO,
            failure,
        ),
        Operator::Multiply => {
            linear(a, b, rows, overflow, |x, y| x.mul_wrapping(y), |x, y| x.product_overflows(y), failure)
        }
        _ => map2_result(a, b, rows, |x, y| {
            if y.is_zero() {
                return match overflow {
                    Overflow::Fail if operator == Operator::IntegralDivide => Err(divide_by_zero()),
                    Overflow::Fail => Err(remainder_by_zero()),
                    _ => Ok(None),
                };
            }
            let overflows = x == T::Native::LEAST && y == T::Native::ZERO.sub_wrapping(T::Native::ONE);
            Ok(Some(match operator {
                Operator::IntegralDivide if overflows && overflow == Overflow::Fail => {
                    return Err(failure(x, y));
                }
                Operator::IntegralDivide if overflows && overflow == Overflow::Null => return Ok(None),
                Operator::IntegralDivide => x.div_wrapping(y),
                Operator::Remainder => x.mod_wrapping(y),
                _ => {
                    let rest = x.mod_wrapping(y);
                    if rest < T::Native::ZERO { rest.add_wrapping(y).mod_wrapping(y) } else { rest }
                }
            }))
        }),
    }
}

/// An operation that the processor does for every row; then one look whether a row that counts was out of range.
fn linear<T: ArrowPrimitiveType>(
    a: &Operand<PrimitiveArray<T>>,
    b: &Operand<PrimitiveArray<T>>,
    rows: usize,
    overflow: Overflow,
    f: impl Fn(T::Native, T::Native) -> T::Native,
    overflows: impl Fn(T::Native, T::Native) -> bool,
    failure: impl Fn(T::Native, T::Native) -> Error,
) -> Result<PrimitiveArray<T>> {
    let out = map2::<T, T, T>(a, b, rows, f);
    if overflow == Overflow::Wrap {
        return Ok(out);
    }
    let (x, y) = (a.array.values(), b.array.values());
    let any = match (a.constant, b.constant) {
        (false, false) => x.iter().zip(y.iter()).fold(false, |any, (x, y)| any | overflows(*x, *y)),
        (false, true) => {
            let y = y[0];
            x.iter().fold(false, |any, x| any | overflows(*x, y))
        }
        (true, false) => {
            let x = x[0];
            y.iter().fold(false, |any, y| any | overflows(x, *y))
        }
        (true, true) => overflows(x[0], y[0]),
    };
    if !any {
        return Ok(out);
    }
    let nulls = both_valid(a, b, rows);
    let counts = |row: usize| nulls.as_ref().is_none_or(|n| n.is_valid(row));
    let at = |row: usize| (x[a.at(row)], y[b.at(row)]);
    if overflow == Overflow::Fail {
        return match (0..rows).find(|row| counts(*row) && overflows(at(*row).0, at(*row).1)) {
            Some(row) => Err(failure(at(row).0, at(row).1)),
            None => Ok(out),
        };
    }
    Ok((0..rows)
        .map(|row| (counts(row) && !overflows(at(row).0, at(row).1)).then(|| out.value(row)))
        .collect())
}

fn out_of_range(x: i64, y: i64, operator: Operator, t: &DataType) -> Error {
    match t {
        // Spark adds TINYINT as SMALLINT, and shows the operands as such.
        DataType::Byte | DataType::Short => {
            let shown = |v| integer_sql(v, &DataType::Short);
            small_overflow(&shown(x), operator, &shown(y))
        }
        _ if operator == Operator::IntegralDivide => {
            overflow("Overflow in integral divide", Some("try_divide"))
        }
        _ => overflow("overflow", Some(operator.tolerant())),
    }
}
