//! `noop`: computes the rows and drops them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use boathouse_bridge::ResultExt;
use boathouse_engine::Session;
use boathouse_spec::{Plan, Result};
use futures::TryStreamExt;

use crate::query::{Batch, Sink};

#[derive(Debug, Default)]
pub(super) struct NoopSink {
    rows: AtomicI64,
}

#[async_trait]
impl Sink for NoopSink {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()> {
        let mut result = session.execute(Plan::Query(batch.rows)).await?;
        let mut rows = 0;
        while let Some(batch) = result.stream.try_next().await.spark()? {
            rows += i64::try_from(batch.num_rows()).unwrap_or(0);
        }
        self.rows.store(rows, Ordering::Relaxed);
        Ok(())
    }

    fn takes_parts(&self) -> bool {
        true
    }

    fn description(&self) -> String {
        "NoopTable".to_string()
    }

    fn num_output_rows(&self) -> Option<i64> {
        Some(self.rows.load(Ordering::Relaxed))
    }
}
