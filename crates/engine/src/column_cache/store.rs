//! The columns that are kept, and which of them have to go.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use arrow::datatypes::FieldRef;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

use super::piece::Piece;

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
pub(super) type Pieces = Arc<[Piece]>;

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
    /// Whether it may take less.
    is_whole: bool,
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
                // Whole columns become narrow where there is no room, by how much one cannot know.
                let lasting = state.kept.values().filter(|kept| !kept.is_whole && !state.is_old(kept));
                lasting.map(|kept| kept.bytes).sum::<usize>() + bytes <= self.limit
            })
    }

    /// Keeps a column, where there is room for it: whole while there is, which is the fastest to read, and narrow then.
    pub(super) fn put(&self, key: Key, column: &Pieces) {
        if self.keep(&key, column, column.iter().any(Piece::may_become_narrow)) {
            return;
        }
        let narrow = narrowed(column);
        while !self.keep(&key, &narrow, false) {
            let whole = self.state.lock().whole(bytes_of(&narrow));
            if whole.is_empty() {
                return;
            }
            // Queries go on meanwhile.
            for (key, column) in whole {
                let narrow = narrowed(&column);
                self.state.lock().replace(&key, &column, narrow);
            }
        }
    }

    fn keep(&self, key: &Key, pieces: &Pieces, is_whole: bool) -> bool {
        let bytes = bytes_of(pieces);
        let mut state = self.state.lock();
        state.remove(key);
        let excess = (state.memory.size() + bytes).saturating_sub(self.limit);
        if excess > 0 {
            state.remove_old(excess);
        }
        let fits = state.memory.size() + bytes <= self.limit && state.memory.try_grow(bytes).is_ok();
        if fits {
            let used = state.clock;
            state.kept.insert(key.clone(), Kept { pieces: Arc::clone(pieces), bytes, used, is_whole });
        }
        fits
    }
}

fn bytes_of(pieces: &Pieces) -> usize {
    pieces.iter().map(Piece::bytes).sum()
}

fn narrowed(column: &Pieces) -> Pieces {
    column.iter().map(|piece| Piece::narrow(&piece.array())).collect()
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

    /// Columns that could become narrow, the longest unused first, of about so many bytes.
    fn whole(&self, bytes: usize) -> Vec<(Key, Pieces)> {
        let mut whole: Vec<_> = self.kept.iter().filter(|(_, kept)| kept.is_whole).collect();
        whole.sort_unstable_by_key(|(_, kept)| kept.used);
        let mut found = 0;
        let enough = whole.iter().take_while(|(_, kept)| {
            let is_needed = found < bytes;
            found += kept.bytes;
            is_needed
        });
        enough.map(|(key, kept)| (Key::clone(key), Arc::clone(&kept.pieces))).collect()
    }

    /// Puts narrow pieces in the place of whole ones, if these are still there.
    fn replace(&mut self, key: &Key, whole: &Pieces, narrow: Pieces) {
        let Some(kept) = self.kept.get_mut(key).filter(|kept| Arc::ptr_eq(&kept.pieces, whole)) else {
            return;
        };
        let bytes = bytes_of(&narrow).min(kept.bytes);
        self.memory.shrink(kept.bytes - bytes);
        (kept.pieces, kept.bytes, kept.is_whole) = (narrow, bytes, false);
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
    use arrow::array::{ArrayRef, Float64Array, Int64Array};
    use arrow::datatypes::{DataType, Field};
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    fn key(row_group: usize) -> Key {
        let column = Arc::new(Field::new("a", DataType::Float64, true));
        Key { file: "f".into(), reading: 0, row_group, rows: ALL_ROWS, column }
    }

    fn column(rows: usize) -> Pieces {
        Arc::new([Piece::Whole(Arc::new(Float64Array::from(vec![1.0; rows])))])
    }

    #[test]
    fn whole_columns_become_narrow_where_there_is_no_room() {
        // Room for two columns of 1000 rows of eight bytes, or for many of one.
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(SHARE * 20_000));
        let cache = ColumnCache::new(&pool);
        let numbers = |least: usize| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values((0..1000).map(|i| i + least as i64)))
        };
        let whole = |row_group| cache.state.lock().kept.get(&key(row_group)).map(|kept| kept.is_whole);
        for row_group in 0..6 {
            assert!(cache.has_room(8_000));
            let column: Pieces = Arc::new([Piece::Whole(numbers(row_group))]);
            cache.put(key(row_group), &column);
            cache.tick();
            if row_group == 1 {
                assert_eq!([whole(0), whole(1)], [Some(true); 2]);
            }
        }
        // The second was needed as little as the first once the others came.
        assert_eq!([whole(0), whole(2), whole(5)], [Some(false); 3]);
        for row_group in 0..6 {
            let pieces = cache.get(&key(row_group)).unwrap();
            assert_eq!(&pieces[0].array(), &numbers(row_group));
        }
        let kept: usize = cache.state.lock().kept.values().map(|kept| kept.bytes).sum();
        assert_eq!(pool.reserved(), kept);
        assert!(kept <= 20_000, "{kept}");
    }

    #[test]
    fn columns_in_use_are_not_driven_out() {
        // Room for two columns of 1000 rows, not for three.
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(SHARE * 20_000));
        let cache = ColumnCache::new(&pool);
        for row_group in 0..3 {
            assert_eq!(cache.has_room(8_000), row_group < 2);
            cache.put(key(row_group), &column(1000));
        }
        assert!(cache.get(&key(0)).is_some() && cache.get(&key(1)).is_some());
        assert!(cache.get(&key(2)).is_none());
        // Only the first is used on and on: the second makes room.
        for _ in 0..=AGE {
            cache.tick();
            assert!(cache.get(&key(0)).is_some());
        }
        assert!(cache.has_room(8_000));
        cache.put(key(2), &column(1000));
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
        cache.put(key(0), &column(1000));
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
