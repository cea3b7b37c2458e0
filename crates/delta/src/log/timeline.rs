//! Versions in time: which can be had, and which was the table's state at an instant.

use boathouse_spec::{Error, Result};
use futures::{StreamExt, TryStreamExt, stream};

use super::CommitFile;
use crate::action::Action;
use crate::location::TableLocation;
use crate::snapshot::Snapshot;
use crate::time::format_timestamp;

/// The first and last version whose state can be built: from version 0, or from a checkpoint, without a gap.
pub(crate) fn version_range(commits: &[CommitFile], checkpoints: &[i64]) -> Option<(i64, i64)> {
    let last = commits.last().map(|c| c.version).into_iter().chain(checkpoints.last().copied()).max()?;
    // The contiguous tail of commits.
    let mut first = last;
    for commit in commits.iter().rev() {
        if commit.version == first || commit.version + 1 == first {
            first = commit.version;
        } else {
            break;
        }
    }
    if first == 0 {
        return Some((0, last));
    }
    let start = checkpoints.iter().copied().find(|v| *v + 1 >= first)?;
    Some((start, last))
}

/// Instants of commits, in milliseconds, made to increase as Spark does: file times may repeat or run back.
pub(crate) fn monotonic(commits: &[CommitFile]) -> Vec<(i64, i64)> {
    let mut previous = i64::MIN;
    commits
        .iter()
        .map(|c| {
            previous = c.modified_ms().max(previous.saturating_add(1));
            (c.version, previous)
        })
        .collect()
}

/// From when on commits carry their own timestamps ("In-Commit Timestamps" in PROTOCOL.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Enablement {
    pub version: i64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
}

impl Enablement {
    /// Of a table whose latest version is this; `None` where it goes by the times of files.
    pub fn of(latest: &Snapshot) -> Option<Self> {
        if !latest.in_commit_timestamps() {
            return None;
        }
        let number = |key: &str| latest.property(key).and_then(|v| v.parse::<i64>().ok());
        let version = number("delta.inCommitTimestampEnablementVersion");
        let timestamp_ms = number("delta.inCommitTimestampEnablementTimestamp");
        // Without both the table has had them from the start.
        Some(match version.zip(timestamp_ms) {
            Some((version, timestamp_ms)) => Self { version, timestamp_ms },
            None => Self { version: 0, timestamp_ms: i64::MIN },
        })
    }
}

/// Commits read at a time.
const PARALLEL_READS: usize = 16;

/// The instants of all commits, by their own timestamps where they have them.
pub(crate) async fn commit_times(
    location: &TableLocation,
    commits: &[CommitFile],
    enabled: Option<Enablement>,
) -> Result<Vec<(i64, i64)>> {
    let Some(enabled) = enabled else { return Ok(monotonic(commits)) };
    let (before, since) = commits.split_at(commits.partition_point(|c| c.version < enabled.version));
    let mut times = monotonic(before);
    let reads: Vec<_> = since.iter().map(|commit| recorded(location.clone(), commit.clone())).collect();
    times.extend(stream::iter(reads).buffered(PARALLEL_READS).try_collect::<Vec<_>>().await?);
    Ok(times)
}

/// The instant that a commit records; its file's where it records none, against the protocol.
async fn recorded(location: TableLocation, commit: CommitFile) -> Result<(i64, i64)> {
    let recorded = in_commit_timestamp(&location, commit.version).await?;
    Ok((commit.version, recorded.unwrap_or_else(|| commit.modified_ms())))
}

