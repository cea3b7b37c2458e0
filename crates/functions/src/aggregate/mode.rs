//! `mode`: the most frequent value.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType as ArrowType, Int64Type};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;
use indexmap::IndexMap;

use super::collect_set::java_hashes;
use super::fold::{Fold, column};
use super::{AggregateCall, ResolvedAggregate, SparkAggregate};
use crate::collection::ListItem;
use crate::comparison::{Comparison, has_collation};
use crate::mismatch::{check_orderable, unexpected_null};
use crate::scalar::conform;
use crate::{Call, Registry, ShownArg};

pub(super) fn register(r: &mut Registry) {
    r.aggregate(&["mode"], mode);
}

/// Which of equally frequent values.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Among {
    /// The first in the order of Spark's hash map.
    Any,
    Smallest,
    Greatest,
}

fn mode(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    if call.args.is_empty() {
        return within_group(c);
    }
    call.arity(1..=2)?;
    if c.distinct {
        return Err(Error::new("INVALID_WITHIN_GROUP_EXPRESSION.DISTINCT_UNSUPPORTED")
            .param("funcName", "`mode`")
            .message("`mode` takes no DISTINCT."));
    }
    if !c.order_by.is_empty() {
        return Err(Error::new("INVALID_WITHIN_GROUP_EXPRESSION.WRONG_NUM_ORDERINGS")
            .param("funcName", "`mode`")
            .param("expectedNum", 0)
            .param("actualNum", c.order_by.len())
            .message("`mode` with an argument takes no WITHIN GROUP."));
    }
    let deterministic = match call.args.get(1) {
        None => false,
        Some(arg) => match (&arg.data_type, &arg.constant) {
            (DataType::Boolean, Some(ScalarValue::Boolean(Some(value)))) => *value,
            (_, None) => {
                return Err(Error::new("NON_FOLDABLE_ARGUMENT")
                    .param("funcName", "`mode`")
                    .param("paramName", "`deterministic`")
                    .param("paramType", "\"BOOLEAN\"")
                    .message(format!(
                        "The argument `deterministic` of `mode` must be a constant, not {}.",
                        arg.sql
                    )));
            }
            (_, Some(constant)) if constant.is_null() => {
                return Err(unexpected_null(call, "deterministic"));
            }
            _ => {
                return Err(Error::new("UNEXPECTED_INPUT_TYPE")
                    .param("functionName", "`mode`")
                    .param("paramIndex", "second")
                    .param("inputSql", format!("\"{}\"", arg.sql))
                    .param("inputType", format!("\"{}\"", arg.data_type.sql()))
                    .param("requiredType", "\"BOOLEAN\"")
                    .message("The second argument of `mode` must be a boolean constant."));
            }
        },
    };
    let among = if deterministic { Among::Smallest } else { Among::Any };
    let resolved = resolve(c, call, call.types(), among)?;
    Ok(if deterministic {
        let text = format!("mode() WITHIN GROUP (ORDER BY {} DESC)", call.args[0].sql);
        resolved.shown_as(text)
    } else {
        resolved.shown_with(vec![ShownArg::Arg(0)])
    })
}

fn within_group(c: &AggregateCall) -> Result<ResolvedAggregate> {
    let call = &c.call;
    let [(key, ascending)] = c.order_by.as_slice() else {
        let (class, count) = match c.order_by.len() {
            0 => ("WITHIN_GROUP_MISSING", 0),
            n => ("WRONG_NUM_ORDERINGS", n),
        };
        return Err(Error::new(format!("INVALID_WITHIN_GROUP_EXPRESSION.{class}"))
            .param("funcName", "`mode`")
            .param("expectedNum", 1)
            .param("actualNum", count)
            .message("`mode()` needs WITHIN GROUP (ORDER BY one expression)."));
    };
    let among = if *ascending { Among::Smallest } else { Among::Greatest };
    let of_key = Call { name: call.name, args: std::slice::from_ref(key), context: call.context };
    // Spark shows the order in which the last of the most frequent values wins.
    let text = format!("mode() WITHIN GROUP (ORDER BY {}{})", key.sql, if *ascending { " DESC" } else { "" });
    Ok(resolve(c, &of_key, vec![key.data_type.clone()], among)?.with_order_as_arguments().shown_as(text))
}

