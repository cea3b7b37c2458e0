//! Rows to CSV, in the spelling of Spark's `to_csv` and CSV files.

use arrow::array::{Array, ArrayRef, StringArray, StringBuilder, StructArray};
use boathouse_spec::{DataType, Error, Result, StructType};

use super::options::Options;
use super::parser::unsupported_type;
use crate::cell::Cells;
use crate::datetime_text::{write_date, write_iso, write_iso_ntz, write_time_of_day, write_timestamp_text};
use crate::number_text::{write_decimal, write_double, write_float, write_plain_decimal};
use crate::variant::{Variant, write_json as write_variant};

/// What Spark's writer takes for the beginning of a comment where none was set: a line must not begin with it.
const DEFAULT_COMMENT: char = '#';

/// Writes rows of columns as CSV lines, without their ends.
pub struct Generator<'a> {
    cells: Vec<Cells>,
    options: &'a Options,
}

impl<'a> Generator<'a> {
    pub fn new(columns: &[ArrayRef], schema: &StructType, options: &'a Options) -> Result<Self> {
        let cells = columns
            .iter()
            .zip(&schema.fields)
            .map(|(c, f)| Cells::new(c, &f.data_type))
            .collect::<Result<_>>()?;
        Ok(Self { cells, options })
    }

    /// Appends a row.
    pub fn write(&self, row: usize, out: &mut String) -> Result<()> {
        let mut value = String::new();
        for (i, cells) in self.cells.iter().enumerate() {
            if i > 0 {
                out.push_str(&self.options.delimiter);
            }
            if cells.is_null(row) {
                write_stand_in(&self.options.null_value, self.options, out);
                continue;
            }
            if let Cells::String(texts) = cells {
                write_field(texts.value(row), i == 0, self.options, out);
                continue;
            }
            value.clear();
            write_value(cells, row, self.options, &mut value)?;
            write_field(&value, i == 0, self.options, out);
        }
        Ok(())
    }
}

/// Appends the names of columns as a line.
pub fn write_header(names: &[&str], options: &Options, out: &mut String) {
    for (i, name) in names.iter().enumerate() {
        if i > 0 {
            out.push_str(&options.delimiter);
        }
        write_field(name, i == 0, options, out);
    }
}

/// What stands for NULL or for an empty text: quoted only where everything is.
fn write_stand_in(text: &str, options: &Options, out: &mut String) {
    let has_quotes = text.len() >= 2 && text.starts_with(options.quote) && text.ends_with(options.quote);
    if options.quote_all && !has_quotes {
        write_quoted(text, options, out);
    } else {
        out.push_str(text);
    }
}

fn write_field(text: &str, first: bool, options: &Options, out: &mut String) {
    if text.is_empty() {
        return write_stand_in(&options.empty_value, options, out);
    }
    let mut shown = text;
    if options.trim_leading {
        shown = shown.trim_start_matches(|c: char| c <= ' ');
    }
    if options.trim_trailing {
        shown = shown.trim_end_matches(|c: char| c <= ' ');
    }
    let quotes = options.quote_all
        || shown.starts_with(options.quote)
        || (first && shown.starts_with(options.comment.unwrap_or(DEFAULT_COMMENT)))
        || shown.contains(&options.delimiter)
        || shown.contains(['\n', '\r'])
        || (options.escape_quotes && shown.contains(options.quote));
    if quotes { write_quoted(shown, options, out) } else { out.push_str(shown) }
}

fn write_quoted(text: &str, options: &Options, out: &mut String) {
    out.push(options.quote);
    let escape_escape = options.escape_escape.unwrap_or(options.escape);
    for c in text.chars() {
        if c == options.quote && c != '\0' {
            out.push(options.escape);
        } else if c == options.escape && c != '\0' {
            out.push(escape_escape);
        }
        out.push(c);
    }
    out.push(options.quote);
}

