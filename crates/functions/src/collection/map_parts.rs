//! `map_keys`, `map_values`, `map_entries`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use boathouse_spec::{DataType, Error, Result, StructField};

use super::lists::{ListItem, maps};
use crate::coercion::Want;
use crate::{Call, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["map_keys"], |c| {
        part(c, |k, _, _| DataType::array(k.clone(), true), |m| Arc::clone(m.keys()))
    });
    r.scalar(&["map_values"], |c| {
        part(c, |_, v, _| DataType::array(v.clone(), true), |m| Arc::clone(m.values()))
    });
    r.scalar(&["map_entries"], |c| {
        let entry = |k: &DataType, v: &DataType, nullable| {
            let fields = vec![
                StructField::new("key", k.clone(), false),
                StructField::new("value", v.clone(), nullable),
            ];
            DataType::array(DataType::structure(fields), false)
        };
        part(c, entry, |m| Arc::new(m.entries().clone()))
    });
}

fn part(
    call: &Call,
    returned: impl Fn(&DataType, &DataType, bool) -> DataType,
    of: fn(&arrow::array::MapArray) -> ArrayRef,
) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::AnyMap])?;
    let DataType::Map { key, value, value_contains_null } = &coerced[0] else {
        return Err(Error::internal("a map was wanted"));
    };
    let returned = returned(key, value, *value_contains_null);
    let item = ListItem::of(&returned)?;
    Ok(Resolved::new(coerced, returned, call.any_nullable(), move |inputs| {
        let map = maps(inputs, 0)?;
        item.list(map.offsets().clone(), of(&map), map.nulls().cloned())
    }))
}
