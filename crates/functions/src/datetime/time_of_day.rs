//! Times of day: `to_time`, `time_trunc`, `time_diff`, `time_from_*`, `time_to_*`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, PrimitiveArray, Time64NanosecondArray};
use arrow::datatypes::{Decimal128Type, Float64Type, Int64Type, Time64NanosecondType};
use boathouse_bridge::ResultExt;
use boathouse_formats::datetime_pattern::Pattern;
use boathouse_spec::{DataType, Error, Result};

use super::format::Patterns;
use super::{build, common_nulls, out_of_bounds};
use crate::cast::failure::quoted;
use crate::cast::{self, Mode};
use crate::{Call, Inputs, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["to_time"], |c| to_time(c, false));
    r.scalar(&["try_to_time"], |c| {
        let mut inner = vec![ShownArg::Text("to_time(".into()), ShownArg::Arg(0)];
        if c.args.len() > 1 {
            inner.extend([ShownArg::Text(", ".into()), ShownArg::Arg(1)]);
        }
        inner.push(ShownArg::Text(")".into()));
        Ok(to_time(c, true)?.shown_with(vec![ShownArg::Joined(inner)]))
    });
    r.scalar(&["time_trunc"], time_trunc);
    r.scalar(&["time_diff"], time_diff);
    r.scalar(&["time_from_seconds"], time_from_seconds);
    r.scalar(&["time_from_millis"], |c| time_from_integers(c, 1_000_000));
    r.scalar(&["time_from_micros"], |c| time_from_integers(c, 1000));
    r.scalar(&["time_to_seconds"], time_to_seconds);
    r.scalar(&["time_to_millis"], |c| time_to_integers(c, 1_000_000));
    r.scalar(&["time_to_micros"], |c| time_to_integers(c, 1000));
}

const TIME: DataType = DataType::Time { precision: 6 };
const NANOS_PER_DAY: i128 = 86_400_000_000_000;

fn to_time(call: &Call, tried: bool) -> Result<Resolved> {
    call.arity_of(&[1, 2])?;
    let coerced = call.exactly(&[Want::Str])?;
    Ok(Resolved::new(coerced, TIME, true, move |inputs| match inputs.len() {
        1 => by_cast(inputs, tried),
        _ => by_pattern(inputs, tried),
    }))
}

fn cannot_parse(text: &str, pattern: &str) -> Error {
    Error::new("CANNOT_PARSE_TIME").param("input", quoted(text)).param("format", quoted(pattern)).message(
        format!(
            "{} is no time of the pattern {}. Use `try_to_time` to get NULL.",
            quoted(text),
            quoted(pattern)
        ),
    )
}

fn by_cast(inputs: &Inputs, tried: bool) -> Result<ArrayRef> {
    let texts = inputs.array(0)?;
    let times = cast::cast(&texts, &DataType::STRING, &TIME, Mode::Try, inputs.context())?;
    if !tried
        && times.null_count() > texts.null_count()
        && let Some(row) = (0..texts.len()).find(|row| times.is_null(*row) && texts.is_valid(*row))
    {
        return Err(cannot_parse(texts.as_string::<i32>().value(row), "HH:mm:ss.SSSSSS"));
    }
    Ok(times)
}

fn by_pattern(inputs: &Inputs, tried: bool) -> Result<ArrayRef> {
    let texts = inputs.strings(0)?;
    let patterns = inputs.strings(1)?;
    let nulls = common_nulls(&[&texts, &patterns]);
    let mut compiled = Patterns::new(Pattern::for_parsing);
    let read = |pattern: &Pattern, text: &str| {
        pattern
            .parse_to_time_nanos(text)
            // A TIME has microseconds.
            .map(|t| t - t % 1000)
            .map_err(|_| cannot_parse(text, pattern.source()))
    };
    let out: Time64NanosecondArray = build(inputs.rows(), nulls.as_ref(), |row| {
        match compiled.get(patterns.value(row)).and_then(|p| read(p, texts.value(row))) {
            Ok(time) => Ok(Some(time)),
            Err(_) if tried => Ok(None),
            Err(e) if e.is("CANNOT_PARSE_TIME") => Err(e),
            Err(e) => Err(bad_pattern(patterns.value(row), e)),
        }
    })?;
    Ok(Arc::new(out))
}

/// Any fault of a pattern is the same error here.
fn bad_pattern(pattern: &str, cause: Error) -> Error {
    Error::new("INVALID_DATETIME_PATTERN.WITH_SUGGESTION")
        .param("pattern", format!("'{pattern}'"))
        .message(format!("'{pattern}' is no datetime pattern."))
        .caused_by(cause)
}

/// Times, and strings that become times.
fn time_type(call: &Call, i: usize) -> Result<DataType> {
    match &call.args[i].data_type {
        t @ DataType::Time { .. } => Ok(t.clone()),
        DataType::Null => Ok(TIME),
        t if t.is_string() => Ok(TIME),
        _ => Err(call.unexpected_input(i, "\"TIME\"")),
    }
}

/// Nanoseconds of a unit of time.
fn unit_of(name: &str, function: &str) -> Result<i64> {
    Ok(match name.to_uppercase().as_str() {
        "HOUR" => 3_600_000_000_000,
        "MINUTE" => 60_000_000_000,
        "SECOND" => 1_000_000_000,
        "MILLISECOND" => 1_000_000,
        "MICROSECOND" => 1000,
        _ => {
            return Err(Error::new("INVALID_PARAMETER_VALUE.TIME_UNIT")
                .param("functionName", format!("`{function}`"))
                .param("parameter", "`unit`")
                .param("invalidValue", quoted(name))
                .message(format!(
                    "The unit of `{function}` must be HOUR, MINUTE, SECOND, MILLISECOND or MICROSECOND, not {}.",
                    quoted(name)
                )));
        }
    })
}

