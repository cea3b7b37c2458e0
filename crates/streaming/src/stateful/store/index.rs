//! The rows of a segment by other columns than their keys.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use boathouse_spec::Result;
use datafusion::common::hash_utils::RandomState;
use hashbrown::HashTable;

use super::rows::{Encoded, Encoding};

/// What entries are found by.
pub(super) struct By {
    pub columns: Vec<usize>,
    finds_null: bool,
    encoding: Encoding,
    hasher: RandomState,
}

/// Values to find entries by; some find nothing.
pub(super) struct Wanted {
    values: Encoded,
    whole: Vec<bool>,
    hashes: Vec<u64>,
}

/// A value to find entries by.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    bytes: &'a [u8],
    hash: u64,
}

impl Wanted {
    /// Each value, `None` where it finds nothing.
    pub fn iter(&self) -> impl Iterator<Item = Option<Value<'_>>> {
        let values = self.values.iter().zip(&self.hashes).zip(&self.whole);
        values.map(|((bytes, hash), whole)| whole.then_some(Value { bytes, hash: *hash }))
    }

    /// Each value once.
    pub fn distinct(&self) -> Vec<Value<'_>> {
        let mut seen: HashTable<Value<'_>> = HashTable::new();
        let mut out = Vec::new();
        for value in self.iter().flatten() {
            if seen.find(value.hash, |v| v.bytes == value.bytes).is_none() {
                seen.insert_unique(value.hash, value, |v| v.hash);
                out.push(value);
            }
        }
        out
    }

    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }
}

impl By {
    pub fn new(columns: Vec<usize>, finds_null: bool, schema: &SchemaRef) -> Result<Self> {
        let fields: Vec<_> = columns.iter().map(|i| Arc::clone(&schema.fields()[*i])).collect();
        Ok(Self { columns, finds_null, encoding: Encoding::of(&fields)?, hasher: RandomState::default() })
    }

    pub fn wanted(&self, values: &[ArrayRef]) -> Result<Wanted> {
        let count = values.first().map_or(1, |v| v.len());
        let is_whole = |i: usize| self.finds_null || values.iter().all(|v| v.is_valid(i));
        let whole = (0..count).map(is_whole).collect();
        let values = self.encoding.rows(values, count)?;
        let hashes = values.iter().map(|v| self.hasher.hash_one(v)).collect();
        Ok(Wanted { values, whole, hashes })
    }

    pub fn values_of(&self, batch: &RecordBatch) -> Result<Wanted> {
        let values: Vec<ArrayRef> = self.columns.iter().map(|i| Arc::clone(batch.column(*i))).collect();
        self.wanted(&values)
    }

    pub fn index(&self, batch: &RecordBatch) -> Result<Index> {
        Ok(Index::new(self.values_of(batch)?))
    }
}

/// No further row.
const END: u32 = u32::MAX;

pub(super) struct Index {
    values: Wanted,
    /// The first row of each value.
    firsts: HashTable<u32>,
    /// The next row of the same value.
    next: Vec<u32>,
}

impl Index {
    fn new(values: Wanted) -> Self {
        let count = values.values.len();
        let mut firsts = HashTable::with_capacity(count);
        let mut next = vec![END; count];
        for row in (0..count).rev().filter(|row| values.whole[*row]) {
            let (hash, bytes) = (values.hashes[row], values.values.get(row));
            let is_same = |first: &u32| values.values.get(*first as usize) == bytes;
            match firsts.find_mut(hash, is_same) {
                Some(first) => next[row] = std::mem::replace(first, row as u32),
                None => {
                    firsts.insert_unique(hash, row as u32, |row: &u32| values.hashes[*row as usize]);
                }
            }
        }
        Self { values, firsts, next }
    }

    /// The rows with a value, in their order.
    pub fn rows(&self, value: Value<'_>) -> impl Iterator<Item = u32> {
        let is_same = |first: &u32| self.values.values.get(*first as usize) == value.bytes;
        let first = self.firsts.find(value.hash, is_same).copied();
        std::iter::successors(first, |row| Some(self.next[*row as usize]).filter(|next| *next != END))
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let rows = self.next.len();
        self.values.values.bytes()
            + rows * (1 + size_of::<u64>() + size_of::<u32>())
            + self.firsts.allocation_size()
    }
}
