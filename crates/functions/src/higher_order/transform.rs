//! `transform(array, x -> ..)`, `transform(array, (x, i) -> ..)`, `zip_with(a, b, (x, y) -> ..)`.

use arrow::array::{Array, ArrayRef, UInt32Array, new_null_array};
use boathouse_spec::{DataType, Result};

use super::elements::Elements;
use super::{
    HigherOrder, LambdaArg, LambdaBody, LambdaParameter, arity_of, array_element, check_arity, check_shape,
    only,
};
use crate::collection::{ListItem, Picker, lists};
use crate::{Call, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.higher_order(&["transform"], HigherOrder { parameters: element_and_index, resolve: transform });
    r.higher_order(&["zip_with"], HigherOrder { parameters: pair, resolve: zip_with });
}

/// The element, and its place where the lambda takes two parameters.
pub(super) fn element_and_index(
    call: &Call,
    args: &[LambdaArg],
    _: &[LambdaBody],
) -> Result<Vec<Vec<LambdaParameter>>> {
    check_shape(call, args, 1, 1..=1)?;
    let (element, contains_null) = array_element(call, 0)?;
    let mut parameters = vec![LambdaParameter::new(element, contains_null)];
    if arity_of(args, 0) == 2 {
        parameters.push(LambdaParameter::new(DataType::Integer, false));
    }
    check_arity(args, &[parameters.len()])?;
    Ok(vec![parameters])
}

fn transform(call: &Call, args: &[LambdaArg], bodies: Vec<LambdaBody>) -> Result<Resolved> {
    let body = only(bodies)?;
    let returned = DataType::array(body.data_type.clone(), body.nullable);
    let item = ListItem::of(&returned)?;
    let with_index = arity_of(args, 0) == 2;
    Ok(Resolved::new(call.types(), returned, call.any_nullable(), move |inputs| {
        let mut elements = Elements::of_list(&lists(inputs, 0)?)?;
        if with_index {
            elements.columns.push(elements.positions());
        }
        let values = body.call(inputs, 1, &elements.columns, &elements.rows)?;
        item.list(elements.offsets, values, elements.nulls)
    }))
}

fn pair(call: &Call, args: &[LambdaArg], _: &[LambdaBody]) -> Result<Vec<Vec<LambdaParameter>>> {
    check_shape(call, args, 2, 1..=1)?;
    check_arity(args, &[2])?;
    // The shorter array is filled up with NULLs.
    let parameter = |i| Ok(LambdaParameter::new(array_element(call, i)?.0, true));
    Ok(vec![vec![parameter(0)?, parameter(1)?]])
}

fn zip_with(call: &Call, _: &[LambdaArg], bodies: Vec<LambdaBody>) -> Result<Resolved> {
    let body = only(bodies)?;
    let returned = DataType::array(body.data_type.clone(), body.nullable);
    let item = ListItem::of(&returned)?;
    Ok(Resolved::new(call.types(), returned, call.any_nullable(), move |inputs| {
        let (left, right) = (lists(inputs, 0)?, lists(inputs, 1)?);
        let (mut lefts, mut rights) = (Picker::with_capacity(left.len()), Picker::with_capacity(left.len()));
        let mut rows = Vec::new();
        for row in 0..left.len() {
            if left.is_null(row) || right.is_null(row) {
                lefts.null_row()?;
                continue;
            }
            let bounds = |list: &arrow::array::ListArray| {
                let offsets = list.value_offsets();
                offsets[row] as usize..offsets[row + 1] as usize
            };
            let (a, b) = (bounds(&left), bounds(&right));
            let longest = a.len().max(b.len());
            rows.extend(std::iter::repeat_n(row as u32, longest));
            for (picker, range) in [(&mut lefts, a), (&mut rights, b)] {
                let missing = longest - range.len();
                picker.pick_all(0, range);
                (0..missing).for_each(|_| picker.pick(1, 0));
            }
            lefts.row()?;
        }
        let column = |picker: &Picker, list: &arrow::array::ListArray| -> Result<ArrayRef> {
            let none = new_null_array(list.values().data_type(), 1);
            picker.values(&[list.values(), &none])
        };
        let parameters = [column(&lefts, &left)?, column(&rights, &right)?];
        let values = body.call(inputs, 2, &parameters, &UInt32Array::from(rows))?;
        item.list(lefts.offsets(), values, lefts.nulls())
    }))
}
