//! `sort_array`, `array_sort` without comparator, `shuffle`, and `reverse` of arrays.

use arrow::array::Array;
use boathouse_spec::{DataType, Result};
use datafusion::scalar::ScalarValue;

use super::lists::{ListItem, Picker, bounds, element_of, lists};
use crate::coercion::Want;
use crate::comparison::Comparison;
use crate::mismatch::{check_orderable, not_constant, whole_number, with_sql};
use crate::partition::PerPartition;
use crate::{Call, Registry, Resolved, ShownArg};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["sort_array"], sort_array);
    r.scalar(&["array_sort"], array_sort);
    r.scalar(&["shuffle"], shuffle);
}

/// How NULLs and values are put in order.
#[derive(Clone, Copy)]
enum Order {
    Ascending,
    /// Descending, NULLs last.
    Descending,
    AscendingNullsLast,
}

fn sort_array(call: &Call) -> Result<Resolved> {
    call.arity(1..=2)?;
    let shown = vec![
        ShownArg::Arg(0),
        if call.args.len() > 1 { ShownArg::Arg(1) } else { ShownArg::Text("true".into()) },
    ];
    let t = &call.args[0].data_type;
    let sql = || {
        let order = call.args.get(1).map_or("true", |a| a.sql.as_str());
        format!("sort_array({}, {order})", call.args[0].sql)
    };
    if !matches!(t, DataType::Array { .. } | DataType::Null) {
        return Err(with_sql(call.unexpected_input(0, "\"ARRAY\""), &sql()));
    }
    check_orderable(call, t).map_err(|e| with_sql(e, &sql()))?;
    let order = match call.args.get(1) {
        None => Some(Order::Ascending),
        Some(arg) => match (&arg.data_type, &arg.constant) {
            (DataType::Null, _) => None,
            (DataType::Boolean, Some(ScalarValue::Boolean(Some(false)))) => Some(Order::Descending),
            (DataType::Boolean, Some(ScalarValue::Boolean(Some(true)))) => Some(Order::Ascending),
            (DataType::Boolean, Some(_)) => None,
            (DataType::Boolean, None) => return Err(not_constant(call, 1, "ascendingOrder", "BOOLEAN")),
            _ => return Err(call.unexpected_input(1, "\"BOOLEAN\"")),
        },
    };
    let mut coerced = call.want(&[Want::AnyArray, Want::BOOLEAN])?;
    coerced.truncate(call.args.len());
    Ok(sorted(call, coerced, order)?.shown_with(shown))
}

fn array_sort(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    if call.args[0].data_type == DataType::Null {
        return Err(call.unexpected_input(0, "\"ARRAY\""));
    }
    let coerced = call.want(&[Want::AnyArray])?;
    if let DataType::Array { element, .. } = &coerced[0] {
        check_orderable(call, element)?;
    }
    // Spark shows the comparator that it fills in.
    let comparator = "lambdafunction((IF(((namedlambdavariable() IS NULL) AND (namedlambdavariable() IS NULL)), 0, \
                      (IF((namedlambdavariable() IS NULL), 1, (IF((namedlambdavariable() IS NULL), -1, \
                      (IF((namedlambdavariable() < namedlambdavariable()), -1, \
                      (IF((namedlambdavariable() > namedlambdavariable()), 1, 0)))))))))), \
                      namedlambdavariable(), namedlambdavariable())";
    let shown = vec![ShownArg::Arg(0), ShownArg::Text(comparator.into())];
    Ok(sorted(call, coerced, Some(Order::AscendingNullsLast))?.shown_with(shown))
}

/// The arrays in order; NULL without an order.
fn sorted(call: &Call, coerced: Vec<DataType>, order: Option<Order>) -> Result<Resolved> {
    let returned = coerced[0].clone();
    let item = ListItem::of(&returned)?;
    let element = element_of(&returned)?;
    Ok(Resolved::new(coerced, returned, call.any_nullable(), move |inputs| {
        let list = lists(inputs, 0)?;
        let keys = Comparison::of_values(list.values(), &element)?;
        let nulls = list.values().logical_nulls();
        let is_null = |i: usize| nulls.as_ref().is_some_and(|n| n.is_null(i));
        let mut picker = Picker::with_capacity(list.len());
        for row in 0..list.len() {
            let (Some(range), Some(order)) = (bounds(&list, row), order) else {
                picker.null_row()?;
                continue;
            };
            let mut places: Vec<usize> = range.collect();
            match order {
                Order::Ascending => places.sort_by(|a, b| keys.row(*a).cmp(&keys.row(*b))),
                Order::Descending => places.sort_by(|a, b| keys.row(*b).cmp(&keys.row(*a))),
                Order::AscendingNullsLast => {
                    places.sort_by(|a, b| {
                        is_null(*a).cmp(&is_null(*b)).then_with(|| keys.row(*a).cmp(&keys.row(*b)))
                    });
                }
            }
            places.into_iter().for_each(|i| picker.pick(0, i));
            picker.row()?;
        }
        picker.finish(&[list.values()], &item)
    }))
}

