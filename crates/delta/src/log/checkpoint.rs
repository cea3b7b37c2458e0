//! Checkpoints: written after every n-th commit, and set aside where damaged.

use std::collections::HashSet;
use std::sync::Arc;

use boathouse_spec::{Error, Result, fault};
use delta_kernel::{KernelError, Snapshot as KernelSnapshot, SnapshotRef};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::classic_checkpoint;
use super::hiding_store::HidingStore;
use super::kernel::{self, Loaded};
use super::{LogFile, classify};
use crate::action::Add;
use crate::error;
use crate::location::TableLocation;
use crate::snapshot::Snapshot;

/// Writes the checkpoint of a version. A reader needs none, so a failure here fails no commit.
pub(crate) async fn write(table: &Snapshot) -> Result<()> {
    fault::point("delta::before-checkpoint")?;
    let location = table.location().clone();
    let version = table.version() as u64;
    let refused = kernel::run(move || {
        let engine = kernel::engine(&location)?;
        let failed = |e: KernelError| Error::io(format!("writing the checkpoint of {}", location.uri()), e);
        let snapshot =
            KernelSnapshot::builder_for(kernel::ROOT).at_version(version).build(&engine).map_err(failed)?;
        match snapshot.checkpoint(&engine, None) {
            Ok(_) => Ok(false),
            // Features of writers that mean nothing to a checkpoint.
            Err(KernelError::Unsupported(_)) => Ok(true),
            Err(e) => Err(failed(e)),
        }
    })
    .await?;
    if refused {
        classic_checkpoint::write(table).await?;
    }
    fault::point("delta::after-checkpoint")?;
    Ok(())
}

/// Loads the state at a version. Where a checkpoint is damaged, an older one or the commits alone serve.
pub(crate) async fn load(location: &TableLocation, version: Option<i64>) -> Result<Loaded> {
    let first = kernel::load(location, version).await?;
    let failure = match first {
        Ok(loaded) => return Ok(loaded),
        Err(e) => e,
    };
    if let Some(shown) = without_damaged_checkpoints(location).await?
        && let Ok(loaded) = kernel::load(&shown, version).await?
    {
        tracing::warn!(table = location.uri(), "a damaged checkpoint was passed over: {failure}");
        return Ok(loaded);
    }
    Err(explain(location, version, failure).await)
}

/// The files of a state, with the same care.
pub(crate) async fn files(location: &TableLocation, snapshot: SnapshotRef) -> Result<Vec<Add>> {
    let version = snapshot.version() as i64;
    let failure = match kernel::files(location, snapshot).await? {
        Ok(files) => return Ok(files),
        Err(e) => e,
    };
    if let Some(shown) = without_damaged_checkpoints(location).await?
        && let Ok(loaded) = kernel::load(&shown, Some(version)).await?
        && let Ok(files) = kernel::files(&shown, loaded.kernel).await?
    {
        tracing::warn!(table = location.uri(), "a damaged checkpoint was passed over: {failure}");
        return Ok(files);
    }
    Err(explain(location, Some(version), failure).await)
}

/// The location with all checkpoints hidden that are not whole, and the hint, which may point to one that is not there;
/// `None` where nothing is to be hidden.
async fn without_damaged_checkpoints(location: &TableLocation) -> Result<Option<TableLocation>> {
    let mut hidden = HashSet::new();
    let hint = location.log_path("_last_checkpoint");
    for meta in super::list(location).await? {
        let Some(name) = meta.location.filename() else { continue };
        if meta.location == hint {
            hidden.insert(hint.clone());
        }
        if !matches!(classify(name), LogFile::Checkpoint(_)) {
            continue;
        }
        if !is_whole(location, &meta.location).await {
            hidden.insert(meta.location.clone());
        }
    }
    if hidden.is_empty() {
        return Ok(None);
    }
    Ok(Some(location.with_store(Arc::new(HidingStore::new(location.store().clone(), hidden)))))
}

/// Whether a checkpoint can be read to its last page.
async fn is_whole(location: &TableLocation, path: &Path) -> bool {
    let Ok(found) = location.store().get(path).await else { return false };
    let Ok(bytes) = found.bytes().await else { return false };
    let name = path.to_string();
    let read = kernel::run(move || {
        if name.ends_with(".json") {
            return Ok(crate::action::Action::parse_commit(&bytes, &name).is_ok());
        }
        let Ok(reader) = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|b| b.build()) else {
            return Ok(false);
        };
        Ok(reader.into_iter().all(|batch| batch.is_ok()))
    });
    read.await.unwrap_or(false)
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
        if classify(name) == LogFile::Checkpoint(version) && !is_whole(location, &meta.location).await {
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
            if let crate::action::Action::Protocol(protocol) = action {
                return Ok(Some(protocol));
            }
        }
    }
    Ok(None)
}
