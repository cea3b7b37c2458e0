//! A variable of a processor, or its timers: a store each.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
};
use arrow::compute::{filter_record_batch, is_not_null, take_record_batch};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema};
use boathouse_bridge::{arrow_type, conform};
use boathouse_spec::{DataType as SparkType, Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::group_state::instant;
use super::{groups_of, keys_of, take_changes};
use crate::stateful::store::{Found, Layout, StateStore, instants, internal};

/// Groups that are asked of a store at once.
const AT_ONCE: usize = 2_000;

/// What a processor declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Declared {
    pub name: String,
    pub kind: Kind,
    schema: Value,
    key: Value,
    #[serde(rename = "ttlMs")]
    pub ttl_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Timers,
    Value,
    List,
    Map,
    /// The variable is to be forgotten (`deleteIfExists`).
    None,
}

/// How a variable lies in its store.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub declared: Declared,
    /// The grouping keys before everything else.
    key_count: usize,
}

fn structure(json: &Value) -> Result<DataType> {
    Ok(arrow_type(&SparkType::from_json_value(json)?))
}

impl Declared {
    pub fn timers() -> Self {
        let (schema, key) = (Value::Null, Value::Null);
        Self { name: "$procTimers".to_string(), kind: Kind::Timers, schema, key, ttl_ms: None }
    }
}

impl Variable {
    pub fn new(declared: Declared, key_count: usize) -> Self {
        Self { declared, key_count }
    }

    /// The columns of the store, after these grouping keys.
    pub fn layout(&self, grouping: &[FieldRef]) -> Result<Layout> {
        let field = |name: &str, data_type: DataType| Arc::new(Field::new(name, data_type, true));
        let (mut keys, mut values) = (grouping.to_vec(), Vec::new());
        let index = Some((0..self.key_count).collect());
        let mut layout = Layout { finds_null: true, ..Layout::default() };
        match self.declared.kind {
            Kind::Timers => {
                layout.time = Some(keys.len());
                layout.index = index;
                keys.push(field("expiryTimestamp", instant()));
            }
            Kind::List => {
                layout.index = index;
                layout.counts_groups = true;
                keys.push(field("number", DataType::Int64));
            }
            Kind::Map => {
                layout.index = index;
                keys.push(field("userKey", structure(&self.declared.key)?));
            }
            Kind::Value | Kind::None => {}
        }
        if !matches!(self.declared.kind, Kind::Timers | Kind::None) {
            values.push(field("value", structure(&self.declared.schema)?));
            if self.declared.ttl_ms.is_some() {
                layout.time = Some(keys.len() + 1);
                values.push(field("ttlExpiration", instant()));
            }
        }
        Ok(Layout { keys, values, ..layout })
    }

    /// What there is of some groups, without what is over.
    pub fn recall(&self, store: &StateStore, keys: &[ArrayRef], batch_ms: i64) -> Result<RecordBatch> {
        let Found { rows, entries } = match self.declared.kind {
            Kind::Value => store.lookup(keys)?,
            _ => store.lookup_all(keys)?,
        };
        let mut fields = vec![Field::new("group", DataType::Int32, false)];
        let mut columns: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(rows))];
        let end = entries.num_columns() - usize::from(self.declared.ttl_ms.is_some());
        for i in self.key_count..end {
            let column = match self.declared.kind {
                Kind::Timers => milliseconds(entries.column(i)),
                _ => Arc::clone(entries.column(i)),
            };
            fields.push(Field::new(entries.schema().field(i).name(), column.data_type().clone(), true));
            columns.push(column);
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(internal)?;
        if self.declared.ttl_ms.is_none() {
            return Ok(batch);
        }
        let limit_us = batch_ms.saturating_mul(1000);
        let times = instants(entries.column(end)).unwrap_or_default();
        let alive: BooleanArray = times.iter().map(|t| Some(t.is_none_or(|t| t > limit_us))).collect();
        filter_record_batch(&batch, &alive).map_err(internal)
    }

    /// Takes what has changed; how many entries were set and how many are gone.
    pub fn change(
        &self,
        store: &mut StateStore,
        keys: &[ArrayRef],
        changes: &RecordBatch,
        batch_ms: i64,
    ) -> Result<(usize, usize)> {
        let column = |name: &str| {
            changes.column_by_name(name).ok_or_else(|| Error::internal("changes of state without columns"))
        };
        let schema = store.schema();
        let mut columns = keys_of(keys, groups_of(changes)?)?;
        let conformed = |array: &ArrayRef, at: usize| conform(array, schema.field(at).data_type());
        let kept = match self.declared.kind {
            Kind::Timers => {
                let at = column("at")?.as_primitive::<Int64Type>();
                columns.push(Arc::new(microseconds(at)));
                column("kept")?.as_boolean().clone()
            }
            _ => is_not_null(column("value")?).map_err(internal)?,
        };
        match self.declared.kind {
            Kind::List => columns.push(conformed(column("number")?, columns.len())?),
            Kind::Map => columns.push(conformed(column("key")?, columns.len())?),
            _ => {}
        }
        if self.declared.kind != Kind::Timers {
            columns.push(conformed(column("value")?, columns.len())?);
        }
        if let Some(ttl_ms) = self.declared.ttl_ms {
            let over_us = batch_ms.saturating_add(ttl_ms).saturating_mul(1000);
            columns.push(Arc::new(TimestampMicrosecondArray::from(vec![over_us; changes.num_rows()])));
        }
        let entries = RecordBatch::try_new(schema, columns).map_err(internal)?;
        take_changes(store, &entries, &kept)
    }
}

/// Milliseconds as the time of a store.
fn microseconds(ms: &Int64Array) -> TimestampMicrosecondArray {
    ms.iter().map(|ms| ms.map(|ms| ms.saturating_mul(1000))).collect()
}

/// The time of a store as milliseconds.
pub(super) fn milliseconds(times: &ArrayRef) -> ArrayRef {
    let times = instants(times).unwrap_or_default();
    Arc::new(times.into_iter().map(|t| t.map(|t| t.div_euclid(1000))).collect::<Int64Array>())
}

/// The rows of keys, so many at a time as groups are asked for at once.
pub(super) fn slices(keys: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    (0..keys.num_rows()).step_by(AT_ONCE).map(|at| keys.slice(at, AT_ONCE.min(keys.num_rows() - at)))
}

/// The rows at some places.
pub(super) fn taken(batch: &RecordBatch, rows: &[u32]) -> Result<RecordBatch> {
    take_record_batch(batch, &arrow::array::UInt32Array::from(rows.to_vec())).map_err(internal)
}
