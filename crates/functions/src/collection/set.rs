//! `array_distinct`, `array_union`, `array_intersect`, `array_except`: arrays as sets, in the order of first occurrence.

use std::collections::HashSet;

use arrow::array::Array;
use boathouse_spec::{DataType, Result};

use super::lists::{ListItem, Picker, bounds, element_of, lists};
use super::membership::two_arrays;
use crate::coercion::Want;
use crate::comparison::Comparison;
use crate::mismatch::check_orderable;
use crate::{Call, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["array_distinct"], array_distinct);
    r.scalar(&["array_union"], |c| operation(c, Operation::Union));
    r.scalar(&["array_intersect"], |c| operation(c, Operation::Intersect));
    r.scalar(&["array_except"], |c| operation(c, Operation::Except));
}

fn array_distinct(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::AnyArray])?;
    let returned = coerced[0].clone();
    let element = element_of(&returned)?;
    check_orderable(call, &element)?;
    let item = ListItem::of(&returned)?;
    Ok(Resolved::new(coerced, returned, call.any_nullable(), move |inputs| {
        let list = lists(inputs, 0)?;
        let keys = Comparison::of_values(list.values(), &element)?;
        let mut picker = Picker::with_capacity(list.len());
        let mut seen = HashSet::new();
        for row in 0..list.len() {
            let Some(range) = bounds(&list, row) else {
                picker.null_row()?;
                continue;
            };
            seen.clear();
            range.filter(|i| seen.insert(keys.row(*i).data())).for_each(|i| picker.pick(0, i));
            picker.row()?;
        }
        picker.finish(&[list.values()], &item)
    }))
}

#[derive(Clone, Copy, PartialEq)]
enum Operation {
    Union,
    Intersect,
    Except,
}

fn operation(call: &Call, operation: Operation) -> Result<Resolved> {
    let (element, left_null, right_null) = two_arrays(call)?;
    check_orderable(call, &element)?;
    let contains_null = match operation {
        Operation::Union => left_null || right_null,
        Operation::Intersect => left_null && right_null,
        Operation::Except => left_null,
    };
    let returned = DataType::array(element.clone(), contains_null);
    let item = ListItem::of(&returned)?;
    let coerced =
        vec![DataType::array(element.clone(), left_null), DataType::array(element.clone(), right_null)];
    Ok(Resolved::new(coerced, returned, call.any_nullable(), move |inputs| {
        let (left, right) = (lists(inputs, 0)?, lists(inputs, 1)?);
        let (left_keys, right_keys) = Comparison::of_both_values(left.values(), right.values(), &element)?;
        let mut picker = Picker::with_capacity(left.len());
        let (mut seen, mut other) = (HashSet::new(), HashSet::new());
        for row in 0..left.len() {
            let (Some(a), Some(b)) = (bounds(&left, row), bounds(&right, row)) else {
                picker.null_row()?;
                continue;
            };
            seen.clear();
            other.clear();
            if operation != Operation::Union {
                other.extend(b.clone().map(|i| right_keys.row(i).data()));
            }
            for i in a {
                let key = left_keys.row(i).data();
                let wanted = match operation {
                    Operation::Union => true,
                    Operation::Intersect => other.contains(key),
                    Operation::Except => !other.contains(key),
                };
                if wanted && seen.insert(key) {
                    picker.pick(0, i);
                }
            }
            if operation == Operation::Union {
                b.filter(|i| seen.insert(right_keys.row(*i).data())).for_each(|i| picker.pick(1, i));
            }
            picker.row()?;
        }
        if operation == Operation::Union {
            picker.finish(&[left.values(), right.values()], &item)
        } else {
            picker.finish(&[left.values()], &item)
        }
    }))
}
