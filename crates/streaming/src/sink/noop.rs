//! `noop`: computes the rows and drops them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use boathouse_engine::{Session, drop_rows};
use boathouse_spec::Result;

use crate::query::{Batch, Sink};

#[derive(Debug, Default)]
pub(super) struct NoopSink {
    rows: AtomicI64,
}

#[async_trait]
impl Sink for NoopSink {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()> {
        let rows = drop_rows(session, batch.rows).await?;
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
