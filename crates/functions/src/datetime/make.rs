//! `make_date`, `make_timestamp` and its kin, `make_time`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, Int32Array, PrimitiveArray, Time64NanosecondArray};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Int32Type, Time64NanosecondType, TimestampMicrosecondType,
};
use boathouse_spec::{DataType, Error, Result};

use super::arithmetic::overflow;
use super::clock::Clock;
use super::zones::Clocks;
use super::{build, common_nulls, instants, long_overflow, out_of_bounds, range_text};
use crate::cast::calendar::{MICROS_PER_DAY, days_from_civil, days_in_month};
use crate::cast::text::write_decimal;
use crate::{Call, Inputs, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["make_date"], make_date);
    r.scalar(&["make_timestamp"], |c| make_timestamp(c, default_type(c), false));
    r.scalar(&["try_make_timestamp"], |c| make_timestamp(c, default_type(c), true));
    r.scalar(&["make_timestamp_ltz"], |c| make_timestamp(c, DataType::Timestamp, false));
    r.scalar(&["try_make_timestamp_ltz"], |c| make_timestamp(c, DataType::Timestamp, true));
    r.scalar(&["make_timestamp_ntz"], |c| make_timestamp(c, DataType::TimestampNtz, false));
    r.scalar(&["try_make_timestamp_ntz"], |c| make_timestamp(c, DataType::TimestampNtz, true));
    r.scalar(&["make_time"], make_time);
}

/// Seconds with microseconds, as the functions take them.
const SECONDS: DataType = DataType::Decimal { precision: 16, scale: 6 };

fn default_type(call: &Call) -> DataType {
    if call.context.timestamp_ntz_default { DataType::TimestampNtz } else { DataType::Timestamp }
}

const MONTHS: [&str; 12] = [
    "JANUARY",
    "FEBRUARY",
    "MARCH",
    "APRIL",
    "MAY",
    "JUNE",
    "JULY",
    "AUGUST",
    "SEPTEMBER",
    "OCTOBER",
    "NOVEMBER",
    "DECEMBER",
];

/// The day number, or what java.time says is wrong.
fn days_of(year: i32, month: i32, day: i32) -> Result<i64, String> {
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    if !(-999_999_999..=999_999_999).contains(&year) {
        return Err(range_text("Year", -999_999_999, 999_999_999, year));
    }
    if !(1..=12).contains(&month) {
        return Err(range_text("MonthOfYear", 1, 12, month));
    }
    if !(1..=31).contains(&day) {
        return Err(format!("Invalid value for DayOfMonth (valid values 1 - 28/31): {day}"));
    }
    if day > i64::from(days_in_month(year, month as u32)) {
        if month == 2 && day == 29 {
            return Err(format!("Invalid date 'February 29' as '{year}' is not a leap year"));
        }
        return Err(format!("Invalid date '{} {day}'", MONTHS[month as usize - 1]));
    }
    Ok(days_from_civil(year, month as u32, day as u32))
}

fn time_of(hour: i64, minute: i64, second: i64) -> Result<(), String> {
    for (field, high, value) in
        [("HourOfDay", 23, hour), ("MinuteOfHour", 59, minute), ("SecondOfMinute", 59, second)]
    {
        if !(0..=high).contains(&value) {
            return Err(range_text(field, 0, high, value));
        }
    }
    Ok(())
}

fn make_date(call: &Call) -> Result<Resolved> {
    call.arity(3..=3)?;
    let coerced = call.want(&[Want::INT])?;
    let lenient = !call.context.ansi;
    let nullable = lenient || call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Date, nullable, move |inputs| {
        let [years, months, days] = integers(inputs)?;
        let nulls = common_nulls(&[&years, &months, &days]);
        let out: Date32Array = build(inputs.rows(), nulls.as_ref(), |row| {
            match days_of(years.value(row), months.value(row), days.value(row)) {
                Ok(day) => i32::try_from(day).map(Some).map_err(|_| overflow()),
                Err(_) if lenient => Ok(None),
                Err(range) => Err(out_of_bounds(&range, true)),
            }
        })?;
        Ok(Arc::new(out))
    }))
}

