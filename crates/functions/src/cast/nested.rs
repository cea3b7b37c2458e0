//! Casts of arrays, maps and structs: element by element, fields by position.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBufferBuilder, ListArray, MapArray, StructArray, make_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType as ArrowType, Field, Fields};
use boathouse_bridge::{arrow_field, from_arrow, typed_field};
use boathouse_spec::{DataType, Error, Result};

use super::{Mode, cast};
use crate::Context;

/// The values that lists use, with offsets into them: what a slice left out, or what lies under a NULL, must not fail
/// a cast.
fn used(
    offsets: &OffsetBuffer<i32>,
    values: &ArrayRef,
    nulls: Option<&NullBuffer>,
) -> Result<(OffsetBuffer<i32>, ArrayRef)> {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let values = values.slice(first as usize, (last - first) as usize);
    let moved = match first {
        0 => offsets.clone(),
        first => OffsetBuffer::new(offsets.iter().map(|o| o - first).collect()),
    };
    let hidden = nulls.is_some_and(|n| (0..n.len()).any(|row| n.is_null(row) && moved[row + 1] > moved[row]));
    let (Some(nulls), true) = (nulls, hidden) else { return Ok((moved, values)) };
    let mut keep = BooleanBufferBuilder::new(values.len());
    for row in 0..nulls.len() {
        keep.append_n((moved[row + 1] - moved[row]) as usize, nulls.is_valid(row));
    }
    let values = masked(&values, Some(&NullBuffer::new(keep.finish())))?;
    Ok((moved, values))
}

/// A column that is NULL also where `nulls` says so.
fn masked(array: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
    let Some(nulls) = nulls.filter(|n| n.null_count() > 0 && array.data_type() != &ArrowType::Null) else {
        return Ok(Arc::clone(array));
    };
    let nulls = NullBuffer::union(array.nulls(), Some(nulls));
    Ok(make_array(array.to_data().into_builder().nulls(nulls).build().map_err(from_arrow)?))
}

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
            let (offsets, values) = used(list.offsets(), list.values(), list.nulls())?;
            let values = cast(&values, f, t, mode, context)?;
            // Nullable here: values under a NULL list may be anything. The caller puts the promised type on.
            let field = Arc::new(typed_field("item", t, true));
            Ok(Arc::new(
                ListArray::try_new(field, offsets, values, list.nulls().cloned()).map_err(from_arrow)?,
            ))
        }
        (DataType::Map { key: fk, value: fv, .. }, DataType::Map { key: tk, value: tv, .. }) => {
            let map = array.as_map_opt().ok_or_else(broken)?;
            let (offsets, keys) = used(map.offsets(), map.keys(), None)?;
            let (_, values) = used(map.offsets(), map.values(), map.nulls())?;
            let keys = cast(&keys, fk, tk, mode, context)?;
            let values = cast(&values, fv, tv, mode, context)?;
            let fields = Fields::from(vec![typed_field("key", tk, false), typed_field("value", tv, true)]);
            let entries =
                StructArray::try_new(fields.clone(), vec![keys, values], None).map_err(from_arrow)?;
            let field = Arc::new(Field::new("entries", ArrowType::Struct(fields), false));
            Ok(Arc::new(
                MapArray::try_new(field, offsets, entries, map.nulls().cloned(), false)
                    .map_err(from_arrow)?,
            ))
        }
        (DataType::Struct(f), DataType::Struct(t)) => {
            let rows = array.as_struct_opt().ok_or_else(broken)?;
            let columns = rows
                .columns()
                .iter()
                .zip(f.fields.iter().zip(&t.fields))
                .map(|(column, (f, t))| {
                    let column = masked(column, rows.nulls())?;
                    cast(&column, &f.data_type, &t.data_type, mode, context)
                })
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
