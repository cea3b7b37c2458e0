//! The lengths of CHAR and VARCHAR columns, which tables keep as strings with a note of the declared type (Spark's
//! `CharVarcharUtils`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StructArray};
use arrow::array::{ListArray, MapArray};
use arrow::buffer::OffsetBuffer;
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Result, StructField, StructType};

use super::stored::CHAR_VARCHAR_KEY;

/// Where strings of a declared length are in values of a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lengths {
    Text {
        is_char: bool,
        length: usize,
    },
    /// By the position of the field.
    Struct(Vec<(usize, Lengths)>),
    List(Box<Lengths>),
    Map {
        key: Option<Box<Lengths>>,
        value: Option<Box<Lengths>>,
    },
}

impl Lengths {
    /// Those of a column; `None` where it has no string of a declared length.
    pub fn of(field: &StructField) -> Option<Self> {
        let noted = match field.metadata.is_empty() {
            true => None,
            false => {
                let notes = field.metadata_map();
                notes.get(CHAR_VARCHAR_KEY).and_then(|v| v.as_str()).map(str::to_lowercase)
            }
        };
        match noted {
            Some(text) => parse(&mut text.as_str()),
            None => Self::of_type(&field.data_type),
        }
    }

    fn of_type(t: &DataType) -> Option<Self> {
        match t {
            DataType::Char(n) => Some(Self::Text { is_char: true, length: *n as usize }),
            DataType::Varchar(n) => Some(Self::Text { is_char: false, length: *n as usize }),
            DataType::Struct(s) => Self::of_fields(s),
            DataType::Array { element, .. } => Self::of_type(element).map(|e| Self::List(Box::new(e))),
            DataType::Map { key, value, .. } => map(Self::of_type(key), Self::of_type(value)),
            _ => None,
        }
    }

    fn of_fields(s: &StructType) -> Option<Self> {
        structure(s.fields.iter().map(Self::of).collect())
    }

    /// The type of a column with these lengths.
    pub fn declared(&self, t: &DataType) -> DataType {
        match (self, t) {
            (Self::Text { is_char: true, length }, DataType::String { .. }) => DataType::Char(*length as u32),
            (Self::Text { is_char: false, length }, DataType::String { .. }) => {
                DataType::Varchar(*length as u32)
            }
            (Self::Struct(lengths), DataType::Struct(s)) => {
                let mut fields = s.fields.clone();
                for (i, inner) in lengths {
                    if let Some(field) = fields.get_mut(*i) {
                        field.data_type = inner.declared(&field.data_type);
                    }
                }
                DataType::structure(fields)
            }
            (Self::List(inner), DataType::Array { element, contains_null }) => {
                DataType::array(inner.declared(element), *contains_null)
            }
            (Self::Map { key: k, value: v }, DataType::Map { key, value, value_contains_null }) => {
                let side = |lengths: &Option<Box<Self>>, t: &DataType| {
                    lengths.as_ref().map_or_else(|| t.clone(), |lengths| lengths.declared(t))
                };
                DataType::map(side(k, key), side(v, value), *value_contains_null)
            }
            _ => t.clone(),
        }
    }

    /// Whether some of the strings are CHAR.
    pub fn has_char(&self) -> bool {
        match self {
            Self::Text { is_char, .. } => *is_char,
            Self::Struct(fields) => fields.iter().any(|(_, f)| f.has_char()),
            Self::List(element) => element.has_char(),
            Self::Map { key, value } => [key, value].into_iter().flatten().any(|l| l.has_char()),
        }
    }

    /// The values with CHAR strings filled up by spaces; longer ones stay.
    pub fn padded(&self, values: &ArrayRef) -> Result<ArrayRef> {
        if !self.has_char() {
            return Ok(Arc::clone(values));
        }
        self.with_texts(values, &|texts: &StringArray, is_char: bool, length: usize| {
            Ok(if is_char { padded(texts, length) } else { texts.clone() })
        })
    }

