//! `from_xml`: elements into columns.

use std::collections::HashMap;

use arrow::array::{ArrayRef, StringArray};
use boathouse_spec::{DataType, Error, Result, StructType};

use super::document::{Document, Kind};
use super::options::Options;
use crate::column::Column;
use crate::datetime_text::{parse_date, parse_time, parse_timestamp, parse_timestamp_ntz};
use crate::json::corrupt_column;
use crate::number_text::{parse_decimal, parse_java_double};
use crate::options::{ParseMode, malformed_record};

/// A struct for each text; NULL of NULL.
pub fn from_xml(texts: &StringArray, schema: &StructType, options: &Options) -> Result<ArrayRef> {
    let corrupt = corrupt_column(schema, &options.corrupt_column)?;
    let reader = Reader { options };
    let target = DataType::Struct(schema.clone());
    let mut column = Column::new(&target)?;
    for text in texts {
        let Some(text) = text else {
            column.push_null();
            continue;
        };
        let (mut value, fine) = match Document::parse(text, false).and_then(|d| d.element().map(|e| (d, e))) {
            Some((document, element)) => reader.record(&document, element, schema),
            None => (vec![Value::Null; schema.fields.len()], false),
        };
        if !fine && options.mode == ParseMode::FailFast {
            return Err(malformed_record(text, None));
        }
        if let Some(value) = corrupt.and_then(|i| value.get_mut(i)) {
            *value = if fine { Value::Null } else { Value::Text(text.to_string()) };
        }
        reader.push(&mut column, &Value::Struct(value), &target)?;
    }
    column.finish()
}

/// A value on its way into a column, known to fit its type.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
    Struct(Vec<Value>),
}

/// Something does not fit its type.
struct Misfit;

struct Reader<'o> {
    options: &'o Options,
}

