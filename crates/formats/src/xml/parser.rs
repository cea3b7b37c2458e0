//! `from_xml`: elements into columns.

use std::borrow::Cow;
use std::collections::HashMap;

use arrow::array::{ArrayRef, StringArray};
use boathouse_spec::{DataType, Error, Result, StructType};

use super::document::{Document, Kind};
use super::options::Options;
use super::rescued::Leftover;
use super::variant::Tree;
use crate::column::Column;
use crate::datetime_text::{parse_date, parse_time, parse_timestamp, parse_timestamp_ntz};
use crate::json::corrupt_column;
use crate::number_text::{parse_decimal, parse_java_double};
use crate::options::{ParseMode, malformed_record};
use crate::rescue::{self, Rescued};
use crate::variant::Builder;

/// A struct for each text; NULL of NULL.
pub fn from_xml(texts: &StringArray, schema: &StructType, options: &Options) -> Result<ArrayRef> {
    let corrupt = corrupt_column(schema, &options.corrupt_column)?;
    let rescue_column = options.rescue.as_ref().map(|r| r.position(schema)).transpose()?.flatten();
    let tail = rescue::tail(options.file_path.as_deref());
    let reader = Reader { options };
    let target = DataType::Struct(schema.clone());
    let mut column = Column::new(&target)?;
    for text in texts {
        let Some(text) = text else {
            column.push_null();
            continue;
        };
        let parsed = Document::parse(text, false).and_then(|d| d.element().map(|e| (d, e)));
        let parsed = parsed.filter(|(d, e)| !options.single_variant || !d.is_unexpanded(*e));
        let (mut value, rescued, fine) = match parsed {
            Some((document, element)) if options.single_variant => {
                let whole = |t: &DataType| match t {
                    DataType::Variant => Value::Variant(reader.variant(&document, element)),
                    _ => Value::Null,
                };
                let value = schema.fields.iter().map(|f| whole(&f.data_type)).collect::<Vec<_>>();
                (value, Rescued::default(), true)
            }
            Some((document, element)) => reader.record(&document, element, schema),
            None => (vec![Value::Null; schema.fields.len()], Rescued::default(), false),
        };
        if !fine && options.mode == ParseMode::FailFast {
            return Err(malformed_record(text, None));
        }
        if let Some(value) = corrupt.and_then(|i| value.get_mut(i)) {
            *value = if fine { Value::Null } else { Value::Text(text.to_string()) };
        }
        if let Some(value) = rescue_column.and_then(|i| value.get_mut(i)) {
            *value = rescued.open_object().map_or(Value::Null, |json| Value::Text(json + &tail));
        }
        reader.push(&mut column, &Value::Struct(value), &target)?;
    }
    column.finish()
}

/// A VARIANT for each text; NULL of NULL. A text that is no XML fails in any mode.
pub fn from_xml_as_variant(texts: &StringArray, options: &Options) -> Result<ArrayRef> {
    let reader = Reader { options };
    let mut column = Column::new(&DataType::Variant)?;
    for text in texts {
        let Some(text) = text else {
            column.push_null();
            continue;
        };
        let parsed = Document::parse(text, false).and_then(|d| d.element().map(|e| (d, e)));
        let parsed = parsed.filter(|(document, element)| !document.is_unexpanded(*element));
        let (document, element) = parsed.ok_or_else(|| malformed_record(text, None))?;
        let value = Value::Variant(reader.variant(&document, element));
        reader.push(&mut column, &value, &DataType::Variant)?;
    }
    column.finish()
}

/// A value on its way into a column, known to fit its type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
    Struct(Vec<Value>),
    Variant(Tree),
}

/// Something does not fit its type.
struct Misfit;

/// A value, and what was rescued of what is inside of it.
type Read = std::result::Result<(Value, Option<String>), Misfit>;

/// A part of an element.
pub(super) enum Part<'d> {
    Attribute(&'d str),
    Text(&'d str),
    Element(usize),
}

pub(super) struct Reader<'o> {
    pub(super) options: &'o Options,
}

