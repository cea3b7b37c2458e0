//! Rows to JSON, in the spelling of Spark's `to_json` and JSON files.

use arrow::array::{Array, ArrayRef, StringArray, StringBuilder};
use base64::Engine;
use boathouse_spec::{DataType, Error, Result};

use super::options::Options;
use super::scanner::{Scanner, Start, SyntaxError};
use crate::cell::Cells;
use crate::datetime_text::{write_date, write_iso, write_iso_ntz, write_time_of_day};
use crate::number_text::{write_decimal, write_double, write_float};
use crate::variant::{Variant, write_json as write_variant};

/// Writes values of one column as JSON.
pub struct Generator<'a> {
    cells: Cells,
    options: &'a Options,
}

impl<'a> Generator<'a> {
    pub fn new(array: &ArrayRef, t: &DataType, options: &'a Options) -> Result<Self> {
        Ok(Self { cells: Cells::new(array, t)?, options })
    }

    pub fn is_null(&self, row: usize) -> bool {
        self.cells.is_null(row)
    }

    /// Appends the JSON of a row's value.
    pub fn write(&self, row: usize, out: &mut String) -> Result<()> {
        Writer { options: self.options, depth: 0 }.value(&self.cells, row, out)
    }
}

/// `to_json`: a text for each struct, array or map; NULL for NULL.
pub fn to_json(array: &ArrayRef, t: &DataType, options: &Options) -> Result<StringArray> {
    let generator = Generator::new(array, t, options)?;
    let mut texts = StringBuilder::with_capacity(array.len(), array.len() * 32);
    let mut text = String::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        generator.write(row, &mut text)?;
        texts.append_value(&text);
    }
    Ok(texts.finish())
}

struct Writer<'a> {
    options: &'a Options,
    /// Open objects, for indentation.
    depth: usize,
}

