//! The statistics of many files, column by column.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt64Array};
use arrow::datatypes::{DataType as ArrowType, TimeUnit};
use datafusion::scalar::ScalarValue;

use super::json::{self, Node};
use crate::action::Add;
use crate::partition::{parse_date, parse_decimal, parse_value};
use crate::schema::TableColumns;
use crate::time::parse_timestamp_us;

/// The bounds of one column in each file. A NULL bound is unknown.
#[derive(Debug, Clone)]
pub(crate) struct ColumnBounds {
    pub min: ArrayRef,
    pub max: ArrayRef,
    pub null_count: UInt64Array,
    /// The bounds are values of the column, not only around them.
    pub exact: bool,
}

/// Statistics of files in the order of the files, by the column's name in the table.
#[derive(Debug)]
pub(crate) struct StatsTable {
    pub files: usize,
    /// Rows in the file, deleted ones included.
    pub num_records: UInt64Array,
    pub columns: HashMap<String, ColumnBounds>,
}

impl StatsTable {
    pub fn build(files: &[Arc<Add>], columns: &TableColumns) -> Self {
        let mut num_records: Vec<Option<u64>> = Vec::with_capacity(files.len());
        let data: Vec<_> =
            columns.iter().filter(|c| !c.is_partition && has_bounds(c.field.data_type())).collect();
        let counted: Vec<_> =
            columns.iter().filter(|c| !c.is_partition && !has_bounds(c.field.data_type())).collect();
        let mut mins: Vec<Vec<ScalarValue>> = vec![Vec::with_capacity(files.len()); data.len()];
        let mut maxs = mins.clone();
        let mut nulls: Vec<Vec<Option<u64>>> = vec![Vec::with_capacity(files.len()); data.len()];
        let mut counted_nulls: Vec<Vec<Option<u64>>> = vec![Vec::with_capacity(files.len()); counted.len()];

        for file in files {
            let root = file.stats.as_deref().and_then(json::parse).unwrap_or(Node::Null);
            num_records.push(root.get("numRecords").and_then(Node::as_i64).and_then(|n| n.try_into().ok()));
            // With `tightBounds: false` (a deletion vector came later) the null count still bounds from above only.
            let tight = root.get("tightBounds") != Some(&Node::Boolean(false));
            let (min, max, count) = (root.get("minValues"), root.get("maxValues"), root.get("nullCount"));
            let null_count = |name: &str| -> Option<u64> {
                let n = count?.get(name)?.as_i64()?;
                u64::try_from(n).ok().filter(|_| tight)
            };
            for (i, column) in data.iter().enumerate() {
                let t = column.field.data_type();
                let bound = |side: Option<&Node<'_>>, upper: bool| {
                    side.and_then(|s| s.get(&column.physical))
                        .and_then(|n| scalar(n, t, upper))
                        .or_else(|| ScalarValue::try_from(t).ok())
                        .unwrap_or(ScalarValue::Null)
                };
                mins[i].push(bound(min, false));
                maxs[i].push(bound(max, true));
                nulls[i].push(null_count(&column.physical));
            }
            for (i, column) in counted.iter().enumerate() {
                counted_nulls[i].push(null_count(&column.physical));
            }
        }

        let mut out = HashMap::new();
        for (i, column) in data.iter().enumerate() {
            let t = column.field.data_type();
            let (Ok(min), Ok(max)) =
                (to_array(std::mem::take(&mut mins[i]), t), to_array(std::mem::take(&mut maxs[i]), t))
            else {
                continue;
            };
            let exact = matches!(
                t,
                ArrowType::Int8
                    | ArrowType::Int16
                    | ArrowType::Int32
                    | ArrowType::Int64
                    | ArrowType::Date32
                    | ArrowType::Decimal128(..)
            );
            let bounds = ColumnBounds {
                min,
                max,
                null_count: UInt64Array::from(std::mem::take(&mut nulls[i])),
                exact,
            };
            out.insert(column.logical().to_string(), bounds);
        }
        for (i, column) in counted.iter().enumerate() {
            let t = column.field.data_type();
            let Ok(empty) = ScalarValue::try_from(t).and_then(|s| s.to_array_of_size(files.len())) else {
                continue;
            };
            let bounds = ColumnBounds {
                min: empty.clone(),
                max: empty,
                null_count: UInt64Array::from(std::mem::take(&mut counted_nulls[i])),
                exact: false,
            };
            out.insert(column.logical().to_string(), bounds);
        }
        for column in columns.iter().filter(|c| c.is_partition) {
            if let Some(bounds) = partition_bounds(files, column, &num_records) {
                out.insert(column.logical().to_string(), bounds);
            }
        }
        Self { files: files.len(), num_records: UInt64Array::from(num_records), columns: out }
    }
}

