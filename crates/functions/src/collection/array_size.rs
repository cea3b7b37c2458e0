//! `size` (`cardinality`), `array_size`.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int32Array};
use boathouse_spec::{DataType, Result};

use crate::coercion::Want;
use crate::{Call, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["size", "cardinality"], |c| {
        size(c, c.context.size_of_null && !c.context.ansi, &[Want::AnyArray, Want::AnyMap])
    });
    r.scalar(&["array_size"], |c| size(c, false, &[Want::AnyArray]));
}

/// The number of elements; of a NULL, NULL or (`minus_one`) -1.
fn size(call: &Call, minus_one: bool, wanted: &[Want]) -> Result<Resolved> {
    call.arity(1..=1)?;
    let want = match wanted {
        [one] => one.clone(),
        many => Want::one_of(many.iter().cloned()),
    };
    let coerced = call.want(&[want])?;
    let nullable = call.any_nullable() && !minus_one;
    Ok(Resolved::new(coerced, DataType::Integer, nullable, move |inputs| {
        let array = inputs.array(0)?;
        let offsets = match array.as_map_opt() {
            Some(map) => map.offsets().clone(),
            None => array.as_list::<i32>().offsets().clone(),
        };
        let sizes: Int32Array = offsets
            .windows(2)
            .enumerate()
            .map(|(row, w)| match array.is_valid(row) {
                true => Some(w[1] - w[0]),
                false => minus_one.then_some(-1),
            })
            .collect();
        Ok(Arc::new(sizes))
    }))
}
