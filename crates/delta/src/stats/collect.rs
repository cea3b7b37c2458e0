//! Statistics of a file while it is written, as Spark's `StatisticsCollection` gathers them.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, RecordBatch, StringArray, make_array};
use arrow::buffer::NullBuffer;
use arrow::compute;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType,
};
use boathouse_formats::datetime_text::write_date;
use boathouse_spec::{Error, Result};
use chrono::DateTime;
use datafusion::scalar::ScalarValue;

use super::columns::{self, LeafColumn};
use crate::action::Metadata;
use crate::data_file::{FileLayout, FileSettings};
use crate::partition::format_decimal;
use crate::stats::table::has_bounds;

/// Which leaf columns get statistics, and how.
#[derive(Debug, Clone)]
pub(crate) struct StatsColumns {
    /// `None` where files get none.
    leaves: Option<Vec<LeafColumn>>,
    /// Whether the figures say that the bounds are tight, as tables with deletion vectors must.
    tight: bool,
    /// Characters of a string bound.
    string_bound: usize,
}

impl StatsColumns {
    pub fn new(
        metadata: &Metadata,
        layout: &FileLayout,
        settings: &FileSettings,
        deletion_vectors: bool,
    ) -> Self {
        Self {
            leaves: settings.collects_statistics.then(|| columns::leaves(metadata, layout)),
            tight: deletion_vectors,
            string_bound: settings.string_bound,
        }
    }

    pub fn collector(&self) -> StatsCollector {
        let leaves = self.leaves.iter().flatten().cloned().map(Leaf::new).collect();
        StatsCollector { rows: 0, leaves, columns: self.clone() }
    }
}

#[derive(Debug)]
struct Leaf {
    column: LeafColumn,
    min: Option<ScalarValue>,
    max: Option<ScalarValue>,
    nulls: usize,
}

impl Leaf {
    fn new(column: LeafColumn) -> Self {
        Self { column, min: None, max: None, nulls: 0 }
    }

    fn update(&mut self, array: &ArrayRef) -> Result<()> {
        self.nulls += array.null_count();
        if !has_bounds(array.data_type()) {
            return Ok(());
        }
        if let Some((low, high)) = bounds(array)? {
            if self.min.as_ref().is_none_or(|m| is_less(&low, m)) {
                self.min = Some(low);
            }
            if self.max.as_ref().is_none_or(|m| is_less(m, &high)) {
                self.max = Some(high);
            }
        }
        Ok(())
    }
}

/// The statistics of one file so far.
#[derive(Debug)]
pub(crate) struct StatsCollector {
    rows: usize,
    leaves: Vec<Leaf>,
    columns: StatsColumns,
}

impl StatsCollector {
    /// Takes in rows as the file has them.
    pub fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        for leaf in &mut self.leaves {
            if let Some(array) = leaf_array(batch, &leaf.column.path)? {
                leaf.update(&array)?;
            }
        }
        Ok(())
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The JSON for the log. Bounds are in it where there are columns that may have some, though none of them has any.
    pub fn finish(&self) -> Option<String> {
        self.columns.leaves.as_ref()?;
        let (mut min, mut max, mut nulls) = (Tree::default(), Tree::default(), Tree::default());
        for leaf in &self.leaves {
            let path = &leaf.column.path;
            if leaf.column.is_bounded {
                let text = |bound: &Option<ScalarValue>, upper| {
                    bound.as_ref().and_then(|v| bound_text(v, upper, self.columns.string_bound))
                };
                min.insert(path, text(&leaf.min, false));
                max.insert(path, text(&leaf.max, true));
            }
            nulls.insert(path, Some(leaf.nulls.to_string()));
        }
        let mut out = format!("{{\"numRecords\":{}", self.rows);
        for (name, tree) in [("minValues", min), ("maxValues", max), ("nullCount", nulls)] {
            if !tree.members.is_empty() {
                out.push_str(&format!(",\"{name}\":{}", tree.json()));
            }
        }
        if self.columns.tight {
            out.push_str(",\"tightBounds\":true");
        }
        out.push('}');
        Some(out)
    }
}

