//! The files of a store: one of changes for each version, one of everything now and then. The name of a file has an id that
//! the commit log notes, so that a batch that was broken off leaves nothing that a later one would read.
//!
//! A file is a stream of Arrow batches, none of which is large: the keys that are gone, then the entries that were set.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::sync::{Arc, OnceLock};

use arrow::array::{AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use boathouse_spec::{Error, Result, fault};

use super::encoder::Encoder;
use super::{Layout, StateStore, internal, numbers};
use crate::blocking::aside_if_many;
use crate::checkpoint::{Directory, Retention, Settling};
use crate::stateful::memory::Memory;

/// Files of changes that a version stands on, at most.
const MOST_DELTAS: i64 = 50;

/// Marks a key that is gone.
const DELETED: &str = "__deleted";

/// The files that a version stands on, the snapshot first: `version:id` of each.
const LINEAGE: &str = "lineage";

/// Whether a file has everything.
const SNAPSHOT: &str = "snapshot";

/// The part of a file that tells its columns.
const HEADER_BYTES: u64 = 64 * 1024;

/// How many of the first columns are keys.
const KEYS: &str = "keys";

/// The columns that entries are found by beside their keys.
const INDEX: &str = "index";

/// What is read of a file at once.
const BUFFER_BYTES: usize = 1 << 20;

/// What a version changed.
#[derive(Default)]
pub(crate) struct Changes {
    /// The entries that it set.
    pub set: Vec<RecordBatch>,
    /// Those that it took away, of which the values may be NULL.
    pub gone: Vec<RecordBatch>,
}

/// What is to be written at once.
#[derive(Clone, Copy)]
enum Chunk<'a> {
    Gone(&'a [usize]),
    /// The entries of a segment.
    Entries(u32),
}

/// A file that is being read.
struct StateFile {
    batches: StreamReader<BufReader<File>>,
    name: String,
}

impl StateFile {
    /// The files before it that it stands on.
    fn lineage(&self) -> Vec<String> {
        lineage_of(&self.batches.schema())
    }

    /// Whether it has everything, in place of what its version changed; `None` where it may be either.
    fn is_snapshot(&self) -> Option<bool> {
        // Files of older versions do not say it: those that stand on no others are meant.
        match self.batches.schema().metadata().get(SNAPSHOT) {
            Some(said) => Some(said == "true"),
            None if self.lineage().is_empty() => None,
            None => Some(false),
        }
    }
}

fn lineage_of(header: &SchemaRef) -> Vec<String> {
    let lineage = header.metadata().get(LINEAGE).map_or("", String::as_str);
    lineage.split(',').filter(|l| !l.is_empty()).map(str::to_string).collect()
}

/// The columns of a file, of which it begins to tell, and what else it says of itself there.
async fn header(directory: &Directory, file: &str) -> Result<SchemaRef> {
    let start = directory.read_start(file, HEADER_BYTES).await?;
    let start = start.ok_or_else(|| lost(directory, file, &"it does not exist"))?;
    match StreamReader::try_new(Cursor::new(start), None) {
        Ok(reader) => Ok(reader.schema()),
        Err(_) => {
            let bytes = directory.read(file).await?.unwrap_or_default();
            let whole = StreamReader::try_new(Cursor::new(bytes), None);
            Ok(whole.map_err(|e| lost(directory, file, &e))?.schema())
        }
    }
}

impl StateStore {
    /// The state at a version, whatever its columns are.
    pub async fn as_written(
        directory: Directory,
        version: i64,
        id: &str,
        memory: &Arc<Memory>,
    ) -> Result<Self> {
        let layout = Self::layout(&directory, version, id).await?;
        Self::open(directory, layout, Some((version, id)), memory).await
    }

    /// No state, with the columns of a version.
    pub async fn without_rows(
        directory: Directory,
        version: i64,
        id: &str,
        memory: &Arc<Memory>,
    ) -> Result<Self> {
        let layout = Self::layout(&directory, version, id).await?;
        Self::open(directory, layout, None, memory).await
    }

    async fn layout(directory: &Directory, version: i64, id: &str) -> Result<Layout> {
        let file = name(version, id);
        let schema = header(directory, &file).await?;
        let keys = schema.metadata().get(KEYS).and_then(|n| n.parse::<usize>().ok());
        let Some(keys) = keys.filter(|n| *n < schema.fields().len()) else {
            return Err(lost(directory, &file, &"an older version of Boathouse wrote it, without its keys"));
        };
        let index = schema.metadata().get(INDEX).map_or("", String::as_str).split(',');
        let index: Vec<usize> =
            index.filter_map(|n| n.parse().ok()).filter(|n| *n < schema.fields().len() - 1).collect();
        Ok(Layout {
            keys: schema.fields()[..keys].to_vec(),
            values: schema.fields()[keys..schema.fields().len() - 1].to_vec(),
            index: Some(index).filter(|i| !i.is_empty()),
            ..Layout::default()
        })
    }

    /// What a version changed; `None` where the file has everything instead.
    pub async fn changes(&self, version: i64, id: &str) -> Result<Option<Changes>> {
        let mut file = self.file(name(version, id)).await?;
        if file.is_snapshot().unwrap_or(version > 1) {
            return Ok(None);
        }
        let mut changes = Changes::default();
        while let Some(batch) = self.next(&mut file)? {
            let (set, gone) = parts(&batch)?;
            changes.set.push(set);
            changes.gone.push(gone);
        }
        Ok(Some(changes))
    }

    pub(super) async fn load(&mut self, version: i64, id: &str) -> Result<()> {
        let last = self.file(name(version, id)).await?;
        let lineage = last.lineage();
        for (i, file) in lineage.iter().enumerate() {
            let Some((version, id)) = file.split_once(':') else { continue };
            let Ok(version) = version.parse::<i64>() else { continue };
            let file = self.file(name(version, id)).await?;
            self.changes += self.take_in(file, i == 0)?;
        }
        self.changes += self.take_in(last, lineage.is_empty())?;
        self.lineage = lineage;
        self.lineage.push(format!("{version}:{id}"));
        fault::point_at("streaming::after-state-file", self.directory.display())?;
        Ok(())
    }

    /// Takes in what a file has, in parts, and moves it to the disk where memory has no room; how many changes it has, where it is
    /// not the first.
    fn take_in(&mut self, mut file: StateFile, is_first: bool) -> Result<usize> {
        crate::blocking::aside(|| {
            let mut rows = 0;
            while let Some(batch) = self.next(&mut file)? {
                rows += batch.num_rows();
                let (set, gone) = parts(&batch)?;
                self.entries.remove(&gone)?;
                self.entries.put(&set, false)?;
                if !self.fit() {
                    self.spill()?;
                    self.insist()?;
                }
            }
            self.entries.settled()?;
            Ok(if is_first { 0 } else { rows })
        })
    }

    async fn file(&self, name: String) -> Result<StateFile> {
        let lost = |why: &dyn std::fmt::Display| lost(&self.directory, &name, why);
        let file = self.directory.local_copy(&name, self.memory.scratch()).await?;
        let file = file.ok_or_else(|| lost(&"it does not exist"))?;
        let batches = StreamReader::try_new(BufReader::with_capacity(BUFFER_BYTES, file), None);
        Ok(StateFile { batches: batches.map_err(|e| lost(&e))?, name })
    }

    /// The next rows of a file.
    fn next(&self, file: &mut StateFile) -> Result<Option<RecordBatch>> {
        let Some(batch) = file.batches.next() else { return Ok(None) };
        let batch = batch.map_err(|e| lost(&self.directory, &file.name, &e))?;
        let columns = self.places(&batch.schema())?;
        batch.project(&columns).map(Some).map_err(internal)
    }

    /// Where a file has the columns of the store: it may have columns of rows that nobody reads any more.
    fn places(&self, schema: &SchemaRef) -> Result<Vec<usize>> {
        let expected = self.file_schema();
        let types = |s: &Schema| s.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
        if types(schema) == types(&expected) {
            return Ok((0..schema.fields().len()).collect());
        }
        let mut places = Vec::new();
        let mut known = schema.fields().iter().enumerate();
        for field in expected.fields() {
            let is_it =
                |f: &FieldRef| f.data_type() == field.data_type() && plain(f.name()) == plain(field.name());
            let Some((place, _)) = known.find(|(_, f)| is_it(f)) else {
                return Err(Error::new("STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE")
                    .message("The state was written by a query with other columns. Use a new checkpoint for a query that was changed."));
            };
            places.push(place);
        }
        Ok(places)
    }

    fn file_schema(&self) -> Schema {
        let mut fields: Vec<FieldRef> = self.columns.schema.fields().to_vec();
        fields.push(Arc::new(Field::new(DELETED, DataType::Boolean, false)));
        Schema::new(fields)
    }

    /// Writes what changed as a version; its id is for the commit log, which must wait until the file has settled.
    pub async fn commit(&mut self, version: i64, retention: Retention) -> Result<(String, Settling)> {
        let id = uuid::Uuid::new_v4().to_string();
        let gone = aside_if_many(self.entries.len(), || self.entries.gone());
        let set: usize = self.entries.segments().filter(|(_, s)| s.is_new).map(|(_, s)| s.live_count()).sum();
        // Once as much was written as there is, writing all of it again at most doubles the work.
        let deltas = self.lineage.len() as i64;
        let is_snapshot =
            deltas >= MOST_DELTAS || (deltas >= retention.deltas && self.changes >= self.entries.len());
        let stood_on = self.base();
        if is_snapshot {
            self.lineage.clear();
            self.changes = 0;
        } else if deltas > 0 {
            self.changes += gone.len() + set;
        }
        let mut chunks: Vec<Chunk<'_>> = Vec::new();
        if !is_snapshot {
            chunks.extend(gone.chunks(self.columns.limits.rows).map(Chunk::Gone));
        }
        let written = self.entries.segments().filter(|(_, s)| is_snapshot || s.is_new);
        chunks.extend(written.map(|(id, _)| Chunk::Entries(id)));
        let settling = self.write(&name(version, &id), is_snapshot, &chunks).await?;
        aside_if_many(self.entries.len(), || self.entries.settled())?;
        self.first_time = OnceLock::new();
        self.lineage.push(format!("{version}:{id}"));
        fault::point_at("streaming::after-state-file", self.directory.display())?;
        if is_snapshot {
            fault::point("streaming::after-snapshot")?;
            self.purge(version - retention.batches, stood_on).await?;
        }
        Ok((id, settling))
    }

    async fn write(&self, name: &str, is_snapshot: bool, chunks: &[Chunk<'_>]) -> Result<Settling> {
        let about = [
            (LINEAGE.to_string(), self.lineage.join(",")),
            (SNAPSHOT.to_string(), is_snapshot.to_string()),
            (KEYS.to_string(), self.columns.keys.len().to_string()),
            (INDEX.to_string(), numbers(self.index_columns())),
        ];
        let encoder = Encoder::new(self.file_schema().with_metadata(about.into()))?;
        let mut file = self.directory.begin(name).await?;
        file.write(encoder.start()).await?;
        let rows = |chunk: &Chunk<'_>| match chunk {
            Chunk::Gone(rows) => rows.len(),
            Chunk::Entries(id) => self.entries.segment(*id).map_or(0, |s| s.live_count()),
        };
        for some in chunks.chunks(encoder.at_once()) {
            let encoded = aside_if_many(some.iter().map(rows).sum(), || {
                encoder.encoded(some, |chunk| self.chunk(*chunk))
            });
            for bytes in encoded? {
                file.write(bytes).await?;
            }
        }
        file.write(encoder.end()).await?;
        Ok(file.finish())
    }

    fn chunk(&self, chunk: Chunk<'_>) -> Result<RecordBatch> {
        match chunk {
            Chunk::Gone(rows) => {
                let mut columns = self.entries.gone_keys(rows)?;
                let values = self.columns.values.iter();
                columns.extend(values.map(|f| arrow::array::new_null_array(f.data_type(), rows.len())));
                self.file_batch(columns, rows.len(), true)
            }
            Chunk::Entries(id) => {
                let segment = self.entries.segment(id);
                let entries = segment.map(|s| s.ordered_entries(&self.columns)).transpose()?;
                let entries = entries.unwrap_or_else(|| RecordBatch::new_empty(self.schema()));
                self.file_batch(entries.columns().to_vec(), entries.num_rows(), false)
            }
        }
    }

    fn file_batch(
        &self,
        mut columns: Vec<arrow::array::ArrayRef>,
        rows: usize,
        deleted: bool,
    ) -> Result<RecordBatch> {
        columns.push(Arc::new(BooleanArray::from(vec![deleted; rows])));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(self.file_schema()), columns, &options).map_err(internal)
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
            // A batch that was broken off may have left a part of a file. Then the next snapshot is the one to clean up after.
            let Ok(header) = header(&self.directory, file).await else { return Ok(()) };
            let lineage = lineage_of(&header);
            let first = lineage.first().and_then(|l| l.split_once(':'));
            needed = first.and_then(|(v, _)| v.parse().ok()).map_or(needed, |v: i64| v.min(needed));
        }
        for file in files.iter().filter(|f| version_of(f).is_some_and(|v| v < needed)) {
            fault::point_at("streaming::before-purge", self.directory.display())?;
            self.directory.delete(file).await?;
        }
        Ok(())
    }
}

