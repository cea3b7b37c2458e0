//! Writing a commit file: whole or not at all, and never over another one.

use boathouse_spec::{Error, Result, fault};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutOptions};

use super::{commit_name, managed};
use crate::disk::{PutOutcome, create_directory, link_new_file, sync_with_name};
use crate::error;
use crate::location::TableLocation;

/// Makes `content` the commit of a version, unless it has one: in the store, or by the catalog that manages the table's.
pub(crate) async fn commit(location: &TableLocation, version: i64, content: Bytes) -> Result<PutOutcome> {
    fault::point("delta::before-commit")?;
    if version == 0 {
        make_log_directory(location).await?;
    }
    match location.coordinator() {
        Some(coordinator) => managed::commit(location, coordinator, version, content).await,
        None => put_if_absent(location, &location.log_path(&commit_name(version)), content).await,
    }
}

/// Writes an object unless there is one of that name. When this returns `Written`, the object survives a crash of the
/// machine; when it fails or the process dies, there is the whole object or none.
pub(crate) async fn put_if_absent(
    location: &TableLocation,
    path: &Path,
    content: Bytes,
) -> Result<PutOutcome> {
    if let Some((root, file)) = location.local_root(path).zip(location.local_path(path)) {
        let name = path.to_string();
        return tokio::task::spawn_blocking(move || link_new_file(&root, &file, &content))
            .await
            .map_err(|e| Error::internal(format!("writing {name} did not end: {e}")))?
            .map_err(|e| error::write_failed(location, format!("{path}: {e}")));
    }
    let options = PutOptions { mode: PutMode::Create, ..Default::default() };
    match location.store().put_opts(path, content.into(), options).await {
        Ok(_) => Ok(PutOutcome::Written),
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
            Ok(PutOutcome::Exists)
        }
        Err(e) => Err(error::write_failed(location, format!("{path}: {e}"))),
    }
}

/// Makes the directory of a new table's log where directories are things of their own. The log of a table that exists has
/// one: making it again would bring a table back that was dropped meanwhile.
pub(crate) async fn make_log_directory(location: &TableLocation) -> Result<()> {
    let Some(directory) = location.local_path(&location.log_directory()) else { return Ok(()) };
    tokio::task::spawn_blocking(move || create_directory(&directory))
        .await
        .map_err(|e| Error::internal(format!("making the log of {} did not end: {e}", location.uri())))?
        .map_err(|e| error::cannot_create_log(location, e))
}

/// Takes the directories of a table away that was not made in the end. What is not empty stays.
pub(crate) async fn remove_empty_directories(location: &TableLocation) {
    let Some(log) = location.local_path(&location.log_directory()) else { return };
    if tokio::fs::remove_dir(&log).await.is_ok()
        && let Some(table) = log.parent()
    {
        let _ = tokio::fs::remove_dir(table).await;
    }
}

/// Forces a data file on a local disk to disk, with its name. Object stores are durable when a write returns.
pub(crate) async fn make_durable(location: &TableLocation, path: &Path) -> Result<()> {
    let Some(file) = location.local_path(path) else {
        return Ok(());
    };
    let synced = sync_with_name(file.clone(), move || std::fs::File::open(&file)?.sync_all());
    synced.await.map_err(|e| error::write_failed(location, format!("forcing {path} to disk: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_writer_wins() {
        let directory = tempfile::tempdir().unwrap();
        let location = TableLocation::local(directory.path().join("t")).unwrap();
        let first = commit(&location, 0, Bytes::from_static(b"one")).await.unwrap();
        let second = commit(&location, 0, Bytes::from_static(b"two")).await.unwrap();
        assert_eq!((first, second), (PutOutcome::Written, PutOutcome::Exists));
        let log = directory.path().join("t/_delta_log");
        assert_eq!(std::fs::read(log.join("00000000000000000000.json")).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(&log).unwrap().count(), 1, "no temporary file stays");
        std::fs::create_dir(log.join("00000000000000000001.json")).unwrap();
        let e = commit(&location, 1, Bytes::from_static(b"three")).await.unwrap_err();
        assert!(e.text().contains("00000000000000000001.json: a directory has its name"), "{e}");
    }
}