fn integers<const N: usize>(inputs: &Inputs) -> Result<[Int32Array; N]> {
    let mut out = [(); N].map(|()| Int32Array::from(Vec::<i32>::new()));
    for (i, array) in out.iter_mut().enumerate() {
        *array = inputs.primitives::<Int32Type>(i)?;
    }
    Ok(out)
}

fn make_timestamp(call: &Call, to: DataType, tried: bool) -> Result<Resolved> {
    let zoned = to == DataType::Timestamp;
    let ltz = call.name.ends_with("_ltz");
    // Spark's message leaves out the zone in two of the forms.
    match (zoned, ltz) {
        (true, true) if matches!(call.args.len(), 3 | 7) => {}
        (true, false) => call.arity_of(&[1, 2, 3, 6, 7])?,
        _ => call.arity_of(&[2, 6])?,
    }
    if call.args.len() <= 3 {
        return of_date_and_time(call, to, tried);
    }
    let wanted = [Want::INT, Want::INT, Want::INT, Want::INT, Want::INT, Want::Exact(SECONDS), Want::Str];
    let coerced = call.want(&wanted)?;
    let lenient = tried || !call.context.ansi;
    let nullable = lenient || call.nullable_as(&coerced);
    let resolved = Resolved::new(coerced, to, nullable, move |inputs| {
        let out = timestamps_of_fields(inputs, zoned, lenient)?;
        Ok(if zoned { instants(out) } else { Arc::new(out) as ArrayRef })
    });
    Ok(if tried && !ltz { resolved.shown_with((0..6).map(ShownArg::Arg).collect()) } else { resolved })
}

