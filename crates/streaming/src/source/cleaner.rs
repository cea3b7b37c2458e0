//! What becomes of files that were read (`cleanSource`): they stay, are deleted, or are moved into an archive. Spark's
//! `FileStreamSource.FileStreamSourceCleaner`, and `cloudFiles.cleanSource`, which waits for a time first.
//!
//! A task of its own cleans, so that a batch does not wait for it as long as it keeps up.

use boathouse_connectors::{ResolvedPath, sink_log};
use boathouse_engine::Session;
use boathouse_spec::{Error, Result, fault};
use futures::{FutureExt, StreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::sync::mpsc;

use super::file_listing::{Entry, Place, location, root};
use crate::checkpoint::Directory;
use crate::options::{Given, invalid};
use crate::settings;

/// How many files are cleaned away at once.
pub(super) fn at_once(session: &Session) -> usize {
    let threads = settings::number(session, "spark.sql.streaming.fileSource.cleaner.numThreads", 1);
    usize::try_from(threads).unwrap_or(1)
}

/// Batches whose files may wait to be cleaned away, beside the one whose files are.
const WAITING: usize = 1;

/// Batches before the last one whose files a crash may have left.
pub(super) const LEFT: i64 = 3;

#[derive(Debug, Clone)]
pub(super) enum Cleaner {
    Delete,
    /// Below this directory a file keeps its whole path.
    Archive(ResolvedPath),
    /// Below this directory a file keeps its path below the directory that the stream reads.
    Move(ResolvedPath),
}

/// What becomes of files, and when.
#[derive(Debug, Clone)]
pub(super) struct Cleaning {
    pub cleaner: Cleaner,
    /// How long files stay once they were read, in milliseconds; `None`: they are cleaned away by the batch after the next, and
    /// nothing is kept of how far that went.
    pub retention_ms: Option<i64>,
    /// Files that are cleaned away at once: `spark.sql.streaming.fileSource.cleaner.numThreads`.
    pub at_once: usize,
}

/// Files to be cleaned away, and what is to be noted then.
pub(super) struct Cleanable {
    pub files: Vec<Entry>,
    pub mark: Option<Mark>,
}

/// How far cleaning went: a file beside the log of a source.
pub(super) struct Mark {
    pub directory: Directory,
    /// The files of this batch and those before it are cleaned away.
    pub batch: i64,
}

const MARK: &str = "cleaned";

impl Mark {
    /// The last batch that was cleaned away; -1 for none.
    pub async fn read(directory: &Directory) -> Result<i64> {
        let text = directory.read_text(MARK).await?;
        Ok(text.and_then(|t| t.trim().parse().ok()).unwrap_or(-1))
    }

    async fn write(&self) {
        if let Err(e) = self.directory.replace(MARK, self.batch.to_string()).await {
            tracing::warn!("how far files were cleaned away could not be noted: {e}");
        }
    }
}

impl Cleaner {
    /// What the options say of files in a place; `None` where they stay.
    pub fn of(given: Given<'_>, place: &Place, at_once: usize) -> Result<Option<Cleaning>> {
        let Some(mode) = given.text("cleanSource") else { return Ok(None) };
        let now = |cleaner| Some(Cleaning { cleaner, retention_ms: None, at_once });
        match mode.to_lowercase().as_str() {
            "off" => Ok(None),
            "delete" => Ok(now(Self::Delete)),
            "archive" => match given.text("sourceArchiveDir").filter(|d| !d.is_empty()) {
                Some(directory) => Self::archive(directory, place).map(now),
                None => Err(illegal(
                    "Archive location must be provided when 'cleanSource' is set to 'archive'.".to_string(),
                )),
            },
            _ => Err(illegal(format!(
                "Invalid mode for clean source option {mode}. Must be one of archive,delete,off"
            ))),
        }
    }

    /// `cloudFiles.cleanSource.moveDestination`
    pub fn move_to(directory: &str, place: &Place) -> Result<Self> {
        let destination = place.context.paths.resolve(directory, place.context.stores.as_ref())?;
        for source in place.resolved()? {
            let why = if !in_one_store(&destination, &source) {
                "is not in the store of the files"
            } else if destination.path.prefix_matches(&source.path) {
                // What was moved would be read again.
                "is below the directory that the stream reads"
            } else {
                continue;
            };
            let key = "cloudFiles.cleanSource.moveDestination";
            return Err(invalid(key, directory, &format!("it {why}, {}", source.display())));
        }
        Ok(Self::Move(destination))
    }

    fn archive(directory: &str, place: &Place) -> Result<Self> {
        let archive = place.context.paths.resolve(directory, place.context.stores.as_ref())?;
        for source in place.resolved()? {
            if !in_one_store(&archive, &source) {
                return Err(illegal(format!(
                    "Base archive path is located on a different file system than the source files. source path: {} / base archive \
                     path: {}",
                    source.display(),
                    archive.display()
                )));
            }
            // What is archived must not be read again.
            if archive.path.prefix_matches(&source.path) || source.path.prefix_matches(&archive.path) {
                return Err(illegal(format!(
                    "Base archive path cannot be set to the path where archived path can possibly match with source pattern. Ensure the \
                     base archive path doesn't match with source pattern in depth, where the depth is minimum of depth on both paths. \
                     source pattern: {} depth: {} base archive path: {} depth: {}",
                    source.display(),
                    source.path.parts().count(),
                    archive.display(),
                    archive.path.parts().count()
                )));
            }
        }
        Ok(Self::Archive(archive))
    }

    /// Cleans files of a place away, batch by batch, until nobody sends any more.
    pub fn start(self, place: Place, at_once: usize) -> mpsc::Sender<Cleanable> {
        let (sender, mut batches) = mpsc::channel::<Cleanable>(WAITING);
        tokio::spawn(async move {
            while let Some(batch) = batches.recv().await {
                self.clean(&place, &batch.files, at_once).await;
                if let Some(mark) = batch.mark {
                    mark.write().await;
                }
            }
        });
        sender
    }

    /// Cleans files away. One that cannot be is told of, and stops nobody.
    async fn clean(&self, place: &Place, files: &[Entry], at_once: usize) {
        let Ok(places) = place.resolved() else { return };
        let mut cleaning = Vec::with_capacity(files.len());
        for file in files.iter().filter(|f| !f.is_skipped) {
            cleaning.push(self.clean_file(&places, file).boxed());
        }
        futures::stream::iter(cleaning).buffer_unordered(at_once.max(1)).collect::<()>().await;
    }

    async fn clean_file(&self, places: &[ResolvedPath], file: &Entry) {
        let Some(store) = places.first() else { return };
        let failed = |e: &dyn std::fmt::Display| {
            tracing::warn!("the file {} was read and cannot be cleaned away: {e}", file.path);
        };
        let from = match location(&file.path) {
            Ok(from) => from,
            Err(e) => return failed(&e),
        };
        // Another file may have the name by now, where a batch is cleaned again after a restart.
        match store.store.head(&from).await {
            Ok(found) if found.last_modified.timestamp() == file.timestamp.div_euclid(1000) => {}
            Ok(_) | Err(object_store::Error::NotFound { .. }) => return,
            Err(e) => return failed(&e),
        }
        if fault::point("streaming::before-clean").is_err() {
            return;
        }
        let done = match self {
            Self::Delete => store.store.delete(&from).await,
            Self::Archive(archive) => {
                let to = archive.path.parts().chain(from.parts()).collect();
                store.store.rename(&from, &to).await
            }
            Self::Move(destination) => {
                let below = from.parts().skip(root(places, &from).parts().count());
                let to = destination.path.parts().chain(below).collect();
                store.store.rename(&from, &to).await
            }
        };
        match done {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(e) => failed(&e),
        }
    }
}

fn in_one_store(a: &ResolvedPath, b: &ResolvedPath) -> bool {
    a.url_of(&Path::default()) == b.url_of(&Path::default())
}

/// What a sink of files wrote is named by its log, and stays.
pub(super) async fn refuse_sink(directory: &Directory) -> Result<()> {
    if directory.child(sink_log::DIRECTORY).list().await?.is_empty() {
        return Ok(());
    }
    Err(Error::new("_LEGACY_ERROR_TEMP_2261")
        .message("Clean up source files is not supported when reading from the output directory of FileStreamSink.")
        .exception("UnsupportedOperationException"))
}

fn illegal(why: String) -> Error {
    Error::new("_LEGACY_ERROR_TEMP_3226").message(why).exception("IllegalArgumentException")
}
