//! A sketch that does not change, its binary form, and the operations on sets (the library's `CompactSketch`, `Union`,
//! `Intersection` and `AnotB`).

use std::collections::HashSet;

use super::summary::{Mode, Number, Summary};
use super::table::{Places, Table};
use crate::sketch::theta::{ALL, EMPTY, SEED_HASH, Theta};

const VERSION: u8 = 3;
const FAMILY: u8 = 9;
/// A compact sketch.
const TYPE: u8 = 1;
const READ_ONLY: u8 = 2;
const COMPACT: u8 = 8;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sketch<N> {
    pub theta: u64,
    pub entries: Vec<(u64, Summary<N>)>,
    pub is_empty: bool,
}

impl<N: Number> Sketch<N> {
    pub fn empty() -> Self {
        Self { theta: ALL, entries: Vec::new(), is_empty: true }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let longs = match (self.theta < ALL, self.is_empty, self.entries.len()) {
            (true, _, _) => 3,
            (false, true, _) | (false, _, 1) => 1,
            // A sketch of no entries that is not empty, too: what disjoint sketches have in common.
            _ => 2,
        };
        let flags = READ_ONLY | COMPACT | if self.is_empty { EMPTY } else { 0 };
        let mut out = vec![longs, VERSION, FAMILY, TYPE, 0, flags, SEED_HASH[0], SEED_HASH[1]];
        if longs > 1 {
            out.extend((self.entries.len() as u32).to_le_bytes());
            out.extend([0; 4]);
        }
        if longs > 2 {
            out.extend(self.theta.to_le_bytes());
        }
        for (hash, summary) in &self.entries {
            out.extend(hash.to_le_bytes());
            summary.value.write(&mut out);
            out.push(summary.mode.code());
        }
        out
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [longs, version, family, kind, _, flags, _, _] = *bytes.first_chunk::<8>()?;
        if (version, family, kind) != (VERSION, FAMILY, TYPE) || !(1..=3).contains(&longs) {
            return None;
        }
        let mut sketch = Self::empty();
        if flags & EMPTY != 0 {
            return (bytes.len() == 8).then_some(sketch);
        }
        sketch.is_empty = false;
        let count = match longs {
            1 => 1,
            _ => u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?) as usize,
        };
        if longs == 3 {
            sketch.theta = u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?);
        }
        let entries = bytes.get(8 * usize::from(longs)..)?;
        let size = 8 + N::BYTES + 1;
        if entries.len() != count.checked_mul(size)? {
            return None;
        }
        for entry in entries.chunks_exact(size) {
            let hash = u64::from_le_bytes(entry.get(..8)?.try_into().ok()?);
            let value = N::read(entry.get(8..8 + N::BYTES)?)?;
            let mode = Mode::of_code(*entry.last()?)?;
            sketch.entries.push((hash, Summary { value, mode }));
        }
        Some(sketch)
    }

    /// A Theta sketch, with a number of the mode for each of its hashes.
    pub fn of_theta(theta: &Theta, mode: Mode) -> Self {
        Self {
            theta: theta.bound(),
            entries: theta.hashes().map(|hash| (hash, Summary::start(mode))).collect(),
            is_empty: theta.is_empty(),
        }
    }

    /// The memory that the entries take.
    pub fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(u64, Summary<N>)>()
    }

    /// What share of all hashes the sketch holds.
    pub fn fraction(&self) -> f64 {
        self.theta as f64 / ALL as f64
    }

    pub fn estimate(&self) -> f64 {
        if self.is_empty { 0.0 } else { self.entries.len() as f64 / self.fraction() }
    }

    pub fn intersected(&self, other: &Self, mode: Mode) -> Self {
        if self.is_empty || other.is_empty {
            return Self::empty();
        }
        let theta = self.theta.min(other.theta);
        let mut known = Places::for_count(self.entries.len());
        self.entries.iter().for_each(|(hash, summary)| known.put(*hash, |_| *summary));
        let both: Vec<(u64, Summary<N>)> = other
            .entries
            .iter()
            .filter(|(hash, _)| *hash < theta)
            .filter_map(|(hash, b)| known.get(*hash).map(|a| (*hash, Summary::of_both(a, *b, mode))))
            .collect();
        let mut result = Places::for_count(both.len());
        both.into_iter().for_each(|(hash, summary)| result.put(hash, |_| summary));
        Self { theta, entries: result.iter().collect(), is_empty: false }
    }

    pub fn without(&self, other: impl Iterator<Item = u64>, other_theta: u64) -> Self {
        let theta = self.theta.min(other_theta);
        let other: HashSet<u64> = other.collect();
        let is_left = |(hash, _): &&(u64, Summary<N>)| *hash < theta && !other.contains(hash);
        let entries: Vec<_> = self.entries.iter().filter(is_left).copied().collect();
        let is_empty = self.is_empty || (entries.is_empty() && theta == ALL);
        Self { theta: if is_empty { ALL } else { theta }, entries, is_empty }
    }
}

