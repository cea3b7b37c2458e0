//! A Parquet file in the making whose columns are encoded side by side, so that one file is not the work of one core.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use futures::FutureExt;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory, ArrowWriterOptions,
    compute_leaves,
};
use parquet::errors::{ParquetError, Result};
use tokio::sync::mpsc;

use super::output::{Output, UnderWay};
use super::tail::{PlainColumns, Tail};

/// Batches of a column that wait to be encoded.
const WAITING: usize = 4;

pub(super) struct Encoder {
    schema: SchemaRef,
    row_groups: ArrowRowGroupWriterFactory,
    open: Option<RowGroup>,
    tail: State,
    plain: Arc<PlainColumns>,
    under_way: UnderWay,
    begun: usize,
    max_rows: usize,
    max_bytes: usize,
}

enum State {
    Idle(Box<Tail>),
    /// The row group before the open one comes to its end; the bytes the file will have then, about.
    Appending(SpawnedTask<Result<Tail>>, usize),
    Failed,
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
        under_way: &UnderWay,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Self> {
        let writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options)?;
        let (file, row_groups) = writer.into_serialized_writer()?;
        let plain = Arc::new(PlainColumns::new(&file, &schema));
        Ok(Self {
            schema,
            row_groups,
            open: None,
            tail: State::Idle(Box::new(Tail::new(file, out, Arc::clone(&plain)))),
            plain,
            under_way: under_way.clone(),
            begun: 0,
            max_rows,
            max_bytes,
        })
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
        self.look_at_tail()
    }

    /// The size the file would have about now.
    pub fn size(&self) -> usize {
        let ended = match &self.tail {
            State::Idle(tail) => tail.size(),
            State::Appending(_, size) => *size,
            State::Failed => 0,
        };
        ended + self.open.as_ref().map_or(0, RowGroup::size)
    }

    /// Writes what is left and the footer, after which the file survives a crash of the machine. The bytes of the file.
    pub async fn finish(&mut self) -> Result<usize> {
        if let Some(group) = self.open.take() {
            self.end(group).await?;
        }
        self.tail().await?.finish().await
    }

    fn begin(&mut self) -> Result<RowGroup> {
        if let Some(row_groups) = self.plain.row_groups()? {
            self.row_groups = row_groups;
        }
        let writers = self.row_groups.create_column_writers(self.begun)?;
        self.begun += 1;
        Ok(RowGroup { columns: writers.into_iter().map(Column::new).collect(), rows: 0 })
    }

    /// Its columns come to their end, and go to the file, while the next row group fills.
    async fn end(&mut self, group: RowGroup) -> Result<()> {
        let tail = self.tail().await?;
        let size = tail.size() + group.size();
        let entered = self.under_way.enter().await;
        let task = SpawnedTask::spawn(async move {
            let appended = tail.append(group.finish().await?).await;
            drop(entered);
            appended
        });
        self.tail = State::Appending(task, size);
        Ok(())
    }

    /// Takes the file when nothing is appended to it.
    async fn tail(&mut self) -> Result<Tail> {
        match std::mem::replace(&mut self.tail, State::Failed) {
            State::Idle(tail) => Ok(*tail),
            State::Appending(task, _) => appended(task.await),
            State::Failed => Err(ParquetError::General("a file is written to that failed".into())),
        }
    }

    /// Notices that a row group was appended, or why it was not.
    fn look_at_tail(&mut self) -> Result<()> {
        if let State::Appending(task, _) = &mut self.tail
            && let Some(ended) = task.now_or_never()
        {
            self.tail = State::Failed;
            self.tail = State::Idle(Box::new(appended(ended)?));
        }
        Ok(())
    }
}

fn appended(ended: std::result::Result<Result<Tail>, impl std::fmt::Display>) -> Result<Tail> {
    ended.unwrap_or_else(|e| Err(ParquetError::General(format!("a row group was not written: {e}"))))
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

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use object_store::path::Path;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::location::TableLocation;

    /// Row groups with more distinct values than a dictionary takes (a megabyte, 131,072 numbers).
    const ROWS: usize = 400_000;
    const GROUPS: usize = 4;

    #[tokio::test]
    async fn dictionaries_that_do_not_pay_are_not_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let location = TableLocation::local(directory.path()).unwrap();
        let under_way = UnderWay::default();
        let path = Path::from_absolute_path(directory.path().join("f")).unwrap();
        let out = Output::new(&location, &path, &under_way);
        let field = |name: &str| Field::new(name, DataType::Int64, false);
        let schema = Arc::new(Schema::new(vec![field("id"), field("k")]));
        let mut encoder =
            Encoder::new(out, Arc::clone(&schema), ArrowWriterOptions::new(), &under_way, ROWS, usize::MAX)
                .unwrap();
        let all = (ROWS * GROUPS) as i64;
        for from in (0..all).step_by(50_000) {
            let ids: Int64Array = (from..from + 50_000).collect();
            let keys: Int64Array = (from..from + 50_000).map(|id| id % 10).collect();
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(ids), Arc::new(keys)]);
            encoder.write(&batch.unwrap()).await.unwrap();
        }
        let size = encoder.finish().await.unwrap();

        let file = std::fs::File::open(directory.path().join("f")).unwrap();
        assert_eq!(file.metadata().unwrap().len(), size as u64);
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let groups = reader.metadata().row_groups().to_vec();
        assert_eq!(groups.iter().map(|g| g.num_rows()).collect::<Vec<_>>(), [ROWS as i64; GROUPS]);
        let has_dictionary = |column: usize| -> Vec<bool> {
            groups.iter().map(|g| g.column(column).dictionary_page_offset().is_some()).collect()
        };
        // The second begins before the first is done.
        assert!(has_dictionary(0)[0] && !has_dictionary(0)[2] && !has_dictionary(0)[3]);
        assert_eq!(has_dictionary(1), [true; GROUPS]);
        let mut next = 0i64;
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let column = |i: usize| batch.column(i).as_primitive::<Int64Type>().values().to_vec();
            for (id, key) in column(0).into_iter().zip(column(1)) {
                assert_eq!((id, key), (next, next % 10));
                next += 1;
            }
        }
        assert_eq!(next, all);
    }
}
