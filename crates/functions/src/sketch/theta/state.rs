//! The sketch itself: the smallest hashes of the values, below a bound that says what share of all hashes they are.

use std::collections::BTreeSet;

use crate::sketch::data_sketch_hash::{SEED, hash_bytes, hash_long};

/// The bound of a sketch that holds every hash it saw.
pub(in crate::sketch) const ALL: u64 = i64::MAX as u64;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Theta {
    pub(super) lg_nominal: u8,
    pub(super) theta: u64,
    pub(super) hashes: BTreeSet<u64>,
    pub(super) is_empty: bool,
}

impl Theta {
    pub fn new(lg_nominal: u8) -> Self {
        Self { lg_nominal, theta: ALL, hashes: BTreeSet::new(), is_empty: true }
    }

    pub fn update_long(&mut self, value: i64) {
        self.add(hash_long(value, SEED).0);
    }

    pub fn update_double(&mut self, value: f64) {
        // One zero, one NaN.
        let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
        self.update_long(value.to_bits() as i64);
    }

    pub fn update_bytes(&mut self, value: &[u8]) {
        if !value.is_empty() {
            self.add(hash_bytes(value, SEED).0);
        }
    }

    fn add(&mut self, hash: u64) {
        self.is_empty = false;
        self.keep(hash >> 1);
    }

    fn keep(&mut self, hash: u64) {
        if hash == 0 || hash >= self.theta || !self.hashes.insert(hash) {
            return;
        }
        // The library's table has room for twice the nominal size, and is rebuilt when it is nearly full.
        if self.hashes.len() > 15 * (1 << (self.lg_nominal + 1)) / 16 {
            self.shrink();
        }
    }

    /// Down to the nominal size.
    pub fn shrink(&mut self) {
        let nominal = 1usize << self.lg_nominal;
        if self.hashes.len() <= nominal {
            return;
        }
        if let Some(bound) = self.hashes.iter().nth(nominal).copied() {
            self.lower(bound);
        }
    }

    fn lower(&mut self, bound: u64) {
        if bound < self.theta {
            self.theta = bound;
            drop(self.hashes.split_off(&bound));
        }
    }

    pub fn unite(&mut self, other: &Self) {
        if other.is_empty {
            return;
        }
        self.is_empty = false;
        self.lower(other.theta);
        other.hashes.iter().for_each(|h| self.keep(*h));
    }

    pub fn intersect(&mut self, other: &Self) {
        let bound = self.theta.min(other.theta);
        self.lower(bound);
        self.hashes.retain(|h| other.hashes.contains(h));
        if self.is_empty || other.is_empty {
            *self = Self::new(self.lg_nominal);
        }
    }

    pub fn subtract(&mut self, other: &Self) {
        self.lower(other.theta);
        self.hashes.retain(|h| !other.hashes.contains(h));
        self.is_empty |= self.hashes.is_empty() && self.theta == ALL;
    }

    /// The bound of the hashes.
    pub fn bound(&self) -> u64 {
        self.theta
    }

    pub fn hashes(&self) -> impl Iterator<Item = u64> {
        self.hashes.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    pub fn estimate(&self) -> f64 {
        if self.is_empty {
            return 0.0;
        }
        self.hashes.len() as f64 / (self.theta as f64 / ALL as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Spark 4.2 says.
    #[test]
    fn estimates_are_those_of_the_library() {
        let of = |values: std::ops::Range<i64>, lg| {
            let mut sketch = Theta::new(lg);
            values.for_each(|v| sketch.update_long(v));
            sketch.shrink();
            sketch
        };
        assert_eq!(of(0..10_000, 12).estimate().round(), 9898.0);
        assert_eq!(of(0..10_000, 4).estimate().round(), 11471.0);
        let mut union = of(0..10_000, 12);
        union.unite(&of(5000..15_000, 12));
        union.shrink();
        assert_eq!(union.estimate().round(), 14907.0);
        let mut both = of(0..100, 12);
        both.intersect(&of(50..150, 12));
        assert_eq!(both.estimate(), 50.0);
        let mut rest = of(0..100, 12);
        rest.subtract(&of(50..150, 12));
        assert_eq!(rest.estimate(), 50.0);
    }
}
