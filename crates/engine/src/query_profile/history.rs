//! The history of queries: profiles wait in a queue, so that no query waits for the disk.

use std::path::PathBuf;
use std::time::Duration;

use boathouse_catalog::{QueryHistory, QueryRecord};
use boathouse_spec::{Error, Result};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, mpsc, oneshot};

/// Profiles that may wait; those that come when so many wait are lost.
const WAITING: usize = 10_000;
/// How long profiles are gathered for one transaction.
const GATHERED: Duration = Duration::from_millis(250);

enum Entry {
    Profile(Box<QueryRecord>),
    /// Asks for an answer when all before it is written.
    Flush(oneshot::Sender<()>),
}

pub(crate) struct History {
    entries: mpsc::Sender<Entry>,
    store: std::sync::Arc<Store>,
}

/// The file, which is opened when the first profile is written or asked for.
struct Store {
    path: PathBuf,
    opened: OnceCell<QueryHistory>,
}

impl Store {
    async fn get(&self) -> Result<&QueryHistory> {
        self.opened.get_or_try_init(|| QueryHistory::open(&self.path)).await
    }
}

impl History {
    pub fn start(path: PathBuf, runtime: &Handle) -> Self {
        let (entries, waiting) = mpsc::channel(WAITING);
        let store = std::sync::Arc::new(Store { path, opened: OnceCell::new() });
        runtime.spawn(write(waiting, std::sync::Arc::clone(&store)));
        Self { entries, store }
    }

    pub fn keep(&self, record: QueryRecord) {
        if self.entries.try_send(Entry::Profile(Box::new(record))).is_err() {
            tracing::warn!("the history of queries is behind: a query is missing in it");
        }
    }

    /// The newest queries, newest first, with all that have ended.
    pub async fn newest(&self, limit: i64) -> Result<Vec<QueryRecord>> {
        self.flush().await?;
        self.store.get().await?.newest(limit).await
    }

    pub async fn find(&self, id: &str) -> Result<Option<QueryRecord>> {
        self.flush().await?;
        self.store.get().await?.find(id).await
    }

    /// Waits until all that have ended are written.
    pub async fn flush(&self) -> Result<()> {
        let (done, written) = oneshot::channel();
        let ended = || Error::internal("the writer of the history has ended");
        self.entries.send(Entry::Flush(done)).await.map_err(|_| ended())?;
        written.await.map_err(|_| ended())
    }
}

async fn write(mut entries: mpsc::Receiver<Entry>, store: std::sync::Arc<Store>) {
    while let Some(first) = entries.recv().await {
        let mut records = Vec::new();
        let mut asked = Vec::new();
        let mut next = Some(first);
        let gather = async {
            loop {
                match next.take() {
                    Some(Entry::Profile(record)) => records.push(*record),
                    Some(Entry::Flush(done)) => {
                        asked.push(done);
                        return;
                    }
                    None => return,
                }
                next = entries.recv().await;
            }
        };
        let _ = tokio::time::timeout(GATHERED, gather).await;
        if !records.is_empty() {
            let written = async { store.get().await?.append(&records).await };
            if let Err(e) = written.await {
                tracing::warn!("the history of queries cannot be written: {e}");
            }
        }
        for done in asked {
            let _ = done.send(());
        }
    }
}
