//! `max_by`, `min_by`: the value at the greatest or smallest key; with a third argument the values at the n first keys.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use boathouse_bridge::arrow_type;
use boathouse_spec::{DataType, Result};
use datafusion::scalar::ScalarValue;

use super::extremes::ExtremeBy;
use super::fold::{Fold, array_of, column, scalar, unexpected};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::Registry;
use crate::collation::collator_of;
use crate::collection::ListItem;
use crate::comparison::{Comparison, Key};
use crate::mismatch::{check_orderable, not_constant, out_of_range, whole_number_cast};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["max_by"], |c| resolve(c, Ordering::Greater));
    r.aggregate(&["min_by"], |c| resolve(c, Ordering::Less));
}

/// The most values that one group may keep.
const MOST: i64 = 100_000;

fn resolve(c: &AggregateCall, wanted: Ordering) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(2..=3)?;
    let types = call.types();
    let (value, key) = (types[0].clone(), types[1].clone());
    check_orderable(call, &key)?;
    if call.args.len() < 3 {
        let collator = collator_of(&key)?;
        let fold = ExtremeBy { value: value.clone(), key, by: 1, wanted, collator };
        let udf = SparkAggregate::of_fold(call.name, &types, &value, true, call.context, fold);
        return Ok(ResolvedAggregate::new(types, value, true, udf.build()));
    }
    let count = match whole_number_cast(call, 2)? {
        Some(Some(n)) => n,
        // Spark takes NULL for 0.
        Some(None) => 0,
        None => return Err(not_constant(call, 2, "k", "INT")),
    };
    if !(1..=MOST).contains(&count) {
        return Err(out_of_range(call, "`k`", &format!("[1, {MOST}]"), &count.to_string()));
    }
    let returned = DataType::array(value.clone(), true);
    let fold = Best { value, key, count: count as usize, wanted };
    let udf = SparkAggregate::of_fold(call.name, &types, &returned, true, call.context, fold)
        .with_parameters(count);
    Ok(ResolvedAggregate::new(types, returned, true, udf.build()))
}

/// The values at the first `count` keys.
struct Best {
    value: DataType,
    key: DataType,
    count: usize,
    wanted: Ordering,
}

#[derive(Clone)]
struct Kept {
    rank: Key,
    key: ScalarValue,
    value: ScalarValue,
}

impl Best {
    /// Whether `a` is worse than `b`.
    fn is_worse(&self, a: &Kept, b: &Kept) -> bool {
        a.rank.row().cmp(&b.rank.row()) == self.wanted.reverse()
    }

    /// Adds to a binary heap with the worst at its root, as Spark does: which of equal keys stay, and in which order,
    /// follows from it.
    fn add(&self, heap: &mut Vec<Kept>, new: Kept) {
        if heap.len() < self.count {
            heap.push(new);
            let mut at = heap.len() - 1;
            while at > 0 && self.is_worse(&heap[at], &heap[(at - 1) / 2]) {
                heap.swap(at, (at - 1) / 2);
                at = (at - 1) / 2;
            }
            return;
        }
        if !heap.first().is_some_and(|root| self.is_worse(root, &new)) {
            return;
        }
        heap[0] = new;
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let mut worst = at;
            for child in [left, right] {
                if child < heap.len() && self.is_worse(&heap[child], &heap[worst]) {
                    worst = child;
                }
            }
            if worst == at {
                return;
            }
            heap.swap(at, worst);
            at = worst;
        }
    }

    fn lists(&self, states: &[Vec<Kept>], t: &DataType, of: fn(&Kept) -> &ScalarValue) -> Result<ArrayRef> {
        let item = ListItem::of(&DataType::array(t.clone(), true))?;
        let values = array_of(states.iter().flatten().map(|k| of(k).clone()), &arrow_type(t))?;
        let nulls: Vec<bool> = states.iter().map(|s| !s.is_empty()).collect();
        item.list(
            OffsetBuffer::from_lengths(states.iter().map(Vec::len)),
            values,
            Some(NullBuffer::from(nulls)),
        )
    }
}

impl Fold for Best {
    type State = Vec<Kept>;
    const ON_HEAP: bool = true;

    fn start(&self) -> Self::State {
        Vec::new()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        let (values, keys) = (column(columns, 0)?, column(columns, 1)?);
        let ranks = Comparison::of(keys)?;
        let nulls = keys.logical_nulls();
        for (row, group) in rows {
            if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
                let rank = ranks.row(row);
                let full = states[group].len() >= self.count;
                if full && states[group].first().is_some_and(|r| rank.cmp(&r.rank.row()) != self.wanted) {
                    continue;
                }
                let (key, value) = (scalar(keys, row)?, scalar(values, row)?);
                self.add(&mut states[group], Kept { rank: rank.owned(), key, value });
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![
            ("values", DataType::array(self.value.clone(), true)),
            ("keys", DataType::array(self.key.clone(), true)),
        ]
    }

    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.lists(states, &self.value, |k| &k.value)?, self.lists(states, &self.key, |k| &k.key)?])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Self::State],
    ) -> Result<()> {
        let list = |i: usize| -> Result<&ListArray> {
            let array = column(columns, i)?;
            array.as_list_opt::<i32>().ok_or_else(|| unexpected(i, array))
        };
        let (values, keys) = (list(0)?, list(1)?);
        for (row, group) in rows {
            if keys.is_valid(row) {
                self.update(
                    &[values.value(row), keys.value(row)],
                    (0..keys.value(row).len()).map(|i| (i, group)),
                    states,
                )?;
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef> {
        let mut states = states.to_vec();
        for state in &mut states {
            // Best first; equal keys as they lie in the heap.
            state.sort_by(|a, b| match self.wanted {
                Ordering::Less => a.rank.row().cmp(&b.rank.row()),
                _ => b.rank.row().cmp(&a.rank.row()),
            });
        }
        self.lists(&states, &self.value, |k| &k.value)
    }

    fn bytes(&self, state: &Self::State) -> usize {
        state.iter().map(|k| size_of::<Kept>() + k.rank.row().as_ref().len() + k.value.size()).sum()
    }
}
