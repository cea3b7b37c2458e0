//! `sequence`: the numbers, dates or timestamps from one to another.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, IntervalMonthDayNanoArray, new_null_array};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType as ArrowType, DurationMicrosecondType, Int64Type, IntervalMonthDayNanoType,
    IntervalYearMonthType,
};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result};
use std::sync::Arc;

use super::lists::{ListItem, check_elements, check_length};
use crate::cast::zone::Zone;
use crate::coercion::wider_type;
use crate::{Call, Inputs, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["sequence"], sequence);
}

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// What a month is taken for where the length of a result is estimated.
const DAYS_PER_MONTH: i64 = 28;

fn sequence(call: &Call) -> Result<Resolved> {
    call.arity(2..=3)?;
    let refused = || {
        Error::new("DATATYPE_MISMATCH.SEQUENCE_WRONG_INPUT_TYPES")
            .param("sqlExpr", format!("\"{}\"", call.sql()))
            .param("functionName", "`sequence`")
            .param("startType", "(\"TIMESTAMP\" or \"TIMESTAMP_NTZ\" or \"DATE\")")
            .param("stepType", "(\"INTERVAL\" or \"INTERVAL YEAR TO MONTH\" or \"INTERVAL DAY TO SECOND\")")
            .param("otherStartType", "\"INTEGRAL\"")
            .message(format!(
                "Cannot resolve \"{}\": start and stop must both be whole numbers, with a whole step, or dates or \
                 timestamps, with an interval.",
                call.sql()
            ))
    };
    let types = call.types();
    let mut element = wider_type(&types[0], &types[1], call.context).ok_or_else(refused)?;
    let step = types.get(2);
    let coerced_step = match (&element, step) {
        (DataType::Byte | DataType::Short | DataType::Integer | DataType::Long | DataType::Null, step) => {
            if let Some(step) = step {
                if !step.is_integral() && *step != DataType::Null {
                    return Err(refused());
                }
                element = wider_type(&element, step, call.context).ok_or_else(refused)?;
            }
            step.map(|_| element.clone())
        }
        (DataType::Date | DataType::Timestamp | DataType::TimestampNtz, None) => None,
        (DataType::Date | DataType::Timestamp | DataType::TimestampNtz, Some(step)) => Some(match step {
            DataType::YearMonthInterval { .. } | DataType::DayTimeInterval { .. } => step.clone(),
            DataType::CalendarInterval | DataType::Null => DataType::CalendarInterval,
            _ => return Err(refused()),
        }),
        _ => return Err(refused()),
    };
    let returned = DataType::array(element.clone(), false);
    let item = ListItem::of(&returned)?;
    let may_cast_to_null = types[..2].iter().any(|t| t.is_string());
    let mut coerced = vec![element.clone(), element.clone()];
    coerced.extend(coerced_step);
    let zone = if element == DataType::TimestampNtz { Zone::UTC } else { Zone::of(call.context) };
    Ok(Resolved::new(coerced, returned, call.any_nullable() || may_cast_to_null, move |inputs| {
        let steps = Steps::of(inputs, &element)?;
        let mut out = Sequences { values: Vec::new(), ends: vec![0], valid: Vec::new() };
        if element == DataType::Null {
            let lists = ListItem::of(&DataType::array(DataType::Null, false))?;
            let none = arrow::array::new_empty_array(&ArrowType::Null);
            return lists.list(
                OffsetBuffer::new_zeroed(inputs.rows() + 1),
                none,
                Some(NullBuffer::new_null(inputs.rows())),
            );
        }
        let (starts, stops) = (numbers(&inputs.array(0)?)?, numbers(&inputs.array(1)?)?);
        for row in 0..inputs.rows() {
            let step = steps.at(row);
            match (starts.is_valid(row), stops.is_valid(row), step) {
                (true, true, Some(step)) => {
                    let (start, stop) = (starts.value(row), stops.value(row));
                    match element {
                        DataType::Date => out.dates(start, stop, step, &zone)?,
                        DataType::Timestamp | DataType::TimestampNtz => {
                            out.timestamps(start, stop, step, &zone)?
                        }
                        _ => {
                            let step = match step {
                                Step::Default => {
                                    if start <= stop {
                                        1
                                    } else {
                                        -1
                                    }
                                }
                                Step::Number(n) => n,
                                Step::Interval { .. } => {
                                    return Err(Error::internal("a number's step is a number"));
                                }
                            };
                            out.numbers(start, stop, step, step)?;
                        }
                    }
                    out.valid.push(true);
                }
                _ => out.valid.push(false),
            }
            out.ends.push(i32::try_from(out.values.len()).map_err(|_| too_long())?);
        }
        out.finish(&element, &item)
    }))
}

