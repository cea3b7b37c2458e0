//! The columns that are kept, and which of them have to go.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::FieldRef;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

/// The cache takes at most one part in so many of the memory of queries.
const SHARE: usize = 5;
/// A column that so many scans have passed by makes room for others. Those that are in use stay: a scan of more than fits
/// would drive out each column just before it comes back to it.
const AGE: u64 = 64;
/// Files that are remembered to have been read once.
const MAX_SEEN: usize = 1 << 20;

/// [`Key::rows`] of whole columns.
pub(super) const ALL_ROWS: u64 = 0;

/// The column of a row group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Store, path, size and time of the file.
    pub file: Arc<str>,
    /// How it is read: options, and what adapts the columns of files to those of tables.
    pub reading: u64,
    pub row_group: usize,
    /// Which of its rows.
    pub rows: u64,
    pub column: FieldRef,
}

/// A column in batches.
pub(super) type Pieces = Arc<[ArrayRef]>;

pub(crate) struct ColumnCache {
    limit: usize,
    hasher: RandomState,
    state: Mutex<State>,
}

struct State {
    kept: HashMap<Key, Kept>,
    seen: HashSet<u64>,
    /// Scans so far.
    clock: u64,
    memory: MemoryReservation,
}

struct Kept {
    pieces: Pieces,
    bytes: usize,
    used: u64,
}

impl ColumnCache {
    pub fn new(pool: &Arc<dyn MemoryPool>) -> Self {
        let limit = match pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes / SHARE,
            MemoryLimit::Infinite | MemoryLimit::Unknown => 0,
        };
        let state = State {
            kept: HashMap::new(),
            seen: HashSet::new(),
            clock: 0,
            memory: MemoryConsumer::new("decoded columns").register(pool),
        };
        Self { limit, hasher: RandomState::new(), state: Mutex::new(state) }
    }

    /// Another scan begins.
    pub(super) fn tick(&self) {
        self.state.lock().clock += 1;
    }

    /// [`Key::rows`] of the rows that have a bit.
    pub(super) fn rows(&self, live: &BooleanBuffer) -> u64 {
        self.hasher.hash_one((live.offset(), live.len(), live.inner().as_slice())).max(1)
    }

    /// Whether a file was read before.
    pub(super) fn has_seen(&self, file: &str) -> bool {
        let hash = self.hasher.hash_one(file);
        let mut state = self.state.lock();
        if state.seen.len() >= MAX_SEEN {
            state.seen.clear();
        }
        !state.seen.insert(hash)
    }

    pub(super) fn get(&self, key: &Key) -> Option<Pieces> {
        let mut state = self.state.lock();
        let clock = state.clock;
        let kept = state.kept.get_mut(key)?;
        kept.used = clock;
        Some(Arc::clone(&kept.pieces))
    }

    /// Whether about so many bytes could be kept.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let state = self.state.lock();
        bytes <= self.limit
            && (state.memory.size() + bytes <= self.limit || {
                let fresh: usize = state.kept.values().filter(|k| !state.is_old(k)).map(|k| k.bytes).sum();
                fresh + bytes <= self.limit
            })
    }

    /// Keeps a column, where there is room for it.
    pub(super) fn put(&self, key: Key, pieces: Pieces) {
        let bytes: usize = pieces.iter().map(|p| p.get_array_memory_size()).sum();
        let mut state = self.state.lock();
        state.remove(&key);
        let excess = (state.memory.size() + bytes).saturating_sub(self.limit);
        if excess > 0 {
            state.remove_old(excess);
        }
        if state.memory.size() + bytes <= self.limit && state.memory.try_grow(bytes).is_ok() {
            let used = state.clock;
            state.kept.insert(key, Kept { pieces, bytes, used });
        }
    }
}

impl State {
    fn is_old(&self, kept: &Kept) -> bool {
        kept.used + AGE < self.clock
    }

    fn remove(&mut self, key: &Key) {
        if let Some(kept) = self.kept.remove(key) {
            self.memory.shrink(kept.bytes);
        }
    }

    /// Removes columns that are not in use, the longest unused first, until so many bytes are free.
    fn remove_old(&mut self, bytes: usize) {
        let mut old: Vec<(u64, usize, Key)> = self
            .kept
            .iter()
            .filter(|(_, kept)| self.is_old(kept))
            .map(|(key, kept)| (kept.used, kept.bytes, key.clone()))
            .collect();
        old.sort_unstable_by_key(|(used, ..)| *used);
        let mut free = 0;
        for (_, size, key) in old {
            if free >= bytes {
                break;
            }
            free += size;
            self.remove(&key);
        }
    }
}

impl std::fmt::Debug for ColumnCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.lock();
        write!(f, "{} columns, {} of {} bytes", state.kept.len(), state.memory.size(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field};
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    fn key(row_group: usize) -> Key {
        let column = Arc::new(Field::new("a", DataType::Int64, true));
        Key { file: "f".into(), reading: 0, row_group, rows: ALL_ROWS, column }
    }

    fn column(rows: usize) -> Pieces {
        Arc::new([Arc::new(Int64Array::from(vec![1; rows])) as ArrayRef])
    }

    #[test]
    fn columns_in_use_are_not_driven_out() {
        // Room for two columns of 1000 rows, not for three.
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(SHARE * 20_000));
        let cache = ColumnCache::new(&pool);
        for row_group in 0..3 {
            assert_eq!(cache.has_room(8_000), row_group < 2);
            cache.put(key(row_group), column(1000));
        }
        assert!(cache.get(&key(0)).is_some() && cache.get(&key(1)).is_some());
        assert!(cache.get(&key(2)).is_none());
        // Only the first is used on and on: the second makes room.
        for _ in 0..=AGE {
            cache.tick();
            assert!(cache.get(&key(0)).is_some());
        }
        assert!(cache.has_room(8_000));
        cache.put(key(2), column(1000));
        assert!(cache.get(&key(0)).is_some() && cache.get(&key(2)).is_some());
        assert!(cache.get(&key(1)).is_none());
        assert!(pool.reserved() >= 16_000 && pool.reserved() <= 20_000, "{}", pool.reserved());
    }

    #[test]
    fn queries_keep_their_memory() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100_000));
        let cache = ColumnCache::new(&pool);
        let query = MemoryConsumer::new("query").register(&pool);
        query.try_grow(95_000).unwrap();
        cache.put(key(0), column(1000));
        assert!(cache.get(&key(0)).is_none());
        assert_eq!(pool.reserved(), 95_000);
    }

    #[test]
    fn a_file_is_seen_from_the_second_time_on() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100_000));
        let cache = ColumnCache::new(&pool);
        assert!(!cache.has_seen("a"));
        assert!(cache.has_seen("a"));
        assert!(!cache.has_seen("b"));
    }
}
