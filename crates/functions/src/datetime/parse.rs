//! Strings into dates and times: `to_date`, `to_timestamp` and their kin, `unix_timestamp`.
//!
//! Without a pattern these are casts; with one, Java's pattern decides. NULL instead of an error is the `try_` form,
//! or the session without ANSI.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, Int64Array, PrimitiveArray, TimestampMicrosecondArray};
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use boathouse_formats::datetime_pattern::{Misfit, Pattern};
use boathouse_formats::zone::Zone;
use boathouse_spec::{DataType, Error, Result};

use super::clock::Clock;
use super::format::{DEFAULT_PATTERN, Patterns, parsing, session_zone};
use super::{build, common_nulls, instants, timestamps, with_default};
use crate::cast::calendar::MICROS_PER_SECOND;
use crate::cast::{self, Mode};
use crate::{Call, Inputs, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["to_date"], |c| to_date(c, false));
    r.scalar(&["try_to_date"], |c| to_date(c, true));
    r.scalar(&["to_timestamp"], |c| to_timestamp(c, session_type(c), false));
    r.scalar(&["try_to_timestamp"], |c| to_timestamp(c, session_type(c), true));
    r.scalar(&["to_timestamp_ltz"], |c| to_timestamp(c, DataType::Timestamp, false));
    r.scalar(&["to_timestamp_ntz"], |c| to_timestamp(c, DataType::TimestampNtz, false));
    r.scalar(&["to_unix_timestamp"], to_unix_timestamp);
    r.scalar(&["unix_timestamp"], unix_timestamp);
}

fn session_type(call: &Call) -> DataType {
    if call.context.timestamp_ntz_default { DataType::TimestampNtz } else { DataType::Timestamp }
}

/// Whether a text that does not fit gives NULL.
fn lenient(call: &Call, tried: bool) -> bool {
    tried || !call.context.ansi
}

/// A cast of the only argument; what is no date, timestamp or text is cast as the text it has.
fn cast_of(call: &Call, to: DataType, tried: bool) -> Result<Resolved> {
    let given = &call.args[0].data_type;
    let number = given.is_numeric() && to == DataType::Timestamp;
    let from = match given {
        t if t.is_datetime() || t.is_string() || *t == DataType::Null || number => t.clone(),
        t if t.is_atomic() => DataType::STRING,
        _ => return Err(call.unexpected_input(0, &readable(number_too(&to)).sql())),
    };
    // The `try_` forms cast as without ANSI.
    let mode = if call.context.ansi && !tried { Mode::Ansi } else { Mode::Legacy };
    let nullable = call.nullable_as(std::slice::from_ref(&from)) || cast::may_give_null(&from, &to, mode);
    Ok(cast::resolved(call, from, to, nullable, mode))
}

/// Numbers are taken where the result is an instant.
fn number_too(to: &DataType) -> bool {
    *to == DataType::Timestamp
}

/// What the functions read.
fn readable(numbers: bool) -> Want {
    let mut wants = vec![Want::Str, Want::DATE, Want::TIMESTAMP, Want::Exact(DataType::TimestampNtz)];
    if numbers {
        wants.push(Want::Numeric);
    }
    Want::OneOf(wants)
}

fn to_date(call: &Call, tried: bool) -> Result<Resolved> {
    call.arity_of(&[1, 2])?;
    if call.args.len() == 1 {
        return cast_of(call, DataType::Date, tried);
    }
    if let DataType::Date = call.args[0].data_type {
        // Spark reads a timestamp with the pattern and cuts it: of a date, itself.
        let coerced = vec![DataType::Date, DataType::STRING];
        let nullable = call.nullable_as(&coerced) || lenient(call, tried);
        return Ok(Resolved::new(coerced, DataType::Date, nullable, |inputs| {
            let nulls = common_nulls(&[&inputs.array(0)?, &inputs.array(1)?]);
            let days = inputs.primitives::<Date32Type>(0)?;
            let out: Date32Array = build(inputs.rows(), nulls.as_ref(), |row| Ok(Some(days.value(row))))?;
            Ok(Arc::new(out))
        }));
    }
    let reader =
        Reader { target: DataType::Timestamp, lenient: lenient(call, tried), instead: "try_to_date" };
    let coerced = reader.coerced(call)?;
    let nullable = call.nullable_as(&coerced) || reader.lenient;
    Ok(Resolved::new(coerced, DataType::Date, nullable, move |inputs| {
        let clock = Clock::of(inputs.context());
        let parsed: PrimitiveArray<TimestampMicrosecondType> = reader.read(inputs)?;
        let out: Date32Array = parsed.unary(|t| clock.day(t) as i32);
        Ok(Arc::new(out))
    }))
}

fn to_timestamp(call: &Call, to: DataType, tried: bool) -> Result<Resolved> {
    call.arity_of(&[1, 2])?;
    if call.args.len() == 1 {
        return cast_of(call, to, tried);
    }
    let reader = Reader { target: to.clone(), lenient: lenient(call, tried), instead: "try_to_timestamp" };
    let coerced = reader.coerced(call)?;
    let nullable = call.nullable_as(&coerced) || reader.lenient;
    Ok(Resolved::new(coerced, to, nullable, move |inputs| {
        let out: TimestampMicrosecondArray = reader.read(inputs)?;
        Ok(match reader.target {
            DataType::Timestamp => instants(out),
            _ => Arc::new(out) as ArrayRef,
        })
    }))
}

fn to_unix_timestamp(call: &Call) -> Result<Resolved> {
    call.arity_of(&[1, 2])?;
    seconds_of(call)
}

