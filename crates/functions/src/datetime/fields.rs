//! `year`, `month`, ..., `second`, `dayname`, `monthname`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, PrimitiveArray, StringBuilder};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Int32Type, Time64NanosecondType, TimestampMicrosecondType,
};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Result};

use super::clock::Clock;
use super::timestamps;
use crate::cast::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND, civil_from_days, days_from_civil};
use crate::{Call, Inputs, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["year"], |c| of_date(c, DateField::Year));
    r.scalar(&["quarter"], |c| of_date(c, DateField::Quarter));
    r.scalar(&["month"], |c| of_date(c, DateField::Month));
    r.scalar(&["day", "dayofmonth"], |c| of_date(c, DateField::Day));
    r.scalar(&["dayofweek"], |c| of_date(c, DateField::DayOfWeek));
    r.scalar(&["dayofyear"], |c| of_date(c, DateField::DayOfYear));
    r.scalar(&["weekday"], |c| of_date(c, DateField::Weekday));
    r.scalar(&["weekofyear"], |c| of_date(c, DateField::Week));
    r.scalar(&["hour"], |c| of_time(c, TimeField::Hour));
    r.scalar(&["minute"], |c| of_time(c, TimeField::Minute));
    r.scalar(&["second"], |c| of_time(c, TimeField::Second));
    r.scalar(&["dayname"], |c| named(c, |days| DAY_NAMES[weekday(days) as usize]));
    r.scalar(&["monthname"], |c| named(c, |days| MONTH_NAMES[civil_from_days(days).1 as usize - 1]));
}

const DAY_NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTH_NAMES: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[derive(Debug, Clone, Copy)]
pub(super) enum DateField {
    Year,
    /// The year an ISO week belongs to.
    YearOfWeek,
    Quarter,
    Month,
    Week,
    Day,
    /// Sunday is 1.
    DayOfWeek,
    /// Monday is 1.
    DayOfWeekIso,
    /// Monday is 0.
    Weekday,
    DayOfYear,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum TimeField {
    Hour,
    Minute,
    Second,
}

impl DateField {
    pub fn of(self, days: &PrimitiveArray<Date32Type>) -> Int32Array {
        match self {
            Self::Year => civil(days, |y, _, _| y as i32),
            Self::Quarter => civil(days, |_, m, _| (m as i32 + 2) / 3),
            Self::Month => civil(days, |_, m, _| m as i32),
            Self::Day => civil(days, |_, _, d| d as i32),
            Self::YearOfWeek => days.unary(|d| iso_week(i64::from(d)).0 as i32),
            Self::Week => days.unary(|d| iso_week(i64::from(d)).1),
            Self::DayOfWeek => days.unary(|d| (i64::from(d) + 4).rem_euclid(7) as i32 + 1),
            Self::DayOfWeekIso => days.unary(|d| weekday(i64::from(d)) + 1),
            Self::Weekday => days.unary(|d| weekday(i64::from(d))),
            Self::DayOfYear => days.unary(|d| {
                let d = i64::from(d);
                (d - days_from_civil(civil_from_days(d).0, 1, 1)) as i32 + 1
            }),
        }
    }
}

fn civil(days: &PrimitiveArray<Date32Type>, of: impl Fn(i64, u32, u32) -> i32) -> Int32Array {
    days.unary::<_, Int32Type>(|d| {
        let (year, month, day) = civil_from_days(i64::from(d));
        of(year, month, day)
    })
}

/// Monday is 0.
pub(super) fn weekday(days: i64) -> i32 {
    (days + 3).rem_euclid(7) as i32
}

/// ISO 8601's year and week: the week belongs to the year its Thursday is in.
fn iso_week(days: i64) -> (i64, i32) {
    let thursday = days - i64::from(weekday(days)) + 3;
    let year = civil_from_days(thursday).0;
    (year, ((thursday - days_from_civil(year, 1, 1)) / 7) as i32 + 1)
}

fn of_date(call: &Call, field: DateField) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::DATE])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Integer, nullable, move |inputs| date_field(inputs, 0, field)))
}