/// The rows of a file that are entries, and those whose keys are gone, without the mark.
fn parts(batch: &RecordBatch) -> Result<(RecordBatch, RecordBatch)> {
    let mark = batch.num_columns() - 1;
    let deleted = batch.column(mark).as_boolean();
    let rows = batch.project(&(0..mark).collect::<Vec<_>>()).map_err(internal)?;
    if deleted.true_count() == 0 {
        let none = rows.slice(0, 0);
        return Ok((rows, none));
    }
    let live = arrow::compute::not(deleted).map_err(internal)?;
    let part = |which: &BooleanArray| filter_record_batch(&rows, which).map_err(internal);
    Ok((part(&live)?, part(deleted)?))
}

/// A name without the number that analysis gave the column.
fn plain(name: &str) -> &str {
    match name.rsplit_once('#') {
        Some((plain, id)) if id.parse::<u64>().is_ok() => plain,
        _ => name,
    }
}

fn lost(directory: &Directory, name: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new("CANNOT_LOAD_STATE_STORE.CANNOT_READ_DELTA_FILE_NOT_EXISTS")
        .param("fileToRead", format!("{}/{name}", directory.display()))
        .message(format!("The state {}/{name} cannot be read: {why}.", directory.display()))
}

fn name(version: i64, id: &str) -> String {
    format!("{version}_{id}.arrow")
}