impl Reader<'_> {
    /// The fields of a record, up to the first that does not fit.
    fn record(&self, document: &Document, element: usize, schema: &StructType) -> (Vec<Value>, bool) {
        let mut fields = vec![Value::Null; schema.fields.len()];
        let fine = self.fields(document, element, schema, &mut fields).is_ok();
        (fields, fine)
    }

    fn find(&self, schema: &StructType, name: &str) -> Option<usize> {
        schema.fields.iter().position(|f| match self.options.case_sensitive {
            true => f.name == name,
            false => f.name.to_lowercase() == name.to_lowercase(),
        })
    }

    /// Attributes by their prefixed names.
    fn attributes<'d>(
        &self,
        document: &'d Document,
        element: usize,
    ) -> impl Iterator<Item = (String, &'d str)> + use<'d, '_> {
        let excluded = self.options.exclude_attributes;
        let prefix = &self.options.attribute_prefix;
        document.nodes[element].attributes.iter().filter(move |_| !excluded).map(move |a| {
            let attribute = &document.nodes[*a];
            (format!("{prefix}{}", self.options.shown_name(&attribute.name)), attribute.value.as_str())
        })
    }

    fn fields(
        &self,
        document: &Document,
        element: usize,
        schema: &StructType,
        fields: &mut [Value],
    ) -> std::result::Result<(), Misfit> {
        for (name, value) in self.attributes(document, element) {
            if let Some(i) = self.find(schema, &name) {
                fields[i] = self.text(value, &schema.fields[i].data_type)?;
            }
        }
        for child in &document.nodes[element].children {
            let node = &document.nodes[*child];
            match node.kind {
                Kind::Text => {
                    if !node.value.trim().is_empty()
                        && let Some(i) = self.find(schema, &self.options.value_tag)
                    {
                        let t = &schema.fields[i].data_type;
                        let value = self.text(&node.value, element_type(t))?;
                        put(&mut fields[i], value, t);
                    }
                }
                Kind::Element => {
                    let name = self.options.shown_name(&node.name);
                    if let Some(i) = self.find(schema, name) {
                        let t = &schema.fields[i].data_type;
                        // An array keeps what came before an element that does not fit.
                        let value = self.value(document, *child, element_type(t))?;
                        put(&mut fields[i], value, t);
                    } else if let Some(i) = self.find(schema, &self.options.wildcard) {
                        let t = &schema.fields[i].data_type;
                        put(&mut fields[i], Value::Text(self.inner(document, *child)), t);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The value of an element.
    fn value(&self, document: &Document, element: usize, t: &DataType) -> std::result::Result<Value, Misfit> {
        match t {
            DataType::Struct(s) => {
                let mut fields = vec![Value::Null; s.fields.len()];
                self.fields(document, element, s, &mut fields)?;
                Ok(Value::Struct(fields))
            }
            DataType::Map { value, .. } => {
                let mut entries: Vec<(String, Value)> = Vec::new();
                for (name, text) in self.attributes(document, element) {
                    entries.push((name, self.text(text, value)?));
                }
                for child in &document.nodes[element].children {
                    let node = &document.nodes[*child];
                    if node.kind == Kind::Element {
                        let name = self.options.shown_name(&node.name).to_string();
                        entries.push((name, self.value(document, *child, value)?));
                    }
                }
                // Of a name that comes twice the last counts.
                let mut last: HashMap<String, usize> = HashMap::new();
                for (i, (name, _)) in entries.iter().enumerate() {
                    last.insert(name.clone(), i);
                }
                let mut i = 0;
                entries.retain(|(name, _)| {
                    i += 1;
                    last.get(name) == Some(&(i - 1))
                });
                Ok(Value::Map(entries))
            }
            DataType::Array { element: inner, .. } => {
                // An array within an array: its elements are the element's elements.
                let children = document.nodes[element].children.iter();
                let elements = children.filter(|c| document.nodes[**c].kind == Kind::Element);
                elements
                    .map(|c| self.value(document, *c, inner))
                    .collect::<std::result::Result<_, _>>()
                    .map(Value::List)
            }
            t if t.is_string() => self.text(&self.inner(document, element), t),
            t => {
                let node = &document.nodes[element];
                if node.children.iter().any(|c| document.nodes[*c].kind == Kind::Element) {
                    return Err(Misfit);
                }
                self.text(&document.text(element), t)
            }
        }
    }

    /// What is within an element, as text: of elements their tags, too.
    fn inner(&self, document: &Document, element: usize) -> String {
        enum Step {
            Node(usize),
            Close(usize),
        }
        let mut out = String::new();
        let mut left: Vec<Step> =
            document.nodes[element].children.iter().rev().map(|c| Step::Node(*c)).collect();
        while let Some(step) = left.pop() {
            match step {
                Step::Close(element) => {
                    out.push_str("</");
                    out.push_str(&document.nodes[element].name);
                    out.push('>');
                }
                Step::Node(node) => {
                    let n = &document.nodes[node];
                    match n.kind {
                        Kind::Text => out.push_str(&n.value),
                        Kind::Element => {
                            out.push('<');
                            out.push_str(&n.name);
                            for a in &n.attributes {
                                let attribute = &document.nodes[*a];
                                out.push_str(&format!(" {}=\"{}\"", attribute.name, attribute.value));
                            }
                            out.push('>');
                            left.push(Step::Close(node));
                            left.extend(n.children.iter().rev().map(|c| Step::Node(*c)));
                        }
                        _ => {}
                    }
                }
            }
        }
        out
    }

    /// A text, where it fits the type.
    fn text(&self, text: &str, t: &DataType) -> std::result::Result<Value, Misfit> {
        let text = if self.options.ignore_surrounding_spaces { text.trim() } else { text };
        if self.options.null_value.as_deref() == Some(text) || (text.is_empty() && !t.is_string()) {
            return Ok(Value::Null);
        }
        let mut probe = Column::new(t).map_err(|_| Misfit)?;
        self.push_text(&mut probe, text).ok_or(Misfit)?;
        Ok(Value::Text(text.to_string()))
    }

    fn push(&self, column: &mut Column, value: &Value, t: &DataType) -> Result<()> {
        match (column, value, t) {
            (column, Value::Null, _) => column.push_null(),
            (Column::Struct(row), Value::Struct(values), DataType::Struct(s)) => {
                for ((column, value), field) in row.columns.iter_mut().zip(values).zip(&s.fields) {
                    self.push(column, value, &field.data_type)?;
                }
                row.close();
            }
            (Column::List(list), Value::List(values), DataType::Array { element, .. }) => {
                for value in values {
                    self.push(&mut list.element, value, element)?;
                }
                list.close();
            }
            (Column::Map(map), Value::Map(entries), DataType::Map { value: t, .. }) => {
                for (name, value) in entries {
                    map.keys.push(name.as_bytes());
                    self.push(&mut map.values, value, t)?;
                }
                map.close();
            }
            (column, Value::Text(text), _) => {
                if self.push_text(column, text).is_none() {
                    column.push_null();
                }
            }
            (_, value, t) => {
                return Err(Error::internal(format!("{value:?} was read from XML as {}", t.sql())));
            }
        }
        Ok(())
    }

    fn push_text(&self, column: &mut Column, text: &str) -> Option<()> {
        let options = self.options;
        let number = || text.replace(',', "");
        match column {
            Column::String(values) => values.push(text.as_bytes()),
            Column::Byte(values) => values.push(text.parse().ok()?),
            Column::Short(values) => values.push(text.parse().ok()?),
            Column::Integer(values) => values.push(text.parse().ok()?),
            Column::Long(values) => values.push(text.parse().ok()?),
            Column::Float(values) => values.push(parse_java_double(&number())? as f32),
            Column::Double(values) => values.push(parse_java_double(&number())?),
            Column::Decimal(values, precision, scale) => {
                values.push(parse_decimal(&number())?.rescale(*precision, *scale)?);
            }
            Column::Boolean(values) => values.push(match text.to_lowercase().as_str() {
                "true" | "1" => true,
                "false" | "0" => false,
                _ => return None,
            }),
            Column::Date(values) => values.push(match &options.date_format {
                Some(pattern) => pattern.parse_to_days(text).ok()?,
                None if text.len() == 10 => parse_date(text)?,
                None => return None,
            }),
            Column::Timestamp(values) => values.push(match &options.timestamp_format {
                Some(pattern) => pattern.parse_to_micros(text, &options.zone).ok()?,
                None => parse_timestamp(text, &options.zone)?,
            }),
            Column::TimestampNtz(values) => values.push(match &options.timestamp_ntz_format {
                Some(pattern) => pattern.parse_to_micros_ntz(text, false).ok()?,
                None => parse_timestamp_ntz(text, false)?,
            }),
            Column::Time(values) => values.push(parse_time(text)?),
            other => other.push_interval(text)?,
        }
        Some(())
    }
}

/// What each element of a field is, where it may come again.
fn element_type(t: &DataType) -> &DataType {
    match t {
        DataType::Array { element, .. } => element,
        t => t,
    }
}

/// Sets a field, or appends to it.
fn put(field: &mut Value, value: Value, t: &DataType) {
    match (&mut *field, t) {
        (Value::List(values), DataType::Array { .. }) => values.push(value),
        (_, DataType::Array { .. }) => *field = Value::List(vec![value]),
        _ => *field = value,
    }
}
