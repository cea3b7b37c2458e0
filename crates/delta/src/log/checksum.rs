//! Checksum files: what a version is in short, beside its commit ("Version Checksum File" in PROTOCOL.md).
//!
//! A reader that finds one needs no replay for protocol, metadata, transactions and domains. They are written after each
//! commit from what is known anyway: what is not known is left out, and without the number and size of the files there is
//! no checksum. Nothing depends on them, so that none is forced to disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use boathouse_spec::Error;
use delta_kernel::SnapshotRef;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};

use super::{commit_name, put_derived};
use crate::action::{Action, DomainMetadata, Metadata, Protocol, Txn};
use crate::location::TableLocation;
use crate::snapshot::Snapshot;

/// More transactions or domains than this are not written into every checksum (Spark:
/// `spark.databricks.delta.setTransactionsInCrc.maxAllowed`).
const MAX_LISTED: usize = 100;
/// What is read of a commit to tell whether a checksum is its own: who committed and what the table is come first.
const COMMIT_HEAD: u64 = 64 * 1024;

/// The files of a version together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub files: i64,
    pub bytes: i64,
    /// Files with a deletion vector, and the rows they delete.
    pub vectors: i64,
    pub deleted: i64,
}

/// What is known of a version without reading more of its log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub totals: Option<Totals>,
    /// All of them, by application.
    pub txns: Option<Arc<BTreeMap<String, Txn>>>,
    /// All that were not removed, by domain.
    pub domains: Option<Arc<BTreeMap<String, DomainMetadata>>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Checksum {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn_id: Option<String>,
    pub table_size_bytes: i64,
    pub num_files: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_deleted_records_opt: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_deletion_vectors_opt: Option<i64>,
    pub num_metadata: i64,
    pub num_protocol: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_commit_timestamp_opt: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_transactions: Option<Vec<Txn>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_metadata: Option<Vec<DomainMetadata>>,
    pub metadata: Metadata,
    pub protocol: Protocol,
}

pub(crate) fn name(version: i64) -> String {
    format!("{version:020}.crc")
}

impl Known {
    /// Of a table that has no version yet.
    pub fn nothing() -> Self {
        Self { totals: Some(Totals::default()), txns: Some(Arc::default()), domains: Some(Arc::default()) }
    }

    pub fn of(checksum: &Checksum) -> Self {
        let by_app = |txns: &Vec<Txn>| txns.iter().map(|t| (t.app_id.clone(), t.clone())).collect();
        let by_name = |all: &Vec<DomainMetadata>| {
            all.iter().filter(|d| !d.removed).map(|d| (d.domain.clone(), d.clone())).collect()
        };
        let vectors = checksum.num_deletion_vectors_opt.zip(checksum.num_deleted_records_opt);
        let (vectors, deleted) = vectors.unwrap_or_default();
        Self {
            totals: Some(Totals {
                files: checksum.num_files,
                bytes: checksum.table_size_bytes,
                vectors,
                deleted,
            }),
            txns: checksum.set_transactions.as_ref().map(|t| Arc::new(by_app(t))),
            domains: checksum.domain_metadata.as_ref().map(|d| Arc::new(by_name(d))),
        }
    }

    /// What is known after a commit. Where the files are known, they are counted; else the commit says what it adds, and one
    /// that names files again, or does not say what goes, leaves their number unknown.
    pub fn after(&self, actions: &[Action], files: Option<Totals>) -> Self {
        let mut out = self.clone();
        for action in actions {
            match action {
                Action::Txn(txn) => {
                    if let Some(txns) = &mut out.txns {
                        Arc::make_mut(txns).insert(txn.app_id.clone(), txn.clone());
                    }
                }
                Action::DomainMetadata(d) => {
                    if let Some(domains) = &mut out.domains {
                        let domains = Arc::make_mut(domains);
                        domains.remove(&d.domain);
                        if !d.removed {
                            domains.insert(d.domain.clone(), d.clone());
                        }
                    }
                }
                _ => {}
            }
        }
        out.totals = files.or_else(|| self.totals.and_then(|t| t.appended(actions)));
        out
    }
}

impl Totals {
    /// After a commit that only brings files the table did not have.
    fn appended(mut self, actions: &[Action]) -> Option<Self> {
        for action in actions {
            match action {
                Action::Add(add) if add.data_change && add.deletion_vector.is_none() => {
                    self.files += 1;
                    self.bytes = self.bytes.checked_add(add.size)?;
                }
                Action::Add(_) | Action::Remove(_) => return None,
                _ => {}
            }
        }
        Some(self)
    }
}

/// Writes the checksum of a version, where what it needs is known. A reader needs none: a failure fails nothing.
pub(crate) async fn write(table: &Snapshot, txn_id: &str) {
    let Some(checksum) = of(table, txn_id) else { return };
    let path = table.location().log_path(&name(table.version()));
    let written = async {
        let content = serde_json::to_vec(&checksum).map_err(|e| Error::io(format!("writing {path}"), e))?;
        put_derived(table.location(), &path, content, PutMode::Create).await
    };
    if let Err(e) = written.await {
        tracing::debug!(table = table.location().uri(), "no checksum of version {}: {e}", table.version());
    }
}

