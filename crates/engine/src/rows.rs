//! Rows that commands make: plain values to Arrow.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int16Array, Int32Array, Int64Array, ListArray, MapArray, RecordBatch,
    RecordBatchOptions, StringArray, StructArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType as ArrowType;
use arrow::ipc::writer::StreamWriter;
use boathouse_bridge::{ResultExt, UTC, arrow_schema, arrow_type, from_arrow};
use boathouse_spec::{DataType, Error, Result, StructField, StructType};

use crate::QueryResult;

/// A value of a command's row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    /// For every integral type.
    Integer(i64),
    Text(String),
    /// Microseconds since the epoch.
    Timestamp(i64),
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Value {
    /// An array of texts.
    pub fn texts<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Self {
        Self::Array(values.into_iter().map(|v| Self::Text(v.into())).collect())
    }

    /// A map of texts.
    pub fn text_map<K: Into<String>, V: Into<String>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Map(entries.into_iter().map(|(k, v)| (Self::Text(k.into()), Self::Text(v.into()))).collect())
    }
}

/// A column of a command's result.
pub(crate) fn column(name: &str, data_type: DataType, nullable: bool) -> StructField {
    StructField::new(name, data_type, nullable)
}

/// A column of text.
pub(crate) fn text(name: &str, nullable: bool) -> StructField {
    StructField::new(name, DataType::STRING, nullable)
}

/// A result of rows.
pub(crate) fn result(schema: StructType, rows: Vec<Vec<Value>>) -> Result<QueryResult> {
    let batch = batch(&schema, &rows)?;
    Ok(QueryResult::of(schema, vec![batch]))
}

pub(crate) fn batch(schema: &StructType, rows: &[Vec<Value>]) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(schema.fields.len());
    for (i, field) in schema.fields.iter().enumerate() {
        let values: Vec<&Value> = rows.iter().map(|row| row.get(i).unwrap_or(&Value::Null)).collect();
        columns.push(array(&field.data_type, &values)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(arrow_schema(schema)), columns, &options).map_err(from_arrow)
}

fn array(t: &DataType, values: &[&Value]) -> Result<ArrayRef> {
    let integers = || {
        values.iter().map(|v| match v {
            Value::Integer(i) => Some(*i),
            _ => None,
        })
    };
    Ok(match t {
        DataType::Boolean => Arc::new(BooleanArray::from_iter(values.iter().map(|v| match v {
            Value::Boolean(b) => Some(*b),
            _ => None,
        }))),
        DataType::Short => {
            Arc::new(Int16Array::from_iter(integers().map(|v| v.and_then(|v| i16::try_from(v).ok()))))
        }
        DataType::Integer => {
            Arc::new(Int32Array::from_iter(integers().map(|v| v.and_then(|v| i32::try_from(v).ok()))))
        }
        DataType::Long => Arc::new(Int64Array::from_iter(integers())),
        DataType::String { .. } => Arc::new(StringArray::from_iter(values.iter().map(|v| match v {
            Value::Text(s) => Some(s.as_str()),
            _ => None,
        }))),
        DataType::Timestamp => Arc::new(
            TimestampMicrosecondArray::from_iter(values.iter().map(|v| match v {
                Value::Timestamp(us) | Value::Integer(us) => Some(*us),
                _ => None,
            }))
            .with_timezone(UTC),
        ),
        DataType::Array { element, .. } => {
            let items = |v: &&Value| match v {
                Value::Array(items) => Some(items.len()),
                _ => None,
            };
            let flat: Vec<&Value> = values
                .iter()
                .flat_map(|v| match v {
                    Value::Array(items) => items.iter().collect(),
                    _ => Vec::new(),
                })
                .collect();
            let (offsets, nulls) = layout(values.iter().map(items));
            let ArrowType::List(field) = arrow_type(t) else { return Err(no_array(t)) };
            Arc::new(ListArray::try_new(field, offsets, array(element, &flat)?, nulls).spark()?)
        }
        DataType::Map { key, value, .. } => {
            let entries = |v: &&Value| match v {
                Value::Map(entries) => Some(entries.len()),
                _ => None,
            };
            let flat: Vec<&(Value, Value)> = values
                .iter()
                .flat_map(|v| match v {
                    Value::Map(entries) => entries.iter().collect(),
                    _ => Vec::new(),
                })
                .collect();
            let keys = array(key, &flat.iter().map(|(k, _)| k).collect::<Vec<_>>())?;
            let items = array(value, &flat.iter().map(|(_, v)| v).collect::<Vec<_>>())?;
            let (offsets, nulls) = layout(values.iter().map(entries));
            let ArrowType::Map(field, sorted) = arrow_type(t) else { return Err(no_array(t)) };
            let ArrowType::Struct(fields) = field.data_type().clone() else { return Err(no_array(t)) };
            let entries = StructArray::try_new(fields, vec![keys, items], None).spark()?;
            Arc::new(MapArray::try_new(field, offsets, entries, nulls, sorted).spark()?)
        }
        DataType::Null => new_null_array(&ArrowType::Null, values.len()),
        other => return Err(no_array(other)),
    })
}

/// Offsets and validity of lists of these lengths.
fn layout(lengths: impl Iterator<Item = Option<usize>> + Clone) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
    let nulls = NullBuffer::from_iter(lengths.clone().map(|l| l.is_some()));
    (OffsetBuffer::from_lengths(lengths.map(|l| l.unwrap_or(0))), Some(nulls))
}

fn no_array(t: &DataType) -> Error {
    Error::internal(format!("commands have no columns of the type {}", t.sql()))
}

/// The batches as an Arrow IPC stream.
pub fn to_ipc(schema: &StructType, batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), &arrow_schema(schema)).spark()?;
    for batch in batches {
        writer.write(batch).spark()?;
    }
    writer.finish().spark()?;
    writer.into_inner().spark()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_values() {
        let schema = StructType::new(vec![
            column("m", DataType::map(DataType::STRING, DataType::STRING, true), true),
            column("a", DataType::array(DataType::Long, true), true),
        ]);
        let rows = vec![
            vec![Value::text_map([("k", "v")]), Value::Array(vec![Value::Integer(1), Value::Null])],
            vec![Value::Null, Value::Null],
        ];
        let batch = batch(&schema, &rows).unwrap();
        assert_eq!(batch.num_rows(), 2);
        assert_eq!(batch.column(0).null_count(), 1);
        assert!(!to_ipc(&schema, &[batch]).unwrap().is_empty());
    }
}
