//! The schema of XML records.

use std::collections::BTreeMap;

use boathouse_spec::{DataType, Result, StructField, StructType};

use super::document::{Document, Kind};
use super::options::Options;
use crate::datetime_text::{parse_date, parse_timestamp, parse_timestamp_ntz};
use crate::number_text::{parse_decimal, parse_java_double};
use crate::options::{ParseMode, malformed_record};

/// `schema_of_xml`: the type of one text.
pub fn type_of(text: &str, options: &Options) -> Result<DataType> {
    let Some((document, element)) = record_of(text) else {
        if options.mode == ParseMode::FailFast {
            return Err(malformed_record(text, None));
        }
        let corrupt = StructField::new(&options.corrupt_column, DataType::STRING, true);
        return Ok(DataType::structure(vec![corrupt]));
    };
    let inference = Inference { options };
    Ok(match inference.element(&document, element) {
        DataType::Struct(s) => canonical(DataType::Struct(s)),
        DataType::Null => DataType::structure(Vec::new()),
        other => DataType::structure(vec![StructField::new(&options.value_tag, canonical(other), true)]),
    })
}

/// The element of a record; `None` where it is no XML that is understood.
fn record_of(text: &str) -> Option<(Document, usize)> {
    let document = Document::parse(text, false)?;
    let element = document.element()?;
    (!document.is_unexpanded(element)).then_some((document, element))
}

/// The schema of records; a column for those that are no XML, where there are any.
pub fn schema_of<'a>(texts: impl IntoIterator<Item = &'a str>, options: &Options) -> StructType {
    let inference = Inference { options };
    let mut whole = DataType::Null;
    let mut any_corrupt = false;
    for text in texts {
        match record_of(text) {
            Some((document, element)) => {
                let found = match inference.element(&document, element) {
                    found @ (DataType::Struct(_) | DataType::Null) => found,
                    other => DataType::structure(vec![StructField::new(&options.value_tag, other, true)]),
                };
                whole = inference.merge(whole, found);
            }
            None => any_corrupt = true,
        }
    }
    let mut schema = match canonical(whole) {
        DataType::Struct(schema) => schema,
        _ => StructType::default(),
    };
    if any_corrupt && schema.field(&options.corrupt_column).is_none() && options.mode == ParseMode::Permissive
    {
        schema.fields.insert(0, StructField::new(&options.corrupt_column, DataType::STRING, true));
    }
    schema
}

struct Inference<'o> {
    options: &'o Options,
}

