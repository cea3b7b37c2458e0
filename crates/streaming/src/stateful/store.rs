//! What a stateful operator remembers: values by key, in memory, with a file of changes for each batch and a file of everything
//! now and then. The name of a file has an id that the commit log notes, so that a batch that was broken off leaves nothing
//! that a later one would read.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow::row::{OwnedRow, RowConverter, SortField};
use boathouse_spec::{Error, Result, fault};

use super::spill::{Place, SpillFile};
use crate::checkpoint::{Directory, Retention};

mod lookup;

pub(super) use lookup::Found;

/// Files of changes that a version stands on, at most.
const MOST_DELTAS: i64 = 50;

/// Marks a key that is gone.
const DELETED: &str = "__deleted";

/// The files that a version stands on, the snapshot first: `version:id` of each.
const LINEAGE: &str = "lineage";

/// How many of the first columns are keys.
const KEYS: &str = "keys";

/// The columns that entries are found by beside their keys.
const INDEX: &str = "index";

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
    Row(Option<OwnedRow>),
    Spilled(Place),
}

/// A guess at what an entry takes in memory beside the bytes of its key and value.
const OVERHEAD: usize = 96;

/// The keys of the entries by other columns.
struct Index {
    columns: Vec<usize>,
    finds_null: bool,
    rows: RowConverter,
    keys: HashMap<OwnedRow, HashSet<Option<OwnedRow>>>,
}

pub(crate) struct StateStore {
    directory: Directory,
    keys: Vec<FieldRef>,
    values: Vec<FieldRef>,
    index: Option<Index>,
    key_rows: Option<RowConverter>,
    value_rows: Option<RowConverter>,
    entries: HashMap<Option<OwnedRow>, Entry>,
    /// The values that are not in memory.
    spilled: Option<SpillFile>,
    /// A guess at what the entries take in memory.
    memory: usize,
    /// Keys touched since the last commit.
    touched: HashMap<Option<OwnedRow>, bool>,
    lineage: Vec<String>,
    /// Rows in the files of the lineage after the first.
    changes: usize,
    /// The column, of keys and values, that says when an entry is over, and the entries by it.
    time: Option<usize>,
    by_time: BTreeMap<i64, HashSet<Option<OwnedRow>>>,
}

