//! Writing a commit file: whole or not at all, and never over another one.

use std::io::Write;
use std::path::{Path as FilePath, PathBuf};

use boathouse_spec::{Error, Result, fault};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutOptions};

use super::commit_name;
use crate::error;
use crate::location::TableLocation;

/// What became of an attempt to write a file that must not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PutOutcome {
    Written,
    Exists,
}

/// Writes an object unless there is one of that name. When this returns `Written`, the object survives a crash of the
/// machine; when it fails or the process dies, there is the whole object or none.
pub(crate) async fn put_if_absent(
    location: &TableLocation,
    path: &Path,
    content: Bytes,
) -> Result<PutOutcome> {
    fault::point("delta::before-commit")?;
    if let Some(file) = location.local_path(path) {
        if path.filename() == Some(commit_name(0).as_str()) {
            make_log_directory(location).await?;
        }
        let name = path.to_string();
        return tokio::task::spawn_blocking(move || link_new_file(&file, &content))
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

/// A temporary file, forced to disk, gets its name by a hard link, which fails where the name is taken.
fn link_new_file(target: &FilePath, content: &[u8]) -> std::io::Result<PutOutcome> {
    let directory = target.parent().unwrap_or(FilePath::new("/"));
    let temporary = temporary_name(target);
    let written = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()
    })();
    if let Err(e) = written {
        let _ = std::fs::remove_file(&temporary);
        return Err(e);
    }
    fault::io_point("delta::before-link")?;
    let linked = std::fs::hard_link(&temporary, target);
    let _ = std::fs::remove_file(&temporary);
    match linked {
        Ok(()) => {
            fault::io_point("delta::after-link")?;
            sync_directory(directory)?;
            Ok(PutOutcome::Written)
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(PutOutcome::Exists),
        // A file system without hard links: an exclusive create is the next best; a crash may leave part of the file.
        Err(e) if e.kind() == std::io::ErrorKind::Unsupported => create_exclusively(target, content),
        Err(e) => Err(e),
    }
}

fn create_exclusively(target: &FilePath, content: &[u8]) -> std::io::Result<PutOutcome> {
    let mut file = match std::fs::OpenOptions::new().write(true).create_new(true).open(target) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Ok(PutOutcome::Exists),
        Err(e) => return Err(e),
    };
    file.write_all(content)?;
    file.sync_all()?;
    if let Some(directory) = target.parent() {
        sync_directory(directory)?;
    }
    Ok(PutOutcome::Written)
}

/// `.name.uuid.tmp` beside the file: no reader of the log takes it for one of its own.
fn temporary_name(target: &FilePath) -> PathBuf {
    let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    target.with_file_name(format!(".{name}.{}.tmp", uuid::Uuid::new_v4()))
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

/// Creates a directory so that its name, and those of the parents made with it, survive a crash.
pub(crate) fn create_directory(directory: &FilePath) -> std::io::Result<()> {
    let missing: Vec<&FilePath> = directory.ancestors().take_while(|d| !d.is_dir()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(directory)?;
    missing.iter().filter_map(|d| d.parent()).try_for_each(sync_directory)
}

fn sync_directory(directory: &FilePath) -> std::io::Result<()> {
    match std::fs::File::open(directory).and_then(|d| d.sync_all()) {
        // Some file systems do not sync directories.
        Err(e) if matches!(e.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::Unsupported) => {
            Ok(())
        }
        other => other,
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

/// Forces the content of a file to disk, by a call, and its name.
pub(crate) async fn sync_with_name(
    file: PathBuf,
    content: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> std::io::Result<()> {
    // The disk takes both at a time.
    let name = tokio::task::spawn_blocking(move || file.parent().map_or(Ok(()), sync_directory));
    let content = tokio::task::spawn_blocking(content);
    for task in [content, name] {
        task.await.map_err(std::io::Error::other)??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_writer_wins() {
        let directory = tempfile::tempdir().unwrap();
        let location = TableLocation::local(directory.path().join("t")).unwrap();
        let path = location.log_path("00000000000000000000.json");
        let first = put_if_absent(&location, &path, Bytes::from_static(b"one")).await.unwrap();
        let second = put_if_absent(&location, &path, Bytes::from_static(b"two")).await.unwrap();
        assert_eq!((first, second), (PutOutcome::Written, PutOutcome::Exists));
        let log = directory.path().join("t/_delta_log");
        assert_eq!(std::fs::read(log.join("00000000000000000000.json")).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(log).unwrap().count(), 1, "no temporary file stays");
    }
}
