//! `array_append`, `array_prepend`, `array_insert`, `array_remove`, `array_compact`, `array_repeat`.

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::datatypes::Int32Type;
use boathouse_spec::{DataType, Error, Result};

use super::extract::zero_index;
use super::lists::{ListItem, Picker, bounds, check_length, is_null, lists, map_bounds};
use super::membership::{array_mismatch, element_and_value, element_type};
use crate::apply::check_size;
use crate::coercion::Want;
use crate::comparison::Comparison;
use crate::mismatch::check_orderable;
use crate::{Call, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["array_append"], |c| add(c, true));
    r.scalar(&["array_prepend"], |c| add(c, false));
    r.scalar(&["array_insert"], array_insert);
    r.scalar(&["array_remove"], array_remove);
    r.scalar(&["array_compact"], array_compact);
    r.scalar(&["array_repeat"], array_repeat);
}

fn add(call: &Call, at_end: bool) -> Result<Resolved> {
    call.arity(2..=2)?;
    let (element, contains_null) = element_and_value(call, 1)?;
    // Spark makes it `array_insert`, whose result it takes for one with NULLs.
    let returned = DataType::array(element.clone(), true);
    let item = ListItem::of(&returned)?;
    let coerced = vec![DataType::array(element.clone(), contains_null), element];
    Ok(Resolved::new(coerced, returned, call.args[0].nullable, move |inputs| {
        let list = lists(inputs, 0)?;
        let value = inputs.array(1)?;
        let mut picker = Picker::with_capacity(list.len());
        for row in 0..list.len() {
            let Some(range) = bounds(&list, row) else {
                picker.null_row()?;
                continue;
            };
            if !at_end {
                picker.pick(1, row);
            }
            picker.pick_all(0, range);
            if at_end {
                picker.pick(1, row);
            }
            picker.row()?;
        }
        picker.finish(&[list.values(), &value], &item)
    }))
}

fn array_insert(call: &Call) -> Result<Resolved> {
    call.arity(3..=3)?;
    let DataType::Array { element, contains_null } = &call.args[0].data_type else {
        return Err(array_mismatch(call, 2));
    };
    let common = element_type(element, &call.args[2].data_type, call.context)
        .ok_or_else(|| array_mismatch(call, 2))?;
    if !matches!(call.args[1].data_type, DataType::Byte | DataType::Short | DataType::Integer) {
        return Err(call.unexpected_input(1, "\"INT\""));
    }
    let returned = DataType::array(common.clone(), true);
    let item = ListItem::of(&returned)?;
    let nullable = call.args[0].nullable || call.args[1].nullable;
    let coerced = vec![DataType::array(common.clone(), *contains_null), DataType::Integer, common];
    // Counted from behind, -1 is the end: the new element is counted, too.
    let end = i64::from(!call.context.inserts_before_last);
    Ok(Resolved::new(coerced, returned, nullable, move |inputs| {
        let list = lists(inputs, 0)?;
        let positions = inputs.primitives::<Int32Type>(1)?;
        let value = inputs.array(2)?;
        let nothing: ArrayRef = new_null_array(list.values().data_type(), 1);
        let mut picker = Picker::with_capacity(list.len());
        for row in 0..list.len() {
            let (Some(range), true) = (bounds(&list, row), positions.is_valid(row)) else {
                picker.null_row()?;
                continue;
            };
            let (position, size) = (i64::from(positions.value(row)), range.len() as i64);
            // The place of the new element among the old ones, and how many NULLs fill the gap on which side.
            let (place, gap, gap_first) = match position {
                0 => return Err(zero_index()),
                p if p > 0 => ((p - 1).min(size), (p - 1 - size).max(0), true),
                p if size + p + end >= 0 => (size + p + end, 0, false),
                p => (0, -(size + p + end), false),
            };
            check_length(size + gap + 1, "array_insert", None)?;
            picker.reserve((size + gap + 1) as usize)?;
            let middle = range.start + place as usize;
            picker.pick_all(0, range.start..middle);
            if gap_first {
                (0..gap).for_each(|_| picker.pick(2, 0));
            }
            picker.pick(1, row);
            if !gap_first {
                (0..gap).for_each(|_| picker.pick(2, 0));
            }
            picker.pick_all(0, middle..range.end);
            picker.row()?;
        }
        picker.finish(&[list.values(), &value, &nothing], &item)
    }))
}