impl StateStore {
    /// The state at a version that the commit log names; empty where there is none yet.
    pub async fn open(directory: Directory, layout: Layout, committed: Option<(i64, &str)>) -> Result<Self> {
        let Layout { keys, values, time, index, finds_null } = layout;
        let mut store = Self {
            index: None,
            key_rows: converter(&keys)?,
            value_rows: converter(&values)?,
            directory,
            keys,
            values,
            entries: HashMap::new(),
            spilled: None,
            memory: 0,
            touched: HashMap::new(),
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

    /// The state at a version, whatever its columns are.
    pub async fn as_written(directory: Directory, version: i64, id: &str) -> Result<Self> {
        let file = name(version, id);
        let bytes =
            directory.read(&file).await?.ok_or_else(|| lost(&directory, &file, &"it does not exist"))?;
        let reader =
            StreamReader::try_new(Cursor::new(bytes), None).map_err(|e| lost(&directory, &file, &e))?;
        let schema = reader.schema();
        let keys = schema.metadata().get(KEYS).and_then(|n| n.parse::<usize>().ok());
        let Some(keys) = keys.filter(|n| *n < schema.fields().len()) else {
            return Err(lost(&directory, &file, &"an older version of Boathouse wrote it, without its keys"));
        };
        let index = schema.metadata().get(INDEX).map_or("", String::as_str).split(',');
        let index: Vec<usize> =
            index.filter_map(|n| n.parse().ok()).filter(|n| *n < schema.fields().len() - 1).collect();
        let layout = Layout {
            keys: schema.fields()[..keys].to_vec(),
            values: schema.fields()[keys..schema.fields().len() - 1].to_vec(),
            index: Some(index).filter(|i| !i.is_empty()),
            ..Layout::default()
        };
        Self::open(directory, layout, Some((version, id))).await
    }

    /// The columns of keys, and those of values.
    pub fn columns(&self) -> (&[FieldRef], &[FieldRef]) {
        (&self.keys, &self.values)
    }

    /// The columns that entries are found by beside their keys.
    pub fn index_columns(&self) -> &[usize] {
        self.index.as_ref().map_or(&[], |index| &index.columns)
    }

    /// What a version changed: the entries that it set, and those that it took away, of which the values are NULL. `None` where
    /// the file has everything instead.
    pub async fn changes(&self, version: i64, id: &str) -> Result<Option<(RecordBatch, RecordBatch)>> {
        let (batches, lineage) = self.read(&name(version, id)).await?;
        if lineage.is_empty() && version > 1 {
            return Ok(None);
        }
        let all = concat_batches(&Arc::new(self.file_schema()), &batches).map_err(internal)?;
        let deleted = all.column(all.num_columns() - 1).as_boolean().clone();
        let set = arrow::compute::not(&deleted).map_err(internal)?;
        let columns: Vec<usize> = (0..all.num_columns() - 1).collect();
        let part = |rows: &BooleanArray| filter_record_batch(&all, rows).and_then(|b| b.project(&columns));
        Ok(Some((part(&set).map_err(internal)?, part(&deleted).map_err(internal)?)))
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

    async fn load(&mut self, version: i64, id: &str) -> Result<()> {
        let (last, lineage) = self.read(&name(version, id)).await?;
        for (i, file) in lineage.iter().enumerate() {
            let Some((version, id)) = file.split_once(':') else { continue };
            let (batches, _) = match version.parse::<i64>() {
                Ok(v) => self.read(&name(v, id)).await?,
                _ => continue,
            };
            for batch in &batches {
                self.apply(batch)?;
                self.changes += if i == 0 { 0 } else { batch.num_rows() };
            }
        }
        for batch in &last {
            self.apply(batch)?;
            self.changes += if lineage.is_empty() { 0 } else { batch.num_rows() };
        }
        self.lineage = lineage;
        self.lineage.push(format!("{version}:{id}"));
        self.touched.clear();
        Ok(())
    }

    async fn read(&self, name: &str) -> Result<(Vec<RecordBatch>, Vec<String>)> {
        let lost = |why: &dyn std::fmt::Display| lost(&self.directory, name, why);
        let bytes = self.directory.read(name).await?.ok_or_else(|| lost(&"it does not exist"))?;
        let reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(|e| lost(&e))?;
        let lineage = reader.schema().metadata().get(LINEAGE).cloned().unwrap_or_default();
        let expected = self.file_schema();
        let mut batches = Vec::new();
        for batch in reader {
            let batch = batch.map_err(|e| lost(&e))?;
            let same = batch
                .schema()
                .fields()
                .iter()
                .map(|f| f.data_type())
                .eq(expected.fields().iter().map(|f| f.data_type()));
            if !same {
                return Err(Error::new("STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE")
                    .message("The state was written by a query with other columns. Use a new checkpoint for a query that was changed."));
            }
            batches.push(batch);
        }
        Ok((batches, lineage.split(',').filter(|l| !l.is_empty()).map(str::to_string).collect()))
    }

    fn apply(&mut self, batch: &RecordBatch) -> Result<()> {
        let deleted = batch.column(batch.num_columns() - 1).as_boolean().clone();
        let live = filter_record_batch(batch, &arrow::compute::not(&deleted).map_err(internal)?)
            .map_err(internal)?;
        let gone = filter_record_batch(batch, &deleted).map_err(internal)?;
        for key in self.keys_of(&gone)? {
            self.take(&key);
        }
        self.put(&live)
    }

    fn file_schema(&self) -> Schema {
        let nullable = |f: &FieldRef| Arc::new(f.as_ref().clone().with_nullable(true));
        let mut fields: Vec<FieldRef> = self.keys.iter().chain(&self.values).map(nullable).collect();
        fields.push(Arc::new(Field::new(DELETED, DataType::Boolean, false)));
        Schema::new(fields)
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

    fn size_of(&self, key: &Option<OwnedRow>, value: &Value, time: Option<i64>) -> usize {
        let length = |r: &Option<OwnedRow>| r.as_ref().map_or(0, |r| r.as_ref().len());
        let value = match value {
            Value::Row(row) => length(row),
            Value::Spilled(_) => 0,
        };
        // The key is beside its entry, and where entries are found by times and other columns.
        let keys = 1 + usize::from(time.is_some()) + usize::from(self.index.is_some());
        value + keys * length(key) + OVERHEAD * keys
    }

    /// Moves the values to this machine's disk; what stays in memory are the keys.
    pub fn spill(&mut self, directory: &std::path::Path) -> Result<()> {
        let mut file = match self.spilled.take() {
            Some(file) if !file.is_wasteful() => file,
            Some(old) => self.spilled_anew(old, directory)?,
            None => SpillFile::create(directory)?,
        };
        let in_memory = |e: &Entry| matches!(&e.value, Value::Row(Some(_)));
        let values = self.entries.values().filter_map(|e| match &e.value {
            Value::Row(Some(row)) => Some(row.as_ref()),
            _ => None,
        });
        let places = file.write(values)?;
        for (entry, place) in self.entries.values_mut().filter(|e| in_memory(e)).zip(places) {
            if let Value::Row(Some(row)) = &entry.value {
                self.memory = self.memory.saturating_sub(row.as_ref().len());
            }
            entry.value = Value::Spilled(place);
        }
        self.spilled = Some(file);
        Ok(())
    }

    /// The values of a file that others have, in a new one.
    fn spilled_anew(&mut self, old: SpillFile, directory: &std::path::Path) -> Result<SpillFile> {
        let mut file = SpillFile::create(directory)?;
        for entry in self.entries.values_mut() {
            if let Value::Spilled(place) = &mut entry.value {
                let value = old.read(*place)?;
                let placed = file.write(std::iter::once(value.as_slice()))?;
                *place = placed.first().copied().unwrap_or(*place);
            }
        }
        Ok(file)
    }

    /// The bytes of a value.
    fn value_bytes<'a>(&self, value: &'a Value) -> Result<Option<Cow<'a, [u8]>>> {
        match (value, &self.spilled) {
            (Value::Row(row), _) => Ok(row.as_ref().map(|r| Cow::Borrowed(r.as_ref()))),
            (Value::Spilled(place), Some(file)) => Ok(Some(Cow::Owned(file.read(*place)?))),
            (Value::Spilled(_), None) => Err(Error::internal("state on disk without its file")),
        }
    }

    fn keys_of(&self, batch: &RecordBatch) -> Result<Vec<Option<OwnedRow>>> {
        rows(self.key_rows.as_ref(), &batch.columns()[..self.keys.len()], batch.num_rows())
    }

    /// The entries of the keys of a batch, those that there are.
    pub fn get_many(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let keys = self.keys_of(batch)?;
        self.batch_of(keys.iter().filter_map(|k| self.entries.get_key_value(k)))
    }

    /// The entries that the index finds by some values.
    pub fn matching(&self, values: &[ArrayRef]) -> Result<RecordBatch> {
        let Some(index) = &self.index else { return Err(Error::internal("state without index")) };
        let found: HashSet<&OwnedRow> = index
            .rows_of(values)?
            .iter()
            .flatten()
            .filter_map(|v| index.keys.get_key_value(v))
            .map(|(k, _)| k)
            .collect();
        let keys = found.into_iter().filter_map(|v| index.keys.get(v)).flatten();
        self.batch_of(keys.filter_map(|k| self.entries.get_key_value(k)))
    }

    /// All entries.
    pub fn all(&self) -> Result<RecordBatch> {
        self.batch_of(self.entries.iter())
    }

    /// Sets entries; a batch has keys first, then values.
    pub fn put(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = self.keys_of(batch)?;
        let range = self.keys.len()..self.keys.len() + self.values.len();
        let values = rows(self.value_rows.as_ref(), &batch.columns()[range], batch.num_rows())?;
        let times = self.times(batch);
        if let Some(index) = &mut self.index {
            index.add(batch, &keys)?;
        }
        for (i, (key, value)) in keys.into_iter().zip(values).enumerate() {
            self.set(key, value, times.get(i).copied().flatten());
        }
        Ok(())
    }

    fn times(&self, batch: &RecordBatch) -> Vec<Option<i64>> {
        self.time.and_then(|i| instants(batch.column(i))).unwrap_or_default()
    }

    fn set(&mut self, key: Option<OwnedRow>, value: Option<OwnedRow>, time: Option<i64>) {
        self.take(&key);
        if let Some(time) = time {
            self.by_time.entry(time).or_default().insert(key.clone());
        }
        let value = Value::Row(value);
        self.memory += self.size_of(&key, &value, time);
        self.touched.insert(key.clone(), false);
        self.entries.insert(key, Entry { value, time });
    }

    /// Takes an entry out, also from those that are over at its time.
    fn take(&mut self, key: &Option<OwnedRow>) {
        let Some(Entry { value, time }) = self.entries.remove(key) else { return };
        self.memory = self.memory.saturating_sub(self.size_of(key, &value, time));
        if let (Value::Spilled(place), Some(file)) = (&value, &mut self.spilled) {
            file.forget(*place);
        }
        let Some(time) = time else { return };
        if let Some(keys) = self.by_time.get_mut(&time) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_time.remove(&time);
            }
        }
    }

