//! RESTORE.

use std::collections::HashSet;

use boathouse_spec::{DataType, Error, Result, StructType, clock};
use futures::{StreamExt, stream};
use object_store::ObjectStoreExt;
use serde_json::{Value, json};

use super::delete::DmlOptions;
use crate::action::DomainMetadata;
use crate::report::{Report, field};
use crate::row_tracking;
use crate::schema::identity;
use crate::snapshot::Snapshot;
use crate::table::{DeltaTable, TimestampRules};
use crate::time::format_timestamp;
use crate::transaction::{Committed, Operation, ReadSet, Transaction};

/// Files looked up at a time.
const PARALLEL_HEADS: usize = 32;
/// Missing files named in an error.
const NAMED_FILES: usize = 100;

/// The state to go back to.
#[derive(Debug, Clone)]
pub enum RestoreTo {
    Version(i64),
    /// Milliseconds since the epoch, and the text that said so.
    Timestamp(i64, String),
}

/// Makes the table what it was: a new version with the files and the metadata of the old one.
/// `lowers_protocol`: its protocol is the old one's too, which readers of the versions between may not know.
pub async fn restore(
    table: &DeltaTable,
    to: &RestoreTo,
    lowers_protocol: bool,
    options: &DmlOptions,
) -> Result<Committed> {
    let current = table.latest().await?;
    let version = match to {
        RestoreTo::Version(version) => {
            let (first, last) = table.versions().await?;
            if *version < first || *version > last {
                return Err(no_such_version(*version, first, last));
            }
            *version
        }
        RestoreTo::Timestamp(at, _) => table
            .version_at_timestamp(*at, TimestampRules::default())
            .await
            .map_err(|e| outside_of_history(e, *at))?,
    };
    let target = table.at_version(version).await?;
    let wanted: HashSet<_> = target.files().await?.iter().map(|f| f.key()).collect();
    let existing = current.files().await?;
    let mut restored = Vec::new();
    // A table that stopped to track rows has the same files without ids.
    let tracks_again = target.tracks_rows() && !row_tracking::is_supported(current.protocol());
    for file in target.files().await?.iter().filter(|f| tracks_again || !existing.contains(&f.key())) {
        let mut add = file.as_ref().clone();
        add.data_change = true;
        restored.push(add);
    }
    check_files_exist(&current, version, &restored).await?;
    let now = clock::now_ms();
    let removed: Vec<_> =
        existing.iter().filter(|f| !wanted.contains(&f.key())).map(|f| f.remove(now, true)).collect();

    let operation = match to {
        RestoreTo::Version(version) => {
            Operation::new("RESTORE").raw("version", *version).raw("timestamp", Value::Null)
        }
        RestoreTo::Timestamp(_, text) => {
            Operation::new("RESTORE").raw("version", Value::Null).text("timestamp", text.clone())
        }
    };
    let mut transaction = Transaction::new(current.location(), Some(&current), operation);
    transaction.reads = ReadSet::whole_table();
    transaction.blind_append = Some(false);
    transaction.user_metadata.clone_from(&options.user_metadata);
    transaction.tags = options.commit_fields.clone();
    // A protocol is not lowered by itself: readers of versions between need it. What the old version needs is added.
    let mut metadata = target.metadata().clone();
    if let Some(highest) = current.property("delta.columnMapping.maxColumnId")
        && metadata.configuration.contains_key("delta.columnMapping.maxColumnId")
    {
        // Ids are not given twice.
        metadata.configuration.insert("delta.columnMapping.maxColumnId".into(), highest.to_string());
    }
    identity::keep_marks(&mut metadata, current.schema())?;
    row_tracking::keep_names(current.metadata(), &mut metadata);
    transaction.metadata = Some(metadata);
    if lowers_protocol && target.protocol() != current.protocol() {
        transaction.protocol = Some(target.protocol().clone());
    }
    let missing: Vec<String> =
        target.protocol().features().into_iter().filter(|f| !current.protocol().has(f)).collect();
    if !missing.is_empty() && !lowers_protocol {
        let names: Vec<&str> = missing.iter().map(String::as_str).collect();
        transaction.protocol = Some(current.protocol().with_features(&names));
    }
    let (was, is) = (target.clustering_record().await?, current.clustering_record().await?);
    if was != is && transaction.protocol.as_ref().unwrap_or(current.protocol()).has("domainMetadata") {
        transaction.domains.extend(was.or_else(|| is.map(|d| DomainMetadata { removed: true, ..d })));
    }
    let size = |sizes: Vec<i64>| sizes.into_iter().sum::<i64>();
    let table_size = size(target.files().await?.sizes().collect());
    let m = &mut transaction.metrics;
    m.set("numRestoredFiles", restored.len());
    m.set("removedFilesSize", size(removed.iter().filter_map(|r| r.size).collect()));
    m.set("numRemovedFiles", removed.len());
    m.set("restoredFilesSize", size(restored.iter().map(|a| a.size).collect()));
    m.set("numOfFilesAfterRestore", wanted.len());
    m.set("tableSizeAfterRestore", table_size);
    transaction.add(restored);
    transaction.remove(removed);
    let committed = transaction.commit().await?;
    table.cache().put(committed.snapshot.clone());
    Ok(committed)
}

