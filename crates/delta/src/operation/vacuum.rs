//! VACUUM.

use std::collections::HashSet;

use boathouse_spec::{DataType, Error, Result, StructType, clock, fault};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use serde_json::json;

use super::delete::DmlOptions;
use crate::action::{Action, Remove};
use crate::location::{LOG_DIRECTORY, TableLocation};
use crate::log::{checkpoint, kernel};
use crate::report::{Report, field};
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation, Transaction};

/// A dry run names so many files.
const MAX_LISTED: usize = 1000;

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VacuumScope {
    /// Every file below the table that no version needs.
    #[default]
    Full,
    /// Files that the log says were removed.
    Lite,
}

/// How to clean up.
#[derive(Debug, Clone, Default)]
pub struct VacuumOptions {
    /// Files of versions younger than this stay; the table's retention where `None`.
    pub retain_hours: Option<f64>,
    pub dry_run: bool,
    pub scope: VacuumScope,
    /// The files that are there, as a report of the storage lists them; else the storage is asked.
    pub inventory: Option<Vec<InventoryFile>>,
    /// `spark.databricks.delta.retentionDurationCheck.enabled` is off.
    pub skip_retention_check: bool,
    /// The history does not tell of it (`spark.databricks.delta.vacuum.logging.enabled` is off).
    pub is_silent: bool,
    pub commit: DmlOptions,
}

/// A line of `USING INVENTORY`.
#[derive(Debug, Clone)]
pub struct InventoryFile {
    /// The full path, or one relative to the table.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Milliseconds since the epoch.
    pub modified_ms: i64,
}

/// What was cleaned up, or would be.
#[derive(Debug, Clone, Default)]
pub struct VacuumResult {
    /// The table's URI, or the files a dry run found.
    pub paths: Vec<String>,
    pub files: usize,
    pub bytes: u64,
    pub directories: usize,
    /// The last commit, where one was made.
    pub committed: Option<Committed>,
}

/// Deletes the files that no version within the retention needs.
pub async fn vacuum(table: &Snapshot, options: &VacuumOptions) -> Result<VacuumResult> {
    let location = table.location();
    crate::protocol::check_writable(location, table.protocol(), table.metadata(), table.schema())?;
    let default_ms = table.deleted_file_retention_ms();
    let retention_ms = retention(options, default_ms)?;
    let cutoff = clock::now_ms().saturating_sub(retention_ms);

    let removed: Vec<Remove> = checkpoint::actions(location, table.version(), &["remove"])
        .await?
        .into_iter()
        .filter_map(|a| match a {
            Action::Remove(r) => Some(r),
            _ => None,
        })
        .collect();
    let mut protected: HashSet<Path> = HashSet::new();
    for file in table.files().await?.iter() {
        protect(location, &file.path, file.deletion_vector.as_ref(), &mut protected)?;
    }
    for file in removed.iter().filter(|r| r.deletion_timestamp.unwrap_or(0) >= cutoff) {
        protect(location, &file.path, file.deletion_vector.as_ref(), &mut protected)?;
    }
    let all = match &options.inventory {
        Some(files) => files.iter().filter_map(|f| listed(location, f)).collect(),
        None => list(location).await?,
    };
    let mut directories: HashSet<String> = HashSet::new();
    let mut doomed: Vec<ObjectMeta> = Vec::new();
    let mentioned: Option<HashSet<Path>> = match options.scope {
        VacuumScope::Full => None,
        VacuumScope::Lite => {
            let mut paths = HashSet::new();
            for file in &removed {
                protect(location, &file.path, file.deletion_vector.as_ref(), &mut paths)?;
            }
            Some(paths)
        }
    };
    for meta in all {
        let Some(relative) = location.relativize(&meta.location) else { continue };
        if is_hidden(relative, table.partition_columns()) {
            continue;
        }
        if let Some((directory, _)) = relative.rsplit_once('/') {
            directories.insert(directory.to_string());
        }
        let candidate = mentioned
            .as_ref()
            .map_or_else(|| meta.last_modified.timestamp_millis() < cutoff, |m| m.contains(&meta.location));
        if candidate && !protected.contains(&meta.location) {
            doomed.push(meta);
        }
    }
    let bytes: u64 = doomed.iter().map(|m| m.size).sum();
    let files = doomed.len();
    let directories = directories.len() + 1;
    if options.dry_run {
        let paths = doomed.iter().take(MAX_LISTED).map(|m| uri(location, &m.location)).collect();
        return Ok(VacuumResult { paths, files, bytes, directories, committed: None });
    }

    if options.is_silent {
        delete_all(location, doomed).await?;
        remove_empty_directories(location, table.partition_columns()).await;
        return Ok(VacuumResult { paths: vec![location.uri()], files, bytes, directories, committed: None });
    }
    let mut start = Operation::new("VACUUM START")
        .raw("retentionCheckEnabled", !options.skip_retention_check)
        .raw("defaultRetentionMillis", default_ms);
    if options.retain_hours.is_some() {
        start = start.raw("specifiedRetentionMillis", retention_ms);
    }
    let begun =
        commit(table, start, options, &[("numFilesToDelete", files as u64), ("sizeOfDataToDelete", bytes)])
            .await?;
    let deleted = delete_all(location, doomed).await;
    remove_empty_directories(location, table.partition_columns()).await;
    let status = if deleted.is_ok() { "COMPLETED" } else { "FAILED" };
    let end = Operation::new("VACUUM END").text("status", status);
    let figures = [
        ("numDeletedFiles", *deleted.as_ref().unwrap_or(&0) as u64),
        ("numVacuumedDirectories", directories as u64),
    ];
    let ended = commit(&begun.snapshot, end, options, &figures).await?;
    deleted?;
    Ok(VacuumResult { paths: vec![location.uri()], files, bytes, directories, committed: Some(ended) })
}