fn resolve(
    c: &AggregateCall,
    call: &Call,
    coerced: Vec<DataType>,
    among: Among,
) -> Result<ResolvedAggregate> {
    let t = coerced[0].clone();
    if among != Among::Any {
        check_orderable(call, &t)?;
    }
    let comparison = Comparison::new(&[arrow_type(&t)])?;
    let fold = Mode { comparison, collated: has_collation(&t), t: t.clone(), among };
    let udf =
        SparkAggregate::of_fold("mode", &coerced, &t, true, c.call.context, fold).with_parameters(among);
    Ok(ResolvedAggregate::new(coerced, t, true, udf.build()))
}

struct Mode {
    t: DataType,
    /// Different values may be equal.
    collated: bool,
    comparison: Comparison,
    among: Among,
}

type Counts = IndexMap<Box<[u8]>, i64>;

impl Mode {
    fn values(&self, keys: &[&[u8]]) -> Result<ArrayRef> {
        let t = arrow_type(&self.t);
        if keys.is_empty() {
            return Ok(arrow::array::new_empty_array(&t));
        }
        conform(self.comparison.values_of_bytes(keys.iter().copied())?.swap_remove(0), &t)
    }

    fn most_frequent<'a>(&self, counts: &'a Counts) -> Result<Option<&'a [u8]>> {
        let counted: Vec<(&[u8], i64)> = match self.collated {
            true => self.united(counts)?,
            false => counts.iter().map(|(k, n)| (k.as_ref(), *n)).collect(),
        };
        let most = counted.iter().map(|(_, n)| *n).max();
        let mut candidates: Vec<&[u8]> =
            counted.iter().filter(|(_, n)| Some(*n) == most).map(|(k, _)| *k).collect();
        if self.among == Among::Any {
            if candidates.len() > 1 && !self.collated {
                let place = self.places(counts)?;
                candidates.sort_by_key(|k| place.get(k).copied());
            }
            return Ok(candidates.first().copied());
        }
        let order = Comparison::of_values(&self.values(&candidates)?, &self.t)?;
        let places = 0..candidates.len();
        let chosen = match self.among {
            Among::Greatest => places.max_by_key(|i| order.row(*i)),
            _ => places.min_by_key(|i| order.row(*i)),
        };
        Ok(chosen.map(|i| candidates[i]))
    }

    /// Where Spark's hash map puts the values.
    fn places<'a>(&self, counts: &'a Counts) -> Result<HashMap<&'a [u8], usize>> {
        let all: Vec<&[u8]> = counts.keys().map(AsRef::as_ref).collect();
        let places = match java_hashes(&self.values(&all)?) {
            Some(hashes) => open_hash_places(&hashes),
            None => (0..all.len()).collect(),
        };
        Ok(all.into_iter().zip(places).collect())
    }

    /// The values that are equal counted together, the first in the order of Spark's hash map for all of them.
    fn united<'a>(&self, counts: &'a Counts) -> Result<Vec<(&'a [u8], i64)>> {
        let place = self.places(counts)?;
        let mut values: Vec<(&[u8], i64)> = counts.iter().map(|(k, n)| (k.as_ref(), *n)).collect();
        values.sort_by_key(|(k, _)| place.get(k).copied());
        let keys: Vec<&[u8]> = values.iter().map(|(k, _)| *k).collect();
        let equal = Comparison::of_values(&self.values(&keys)?, &self.t)?;
        let mut united: IndexMap<&[u8], (&[u8], i64)> = IndexMap::new();
        for (i, (value, count)) in values.into_iter().enumerate() {
            united.entry(equal.row(i).data()).or_insert((value, 0)).1 += count;
        }
        Ok(united.into_values().collect())
    }
}

