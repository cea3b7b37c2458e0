//! Casts of arrays, maps and structs: element by element, fields by position.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray};
use arrow::datatypes::{DataType as ArrowType, Field, Fields};
use boathouse_bridge::{arrow_field, from_arrow, typed_field};
use boathouse_spec::{DataType, Error, Result};

use super::{Mode, cast};
use crate::Context;

pub fn cast_nested(
    array: &ArrayRef,
    from: &DataType,
    to: &DataType,
    mode: Mode,
    context: &Context,
) -> Result<ArrayRef> {
    let broken = || Error::internal(format!("no cast of {} to {}", from.sql(), to.sql()));
    match (from, to) {
        (DataType::Array { element: f, .. }, DataType::Array { element: t, .. }) => {
            let list = array.as_list_opt::<i32>().ok_or_else(broken)?;
            let values = cast(list.values(), f, t, mode, context)?;
            // Nullable here: values under a NULL list may be anything. The caller puts the promised type on.
            let field = Arc::new(typed_field("item", t, true));
            Ok(Arc::new(
                ListArray::try_new(field, list.offsets().clone(), values, list.nulls().cloned()).map_err(from_arrow)?,
            ))
        }
        (DataType::Map { key: fk, value: fv, .. }, DataType::Map { key: tk, value: tv, .. }) => {
            let map = array.as_map_opt().ok_or_else(broken)?;
            let keys = cast(map.keys(), fk, tk, mode, context)?;
            let values = cast(map.values(), fv, tv, mode, context)?;
            let fields = Fields::from(vec![typed_field("key", tk, false), typed_field("value", tv, true)]);
            let entries = StructArray::try_new(fields.clone(), vec![keys, values], None).map_err(from_arrow)?;
            let field = Arc::new(Field::new("entries", ArrowType::Struct(fields), false));
            Ok(Arc::new(
                MapArray::try_new(field, map.offsets().clone(), entries, map.nulls().cloned(), false)
                    .map_err(from_arrow)?,
            ))
        }
        (DataType::Struct(f), DataType::Struct(t)) => {
            let rows = array.as_struct_opt().ok_or_else(broken)?;
            let columns = rows
                .columns()
                .iter()
                .zip(f.fields.iter().zip(&t.fields))
                .map(|(column, (f, t))| cast(column, &f.data_type, &t.data_type, mode, context))
                .collect::<Result<Vec<_>>>()?;
            let fields: Fields = t.fields.iter().map(|f| arrow_field(f).with_nullable(true)).collect();
            Ok(Arc::new(
                StructArray::try_new_with_length(fields, columns, rows.nulls().cloned(), rows.len())
                    .map_err(from_arrow)?,
            ))
        }
        _ => Err(broken()),
    }
}