    /// Adds the entries whose keys are not there yet, and says which those are.
    pub fn insert_new(&mut self, batch: &RecordBatch) -> Result<Vec<bool>> {
        let keys = self.keys_of(batch)?;
        let range = self.keys.len()..self.keys.len() + self.values.len();
        let values = rows(self.value_rows.as_ref(), &batch.columns()[range], batch.num_rows())?;
        let times = self.times(batch);
        let mut new = Vec::with_capacity(keys.len());
        for (i, (key, value)) in keys.into_iter().zip(values).enumerate() {
            let is_new = !self.entries.contains_key(&key);
            new.push(is_new);
            if is_new {
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
        for key in keys {
            self.take(&key);
            self.touched.insert(key, true);
        }
        Ok(())
    }

    /// Puts entries in the place of others; how many of the others are gone.
    pub fn replace(&mut self, old: &RecordBatch, new: &RecordBatch) -> Result<usize> {
        let keys = self.keys_of(new)?;
        let range = self.keys.len()..self.keys.len() + self.values.len();
        let values = rows(self.value_rows.as_ref(), &new.columns()[range], new.num_rows())?;
        let mut changed = Vec::with_capacity(keys.len());
        for (key, value) in keys.iter().zip(&values) {
            let before = self.entries.get(key).map(|e| self.value_bytes(&e.value)).transpose()?.flatten();
            changed.push(before.as_deref() != value.as_ref().map(|v| v.as_ref()));
        }
        let changed = BooleanArray::from(changed);
        let kept: HashSet<&Option<OwnedRow>> = keys.iter().collect();
        let gone: BooleanArray = self.keys_of(old)?.iter().map(|k| Some(!kept.contains(k))).collect();
        let gone = filter_record_batch(old, &gone).map_err(internal)?;
        let changed = filter_record_batch(new, &changed).map_err(internal)?;
        self.remove(&gone)?;
        // What stays as it is needs no place in the file of the version.
        self.put(&changed)?;
        Ok(gone.num_rows())
    }

    fn batch_of<'a>(
        &self,
        entries: impl Iterator<Item = (&'a Option<OwnedRow>, &'a Entry)>,
    ) -> Result<RecordBatch> {
        let (keys, values): (Vec<_>, Vec<_>) = entries.map(|(k, e)| (k, &e.value)).unzip();
        let count = keys.len();
        let mut columns = columns(self.key_rows.as_ref(), &keys)?;
        columns.extend(self.value_columns(&values)?);
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(self.schema(), columns, &options).map_err(internal)
    }

    fn value_columns(&self, values: &[&Value]) -> Result<Vec<ArrayRef>> {
        let Some(converter) = &self.value_rows else { return Ok(Vec::new()) };
        let bytes = values.iter().map(|v| self.value_bytes(v)).collect::<Result<Vec<_>>>()?;
        let parser = converter.parser();
        let rows = values.iter().zip(&bytes).filter_map(|(value, bytes)| match value {
            Value::Row(row) => row.as_ref().map(OwnedRow::row),
            Value::Spilled(_) => bytes.as_deref().map(|b| parser.parse(b)),
        });
        converter.convert_rows(rows).map_err(internal)
    }

    /// Writes what changed as a version; its id is for the commit log.
    pub async fn commit(&mut self, version: i64, retention: Retention) -> Result<String> {
        let id = uuid::Uuid::new_v4().to_string();
        // Once as much was written as there is, writing all of it again at most doubles the work.
        let deltas = self.lineage.len() as i64;
        let is_snapshot =
            deltas >= MOST_DELTAS || (deltas >= retention.deltas && self.changes >= self.entries.len());
        let stood_on = self.base();
        if is_snapshot {
            self.lineage.clear();
            self.changes = 0;
        } else if deltas > 0 {
            self.changes += self.touched.len();
        }
        let live: Vec<_> = match is_snapshot {
            true => self.entries.iter().collect(),
            false => self
                .touched
                .iter()
                .filter(|(_, gone)| !**gone)
                .filter_map(|(k, _)| self.entries.get_key_value(k))
                .collect(),
        };
        let gone: Vec<&Option<OwnedRow>> = match is_snapshot {
            true => Vec::new(),
            false => self.touched.iter().filter(|(_, gone)| **gone).map(|(k, _)| k).collect(),
        };
        let batches = [self.file_batch(self.batch_of(live.into_iter())?, false)?, self.gone_batch(&gone)?];
        let lineage = [
            (LINEAGE.to_string(), self.lineage.join(",")),
            (KEYS.to_string(), self.keys.len().to_string()),
            (INDEX.to_string(), numbers(self.index_columns())),
        ];
        let schema = self.file_schema().with_metadata(lineage.into());
        let options =
            IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).map_err(internal)?;
        let mut writer =
            StreamWriter::try_new_with_options(Vec::new(), &schema, options).map_err(internal)?;
        for batch in batches.iter().filter(|b| b.num_rows() > 0) {
            writer.write(batch).map_err(internal)?;
        }
        let bytes = writer.into_inner().map_err(internal)?;
        self.directory.write_new(&name(version, &id), bytes).await?;
        self.touched.clear();
        self.lineage.push(format!("{version}:{id}"));
        if is_snapshot {
            fault::point("streaming::after-snapshot")?;
            self.purge(version - retention.batches, stood_on).await?;
        }
        Ok(id)
    }

