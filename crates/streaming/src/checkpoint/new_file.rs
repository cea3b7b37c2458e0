//! A file that is written piece by piece, under a name that nobody looks for before it is told of.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use boathouse_spec::{Error, Result, fault};
use bytes::Bytes;
use object_store::buffered::BufWriter;
use tokio::io::AsyncWriteExt;

use super::local::Settling;
use crate::blocking::aside_if_many;

/// A crash may leave a part of it.
pub struct NewFile {
    /// As errors name it.
    shown: String,
    place: Place,
}

enum Place {
    Disk {
        file: File,
        directory: PathBuf,
        pieces: usize,
    },
    /// One request where it is small, several at once where it is not.
    Store(Box<BufWriter>),
}

impl NewFile {
    /// A file of this machine.
    pub(super) async fn on_disk(path: PathBuf, shown: String) -> Result<Self> {
        let Some(directory) = path.parent().map(PathBuf::from) else {
            return Err(Error::io(format!("writing {shown}"), "the path names no file"));
        };
        let into = directory.clone();
        let file = tokio::task::spawn_blocking(move || {
            boathouse_delta::disk::create_directory(&into)?;
            File::create_new(path)
        });
        let failed = |e: &dyn std::fmt::Display| Error::io(format!("writing {shown}"), e);
        let file = file.await.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
        Ok(Self { shown, place: Place::Disk { file, directory, pieces: 0 } })
    }

    pub(super) fn in_store(writer: BufWriter, shown: String) -> Self {
        Self { shown, place: Place::Store(Box::new(writer)) }
    }

    fn failed(&self, e: impl std::fmt::Display) -> Error {
        Error::io(format!("writing {}", self.shown), e)
    }

    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let written = match &mut self.place {
            Place::Disk { file, pieces, .. } => {
                *pieces += 1;
                aside_if_many(bytes.len() / 64, || {
                    let (first, rest) = bytes.split_at(bytes.len() / 2);
                    file.write_all(first)?;
                    if *pieces == 2 {
                        fault::io_point_at("streaming::half-written", std::path::Path::new(&self.shown))?;
                    }
                    file.write_all(rest)
                })
            }
            Place::Store(writer) => writer.put(bytes).await.map_err(std::io::Error::from),
        };
        written.map_err(|e| self.failed(e))
    }

    /// Ends the file, and begins to bring it and its name to the disk.
    pub fn finish(self) -> Settling {
        match self.place {
            Place::Disk { file, directory, .. } => Settling::all([
                tokio::task::spawn_blocking(move || file.sync_all()),
                tokio::task::spawn_blocking(move || File::open(directory)?.sync_all()),
            ]),
            Place::Store(mut writer) => Settling::all([tokio::spawn(async move { writer.shutdown().await })]),
        }
    }
}
