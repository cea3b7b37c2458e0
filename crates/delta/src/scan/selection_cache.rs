//! The selections that scans made last: those of a table that is read again are not computed again.

use std::collections::HashMap;
use std::sync::LazyLock;

use parking_lot::Mutex;

use super::selection::Selection;

/// The bytes of all selections that are kept.
const CAPACITY: usize = 64 << 20;

/// What a selection is made of: a vector, which never changes, and the number of rows of its file.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub table: String,
    pub vector: String,
    pub rows: u64,
}

pub(super) static SELECTIONS: LazyLock<SelectionCache> = LazyLock::new(|| SelectionCache::new(CAPACITY));

pub(super) struct SelectionCache {
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    selections: HashMap<Key, Entry>,
    bytes: usize,
    /// Counts the uses.
    now: u64,
}

struct Entry {
    selection: Selection,
    bytes: usize,
    used: u64,
}

impl SelectionCache {
    fn new(capacity: usize) -> Self {
        Self { capacity, kept: Mutex::default() }
    }

    pub fn get(&self, key: &Key) -> Option<Selection> {
        let kept = &mut *self.kept.lock();
        kept.now += 1;
        let entry = kept.selections.get_mut(key)?;
        entry.used = kept.now;
        Some(entry.selection.clone())
    }

    /// Keeps a selection. Where it has no place, the half that was not used for longest goes.
    pub fn put(&self, key: Key, selection: &Selection) {
        let bytes = selection.bytes() + key.table.len() + key.vector.len() + size_of::<(Key, Entry)>();
        if bytes > self.capacity / 2 {
            return;
        }
        let kept = &mut *self.kept.lock();
        if kept.bytes + bytes > self.capacity {
            kept.halve();
        }
        kept.now += 1;
        let entry = Entry { selection: selection.clone(), bytes, used: kept.now };
        kept.bytes += bytes;
        if let Some(old) = kept.selections.insert(key, entry) {
            kept.bytes -= old.bytes;
        }
    }
}

impl Kept {
    fn halve(&mut self) {
        let mut uses: Vec<(u64, usize)> = self.selections.values().map(|e| (e.used, e.bytes)).collect();
        uses.sort_unstable();
        let (half, mut bytes) = (self.bytes / 2, 0);
        let stays = uses.into_iter().find(|(_, size)| {
            bytes += size;
            bytes > half
        });
        let since = stays.map_or(u64::MAX, |(used, _)| used);
        self.selections.retain(|_, entry| entry.used > since);
        self.bytes = self.selections.values().map(|e| e.bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use arrow::buffer::BooleanBuffer;

    use super::*;

    fn key(vector: usize) -> Key {
        Key { table: "file:///t".into(), vector: vector.to_string(), rows: 80 }
    }

    #[test]
    fn what_was_used_last_stays() {
        let cache = SelectionCache::new(100_000);
        let selection = Selection::Marked(BooleanBuffer::new_set(8 * 10_000));
        for vector in 0..9 {
            cache.put(key(vector), &selection);
            assert!(cache.get(&key(0)).is_some());
        }
        cache.put(key(9), &selection);
        let stays: Vec<usize> = (0..10).filter(|v| cache.get(&key(*v)).is_some()).collect();
        assert!(stays.contains(&0) && stays.contains(&9), "{stays:?}");
        assert!((3..=6).contains(&stays.len()), "{stays:?}");
        assert!(cache.kept.lock().bytes <= 100_000);
        // The same one again takes no more room.
        let bytes = cache.kept.lock().bytes;
        cache.put(key(9), &selection);
        assert_eq!(cache.kept.lock().bytes, bytes);
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let cache = SelectionCache::new(1000);
        cache.put(key(1), &Selection::Marked(BooleanBuffer::new_set(8 * 600)));
        assert!(cache.get(&key(1)).is_none());
    }
}
