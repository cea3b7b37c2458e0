//! The DataSketches library's `ItemsSketch` of frequencies, and its bytes.

use super::item::{Item, Kind};
use super::table::{Table, capacity};

const SMALLEST: u8 = 3;
/// How many counts a purge looks at.
const SAMPLES: usize = 1024;

// The first eight bytes.
const SERIAL_VERSION: u8 = 1;
const FAMILY: u8 = 10;
const EMPTY: u8 = 5;
/// Where counts begin.
const PREAMBLE: usize = 32;

#[derive(Debug, Clone)]
pub(super) struct Sketch {
    /// The binary logarithm of the most cells.
    largest: u8,
    table: Table,
    /// By how much too low counts may be.
    offset: i64,
    /// The sum of all counts.
    weight: i64,
}

impl Sketch {
    pub fn new(largest: u8) -> Self {
        let largest = largest.max(SMALLEST);
        Self { largest, table: Table::new(1 << SMALLEST), offset: 0, weight: 0 }
    }

    pub fn add(&mut self, item: &Item, count: i64) {
        self.weight += count;
        self.table.add(item, count);
        if self.table.active <= capacity(self.table.cells()) {
            return;
        }
        match self.table.cells() < 1 << self.largest {
            true => self.table.grow(),
            false => self.offset += self.table.purge(SAMPLES.min(capacity(1 << self.largest))),
        }
    }

    pub fn merge(&mut self, other: &Self) {
        if other.table.active == 0 {
            return;
        }
        let weight = self.weight + other.weight;
        for (item, count) in other.table.strided() {
            self.add(item, count);
        }
        self.offset += other.offset;
        self.weight = weight;
    }

    /// Values that surely came more often than counts may be wrong by, the most frequent first.
    pub fn frequent(&self) -> Vec<(&Item, i64)> {
        let sure = self.table.strided().filter(|(_, count)| *count > self.offset);
        let mut rows: Vec<(&Item, i64)> = sure.map(|(item, count)| (item, count + self.offset)).collect();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        rows
    }

    pub fn bytes_in_memory(&self) -> usize {
        self.table.cells() * (size_of::<Option<Item>>() + 12)
            + self.table.entries().map(|(item, _)| item.bytes.len()).sum::<usize>()
    }

    pub fn to_bytes(&self, kind: &Kind) -> Vec<u8> {
        let is_empty = self.table.active == 0;
        let current = self.table.cells().trailing_zeros() as u8;
        let (words, flags) = if is_empty { (1, EMPTY) } else { (4, 0) };
        let mut out = vec![words, SERIAL_VERSION, FAMILY, self.largest, current, flags, 0, 0];
        if is_empty {
            return out;
        }
        out.extend((self.table.active as u64).to_le_bytes());
        out.extend(self.weight.to_le_bytes());
        out.extend(self.offset.to_le_bytes());
        self.table.entries().for_each(|(_, count)| out.extend(count.to_le_bytes()));
        kind.write(self.table.entries().map(|(item, _)| item), &mut out);
        out
    }

    /// `None` where they are no bytes of a sketch.
    pub fn from_bytes(bytes: &[u8], kind: &Kind) -> Option<Self> {
        let [words, SERIAL_VERSION, FAMILY, largest, _, flags, ..] = *bytes else { return None };
        let mut sketch = Self::new(largest.min(30));
        match (words, flags & EMPTY != 0) {
            (1, true) => return Some(sketch),
            (4, false) => {}
            _ => return None,
        }
        let word = |i: usize| {
            let word = bytes.get(i * 8..i * 8 + 8)?;
            word.try_into().ok().map(i64::from_le_bytes)
        };
        let active = usize::try_from(word(1)? & 0xffff_ffff).ok()?;
        let items_at = PREAMBLE.checked_add(active.checked_mul(8)?)?;
        let items = kind.read(bytes.get(items_at..)?, active)?;
        for (i, item) in items.iter().enumerate() {
            let count = word(PREAMBLE / 8 + i)?;
            if count > 0 {
                sketch.add(item, count);
            }
        }
        (sketch.weight, sketch.offset) = (word(2)?, word(3)?);
        Some(sketch)
    }
}
