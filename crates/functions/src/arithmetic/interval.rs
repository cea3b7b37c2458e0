//! Intervals plus and minus intervals, and times and through numbers.

use std::sync::Arc;

use arrow::array::{ArrayRef, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalYearMonthType,
};
use boathouse_spec::{DataType, Error, Result};
use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};

use super::Operator;
use super::failure::{divide_by_zero, interval_divided_by_zero, interval_overflow, overflow};
use super::typing::Operands;
use crate::apply::{Operand, map2_result};
use crate::cast::calendar::MICROS_PER_DAY;
use crate::cast::decimal::POWERS;
use crate::{Call, Inputs, Resolved};

/// `+`, `-` and `div` of two intervals of one kind.
pub(super) fn resolve(call: &Call, operator: Operator, types: Operands) -> Result<Resolved> {
    let t = types.computed;
    let tolerant = operator.tolerant();
    let ansi = call.context.ansi;
    if operator == Operator::IntegralDivide {
        let months = matches!(t, DataType::YearMonthInterval { .. });
        return Ok(Resolved::new(types.coerced, DataType::Long, true, move |inputs| {
            if months {
                divide::<IntervalYearMonthType>(inputs, ansi, i64::from)
            } else {
                divide::<DurationMicrosecondType>(inputs, ansi, |v| v)
            }
        }));
    }
    let add = operator == Operator::Add;
    let failure = move || interval_overflow(Some(tolerant));
    let computed = t.clone();
    Ok(Resolved::new(types.coerced, t, types.nullable, move |inputs| {
        let rows = inputs.rows();
        Ok(match computed {
            DataType::YearMonthInterval { .. } => {
                let (a, b) = operands::<IntervalYearMonthType>(inputs)?;
                Arc::new(map2_result::<_, _, IntervalYearMonthType>(&a, &b, rows, |a, b| {
                    let out = if add { a.checked_add(b) } else { a.checked_sub(b) };
                    out.map(Some).ok_or_else(failure)
                })?)
            }
            DataType::DayTimeInterval { .. } => {
                let (a, b) = operands::<DurationMicrosecondType>(inputs)?;
                Arc::new(map2_result::<_, _, DurationMicrosecondType>(&a, &b, rows, |a, b| {
                    let out = if add { a.checked_add(b) } else { a.checked_sub(b) };
                    out.map(Some).ok_or_else(failure)
                })?)
            }
            _ => {
                let (a, b) = operands::<IntervalMonthDayNanoType>(inputs)?;
                Arc::new(map2_result::<_, _, IntervalMonthDayNanoType>(&a, &b, rows, |a, b| match calendar(
                    a, b, add,
                ) {
                    Some(v) => Ok(Some(v)),
                    None if ansi => Err(failure()),
                    None => Ok(None),
                })?)
            }
        })
    }))
}

type Pair<T> = (Operand<PrimitiveArray<T>>, Operand<PrimitiveArray<T>>);

fn operands<T: ArrowPrimitiveType>(inputs: &Inputs) -> Result<Pair<T>> {
    Ok((inputs.numbers::<T>(0)?, inputs.numbers::<T>(1)?))
}

fn calendar(a: IntervalMonthDayNano, b: IntervalMonthDayNano, add: bool) -> Option<IntervalMonthDayNano> {
    Some(match add {
        true => IntervalMonthDayNano::new(
            a.months.checked_add(b.months)?,
            a.days.checked_add(b.days)?,
            a.nanoseconds.checked_add(b.nanoseconds)?,
        ),
        false => IntervalMonthDayNano::new(
            a.months.checked_sub(b.months)?,
            a.days.checked_sub(b.days)?,
            a.nanoseconds.checked_sub(b.nanoseconds)?,
        ),
    })
}