fn unix_timestamp(call: &Call) -> Result<Resolved> {
    call.arity_of(&[0, 1, 2])?;
    if !call.args.is_empty() {
        return seconds_of(call);
    }
    let nullable = lenient(call, false);
    let shown = ["current_timestamp()", DEFAULT_PATTERN].map(|t| ShownArg::Text(t.into()));
    Ok(Resolved::new(vec![], DataType::Long, nullable, |inputs| {
        let now = inputs.context().now_us.div_euclid(MICROS_PER_SECOND);
        Ok(Arc::new(Int64Array::from(vec![now; inputs.rows()])))
    })
    .telling_time()
    .shown_with(shown.to_vec()))
}

fn seconds_of(call: &Call) -> Result<Resolved> {
    let reader =
        Reader { target: DataType::Timestamp, lenient: lenient(call, false), instead: "try_to_timestamp" };
    let coerced = reader.coerced(call)?;
    let nullable = call.nullable_as(&coerced) || reader.lenient;
    let resolved = Resolved::new(coerced, DataType::Long, nullable, move |inputs| {
        let parsed: TimestampMicrosecondArray = reader.read(inputs)?;
        // Spark cuts towards 1970 here, unlike in `unix_seconds`.
        let out: Int64Array = parsed.unary(|t| t / MICROS_PER_SECOND);
        Ok(Arc::new(out))
    });
    Ok(match call.args.len() {
        1 => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Text(DEFAULT_PATTERN.into())]),
        _ => resolved,
    })
}

/// Reads argument 0 by the pattern in argument 1; what is a date or timestamp already is only converted.
struct Reader {
    /// TIMESTAMP or TIMESTAMP_NTZ.
    target: DataType,
    lenient: bool,
    /// The function that messages recommend.
    instead: &'static str,
}

impl Reader {
    fn coerced(&self, call: &Call) -> Result<Vec<DataType>> {
        let accepted = readable(false);
        let given = &call.args[0].data_type;
        let number = call.name != "unix_timestamp" && call.name != "to_unix_timestamp" && given.is_atomic();
        let first = match given {
            t if accepted.accepts(t) => t.clone(),
            DataType::Null | DataType::Char(_) | DataType::Varchar(_) => DataType::STRING,
            // With a pattern, other values are read as the text they have.
            _ if number => DataType::STRING,
            _ => {
                let full = with_default(call, 1, DataType::STRING, DEFAULT_PATTERN);
                return Err(full.call().unexpected_input(0, &accepted.sql()));
            }
        };
        let mut coerced = vec![first];
        if call.args.len() > 1 {
            let pattern = call.want(&[Want::Any, Want::Str])?;
            coerced.push(pattern.get(1).cloned().unwrap_or(DataType::STRING));
        }
        Ok(coerced)
    }

    fn nulls(&self, inputs: &Inputs, values: &dyn Array) -> Result<Option<arrow::buffer::NullBuffer>> {
        Ok(match inputs.len() {
            1 => values.nulls().cloned(),
            _ => common_nulls(&[values, &inputs.array(1)?]),
        })
    }

    fn read(&self, inputs: &Inputs) -> Result<PrimitiveArray<TimestampMicrosecondType>> {
        let values = inputs.array(0)?;
        let nulls = self.nulls(inputs, values.as_ref())?;
        let rows = inputs.rows();
        use arrow::datatypes::DataType as ArrowType;
        match values.data_type() {
            // With a pattern Spark gives microseconds since 1970 in Greenwich as they are, whether the zone counts or not.
            ArrowType::Date32 => {
                let days = inputs.primitives::<Date32Type>(0)?;
                let clock = Clock::of(inputs.context());
                build(rows, nulls.as_ref(), |row| Ok(Some(clock.start_of_day(i64::from(days.value(row))))))
            }
            ArrowType::Timestamp(..) => {
                let values = timestamps(inputs, 0)?;
                build(rows, nulls.as_ref(), |row| Ok(Some(values.value(row))))
            }
            _ => {
                let zone = session_zone(inputs.context());
                let texts = inputs.strings(0)?;
                let read = |pattern: &Pattern, row: usize| self.read_text(pattern, texts.value(row), &zone);
                let constant = if inputs.len() < 2 {
                    Some(Some(DEFAULT_PATTERN.to_string()))
                } else {
                    inputs.constant_string(1)
                };
                match constant {
                    // Without a text the pattern is not looked at.
                    Some(Some(pattern)) if texts.null_count() < rows => {
                        let pattern = parsing(inputs.context())(&pattern)?;
                        build(rows, nulls.as_ref(), |row| read(&pattern, row))
                    }
                    Some(_) => Ok(PrimitiveArray::new_null(rows)),
                    None => {
                        let patterns = inputs.strings(1)?;
                        let mut compiled = Patterns::new(parsing(inputs.context()));
                        build(rows, nulls.as_ref(), |row| read(compiled.get(patterns.value(row))?, row))
                    }
                }
            }
        }
    }

    fn read_text(&self, pattern: &Pattern, text: &str, zone: &Zone) -> Result<Option<i64>> {
        let parsed = match self.target {
            DataType::Timestamp => pattern.parse_to_micros(text, zone),
            _ => pattern.parse_to_micros_ntz(text, true),
        };
        or_null(parsed, self.lenient, |misfit| misfit.error(text, self.instead))
    }
}

/// A misfit as NULL or as an error.
pub(super) fn or_null<T>(
    parsed: Result<T, Misfit>,
    lenient: bool,
    error: impl Fn(Misfit) -> Error,
) -> Result<Option<T>> {
    match parsed {
        Ok(value) => Ok(Some(value)),
        Err(_) if lenient => Ok(None),
        Err(misfit) => Err(error(misfit)),
    }
}
