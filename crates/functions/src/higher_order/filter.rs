//! `filter`, `exists`, `forall`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::DataType as ArrowType;
use boathouse_spec::{DataType, Error, Result};

use super::elements::Elements;
use super::transform::element_and_index;
use super::{
    HigherOrder, LambdaArg, LambdaBody, LambdaParameter, arity_of, array_element, check_arity, check_shape,
    only, unexpected_body,
};
use crate::collection::{ListItem, Picker, lists};
use crate::{Call, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.higher_order(&["filter"], HigherOrder { parameters: element_and_index, resolve: filter });
    r.higher_order(&["exists"], HigherOrder { parameters: element, resolve: exists });
    r.higher_order(&["forall"], HigherOrder { parameters: element, resolve: forall });
}

fn element(call: &Call, args: &[LambdaArg], _: &[LambdaBody]) -> Result<Vec<Vec<LambdaParameter>>> {
    check_shape(call, args, 1, 1..=1)?;
    let (element, contains_null) = array_element(call, 0)?;
    check_arity(args, &[1])?;
    Ok(vec![vec![LambdaParameter::new(element, contains_null)]])
}

/// The body's values as booleans. (A bare NULL is no boolean by type.)
pub(super) fn answers(array: ArrayRef) -> Result<BooleanArray> {
    match array.data_type() {
        ArrowType::Null => Ok(BooleanArray::new_null(array.len())),
        ArrowType::Boolean => Ok(array.as_boolean().clone()),
        other => Err(Error::internal(format!("a condition gave {other}"))),
    }
}

pub(super) fn check_condition(call: &Call, args: &[LambdaArg], i: usize, body: &LambdaBody) -> Result<()> {
    match body.data_type {
        DataType::Boolean | DataType::Null => Ok(()),
        _ => Err(unexpected_body(call, args, i, body, "\"BOOLEAN\"")),
    }
}

fn filter(call: &Call, args: &[LambdaArg], bodies: Vec<LambdaBody>) -> Result<Resolved> {
    let body = only(bodies)?;
    check_condition(call, args, 1, &body)?;
    let returned = call.args[0].data_type.clone();
    let item = ListItem::of(&returned)?;
    let with_index = arity_of(args, 0) == 2;
    Ok(Resolved::new(call.types(), returned, call.any_nullable(), move |inputs| {
        let list = lists(inputs, 0)?;
        let elements = Elements::of_list(&list)?;
        let mut parameters = elements.columns.clone();
        if with_index {
            parameters.push(elements.positions());
        }
        let kept = answers(body.call(inputs, 1, &parameters, &elements.rows)?)?;
        let mut picker = Picker::with_capacity(list.len());
        for (row, w) in elements.offsets.windows(2).enumerate() {
            if list.is_null(row) {
                picker.null_row()?;
                continue;
            }
            (w[0] as usize..w[1] as usize)
                .filter(|i| kept.is_valid(*i) && kept.value(*i))
                .for_each(|i| picker.pick(0, i));
            picker.row()?;
        }
        picker.finish(&[&elements.columns[0]], &item)
    }))
}

fn exists(call: &Call, args: &[LambdaArg], bodies: Vec<LambdaBody>) -> Result<Resolved> {
    quantifier(call, args, bodies, true)
}

fn forall(call: &Call, args: &[LambdaArg], bodies: Vec<LambdaBody>) -> Result<Resolved> {
    quantifier(call, args, bodies, false)
}

/// Whether the decisive answer occurs; NULL where it does not and an answer is NULL.
fn quantifier(call: &Call, args: &[LambdaArg], bodies: Vec<LambdaBody>, decisive: bool) -> Result<Resolved> {
    let body = only(bodies)?;
    check_condition(call, args, 1, &body)?;
    let nullable = call.any_nullable() || body.nullable;
    Ok(Resolved::new(call.types(), DataType::Boolean, nullable, move |inputs| {
        let list = lists(inputs, 0)?;
        let elements = Elements::of_list(&list)?;
        let answers = answers(body.call(inputs, 1, &elements.columns, &elements.rows)?)?;
        let out: BooleanArray = elements
            .offsets
            .windows(2)
            .enumerate()
            .map(|(row, w)| {
                if list.is_null(row) {
                    return None;
                }
                let mut range = w[0] as usize..w[1] as usize;
                if range.clone().any(|i| answers.is_valid(i) && answers.value(i) == decisive) {
                    return Some(decisive);
                }
                (!range.any(|i| answers.is_null(i))).then_some(!decisive)
            })
            .collect();
        Ok(Arc::new(out))
    }))
}
