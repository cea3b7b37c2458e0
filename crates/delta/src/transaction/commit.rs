//! The commit loop: try the next version; where another writer has it, check that ours still holds, and try the next.

use boathouse_spec::{Error, Result, clock, fault};
use bytes::Bytes;
use object_store::ObjectStoreExt;
use serde_json::{Map, Value};

use super::conflict::{self, Ours, ReadSet};
use super::operation::{Metrics, Operation};
use crate::action::{Action, Add, Cdc, CommitInfo, DomainMetadata, Metadata, Protocol, Remove, Txn, is_true};
use crate::data_file::delete_quietly;
use crate::disk::PutOutcome;
use crate::error;
use crate::iceberg_compat;
use crate::location::TableLocation;
use crate::log::checksum::{self, Known};
use crate::log::commit_file;
use crate::log::{self, CommitFile, checkpoint, cleanup, commit_name, compaction, managed};
use crate::operation::UPGRADE_UNIFORM;
use crate::row_tracking;
use crate::schema::identity::{self, IdentityColumn};
use crate::snapshot::Snapshot;

/// After so many lost races something else is wrong.
const MAX_ATTEMPTS: usize = 10_000;

/// What commits of others a commit tolerates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsolationLevel {
    /// The history is the order in which rows were read and written.
    Serializable,
    /// Blind appends may be ordered after a change that did not see them.
    WriteSerializable,
    /// For commits that change no data.
    SnapshotIsolation,
}

impl IsolationLevel {
    pub fn name(self) -> &'static str {
        match self {
            Self::Serializable => "Serializable",
            Self::WriteSerializable => "WriteSerializable",
            Self::SnapshotIsolation => "SnapshotIsolation",
        }
    }
}

/// A commit that happened.
#[derive(Debug, Clone)]
pub struct Committed {
    pub version: i64,
    /// The table as the commit left it.
    pub snapshot: Snapshot,
    /// The commit's `operationMetrics`.
    pub metrics: Vec<(String, String)>,
    /// The paths of the files it added.
    pub(crate) added: Vec<String>,
}

impl Committed {
    /// A figure of the commit, 0 where it has none.
    pub fn metric(&self, key: &str) -> i64 {
        self.metrics.iter().find(|(k, _)| k == key).and_then(|(_, v)| v.parse().ok()).unwrap_or(0)
    }
}

/// A change in the making.
pub(crate) struct Transaction {
    location: TableLocation,
    /// What was read; `None` where the table does not exist yet.
    read: Option<Snapshot>,
    operation: Operation,
    pub reads: ReadSet,
    pub protocol: Option<Protocol>,
    pub metadata: Option<Metadata>,
    pub txn: Option<Txn>,
    pub domains: Vec<DomainMetadata>,
    files: Vec<Action>,
    written: Vec<String>,
    pub metrics: Metrics,
    pub user_metadata: Option<String>,
    /// Extra fields of the commit info, such as who commits.
    pub tags: Map<String, Value>,
    /// The `tags` of the commit info: what the commit says of itself to other writers.
    pub notes: Map<String, Value>,
    pub blind_append: Option<bool>,
}

impl Transaction {
    pub fn new(location: &TableLocation, read: Option<&Snapshot>, operation: Operation) -> Self {
        Self {
            location: location.clone(),
            read: read.cloned(),
            operation,
            reads: ReadSet::default(),
            protocol: None,
            metadata: None,
            txn: None,
            domains: Vec::new(),
            files: Vec::new(),
            written: Vec::new(),
            metrics: Metrics::default(),
            user_metadata: None,
            tags: Map::new(),
            notes: Map::new(),
            blind_append: None,
        }
    }

    /// Adds files that this operation has written, and that are deleted where the commit is refused.
    pub fn add_written(&mut self, files: Vec<Add>) {
        self.written.extend(files.iter().map(|f| f.path.clone()));
        self.add(files);
    }

    /// Files that this operation has written beside data files: deleted too where the commit is refused.
    pub fn written_beside(&mut self, paths: Vec<String>) {
        self.written.extend(paths);
    }