/// Any of the element types as 64-bit numbers: days of dates, microseconds of timestamps.
fn numbers(array: &ArrayRef) -> Result<Int64Array> {
    let array = match array.data_type() {
        ArrowType::Date32 => cast(array, &ArrowType::Int32).spark()?,
        _ => Arc::clone(array),
    };
    Ok(cast(&array, &ArrowType::Int64).spark()?.as_primitive::<Int64Type>().clone())
}

#[derive(Clone, Copy)]
enum Step {
    /// One, or one day, up or down.
    Default,
    Number(i64),
    Interval {
        months: i64,
        days: i64,
        micros: i64,
        /// As messages show it.
        shown: i64,
    },
}

enum Steps {
    Default,
    Numbers(Int64Array),
    Months(arrow::array::IntervalYearMonthArray),
    Micros(arrow::array::DurationMicrosecondArray),
    Calendar(IntervalMonthDayNanoArray),
}

impl Steps {
    fn of(inputs: &Inputs, element: &DataType) -> Result<Self> {
        if inputs.len() < 3 {
            return Ok(Self::Default);
        }
        let array = inputs.array(2)?;
        Ok(match array.data_type() {
            ArrowType::Interval(arrow::datatypes::IntervalUnit::YearMonth) => {
                Self::Months(array.as_primitive::<IntervalYearMonthType>().clone())
            }
            ArrowType::Interval(_) => {
                Self::Calendar(array.as_primitive::<IntervalMonthDayNanoType>().clone())
            }
            ArrowType::Duration(_) => Self::Micros(array.as_primitive::<DurationMicrosecondType>().clone()),
            ArrowType::Null => Self::Numbers(
                new_null_array(&ArrowType::Int64, inputs.rows()).as_primitive::<Int64Type>().clone(),
            ),
            _ if element.is_datetime() => return Err(Error::internal("a date's step is an interval")),
            _ => Self::Numbers(numbers(&array)?),
        })
    }

    fn at(&self, row: usize) -> Option<Step> {
        Some(match self {
            Self::Default => Step::Default,
            Self::Numbers(a) => Step::Number(a.is_valid(row).then(|| a.value(row))?),
            Self::Months(a) => {
                let months = i64::from(a.is_valid(row).then(|| a.value(row))?);
                Step::Interval { months, days: 0, micros: 0, shown: months }
            }
            Self::Micros(a) => {
                let micros = a.is_valid(row).then(|| a.value(row))?;
                let days = micros / MICROS_PER_DAY;
                Step::Interval { months: 0, days, micros: micros % MICROS_PER_DAY, shown: micros }
            }
            Self::Calendar(a) => {
                let v = a.is_valid(row).then(|| a.value(row))?;
                let (months, days, micros) = (i64::from(v.months), i64::from(v.days), v.nanoseconds / 1000);
                Step::Interval { months, days, micros, shown: months.max(days).max(micros) }
            }
        })
    }
}

struct Sequences {
    values: Vec<i64>,
    ends: Vec<i32>,
    valid: Vec<bool>,
}

impl Sequences {
    fn numbers(&mut self, start: i64, stop: i64, step: i64, shown: i64) -> Result<()> {
        let length = length_of(start, stop, step, shown)?;
        self.reserve(length)?;
        for i in 0..length {
            self.values.push((i128::from(start) + i128::from(i) * i128::from(step)) as i64);
        }
        Ok(())
    }

    fn reserve(&mut self, length: i64) -> Result<()> {
        check_length(length, "sequence", Some("count"))?;
        check_elements(self.values.len().saturating_add(length as usize), size_of::<i64>())?;
        self.values.try_reserve(length as usize).map_err(|_| too_long())
    }

    fn dates(&mut self, start: i64, stop: i64, step: Step, zone: &Zone) -> Result<()> {
        match step {
            Step::Default => {
                let day = if start <= stop { 1 } else { -1 };
                self.numbers(start, stop, day, day)
            }
            Step::Interval { months: 0, days: 0, .. } => Err(Error::new("_LEGACY_ERROR_TEMP_3242")
                .param("intervalType", "interval day to second")
                .exception("IllegalArgumentException")
                .message("The step between dates must be of at least a day.")),
            Step::Interval { months: 0, days, micros: 0, .. } => self.numbers(start, stop, days, days),
            Step::Interval { months, days, micros, shown } => {
                let midnight = |day: i64| {
                    i32::try_from(day).ok().and_then(|d| zone.midnight_us(d)).ok_or_else(out_of_time)
                };
                let (from, to) = (midnight(start)?, midnight(stop)?);
                self.instants(from, to, (months, days, micros), shown, zone, |us| {
                    zone.local_us(us).map(|local| local.div_euclid(MICROS_PER_DAY))
                })
            }
            Step::Number(_) => Err(Error::internal("a date's step is an interval")),
        }
    }

