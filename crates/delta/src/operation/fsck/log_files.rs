//! The files of the log beside commits that a reader may take for the latest version: checkpoints, the hint to the last one,
//! the checksum, compacted commits. A commit that is damaged cannot be made again: then the table does not open.

use std::collections::BTreeSet;

use boathouse_spec::{Error, Result};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::location::TableLocation;
use crate::log::checksum::{self, Found};
use crate::log::{self, LogFile, checkpoint, classify};
use crate::snapshot::Snapshot;

/// A file of the log that does not say what it should.
#[derive(Debug, Clone)]
pub struct BrokenLogFile {
    /// Below the log's directory.
    pub name: String,
    pub problem: &'static str,
    pub(super) needs_checkpoint: bool,
    path: Path,
}

/// The broken files of a log, in the order of their names.
pub(super) async fn find(table: &Snapshot) -> Result<Vec<BrokenLogFile>> {
    let location = table.location();
    let (mut found, mut last_checksum, mut whole) = (Vec::new(), None, BTreeSet::new());
    // The hint comes behind all checkpoints.
    for meta in log::list(location).await? {
        let path = meta.location;
        let Some(name) = path.filename() else { continue };
        let problem = match classify(name) {
            LogFile::Checksum(version) if version <= table.version() => {
                last_checksum = last_checksum.max(Some(version));
                None
            }
            LogFile::Checkpoint(version) => {
                let is_whole = checkpoint::is_whole(location, &path).await?;
                if is_whole {
                    whole.insert(version);
                }
                (!is_whole).then_some(("the checkpoint cannot be read", true))
            }
            LogFile::Compacted(..) if !is_readable(location, &path).await? => {
                Some(("the compacted commits cannot be read", false))
            }
            _ if path == location.log_path(log::LAST_CHECKPOINT) => {
                let leads = hinted(location, &path).await?.is_some_and(|version| whole.contains(&version));
                (!leads).then_some(("it names no checkpoint that can be read", true))
            }
            _ => None,
        };
        if let Some((problem, needs_checkpoint)) = problem {
            found.push(BrokenLogFile { name: name.to_string(), problem, needs_checkpoint, path });
        }
    }
    if let Some(version) = last_checksum
        && let Found::Wrong(path) = checksum::check(location, version).await
    {
        let name = path.filename().unwrap_or_default().to_string();
        let problem = "the checksum is not that of its commit";
        found.push(BrokenLogFile { name, problem, needs_checkpoint: false, path });
    }
    Ok(found)
}

async fn read(location: &TableLocation, path: &Path) -> Result<Vec<u8>> {
    let failed = |e| Error::io(format!("reading {path}"), e);
    let bytes = location.store().get(path).await.map_err(failed)?.bytes().await.map_err(failed)?;
    Ok(bytes.into())
}

async fn is_readable(location: &TableLocation, path: &Path) -> Result<bool> {
    Ok(crate::action::Action::parse_commit(&read(location, path).await?, path.as_ref()).is_ok())
}

/// The version of the checkpoint that a hint names; `None` where it names none.
async fn hinted(location: &TableLocation, hint: &Path) -> Result<Option<i64>> {
    let hint = serde_json::from_slice::<serde_json::Value>(&read(location, hint).await?);
    Ok(hint.ok().and_then(|hint| hint.get("version")?.as_i64()))
}

/// Deletes the broken files, after a checkpoint was written where one of them was to be one.
pub(super) async fn repair(table: &Snapshot, broken: &[BrokenLogFile]) -> Result<()> {
    let hint = table.location().log_path(log::LAST_CHECKPOINT);
    let (hints, others): (Vec<_>, Vec<_>) = broken.iter().partition(|file| file.path == hint);
    // The hint to a later version would stay.
    for file in hints {
        delete(table, file).await?;
    }
    if broken.iter().any(|file| file.needs_checkpoint) {
        checkpoint::write(table).await?;
    }
    // The new checkpoint may have the name of a broken one.
    let still: Vec<Path> = find(table).await?.into_iter().map(|file| file.path).collect();
    for file in others.into_iter().filter(|file| still.contains(&file.path)) {
        delete(table, file).await?;
    }
    Ok(())
}

async fn delete(table: &Snapshot, file: &BrokenLogFile) -> Result<()> {
    match table.location().store().delete(&file.path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(e) => Err(Error::io(format!("deleting {}", file.path), e)),
    }
}
