//! Writes of a query that go on when it is stopped.
//!
//! A query is stopped wherever it waits, also while a file of its logs is being made by another thread or asked for from a store.
//! That file comes to be all the same. Whoever starts the query again must find it: it would plan the batch itself, and end
//! because another has the number. So such writes run to their end, and the query has not ended before.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, RwLock};

/// How long a stopped query waits for them at most: a store may not answer for long.
const PATIENCE: Duration = Duration::from_secs(30);

tokio::task_local! {
    static OF_THIS_QUERY: Arc<RwLock<()>>;
}

/// The writes of one run of a query.
#[derive(Debug, Default)]
pub struct InFlight(Arc<RwLock<()>>);

/// Something that is being written.
pub(super) type Writing = Option<OwnedRwLockReadGuard<()>>;

impl InFlight {
    /// Counts what the future writes.
    pub async fn of<T>(&self, run: impl Future<Output = T>) -> T {
        OF_THIS_QUERY.scope(Arc::clone(&self.0), run).await
    }

    /// Waits until nothing is being written.
    pub async fn done(&self) {
        if tokio::time::timeout(PATIENCE, self.0.write()).await.is_err() {
            tracing::warn!("a query was stopped whose checkpoint is still being written");
        }
    }
}

/// Begins a write: it is under way until what is returned is dropped.
pub(super) fn writing() -> Writing {
    OF_THIS_QUERY.try_with(|writes| Arc::clone(writes).try_read_owned().ok()).ok().flatten()
}

/// Does a write to its end, whether or not anybody waits for it.
pub(super) async fn to_its_end<T: Send + 'static>(
    write: impl Future<Output = T> + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    let writing = writing();
    tokio::spawn(async move {
        let _writing = writing;
        write.await
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_write_goes_on_when_nobody_waits_for_it() {
        let (writes, is_written) = (InFlight::default(), Arc::new(AtomicBool::new(false)));
        let (begins, begun) = oneshot::channel();
        let (ends, end) = oneshot::channel::<()>();
        let flag = Arc::clone(&is_written);
        let run = writes.of(to_its_end(async move {
            begins.send(()).unwrap();
            end.await.unwrap();
            flag.store(true, Ordering::Relaxed);
        }));
        tokio::select! {
            _ = run => panic!("the write is not done"),
            begun = begun => begun.unwrap(),
        }
        let mut done = pin!(writes.done());
        assert!(futures::poll!(&mut done).is_pending());
        ends.send(()).unwrap();
        done.await;
        assert!(is_written.load(Ordering::Relaxed));
    }
}
