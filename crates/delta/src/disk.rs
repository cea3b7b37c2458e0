//! Files on a local disk which survive a crash of the machine: those of tables, and of checkpoints of streams.
//!
//! Writers make the directories of partitions and the like, but not the one that a table or its log is in: who comes after a
//! DROP TABLE must not bring parts of the table back.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use boathouse_spec::fault;

/// What became of an attempt to write a file that must not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    Written,
    Exists,
}

/// Makes a file, with its name on the disk, unless there is one; with the directories it needs below one that is there.
pub(crate) fn link_new_file(root: &Path, target: &Path, content: &[u8]) -> io::Result<PutOutcome> {
    let outcome = with_directories(root, target, || link_unsynced(target, content))?;
    if outcome == PutOutcome::Written {
        sync_parent(target)?;
    }
    Ok(outcome)
}

/// A temporary file, forced to disk, gets its name by a hard link, which fails where the name is taken. The name is on the disk
/// once the directory is.
pub fn link_unsynced(target: &Path, content: &[u8]) -> io::Result<PutOutcome> {
    let temporary = write_temporary(target, content, File::sync_all)?;
    fault::io_point_at("disk::before-link", target)?;
    let linked = std::fs::hard_link(&temporary, target);
    let _ = std::fs::remove_file(&temporary);
    match linked {
        Ok(()) => {
            fault::io_point_at("disk::after-link", target)?;
            Ok(PutOutcome::Written)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => taken(target),
        // A file system without hard links: an exclusive create is the next best; a crash may leave part of the file.
        Err(e) if e.kind() == io::ErrorKind::Unsupported => create_exclusively(target, content),
        Err(e) => Err(e),
    }
}

/// Writes a file in place of one that may be there: after a crash there is one of the two, whole. The name is on the disk once
/// the directory is.
pub fn replace_unsynced(target: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = write_temporary(target, content, File::sync_all)?;
    fault::io_point_at("disk::before-link", target)?;
    std::fs::rename(&temporary, target).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })?;
    fault::io_point_at("disk::after-link", target)
}

/// The name is another file's. Where it is a directory's there is no such file to be read, however often one looks.
fn taken(target: &Path) -> io::Result<PutOutcome> {
    match target.is_dir() {
        true => Err(io::Error::new(io::ErrorKind::IsADirectory, "a directory has its name")),
        false => Ok(PutOutcome::Exists),
    }
}

fn create_exclusively(target: &Path, content: &[u8]) -> io::Result<PutOutcome> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(target) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return taken(target),
        Err(e) => return Err(e),
    };
    file.write_all(content)?;
    file.sync_all()?;
    Ok(PutOutcome::Written)
}

/// Writes a file that others can do without, whole or not at all, below a directory that is there.
pub(crate) fn put(root: &Path, target: &Path, content: &[u8]) -> io::Result<()> {
    make_directories(root, target)?;
    let temporary = write_temporary(target, content, |_| Ok(()))?;
    std::fs::rename(&temporary, target).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}

fn write_temporary(
    target: &Path,
    content: &[u8],
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let temporary = temporary_name(target);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        let (first, rest) = content.split_at(content.len() / 2);
        file.write_all(first)?;
        fault::io_point_at("disk::half-written", target)?;
        file.write_all(rest)?;
        finish(&file)
    })();
    if let Err(e) = written {
        let _ = std::fs::remove_file(&temporary);
        return Err(e);
    }
    Ok(temporary)
}

/// `.name.uuid.tmp` beside the file: no reader of the log takes it for one of its own.
pub(crate) fn temporary_name(target: &Path) -> PathBuf {
    let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    target.with_file_name(format!(".{name}.{}.tmp", uuid::Uuid::new_v4()))
}

/// Creates a file that is not there, with the directories it needs below one that is.
pub(crate) fn create_file(root: &Path, path: &Path) -> io::Result<File> {
    with_directories(root, path, || OpenOptions::new().write(true).create_new(true).open(path))
}

/// Makes a file, and where a directory is missing again, once it is there.
fn with_directories<T>(root: &Path, file: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match make() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            make_directories(root, file)?;
            make()
        }
        other => other,
    }
}

/// Makes the directories between one that is there and a file.
fn make_directories(root: &Path, file: &Path) -> io::Result<()> {
    let Some(below) = file.parent().and_then(|parent| parent.strip_prefix(root).ok()) else { return Ok(()) };
    let mut directory = root.to_path_buf();
    for part in below.components() {
        let parent = directory.clone();
        directory.push(part);
        match std::fs::create_dir(&directory) {
            Ok(()) => sync_directory(&parent)?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Creates a directory so that its name, and those of the parents made with it, survive a crash.
pub fn create_directory(directory: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = directory.ancestors().take_while(|d| !d.is_dir()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(directory)?;
    missing.iter().filter_map(|d| d.parent()).try_for_each(sync_directory)
}

/// Forces the content of a file to disk, by a call, and its name.
pub(crate) async fn sync_with_name(
    file: PathBuf,
    content: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    // The disk takes both at a time.
    let name = tokio::task::spawn_blocking(move || sync_parent(&file));
    let content = tokio::task::spawn_blocking(content);
    for task in [content, name] {
        task.await.map_err(io::Error::other)??;
    }
    Ok(())
}

/// Forces files that are written to disk, with the directories between them and `root`.
pub fn sync_files(root: &Path, files: Vec<PathBuf>) -> io::Result<()> {
    let mut directories = BTreeSet::from([root.to_path_buf()]);
    for file in &files {
        File::open(file)?.sync_all()?;
        let above = file.ancestors().skip(1).take_while(|d| *d != root && d.starts_with(root));
        directories.extend(above.map(Path::to_path_buf));
    }
    directories.extend(root.parent().map(Path::to_path_buf));
    directories.iter().try_for_each(|d| sync_directory(d))
}

/// Forces the name of a file to disk.
pub(crate) fn sync_parent(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), sync_directory)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory).and_then(|d| d.sync_all()) {
        // Some file systems do not sync directories.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_was_taken_away_stays_away() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("t");
        let file = root.join("p=1").join("q=2").join("f");
        assert_eq!(create_file(&root, &file).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(put(&root, &root.join("f"), b"1").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!root.exists());

        std::fs::create_dir(&root).unwrap();
        create_file(&root, &file).unwrap();
        assert_eq!(create_file(&root, &file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        for content in [b"1", b"2"] {
            put(&root, &file, content).unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), content);
        }
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }
}