impl Writer<'_> {
    fn value(&mut self, cells: &Cells, row: usize, out: &mut String) -> Result<()> {
        if cells.is_null(row) {
            out.push_str("null");
            return Ok(());
        }
        let options = self.options;
        match cells {
            Cells::Null => out.push_str("null"),
            Cells::Boolean(a) => out.push_str(if a.value(row) { "true" } else { "false" }),
            Cells::Byte(a) => out.push_str(itoa::Buffer::new().format(a.value(row))),
            Cells::Short(a) => out.push_str(itoa::Buffer::new().format(a.value(row))),
            Cells::Integer(a) => out.push_str(itoa::Buffer::new().format(a.value(row))),
            Cells::Long(a) => out.push_str(itoa::Buffer::new().format(a.value(row))),
            Cells::Float(a) => {
                let finite = a.value(row).is_finite();
                quoted(!finite, out, |out| write_float(a.value(row), out));
            }
            Cells::Double(a) => {
                let finite = a.value(row).is_finite();
                quoted(!finite, out, |out| write_double(a.value(row), out));
            }
            Cells::Decimal(a, scale) => write_decimal(a.value(row), i32::from(*scale), out),
            Cells::String(a) => self.text(a.value(row), out),
            Cells::Binary(a) => {
                out.push('"');
                base64::engine::general_purpose::STANDARD.encode_string(a.value(row), out);
                out.push('"');
            }
            Cells::Date(a) => match &options.date_format_out {
                Some(pattern) => self.text(&pattern.format_days(a.value(row))?, out),
                None => quoted(true, out, |out| write_date(i64::from(a.value(row)), out)),
            },
            Cells::Timestamp(a) => match &options.timestamp_format_out {
                Some(pattern) => self.text(&pattern.format_micros(a.value(row), &options.zone)?, out),
                None => quoted(true, out, |out| write_iso(a.value(row), &options.zone, out)),
            },
            Cells::TimestampNtz(a) => match &options.timestamp_ntz_format_out {
                Some(pattern) => self.text(&pattern.format_micros_ntz(a.value(row))?, out),
                None => quoted(true, out, |out| write_iso_ntz(a.value(row), out)),
            },
            Cells::Time(a) => quoted(true, out, |out| write_time_of_day(a.value(row), out)),
            Cells::YearMonth(..) | Cells::DayTime(..) | Cells::Calendar(_) => {
                quoted(true, out, |out| {
                    cells.write_interval(row, out);
                });
            }
            Cells::Variant(_, metadata, value) => {
                let variant = Variant::new(metadata.value(row), value.value(row));
                write_variant(&variant, &options.zone, out)?;
            }
            Cells::List(a, elements) => {
                let offsets = a.value_offsets();
                self.array(offsets[row] as usize..offsets[row + 1] as usize, elements, out)?;
            }
            Cells::Map(a, entries) => {
                let offsets = a.value_offsets();
                self.map(offsets[row] as usize..offsets[row + 1] as usize, &entries.0, &entries.1, out)?;
            }
            Cells::Struct(_, schema, fields) => {
                let keep_nulls = !options.ignore_null_fields;
                out.push('{');
                self.depth += 1;
                let mut first = true;
                for (field, cells) in schema.fields.iter().zip(fields) {
                    if !keep_nulls && cells.is_null(row) {
                        continue;
                    }
                    self.name(&field.name, &mut first, out);
                    self.value(cells, row, out)?;
                }
                self.close(first, out);
            }
        }
        Ok(())
    }

    fn array(&mut self, range: std::ops::Range<usize>, elements: &Cells, out: &mut String) -> Result<()> {
        let pretty = self.options.pretty;
        out.push('[');
        for (i, element) in range.enumerate() {
            if i > 0 {
                out.push(',');
            }
            if pretty {
                out.push(' ');
            }
            self.value(elements, element, out)?;
        }
        if pretty {
            out.push(' ');
        }
        out.push(']');
        Ok(())
    }

    fn map(
        &mut self,
        range: std::ops::Range<usize>,
        keys: &Cells,
        values: &Cells,
        out: &mut String,
    ) -> Result<()> {
        out.push('{');
        self.depth += 1;
        let mut first = true;
        for entry in range {
            let mut key = String::new();
            write_key(keys, entry, &mut key)?;
            self.name(&key, &mut first, out);
            self.value(values, entry, out)?;
        }
        self.close(first, out);
        Ok(())
    }

    fn name(&mut self, name: &str, first: &mut bool, out: &mut String) {
        if !*first {
            out.push(',');
        }
        *first = false;
        if self.options.pretty {
            self.new_line(out);
        }
        self.text(name, out);
        out.push_str(if self.options.pretty { " : " } else { ":" });
    }

    fn close(&mut self, empty: bool, out: &mut String) {
        self.depth -= 1;
        if self.options.pretty {
            if empty {
                out.push(' ');
            } else {
                self.new_line(out);
            }
        }
        out.push('}');
    }

    fn new_line(&self, out: &mut String) {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", self.depth));
    }

    fn text(&self, text: &str, out: &mut String) {
        write_text(text, self.options.write_non_ascii_as_codes, out);
    }
}

fn quoted(quotes: bool, out: &mut String, write: impl FnOnce(&mut String)) {
    if quotes {
        out.push('"');
    }
    write(out);
    if quotes {
        out.push('"');
    }
}

/// Appends a JSON string.
pub fn write_text(text: &str, ascii_only: bool, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (i, c) in text.char_indices() {
        let escape = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            c if c < ' ' || (ascii_only && !c.is_ascii()) => "",
            _ => continue,
        };
        out.push_str(&text[plain..i]);
        plain = i + c.len_utf8();
        if escape.is_empty() {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04X}"));
            }
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Appends a JSON string whose characters beyond the first 65536 are two `\uXXXX`: so Spark copies JSON.
fn write_copied_text(text: &str, out: &mut String) {
    // Such characters begin with a byte of F0 and up.
    if !text.bytes().any(|b| b >= 0xf0) {
        return write_text(text, false, out);
    }
    let mut quoted = String::new();
    write_text(text, false, &mut quoted);
    for c in quoted.chars() {
        if c.len_utf16() == 1 {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04X}"));
            }
        }
    }
}

