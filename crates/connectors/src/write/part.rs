//! The files that one partition of a plan writes.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, SortOptions, cast, lexsort_to_indices, partition, take_record_batch};
use boathouse_bridge::ResultExt;
use boathouse_formats::display::Display;
use boathouse_formats::zone::Zone;
use boathouse_spec::{Result, StructType};
use object_store::path::Path;
use parking_lot::Mutex;
use uuid::Uuid;

use super::avro_file::AvroFile;
use super::encoder::{Encoder, Encoding};
use super::orc_file::OrcFile;
use super::parquet_file::ParquetFile;
use super::text_file::TextFile;
use crate::partitions::{NULL_PARTITION, escape};
use crate::paths::ResolvedPath;

/// What all partitions of a write share.
pub(super) struct Target {
    pub(super) place: ResolvedPath,
    pub(super) encoder: Encoder,
    /// Of the plan's rows.
    pub(super) schema: StructType,
    pub(super) data_columns: Vec<usize>,
    pub(super) partition_columns: Vec<usize>,
    pub(super) zone: Zone,
    pub(super) max_rows: Option<usize>,
    /// In the names of all files of the write.
    pub(super) job: Uuid,
    /// All files that any partition began: what a failed write has to remove.
    pub(super) begun: Mutex<Vec<Path>>,
}

/// Files open at once: each keeps a buffer.
const MOST_OPEN: usize = 64;

/// Writes the rows of one partition of a plan.
pub(super) struct PartWriter {
    target: Arc<Target>,
    task: usize,
    /// The number in the next file's name.
    next_file: usize,
    open: HashMap<String, OpenFile>,
    files: Vec<(Path, u64)>,
}

struct OpenFile {
    path: Path,
    rows: usize,
    file: PartFile,
}

enum PartFile {
    Text(Box<TextFile>),
    Parquet(Box<ParquetFile>),
    Avro(Box<AvroFile>),
    Orc(Box<OrcFile>),
}

impl PartWriter {
    pub(super) fn new(target: Arc<Target>, task: usize) -> Self {
        Self { target, task, next_file: 0, open: HashMap::new(), files: Vec::new() }
    }

