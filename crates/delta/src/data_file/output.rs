//! Where the bytes of a data file go.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use boathouse_spec::fault;
use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::errors::Result;
use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::disk::{create_file, sync_parent, sync_with_name, temporary_name};
use crate::location::TableLocation;

/// Objects up to this size are written by one request.
const UPLOAD_BUFFER: usize = 8 * 1024 * 1024;
/// Bytes on their way to the disk at a time: it writes them while the next are encoded.
const SYNC_BYTES: usize = 32 * 1024 * 1024;

/// A new file. What was written survives a crash of the machine once [`Output::finish`] returns.
pub(crate) enum Output {
    Local(LocalFile),
    /// Object stores are durable when a write returns.
    Object(BufWriter),
}

/// Tasks that write, and calls of the operating system, that are under way: they go on when who waits for them is gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnderWay(Arc<RwLock<()>>);

impl UnderWay {
    pub async fn enter(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.0).read_owned().await
    }

    /// Waits until nothing is under way, after which nothing comes to files that were written to. Who waits has dropped the
    /// tasks: one of them that is about to enter a second time is gone instead.
    pub async fn ended(&self) {
        drop(self.0.write().await);
    }
}

impl Output {
    pub fn new(location: &TableLocation, path: &Path, under_way: &UnderWay) -> Self {
        match location.local_path(path) {
            Some(file) => Self::Local(LocalFile {
                root: location.local_root(path).unwrap_or_default(),
                path: file,
                named: None,
                file: None,
                unsynced: 0,
                syncing: None,
                under_way: under_way.clone(),
            }),
            None => {
                Self::Object(BufWriter::with_capacity(location.store().clone(), path.clone(), UPLOAD_BUFFER))
            }
        }
    }

    /// A file that has its name only when it is whole.
    pub fn whole(location: &TableLocation, path: &Path) -> Self {
        let mut output = Self::new(location, path, &UnderWay::default());
        if let Self::Local(file) = &mut output {
            let temporary = temporary_name(&file.path);
            file.named = Some(std::mem::replace(&mut file.path, temporary));
        }
        output
    }

    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        match self {
            Self::Local(file) => Ok(file.write(bytes).await?),
            Self::Object(writer) => Ok(writer.put(bytes).await?),
        }
    }

    pub async fn finish(&mut self) -> Result<()> {
        match self {
            Self::Local(file) => Ok(file.finish().await?),
            Self::Object(writer) => Ok(writer.shutdown().await?),
        }
    }
}

impl AsyncFileWriter for Output {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        Self::write(self, bytes).boxed()
    }

    fn complete(&mut self) -> BoxFuture<'_, Result<()>> {
        self.finish().boxed()
    }
}

/// A file on a local disk, made by the first bytes.
pub(crate) struct LocalFile {
    /// The directory that is there as long as the table is.
    root: PathBuf,
    path: PathBuf,
    /// The name it gets when it is whole, where it has another one until then.
    named: Option<PathBuf>,
    file: Option<File>,
    /// Bytes since the disk was last asked to take all.
    unsynced: usize,
    syncing: Option<SpawnedTask<io::Result<()>>>,
    under_way: UnderWay,
}

impl LocalFile {
    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        let (root, path, file) = (self.root.clone(), self.path.clone(), self.file.take());
        self.unsynced += bytes.len();
        let entered = self.under_way.enter().await;
        let written = blocking(move || {
            let mut file = file.map_or_else(|| create_file(&root, &path), Ok)?;
            fault::io_point("delta::before-bytes")?;
            file.write_all(&bytes)?;
            fault::io_point("delta::after-bytes")?;
            // The file is closed before the call counts as ended, where nobody takes it.
            Ok((file, entered))
        });
        let (file, _) = written.await?;
        if self.unsynced >= SYNC_BYTES {
            self.synced().await?;
            self.unsynced = 0;
            let file = file.try_clone()?;
            let entered = self.under_way.enter().await;
            self.syncing = Some(SpawnedTask::spawn_blocking(move || {
                let synced = file.sync_data();
                drop((file, entered));
                synced
            }));
        }
        self.file = Some(file);
        Ok(())
    }

    /// Waits until the disk has taken what it was asked to.
    async fn synced(&mut self) -> io::Result<()> {
        match self.syncing.take() {
            Some(task) => task.join().await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.synced().await?;
        let Some(file) = self.file.take() else { return Ok(()) };
        let entered = self.under_way.enter().await;
        let content = move || {
            let synced = file.sync_all();
            drop((file, entered));
            synced
        };
        let Some(name) = self.named.take() else { return sync_with_name(self.path.clone(), content).await };
        let path = self.path.clone();
        blocking(move || {
            content()?;
            std::fs::rename(&path, &name)?;
            sync_parent(&name)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    SpawnedTask::spawn_blocking(call).join().await.map_err(io::Error::other)?
}
