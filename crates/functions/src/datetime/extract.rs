//! `extract(field FROM source)`, `date_part`, `datepart`: a field of a date, a timestamp, a time or an interval.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int8Array, Int32Array, PrimitiveArray, new_null_array};
use arrow::datatypes::{
    Decimal128Type, DurationMicrosecondType, IntervalMonthDayNano, IntervalMonthDayNanoType,
    IntervalYearMonthType, Time64NanosecondType,
};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, IntervalField, Result};

use super::constant_text;
use super::fields::{DateField, TimeField, date_field, second_with_fraction, time_field, time_of_day_field};
use crate::{Call, Inputs, Registry, ReplacedArg, Resolved, ShownArg, Want, coercion};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["extract", "datepart"], |c| {
        let shown =
            ShownArg::Joined(vec![ShownArg::Arg(0), ShownArg::Text(" FROM ".into()), ShownArg::Arg(1)]);
        Ok(resolve(c)?.shown_with(vec![shown]))
    });
    r.scalar(&["date_part"], resolve);
}

const SECONDS: DataType = DataType::Decimal { precision: 8, scale: 6 };

/// Where a field's values come from.
#[derive(Clone, Copy)]
enum Part {
    Date(DateField),
    Time(TimeField),
    /// Seconds with their fraction.
    Seconds,
}

fn resolve(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let (field, source) = (&call.args[0], &call.args[1]);
    let not_foldable = || {
        Error::new("NON_FOLDABLE_ARGUMENT")
            .param("funcName", format!("`{}`", call.name))
            .param("paramName", "`field`")
            .param("paramType", "\"STRING\"")
            .message(format!("The argument `field` of `{}` must be a constant string.", call.name))
    };
    let Some(name) = constant_text(call, 0) else { return Err(not_foldable()) };
    let Some(name) = name else {
        let null = |inputs: &Inputs| Ok(new_null_array(&arrow_type(&DataType::Double), inputs.rows()));
        return Ok(Resolved::new(call.types(), DataType::Double, true, null));
    };
    let invalid = || {
        Error::new("INVALID_EXTRACT_FIELD")
            .param("field", format!("`{name}`"))
            .param("expr", format!("\"{}\"", source.sql))
            .message(format!("`{name}` cannot be taken from \"{}\".", source.sql))
    };
    if source.data_type.is_interval() {
        return of_interval(call, &name).ok_or_else(invalid);
    }
    let part = part(&name).ok_or_else(invalid)?;
    let field_type = field.data_type.clone();
    if let DataType::Time { precision } = source.data_type {
        let coerced = vec![field_type, source.data_type.clone()];
        let resolved = match part {
            Part::Date(_) => return Err(invalid()),
            Part::Time(field) => {
                Resolved::new(coerced, DataType::Integer, true, move |i| time_of_day_field(i, 1, field))
            }
            Part::Seconds => {
                // A cast of a text keeps more digits than the type has; they are no part of the seconds.
                let unit = 10i64.pow(6 - u32::from(precision.min(6)));
                Resolved::new(coerced, SECONDS, true, move |inputs| {
                    let times = inputs.primitives::<Time64NanosecondType>(1)?;
                    seconds(times.unary(|t| {
                        let micros = t / 1000 % 60_000_000;
                        i128::from(micros - micros % unit)
                    }))
                })
            }
        };
        return Ok(resolved.replaced_by(replacement_of(part), vec![ReplacedArg::Arg(1)]));
    }
    let want = match part {
        Part::Date(_) => Want::DATE,
        _ => Want::AnyTimestamp,
    };
    let target = coercion::implicit_cast(&source.data_type, &want, call.context).ok_or_else(|| {
        // The message is that of the field's own function, of one argument.
        let only = [source.clone()];
        Call { name: function_of(part), args: &only, context: call.context }.unexpected_input(0, &want.sql())
    })?;
    let coerced = vec![field_type, target.clone()];
    let nullable = call.nullable_as(&coerced);
    let zoned = target == DataType::Timestamp;
    let resolved = match part {
        Part::Date(field) => {
            Resolved::new(coerced, DataType::Integer, nullable, move |i| date_field(i, 1, field))
        }
        Part::Time(field) => {
            Resolved::new(coerced, DataType::Integer, nullable, move |i| time_field(i, 1, field, zoned))
        }
        Part::Seconds => {
            Resolved::new(coerced, SECONDS, nullable, move |i| second_with_fraction(i, 1, zoned))
        }
    };
    Ok(resolved.replaced_by(replacement_of(part), vec![ReplacedArg::Arg(1)]))
}

/// What Spark takes the field with: its own function where there is one.
fn replacement_of(part: Part) -> &'static str {
    match part {
        Part::Seconds => "second_with_fraction",
        Part::Date(DateField::DayOfWeekIso) => "dayofweek_iso",
        part => function_of(part),
    }
}

