//! What the operators of a query take of the engine's memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_engine::Session;
use boathouse_spec::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

/// The state of a query is at most this part of the memory for queries.
const STATE_SHARE: usize = 4;

/// What a query's state may take, and where it goes to when that is not enough.
#[derive(Debug)]
pub(crate) struct Memory {
    pool: Arc<dyn MemoryPool>,
    /// Of the pool; who asks for nothing has none, and takes no share from others.
    taken: Mutex<Option<MemoryReservation>>,
    room: usize,
    scratch: PathBuf,
}

impl Memory {
    pub fn of(session: &Session) -> Arc<Self> {
        Self::in_pool(&session.query_state().runtime_env().memory_pool, session.engine().scratch())
    }

    /// As much as is wanted.
    #[cfg(test)]
    pub fn unbounded(scratch: &Path) -> Arc<Self> {
        let pool: Arc<dyn MemoryPool> =
            Arc::new(datafusion::execution::memory_pool::UnboundedMemoryPool::default());
        Self::in_pool(&pool, scratch)
    }

    pub(super) fn in_pool(pool: &Arc<dyn MemoryPool>, scratch: &Path) -> Arc<Self> {
        let room = match pool.memory_limit() {
            MemoryLimit::Finite(limit) => limit / STATE_SHARE,
            _ => usize::MAX,
        };
        Arc::new(Self {
            pool: Arc::clone(pool),
            taken: Mutex::new(None),
            room,
            scratch: scratch.to_path_buf(),
        })
    }

    /// The directory for what has no room.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Takes so many bytes in place of others; whether there is room for them. The next batch must have enough to run with.
    pub fn exchange(&self, before: usize, now: usize) -> bool {
        self.resize(before, now, self.room).is_ok_and(|fits| fits)
    }

    /// Takes so many bytes in place of others, which cannot be fewer.
    pub fn insist(&self, before: usize, now: usize) -> Result<()> {
        self.resize(before, now, usize::MAX).map(|_| ())
    }

    fn resize(&self, before: usize, now: usize, room: usize) -> Result<bool> {
        if before == now {
            return Ok(true);
        }
        let mut taken = self.taken.lock();
        let taken = taken.get_or_insert_with(|| {
            MemoryConsumer::new("state of a stream").with_can_spill(true).register(&self.pool)
        });
        let all = taken.size().saturating_sub(before) + now;
        if now > before && all > room {
            return Ok(false);
        }
        taken.try_resize(all).spark().map(|()| true)
    }
}
