//! Entries by their keys: rows of segments, which a table finds.
//!
//! What is set goes into a new segment, and what had the key before is dead from then on. Small segments become one, as do those
//! of which most is dead, so that there are never many.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use boathouse_spec::{Error, Result};
use datafusion::common::hash_utils::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::rows::Encoded;
use super::segment::Segment;
use super::{Columns, internal};
use crate::blocking::each;
use crate::stateful::spill::SpillFile;

mod gather;
mod tidy;

pub(super) struct Entries {
    pub columns: Arc<Columns>,
    table: HashTable<Slot>,
    segments: Vec<Option<Segment>>,
    /// Places among the segments that have none.
    vacant: Vec<u32>,
    /// Keys that were taken out since the last version; some may be there again.
    gone: Encoded,
    hasher: RandomState,
    /// How many entries there are of each value of the index, by its hash, where they are counted.
    groups: Option<HashMap<u64, u32>>,
    /// Where values go to that memory has no room for.
    spill_file: Option<Arc<SpillFile>>,
}

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    segment: u32,
    row: u32,
}

struct Slot {
    hash: u32,
    place: Place,
}

/// Rows before they are entries.
struct Prepared {
    batch: RecordBatch,
    keys: Encoded,
    hashes: Vec<u32>,
    /// The hashes of the values of the index, where they are counted.
    groups: Option<Vec<u64>>,
}

/// The table wants more bits than it is worth to keep.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn key_at(segments: &[Option<Segment>], place: Place) -> &[u8] {
    let segment = segments.get(place.segment as usize).and_then(Option::as_ref);
    segment.map_or(&[], |s| s.keys.get(place.row as usize))
}

/// A row is no entry any more. A segment without entries is gone.
fn kill(segments: &mut [Option<Segment>], vacant: &mut Vec<u32>, place: Place) {
    let Some(found) = segments.get_mut(place.segment as usize) else { return };
    let Some(segment) = found else { return };
    segment.kill(place.row);
    if segment.live_count() == 0 {
        *found = None;
        vacant.push(place.segment);
    }
}

