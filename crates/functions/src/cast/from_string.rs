//! Casts of strings to everything else.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanBuilder, IntervalMonthDayNanoArray, PrimitiveArray,
    PrimitiveBuilder, StringArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNano, IntervalYearMonthType,
    Time64NanosecondType, TimestampMicrosecondType,
};
use boathouse_bridge::from_arrow;
use boathouse_spec::{DataType, Error, Result};

use super::failure::{invalid_input, out_of_decimal};
use super::zone::Zone;
use super::{Mode, decimal, interval_text, parse_datetime, parse_number};
use crate::Context;
use crate::arithmetic::overflow;

pub fn strings(array: &ArrayRef) -> Result<&StringArray> {
    array
        .as_string_opt::<i32>()
        .ok_or_else(|| Error::internal(format!("{} where a string was expected", array.data_type())))
}

/// Strings stay as they are: the length of CHAR and VARCHAR is checked when a table is written.
pub fn to_length(array: &ArrayRef, _to: &DataType) -> Result<ArrayRef> {
    Ok(Arc::clone(array))
}

/// Parses every value; what is none is an error under ANSI and NULL otherwise.
fn parse<T: ArrowPrimitiveType>(
    array: &StringArray,
    mode: Mode,
    parse: impl Fn(&str) -> Option<T::Native>,
    failure: impl Fn(&str) -> Error,
) -> Result<PrimitiveArray<T>> {
    let mut out = PrimitiveBuilder::<T>::with_capacity(array.len());
    for value in array {
        let Some(text) = value else {
            out.append_null();
            continue;
        };
        match parse(text) {
            Some(v) => out.append_value(v),
            None if mode == Mode::Ansi => return Err(failure(text)),
            None => out.append_null(),
        }
    }
    Ok(out.finish())
}

/// Intervals refuse bad text in every mode but TRY.
fn parse_interval<T: ArrowPrimitiveType>(
    array: &StringArray,
    mode: Mode,
    parse: impl Fn(&str) -> Result<T::Native>,
) -> Result<PrimitiveArray<T>> {
    array
        .iter()
        .map(|value| match value.map(&parse) {
            None => Ok(None),
            Some(Err(_)) if mode == Mode::Try => Ok(None),
            Some(parsed) => parsed.map(Some),
        })
        .collect()
}

pub fn cast_string(
    array: &ArrayRef,
    from: &DataType,
    to: &DataType,
    mode: Mode,
    context: &Context,
) -> Result<ArrayRef> {
    let array = strings(array)?;
    let failure = |text: &str| invalid_input(text, from, to);
    let fraction = mode == Mode::Legacy;
    macro_rules! integer {
        ($type:ty, $native:ty) => {
            Arc::new(parse::<$type>(
                array,
                mode,
                |s| parse_number::integer(s, fraction).and_then(|v| <$native>::try_from(v).ok()),
                failure,
            )?)
        };
    }
    Ok(match to {
        DataType::Boolean => {
            let mut out = BooleanBuilder::with_capacity(array.len());
            for value in array {
                match value.map(|s| (s, parse_number::boolean(s))) {
                    None => out.append_null(),
                    Some((_, Some(v))) => out.append_value(v),
                    Some((s, None)) if mode == Mode::Ansi => return Err(failure(s)),
                    Some(_) => out.append_null(),
                }
            }
            Arc::new(out.finish())
        }
        DataType::Byte => integer!(Int8Type, i8),
        DataType::Short => integer!(Int16Type, i16),
        DataType::Integer => integer!(Int32Type, i32),
        DataType::Long => integer!(Int64Type, i64),
        DataType::Float => {
            Arc::new(parse::<Float32Type>(array, mode, |s| parse_number::float(s, |v| v as f32), failure)?)
        }
        DataType::Double => {
            Arc::new(parse::<Float64Type>(array, mode, |s| parse_number::float(s, |v| v), failure)?)
        }
        DataType::Decimal { precision, scale } => {
            let out = parse::<Decimal128Type>(
                array,
                mode,
                |s| {
                    decimal::Digits::parse(parse_number::trim_all(s.as_bytes()))?
                        .to_decimal(*precision, *scale)
                },
                |s| decimal_failure(s, from, to, *precision, *scale),
            )?;
            Arc::new(out.with_precision_and_scale(*precision, *scale as i8).map_err(from_arrow)?)
        }
        DataType::Binary => {
            let (offsets, values, nulls) = array.clone().into_parts();
            Arc::new(BinaryArray::new(offsets, values, nulls))
        }
        DataType::Date => Arc::new(parse::<Date32Type>(array, mode, parse_datetime::date, failure)?),
        DataType::Timestamp => {
            let zone = Zone::of(context);
            Arc::new(parse::<TimestampMicrosecondType>(
                array,
                mode,
                |s| parse_datetime::timestamp(s, &zone, context.now_us),
                failure,
            )?)
        }
        DataType::TimestampNtz => Arc::new(parse::<TimestampMicrosecondType>(
            array,
            mode,
            |s| parse_datetime::timestamp_ntz(s, true),
            failure,
        )?),
        DataType::Time { .. } => {
            Arc::new(parse::<Time64NanosecondType>(array, mode, parse_datetime::time, failure)?)
        }
        DataType::YearMonthInterval { start, end } => {
            Arc::new(parse_interval::<IntervalYearMonthType>(array, mode, |s| {
                interval_text::parse_year_month(s, *start, *end)
            })?)
        }
        DataType::DayTimeInterval { start, end } => {
            Arc::new(parse_interval::<DurationMicrosecondType>(array, mode, |s| {
                interval_text::parse_day_time(s, *start, *end)
            })?)
        }
        DataType::CalendarInterval => {
            // Bad text is NULL even under ANSI; what Arrow's nanoseconds do not hold is an error there.
            let out = array
                .iter()
                .map(|value| {
                    let Some(v) = value.and_then(interval_text::parse_calendar_interval) else {
                        return Ok(None);
                    };
                    match v.microseconds.checked_mul(1000) {
                        Some(nanoseconds) => {
                            Ok(Some(IntervalMonthDayNano::new(v.months, v.days, nanoseconds)))
                        }
                        None if mode == Mode::Ansi => Err(overflow("overflow", None)),
                        None => Ok(None),
                    }
                })
                .collect::<Result<IntervalMonthDayNanoArray>>()?;
            Arc::new(out)
        }
        other => return Err(Error::internal(format!("no cast of a string to {}", other.sql()))),
    })
}

fn decimal_failure(text: &str, from: &DataType, to: &DataType, precision: u8, scale: u8) -> Error {
    match decimal::Digits::parse(parse_number::trim_all(text.as_bytes())) {
        None => invalid_input(text, from, to),
        Some(d) if d.integral_digits() > 38 => Error::new("NUMERIC_OUT_OF_SUPPORTED_RANGE")
            .param("value", text)
            .message(format!("{text} has more than 38 digits before the decimal point.")),
        Some(d) => match d.to_decimal(38, 0) {
            // Whole numbers show as they are, others as they were written.
            Some(v) if d.exponent >= 0 => out_of_decimal(&v.to_string(), precision, scale),
            _ => out_of_decimal(text.trim(), precision, scale),
        },
    }
}
