//! The files of a checkpoint, as Spark writes them:
//!
//! ```text
//! metadata     {"id":"<uuid>"}
//! offsets/N    what batch N reads: written before it runs
//! commits/N    that batch N is done
//! sources/i/.. what source i keeps for itself
//! state/..     what stateful operators keep
//! ```

mod compactible_log;
mod directory;
mod in_flight;
mod local;
mod new_file;
mod offsets;

use boathouse_engine::Session;
use boathouse_spec::{Error, Result, fault};
use serde_json::json;

use crate::settings;

pub use compactible_log::{CompactibleLog, LogRules};
pub use directory::Directory;
pub use in_flight::InFlight;
pub use local::Settling;
pub use offsets::{CommitEntry, OffsetEntry};

/// How long what is kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Batches whose logs and state are kept: `spark.sql.streaming.minBatchesToRetain`.
    pub batches: i64,
    /// State is written as a whole after at least so many files of changes:
    /// `spark.sql.streaming.stateStore.minDeltasForSnapshot`.
    pub deltas: i64,
}

impl Retention {
    pub fn of(session: &Session) -> Self {
        Self {
            batches: min_batches_to_retain(session),
            deltas: settings::number(session, "spark.sql.streaming.stateStore.minDeltasForSnapshot", 10)
                .max(1),
        }
    }
}

fn min_batches_to_retain(session: &Session) -> i64 {
    settings::number(session, "spark.sql.streaming.minBatchesToRetain", 100).max(2)
}

/// A query's checkpoint.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    root: Directory,
    offsets: Directory,
    commits: Directory,
    retention: Retention,
    /// Logs without the query's id are no checkpoint: `spark.sql.streaming.checkpoint.verifyMetadataExists.enabled`.
    verifies_metadata: bool,
}

impl Checkpoint {
    pub fn new(root: Directory, retention: Retention) -> Self {
        let (offsets, commits) = (root.child("offsets"), root.child("commits"));
        Self { offsets, commits, root, retention, verifies_metadata: true }
    }

    /// The same, which may be without the query's id where the session says so.
    pub fn of_session(self, session: &Session) -> Self {
        let key = "spark.sql.streaming.checkpoint.verifyMetadataExists.enabled";
        Self { verifies_metadata: settings::flag(session, key, true), ..self }
    }

    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// Brings the names in the logs to the disk, whoever wrote them.
    pub async fn settle_logs(&self) -> Result<()> {
        for log in [&self.offsets, &self.commits] {
            log.settle().await?;
        }
        Ok(())
    }

    /// The directory of source `i`.
    pub fn source(&self, i: usize) -> Directory {
        self.root.child(&format!("sources/{i}"))
    }

    pub fn root(&self) -> &Directory {
        &self.root
    }

    /// The id of the query whose checkpoint a directory is; `None` where it is none yet.
    pub async fn known_query_id(root: &Directory) -> Result<Option<String>> {
        Ok(root.read_text("metadata").await?.as_deref().and_then(query_id_in))
    }

    /// The query's id: read, or made on the first start.
    pub async fn query_id(&self) -> Result<String> {
        if let Some(text) = self.root.read_text("metadata").await? {
            return query_id_in(&text).ok_or_else(|| self.corrupt("metadata", "it has no id"));
        }
        if self.verifies_metadata && (self.offsets.has_files().await? || self.commits.has_files().await?) {
            return Err(self.without_metadata());
        }
        let id = uuid::Uuid::new_v4().to_string();
        if self.root.create("metadata", json!({ "id": id }).to_string()).await? {
            return Ok(id);
        }
        // Another process was faster.
        let text = self.root.read_text("metadata").await?.unwrap_or_default();
        query_id_in(&text).ok_or_else(|| self.corrupt("metadata", "it has no id"))
    }

    /// The last batch that was planned.
    pub async fn latest_offsets(&self) -> Result<Option<(i64, OffsetEntry)>> {
        let Some(batch) = self.offsets.numbers().await?.pop() else { return Ok(None) };
        Ok(Some((batch, self.offsets_of(batch).await?)))
    }

    pub async fn offsets_of(&self, batch: i64) -> Result<OffsetEntry> {
        let name = batch.to_string();
        let text = self.offsets.read_text(&name).await?;
        let text = text.ok_or_else(|| self.corrupt(&format!("offsets/{name}"), "it is missing"))?;
        OffsetEntry::parse(&text).map_err(|why| self.corrupt(&format!("offsets/{name}"), &why))
    }

