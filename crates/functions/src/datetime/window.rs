//! Buckets of time: the windows of `window(time, duration, slide, start)`, which the analyzer plans, and `time_bucket`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, PrimitiveArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType as ArrowType, DurationMicrosecondType, Field, IntervalYearMonthType, TimestampMicrosecondType,
};
use boathouse_bridge::arrow_type;
use boathouse_spec::{DataType, Error, Result, StructField};
use datafusion::scalar::ScalarValue;

use super::clock::Clock;
use super::fields::clock;
use super::units::shift_months;
use super::{build, common_nulls, instants, timestamps};
use crate::cast::calendar::{MICROS_PER_DAY, civil_from_days};
use crate::cast::interval_text::parse_calendar_interval;
use crate::mismatch::{not_constant, out_of_range};
use crate::{Call, Inputs, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["time_bucket"], time_bucket);
}

/// The windows of `window()`: microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    pub duration: i64,
    pub slide: i64,
    pub start: i64,
}

/// The microseconds of a window's interval, as written: `10 minutes`, `interval 1 hour 30 seconds`.
pub fn window_interval(text: &str) -> Result<i64> {
    let interval = parse_calendar_interval(text).ok_or_else(|| {
        Error::new("CANNOT_PARSE_INTERVAL")
            .param("intervalString", format!("'{text}'"))
            .message(format!("'{text}' is no interval."))
    })?;
    if interval.months != 0 {
        return Err(Error::new("_LEGACY_ERROR_TEMP_3231")
            .param("interval", text)
            .message(format!("Intervals of months have no fixed length: '{text}' cannot be a window.")));
    }
    i64::from(interval.days)
        .checked_mul(MICROS_PER_DAY)
        .and_then(|d| d.checked_add(interval.microseconds))
        .ok_or_else(super::long_overflow)
}

impl Windows {
    /// Checks the numbers as Spark does; `sql` is the text of the call with the numbers, for messages.
    pub fn new(duration: i64, slide: i64, start: i64, sql: &str) -> Result<Self> {
        for (name, value) in [("window_duration", duration), ("slide_duration", slide)] {
            if value <= 0 {
                return Err(Error::new("DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE")
                    .param("sqlExpr", format!("\"{sql}\""))
                    .param("exprName", format!("`{name}`"))
                    .param("valueRange", format!("(0, {}]", i64::MAX))
                    .param("currentValue", format!("{value}L"))
                    .message(format!(
                        "The {name} of \"{sql}\" must be positive, not {value} microseconds."
                    )));
            }
        }
        let violated = |left: &str, left_value: i64, operator: &str, right: &str, right_value: i64| {
            Error::new("DATATYPE_MISMATCH.PARAMETER_CONSTRAINT_VIOLATION")
                .param("sqlExpr", format!("\"{sql}\""))
                .param("leftExprName", format!("`{left}`"))
                .param("leftExprValue", format!("{left_value}L"))
                .param("constraint", operator)
                .param("rightExprName", format!("`{right}`"))
                .param("rightExprValue", format!("{right_value}L"))
                .message(format!(
                    "In \"{sql}\", the {left} ({left_value}) must be {operator} the {right} ({right_value})."
                ))
        };
        if slide > duration {
            return Err(violated("slide_duration", slide, "<=", "window_duration", duration));
        }
        if start.saturating_abs() >= slide {
            return Err(violated("abs(start_time)", start.saturating_abs(), "<", "slide_duration", slide));
        }
        Ok(Self { duration, slide, start })
    }

    /// Whether every time is in exactly one window.
    pub fn are_tumbling(&self) -> bool {
        self.duration == self.slide
    }

    /// The start of the last window that begins at or before a time.
    pub fn last_start(&self, time: i64) -> i64 {
        let rest = match time.checked_sub(self.start) {
            Some(since) => since.rem_euclid(self.slide),
            None => (i128::from(time) - i128::from(self.start)).rem_euclid(i128::from(self.slide)) as i64,
        };
        time.saturating_sub(rest)
    }

    /// The starts of all windows that hold a time, the latest first.
    pub fn starts(&self, time: i64) -> impl Iterator<Item = i64> + use<> {
        let Self { duration, slide, .. } = *self;
        std::iter::successors(Some(self.last_start(time)), move |start| start.checked_sub(slide))
            .take_while(move |start| time < start.saturating_add(duration))
    }

    /// The type of a window over TIMESTAMP or TIMESTAMP_NTZ.
    pub fn struct_type(of: &DataType) -> DataType {
        DataType::structure(vec![
            StructField::new("start", of.clone(), true),
            StructField::new("end", of.clone(), true),
        ])
    }

