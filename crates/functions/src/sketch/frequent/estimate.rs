//! `approx_top_k_estimate`: the most frequent values of a sketch.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int32Type;
use boathouse_spec::{Error, Result};

use super::combine::{item_type, kind_of};
use super::item::Kind;
use super::{Counted, DEFAULT_K, number, result_type, shown, too_few_tracked};
use crate::{Call, Registry, Resolved, ShownArg};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["approx_top_k_estimate"], resolve);
}

fn resolve(call: &Call) -> Result<Resolved> {
    call.arity(1..=2)?;
    let item = item_type(call)?;
    let k = number(call, 1, "k", DEFAULT_K)?;
    let kind = Kind::of(&item).ok_or_else(|| Error::internal("a sketch of other values"))?;
    let returned = result_type(&item);
    let target = returned.clone();
    let second = match call.args.len() {
        1 => ShownArg::Text(DEFAULT_K.to_string()),
        _ => ShownArg::Arg(1),
    };
    Ok(Resolved::new(call.types(), returned, call.args[0].nullable, move |inputs| {
        let states = inputs.array(0)?;
        let parts = states.as_struct_opt().filter(|s| s.num_columns() == 4);
        let found = parts.and_then(|s| {
            let bytes = s.column(0).as_binary_opt::<i32>()?;
            let tracked = s.column(1).as_primitive_opt::<Int32Type>()?;
            Some((bytes, tracked, s.column(3).as_string_opt::<i32>()?))
        });
        let (bytes, tracked, ddl) = found.ok_or_else(|| Error::internal("a column of sketches"))?;
        let mut sketches = Vec::with_capacity(states.len());
        for row in 0..states.len() {
            if states.is_null(row) {
                sketches.push(None);
                continue;
            }
            let tracked = i64::from(tracked.value(row));
            if k > tracked {
                return Err(too_few_tracked(tracked, k));
            }
            sketches.push(Some(Counted::from_bytes(bytes.value(row), &kind_of(ddl.value(row))?)?));
        }
        let tops: Vec<_> = sketches.iter().map(|s| s.as_ref().map(|s| s.top(k as usize))).collect();
        shown(&tops, &kind, &target)
    })
    .with_parameters(k)
    .shown_with(vec![ShownArg::Arg(0), second]))
}
