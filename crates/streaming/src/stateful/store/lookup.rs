//! What there is of many keys at once, with the places of the keys that were asked for.

use arrow::array::{ArrayRef, RecordBatch};
use boathouse_spec::{Error, Result};

use super::StateStore;

/// Entries, and for each the row that asked for it.
pub(crate) struct Found {
    pub rows: Vec<i32>,
    pub entries: RecordBatch,
}

impl StateStore {
    /// The entries of keys, in the order of the keys.
    pub fn lookup(&self, keys: &[ArrayRef]) -> Result<Found> {
        // Without keys there is one entry.
        let count = keys.first().map_or(1, |k| k.len());
        let keys = self.key_encoding.rows(keys, count)?;
        let found = keys.iter().enumerate().filter_map(|(i, k)| Some((i, self.entries.get_key_value(k)?)));
        let (rows, entries): (Vec<i32>, Vec<_>) = found.map(|(i, entry)| (i as i32, entry)).unzip();
        Ok(Found { rows, entries: self.batch_of(entries.into_iter())? })
    }

    /// The entries that the index finds by values, in the order of the values, and there in that of their keys.
    pub fn lookup_all(&self, values: &[ArrayRef]) -> Result<Found> {
        let Some(index) = &self.index else { return Err(Error::internal("state without index")) };
        let (mut rows, mut entries) = (Vec::new(), Vec::new());
        for (i, value) in index.wanted(values)?.iter().enumerate() {
            let Some(keys) = value.and_then(|v| index.keys.get(v)) else { continue };
            let mut keys: Vec<_> = keys.iter().collect();
            keys.sort_unstable();
            for entry in keys.into_iter().filter_map(|k| self.entries.get_key_value(k)) {
                rows.push(i as i32);
                entries.push(entry);
            }
        }
        Ok(Found { rows, entries: self.batch_of(entries.into_iter())? })
    }

    /// The values by which the index finds entries: how many there are.
    pub fn found_by(&self) -> usize {
        self.index.as_ref().map_or(0, |index| index.keys.len())
    }

    /// The time, in microseconds, at which the first entry is over.
    pub fn first_time(&self) -> Option<i64> {
        self.by_time.keys().next().copied()
    }

    /// The entries that are over at a time, in the order of their times; they stay.
    pub fn due(&self, at_us: i64) -> Result<RecordBatch> {
        let over = self.by_time.range(..=at_us).flat_map(|(_, keys)| {
            let mut keys: Vec<_> = keys.iter().collect();
            keys.sort_unstable();
            keys
        });
        self.batch_of(over.filter_map(|k| self.entries.get_key_value(k)))
    }
}