/// The version that was current at an instant. Of commits that carry their timestamps few are read: these never run back.
pub(crate) async fn version_at_instant(
    location: &TableLocation,
    commits: &[CommitFile],
    enabled: Option<Enablement>,
    at_ms: i64,
    rules: TimestampRules,
) -> Result<i64> {
    let Some(enabled) = enabled else { return version_at(location, &monotonic(commits), at_ms, rules) };
    let (before, since) = commits.split_at(commits.partition_point(|c| c.version < enabled.version));
    if at_ms < enabled.timestamp_ms && !before.is_empty() {
        // There is a version after these, whatever the instant.
        let rules = TimestampRules { latest_if_after: true, ..rules };
        return version_at(location, &monotonic(before), at_ms, rules);
    }
    let (Some(first), Some(last)) = (since.first(), since.last()) else {
        return Err(no_history(location));
    };
    let ends =
        [recorded(location.clone(), first.clone()).await?, recorded(location.clone(), last.clone()).await?];
    if at_ms < ends[0].1 || at_ms >= ends[1].1 {
        return version_at(location, &ends, at_ms, rules);
    }
    // The commit at `low` is not after the instant, that at `high` is.
    let (mut low, mut high) = (0, since.len() - 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if recorded(location.clone(), since[middle].clone()).await?.1 <= at_ms {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(since[low].version)
}

pub(crate) async fn in_commit_timestamp(location: &TableLocation, version: i64) -> Result<Option<i64>> {
    let actions = super::read_commit(location, version).await?.unwrap_or_default();
    Ok(actions.iter().find_map(|a| match a {
        Action::CommitInfo(info) => info.long("inCommitTimestamp"),
        _ => None,
    }))
}

/// How to take an instant outside of the table's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimestampRules {
    /// An instant after the last commit means the last version (as for the start of a change feed).
    pub latest_if_after: bool,
    /// An instant before the first commit means the first version.
    pub earliest_if_before: bool,
}

/// The version that was current at an instant, among the commits whose state can be had.
pub(crate) fn version_at(
    location: &TableLocation,
    times: &[(i64, i64)],
    at_ms: i64,
    rules: TimestampRules,
) -> Result<i64> {
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return Err(no_history(location));
    };
    if at_ms < first.1 {
        if rules.earliest_if_before {
            return Ok(first.0);
        }
        return Err(Error::new("DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION")
            .param("userTimestamp", format_timestamp(at_ms))
            .param("commitTs", format_timestamp(first.1))
            .param("timestampString", format_timestamp(first.1))
            .message(format!(
                "At {} the table had no version: its first version is of {}.",
                format_timestamp(at_ms),
                format_timestamp(first.1)
            ))
            .exception("AnalysisException"));
    }
    if at_ms > last.1 && !rules.latest_if_after {
        return Err(Error::new("DELTA_TIMESTAMP_GREATER_THAN_COMMIT")
            .param("providedTimestamp", format_timestamp(at_ms))
            .param("tableName", format_timestamp(last.1))
            .param("maximumTimestamp", format_timestamp(last.1))
            .message(format!(
                "{} is after the table's last version, which is of {}.",
                format_timestamp(at_ms),
                format_timestamp(last.1)
            ))
            .exception("AnalysisException"));
    }
    let position = times.partition_point(|(_, time)| *time <= at_ms);
    Ok(times[position.saturating_sub(1)].0)
}

pub(crate) fn no_history(location: &TableLocation) -> Error {
    Error::new("DELTA_NO_RECREATABLE_HISTORY_FOUND")
        .param("logPath", format!("{}/_delta_log", location.uri()))
        .message(format!("No version of {} can be built from its log.", location.uri()))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use object_store::{ObjectMeta, path::Path};

    use super::*;

    fn commit(version: i64, ms: i64) -> CommitFile {
        let meta = ObjectMeta {
            location: Path::from("x"),
            last_modified: DateTime::from_timestamp_millis(ms).unwrap(),
            size: 1,
            e_tag: None,
            version: None,
        };
        CommitFile { version, meta }
    }

    #[test]
    fn ranges() {
        let c = |v: &[i64]| v.iter().map(|v| commit(*v, 0)).collect::<Vec<_>>();
        assert_eq!(version_range(&c(&[0, 1, 2]), &[]), Some((0, 2)));
        assert_eq!(version_range(&c(&[8, 9, 10, 11]), &[10]), Some((10, 11)));
        assert_eq!(version_range(&c(&[11, 12]), &[10]), Some((10, 12)));
        assert_eq!(version_range(&c(&[8, 9]), &[]), None);
        assert_eq!(version_range(&[], &[]), None);
    }

    #[test]
    fn instants() {
        let location = TableLocation::local("/t").unwrap();
        let times = monotonic(&[commit(0, 1000), commit(1, 3000), commit(2, 3000), commit(3, 2500)]);
        assert_eq!(times, [(0, 1000), (1, 3000), (2, 3001), (3, 3002)]);
        let at = |ms| version_at(&location, &times, ms, TimestampRules::default());
        assert_eq!(at(1000).unwrap(), 0);
        assert_eq!(at(2999).unwrap(), 0);
        assert_eq!(at(3001).unwrap(), 2);
        assert_eq!(at(3002).unwrap(), 3);
        assert_eq!(at(999).unwrap_err().class(), "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION");
        assert_eq!(at(3003).unwrap_err().class(), "DELTA_TIMESTAMP_GREATER_THAN_COMMIT");
    }
}
