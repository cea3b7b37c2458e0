//! The schema of CSV records: names from a header, types from values.

use std::collections::HashMap;

use boathouse_spec::{DataType, Result, StructField, StructType};

use super::options::Options;
use super::parser::{is_double, parse_boolean, read_timestamp};
use super::tokenizer::{Fields, Tokenizer};
use crate::datetime_text::{parse_date, parse_timestamp_ntz};
use crate::number_text::parse_decimal;

/// Finds names and types, one record after the other. The first record names the columns.
pub struct Inference {
    options: Options,
    tokenizer: Tokenizer,
    fields: Fields,
    names: Option<Vec<String>>,
    types: Vec<Seen>,
}

/// The types that values are tried for, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Integer,
    Long,
    Decimal(u8, i32),
    Double,
    Date,
    TimestampNtz,
    Timestamp,
    Boolean,
    String,
}

impl Inference {
    pub fn new(options: Options) -> Self {
        let tokenizer = Tokenizer::new(&options, options.multi_line);
        Self { options, tokenizer, fields: Fields::default(), names: None, types: Vec::new() }
    }

    /// Whether the columns are known, and types not asked for: then there is no need to read on.
    pub fn is_done(&self) -> bool {
        self.names.is_some() && !self.options.infer_schema
    }

    /// Looks at the record at a place of a text. Gives the place behind it.
    pub fn push(&mut self, text: &str, at: usize) -> Result<usize> {
        let end = self.tokenizer.record(text, at, &mut self.fields)?;
        if self.names.is_none() {
            self.names = Some(self.column_names());
            self.types = vec![Seen::Nothing; self.fields.len()];
            if self.options.header {
                return Ok(end);
            }
        }
        if self.options.infer_schema {
            for (i, seen) in self.types.iter_mut().enumerate() {
                if let Some(text) = self.fields.value(i, &self.options).filter(|t| !t.is_empty()) {
                    *seen = widen(*seen, text, &self.options);
                }
            }
        }
        Ok(end)
    }

    /// The header's names made safe, or `_c0`, `_c1`, ...
    fn column_names(&self) -> Vec<String> {
        let n = self.fields.len();
        if !self.options.header {
            return (0..n).map(|i| format!("_c{i}")).collect();
        }
        let fold =
            |name: &str| if self.options.case_sensitive { name.to_string() } else { name.to_lowercase() };
        let names: Vec<Option<&str>> =
            (0..n).map(|i| self.fields.value(i, &self.options).filter(|name| !name.is_empty())).collect();
        let mut count: HashMap<String, usize> = HashMap::new();
        for name in names.iter().flatten() {
            *count.entry(fold(name)).or_default() += 1;
        }
        names
            .iter()
            .enumerate()
            .map(|(i, name)| match name {
                None => format!("_c{i}"),
                Some(name) if count.get(&fold(name)).is_some_and(|n| *n > 1) => format!("{name}{i}"),
                Some(name) => (*name).to_string(),
            })
            .collect()
    }

    /// Takes in what was found in records with a header of their own: columns are found by their names.
    pub fn merge(&mut self, other: Self) {
        let names = self.names.get_or_insert_default();
        for (name, seen) in other.names.unwrap_or_default().into_iter().zip(other.types) {
            match names.iter().position(|known| known.to_lowercase() == name.to_lowercase()) {
                Some(i) => self.types[i] = common(self.types[i], seen, &self.options),
                None => {
                    names.push(name);
                    self.types.push(seen);
                }
            }
        }
    }

    /// The schema; empty where there was no record.
    pub fn finish(self) -> StructType {
        let names = self.names.unwrap_or_default();
        let fields = names.into_iter().zip(self.types).map(|(name, seen)| {
            let t = match seen {
                Seen::Integer => DataType::Integer,
                Seen::Long => DataType::Long,
                Seen::Decimal(precision, scale) => match u8::try_from(scale) {
                    Ok(scale) => DataType::Decimal { precision, scale },
                    Err(_) => DataType::Double,
                },
                Seen::Double => DataType::Double,
                Seen::Date => DataType::Date,
                Seen::TimestampNtz => DataType::TimestampNtz,
                Seen::Timestamp => DataType::Timestamp,
                Seen::Boolean => DataType::Boolean,
                Seen::Nothing | Seen::String => DataType::STRING,
            };
            StructField::new(name, t, true)
        });
        StructType::new(fields.collect())
    }
}

/// The type of what was seen and one more value.
fn widen(seen: Seen, text: &str, options: &Options) -> Seen {
    let this = match seen {
        Seen::Nothing | Seen::Integer => try_integer(text, options),
        Seen::Long => try_long(text, options),
        Seen::Decimal(..) => try_decimal(text, options),
        Seen::Double => try_double(text, options),
        Seen::Date => try_date(text, options),
        Seen::TimestampNtz => try_ntz(text, options),
        Seen::Timestamp => try_timestamp(text, options),
        Seen::Boolean => try_boolean(text),
        Seen::String => Seen::String,
    };
    common(seen, this, options)
}

