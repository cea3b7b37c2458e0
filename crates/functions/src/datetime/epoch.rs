//! Numbers since 1970 into dates and timestamps, and back.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, Int32Array, Int64Array, PrimitiveArray};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use boathouse_bridge::{ResultExt, to_arrow};
use boathouse_spec::{DataType, Error, Result};

use super::{instants, keep_where, long_overflow, timestamps};
use crate::cast::calendar::MICROS_PER_SECOND;
use crate::{Call, Inputs, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["timestamp_seconds"], timestamp_seconds);
    r.scalar(&["timestamp_millis"], |c| from_integers(c, 1000));
    r.scalar(&["timestamp_micros"], |c| from_integers(c, 1));
    r.scalar(&["unix_seconds"], |c| to_integers(c, MICROS_PER_SECOND));
    r.scalar(&["unix_millis"], |c| to_integers(c, 1000));
    r.scalar(&["unix_micros"], |c| to_integers(c, 1));
    r.scalar(&["unix_date"], |c| {
        c.arity(1..=1)?;
        let coerced = c.exactly(&[Want::DATE])?;
        Ok(Resolved::new(coerced, DataType::Integer, c.any_nullable(), |inputs| {
            let out: Int32Array = inputs.primitives::<Date32Type>(0)?.unary(|d| d);
            Ok(Arc::new(out))
        }))
    });
    r.scalar(&["date_from_unix_date"], |c| {
        c.arity(1..=1)?;
        let coerced = c.want(&[Want::INT])?;
        let nullable = c.nullable_as(&coerced);
        Ok(Resolved::new(coerced, DataType::Date, nullable, |inputs| {
            let out: Date32Array = inputs.primitives::<Int32Type>(0)?.unary(|d| d);
            Ok(Arc::new(out))
        }))
    });
}

fn timestamp_seconds(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let given = call.exactly(&[Want::Numeric])?;
    let Some(given) = given.first() else { return Err(Error::internal("timestamp_seconds of nothing")) };
    Ok(match given {
        DataType::Decimal { scale, .. } => {
            let scale = u32::from(*scale);
            Resolved::new(vec![given.clone()], DataType::Timestamp, call.any_nullable(), move |inputs| {
                from_decimals(inputs, scale)
            })
        }
        DataType::Float | DataType::Double => {
            Resolved::new(vec![DataType::Double], DataType::Timestamp, true, from_doubles)
        }
        _ => Resolved::new(vec![DataType::Long], DataType::Timestamp, call.any_nullable(), |inputs| {
            scaled(inputs, MICROS_PER_SECOND)
        }),
    })
}

fn from_integers(call: &Call, unit: i64) -> Result<Resolved> {
    call.arity(1..=1)?;
    call.exactly(&[Want::Integral])?;
    Ok(Resolved::new(vec![DataType::Long], DataType::Timestamp, call.any_nullable(), move |inputs| {
        scaled(inputs, unit)
    }))
}

fn scaled(inputs: &Inputs, unit: i64) -> Result<ArrayRef> {
    let values = inputs.primitives::<Int64Type>(0)?;
    let out: PrimitiveArray<TimestampMicrosecondType> =
        values.try_unary(|v: i64| v.checked_mul(unit).ok_or_else(|| to_arrow(long_overflow()))).spark()?;
    Ok(instants(out))
}

fn from_decimals(inputs: &Inputs, scale: u32) -> Result<ArrayRef> {
    let values = inputs.primitives::<Decimal128Type>(0)?;
    let out: PrimitiveArray<TimestampMicrosecondType> = values
        .try_unary(|v: i128| {
            let micros = if scale <= 6 {
                v.checked_mul(10i128.pow(6 - scale))
            } else {
                let unit = 10i128.pow(scale - 6);
                if v % unit != 0 {
                    return Err(to_arrow(
                        Error::new("ARITHMETIC_OVERFLOW")
                            .param("message", "Rounding necessary")
                            .param("alternative", "")
                            .param("config", "\"spark.sql.ansi.enabled\"")
                            .message("The number has more than six digits after the point."),
                    ));
                }
                Some(v / unit)
            };
            micros.and_then(|m| i64::try_from(m).ok()).ok_or_else(|| to_arrow(long_overflow()))
        })
        .spark()?;
    Ok(instants(out))
}

/// Whole microseconds, cut; out of range the nearest end; NULL of what is no number.
fn from_doubles(inputs: &Inputs) -> Result<ArrayRef> {
    let values = inputs.primitives::<Float64Type>(0)?;
    let out: PrimitiveArray<TimestampMicrosecondType> = values.unary(|v| (v * 1e6) as i64);
    if values.values().iter().all(|v| v.is_finite()) {
        return Ok(instants(out));
    }
    Ok(instants(keep_where(out, |row| values.is_null(row) || values.value(row).is_finite())))
}

fn to_integers(call: &Call, unit: i64) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.exactly(&[Want::TIMESTAMP])?;
    Ok(Resolved::new(coerced, DataType::Long, call.any_nullable(), move |inputs| {
        let out: Int64Array = timestamps(inputs, 0)?.unary(|t| t.div_euclid(unit));
        Ok(Arc::new(out))
    }))
}
