//! The hash table of the DataSketches library's frequency sketches: linear probing, with the distance of each entry from where it
//! belongs. What is deleted leaves no mark: later entries move up. So the order of entries is the library's.

use super::item::Item;

#[derive(Debug, Clone)]
pub(super) struct Table {
    items: Vec<Option<Item>>,
    counts: Vec<i64>,
    /// One more than the distance of the entry from its own place; 0 where there is none.
    drifts: Vec<u32>,
    pub active: usize,
}

/// Three quarters.
pub(super) fn capacity(cells: usize) -> usize {
    cells * 3 / 4
}

fn hash(code: i32) -> u64 {
    let mut key = i64::from(code) as u64;
    key ^= key >> 33;
    key = key.wrapping_mul(0xff51_afd7_ed55_8ccd);
    key ^= key >> 33;
    key = key.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    key ^ key >> 33
}

impl Table {
    /// With a power of two cells.
    pub fn new(cells: usize) -> Self {
        Self { items: vec![None; cells], counts: vec![0; cells], drifts: vec![0; cells], active: 0 }
    }

    pub fn cells(&self) -> usize {
        self.items.len()
    }

    /// In the order of the table.
    pub fn entries(&self) -> impl Iterator<Item = (&Item, i64)> {
        self.items.iter().zip(&self.counts).filter_map(|(item, count)| Some((item.as_ref()?, *count)))
    }

    /// In the order in which the library goes through its table: by strides of the golden ratio.
    pub fn strided(&self) -> impl Iterator<Item = (&Item, i64)> {
        let cells = self.cells();
        let stride = (cells as f64 * ((5f64.sqrt() - 1.0) / 2.0)) as usize | 1;
        let places = (0..cells).map(move |i| (i * stride) & (cells - 1));
        places.filter_map(|at| Some((self.items[at].as_ref()?, self.counts[at])))
    }

    pub fn add(&mut self, item: &Item, count: i64) {
        let mask = self.cells() - 1;
        let mut at = hash(item.code) as usize & mask;
        let mut drift = 1;
        while let Some(there) = &self.items[at] {
            if there.bytes == item.bytes {
                self.counts[at] += count;
                return;
            }
            at = (at + 1) & mask;
            drift += 1;
        }
        self.items[at] = Some(item.clone());
        self.counts[at] = count;
        self.drifts[at] = drift;
        self.active += 1;
    }

    pub fn grow(&mut self) {
        let old = std::mem::replace(self, Self::new(self.cells() * 2));
        for (item, count) in old.entries() {
            self.add(item, count);
        }
    }

    /// Takes the median of the first counts from all, and the entries that have nothing left then out of the table.
    pub fn purge(&mut self, samples: usize) -> i64 {
        let mut counts: Vec<i64> = self.entries().take(samples).map(|(_, count)| count).collect();
        let middle = counts.len() / 2;
        let median = match counts.is_empty() {
            true => 0,
            false => *counts.select_nth_unstable(middle).1,
        };
        self.counts.iter_mut().for_each(|c| *c -= median);
        // From the last free cell down, then what lies behind it: what moves up has been looked at.
        let free = (0..self.cells()).rev().find(|i| self.items[*i].is_none()).unwrap_or_default();
        for at in (0..free).rev().chain((free..self.cells()).rev()) {
            if self.items[at].is_some() && self.counts[at] <= 0 {
                self.delete(at);
            }
        }
        median
    }

    fn delete(&mut self, mut hole: usize) {
        let mask = self.cells() - 1;
        self.items[hole] = None;
        self.drifts[hole] = 0;
        self.active -= 1;
        let mut drift = 1;
        let mut at = (hole + 1) & mask;
        while self.items[at].is_some() {
            if self.drifts[at] > drift {
                self.items[hole] = self.items[at].take();
                self.counts[hole] = self.counts[at];
                self.drifts[hole] = self.drifts[at] - drift;
                self.drifts[at] = 0;
                hole = at;
                drift = 0;
            }
            at = (at + 1) & mask;
            drift += 1;
        }
    }
}
