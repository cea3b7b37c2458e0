//! A table by its location: opening it, its versions in time, and the snapshots that queries share.

use std::collections::HashMap;
use std::sync::Arc;

use boathouse_spec::Result;
use futures::StreamExt;
use object_store::ObjectStore;
use parking_lot::Mutex;

use crate::error;
use crate::location::TableLocation;
use crate::log::{self, LogFile, classify, managed, timeline};
use crate::snapshot::Snapshot;

pub use crate::log::timeline::TimestampRules;

/// The snapshots last seen: a query on a known table costs one look at its log.
#[derive(Default)]
pub struct SnapshotCache {
    /// By location, by what the catalog that manages the table's commits knows it by, and by version where one was asked for; the
    /// last used at the end.
    entries: Mutex<Vec<(Key, Snapshot)>>,
    /// Tables that are being opened, so that many who ask at once share what one reads.
    opening: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

type Key = (String, Option<String>, Option<i64>);

fn key_of(location: &TableLocation, version: Option<i64>) -> Key {
    (location.uri(), location.coordinator().map(|c| c.table_id()), version)
}

/// Snapshots remembered by a cache.
const CACHED_SNAPSHOTS: usize = 256;

impl SnapshotCache {
    pub fn new() -> Self {
        Self::default()
    }

    /// The latest snapshot of a table.
    pub async fn latest(&self, location: &TableLocation) -> Result<Snapshot> {
        let key = key_of(location, None);
        let snapshot = match self.get(&key) {
            Some(known) => self.updated(known, location).await?,
            None => {
                let turn = self.opening.lock().entry(key.0.clone()).or_default().clone();
                let opened = {
                    let _turn = turn.lock().await;
                    match self.get(&key) {
                        Some(known) => self.updated(known, location).await,
                        None => Snapshot::load(location, None).await,
                    }
                    .inspect(|snapshot| self.insert(key.clone(), snapshot.clone()))
                };
                self.opening.lock().retain(|uri, turn| *uri != key.0 || Arc::strong_count(turn) > 2);
                return opened;
            }
        };
        self.insert(key, snapshot.clone());
        Ok(snapshot)
    }

    async fn updated(&self, known: Snapshot, location: &TableLocation) -> Result<Snapshot> {
        known.update().await.inspect_err(|_| self.forget(location))
    }

    /// A version of a table.
    pub async fn at(&self, location: &TableLocation, version: i64) -> Result<Snapshot> {
        let latest = self.get(&key_of(location, None)).filter(|s| s.version() == version);
        let key = key_of(location, Some(version));
        if let Some(known) = latest.or_else(|| self.get(&key))
            && known.is_current_table().await
        {
            return Ok(known);
        }
        let snapshot = Snapshot::load(location, Some(version)).await?;
        self.insert(key, snapshot.clone());
        Ok(snapshot)
    }

    /// Remembers a snapshot as the latest, such as the one a commit made.
    pub fn put(&self, snapshot: Snapshot) {
        self.insert(key_of(snapshot.location(), None), snapshot);
    }

    /// Forgets a table, such as one that was dropped.
    pub fn forget(&self, location: &TableLocation) {
        let uri = location.uri();
        self.entries.lock().retain(|((u, ..), _)| *u != uri);
    }

    fn get(&self, key: &Key) -> Option<Snapshot> {
        self.entries.lock().iter().find(|(k, _)| k == key).map(|(_, s)| s.clone())
    }

    fn insert(&self, key: Key, snapshot: Snapshot) {
        let mut entries = self.entries.lock();
        entries.retain(|(k, _)| *k != key);
        entries.push((key, snapshot));
        if entries.len() > CACHED_SNAPSHOTS {
            entries.remove(0);
        }
    }
}

/// A Delta table.
#[derive(Clone)]
pub struct DeltaTable {
    location: TableLocation,
    cache: Arc<SnapshotCache>,
}

impl DeltaTable {
    pub fn new(location: TableLocation, cache: Arc<SnapshotCache>) -> Self {
        Self { location, cache }
    }

    /// Whether there is a transaction log at the location.
    pub async fn is_delta_table(location: &TableLocation) -> Result<bool> {
        let mut files = location.store().list(Some(&location.log_directory()));
        while let Some(file) = files.next().await {
            match file {
                Ok(meta) => {
                    let name = meta.location.filename().unwrap_or_default();
                    if classify(name) != LogFile::Other {
                        return Ok(true);
                    }
                }
                Err(object_store::Error::NotFound { .. }) => return Ok(false),
                // Nothing can be inside what is no directory.
                Err(_) if location.is_below_file() => return Ok(false),
                Err(e) => {
                    return Err(boathouse_spec::Error::io(
                        format!("listing the log of {}", location.uri()),
                        e,
                    ));
                }
            }
        }
        Ok(false)
    }

    /// The snapshot of a version, the latest where none is named. Nothing is cached.
    pub async fn load(location: &TableLocation, version: Option<i64>) -> Result<Snapshot> {
        Snapshot::load(location, version).await
    }

    pub fn location(&self) -> &TableLocation {
        &self.location
    }

    pub fn cache(&self) -> &Arc<SnapshotCache> {
        &self.cache
    }

    pub async fn latest(&self) -> Result<Snapshot> {
        self.cache.latest(&self.location).await
    }

    /// The snapshot of a version (`VERSION AS OF`).
    pub async fn at_version(&self, version: i64) -> Result<Snapshot> {
        let (first, last) = self.versions().await?;
        if version < first || version > last {
            return Err(error::version_not_found(version, first, last));
        }
        self.cache.at(&self.location, version).await
    }

    /// The snapshot that was current at an instant (`TIMESTAMP AS OF`).
    pub async fn at_timestamp(&self, at_ms: i64) -> Result<Snapshot> {
        let version = self.version_at_timestamp(at_ms, TimestampRules::default()).await?;
        self.cache.at(&self.location, version).await
    }

    /// The first and the last version that can be had.
    pub async fn versions(&self) -> Result<(i64, i64)> {
        managed::publish(&self.location).await?;
        let (commits, checkpoints) = log::list_history(&self.location).await?;
        if commits.is_empty() && checkpoints.is_empty() {
            return Err(error::not_a_table(&self.location));
        }
        timeline::version_range(&commits, &checkpoints).ok_or_else(|| timeline::no_history(&self.location))
    }

    /// The version that was current at an instant, in milliseconds since the epoch.
    pub async fn version_at_timestamp(&self, at_ms: i64, rules: TimestampRules) -> Result<i64> {
        let (commits, enabled) = self.reachable_commits().await?;
        timeline::version_at_instant(&self.location, &commits, enabled, at_ms, rules).await
    }

    /// The versions that can be had, with their instants in milliseconds since the epoch.
    pub async fn version_times(&self) -> Result<Vec<(i64, i64)>> {
        let (commits, enabled) = self.reachable_commits().await?;
        timeline::commit_times(&self.location, &commits, enabled).await
    }

    /// The commits whose versions can be had, and from which on they carry their timestamps.
    async fn reachable_commits(&self) -> Result<(Vec<log::CommitFile>, Option<timeline::Enablement>)> {
        let latest = self.latest().await?;
        let (commits, checkpoints) = log::list_history(&self.location).await?;
        let (first, _) = timeline::version_range(&commits, &checkpoints)
            .ok_or_else(|| timeline::no_history(&self.location))?;
        let reachable = commits.into_iter().filter(|c| c.version >= first).collect();
        Ok((reachable, timeline::Enablement::of(&latest)))
    }
}
