//! JSON values into columns, by Spark's rules of what fits which type.

use super::options::Options;
use super::scanner::{Scanner, Start, SyntaxError};
use crate::column::{Column, Struct};
use crate::datetime_pattern::Pattern;
use crate::datetime_text::{parse_date, parse_time, parse_timestamp, parse_timestamp_ntz};
use crate::number_text::parse_decimal;
use crate::rescue::{self, Rescued};
use crate::variant::{Builder, append_json};

/// Why a value was not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misread {
    /// The text is no JSON: nothing of the record can be trusted.
    Syntax,
    /// The value does not fit the column's type: the field it belongs to is NULL.
    Type,
}

impl From<SyntaxError> for Misread {
    fn from(_: SyntaxError) -> Self {
        Self::Syntax
    }
}

/// What becomes of what has no place in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rescuing {
    /// It is left out, and values that do not fit are malformed.
    No,
    /// The same, but nothing is malformed: the column that would have it is not read.
    Unread,
    /// It is kept as JSON.
    Yes,
}

/// Appends values to columns. One for each parser: it keeps its buffers.
pub(super) struct Converter {
    pub(super) options: Options,
    /// A value of the record did not fit.
    pub(super) misfit: bool,
    pub(super) rescuing: Rescuing,
    /// What was rescued of the value that was read last.
    pub(super) rescued: Option<String>,
    scratch: Vec<u8>,
    variant: Builder,
}

