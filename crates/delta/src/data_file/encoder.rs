//! A Parquet file in the making whose columns are encoded side by side, so that one file is not the work of one core.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory, ArrowWriterOptions,
    compute_leaves,
};
use parquet::errors::{ParquetError, Result};
use parquet::file::writer::SerializedFileWriter;
use tokio::sync::mpsc;

use super::output::Output;

/// Batches of a column that wait to be encoded.
const WAITING: usize = 4;

pub(super) struct Encoder {
    schema: SchemaRef,
    file: SerializedFileWriter<Vec<u8>>,
    row_groups: ArrowRowGroupWriterFactory,
    out: Output,
    open: Option<RowGroup>,
    begun: usize,
    max_rows: usize,
    max_bytes: usize,
}

/// A row group, a task for each leaf column.
struct RowGroup {
    columns: Vec<Column>,
    rows: usize,
}

struct Column {
    waiting: mpsc::Sender<ArrowLeafColumn>,
    task: SpawnedTask<Result<ArrowColumnChunk>>,
    /// Bytes so far, about.
    size: Arc<AtomicUsize>,
}

impl Encoder {
    pub fn new(
        out: Output,
        schema: SchemaRef,
        options: ArrowWriterOptions,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Self> {
        let writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options)?;
        let (file, row_groups) = writer.into_serialized_writer()?;
        Ok(Self { schema, file, row_groups, out, open: None, begun: 0, max_rows, max_bytes })
    }

    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            let mut group = match self.open.take() {
                Some(group) => group,
                None => self.begin()?,
            };
            let rows = (self.max_rows - group.rows).min(batch.num_rows() - at);
            if group.write(&self.schema, &batch.slice(at, rows)).await.is_err() {
                // A column's task ended early: it says why.
                return Err(group.failure().await);
            }
            at += rows;
            if group.rows >= self.max_rows || group.size() >= self.max_bytes {
                self.end(group).await?;
            } else {
                self.open = Some(group);
            }
        }
        Ok(())
    }

    /// The size the file would have about now.
    pub fn size(&self) -> usize {
        self.file.bytes_written() + self.open.as_ref().map_or(0, RowGroup::size)
    }

    /// Writes what is left and the footer, after which the file survives a crash of the machine. The bytes of the file.
    pub async fn finish(&mut self) -> Result<usize> {
        if let Some(group) = self.open.take() {
            self.end(group).await?;
        }
        self.file.finish()?;
        self.drain().await?;
        self.out.finish().await?;
        Ok(self.file.bytes_written())
    }

    fn begin(&mut self) -> Result<RowGroup> {
        let writers = self.row_groups.create_column_writers(self.begun)?;
        self.begun += 1;
        Ok(RowGroup { columns: writers.into_iter().map(Column::new).collect(), rows: 0 })
    }

    async fn end(&mut self, group: RowGroup) -> Result<()> {
        let chunks = group.finish().await?;
        let mut writer = self.file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut writer)?;
        }
        writer.close()?;
        self.file.flush()?;
        self.drain().await
    }

    async fn drain(&mut self) -> Result<()> {
        let bytes = std::mem::take(self.file.inner_mut());
        if bytes.is_empty() {
            return Ok(());
        }
        self.out.write(Bytes::from(bytes)).await
    }
}

impl RowGroup {
    async fn write(&mut self, schema: &SchemaRef, batch: &RecordBatch) -> Result<()> {
        let mut columns = self.columns.iter();
        for (field, array) in schema.fields().iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, array)? {
                let column =
                    columns.next().ok_or_else(|| ParquetError::General("a leaf without column".into()))?;
                column.waiting.send(leaf).await.map_err(|e| ParquetError::General(e.to_string()))?;
            }
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    fn size(&self) -> usize {
        self.columns.iter().map(|c| c.size.load(Ordering::Relaxed)).sum()
    }

    async fn finish(self) -> Result<Vec<ArrowColumnChunk>> {
        let mut chunks = Vec::with_capacity(self.columns.len());
        let mut tasks = Vec::with_capacity(self.columns.len());
        for column in self.columns {
            // Without sender the task comes to its end.
            drop(column.waiting);
            tasks.push(column.task);
        }
        for task in tasks {
            let chunk = task
                .join()
                .await
                .map_err(|e| ParquetError::General(format!("a column was not encoded: {e}")))?;
            chunks.push(chunk?);
        }
        Ok(chunks)
    }

    async fn failure(self) -> ParquetError {
        match self.finish().await {
            Err(e) => e,
            Ok(_) => ParquetError::General("a column was not encoded".into()),
        }
    }
}

impl Column {
    fn new(mut writer: ArrowColumnWriter) -> Self {
        let (waiting, mut leaves) = mpsc::channel::<ArrowLeafColumn>(WAITING);
        let size = Arc::new(AtomicUsize::new(0));
        let so_far = Arc::clone(&size);
        let task = SpawnedTask::spawn(async move {
            while let Some(leaf) = leaves.recv().await {
                writer.write(&leaf)?;
                so_far.store(writer.get_estimated_total_bytes(), Ordering::Relaxed);
            }
            writer.close()
        });
        Self { waiting, task, size }
    }
}