fn divide<T: ArrowPrimitiveType>(
    inputs: &Inputs,
    ansi: bool,
    amount: impl Fn(T::Native) -> i64,
) -> Result<ArrayRef> {
    let (a, b) = operands::<T>(inputs)?;
    let out = map2_result::<_, _, Int64Type>(&a, &b, inputs.rows(), |a, b| match amount(b) {
        0 if ansi => Err(divide_by_zero()),
        0 => Ok(None),
        b => match amount(a).checked_div(b) {
            Some(v) => Ok(Some(v)),
            None if ansi => Err(overflow("Overflow in integral divide", Some("try_divide"))),
            None => Ok(Some(amount(a))),
        },
    })?;
    Ok(Arc::new(out))
}

/// An interval (operand `at`) times or through a number.
pub(super) fn scale(call: &Call, at: usize, operator: Operator) -> Result<Resolved> {
    let (interval, number) = (&call.args[at], &call.args[1 - at]);
    let t = interval.data_type.clone();
    let calendar = t == DataType::CalendarInterval;
    let divide = operator == Operator::Divide;
    let shown = match (calendar, divide) {
        (true, true) => format!("divide_interval({}, {})", interval.sql, number.sql),
        (true, false) => format!("multiply_interval({}, {})", interval.sql, number.sql),
        (false, _) => format!("({} {} {})", interval.sql, operator.symbol(), number.sql),
    };
    let by = match &number.data_type {
        t if calendar && (t.is_numeric() || t.is_string() || *t == DataType::Null) => DataType::Double,
        t if t.is_numeric() => t.clone(),
        t if t.is_string() || *t == DataType::Null => DataType::Double,
        t => {
            let required = if calendar { "\"DOUBLE\"" } else { "\"NUMERIC\"" };
            return Err(Error::new("DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE")
                .param("sqlExpr", format!("\"{shown}\""))
                .param("paramIndex", "second")
                .param("inputSql", format!("\"{}\"", number.sql))
                .param("inputType", format!("\"{}\"", t.sql()))
                .param("requiredType", required)
                .message(format!(
                    "Cannot resolve \"{shown}\": \"{}\" must be {required}, but is \"{}\".",
                    number.sql,
                    t.sql()
                )));
        }
    };
    let coerced = if at == 0 { vec![t.clone(), by.clone()] } else { vec![by.clone(), t.clone()] };
    let nullable = calendar || call.nullable_as(&coerced);
    let result = match t {
        DataType::YearMonthInterval { .. } => DataType::YEAR_MONTH,
        DataType::DayTimeInterval { .. } => DataType::DAY_TIME,
        other => other,
    };
    let computed = result.clone();
    let ansi = call.context.ansi;
    let resolved = Resolved::new(coerced, result, nullable, move |inputs| match computed {
        DataType::YearMonthInterval { .. } => {
            scaled::<IntervalYearMonthType>(inputs, at, &by, divide, i64::from, |v| {
                i32::try_from(v).map_err(|_| overflow("integer overflow", None))
            })
        }
        DataType::DayTimeInterval { .. } => scaled::<DurationMicrosecondType>(
            inputs,
            at,
            &by,
            divide,
            |v| v,
            |v| i64::try_from(v).map_err(|_| overflow("long overflow", None)),
        ),
        _ => scaled_calendar(inputs, at, divide, ansi),
    });
    Ok(if call.name.starts_with("try_") { resolved } else { resolved.shown_bare(shown) })
}

/// A number to multiply with or divide by, exactly.
enum Factor {
    Whole(i64),
    /// Unscaled, and its unit.
    Decimal(i128, i128),
    Double(f64),
}

