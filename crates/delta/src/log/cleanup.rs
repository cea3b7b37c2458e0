//! Deleting what the log no longer needs: commits and checkpoints older than `delta.logRetentionDuration`.

use boathouse_spec::{Result, clock};
use object_store::path::Path;

use super::{LogFile, classify, in_log_directory, list};
use crate::data_file::delete_quietly;
use crate::property::parse_interval_ms;
use crate::snapshot::Snapshot;

/// Spark's default.
const DEFAULT_RETENTION_MS: i64 = 30 * DAY_MS;
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
    let retention = table
        .property("delta.logRetentionDuration")
        .and_then(parse_interval_ms)
        .unwrap_or(DEFAULT_RETENTION_MS);
    let cutoff = clock::now_ms().saturating_sub(retention);
    let files: Vec<(LogFile, i64, Path)> = list(table.location())
        .await?
        .into_iter()
        .filter_map(|meta| {
            let name = in_log_directory(table.location(), &meta.location)?;
            Some((classify(name), meta.last_modified.timestamp_millis(), meta.location.clone()))
        })
        .collect();
    let expired = expired(&files, cutoff.div_euclid(DAY_MS) * DAY_MS);
    // A log that lost a feature is cut behind that version or not at all ("Checkpoint Protection").
    let protected = table
        .property("delta.requireCheckpointProtectionBeforeVersion")
        .and_then(|v| v.parse::<i64>().ok())
        .unwrap_or(0);
    let left = files
        .iter()
        .filter(|(file, _, path)| matches!(file, LogFile::Commit(_)) && !expired.contains(path))
        .filter_map(|(file, _, _)| match file {
            LogFile::Commit(version) => Some(*version),
            _ => None,
        })
        .min();
    if left.is_none_or(|first| first < protected) {
        return Ok(());
    }
    delete_quietly(table.location(), expired).await;
    Ok(())
}

/// The files before the last checkpoint that all versions since `cutoff` can be built from.
fn expired(files: &[(LogFile, i64, Path)], cutoff: i64) -> Vec<Path> {
    let first_kept = files
        .iter()
        .filter_map(|(file, modified, _)| match file {
            LogFile::Commit(version) if *modified >= cutoff => Some(*version),
            _ => None,
        })
        .min();
    let Some(first_kept) = first_kept else { return Vec::new() };
    let base = files
        .iter()
        .filter_map(|(file, _, _)| match file {
            LogFile::Checkpoint(version) if *version < first_kept => Some(*version),
            _ => None,
        })
        .max();
    let Some(base) = base else { return Vec::new() };
    files
        .iter()
        .filter(|(file, _, _)| match file {
            // The commit of the checkpoint's own version stays: it tells when that was.
            LogFile::Commit(version) | LogFile::Checkpoint(version) => *version < base,
            LogFile::Other => false,
        })
        .map(|(_, _, path)| path.clone())
        .collect()
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
        let names = |cutoff| {
            let mut names: Vec<String> = expired(&files, cutoff).iter().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert!(names(0).is_empty() && names(100).is_empty());
        assert_eq!(names(110).len(), 10, "the commits before checkpoint 10");
        assert_eq!(names(200).len(), 10);
        assert_eq!(names(205).len(), 21, "those before 20, and checkpoint 10");
        assert!(names(9999).is_empty(), "a table that rests keeps its log");
    }
}
