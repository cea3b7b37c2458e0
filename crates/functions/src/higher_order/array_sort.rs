//! `array_sort(array, (a, b) -> ..)`: arrays in the order of a comparator.

use arrow::array::{Array, AsArray, Int32Array, UInt32Array, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::Int32Type;
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result};

use super::elements::Elements;
use super::{
    HigherOrder, LambdaArg, LambdaBody, LambdaParameter, array_element, check_arity, check_shape, only,
    sql_with_lambdas,
};
use crate::collection::{ListItem, lists};
use crate::{Call, Inputs, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.higher_order(&["array_sort"], HigherOrder { parameters, resolve });
}

fn parameters(call: &Call, args: &[LambdaArg], _: &[LambdaBody]) -> Result<Vec<Vec<LambdaParameter>>> {
    check_shape(call, args, 1, 1..=1)?;
    let (element, contains_null) = array_element(call, 0)?;
    check_arity(args, &[2])?;
    let parameter = LambdaParameter::new(element, contains_null);
    Ok(vec![vec![parameter.clone(), parameter]])
}

fn resolve(call: &Call, args: &[LambdaArg], bodies: Vec<LambdaBody>) -> Result<Resolved> {
    let body = only(bodies)?;
    if body.data_type != DataType::Integer {
        return Err(Error::new("DATATYPE_MISMATCH.UNEXPECTED_RETURN_TYPE")
            .param("sqlExpr", format!("\"{}\"", sql_with_lambdas(call, args)))
            .param("functionName", "`lambdafunction`")
            .param("expectedType", "\"INT\"")
            .param("actualType", format!("\"{}\"", body.data_type.sql()))
            .message(format!(
                "Cannot resolve \"{}\": the comparator must give \"INT\", but gives \"{}\".",
                sql_with_lambdas(call, args),
                body.data_type.sql()
            )));
    }
    let returned = call.args[0].data_type.clone();
    let item = ListItem::of(&returned)?;
    Ok(Resolved::new(call.types(), returned, call.any_nullable(), move |inputs| {
        let elements = Elements::of_list(&lists(inputs, 0)?)?;
        let order = sort(inputs, &body, &elements)?;
        let values = take(&elements.columns[0], &UInt64Array::from(order), None).spark()?;
        item.list(elements.offsets, values, elements.nulls)
    }))
}

/// Two sorted runs being merged into one.
struct Merge {
    left: usize,
    left_end: usize,
    right: usize,
    right_end: usize,
    out: usize,
}

/// The places of the elements in order, row by row. A stable merge sort of all rows in step: one comparison of every
/// merge under way is evaluated at a time.
fn sort(inputs: &Inputs, body: &LambdaBody, elements: &Elements) -> Result<Vec<u64>> {
    let mut order: Vec<u64> = (0..elements.rows.len() as u64).collect();
    let longest = elements.offsets.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
    let mut width = 1;
    while width < longest {
        let mut merged = order.clone();
        let mut merges = Vec::new();
        for w in elements.offsets.windows(2) {
            let (from, to) = (w[0] as usize, w[1] as usize);
            for start in (from..to).step_by(2 * width) {
                let middle = (start + width).min(to);
                if middle < to {
                    let end = (start + 2 * width).min(to);
                    merges.push(Merge {
                        left: start,
                        left_end: middle,
                        right: middle,
                        right_end: end,
                        out: start,
                    });
                }
            }
        }
        loop {
            let active: Vec<usize> = (0..merges.len())
                .filter(|i| merges[*i].left < merges[*i].left_end && merges[*i].right < merges[*i].right_end)
                .collect();
            if active.is_empty() {
                break;
            }
            let lefts: Vec<u64> = active.iter().map(|i| order[merges[*i].left]).collect();
            let rights: Vec<u64> = active.iter().map(|i| order[merges[*i].right]).collect();
            let compared = compare(inputs, body, elements, lefts, rights)?;
            for (i, order_of) in active.into_iter().zip(compared.values()) {
                let m = &mut merges[i];
                let from = if *order_of <= 0 { &mut m.left } else { &mut m.right };
                merged[m.out] = order[*from];
                *from += 1;
                m.out += 1;
            }
        }
        for m in merges {
            let rest = if m.left < m.left_end { m.left..m.left_end } else { m.right..m.right_end };
            merged[m.out..m.right_end].copy_from_slice(&order[rest]);
        }
        order = merged;
        width *= 2;
    }
    Ok(order)
}

fn compare(
    inputs: &Inputs,
    body: &LambdaBody,
    elements: &Elements,
    lefts: Vec<u64>,
    rights: Vec<u64>,
) -> Result<Int32Array> {
    let lefts = UInt64Array::from(lefts);
    let rows = take(&elements.rows, &lefts, None).spark()?;
    let rows: &UInt32Array = rows.as_primitive();
    let column = &elements.columns[0];
    let a = take(column, &lefts, None).spark()?;
    let b = take(column, &UInt64Array::from(rights), None).spark()?;
    let out = body.call(inputs, 1, &[a, b], rows)?;
    let out = out.as_primitive_opt::<Int32Type>().cloned();
    let out = out.ok_or_else(|| Error::internal("a comparator gave no INT"))?;
    if out.null_count() > 0 {
        return Err(Error::new("COMPARATOR_RETURNS_NULL").message(
            "The comparator of array_sort gave NULL for two elements: it must give a positive number, 0 or a negative one.",
        ));
    }
    Ok(out)
}
