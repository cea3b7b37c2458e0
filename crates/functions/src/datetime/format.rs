//! `date_format` and `from_unixtime`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringBuilder, new_null_array};
use arrow::datatypes::Int64Type;
use boathouse_bridge::arrow_type;
use boathouse_formats::datetime_pattern::Pattern;
use boathouse_formats::zone::Zone;
use boathouse_spec::{DataType, Error, Result};

use super::{common_nulls, timestamps};
use crate::cast::calendar::MICROS_PER_SECOND;
use crate::{Call, Context, Inputs, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["date_format"], date_format);
    r.scalar(&["from_unixtime"], from_unixtime);
}

pub(super) const DEFAULT_PATTERN: &str = "yyyy-MM-dd HH:mm:ss";

/// The session's zone, for patterns.
pub(crate) fn session_zone(context: &Context) -> Zone {
    Zone::parse(&context.timezone_name).unwrap_or(Zone::UTC)
}

/// A zone, for patterns.
pub(crate) fn pattern_zone(zone: &crate::cast::zone::Zone) -> Zone {
    match zone {
        crate::cast::zone::Zone::Region(tz) => Zone::Region(*tz),
        crate::cast::zone::Zone::Fixed(seconds) => Zone::offset(*seconds),
    }
}

/// How patterns are compiled for writing, by the session's `spark.sql.legacy.timeParserPolicy`.
pub(super) fn formatting(context: &Context) -> fn(&str) -> Result<Pattern> {
    if context.strict_time_parser { Pattern::for_formatting } else { Pattern::of_simple_date_format }
}

/// How patterns are compiled for reading.
pub(super) fn parsing(context: &Context) -> fn(&str) -> Result<Pattern> {
    if context.strict_time_parser { Pattern::for_parsing } else { Pattern::of_simple_date_format }
}

/// Compiled patterns by text, for columns of patterns.
pub(super) struct Patterns {
    compile: fn(&str) -> Result<Pattern>,
    known: HashMap<String, Pattern>,
}

impl Patterns {
    pub fn new(compile: fn(&str) -> Result<Pattern>) -> Self {
        Self { compile, known: HashMap::new() }
    }

    pub fn get(&mut self, text: &str) -> Result<&Pattern> {
        if !self.known.contains_key(text) {
            // Hostile columns may hold a new pattern in every row.
            if self.known.len() >= 1000 {
                self.known.clear();
            }
            self.known.insert(text.to_string(), (self.compile)(text)?);
        }
        self.known.get(text).ok_or_else(|| Error::internal("a pattern was lost"))
    }
}

fn date_format(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::TIMESTAMP, Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::STRING, nullable, |inputs| {
        let values = timestamps(inputs, 0)?;
        format(inputs, &values, |t| t)
    }))
}

fn from_unixtime(call: &Call) -> Result<Resolved> {
    call.arity_of(&[1, 2])?;
    let coerced = call.want(&[Want::LONG, Want::Str])?;
    let resolved = Resolved::new(coerced, DataType::STRING, true, |inputs| {
        let values = inputs.primitives::<Int64Type>(0)?;
        format(inputs, &values, |t| t.wrapping_mul(MICROS_PER_SECOND))
    });
    Ok(match call.args.len() {
        1 => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Text(DEFAULT_PATTERN.into())]),
        _ => resolved,
    })
}

/// Formats instants by the pattern in argument 1 (the default one where there is none).
fn format<T>(
    inputs: &Inputs,
    values: &arrow::array::PrimitiveArray<T>,
    micros: impl Fn(i64) -> i64,
) -> Result<ArrayRef>
where
    T: arrow::datatypes::ArrowPrimitiveType<Native = i64>,
{
    let zone = session_zone(inputs.context());
    let rows = inputs.rows();
    let constant =
        if inputs.len() < 2 { Some(Some(DEFAULT_PATTERN.to_string())) } else { inputs.constant_string(1) };
    let mut out = StringBuilder::with_capacity(rows, rows * 20);
    let mut text = String::new();
    if let Some(pattern) = constant {
        // Without a value the pattern is not looked at.
        let Some(pattern) = pattern.filter(|_| values.null_count() < rows) else {
            return Ok(new_null_array(&arrow_type(&DataType::STRING), rows));
        };
        let pattern = formatting(inputs.context())(&pattern)?;
        for row in 0..rows {
            if values.is_null(row) {
                out.append_null();
                continue;
            }
            text.clear();
            pattern.write_micros(micros(values.value(row)), &zone, &mut text)?;
            out.append_value(&text);
        }
        return Ok(Arc::new(out.finish()));
    }
    let patterns = inputs.strings(1)?;
    let mut compiled = Patterns::new(formatting(inputs.context()));
    let nulls = common_nulls(&[values, &patterns]);
    for row in 0..rows {
        if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            out.append_null();
            continue;
        }
        text.clear();
        compiled.get(patterns.value(row))?.write_micros(micros(values.value(row)), &zone, &mut text)?;
        out.append_value(&text);
    }
    Ok(Arc::new(out.finish()))
}
