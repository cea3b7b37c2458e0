//! `to_xml`: rows as elements.

use arrow::array::{Array, ArrayRef, StringArray, StringBuilder};
use boathouse_spec::{DataType, Error, Result};

use super::options::Options;
use crate::cell::Cells;
use crate::datetime_text::{write_date, write_iso, write_iso_ntz, write_time_of_day};
use crate::number_text::{write_decimal, write_double, write_float};
use crate::variant::{Kind, Variant, write_json};

/// An element for each struct or variant; NULL of NULL.
pub fn to_xml(array: &ArrayRef, t: &DataType, options: &Options) -> Result<StringArray> {
    let cells = Cells::new(array, t)?;
    let mut out = StringBuilder::with_capacity(array.len(), array.len() * 64);
    for row in 0..array.len() {
        if array.is_null(row) {
            out.append_null();
            continue;
        }
        let mut writer = Writer { options, text: String::new(), depth: 0 };
        writer.element(&options.row_tag, &Item::Cell(&cells, row))?;
        if options.indent.is_empty() {
            writer.text.push('\n');
        }
        out.append_value(writer.text.trim_start_matches('\n'));
    }
    Ok(out.finish())
}

/// A value to write.
enum Item<'a> {
    Cell(&'a Cells, usize),
    Variant(Variant<'a>),
}

struct Writer<'o> {
    options: &'o Options,
    text: String,
    depth: usize,
}

