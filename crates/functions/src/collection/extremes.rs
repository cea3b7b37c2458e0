//! `array_max`, `array_min`.

use std::cmp::Ordering;

use arrow::array::{Array, UInt64Array};
use arrow::compute::take;
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result};

use super::lists::{bounds, lists};
use crate::coercion::Want;
use crate::comparison::Comparison;
use crate::mismatch::check_orderable;
use crate::{Call, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["array_max"], |c| extreme(c, Ordering::Greater));
    r.scalar(&["array_min"], |c| extreme(c, Ordering::Less));
}

fn extreme(call: &Call, wanted: Ordering) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::AnyArray])?;
    let DataType::Array { element, .. } = &coerced[0] else {
        return Err(Error::internal("an array was wanted"));
    };
    check_orderable(call, element)?;
    let returned = element.as_ref().clone();
    let element = returned.clone();
    Ok(Resolved::new(coerced, returned, true, move |inputs| {
        let list = lists(inputs, 0)?;
        let keys = Comparison::of_values(list.values(), &element)?;
        let nulls = list.values().logical_nulls();
        let places: UInt64Array = (0..list.len())
            .map(|row| {
                let valid = bounds(&list, row)?.filter(|i| nulls.as_ref().is_none_or(|n| n.is_valid(*i)));
                let best =
                    valid.reduce(|best, i| if keys.row(i).cmp(&keys.row(best)) == wanted { i } else { best });
                best.map(|i| i as u64)
            })
            .collect();
        take(list.values(), &places, None).spark()
    }))
}
