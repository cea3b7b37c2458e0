//! `approx_top_k(value, k, maxItemsTracked)`: the most frequent values. Exact as long as there are no more values than
//! are tracked; beyond that the rarer half is forgotten, and what is left counts by as much more (Misra and Gries).

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType as ArrowType, Int64Type};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result, StructField};
use indexmap::IndexMap;

use crate::aggregate::fold::{Fold, column, primitive};
use crate::collection::ListItem;
use crate::comparison::Comparison;
use crate::mismatch::{not_constant, whole_number};
use crate::scalar::conform;
use crate::{AggregateCall, Registry, ResolvedAggregate, ShownArg, SparkAggregate};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["approx_top_k"], resolve);
}

const MOST_TRACKED: i64 = 1_000_000;

fn resolve(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    call.arity(1..=3)?;
    let t = call.args[0].data_type.clone();
    if !t.is_atomic() || t == DataType::Variant {
        return Err(Error::unsupported(format!("approx_top_k of {}", t.sql())));
    }
    let number = |i: usize, name: &str, default: i64| -> Result<i64> {
        let Some(arg) = call.args.get(i) else { return Ok(default) };
        if !arg.data_type.is_integral() {
            return Err(call.unexpected_input(i, "\"INTEGRAL\""));
        }
        let value = match whole_number(arg) {
            Some(Some(value)) => value,
            Some(None) => 0,
            None => return Err(not_constant(call, i, name, "INT")),
        };
        if value <= 0 {
            return Err(Error::new("APPROX_TOP_K_NON_POSITIVE_ARG")
                .param("argName", format!("`{name}`"))
                .param("argValue", value)
                .message(format!("`{name}` of `approx_top_k` must be positive, but is {value}.")));
        }
        Ok(value)
    };
    let (k, tracked) = (number(1, "k", 5)?, number(2, "maxItemsTracked", 10_000)?);
    if tracked > MOST_TRACKED {
        return Err(Error::new("APPROX_TOP_K_MAX_ITEMS_TRACKED_EXCEEDS_LIMIT")
            .param("maxItemsTracked", tracked)
            .param("limit", MOST_TRACKED)
            .message(format!(
                "`maxItemsTracked` of `approx_top_k` is at most {MOST_TRACKED}, not {tracked}."
            )));
    }
    if k > tracked {
        return Err(Error::new("APPROX_TOP_K_MAX_ITEMS_TRACKED_LESS_THAN_K")
            .param("maxItemsTracked", tracked)
            .param("k", k)
            .message(format!("`maxItemsTracked` ({tracked}) must not be less than `k` ({k}).")));
    }
    let item = DataType::structure(vec![
        StructField::new("item", t.clone(), true),
        StructField::new("count", DataType::Long, false),
    ]);
    let returned = DataType::array(item, false);
    let mut coerced = vec![t.clone()];
    coerced.extend(call.args[1..].iter().map(|a| a.data_type.clone()));
    let fold = TopK {
        comparison: Comparison::new(&[arrow_type(&t)])?,
        t,
        k: k as usize,
        tracked: tracked as usize,
        returned: returned.clone(),
    };
    let udf = SparkAggregate::of_fold(call.name, &coerced, &returned, false, call.context, fold)
        .with_parameters((k, tracked));
    let shown = |i: usize, default: &str| {
        if i < call.args.len() { ShownArg::Arg(i) } else { ShownArg::Text(default.into()) }
    };
    Ok(ResolvedAggregate::new(coerced, returned, false, udf.build()).shown_with(vec![
        ShownArg::Arg(0),
        shown(1, "5"),
        shown(2, "10000"),
    ]))
}

struct TopK {
    t: DataType,
    comparison: Comparison,
    k: usize,
    tracked: usize,
    returned: DataType,
}

/// How often keys came, in the order they came first.
#[derive(Clone, Default)]
pub(super) struct Frequencies {
    counts: IndexMap<Box<[u8]>, i64>,
    /// How often a forgotten key may have come.
    forgotten: i64,
}

impl Frequencies {
    fn add(&mut self, key: &[u8], count: i64, tracked: usize) {
        match self.counts.get_mut(key) {
            Some(so_far) => *so_far += count,
            None => {
                self.counts.insert(key.into(), count);
                if self.counts.len() > tracked {
                    self.forget();
                }
            }
        }
    }