fn time_trunc(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let unit = call.want(&[Want::Str, Want::Any])?.swap_remove(0);
    let time = time_type(call, 1)?;
    Ok(Resolved::new(vec![unit, time.clone()], time, true, |inputs| {
        let units = inputs.strings(0)?;
        let times = inputs.primitives::<Time64NanosecondType>(1)?;
        let nulls = common_nulls(&[&units, &times]);
        let out: Time64NanosecondArray = build(inputs.rows(), nulls.as_ref(), |row| {
            let unit = unit_of(units.value(row), "time_trunc")?;
            let time = times.value(row);
            Ok(Some(time - time % unit))
        })?;
        Ok(Arc::new(out))
    }))
}

fn time_diff(call: &Call) -> Result<Resolved> {
    call.arity(3..=3)?;
    let unit = call.want(&[Want::Str, Want::Any, Want::Any])?.swap_remove(0);
    let coerced = vec![unit, time_type(call, 1)?, time_type(call, 2)?];
    Ok(Resolved::new(coerced, DataType::Long, true, |inputs| {
        let units = inputs.strings(0)?;
        let starts = inputs.primitives::<Time64NanosecondType>(1)?;
        let ends = inputs.primitives::<Time64NanosecondType>(2)?;
        let nulls = common_nulls(&[&units, &starts, &ends]);
        let out: Int64Array = build(inputs.rows(), nulls.as_ref(), |row| {
            Ok(Some((ends.value(row) - starts.value(row)) / unit_of(units.value(row), "time_diff")?))
        })?;
        Ok(Arc::new(out))
    }))
}

fn checked_time(nanos: i128) -> Result<Option<i64>> {
    if (0..NANOS_PER_DAY).contains(&nanos) {
        return Ok(Some(nanos as i64));
    }
    Err(out_of_bounds(
        &format!(
            "Invalid TIME value: must be between 00:00:00 and 23:59:59.999999999, but got {nanos} nanoseconds"
        ),
        false,
    ))
}

fn time_from_seconds(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let given = call.exactly(&[Want::Numeric])?.swap_remove(0);
    let coerced = match &given {
        t @ DataType::Decimal { .. } => t.clone(),
        t if t.is_integral() => DataType::Long,
        _ => DataType::Double,
    };
    Ok(Resolved::new(vec![coerced.clone()], TIME, true, move |inputs| {
        let nulls = inputs.array(0)?.nulls().cloned();
        let rows = inputs.rows();
        let out: Time64NanosecondArray = match &coerced {
            DataType::Long => {
                let values = inputs.primitives::<Int64Type>(0)?;
                build(rows, nulls.as_ref(), |row| {
                    checked_time(i128::from(values.value(row)) * 1_000_000_000)
                })?
            }
            DataType::Decimal { scale, .. } => {
                let values = inputs.primitives::<Decimal128Type>(0)?;
                let scale = u32::from(*scale);
                build(rows, nulls.as_ref(), |row| {
                    let value = values.value(row);
                    let unit = 10i128.pow(scale.saturating_sub(9));
                    if value % unit != 0 {
                        return Err(out_of_bounds("Overflow in TIME conversion", false));
                    }
                    checked_time((value / unit).saturating_mul(10i128.pow(9u32.saturating_sub(scale))))
                })?
            }
            _ => {
                let values = inputs.primitives::<Float64Type>(0)?;
                build(rows, nulls.as_ref(), |row| {
                    let value = values.value(row);
                    if !value.is_finite() {
                        return Err(out_of_bounds("Cannot convert NaN or Infinite value to TIME", false));
                    }
                    checked_time(i128::from((value * 1e9) as i64))
                })?
            }
        };
        Ok(Arc::new(out))
    }))
}

fn time_from_integers(call: &Call, unit: i64) -> Result<Resolved> {
    call.arity(1..=1)?;
    call.exactly(&[Want::Integral])?;
    Ok(Resolved::new(vec![DataType::Long], TIME, true, move |inputs| {
        let values = inputs.primitives::<Int64Type>(0)?;
        let out: Time64NanosecondArray = build(inputs.rows(), values.nulls(), |row| {
            checked_time(i128::from(values.value(row)) * i128::from(unit))
        })?;
        Ok(Arc::new(out))
    }))
}

fn time_to_seconds(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.exactly(&[Want::AnyTime])?;
    Ok(Resolved::new(coerced, DataType::Decimal { precision: 14, scale: 6 }, true, |inputs| {
        let times = inputs.primitives::<Time64NanosecondType>(0)?;
        let out: PrimitiveArray<Decimal128Type> = times.unary(|t| i128::from(t / 1000));
        Ok(Arc::new(out.with_precision_and_scale(14, 6).spark()?))
    }))
}

fn time_to_integers(call: &Call, unit: i64) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.exactly(&[Want::AnyTime])?;
    Ok(Resolved::new(coerced, DataType::Long, true, move |inputs| {
        let times = inputs.primitives::<Time64NanosecondType>(0)?;
        let out: Int64Array = times.unary(|t| t / unit);
        Ok(Arc::new(out))
    }))
}