/// `reverse` of an array: the family of `reverse` for strings calls this.
pub(crate) fn reverse_array(call: &Call) -> Result<Resolved> {
    let returned = call.args[0].data_type.clone();
    let item = ListItem::of(&returned)?;
    Ok(Resolved::new(vec![returned.clone()], returned, call.any_nullable(), move |inputs| {
        let list = lists(inputs, 0)?;
        let mut picker = Picker::with_capacity(list.len());
        for row in 0..list.len() {
            match bounds(&list, row) {
                Some(range) => {
                    range.rev().for_each(|i| picker.pick(0, i));
                    picker.row()?;
                }
                None => picker.null_row()?,
            }
        }
        picker.finish(&[list.values()], &item)
    }))
}

fn shuffle(call: &Call) -> Result<Resolved> {
    call.arity(1..=2)?;
    let mut coerced = call.want(&[Want::AnyArray, Want::LONG])?;
    coerced.truncate(call.args.len());
    let seed = match call.args.get(1) {
        None => None,
        Some(arg) => match whole_number(arg) {
            Some(seed) => seed,
            None => return Err(not_constant(call, 1, "seed", "BIGINT")),
        },
    };
    let returned = coerced[0].clone();
    let item = ListItem::of(&returned)?;
    let seed = seed.unwrap_or_else(rand::random);
    let generators = PerPartition::new(move |p| MersenneTwister::new(seed.wrapping_add(p as i64)));
    let resolved = Resolved::new(coerced, returned, call.args[0].nullable, move |inputs| {
        let list = lists(inputs, 0)?;
        let mut picker = Picker::with_capacity(list.len());
        generators.with(|random| -> Result<()> {
            for row in 0..list.len() {
                let Some(range) = bounds(&list, row) else {
                    picker.null_row()?;
                    continue;
                };
                let places = random.permutation(range.len());
                places.into_iter().for_each(|i| picker.pick(0, range.start + i));
                picker.row()?;
            }
            Ok(())
        })?;
        picker.finish(&[list.values()], &item)
    });
    Ok(resolved.volatile().shown_with(vec![ShownArg::Arg(0)]))
}

/// The generator behind Spark's `shuffle` (MT19937 seeded with a 64-bit integer).
struct MersenneTwister {
    state: [u32; 624],
    next: usize,
}

impl MersenneTwister {
    fn new(seed: i64) -> Self {
        // Seeding by array: the high word first.
        Self::from_words(&[((seed as u64) >> 32) as u32, seed as u32])
    }

    fn from_words(key: &[u32]) -> Self {
        let mut state = [0u32; 624];
        state[0] = 19_650_218;
        for i in 1..624 {
            state[i] =
                1_812_433_253u32.wrapping_mul(state[i - 1] ^ (state[i - 1] >> 30)).wrapping_add(i as u32);
        }
        let (mut i, mut j) = (1usize, 0usize);
        for _ in 0..624.max(key.len()) {
            state[i] = (state[i] ^ (state[i - 1] ^ (state[i - 1] >> 30)).wrapping_mul(1_664_525))
                .wrapping_add(key[j])
                .wrapping_add(j as u32);
            i += 1;
            j += 1;
            if i >= 624 {
                state[0] = state[623];
                i = 1;
            }
            if j >= key.len() {
                j = 0;
            }
        }
        for _ in 0..623 {
            state[i] = (state[i] ^ (state[i - 1] ^ (state[i - 1] >> 30)).wrapping_mul(1_566_083_941))
                .wrapping_sub(i as u32);
            i += 1;
            if i >= 624 {
                state[0] = state[623];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
        Self { state, next: 624 }
    }

    fn word(&mut self) -> u32 {
        if self.next >= 624 {
            for i in 0..624 {
                let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % 624] & 0x7fff_ffff);
                let magic = if y & 1 == 0 { 0 } else { 0x9908_b0df };
                self.state[i] = self.state[(i + 397) % 624] ^ (y >> 1) ^ magic;
            }
            self.next = 0;
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// A number from 0 to below `bound`.
    fn below(&mut self, bound: i32) -> i32 {
        if bound & (bound - 1) == 0 {
            let bits = i64::from(self.word() >> 1);
            return ((i64::from(bound) * bits) >> 31) as i32;
        }
        loop {
            let bits = (self.word() >> 1) as i32;
            let value = bits % bound;
            if bits.wrapping_sub(value).wrapping_add(bound - 1) >= 0 {
                return value;
            }
        }
    }

    /// Places 0 to below `n` in random order: each place is swapped with one at or before it, first to last.
    fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut places: Vec<usize> = Vec::with_capacity(n);
        for i in 0..n {
            let at = self.below(i as i32 + 1) as usize;
            places.push(i);
            if at != i {
                places[i] = places[at];
                places[at] = i;
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_mt19937() {
        // The reference generator's first output for init_by_array({0x123, 0x234, 0x345, 0x456}).
        assert_eq!(MersenneTwister::from_words(&[0x123, 0x234, 0x345, 0x456]).word(), 1_067_595_299);
    }
}
