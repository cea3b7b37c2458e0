//! Files: each batch writes new ones, and then notes them in `_spark_metadata`. Readers that know the log see the files of whole
//! batches only; files of a batch that was broken off are no part of it.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_connectors::{ResolvedPath, SaveMode, sink_log};
use boathouse_delta::disk;
use boathouse_engine::Session;
use boathouse_spec::{Error, Options, Result, clock, fault};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::sync::Mutex;

use super::named_rows;
use crate::checkpoint::{CompactibleLog, Directory, LogRules, concurrent};
use crate::options::Given;
use crate::query::{Batch, Sink};
use crate::start::StartQuery;

pub(super) struct FileSink {
    format: String,
    path: String,
    place: ResolvedPath,
    partition_by: Vec<String>,
    options: Options,
    /// How long files are named by the log, in milliseconds (`retention`); without end where no option says.
    retention_ms: Option<i64>,
    /// Opened by the first batch: until then another process may write the batches before it.
    log: Mutex<Option<CompactibleLog>>,
}

impl FileSink {
    pub fn open(
        session: &Arc<Session>,
        format: String,
        path: String,
        start: &StartQuery,
        options: Options,
    ) -> Result<Self> {
        let context = session.file_context()?;
        let place = context.paths.resolve(&path, context.stores.as_ref())?;
        Ok(Self {
            format,
            path,
            place,
            partition_by: start.partition_by.clone(),
            retention_ms: Given(&options).duration_ms("retention")?,
            options,
            log: Mutex::new(None),
        })
    }

    /// The log's line of a file.
    async fn line(&self, file: &Path) -> Result<String> {
        let meta = self.place.store.head(file).await;
        let meta = meta.map_err(|e| Error::io(format!("looking at {}", self.place.display_of(file)), e))?;
        Ok(sink_log::line(&self.place, &meta))
    }

    /// Makes files outlast a crash of the machine, before the log names them. Object stores are durable when a write returns.
    async fn make_durable(&self, files: &[Path]) -> Result<()> {
        let Some(root) = self.place.local_file() else { return Ok(()) };
        let files = files.iter().filter_map(|file| self.place.with_path(file.clone()).local_file()).collect();
        let synced = tokio::task::spawn_blocking(move || disk::sync_files(&root, files)).await;
        let synced = synced.map_err(std::io::Error::other).flatten();
        synced.map_err(|e| Error::io(format!("forcing files of {} to disk", self.place.display()), e))
    }

    /// Removes the files of a batch that is another process's.
    async fn remove(&self, files: &[Path]) {
        for file in files {
            if let Err(e) = self.place.store.delete(file).await {
                tracing::warn!("could not remove {}: {e}", self.place.display_of(file));
            }
        }
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()> {
        let mut log = self.log.lock().await;
        let log = match &mut *log {
            Some(log) => log,
            none => {
                let directory = Directory::open(session, &self.path)?.child(sink_log::DIRECTORY);
                none.insert(CompactibleLog::open(directory, LogRules::of(session, "fileSink")).await?)
            }
        };
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
            None,
            &self.path,
            &session.file_context()?,
        )
        .await?;
        self.make_durable(&written.files).await?;
        fault::point("streaming::after-files")?;
        let mut lines = Vec::with_capacity(written.files.len());
        for file in &written.files {
            lines.push(self.line(file).await?);
        }
        let kept_from_ms = self.retention_ms.map(|ms| clock::now_ms() - ms);
        let keep = |line: &str| {
            kept_from_ms.is_none_or(|from| sink_log::modified_ms(line).is_none_or(|at| at >= from))
        };
        if log.add(batch.id, &lines, keep).await? {
            return Ok(());
        }
        self.remove(&written.files).await;
        Err(concurrent(batch.id))
    }

    fn description(&self) -> String {
        format!("FileSink[{}]", self.place.display())
    }
}
