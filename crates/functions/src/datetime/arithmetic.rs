//! `date_add`, `date_sub`, `datediff`, `add_months`, `months_between`, `next_day`, `last_day`.

use std::sync::Arc;

use arrow::array::{Date32Array, Int32Array, PrimitiveArray};
use arrow::compute::kernels::arity::{binary, try_binary};
use arrow::datatypes::{Date32Type, Float64Type, Int32Type};
use boathouse_bridge::{ResultExt, to_arrow};
use boathouse_spec::{DataType, Error, Result};

use super::clock::Clock;
use super::fields::weekday;
use super::units::{timestamp_add, timestamp_diff};
use super::{build, common_nulls, timestamps};
use crate::cast::calendar::{
    MICROS_PER_SECOND, SECONDS_PER_DAY, civil_from_days, days_from_civil, days_in_month,
};
use crate::{Call, Registry, Resolved, ShownArg, Want, coercion};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["date_add"], |c| shift_days(c, i32::wrapping_add));
    r.scalar(&["dateadd"], |c| {
        let resolved = shift_days(c, i32::wrapping_add)?;
        Ok(if resolved.display_name.is_some() { resolved } else { resolved.shown_as("date_add") })
    });
    r.scalar(&["date_sub"], |c| shift_days(c, i32::wrapping_sub));
    r.scalar(&["datediff", "date_diff"], date_diff);
    r.scalar(&["add_months"], add_months);
    r.scalar(&["months_between"], months_between);
    r.scalar(&["next_day"], next_day);
    r.scalar(&["last_day"], last_day);
}

/// What the count of days may be.
const COUNT_TYPES: &str = "(\"INT\" or \"SMALLINT\" or \"TINYINT\")";

fn shift_days(call: &Call, shift: fn(i32, i32) -> i32) -> Result<Resolved> {
    if call.args.len() == 3 && call.name != "date_sub" {
        return timestamp_add(call);
    }
    call.arity(2..=2)?;
    let context = call.context;
    // A time is not even cast here, unlike in the calls beside.
    let days = coercion::implicit_cast(&call.args[0].data_type, &Want::DATE, context)
        .filter(|_| !matches!(call.args[0].data_type, DataType::Time { .. }))
        .ok_or_else(|| call.unexpected_input(0, &Want::DATE.sql()))?;
    let count = &call.args[1];
    // Without ANSI only a constant string that is a whole number is taken, as that number.
    let written = count.data_type.is_string() && !context.ansi;
    if written {
        let Some(text) = super::constant_text(call, 1).flatten() else {
            return Err(call.unexpected_input(1, COUNT_TYPES));
        };
        if text.trim().parse::<i32>().is_err() {
            return Err(Error::new("SECOND_FUNCTION_ARGUMENT_NOT_INTEGER")
                .param("functionName", call.name)
                .message(format!("The second argument of `{}` must be an integer.", call.name)));
        }
    }
    match count.data_type {
        DataType::Integer | DataType::Short | DataType::Byte | DataType::Null => {}
        ref t if t.is_string() => {}
        _ => return Err(call.unexpected_input(1, COUNT_TYPES)),
    }
    let coerced = vec![days, DataType::Integer];
    let nullable = call.nullable_as(if written { &coerced[..1] } else { &coerced });
    Ok(Resolved::new(coerced, DataType::Date, nullable, move |inputs| {
        let days = inputs.primitives::<Date32Type>(0)?;
        let counts = inputs.primitives::<Int32Type>(1)?;
        let out: Date32Array = binary(&days, &counts, shift).spark()?;
        Ok(Arc::new(out))
    }))
}

fn date_diff(call: &Call) -> Result<Resolved> {
    if call.args.len() == 3 {
        return timestamp_diff(call);
    }
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::DATE])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Integer, nullable, |inputs| {
        let end = inputs.primitives::<Date32Type>(0)?;
        let start = inputs.primitives::<Date32Type>(1)?;
        let out: Int32Array = binary(&end, &start, i32::wrapping_sub).spark()?;
        Ok(Arc::new(out))
    }))
}

/// The day so many months later; of a day the month does not have, the month's last. `None` on overflow.
pub(crate) fn plus_months(days: i64, months: i64) -> Option<i64> {
    let (year, month, day) = civil_from_days(days);
    let total = (year * 12 + i64::from(month) - 1).checked_add(months)?;
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
    if !(-999_999_999..=999_999_999).contains(&year) {
        return None;
    }
    Some(days_from_civil(year, month, day.min(days_in_month(year, month))))
}

fn add_months(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::DATE, Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Date, nullable, |inputs| {
        let days = inputs.primitives::<Date32Type>(0)?;
        let months = inputs.primitives::<Int32Type>(1)?;
        let out: Date32Array = try_binary(&days, &months, |d, m| {
            plus_months(i64::from(d), i64::from(m))
                .and_then(|d| i32::try_from(d).ok())
                .ok_or_else(|| to_arrow(overflow()))
        })
        .spark()?;
        Ok(Arc::new(out))
    }))
}

