//! Unary minus and plus, and `abs`.

use std::sync::Arc;

use arrow::array::{ArrayRef, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalYearMonthType,
};
use boathouse_bridge::from_arrow;
use boathouse_spec::{DataType, Error, Result};

use super::failure::{interval_overflow, overflow};
use crate::cast::calendar::MICROS_PER_SECOND;
use crate::{Call, Inputs, Resolved};

const NUMBER_OR_INTERVAL: &str =
    "(\"NUMERIC\" or \"INTERVAL DAY TO SECOND\" or \"INTERVAL YEAR TO MONTH\" or \"INTERVAL\")";

/// The operand's type once cast: strings and NULLs are doubles.
fn operand(call: &Call, calendar: bool, wanted: &str) -> Result<DataType> {
    call.arity(1..=1)?;
    let t = &call.args[0].data_type;
    match t {
        t if t.is_numeric() => Ok(t.clone()),
        t if t.is_string() || *t == DataType::Null => Ok(DataType::Double),
        DataType::CalendarInterval if !calendar => Err(call.unexpected_input(0, wanted)),
        t if t.is_interval() => Ok(t.clone()),
        _ => Err(unary_unexpected(call, wanted)),
    }
}

fn unary_unexpected(call: &Call, wanted: &str) -> Error {
    let symbol = match call.name {
        "-" | "negative" => "-",
        "+" | "positive" => "+",
        _ => return call.unexpected_input(0, wanted),
    };
    let arg = &call.args[0];
    let sql = format!("({symbol} {})", arg.sql);
    Error::new("DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE")
        .param("sqlExpr", format!("\"{sql}\""))
        .param("paramIndex", "first")
        .param("inputSql", format!("\"{}\"", arg.sql))
        .param("inputType", format!("\"{}\"", arg.data_type.sql()))
        .param("requiredType", wanted)
        .message(format!(
            "Cannot resolve \"{sql}\": the operand must be {wanted}, not \"{}\".",
            arg.data_type.sql()
        ))
}

pub(super) fn positive(call: &Call) -> Result<Resolved> {
    let t = operand(call, true, NUMBER_OR_INTERVAL)?;
    let nullable = call.nullable_as(std::slice::from_ref(&t));
    let shown = format!("(+ {})", call.args[0].sql);
    Ok(Resolved::new(vec![t.clone()], t, nullable, |inputs| inputs.array(0)).shown_bare(shown))
}

pub(super) fn negative(call: &Call) -> Result<Resolved> {
    let t = operand(call, true, NUMBER_OR_INTERVAL)?;
    let nullable = call.nullable_as(std::slice::from_ref(&t));
    let ansi = call.context.ansi;
    let computed = t.clone();
    let resolved = Resolved::new(vec![t.clone()], t, nullable, move |inputs| negate(inputs, &computed, ansi));
    Ok(match call.name {
        "-" => resolved.shown_bare(format!("(- {})", call.args[0].sql)),
        _ => resolved,
    })
}

fn negate(inputs: &Inputs, t: &DataType, ansi: bool) -> Result<ArrayRef> {
    macro_rules! whole {
        ($type:ty) => {
            integers::<$type>(inputs, ansi, |v| v.checked_neg(), |v| v.wrapping_neg())?
        };
    }
    Ok(match t {
        DataType::Byte => whole!(Int8Type),
        DataType::Short => whole!(Int16Type),
        DataType::Integer => whole!(Int32Type),
        DataType::Long => whole!(Int64Type),
        DataType::Float => floats::<Float32Type>(inputs, |v| -v)?,
        DataType::Double => floats::<Float64Type>(inputs, |v| -v)?,
        DataType::Decimal { precision, scale } => {
            let out = inputs.primitives::<Decimal128Type>(0)?.unary::<_, Decimal128Type>(i128::wrapping_neg);
            Arc::new(out.with_precision_and_scale(*precision, *scale as i8).map_err(from_arrow)?)
        }
        DataType::YearMonthInterval { .. } => {
            intervals::<IntervalYearMonthType>(inputs, |v| v.checked_neg(), || interval_overflow(None))?
        }
        DataType::DayTimeInterval { .. } => {
            intervals::<DurationMicrosecondType>(inputs, |v| v.checked_neg(), || interval_overflow(None))?
        }
        _ => {
            let micros = MICROS_PER_SECOND / 1000;
            let negate = |v: IntervalMonthDayNano| match ansi {
                true => Some(IntervalMonthDayNano::new(
                    v.months.checked_neg()?,
                    v.days.checked_neg()?,
                    v.nanoseconds.checked_neg()?,
                )),
                false => Some(IntervalMonthDayNano::new(
                    v.months.wrapping_neg(),
                    v.days.wrapping_neg(),
                    v.nanoseconds.checked_neg().unwrap_or(i64::MAX - i64::MAX % micros),
                )),
            };
            intervals::<IntervalMonthDayNanoType>(inputs, negate, || interval_overflow(None))?
        }
    })
}

