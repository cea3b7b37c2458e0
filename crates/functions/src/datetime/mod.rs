//! Dates, timestamps, times of day: fields, arithmetic, truncation, parsing and formatting, time zones.
//!
//! The calendar is Java's: proleptic Gregorian, years far beyond four digits, zones with gaps and overlaps
//! ([`clock::Clock`]). The code works on whole arrays of days or microseconds.

pub(crate) mod arithmetic;
pub(crate) mod clock;
mod current;
mod epoch;
mod extract;
mod fields;
pub(crate) mod format;
mod make;
mod parse;
mod time_of_day;
mod truncate;
mod units;
pub mod window;
mod zones;

pub(crate) use format::{pattern_zone, session_zone};

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanBufferBuilder, PrimitiveArray, PrimitiveBuilder};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, TimestampMicrosecondType};
use boathouse_bridge::UTC;
use boathouse_spec::{DataType, Error, Result};

use crate::{Arg, Call, Context, Inputs, Registry, Want};

pub(crate) fn register(r: &mut Registry) {
    arithmetic::register(r);
    current::register(r);
    epoch::register(r);
    extract::register(r);
    fields::register(r);
    format::register(r);
    make::register(r);
    parse::register(r);
    time_of_day::register(r);
    truncate::register(r);
    units::register(r);
    window::register(r);
    zones::register(r);
}

/// TIMESTAMP_NTZ exactly.
const NTZ: Want = Want::Exact(DataType::TimestampNtz);

/// An array of instants.
fn instants(values: PrimitiveArray<TimestampMicrosecondType>) -> ArrayRef {
    Arc::new(values.with_timezone(UTC))
}

/// Timestamps of either kind, by number.
fn timestamps(inputs: &Inputs, i: usize) -> Result<PrimitiveArray<TimestampMicrosecondType>> {
    inputs.primitives::<TimestampMicrosecondType>(i)
}

/// Rows where every array has a value.
fn common_nulls(arrays: &[&dyn Array]) -> Option<NullBuffer> {
    arrays.iter().fold(None, |nulls, a| NullBuffer::union(nulls.as_ref(), a.nulls()))
}

/// A value or NULL a row: `make` is asked where every input has a value.
fn build<T: ArrowPrimitiveType>(
    rows: usize,
    nulls: Option<&NullBuffer>,
    mut make: impl FnMut(usize) -> Result<Option<T::Native>>,
) -> Result<PrimitiveArray<T>> {
    let mut out = PrimitiveBuilder::<T>::with_capacity(rows);
    for row in 0..rows {
        if nulls.is_some_and(|n| n.is_null(row)) {
            out.append_null();
        } else {
            out.append_option(make(row)?);
        }
    }
    Ok(out.finish())
}

/// Makes the rows NULL for which `keep` is false.
fn keep_where<T: ArrowPrimitiveType>(
    values: PrimitiveArray<T>,
    keep: impl Fn(usize) -> bool,
) -> PrimitiveArray<T> {
    let mut valid = BooleanBufferBuilder::new(values.len());
    for row in 0..values.len() {
        valid.append(keep(row));
    }
    let nulls = NullBuffer::union(Some(&NullBuffer::new(valid.finish())), values.nulls());
    let (_, buffer, _) = values.into_parts();
    PrimitiveArray::new(buffer, nulls)
}

/// A field of a date or time that is out of its range, in java.time's words.
fn out_of_bounds(range: &str, ansi_config: bool) -> Error {
    if ansi_config {
        return Error::new("DATETIME_FIELD_OUT_OF_BOUNDS.WITH_SUGGESTION")
            .param("rangeMessage", range)
            .param("ansiConfig", "\"spark.sql.ansi.enabled\"")
            .message(format!("{range}. Set \"spark.sql.ansi.enabled\" to \"false\" to get NULL."));
    }
    Error::new("DATETIME_FIELD_OUT_OF_BOUNDS.WITHOUT_SUGGESTION")
        .param("rangeMessage", range)
        .message(format!("{range}."))
}

/// The text of java.time for a value outside of a field's range.
fn range_text(field: &str, low: i64, high: i64, value: i64) -> String {
    format!("Invalid value for {field} (valid values {low} - {high}): {value}")
}

/// A result that does not fit the microseconds of a timestamp.
fn long_overflow() -> Error {
    Error::new("ARITHMETIC_OVERFLOW")
        .param("message", "long overflow")
        .param("alternative", "")
        .param("config", "\"spark.sql.ansi.enabled\"")
        .message("The result does not fit 64 bits of microseconds.")
}

/// A constant string argument, or its absence: `Some(None)` is a constant NULL.
pub(crate) fn constant_text(call: &Call, i: usize) -> Option<Option<String>> {
    use datafusion::scalar::ScalarValue;
    match call.args.get(i)?.constant.as_ref()? {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
            Some(text.clone())
        }
        value if value.is_null() => Some(None),
        _ => None,
    }
}

/// A call with a default put in where its argument was left out, for messages that show it.
struct WithDefault<'a> {
    name: &'a str,
    args: Vec<Arg>,
    context: &'a Context,
}

impl WithDefault<'_> {
    fn call(&self) -> Call<'_> {
        Call { name: self.name, args: &self.args, context: self.context }
    }
}

fn with_default<'a>(call: &Call<'a>, at: usize, data_type: DataType, sql: &str) -> WithDefault<'a> {
    let mut args = call.args.to_vec();
    if args.len() == at {
        let sql = sql.to_string();
        args.push(Arg { data_type, nullable: false, constant: None, sql, elements: None });
    }
    WithDefault { name: call.name, args, context: call.context }
}
