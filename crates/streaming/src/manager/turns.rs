//! Starts on one checkpoint, one after the other.
//!
//! A query reads the logs of its checkpoint when it is opened, and runs when it is entered among the others. Of two that are
//! started at once, one could read before the other begins and run when that one has been stopped: it would plan a batch that
//! is there, and end.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<String, Weak<AsyncMutex<()>>>>);

impl Turns {
    /// Waits until nobody else is starting a query on the checkpoint. The turn ends when what is returned is dropped.
    pub async fn take(&self, checkpoint: &str) -> OwnedMutexGuard<()> {
        self.of(checkpoint).lock_owned().await
    }

    fn of(&self, checkpoint: &str) -> Arc<AsyncMutex<()>> {
        let mut turns = self.0.lock();
        turns.retain(|_, turn| turn.strong_count() > 0);
        turns.get(checkpoint).and_then(Weak::upgrade).unwrap_or_else(|| {
            let turn = Arc::default();
            turns.insert(checkpoint.to_string(), Arc::downgrade(&turn));
            turn
        })
    }
}
