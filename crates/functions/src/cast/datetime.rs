//! Casts between dates, timestamps and times, and between them and numbers.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, PrimitiveArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64NanosecondType, TimestampMicrosecondType,
};
use boathouse_bridge::{arrow_type, from_arrow};
use boathouse_spec::{DataType, Error, Result};

use super::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND};
use super::failure::{self, out_of_decimal, overflow};
use super::number::{boolean, convert, primitive};
use super::zone::Zone;
use super::{Mode, decimal, text};
use crate::Context;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

pub fn cast_datetime(
    array: &ArrayRef,
    from: &DataType,
    to: &DataType,
    mode: Mode,
    context: &Context,
) -> Result<ArrayRef> {
    use DataType::*;
    let zone = Zone::of(context);
    Ok(match (from, to) {
        (Timestamp, Date) => Arc::new(to_date(primitive(array)?, &zone)),
        (TimestampNtz, Date) => Arc::new(to_date(primitive(array)?, &Zone::UTC)),
        (Date, Timestamp) => {
            let days = primitive::<Date32Type>(array)?;
            Arc::new(instants(days, |d| zone.midnight_us(d), |d| date_overflow(d, from, to))?)
        }
        (Date, TimestampNtz) => {
            let days = primitive::<Date32Type>(array)?;
            Arc::new(instants(
                days,
                |d| i64::from(d).checked_mul(MICROS_PER_DAY),
                |d| date_overflow(d, from, to),
            )?)
        }
        (Timestamp, TimestampNtz) => {
            let us = primitive::<TimestampMicrosecondType>(array)?;
            Arc::new(instants(us, |us| zone.local_us(us), |_| out_of_range(from, to))?)
        }
        (TimestampNtz, Timestamp) => {
            let us = primitive::<TimestampMicrosecondType>(array)?;
            Arc::new(instants(us, |us| zone.instant_us(us), |_| out_of_range(from, to))?)
        }
        (Time { .. }, Time { precision }) => {
            let unit = 10i64.pow(9 - u32::from((*precision).min(9)));
            Arc::new(
                primitive::<Time64NanosecondType>(array)?.unary::<_, Time64NanosecondType>(|v| v - v % unit),
            )
        }
        (Time { .. }, _) => time_to_number(primitive(array)?, from, to, mode)?,
        (Timestamp, _) => timestamp_to_number(primitive(array)?, from, to, mode, &zone)?,
        // Only without ANSI, and never a value.
        (Date, t) if t.is_numeric() || *t == Boolean => new_null_array(&arrow_type(to), array.len()),
        (_, Timestamp) => number_to_timestamp(array, from, to, mode)?,
        _ => return Err(Error::internal(format!("no cast of {} to {}", from.sql(), to.sql()))),
    })
}

fn to_date(array: &TimestampMicrosecondArray, zone: &Zone) -> PrimitiveArray<Date32Type> {
    match zone {
        Zone::Fixed(0) => array.unary(|us| us.div_euclid(MICROS_PER_DAY) as i32),
        zone => array.unary(|us| zone.local(us).0.div_euclid(86_400) as i32),
    }
}

/// Timestamps of values that are not NULL; what does not fit is an error in every mode.
fn instants<I: ArrowPrimitiveType>(
    array: &PrimitiveArray<I>,
    f: impl Fn(I::Native) -> Option<i64>,
    failure: impl Fn(I::Native) -> Error,
) -> Result<TimestampMicrosecondArray> {
    convert(array, Mode::Ansi, f, failure)
}

fn out_of_range(from: &DataType, to: &DataType) -> Error {
    Error::new("ARITHMETIC_OVERFLOW").param("message", "long overflow").message(format!(
        "A {} is out of the range of {}.",
        from.sql(),
        to.sql()
    ))
}

fn date_overflow(days: i32, from: &DataType, to: &DataType) -> Error {
    let mut value = String::from("DATE '");
    text::write_date(i64::from(days), &mut value);
    value.push('\'');
    failure::datetime_overflow(&format!("convert {value} to {}", to.sql()), from, to)
}

fn timestamp_to_number(
    array: &TimestampMicrosecondArray,
    from: &DataType,
    to: &DataType,
    mode: Mode,
    zone: &Zone,
) -> Result<ArrayRef> {
    let sql = |us: i64| {
        let mut value = String::from("TIMESTAMP '");
        text::write_timestamp(us, zone, &mut value);
        value + "'"
    };
    macro_rules! integer {
        ($type:ty, $native:ty) => {{
            if mode == Mode::Legacy {
                // What does not fit is NULL.
                let seconds = array.iter().map(|us| us.map(|us| us.div_euclid(MICROS_PER_SECOND)));
                let fitting = seconds.map(|s| s.and_then(|s| <$native>::try_from(s).ok()));
                Arc::new(fitting.collect::<PrimitiveArray<$type>>())
            } else {
                Arc::new(convert::<_, $type>(
                    array,
                    mode,
                    |us| <$native>::try_from(us.div_euclid(MICROS_PER_SECOND)).ok(),
                    |us| overflow(&sql(us), from, to),
                )?)
            }
        }};
    }
    let seconds = |us: i64| us as f64 / MICROS_PER_SECOND as f64;
    Ok(match to {
        DataType::Boolean => {
            let values = array.values().iter().map(|us| *us != 0).collect();
            Arc::new(BooleanArray::new(values, array.nulls().cloned()))
        }
        DataType::Byte => integer!(Int8Type, i8),
        DataType::Short => integer!(Int16Type, i16),
        DataType::Integer => integer!(Int32Type, i32),
        DataType::Long => Arc::new(array.unary::<_, Int64Type>(|us| us.div_euclid(MICROS_PER_SECOND))),
        DataType::Float => Arc::new(array.unary::<_, Float32Type>(|us| seconds(us) as f32)),
        DataType::Double => Arc::new(array.unary::<_, Float64Type>(seconds)),
        DataType::Decimal { precision, scale } => {
            let out = convert::<_, Decimal128Type>(
                array,
                mode,
                |us| decimal::rescale(i128::from(us), 6, *precision, *scale),
                |us| out_of_decimal(&failure::decimal_text(i128::from(us), 6), *precision, *scale),
            )?;
            Arc::new(out.with_precision_and_scale(*precision, *scale as i8).map_err(from_arrow)?)
        }
        other => return Err(Error::internal(format!("no cast of a timestamp to {}", other.sql()))),
    })
}