    fn file_batch(&self, batch: RecordBatch, deleted: bool) -> Result<RecordBatch> {
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(BooleanArray::from(vec![deleted; batch.num_rows()])));
        RecordBatch::try_new(Arc::new(self.file_schema()), columns).map_err(internal)
    }

    fn gone_batch(&self, keys: &[&Option<OwnedRow>]) -> Result<RecordBatch> {
        let mut columns = columns(self.key_rows.as_ref(), keys)?;
        columns.extend(self.values.iter().map(|f| arrow::array::new_null_array(f.data_type(), keys.len())));
        columns.push(Arc::new(BooleanArray::from(vec![true; keys.len()])));
        RecordBatch::try_new(Arc::new(self.file_schema()), columns).map_err(internal)
    }

    /// The version of the first file that the state stands on.
    fn base(&self) -> Option<i64> {
        self.lineage.first()?.split_once(':')?.0.parse().ok()
    }

    /// Removes the files that no version since `oldest` stands on, nor the one before, which began at `stood_on`: it is where a
    /// restart begins when this batch does not come to its end.
    async fn purge(&self, oldest: i64, stood_on: Option<i64>) -> Result<()> {
        let version_of = |file: &str| file.split('_').next().and_then(|n| n.parse::<i64>().ok());
        let files = self.directory.list().await?;
        let mut needed = stood_on.map_or(oldest, |v| v.min(oldest));
        for file in files.iter().filter(|f| version_of(f) == Some(oldest)) {
            let (_, lineage) = self.read(file).await?;
            let first = lineage.first().and_then(|l| l.split_once(':'));
            needed = first.and_then(|(v, _)| v.parse().ok()).map_or(needed, |v: i64| v.min(needed));
        }
        for file in files.iter().filter(|f| version_of(f).is_some_and(|v| v < needed)) {
            fault::point("streaming::before-purge")?;
            self.directory.delete(file).await?;
        }
        Ok(())
    }
}