fn scaled<T: ArrowPrimitiveType>(
    inputs: &Inputs,
    at: usize,
    by: &DataType,
    divide: bool,
    amount: impl Fn(T::Native) -> i64,
    fit: impl Fn(i128) -> Result<T::Native>,
) -> Result<ArrayRef> {
    let intervals = inputs.numbers::<T>(at)?;
    let run = |factor: Factor, v: T::Native| -> Result<Option<T::Native>> {
        let v = amount(v);
        let negates = divide && matches!(factor, Factor::Whole(-1));
        let out = match factor {
            Factor::Whole(0) | Factor::Decimal(0, _) if divide => return Err(interval_divided_by_zero()),
            Factor::Double(x) if divide && x == 0.0 => return Err(interval_divided_by_zero()),
            Factor::Whole(n) if divide => half_up(&BigInt::from(v), &BigInt::from(n)),
            Factor::Whole(n) => Some(i128::from(v) * i128::from(n)),
            Factor::Decimal(n, unit) if divide => half_up(&(BigInt::from(v) * unit), &BigInt::from(n)),
            Factor::Decimal(n, unit) => half_up(&(BigInt::from(v) * n), &BigInt::from(unit)),
            Factor::Double(x) => {
                let exact = if divide { v as f64 / x } else { v as f64 * x };
                // Half up, away from zero, as Guava's RoundingMode.HALF_UP.
                exact.is_finite().then(|| exact.round() as i128)
            }
        };
        let out = out.ok_or_else(|| overflow("long overflow", None))?;
        // Only the smallest interval divided by -1 is checked before it is computed (Spark's `IntervalDivide`).
        fit(out).map(Some).map_err(|e| if negates { interval_overflow(Some("try_divide")) } else { e })
    };
    let rows = inputs.rows();
    macro_rules! whole {
        ($type:ty) => {
            map2_result::<T, $type, T>(&intervals, &inputs.numbers(1 - at)?, rows, |v, n| {
                run(Factor::Whole(i64::from(n)), v)
            })?
        };
    }
    let out = match by {
        DataType::Byte => whole!(Int8Type),
        DataType::Short => whole!(Int16Type),
        DataType::Integer => whole!(Int32Type),
        DataType::Long => whole!(Int64Type),
        DataType::Float => {
            map2_result::<T, Float32Type, T>(&intervals, &inputs.numbers(1 - at)?, rows, |v, n| {
                run(Factor::Double(f64::from(n)), v)
            })?
        }
        DataType::Decimal { scale, .. } => {
            let unit = POWERS[usize::from(*scale)];
            map2_result::<T, Decimal128Type, T>(&intervals, &inputs.numbers(1 - at)?, rows, |v, n| {
                run(Factor::Decimal(n, unit), v)
            })?
        }
        _ => map2_result::<T, Float64Type, T>(&intervals, &inputs.numbers(1 - at)?, rows, |v, n| {
            run(Factor::Double(n), v)
        })?,
    };
    Ok(Arc::new(out))
}

fn half_up(n: &BigInt, d: &BigInt) -> Option<i128> {
    let (quotient, rest) = (n / d, n % d);
    let up = rest.abs() * 2 >= d.abs();
    let quotient = quotient.to_i128()?;
    Some(
        quotient
            + if !up {
                0
            } else if n.is_negative() != d.is_negative() {
                -1
            } else {
                1
            },
    )
}

/// Fractions of months are dropped, fractions of days become time.
fn scaled_calendar(inputs: &Inputs, at: usize, divide: bool, ansi: bool) -> Result<ArrayRef> {
    let intervals = inputs.numbers::<IntervalMonthDayNanoType>(at)?;
    let numbers = inputs.numbers::<Float64Type>(1 - at)?;
    let out = map2_result::<_, _, IntervalMonthDayNanoType>(&intervals, &numbers, inputs.rows(), |v, n| {
        if divide && n == 0.0 {
            return if ansi { Err(interval_divided_by_zero()) } else { Ok(None) };
        }
        let by = |x: f64| if divide { x / n } else { x * n };
        let (months, days) = (by(f64::from(v.months)), by(f64::from(v.days)));
        let us = by((v.nanoseconds / 1000) as f64) + MICROS_PER_DAY as f64 * (days - days.trunc());
        let fits = |x: f64, low: f64, high: f64| x.is_finite() && x.trunc() >= low && x.trunc() <= high;
        let int = (f64::from(i32::MIN), f64::from(i32::MAX));
        if !(fits(months, int.0, int.1) && fits(days, int.0, int.1) && fits(us, -9.2e15, 9.2e15)) {
            return if ansi { Err(overflow("overflow", None)) } else { Ok(None) };
        }
        Ok(Some(IntervalMonthDayNano::new(months as i32, days as i32, (us + 0.5).floor() as i64 * 1000)))
    })?;
    Ok(Arc::new(out))
}