/// Where Spark's open hash map puts keys with these hash codes, given in the order of insertion.
fn open_hash_places(hashes: &[i32]) -> Vec<usize> {
    fn mixed(h: i32) -> u32 {
        // Murmur3 of one word.
        let k = (h as u32).wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
        let mut h = k.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64) ^ 4;
        h ^= h >> 16;
        h = h.wrapping_mul(0x85eb_ca6b);
        h ^= h >> 13;
        h = h.wrapping_mul(0xc2b2_ae35);
        h ^ (h >> 16)
    }
    fn put(table: &mut [Option<usize>], hash: u32, key: usize) {
        let mask = table.len() - 1;
        let mut place = hash as usize & mask;
        let mut step = 1;
        while table[place].is_some() {
            place = (place + step) & mask;
            step += 1;
        }
        table[place] = Some(key);
    }
    let mut table: Vec<Option<usize>> = vec![None; 64];
    for (key, hash) in hashes.iter().enumerate() {
        put(&mut table, mixed(*hash), key);
        if key + 1 > (table.len() as f64 * 0.7) as usize {
            let mut larger = vec![None; table.len() * 2];
            for moved in table.into_iter().flatten() {
                put(&mut larger, mixed(hashes[moved]), moved);
            }
            table = larger;
        }
    }
    let mut places = vec![0; hashes.len()];
    for (place, key) in table.into_iter().enumerate() {
        if let Some(key) = key {
            places[key] = place;
        }
    }
    places
}

impl Fold for Mode {
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
        let nulls = values.logical_nulls();
        for (row, group) in rows {
            if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
                *states[group].entry(keys.row(row).as_ref().into()).or_default() += 1;
            }
        }
        Ok(())
    }

    fn saved(&self) -> Vec<(&'static str, DataType)> {
        vec![
            ("values", DataType::array(self.t.clone(), false)),
            ("counts", DataType::array(DataType::Long, false)),
        ]
    }

    fn save(&self, states: &[Counts]) -> Result<Vec<ArrayRef>> {
        let keys: Vec<&[u8]> = states.iter().flat_map(|s| s.keys()).map(AsRef::as_ref).collect();
        let counts = Int64Array::from_iter_values(states.iter().flat_map(|s| s.values().copied()));
        let offsets = OffsetBuffer::from_lengths(states.iter().map(Counts::len));
        Ok(vec![
            ListItem::of(&DataType::array(self.t.clone(), false))?.list(
                offsets.clone(),
                self.values(&keys)?,
                None,
            )?,
            ListItem::of(&DataType::array(DataType::Long, false))?.list(offsets, Arc::new(counts), None)?,
        ])
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
        let offsets = values.value_offsets();
        let shift = counts.value_offsets();
        for (row, group) in rows {
            for (n, i) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
                let count = numbers.value(shift[row] as usize + n);
                *states[group].entry(keys.row(i).as_ref().into()).or_default() += count;
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Counts]) -> Result<ArrayRef> {
        let mut keys: Vec<&[u8]> = Vec::new();
        let mut places = Vec::with_capacity(states.len());
        for state in states {
            places.push(self.most_frequent(state)?.map(|key| {
                keys.push(key);
                keys.len() as u64 - 1
            }));
        }
        let values = self.values(&keys)?;
        if *values.data_type() == ArrowType::Null {
            return Ok(arrow::array::new_null_array(&ArrowType::Null, states.len()));
        }
        take(&values, &arrow::array::UInt64Array::from(places), None).spark()
    }

    fn bytes(&self, state: &Counts) -> usize {
        state.capacity() * 40 + state.keys().map(|k| k.len()).sum::<usize>()
    }
}
