//! What commits changed, one after the other: the source of streams.

use boathouse_spec::{Error, Result};

use crate::action::{Action, Add, Cdc, CommitInfo, Metadata, Protocol, Remove};
use crate::location::TableLocation;
use crate::log;

/// The actions of a version, by kind.
#[derive(Debug, Clone, Default)]
pub struct CommitChanges {
    pub version: i64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Files that came, `data_change` or not.
    pub adds: Vec<Add>,
    pub removes: Vec<Remove>,
    /// Those of both in the order of the commit.
    pub files: Vec<FileChange>,
    pub cdc: Vec<Cdc>,
    pub metadata: Option<Metadata>,
    pub protocol: Option<Protocol>,
    pub info: CommitInfo,
}

/// A file that a commit added or removed, by its place among `adds` or `removes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileChange {
    Add(usize),
    Remove(usize),
}

impl CommitChanges {
    /// Whether rows were deleted or changed, beyond what was added.
    pub fn removes_data(&self) -> bool {
        self.removes.iter().any(|r| r.data_change)
    }

    pub fn adds_data(&self) -> bool {
        self.adds.iter().any(|a| a.data_change)
    }
}

/// The commits of the versions `from..=to` that exist. A version missing in between, or `from` cleaned up, is an error.
pub async fn changes(location: &TableLocation, from: i64, to: Option<i64>) -> Result<Vec<CommitChanges>> {
    let mut out = Vec::new();
    for commit in log::commits_from(location, from).await? {
        if to.is_some_and(|to| commit.version > to) {
            break;
        }
        let Some(actions) = log::read_commit(location, commit.version).await? else {
            return Err(lost(location, commit.version));
        };
        out.push(sorted(commit.version, commit.modified_ms(), actions));
    }
    let complete = match to {
        Some(to) if from <= to => out.last().is_some_and(|c| c.version == to),
        _ => true,
    };
    if !complete || out.is_empty() {
        let (commits, checkpoints) = log::list_history(location).await?;
        let last = commits
            .last()
            .map(|c| c.version)
            .into_iter()
            .chain(checkpoints.last().copied())
            .max()
            .unwrap_or(-1);
        let missing = out.last().map_or(from, |c| c.version + 1);
        if missing <= last && to.is_none_or(|to| missing <= to) {
            return Err(lost(location, missing));
        }
    }
    Ok(out)
}

/// The commits of the versions `from..=to` that are there; those that were cleaned up are left out.
pub async fn kept_changes(location: &TableLocation, from: i64, to: i64) -> Result<Vec<CommitChanges>> {
    let mut commits = log::commits_from(location, from).await?;
    if commits.last().is_none_or(|last| last.version < to) {
        commits = log::list_history(location).await?.0;
    }
    let mut out = Vec::new();
    for commit in commits.into_iter().filter(|c| (from..=to).contains(&c.version)) {
        if let Some(actions) = log::read_commit(location, commit.version).await? {
            out.push(sorted(commit.version, commit.modified_ms(), actions));
        }
    }
    Ok(out)
}

fn sorted(version: i64, timestamp_ms: i64, actions: Vec<Action>) -> CommitChanges {
    let mut out = CommitChanges { version, timestamp_ms, ..CommitChanges::default() };
    for action in actions {
        match action {
            Action::Add(a) => {
                out.files.push(FileChange::Add(out.adds.len()));
                out.adds.push(a);
            }
            Action::Remove(r) => {
                out.files.push(FileChange::Remove(out.removes.len()));
                out.removes.push(r);
            }
            Action::Cdc(c) => out.cdc.push(c),
            Action::Metadata(m) => out.metadata = Some(m),
            Action::Protocol(p) => out.protocol = Some(p),
            Action::CommitInfo(info) => {
                out.timestamp_ms = info.long("inCommitTimestamp").unwrap_or(timestamp_ms);
                out.info = info;
            }
            Action::Txn(_) | Action::DomainMetadata(_) => {}
        }
    }
    out
}

fn lost(location: &TableLocation, version: i64) -> Error {
    Error::new("DELTA_MISSING_FILES_UNEXPECTED_VERSION").message(format!(
        "The commit of version {version} of {} is no longer in its log: the reader is behind the log's retention \
         (delta.logRetentionDuration).",
        location.uri()
    ))
}