    /// The files that were finished, with their sizes.
    pub(super) fn into_files(self) -> Vec<(Path, u64)> {
        self.files
    }

    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let target = self.target.clone();
        if target.partition_columns.is_empty() {
            let data = self.data_of(batch)?;
            return self.write_to("", &data).await;
        }
        let keys: Vec<SortColumn> = target
            .partition_columns
            .iter()
            .map(|i| SortColumn { values: batch.column(*i).clone(), options: Some(SortOptions::default()) })
            .collect();
        let order: UInt32Array = lexsort_to_indices(&keys, None).spark()?;
        let sorted = take_record_batch(batch, &order).spark()?;
        let columns: Vec<ArrayRef> =
            target.partition_columns.iter().map(|i| sorted.column(*i).clone()).collect();
        let displays = target
            .partition_columns
            .iter()
            .zip(&columns)
            .map(|(i, c)| Display::new(c, &target.schema.fields[*i].data_type, &target.zone))
            .collect::<Result<Vec<_>>>()?;
        let ranges = partition(&columns).spark()?.ranges();
        let data = self.data_of(&sorted)?;
        for range in ranges {
            let mut directory = String::new();
            for (i, display) in target.partition_columns.iter().zip(&displays) {
                let value = display.text(range.start)?.filter(|text| !text.is_empty());
                let value = value.map_or_else(|| NULL_PARTITION.to_string(), |text| escape(&text));
                if !directory.is_empty() {
                    directory.push('/');
                }
                directory.push_str(&format!("{}={value}", escape(&target.schema.fields[*i].name)));
            }
            self.write_to(&directory, &data.slice(range.start, range.end - range.start)).await?;
        }
        Ok(())
    }

    /// The columns that the files hold, in the Arrow types that they are written as.
    fn data_of(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let schema = &self.target.encoder.arrow_schema;
        let columns = self
            .target
            .data_columns
            .iter()
            .zip(schema.fields())
            .map(|(i, field)| {
                let column = batch.column(*i);
                if column.data_type() == field.data_type() {
                    Ok(column.clone())
                } else {
                    cast(column, field.data_type()).spark()
                }
            })
            .collect::<Result<Vec<_>>>()?;
        // Nullability is the plan's word, and the plan may know better than the schema.
        let fields: Vec<_> = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns).spark()
    }

    async fn write_to(&mut self, directory: &str, rows: &RecordBatch) -> Result<()> {
        let mut start = 0;
        while start < rows.num_rows() {
            if !self.open.contains_key(directory) {
                if self.open.len() >= MOST_OPEN {
                    self.close_fullest().await?;
                }
                let file = self.begin(directory)?;
                self.open.insert(directory.to_string(), file);
            }
            let Some(open) = self.open.get_mut(directory) else { continue };
            let room = self.target.max_rows.map_or(usize::MAX, |max| max - open.rows);
            let count = room.min(rows.num_rows() - start);
            let slice = rows.slice(start, count);
            match &mut open.file {
                PartFile::Text(file) => file.write(&slice).await?,
                PartFile::Parquet(file) => file.write(&slice).await?,
                PartFile::Avro(file) => file.write(&slice).await?,
                PartFile::Orc(file) => file.write(&slice).await?,
            }
            open.rows += count;
            start += count;
            if self.target.max_rows == Some(open.rows) {
                self.close(directory.to_string()).await?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, directory: &str) -> Result<OpenFile> {
        let target = &self.target;
        let name = format!(
            "part-{:05}-{}-c{:03}{}",
            self.task, target.job, self.next_file, target.encoder.extension
        );
        self.next_file += 1;
        let mut path = target.place.path.clone();
        for part in directory.split('/').filter(|p| !p.is_empty()) {
            path = Path::parse(format!("{path}/{part}"))
                .map_err(|e| boathouse_spec::Error::io("naming a partition's directory", e))?;
        }
        let path = path.join(name);
        target.begun.lock().push(path.clone());
        let store = target.place.store.clone();
        let file = match &target.encoder.encoding {
            Encoding::Parquet(compression) => {
                PartFile::Parquet(Box::new(ParquetFile::new(store, &path, *compression, &target.encoder)?))
            }
            Encoding::Avro(codec, (record, namespace)) => {
                let names = (record.as_str(), namespace.as_str());
                PartFile::Avro(Box::new(AvroFile::new(store, &path, *codec, names, &target.encoder.schema)?))
            }
            Encoding::Orc(codec, zone) => {
                PartFile::Orc(Box::new(OrcFile::new(store, &path, *codec, zone, &target.encoder)?))
            }
            _ => PartFile::Text(Box::new(TextFile::new(store, &path, target.encoder.clone())?)),
        };
        Ok(OpenFile { path, rows: 0, file })
    }

    async fn close(&mut self, directory: String) -> Result<()> {
        let Some(open) = self.open.remove(&directory) else { return Ok(()) };
        let bytes = match open.file {
            PartFile::Text(file) => file.finish().await?,
            PartFile::Parquet(file) => file.finish().await?,
            PartFile::Avro(file) => file.finish().await?,
            PartFile::Orc(file) => file.finish().await?,
        };
        self.files.push((open.path, bytes));
        Ok(())
    }

    async fn close_fullest(&mut self) -> Result<()> {
        let fullest = self.open.iter().max_by_key(|(_, f)| f.rows).map(|(directory, _)| directory.clone());
        match fullest {
            Some(directory) => self.close(directory).await,
            None => Ok(()),
        }
    }

    pub(super) async fn finish(&mut self) -> Result<()> {
        let directories: Vec<String> = self.open.keys().cloned().collect();
        for directory in directories {
            self.close(directory).await?;
        }
        Ok(())
    }

    /// Writes a file without rows.
    pub(super) async fn write_empty(&mut self) -> Result<()> {
        let file = self.begin("")?;
        self.open.insert(String::new(), file);
        self.finish().await
    }
}
