//! `explode`, `posexplode`, `inline`, and their `_outer` forms.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StructArray};
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result, StructField};

use super::{GeneratorCall, ResolvedGenerator};
use crate::collection::ListItem;
use crate::scalar::conform;
use crate::{Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.generator(&["explode"], |c| explode(c, false, false));
    r.generator(&["explode_outer"], |c| explode(c, false, true));
    r.generator(&["posexplode"], |c| explode(c, true, false));
    r.generator(&["posexplode_outer"], |c| explode(c, true, true));
    r.generator(&["inline"], |c| inline(c, false));
    r.generator(&["inline_outer"], |c| inline(c, true));
}

fn nullable_columns(columns: Vec<StructField>, outer: bool) -> Vec<StructField> {
    columns.into_iter().map(|f| StructField { nullable: f.nullable || outer, ..f }).collect()
}

fn explode(c: &GeneratorCall, with_position: bool, outer: bool) -> Result<ResolvedGenerator> {
    let call = &c.call;
    call.arity(1..=1)?;
    let t = call.args[0].data_type.clone();
    let mut columns = Vec::new();
    if with_position {
        columns.push(StructField::new("pos", DataType::Integer, false));
    }
    match &t {
        DataType::Array { element, contains_null } => {
            columns.push(StructField::new("col", element.as_ref().clone(), *contains_null));
        }
        DataType::Map { key, value, value_contains_null } => {
            columns.push(StructField::new("key", key.as_ref().clone(), false));
            columns.push(StructField::new("value", value.as_ref().clone(), *value_contains_null));
        }
        _ => return Err(call.unexpected_input(0, "(\"ARRAY\" or \"MAP\")")),
    }
    let struct_elements = columns.len() > 1;
    let returned = if struct_elements {
        DataType::array(DataType::structure(columns.clone()), false)
    } else {
        t.clone()
    };
    let item = ListItem::of(&returned)?;
    let scalar = Resolved::new(vec![t], returned, call.any_nullable(), move |inputs| {
        let array = inputs.array(0)?;
        if !struct_elements {
            return Ok(array);
        }
        let (offsets, nulls) = match array.as_map_opt() {
            Some(map) => (map.offsets().clone(), map.nulls().cloned()),
            None => {
                let list = array.as_list::<i32>();
                (list.offsets().clone(), list.nulls().cloned())
            }
        };
        let mut columns: Vec<ArrayRef> = Vec::new();
        let elements = match array.as_map_opt() {
            Some(map) => map.entries().columns().to_vec(),
            None => vec![Arc::clone(array.as_list::<i32>().values())],
        };
        let total = elements.first().map_or(0, |e| e.len());
        if with_position {
            let mut positions = vec![0i32; total];
            for w in offsets.windows(2) {
                for (position, i) in (w[0]..w[1]).enumerate() {
                    positions[i as usize] = position as i32;
                }
            }
            columns.push(Arc::new(Int32Array::from(positions)));
        }
        columns.extend(elements);
        let ArrowType::Struct(fields) = item.data_type() else {
            return Err(Error::internal("exploded elements of several columns are structs"));
        };
        let columns = columns
            .into_iter()
            .zip(fields)
            .map(|(c, f)| conform(c, f.data_type()))
            .collect::<Result<Vec<_>>>()?;
        let structs = StructArray::try_new_with_length(fields.clone(), columns, None, total).spark()?;
        item.list(offsets, Arc::new(structs), nulls)
    });
    Ok(ResolvedGenerator { scalar, columns: nullable_columns(columns, outer), struct_elements, outer })
}

fn inline(c: &GeneratorCall, outer: bool) -> Result<ResolvedGenerator> {
    let call = &c.call;
    call.arity(1..=1)?;
    let t = call.args[0].data_type.clone();
    let refused = || call.unexpected_input(0, "\"ARRAY<STRUCT>\"");
    let DataType::Array { element, contains_null } = &t else { return Err(refused()) };
    let DataType::Struct(s) = element.as_ref() else { return Err(refused()) };
    // A NULL struct is a row of NULLs.
    let columns = nullable_columns(s.fields.clone(), *contains_null || outer);
    let scalar = Resolved::new(vec![t.clone()], t.clone(), call.any_nullable(), |inputs| inputs.array(0));
    Ok(ResolvedGenerator { scalar, columns, struct_elements: true, outer })
}
