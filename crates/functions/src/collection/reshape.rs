//! `flatten`, `slice`, `arrays_zip`, and `concat` of arrays.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StructArray, new_null_array};
use arrow::datatypes::{DataType as ArrowType, Int32Type};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Error, Result, StructField};

use super::construct::column_name;
use super::lists::{ListItem, Picker, bounds, check_length, lists};
use crate::coercion::{Want, common_type};
use crate::{Call, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["flatten"], flatten);
    r.scalar(&["slice"], slice);
    r.scalar(&["arrays_zip"], arrays_zip);
}

fn flatten(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let t = call.args[0].data_type.clone();
    let refused = || call.unexpected_input(0, "\"ARRAY\" of \"ARRAY\"");
    let DataType::Array { element: inner, contains_null } = &t else { return Err(refused()) };
    if !matches!(inner.as_ref(), DataType::Array { .. }) {
        return Err(refused());
    }
    let returned = inner.as_ref().clone();
    let item = ListItem::of(&returned)?;
    let nullable = call.any_nullable() || *contains_null;
    Ok(Resolved::new(vec![t.clone()], returned, nullable, move |inputs| {
        let outer = lists(inputs, 0)?;
        let inner = outer.values().as_list::<i32>();
        let mut picker = Picker::with_capacity(outer.len());
        for row in 0..outer.len() {
            let all: Option<Vec<_>> = bounds(&outer, row).and_then(|r| r.map(|i| bounds(inner, i)).collect());
            match all {
                Some(all) => {
                    let length = all.iter().map(|r| r.len() as i64).sum();
                    check_length(length, "flatten", None)?;
                    all.into_iter().for_each(|range| picker.pick_all(0, range));
                    picker.row()?;
                }
                None => picker.null_row()?,
            }
        }
        picker.finish(&[inner.values()], &item)
    }))
}

fn slice(call: &Call) -> Result<Resolved> {
    call.arity(3..=3)?;
    let coerced = call.want(&[Want::AnyArray, Want::INT, Want::INT])?;
    let returned = coerced[0].clone();
    let item = ListItem::of(&returned)?;
    let may_cast_to_null = call.args[1..].iter().any(|a| a.data_type.is_string());
    Ok(Resolved::new(coerced, returned, call.any_nullable() || may_cast_to_null, move |inputs| {
        let list = lists(inputs, 0)?;
        let (starts, lengths) = (inputs.primitives::<Int32Type>(1)?, inputs.primitives::<Int32Type>(2)?);
        let mut picker = Picker::with_capacity(list.len());
        for row in 0..list.len() {
            let (Some(range), true, true) = (bounds(&list, row), starts.is_valid(row), lengths.is_valid(row))
            else {
                picker.null_row()?;
                continue;
            };
            let (start, length) = (i64::from(starts.value(row)), i64::from(lengths.value(row)));
            let size = range.len() as i64;
            let from = match start {
                0 => {
                    return Err(Error::new("INVALID_PARAMETER_VALUE.START")
                        .param("parameter", "`start`")
                        .param("functionName", "`slice`")
                        .message("The parameter `start` of `slice` must not be 0."));
                }
                s if s < 0 => size + s,
                s => s - 1,
            };
            if length < 0 {
                return Err(Error::new("INVALID_PARAMETER_VALUE.LENGTH")
                    .param("parameter", "`length`")
                    .param("length", length)
                    .param("functionName", "`slice`")
                    .message(format!(
                        "The parameter `length` of `slice` must not be negative, but is {length}."
                    )));
            }
            if (0..size).contains(&from) {
                let to = (from + length).min(size);
                picker.pick_all(0, range.start + from as usize..range.start + to as usize);
            }
            picker.row()?;
        }
        picker.finish(&[list.values()], &item)
    }))
}

fn arrays_zip(call: &Call) -> Result<Resolved> {
    let coerced = call.want(&[Want::AnyArray])?;
    let fields: Vec<StructField> = coerced
        .iter()
        .zip(call.args)
        .enumerate()
        .map(|(i, (t, arg))| {
            let element = match t {
                DataType::Array { element, .. } => element.as_ref().clone(),
                other => other.clone(),
            };
            StructField::new(column_name(&arg.sql).unwrap_or_else(|| i.to_string()), element, true)
        })
        .collect();
    let returned = DataType::array(DataType::structure(fields), false);
    let item = ListItem::of(&returned)?;
    Ok(Resolved::new(coerced, returned, call.any_nullable(), move |inputs| {
        let sources = (0..inputs.len()).map(|i| lists(inputs, i)).collect::<Result<Vec<_>>>()?;
        let mut pickers = vec![];
        pickers.resize_with(sources.len(), || Picker::with_capacity(inputs.rows()));
        let mut shape = Picker::with_capacity(inputs.rows());
        for row in 0..inputs.rows() {
            let all: Option<Vec<_>> = sources.iter().map(|l| bounds(l, row)).collect();
            let Some(all) = all else {
                shape.null_row()?;
                continue;
            };
            let longest = all.iter().map(|r| r.len()).max().unwrap_or(0);
            for (picker, range) in pickers.iter_mut().zip(all) {
                let missing = longest - range.len();
                picker.pick_all(0, range);
                (0..missing).for_each(|_| picker.pick(1, 0));
            }
            shape.pick_all(0, 0..longest);
            shape.row()?;
        }
        let offsets = shape.offsets();
        let ArrowType::Struct(fields) = item.data_type() else {
            return Err(Error::internal("zipped arrays hold structs"));
        };
        let columns = pickers
            .iter()
            .zip(&sources)
            .zip(fields)
            .map(|((picker, list), field)| {
                let none: ArrayRef = new_null_array(list.values().data_type(), 1);
                crate::scalar::conform(picker.values(&[list.values(), &none])?, field.data_type())
            })
            .collect::<Result<Vec<_>>>()?;
        let rows = offsets.last().copied().unwrap_or(0) as usize;
        let structs = StructArray::try_new_with_length(fields.clone(), columns, None, rows).spark()?;
        item.list(offsets, Arc::new(structs), shape.nulls())
    }))
}

/// `concat` of arrays: the family of `concat` for strings calls this where an argument is an array.
pub(crate) fn concat_arrays(call: &Call) -> Result<Resolved> {
    let types = call.types();
    if types.iter().any(|t| !matches!(t, DataType::Array { .. })) {
        return Err(call.different_types());
    }
    let returned = common_type(&types, call.context).ok_or_else(|| call.different_types())?;
    let item = ListItem::of(&returned)?;
    let none = arrow::array::new_empty_array(&arrow_type(&returned));
    let coerced = vec![returned.clone(); types.len()];
    Ok(Resolved::new(coerced, returned, call.any_nullable(), move |inputs| {
        let sources = (0..inputs.len()).map(|i| lists(inputs, i)).collect::<Result<Vec<_>>>()?;
        let mut picker = Picker::with_capacity(inputs.rows());
        for row in 0..inputs.rows() {
            let all: Option<Vec<_>> = sources.iter().map(|l| bounds(l, row)).collect();
            match all {
                Some(all) => {
                    check_length(all.iter().map(|r| r.len() as i64).sum(), "concat", None)?;
                    all.into_iter().enumerate().for_each(|(source, range)| picker.pick_all(source, range));
                    picker.row()?;
                }
                None => picker.null_row()?,
            }
        }
        let mut values: Vec<&ArrayRef> = sources.iter().map(|l| l.values()).collect();
        if values.is_empty() {
            values.push(none.as_list::<i32>().values());
        }
        picker.finish(&values, &item)
    }))
}