    /// The values with the strings of a declared length changed, at any depth. The change is given the strings, whether they are
    /// CHAR, and the length in characters.
    pub fn with_texts(
        &self,
        values: &ArrayRef,
        change: &dyn Fn(&StringArray, bool, usize) -> Result<StringArray>,
    ) -> Result<ArrayRef> {
        Ok(match self {
            Self::Text { is_char, length } => match values.as_string_opt::<i32>() {
                Some(texts) => Arc::new(change(texts, *is_char, *length)?),
                None => Arc::clone(values),
            },
            Self::Struct(fields) => {
                let Some(parent) = values.as_struct_opt() else { return Ok(Arc::clone(values)) };
                let mut columns = parent.columns().to_vec();
                for (i, lengths) in fields {
                    if let Some(column) = columns.get_mut(*i) {
                        *column = lengths.with_texts(column, change)?;
                    }
                }
                Arc::new(
                    StructArray::try_new(parent.fields().clone(), columns, parent.nulls().cloned())
                        .spark()?,
                )
            }
            Self::List(element) => {
                let Some(list) = values.as_list_opt::<i32>() else { return Ok(Arc::clone(values)) };
                let arrow::datatypes::DataType::List(field) = list.data_type() else {
                    return Ok(Arc::clone(values));
                };
                let inner = element.with_texts(&in_use(list.values(), list.offsets()), change)?;
                let offsets = OffsetBuffer::from_lengths(list.offsets().lengths());
                Arc::new(ListArray::try_new(field.clone(), offsets, inner, list.nulls().cloned()).spark()?)
            }
            Self::Map { key, value } => {
                let Some(map) = values.as_map_opt() else { return Ok(Arc::clone(values)) };
                let arrow::datatypes::DataType::Map(field, sorted) = map.data_type() else {
                    return Ok(Arc::clone(values));
                };
                let part = |lengths: &Option<Box<Lengths>>, values: &ArrayRef| {
                    let values = in_use(values, map.offsets());
                    match lengths {
                        Some(lengths) => lengths.with_texts(&values, change),
                        None => Ok(values),
                    }
                };
                let columns = vec![part(key, map.keys())?, part(value, map.values())?];
                // The entries of a map are never NULL.
                let entries = StructArray::try_new(map.entries().fields().clone(), columns, None).spark()?;
                let offsets = OffsetBuffer::from_lengths(map.offsets().lengths());
                let nulls = map.nulls().cloned();
                Arc::new(MapArray::try_new(field.clone(), offsets, entries, nulls, *sorted).spark()?)
            }
        })
    }

    /// The first string that is longer than declared: its path inside the column, the string and the length.
    pub(crate) fn exceeded(&self, values: &ArrayRef) -> Option<(String, String, usize)> {
        match self {
            Self::Text { length, .. } => {
                let texts = values.as_string_opt::<i32>()?;
                let is_long = |t: &&str| t.len() > *length && t.chars().count() > *length;
                let long = texts.iter().flatten().find(is_long)?;
                Some((String::new(), long.to_string(), *length))
            }
            Self::Struct(fields) => {
                let parent = values.as_struct_opt()?;
                fields.iter().find_map(|(i, lengths)| {
                    let (path, text, length) = lengths.exceeded(parent.columns().get(*i)?)?;
                    let name = parent.fields().get(*i)?.name();
                    Some((format!(".{}{path}", boathouse_spec::quote(name)), text, length))
                })
            }
            Self::List(element) => element.exceeded(values.as_list_opt::<i32>()?.values()),
            Self::Map { key, value } => {
                let map = values.as_map_opt()?;
                let of = |lengths: &Option<Box<Lengths>>, values: &ArrayRef| {
                    lengths.as_ref().and_then(|l| l.exceeded(values))
                };
                of(key, map.keys()).or_else(|| of(value, map.values()))
            }
        }
    }
}

/// The values that the offsets reach: those around them belong to other rows, and may break rules of their own.
fn in_use(values: &ArrayRef, offsets: &OffsetBuffer<i32>) -> ArrayRef {
    let bound = |offset: Option<&i32>| offset.and_then(|o| usize::try_from(*o).ok()).unwrap_or(0);
    let (from, to) = (bound(offsets.first()), bound(offsets.last()));
    values.slice(from, to.saturating_sub(from))
}

