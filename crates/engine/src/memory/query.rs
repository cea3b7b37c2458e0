//! The memory of one query, as a part of the pool that all share.
//!
//! A query that fails leaves tasks behind that notice it a moment later, with what they hold. Its error is given when that
//! is free again: whoever hears of it finds the memory for the next statement.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio::sync::Notify;

/// How long an error waits for its query's tasks at most: one may be in the midst of a long computation.
const PATIENCE: Duration = Duration::from_secs(5);

/// A part of a consumer's memory, given back when it is dropped. The pool gives each consumer that can spill a fair share, so that
/// the many batches of one operator have to be one consumer.
pub(crate) struct Held {
    of: Arc<MemoryReservation>,
    bytes: usize,
}

impl Held {
    /// `None` where there is no room.
    pub fn try_new(of: &Arc<MemoryReservation>, bytes: usize) -> Option<Self> {
        of.try_grow(bytes).ok()?;
        Some(Self { of: Arc::clone(of), bytes })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.shrink(self.bytes);
    }
}

#[derive(Debug)]
pub(crate) struct QueryMemory {
    pool: Arc<dyn MemoryPool>,
    held: AtomicUsize,
    peak: AtomicUsize,
    is_free: Notify,
}

impl QueryMemory {
    /// The context of one query, whose memory is told apart.
    pub fn within(context: TaskContext) -> (Arc<TaskContext>, Arc<Self>) {
        let shared = context.runtime_env();
        let pool = Arc::clone(&shared.memory_pool);
        let memory = Arc::new(Self {
            pool,
            held: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            is_free: Notify::new(),
        });
        let mut runtime = shared.as_ref().clone();
        runtime.memory_pool = Arc::clone(&memory) as Arc<dyn MemoryPool>;
        (Arc::new(context.with_runtime(Arc::new(runtime))), memory)
    }

    /// The stream, whose error comes when nothing of the query is in memory any more.
    pub fn freed_before_errors(
        self: Arc<Self>,
        stream: SendableRecordBatchStream,
    ) -> SendableRecordBatchStream {
        let schema = stream.schema();
        let batches = futures::stream::unfold(Some(stream), move |stream| {
            let memory = Arc::clone(&self);
            async move {
                let mut stream = stream?;
                match stream.next().await? {
                    Ok(batch) => Some((Ok(batch), Some(stream))),
                    Err(e) => {
                        drop(stream);
                        memory.free().await;
                        Some((Err(e), None))
                    }
                }
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }

    /// The most bytes that the query held at a time.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        let held = self.held.fetch_add(bytes, Ordering::AcqRel) + bytes;
        self.peak.fetch_max(held, Ordering::Relaxed);
    }

    async fn free(&self) {
        let all_gone = async {
            loop {
                let gone = self.is_free.notified();
                if self.held.load(Ordering::Acquire) == 0 {
                    return;
                }
                gone.await;
            }
        };
        if tokio::time::timeout(PATIENCE, all_gone).await.is_err() {
            let held = self.held.load(Ordering::Acquire);
            tracing::warn!("a query that failed still holds {held} bytes");
        }
    }
}

impl fmt::Display for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool.fmt(f)
    }
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &str {
        self.pool.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.pool.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.pool.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.add(additional);
        self.pool.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.pool.shrink(reservation, shrink);
        if self.held.fetch_sub(shrink, Ordering::AcqRel) == shrink {
            // One permit is kept where nobody waits yet.
            self.is_free.notify_one();
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.pool.try_grow(reservation, additional)?;
        self.add(additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.pool.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.pool.memory_limit()
    }
}