fn of(table: &Snapshot, txn_id: &str) -> Option<Checksum> {
    let known = table.known();
    let totals = known.totals?;
    let vectors = table.protocol().has("deletionVectors");
    let txns = known.txns.as_ref().filter(|t| t.len() <= MAX_LISTED);
    let domains = known.domains.as_ref().filter(|d| d.len() <= MAX_LISTED);
    Some(Checksum {
        txn_id: Some(txn_id.to_string()),
        table_size_bytes: totals.bytes,
        num_files: totals.files,
        num_deleted_records_opt: vectors.then_some(totals.deleted),
        num_deletion_vectors_opt: vectors.then_some(totals.vectors),
        num_metadata: 1,
        num_protocol: 1,
        in_commit_timestamp_opt: table.in_commit_timestamps().then(|| table.timestamp_ms()),
        set_transactions: txns.map(|t| t.values().cloned().collect()),
        domain_metadata: domains.map(|d| d.values().cloned().collect()),
        metadata: table.metadata().clone(),
        protocol: table.protocol().clone(),
    })
}

/// What a checksum was found to be.
pub(crate) enum Found {
    /// There is none at or before the version that a reader would use.
    Nothing,
    /// What it says of the version it is for.
    Valid(i64, Box<Checksum>),
    /// It is not of the commit it stands beside: it must not be used.
    Wrong(Path),
}

/// The checksum that the kernel takes protocol and metadata from, held against the commit it stands beside.
pub(crate) async fn find(location: &TableLocation, kernel: &SnapshotRef) -> Found {
    match &kernel.log_segment().listed.latest_crc_file {
        Some(file) => check(location, file.version as i64).await,
        None => Found::Nothing,
    }
}

/// The checksum of a version, held against its commit.
pub(crate) async fn check(location: &TableLocation, version: i64) -> Found {
    let path = location.log_path(&name(version));
    let read = async { location.store().get(&path).await?.bytes().await };
    let Ok(bytes) = read.await else { return Found::Nothing };
    // The kernel passes over what is no checksum.
    let Ok(checksum) = serde_json::from_slice::<Checksum>(&bytes) else { return Found::Nothing };
    match commit_head(location, version).await {
        Some(actions) if !is_of(&checksum, &actions) => Found::Wrong(path),
        _ => Found::Valid(version, Box::new(checksum)),
    }
}

/// The first actions of a commit; `None` where it is not there any more.
async fn commit_head(location: &TableLocation, version: i64) -> Option<Vec<Action>> {
    let path = location.log_path(&commit_name(version));
    let options = GetOptions { range: Some(GetRange::Bounded(0..COMMIT_HEAD)), ..Default::default() };
    let bytes = location.store().get_opts(&path, options).await.ok()?.bytes().await.ok()?;
    let whole = if (bytes.len() as u64) < COMMIT_HEAD {
        &bytes[..]
    } else {
        // The last line may go on behind what was read.
        &bytes[..bytes.iter().rposition(|b| *b == b'\n')?]
    };
    Action::parse_commit(whole, path.as_ref()).ok()
}

/// Whether nothing in a commit contradicts a checksum.
fn is_of(checksum: &Checksum, actions: &[Action]) -> bool {
    checksum.num_metadata == 1
        && checksum.num_protocol == 1
        && actions.iter().all(|action| match action {
            Action::CommitInfo(info) => {
                let same_id = match (info.text("txnId"), &checksum.txn_id) {
                    (Some(theirs), Some(ours)) => theirs == ours,
                    _ => true,
                };
                let same_time = match (info.long("inCommitTimestamp"), checksum.in_commit_timestamp_opt) {
                    (Some(theirs), Some(ours)) => theirs == ours,
                    _ => true,
                };
                same_id && same_time
            }
            Action::Metadata(m) => is_same_metadata(m, &checksum.metadata),
            Action::Protocol(p) => is_same_protocol(p, &checksum.protocol),
            _ => true,
        })
}

fn is_same_metadata(a: &Metadata, b: &Metadata) -> bool {
    a.id == b.id
        && a.schema_string == b.schema_string
        && a.partition_columns == b.partition_columns
        && a.configuration == b.configuration
}

fn is_same_protocol(a: &Protocol, b: &Protocol) -> bool {
    let sorted = |features: &Option<Vec<String>>| {
        let mut features = features.clone().unwrap_or_default();
        features.sort();
        features
    };
    a.min_reader_version == b.min_reader_version
        && a.min_writer_version == b.min_writer_version
        && sorted(&a.reader_features) == sorted(&b.reader_features)
        && sorted(&a.writer_features) == sorted(&b.writer_features)
}