impl Reader<'_> {
    /// The fields of a record, up to the first that does not fit; and what is rescued of it.
    fn record(
        &self,
        document: &Document,
        element: usize,
        schema: &StructType,
    ) -> (Vec<Value>, Rescued, bool) {
        let mut fields = vec![Value::Null; schema.fields.len()];
        let read = self.fields(document, element, schema, &mut fields);
        let fine = read.is_ok();
        (fields, read.unwrap_or_default(), fine)
    }

    pub(super) fn find(&self, schema: &StructType, name: &str) -> Option<usize> {
        let case_sensitive = match &self.options.rescue {
            Some(rescue) => rescue.case_sensitive,
            None => self.options.case_sensitive,
        };
        schema.fields.iter().position(|f| match case_sensitive {
            true => f.name == name,
            false => f.name.to_lowercase() == name.to_lowercase(),
        })
    }

    /// What an element is made of, with the names that its fields have.
    pub(super) fn parts<'d>(
        &'d self,
        document: &'d Document,
        element: usize,
    ) -> impl Iterator<Item = (Cow<'d, str>, Part<'d>)> {
        let attributes = self.attributes(document, element);
        let attributes = attributes.map(|(name, value)| (Cow::Owned(name), Part::Attribute(value)));
        let children = document.nodes[element].children.iter().filter_map(move |child| {
            let node = &document.nodes[*child];
            match node.kind {
                Kind::Text if !node.value.trim().is_empty() => {
                    Some((Cow::Borrowed(self.options.value_tag.as_str()), Part::Text(&node.value)))
                }
                Kind::Element => {
                    Some((Cow::Borrowed(self.options.shown_name(&node.name)), Part::Element(*child)))
                }
                _ => None,
            }
        });
        attributes.chain(children)
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
    ) -> std::result::Result<Rescued, Misfit> {
        if document.has_unexpanded_text(element) {
            return Err(Misfit);
        }
        let mut leftover = self.options.rescue.is_some().then(|| Leftover::new(schema));
        for (name, part) in self.parts(document, element) {
            let Some(i) = self.find(schema, &name) else {
                if let (Part::Element(child), Some(i)) = (part, self.find(schema, &self.options.wildcard)) {
                    let t = &schema.fields[i].data_type;
                    put(&mut fields[i], Value::Text(self.inner(document, child)), t);
                }
                continue;
            };
            let t = &schema.fields[i].data_type;
            let read = match part {
                Part::Attribute(text) => self.text(text, t).map(|value| (value, None)),
                Part::Text(text) => self.text(text, element_type(t)).map(|value| (value, None)),
                Part::Element(child) => self.value(document, child, element_type(t)),
            };
            match (read, &mut leftover) {
                (Ok((value, rescued)), leftover) => {
                    put(&mut fields[i], value, t);
                    if let Some(leftover) = leftover {
                        leftover.inside[i].push(rescued);
                    }
                }
                (Err(_), Some(leftover)) => leftover.misfits[i] = true,
                // An array keeps what came before an element that does not fit.
                (Err(misfit), None) => return Err(misfit),
            }
        }
        Ok(leftover.map_or_else(Rescued::default, |leftover| {
            self.rescue(document, element, schema, fields, leftover)
        }))
    }

    /// The value of an element, and what is rescued of what is inside of it.
    fn value(&self, document: &Document, element: usize, t: &DataType) -> Read {
        if document.is_unexpanded(element) {
            return Err(Misfit);
        }
        match t {
            DataType::Struct(s) => {
                let mut fields = vec![Value::Null; s.fields.len()];
                let rescued = self.fields(document, element, s, &mut fields)?;
                Ok((Value::Struct(fields), rescued.object()))
            }
            DataType::Map { value, .. } => self.map(document, element, value),
            DataType::Variant => Ok((Value::Variant(self.variant(document, element)), None)),
            DataType::Array { element: inner, .. } => {
                // An array within an array: its elements are the element's elements.
                let children = document.nodes[element].children.iter();
                let elements = children.filter(|c| document.nodes[**c].kind == Kind::Element);
                let read = elements.map(|c| self.value(document, *c, inner));
                let (values, rescued): (Vec<_>, Vec<_>) =
                    read.collect::<std::result::Result<Vec<_>, _>>()?.into_iter().unzip();
                Ok((Value::List(values), rescue::array(&rescued)))
            }
            t if t.is_string() => Ok((self.text(&self.inner(document, element), t)?, None)),
            t => {
                let node = &document.nodes[element];
                if node.children.iter().any(|c| document.nodes[*c].kind == Kind::Element) {
                    return Err(Misfit);
                }
                Ok((self.text(&document.text(element), t)?, None))
            }
        }
    }

    /// An element as a map from the names of its attributes and elements.
    fn map(&self, document: &Document, element: usize, t: &DataType) -> Read {
        let mut entries: Vec<(String, Value)> = Vec::new();
        let mut rescued = Rescued::default();
        for (name, part) in self.parts(document, element) {
            let (value, json) = match part {
                Part::Attribute(text) => (self.text(text, t)?, None),
                Part::Text(_) => continue,
                Part::Element(child) => self.value(document, child, t)?,
            };
            match json {
                Some(json) => rescued.set(&name, json),
                None => rescued.remove(&name),
            }
            entries.push((name.into_owned(), value));
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
        Ok((Value::Map(entries), rescued.object()))
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
        if *t == DataType::Variant {
            return Ok(Value::Variant(self.variant_of_text(text)));
        }
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
            (Column::Variant(values), Value::Variant(tree), _) => {
                let mut builder = Builder::new();
                tree.write(&mut builder)?;
                values.push(&builder)?;
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