impl Index {
    fn new(columns: Vec<usize>, finds_null: bool, schema: &SchemaRef) -> Result<Self> {
        let fields = columns.iter().map(|i| SortField::new(schema.field(*i).data_type().clone())).collect();
        let rows = RowConverter::new(fields).map_err(internal)?;
        Ok(Self { columns, finds_null, rows, keys: HashMap::new() })
    }

    /// The values as rows; none where they find nothing.
    fn rows_of(&self, values: &[ArrayRef]) -> Result<Vec<Option<OwnedRow>>> {
        let rows = self.rows.convert_columns(values).map_err(internal)?;
        let is_whole = |i: usize| self.finds_null || values.iter().all(|v| v.is_valid(i));
        Ok(rows.iter().enumerate().map(|(i, row)| is_whole(i).then(|| row.owned())).collect())
    }

    fn values_of(&self, batch: &RecordBatch) -> Result<Vec<Option<OwnedRow>>> {
        let values: Vec<ArrayRef> = self.columns.iter().map(|i| Arc::clone(batch.column(*i))).collect();
        self.rows_of(&values)
    }

    fn add(&mut self, batch: &RecordBatch, keys: &[Option<OwnedRow>]) -> Result<()> {
        for (value, key) in self.values_of(batch)?.into_iter().zip(keys) {
            if let Some(value) = value {
                self.keys.entry(value).or_default().insert(key.clone());
            }
        }
        Ok(())
    }

