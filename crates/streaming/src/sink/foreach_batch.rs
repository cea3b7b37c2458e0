//! `foreachBatch`: a Python function of the user's gets each batch as a DataFrame of the same session. At least once: what the
//! function does twice for the same batch id is its own business.
//!
//! The function works in the session that started the query, as with Spark Connect, and not in the one that the query runs in.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::Session;
use boathouse_spec::{Error, PythonFunction, Relation, Result};
use tokio::sync::Mutex;

use super::worker::Worker;
use crate::manager::ManagerOptions;
use crate::query::{Batch, Sink};

const MODULE: &str = "pyspark.sql.connect.streaming.worker.foreach_batch_worker";

pub(super) struct ForeachBatchSink {
    session: Arc<Session>,
    function: PythonFunction,
    options: ManagerOptions,
    worker: Mutex<Option<Worker>>,
}

impl ForeachBatchSink {
    pub fn new(session: &Arc<Session>, function: PythonFunction, options: &ManagerOptions) -> Result<Self> {
        if options.connect_url.is_none() {
            return Err(Error::unsupported(
                "foreachBatch in this program: it needs a server with Spark Connect",
            ));
        }
        Ok(Self {
            session: Arc::clone(session),
            function,
            options: options.clone(),
            worker: Mutex::new(None),
        })
    }

    async fn start(&self) -> Result<Worker> {
        let session = &self.session;
        let url = self.options.connect_url.as_deref().unwrap_or_default();
        let server = ("SPARK_CONNECT_LOCAL_URL", format!("{url}/;user_id={}", session.user()));
        let mut worker = Worker::start(MODULE, Some(server), "the foreachBatch sink", raised).await?;
        worker.write_bytes(self.function.python_version.as_bytes()).await?;
        worker.write_bytes(session.id().as_bytes()).await?;
        worker.write_bytes(&self.function.command).await?;
        worker.done().await?;
        Ok(worker)
    }

    async fn call(&self, frame: &str, batch: i64) -> Result<()> {
        let mut slot = self.worker.lock().await;
        // A worker that failed is not used again.
        let mut worker = match slot.take() {
            Some(worker) => worker,
            None => self.start().await?,
        };
        worker.write_bytes(frame.as_bytes()).await?;
        worker.write_long(batch).await?;
        worker.done().await?;
        *slot = Some(worker);
        Ok(())
    }
}

/// A DataFrame that the client can name, as long as this lives.
struct Frame<'a> {
    session: &'a Session,
    id: String,
    rows: Relation,
}

impl<'a> Frame<'a> {
    /// Rows that the session `of` keeps.
    fn new(session: &'a Session, of: &Session, rows: Relation) -> Self {
        session.keep_of(of, &rows);
        Self { session, id: session.keep_remote(rows.clone()), rows }
    }
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        self.session.remove_remote(&self.id);
        self.session.remove_table(&self.rows);
    }
}

#[async_trait]
impl Sink for ForeachBatchSink {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()> {
        let frame = Frame::new(&self.session, session, batch.rows);
        self.call(&frame.id, batch.id).await
    }

    fn description(&self) -> String {
        "ForeachBatchSink".to_string()
    }
}

fn raised(traceback: &str) -> Error {
    Error::new("FOREACH_BATCH_USER_FUNCTION_ERROR").param("reason", traceback).message(format!(
        "An error occurred in the user provided function in the foreachBatch sink. Reason: {traceback}"
    ))
}