impl Inference<'_> {
    /// The type of an element: of its text where it has nothing else.
    fn element(&self, document: &Document, element: usize) -> DataType {
        let node = &document.nodes[element];
        let mut fields: BTreeMap<String, DataType> = BTreeMap::new();
        if !self.options.exclude_attributes {
            for a in &node.attributes {
                let attribute = &document.nodes[*a];
                let name =
                    format!("{}{}", self.options.attribute_prefix, self.options.shown_name(&attribute.name));
                fields.insert(name, self.text(&attribute.value));
            }
        }
        let has_elements = node.children.iter().any(|c| document.nodes[*c].kind == Kind::Element);
        if fields.is_empty() && !has_elements {
            return self.text(&document.text(element));
        }
        for child in &node.children {
            let (name, t) = match document.nodes[*child].kind {
                Kind::Element => {
                    let name = self.options.shown_name(&document.nodes[*child].name);
                    (name.to_string(), self.element(document, *child))
                }
                Kind::Text if !document.nodes[*child].value.trim().is_empty() => {
                    (self.options.value_tag.clone(), self.text(&document.nodes[*child].value))
                }
                _ => continue,
            };
            let merged = match fields.remove(&name) {
                None => t,
                Some(DataType::Array { element, .. }) => DataType::array(self.merge(*element, t), true),
                Some(before) => DataType::array(self.merge(before, t), true),
            };
            fields.insert(name, merged);
        }
        DataType::structure(fields.into_iter().map(|(name, t)| StructField::new(name, t, true)).collect())
    }

    fn text(&self, text: &str) -> DataType {
        let options = self.options;
        let text = if options.ignore_surrounding_spaces { text.trim() } else { text };
        if text.is_empty() || options.null_value.as_deref() == Some(text) {
            return DataType::Null;
        }
        if !options.infer_schema {
            return DataType::STRING;
        }
        if text.parse::<i64>().is_ok() {
            return DataType::Long;
        }
        let numeric =
            text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
        if numeric
            && options.prefers_decimal
            && let Some(decimal) = parse_decimal(text)
            && decimal.precision <= 38
            && (0..=38).contains(&decimal.scale)
        {
            let precision = (decimal.precision as u8).max(decimal.scale as u8);
            return DataType::Decimal { precision, scale: decimal.scale as u8 };
        }
        if numeric && parse_java_double(text).is_some() {
            return DataType::Double;
        }
        if matches!(text.to_lowercase().as_str(), "true" | "false") {
            return DataType::Boolean;
        }
        let is_date = match &options.date_format {
            Some(pattern) => pattern.parse_to_days(text).is_ok(),
            None => text.len() == 10 && parse_date(text).is_some(),
        };
        if options.prefers_date && is_date {
            return DataType::Date;
        }
        let is_ntz = match &options.timestamp_ntz_format {
            Some(pattern) => pattern.parse_to_micros_ntz(text, false).is_ok(),
            None => parse_timestamp_ntz(text, false).is_some(),
        };
        if options.infer_ntz && is_ntz {
            return DataType::TimestampNtz;
        }
        let is_timestamp = match &options.timestamp_format {
            Some(pattern) => pattern.parse_to_micros(text, &options.zone).is_ok(),
            None => parse_timestamp(text, &options.zone).is_some(),
        };
        if is_timestamp { DataType::Timestamp } else { DataType::STRING }
    }

    fn merge(&self, a: DataType, b: DataType) -> DataType {
        match (a, b) {
            (a, b) if a == b => a,
            (DataType::Null, t) | (t, DataType::Null) => t,
            (DataType::Long, DataType::Double) | (DataType::Double, DataType::Long) => DataType::Double,
            (DataType::Long | DataType::Double, DataType::Decimal { .. })
            | (DataType::Decimal { .. }, DataType::Long | DataType::Double)
            | (DataType::Decimal { .. }, DataType::Decimal { .. }) => DataType::Double,
            (DataType::Date, t @ (DataType::Timestamp | DataType::TimestampNtz))
            | (t @ (DataType::Timestamp | DataType::TimestampNtz), DataType::Date) => t,
            (DataType::Timestamp, DataType::TimestampNtz) | (DataType::TimestampNtz, DataType::Timestamp) => {
                DataType::Timestamp
            }
            (DataType::Array { element: x, .. }, DataType::Array { element: y, .. }) => {
                DataType::array(self.merge(*x, *y), true)
            }
            (DataType::Array { element, .. }, t) | (t, DataType::Array { element, .. }) => {
                DataType::array(self.merge(*element, t), true)
            }
            (DataType::Struct(x), DataType::Struct(y)) => {
                let mut fields: BTreeMap<String, DataType> =
                    x.fields.into_iter().map(|f| (f.name, f.data_type)).collect();
                for f in y.fields {
                    let merged = match fields.remove(&f.name) {
                        Some(t) => self.merge(t, f.data_type),
                        None => f.data_type,
                    };
                    fields.insert(f.name, merged);
                }
                DataType::structure(
                    fields.into_iter().map(|(name, t)| StructField::new(name, t, true)).collect(),
                )
            }
            // Beside attributes a text has a field of its own.
            (DataType::Struct(s), t) | (t, DataType::Struct(s))
                if s.field(&self.options.value_tag).is_some() =>
            {
                let mut s = s;
                for f in &mut s.fields {
                    if f.name == self.options.value_tag {
                        f.data_type = self.merge(f.data_type.clone(), t.clone());
                    }
                }
                DataType::Struct(s)
            }
            _ => DataType::STRING,
        }
    }
}

/// What was always empty is a string.
fn canonical(t: DataType) -> DataType {
    match t {
        DataType::Null => DataType::STRING,
        DataType::Array { element, .. } => DataType::array(canonical(*element), true),
        DataType::Struct(s) => DataType::structure(
            s.fields.into_iter().map(|f| StructField { data_type: canonical(f.data_type), ..f }).collect(),
        ),
        t => t,
    }
}
