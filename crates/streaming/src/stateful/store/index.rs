//! The keys of entries by other columns.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use boathouse_spec::Result;

use super::rows::{Bytes, Encoded, Encoding};
use super::{Keys, Map};

pub(super) struct Index {
    pub columns: Vec<usize>,
    finds_null: bool,
    encoding: Encoding,
    pub keys: Map<Keys>,
}

/// Values to find entries by; some find nothing.
pub(super) struct Wanted {
    values: Encoded,
    whole: Vec<bool>,
}

impl Wanted {
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.values.iter().zip(&self.whole).map(|(value, whole)| whole.then_some(value))
    }
}

impl Index {
    pub fn new(columns: Vec<usize>, finds_null: bool, schema: &SchemaRef) -> Result<Self> {
        let fields: Vec<_> = columns.iter().map(|i| Arc::clone(&schema.fields()[*i])).collect();
        Ok(Self { columns, finds_null, encoding: Encoding::of(&fields)?, keys: Map::default() })
    }

    pub fn wanted(&self, values: &[ArrayRef]) -> Result<Wanted> {
        let count = values.first().map_or(1, |v| v.len());
        let is_whole = |i: usize| self.finds_null || values.iter().all(|v| v.is_valid(i));
        Ok(Wanted { values: self.encoding.rows(values, count)?, whole: (0..count).map(is_whole).collect() })
    }

    fn values_of(&self, batch: &RecordBatch) -> Result<Wanted> {
        let values: Vec<ArrayRef> = self.columns.iter().map(|i| Arc::clone(batch.column(*i))).collect();
        self.wanted(&values)
    }

    pub fn add(&mut self, batch: &RecordBatch, keys: &Encoded) -> Result<()> {
        for (value, key) in self.values_of(batch)?.iter().zip(keys.iter()) {
            let Some(value) = value else { continue };
            match self.keys.get_mut(value) {
                Some(known) => {
                    known.insert(Bytes::from(key));
                }
                None => {
                    let mut one: Keys = HashSet::default();
                    one.insert(Bytes::from(key));
                    self.keys.insert(Bytes::from(value), one);
                }
            }
        }
        Ok(())
    }

    pub fn remove(&mut self, batch: &RecordBatch, keys: &Encoded) -> Result<()> {
        for (value, key) in self.values_of(batch)?.iter().zip(keys.iter()) {
            let Some(value) = value else { continue };
            if let Some(found) = self.keys.get_mut(value) {
                found.remove(key);
                if found.is_empty() {
                    self.keys.remove(value);
                }
            }
        }
        Ok(())
    }
}