fn part(name: &str) -> Option<Part> {
    Some(match name.to_uppercase().as_str() {
        "YEAR" | "Y" | "YEARS" | "YR" | "YRS" => Part::Date(DateField::Year),
        "YEAROFWEEK" => Part::Date(DateField::YearOfWeek),
        "QUARTER" | "QTR" => Part::Date(DateField::Quarter),
        "MONTH" | "MON" | "MONS" | "MONTHS" => Part::Date(DateField::Month),
        "WEEK" | "W" | "WEEKS" => Part::Date(DateField::Week),
        "DAY" | "D" | "DAYS" => Part::Date(DateField::Day),
        "DAYOFWEEK" | "DOW" => Part::Date(DateField::DayOfWeek),
        "DAYOFWEEK_ISO" | "DOW_ISO" => Part::Date(DateField::DayOfWeekIso),
        "DOY" => Part::Date(DateField::DayOfYear),
        "HOUR" | "H" | "HOURS" | "HR" | "HRS" => Part::Time(TimeField::Hour),
        "MINUTE" | "M" | "MIN" | "MINS" | "MINUTES" => Part::Time(TimeField::Minute),
        "SECOND" | "S" | "SEC" | "SECONDS" | "SECS" => Part::Seconds,
        _ => return None,
    })
}

fn function_of(part: Part) -> &'static str {
    match part {
        Part::Date(DateField::Year) => "year",
        Part::Date(DateField::YearOfWeek) => "yearofweek",
        Part::Date(DateField::Quarter) => "quarter",
        Part::Date(DateField::Month) => "month",
        Part::Date(DateField::Week) => "weekofyear",
        Part::Date(DateField::Day) => "dayofmonth",
        Part::Date(DateField::DayOfYear) => "dayofyear",
        Part::Date(DateField::Weekday) => "weekday",
        Part::Date(_) => "dayofweek",
        Part::Time(TimeField::Hour) => "hour",
        Part::Time(TimeField::Minute) => "minute",
        Part::Time(TimeField::Second) | Part::Seconds => "second",
    }
}

fn seconds(micros: PrimitiveArray<Decimal128Type>) -> Result<ArrayRef> {
    Ok(Arc::new(micros.with_precision_and_scale(8, 6).spark()?))
}

/// The field of an interval type; hours, minutes and seconds are what is left of the field above.
fn of_interval(call: &Call, name: &str) -> Option<Resolved> {
    let source = &call.args[1];
    let field = match name.to_uppercase().as_str() {
        "YEAR" | "Y" | "YEARS" | "YR" | "YRS" => IntervalField::Year,
        "MONTH" | "MON" | "MONS" | "MONTHS" => IntervalField::Month,
        "DAY" | "D" | "DAYS" => IntervalField::Day,
        "HOUR" | "H" | "HOURS" | "HR" | "HRS" => IntervalField::Hour,
        "MINUTE" | "M" | "MIN" | "MINS" | "MINUTES" => IntervalField::Minute,
        "SECOND" | "S" | "SEC" | "SECONDS" | "SECS" => IntervalField::Second,
        _ => return None,
    };
    let within = match &source.data_type {
        DataType::YearMonthInterval { start, end } | DataType::DayTimeInterval { start, end } => {
            (*start..=*end).contains(&field)
        }
        DataType::CalendarInterval => true,
        _ => false,
    };
    if !within {
        return None;
    }
    let return_type = match field {
        IntervalField::Year | IntervalField::Day => DataType::Integer,
        IntervalField::Second => SECONDS,
        _ => DataType::Byte,
    };
    let kind = source.data_type.clone();
    let eval = move |inputs: &Inputs| interval_field(inputs, field, &kind);
    Some(Resolved::new(call.types(), return_type, source.nullable, eval))
}

fn interval_field(inputs: &Inputs, field: IntervalField, kind: &DataType) -> Result<ArrayRef> {
    const MINUTE: i64 = 60_000_000;
    match kind {
        DataType::YearMonthInterval { .. } => {
            let months = inputs.primitives::<IntervalYearMonthType>(1)?;
            Ok(match field {
                IntervalField::Year => Arc::new(months.unary(|m| m / 12) as Int32Array),
                _ => Arc::new(months.unary(|m| (m % 12) as i8) as Int8Array),
            })
        }
        DataType::DayTimeInterval { .. } => {
            let micros = inputs.primitives::<DurationMicrosecondType>(1)?;
            Ok(match field {
                IntervalField::Day => Arc::new(micros.unary(|t| (t / (1440 * MINUTE)) as i32) as Int32Array),
                IntervalField::Hour => {
                    Arc::new(micros.unary(|t| (t / (60 * MINUTE) % 24) as i8) as Int8Array)
                }
                IntervalField::Minute => Arc::new(micros.unary(|t| (t / MINUTE % 60) as i8) as Int8Array),
                _ => seconds(micros.unary(|t| i128::from(t % MINUTE)))?,
            })
        }
        _ => {
            let values = inputs.primitives::<IntervalMonthDayNanoType>(1)?;
            Ok(match field {
                IntervalField::Year => Arc::new(values.unary(|v| v.months / 12) as Int32Array),
                IntervalField::Month => Arc::new(values.unary(|v| (v.months % 12) as i8) as Int8Array),
                IntervalField::Day => {
                    // Whole days of the clock part count.
                    let days =
                        |v: IntervalMonthDayNano| i64::from(v.days) + v.nanoseconds / 1000 / (1440 * MINUTE);
                    Arc::new(values.unary(|v| days(v) as i32) as Int32Array)
                }
                IntervalField::Hour => {
                    Arc::new(values.unary(|v| (v.nanoseconds / 1000 / (60 * MINUTE) % 24) as i8) as Int8Array)
                }
                IntervalField::Minute => {
                    Arc::new(values.unary(|v| (v.nanoseconds / 1000 / MINUTE % 60) as i8) as Int8Array)
                }
                IntervalField::Second => {
                    seconds(values.unary(|v| i128::from(v.nanoseconds / 1000 % MINUTE)))?
                }
            })
        }
    }
}