pub(super) fn date_field(inputs: &Inputs, i: usize, field: DateField) -> Result<ArrayRef> {
    Ok(Arc::new(field.of(&inputs.primitives::<Date32Type>(i)?)))
}

fn of_time(call: &Call, field: TimeField) -> Result<Resolved> {
    call.arity(1..=usize::MAX)?;
    if call.args.len() > 1 {
        // Spark looks at the first argument only.
        let first = Call { name: call.name, args: &call.args[..1], context: call.context };
        let mut resolved = of_time(&first, field)?.shown_with(vec![ShownArg::Arg(0)]);
        resolved.coerced.extend(call.types().into_iter().skip(1));
        return Ok(resolved);
    }
    if call.args.first().is_some_and(|a| matches!(a.data_type, DataType::Time { .. })) {
        return Ok(Resolved::new(call.types(), DataType::Integer, true, move |inputs| {
            time_of_day_field(inputs, 0, field)
        }));
    }
    let coerced = call.want(&[Want::AnyTimestamp])?;
    let nullable = call.nullable_as(&coerced);
    let zoned = coerced.first() == Some(&DataType::Timestamp);
    Ok(Resolved::new(coerced, DataType::Integer, nullable, move |inputs| time_field(inputs, 0, field, zoned)))
}

pub(super) fn time_of_day_field(inputs: &Inputs, i: usize, field: TimeField) -> Result<ArrayRef> {
    let times = inputs.primitives::<Time64NanosecondType>(i)?;
    let unit = 1_000_000_000;
    let out: Int32Array = match field {
        TimeField::Hour => times.unary(|t| (t / (3600 * unit)) as i32),
        TimeField::Minute => times.unary(|t| (t / (60 * unit) % 60) as i32),
        TimeField::Second => times.unary(|t| (t / unit % 60) as i32),
    };
    Ok(Arc::new(out))
}

pub(super) fn clock(inputs: &Inputs, zoned: bool) -> Clock {
    if zoned { Clock::of(inputs.context()) } else { Clock::utc() }
}

pub(super) fn time_field(inputs: &Inputs, i: usize, field: TimeField, zoned: bool) -> Result<ArrayRef> {
    let clock = clock(inputs, zoned);
    let values = timestamps(inputs, i)?;
    let second_of_day = |t: i64| clock.local(t).rem_euclid(MICROS_PER_DAY) / MICROS_PER_SECOND;
    let out: Int32Array = match field {
        TimeField::Hour => values.unary(|t| (second_of_day(t) / 3600) as i32),
        TimeField::Minute => values.unary(|t| (second_of_day(t) / 60 % 60) as i32),
        TimeField::Second => values.unary(|t| (second_of_day(t) % 60) as i32),
    };
    Ok(Arc::new(out))
}

/// Seconds with their fraction: DECIMAL(8, 6).
pub(super) fn second_with_fraction(inputs: &Inputs, i: usize, zoned: bool) -> Result<ArrayRef> {
    let clock = clock(inputs, zoned);
    let values: PrimitiveArray<TimestampMicrosecondType> = timestamps(inputs, i)?;
    let out: PrimitiveArray<Decimal128Type> =
        values.unary(|t| i128::from(clock.local(t).rem_euclid(60 * MICROS_PER_SECOND)));
    Ok(Arc::new(out.with_precision_and_scale(8, 6).spark()?))
}

fn named(call: &Call, name: fn(i64) -> &'static str) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::DATE])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::STRING, nullable, move |inputs| {
        let days = inputs.primitives::<Date32Type>(0)?;
        let mut out = StringBuilder::with_capacity(days.len(), days.len() * 3);
        for row in 0..days.len() {
            if days.is_null(row) {
                out.append_null();
            } else {
                out.append_value(name(i64::from(days.value(row))));
            }
        }
        Ok(Arc::new(out.finish()))
    }))
}
