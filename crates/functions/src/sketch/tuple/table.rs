//! The library's `QuickSelectSketch`: the smallest hashes, in a table with open addresses.

use super::sketch::Sketch;
use super::summary::{Number, Summary};
use crate::sketch::theta::ALL;

const MIN_LG_SIZE: u32 = 5;
/// A table grows eightfold.
const LG_GROWTH: u32 = 3;
const LG_STRIDES: u32 = 7;

#[derive(Debug, Clone)]
pub(super) struct Table<N> {
    lg_nominal: u8,
    pub theta: u64,
    pub is_empty: bool,
    places: Places<N>,
}

impl<N: Number> Table<N> {
    pub fn new(lg_nominal: u8) -> Self {
        let full = u32::from(lg_nominal) + 1;
        let lg_size = MIN_LG_SIZE + full.saturating_sub(MIN_LG_SIZE) % LG_GROWTH;
        Self { lg_nominal, theta: ALL, is_empty: true, places: Places::new(lg_size) }
    }

    fn nominal(&self) -> usize {
        1 << self.lg_nominal
    }

    /// A value of a key that has this hash.
    pub fn update(&mut self, hash: u64, start: Summary<N>, value: N) {
        self.put(hash, |known| {
            let known = known.unwrap_or(start);
            Summary { value: known.value.combined(value, known.mode), mode: known.mode }
        });
    }

    /// Puts what is made of what is known of the hash.
    pub fn put(&mut self, hash: u64, make: impl FnOnce(Option<Summary<N>>) -> Summary<N>) {
        self.is_empty = false;
        if hash == 0 || hash >= self.theta {
            return;
        }
        self.places.put(hash, make);
        if self.places.count <= self.limit() {
            return;
        }
        if self.places.size() > self.nominal() {
            self.lower_bound();
            self.rebuild(self.places.lg_size);
        } else {
            self.rebuild(self.places.lg_size + LG_GROWTH);
        }
    }

    /// How many entries a table of this size may have.
    fn limit(&self) -> usize {
        let size = self.places.size();
        if size > self.nominal() { size * 15 / 16 } else { size / 2 }
    }

    /// Down to the nominal size.
    pub fn trim(&mut self) {
        if self.places.count > self.nominal() {
            self.lower_bound();
            self.rebuild(self.places.lg_size);
        }
    }

    fn lower_bound(&mut self) {
        let mut hashes: Vec<u64> = self.places.iter().map(|(hash, _)| hash).collect();
        let nominal = self.nominal();
        self.theta = *hashes.select_nth_unstable(nominal).1;
    }

    fn rebuild(&mut self, lg_size: u32) {
        let old = std::mem::replace(&mut self.places, Places::new(lg_size));
        for (hash, summary) in old.iter().filter(|(hash, _)| *hash < self.theta) {
            self.places.put(hash, |_| summary);
        }
    }

    /// The memory that the places take.
    pub fn bytes(&self) -> usize {
        self.places.bytes()
    }

    /// What the table holds below a bound, and no more than the nominal size.
    pub fn compact(&self, bound: u64) -> Sketch<N> {
        let mut theta = bound.min(self.theta);
        let below = |theta: u64| self.places.iter().filter(move |(hash, _)| *hash < theta);
        let mut hashes: Vec<u64> = below(theta).map(|(hash, _)| hash).collect();
        if hashes.len() > self.nominal() {
            let nominal = self.nominal();
            theta = *hashes.select_nth_unstable(nominal).1;
        }
        Sketch { theta, entries: below(theta).collect(), is_empty: self.is_empty }
    }
}

/// Entries at places that their hashes say. There are no places before the first entry.
#[derive(Debug, Clone)]
pub(super) struct Places<N> {
    lg_size: u32,
    entries: Vec<Option<(u64, Summary<N>)>>,
    count: usize,
}

impl<N: Number> Places<N> {
    pub fn new(lg_size: u32) -> Self {
        Self { lg_size, entries: Vec::new(), count: 0 }
    }

    fn size(&self) -> usize {
        1 << self.lg_size
    }

    fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Option<(u64, Summary<N>)>>()
    }

    /// With room for so many.
    pub fn for_count(count: usize) -> Self {
        let wanted = (count as f64 / 0.75).ceil() as usize;
        Self::new(wanted.next_power_of_two().trailing_zeros().max(MIN_LG_SIZE))
    }

    /// Where a hash is, or would be; there are places, and one of them is free.
    fn place(&self, hash: u64) -> usize {
        let mask = self.entries.len() - 1;
        let stride = 2 * ((hash >> self.lg_size) as usize & ((1 << LG_STRIDES) - 1)) + 1;
        let mut place = hash as usize & mask;
        while self.entries[place].is_some_and(|(known, _)| known != hash) {
            place = (place + stride) & mask;
        }
        place
    }

    pub fn put(&mut self, hash: u64, make: impl FnOnce(Option<Summary<N>>) -> Summary<N>) {
        if self.entries.is_empty() {
            self.entries = vec![None; self.size()];
        }
        let place = self.place(hash);
        let known = self.entries[place].map(|(_, summary)| summary);
        self.count += usize::from(known.is_none());
        self.entries[place] = Some((hash, make(known)));
    }

    pub fn get(&self, hash: u64) -> Option<Summary<N>> {
        if self.entries.is_empty() {
            return None;
        }
        self.entries[self.place(hash)].map(|(_, summary)| summary)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, Summary<N>)> {
        self.entries.iter().copied().flatten()
    }
}