fn try_integer(text: &str, options: &Options) -> Seen {
    if text.parse::<i32>().is_ok() { Seen::Integer } else { try_long(text, options) }
}

fn try_long(text: &str, options: &Options) -> Seen {
    if text.parse::<i64>().is_ok() { Seen::Long } else { try_decimal(text, options) }
}

/// Only whole numbers are decimals: what has a fraction is a double.
fn try_decimal(text: &str, options: &Options) -> Seen {
    match parse_decimal(&text.replace(',', "")) {
        Some(d) if d.scale <= 0 && d.precision <= 38 => {
            // A negative scale is not a decimal's; such numbers are doubles.
            if d.scale < 0 { try_double(text, options) } else { Seen::Decimal(d.precision as u8, d.scale) }
        }
        _ => try_double(text, options),
    }
}

fn try_double(text: &str, options: &Options) -> Seen {
    if is_double(text, options) {
        Seen::Double
    } else if options.prefer_date {
        try_date(text, options)
    } else {
        try_ntz(text, options)
    }
}

fn try_date(text: &str, options: &Options) -> Seen {
    let is_date = match &options.date_format {
        Some(pattern) => pattern.parse_to_days(text).is_ok(),
        None => is_plain_date(text),
    };
    if is_date { Seen::Date } else { try_ntz(text, options) }
}

/// `yyyy-MM-dd` and nothing else: what other texts a date can be read from are taken for timestamps.
fn is_plain_date(text: &str) -> bool {
    let dashes = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    dashes && parse_date(text).is_some()
}

fn try_ntz(text: &str, options: &Options) -> Seen {
    let is_ntz = options.infer_ntz
        && match &options.timestamp_ntz_format {
            Some(pattern) => pattern.parse_to_micros_ntz(text, false).is_ok(),
            None => parse_timestamp_ntz(text, false).is_some(),
        };
    if is_ntz { Seen::TimestampNtz } else { try_timestamp(text, options) }
}

fn try_timestamp(text: &str, options: &Options) -> Seen {
    if read_timestamp(text, options).is_some() { Seen::Timestamp } else { try_boolean(text) }
}

fn try_boolean(text: &str) -> Seen {
    if parse_boolean(text).is_some() { Seen::Boolean } else { Seen::String }
}

fn common(a: Seen, b: Seen, options: &Options) -> Seen {
    match (a, b) {
        (Seen::Nothing, t) | (t, Seen::Nothing) => t,
        (a, b) if a == b => a,
        (Seen::Integer, Seen::Long) | (Seen::Long, Seen::Integer) => Seen::Long,
        (Seen::Integer | Seen::Long | Seen::Decimal(..), Seen::Double)
        | (Seen::Double, Seen::Integer | Seen::Long | Seen::Decimal(..)) => Seen::Double,
        (Seen::Integer, Seen::Decimal(p, s)) | (Seen::Decimal(p, s), Seen::Integer) => wider((10, 0), (p, s)),
        (Seen::Long, Seen::Decimal(p, s)) | (Seen::Decimal(p, s), Seen::Long) => wider((20, 0), (p, s)),
        (Seen::Decimal(p, s), Seen::Decimal(q, t)) => wider((p, s), (q, t)),
        (Seen::Date, Seen::Timestamp) | (Seen::Timestamp, Seen::Date) if options.date_format.is_none() => {
            Seen::Timestamp
        }
        (Seen::Date, Seen::TimestampNtz) | (Seen::TimestampNtz, Seen::Date)
            if options.date_format.is_none() =>
        {
            Seen::TimestampNtz
        }
        (Seen::Timestamp, Seen::TimestampNtz) | (Seen::TimestampNtz, Seen::Timestamp) => Seen::Timestamp,
        _ => Seen::String,
    }
}

fn wider((p, s): (u8, i32), (q, t): (u8, i32)) -> Seen {
    let scale = s.max(t);
    let precision = (i32::from(p) - s).max(i32::from(q) - t) + scale;
    match u8::try_from(precision) {
        Ok(precision) if precision <= 38 => Seen::Decimal(precision, scale),
        _ => Seen::Double,
    }
}

/// `schema_of_csv`: the type of one text.
pub fn type_of(text: &str, options: Options) -> Result<StructType> {
    let options = Options { header: false, infer_schema: true, multi_line: false, ..options };
    let mut inference = Inference::new(options);
    if !text.is_empty() {
        inference.push(text, 0)?;
    }
    Ok(inference.finish())
}
