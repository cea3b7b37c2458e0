//! Commits that a catalog ratifies: staged in a file, made a version by the catalog, and then published where the log of every
//! table has them.
//!
//! Who opens the table publishes first what was ratified and not published, since its writer died. So every other reader of the
//! log sees a log like any other, and what is kept of it (checkpoints, compacted commits) is of published commits only.

use boathouse_spec::{Error, Result, fault};
use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::commit_file::{make_durable, put_if_absent};
use super::{commit_name, head_commit};
use crate::coordinator::CommitCoordinator;
use crate::data_file::delete_quietly;
use crate::disk::PutOutcome;
use crate::error;
use crate::location::TableLocation;

/// The directory of commits which the catalog decides about, inside the log's.
const STAGED_COMMITS: &str = "_staged_commits";

/// Has the catalog make `content` the commit of a version, and publishes it. `Exists` where another commit was faster.
pub(crate) async fn commit(
    location: &TableLocation,
    coordinator: &dyn CommitCoordinator,
    version: i64,
    content: Bytes,
) -> Result<PutOutcome> {
    let name = format!("{version:020}.{}.json", uuid::Uuid::new_v4());
    let staged = staged_path(location, &name);
    put_if_absent(location, &staged, content.clone()).await?;
    fault::point("delta::before-ratification")?;
    if !coordinator.ratify(version, &name).await? {
        delete_quietly(location, vec![staged]).await;
        return Ok(PutOutcome::Exists);
    }
    fault::point("delta::after-ratification")?;
    // From here it is a version, whoever publishes it. Those before it are published: the table was read from them.
    put_in_log(location, version, content).await?;
    fault::point("delta::after-publication")?;
    coordinator.published(version).await?;
    Ok(PutOutcome::Written)
}

/// Publishes what the catalog has ratified, and gives the last version; `None` for tables whose commits no catalog manages.
pub(crate) async fn publish(location: &TableLocation) -> Result<Option<i64>> {
    let Some(coordinator) = location.coordinator() else { return Ok(None) };
    let Some(ratified) = coordinator.ratified().await? else { return Err(error::gone(location)) };
    for (version, staged) in &ratified.unpublished {
        // Boxed: it is seldom needed, and whoever opens a table carries this future.
        Box::pin(publish_staged(location, *version, staged)).await?;
    }
    if let Some((last, _)) = ratified.unpublished.last() {
        coordinator.published(*last).await?;
    }
    Ok(Some(ratified.latest))
}

async fn publish_staged(location: &TableLocation, version: i64, staged: &str) -> Result<()> {
    let path = staged_path(location, staged);
    let failed = |e: object_store::Error| Error::io(format!("reading {path}"), e);
    let content = match location.store().get(&path).await {
        Ok(found) => found.bytes().await.map_err(failed)?,
        // Published meanwhile, and cleaned up.
        Err(object_store::Error::NotFound { .. }) if head_commit(location, version).await?.is_some() => {
            return Ok(());
        }
        Err(object_store::Error::NotFound { .. }) => {
            let lost = format!("the catalog has {staged} as its commit, which is gone");
            return Err(error::corrupt(location, Some(version), lost));
        }
        Err(e) => return Err(failed(e)),
    };
    put_in_log(location, version, content).await
}

/// Puts a ratified commit into the log, unless somebody else has done so.
async fn put_in_log(location: &TableLocation, version: i64, content: Bytes) -> Result<()> {
    let path = location.log_path(&commit_name(version));
    if put_if_absent(location, &path, content.clone()).await? == PutOutcome::Written {
        return Ok(());
    }
    let failed = |e: object_store::Error| Error::io(format!("reading {path}"), e);
    let there = location.store().get(&path).await.map_err(failed)?.bytes().await.map_err(failed)?;
    if there != content {
        let differs =
            "the log has another commit than the one that the catalog ratified. Was the metastore set back?";
        return Err(error::corrupt(location, Some(version), differs));
    }
    // The catalog is going to forget the staged file, and who wrote this one may die before it is on the disk.
    make_durable(location, &path).await
}

fn staged_path(location: &TableLocation, name: &str) -> Path {
    location.log_directory().join(STAGED_COMMITS).join(name)
}

/// The version that a file was staged for; `None` where it is no such file.
pub(crate) fn staged_version(location: &TableLocation, path: &Path) -> Option<i64> {
    let name = path.as_ref().strip_prefix(location.log_directory().as_ref())?.strip_prefix('/')?;
    let (version, rest) = name.strip_prefix(STAGED_COMMITS)?.strip_prefix('/')?.split_once('.')?;
    if version.len() == 20 && rest.ends_with(".json") { version.parse().ok() } else { None }
}