    fn remove(&mut self, batch: &RecordBatch, keys: &[Option<OwnedRow>]) -> Result<()> {
        for (value, key) in self.values_of(batch)?.into_iter().zip(keys) {
            let Some(value) = value else { continue };
            if let Some(found) = self.keys.get_mut(&value) {
                found.remove(key);
                if found.is_empty() {
                    self.keys.remove(&value);
                }
            }
        }
        Ok(())
    }
}

fn numbers(of: &[usize]) -> String {
    of.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn lost(directory: &Directory, name: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new("CANNOT_LOAD_STATE_STORE.CANNOT_READ_DELTA_FILE_NOT_EXISTS")
        .param("fileToRead", format!("{}/{name}", directory.display()))
        .message(format!("The state {}/{name} cannot be read: {why}.", directory.display()))
}

fn name(version: i64, id: &str) -> String {
    format!("{version}_{id}.arrow")
}

pub(super) fn internal(e: arrow::error::ArrowError) -> Error {
    Error::internal(format!("state: {e}"))
}

fn converter(fields: &[FieldRef]) -> Result<Option<RowConverter>> {
    if fields.is_empty() {
        return Ok(None);
    }
    if let Some(field) =
        fields.iter().find(|f| !RowConverter::supports_fields(&[SortField::new(f.data_type().clone())]))
    {
        return Err(Error::unsupported(format!("state with values of the type {}", field.data_type())));
    }
    let fields = fields.iter().map(|f| SortField::new(f.data_type().clone())).collect();
    RowConverter::new(fields).map(Some).map_err(internal)
}

/// The rows of columns; without columns all rows are one.
fn rows(
    converter: Option<&RowConverter>,
    columns: &[ArrayRef],
    count: usize,
) -> Result<Vec<Option<OwnedRow>>> {
    match converter {
        None => Ok(vec![None; count]),
        Some(converter) => {
            let rows = converter.convert_columns(columns).map_err(internal)?;
            Ok(rows.iter().map(|r| Some(r.owned())).collect())
        }
    }
}

fn columns(converter: Option<&RowConverter>, rows: &[&Option<OwnedRow>]) -> Result<Vec<ArrayRef>> {
    match converter {
        None => Ok(Vec::new()),
        Some(converter) => converter
            .convert_rows(rows.iter().filter_map(|r| r.as_ref().map(OwnedRow::row)))
            .map_err(internal),
    }
}

/// The column as microseconds: a time, or the end of a window.
pub(super) fn instants(column: &ArrayRef) -> Option<Vec<Option<i64>>> {
    use arrow::datatypes::TimestampMicrosecondType;
    let times = match column.as_struct_opt() {
        Some(window) => {
            let end = window.column_by_name("end")?;
            let end = end.as_primitive_opt::<TimestampMicrosecondType>()?;
            return Some(
                (0..end.len())
                    .map(|i| (window.is_valid(i) && end.is_valid(i)).then(|| end.value(i)))
                    .collect(),
            );
        }
        None => column.as_primitive_opt::<TimestampMicrosecondType>()?,
    };
    Some((0..times.len()).map(|i| times.is_valid(i).then(|| times.value(i))).collect())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::*;

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
