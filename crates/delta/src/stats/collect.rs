//! Statistics of a file while it is written, as Spark's `StatisticsCollection` gathers them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, RecordBatch, make_array};
use arrow::buffer::NullBuffer;
use arrow::compute;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use boathouse_spec::{Error, Result};
use chrono::DateTime;
use datafusion::scalar::ScalarValue;

use crate::action::Metadata;
use crate::partition::{format_date, format_decimal};
use crate::schema::is_variant;
use crate::stats::table::has_bounds;

/// Leaf columns with statistics where the table does not say.
const DEFAULT_INDEXED_COLUMNS: i64 = 32;
/// Characters of a string bound.
const STRING_BOUND: usize = 32;

/// Which leaf columns get statistics.
#[derive(Debug, Clone)]
pub(crate) struct StatsColumns {
    /// Names in files, outermost first.
    leaves: Vec<Vec<String>>,
    /// Whether the figures say that the bounds are tight, as tables with deletion vectors must.
    tight: bool,
}

impl StatsColumns {
    /// `physical` is the schema of the files.
    pub fn new(metadata: &Metadata, physical: &SchemaRef, deletion_vectors: bool) -> Self {
        let mut leaves = Vec::new();
        for field in physical.fields() {
            collect_leaves(field, &mut Vec::new(), &mut leaves);
        }
        if let Some(columns) = metadata.configuration.get("delta.dataSkippingStatsColumns") {
            let wanted: Vec<Vec<String>> = columns
                .split(',')
                .map(|c| c.trim().split('.').map(|p| p.trim_matches('`').to_lowercase()).collect())
                .collect();
            leaves.retain(|leaf: &Vec<String>| {
                let lower: Vec<String> = leaf.iter().map(|p| p.to_lowercase()).collect();
                wanted.iter().any(|w| lower.starts_with(w))
            });
        } else {
            let limit = metadata
                .configuration
                .get("delta.dataSkippingNumIndexedCols")
                .and_then(|v| v.parse::<i64>().ok())
                .unwrap_or(DEFAULT_INDEXED_COLUMNS);
            if let Ok(limit) = usize::try_from(limit) {
                leaves.truncate(limit);
            }
        }
        Self { leaves, tight: deletion_vectors }
    }

    pub fn collector(&self) -> StatsCollector {
        StatsCollector {
            rows: 0,
            leaves: self.leaves.iter().map(|path| Leaf::new(path.clone())).collect(),
            tight: self.tight,
        }
    }
}

fn collect_leaves(field: &Arc<Field>, path: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    path.push(field.name().clone());
    match field.data_type() {
        DataType::Struct(fields) if !is_variant(field) => {
            fields.iter().for_each(|f| collect_leaves(f, path, out))
        }
        _ => out.push(path.clone()),
    }
    path.pop();
}

#[derive(Debug)]
struct Leaf {
    path: Vec<String>,
    min: Option<ScalarValue>,
    max: Option<ScalarValue>,
    nulls: usize,
}

impl Leaf {
    fn new(path: Vec<String>) -> Self {
        Self { path, min: None, max: None, nulls: 0 }
    }
}

/// The statistics of one file so far.
#[derive(Debug)]
pub(crate) struct StatsCollector {
    rows: usize,
    leaves: Vec<Leaf>,
    tight: bool,
}

impl StatsCollector {
    /// Takes in rows as the file has them.
    pub fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        for leaf in &mut self.leaves {
            let Some(array) = leaf_array(batch, &leaf.path)? else { continue };
            leaf.nulls += array.null_count();
            if !has_bounds(array.data_type()) {
                continue;
            }
            if let Some((low, high)) = bounds(&array)? {
                if leaf.min.as_ref().is_none_or(|m| low < *m) {
                    leaf.min = Some(low);
                }
                if leaf.max.as_ref().is_none_or(|m| high > *m) {
                    leaf.max = Some(high);
                }
            }
        }
        Ok(())
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The JSON for the log.
    pub fn finish(&self) -> String {
        let mut min = Tree::default();
        let mut max = Tree::default();
        let mut nulls = Tree::default();
        for leaf in &self.leaves {
            if let Some(text) = leaf.min.as_ref().and_then(|v| bound_text(v, false)) {
                min.insert(&leaf.path, text);
            }
            if let Some(text) = leaf.max.as_ref().and_then(|v| bound_text(v, true)) {
                max.insert(&leaf.path, text);
            }
            nulls.insert(&leaf.path, leaf.nulls.to_string());
        }
        let tight = if self.tight { ",\"tightBounds\":true" } else { "" };
        format!(
            "{{\"numRecords\":{},\"minValues\":{},\"maxValues\":{},\"nullCount\":{}{tight}}}",
            self.rows,
            min.json(),
            max.json(),
            nulls.json()
        )
    }
}

