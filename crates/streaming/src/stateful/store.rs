//! What a stateful operator remembers: values by key, in memory, with a file of changes for each batch and a file of everything
//! now and then (`store/files.rs`).
//!
//! Entries are rows of Arrow batches (`store/segment.rs`), which a table finds by their keys (`store/entries.rs`).

use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef, TimestampMicrosecondType};
use boathouse_bridge::conform;
use boathouse_spec::{Error, Result};

use super::memory::Memory;
use crate::blocking::aside_if_many;
use crate::checkpoint::Directory;

mod encoder;
mod entries;
mod files;
mod index;
mod lookup;
mod rows;
mod segment;

use entries::{Entries, Place};
use index::By;
pub(super) use lookup::Found;
use rows::{Encoded, Encoding};

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
    /// Whether it is to be known how many values of the index there are, whose columns are keys then.
    pub counts_groups: bool,
}

/// Rows that are handled at once, in memory and in files: a column of text has at most 2 GiB.
#[derive(Debug, Clone, Copy)]
struct Limits {
    rows: usize,
    bytes: usize,
}

/// What a store may have of memory that it has not asked for yet, in bytes.
const SLACK: usize = 8 << 20;

const LIMITS: Limits = Limits { rows: 64 * 1024, bytes: 16 << 20 };

struct Columns {
    /// Keys, then values, all of which may be NULL.
    schema: SchemaRef,
    keys: Vec<FieldRef>,
    values: Vec<FieldRef>,
    key_encoding: Encoding,
    value_encoding: Encoding,
    time: Option<usize>,
    by: Option<By>,
    counts_groups: bool,
    limits: Limits,
}

impl Columns {
    fn new(layout: Layout, limits: Limits) -> Result<Self> {
        let Layout { keys, values, time, index, finds_null, counts_groups } = layout;
        let nullable = |f: &FieldRef| Arc::new(f.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(keys.iter().chain(&values).map(nullable).collect::<Vec<_>>()));
        Ok(Self {
            key_encoding: Encoding::of(&keys)?,
            value_encoding: Encoding::of(&values)?,
            by: index.map(|columns| By::new(columns, finds_null, &schema)).transpose()?,
            schema,
            keys,
            values,
            time,
            counts_groups,
            limits,
        })
    }

    fn keys_of(&self, batch: &RecordBatch) -> Result<Encoded> {
        self.key_encoding.rows(&batch.columns()[..self.keys.len()], batch.num_rows())
    }

    fn values_of(&self, batch: &RecordBatch) -> Result<Encoded> {
        let range = self.keys.len()..self.keys.len() + self.values.len();
        self.value_encoding.rows(&batch.columns()[range], batch.num_rows())
    }

    /// A batch with the types of the store.
    fn conformed(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let fields = self.schema.fields().iter();
        let columns = batch.columns().iter().zip(fields).map(|(column, field)| {
            match column.data_type() == field.data_type() {
                true => Ok(Arc::clone(column)),
                false => conform(column, field.data_type()),
            }
        });
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            columns.collect::<Result<Vec<_>>>()?,
            &options,
        )
        .map_err(internal)
    }
}

pub(crate) struct StateStore {
    directory: Directory,
    columns: Arc<Columns>,
    entries: Entries,
    memory: Arc<Memory>,
    /// What it has of the memory, in bytes.
    taken: usize,
    lineage: Vec<String>,
    /// Rows in the files of the lineage after the first.
    changes: usize,
    /// When the first entry is over, if any ever is, after the last version; looked for when it is asked for.
    first_time: OnceLock<Option<i64>>,
}

impl Drop for StateStore {
    fn drop(&mut self) {
        self.memory.exchange(self.taken, 0);
    }
}

impl StateStore {
    /// The state at a version that the commit log names; empty where there is none yet.
    pub async fn open(
        directory: Directory,
        layout: Layout,
        committed: Option<(i64, &str)>,
        memory: &Arc<Memory>,
    ) -> Result<Self> {
        Self::limited(directory, layout, committed, memory, LIMITS).await
    }