fn array_remove(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    if !matches!(call.args[0].data_type, DataType::Array { .. }) {
        return Err(array_mismatch(call, 1));
    }
    let (element, contains_null) = element_and_value(call, 1)?;
    check_orderable(call, &element)?;
    let returned = DataType::array(element.clone(), contains_null);
    let item = ListItem::of(&returned)?;
    let coerced = vec![returned.clone(), element.clone()];
    Ok(Resolved::new(coerced, returned, call.any_nullable(), move |inputs| {
        let list = lists(inputs, 0)?;
        let value = inputs.array(1)?;
        let (keys, unwanted) = Comparison::of_both_values(list.values(), &value, &element)?;
        let mut picker = Picker::with_capacity(list.len());
        for row in 0..list.len() {
            let (Some(range), false) = (bounds(&list, row), is_null(&value, row)) else {
                picker.null_row()?;
                continue;
            };
            let unwanted = unwanted.row(row);
            range.filter(|i| keys.row(*i) != unwanted).for_each(|i| picker.pick(0, i));
            picker.row()?;
        }
        picker.finish(&[list.values()], &item)
    }))
}

fn array_compact(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::AnyArray])?;
    let DataType::Array { element, .. } = &coerced[0] else {
        return Err(Error::internal("an array was wanted"));
    };
    let returned = DataType::array(element.as_ref().clone(), false);
    let item = ListItem::of(&returned)?;
    Ok(Resolved::new(coerced, returned, call.any_nullable(), move |inputs| {
        let list = lists(inputs, 0)?;
        let nulls = list.values().logical_nulls();
        let mut picker = Picker::with_capacity(list.len());
        for row in 0..list.len() {
            let Some(range) = bounds(&list, row) else {
                picker.null_row()?;
                continue;
            };
            range.filter(|i| nulls.as_ref().is_none_or(|n| n.is_valid(*i))).for_each(|i| picker.pick(0, i));
            picker.row()?;
        }
        picker.finish(&[list.values()], &item)
    }))
}

fn array_repeat(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    if !matches!(call.args[1].data_type, DataType::Integer | DataType::Null) {
        return Err(call.unexpected_input(1, "\"INT\""));
    }
    let element = call.args[0].data_type.clone();
    let returned = DataType::array(element.clone(), call.args[0].nullable);
    let item = ListItem::of(&returned)?;
    Ok(Resolved::new(vec![element, DataType::Integer], returned, call.args[1].nullable, move |inputs| {
        let value = inputs.array(0)?;
        let counts = inputs.array(1)?;
        let counts = counts.as_primitive::<Int32Type>();
        let mut picker = Picker::with_capacity(value.len());
        let mut bytes = 0usize;
        for row in 0..value.len() {
            if counts.is_null(row) {
                picker.null_row()?;
                continue;
            }
            let count = counts.value(row).max(0);
            check_length(count.into(), "array_repeat", Some("count"))?;
            picker.reserve(count as usize)?;
            if count > 1 {
                bytes = bytes.saturating_add(inner_bytes(&value, row).saturating_mul(count as usize));
                check_size(bytes)?;
            }
            (0..count).for_each(|_| picker.pick(0, row));
            picker.row()?;
        }
        picker.finish(&[&value], &item)
    }))
}

/// About how many bytes a copy of a row's value takes beyond those of its own width.
fn inner_bytes(array: &ArrayRef, row: usize) -> usize {
    if let Some(texts) = array.as_string_opt::<i32>() {
        return texts.value_length(row).max(0) as usize;
    }
    if let Some(values) = array.as_binary_opt::<i32>() {
        return values.value_length(row).max(0) as usize;
    }
    if let Some(list) = array.as_list_opt::<i32>() {
        let elements = bounds(list, row).unwrap_or_default();
        return elements.map(|i| size_of::<u64>() + inner_bytes(list.values(), i)).sum();
    }
    if let Some(map) = array.as_map_opt() {
        let entries = map_bounds(map, row).unwrap_or_default();
        let sizes = entries.map(|i| inner_bytes(map.keys(), i) + inner_bytes(map.values(), i));
        return sizes.map(|size| 2 * size_of::<u64>() + size).sum();
    }
    array.as_struct_opt().map_or(0, |values| values.columns().iter().map(|c| inner_bytes(c, row)).sum())
}