/// JSON objects in each other, in the order of insertion; leaves are JSON texts.
#[derive(Default)]
struct Tree {
    members: Vec<(String, Node)>,
}

enum Node {
    Leaf(String),
    Branch(Tree),
}

impl Tree {
    fn insert(&mut self, path: &[String], value: String) {
        let Some((first, rest)) = path.split_first() else { return };
        if rest.is_empty() {
            self.members.push((first.clone(), Node::Leaf(value)));
            return;
        }
        let position = self.members.iter().position(|(k, _)| k == first).unwrap_or_else(|| {
            self.members.push((first.clone(), Node::Branch(Tree::default())));
            self.members.len() - 1
        });
        if let Node::Branch(tree) = &mut self.members[position].1 {
            tree.insert(rest, value);
        }
    }

    fn json(&self) -> String {
        let members: Vec<String> = self
            .members
            .iter()
            .map(|(key, node)| {
                let value = match node {
                    Node::Leaf(text) => text.clone(),
                    Node::Branch(tree) => tree.json(),
                };
                format!("{}:{value}", quoted(key))
            })
            .collect();
        format!("{{{}}}", members.join(","))
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_string()).to_string()
}

/// The values of a leaf; NULL where any struct around it is.
fn leaf_array(batch: &RecordBatch, path: &[String]) -> Result<Option<ArrayRef>> {
    let Some((first, rest)) = path.split_first() else { return Ok(None) };
    let Some(mut array) = batch.column_by_name(first).cloned() else { return Ok(None) };
    for name in rest {
        let Some(parent) = array.as_struct_opt() else { return Ok(None) };
        let Some(child) = parent.column_by_name(name) else { return Ok(None) };
        let nulls = NullBuffer::union(parent.nulls(), child.nulls());
        let data =
            child.to_data().into_builder().nulls(nulls).build().map_err(boathouse_bridge::from_arrow)?;
        array = make_array(data);
    }
    Ok(Some(array))
}

fn bounds(array: &ArrayRef) -> Result<Option<(ScalarValue, ScalarValue)>> {
    fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<(T::Native, T::Native)>
    where
        T::Native: arrow::array::ArrowNativeTypeOp,
    {
        let array = array.as_primitive::<T>();
        Some((compute::min(array)?, compute::max(array)?))
    }
    let pair = match array.data_type() {
        DataType::Int8 => primitive::<Int8Type>(array)
            .map(|(a, b)| (ScalarValue::Int8(Some(a)), ScalarValue::Int8(Some(b)))),
        DataType::Int16 => primitive::<Int16Type>(array)
            .map(|(a, b)| (ScalarValue::Int16(Some(a)), ScalarValue::Int16(Some(b)))),
        DataType::Int32 => primitive::<Int32Type>(array)
            .map(|(a, b)| (ScalarValue::Int32(Some(a)), ScalarValue::Int32(Some(b)))),
        DataType::Int64 => primitive::<Int64Type>(array)
            .map(|(a, b)| (ScalarValue::Int64(Some(a)), ScalarValue::Int64(Some(b)))),
        DataType::Float32 => primitive::<Float32Type>(array)
            .map(|(a, b)| (ScalarValue::Float32(Some(a)), ScalarValue::Float32(Some(b)))),
        DataType::Float64 => primitive::<Float64Type>(array)
            .map(|(a, b)| (ScalarValue::Float64(Some(a)), ScalarValue::Float64(Some(b)))),
        DataType::Decimal128(p, s) => primitive::<Decimal128Type>(array).map(|(a, b)| {
            (ScalarValue::Decimal128(Some(a), *p, *s), ScalarValue::Decimal128(Some(b), *p, *s))
        }),
        DataType::Date32 => primitive::<Date32Type>(array)
            .map(|(a, b)| (ScalarValue::Date32(Some(a)), ScalarValue::Date32(Some(b)))),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            primitive::<TimestampMicrosecondType>(array).map(|(a, b)| {
                (
                    ScalarValue::TimestampMicrosecond(Some(a), zone.clone()),
                    ScalarValue::TimestampMicrosecond(Some(b), zone.clone()),
                )
            })
        }
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            compute::min_string(array).zip(compute::max_string(array)).map(|(a, b)| {
                (ScalarValue::Utf8(Some(a.to_string())), ScalarValue::Utf8(Some(b.to_string())))
            })
        }
        other => return Err(Error::internal(format!("no bounds of type {other}"))),
    };
    Ok(pair)
}