fn timestamps_of_fields(
    inputs: &Inputs,
    zoned: bool,
    lenient: bool,
) -> Result<PrimitiveArray<TimestampMicrosecondType>> {
    let [years, months, days, hours, minutes] = integers(inputs)?;
    let seconds = inputs.primitives::<Decimal128Type>(5)?;
    let zones = if inputs.len() > 6 { Some(inputs.strings(6)?) } else { None };
    let mut arrays: Vec<&dyn Array> = vec![&years, &months, &days, &hours, &minutes, &seconds];
    arrays.extend(zones.as_ref().map(|z| z as &dyn Array));
    let nulls = common_nulls(&arrays);
    let session = if zoned { Clock::of(inputs.context()) } else { Clock::utc() };
    let mut clocks = Clocks::default();
    build(inputs.rows(), nulls.as_ref(), |row| {
        let clock = match &zones {
            Some(zones) => Some(clocks.get(zones.value(row))?),
            None => None,
        };
        // Spark keeps 32 bits of the microseconds; what does not fit is out of range afterwards, too.
        let micros = i64::from(seconds.value(row) as i32);
        let (mut second, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        let mut carry = 0;
        if second == 60 {
            if fraction > 0 {
                return if lenient { Ok(None) } else { Err(invalid_fraction(seconds.value(row))) };
            }
            (second, carry) = (0, 60_000_000);
        }
        let (hour, minute) = (i64::from(hours.value(row)), i64::from(minutes.value(row)));
        let day = days_of(years.value(row), months.value(row), days.value(row))
            .and_then(|day| time_of(hour, minute, second).map(|()| day));
        let day = match day {
            Ok(day) => day,
            Err(_) if lenient => return Ok(None),
            Err(range) => return Err(out_of_bounds(&range, true)),
        };
        let local = day
            .checked_mul(MICROS_PER_DAY)
            .and_then(|d| d.checked_add((hour * 3600 + minute * 60 + second) * 1_000_000 + fraction + carry))
            .ok_or_else(long_overflow)?;
        clock.as_deref().unwrap_or(&session).checked_instant(local).ok_or_else(long_overflow).map(Some)
    })
}

fn invalid_fraction(seconds: i128) -> Error {
    let mut text = String::new();
    write_decimal(seconds, 6, &mut text);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    Error::new("INVALID_FRACTION_OF_SECOND").param("secAndMicros", text).message(format!(
        "{text} seconds: only 60 without a fraction counts as the next minute. Use `try_make_timestamp` to get NULL."
    ))
}

/// `make_timestamp(date [, time [, zone]])`.
fn of_date_and_time(call: &Call, to: DataType, tried: bool) -> Result<Resolved> {
    let zoned = to == DataType::Timestamp;
    // Messages name the function that does the work.
    let inner = match (zoned, call.args.len()) {
        (false, _) => "make_timestamp_ntz",
        (true, 1) => call.name,
        (true, _) => "make_timestamp",
    };
    let worker = Call { name: inner, args: call.args, context: call.context };
    let coerced = worker.exactly(&[Want::DATE, Want::AnyTime, Want::Str])?;
    let nullable = !zoned || call.nullable_as(&coerced);
    let resolved = Resolved::new(coerced, to, nullable, move |inputs| {
        let days = inputs.primitives::<Date32Type>(0)?;
        let times = if inputs.len() > 1 { Some(inputs.primitives::<Time64NanosecondType>(1)?) } else { None };
        let zones = if inputs.len() > 2 { Some(inputs.strings(2)?) } else { None };
        let mut arrays: Vec<&dyn Array> = vec![&days];
        arrays.extend(times.as_ref().map(|t| t as &dyn Array));
        arrays.extend(zones.as_ref().map(|z| z as &dyn Array));
        let nulls = common_nulls(&arrays);
        let session = if zoned { Clock::of(inputs.context()) } else { Clock::utc() };
        let mut clocks = Clocks::default();
        let out: PrimitiveArray<TimestampMicrosecondType> = build(inputs.rows(), nulls.as_ref(), |row| {
            let local = i64::from(days.value(row))
                .checked_mul(MICROS_PER_DAY)
                .and_then(|d| d.checked_add(times.as_ref().map_or(0, |t| t.value(row) / 1000)))
                .ok_or_else(long_overflow)?;
            let instant = match &zones {
                Some(zones) => clocks.get(zones.value(row))?.checked_instant(local),
                None => session.checked_instant(local),
            };
            instant.ok_or_else(long_overflow).map(Some)
        })?;
        Ok(if zoned { instants(out) } else { Arc::new(out) as ArrayRef })
    });
    Ok(match (zoned, tried) {
        (true, _) if call.name.ends_with("_ltz") => resolved.shown_as("make_timestamp"),
        (false, true) => resolved.shown_with(vec![ShownArg::Joined(vec![
            ShownArg::Text("make_timestamp_ntz(".into()),
            ShownArg::Arg(0),
            ShownArg::Text(", ".into()),
            ShownArg::Arg(1),
            ShownArg::Text(")".into()),
        ])]),
        _ => resolved,
    })
}

fn make_time(call: &Call) -> Result<Resolved> {
    call.arity(3..=3)?;
    let coerced = call.want(&[Want::INT, Want::INT, Want::Exact(SECONDS)])?;
    Ok(Resolved::new(coerced, DataType::Time { precision: 6 }, true, |inputs| {
        let [hours, minutes] = integers(inputs)?;
        let seconds = inputs.primitives::<Decimal128Type>(2)?;
        let nulls = common_nulls(&[&hours, &minutes, &seconds]);
        let out: Time64NanosecondArray = build(inputs.rows(), nulls.as_ref(), |row| {
            let micros = seconds.value(row);
            let (hour, minute) = (i64::from(hours.value(row)), i64::from(minutes.value(row)));
            let second = i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX);
            time_of(hour, minute, second).map_err(|range| out_of_bounds(&range, false))?;
            if micros < 0 {
                return Err(out_of_bounds(&range_text("SecondOfMinute", 0, 59, second), false));
            }
            let fraction = micros.rem_euclid(1_000_000) as i64;
            Ok(Some(((hour * 3600 + minute * 60 + second) * 1_000_000 + fraction) * 1000))
        })?;
        Ok(Arc::new(out))
    }))
}