/// JSON objects in each other, in the order of insertion; leaves are JSON texts, and not shown where there is none.
#[derive(Default)]
struct Tree {
    members: Vec<(String, Node)>,
}

enum Node {
    Leaf(Option<String>),
    Branch(Tree),
}

impl Tree {
    fn insert(&mut self, path: &[String], value: Option<String>) {
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
        let members = self.members.iter().filter_map(|(key, node)| {
            let value = match node {
                Node::Leaf(text) => text.clone()?,
                Node::Branch(tree) => tree.json(),
            };
            Some(format!("{}:{value}", quoted(key)))
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
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
    let pair =
        match array.data_type() {
            DataType::Int8 => primitive::<Int8Type>(array)
                .map(|(a, b)| (ScalarValue::Int8(Some(a)), ScalarValue::Int8(Some(b)))),
            DataType::Int16 => primitive::<Int16Type>(array)
                .map(|(a, b)| (ScalarValue::Int16(Some(a)), ScalarValue::Int16(Some(b)))),
            DataType::Int32 => primitive::<Int32Type>(array)
                .map(|(a, b)| (ScalarValue::Int32(Some(a)), ScalarValue::Int32(Some(b)))),
            DataType::Int64 => primitive::<Int64Type>(array)
                .map(|(a, b)| (ScalarValue::Int64(Some(a)), ScalarValue::Int64(Some(b)))),
            DataType::Float32 => float_bounds(array.as_primitive::<Float32Type>().iter().flatten())
                .map(|(a, b)| (ScalarValue::Float32(Some(a)), ScalarValue::Float32(Some(b)))),
            DataType::Float64 => float_bounds(array.as_primitive::<Float64Type>().iter().flatten())
                .map(|(a, b)| (ScalarValue::Float64(Some(a)), ScalarValue::Float64(Some(b)))),
            DataType::Decimal128(p, s) => primitive::<Decimal128Type>(array).map(|(a, b)| {
                (ScalarValue::Decimal128(Some(a), *p, *s), ScalarValue::Decimal128(Some(b), *p, *s))
            }),
            DataType::Date32 => primitive::<Date32Type>(array)
                .map(|(a, b)| (ScalarValue::Date32(Some(a)), ScalarValue::Date32(Some(b)))),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => primitive::<TimestampMicrosecondType>(array)
                .map(|(a, b)| {
                    (
                        ScalarValue::TimestampMicrosecond(Some(a), zone.clone()),
                        ScalarValue::TimestampMicrosecond(Some(b), zone.clone()),
                    )
                }),
            DataType::Utf8 => string_bounds(array.as_string::<i32>())
                .map(|(a, b)| (ScalarValue::from(a), ScalarValue::from(b))),
            other => return Err(Error::internal(format!("no bounds of type {other}"))),
        };
    Ok(pair)
}

/// The least and the greatest text. Most texts are told apart from both by their first bytes.
fn string_bounds(array: &StringArray) -> Option<(&str, &str)> {
    let mut values = array.iter().flatten();
    let first = values.next()?;
    let (mut low, mut high) = ((head(first), first), (head(first), first));
    for value in values {
        let value = (head(value), value);
        if value < low {
            low = value;
        } else if value > high {
            high = value;
        }
    }
    Some((low.1, high.1))
}

/// The first bytes as a number, which orders texts where it differs.
fn head(text: &str) -> u64 {
    let bytes = text.as_bytes();
    match bytes.first_chunk::<8>() {
        Some(chunk) => u64::from_be_bytes(*chunk),
        None => bytes.iter().enumerate().fold(0, |head, (i, byte)| head | u64::from(*byte) << (56 - 8 * i)),
    }
}

/// The least and the greatest number as Spark orders them: NaN is above all, and of zeros the first that came stays,
/// whatever its sign.
fn float_bounds<T: Float>(mut values: impl Iterator<Item = T>) -> Option<(T, T)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(low, high), v| {
        (if v.is_below(low) { v } else { low }, if high.is_below(v) { v } else { high })
    }))
}

