//! Where a stream from a Delta table begins: `startingVersion`, `startingTimestamp`, or the whole table.

use boathouse_delta::{DeltaTable, Snapshot, TimestampRules};
use boathouse_formats::datetime_text::parse_timestamp;
use boathouse_formats::zone::Zone;
use boathouse_spec::{Error, Result};
use serde_json::{Value, json};

use super::delta_options::illegal;
use crate::checkpoint::{Directory, lines_v1, with_v1};
use crate::options::Given;

/// Where a source keeps the version that its query began with.
const START_FILE: &str = "0";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// The whole table as it is, then its commits.
    Snapshot,
    /// The commits from this version on.
    Version(i64),
}

/// Where the query begins: where it began, for `latest` and instants mean another version later, and the first batch may be run
/// again. What it began with need not be there any more.
pub(super) async fn start(
    directory: &Directory,
    table: &DeltaTable,
    snapshot: &Snapshot,
    given: &Given<'_>,
    zone: &Zone,
) -> Result<Start> {
    if given.text("startingVersion").is_some() != given.text("startingTimestamp").is_some()
        && let Some(version) = kept_start(directory).await?
    {
        return Ok(Start::Version(version));
    }
    let Start::Version(version) = starting(table, snapshot, given, zone).await? else {
        return Ok(Start::Snapshot);
    };
    let text = with_v1(json!({ "startingVersion": version }));
    let is_kept = directory.create(START_FILE, text).await?;
    let other = if is_kept { None } else { kept_start(directory).await? };
    Ok(Start::Version(other.unwrap_or(version)))
}

async fn kept_start(directory: &Directory) -> Result<Option<i64>> {
    let text = directory.read_text(START_FILE).await?;
    let kept = text.and_then(|text| serde_json::from_str::<Value>(lines_v1(&text).ok()?.next()?).ok());
    Ok(kept.and_then(|kept| kept.get("startingVersion")?.as_i64()))
}

/// `startingVersion` and `startingTimestamp`.
async fn starting(table: &DeltaTable, snapshot: &Snapshot, given: &Given<'_>, zone: &Zone) -> Result<Start> {
    match (given.text("startingVersion"), given.text("startingTimestamp")) {
        (Some(_), Some(_)) => Err(Error::new("DELTA_STARTING_VERSION_AND_TIMESTAMP_BOTH_SET")
            .param("version", "startingVersion")
            .param("timestamp", "startingTimestamp")
            .message("Please either provide 'startingVersion' or 'startingTimestamp'.")
            .exception("IllegalArgumentException")),
        (Some("latest"), None) => Ok(Start::Version(snapshot.version() + 1)),
        (Some(text), None) => match text.parse::<i64>() {
            Ok(version) if version >= 0 => {
                let (first, last) = table.versions().await?;
                if version > last || version < first {
                    return Err(Error::new("DELTA_VERSION_NOT_FOUND")
                        .param("userVersion", version)
                        .param("earliest", first)
                        .param("latest", last)
                        .message(format!("Cannot time travel Delta table to version {version}. Available versions: [{first}, {last}]."))
                        .exception("AnalysisException"));
                }
                Ok(Start::Version(version))
            }
            _ => Err(illegal("startingVersion", text, "must be greater than or equal to zero")),
        },
        (None, Some(text)) => starting_timestamp(table, text, zone).await.map(Start::Version),
        (None, None) => Ok(Start::Snapshot),
    }
}

/// The first version committed at or after an instant.
async fn starting_timestamp(table: &DeltaTable, text: &str, zone: &Zone) -> Result<i64> {
    let Some(at_ms) = parse_timestamp(text, zone).map(|us| us.div_euclid(1000)) else {
        return Err(Error::new("DELTA_TIMESTAMP_INVALID")
            .param("expr", text)
            .message(format!("The provided timestamp ({text}) cannot be converted to a valid timestamp."))
            .exception("AnalysisException"));
    };
    let times = table.version_times().await?;
    if let Some((version, _)) = times.iter().find(|(_, time)| *time >= at_ms) {
        return Ok(*version);
    }
    // An instant after the last commit: Delta refuses it, as it does for other travels in time.
    table
        .version_at_timestamp(at_ms, TimestampRules { latest_if_after: false, earliest_if_before: true })
        .await
        .map(|v| v + 1)
}
