//! Checkpoints: written after every n-th commit, and set aside where damaged.

mod columns;
mod writer;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::AsArray;
use boathouse_spec::{Error, Result, fault};
use delta_kernel::{KernelError, SnapshotRef};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::kernel::{self, Loaded};
use super::{LogFile, classify};
use crate::action::Action;
use crate::error;
use crate::file_set::FileSet;
use crate::location::TableLocation;
use crate::schema::TableColumns;
use crate::snapshot::Snapshot;

#[cfg(test)]
pub(crate) use writer::write_with;

/// Writes the checkpoint of a version. A reader needs none, so a failure here fails no commit.
pub(crate) async fn write(table: &Snapshot) -> Result<()> {
    fault::point("delta::before-checkpoint")?;
    writer::write(table).await?;
    fault::point("delta::after-checkpoint")?;
    Ok(())
}

/// How often a log is read that others change all the time.
const MAX_READS: usize = 10;

/// Loads the state at a version. Where a checkpoint is damaged, an older one or the commits alone serve.
pub(crate) async fn load(location: &TableLocation, version: Option<i64>) -> Result<Loaded> {
    let mut failure = match kernel::load(location, version).await? {
        Ok(loaded) => return Ok(loaded),
        Err(e) => e,
    };
    let mut files = super::list(location).await?;
    if files.is_empty() {
        return Err(error::not_a_table(location));
    }
    let mut reads = 1;
    loop {
        if let Some(shown) = without_damaged_checkpoints(location, &files).await?
            && let Ok(loaded) = kernel::load(&shown, version).await?
        {
            tracing::warn!(table = location.uri(), "a damaged checkpoint was passed over: {failure}");
            return Ok(loaded);
        }
        let why = explain(location, version, failure).await;
        // A log that was deleted, or made anew, while it was read looks like a damaged one.
        let now = super::list(location).await?;
        if now == files || reads == MAX_READS {
            return Err(why);
        }
        reads += 1;
        files = now;
        failure = match kernel::load(location, version).await? {
            Ok(loaded) => return Ok(loaded),
            Err(e) => e,
        };
    }
}

/// The files of a state, with the same care.
pub(crate) async fn files(
    location: &TableLocation,
    snapshot: SnapshotRef,
    columns: &Arc<TableColumns>,
) -> Result<FileSet> {
    let version = snapshot.version() as i64;
    let failure = match kernel::files(location, snapshot, columns.clone()).await? {
        Ok(files) => return Ok(files),
        Err(e) => e,
    };
    let listed = super::list(location).await?;
    if let Some(shown) = without_damaged_checkpoints(location, &listed).await?
        && let Ok(loaded) = kernel::load(&shown, Some(version)).await?
        && let Ok(files) = kernel::files(&shown, loaded.kernel, columns.clone()).await?
    {
        tracing::warn!(table = location.uri(), "a damaged checkpoint was passed over: {failure}");
        return Ok(files);
    }
    Err(explain(location, Some(version), failure).await)
}

/// All actions of some kinds, latest first, with the same care.
pub(crate) async fn actions(
    location: &TableLocation,
    version: i64,
    kinds: &'static [&'static str],
) -> Result<Vec<Action>> {
    let failure = match kernel::actions(location, version, kinds).await {
        Ok(found) => return Ok(found),
        Err(e) => e,
    };
    let listed = super::list(location).await?;
    match without_damaged_checkpoints(location, &listed).await? {
        Some(shown) => kernel::actions(&shown, version, kinds).await.map_err(|_| failure),
        None => Err(failure),
    }
}

/// The last version that an application wrote, with the same care.
pub(crate) async fn app_version(
    location: &TableLocation,
    snapshot: SnapshotRef,
    app_id: &str,
) -> Result<Option<i64>> {
    let version = snapshot.version() as i64;
    let failure = match kernel::app_version(location, snapshot, app_id.to_string()).await {
        Ok(found) => return Ok(found),
        Err(e) => e,
    };
    let listed = super::list(location).await?;
    if let Some(shown) = without_damaged_checkpoints(location, &listed).await?
        && let Ok(loaded) = kernel::load(&shown, Some(version)).await?
    {
        return kernel::app_version(&shown, loaded.kernel, app_id.to_string()).await;
    }
    Err(failure)
}