    fn timestamps(&mut self, start: i64, stop: i64, step: Step, zone: &Zone) -> Result<()> {
        match step {
            Step::Default => {
                let day = if start <= stop { 1 } else { -1 };
                self.instants(start, stop, (0, day, 0), day, zone, Some)
            }
            Step::Interval { months: 0, days: 0, micros, .. } => self.numbers(start, stop, micros, micros),
            Step::Interval { months, days, micros, shown } => {
                self.instants(start, stop, (months, days, micros), shown, zone, Some)
            }
            Step::Number(_) => Err(Error::internal("a timestamp's step is an interval")),
        }
    }

    /// Instants a number of steps after the first, each step by the calendar of the zone.
    fn instants(
        &mut self,
        start: i64,
        stop: i64,
        (months, days, micros): (i64, i64, i64),
        shown: i64,
        zone: &Zone,
        value_of: impl Fn(i64) -> Option<i64>,
    ) -> Result<()> {
        let estimate = i128::from(micros)
            + i128::from(months) * i128::from(DAYS_PER_MONTH * MICROS_PER_DAY)
            + i128::from(days) * i128::from(MICROS_PER_DAY);
        let estimate = i64::try_from(estimate).map_err(|_| out_of_time())?;
        self.reserve(length_of(start, stop, estimate, shown)?)?;
        let mut at = start;
        let mut i = 0i64;
        while if estimate > 0 { at <= stop } else { at >= stop } {
            self.values.push(value_of(at).ok_or_else(out_of_time)?);
            i += 1;
            let later = || {
                let local = zone.local_us(start)?;
                let (day, time) = (local.div_euclid(MICROS_PER_DAY), local.rem_euclid(MICROS_PER_DAY));
                let day = crate::datetime::arithmetic::plus_months(day, months.checked_mul(i)?)?;
                let day = day.checked_add(days.checked_mul(i)?)?;
                let local = day.checked_mul(MICROS_PER_DAY)?.checked_add(time)?;
                zone.instant_us(local)?.checked_add(micros.checked_mul(i)?)
            };
            at = later().ok_or_else(out_of_time)?;
            if estimate == 0 {
                break;
            }
        }
        Ok(())
    }

    fn finish(self, element: &DataType, item: &ListItem) -> Result<ArrayRef> {
        let numbers: ArrayRef = Arc::new(Int64Array::from(self.values));
        let values = match element {
            DataType::Date => {
                let days = cast(&numbers, &ArrowType::Int32).spark()?;
                cast(&days, &ArrowType::Date32).spark()?
            }
            t => cast(&numbers, &arrow_type(t)).spark()?,
        };
        let nulls = self.valid.iter().any(|v| !v).then(|| NullBuffer::from(self.valid));
        item.list(OffsetBuffer::new(ScalarBuffer::from(self.ends)), values, nulls)
    }
}

fn length_of(start: i64, stop: i64, step: i64, shown: i64) -> Result<i64> {
    let reaches = (step > 0 && start <= stop) || (step < 0 && start >= stop) || (step == 0 && start == stop);
    if !reaches {
        return Err(Error::new("ILLEGAL_SEQUENCE_BOUNDARIES")
            .exception("IllegalArgumentException")
            .message(format!("Illegal sequence boundaries: {start} to {stop} by {shown}")));
    }
    if step == 0 {
        return Ok(1);
    }
    let length = 1 + (i128::from(stop) - i128::from(start)) / i128::from(step);
    Ok(i64::try_from(length).unwrap_or(i64::MAX))
}

fn out_of_time() -> Error {
    Error::new("DATETIME_OVERFLOW")
        .param("operation", "adding a step of a sequence")
        .message("A step of the sequence leaves the range of timestamps.")
}

fn too_long() -> Error {
    Error::new("COLLECTION_SIZE_LIMIT_EXCEEDED.INITIALIZE")
        .param("numberOfElements", "more than 2147483647")
        .param("maxRoundedArrayLength", super::lists::MOST_ARRAY_LENGTH)
        .message("The sequences of a batch of rows have more than 2147483647 elements together.")
}
