//! Whether a commit that came first leaves ours valid: Spark's rules (`ConflictChecker`), as a function of both.

use std::collections::HashSet;
use std::sync::Arc;

use boathouse_spec::{Error, Result};
use datafusion::physical_expr::PhysicalExpr;

use super::commit::IsolationLevel;
use crate::action::{Action, Add, CommitInfo, FileKey};
use crate::error;
use crate::file_set::FileSet;
use crate::location::TableLocation;
use crate::snapshot::Snapshot;

/// What a transaction has read of its table.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadSet {
    /// Everything: any change of data concerns us.
    pub whole_table: bool,
    /// Each entry is a conjunction: files that may pass all of it concern us.
    pub predicates: Vec<Vec<Arc<dyn PhysicalExpr>>>,
    /// Files that were read.
    pub files: HashSet<FileKey>,
    /// Applications whose progress was read.
    pub app_ids: HashSet<String>,
}

impl ReadSet {
    pub fn whole_table() -> Self {
        Self { whole_table: true, ..Self::default() }
    }

    /// Adds what was read beside.
    pub fn extend(&mut self, other: Self) {
        self.whole_table |= other.whole_table;
        self.predicates.extend(other.predicates);
        self.files.extend(other.files);
        self.app_ids.extend(other.app_ids);
    }

    pub fn is_empty(&self) -> bool {
        !self.whole_table && self.predicates.is_empty() && self.files.is_empty()
    }
}

/// Our side of the check.
pub(crate) struct Ours<'a> {
    pub reads: &'a ReadSet,
    pub actions: &'a [Action],
    pub isolation: IsolationLevel,
    /// The snapshot that was read, for what its columns are.
    pub snapshot: &'a Snapshot,
}

/// Fails where the commit of `version` concerns what we read or change.
pub(crate) fn check(
    location: &TableLocation,
    ours: &Ours<'_>,
    version: i64,
    winner: &[Action],
) -> Result<()> {
    let info = winner.iter().find_map(|a| match a {
        Action::CommitInfo(info) => Some(info),
        _ => None,
    });
    let operation = info.and_then(|i| i.text("operation")).unwrap_or("commit").to_string();
    let blind_append = info.and_then(|i| i.boolean("isBlindAppend")).unwrap_or(false);
    let conflict = |class: &str, exception: &'static str, what: &str| {
        Error::new(class)
            .param("operation", &operation)
            .param("tableName", location.uri())
            .param("version", version)
            .param("docLink", "https://docs.delta.io/latest/concurrency-control.html")
            .message(format!(
                "Another writer's {operation}, committed as version {version} of {}, {what}. Try again.",
                location.uri()
            ))
            .exception(exception)
    };

    let our_metadata = ours.actions.iter().any(|a| matches!(a, Action::Metadata(_)));
    for action in winner {
        match action {
            Action::Protocol(_) => {
                return Err(conflict(
                    "DELTA_PROTOCOL_CHANGED",
                    error::PROTOCOL_CHANGED,
                    "changed the table's protocol",
                ));
            }
            // From then on rows keep their ids; what ours wrote has ids as all new files.
            Action::Metadata(_) if !our_metadata && only_enables_row_tracking(info) => {}
            Action::Metadata(_) => {
                return Err(conflict(
                    "DELTA_METADATA_CHANGED",
                    error::METADATA_CHANGED,
                    "changed the table's schema, partitioning or properties",
                ));
            }
            Action::Txn(txn) if ours.reads.app_ids.contains(&txn.app_id) => {
                return Err(conflict(
                    "DELTA_CONCURRENT_TRANSACTION",
                    error::CONCURRENT_TRANSACTION,
                    "was written by the same application: the same streaming query runs twice",
                ));
            }
            // Ids of rows are given anew behind theirs.
            Action::DomainMetadata(theirs) if theirs.domain == crate::row_tracking::DOMAIN => {}
            Action::DomainMetadata(theirs)
                if ours
                    .actions
                    .iter()
                    .any(|a| matches!(a, Action::DomainMetadata(d) if d.domain == theirs.domain)) =>
            {
                return Err(conflict(
                    "DELTA_METADATA_CHANGED",
                    error::METADATA_CHANGED,
                    "changed the same domain of the table's metadata",
                ));
            }
            _ => {}
        }
    }

    let added: Vec<&Add> = winner
        .iter()
        .filter_map(|a| match a {
            Action::Add(add) if add.data_change => Some(add),
            _ => None,
        })
        .collect();
    let checks_appends = match ours.isolation {
        IsolationLevel::Serializable => true,
        // A blind append may as well have come after us, unless we changed what rows are.
        IsolationLevel::WriteSerializable => !blind_append || our_metadata,
        IsolationLevel::SnapshotIsolation => false,
    };
    if checks_appends && !added.is_empty() && concerns(ours, &added)? {
        return Err(conflict(
            "DELTA_CONCURRENT_APPEND.WITHOUT_HINT",
            error::CONCURRENT_APPEND,
            "added rows that this one should have read",
        ));
    }

    let removed: HashSet<FileKey> = winner
        .iter()
        .filter_map(|a| match a {
            Action::Remove(r) => Some(r.key()),
            _ => None,
        })
        .collect();
    if removed.is_empty() {
        return Ok(());
    }
    // Another deletion vector on a file makes it another logical file: what we read of it is void.
    let removed_paths: HashSet<&str> = removed.iter().map(|k| k.path.as_str()).collect();
    let read = ours.reads.files.iter().any(|k| removed_paths.contains(k.path.as_str()));
    let whole = ours.reads.whole_table && ours.isolation != IsolationLevel::SnapshotIsolation;
    if read || whole {
        return Err(conflict(
            "DELTA_CONCURRENT_DELETE_READ.WITHOUT_HINT",
            error::CONCURRENT_DELETE_READ,
            "removed a file that this one read",
        ));
    }
    let ours_removed = ours.actions.iter().filter_map(|a| match a {
        Action::Remove(r) => Some(r.path.as_str()),
        _ => None,
    });
    for path in ours_removed {
        if removed_paths.contains(path) {
            return Err(conflict(
                "DELTA_CONCURRENT_DELETE_DELETE.WITHOUT_HINT",
                error::CONCURRENT_DELETE_DELETE,
                "removed a file that this one removes too",
            ));
        }
    }
    Ok(())
}

/// Whether the commit turned row tracking on and did nothing else (`RowTracking.canResolveMetadataUpdateConflict`).
fn only_enables_row_tracking(info: Option<&CommitInfo>) -> bool {
    let tags = info.and_then(|info| info.0.get("tags"));
    tags.and_then(|tags| tags.get(crate::row_tracking::ONLY_ENABLES)).and_then(|v| v.as_str()) == Some("true")
}

/// Whether new files may have rows that we would have read.
fn concerns(ours: &Ours<'_>, added: &[&Add]) -> Result<bool> {
    if ours.reads.whole_table {
        return Ok(true);
    }
    let columns = ours.snapshot.columns();
    let set = FileSet::new(added.iter().map(|a| (*a).clone()).collect());
    for filters in &ours.reads.predicates {
        if !set.pruned(columns, &columns.logical, filters)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
