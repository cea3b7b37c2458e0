//! Dates, timestamps and times plus and minus numbers, intervals and one another.
//!
//! These forms are taken before any other coercion, as Spark's `BinaryArithmeticWithDatetimeResolver` does.

use std::sync::Arc;

use arrow::array::{ArrayRef, PrimitiveArray};
use arrow::datatypes::{
    Date32Type, DurationMicrosecondType, Int8Type, Int16Type, Int32Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, IntervalYearMonthType, Time64NanosecondType, TimestampMicrosecondType,
};
use boathouse_spec::{DataType, Error, IntervalField, Result};

use super::failure::overflow;
use super::{Operator, interval};
use crate::apply::map2_result;
use crate::cast::calendar::{MICROS_PER_DAY, SECONDS_PER_DAY, add_months, civil_from_days, days_in_month};
use crate::cast::interval_text::write_day_time;
use crate::cast::text::write_time;
use crate::cast::zone::Zone;
use crate::cast::{self, Mode};
use crate::{Call, Inputs, ReplacedArg, Resolved, Want};

const TIMESTAMPS: &str = "\"(TIMESTAMP OR TIMESTAMP WITHOUT TIME ZONE)\"";
const DAYS: &str = "(\"INT\" or \"SMALLINT\" or \"TINYINT\")";

/// The forms with dates and intervals; `None` where Spark leaves the operation to numbers and equal intervals.
pub(super) fn resolve(
    call: &Call,
    operator: Operator,
    left: &DataType,
    right: &DataType,
) -> Result<Option<Resolved>> {
    use DataType::*;
    let day_time = |t: &DataType| matches!(t, DayTimeInterval { .. });
    let days_only =
        |t: &DataType| matches!(t, DayTimeInterval { start: IntervalField::Day, end: IntervalField::Day });
    let either = |t: &DataType| *t == CalendarInterval || day_time(t);
    Ok(Some(match operator {
        Operator::Add => match (left, right) {
            (a, b) if (day_time(a) && day_time(b)) || (*a == CalendarInterval && a == b) => return Ok(None),
            (Null, YearMonthInterval { .. } | DayTimeInterval { .. })
            | (YearMonthInterval { .. } | DayTimeInterval { .. }, Null) => return Ok(None),
            (Null, Date | Timestamp | TimestampNtz) | (Date | Timestamp | TimestampNtz, Null) => {
                shift_timestamp(call, left == &Null, 1, true)?
            }
            (Null, CalendarInterval) | (CalendarInterval, Null) => return Err(no_cast_to_void(call, "+")),
            (Date, t) if days_only(t) => date_plus_days(call, false, 1)?,
            (t, Date) if days_only(t) => date_plus_days(call, true, 1)?,
            (Date, DayTimeInterval { .. }) => shift_timestamp(call, false, 1, false)?,
            (DayTimeInterval { .. }, Date) => shift_timestamp(call, true, 1, false)?,
            (Date | Timestamp | TimestampNtz, YearMonthInterval { .. }) => shift_months(call, false, 1)?,
            (YearMonthInterval { .. }, Date | Timestamp | TimestampNtz) => shift_months(call, true, 1)?,
            (Date, CalendarInterval) => date_plus_calendar(call, false, 1)?,
            (CalendarInterval, Date) => date_plus_calendar(call, true, 1)?,
            (Time { .. }, DayTimeInterval { .. } | Null) => shift_time(call, false, 1)?,
            (DayTimeInterval { .. } | Null, Time { .. }) => shift_time(call, true, 1)?,
            (_, t) if either(t) => shift_timestamp(call, false, 1, false)?,
            (t, _) if either(t) => shift_timestamp(call, true, 1, false)?,
            (Date, t) if !t.is_string() || t == &Null => date_plus_number(call, false, 1)?,
            (t, Date) if !t.is_string() || t == &Null => date_plus_number(call, true, 1)?,
            (Date, _) => date_plus_number(call, false, 1)?,
            (_, Date) => date_plus_number(call, true, 1)?,
            _ => return Ok(None),
        },
        Operator::Subtract => match (left, right) {
            (a, b) if (day_time(a) && day_time(b)) || (*a == CalendarInterval && a == b) => return Ok(None),
            (Null, YearMonthInterval { .. } | DayTimeInterval { .. })
            | (YearMonthInterval { .. } | DayTimeInterval { .. } | CalendarInterval, Null) => {
                return Ok(None);
            }
            (Null, CalendarInterval) => return Err(no_cast_to_void(call, "-")),
            (Date, t) if days_only(t) => date_plus_days(call, false, -1)?,
            (Date, DayTimeInterval { .. }) => shift_timestamp(call, false, -1, false)?,
            (Date | Timestamp | TimestampNtz, YearMonthInterval { .. }) => shift_months(call, false, -1)?,
            (Date, CalendarInterval) => date_plus_calendar(call, false, -1)?,
            (Time { .. }, DayTimeInterval { .. }) => shift_time(call, false, -1)?,
            (Time { .. }, Time { .. } | Null) | (Null, Time { .. }) => subtract_times(call)?,
            (Time { .. }, s) | (s, Time { .. }) if s.is_string() && call.context.ansi => {
                subtract_times(call)?
            }
            (_, t) if either(t) => shift_timestamp(call, false, -1, false)?,
            (Timestamp | TimestampNtz, _) | (_, Timestamp | TimestampNtz) => subtract_timestamps(call)?,
            (Date, s) if s.is_string() && !call.context.ansi => date_plus_number(call, false, -1)?,
            (Date, Date | Null) => subtract_dates(call)?,
            (Date, s) if s.is_string() => subtract_dates(call)?,
            (_, Date) => subtract_dates(call)?,
            (Date, _) => date_plus_number(call, false, -1)?,
            _ => return Ok(None),
        },
        Operator::Multiply => match (left, right) {
            (a, b) if a.is_interval() && b.is_interval() => interval::scale(call, 0, operator)?,
            (a, _) if a.is_interval() => interval::scale(call, 0, operator)?,
            (_, b) if b.is_interval() => interval::scale(call, 1, operator)?,
            _ => return Ok(None),
        },
        Operator::Divide if left.is_interval() => interval::scale(call, 0, operator)?,
        _ => return Ok(None),
    }))
}

