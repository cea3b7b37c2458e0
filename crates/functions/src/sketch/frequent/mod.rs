//! The most frequent values: `approx_top_k`, and its parts `approx_top_k_accumulate`, `approx_top_k_combine` and
//! `approx_top_k_estimate`, on the DataSketches library's sketch of frequent items, whose order of values and binary form they have.
//!
//! `table.rs` is the library's hash table, `sketch.rs` the sketch and its bytes, `item.rs` the values in it.

mod aggregate;
mod combine;
mod estimate;
mod item;
mod sketch;
mod table;

use arrow::array::{ArrayRef, Int64Array, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use std::sync::Arc;

use self::item::{Item, Kind};
use self::sketch::Sketch;
use crate::collection::ListItem;
use crate::mismatch::whole_number_cast;
use crate::{Call, Registry};

pub(super) fn register(r: &mut Registry) {
    aggregate::register(r);
    combine::register(r);
    estimate::register(r);
}

const DEFAULT_K: i64 = 5;
const DEFAULT_TRACKED: i64 = 10_000;
const MOST_TRACKED: i64 = 1_000_000;

/// A sketch, and how many NULLs there were (Spark's `ApproxTopKAggregateBuffer`).
#[derive(Debug, Clone)]
struct Counted {
    pub sketch: Sketch,
    pub nulls: i64,
}

impl Counted {
    /// For so many values.
    pub fn tracking(items: i64) -> Self {
        // The library's table is three quarters full at most.
        let cells = (items as f64 / 0.75).ceil().max(1.0);
        Self { sketch: Sketch::new(cells.log2().ceil() as u8), nulls: 0 }
    }

    pub fn merge(&mut self, other: &Self) {
        self.sketch.merge(&other.sketch);
        self.nulls += other.nulls;
    }

    pub fn to_bytes(&self, kind: &Kind) -> Vec<u8> {
        let mut bytes = self.sketch.to_bytes(kind);
        bytes.extend(self.nulls.to_be_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8], kind: &Kind) -> Result<Self> {
        let parsed = bytes.split_last_chunk::<8>().and_then(|(sketch, nulls)| {
            Some(Self { sketch: Sketch::from_bytes(sketch, kind)?, nulls: i64::from_be_bytes(*nulls) })
        });
        parsed.ok_or_else(|| Error::internal("these bytes are no sketch of frequent items"))
    }

    /// The most frequent values and their counts; `None` is NULL.
    pub fn top(&self, k: usize) -> Vec<(Option<&Item>, i64)> {
        let mut rows: Vec<(Option<&Item>, i64)> =
            self.sketch.frequent().into_iter().map(|(item, count)| (Some(item), count)).collect();
        if self.nulls > 0 {
            let at = rows.partition_point(|(_, count)| *count >= self.nulls);
            rows.insert(at, (None, self.nulls));
        }
        rows.truncate(k);
        rows
    }
}

/// The type of what is shown: values with their counts.
fn result_type(item: &DataType) -> DataType {
    let row = DataType::structure(vec![
        StructField::new("item", item.clone(), true),
        StructField::new("count", DataType::Long, false),
    ]);
    DataType::array(row, false)
}

/// The type of sketches between queries.
fn state_type(item: &DataType) -> DataType {
    DataType::structure(vec![
        StructField::new("sketch", DataType::Binary, false),
        StructField::new("maxItemsTracked", DataType::Integer, false),
        StructField::new("itemDataType", item.clone(), true),
        StructField::new("itemDataTypeDDL", DataType::STRING, false),
    ])
}

/// How a sketch names the type of its values.
fn type_text(item: &DataType) -> String {
    match item.is_string() {
        true => "item string not null".to_string(),
        false => StructType::new(vec![StructField::new("item", item.clone(), false)]).ddl(),
    }
}

/// Lists of values with their counts.
fn shown(tops: &[Option<Vec<(Option<&Item>, i64)>>], kind: &Kind, returned: &DataType) -> Result<ArrayRef> {
    let item = ListItem::of(returned)?;
    let ArrowType::Struct(fields) = item.data_type() else {
        return Err(Error::internal("frequent items are structs"));
    };
    let rows = || tops.iter().flatten().flatten();
    let values = kind.array(rows().map(|(item, _)| *item))?;
    let values = crate::scalar::conform(values, fields[0].data_type())?;
    let counts = Int64Array::from_iter_values(rows().map(|(_, count)| *count));
    let structs = StructArray::try_new(fields.clone(), vec![values, Arc::new(counts)], None).spark()?;
    let nulls = NullBuffer::from(tops.iter().map(Option::is_some).collect::<Vec<_>>());
    let lengths = tops.iter().map(|t| t.as_ref().map_or(0, Vec::len));
    item.list(
        OffsetBuffer::from_lengths(lengths),
        Arc::new(structs),
        Some(nulls).filter(|n| n.null_count() > 0),
    )
}

/// A whole number among the arguments, or the default.
fn number(call: &Call, i: usize, name: &str, default: i64) -> Result<i64> {
    if call.args.len() <= i {
        return Ok(default);
    }
    let value = match whole_number_cast(call, i)? {
        Some(Some(value)) => value,
        Some(None) => {
            return Err(Error::new("APPROX_TOP_K_NULL_ARG")
                .param("argName", format!("`{name}`"))
                .message(format!("`{name}` of `{}` must not be NULL.", call.name)));
        }
        None => return Err(no_literal(call, name)),
    };
    if value <= 0 {
        return Err(Error::new("APPROX_TOP_K_NON_POSITIVE_ARG")
            .param("argName", format!("`{name}`"))
            .param("argValue", value)
            .message(format!("`{name}` of `{}` must be positive, but is {value}.", call.name)));
    }
    Ok(value)
}

fn no_literal(call: &Call, name: &str) -> Error {
    let mut shown = name.to_string();
    shown[..1].make_ascii_uppercase();
    Error::new("DATATYPE_MISMATCH.TYPE_CHECK_FAILURE_WITH_HINT")
        .param("sqlExpr", format!("\"{}\"", call.sql()))
        .param("msg", format!("{shown} must be a constant literal"))
        .param("hint", "")
        .message(format!("Cannot resolve \"{}\": `{name}` must be a constant.", call.sql()))
}

/// How many values are tracked.
fn tracked(call: &Call, i: usize, default: i64) -> Result<i64> {
    let tracked = number(call, i, "maxItemsTracked", default)?;
    if tracked > MOST_TRACKED {
        return Err(Error::new("APPROX_TOP_K_MAX_ITEMS_TRACKED_EXCEEDS_LIMIT")
            .param("maxItemsTracked", tracked)
            .param("limit", MOST_TRACKED)
            .message(format!(
                "`maxItemsTracked` of `{}` is at most {MOST_TRACKED}, not {tracked}.",
                call.name
            )));
    }
    Ok(tracked)
}

fn too_few_tracked(tracked: i64, k: i64) -> Error {
    Error::new("APPROX_TOP_K_MAX_ITEMS_TRACKED_LESS_THAN_K")
        .param("maxItemsTracked", tracked)
        .param("k", k)
        .message(format!("`maxItemsTracked` ({tracked}) must not be less than `k` ({k})."))
}

/// A check of types that Spark words itself.
fn refused(call: &Call, why: &str) -> Error {
    Error::new("DATATYPE_MISMATCH.TYPE_CHECK_FAILURE_WITH_HINT")
        .param("sqlExpr", format!("\"{}\"", call.sql()))
        .param("msg", why)
        .param("hint", "")
        .message(format!("Cannot resolve \"{}\": {why}.", call.sql()))
}
