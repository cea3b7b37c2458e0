//! Deleting what the log no longer needs: commits and checkpoints older than `delta.logRetentionDuration`.

use std::collections::HashSet;

use boathouse_spec::{Error, Result, clock};
use object_store::path::Path;

use super::{LogFile, classify, complete_checkpoints, in_log_directory, list, managed};
use crate::data_file::delete_quietly;
use crate::location::TableLocation;
use crate::property::DEFAULT_LOG_RETENTION_MS;
use crate::snapshot::Snapshot;

const DAY_MS: i64 = 86_400_000;

/// Deletes expired files of the log, after a checkpoint was written. A failure fails nothing.
pub(crate) async fn expire(table: &Snapshot) {
    let disabled =
        table.property("delta.enableExpiredLogCleanup").is_some_and(|v| v.eq_ignore_ascii_case("false"));
    if disabled {
        return;
    }
    if let Err(e) = try_expire(table).await {
        tracing::warn!(table = table.location().uri(), "the log was not cleaned up: {e}");
    }
}

async fn try_expire(table: &Snapshot) -> Result<()> {
    let retention = table.interval_ms("delta.logRetentionDuration").unwrap_or(DEFAULT_LOG_RETENTION_MS);
    let cutoff = clock::now_ms().saturating_sub(retention).div_euclid(DAY_MS) * DAY_MS;
    let files = LogFiles::list(table.location()).await?;
    let Some(first_kept) = files.first_since(cutoff) else { return Ok(()) };
    let Some(base) = files.checkpoint_until(first_kept - 1) else { return Ok(()) };
    // A log that lost a feature is cut behind that version or not at all ("Checkpoint Protection").
    let protected = table
        .property("delta.requireCheckpointProtectionBeforeVersion")
        .and_then(|v| v.parse::<i64>().ok())
        .unwrap_or(0);
    if base < protected {
        return Ok(());
    }
    files.delete_before(table.location(), base, cutoff).await
}

/// Cuts the history off that is older than the retention, for a feature that only it needs (Spark:
/// `AlterTableDropFeatureDeltaCommand`). The table as it is stays, however old it is.
pub(crate) async fn truncate(table: &Snapshot, retention_ms: i64) -> Result<()> {
    let cutoff = clock::now_ms().saturating_sub(retention_ms);
    let files = LogFiles::list(table.location()).await?;
    let first_kept = files.first_since(cutoff).unwrap_or(table.version());
    let Some(base) = files.checkpoint_until(first_kept) else { return Ok(()) };
    files.delete_before(table.location(), base, cutoff).await
}

/// The files of the log, with the times they were written, and the versions of whole checkpoints.
#[derive(Default)]
struct LogFiles {
    files: Vec<(LogFile, i64, Path)>,
    checkpoints: Vec<i64>,
    /// The files that were staged for the catalog that manages the table's commits, with their versions.
    staged: Vec<(i64, Path)>,
}

impl LogFiles {
    async fn list(location: &TableLocation) -> Result<Self> {
        let found = list(location).await?;
        let named: Vec<_> = found
            .iter()
            .filter_map(|meta| Some((in_log_directory(location, &meta.location)?, meta)))
            .collect();
        let checkpoints = complete_checkpoints(named.iter().map(|(name, _)| *name));
        let files = named.iter().map(|(name, meta)| {
            (classify(name), meta.last_modified.timestamp_millis(), meta.location.clone())
        });
        let staged = found.iter().filter(|_| location.coordinator().is_some()).filter_map(|meta| {
            Some((managed::staged_version(location, &meta.location)?, meta.location.clone()))
        });
        Ok(Self { files: files.collect(), checkpoints, staged: staged.collect() })
    }

    /// The first version that was committed since an instant.
    fn first_since(&self, cutoff: i64) -> Option<i64> {
        let commits = self.files.iter().filter_map(|(file, modified, _)| match file {
            LogFile::Commit(version) if *modified >= cutoff => Some(*version),
            _ => None,
        });
        commits.min()
    }

    /// The last checkpoint that a version can be built from.
    fn checkpoint_until(&self, version: i64) -> Option<i64> {
        self.checkpoints.iter().copied().filter(|v| *v <= version).max()
    }

