//! Small files of this machine's disk, each there whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

use boathouse_spec::{Error, Result, fault};
use tokio::task::JoinHandle;

/// A file that is there. Once this is done it also outlasts a failure of the machine.
#[must_use]
#[derive(Debug, Default)]
pub struct Settling(Option<JoinHandle<std::io::Result<()>>>);

impl Settling {
    /// Begins to bring the names in a directory to the disk.
    pub(super) fn names_in(directory: PathBuf) -> Self {
        Self(Some(tokio::task::spawn_blocking(move || std::fs::File::open(directory)?.sync_all())))
    }

    /// Waits for the disk.
    pub async fn done(self) -> Result<()> {
        let Some(running) = self.0 else { return Ok(()) };
        let failed = |e: &dyn std::fmt::Display| Error::io("bringing a checkpoint to the disk", e);
        running.await.map_err(|e| failed(&e))?.map_err(|e| failed(&e))
    }
}

/// Makes a file: written beside its place, made durable, then linked into it, so that it is there whole or not at all, and so
/// that one of two writers wins; whether this one did. Its name is on the disk once the directory is.
pub(super) fn create(file: &Path, contents: &[u8], replace: bool) -> std::io::Result<bool> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name().and_then(|n| n.to_str())) else {
        return Err(std::io::Error::other("the path names no file"));
    };
    make_directory(directory)?;
    let staged = directory.join(format!(".{name}.{}.tmp", uuid::Uuid::new_v4()));
    let written = (|| {
        write(&staged, contents)?.sync_all()?;
        fault::io_point("streaming::before-link")?;
        if replace {
            return std::fs::rename(&staged, file).map(|()| true);
        }
        match std::fs::hard_link(&staged, file) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e),
        }
    })();
    let _ = std::fs::remove_file(&staged);
    if matches!(written, Ok(true)) {
        fault::io_point("streaming::after-link")?;
    }
    written
}

/// Makes a directory, and those above it, where they are not there; their names are on the disk then.
pub(super) fn make_directory(directory: &Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let Some(parent) = directory.parent() else { return Ok(()) };
    make_directory(parent)?;
    match std::fs::create_dir(directory) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
        _ => std::fs::File::open(parent)?.sync_all(),
    }
}

/// Writes a file that has no place to be taken, as its name is new: it needs no other name before.
pub(super) fn write(file: &Path, contents: &[u8]) -> std::io::Result<std::fs::File> {
    let mut out = std::fs::File::create_new(file)?;
    let (first, rest) = contents.split_at(contents.len() / 2);
    out.write_all(first)?;
    fault::io_point("streaming::half-written")?;
    out.write_all(rest)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_creates() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a/0");
        assert!(create(&file, b"first", false).unwrap());
        assert!(!create(&file, b"second", false).unwrap());
        assert_eq!(std::fs::read(&file).unwrap(), b"first");
        assert!(create(&file, b"third", true).unwrap());
        assert_eq!(std::fs::read(&file).unwrap(), b"third");
        assert_eq!(std::fs::read_dir(directory.path().join("a")).unwrap().count(), 1);
    }
}
