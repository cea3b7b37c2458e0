//! What a stateful operator remembers: values by key, in memory, with a file of changes for each batch and a file of everything
//! now and then (`store/files.rs`).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::buffer::NullBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef, TimestampMicrosecondType};
use boathouse_spec::{Error, Result};
use datafusion::common::hash_utils::RandomState;

use super::spill::{Place, SpillFile};
use crate::checkpoint::Directory;

mod files;
mod index;
mod lookup;
mod rows;
mod spilled;

use index::Index;
pub(super) use lookup::Found;
use rows::{Bytes, Encoded, Encoding};

type Map<V> = HashMap<Bytes, V, RandomState>;
type Keys = HashSet<Bytes, RandomState>;

/// The columns of a store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    pub keys: Vec<FieldRef>,
    pub values: Vec<FieldRef>,
    /// The column, of keys and values, that says when an entry is over.
    pub time: Option<usize>,
    /// The columns by which entries are found beside their keys.
    pub index: Option<Vec<usize>>,
    /// Whether entries are also found by NULL, as groups are, where it meets nothing in a join.
    pub finds_null: bool,
}

/// What is remembered by a key.
struct Entry {
    value: Value,
    /// When it is over, in microseconds.
    time: Option<i64>,
}

enum Value {
    Row(Bytes),
    Spilled(Place),
}

/// A guess at what an entry takes in memory beside the bytes of its key and value.
const OVERHEAD: usize = 96;

pub(crate) struct StateStore {
    directory: Directory,
    keys: Vec<FieldRef>,
    values: Vec<FieldRef>,
    index: Option<Index>,
    key_encoding: Encoding,
    value_encoding: Encoding,
    entries: Map<Entry>,
    /// The values that are not in memory.
    spilled: Option<SpillFile>,
    /// A guess at what the entries take in memory.
    memory: usize,
    /// Keys touched since the last commit, and whether they are gone.
    touched: Map<bool>,
    lineage: Vec<String>,
    /// Rows in the files of the lineage after the first.
    changes: usize,
    /// The column, of keys and values, that says when an entry is over, and the entries by it.
    time: Option<usize>,
    by_time: BTreeMap<i64, Keys>,
}

impl StateStore {
    /// The state at a version that the commit log names; empty where there is none yet.
    pub async fn open(directory: Directory, layout: Layout, committed: Option<(i64, &str)>) -> Result<Self> {
        let Layout { keys, values, time, index, finds_null } = layout;
        let mut store = Self {
            index: None,
            key_encoding: Encoding::of(&keys)?,
            value_encoding: Encoding::of(&values)?,
            directory,
            keys,
            values,
            entries: Map::default(),
            spilled: None,
            memory: 0,
            touched: Map::default(),
            lineage: Vec::new(),
            changes: 0,
            time,
            by_time: BTreeMap::new(),
        };
        if let Some((version, id)) = committed {
            store.load(version, id).await?;
        }
        if let Some(columns) = index {
            let mut index = Index::new(columns, finds_null, &store.schema())?;
            let all = store.all()?;
            index.add(&all, &store.keys_of(&all)?)?;
            store.index = Some(index);
        }
        Ok(store)
    }

    /// The columns of keys, and those of values.
    pub fn columns(&self) -> (&[FieldRef], &[FieldRef]) {
        (&self.keys, &self.values)
    }

    /// The columns that entries are found by beside their keys.
    pub fn index_columns(&self) -> &[usize] {
        self.index.as_ref().map_or(&[], |index| &index.columns)
    }

    /// What is other than in another state of the store: the entries that this one has, and the keys that it lacks.
    pub fn difference(&self, before: &Self) -> Result<(RecordBatch, RecordBatch)> {
        let mut new = Vec::new();
        for (key, entry) in &self.entries {
            let was = before.entries.get(key).map(|e| before.value_bytes(&e.value)).transpose()?;
            if was != Some(self.value_bytes(&entry.value)?) {
                new.push((key, entry));
            }
        }
        let set = self.batch_of(new.into_iter())?;
        let gone = before.entries.iter().filter(|(k, _)| !self.entries.contains_key(*k));
        Ok((set, before.batch_of(gone)?))
    }