/// A bound as JSON; `None` where it cannot be told.
fn bound_text(value: &ScalarValue, upper: bool) -> Option<String> {
    Some(match value {
        ScalarValue::Int8(Some(v)) => v.to_string(),
        ScalarValue::Int16(Some(v)) => v.to_string(),
        ScalarValue::Int32(Some(v)) => v.to_string(),
        ScalarValue::Int64(Some(v)) => v.to_string(),
        // JSON has no NaN and no infinity.
        ScalarValue::Float32(Some(v)) if v.is_finite() => serde_json::to_string(v).ok()?,
        ScalarValue::Float64(Some(v)) if v.is_finite() => serde_json::to_string(v).ok()?,
        ScalarValue::Decimal128(Some(v), _, scale) => format_decimal(*v, *scale),
        ScalarValue::Date32(Some(days)) => {
            let text = format_date(*days)?;
            if text.len() != 10 {
                return None;
            }
            quoted(&text)
        }
        ScalarValue::TimestampMicrosecond(Some(us), zone) => {
            let at = DateTime::from_timestamp_millis(us.div_euclid(1000))?;
            let text = at.format("%Y-%m-%dT%H:%M:%S%.3f").to_string();
            if text.len() != 23 {
                return None;
            }
            quoted(&if zone.is_some() { format!("{text}Z") } else { text })
        }
        ScalarValue::Utf8(Some(text)) => quoted(&if upper { upper_bound(text)? } else { prefix(text) }),
        _ => return None,
    })
}

fn prefix(text: &str) -> String {
    text.chars().take(STRING_BOUND).collect()
}

/// A short text that is not less than a long one.
fn upper_bound(text: &str) -> Option<String> {
    let mut rest = text.chars().skip(STRING_BOUND).peekable();
    let Some(next) = rest.peek() else { return Some(text.to_string()) };
    let tie_breaker = match *next {
        c if c < '\u{7f}' => '\u{7f}',
        c if c < char::MAX => char::MAX,
        _ => return None,
    };
    Some(prefix(text) + &tie_breaker.to_string())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Int64Array, StringArray, StructArray, TimestampMicrosecondArray};

    use super::*;

    fn stats(columns: Vec<(&str, ArrayRef)>) -> String {
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
        let mut collector = StatsColumns::new(&Metadata::default(), batch.schema_ref(), false).collector();
        collector.update(&batch).unwrap();
        collector.finish()
    }

    #[test]
    fn json_is_sparks() {
        // What Spark wrote for the same rows.
        let nested = StructArray::from(vec![(
            Arc::new(Field::new("a", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![None, Some(7)])) as ArrayRef,
        )]);
        assert_eq!(
            stats(vec![
                ("id", Arc::new(Int64Array::from(vec![3, 10]))),
                ("name", Arc::new(StringArray::from(vec!["m", "n"]))),
                (
                    "amount",
                    Arc::new(
                        Decimal128Array::from(vec![Some(100), None]).with_precision_and_scale(10, 2).unwrap()
                    )
                ),
                (
                    "ts",
                    Arc::new(
                        TimestampMicrosecondArray::from(vec![Some(1_577_836_800_123_456), None])
                            .with_timezone("UTC")
                    )
                ),
                ("s", Arc::new(nested)),
            ]),
            concat!(
                r#"{"numRecords":2,"minValues":{"id":3,"name":"m","amount":1.00,"ts":"2020-01-01T00:00:00.123Z","s":{"a":7}},"#,
                r#""maxValues":{"id":10,"name":"n","amount":1.00,"ts":"2020-01-01T00:00:00.123Z","s":{"a":7}},"#,
                r#""nullCount":{"id":0,"name":0,"amount":1,"ts":1,"s":{"a":1}}}"#
            )
        );
    }

    #[test]
    fn long_texts_are_cut() {
        let long = "a".repeat(40);
        assert_eq!(upper_bound(&long).unwrap(), "a".repeat(32) + "\u{7f}");
        assert_eq!(upper_bound(&("é".repeat(40))).unwrap(), "é".repeat(32) + "\u{10ffff}");
        assert_eq!(upper_bound("short").unwrap(), "short");
        assert_eq!(prefix(&long).len(), 32);
    }
}
