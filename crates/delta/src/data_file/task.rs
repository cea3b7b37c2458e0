//! One partition of a plan as files.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::partition;
use boathouse_bridge::ResultExt;
use boathouse_spec::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use object_store::path::Path;
use parking_lot::Mutex;

use super::WrittenFiles;
use super::file_writer::FileWriter;
use super::target::WriteTarget;
use crate::action::PartitionValues;
use crate::partition::{directory, format_value, named_value};
use crate::schema::TableColumn;
use crate::schema::conform::conform_batch;

/// Rows that a task hands on rather than writes, where files are to be few: bytes in memory.
const HANDED_ON: usize = 32 * 1024 * 1024;

/// Writes a stream whose rows come partition by partition of the table. The rows of a short one are given back where they
/// are to share a file with those of others.
pub(crate) async fn write_stream(
    task: usize,
    mut stream: SendableRecordBatchStream,
    target: &Arc<WriteTarget>,
    started: &Arc<Mutex<Vec<Path>>>,
) -> Result<(WrittenFiles, Vec<RecordBatch>)> {
    let mut writer = TaskWriter::new(task, target, started);
    let mut held = Vec::new();
    let mut room = if target.gathers && target.layout.partitions.is_empty() { HANDED_ON } else { 0 };
    while let Some(batch) = stream.next().await {
        let mut batch = batch.spark()?;
        if let Some(actions) = &target.actions {
            batch = actions.apply(&batch)?;
        }
        let batch = conform_batch(&batch, &target.layout.logical)?;
        if batch.num_rows() == 0 {
            continue;
        }
        target.constraints.verify(&batch)?;
        let size = batch.get_array_memory_size();
        if size < room {
            room -= size;
            held.push(batch);
            continue;
        }
        room = 0;
        for earlier in std::mem::take(&mut held) {
            writer.write(&earlier).await?;
        }
        writer.write(&batch).await?;
    }
    Ok((writer.finish().await?, held))
}

/// Writes rows that were checked already.
pub(crate) async fn write_batches(
    task: usize,
    batches: Vec<RecordBatch>,
    target: &Arc<WriteTarget>,
    started: &Arc<Mutex<Vec<Path>>>,
) -> Result<WrittenFiles> {
    let mut writer = TaskWriter::new(task, target, started);
    for batch in &batches {
        writer.write(batch).await?;
    }
    writer.finish().await
}

struct TaskWriter<'a> {
    task: usize,
    files: usize,
    open: Option<(PartitionValues, FileWriter)>,
    target: &'a Arc<WriteTarget>,
    started: &'a Arc<Mutex<Vec<Path>>>,
    out: WrittenFiles,
}

impl<'a> TaskWriter<'a> {
    fn new(task: usize, target: &'a Arc<WriteTarget>, started: &'a Arc<Mutex<Vec<Path>>>) -> Self {
        Self { task, files: 0, open: None, target, started, out: WrittenFiles::default() }
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let layout = &self.target.layout;
        if layout.partitions.is_empty() {
            return self.write_rows(&PartitionValues::new(), batch).await;
        }
        let local = (!self.target.utc_partition_times).then_some(&self.target.zone);
        let keys: Vec<ArrayRef> =
            layout.partition_positions.iter().map(|i| batch.column(*i).clone()).collect();
        for range in partition(&keys).spark()?.ranges() {
            let mut values = PartitionValues::new();
            for (column, key) in layout.partitions.iter().zip(&keys) {
                let value = ScalarValue::try_from_array(key, range.start).spark()?;
                values.insert(column.physical.clone(), format_value(&value, local)?);
            }
            self.write_rows(&values, &batch.slice(range.start, range.len())).await?;
        }
        Ok(())
    }

    async fn write_rows(&mut self, values: &PartitionValues, batch: &RecordBatch) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            let is_full = self.open.as_ref().is_some_and(|(open, file)| open != values || self.is_full(file));
            if is_full {
                self.close().await?;
            }
            if self.open.is_none() {
                self.open(values)?;
            }
            let Some((_, file)) = self.open.as_mut() else { break };
            let left =
                self.target.max_records_per_file.map_or(usize::MAX, |max| (max - file.rows()) as usize);
            let rows = (batch.num_rows() - at).min(left);
            file.write(self.target, &batch.slice(at, rows)).await?;
            at += rows;
        }
        Ok(())
    }

    fn is_full(&self, file: &FileWriter) -> bool {
        self.target.max_records_per_file.is_some_and(|max| file.rows() >= max)
            || file.estimated_size() >= self.target.target_file_size
    }

    fn open(&mut self, values: &PartitionValues) -> Result<()> {
        let id = uuid::Uuid::new_v4();
        let extension = self.target.codec.extension;
        let (task, file) = (self.task, self.files);
        let partitions = &self.target.layout.partitions;
        // Spark's names: a writer of partitions joins the file's number by a dot.
        let kind = if self.target.directory.is_some() { "cdc" } else { "part" };
        let relative = if partitions.is_empty() {
            format!("{kind}-{task:05}-{id}-c{file:03}{extension}.parquet")
        } else {
            let texts = values.values().map(Option::as_deref);
            let named = |(column, text)| named_value(column, text, &self.target.zone);
            let names = partitions.iter().zip(texts).map(named).collect::<Result<Vec<_>>>()?;
            let names = names.iter().map(Option::as_deref);
            let directory = directory(partitions.iter().map(TableColumn::logical).zip(names));
            format!("{directory}/{kind}-{task:05}-{id}.c{file:03}{extension}.parquet")
        };
        let relative = match self.target.directory {
            Some(below) => format!("{below}/{relative}"),
            None => relative,
        };
        self.files += 1;
        let writer = FileWriter::new(self.target, relative, values.clone())?;
        self.started.lock().push(writer.path().clone());
        self.open = Some((values.clone(), writer));
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        if let Some((_, file)) = self.open.take() {
            let rows = file.rows();
            let add = file.close(self.target).await?;
            self.out.rows += rows;
            self.out.bytes += u64::try_from(add.size).unwrap_or(0);
            self.out.adds.push(add);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<WrittenFiles> {
        self.close().await?;
        Ok(self.out)
    }
}