    /// The window of each time, where windows tumble: `STRUCT<start, end>`, NULL of NULL.
    pub fn tumbling(self, of: &DataType, nullable: bool) -> Resolved {
        let window = Self::struct_type(of);
        Resolved::new(vec![of.clone()], window.clone(), nullable, move |inputs| {
            let times = timestamps(inputs, 0)?;
            let starts: PrimitiveArray<TimestampMicrosecondType> = times.unary(|t| self.last_start(t));
            Ok(Arc::new(self.structs(starts, &window)?))
        })
        .with_parameters(self)
    }

    /// All windows of each time, for the analyzer to explode: `ARRAY<STRUCT<start, end>>`, empty of NULL.
    pub fn sliding(self, of: &DataType) -> Resolved {
        let window = Self::struct_type(of);
        let list = DataType::array(window.clone(), false);
        Resolved::new(vec![of.clone()], list, false, move |inputs| {
            let times = timestamps(inputs, 0)?;
            let mut starts = Vec::new();
            let mut ends = vec![0];
            for row in 0..times.len() {
                if times.is_valid(row) {
                    starts.extend(self.starts(times.value(row)));
                }
                let end = i32::try_from(starts.len())
                    .map_err(|_| Error::internal("a batch has too many windows"))?;
                ends.push(end);
            }
            let structs = self.structs(PrimitiveArray::from(starts), &window)?;
            let item = Arc::new(Field::new("item", structs.data_type().clone(), false));
            let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
            Ok(Arc::new(ListArray::new(item, offsets, Arc::new(structs), None)))
        })
        .with_parameters(self)
    }

    /// `window_time(window)`: the last moment of each window, which is an event time where its window is one of such.
    pub fn last_moments(window: &DataType, nullable: bool) -> Option<Resolved> {
        let DataType::Struct(fields) = window else { return None };
        let (_, end) = (fields.field("start")?, fields.field("end")?);
        let time = end.data_type.clone();
        Some(Resolved::new(vec![window.clone()], time, nullable, move |inputs| {
            let windows = inputs.array(0)?;
            let windows = windows.as_struct_opt().ok_or_else(|| Error::internal("a window is a struct"))?;
            let ends = windows.column_by_name("end").and_then(|ends| ends.as_primitive_opt());
            let ends: &PrimitiveArray<TimestampMicrosecondType> =
                ends.ok_or_else(|| Error::internal("a window ends at a time"))?;
            let (_, values, nulls) = ends.clone().into_parts();
            let values = values.iter().map(|end| end.saturating_sub(1)).collect();
            let nulls = NullBuffer::union(nulls.as_ref(), windows.nulls());
            let moments = PrimitiveArray::<TimestampMicrosecondType>::try_new(values, nulls);
            let moments = moments.map_err(|e| Error::internal(e.to_string()))?;
            Ok(Arc::new(moments.with_data_type(ends.data_type().clone())))
        }))
    }

    /// The window of a row of `session_window(..)`, which is what marks it as such.
    pub fn session(window: &DataType) -> Resolved {
        Resolved::new(vec![window.clone()], window.clone(), false, |inputs| inputs.array(0))
    }

    fn structs(
        self,
        starts: PrimitiveArray<TimestampMicrosecondType>,
        window: &DataType,
    ) -> Result<StructArray> {
        let ArrowType::Struct(fields) = arrow_type(window) else {
            return Err(Error::internal("a window is a struct"));
        };
        let ends: PrimitiveArray<TimestampMicrosecondType> =
            starts.unary(|s| s.saturating_add(self.duration));
        let nulls: Option<NullBuffer> = starts.nulls().cloned();
        let columns = [starts, ends]
            .into_iter()
            .zip(&fields)
            .map(|(column, field)| crate::scalar::conform(Arc::new(column), field.data_type()))
            .collect::<Result<Vec<ArrayRef>>>()?;
        Ok(StructArray::new(fields, columns, nulls))
    }
}

fn time_bucket(call: &Call) -> Result<Resolved> {
    call.arity_of(&[2, 3])?;
    let time = match &call.args[1].data_type {
        DataType::TimestampNtz => DataType::TimestampNtz,
        _ => DataType::Timestamp,
    };
    let kind = match time {
        DataType::Timestamp => "TIMESTAMP",
        _ => "TIMESTAMP_NTZ",
    };
    // Messages show the origin, also where it is left out.
    let mut args = call.args.to_vec();
    let default_origin = format!("{kind} '1970-01-01 00:00:00'");
    if args.len() == 2 {
        args.push(crate::Arg {
            data_type: time.clone(),
            nullable: false,
            constant: None,
            sql: default_origin.clone(),
            elements: None,
        });
    }
    let full = Call { name: call.name, args: &args, context: call.context };
    let coerced = full.exactly(&[
        Want::one_of([Want::DayTimeInterval, Want::YearMonthInterval]),
        Want::AnyTimestamp,
        Want::Exact(time.clone()),
    ])?;
    let by_months = matches!(coerced.first(), Some(DataType::YearMonthInterval { .. }));
    let size = match &call.args[0].constant {
        Some(ScalarValue::DurationMicrosecond(v)) => *v,
        Some(ScalarValue::IntervalYearMonth(v)) => v.map(i64::from),
        Some(v) if v.is_null() => None,
        _ if call.args[0].data_type == DataType::Null => None,
        _ => return Err(not_constant(&full, 0, "bucketSize", &call.args[0].data_type.sql())),
    };
    if let Some(size) = size
        && size <= 0
    {
        return Err(out_of_range(&full, "`bucketSize`", "(0, inf)", &call.args[0].sql));
    }
    let nullable = call.any_nullable();
    let given = call.args.len();
    let coerced = coerced.into_iter().take(given).collect();
    let zoned = time == DataType::Timestamp;
    let resolved = Resolved::new(coerced, time, nullable, move |inputs| {
        let out = buckets(inputs, by_months, zoned)?;
        Ok(if zoned { instants(out) } else { Arc::new(out) as ArrayRef })
    });
    Ok(match given {
        2 => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Arg(1), ShownArg::Text(default_origin)]),
        _ => resolved,
    })
}

