//! What there is of many keys at once, with the places of the keys that were asked for.

use arrow::array::{ArrayRef, RecordBatch};
use boathouse_spec::Result;

use super::StateStore;
use super::entries::Place;
use crate::blocking::aside_if_many;

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
        let keys = self.columns.key_encoding.rows(keys, count)?;
        let found = keys.iter().enumerate().filter_map(|(i, k)| Some((i as i32, self.entries.find(k)?)));
        let (rows, places): (Vec<i32>, Vec<Place>) = found.unzip();
        let entries = aside_if_many(places.len(), || self.entries.gather(&places))?;
        Ok(Found { rows, entries })
    }

    /// The entries that the index finds by values, in the order of the values, and there in that of their keys.
    pub fn lookup_all(&self, values: &[ArrayRef]) -> Result<Found> {
        let (rows, places) = self.entries.matching_in_order(values)?;
        let entries = aside_if_many(places.len(), || self.entries.gather(&places))?;
        Ok(Found { rows, entries })
    }

    /// The values by which the index finds entries: how many there are, where they are counted.
    pub fn found_by(&self) -> usize {
        self.entries.groups()
    }

    /// The time, in microseconds, at which the first entry is over, as of the last version.
    pub fn first_time(&self) -> Option<i64> {
        *self.first_time.get_or_init(|| self.entries.first_time())
    }

    /// The keys of the entries that are over at a time, in the order of their times; they stay.
    pub fn due(&self, at_us: i64) -> Result<RecordBatch> {
        self.entries.keys_of(&self.entries.due(at_us))
    }
}