/// Sketches that become one.
#[derive(Debug, Clone)]
pub(super) struct Union<N> {
    table: Table<N>,
    bound: u64,
    mode: Mode,
}

impl<N: Number> Union<N> {
    pub fn new(lg_nominal: u8, mode: Mode) -> Self {
        Self { table: Table::new(lg_nominal), bound: ALL, mode }
    }

    pub fn add(&mut self, other: &Sketch<N>) {
        if other.is_empty {
            return;
        }
        self.table.is_empty = false;
        self.bound = self.bound.min(other.theta);
        for (hash, summary) in other.entries.iter().filter(|(hash, _)| *hash < self.bound) {
            let mode = self.mode;
            self.table.put(*hash, |known| match known {
                Some(known) => Summary::of_both(known, *summary, mode),
                None => *summary,
            });
        }
        self.bound = self.bound.min(self.table.theta);
    }

    pub fn result(&self) -> Sketch<N> {
        self.table.compact(self.bound)
    }

    /// The memory that the entries take.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }

    /// A value of a key that has this hash.
    pub fn update(&mut self, hash: u64, start: Summary<N>, value: N) {
        if hash < self.bound {
            self.table.update(hash, start, value);
            self.bound = self.bound.min(self.table.theta);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::data_sketch_hash::{SEED, hash_long};

    fn of(ids: std::ops::Range<i64>, lg: u8) -> Sketch<i32> {
        let mut table = Table::new(lg);
        ids.for_each(|id| table.update(hash_long(id, SEED).0 >> 1, Summary::start(Mode::Sum), 2));
        table.trim();
        table.compact(ALL)
    }

    fn hex(sketch: &Sketch<i32>) -> String {
        let bytes = sketch.to_bytes();
        assert_eq!(Sketch::from_bytes(&bytes).as_ref(), Some(sketch));
        bytes.iter().map(|b| format!("{b:02X}")).collect()
    }

    /// `hex(tuple_sketch_agg_integer(id, 2))` of Spark 4.2.
    #[test]
    fn bytes_are_those_of_the_library() {
        assert_eq!(hex(&of(0..0, 12)), "01030901000ECC93");
        assert_eq!(hex(&of(0..1, 12)), "01030901000ACC93E56B61EEC88044200200000000");
        assert_eq!(
            hex(&of(0..3, 12)),
            "02030901000ACC93030000000000000015F97DCBBD86A1050200000000C397FC1281709D1E0200000000\
             E56B61EEC88044200200000000"
        );
    }

    /// `hex(tuple_intersection_integer(a, b))` of Spark 4.2, of sketches that have no key in common.
    #[test]
    fn disjoint_sketches_have_nothing_in_common() {
        let both = of(0..3, 12).intersected(&of(3..6, 12), Mode::Sum);
        assert_eq!(hex(&both), "02030901000ACC930000000000000000");
        assert_eq!(both.estimate(), 0.0);
    }

    #[test]
    fn memory_is_that_of_the_places() {
        let entry = size_of::<Option<(u64, Summary<i32>)>>();
        let mut union = Union::<i32>::new(12, Mode::Sum);
        assert_eq!((union.bytes(), Table::<i32>::new(26).bytes()), (0, 0));
        union.add(&of(0..1, 12));
        assert_eq!(union.bytes(), entry << 7);
        union.add(&of(0..1000, 12));
        assert!(union.bytes() >= entry * 2000);
    }

    /// Rows that come behind sketches of others.
    #[test]
    fn unions_take_rows() {
        let mut union = Union::new(12, Mode::Sum);
        union.add(&of(0..2, 12));
        (1..3).for_each(|id| union.update(hash_long(id, SEED).0 >> 1, Summary::start(Mode::Sum), 5));
        let mut numbers: Vec<_> = union.result().entries.iter().map(|(_, s)| s.value).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [2, 5, 7]);
        // What a sketch's bound leaves out stays out.
        union.add(&of(0..100_000, 4));
        let (count, before) = (union.result().entries.len(), union.bound);
        union.update(before, Summary::start(Mode::Sum), 1);
        assert_eq!(union.result().entries.len(), count);
    }

    /// What Spark 4.2 says.
    #[test]
    fn estimates_are_those_of_the_library() {
        assert_eq!(of(0..1000, 5).estimate(), 841.773_671_884_690_4);
        assert_eq!(of(0..1000, 5).fraction(), 0.038_014_968_950_446_68);
        let (a, b) = (of(1..4, 12), of(2..5, 12));
        assert_eq!(a.intersected(&b, Mode::Sum).entries.iter().map(|(_, s)| s.value).sum::<i32>(), 8);
        assert_eq!(a.without(b.entries.iter().map(|(hash, _)| *hash), b.theta).estimate(), 1.0);
        let mut union = Union::new(12, Mode::Max);
        union.add(&a);
        union.add(&b);
        assert_eq!(union.result().estimate(), 4.0);
        assert_eq!(union.result().entries.iter().map(|(_, s)| s.value).sum::<i32>(), 8);
    }
}
