//! The source of a merge on disk: in as many files as there are partitions, gone with the last who reads them.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use boathouse_bridge::ResultExt;
use boathouse_spec::Result;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_plan::SpillManager;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

const WHAT: &str = "merge source";

/// A file: takes a batch, or gives what was written at the end. DataFusion does not name the type of files that are being written.
type File = Box<dyn FnMut(Option<&RecordBatch>) -> DataFusionResult<Option<Arc<dyn SpillFile>>> + Send>;

/// Rows on their way to disk.
pub(super) struct SpillWriter {
    manager: SpillManager,
    files: Vec<File>,
    next: usize,
}

impl SpillWriter {
    pub fn new(runtime: Arc<RuntimeEnv>, schema: SchemaRef, partitions: usize) -> Result<Self> {
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let manager = SpillManager::new(runtime, metrics, schema);
        let files = (0..partitions.max(1)).map(|_| file(&manager)).collect::<Result<_>>()?;
        Ok(Self { files, manager, next: 0 })
    }

    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let file = self.next;
        self.next = (self.next + 1) % self.files.len();
        self.files[file](Some(batch)).spark().map(|_| ())
    }

    /// The rows as a table.
    pub fn finish(self) -> Result<Arc<dyn TableProvider>> {
        let mut parts: Vec<Arc<dyn PartitionStream>> = Vec::with_capacity(self.files.len());
        for mut file in self.files {
            let file = file(None).spark()?;
            parts.push(Arc::new(Part { manager: self.manager.clone(), file }));
        }
        Ok(Arc::new(StreamingTable::try_new(Arc::clone(self.manager.schema()), parts).spark()?))
    }
}

fn file(manager: &SpillManager) -> Result<File> {
    let mut file = manager.create_in_progress_file(WHAT).spark()?;
    Ok(Box::new(move |batch| match batch {
        Some(batch) => file.append_batch(batch).map(|_| None),
        None => file.finish(),
    }))
}

struct Part {
    manager: SpillManager,
    /// `None` where nothing was written.
    file: Option<Arc<dyn SpillFile>>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WHAT} on disk")
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        self.manager.schema()
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(self.schema());
        let Some(file) = &self.file else {
            return Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::empty()));
        };
        self.manager.read_spill_as_stream(Arc::clone(file), None).unwrap_or_else(|e| {
            Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::once(async { Err(e) })))
        })
    }
}