    async fn limited(
        directory: Directory,
        layout: Layout,
        committed: Option<(i64, &str)>,
        memory: &Arc<Memory>,
        limits: Limits,
    ) -> Result<Self> {
        let columns = Arc::new(Columns::new(layout, limits)?);
        let mut store = Self {
            directory,
            entries: Entries::new(Arc::clone(&columns)),
            columns,
            memory: Arc::clone(memory),
            taken: 0,
            lineage: Vec::new(),
            changes: 0,
            first_time: OnceLock::new(),
        };
        if let Some((version, id)) = committed {
            store.load(version, id).await?;
        }
        Ok(store)
    }

    /// The columns of keys, and those of values.
    pub fn columns(&self) -> (&[FieldRef], &[FieldRef]) {
        (&self.columns.keys, &self.columns.values)
    }

    /// The columns that entries are found by beside their keys.
    pub fn index_columns(&self) -> &[usize] {
        self.columns.by.as_ref().map_or(&[], |by| &by.columns)
    }

    /// Keys and values, as batches have them.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns.schema)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// A guess at the memory that the state takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.entries.bytes()
    }

    /// Takes the memory that the entries need now; false where there is no room for them.
    pub fn fit(&mut self) -> bool {
        let now = self.bytes();
        let fits = self.memory.exchange(self.taken, now);
        if fits {
            self.taken = now;
        }
        fits
    }

    /// Moves the values to this machine's disk; what stays in memory are the keys.
    pub fn spill(&mut self) -> Result<()> {
        let Self { memory, entries, .. } = self;
        aside_if_many(entries.len(), || entries.spill(memory.scratch()))
    }

    /// Takes the memory of what cannot go to the disk.
    pub fn insist(&mut self) -> Result<()> {
        let now = self.bytes();
        self.memory.insist(self.taken, now)?;
        self.taken = now;
        Ok(())
    }

    /// Lets memory have room for what came in a batch that is not over, where it is much.
    fn make_room(&mut self) -> Result<()> {
        // Whether there is room for the keys is asked when the batch is over, and has given back what it took itself.
        match self.bytes() > self.taken.saturating_add(SLACK) && !self.fit() {
            true => self.spill(),
            false => Ok(()),
        }
    }

    /// The entries of the keys of a batch, those that there are.
    pub fn get_many(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        aside_if_many(batch.num_rows(), || {
            let keys = self.columns.keys_of(batch)?;
            let places: Vec<Place> = keys.iter().filter_map(|k| self.entries.find(k)).collect();
            self.entries.gather(&places)
        })
    }

    /// The entries that the index finds by some values, each once.
    pub fn matching(&self, values: &[ArrayRef]) -> Result<Vec<RecordBatch>> {
        let rows = values.first().map_or(1, |v| v.len());
        aside_if_many(rows, || self.entries.gathered(&self.entries.matching(values)?))
    }

    /// All entries, not too many at once.
    pub fn all(&self) -> impl Iterator<Item = Result<RecordBatch>> {
        self.parts().into_iter().filter_map(|part| self.part(part).transpose())
    }

    /// The parts that all entries are in.
    pub fn parts(&self) -> Vec<u32> {
        self.entries.segments().map(|(id, _)| id).collect()
    }

    /// The entries of a part.
    pub fn part(&self, part: u32) -> Result<Option<RecordBatch>> {
        self.entries.segment(part).map(|segment| segment.entries(&self.columns)).transpose()
    }

    /// Sets entries; a batch has keys first, then values.
    pub fn put(&mut self, batch: &RecordBatch) -> Result<()> {
        aside_if_many(batch.num_rows(), || self.entries.put(batch, true))?;
        self.make_room()
    }

    /// Sets the entries of several batches.
    pub fn put_all(&mut self, batches: &[RecordBatch]) -> Result<()> {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        aside_if_many(rows, || self.entries.put_all(batches))?;
        self.make_room()
    }

    /// Adds the entries whose keys are not there yet, and says which those are.
    pub fn insert_new(&mut self, batches: &[RecordBatch]) -> Result<Vec<bool>> {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let is_new = aside_if_many(rows, || self.entries.insert_new(batches))?;
        self.make_room()?;
        Ok(is_new)
    }

    /// Removes the entries that are over at a time, and gives them.
    pub fn expire(&mut self, at_us: i64) -> Result<Vec<RecordBatch>> {
        aside_if_many(self.len(), || {
            let over = self.entries.over(at_us);
            let batches = self.entries.gathered(&over)?;
            self.entries.take_out(&over)?;
            Ok(batches)
        })
    }

    /// Removes the entries that are over at a time; how many there were.
    pub fn forget_over(&mut self, at_us: i64) -> Result<usize> {
        aside_if_many(self.len(), || {
            let over = self.entries.over(at_us);
            self.entries.take_out(&over)?;
            Ok(over.len())
        })
    }

    /// Removes the entries of some keys; a batch has keys first, then values.
    pub fn remove(&mut self, batch: &RecordBatch) -> Result<()> {
        aside_if_many(batch.num_rows(), || self.entries.remove(batch))
    }

    /// Removes all entries.
    pub fn clear(&mut self) -> Result<()> {
        let all: Vec<Place> = self.entries.segments().flat_map(|(id, s)| Entries::places(id, s)).collect();
        self.entries.take_out(&all)
    }

    /// Puts entries in the place of others; how many of the others are gone.
    pub fn replace(&mut self, old: &[RecordBatch], new: &RecordBatch) -> Result<usize> {
        let (keys, changed) = aside_if_many(new.num_rows(), || self.changed(new))?;
        let kept: std::collections::HashSet<&[u8]> = keys.iter().collect();
        let mut count = 0;
        for old in old {
            let is_gone: BooleanArray =
                self.columns.keys_of(old)?.iter().map(|k| Some(!kept.contains(k))).collect();
            let gone = filter_record_batch(old, &is_gone).map_err(internal)?;
            self.remove(&gone)?;
            count += gone.num_rows();
        }
        // What stays as it is needs no place in the file of the version.
        self.put(&filter_record_batch(new, &changed).map_err(internal)?)?;
        Ok(count)
    }

    /// The keys of a batch, and which of its entries are not there, or have other values.
    fn changed(&self, new: &RecordBatch) -> Result<(Encoded, BooleanArray)> {
        let (keys, values) = (self.columns.keys_of(new)?, self.columns.values_of(new)?);
        let places: Vec<Option<Place>> = keys.iter().map(|k| self.entries.find(k)).collect();
        let known = self.entries.gather(&places.iter().flatten().copied().collect::<Vec<_>>())?;
        let known = self.columns.values_of(&known)?;
        let mut next = 0;
        let changed = places.iter().enumerate().map(|(row, place)| {
            let is_same = place.is_some() && {
                next += 1;
                known.get(next - 1) == values.get(row)
            };
            Some(!is_same)
        });
        let changed = changed.collect();
        Ok((keys, changed))
    }

    /// What is other than in another state of the store: the entries that this one has, and the keys that it lacks.
    pub fn difference(&self, before: &Self) -> Result<(Vec<RecordBatch>, Vec<RecordBatch>)> {
        let (mut set, mut gone) = (Vec::new(), Vec::new());
        for batch in self.all() {
            let batch = batch?;
            let (_, changed) = before.changed(&batch)?;
            set.push(filter_record_batch(&batch, &changed).map_err(internal)?);
        }
        for batch in before.all() {
            let batch = batch?;
            let keys = self.columns.keys_of(&batch)?;
            let is_gone: BooleanArray = keys.iter().map(|k| Some(self.entries.find(k).is_none())).collect();
            gone.push(filter_record_batch(&batch, &is_gone).map_err(internal)?);
        }
        Ok((set, gone))
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
mod tests;
