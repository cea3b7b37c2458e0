//! The transaction log: its files, reading and writing them. Nothing here knows what the actions mean.

pub(crate) mod checkpoint;
pub(crate) mod checksum;
pub(crate) mod cleanup;
pub(crate) mod commit_file;
pub(crate) mod compaction;
pub(crate) mod hiding_store;
pub(crate) mod kernel;
pub(crate) mod managed;
pub(crate) mod timeline;

use std::collections::{BTreeSet, HashMap};

use boathouse_spec::{Error, Result};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};

use crate::action::Action;
use crate::disk;
use crate::location::TableLocation;

/// The hint that tells a reader of the last checkpoint ("Last Checkpoint File" in PROTOCOL.md).
pub(crate) const LAST_CHECKPOINT: &str = "_last_checkpoint";

/// The name of a version's commit file.
pub(crate) fn commit_name(version: i64) -> String {
    format!("{version:020}.json")
}

/// What a file in the log directory is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFile {
    Commit(i64),
    Checkpoint(i64),
    /// What a version is in short.
    Checksum(i64),
    /// The commits from one version to another as one.
    Compacted(i64, i64),
    Other,
}

pub(crate) fn classify(name: &str) -> LogFile {
    let Some((number, rest)) = name.split_once('.') else {
        return LogFile::Other;
    };
    if number.len() != 20 {
        return LogFile::Other;
    }
    let Ok(version) = number.parse::<i64>() else {
        return LogFile::Other;
    };
    if rest == "json" {
        LogFile::Commit(version)
    } else if rest == "crc" {
        LogFile::Checksum(version)
    } else if let Some(until) = rest.strip_suffix(".compacted.json").filter(|u| u.len() == 20) {
        until.parse().map_or(LogFile::Other, |until| LogFile::Compacted(version, until))
    } else if rest.starts_with("checkpoint.") && (rest.ends_with(".parquet") || rest.ends_with(".json")) {
        LogFile::Checkpoint(version)
    } else {
        LogFile::Other
    }
}

/// The commit file of a version, as found in storage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CommitFile {
    pub version: i64,
    pub meta: ObjectMeta,
}

impl CommitFile {
    /// Milliseconds since the epoch.
    pub fn modified_ms(&self) -> i64 {
        self.meta.last_modified.timestamp_millis()
    }
}

/// All files of the log directory.
pub(crate) async fn list(location: &TableLocation) -> Result<Vec<ObjectMeta>> {
    let listed: object_store::Result<Vec<ObjectMeta>> =
        location.store().list(Some(&location.log_directory())).try_collect().await;
    let mut files = match listed {
        Ok(files) => files,
        Err(_) if location.is_below_file() => Vec::new(),
        Err(e) => return Err(Error::io(format!("listing the log of {}", location.uri()), e)),
    };
    files.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(files)
}

fn in_log_directory<'a>(location: &TableLocation, path: &'a Path) -> Option<&'a str> {
    let name = location.relativize(path)?.strip_prefix(crate::location::LOG_DIRECTORY)?.strip_prefix('/')?;
    (!name.contains('/')).then_some(name)
}

/// The commit files of the log, in the order of their versions.
pub(crate) async fn list_commits(location: &TableLocation) -> Result<Vec<CommitFile>> {
    Ok(commits_among(location, list(location).await?))
}

pub(crate) fn commits_among(location: &TableLocation, files: Vec<ObjectMeta>) -> Vec<CommitFile> {
    let mut commits: Vec<_> = files
        .into_iter()
        .filter_map(|meta| match classify(in_log_directory(location, &meta.location)?) {
            LogFile::Commit(version) => Some(CommitFile { version, meta }),
            _ => None,
        })
        .collect();
    commits.sort_by_key(|c| c.version);
    commits
}

/// Commit files and checkpoint versions of the log.
pub(crate) async fn list_history(location: &TableLocation) -> Result<(Vec<CommitFile>, Vec<i64>)> {
    let files = list(location).await?;
    let names = files.iter().filter_map(|meta| in_log_directory(location, &meta.location));
    let checkpoints = complete_checkpoints(names);
    Ok((commits_among(location, files), checkpoints))
}

/// The versions of checkpoints of which no part is missing ("Multi-part checkpoints" in PROTOCOL.md), in order.
pub(crate) fn complete_checkpoints<'a>(names: impl Iterator<Item = &'a str>) -> Vec<i64> {
    let mut versions = BTreeSet::new();
    let mut parts: HashMap<(i64, usize), usize> = HashMap::new();
    for name in names {
        let LogFile::Checkpoint(version) = classify(name) else { continue };
        let number = |text: &str| (text.len() == 10).then(|| text.parse::<usize>().ok()).flatten();
        let mut pieces = name.split('.').skip(2);
        match (pieces.next().and_then(number), pieces.next().and_then(number)) {
            (Some(_), Some(of)) => {
                let found = parts.entry((version, of)).or_default();
                *found += 1;
                if *found == of {
                    versions.insert(version);
                }
            }
            _ => {
                versions.insert(version);
            }
        }
    }
    versions.into_iter().collect()
}

