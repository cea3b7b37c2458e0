//! Casts between ANSI intervals, and between them and numbers.

use std::sync::Arc;

use arrow::array::{ArrayRef, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Decimal128Type, DurationMicrosecondType, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalYearMonthType,
};
use boathouse_bridge::from_arrow;
use boathouse_spec::{DataType, Error, IntervalField, Result};

use super::failure::{decimal_sql, decimal_text, integer_sql, out_of_decimal, overflow};
use super::interval_text::{micros_of, write_day_time, write_year_month};
use super::number::{convert, primitive};
use super::{Mode, decimal};

pub fn cast_interval(array: &ArrayRef, from: &DataType, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    use DataType::*;
    Ok(match (from, to) {
        (YearMonthInterval { .. }, YearMonthInterval { end, .. }) => {
            let months = primitive::<IntervalYearMonthType>(array)?;
            match end {
                IntervalField::Year => Arc::new(months.unary::<_, IntervalYearMonthType>(|m| m - m % 12)),
                _ => Arc::clone(array),
            }
        }
        (DayTimeInterval { .. }, DayTimeInterval { end, .. }) => {
            let us = primitive::<DurationMicrosecondType>(array)?;
            match end {
                IntervalField::Second => Arc::clone(array),
                end => {
                    let unit = micros_of(*end);
                    Arc::new(us.unary::<_, DurationMicrosecondType>(|us| us - us % unit))
                }
            }
        }
        (YearMonthInterval { start, end }, _) => {
            let sql = |months: i32| {
                let mut out = std::string::String::new();
                write_year_month(months, *start, *end, &mut out);
                out
            };
            let unit = if *end == IntervalField::Year { 12 } else { 1 };
            to_number(
                primitive::<IntervalYearMonthType>(array)?,
                i64::from,
                unit,
                false,
                sql,
                (from, to),
                mode,
            )?
        }
        (DayTimeInterval { start, end }, _) => {
            let sql = |us: i64| {
                let mut out = std::string::String::new();
                write_day_time(us, *start, *end, &mut out);
                out
            };
            let seconds = *end == IntervalField::Second;
            to_number(
                primitive::<DurationMicrosecondType>(array)?,
                |us| us,
                micros_of(*end),
                seconds,
                sql,
                (from, to),
                mode,
            )?
        }
        (_, YearMonthInterval { end, .. }) => {
            let unit = if *end == IntervalField::Year { 12 } else { 1 };
            from_number::<IntervalYearMonthType>(array, from, to, unit, mode, |v| i32::try_from(v).ok())?
        }
        (_, DayTimeInterval { end, .. }) => {
            let unit = i128::from(micros_of(*end));
            from_number::<DurationMicrosecondType>(array, from, to, unit, mode, |v| i64::try_from(v).ok())?
        }
        _ => return Err(Error::internal(format!("no cast of {} to {}", from.sql(), to.sql()))),
    })
}

/// An interval as a count of its last field; with `fraction`, decimals keep the microseconds.
fn to_number<I: ArrowPrimitiveType>(
    array: &PrimitiveArray<I>,
    amount: impl Fn(I::Native) -> i64,
    unit: i64,
    fraction: bool,
    sql: impl Fn(I::Native) -> String,
    (from, to): (&DataType, &DataType),
    mode: Mode,
) -> Result<ArrayRef> {
    // Out of range is an error in every mode but TRY.
    let strict = if mode == Mode::Try { Mode::Try } else { Mode::Ansi };
    macro_rules! integer {
        ($type:ty, $native:ty) => {
            Arc::new(convert::<I, $type>(
                array,
                strict,
                |v| <$native>::try_from(amount(v) / unit).ok(),
                |v| overflow(&sql(v), from, to),
            )?)
        };
    }
    Ok(match to {
        DataType::Byte => integer!(Int8Type, i8),
        DataType::Short => integer!(Int16Type, i16),
        DataType::Integer => integer!(Int32Type, i32),
        DataType::Long => integer!(Int64Type, i64),
        DataType::Decimal { precision, scale } => {
            let from_scale = if fraction { 6 } else { 0 };
            let unscaled = |v| i128::from(if fraction { amount(v) } else { amount(v) / unit });
            let out = convert::<I, Decimal128Type>(
                array,
                strict,
                |v| decimal::rescale(unscaled(v), from_scale, *precision, *scale),
                |v| out_of_decimal(&decimal_text(unscaled(v), from_scale), *precision, *scale),
            )?;
            Arc::new(out.with_precision_and_scale(*precision, *scale as i8).map_err(from_arrow)?)
        }
        other => return Err(Error::internal(format!("no cast of an interval to {}", other.sql()))),
    })
}

/// A count of the interval's last field (`unit` base units each); decimals are rounded to whole base units.
fn from_number<O: ArrowPrimitiveType>(
    array: &ArrayRef,
    from: &DataType,
    to: &DataType,
    unit: i128,
    mode: Mode,
    fit: impl Fn(i128) -> Option<O::Native> + Copy,
) -> Result<ArrayRef> {
    let strict = if mode == Mode::Try { Mode::Try } else { Mode::Ansi };
    macro_rules! integer {
        ($type:ty) => {
            convert::<$type, O>(
                primitive::<$type>(array)?,
                strict,
                |v| fit(i128::from(v) * unit),
                |v| overflow(&integer_sql(i64::from(v), from), from, to),
            )?
        };
    }
    let out = match from {
        DataType::Byte => integer!(Int8Type),
        DataType::Short => integer!(Int16Type),
        DataType::Integer => integer!(Int32Type),
        DataType::Long => integer!(Int64Type),
        DataType::Decimal { scale, .. } => convert::<Decimal128Type, O>(
            primitive::<Decimal128Type>(array)?,
            strict,
            |v| {
                let power = decimal::POWERS[usize::from(*scale)];
                let (whole, rest) = (v / power, v % power);
                // The fraction's first 27 digits are far below a microsecond, and leave room for the product.
                let cut = decimal::POWERS[usize::from(scale.saturating_sub(27))];
                let fraction = decimal::divide_half_up(rest / cut * unit, power / cut);
                fit(whole.checked_mul(unit)?.checked_add(fraction)?)
            },
            |v| overflow(&decimal_sql(v, *scale), from, to),
        )?,
        other => return Err(Error::internal(format!("no cast of {} to an interval", other.sql()))),
    };
    Ok(Arc::new(out))
}