/// The location with all checkpoints hidden that are not whole, the checksums, and the hint, which may point to one that is not there;
/// `None` where nothing is to be hidden.
async fn without_damaged_checkpoints(
    location: &TableLocation,
    files: &[ObjectMeta],
) -> Result<Option<TableLocation>> {
    let mut hidden = HashSet::new();
    let hint = location.log_path(super::LAST_CHECKPOINT);
    for meta in files {
        let Some(name) = meta.location.filename() else { continue };
        if meta.location == hint {
            hidden.insert(hint.clone());
        }
        match classify(name) {
            LogFile::Checkpoint(_) => {}
            // One that says wrong things keeps a table from being read as well.
            LogFile::Checksum(_) => {
                hidden.insert(meta.location.clone());
                continue;
            }
            _ => continue,
        }
        if !is_whole(location, &meta.location).await? {
            hidden.insert(meta.location.clone());
        }
    }
    if hidden.is_empty() {
        return Ok(None);
    }
    Ok(Some(location.hiding(hidden)))
}

/// Whether a checkpoint can be read to its last page, and those of its sidecars. Where storage fails, it is not known.
pub(crate) async fn is_whole(location: &TableLocation, path: &Path) -> Result<bool> {
    if !is_whole_file(location, path).await? {
        return Ok(false);
    }
    for name in sidecars(location, path).await? {
        if !is_whole_file(location, &location.sidecar_path(&name)).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a file of a checkpoint is there and can be read to its last page.
async fn is_whole_file(location: &TableLocation, path: &Path) -> Result<bool> {
    let read = async { location.store().get(path).await?.bytes().await };
    let bytes = match read.await {
        Ok(bytes) => bytes,
        Err(object_store::Error::NotFound { .. }) => return Ok(false),
        Err(e) => return Err(Error::io(format!("reading {path}"), e)),
    };
    let name = path.to_string();
    let read = kernel::run(move || {
        if name.ends_with(".json") {
            return Ok(Action::parse_commit(&bytes, &name).is_ok());
        }
        let Ok(reader) = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|b| b.build()) else {
            return Ok(false);
        };
        Ok(reader.into_iter().all(|batch| batch.is_ok()))
    });
    // A decoder that panics over a file did not read it.
    Ok(read.await.unwrap_or(false))
}

/// The names of the sidecars of a checkpoint; none where it is a classic one.
pub(super) async fn sidecars(location: &TableLocation, path: &Path) -> Result<Vec<String>> {
    let failed = |e: &dyn std::fmt::Display| Error::io(format!("reading {path}"), e);
    let found = location.store().get(path).await.map_err(|e| failed(&e))?;
    let bytes = found.bytes().await.map_err(|e| failed(&e))?;
    if path.as_ref().ends_with(".json") {
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let name = |line: serde_json::Value| Some(line.get("sidecar")?.get("path")?.as_str()?.to_string());
        return Ok(lines.filter_map(name).map(|path| file_name(&path)).collect());
    }
    let name = path.to_string();
    kernel::run(move || {
        let failed = |e: &dyn std::fmt::Display| Error::io(format!("reading {name}"), e);
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| failed(&e))?;
        let schema = builder.parquet_schema();
        let leaf = (0..schema.num_columns()).find(|i| schema.column(*i).path().string() == "sidecar.path");
        let Some(leaf) = leaf else { return Ok(Vec::new()) };
        let mask = ProjectionMask::leaves(schema, [leaf]);
        let mut out = Vec::new();
        for batch in builder.with_projection(mask).build().map_err(|e| failed(&e))? {
            let batch = batch.map_err(|e| failed(&e))?;
            let Some(sidecars) = batch.column(0).as_struct_opt() else { continue };
            let Some(paths) = sidecars.column(0).as_string_opt::<i32>() else { continue };
            out.extend(paths.iter().flatten().map(file_name));
        }
        Ok(out)
    })
    .await
}