impl Converter {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            misfit: false,
            rescuing: Rescuing::No,
            rescued: None,
            scratch: Vec::new(),
            variant: Builder::new(),
        }
    }

    /// Appends the object at the scanner's place as a row. Fields that do not fit are NULL and noted in `misfit`.
    pub(super) fn object(&mut self, scanner: &mut Scanner, row: &mut Struct) -> Result<(), SyntaxError> {
        scanner.open();
        let number = row.rows();
        let (mut first, mut guess) = (true, 0);
        let any_case = self.options.rescue.as_ref().is_some_and(|r| !r.case_sensitive);
        let mut rescued = Rescued::default();
        while let Some(name) = scanner.next_field(first, &mut self.scratch)? {
            first = false;
            let found = row.find(name, guess);
            let found = if any_case { found.or_else(|| row.find_in_any_case(name)) } else { found };
            let Some(field) = found else {
                if self.rescuing == Rescuing::Yes {
                    let name = String::from_utf8_lossy(name).into_owned();
                    rescue_value(scanner, &name, &mut rescued)?;
                } else {
                    scanner.skip_value()?;
                }
                continue;
            };
            guess = field + 1;
            let column = &mut row.columns[field];
            if column.len() > number {
                // The name came before: the last value counts.
                column.truncate(number);
            }
            let start = scanner.position();
            self.rescued = None;
            match self.value(scanner, column) {
                Ok(()) => match self.rescued.take() {
                    Some(json) => rescued.set(row.fields()[field].name(), json),
                    None if self.rescuing == Rescuing::Yes => rescued.remove(row.fields()[field].name()),
                    None => {}
                },
                Err(Misread::Syntax) => return Err(SyntaxError),
                Err(Misread::Type) => {
                    self.misfit |= self.rescuing == Rescuing::No;
                    column.truncate(number);
                    column.push_null();
                    scanner.rewind(start);
                    if self.rescuing == Rescuing::Yes {
                        rescue_value(scanner, row.fields()[field].name(), &mut rescued)?;
                    } else {
                        scanner.skip_value()?;
                    }
                }
            }
        }
        row.close();
        self.rescued = rescued.object();
        Ok(())
    }

    /// Appends the value at the scanner's place. After an error of type the place and the column are undefined: the caller
    /// goes back to where it knows both.
    pub(super) fn value(&mut self, scanner: &mut Scanner, column: &mut Column) -> Result<(), Misread> {
        let start = scanner.start()?;
        if let Column::Variant(values) = column {
            // A null is a value of a variant like any other.
            self.variant.clear();
            return match append_json(scanner, &mut self.variant) {
                Ok(true) => values.push(&self.variant).map_err(|_| Misread::Type),
                Ok(false) => Err(Misread::Syntax),
                Err(_) => Err(Misread::Type),
            };
        }
        if start == Start::Null {
            scanner.word("null")?;
            column.push_null();
            return Ok(());
        }
        match column {
            Column::String(texts) => match start {
                Start::Text(quote) => {
                    if scanner.text(quote, texts.open()).is_err() {
                        texts.abandon();
                        return Err(Misread::Syntax);
                    }
                    texts.close();
                }
                _ if self.options.exact_strings => {
                    let from = scanner.position();
                    scanner.skip_value()?;
                    texts.push(scanner.slice(from).as_bytes());
                }
                _ => {
                    let mut out = String::new();
                    super::generate::copy_value(scanner, &mut out)?;
                    texts.push(out.as_bytes());
                }
            },
            Column::Long(values) => values.push(integer(scanner, start)?),
            Column::Integer(values) => {
                values.push(i32::try_from(integer(scanner, start)?).map_err(|_| Misread::Type)?);
            }
            Column::Short(values) => {
                values.push(i16::try_from(integer(scanner, start)?).map_err(|_| Misread::Type)?);
            }
            // The parser that Spark uses takes a byte for signed or unsigned.
            Column::Byte(values) => match integer(scanner, start)? {
                v @ -128..=255 => values.push(v as i8),
                _ => return Err(Misread::Type),
            },
            Column::Double(values) => values.push(self.float(scanner, start)?),
            Column::Float(values) => match start {
                Start::Number => {
                    values.push(scanner.number()?.text.parse::<f32>().map_err(|_| Misread::Type)?);
                }
                _ => values.push(self.float(scanner, start)? as f32),
            },
            Column::Boolean(values) => match start {
                Start::True => {
                    scanner.word("true")?;
                    values.push(true);
                }
                Start::False => {
                    scanner.word("false")?;
                    values.push(false);
                }
                _ => return Err(Misread::Type),
            },
            Column::Decimal(values, precision, scale) => {
                let parsed = match start {
                    Start::Number => parse_decimal(scanner.number()?.text),
                    Start::Text(quote) => {
                        let text = self.short_text(scanner, quote)?;
                        if text.contains(',') {
                            parse_decimal(&text.replace(',', ""))
                        } else {
                            parse_decimal(text)
                        }
                    }
                    _ => None,
                };
                values.push(parsed.and_then(|d| d.rescale(*precision, *scale)).ok_or(Misread::Type)?);
            }
            Column::Timestamp(values) => match start {
                Start::Number => {
                    let seconds = integer(scanner, start)?;
                    values.push(seconds.wrapping_mul(1_000_000));
                }
                Start::Text(quote) => {
                    let us = self.timestamp(scanner, quote)?;
                    values.push(us);
                }
                _ => return Err(Misread::Type),
            },
            Column::TimestampNtz(values) => match start {
                Start::Text(quote) => {
                    let us = self.timestamp_ntz(scanner, quote)?;
                    values.push(us);
                }
                _ => return Err(Misread::Type),
            },
            Column::Date(values) => match start {
                Start::Text(quote) => {
                    let days = self.date(scanner, quote)?;
                    values.push(days);
                }
                _ => return Err(Misread::Type),
            },
            Column::Time(values) => match start {
                Start::Text(quote) => {
                    values.push(parse_time(self.short_text(scanner, quote)?).ok_or(Misread::Type)?);
                }
                _ => return Err(Misread::Type),
            },
            Column::Binary(values) => match start {
                Start::Text(quote) => {
                    let text = scanner.text_slice(quote, &mut self.scratch)?;
                    let bytes = decode_base64(text).ok_or(Misread::Type)?;
                    values.push(&bytes);
                }
                _ => return Err(Misread::Type),
            },
            Column::Struct(row) => match start {
                Start::Object => self.object(scanner, row)?,
                _ => return Err(Misread::Type),
            },
            Column::List(list) => {
                if start != Start::Array {
                    return Err(Misread::Type);
                }
                scanner.open();
                let mut first = true;
                let mut rescued = Vec::new();
                while scanner.next_element(first)? {
                    first = false;
                    self.rescued = None;
                    self.value(scanner, &mut list.element)?;
                    if self.rescuing == Rescuing::Yes {
                        rescued.push(self.rescued.take());
                    }
                }
                list.close();
                self.rescued = rescue::array(&rescued);
            }
            Column::Map(map) => {
                if start != Start::Object {
                    return Err(Misread::Type);
                }
                scanner.open();
                let mut first = true;
                let mut rescued = Rescued::default();
                while let Some(name) = scanner.next_field(first, &mut self.scratch)? {
                    first = false;
                    map.keys.push(name);
                    let key =
                        (self.rescuing == Rescuing::Yes).then(|| String::from_utf8_lossy(name).into_owned());
                    self.rescued = None;
                    self.value(scanner, &mut map.values)?;
                    if let (Some(key), Some(json)) = (key, self.rescued.take()) {
                        rescued.set(&key, json);
                    }
                }
                map.close();
                self.rescued = rescued.object();
            }
            Column::Null(_) => {
                scanner.skip_value()?;
                column.push_null();
            }
            Column::YearMonth(..) | Column::DayTime(..) | Column::Calendar(_) => match start {
                Start::Text(quote) => {
                    let text = self.short_text(scanner, quote)?;
                    column.push_interval(text).ok_or(Misread::Type)?;
                }
                _ => return Err(Misread::Type),
            },
            Column::Variant(_) => return Err(Misread::Type),
        }
        Ok(())
    }

    /// A text; the empty one fits no type but texts themselves.
    fn short_text<'b>(&'b mut self, scanner: &'b mut Scanner, quote: u8) -> Result<&'b str, Misread> {
        let bytes = scanner.text_slice(quote, &mut self.scratch)?;
        match std::str::from_utf8(bytes) {
            Ok("") | Err(_) => Err(Misread::Type),
            Ok(text) => Ok(text),
        }
    }

    fn float(&mut self, scanner: &mut Scanner, start: Start) -> Result<f64, Misread> {
        match start {
            Start::Number => {
                let number = scanner.number()?;
                match number.long {
                    Some(v) if v != 0 => Ok(v as f64),
                    _ => number.text.parse().map_err(|_| Misread::Type),
                }
            }
            Start::Name => Ok(scanner.named_number()?),
            Start::Text(quote) => {
                let allowed = self.options.leniency.non_numeric_numbers;
                match self.short_text(scanner, quote)? {
                    "NaN" if allowed => Ok(f64::NAN),
                    "+INF" | "+Infinity" | "Infinity" if allowed => Ok(f64::INFINITY),
                    "-INF" | "-Infinity" if allowed => Ok(f64::NEG_INFINITY),
                    _ => Err(Misread::Type),
                }
            }
            _ => Err(Misread::Type),
        }
    }

    fn timestamp(&mut self, scanner: &mut Scanner, quote: u8) -> Result<i64, Misread> {
        let bytes = scanner.text_slice(quote, &mut self.scratch)?;
        let text = std::str::from_utf8(bytes).map_err(|_| Misread::Type)?;
        read_timestamp(text, &self.options).ok_or(Misread::Type)
    }

    fn timestamp_ntz(&mut self, scanner: &mut Scanner, quote: u8) -> Result<i64, Misread> {
        let bytes = scanner.text_slice(quote, &mut self.scratch)?;
        let text = std::str::from_utf8(bytes).map_err(|_| Misread::Type)?;
        let parsed = match &self.options.timestamp_ntz_format {
            Some(pattern) => pattern.parse_to_micros_ntz(text, false).ok(),
            None => parse_timestamp_ntz(text, false),
        };
        parsed.ok_or(Misread::Type)
    }

    fn date(&mut self, scanner: &mut Scanner, quote: u8) -> Result<i32, Misread> {
        let bytes = scanner.text_slice(quote, &mut self.scratch)?;
        let text = std::str::from_utf8(bytes).map_err(|_| Misread::Type)?;
        let options = &self.options;
        let by_pattern = match &options.date_format {
            Some(pattern) => pattern.parse_to_days(text).ok(),
            None => parse_date(text),
        };
        // Spark 1.5 wrote dates as days since the epoch, and they are still read.
        let falls_back = options.fall_back && options.date_format.as_ref().is_none_or(Pattern::is_readable);
        let fall_back = || falls_back.then(|| parse_date(text).or_else(|| text.parse().ok())).flatten();
        by_pattern.or_else(fall_back).ok_or(Misread::Type)
    }
}