/// Appends the name that a map's key gives: Spark writes what its engine holds, so dates are days, instants and
/// intervals of days microseconds, and intervals of years months.
fn write_key(keys: &Cells, entry: usize, out: &mut String) -> Result<()> {
    match keys {
        Cells::String(a) => out.push_str(a.value(entry)),
        Cells::Boolean(a) => out.push_str(if a.value(entry) { "true" } else { "false" }),
        Cells::Byte(a) => out.push_str(itoa::Buffer::new().format(a.value(entry))),
        Cells::Short(a) => out.push_str(itoa::Buffer::new().format(a.value(entry))),
        Cells::Integer(a) => out.push_str(itoa::Buffer::new().format(a.value(entry))),
        Cells::Long(a) => out.push_str(itoa::Buffer::new().format(a.value(entry))),
        Cells::Float(a) => write_float(a.value(entry), out),
        Cells::Double(a) => write_double(a.value(entry), out),
        Cells::Decimal(a, scale) => write_decimal(a.value(entry), i32::from(*scale), out),
        Cells::Date(a) => out.push_str(itoa::Buffer::new().format(a.value(entry))),
        Cells::Timestamp(a) | Cells::TimestampNtz(a) => {
            out.push_str(itoa::Buffer::new().format(a.value(entry)))
        }
        Cells::Time(a) => out.push_str(itoa::Buffer::new().format(a.value(entry))),
        Cells::YearMonth(a, ..) => out.push_str(itoa::Buffer::new().format(a.value(entry))),
        Cells::DayTime(a, ..) => out.push_str(itoa::Buffer::new().format(a.value(entry))),
        Cells::List(a, elements) => {
            let offsets = a.value_offsets();
            let entries = offsets[entry] as usize..offsets[entry + 1] as usize;
            write_keys(entries.map(|entry| (&**elements, entry)), out)?;
        }
        Cells::Struct(_, _, fields) => write_keys(fields.iter().map(|field| (field, entry)), out)?,
        _ => return Err(Error::unsupported("maps with such keys in JSON")),
    }
    Ok(())
}

/// Appends `[1,2]`, as a list or struct is shown that is a key: Java's text of it.
fn write_keys<'a>(keys: impl Iterator<Item = (&'a Cells, usize)>, out: &mut String) -> Result<()> {
    out.push('[');
    for (i, (key, entry)) in keys.enumerate() {
        if i > 0 {
            out.push(',');
        }
        if key.is_null(entry) {
            out.push_str("null");
        } else {
            write_key(key, entry, out)?;
        }
    }
    out.push(']');
    Ok(())
}

/// Appends the value at the scanner's place as JSON without spaces, its numbers and texts in one spelling.
pub fn copy_value(scanner: &mut Scanner, out: &mut String) -> Result<(), SyntaxError> {
    copy_nested(scanner, out, 0)
}

fn copy_nested(scanner: &mut Scanner, out: &mut String, depth: usize) -> Result<(), SyntaxError> {
    if depth > super::scanner::MAX_DEPTH {
        return Err(SyntaxError);
    }
    let mut scratch = Vec::new();
    match scanner.start()? {
        Start::Object => {
            scanner.open();
            out.push('{');
            let mut first = true;
            while let Some(name) = scanner.next_field(first, &mut scratch)? {
                if !first {
                    out.push(',');
                }
                first = false;
                write_copied_text(std::str::from_utf8(name).map_err(|_| SyntaxError)?, out);
                out.push(':');
                copy_nested(scanner, out, depth + 1)?;
            }
            out.push('}');
        }
        Start::Array => {
            scanner.open();
            out.push('[');
            let mut first = true;
            while scanner.next_element(first)? {
                if !first {
                    out.push(',');
                }
                first = false;
                copy_nested(scanner, out, depth + 1)?;
            }
            out.push(']');
        }
        Start::Text(quote) => {
            let text = scanner.text_slice(quote, &mut scratch)?;
            write_copied_text(std::str::from_utf8(text).map_err(|_| SyntaxError)?, out);
        }
        Start::Number => {
            let number = scanner.number()?;
            match number.long {
                Some(value) => out.push_str(itoa::Buffer::new().format(value)),
                None if number.integer => out.push_str(number.text),
                None => {
                    let value: f64 = number.text.parse().map_err(|_| SyntaxError)?;
                    quoted(!value.is_finite(), out, |out| write_double(value, out));
                }
            }
        }
        Start::Name => {
            let value = scanner.named_number()?;
            quoted(true, out, |out| write_double(value, out));
        }
        Start::True => {
            scanner.word("true")?;
            out.push_str("true");
        }
        Start::False => {
            scanner.word("false")?;
            out.push_str("false");
        }
        Start::Null => {
            scanner.word("null")?;
            out.push_str("null");
        }
    }
    Ok(())
}