/// Whether the log has a checkpoint by the V2 spec. (One of a UUID is, whatever it says.)
pub(crate) async fn has_v2(location: &TableLocation) -> Result<bool> {
    for meta in super::list(location).await? {
        let name = meta.location.filename().unwrap_or_default();
        let is_checkpoint = matches!(classify(name), LogFile::Checkpoint(_));
        let has_uuid = name.split('.').nth(2).is_some_and(|part| part.len() == 36);
        if is_checkpoint && (has_uuid || !sidecars(location, &meta.location).await?.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A sidecar is named by its file, or by a URI.
fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_string()
}

/// Why a state cannot be had: no table, no such version, a feature that is not known, or a damaged log.
async fn explain(location: &TableLocation, version: Option<i64>, failure: KernelError) -> Error {
    let (commits, checkpoints) = match super::list_history(location).await {
        Ok(found) => found,
        Err(e) => return e,
    };
    if commits.is_empty() && checkpoints.is_empty() {
        return error::not_a_table(location);
    }
    if let Some(version) = version
        && let Some(range) = super::timeline::version_range(&commits, &checkpoints)
        && (version < range.0 || version > range.1)
    {
        return error::version_not_found(version, range.0, range.1);
    }
    if matches!(failure, KernelError::Unsupported(_)) {
        match latest_protocol(location, &commits, version).await {
            Ok(Some(protocol)) => {
                if let Err(e) = crate::protocol::check_readable(location, &protocol) {
                    return e;
                }
            }
            Ok(None) => {}
            Err(e) => return e,
        }
        return Error::unsupported(format!("the Delta table {}: {failure}", location.uri()));
    }
    match damage(location, version, &commits, &checkpoints, &failure).await {
        Ok(None) => error::corrupt(location, version.or(commits.last().map(|c| c.version)), failure),
        Ok(Some(e)) | Err(e) => e,
    }
}

/// What is wrong with the files that a version needs.
async fn damage(
    location: &TableLocation,
    version: Option<i64>,
    commits: &[super::CommitFile],
    checkpoints: &[i64],
    failure: &KernelError,
) -> Result<Option<Error>> {
    let until = |v: &i64| version.is_none_or(|wanted| *v <= wanted);
    let mut whole = None;
    let mut damaged = None;
    for checkpoint in checkpoints.iter().copied().filter(until) {
        match broken_part(location, checkpoint).await? {
            None => whole = Some(checkpoint),
            Some(file) => damaged = Some(file),
        }
    }
    let start = whole.map_or(0, |v| v + 1);
    let versions: Vec<i64> =
        commits.iter().map(|c| c.version).filter(|v| *v >= start).filter(until).collect();
    if versions.windows(2).any(|pair| pair[0] + 1 != pair[1]) {
        return Ok(Some(error::versions_not_contiguous(location, &versions, version)));
    }
    if versions.first().is_some_and(|first| *first != start) {
        return Ok(Some(match damaged {
            Some(file) => error::unreadable_checkpoint(&file, failure),
            None => error::truncated_log(location, version.or(versions.last().copied()).unwrap_or(start)),
        }));
    }
    for version in versions {
        super::read_commit(location, version).await?;
    }
    Ok(None)
}

/// A file of a version's checkpoint that cannot be read.
async fn broken_part(location: &TableLocation, version: i64) -> Result<Option<String>> {
    for meta in super::list(location).await? {
        let name = meta.location.filename().unwrap_or_default();
        if classify(name) == LogFile::Checkpoint(version) && !is_whole(location, &meta.location).await? {
            return Ok(Some(format!("{}/_delta_log/{name}", location.uri())));
        }
    }
    Ok(None)
}

async fn latest_protocol(
    location: &TableLocation,
    commits: &[super::CommitFile],
    version: Option<i64>,
) -> Result<Option<crate::action::Protocol>> {
    for commit in commits.iter().rev().filter(|c| version.is_none_or(|v| c.version <= v)) {
        let actions = super::read_commit(location, commit.version).await?.unwrap_or_default();
        for action in actions {
            if let Action::Protocol(protocol) = action {
                return Ok(Some(protocol));
            }
        }
    }
    Ok(None)
}