    fn forget(&mut self) {
        let mut counts: Vec<i64> = self.counts.values().copied().collect();
        let middle = counts.len() / 2;
        let median = *counts.select_nth_unstable(middle).1;
        self.counts.retain(|_, count| {
            *count -= median;
            *count > 0
        });
        self.forgotten += median;
    }
}

impl TopK {
    /// The most frequent keys and their counts.
    fn top<'a>(&self, state: &'a Frequencies) -> Vec<(&'a [u8], i64)> {
        let mut rows: Vec<(&[u8], i64)> =
            state.counts.iter().map(|(key, count)| (key.as_ref(), count + state.forgotten)).collect();
        // Equally frequent values stay in the order they came.
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        rows.truncate(self.k);
        rows
    }
}

impl Fold for TopK {
    type State = Frequencies;
    const ON_HEAP: bool = true;

    fn start(&self) -> Frequencies {
        Frequencies::default()
    }

    fn update(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Frequencies],
    ) -> Result<()> {
        let keys = self.comparison.keys(std::slice::from_ref(column(columns, 0)?))?;
        for (row, group) in rows {
            states[group].add(keys.row(row).data(), 1, self.tracked);
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![
            ("keys", DataType::array(DataType::Binary, false)),
            ("counts", DataType::array(DataType::Long, false)),
            ("forgotten", DataType::Long),
        ]
    }

    fn save(&self, states: &[Frequencies]) -> Result<Vec<ArrayRef>> {
        let offsets = OffsetBuffer::from_lengths(states.iter().map(|s| s.counts.len()));
        let keys = states.iter().flat_map(|s| s.counts.keys().map(Some)).collect::<BinaryArray>();
        let counts = states.iter().flat_map(|s| s.counts.values().copied()).collect::<Int64Array>();
        let forgotten = Int64Array::from_iter_values(states.iter().map(|s| s.forgotten));
        Ok(vec![
            ListItem::of(&DataType::array(DataType::Binary, false))?.list(
                offsets.clone(),
                Arc::new(keys),
                None,
            )?,
            ListItem::of(&DataType::array(DataType::Long, false))?.list(offsets, Arc::new(counts), None)?,
            Arc::new(forgotten),
        ])
    }

    fn merge(
        &self,
        columns: &[ArrayRef],
        rows: impl Iterator<Item = (usize, usize)>,
        states: &mut [Frequencies],
    ) -> Result<()> {
        let (keys, counts) = (column(columns, 0)?.as_list::<i32>(), column(columns, 1)?.as_list::<i32>());
        let forgotten = primitive::<Int64Type>(columns, 2)?;
        for (row, group) in rows {
            let (keys, counts) = (keys.value(row), counts.value(row));
            let counts = counts.as_primitive::<Int64Type>();
            for (i, key) in keys.as_binary::<i32>().iter().enumerate() {
                if let Some(key) = key {
                    states[group].add(key, counts.value(i), self.tracked);
                }
            }
            states[group].forgotten += forgotten.value(row);
        }
        Ok(())
    }

    fn finish(&self, states: &[Frequencies]) -> Result<ArrayRef> {
        let tops: Vec<_> = states.iter().map(|s| self.top(s)).collect();
        let item = ListItem::of(&self.returned)?;
        let ArrowType::Struct(fields) = item.data_type() else {
            return Err(Error::internal("frequent items are structs"));
        };
        let t = arrow_type(&self.t);
        let values = if tops.iter().all(Vec::is_empty) {
            arrow::array::new_empty_array(&t)
        } else {
            let keys = tops.iter().flatten().map(|(key, _)| *key);
            conform(self.comparison.values_of_bytes(keys)?.swap_remove(0), &t)?
        };
        let counts = Int64Array::from_iter_values(tops.iter().flatten().map(|(_, n)| *n));
        let structs = StructArray::try_new(fields.clone(), vec![values, Arc::new(counts)], None).spark()?;
        item.list(OffsetBuffer::from_lengths(tops.iter().map(Vec::len)), Arc::new(structs), None)
    }

    fn bytes(&self, state: &Frequencies) -> usize {
        state.counts.capacity() * 40 + state.counts.keys().map(|k| k.len()).sum::<usize>()
    }
}
