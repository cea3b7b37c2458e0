//! DESCRIBE HISTORY.

use boathouse_spec::{DataType, Result, StructType};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};

use crate::action::{Action, CommitInfo};
use crate::error;
use crate::location::TableLocation;
use crate::log::{self, timeline};
use crate::report::{Report, field, strings};

/// Commits read at a time.
const PARALLEL_READS: usize = 16;

/// A commit as its own info tells it.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    pub version: i64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Empty where the commit has none.
    pub info: CommitInfo,
}

/// The commits that are still in the log, latest first.
pub async fn history(location: &TableLocation, limit: Option<usize>) -> Result<Vec<HistoryEntry>> {
    let commits = log::list_commits(location).await?;
    if commits.is_empty() {
        return Err(error::not_a_table(location));
    }
    let times = timeline::monotonic(&commits);
    let wanted: Vec<(i64, i64)> = times.into_iter().rev().take(limit.unwrap_or(usize::MAX)).collect();
    let reads: Vec<_> =
        wanted.into_iter().map(|(version, time)| entry(location.clone(), version, time)).collect();
    let entries: Vec<Option<HistoryEntry>> =
        stream::iter(reads).buffered(PARALLEL_READS).try_collect().await?;
    Ok(entries.into_iter().flatten().collect())
}

async fn entry(location: TableLocation, version: i64, file_time: i64) -> Result<Option<HistoryEntry>> {
    // Cleaned up since it was listed.
    let Some(actions) = log::read_commit(&location, version).await? else { return Ok(None) };
    let info = actions
        .into_iter()
        .find_map(|a| match a {
            Action::CommitInfo(info) => Some(info),
            _ => None,
        })
        .unwrap_or_default();
    let timestamp_ms = info.long("inCommitTimestamp").unwrap_or(file_time);
    Ok(Some(HistoryEntry { version, timestamp_ms, info }))
}

/// The rows of DESCRIBE HISTORY.
pub fn history_report(entries: &[HistoryEntry]) -> Result<Report> {
    let rows: Vec<Value> = entries.iter().map(row).collect();
    Report::new(schema(), &rows)
}

fn row(entry: &HistoryEntry) -> Value {
    let info = &entry.info;
    let text = |key: &str| info.text(key).map_or(Value::Null, |t| t.into());
    let map = |key: &str| info.map(key).map_or(Value::Null, |m| json!(m));
    let texts = |key: &str| match info.0.get(key) {
        Some(Value::Object(o)) => {
            let fields: Map<String, Value> = o
                .iter()
                .map(|(k, v)| {
                    (k.clone(), if v.is_null() || v.is_string() { v.clone() } else { v.to_string().into() })
                })
                .collect();
            Value::Object(fields)
        }
        _ => Value::Null,
    };
    json!({
        "version": entry.version,
        "timestamp": entry.timestamp_ms.saturating_mul(1000),
        "userId": text("userId"),
        "userName": text("userName"),
        "operation": text("operation"),
        "operationParameters": map("operationParameters"),
        "job": texts("job"),
        "notebook": texts("notebook"),
        "clusterId": text("clusterId"),
        "readVersion": info.long("readVersion"),
        "isolationLevel": text("isolationLevel"),
        "isBlindAppend": info.boolean("isBlindAppend"),
        "operationMetrics": map("operationMetrics"),
        "userMetadata": text("userMetadata"),
        "engineInfo": text("engineInfo"),
    })
}

fn schema() -> StructType {
    let texts =
        |names: &[&str]| DataType::structure(names.iter().map(|n| field(n, DataType::STRING)).collect());
    StructType::new(vec![
        field("version", DataType::Long),
        field("timestamp", DataType::Timestamp),
        field("userId", DataType::STRING),
        field("userName", DataType::STRING),
        field("operation", DataType::STRING),
        field("operationParameters", strings()),
        field("job", texts(&["jobId", "jobName", "jobRunId", "runId", "jobOwnerId", "triggerType"])),
        field("notebook", texts(&["notebookId"])),
        field("clusterId", DataType::STRING),
        field("readVersion", DataType::Long),
        field("isolationLevel", DataType::STRING),
        field("isBlindAppend", DataType::Boolean),
        field("operationMetrics", strings()),
        field("userMetadata", DataType::STRING),
        field("engineInfo", DataType::STRING),
    ])
}
