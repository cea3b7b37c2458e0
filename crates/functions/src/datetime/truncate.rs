//! `trunc` and `date_trunc`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, PrimitiveArray, new_null_array};
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use boathouse_bridge::arrow_type;
use boathouse_spec::{DataType, Result};

use super::clock::Clock;
use super::fields::weekday;
use super::{build, common_nulls, instants, timestamps};
use crate::cast::calendar::{MICROS_PER_SECOND, civil_from_days, days_from_civil};
use crate::{Call, Inputs, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["trunc"], trunc);
    r.scalar(&["date_trunc"], date_trunc);
}

#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Level {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Level {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_uppercase().as_str() {
            "MICROSECOND" => Self::Microsecond,
            "MILLISECOND" => Self::Millisecond,
            "SECOND" => Self::Second,
            "MINUTE" => Self::Minute,
            "HOUR" => Self::Hour,
            "DAY" | "DD" => Self::Day,
            "WEEK" => Self::Week,
            "MON" | "MONTH" | "MM" => Self::Month,
            "QUARTER" => Self::Quarter,
            "YEAR" | "YYYY" | "YY" => Self::Year,
            _ => return None,
        })
    }

    /// The first day of the week, month, quarter or year.
    fn of_day(self, day: i64) -> i64 {
        if self == Self::Week {
            return day - i64::from(weekday(day));
        }
        let (year, month, _) = civil_from_days(day);
        match self {
            Self::Month => days_from_civil(year, month, 1),
            Self::Quarter => days_from_civil(year, (month - 1) / 3 * 3 + 1, 1),
            Self::Year => days_from_civil(year, 1, 1),
            _ => day,
        }
    }

    fn of_instant(self, instant: i64, clock: &Clock) -> i64 {
        match self {
            Self::Microsecond => instant,
            Self::Millisecond => instant - instant.rem_euclid(1000),
            Self::Second => instant - instant.rem_euclid(MICROS_PER_SECOND),
            Self::Minute => floor(instant, 60 * MICROS_PER_SECOND, clock),
            Self::Hour => floor(instant, 3600 * MICROS_PER_SECOND, clock),
            _ => clock.start_of_day(self.of_day(clock.day(instant))),
        }
    }
}

/// Cuts the wall clock; the offset stays where the cut time is valid with it (an hour that comes twice).
fn floor(instant: i64, unit: i64, clock: &Clock) -> i64 {
    let offset = clock.offset_at(instant);
    let local = instant.saturating_add(offset);
    let cut = local.saturating_sub(local.rem_euclid(unit));
    let kept = cut.saturating_sub(offset);
    if clock.offset_at(kept) == offset { kept } else { clock.instant(cut) }
}

fn trunc(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::DATE, Want::Str])?;
    Ok(Resolved::new(coerced, DataType::Date, true, |inputs| {
        let days = inputs.primitives::<Date32Type>(0)?;
        let level = |name: &str| Level::parse(name).filter(|l| *l >= Level::Week);
        let cut = |d: i32, level: Level| level.of_day(i64::from(d)) as i32;
        if let Some(name) = inputs.constant_string(1) {
            return Ok(match name.as_deref().and_then(level) {
                Some(level) => Arc::new(days.unary::<_, Date32Type>(|d| cut(d, level))) as ArrayRef,
                None => new_null_array(&arrow_type(&DataType::Date), inputs.rows()),
            });
        }
        let names = inputs.strings(1)?;
        let nulls = common_nulls(&[&days, &names]);
        let out: Date32Array = build(inputs.rows(), nulls.as_ref(), |row| {
            Ok(level(names.value(row)).map(|l| cut(days.value(row), l)))
        })?;
        Ok(Arc::new(out))
    }))
}

fn date_trunc(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::Str, Want::TIMESTAMP])?;
    Ok(Resolved::new(coerced, DataType::Timestamp, true, truncate_instants))
}

fn truncate_instants(inputs: &Inputs) -> Result<ArrayRef> {
    let clock = Clock::of(inputs.context());
    let values = timestamps(inputs, 1)?;
    if let Some(name) = inputs.constant_string(0) {
        return Ok(match name.as_deref().and_then(Level::parse) {
            Some(level) => instants(values.unary(|t| level.of_instant(t, &clock))),
            None => new_null_array(&arrow_type(&DataType::Timestamp), inputs.rows()),
        });
    }
    let names = inputs.strings(0)?;
    let nulls = common_nulls(&[&values, &names]);
    let out: PrimitiveArray<TimestampMicrosecondType> = build(inputs.rows(), nulls.as_ref(), |row| {
        Ok(Level::parse(names.value(row)).map(|l| l.of_instant(values.value(row), &clock)))
    })?;
    Ok(instants(out))
}