    /// The last batch that is done.
    pub async fn latest_commit(&self) -> Result<Option<(i64, CommitEntry)>> {
        let Some(batch) = self.done().await?.pop() else { return Ok(None) };
        Ok(Some((batch, self.commit_of(batch).await?)))
    }

    /// The batches that are known to be done, ascending.
    pub async fn done(&self) -> Result<Vec<i64>> {
        self.commits.numbers().await
    }

    pub async fn commit_of(&self, batch: i64) -> Result<CommitEntry> {
        let name = batch.to_string();
        let text = self.commits.read_text(&name).await?.unwrap_or_default();
        CommitEntry::parse(&text).map_err(|why| self.corrupt(&format!("commits/{name}"), &why))
    }

    /// Plans a batch. Where another process planned it first, this one must not go on.
    /// What the batch does to others has to wait until this has settled.
    pub async fn write_offsets(&self, batch: i64, entry: &OffsetEntry) -> Result<Settling> {
        let created = self.offsets.create_settling(&batch.to_string(), entry.to_text()).await?;
        created.ok_or_else(|| concurrent(batch))
    }

    /// Notes that a batch is done. The next one must not be planned before this has settled.
    pub async fn write_commit(&self, batch: i64, entry: &CommitEntry) -> Result<Settling> {
        let created = self.commits.create_settling(&batch.to_string(), entry.to_text()).await?;
        created.ok_or_else(|| concurrent(batch))
    }

    /// Removes what no restart will ask for; `all` of it, where an earlier run may have left some.
    pub async fn purge(&self, batch: i64, all: bool) -> Result<()> {
        let old = batch - self.retention.batches;
        if old < 0 {
            return Ok(());
        }
        for log in [&self.offsets, &self.commits] {
            // One batch is planned at a time, so that there is one more to remove each time.
            let numbers = if all { log.numbers().await? } else { vec![old] };
            for number in numbers.into_iter().filter(|n| *n <= old) {
                fault::point_at("streaming::before-purge", log.display())?;
                log.delete(&number.to_string()).await?;
            }
        }
        Ok(())
    }

    fn without_metadata(&self) -> Error {
        Error::new("STREAMING_CHECKPOINT_MISSING_METADATA_FILE")
            .param("checkpointLocation", self.root.display())
            .message(format!(
                "Checkpoint location {} is in an inconsistent state: the metadata file is missing but offset and/or commit logs contain \
                 data. Please restore the metadata file or create a new checkpoint directory.",
                self.root.display()
            ))
            .exception("SparkRuntimeException")
    }

    fn corrupt(&self, file: &str, why: &str) -> Error {
        Error::new("STREAM_CHECKPOINT_CORRUPT")
            .param("file", format!("{}/{file}", self.root.display()))
            .message(format!(
                "The file {file} of the checkpoint {} cannot be used: {why}. Start the query with a new checkpoint, or restore this one.",
                self.root.display()
            ))
            .exception("IllegalStateException")
    }
}

/// Another process wrote a batch's file of a log.
pub(crate) fn concurrent(batch: i64) -> Error {
    Error::new("CONCURRENT_STREAM_LOG_UPDATE").param("batchId", batch).message(format!(
        "Concurrent update to the log. Multiple streaming jobs detected for {batch}. Please make sure only one streaming job runs on a \
         specific checkpoint location at a time."
    ))
}

fn query_id_in(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    value.get("id")?.as_str().map(str::to_string)
}

/// What the files of logs begin with, before a line break.
pub(crate) const V1: &str = "v1";

/// The only line of a file of one, after its version.
pub(crate) fn with_v1(line: impl std::fmt::Display) -> String {
    format!("{V1}\n{line}")
}

/// The lines of a file that has no other version.
pub(crate) fn lines_v1(text: &str) -> Result<std::str::Lines<'_>, String> {
    versioned(text, &[V1]).map(|(_, lines)| lines)
}

/// The lines of a log file after its version, which must be among those that are known.
fn versioned<'a>(text: &'a str, known: &[&str]) -> Result<(&'a str, std::str::Lines<'a>), String> {
    let mut lines = text.lines();
    let version = lines.next().unwrap_or_default();
    if known.contains(&version) {
        return Ok((version, lines));
    }
    if version.is_empty() {
        return Err("it is empty".to_string());
    }
    Err(format!("its version is {version:?}, and only {} are known", known.join(" and ")))
}