/// The commit file of a version; `None` where there is none.
pub(crate) async fn head_commit(location: &TableLocation, version: i64) -> Result<Option<CommitFile>> {
    match location.store().head(&location.log_path(&commit_name(version))).await {
        Ok(meta) => Ok(Some(CommitFile { version, meta })),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(Error::io(format!("reading the log of {}", location.uri()), e)),
    }
}

/// The commit file of `version` and those after it that are in storage, in order and without a gap.
///
/// On a local disk the next version is asked for by name; an object store is listed once.
pub(crate) async fn commits_from(location: &TableLocation, version: i64) -> Result<Vec<CommitFile>> {
    let mut found = Vec::new();
    if location.is_local() {
        for next in version.. {
            match location.store().head(&location.log_path(&commit_name(next))).await {
                Ok(meta) => found.push(CommitFile { version: next, meta }),
                Err(object_store::Error::NotFound { .. }) => break,
                Err(e) => return Err(Error::io(format!("reading the log of {}", location.uri()), e)),
            }
        }
        return Ok(found);
    }
    let before = location.log_path(&format!("{version:020}.jso"));
    let files: Vec<ObjectMeta> = location
        .store()
        .list_with_offset(Some(&location.log_directory()), &before)
        .try_collect()
        .await
        .map_err(|e| Error::io(format!("listing the log of {}", location.uri()), e))?;
    let contiguous = commits_among(location, files).into_iter().zip(version..);
    found.extend(
        contiguous.take_while(|(commit, expected)| commit.version == *expected).map(|(commit, _)| commit),
    );
    Ok(found)
}

/// The actions of a version; `None` where its commit file does not exist.
pub(crate) async fn read_commit(location: &TableLocation, version: i64) -> Result<Option<Vec<Action>>> {
    let name = commit_name(version);
    let path = location.log_path(&name);
    let bytes = match location.store().get(&path).await {
        Ok(result) => result.bytes().await.map_err(|e| Error::io(format!("reading {path}"), e))?,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(e) => return Err(Error::io(format!("reading {path}"), e)),
    };
    Action::parse_commit(&bytes, &format!("{}/_delta_log/{name}", location.uri())).map(Some)
}

/// Writes a file that says what other files say too.
pub(crate) async fn put_derived(
    location: &TableLocation,
    path: &Path,
    content: Vec<u8>,
    mode: PutMode,
) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| Error::io(format!("writing {path}"), e);
    if let Some((root, file)) = location.local_root(path).zip(location.local_path(path)) {
        let written = tokio::task::spawn_blocking(move || {
            let is_there = mode == PutMode::Create && file.exists();
            if is_there { Ok(()) } else { disk::put(&root, &file, &content) }
        });
        return written.await.map_err(|e| failed(&e))?.map_err(|e| failed(&e));
    }
    match location.store().put_opts(path, content.into(), mode.into()).await {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(e) => Err(failed(&e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_log() {
        assert_eq!(classify("00000000000000000012.json"), LogFile::Commit(12));
        assert_eq!(classify("00000000000000000010.checkpoint.parquet"), LogFile::Checkpoint(10));
        assert_eq!(
            classify("00000000000000000010.checkpoint.0000000001.0000000002.parquet"),
            LogFile::Checkpoint(10)
        );
        assert_eq!(classify("00000000000000000010.crc"), LogFile::Checksum(10));
        let compacted = "00000000000000000010.00000000000000000019.compacted.json";
        assert_eq!(classify(compacted), LogFile::Compacted(10, 19));
        let named = "00000000000000000010.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json";
        assert_eq!(classify(named), LogFile::Checkpoint(10));
        let part = |i: usize, of: usize| format!("{:020}.checkpoint.{i:010}.{of:010}.parquet", 7);
        assert_eq!(complete_checkpoints([part(1, 2).as_str()].into_iter()), Vec::<i64>::new());
        assert_eq!(complete_checkpoints([part(1, 2).as_str(), part(2, 2).as_str()].into_iter()), [7]);
        assert_eq!(complete_checkpoints([named, part(1, 2).as_str()].into_iter()), [10]);
        assert_eq!(classify(LAST_CHECKPOINT), LogFile::Other);
        assert_eq!(classify(".00000000000000000012.json.tmp"), LogFile::Other);
    }
}