/// The row that RESTORE gives.
pub fn restore_report(committed: &Committed) -> Result<Report> {
    let names = [
        ("table_size_after_restore", "tableSizeAfterRestore"),
        ("num_of_files_after_restore", "numOfFilesAfterRestore"),
        ("num_removed_files", "numRemovedFiles"),
        ("num_restored_files", "numRestoredFiles"),
        ("removed_files_size", "removedFilesSize"),
        ("restored_files_size", "restoredFilesSize"),
    ];
    let row: Value = names
        .iter()
        .map(|(column, metric)| ((*column).to_string(), json!(committed.metric(metric))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let schema = StructType::new(names.iter().map(|(column, _)| field(column, DataType::Long)).collect());
    Report::new(schema, &[row])
}

async fn check_files_exist(table: &Snapshot, version: i64, files: &[crate::action::Add]) -> Result<()> {
    let location = table.location();
    let checks: Vec<_> = files
        .iter()
        .map(|file| {
            let (location, path) = (location.clone(), file.path.clone());
            async move {
                let object = location.resolve(&path)?;
                match location.store().head(&object).await {
                    Ok(_) => Ok(None),
                    Err(object_store::Error::NotFound { .. }) => Ok(Some(path)),
                    Err(e) => Err(Error::io(format!("looking for {object}"), e)),
                }
            }
        })
        .collect();
    let results: Vec<Result<Option<String>>> = stream::iter(checks).buffered(PARALLEL_HEADS).collect().await;
    let mut missing = Vec::new();
    for result in results {
        missing.extend(result?);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let count = missing.len();
    missing.truncate(NAMED_FILES);
    Err(Error::new("DELTA_FILE_NOT_FOUND")
        .param("path", missing.join(", "))
        .message(format!(
            "Version {version} cannot be restored: {count} of its files are gone, deleted by VACUUM or by hand: {}",
            missing.join(", ")
        )))
}

fn no_such_version(version: i64, first: i64, last: i64) -> Error {
    Error::new("DELTA_CANNOT_RESTORE_TABLE_VERSION")
        .param("version", version)
        .param("startVersion", first)
        .param("endVersion", last)
        .message(format!(
            "Version {version} cannot be restored: the table has the versions {first} to {last}."
        ))
        .exception("AnalysisException")
}

fn outside_of_history(e: Error, at: i64) -> Error {
    let parameter = |name: &str| {
        e.parameters().iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()).unwrap_or_default()
    };
    let (class, key, limit) = match e.class() {
        "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION" => {
            ("DELTA_CANNOT_RESTORE_TIMESTAMP_EARLIER", "earliestTimestamp", parameter("commitTs"))
        }
        "DELTA_TIMESTAMP_GREATER_THAN_COMMIT" => {
            ("DELTA_CANNOT_RESTORE_TIMESTAMP_GREATER", "latestTimestamp", parameter("tableName"))
        }
        _ => return e,
    };
    Error::new(class)
        .param("requestedTimestamp", format_timestamp(at))
        .param(key, &limit)
        .message(format!(
            "The table cannot be restored to {}: its history has a limit at {limit}.",
            format_timestamp(at)
        ))
        .exception("AnalysisException")
}