    /// Keys and values, as batches have them.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.keys.iter().chain(&self.values).cloned().collect::<Vec<_>>()))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// A guess at the memory that the state takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.memory
    }

    fn size_of(&self, key: &[u8], value: &Value, time: Option<i64>) -> usize {
        let value = match value {
            Value::Row(row) => row.len(),
            Value::Spilled(_) => 0,
        };
        // The key is beside its entry, and where entries are found by times and other columns.
        let keys = 1 + usize::from(time.is_some()) + usize::from(self.index.is_some());
        value + keys * (key.len() + OVERHEAD)
    }

    /// The bytes of a value.
    fn value_bytes<'a>(&self, value: &'a Value) -> Result<Cow<'a, [u8]>> {
        match (value, &self.spilled) {
            (Value::Row(row), _) => Ok(Cow::Borrowed(row)),
            (Value::Spilled(place), Some(file)) => Ok(Cow::Owned(file.read(*place)?)),
            (Value::Spilled(_), None) => Err(Error::internal("state on disk without its file")),
        }
    }

    fn keys_of(&self, batch: &RecordBatch) -> Result<Encoded> {
        self.key_encoding.rows(&batch.columns()[..self.keys.len()], batch.num_rows())
    }

    fn values_of(&self, batch: &RecordBatch) -> Result<Encoded> {
        let range = self.keys.len()..self.keys.len() + self.values.len();
        self.value_encoding.rows(&batch.columns()[range], batch.num_rows())
    }

    /// The entries of the keys of a batch, those that there are.
    pub fn get_many(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let keys = self.keys_of(batch)?;
        self.batch_of(keys.iter().filter_map(|k| self.entries.get_key_value(k)))
    }

    /// The entries that the index finds by some values.
    pub fn matching(&self, values: &[ArrayRef]) -> Result<RecordBatch> {
        let Some(index) = &self.index else { return Err(Error::internal("state without index")) };
        let wanted = index.wanted(values)?;
        let found: HashSet<&[u8]> =
            wanted.iter().flatten().filter(|value| index.keys.contains_key(*value)).collect();
        let keys = found.into_iter().filter_map(|v| index.keys.get(v)).flatten();
        self.batch_of(keys.filter_map(|k| self.entries.get_key_value(k)))
    }

    /// All entries.
    pub fn all(&self) -> Result<RecordBatch> {
        self.batch_of(self.entries.iter())
    }

    /// Sets entries; a batch has keys first, then values.
    pub fn put(&mut self, batch: &RecordBatch) -> Result<()> {
        let (keys, values, times) = (self.keys_of(batch)?, self.values_of(batch)?, self.times(batch));
        if let Some(index) = &mut self.index {
            index.add(batch, &keys)?;
        }
        for (i, (key, value)) in keys.iter().zip(values.iter()).enumerate() {
            self.touch(key, false);
            self.set(key, value, times.get(i).copied().flatten());
        }
        Ok(())
    }

    /// Sets entries that files have: nothing is to be written of them, and there is no index yet.
    fn enter(&mut self, batch: &RecordBatch) -> Result<()> {
        let (keys, values, times) = (self.keys_of(batch)?, self.values_of(batch)?, self.times(batch));
        self.entries.reserve(keys.len());
        for (i, (key, value)) in keys.iter().zip(values.iter()).enumerate() {
            self.set(key, value, times.get(i).copied().flatten());
        }
        Ok(())
    }

    fn touch(&mut self, key: &[u8], is_gone: bool) {
        match self.touched.get_mut(key) {
            Some(gone) => *gone = is_gone,
            None => {
                self.touched.insert(Bytes::from(key), is_gone);
            }
        }
    }

    fn times(&self, batch: &RecordBatch) -> Vec<Option<i64>> {
        self.time.and_then(|i| instants(batch.column(i))).unwrap_or_default()
    }

    fn set(&mut self, key: &[u8], value: &[u8], time: Option<i64>) {
        let value = Value::Row(Bytes::from(value));
        self.memory += self.size_of(key, &value, time);
        if let Some(time) = time {
            self.by_time.entry(time).or_default().insert(Bytes::from(key));
        }
        if let Some(known) = self.entries.get_mut(key) {
            let before = std::mem::replace(known, Entry { value, time });
            self.forget(key, &before, time);
        } else {
            self.entries.insert(Bytes::from(key), Entry { value, time });
        }
    }

    /// Takes an entry out, also from those that are over at its time.
    fn take(&mut self, key: &[u8]) {
        if let Some(entry) = self.entries.remove(key) {
            self.forget(key, &entry, None);
        }
    }

    /// What an entry took is free. `now`: the time of the one in its place.
    fn forget(&mut self, key: &[u8], entry: &Entry, now: Option<i64>) {
        self.memory = self.memory.saturating_sub(self.size_of(key, &entry.value, entry.time));
        if let (Value::Spilled(place), Some(file)) = (&entry.value, &mut self.spilled) {
            file.forget(*place);
        }
        let Some(time) = entry.time.filter(|time| now != Some(*time)) else { return };
        if let Some(keys) = self.by_time.get_mut(&time) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_time.remove(&time);
            }
        }
    }

    /// Adds the entries whose keys are not there yet, and says which those are.
    pub fn insert_new(&mut self, batch: &RecordBatch) -> Result<Vec<bool>> {
        let (keys, values, times) = (self.keys_of(batch)?, self.values_of(batch)?, self.times(batch));
        let mut new = Vec::with_capacity(keys.len());
        for (i, (key, value)) in keys.iter().zip(values.iter()).enumerate() {
            let is_new = !self.entries.contains_key(key);
            new.push(is_new);
            if is_new {
                self.touch(key, false);
                self.set(key, value, times.get(i).copied().flatten());
            }
        }
        Ok(new)
    }

    /// Removes the entries that are over at a time, and gives them.
    pub fn expire(&mut self, at_us: i64) -> Result<RecordBatch> {
        let later = self.by_time.split_off(&at_us.saturating_add(1));
        let over = std::mem::replace(&mut self.by_time, later);
        let over = over.values().flatten().filter_map(|k| self.entries.get_key_value(k));
        let batch = self.batch_of(over)?;
        self.remove(&batch)?;
        Ok(batch)
    }

    /// Removes the entries of some keys; a batch has keys first, then values.
    pub fn remove(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = self.keys_of(batch)?;
        if let Some(index) = &mut self.index {
            index.remove(batch, &keys)?;
        }
        for key in keys.iter() {
            self.take(key);
            self.touch(key, true);
        }
        Ok(())
    }

    /// Puts entries in the place of others; how many of the others are gone.
    pub fn replace(&mut self, old: &RecordBatch, new: &RecordBatch) -> Result<usize> {
        let (keys, values) = (self.keys_of(new)?, self.values_of(new)?);
        let mut changed = Vec::with_capacity(keys.len());
        for (key, value) in keys.iter().zip(values.iter()) {
            let before = self.entries.get(key).map(|e| self.value_bytes(&e.value)).transpose()?;
            changed.push(before.as_deref() != Some(value));
        }
        let changed = BooleanArray::from(changed);
        let kept: HashSet<&[u8]> = keys.iter().collect();
        let gone: BooleanArray = self.keys_of(old)?.iter().map(|k| Some(!kept.contains(k))).collect();
        let gone = filter_record_batch(old, &gone).map_err(internal)?;
        let changed = filter_record_batch(new, &changed).map_err(internal)?;
        self.remove(&gone)?;
        // What stays as it is needs no place in the file of the version.
        self.put(&changed)?;
        Ok(gone.num_rows())
    }

    fn batch_of<'a>(&self, entries: impl Iterator<Item = (&'a Bytes, &'a Entry)>) -> Result<RecordBatch> {
        let (keys, values): (Vec<_>, Vec<_>) = entries.map(|(k, e)| (&**k, &e.value)).unzip();
        let count = keys.len();
        let mut columns = self.key_encoding.columns(keys)?;
        let values = values.into_iter().map(|v| self.value_bytes(v)).collect::<Result<Vec<_>>>()?;
        columns.extend(self.value_encoding.columns(values.iter().map(|v| &**v))?);
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(self.schema(), columns, &options).map_err(internal)
    }
}