/// A partition column's bounds are its value.
fn partition_bounds(
    files: &[Arc<Add>],
    column: &crate::schema::TableColumn,
    num_records: &[Option<u64>],
) -> Option<ColumnBounds> {
    let mut values = Vec::with_capacity(files.len());
    let mut nulls = Vec::with_capacity(files.len());
    for (file, records) in files.iter().zip(num_records) {
        let text = file.partition_values.get(&column.physical).and_then(|v| v.as_deref());
        let value = parse_value(column.logical(), text, &column.data_type).ok()?;
        nulls.push(if value.is_null() { *records } else { Some(0) });
        values.push(value);
    }
    let array = to_array(values, column.field.data_type()).ok()?;
    Some(ColumnBounds { min: array.clone(), max: array, null_count: UInt64Array::from(nulls), exact: true })
}

fn to_array(values: Vec<ScalarValue>, t: &ArrowType) -> datafusion::error::Result<ArrayRef> {
    if values.is_empty() {
        return Ok(arrow::array::new_empty_array(t));
    }
    ScalarValue::iter_to_array(values)
}

/// The types whose bounds the log records.
pub(crate) fn has_bounds(t: &ArrowType) -> bool {
    matches!(
        t,
        ArrowType::Int8
            | ArrowType::Int16
            | ArrowType::Int32
            | ArrowType::Int64
            | ArrowType::Float32
            | ArrowType::Float64
            | ArrowType::Decimal128(..)
            | ArrowType::Date32
            | ArrowType::Timestamp(TimeUnit::Microsecond, _)
            | ArrowType::Utf8
    )
}

/// A bound from its JSON; `None` where it is unknown.
pub(crate) fn scalar(node: &Node<'_>, t: &ArrowType, upper: bool) -> Option<ScalarValue> {
    let number = |node: &Node<'_>| match node {
        Node::Number(n) => Some(n.to_string()),
        Node::Text(t) => Some(t.to_string()),
        _ => None,
    };
    match t {
        ArrowType::Int8 => number(node)?.parse().ok().map(|v| ScalarValue::Int8(Some(v))),
        ArrowType::Int16 => number(node)?.parse().ok().map(|v| ScalarValue::Int16(Some(v))),
        ArrowType::Int32 => number(node)?.parse().ok().map(|v| ScalarValue::Int32(Some(v))),
        ArrowType::Int64 => number(node)?.parse().ok().map(|v| ScalarValue::Int64(Some(v))),
        ArrowType::Float32 => number(node)?
            .parse::<f32>()
            .ok()
            .map(|v| ScalarValue::Float32(Some(widen_zero(v.into(), upper) as f32))),
        ArrowType::Float64 => {
            number(node)?.parse::<f64>().ok().map(|v| ScalarValue::Float64(Some(widen_zero(v, upper))))
        }
        ArrowType::Decimal128(p, s) => parse_decimal(&number(node)?, u8::try_from(*s).ok()?)
            .map(|v| ScalarValue::Decimal128(Some(v), *p, *s)),
        ArrowType::Date32 => match node {
            Node::Text(text) => parse_date(text).map(|v| ScalarValue::Date32(Some(v))),
            _ => None,
        },
        ArrowType::Timestamp(TimeUnit::Microsecond, zone) => match node {
            Node::Text(text) => {
                let us = parse_timestamp_us(text)?;
                // Writers cut to milliseconds, which lowers an upper bound below its values.
                let us = if upper && us % 1000 == 0 { us.saturating_add(999) } else { us };
                Some(ScalarValue::TimestampMicrosecond(Some(us), zone.clone()))
            }
            _ => None,
        },
        ArrowType::Utf8 => match node {
            Node::Text(text) => Some(ScalarValue::Utf8(Some(text.to_string()))),
            _ => None,
        },
        _ => None,
    }
}

/// Spark takes `-0.0` and `0.0` for equal, Arrow orders them: a zero bound takes in both.
fn widen_zero(value: f64, upper: bool) -> f64 {
    if value == 0.0 { if upper { 0.0 } else { -0.0 } } else { value }
}
