//! `foreach`: a Python function of the user's, or an object with `open`, `process` and `close`, gets each row. At least once.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::Session;
use boathouse_python::python_error;
use boathouse_spec::{Plan, PythonFunction, Result};
use tokio::sync::Mutex;

use super::worker::Worker;
use crate::query::{Batch, Sink};

/// Ours: PySpark's own worker for rows speaks the protocol of Spark's executors.
const MODULE: &str = "boathouse_runtime.foreach_worker";

pub(super) struct ForeachSink {
    function: PythonFunction,
    worker: Mutex<Option<Worker>>,
}

impl ForeachSink {
    pub fn new(function: PythonFunction) -> Self {
        Self { function, worker: Mutex::new(None) }
    }

    async fn start(&self) -> Result<Worker> {
        let mut worker = Worker::start(MODULE, None, "the foreach sink", python_error).await?;
        worker.write_bytes(self.function.python_version.as_bytes()).await?;
        worker.write_bytes(&self.function.command).await?;
        worker.done().await?;
        Ok(worker)
    }
}

#[async_trait]
impl Sink for ForeachSink {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()> {
        let (schema, batches) = session.execute(Plan::Query(batch.rows)).await?.collect().await?;
        let rows = boathouse_engine::to_ipc(&schema, &batches)?;
        let mut slot = self.worker.lock().await;
        // A worker that failed is not used again.
        let mut worker = match slot.take() {
            Some(worker) => worker,
            None => self.start().await?,
        };
        worker.write_bytes(schema.json().as_bytes()).await?;
        worker.write_bytes(&rows).await?;
        worker.write_long(batch.id).await?;
        worker.done().await?;
        *slot = Some(worker);
        Ok(())
    }

    fn description(&self) -> String {
        "ForeachWriterTable".to_string()
    }
}