/// The rows of VACUUM.
pub fn vacuum_report(result: &VacuumResult) -> Result<Report> {
    let rows: Vec<_> = result.paths.iter().map(|p| json!({"path": p})).collect();
    Report::new(StructType::new(vec![field("path", DataType::STRING)]), &rows)
}

fn retention(options: &VacuumOptions, default_ms: i64) -> Result<i64> {
    let Some(hours) = options.retain_hours else { return Ok(default_ms) };
    if hours < 0.0 || !hours.is_finite() {
        return Err(Error::new("DELTA_VACUUM_RETENTION_PERIOD_NEGATIVE")
            .message("VACUUM cannot retain files for less than 0 hours.")
            .exception("IllegalArgumentException"));
    }
    let ms = (hours * 3_600_000.0) as i64;
    if ms < default_ms && !options.skip_retention_check {
        let configured = default_ms / 3_600_000;
        return Err(Error::new("DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT")
            .param("configuredRetentionHours", configured)
            .message(format!(
                "Retaining files for less than {configured} hours can break this table for readers and writers at \
                 work. If there are none, set spark.databricks.delta.retentionDurationCheck.enabled to false."
            ))
            .exception("IllegalArgumentException"));
    }
    Ok(ms)
}

/// A file and the file of its deletion vector.
fn protect(
    location: &TableLocation,
    path: &str,
    vector: Option<&crate::action::DeletionVector>,
    out: &mut HashSet<Path>,
) -> Result<()> {
    if let Ok(path) = location.resolve(path) {
        out.insert(path);
    }
    if let Some(vector) = vector
        && let Some(path) = kernel::vector_file(location, vector)?
    {
        out.insert(path);
    }
    Ok(())
}

async fn list(location: &TableLocation) -> Result<Vec<ObjectMeta>> {
    location
        .store()
        .list(Some(location.prefix()))
        .try_collect()
        .await
        .map_err(|e| Error::io(format!("listing {}", location.uri()), e))
}

/// A file of an inventory, where it is below the table.
fn listed(location: &TableLocation, file: &InventoryFile) -> Option<ObjectMeta> {
    let own = location.uri();
    let path = match file.path.strip_prefix(&own) {
        Some(rest) => location.relative(rest.trim_start_matches('/')).ok()?,
        None => location.resolve(&crate::location::encode_path(&file.path)).ok()?,
    };
    location.relativize(&path)?;
    Some(ObjectMeta {
        location: path,
        last_modified: chrono::DateTime::from_timestamp_millis(file.modified_ms)?,
        size: file.size,
        e_tag: None,
        version: None,
    })
}

/// Names that begin with `_` or `.` are others', but for partition columns, indexes and change data.
fn is_hidden(relative: &str, partition_columns: &[String]) -> bool {
    relative.split('/').any(|part| {
        (part.starts_with('_') || part.starts_with('.'))
            && part != "_change_data"
            && part != "_delta_index"
            && !partition_columns
                .iter()
                .any(|c| part.strip_prefix(c.as_str()).is_some_and(|rest| rest.starts_with('=')))
    }) || relative.starts_with(LOG_DIRECTORY)
}

fn uri(location: &TableLocation, path: &Path) -> String {
    match location.relativize(path) {
        Some(relative) => format!("{}/{relative}", location.uri()),
        None => path.to_string(),
    }
}

async fn delete_all(location: &TableLocation, files: Vec<ObjectMeta>) -> Result<usize> {
    let paths = stream::iter(files.into_iter().map(|m| Ok(m.location))).boxed();
    let mut results = location.store().delete_stream(paths);
    let mut deleted = 0;
    while let Some(result) = results.next().await {
        match result {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {
                fault::point("delta::after-deletion")?;
                deleted += 1;
            }
            Err(e) => return Err(Error::io(format!("deleting files of {}", location.uri()), e)),
        }
    }
    Ok(deleted)
}

/// Directories exist on local disks only. What cannot be removed stays.
async fn remove_empty_directories(location: &TableLocation, partition_columns: &[String]) {
    let Some(root) = location.local_path(location.prefix()) else { return };
    let partition_columns = partition_columns.to_vec();
    let _ = tokio::task::spawn_blocking(move || {
        fn clean(directory: &std::path::Path, partition_columns: &[String]) {
            let Ok(entries) = std::fs::read_dir(directory) else { return };
            for entry in entries.flatten() {
                let path = entry.path();
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.file_type().is_ok_and(|t| t.is_dir()) && !is_hidden(&name, partition_columns) {
                    clean(&path, partition_columns);
                    // Fails where it is not empty.
                    let _ = std::fs::remove_dir(&path);
                }
            }
        }
        clean(&root, &partition_columns);
    })
    .await;
}

async fn commit(
    table: &Snapshot,
    operation: Operation,
    options: &VacuumOptions,
    figures: &[(&str, u64)],
) -> Result<Committed> {
    let mut transaction = Transaction::new(table.location(), Some(table), operation);
    transaction.user_metadata.clone_from(&options.commit.user_metadata);
    transaction.tags = options.commit.commit_fields.clone();
    for (name, value) in figures {
        transaction.metrics.set(name, value);
    }
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_are_others() {
        let partitions = vec!["_p".to_string()];
        assert!(
            is_hidden("_delta_log/0.json", &[]) && is_hidden("a/.x.parquet", &[]) && is_hidden("_x/a", &[])
        );
        assert!(!is_hidden("_p=1/a.parquet", &partitions) && !is_hidden("_change_data/a.parquet", &[]));
        assert!(!is_hidden("p=1/a.parquet", &[]));
    }
}
