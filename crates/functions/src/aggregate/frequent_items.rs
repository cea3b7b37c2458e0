//! The aggregate behind `df.freqItems`: candidates for frequent values (Karp, Schenker, Papadimitriou), with the
//! bookkeeping of Spark's `CollectFrequentItems`, so that the candidates are the same.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Int64Type;
use boathouse_bridge::arrow_type;
use boathouse_spec::{DataType, Result};
use indexmap::IndexMap;

use super::collect_set::in_number_hash_order;
use super::fold::{Fold, column};
use super::{ResolvedAggregate, SparkAggregate};
use crate::Context;
use crate::collection::ListItem;
use crate::comparison::Comparison;
use crate::scalar::conform;

/// At most `size` candidates of the type, as an array.
pub fn frequent_items(t: &DataType, size: usize, context: &Context) -> Result<ResolvedAggregate> {
    let returned = DataType::array(t.clone(), true);
    let fold = FrequentItems { comparison: Comparison::new(&[arrow_type(t)])?, t: t.clone(), size };
    let coerced = vec![t.clone()];
    let udf = SparkAggregate::of_fold("freq_items", &coerced, &returned, false, context, fold)
        .with_parameters(size);
    Ok(ResolvedAggregate::new(coerced, returned, false, udf.build()))
}

struct FrequentItems {
    t: DataType,
    comparison: Comparison,
    size: usize,
}

/// Counts by value.
type Counts = IndexMap<Box<[u8]>, i64>;

impl FrequentItems {
    fn add(&self, counts: &mut Counts, key: &[u8], count: i64) {
        if let Some(known) = counts.get_mut(key) {
            *known += count;
            return;
        }
        if counts.len() < self.size {
            counts.insert(key.into(), count);
            return;
        }
        let least = counts.values().min().copied().unwrap_or(0);
        if count < least {
            counts.values_mut().for_each(|n| *n -= count);
            return;
        }
        counts.insert(key.into(), count);
        counts.retain(|_, n| *n > least);
        counts.values_mut().for_each(|n| *n -= least);
    }

    fn values(&self, keys: &[&[u8]]) -> Result<ArrayRef> {
        let t = arrow_type(&self.t);
        if keys.is_empty() {
            return Ok(arrow::array::new_empty_array(&t));
        }
        conform(self.comparison.values_of_bytes(keys.iter().copied())?.swap_remove(0), &t)
    }

    fn lists(&self, states: &[Counts]) -> Result<(ArrayRef, OffsetBuffer<i32>)> {
        let keys: Vec<&[u8]> = states.iter().flat_map(|s| s.keys()).map(AsRef::as_ref).collect();
        Ok((self.values(&keys)?, OffsetBuffer::from_lengths(states.iter().map(Counts::len))))
    }

    fn list(&self, values: ArrayRef, offsets: OffsetBuffer<i32>) -> Result<ArrayRef> {
        ListItem::of(&DataType::array(self.t.clone(), true))?.list(offsets, values, None)
    }
}

impl Fold for FrequentItems {
    type State = Counts;
    const ON_HEAP: bool = true;

    fn start(&self) -> Counts {
        Counts::new()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Counts],
    ) -> Result<()> {
        let values = column(columns, 0)?;
        let keys = self.comparison.keys(std::slice::from_ref(values))?;
        // NULL is a value like any other here.
        for (row, group) in rows {
            self.add(&mut states[group], keys.row(row).as_ref(), 1);
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![
            ("values", DataType::array(self.t.clone(), true)),
            ("counts", DataType::array(DataType::Long, false)),
        ]
    }

    fn save(&self, states: &[Counts]) -> Result<Vec<ArrayRef>> {
        let (values, offsets) = self.lists(states)?;
        let counts = Int64Array::from_iter_values(states.iter().flat_map(|s| s.values().copied()));
        let counts = ListItem::of(&DataType::array(DataType::Long, false))?.list(
            offsets.clone(),
            Arc::new(counts),
            None,
        )?;
        Ok(vec![self.list(values, offsets)?, counts])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Counts],
    ) -> Result<()> {
        let (values, counts) = (column(columns, 0)?.as_list::<i32>(), column(columns, 1)?.as_list::<i32>());
        let keys = self.comparison.keys(std::slice::from_ref(values.values()))?;
        let numbers = counts.values().as_primitive::<Int64Type>();
        let (offsets, shift) = (values.value_offsets(), counts.value_offsets());
        for (row, group) in rows {
            for (n, i) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
                let count = numbers.value(shift[row] as usize + n);
                self.add(&mut states[group], keys.row(i).as_ref(), count);
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Counts]) -> Result<ArrayRef> {
        let (values, offsets) = self.lists(states)?;
        let values = in_number_hash_order(&values, &offsets)?;
        self.list(values, offsets)
    }

    fn bytes(&self, state: &Counts) -> usize {
        state.capacity() * 40 + state.keys().map(|k| k.len()).sum::<usize>()
    }
}