    /// The files that no version from a checkpoint on needs.
    fn before(&self, base: i64) -> Vec<Path> {
        let old = self.files.iter().filter(|(file, _, _)| match file {
            // The commit of the checkpoint's own version stays: it tells when that was.
            LogFile::Commit(version) | LogFile::Checkpoint(version) | LogFile::Checksum(version) => {
                *version < base
            }
            // Of use to no version that starts from the checkpoint.
            LogFile::Compacted(from, _) => *from <= base,
            LogFile::Other => false,
        });
        old.map(|(_, _, path)| path.clone()).collect()
    }

    async fn delete_before(&self, location: &TableLocation, base: i64, cutoff: i64) -> Result<()> {
        let mut old = self.before(base);
        if old.is_empty() {
            return Ok(());
        }
        // Those of them that are versions are published.
        old.extend(self.staged.iter().filter(|(version, _)| *version <= base).map(|(_, path)| path.clone()));
        // All that is left of the deleted versions is this checkpoint.
        for (_, _, path) in self.files.iter().filter(|(file, _, _)| *file == LogFile::Checkpoint(base)) {
            if !super::checkpoint::is_whole(location, path).await? {
                return Err(Error::io(format!("cleaning up before {path}"), "it cannot be read"));
            }
        }
        delete_quietly(location, old).await;
        delete_sidecars(location, cutoff).await
    }
}

/// Deletes the sidecars that no checkpoint names any more. A young one may be of a checkpoint that is being written.
async fn delete_sidecars(location: &TableLocation, cutoff: i64) -> Result<()> {
    let files = list(location).await?;
    let checkpoints: Vec<Path> = files
        .iter()
        .filter(|meta| {
            let name = in_log_directory(location, &meta.location).unwrap_or_default();
            matches!(classify(name), LogFile::Checkpoint(_))
        })
        .map(|meta| meta.location.clone())
        .collect();
    let sidecars: Vec<_> = files.iter().filter(|meta| is_sidecar(location, &meta.location)).collect();
    if sidecars.is_empty() {
        return Ok(());
    }
    let mut named = HashSet::new();
    for checkpoint in checkpoints {
        // One that cannot be read may name any of them.
        named.extend(super::checkpoint::sidecars(location, &checkpoint).await?);
    }
    let old = cutoff.min(clock::now_ms().saturating_sub(DAY_MS));
    let unnamed = sidecars.into_iter().filter(|meta| {
        let name = meta.location.filename().unwrap_or_default();
        meta.last_modified.timestamp_millis() < old && !named.contains(name)
    });
    delete_quietly(location, unnamed.map(|meta| meta.location.clone()).collect()).await;
    Ok(())
}

fn is_sidecar(location: &TableLocation, path: &Path) -> bool {
    let directory = format!("{}/_sidecars/", crate::location::LOG_DIRECTORY);
    location.relativize(path).is_some_and(|p| p.starts_with(&directory) && p.ends_with(".parquet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_later_versions_need_stays() {
        let commit = |v: i64, at| (LogFile::Commit(v), at, Path::from(format!("{v}.json")));
        let checkpoint = |v: i64, at| (LogFile::Checkpoint(v), at, Path::from(format!("{v}.parquet")));
        let mut files: Vec<_> = (0..25).map(|v| commit(v, v * 10)).collect();
        files.push(checkpoint(10, 100));
        files.push(checkpoint(20, 200));
        files.push((LogFile::Checksum(10), 100, Path::from("10.crc")));
        files.push((LogFile::Compacted(11, 19), 190, Path::from("11.19.compacted.json")));
        files.push((LogFile::Checksum(20), 200, Path::from("20.crc")));
        let log = LogFiles { files, checkpoints: vec![10, 20], ..LogFiles::default() };
        let names = |cutoff| {
            let first = log.first_since(cutoff);
            let Some(base) = first.and_then(|v| log.checkpoint_until(v - 1)) else { return Vec::new() };
            let mut names: Vec<String> = log.before(base).iter().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert!(names(0).is_empty() && names(100).is_empty());
        assert_eq!(names(110).len(), 10, "the commits before checkpoint 10");
        assert_eq!(names(200).len(), 10);
        assert_eq!(
            names(205).len(),
            23,
            "those before 20, checkpoint 10 and what is of the versions between"
        );
        assert!(names(9999).is_empty(), "a table that rests keeps its log");
    }
}
