//! The files of a store: one of changes for each version, one of everything now and then. The name of a file has an id that
//! the commit log notes, so that a batch that was broken off leaves nothing that a later one would read.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use boathouse_spec::{Error, Result, fault};

use super::rows::Bytes;
use super::{Layout, StateStore, internal, numbers};
use crate::checkpoint::{Directory, Retention};

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

/// What a file has.
struct StateFile {
    batches: Vec<RecordBatch>,
    /// The files before it that it stands on.
    lineage: Vec<String>,
    /// Whether it has everything, in place of what its version changed; `None` where it may be either.
    is_snapshot: Option<bool>,
}

impl StateStore {
    /// The state at a version, whatever its columns are.
    pub async fn as_written(directory: Directory, version: i64, id: &str) -> Result<Self> {
        let layout = Self::layout(&directory, version, id).await?;
        Self::open(directory, layout, Some((version, id))).await
    }

    /// No state, with the columns of a version.
    pub async fn without_rows(directory: Directory, version: i64, id: &str) -> Result<Self> {
        let layout = Self::layout(&directory, version, id).await?;
        Self::open(directory, layout, None).await
    }

    /// The columns of a version, of which its file begins to tell.
    async fn layout(directory: &Directory, version: i64, id: &str) -> Result<Layout> {
        let file = name(version, id);
        let start = directory.read_start(&file, HEADER_BYTES).await?;
        let start = start.ok_or_else(|| lost(directory, &file, &"it does not exist"))?;
        let schema = match StreamReader::try_new(Cursor::new(start), None) {
            Ok(reader) => reader.schema(),
            Err(_) => {
                let bytes = directory.read(&file).await?.unwrap_or_default();
                let whole = StreamReader::try_new(Cursor::new(bytes), None);
                whole.map_err(|e| lost(directory, &file, &e))?.schema()
            }
        };
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

    /// What a version changed: the entries that it set, and those that it took away, of which the values are NULL. `None` where
    /// the file has everything instead.
    pub async fn changes(&self, version: i64, id: &str) -> Result<Option<(RecordBatch, RecordBatch)>> {
        let StateFile { batches, is_snapshot, .. } = self.read(&name(version, id)).await?;
        if is_snapshot.unwrap_or(version > 1) {
            return Ok(None);
        }
        let all = concat_batches(&Arc::new(self.file_schema()), &batches).map_err(internal)?;
        let deleted = all.column(all.num_columns() - 1).as_boolean().clone();
        let set = arrow::compute::not(&deleted).map_err(internal)?;
        let columns: Vec<usize> = (0..all.num_columns() - 1).collect();
        let part = |rows: &BooleanArray| filter_record_batch(&all, rows).and_then(|b| b.project(&columns));
        Ok(Some((part(&set).map_err(internal)?, part(&deleted).map_err(internal)?)))
    }

    pub(super) async fn load(&mut self, version: i64, id: &str) -> Result<()> {
        let StateFile { batches: last, lineage, .. } = self.read(&name(version, id)).await?;
        for (i, file) in lineage.iter().enumerate() {
            let Some((version, id)) = file.split_once(':') else { continue };
            let batches = match version.parse::<i64>() {
                Ok(v) => self.read(&name(v, id)).await?.batches,
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

    async fn read(&self, name: &str) -> Result<StateFile> {
        let lost = |why: &dyn std::fmt::Display| lost(&self.directory, name, why);
        let bytes = self.directory.read(name).await?.ok_or_else(|| lost(&"it does not exist"))?;
        let reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(|e| lost(&e))?;
        let header = reader.schema();
        let lineage = header.metadata().get(LINEAGE).map_or("", String::as_str);
        let lineage: Vec<String> = lineage.split(',').filter(|l| !l.is_empty()).map(str::to_string).collect();
        // Files of older versions do not say it: those that stand on no others are meant.
        let is_snapshot = match header.metadata().get(SNAPSHOT) {
            Some(said) => Some(said == "true"),
            None if lineage.is_empty() => None,
            None => Some(false),
        };
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
        Ok(StateFile { batches, lineage, is_snapshot })
    }

    fn apply(&mut self, batch: &RecordBatch) -> Result<()> {
        let deleted = batch.column(batch.num_columns() - 1).as_boolean();
        if deleted.true_count() == 0 {
            return self.enter(batch);
        }
        let live = arrow::compute::not(deleted).map_err(internal)?;
        let gone = filter_record_batch(batch, deleted).map_err(internal)?;
        for key in self.keys_of(&gone)?.iter() {
            self.take(key);
        }
        self.enter(&filter_record_batch(batch, &live).map_err(internal)?)
    }

    fn file_schema(&self) -> Schema {
        let nullable = |f: &FieldRef| Arc::new(f.as_ref().clone().with_nullable(true));
        let mut fields: Vec<FieldRef> = self.keys.iter().chain(&self.values).map(nullable).collect();
        fields.push(Arc::new(Field::new(DELETED, DataType::Boolean, false)));
        Schema::new(fields)
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
        let gone: Vec<&Bytes> = match is_snapshot {
            true => Vec::new(),
            false => self.touched.iter().filter(|(_, gone)| **gone).map(|(k, _)| k).collect(),
        };
        let batches = [self.file_batch(self.batch_of(live.into_iter())?, false)?, self.gone_batch(&gone)?];
        let lineage = [
            (LINEAGE.to_string(), self.lineage.join(",")),
            (SNAPSHOT.to_string(), is_snapshot.to_string()),
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

    fn gone_batch(&self, keys: &[&Bytes]) -> Result<RecordBatch> {
        let mut columns = self.key_encoding.columns(keys.iter().map(|k| &***k))?;
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
            // A batch that was broken off may have left a part of a file. Then the next snapshot is the one to clean up after.
            let Ok(StateFile { lineage, .. }) = self.read(file).await else { return Ok(()) };
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

fn lost(directory: &Directory, name: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new("CANNOT_LOAD_STATE_STORE.CANNOT_READ_DELTA_FILE_NOT_EXISTS")
        .param("fileToRead", format!("{}/{name}", directory.display()))
        .message(format!("The state {}/{name} cannot be read: {why}.", directory.display()))
}

fn name(version: i64, id: &str) -> String {
    format!("{version}_{id}.arrow")
}
