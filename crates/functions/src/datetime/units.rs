//! `timestampadd(unit, n, t)` and `timestampdiff(unit, start, end)`, which `dateadd` and `datediff` with three
//! arguments are, too.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, PrimitiveArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use boathouse_spec::{DataType, Error, Result};

use super::arithmetic::plus_months;
use super::clock::Clock;
use super::fields::clock;
use super::{build, common_nulls, constant_text, instants, timestamps};
use crate::cast::calendar::{MICROS_PER_DAY, civil_from_days};
use crate::cast::text::write_timestamp;
use crate::cast::zone::Zone;
use crate::{Call, Registry, Resolved, Want, coercion};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["timestampadd"], timestamp_add);
    r.scalar(&["timestampdiff"], timestamp_diff);
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    Micros(i64),
    Days(i64),
    Months(i64),
}

fn unit(call: &Call) -> Result<(String, Unit)> {
    let name = constant_text(call, 0).flatten().unwrap_or_default();
    let unit = match name.to_uppercase().as_str() {
        "MICROSECOND" => Unit::Micros(1),
        "MILLISECOND" => Unit::Micros(1000),
        "SECOND" => Unit::Micros(1_000_000),
        "MINUTE" => Unit::Micros(60_000_000),
        "HOUR" => Unit::Micros(3_600_000_000),
        "DAY" | "DAYOFYEAR" => Unit::Days(1),
        "WEEK" => Unit::Days(7),
        "MONTH" => Unit::Months(1),
        "QUARTER" => Unit::Months(3),
        "YEAR" => Unit::Months(12),
        _ => return Err(invalid_unit(call, &name, "DAY, DAYOFYEAR")),
    };
    Ok((name, unit))
}

/// `days`: the units of days that the function knows.
fn invalid_unit(call: &Call, name: &str, days: &str) -> Error {
    Error::new("INVALID_PARAMETER_VALUE.DATETIME_UNIT")
        .param("functionName", format!("`{}`", call.name.to_uppercase()))
        .param("parameter", "`unit`")
        .param("invalidValue", format!("'{name}'"))
        .message(format!(
            "The unit of `{}` is written without quotes and is one of YEAR, QUARTER, MONTH, WEEK, {days}, HOUR, MINUTE, \
             SECOND, MILLISECOND, MICROSECOND; not '{name}'.",
            call.name
        ))
}

/// The types, of which messages do not count the unit as an argument.
fn want(call: &Call, wanted: &[Want]) -> Result<Vec<DataType>> {
    let mut coerced = vec![DataType::STRING];
    for (i, want) in wanted.iter().enumerate() {
        let to = coercion::implicit_cast(&call.args[i + 1].data_type, want, call.context)
            .ok_or_else(|| call.unexpected_input_in(&call.sql(), i, i + 1, &want.sql()))?;
        coerced.push(to);
    }
    Ok(coerced)
}

pub(super) fn timestamp_add(call: &Call) -> Result<Resolved> {
    call.arity(3..=3)?;
    let (name, unit) = unit(call)?;
    let coerced = want(call, &[Want::LONG, Want::AnyTimestamp])?;
    let nullable = call.nullable_as(&coerced);
    let to = coerced.get(2).cloned().unwrap_or(DataType::Timestamp);
    let zoned = to == DataType::Timestamp;
    Ok(Resolved::new(coerced, to, nullable, move |inputs| {
        let clock = clock(inputs, zoned);
        let counts = inputs.primitives::<Int64Type>(1)?;
        let values = timestamps(inputs, 2)?;
        let nulls = common_nulls(&[&counts, &values]);
        let out: PrimitiveArray<TimestampMicrosecondType> = build(inputs.rows(), nulls.as_ref(), |row| {
            let (count, value) = (counts.value(row), values.value(row));
            add(unit, count, value, &clock).map(Some).ok_or_else(|| {
                let (zone, kind) = match zoned {
                    true => (Zone::of(inputs.context()), "TIMESTAMP"),
                    false => (Zone::UTC, "TIMESTAMP_NTZ"),
                };
                let mut text = String::new();
                write_timestamp(value, &zone, &mut text);
                let operation = format!("add {count}L {name} to {kind} '{text}'");
                Error::new("DATETIME_OVERFLOW")
                    .param("operation", &operation)
                    .message(format!("The result of `{operation}` is out of the range of timestamps."))
            })
        })?;
        Ok(if zoned { instants(out) } else { Arc::new(out) as ArrayRef })
    })
    .shown_as("timestampadd"))
}