/// A day number that does not fit 32 bits.
pub(super) fn overflow() -> Error {
    Error::new("ARITHMETIC_OVERFLOW")
        .param("message", "overflow")
        .param("alternative", "")
        .param("config", "\"spark.sql.ansi.enabled\"")
        .message("The date is out of the range of days that a DATE holds.")
}

fn months_between(call: &Call) -> Result<Resolved> {
    call.arity_of(&[2, 3])?;
    let full = super::with_default(call, 2, DataType::Boolean, "true");
    let mut coerced = full.call().want(&[Want::TIMESTAMP, Want::TIMESTAMP, Want::BOOLEAN])?;
    coerced.truncate(call.args.len());
    let nullable = call.nullable_as(&coerced);
    let rounding = call.args.len() == 3;
    let mut shown = vec![ShownArg::Arg(0), ShownArg::Arg(1)];
    shown.push(if rounding { ShownArg::Arg(2) } else { ShownArg::Text("true".into()) });
    Ok(Resolved::new(coerced, DataType::Double, nullable, move |inputs| {
        let clock = Clock::of(inputs.context());
        let (ends, starts) = (timestamps(inputs, 0)?, timestamps(inputs, 1)?);
        let round = if rounding { Some(inputs.booleans(2)?) } else { None };
        let nulls = match &round {
            Some(round) => common_nulls(&[&ends, &starts, round]),
            None => common_nulls(&[&ends, &starts]),
        };
        let out: PrimitiveArray<Float64Type> = build(inputs.rows(), nulls.as_ref(), |row| {
            let months = months_from(&clock, starts.value(row), ends.value(row));
            let rounded = round.as_ref().is_none_or(|r| r.value(row));
            // Java's Math.round: halves go up.
            Ok(Some(if rounded { (months * 1e8 + 0.5).floor() / 1e8 } else { months }))
        })?;
        Ok(Arc::new(out))
    })
    .shown_with(shown))
}

/// Months between two instants: whole where both fall on the same day of the month or on its last day, else with the
/// rest counted in months of 31 days.
fn months_from(clock: &Clock, start: i64, end: i64) -> f64 {
    let (end_day, start_day) = (clock.day(end), clock.day(start));
    let (end_year, end_month, end_dom) = civil_from_days(end_day);
    let (start_year, start_month, start_dom) = civil_from_days(start_day);
    let months = ((end_year - start_year) * 12 + i64::from(end_month) - i64::from(start_month)) as f64;
    let last = |year, month, day| day == days_in_month(year, month);
    if end_dom == start_dom
        || (last(end_year, end_month, end_dom) && last(start_year, start_month, start_dom))
    {
        return months;
    }
    let seconds_of_day = |instant: i64, day: i64| (instant - clock.start_of_day(day)) / MICROS_PER_SECOND;
    let seconds = (i64::from(end_dom) - i64::from(start_dom)) * SECONDS_PER_DAY
        + seconds_of_day(end, end_day)
        - seconds_of_day(start, start_day);
    months + seconds as f64 / (31 * SECONDS_PER_DAY) as f64
}

/// Monday is 0.
fn day_of_week(name: &str) -> Option<i32> {
    Some(match name.to_uppercase().as_str() {
        "MO" | "MON" | "MONDAY" => 0,
        "TU" | "TUE" | "TUESDAY" => 1,
        "WE" | "WED" | "WEDNESDAY" => 2,
        "TH" | "THU" | "THURSDAY" => 3,
        "FR" | "FRI" | "FRIDAY" => 4,
        "SA" | "SAT" | "SATURDAY" => 5,
        "SU" | "SUN" | "SUNDAY" => 6,
        _ => return None,
    })
}

fn next_day(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::DATE, Want::Str])?;
    Ok(Resolved::new(coerced, DataType::Date, true, |inputs| {
        let ansi = inputs.context().ansi;
        let days = inputs.primitives::<Date32Type>(0)?;
        let names = inputs.strings(1)?;
        let known = inputs.constant_string(1).flatten().and_then(|n| day_of_week(&n));
        let nulls = common_nulls(&[&days, &names]);
        let out: Date32Array = build(inputs.rows(), nulls.as_ref(), |row| {
            let Some(wanted) = known.or_else(|| day_of_week(names.value(row))) else {
                if !ansi {
                    return Ok(None);
                }
                let name = names.value(row);
                return Err(Error::new("ILLEGAL_DAY_OF_WEEK")
                    .param("string", name)
                    .message(format!("{name} is no day of the week.")));
            };
            let day = days.value(row);
            let ahead = (wanted - weekday(i64::from(day)) - 1).rem_euclid(7) + 1;
            Ok(Some(day.wrapping_add(ahead)))
        })?;
        Ok(Arc::new(out))
    }))
}

fn last_day(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::DATE])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Date, nullable, |inputs| {
        let days = inputs.primitives::<Date32Type>(0)?;
        let out: Date32Array = days.unary(|d| {
            let (year, month, day) = civil_from_days(i64::from(d));
            d.wrapping_add((days_in_month(year, month) - day) as i32)
        });
        Ok(Arc::new(out))
    }))
}
