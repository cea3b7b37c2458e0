//! Versions in time: which can be had, and which was the table's state at an instant.

use boathouse_spec::{Error, Result};

use super::CommitFile;
use crate::action::Action;
use crate::location::TableLocation;
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

/// The instants of all commits, by in-commit timestamp from `in_commit_since` on.
pub(crate) async fn commit_times(
    location: &TableLocation,
    commits: &[CommitFile],
    in_commit_since: Option<i64>,
) -> Result<Vec<(i64, i64)>> {
    let mut times = monotonic(commits);
    if let Some(since) = in_commit_since {
        for (version, time) in &mut times {
            if *version >= since
                && let Some(recorded) = in_commit_timestamp(location, *version).await?
            {
                *time = recorded;
            }
        }
    }
    Ok(times)
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
