//! Small files of this machine's disk, each there whole or not at all.

use std::path::{Path, PathBuf};

use boathouse_delta::disk::{self, PutOutcome};
use boathouse_spec::{Error, Result};
use tokio::task::JoinHandle;

/// A file that is there. Once this is done it also outlasts a failure of the machine.
#[must_use]
#[derive(Debug, Default)]
pub struct Settling(Vec<JoinHandle<std::io::Result<()>>>);

impl Settling {
    /// Begins to bring the names in a directory to the disk.
    pub(super) fn names_in(directory: PathBuf) -> Self {
        Self::all([tokio::task::spawn_blocking(move || std::fs::File::open(directory)?.sync_all())])
    }

    pub(super) fn all(running: impl IntoIterator<Item = JoinHandle<std::io::Result<()>>>) -> Self {
        Self(running.into_iter().collect())
    }

    /// The same for several files.
    pub fn together(files: impl IntoIterator<Item = Self>) -> Self {
        Self(files.into_iter().flat_map(|file| file.0).collect())
    }

    /// Waits for the disk.
    pub async fn done(self) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| Error::io("bringing a checkpoint to the disk", e);
        for running in self.0 {
            running.await.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
        }
        Ok(())
    }
}

/// Makes a file that is there whole or not at all, and that one of two writers makes; whether this one did. Its name is on the
/// disk once the directory is.
pub(super) fn create(file: &Path, contents: &[u8], replace: bool) -> std::io::Result<bool> {
    disk::create_directory(file.parent().ok_or_else(|| std::io::Error::other("the path names no file"))?)?;
    match replace {
        true => disk::replace_unsynced(file, contents).map(|()| true),
        false => disk::link_unsynced(file, contents).map(|outcome| outcome == PutOutcome::Written),
    }
}