/// Keeps the value at the scanner's place; a null holds nothing that could be lost.
fn rescue_value(scanner: &mut Scanner, name: &str, rescued: &mut Rescued) -> Result<(), SyntaxError> {
    if scanner.start()? == Start::Null {
        return scanner.word("null");
    }
    let mut json = String::new();
    super::generate::copy_value(scanner, &mut json)?;
    rescued.set(name, json);
    Ok(())
}

/// A timestamp's text by the format of the options, or the default forms.
pub(super) fn read_timestamp(text: &str, options: &Options) -> Option<i64> {
    match &options.timestamp_format {
        Some(pattern) => pattern.parse_to_micros(text, &options.zone).ok().or_else(|| {
            let falls_back = options.fall_back && pattern.is_readable();
            falls_back.then(|| parse_timestamp(text, &options.zone)).flatten()
        }),
        None => parse_timestamp(text, &options.zone),
    }
}

/// An integer without point or exponent, of 64 bits.
#[inline]
fn integer(scanner: &mut Scanner, start: Start) -> Result<i64, Misread> {
    if start != Start::Number {
        return Err(Misread::Type);
    }
    scanner.number()?.long.ok_or(Misread::Type)
}

/// Base64 as Spark's parser of JSON reads it: groups of four with their padding, also in the midst, and blanks before
/// a group only.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut rest = text.iter().copied();
    while let Some(first) = rest.find(|b| *b > b' ') {
        let start = (sextet(first)? << 6) | sextet(rest.next()?)?;
        let (third, fourth) = (rest.next()?, rest.next()?);
        let (bits, length) = match (third, fourth) {
            (b'=', b'=') => (start << 12, 1),
            (third, b'=') => ((start << 12) | (sextet(third)? << 6), 2),
            (third, fourth) => ((start << 12) | (sextet(third)? << 6) | sextet(fourth)?, 3),
        };
        let [_, bytes @ ..] = bits.to_be_bytes();
        out.extend(bytes.into_iter().take(length));
    }
    Some(out)
}

/// The six bits of a character of base64.
fn sextet(c: u8) -> Option<u32> {
    Some(u32::from(match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}