/// Strings filled up by spaces to so many characters.
fn padded(texts: &StringArray, length: usize) -> StringArray {
    let fill = |text: &str| {
        let missing = length.saturating_sub(text.chars().count());
        format!("{text}{}", " ".repeat(missing))
    };
    texts.iter().map(|t| t.map(fill)).collect()
}

fn structure(fields: Vec<Option<Lengths>>) -> Option<Lengths> {
    let some: Vec<_> = fields.into_iter().enumerate().filter_map(|(i, f)| Some((i, f?))).collect();
    (!some.is_empty()).then_some(Lengths::Struct(some))
}

fn map(key: Option<Lengths>, value: Option<Lengths>) -> Option<Lengths> {
    (key.is_some() || value.is_some())
        .then(|| Lengths::Map { key: key.map(Box::new), value: value.map(Box::new) })
}

/// The lengths in the text of a type, such as `array<char(2)>`; the text goes on behind it.
fn parse(text: &mut &str) -> Option<Lengths> {
    if let Some(rest) = text.strip_prefix("array<") {
        *text = rest;
        let element = parse(text);
        skip(text, 1);
        return element.map(|e| Lengths::List(Box::new(e)));
    }
    if let Some(rest) = text.strip_prefix("map<") {
        *text = rest;
        let key = parse(text);
        skip(text, 1);
        let value = parse(text);
        skip(text, 1);
        return map(key, value);
    }
    if let Some(rest) = text.strip_prefix("struct<") {
        *text = rest;
        let mut fields = Vec::new();
        while let Some((_, rest)) = text.split_once(':') {
            *text = rest.trim_start();
            fields.push(parse(text));
            let more = text.starts_with(',');
            skip(text, 1);
            if !more {
                break;
            }
        }
        return structure(fields);
    }
    let mut depth = 0;
    let end = text.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0 && matches!(c, ',' | '>')
    });
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    *text = rest;
    let number = |prefix: &str| word.trim().strip_prefix(prefix)?.strip_suffix(')')?.trim().parse().ok();
    let text = |is_char, length| Lengths::Text { is_char, length };
    number("char(").map(|n| text(true, n)).or_else(|| number("varchar(").map(|n| text(false, n)))
}

fn skip(text: &mut &str, characters: usize) {
    *text = text.get(characters..).unwrap_or_default().trim_start();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read() {
        let noted = |text: &str| {
            let notes = serde_json::json!({CHAR_VARCHAR_KEY: text});
            let field = StructField::new("a", DataType::STRING, true);
            Lengths::of(&field.with_metadata(notes.as_object().unwrap()))
        };
        let char = |length| Lengths::Text { is_char: true, length };
        assert_eq!(noted("char(5)"), Some(char(5)));
        assert_eq!(noted("VARCHAR(3)"), Some(Lengths::Text { is_char: false, length: 3 }));
        assert_eq!(noted("array<array<char(2)>>"), {
            Some(Lengths::List(Box::new(Lengths::List(Box::new(char(2))))))
        });
        assert_eq!(noted("struct<a:decimal(10,2),b:map<string,char(4)>,c:int>"), {
            Some(Lengths::Struct(vec![(1, Lengths::Map { key: None, value: Some(Box::new(char(4))) })]))
        });
        assert_eq!(noted("map<int,string>"), None);
    }

    #[test]
    fn values_are_filled_up() {
        let values: ArrayRef = Arc::new(StringArray::from(vec![Some("ä"), None, Some("long one")]));
        let lengths = Lengths::Text { is_char: true, length: 3 };
        let filled = lengths.padded(&values).unwrap();
        let expected = StringArray::from(vec![Some("ä  "), None, Some("long one")]);
        assert_eq!(filled.as_ref(), &expected as &dyn Array);
        assert_eq!(lengths.exceeded(&values), Some((String::new(), "long one".into(), 3)));
        let list = ListArray::from_iter_primitive::<arrow::datatypes::Int32Type, _, _>([Some([Some(1)])]);
        assert!(Lengths::List(Box::new(lengths)).padded(&(Arc::new(list) as ArrayRef)).is_ok());
    }
}
