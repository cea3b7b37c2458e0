//! Files: each batch writes new ones, and then notes them in `_spark_metadata`. Readers that know the log see the files of whole
//! batches only; files of a batch that was broken off are no part of it.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_connectors::{ResolvedPath, SaveMode};
use boathouse_engine::Session;
use boathouse_spec::{Options, Result};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::json;
use tokio::sync::Mutex;

use super::named_rows;
use crate::checkpoint::{CompactibleLog, Directory};
use crate::query::{Batch, Sink};
use crate::start::StartQuery;

pub(super) struct FileSink {
    format: String,
    path: String,
    place: ResolvedPath,
    partition_by: Vec<String>,
    options: Options,
    log: Mutex<CompactibleLog>,
}

impl FileSink {
    pub async fn open(
        session: &Arc<Session>,
        format: String,
        path: String,
        start: &StartQuery,
        options: Options,
    ) -> Result<Self> {
        let context = session.file_context()?;
        let place = context.paths.resolve(&path, context.stores.as_ref())?;
        let log = CompactibleLog::open(Directory::open(session, &path)?.child("_spark_metadata")).await?;
        Ok(Self {
            format,
            path,
            place,
            partition_by: start.partition_by.clone(),
            options,
            log: Mutex::new(log),
        })
    }

    /// The log's line of a file.
    async fn line(&self, file: &Path) -> Result<String> {
        let meta = self.place.store.head(file).await;
        let meta = meta.map_err(|e| {
            boathouse_spec::Error::io(format!("looking at {}", self.place.display_of(file)), e)
        })?;
        Ok(json!({
            "path": self.place.url_of(file),
            "size": meta.size,
            "isDir": false,
            "modificationTime": meta.last_modified.timestamp_millis(),
            "blockReplication": 1,
            "blockSize": 33_554_432,
            "action": "add",
        })
        .to_string())
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()> {
        let mut log = self.log.lock().await;
        if log.latest().is_some_and(|done| done >= batch.id) {
            tracing::info!("batch {} is in {} already", batch.id, self.path);
            return Ok(());
        }
        let (physical, schema) = named_rows(session, &batch.rows).await?;
        let written = boathouse_connectors::write(
            &self.format,
            physical,
            session.query_state().task_ctx(),
            &schema,
            &self.options,
            &self.partition_by,
            SaveMode::Append,
            &self.path,
            &session.file_context()?,
        )
        .await?;
        let mut lines = Vec::with_capacity(written.files.len());
        for file in &written.files {
            lines.push(self.line(file).await?);
        }
        log.add(batch.id, lines).await.map(|_| ())
    }

    fn description(&self) -> String {
        format!("FileSink[{}]", self.place.display())
    }
}