trait Float: Copy {
    fn is_below(self, other: Self) -> bool;
}

impl Float for f32 {
    fn is_below(self, other: Self) -> bool {
        self < other || (other.is_nan() && !self.is_nan())
    }
}

impl Float for f64 {
    fn is_below(self, other: Self) -> bool {
        self < other || (other.is_nan() && !self.is_nan())
    }
}

fn is_less(a: &ScalarValue, b: &ScalarValue) -> bool {
    match (a, b) {
        (ScalarValue::Float32(Some(a)), ScalarValue::Float32(Some(b))) => a.is_below(*b),
        (ScalarValue::Float64(Some(a)), ScalarValue::Float64(Some(b))) => a.is_below(*b),
        _ => a < b,
    }
}

/// A bound as JSON; `None` where it cannot be told.
fn bound_text(value: &ScalarValue, upper: bool, string_bound: usize) -> Option<String> {
    Some(match value {
        ScalarValue::Int8(Some(v)) => v.to_string(),
        ScalarValue::Int16(Some(v)) => v.to_string(),
        ScalarValue::Int32(Some(v)) => v.to_string(),
        ScalarValue::Int64(Some(v)) => v.to_string(),
        ScalarValue::Float32(Some(v)) if v.is_finite() => serde_json::to_string(v).ok()?,
        ScalarValue::Float32(Some(v)) => no_number((*v).into()),
        ScalarValue::Float64(Some(v)) if v.is_finite() => serde_json::to_string(v).ok()?,
        ScalarValue::Float64(Some(v)) => no_number(*v),
        ScalarValue::Decimal128(Some(v), _, scale) => format_decimal(*v, *scale),
        ScalarValue::Date32(Some(days)) => {
            let mut text = String::new();
            write_date(i64::from(*days), &mut text);
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
        ScalarValue::Utf8(Some(text)) if upper => quoted(&upper_bound(text, string_bound)?),
        ScalarValue::Utf8(Some(text)) => quoted(&text.chars().take(string_bound).collect::<String>()),
        _ => return None,
    })
}

/// JSON has no NaN and no infinity: they are texts.
fn no_number(value: f64) -> String {
    let text = match value {
        v if v.is_nan() => "NaN",
        v if v > 0.0 => "Infinity",
        _ => "-Infinity",
    };
    quoted(text)
}

/// A short text that is not less than a long one, as `StatisticsCollection.truncateMaxStringAgg` makes it: lengths are those
/// of Java's strings, and the text is cut behind a character that is not the greatest there is.
fn upper_bound(text: &str, length: usize) -> Option<String> {
    if text.len() <= length {
        return Some(text.to_string());
    }
    let mut units = 0;
    for (at, c) in text.char_indices() {
        if units >= length {
            if units > 2 * length {
                return None;
            }
            match c {
                char::MAX => {}
                c => {
                    return Some(format!(
                        "{}{}",
                        &text[..at],
                        if c < '\u{7f}' { '\u{7f}' } else { char::MAX }
                    ));
                }
            }
        }
        units += c.len_utf16();
    }
    (units <= 2 * length).then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray, StructArray,
        TimestampMicrosecondArray,
    };

    use arrow::datatypes::Field;

    use super::*;

    fn stats(columns: Vec<(&str, ArrayRef)>) -> String {
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
        let schema = boathouse_bridge::spark_schema(batch.schema_ref()).unwrap();
        let (metadata, settings) = (Metadata::default(), FileSettings::default());
        let layout = FileLayout::new(&schema, &metadata).unwrap();
        let mut collector = StatsColumns::new(&metadata, &layout, &settings, false).collector();
        collector.update(&batch).unwrap();
        collector.finish().unwrap()
    }

    #[test]
    fn bounds_of_strings_are_those_of_their_order() {
        let texts = [
            "",
            "a",
            "a\0",
            "a\0b",
            "same head 1",
            "same head 2",
            "same hea",
            "é",
            "\u{10ffff}",
            "Zebra zebra",
        ];
        for from in 0..texts.len() {
            for to in from + 1..=texts.len() {
                let some = &texts[from..to];
                let array = StringArray::from_iter(some.iter().map(|t| Some(*t)).chain([None]));
                let expected = (*some.iter().min().unwrap(), *some.iter().max().unwrap());
                assert_eq!(string_bounds(&array), Some(expected));
            }
        }
        assert_eq!(string_bounds(&StringArray::new_null(2)), None);
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
    fn numbers_that_json_lacks() {
        let bounds = |values: Vec<f64>| stats(vec![("a", Arc::new(Float64Array::from(values)) as ArrayRef)]);
        let wanted = |min: &str, max: &str, rows: usize| {
            format!(
                r#"{{"numRecords":{rows},"minValues":{{"a":{min}}},"maxValues":{{"a":{max}}},"nullCount":{{"a":0}}}}"#
            )
        };
        assert_eq!(bounds(vec![f64::NAN, 1.0]), wanted("1.0", "\"NaN\"", 2));
        assert_eq!(bounds(vec![f64::NAN]), wanted("\"NaN\"", "\"NaN\"", 1));
        assert_eq!(
            bounds(vec![f64::NEG_INFINITY, -0.0, f64::INFINITY]),
            wanted("\"-Infinity\"", "\"Infinity\"", 3)
        );
        assert_eq!(bounds(vec![-0.0, 0.0, -1.0]), wanted("-1.0", "-0.0", 3));
        assert_eq!(bounds(vec![0.0, -0.0]), wanted("0.0", "0.0", 2));
    }

    #[test]
    fn columns_without_bounds_have_no_bounds() {
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        assert_eq!(stats(vec![("a", flags.clone())]), r#"{"numRecords":1,"nullCount":{"a":0}}"#);
        let unknown: ArrayRef = Arc::new(Int64Array::from(vec![None]));
        assert_eq!(
            stats(vec![("a", flags), ("b", unknown)]),
            r#"{"numRecords":1,"minValues":{},"maxValues":{},"nullCount":{"a":0,"b":1}}"#
        );
    }

    #[test]
    fn long_texts_are_cut() {
        // What delta-spark's `truncateMaxStringAgg(32)` gave.
        let (a, max) = ("a".repeat(32), char::MAX.to_string());
        for (text, wanted) in [
            ("a".repeat(40), Some(format!("{a}\u{7f}"))),
            ("é".repeat(40), Some("é".repeat(32) + &max)),
            ("short".to_string(), Some("short".to_string())),
            (format!("{a}~b"), Some(format!("{a}\u{7f}"))),
            (format!("{a}\u{7f}b"), Some(format!("{a}{max}"))),
            (format!("{}\u{1f600}z", "a".repeat(30)), Some(format!("{}\u{1f600}\u{7f}", "a".repeat(30)))),
            ("\u{1f600}".repeat(40), Some("\u{1f600}".repeat(16) + &max)),
            (format!("{a}{}", max.repeat(5)), Some(format!("{a}{}", max.repeat(5)))),
            (format!("{a}{}b", max.repeat(16)), Some(format!("{a}{}\u{7f}", max.repeat(16)))),
            (format!("{a}{}b", max.repeat(17)), None),
            (format!("{a}{}", max.repeat(17)), None),
            (
                format!("{}{}z", "a".repeat(31), max.repeat(16)),
                Some(format!("{}{}\u{7f}", "a".repeat(31), max.repeat(16))),
            ),
            (format!("{}{}z", "a".repeat(31), max.repeat(17)), None),
        ] {
            assert_eq!(upper_bound(&text, 32), wanted, "{text}");
        }
    }
}