    pub fn add(&mut self, files: impl IntoIterator<Item = Add>) {
        self.files.extend(files.into_iter().map(Action::Add));
    }

    pub fn remove(&mut self, files: impl IntoIterator<Item = Remove>) {
        self.files.extend(files.into_iter().map(Action::Remove));
    }

    /// The last numbers that a write gave in identity columns become the table's.
    pub fn record_identities(&mut self, columns: &[IdentityColumn]) -> Result<()> {
        let current = self.metadata.as_ref().or(self.read.as_ref().map(Snapshot::metadata));
        let Some(mut metadata) = current.cloned() else { return Ok(()) };
        if identity::record(&mut metadata, columns)? {
            self.metadata = Some(metadata);
        }
        Ok(())
    }

    /// Says that the commit is a version of an application's writes, which is not to be written twice.
    pub fn of_application(&mut self, txn: Option<&(String, i64)>) {
        let Some((app_id, version)) = txn else { return };
        self.reads.app_ids.insert(app_id.clone());
        self.txn =
            Some(Txn { app_id: app_id.clone(), version: *version, last_updated: Some(clock::now_ms()) });
    }

    /// Whether there is nothing to be committed, but that something ran.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
            && self.metadata.is_none()
            && self.protocol.is_none()
            && self.txn.is_none()
            && self.domains.is_empty()
    }

    /// Says that rows which are written again keep their ids, where the table tracks rows.
    pub fn keeps_ids(&mut self) {
        if self.read.as_ref().is_some_and(|read| row_tracking::is_enabled(read.metadata())) {
            self.notes.insert(row_tracking::PRESERVED.into(), "true".into());
        }
    }

    /// The `tags` of the commit info. Where rows are tracked only since another commit came first, ours did not keep ids.
    fn notes(&self, current: Option<&Snapshot>) -> Map<String, Value> {
        let mut notes = self.notes.clone();
        let tracks = |s: &Snapshot| row_tracking::is_enabled(s.metadata());
        if current.is_some_and(tracks) && !self.read.as_ref().is_some_and(tracks) && self.metadata.is_none() {
            notes.insert(row_tracking::PRESERVED.into(), "false".into());
        }
        notes
    }

    /// Adds files of the change feed, which are deleted where the commit is refused.
    pub fn add_changes(&mut self, files: Vec<Cdc>) {
        self.written.extend(files.iter().map(|f| f.path.clone()));
        self.files.extend(files.into_iter().map(Action::Cdc));
    }

    /// Whether the commit only names files otherwise, and says nothing else of the table.
    fn changes_no_data(&self) -> bool {
        let only_files = self.metadata.is_none() && self.protocol.is_none() && self.txn.is_none();
        only_files
            && !self.files.is_empty()
            && self.files.iter().all(|a| match a {
                Action::Add(a) => !a.data_change,
                Action::Remove(r) => !r.data_change,
                _ => true,
            })
    }

    /// The level that the commit is checked by (`OptimisticTransaction.getIsolationLevelToUse`).
    fn isolation(&self) -> IsolationLevel {
        let level = self.level_of_table();
        // A write that says it changes nothing is a write still, where appends are let through unseen.
        let is_write = matches!(self.operation.name.as_str(), "WRITE" | "STREAMING UPDATE");
        let is_harmless = self.changes_no_data() && (level == IsolationLevel::Serializable || !is_write);
        match is_harmless || self.operation.name.starts_with("VACUUM") {
            true => IsolationLevel::SnapshotIsolation,
            false => level,
        }
    }

    fn level_of_table(&self) -> IsolationLevel {
        let configured = self
            .metadata
            .as_ref()
            .and_then(|m| m.configuration.get("delta.isolationLevel").map(String::as_str))
            .or_else(|| self.read.as_ref().and_then(|s| s.property("delta.isolationLevel")));
        match configured {
            Some(level) if level.eq_ignore_ascii_case("Serializable") => IsolationLevel::Serializable,
            _ => IsolationLevel::WriteSerializable,
        }
    }

    fn is_blind_append(&self) -> bool {
        self.blind_append.unwrap_or_else(|| {
            self.reads.is_empty() && self.files.iter().all(|a| matches!(a, Action::Add(_)))
        })
    }

    /// The properties in force once this is committed.
    fn property(&self, key: &str) -> Option<&str> {
        match (&self.metadata, &self.read) {
            (Some(m), _) => m.configuration.get(key).map(String::as_str),
            (None, Some(s)) => s.property(key),
            (None, None) => None,
        }
    }

    /// Refuses what the table forbids whoever writes.
    fn check(&self) -> Result<()> {
        // As the table is, whatever the commit makes of it; RESTORE is none of the changes that are meant.
        let is_append_only = |table: &Snapshot| table.property("delta.appendOnly").is_some_and(is_true);
        let append_only = self.read.as_ref().is_some_and(is_append_only);
        let removes_data = self.files.iter().any(|a| matches!(a, Action::Remove(r) if r.data_change));
        if append_only && removes_data && self.operation.name != "RESTORE" {
            return Err(Error::new("DELTA_CANNOT_MODIFY_APPEND_ONLY")
                .param("table_name", self.location.uri())
                .param("config", "delta.appendOnly")
                .message(
                    "The table only takes appends. To change or delete rows, set its property delta.appendOnly to false.",
                )
                .exception("UnsupportedOperationException"));
        }
        let protocol = self.protocol.as_ref().or(self.read.as_ref().map(Snapshot::protocol));
        let metadata = self.metadata.as_ref().or(self.read.as_ref().map(Snapshot::metadata));
        if let (Some(protocol), Some(metadata)) = (protocol, metadata) {
            let schema = boathouse_spec::StructType::from_json(&metadata.schema_string)?;
            crate::protocol::check_writable(&self.location, protocol, metadata, &schema)?;
            let change = iceberg_compat::Change {
                before: self.read.as_ref(),
                protocol,
                metadata,
                schema: &schema,
                upgrades: self.operation.name == UPGRADE_UNIFORM,
            };
            // These take files as they are, also those from before there were rules.
            let is_new = !matches!(self.operation.name.as_str(), "CLONE" | "CONVERT" | "RESTORE");
            let added = self.files.iter().filter(|_| is_new).filter_map(|a| match a {
                Action::Add(add) => Some(add),
                _ => None,
            });
            iceberg_compat::check(&change, added)?;
        }
        Ok(())
    }

    pub async fn commit(self) -> Result<Committed> {
        if let Err(e) = self.check() {
            self.discard().await;
            return Err(e);
        }
        let txn_id = uuid::Uuid::new_v4().to_string();
        let mut current = self.read.clone();
        for attempt in 0..MAX_ATTEMPTS {
            let version = current.as_ref().map_or(0, |s| s.version() + 1);
            if let Some(current) = &current
                && current.is_gone().await?
            {
                self.discard().await;
                return Err(error::gone(&self.location));
            }
            let mut actions = self.actions(current.as_ref(), &txn_id)?;
            let protocol = self.protocol.as_ref().or(self.read.as_ref().map(Snapshot::protocol));
            let metadata = self.metadata.as_ref().or(current.as_ref().map(Snapshot::metadata));
            let suspended = metadata.is_some_and(row_tracking::is_suspended);
            if protocol.is_some_and(row_tracking::is_supported) && !suspended {
                let mark = match &current {
                    Some(current) => row_tracking::high_water_mark(current).await?,
                    None => -1,
                };
                row_tracking::assign(&mut actions, mark, version)?;
            }
            let content = to_lines(&actions)?;
            let outcome = match commit_file::commit(&self.location, version, content).await {
                Ok(outcome) => outcome,
                // The store may have done it and the answer got lost. Where that cannot be told, nothing is deleted.
                Err(e) if self.is_ours(version, &txn_id).await.unwrap_or(false) => {
                    tracing::debug!("the commit of version {version} was reported as failed: {e}");
                    PutOutcome::Written
                }
                Err(e) => {
                    if let Some(current) = &current
                        && (self.location.has_lost_its_log() || current.is_gone().await.unwrap_or(false))
                    {
                        self.discard().await;
                        return Err(error::gone(&self.location));
                    }
                    return Err(e);
                }
            };
            if outcome == PutOutcome::Written || self.is_ours(version, &txn_id).await? {
                return self.committed(current, version, &actions, &txn_id).await;
            }
            if attempt > 3 {
                // Many writers at once: make way a little.
                let ms = rand_ms(&txn_id, attempt);
                tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
            }
            // From here the commit surely has not happened.
            current = match self.after_others(current, &actions).await {
                Ok(after) => Some(after),
                Err(e) => {
                    self.discard().await;
                    return Err(e);
                }
            };
        }
        self.discard().await;
        Err(Error::new("DELTA_MAX_COMMIT_RETRIES_EXCEEDED").param("numAttempts", MAX_ATTEMPTS).message(
            format!("The commit to {} lost {MAX_ATTEMPTS} races against others.", self.location.uri()),
        ))
    }

    /// Deletes the files of a commit that does not happen.
    async fn discard(&self) {
        let paths = self.written.iter().filter_map(|p| self.location.resolve(p).ok()).collect();
        delete_quietly(&self.location, paths).await;
    }

    /// The table after the commits that came first, each of which leaves ours valid.
    async fn after_others(&self, current: Option<Snapshot>, actions: &[Action]) -> Result<Snapshot> {
        let Some(mut current) = current else {
            return Err(Error::new("DELTA_PROTOCOL_CHANGED")
                .message(format!(
                    "Another writer created a table in {} at the same time. Try again.",
                    self.location.uri()
                ))
                .exception(error::PROTOCOL_CHANGED));
        };
        let read = self.read.as_ref().unwrap_or(&current).clone();
        let ours = Ours { reads: &self.reads, actions, isolation: self.isolation(), snapshot: &read };
        for commit in log::commits_from(&self.location, current.version() + 1).await? {
            let Some(winner) = log::read_commit(&self.location, commit.version).await? else { break };
            conflict::check(&self.location, &ours, commit.version, &winner)?;
            current = current.after(commit, &winner).await?;
        }
        Ok(current)
    }

    async fn is_ours(&self, version: i64, txn_id: &str) -> Result<bool> {
        managed::publish(&self.location).await?;
        let actions = log::read_commit(&self.location, version).await?.unwrap_or_default();
        Ok(actions
            .iter()
            .any(|a| matches!(a, Action::CommitInfo(info) if info.text("txnId") == Some(txn_id))))
    }

    fn actions(&self, current: Option<&Snapshot>, txn_id: &str) -> Result<Vec<Action>> {
        let info = self.commit_info(current, txn_id)?;
        let metadata = self.metadata.clone().map(|m| self.with_enablement(m, current, &info));
        let mut out = vec![Action::CommitInfo(info)];
        out.extend(metadata.map(Action::Metadata));
        out.extend(self.protocol.clone().map(Action::Protocol));
        out.extend(self.txn.clone().map(Action::Txn));
        out.extend(self.domains.iter().cloned().map(Action::DomainMetadata));
        out.extend(self.files.iter().cloned());
        Ok(out)
    }

    /// A table that gets in-commit timestamps later records from when on it has them.
    fn with_enablement(
        &self,
        mut metadata: Metadata,
        current: Option<&Snapshot>,
        info: &CommitInfo,
    ) -> Metadata {
        let (Some(current), Some(timestamp)) = (current, info.long("inCommitTimestamp")) else {
            return metadata;
        };
        if !self.read.as_ref().is_some_and(Snapshot::in_commit_timestamps) {
            let configuration = &mut metadata.configuration;
            configuration.insert(
                "delta.inCommitTimestampEnablementVersion".into(),
                (current.version() + 1).to_string(),
            );
            configuration.insert("delta.inCommitTimestampEnablementTimestamp".into(), timestamp.to_string());
        }
        metadata
    }

    fn commit_info(&self, current: Option<&Snapshot>, txn_id: &str) -> Result<CommitInfo> {
        let now = clock::now_ms();
        let mut info = Map::new();
        if self.property("delta.enableInCommitTimestamps").is_some_and(is_true) {
            let previous = current.map_or(i64::MIN, |s| s.timestamp_ms().saturating_add(1));
            info.insert("inCommitTimestamp".into(), now.max(previous).into());
        }
        info.insert("timestamp".into(), now.into());
        info.extend(self.tags.clone());
        info.insert("operation".into(), self.operation.name.clone().into());
        info.insert("operationParameters".into(), Value::Object(self.operation.parameters.clone()));
        match &self.read {
            Some(read) => {
                info.insert("readVersion".into(), read.version().into());
            }
            // delta-spark commits these by `commitLarge`, which tells what came before the first version.
            None if matches!(self.operation.name.as_str(), "CLONE" | "CONVERT") => {
                info.insert("readVersion".into(), (-1).into());
            }
            None => {}
        }
        info.insert("isolationLevel".into(), self.isolation().name().into());
        info.insert("isBlindAppend".into(), self.is_blind_append().into());
        info.insert("operationMetrics".into(), self.metrics.to_json()?);
        let notes = self.notes(current);
        if !notes.is_empty() {
            info.insert("tags".into(), Value::Object(notes));
        }
        if let Some(text) = &self.user_metadata {
            info.insert("userMetadata".into(), text.clone().into());
        }
        info.insert("engineInfo".into(), crate::ENGINE_INFO.into());
        info.insert("txnId".into(), txn_id.into());
        Ok(CommitInfo(info))
    }

    async fn committed(
        &self,
        before: Option<Snapshot>,
        version: i64,
        actions: &[Action],
        txn_id: &str,
    ) -> Result<Committed> {
        let path = self.location.log_path(&commit_name(version));
        fault::point("delta::after-commit")?;
        let snapshot = match (&before, self.location.store().head(&path).await) {
            (Some(before), Ok(meta)) => before.after(CommitFile { version, meta }, actions).await?,
            // Another table may be in its place, which has nothing to do with this commit.
            (Some(before), Err(_)) if before.is_gone().await.unwrap_or(false) => {
                return Err(error::gone(&self.location));
            }
            (None, _) => {
                let known = Known::nothing().after(actions, None);
                Snapshot::load(&self.location, Some(version)).await?.knowing(known)
            }
            _ => Snapshot::load(&self.location, Some(version)).await?,
        };
        checksum::write(&snapshot, txn_id).await;
        let interval = checkpoint_interval(&snapshot);
        compaction::write_if_due(&snapshot, interval).await;
        if version > 0 && version % interval == 0 {
            match checkpoint::write(&snapshot).await {
                Ok(()) => cleanup::expire(&snapshot).await,
                Err(e) => tracing::warn!(table = self.location.uri(), version, "no checkpoint: {e}"),
            }
        }
        let added = actions.iter().filter_map(|a| match a {
            Action::Add(add) => Some(add.path.clone()),
            _ => None,
        });
        let added = added.collect();
        Ok(Committed { version, snapshot, metrics: self.metrics.0.clone(), added })
    }
}

/// Up to 20 ms more with each attempt, half a second at most; not the same for two writers.
fn rand_ms(txn_id: &str, attempt: usize) -> u64 {
    let seed = txn_id.bytes().fold(attempt as u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
    seed % (20 * attempt as u64).clamp(1, 500)
}

/// Commits from one checkpoint to the next.
fn checkpoint_interval(snapshot: &Snapshot) -> i64 {
    let interval = snapshot.property("delta.checkpointInterval").and_then(|v| v.parse::<i64>().ok());
    interval.filter(|v| *v > 0).unwrap_or(10)
}

fn to_lines(actions: &[Action]) -> Result<Bytes> {
    let mut out = String::new();
    for action in actions {
        out.push_str(&action.to_json()?);
        out.push('\n');
    }
    Ok(Bytes::from(out))
}