fn buckets(
    inputs: &Inputs,
    by_months: bool,
    zoned: bool,
) -> Result<PrimitiveArray<TimestampMicrosecondType>> {
    let clock = clock(inputs, zoned);
    let times = timestamps(inputs, 1)?;
    let origins = if inputs.len() > 2 { Some(timestamps(inputs, 2)?) } else { None };
    let first = inputs.array(0)?;
    let mut arrays: Vec<&dyn Array> = vec![&first, &times];
    arrays.extend(origins.as_ref().map(|o| o as &dyn Array));
    let nulls = common_nulls(&arrays);
    let default_origin = clock.instant(0);
    let origin = |row: usize| origins.as_ref().map_or(default_origin, |o| o.value(row));
    let found = |bucket: Option<i64>| bucket.ok_or_else(super::long_overflow).map(Some);
    if by_months {
        let sizes = inputs.primitives::<IntervalYearMonthType>(0)?;
        return build(inputs.rows(), nulls.as_ref(), |row| {
            found(month_bucket(i64::from(sizes.value(row)), times.value(row), origin(row), &clock))
        });
    }
    if nulls.as_ref().is_some_and(|n| n.null_count() == inputs.rows()) {
        return Ok(PrimitiveArray::new_null(inputs.rows()));
    }
    let sizes = inputs.primitives::<DurationMicrosecondType>(0)?;
    build(inputs.rows(), nulls.as_ref(), |row| {
        found(bucket(sizes.value(row), times.value(row), origin(row), &clock))
    })
}

/// Buckets of a day and more follow the wall clock, shorter ones real time.
fn bucket(size: i64, time: i64, origin: i64, clock: &Clock) -> Option<i64> {
    let floor =
        |time: i64, origin: i64| time.checked_sub(time.checked_sub(origin)?.checked_rem_euclid(size)?);
    if size < MICROS_PER_DAY {
        return floor(time, origin);
    }
    clock.checked_instant(floor(clock.local(time), clock.local(origin))?)
}

fn month_bucket(size: i64, time: i64, origin: i64, clock: &Clock) -> Option<i64> {
    let month = |t: i64| {
        let (year, month, _) = civil_from_days(clock.day(t));
        year * 12 + i64::from(month)
    };
    let mut count = (month(time) - month(origin)).div_euclid(size);
    let start = shift_months(origin, count.checked_mul(size)?, clock)?;
    if start <= time {
        return Some(start);
    }
    count -= 1;
    shift_months(origin, count.checked_mul(size)?, clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    #[test]
    fn windows_hold_their_times() -> Result<()> {
        let windows = Windows::new(10 * MINUTE, 5 * MINUTE, 0, "window(t, 600000000, 300000000, 0)")?;
        assert_eq!(windows.starts(12 * MINUTE).collect::<Vec<_>>(), vec![10 * MINUTE, 5 * MINUTE]);
        assert_eq!(windows.starts(-MINUTE).collect::<Vec<_>>(), vec![-5 * MINUTE, -10 * MINUTE]);
        // Where the duration is no multiple of the slide, a time may be in fewer windows.
        let windows = Windows::new(7 * MINUTE, 5 * MINUTE, MINUTE, "")?;
        assert_eq!(windows.starts(5 * MINUTE).collect::<Vec<_>>(), vec![MINUTE]);
        assert_eq!(windows.starts(7 * MINUTE).collect::<Vec<_>>(), vec![6 * MINUTE, MINUTE]);
        assert!(Windows::new(5 * MINUTE, 10 * MINUTE, 0, "").is_err());
        assert!(window_interval("1 month").is_err());
        assert_eq!(window_interval("interval 5 minutes 30 seconds").ok(), Some(5 * MINUTE + MINUTE / 2));
        Ok(())
    }
}
