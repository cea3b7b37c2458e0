//! What becomes of files that were read (`cleanSource`): they stay, are deleted, or are moved into an archive. Spark's
//! `FileStreamSource.FileStreamSourceCleaner`.
//!
//! A task of its own cleans, so that a batch does not wait for it as long as it keeps up.

use boathouse_connectors::ResolvedPath;
use boathouse_spec::{Error, Result, fault};
use futures::{FutureExt, StreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::sync::mpsc;

use super::file_listing::{Entry, Place, location};
use crate::checkpoint::Directory;
use crate::options::Given;

/// Files that are cleaned away at once.
const AT_ONCE: usize = 8;

/// Batches whose files may wait to be cleaned away, beside the one whose files are.
const WAITING: usize = 1;

/// Batches before the last one whose files a crash may have left.
pub(super) const LEFT: i64 = 3;

#[derive(Debug, Clone)]
pub(super) enum Cleaner {
    Delete,
    /// Below this directory a file keeps its whole path.
    Archive(ResolvedPath),
}

impl Cleaner {
    /// What the options say of files in a place; `None` where they stay.
    pub fn of(given: Given<'_>, place: &Place) -> Result<Option<Self>> {
        let Some(mode) = given.text("cleanSource") else { return Ok(None) };
        match mode.to_lowercase().as_str() {
            "off" => Ok(None),
            "delete" => Ok(Some(Self::Delete)),
            "archive" => match given.text("sourceArchiveDir").filter(|d| !d.is_empty()) {
                Some(directory) => Self::archive(directory, place).map(Some),
                None => Err(illegal(
                    "Archive location must be provided when 'cleanSource' is set to 'archive'.".to_string(),
                )),
            },
            _ => Err(illegal(format!(
                "Invalid mode for clean source option {mode}. Must be one of archive,delete,off"
            ))),
        }
    }

    fn archive(directory: &str, place: &Place) -> Result<Self> {
        let archive = place.context.paths.resolve(directory, place.context.stores.as_ref())?;
        for source in place.resolved()? {
            if archive.url_of(&Path::default()) != source.url_of(&Path::default()) {
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
    pub fn start(self, place: Place) -> mpsc::Sender<Vec<Entry>> {
        let (sender, mut batches) = mpsc::channel::<Vec<Entry>>(WAITING);
        tokio::spawn(async move {
            while let Some(files) = batches.recv().await {
                self.clean(&place, &files).await;
            }
        });
        sender
    }

    /// Cleans files away. One that cannot be is told of, and stops nobody.
    async fn clean(&self, place: &Place, files: &[Entry]) {
        let Ok(Some(store)) = place.resolved().map(|p| p.into_iter().next()) else { return };
        let mut cleaning = Vec::with_capacity(files.len());
        for file in files.iter().filter(|f| !f.is_skipped) {
            cleaning.push(self.clean_file(&store, file).boxed());
        }
        futures::stream::iter(cleaning).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    async fn clean_file(&self, store: &ResolvedPath, file: &Entry) {
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
        };
        match done {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(e) => failed(&e),
        }
    }
}

/// What a sink of files wrote is named by its log, and stays.
pub(super) async fn refuse_sink(directory: &Directory) -> Result<()> {
    if directory.child("_spark_metadata").list().await?.is_empty() {
        return Ok(());
    }
    Err(Error::new("_LEGACY_ERROR_TEMP_2261")
        .message("Clean up source files is not supported when reading from the output directory of FileStreamSink.")
        .exception("UnsupportedOperationException"))
}

fn illegal(why: String) -> Error {
    Error::new("_LEGACY_ERROR_TEMP_3226").message(why).exception("IllegalArgumentException")
}