fn write_value(cells: &Cells, row: usize, options: &Options, out: &mut String) -> Result<()> {
    match cells {
        Cells::Boolean(a) => out.push_str(if a.value(row) { "true" } else { "false" }),
        Cells::Byte(a) => out.push_str(itoa::Buffer::new().format(a.value(row))),
        Cells::Short(a) => out.push_str(itoa::Buffer::new().format(a.value(row))),
        Cells::Integer(a) => out.push_str(itoa::Buffer::new().format(a.value(row))),
        Cells::Long(a) => out.push_str(itoa::Buffer::new().format(a.value(row))),
        Cells::Float(a) => write_float(a.value(row), out),
        Cells::Double(a) => write_double(a.value(row), out),
        Cells::Decimal(a, scale) => write_decimal(a.value(row), i32::from(*scale), out),
        Cells::String(a) => out.push_str(a.value(row)),
        Cells::Binary(a) => options.binary_style.write(a.value(row), out),
        Cells::Date(a) => match &options.date_format_out {
            Some(pattern) => pattern.write_days(a.value(row), out)?,
            None => write_date(i64::from(a.value(row)), out),
        },
        Cells::Timestamp(a) => match &options.timestamp_format_out {
            Some(pattern) => pattern.write_micros(a.value(row), &options.zone, out)?,
            None => write_iso(a.value(row), &options.zone, out),
        },
        Cells::TimestampNtz(a) => match &options.timestamp_ntz_format_out {
            Some(pattern) => pattern.write_micros_ntz(a.value(row), out)?,
            None => write_iso_ntz(a.value(row), out),
        },
        Cells::Time(a) => write_time_of_day(a.value(row), out),
        Cells::YearMonth(..) | Cells::DayTime(..) | Cells::Calendar(_) => {
            cells.write_interval(row, out);
        }
        Cells::Null => {}
        Cells::List(..) | Cells::Map(..) | Cells::Struct(..) => write_nested(cells, row, options, out)?,
        Cells::Variant(_, metadata, value) => {
            write_variant(&Variant::new(metadata.value(row), value.value(row)), &options.zone, out)?;
        }
    }
    Ok(())
}

/// Nested values as they cast to STRING: `[1, 2]`, `{k -> v}`, `{1, x}`; NULL is what stands for it, or not even a space.
fn write_nested(cells: &Cells, row: usize, options: &Options, out: &mut String) -> Result<()> {
    if cells.is_null(row) {
        out.push_str(&options.null_value);
        return Ok(());
    }
    let spaced = |cells: &Cells, row: usize, out: &mut String| {
        if !cells.is_null(row) || !options.null_value.is_empty() {
            out.push(' ');
        }
        write_nested(cells, row, options, out)
    };
    match cells {
        Cells::List(a, elements) => {
            out.push('[');
            let offsets = a.value_offsets();
            for (i, element) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
                if i > 0 {
                    out.push(',');
                }
                if i == 0 && !elements.is_null(element) {
                    write_nested(elements, element, options, out)?;
                } else {
                    spaced(elements, element, out)?;
                }
            }
            out.push(']');
        }
        Cells::Map(a, entries) => {
            out.push('{');
            let offsets = a.value_offsets();
            for (i, entry) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_nested(&entries.0, entry, options, out)?;
                out.push_str(" ->");
                spaced(&entries.1, entry, out)?;
            }
            out.push('}');
        }
        Cells::Struct(_, _, fields) => {
            out.push('{');
            for (i, field) in fields.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                if i == 0 && !field.is_null(row) {
                    write_nested(field, row, options, out)?;
                } else {
                    spaced(field, row, out)?;
                }
            }
            out.push('}');
        }
        Cells::Timestamp(a) => write_timestamp_text(options.zone.to_local(a.value(row)), out),
        Cells::TimestampNtz(a) => write_timestamp_text(a.value(row), out),
        Cells::Decimal(a, scale) => write_plain_decimal(a.value(row), *scale as u8, out),
        other => write_value(other, row, options, out)?,
    }
    Ok(())
}

/// Appends a value as it casts to STRING.
pub(crate) fn write_cast(cells: &Cells, row: usize, options: &Options, out: &mut String) -> Result<()> {
    write_nested(cells, row, options, out)
}

/// CSV files take no nested columns.
pub fn check_schema_for_writing(schema: &StructType) -> Result<()> {
    for field in &schema.fields {
        if let t @ (DataType::Array { .. }
        | DataType::Map { .. }
        | DataType::Struct(_)
        | DataType::Null
        | DataType::CalendarInterval
        | DataType::Variant) = &field.data_type
        {
            return Err(unsupported_type("CSV", &field.name, t));
        }
    }
    Ok(())
}

/// `to_csv`: a line for each struct, NULL for NULL.
pub fn to_csv(array: &StructArray, schema: &StructType, options: &Options) -> Result<StringArray> {
    if schema.fields.iter().any(|f| f.data_type == DataType::Variant) {
        return Err(Error::unsupported("VARIANT values in to_csv"));
    }
    let generator = Generator::new(array.columns(), schema, options)?;
    let mut texts = StringBuilder::with_capacity(array.len(), array.len() * 32);
    let mut text = String::new();
    for row in 0..array.len() {
        text.clear();
        if !array.is_null(row) {
            generator.write(row, &mut text)?;
        }
        // A line without any character is no line.
        if text.is_empty() { texts.append_null() } else { texts.append_value(&text) }
    }
    Ok(texts.finish())
}
