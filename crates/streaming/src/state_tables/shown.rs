//! How the entries of a store are shown: the keys and values that Spark has for the operator, where ours are kept otherwise.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, NullArray, RecordBatch, StructArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, nullif};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, Fields, Int64Type};
use boathouse_spec::{Error, Result};

use super::metadata::StoreInfo;
use super::partial;
use crate::stateful::StateStore;

/// A column that is shown.
pub(super) struct Part {
    pub name: String,
    pub what: What,
}

/// Where it is among the columns of the store.
pub(super) enum What {
    Column(usize),
    Sum(Sum),
    /// Whether a number is 0.
    IsZero(usize),
    /// As another type.
    As(usize, DataType),
    /// The start and the end of a window.
    Window(usize, usize),
    Nothing,
}

/// A sum by the columns that are kept for it.
pub(super) struct Sum {
    pub sum: usize,
    /// The number of values: the sum of none is NULL.
    pub absent: Option<usize>,
    /// Whether the sum has left its type: it is NULL then.
    pub overflow: Option<usize>,
    /// A decimal as a number of this type, without its point.
    pub unscaled: Option<DataType>,
}

pub(super) struct Shown {
    keys: Vec<Part>,
    values: Vec<Part>,
}

impl Shown {
    pub fn of(info: &StoreInfo, store: &StateStore) -> Result<Self> {
        let (keys, values) = store.columns();
        let count = keys.len();
        let part = |name: &str, place: usize| Part { name: plain(name), what: What::Column(place) };
        let nothing = |name: &str| Part { name: name.to_string(), what: What::Nothing };
        let all_keys: Vec<Part> = keys.iter().enumerate().map(|(i, f)| part(f.name(), i)).collect();
        let all_values = values.iter().enumerate().map(|(i, f)| part(f.name(), count + i));
        Ok(match info.operator_name.as_str() {
            "globalLimit" => Self { keys: vec![nothing("key")], values: vec![part("value", count)] },
            "dedupe" => Self { keys: all_keys, values: vec![nothing("__dummy__")] },
            "dedupeWithinWatermark" => {
                let what = What::As(count, DataType::Int64);
                let expiry = Part { name: "expiresAtMicros".to_string(), what };
                Self { keys: all_keys, values: vec![expiry] }
            }
            "sessionWindowStateStoreSaveExec" => {
                // The start is the last key, the end the first value. Spark shows no more of the values than this.
                let what = What::Window(count - 1, count);
                let window = Part { name: "session_window".to_string(), what };
                let others = keys[..count - 1].iter().enumerate().map(|(i, f)| part(f.name(), i));
                Self { values: others.chain([window]).collect(), keys: all_keys }
            }
            "symmetricHashJoin" => {
                let index = store.index_columns();
                let keys = index.iter().enumerate().map(|(i, place)| part(&format!("field{i}"), *place));
                // Beside the columns of the side there are keys that are none, and whether the row met one.
                let own = values.iter().take_while(|f| !is_added(f.name())).count();
                Self { keys: keys.collect(), values: all_values.take(own).collect() }
            }
            "stateStoreSave" => Self { keys: all_keys, values: partial::shown(values, count) },
            _ => Self { keys: all_keys, values: all_values.collect() },
        })
    }

    pub fn keys(&self, rows: &RecordBatch) -> Result<ArrayRef> {
        structs(&self.keys, rows, false)
    }

    /// The values; NULLs where the entries are gone.
    pub fn values(&self, rows: &RecordBatch, are_gone: bool) -> Result<ArrayRef> {
        structs(&self.values, rows, are_gone)
    }
}

fn is_added(name: &str) -> bool {
    name == "met" || name.strip_prefix("key ").is_some_and(|n| n.parse::<usize>().is_ok())
}

/// The name as users gave it.
fn plain(name: &str) -> String {
    match name.rsplit_once('#') {
        Some((plain, id)) if id.parse::<u64>().is_ok() => plain.to_string(),
        _ => name.to_string(),
    }
}

impl Sum {
    fn shown(&self, rows: &RecordBatch) -> Result<ArrayRef> {
        let mut shown = Arc::clone(rows.column(self.sum));
        if let Some(count) = self.absent {
            shown = nullif(&shown, &is_zero(rows, count)?).map_err(internal)?;
        }
        if let Some(mark) = self.overflow {
            shown = nullif(&shown, flags(rows, mark)?).map_err(internal)?;
        }
        let Some(unscaled) = &self.unscaled else { return Ok(shown) };
        let decimals = shown.as_primitive_opt::<Decimal128Type>();
        let decimals = decimals.ok_or_else(|| Error::internal("a sum that is no decimal"))?.clone();
        let numbers = decimals.with_precision_and_scale(DECIMAL128_MAX_PRECISION, 0).map_err(internal)?;
        cast(&numbers, unscaled).map_err(internal)
    }
}

fn is_zero(rows: &RecordBatch, place: usize) -> Result<BooleanArray> {
    let counts = rows.column(place).as_primitive_opt::<Int64Type>();
    let counts = counts.ok_or_else(|| Error::internal("a count that is no number"))?;
    Ok(counts.iter().map(|n| Some(n.unwrap_or(0) == 0)).collect())
}

fn flags(rows: &RecordBatch, place: usize) -> Result<&BooleanArray> {
    rows.column(place).as_boolean_opt().ok_or_else(|| Error::internal("a mark that is no boolean"))
}

fn internal(e: arrow::error::ArrowError) -> Error {
    Error::internal(format!("state as a table: {e}"))
}

fn structs(parts: &[Part], rows: &RecordBatch, are_null: bool) -> Result<ArrayRef> {
    let mut fields = Vec::with_capacity(parts.len());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(parts.len());
    for part in parts {
        let column: ArrayRef = match &part.what {
            What::Column(place) => Arc::clone(rows.column(*place)),
            What::Sum(sum) => sum.shown(rows)?,
            What::IsZero(place) => Arc::new(is_zero(rows, *place)?),
            What::As(place, shown_as) => cast(rows.column(*place), shown_as).map_err(internal)?,
            What::Window(start, end) => {
                let bounds = [("start", start), ("end", end)].map(|(name, i)| {
                    let column = Arc::clone(rows.column(*i));
                    (Arc::new(Field::new(name, column.data_type().clone(), true)), column)
                });
                Arc::new(StructArray::from(bounds.to_vec()))
            }
            What::Nothing => Arc::new(NullArray::new(rows.num_rows())),
        };
        fields.push(Field::new(&part.name, column.data_type().clone(), true));
        columns.push(column);
    }
    let nulls = are_null.then(|| NullBuffer::new_null(rows.num_rows()));
    let made = StructArray::try_new_with_length(Fields::from(fields), columns, nulls, rows.num_rows());
    Ok(Arc::new(made.map_err(internal)?))
}
