//! Rows that several readers take, made once.

use std::collections::VecDeque;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::RecordBatch;
use boathouse_bridge::to_datafusion;
use datafusion::common::internal_err;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::spill_file::SpillFile;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::spill::{SpillManager, get_record_batch_memory_size};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::execute::panic_error;
use crate::memory::Held;

/// A plan that runs once for all of its readers. Rows are kept until the last reader has passed them: in memory where there is
/// room, else on disk.
pub(super) struct SharedRows {
    pub plan: Arc<dyn ExecutionPlan>,
    readers: usize,
    partitions: Vec<Partition>,
    metrics: ExecutionPlanMetricsSet,
}

struct Partition {
    rows: Arc<Rows>,
    /// Makes the rows, from the first read on. It ends with the plan.
    task: Mutex<Option<SpawnedTask<()>>>,
}

struct Rows {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

struct State {
    kept: VecDeque<Kept>,
    /// The number of the first batch that is kept.
    first: usize,
    /// For each reader the batch it takes next; `DONE` for one that needs no more.
    next: Vec<usize>,
    is_begun: Vec<bool>,
    end: Option<std::result::Result<(), Arc<DataFusionError>>>,
}

const DONE: usize = usize::MAX;

#[derive(Clone)]
enum Kept {
    Memory(RecordBatch, #[allow(dead_code)] Arc<Held>),
    Disk(Arc<dyn SpillFile>),
}

enum Next {
    Batch(Kept),
    Wait,
    End,
    Failed(Arc<DataFusionError>),
}

impl fmt::Debug for SharedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} readers of {:?}", self.readers, self.plan)
    }
}

impl SharedRows {
    pub fn new(plan: Arc<dyn ExecutionPlan>, readers: usize) -> Self {
        let partition = || Partition {
            rows: Arc::new(Rows {
                state: Mutex::new(State {
                    kept: VecDeque::new(),
                    first: 0,
                    next: vec![0; readers],
                    is_begun: vec![false; readers],
                    end: None,
                }),
                changed: watch::Sender::new(()),
            }),
            task: Mutex::new(None),
        };
        let partitions = (0..plan.output_partitioning().partition_count()).map(|_| partition()).collect();
        Self { plan, readers, partitions, metrics: ExecutionPlanMetricsSet::new() }
    }

    pub fn readers(&self) -> usize {
        self.readers
    }

    pub fn metrics(&self) -> datafusion::physical_plan::metrics::MetricsSet {
        self.metrics.clone_inner()
    }

    /// The rows of a partition for one of the readers.
    pub fn read(
        self: &Arc<Self>,
        reader: usize,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = Arc::clone(&self.partitions[partition].rows);
        if std::mem::replace(&mut rows.state.lock().is_begun[reader], true) {
            // What a reader has taken once may be gone.
            return self.plan.execute(partition, context);
        }
        let spills = self.spills(partition, &context);
        let place = Place { shared: Arc::clone(self), reader, partition };
        let batches = async_stream::try_stream! {
            let mut changes = rows.changed.subscribe();
            place.shared.begin(partition, context);
            loop {
                changes.borrow_and_update();
                match rows.take(reader) {
                    Next::Batch(Kept::Memory(batch, _)) => yield batch,
                    Next::Batch(Kept::Disk(file)) => {
                        for await batch in spills.read_spill_as_stream(file, None)? {
                            yield batch?;
                        }
                    }
                    Next::Wait => {
                        if changes.changed().await.is_err() {
                            break;
                        }
                    }
                    Next::End => break,
                    Next::Failed(e) => Err(DataFusionError::Shared(e))?,
                }
            }
            drop(place);
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.plan.schema(), batches)))
    }

    fn spills(&self, partition: usize, context: &TaskContext) -> SpillManager {
        let metrics = SpillMetrics::new(&self.metrics, partition);
        SpillManager::new(context.runtime_env(), metrics, self.plan.schema())
    }

    /// Runs the plan, where no reader has begun to yet.
    fn begin(&self, partition: usize, context: Arc<TaskContext>) {
        let of = &self.partitions[partition];
        let mut task = of.task.lock();
        if task.is_some() {
            return;
        }
        let (plan, rows, spills) =
            (Arc::clone(&self.plan), Arc::clone(&of.rows), self.spills(partition, &context));
        *task = Some(SpawnedTask::spawn(async move {
            let filled = AssertUnwindSafe(rows.fill(plan, partition, context, &spills)).catch_unwind().await;
            let result = filled.unwrap_or_else(|panic| Err(to_datafusion(panic_error(&*panic))));
            rows.state.lock().end = Some(result.map_err(Arc::new));
            rows.changed.send_replace(());
        }));
    }
}

impl Rows {
    async fn fill(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
        spills: &SpillManager,
    ) -> Result<()> {
        let memory = MemoryConsumer::new("shared rows").with_can_spill(true);
        let memory = Arc::new(memory.register(context.memory_pool()));
        let mut batches = plan.execute(partition, context)?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            let kept = keep(batch, &memory, spills)?;
            self.state.lock().kept.push_back(kept);
            self.changed.send_replace(());
        }
        Ok(())
    }

    /// What a reader takes next.
    fn take(&self, reader: usize) -> Next {
        let mut state = self.state.lock();
        let at = state.next[reader];
        match state.kept.get(at - state.first) {
            Some(kept) => {
                let kept = kept.clone();
                state.passed(reader, at + 1);
                Next::Batch(kept)
            }
            None => match &state.end {
                None => Next::Wait,
                Some(Ok(())) => Next::End,
                Some(Err(e)) => Next::Failed(Arc::clone(e)),
            },
        }
    }
}

impl State {
    /// Forgets what all readers have passed.
    fn passed(&mut self, reader: usize, next: usize) {
        self.next[reader] = next;
        let first = self.next.iter().copied().min().unwrap_or(DONE);
        while self.first < first && self.kept.pop_front().is_some() {
            self.first += 1;
        }
    }
}

/// A batch in memory where there is room, else on disk.
fn keep(batch: RecordBatch, memory: &Arc<MemoryReservation>, spills: &SpillManager) -> Result<Kept> {
    if let Some(held) = Held::try_new(memory, get_record_batch_memory_size(&batch)) {
        return Ok(Kept::Memory(batch, Arc::new(held)));
    }
    match spills.spill_record_batch_and_finish(std::slice::from_ref(&batch), "shared rows")? {
        Some(file) => Ok(Kept::Disk(file)),
        None => internal_err!("a batch with rows made no file"),
    }
}

/// A reader that reads. Once it is gone nothing waits for it, and once all are, the plan stops.
struct Place {
    shared: Arc<SharedRows>,
    reader: usize,
    partition: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let of = &self.shared.partitions[self.partition];
        let mut state = of.rows.state.lock();
        state.passed(self.reader, DONE);
        if state.next.iter().all(|next| *next == DONE) {
            of.task.lock().take();
        }
    }
}