impl Writer<'_> {
    fn indent(&mut self) {
        if !self.options.indent.is_empty() {
            self.text.push('\n');
            for _ in 0..self.depth {
                self.text.push_str(&self.options.indent);
            }
        }
    }

    /// One element of a name and value.
    fn element(&mut self, name: &str, item: &Item) -> Result<()> {
        check_name(name)?;
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        match item {
            Item::Cell(Cells::Struct(_, schema, fields), row) => {
                let prefix = self.options.attribute_prefix.as_str();
                let is_attribute = |name: &str| {
                    !prefix.is_empty() && name.starts_with(prefix) && name != self.options.value_tag
                };
                for (field, cells) in schema.fields.iter().zip(fields) {
                    if is_attribute(&field.name) && !cells.is_null(*row) {
                        let name = &field.name[prefix.len()..];
                        check_name(name)?;
                        self.text.push(' ');
                        self.text.push_str(name);
                        self.text.push_str("=\"");
                        let mut value = String::new();
                        write_scalar(cells, *row, self.options, &mut value)?;
                        escape_attribute(&value, &mut self.text);
                        self.text.push('"');
                    }
                }
                let body: Vec<(&str, &Cells)> = schema
                    .fields
                    .iter()
                    .zip(fields)
                    .filter(|(f, _)| !is_attribute(&f.name))
                    .map(|(f, c)| (f.name.as_str(), c))
                    .collect();
                self.body(name, |writer| {
                    for (name, cells) in body {
                        if name == writer.options.value_tag {
                            let mut value = String::new();
                            if !cells.is_null(*row) {
                                write_scalar(cells, *row, writer.options, &mut value)?;
                            }
                            escape_text(&value, &mut writer.text);
                        } else {
                            writer.field(name, cells, *row)?;
                        }
                    }
                    Ok(())
                })
            }
            Item::Cell(Cells::Map(map, entries), row) => {
                let offsets = map.value_offsets();
                let range = offsets[*row] as usize..offsets[*row + 1] as usize;
                let Cells::String(keys) = &entries.0 else {
                    return Err(Error::unsupported("maps whose keys are no strings in XML"));
                };
                self.body(name, |writer| {
                    range.into_iter().try_for_each(|entry| writer.field(keys.value(entry), &entries.1, entry))
                })
            }
            Item::Cell(Cells::List(list, elements), row) => {
                let offsets = list.value_offsets();
                let range = offsets[*row] as usize..offsets[*row + 1] as usize;
                let item = self.options.array_element.clone();
                self.body(name, |writer| range.into_iter().try_for_each(|i| writer.field(&item, elements, i)))
            }
            Item::Cell(Cells::Variant(_, metadata, value), row) => {
                let variant = Variant::new(metadata.value(*row), value.value(*row));
                self.variant(name, &variant)
            }
            Item::Cell(cells, row) => {
                let mut value = String::new();
                write_scalar(cells, *row, self.options, &mut value)?;
                self.text.push('>');
                escape_text(&value, &mut self.text);
                self.close(name);
                Ok(())
            }
            Item::Variant(variant) => self.variant(name, variant),
        }
    }

    fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    /// What is within an open tag; `<a/>` where that is nothing.
    fn body(&mut self, name: &str, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let start = self.text.len();
        self.text.push('>');
        self.depth += 1;
        write(self)?;
        self.depth -= 1;
        if self.text.len() == start + 1 {
            self.text.truncate(start);
            self.text.push_str("/>");
            return Ok(());
        }
        if self.text[start + 1..].contains('<') {
            self.indent();
        }
        self.close(name);
        Ok(())
    }

    /// A field: nothing of NULL, an element for each element of an array.
    fn field(&mut self, name: &str, cells: &Cells, row: usize) -> Result<()> {
        if cells.is_null(row) {
            if let Some(text) = self.options.null_value.clone() {
                check_name(name)?;
                self.indent();
                self.text.push_str(&format!("<{name}>"));
                escape_text(&text, &mut self.text);
                self.close(name);
            }
            return Ok(());
        }
        match cells {
            Cells::List(list, elements) => {
                let offsets = list.value_offsets();
                for i in offsets[row] as usize..offsets[row + 1] as usize {
                    if !elements.is_null(i) {
                        self.element(name, &Item::Cell(elements, i))?;
                    }
                }
                Ok(())
            }
            Cells::Variant(_, metadata, value) => {
                self.variant_field(name, Variant::new(metadata.value(row), value.value(row)))
            }
            _ => self.element(name, &Item::Cell(cells, row)),
        }
    }

    fn variant_field(&mut self, name: &str, variant: Variant) -> Result<()> {
        match variant.kind()? {
            Kind::Array(_) => variant.for_each_element(|v| self.element(name, &Item::Variant(v))),
            _ => self.element(name, &Item::Variant(variant)),
        }
    }

    /// The rest of an open tag.
    fn variant(&mut self, name: &str, variant: &Variant) -> Result<()> {
        match variant.kind()? {
            Kind::Object(_) => {
                self.body(name, |w| variant.for_each_field(|name, v| w.variant_field(name, v)))
            }
            Kind::Array(_) => {
                let item = self.options.array_element.clone();
                self.body(name, |w| variant.for_each_element(|v| w.element(&item, &Item::Variant(v))))
            }
            Kind::Null => {
                self.text.push_str("/>");
                Ok(())
            }
            kind => {
                self.text.push('>');
                match kind {
                    Kind::String(text) => escape_text(text, &mut self.text),
                    _ => {
                        let mut json = String::new();
                        write_json(variant, &self.options.zone, &mut json)?;
                        escape_text(json.trim_matches('"'), &mut self.text);
                    }
                }
                self.close(name);
                Ok(())
            }
        }
    }
}

/// Refuses what no element or attribute can be called.
fn check_name(name: &str) -> Result<()> {
    let start = |c: char| c.is_alphabetic() || c == '_' || c == ':';
    let inside = |c: char| start(c) || c.is_numeric() || matches!(c, '-' | '.' | '\u{b7}');
    if name.starts_with(start) && name.chars().all(inside) {
        return Ok(());
    }
    Err(Error::new("INVALID_PARAMETER_VALUE.PATTERN")
        .param("parameter", "`name`")
        .param("functionName", "`to_xml`")
        .param("value", format!("'{name}'"))
        .message(format!("'{name}' cannot be the name of an XML element or attribute.")))
}

fn write_scalar(cells: &Cells, row: usize, options: &Options, out: &mut String) -> Result<()> {
    match cells {
        Cells::Null => {}
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
        _ => return Err(Error::unsupported("such nested values or intervals in XML")),
    }
    Ok(())
}

fn escape_text(text: &str, out: &mut String) {
    for (i, c) in text.char_indices() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            // Only where it would end a CDATA section.
            '>' if text[..i].ends_with("]]") => out.push_str("&gt;"),
            '\r' => out.push_str("&#xd;"),
            c => out.push(c),
        }
    }
}

fn escape_attribute(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push_str(&format!("&#x{:x};", c as u32)),
            c => out.push(c),
        }
    }
}