impl Entries {
    pub fn new(columns: Arc<Columns>) -> Self {
        Self {
            gone: columns.key_encoding.none(0),
            groups: columns.counts_groups.then(HashMap::new),
            columns,
            table: HashTable::new(),
            segments: Vec::new(),
            vacant: Vec::new(),
            hasher: RandomState::default(),
            spill_file: None,
        }
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// The memory that the entries take, in bytes.
    pub fn bytes(&self) -> usize {
        let segments: usize = self.segments.iter().flatten().map(Segment::bytes).sum();
        segments + self.table.allocation_size() + self.gone.bytes()
    }

    /// How many values of the index there are.
    pub fn groups(&self) -> usize {
        self.groups.as_ref().map_or(0, HashMap::len)
    }

    fn hash(&self, key: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(key);
        (hash ^ (hash >> 32)) as u32
    }

    pub fn find(&self, key: &[u8]) -> Option<Place> {
        let hash = self.hash(key);
        let is_key = |slot: &Slot| slot.hash == hash && key_at(&self.segments, slot.place) == key;
        self.table.find(spread(hash), is_key).map(|slot| slot.place)
    }

    pub fn key(&self, place: Place) -> &[u8] {
        key_at(&self.segments, place)
    }

    pub fn time(&self, place: Place) -> Option<i64> {
        self.segments.get(place.segment as usize)?.as_ref()?.time(place.row as usize)
    }

    /// The segments, with their places.
    pub fn segments(&self) -> impl Iterator<Item = (u32, &Segment)> {
        self.segments.iter().enumerate().filter_map(|(i, s)| Some((i as u32, s.as_ref()?)))
    }

    pub fn segment(&self, id: u32) -> Option<&Segment> {
        self.segments.get(id as usize)?.as_ref()
    }

    /// The places of a segment's entries.
    pub fn places(id: u32, segment: &Segment) -> Vec<Place> {
        segment.live().set_indices().map(|row| Place { segment: id, row: row as u32 }).collect()
    }

    /// Sets entries. `is_new`: no file has them yet.
    pub fn put(&mut self, batch: &RecordBatch, is_new: bool) -> Result<()> {
        let parts = self.columns.parts(batch)?;
        for prepared in each(&parts, |part| self.prepared(part)) {
            self.enter(prepared?, is_new)?;
        }
        self.tidy(!is_new)
    }

    /// Sets entries that came in small batches.
    pub fn put_all(&mut self, batches: &[RecordBatch]) -> Result<()> {
        let parts = self.columns.parts_of(batches)?;
        for prepared in each(&parts, |part| self.prepared(part)) {
            self.enter(prepared?, true)?;
        }
        self.tidy(false)
    }

    fn prepared(&self, batch: &RecordBatch) -> Result<Prepared> {
        let keys = self.columns.keys_of(batch)?;
        let hashes = keys.iter().map(|key| self.hash(key)).collect();
        let groups = match (&self.groups, &self.columns.by) {
            (Some(_), Some(by)) => Some(by.values_of(batch)?.hashes().to_vec()),
            _ => None,
        };
        Ok(Prepared { batch: batch.clone(), keys, hashes, groups })
    }

    fn enter(&mut self, prepared: Prepared, is_new: bool) -> Result<()> {
        let Prepared { batch, keys, hashes, groups } = prepared;
        if hashes.is_empty() {
            return Ok(());
        }
        let id = self.reserve()?;
        let mut segment = Segment::new(&self.columns, keys, batch, is_new);
        for (row, hash) in hashes.into_iter().enumerate() {
            let place = Place { segment: id, row: row as u32 };
            let before = {
                let Self { table, segments, .. } = self;
                let (key, keys) = (segment.keys.get(row), &segment.keys);
                let is_key = |slot: &Slot| {
                    let at = slot.place;
                    let of =
                        || if at.segment == id { keys.get(at.row as usize) } else { key_at(segments, at) };
                    slot.hash == hash && of() == key
                };
                match table.entry(spread(hash), is_key, |slot| spread(slot.hash)) {
                    Entry::Occupied(mut slot) => Some(std::mem::replace(&mut slot.get_mut().place, place)),
                    Entry::Vacant(slot) => {
                        slot.insert(Slot { hash, place });
                        None
                    }
                }
            };
            match before {
                Some(before) if before.segment == id => segment.kill(before.row),
                Some(before) => kill(&mut self.segments, &mut self.vacant, before),
                None => self.count(groups.as_deref(), row),
            }
        }
        self.settle(id, segment);
        Ok(())
    }

    /// Adds the entries whose keys are not there yet, and says which those are.
    pub fn insert_new(&mut self, batches: &[RecordBatch]) -> Result<Vec<bool>> {
        let mut is_new = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        let parts = self.columns.parts_of(batches)?;
        for prepared in each(&parts, |part| self.prepared(part)) {
            is_new.extend(self.insert_part(prepared?)?);
        }
        self.tidy(false)?;
        Ok(is_new)
    }

    fn insert_part(&mut self, prepared: Prepared) -> Result<Vec<bool>> {
        let Prepared { batch, keys, hashes, groups } = prepared;
        let id = self.reserve()?;
        let mut added = self.columns.key_encoding.none(keys.len());
        let mut is_new = Vec::with_capacity(keys.len());
        for (row, hash) in hashes.into_iter().enumerate() {
            let key = keys.get(row);
            let place = Place { segment: id, row: added.len() as u32 };
            let is_added = {
                let Self { table, segments, .. } = self;
                let is_key = |slot: &Slot| {
                    let at = slot.place;
                    let of =
                        || if at.segment == id { added.get(at.row as usize) } else { key_at(segments, at) };
                    slot.hash == hash && of() == key
                };
                match table.entry(spread(hash), is_key, |slot| spread(slot.hash)) {
                    Entry::Occupied(_) => false,
                    Entry::Vacant(slot) => {
                        slot.insert(Slot { hash, place });
                        true
                    }
                }
            };
            if is_added {
                added.push(&keys, row);
                self.count(groups.as_deref(), row);
            }
            is_new.push(is_added);
        }
        if added.len() == 0 {
            self.vacant.push(id);
            return Ok(is_new);
        }
        let batch = match added.len() == keys.len() {
            true => batch,
            false => filter_record_batch(&batch, &BooleanArray::from(is_new.clone())).map_err(internal)?,
        };
        let segment = Segment::new(&self.columns, added, batch, true);
        self.settle(id, segment);
        Ok(is_new)
    }

    /// A place for a segment.
    fn reserve(&mut self) -> Result<u32> {
        if let Some(id) = self.vacant.pop() {
            return Ok(id);
        }
        self.segments.push(None);
        u32::try_from(self.segments.len() - 1).map_err(|_| Error::internal("too many segments of state"))
    }

    fn settle(&mut self, id: u32, segment: Segment) {
        if let Some(place) = self.segments.get_mut(id as usize) {
            *place = Some(segment);
        }
    }

    fn count(&mut self, of: Option<&[u64]>, row: usize) {
        if let (Some(groups), Some(of)) = (&mut self.groups, of)
            && let Some(hash) = of.get(row)
        {
            *groups.entry(*hash).or_default() += 1;
        }
    }

    fn discount(&mut self, places: &[Place]) -> Result<()> {
        if self.groups.is_none() {
            return Ok(());
        }
        for batch in self.gathered(places)? {
            let of = self.prepared(&batch)?.groups.unwrap_or_default();
            let Some(groups) = &mut self.groups else { continue };
            for hash in of {
                if let Some(count) = groups.get_mut(&hash) {
                    *count -= 1;
                    if *count == 0 {
                        groups.remove(&hash);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes out the entries of the keys of a batch.
    pub fn remove(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = self.columns.keys_of(batch)?;
        let mut places: Vec<Place> = keys.iter().filter_map(|key| self.find(key)).collect();
        // A key that the batch has twice is gone once.
        places.sort_unstable_by_key(|p| (p.segment, p.row));
        places.dedup();
        self.take_out(&places)
    }

    /// Takes out entries, each of which is there once.
    pub fn take_out(&mut self, places: &[Place]) -> Result<()> {
        self.discount(places)?;
        for place in places {
            let Some(segment) = self.segments.get(place.segment as usize).and_then(Option::as_ref) else {
                continue;
            };
            let hash = self.hash(segment.keys.get(place.row as usize));
            if let Ok(slot) = self.table.find_entry(spread(hash), |slot| slot.place == *place) {
                slot.remove();
                self.gone.push(&segment.keys, place.row as usize);
                kill(&mut self.segments, &mut self.vacant, *place);
            }
        }
        Ok(())
    }

    /// The keys that were taken out since the last version and are not there, each once.
    pub fn gone(&self) -> Vec<usize> {
        let mut seen: HashTable<usize> = HashTable::with_capacity(self.gone.len());
        for row in 0..self.gone.len() {
            let key = self.gone.get(row);
            let hash = self.hash(key);
            if seen.find(spread(hash), |other| self.gone.get(*other) == key).is_none()
                && self.find(key).is_none()
            {
                seen.insert_unique(spread(hash), row, |other| spread(self.hash(self.gone.get(*other))));
            }
        }
        let mut rows: Vec<usize> = seen.into_iter().collect();
        rows.sort_unstable();
        rows
    }

    /// The columns of some of the keys that were taken out.
    pub fn gone_keys(&self, rows: &[usize]) -> Result<Vec<ArrayRef>> {
        self.columns.key_encoding.decoded(&self.gone, rows.iter().copied())
    }

    /// All that there is has its place in a file.
    pub fn settled(&mut self) -> Result<()> {
        self.gone.clear();
        for segment in self.segments.iter_mut().flatten() {
            segment.is_new = false;
        }
        self.tidy(true)
    }
}