/// The operands in the order of the form: the date first.
struct Form<'a> {
    date: usize,
    other: usize,
    call: &'a Call<'a>,
}

impl<'a> Form<'a> {
    fn new(call: &'a Call, swapped: bool) -> Self {
        let (date, other) = if swapped { (1, 0) } else { (0, 1) };
        Self { date, other, call }
    }

    fn sql(&self) -> (&str, &str) {
        (&self.call.args[self.date].sql, &self.call.args[self.other].sql)
    }

    /// The text `date + other`, without parentheses as Spark shows it.
    fn bare(&self, sign: i64) -> String {
        format!("{} {} {}", self.sql().0, if sign > 0 { '+' } else { '-' }, self.sql().1)
    }

    fn coerced(&self, date: DataType, other: DataType) -> Vec<DataType> {
        if self.date == 0 { vec![date, other] } else { vec![other, date] }
    }

    fn other_type(&self) -> &DataType {
        &self.call.args[self.other].data_type
    }

    fn date_type(&self) -> &DataType {
        &self.call.args[self.date].data_type
    }

    fn finish(
        &self,
        coerced: Vec<DataType>,
        t: DataType,
        always_nullable: bool,
        shown: String,
        eval: impl Fn(&Inputs) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Resolved {
        let nullable = always_nullable || self.call.nullable_as(&coerced);
        let resolved = Resolved::new(coerced, t, nullable, eval);
        if self.call.name.starts_with("try_") { resolved } else { resolved.shown_bare(shown) }
    }

    fn unexpected(&self, shown: &str, i: usize, required: &str) -> Error {
        let place = usize::from(i == self.other);
        unexpected(shown, &self.call.args[i].sql, &self.call.args[i].data_type, place, required)
    }
}

fn unexpected(shown: &str, sql: &str, t: &DataType, place: usize, required: &str) -> Error {
    Error::new("DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE")
        .param("sqlExpr", format!("\"{shown}\""))
        .param("paramIndex", if place == 0 { "first" } else { "second" })
        .param("inputSql", format!("\"{sql}\""))
        .param("inputType", format!("\"{}\"", t.sql()))
        .param("requiredType", required)
        .message(format!("Cannot resolve \"{shown}\": \"{sql}\" must be {required}, but is \"{}\".", t.sql()))
}

fn no_cast_to_void(call: &Call, symbol: &str) -> Error {
    let shown = format!("{} {symbol} {}", call.args[0].sql, call.args[1].sql);
    cast::type_error(&DataType::Timestamp, &DataType::Null, Mode::Legacy, &shown)
}

fn date_plus_number(call: &Call, swapped: bool, sign: i64) -> Result<Resolved> {
    use DataType::*;
    let form = Form::new(call, swapped);
    let name = if sign > 0 { "date_add" } else { "date_sub" };
    let shown = format!("{name}({}, {})", form.sql().0, form.sql().1);
    let number = match form.other_type() {
        t @ (Byte | Short | Integer) => t.clone(),
        Null => Integer,
        _ => return Err(form.unexpected(&shown, form.other, DAYS)),
    };
    let (date, other) = (form.date, form.other);
    let coerced = form.coerced(Date, number.clone());
    let resolved = form.finish(coerced, Date, false, shown, move |inputs| {
        let days = inputs.numbers::<Date32Type>(date)?;
        macro_rules! add {
            ($type:ty) => {{
                let n = inputs.numbers::<$type>(other)?;
                crate::apply::map2::<Date32Type, $type, Date32Type>(&days, &n, inputs.rows(), |d, n| {
                    let n = i32::from(n);
                    if sign > 0 { d.wrapping_add(n) } else { d.wrapping_sub(n) }
                })
            }};
        }
        let out: ArrayRef = Arc::new(match number {
            Byte => add!(Int8Type),
            Short => add!(Int16Type),
            _ => add!(Int32Type),
        });
        Ok(out)
    });
    if call.name.starts_with("try_") {
        return Ok(resolved);
    }
    Ok(resolved.replaced_by(name, vec![ReplacedArg::Arg(date), ReplacedArg::Arg(other)]))
}

fn date_plus_days(call: &Call, swapped: bool, sign: i64) -> Result<Resolved> {
    let form = Form::new(call, swapped);
    let days = format!("extractansiintervaldays({})", form.sql().1);
    let days = if sign > 0 { days } else { format!("(- {days})") };
    let shown = format!("date_add({}, {days})", form.sql().0);
    let (date, other) = (form.date, form.other);
    let coerced = form.coerced(DataType::Date, form.other_type().clone());
    Ok(form.finish(coerced, DataType::Date, false, shown, move |inputs| {
        let days = inputs.numbers::<Date32Type>(date)?;
        let us = inputs.numbers::<DurationMicrosecondType>(other)?;
        let out = crate::apply::map2::<Date32Type, DurationMicrosecondType, Date32Type>(
            &days,
            &us,
            inputs.rows(),
            |d, us| d.wrapping_add((sign * (us / MICROS_PER_DAY)) as i32),
        );
        Ok(Arc::new(out))
    }))
}

fn date_failure() -> Error {
    overflow("integer overflow", None)
}

fn timestamp_failure() -> Error {
    overflow("long overflow", None)
}

/// Dates and timestamps plus months.
fn shift_months(call: &Call, swapped: bool, sign: i64) -> Result<Resolved> {
    let form = Form::new(call, swapped);
    let (date, other) = (form.date, form.other);
    let t = form.date_type().clone();
    let coerced = form.coerced(t.clone(), form.other_type().clone());
    let zone = zone_of(&t, call);
    let computed = t.clone();
    Ok(form.finish(coerced, t, false, form.bare(sign), move |inputs| {
        let months = inputs.numbers::<IntervalYearMonthType>(other)?;
        let rows = inputs.rows();
        Ok(match computed {
            DataType::Date => {
                let days = inputs.numbers::<Date32Type>(date)?;
                Arc::new(map2_result::<Date32Type, IntervalYearMonthType, Date32Type>(
                    &days,
                    &months,
                    rows,
                    |d, m| {
                        let days = add_months(i64::from(d), sign * i64::from(m));
                        i32::try_from(days).map(Some).map_err(|_| date_failure())
                    },
                )?)
            }
            _ => {
                let us = inputs.numbers::<TimestampMicrosecondType>(date)?;
                Arc::new(map2_result::<
                    TimestampMicrosecondType,
                    IntervalYearMonthType,
                    TimestampMicrosecondType,
                >(&us, &months, rows, |us, m| {
                    shift_instant(us, sign * i64::from(m), 0, 0, &zone)
                        .map(Some)
                        .ok_or_else(timestamp_failure)
                })?)
            }
        })
    }))
}

fn zone_of(t: &DataType, call: &Call) -> Zone {
    if *t == DataType::TimestampNtz { Zone::UTC } else { Zone::of(call.context) }
}

/// An instant moved by months and days on the zone's calendar, then by microseconds on the clock.
pub(crate) fn shift_instant(us: i64, months: i64, days: i64, micros: i64, zone: &Zone) -> Option<i64> {
    if months == 0 && days == 0 {
        return us.checked_add(micros);
    }
    let (seconds, fraction) = zone.local(us);
    let date = add_months(seconds.div_euclid(SECONDS_PER_DAY), months).checked_add(days)?;
    let local = date.checked_mul(SECONDS_PER_DAY)?.checked_add(seconds.rem_euclid(SECONDS_PER_DAY))?;
    zone.instant(local).checked_mul(1_000_000)?.checked_add(fraction)?.checked_add(micros)
}

/// Timestamps (and what becomes one) plus a day-time or calendar interval. Strings become strings again.
fn shift_timestamp(call: &Call, swapped: bool, sign: i64, null_other: bool) -> Result<Resolved> {
    use DataType::*;
    let form = Form::new(call, swapped);
    let shown = form.bare(sign);
    let given = form.date_type().clone();
    let (computed, result) = match &given {
        Timestamp | TimestampNtz => (given.clone(), given.clone()),
        Date => (Timestamp, Timestamp),
        Null if null_other => (Timestamp, Timestamp),
        s if s.is_string() => (Timestamp, STRING_TYPE),
        _ => return Err(form.unexpected(&shown, form.date, TIMESTAMPS)),
    };
    let interval = if null_other { DataType::DAY_TIME } else { form.other_type().clone() };
    let coerced = match null_other {
        true => vec![computed.clone(), computed.clone()],
        false => form.coerced(computed.clone(), interval.clone()),
    };
    if null_other {
        let arrow_type = boathouse_bridge::arrow_type(&result);
        return Ok(form.finish(coerced, result, true, shown, move |inputs| {
            Ok(arrow::array::new_null_array(&arrow_type, inputs.rows()))
        }));
    }
    let zone = zone_of(&computed, call);
    let (date, other) = (form.date, form.other);
    Ok(form.finish(coerced, result.clone(), false, shown, move |inputs| {
        let us = inputs.numbers::<TimestampMicrosecondType>(date)?;
        let rows = inputs.rows();
        let moved = |us, months, days, micros| {
            shift_instant(us, months, days, micros, &zone).map(Some).ok_or_else(timestamp_failure)
        };
        let out: PrimitiveArray<TimestampMicrosecondType> = match interval {
            CalendarInterval => {
                let intervals = inputs.numbers::<IntervalMonthDayNanoType>(other)?;
                map2_result::<_, _, TimestampMicrosecondType>(&us, &intervals, rows, |us, i| {
                    moved(
                        us,
                        sign * i64::from(i.months),
                        sign * i64::from(i.days),
                        sign * (i.nanoseconds / 1000),
                    )
                })?
            }
            _ => {
                let intervals = inputs.numbers::<DurationMicrosecondType>(other)?;
                map2_result::<_, _, TimestampMicrosecondType>(&us, &intervals, rows, |us, i| {
                    let i = if sign > 0 { i } else { i.checked_neg().ok_or_else(timestamp_failure)? };
                    moved(us, 0, i / MICROS_PER_DAY, i % MICROS_PER_DAY)
                })?
            }
        };
        let out: ArrayRef = Arc::new(out);
        let out = crate::scalar::conform(out, &boathouse_bridge::arrow_type(&computed))?;
        cast::cast(&out, &computed, &result, Mode::of(inputs.context()), inputs.context())
    }))
}

const STRING_TYPE: DataType = DataType::STRING;

fn date_plus_calendar(call: &Call, swapped: bool, sign: i64) -> Result<Resolved> {
    let form = Form::new(call, swapped);
    let (date, other) = (form.date, form.other);
    let coerced = form.coerced(DataType::Date, DataType::CalendarInterval);
    let ansi = call.context.ansi;
    Ok(form.finish(coerced, DataType::Date, false, form.bare(sign), move |inputs| {
        let days = inputs.numbers::<Date32Type>(date)?;
        let intervals = inputs.numbers::<IntervalMonthDayNanoType>(other)?;
        let out = map2_result::<_, _, Date32Type>(&days, &intervals, inputs.rows(), |d, i| {
            if i.nanoseconds != 0 && ansi {
                return Err(Error::new("INVALID_INTERVAL_WITH_MICROSECONDS_ADDITION")
                    .param("ansiConfig", "\"spark.sql.ansi.enabled\"")
                    .message("Only an interval without hours, minutes and seconds can be added to a date."));
            }
            let moved = add_months(i64::from(d), sign * i64::from(i.months)) + sign * i64::from(i.days);
            // The time of day that is left over is dropped.
            let moved = moved + (sign * (i.nanoseconds / 1000)).div_euclid(MICROS_PER_DAY);
            i32::try_from(moved).map(Some).map_err(|_| date_failure())
        })?;
        Ok(Arc::new(out))
    }))
}

fn shift_time(call: &Call, swapped: bool, sign: i64) -> Result<Resolved> {
    let form = Form::new(call, swapped);
    let DataType::Time { precision } = *form.date_type() else { return Err(Error::internal("no time")) };
    let interval = match form.other_type() {
        DataType::Null => DataType::DAY_TIME,
        t => t.clone(),
    };
    let DataType::DayTimeInterval { start, end } = interval else {
        return Err(Error::internal("no interval"));
    };
    // As fine as the finer of both.
    let precision = if end == IntervalField::Second { 6 } else { precision };
    let t = DataType::Time { precision };
    let (date, other) = (form.date, form.other);
    let coerced = form.coerced(form.date_type().clone(), interval);
    Ok(form.finish(coerced, t, true, form.bare(sign), move |inputs| {
        let times = inputs.numbers::<Time64NanosecondType>(date)?;
        let intervals = inputs.numbers::<DurationMicrosecondType>(other)?;
        let out =
            map2_result::<_, _, Time64NanosecondType>(&times, &intervals, inputs.rows(), |time, us| {
                let moved = i128::from(time) + i128::from(sign) * i128::from(us) * 1000;
                if (0..i128::from(MICROS_PER_DAY) * 1000).contains(&moved) {
                    return Ok(Some(moved as i64));
                }
                let (mut value, mut amount) = (String::new(), String::new());
                write_time(time, &mut value);
                write_day_time(us, start, end, &mut amount);
                let (verb, link) = if sign > 0 { ("add", "to") } else { ("subtract", "from") };
                let operation = format!("{verb} {amount} {link} the time value TIME '{value}'");
                Err(cast::failure::datetime_overflow(
                    &operation,
                    &DataType::Time { precision },
                    &DataType::Time { precision },
                ))
            })?;
        Ok(Arc::new(out))
    }))
}

fn subtract_times(call: &Call) -> Result<Resolved> {
    let form = Form::new(call, false);
    let time = |i: usize| match &call.args[i].data_type {
        t @ DataType::Time { .. } => t.clone(),
        _ => DataType::Time { precision: 6 },
    };
    let t = DataType::DayTimeInterval { start: IntervalField::Hour, end: IntervalField::Second };
    Ok(form.finish(vec![time(0), time(1)], t, true, form.bare(-1), |inputs| {
        let (a, b) = (inputs.numbers::<Time64NanosecondType>(0)?, inputs.numbers::<Time64NanosecondType>(1)?);
        let out = crate::apply::map2::<_, _, DurationMicrosecondType>(&a, &b, inputs.rows(), |a, b| {
            (a.wrapping_sub(b)) / 1000
        });
        Ok(Arc::new(out))
    }))
}

fn subtract_dates(call: &Call) -> Result<Resolved> {
    let form = Form::new(call, false);
    let shown = call_text(call);
    let mut coerced = Vec::new();
    for i in 0..2 {
        let t = &call.args[i].data_type;
        if matches!(t, DataType::Time { .. }) {
            return Err(cast::type_error(t, &DataType::Date, Mode::Legacy, &shown));
        }
        match crate::coercion::implicit_cast(t, &Want::DATE, call.context) {
            Some(t) => coerced.push(t),
            None => return Err(form.unexpected(&shown, i, "\"DATE\"")),
        }
    }
    if call.context.legacy_interval {
        return Ok(form.finish(coerced, DataType::CalendarInterval, false, shown, |inputs| {
            let (a, b) = (inputs.numbers::<Date32Type>(0)?, inputs.numbers::<Date32Type>(1)?);
            let out =
                crate::apply::map2::<_, _, IntervalMonthDayNanoType>(&a, &b, inputs.rows(), |end, start| {
                    period(start, end)
                });
            Ok(Arc::new(out))
        }));
    }
    let t = DataType::DayTimeInterval { start: IntervalField::Day, end: IntervalField::Day };
    Ok(form.finish(coerced, t, false, shown, |inputs| {
        let (a, b) = (inputs.numbers::<Date32Type>(0)?, inputs.numbers::<Date32Type>(1)?);
        let out = map2_result::<_, _, DurationMicrosecondType>(&a, &b, inputs.rows(), |a, b| {
            let days = i64::from(a) - i64::from(b);
            days.checked_mul(MICROS_PER_DAY).map(Some).ok_or_else(timestamp_failure)
        })?;
        Ok(Arc::new(out))
    }))
}

/// The whole months between two days and the days that are left, as Java's `Period.between` counts them.
fn period(start: i32, end: i32) -> IntervalMonthDayNano {
    let (start, end) = (i64::from(start), i64::from(end));
    let (start_year, start_month, start_day) = civil_from_days(start);
    let (end_year, end_month, end_day) = civil_from_days(end);
    let mut months = (end_year - start_year) * 12 + i64::from(end_month) - i64::from(start_month);
    let mut days = i64::from(end_day) - i64::from(start_day);
    if months > 0 && days < 0 {
        months -= 1;
        days = end - add_months(start, months);
    } else if months < 0 && days > 0 {
        months += 1;
        days -= i64::from(days_in_month(end_year, end_month));
    }
    IntervalMonthDayNano::new(months as i32, days as i32, 0)
}

fn call_text(call: &Call) -> String {
    format!("({} - {})", call.args[0].sql, call.args[1].sql)
}

/// The difference on the wall clock of the session's zone.
fn subtract_timestamps(call: &Call) -> Result<Resolved> {
    use DataType::*;
    let form = Form::new(call, false);
    let shown = call_text(call);
    let (left, right) = (&call.args[0].data_type, &call.args[1].data_type);
    let common = match (left, right) {
        (Timestamp, TimestampNtz) | (TimestampNtz, Timestamp) => TimestampNtz,
        (Timestamp, _) | (_, Timestamp) => Timestamp,
        _ => TimestampNtz,
    };
    for (i, t) in [left, right].into_iter().enumerate() {
        let ok = matches!(t, Timestamp | TimestampNtz | Date | Null) || (t.is_string() && call.context.ansi);
        if !ok {
            return Err(form.unexpected(&shown, i, TIMESTAMPS));
        }
    }
    let zone = zone_of(&common, call);
    let coerced = vec![common.clone(), common];
    if call.context.legacy_interval {
        // The time that passed, whatever the clocks of the zone showed.
        return Ok(form.finish(coerced, CalendarInterval, false, shown, |inputs| {
            let (a, b) = (
                inputs.numbers::<TimestampMicrosecondType>(0)?,
                inputs.numbers::<TimestampMicrosecondType>(1)?,
            );
            let out = map2_result::<_, _, IntervalMonthDayNanoType>(&a, &b, inputs.rows(), |a, b| {
                let passed = a.checked_sub(b).and_then(|us| us.checked_mul(1000));
                let passed = passed.ok_or_else(|| overflow("overflow", None))?;
                Ok(Some(IntervalMonthDayNano::new(0, 0, passed)))
            })?;
            Ok(Arc::new(out))
        }));
    }
    Ok(form.finish(coerced, DataType::DAY_TIME, false, shown, move |inputs| {
        let (a, b) =
            (inputs.numbers::<TimestampMicrosecondType>(0)?, inputs.numbers::<TimestampMicrosecondType>(1)?);
        let difference = |a: i64, b: i64| zone.local_us(a)?.checked_sub(zone.local_us(b)?);
        let out = map2_result::<_, _, DurationMicrosecondType>(&a, &b, inputs.rows(), |a, b| {
            difference(a, b).map(Some).ok_or_else(timestamp_failure)
        })?;
        Ok(Arc::new(out))
    }))
}