/// Whole days and months move the wall clock, the rest the instant.
fn add(unit: Unit, count: i64, value: i64, clock: &Clock) -> Option<i64> {
    match unit {
        Unit::Months(per) => {
            let months = i32::try_from(count.checked_mul(per)?).ok()?;
            shift_months(value, i64::from(months), clock)
        }
        Unit::Days(per) => shift_micros(value, count.checked_mul(per)?.checked_mul(MICROS_PER_DAY)?, clock),
        Unit::Micros(per) => value.checked_add(count.checked_mul(per)?),
    }
}

/// The timestamp so many months later on the wall clock.
pub(crate) fn shift_months(value: i64, months: i64, clock: &Clock) -> Option<i64> {
    let offset = clock.offset_at(value);
    let local = value.checked_add(offset)?;
    let day = plus_months(local.div_euclid(MICROS_PER_DAY), months)?;
    clock.resolve(day.checked_mul(MICROS_PER_DAY)?.checked_add(local.rem_euclid(MICROS_PER_DAY))?, offset)
}

/// The timestamp so much later: whole days on the wall clock, then the rest in real time.
pub(crate) fn shift_micros(value: i64, micros: i64, clock: &Clock) -> Option<i64> {
    let (days, rest) = (micros / MICROS_PER_DAY, micros % MICROS_PER_DAY);
    if days == 0 {
        return value.checked_add(rest);
    }
    let offset = clock.offset_at(value);
    let local = value.checked_add(offset)?.checked_add(days.checked_mul(MICROS_PER_DAY)?)?;
    clock.resolve(local, offset)?.checked_add(rest)
}

pub(super) fn timestamp_diff(call: &Call) -> Result<Resolved> {
    call.arity(3..=3)?;
    let (name, unit) = unit(call)?;
    // Differences are not counted in days of a year; Spark says so once it has two timestamps.
    let refused = name.eq_ignore_ascii_case("DAYOFYEAR").then(|| invalid_unit(call, &name, "DAY"));
    let coerced = want(call, &[Want::TIMESTAMP, Want::TIMESTAMP])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Long, nullable, move |inputs| {
        let clock = Clock::of(inputs.context());
        let starts = timestamps(inputs, 1)?;
        let ends = timestamps(inputs, 2)?;
        let nulls = common_nulls(&[&starts, &ends]);
        let out: Int64Array = build(inputs.rows(), nulls.as_ref(), |row| match &refused {
            Some(error) => Err(error.clone()),
            None => Ok(Some(difference(unit, clock.local(starts.value(row)), clock.local(ends.value(row))))),
        })?;
        Ok(Arc::new(out))
    })
    .shown_as("timestampdiff"))
}

/// Whole units between two wall clock times.
fn difference(unit: Unit, start: i64, end: i64) -> i64 {
    if let Unit::Micros(per) = unit {
        return ((i128::from(end) - i128::from(start)) / i128::from(per)) as i64;
    }
    let (start_day, mut end_day) = (start.div_euclid(MICROS_PER_DAY), end.div_euclid(MICROS_PER_DAY));
    let (start_time, end_time) = (start.rem_euclid(MICROS_PER_DAY), end.rem_euclid(MICROS_PER_DAY));
    // A day that is not over does not count.
    if end_day > start_day && end_time < start_time {
        end_day -= 1;
    } else if end_day < start_day && end_time > start_time {
        end_day += 1;
    }
    match unit {
        Unit::Months(per) => {
            let packed = |day: i64| {
                let (year, month, day) = civil_from_days(day);
                (year * 12 + i64::from(month) - 1) * 32 + i64::from(day)
            };
            (packed(end_day) - packed(start_day)) / 32 / per
        }
        Unit::Days(per) => (end_day - start_day) / per,
        Unit::Micros(_) => 0,
    }
}