pub(super) fn abs(call: &Call) -> Result<Resolved> {
    let wanted = "(\"NUMERIC\" or \"INTERVAL DAY TO SECOND\" or \"INTERVAL YEAR TO MONTH\")";
    let t = operand(call, false, wanted)?;
    let nullable = call.nullable_as(std::slice::from_ref(&t));
    let ansi = call.context.ansi;
    let computed = t.clone();
    Ok(Resolved::new(vec![t.clone()], t, nullable, move |inputs| absolute(inputs, &computed, ansi)))
}

fn absolute(inputs: &Inputs, t: &DataType, ansi: bool) -> Result<ArrayRef> {
    macro_rules! whole {
        ($type:ty) => {
            integers::<$type>(inputs, ansi, |v| v.checked_abs(), |v| v.wrapping_abs())?
        };
    }
    let failure = || overflow("overflow", None);
    Ok(match t {
        DataType::Byte => whole!(Int8Type),
        DataType::Short => whole!(Int16Type),
        DataType::Integer => whole!(Int32Type),
        DataType::Long => whole!(Int64Type),
        DataType::Float => floats::<Float32Type>(inputs, |v| v.abs())?,
        DataType::Double => floats::<Float64Type>(inputs, |v| v.abs())?,
        DataType::Decimal { precision, scale } => {
            let out =
                inputs.primitives::<Decimal128Type>(0)?.unary::<_, Decimal128Type>(|v| v.wrapping_abs());
            Arc::new(out.with_precision_and_scale(*precision, *scale as i8).map_err(from_arrow)?)
        }
        DataType::YearMonthInterval { .. } => {
            intervals::<IntervalYearMonthType>(inputs, |v| v.checked_abs(), failure)?
        }
        _ => intervals::<DurationMicrosecondType>(inputs, |v| v.checked_abs(), failure)?,
    })
}

fn integers<T: ArrowPrimitiveType>(
    inputs: &Inputs,
    ansi: bool,
    checked: impl Fn(T::Native) -> Option<T::Native>,
    wrapping: impl Fn(T::Native) -> T::Native,
) -> Result<ArrayRef> {
    let array: PrimitiveArray<T> = inputs.primitives(0)?;
    if ansi {
        // Only the least number has no positive twin.
        if array.iter().flatten().any(|v| checked(v).is_none()) {
            return Err(overflow("overflow", None));
        }
    }
    Ok(Arc::new(array.unary::<_, T>(wrapping)))
}

fn floats<T: ArrowPrimitiveType>(inputs: &Inputs, f: impl Fn(T::Native) -> T::Native) -> Result<ArrayRef> {
    Ok(Arc::new(inputs.primitives::<T>(0)?.unary::<_, T>(f)))
}

fn intervals<T: ArrowPrimitiveType>(
    inputs: &Inputs,
    f: impl Fn(T::Native) -> Option<T::Native>,
    failure: impl Fn() -> Error,
) -> Result<ArrayRef> {
    let array = inputs.primitives::<T>(0)?;
    let out = array
        .iter()
        .map(|v| match v {
            None => Ok(None),
            Some(v) => f(v).map(Some).ok_or_else(&failure),
        })
        .collect::<Result<PrimitiveArray<T>>>()?;
    Ok(Arc::new(out))
}