fn numbers(of: &[usize]) -> String {
    of.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

pub(super) fn internal(e: arrow::error::ArrowError) -> Error {
    Error::internal(format!("state: {e}"))
}

/// The column as microseconds: a time, or the end of a window.
pub(super) fn timestamps(column: &ArrayRef) -> Option<TimestampMicrosecondArray> {
    let Some(window) = column.as_struct_opt() else {
        return column.as_primitive_opt::<TimestampMicrosecondType>().cloned();
    };
    let end = window.column_by_name("end")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let nulls = NullBuffer::union(window.nulls(), end.nulls());
    Some(TimestampMicrosecondArray::new(end.values().clone(), nulls))
}

/// The same, one by one.
pub(super) fn instants(column: &ArrayRef) -> Option<Vec<Option<i64>>> {
    Some(timestamps(column)?.iter().collect())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field};

    use super::*;
    use crate::checkpoint::Retention;

    fn fields() -> (Vec<FieldRef>, Vec<FieldRef>) {
        (
            vec![Arc::new(Field::new("k", DataType::Utf8, true))],
            vec![Arc::new(Field::new("v", DataType::Int64, true))],
        )
    }

    fn batch(store: &StateStore, rows: &[(&str, i64)]) -> RecordBatch {
        let keys: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(k, _)| *k)));
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, v)| *v)));
        RecordBatch::try_new(store.schema(), vec![keys, values]).unwrap()
    }

    fn sum(store: &StateStore) -> i64 {
        store.all().unwrap().column(1).as_primitive::<arrow::datatypes::Int64Type>().iter().flatten().sum()
    }

    #[tokio::test]
    async fn state_is_read_as_it_was_written() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::at(place.path());
        let (keys, values) = fields();
        let layout = Layout { keys, values, ..Layout::default() };
        let mut store = StateStore::open(directory.clone(), layout.clone(), None).await.unwrap();
        let mut ids = Vec::new();
        for version in 1..=120 {
            let rows = batch(&store, &[("a", version), (&format!("k{version}"), 1)]);
            store.put(&rows).unwrap();
            if version > 1 {
                let old = batch(&store, &[(&format!("k{}", version - 1), 0)]);
                store.remove(&old).unwrap();
            }
            ids.push(store.commit(version, Retention { batches: 120, deltas: 10 }).await.unwrap());
        }
        for version in [1_i64, 49, 50, 51, 52, 120] {
            let id = ids[usize::try_from(version).unwrap() - 1].as_str();
            let read =
                StateStore::open(directory.clone(), layout.clone(), Some((version, id))).await.unwrap();
            assert_eq!((read.len(), sum(&read)), (2, version + 1), "version {version}");
        }
        assert!(StateStore::open(directory, layout, Some((7, "other"))).await.is_err());
    }
}
