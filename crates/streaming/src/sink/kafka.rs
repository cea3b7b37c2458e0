//! Kafka: the rows of each batch are messages. Like Spark's it delivers at least once; with the option `transactionalId` each
//! batch is one transaction, and exactly once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use boathouse_connectors::kafka::{BatchMark, KafkaWriter, SinkOptions};
use boathouse_engine::Session;
use boathouse_spec::{Options, Result};

use super::named_rows;
use crate::query::{Batch, Sink};

pub(super) struct KafkaSink {
    writer: KafkaWriter,
    rows: AtomicI64,
}

impl KafkaSink {
    pub fn new(options: &Options) -> Result<Self> {
        Ok(Self { writer: KafkaWriter::new(SinkOptions::new(options)?), rows: AtomicI64::new(0) })
    }
}

#[async_trait]
impl Sink for KafkaSink {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()> {
        let (physical, schema) = named_rows(session, &batch.rows).await?;
        let mark = BatchMark { query_id: batch.query_id, batch_id: batch.id };
        let rows = self.writer.write(physical, session.query_state().task_ctx(), &schema, Some(mark)).await?;
        self.rows.store(i64::try_from(rows).unwrap_or(i64::MAX), Ordering::Relaxed);
        Ok(())
    }

    fn takes_parts(&self) -> bool {
        !self.writer.is_transactional()
    }

    fn description(&self) -> String {
        "KafkaTable".to_string()
    }

    fn num_output_rows(&self) -> Option<i64> {
        Some(self.rows.load(Ordering::Relaxed))
    }
}