fn time_to_number(
    array: &PrimitiveArray<Time64NanosecondType>,
    from: &DataType,
    to: &DataType,
    mode: Mode,
) -> Result<ArrayRef> {
    let sql = |ns: i64| {
        let mut value = String::from("TIME '");
        text::write_time(ns, &mut value);
        value + "'"
    };
    macro_rules! integer {
        ($type:ty, $native:ty) => {{
            if mode == Mode::Legacy {
                Arc::new(array.unary::<_, $type>(|ns| (ns / NANOS_PER_SECOND) as $native))
            } else {
                Arc::new(convert::<_, $type>(
                    array,
                    mode,
                    |ns| <$native>::try_from(ns / NANOS_PER_SECOND).ok(),
                    |ns| overflow(&sql(ns), from, to),
                )?)
            }
        }};
    }
    Ok(match to {
        DataType::Byte => integer!(Int8Type, i8),
        DataType::Short => integer!(Int16Type, i16),
        DataType::Integer => integer!(Int32Type, i32),
        DataType::Long => integer!(Int64Type, i64),
        DataType::Decimal { precision, scale } => {
            let out = convert::<_, Decimal128Type>(
                array,
                mode,
                |ns| decimal::rescale(i128::from(ns), 9, *precision, *scale),
                |ns| out_of_decimal(&failure::decimal_text(i128::from(ns), 9), *precision, *scale),
            )?;
            Arc::new(out.with_precision_and_scale(*precision, *scale as i8).map_err(from_arrow)?)
        }
        other => return Err(Error::internal(format!("no cast of a time to {}", other.sql()))),
    })
}

/// Numbers are seconds since the epoch.
fn number_to_timestamp(array: &ArrayRef, from: &DataType, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    fn whole<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> TimestampMicrosecondArray
    where
        T::Native: Into<i64>,
    {
        array.unary(|v| v.into().saturating_mul(MICROS_PER_SECOND))
    }
    fn fractional<T: ArrowPrimitiveType>(
        array: &PrimitiveArray<T>,
        mode: Mode,
        (from, to): (&DataType, &DataType),
        sql: fn(T::Native) -> String,
    ) -> Result<TimestampMicrosecondArray>
    where
        T::Native: Into<f64>,
    {
        convert(
            array,
            mode,
            |v| {
                let us = v.into() * MICROS_PER_SECOND as f64;
                let ok = us.is_finite()
                    && (mode == Mode::Legacy
                        || (us.floor() <= i64::MAX as f64 && us.ceil() >= i64::MIN as f64));
                ok.then_some(us as i64)
            },
            |v| match v.into().is_finite() {
                true => overflow(
                    &failure::double_sql(v.into() * MICROS_PER_SECOND as f64),
                    &DataType::Double,
                    &DataType::Long,
                ),
                false => failure::malformed(&sql(v), from, to),
            },
        )
    }
    Ok(Arc::new(match from {
        DataType::Boolean => {
            let array = boolean(array)?;
            let values: Vec<i64> = array.values().iter().map(i64::from).collect();
            TimestampMicrosecondArray::new(values.into(), array.nulls().cloned())
        }
        DataType::Byte => whole(primitive::<Int8Type>(array)?),
        DataType::Short => whole(primitive::<Int16Type>(array)?),
        DataType::Integer => whole(primitive::<Int32Type>(array)?),
        DataType::Long => whole(primitive::<Int64Type>(array)?),
        DataType::Float => {
            fractional(primitive::<Float32Type>(array)?, mode, (from, to), failure::float_sql)?
        }
        DataType::Double => {
            fractional(primitive::<Float64Type>(array)?, mode, (from, to), failure::double_sql)?
        }
        DataType::Decimal { scale, .. } => {
            let unit = decimal::POWERS[usize::from(*scale)];
            primitive::<Decimal128Type>(array)?.unary(|v| {
                // The whole part and the fraction apart, so that nothing overflows before Java's cut to 64 bits.
                let whole = (v / unit).wrapping_mul(1_000_000) as i64;
                let rest =
                    if *scale > 6 { v % unit / (unit / 1_000_000) } else { v % unit * (1_000_000 / unit) };
                whole.wrapping_add(rest as i64)
            })
        }
        other => return Err(Error::internal(format!("no cast of {} to a timestamp", other.sql()))),
    }))
}
