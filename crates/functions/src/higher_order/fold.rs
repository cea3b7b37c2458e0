//! `aggregate` (`reduce`): folds an array.

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, UInt64Array};
use arrow::compute::{concat, take};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{Error, Result};

use super::{
    HigherOrder, Lambda, LambdaArg, LambdaBody, LambdaParameter, array_element, check_arity, check_shape,
    unexpected_body,
};
use crate::scalar::conform;
use crate::{Call, Inputs, Registry, Resolved, ShownArg};

pub(super) fn register(r: &mut Registry) {
    r.higher_order(&["aggregate", "reduce"], HigherOrder { parameters, resolve });
}

fn parameters(call: &Call, args: &[LambdaArg], _: &[LambdaBody]) -> Result<Vec<Vec<LambdaParameter>>> {
    check_shape(call, args, 2, 1..=2)?;
    let (element, contains_null) = array_element(call, 0)?;
    check_arity(args, &[2, 1])?;
    // What the merge gives is not known yet: the accumulator may become NULL.
    let accumulator = LambdaParameter::new(call.args[1].data_type.clone(), true);
    Ok(vec![vec![accumulator.clone(), LambdaParameter::new(element, contains_null)], vec![accumulator]])
}

fn resolve(call: &Call, args: &[LambdaArg], bodies: Vec<LambdaBody>) -> Result<Resolved> {
    let mut bodies = bodies.into_iter();
    let merge = bodies.next().ok_or_else(|| Error::internal("aggregate without its merge"))?;
    let finish = bodies.next();
    let zero = call.args[1].data_type.clone();
    if !zero.as_nullable().same_type(&merge.data_type.as_nullable()) {
        return Err(unexpected_body(call, args, 2, &merge, &format!("\"{}\"", zero.sql())));
    }
    let returned = finish.as_ref().map_or_else(|| zero.clone(), |f| f.data_type.clone());
    let nullable = call.args[0].nullable || finish.as_ref().is_none_or(|f| f.nullable);
    let mut shown: Vec<ShownArg> = (0..args.len()).map(ShownArg::Arg).collect();
    if finish.is_none() {
        shown.push(ShownArg::Text(Lambda::IDENTITY.into()));
    }
    let state = arrow_type(&zero);
    let resolved = Resolved::new(call.types(), returned, nullable, move |inputs| {
        let folded = fold(inputs, &merge, &state)?;
        let Some(finish) = &finish else { return Ok(folded) };
        let array = inputs.array(0)?;
        // A NULL array gives NULL, whatever the last lambda would make of it.
        let present: Vec<u32> = (0..array.len()).filter(|i| array.is_valid(*i)).map(|i| i as u32).collect();
        let all = present.len() == array.len();
        let rows = UInt32Array::from(present);
        let states = if all { folded } else { take(&folded, &rows, None).spark()? };
        let finished = finish.call(inputs, 2, &[states], &rows)?;
        if all {
            return Ok(finished);
        }
        let mut place = 0u32;
        let places: UInt32Array = (0..array.len())
            .map(|i| {
                array.is_valid(i).then(|| {
                    place += 1;
                    place - 1
                })
            })
            .collect();
        take(&finished, &places, None).spark()
    });
    Ok(resolved.shown_with(shown))
}

/// Folds all rows' arrays in step: the n-th elements of all at once. Rows are ordered by length, longest first, so that
/// those still under way come first.
fn fold(inputs: &Inputs, merge: &LambdaBody, state: &arrow::datatypes::DataType) -> Result<ArrayRef> {
    let array = inputs.array(0)?;
    let list = array.as_list::<i32>();
    let lengths: Vec<usize> =
        (0..list.len()).map(|i| if list.is_valid(i) { list.value_length(i) as usize } else { 0 }).collect();
    let mut order: Vec<u32> = (0..list.len() as u32).collect();
    order.sort_by_key(|i| std::cmp::Reverse(lengths[*i as usize]));
    let zeros = conform(inputs.array(1)?, state)?;
    // NULL arrays fold to NULL.
    let starts: UInt32Array = order.iter().map(|i| list.is_valid(*i as usize).then_some(*i)).collect();
    let mut states = take(&zeros, &starts, None).spark()?;
    let mut done: Vec<ArrayRef> = Vec::new();
    let mut step = 0;
    loop {
        let active = order.partition_point(|i| lengths[*i as usize] > step);
        if active < states.len() {
            done.push(states.slice(active, states.len() - active));
            states = states.slice(0, active);
        }
        if active == 0 {
            break;
        }
        let places: UInt64Array = order[..active]
            .iter()
            .map(|i| Some(list.value_offsets()[*i as usize] as u64 + step as u64))
            .collect();
        let elements = take(list.values(), &places, None).spark()?;
        let rows = UInt32Array::from(order[..active].to_vec());
        states = conform(merge.call(inputs, 2, &[states, elements], &rows)?, state)?;
        step += 1;
    }
    if done.is_empty() {
        return Ok(states);
    }
    let parts: Vec<&dyn Array> = done.iter().rev().map(|a| a.as_ref()).collect();
    let ordered = concat(&parts).spark()?;
    let mut back = vec![0u32; order.len()];
    for (place, row) in order.iter().enumerate() {
        back[*row as usize] = place as u32;
    }
    take(&ordered, &UInt32Array::from(back), None).spark()
}
