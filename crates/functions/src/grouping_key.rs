//! `grouping_key(value)`: what values are grouped by where they are not told apart by their own bytes. Floats are made
//! one (`-0.0` is `0.0`, every NaN the same), strings in a collation become their keys, and maps, with the order of their
//! entries put aside, and whatever holds one of these, become bytes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, ListArray, MapArray, StructArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType as ArrowType, Field, Fields};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Result};

use crate::collation::collator_of;
use crate::comparison::{Comparison, normalize_floats};
use crate::{Call, Registry, Resolved};

pub(crate) fn register(r: &mut Registry) {
    r.scalar(&["grouping_key"], resolve);
}

/// How values of a type are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grouping {
    AsTheyAre,
    /// By values of the same type.
    Normalized,
    /// By bytes.
    Encoded,
}

fn grouping(t: &DataType) -> Grouping {
    let inside = |t: &DataType| match grouping(t) {
        Grouping::AsTheyAre => Grouping::AsTheyAre,
        _ => Grouping::Encoded,
    };
    match t {
        DataType::Float | DataType::Double => Grouping::Normalized,
        DataType::String { collation: Some(_) } | DataType::Map { .. } => Grouping::Encoded,
        DataType::Array { element, .. } => inside(element),
        DataType::Struct(s) => {
            let plain = s.fields.iter().all(|f| inside(&f.data_type) == Grouping::AsTheyAre);
            if plain { Grouping::AsTheyAre } else { Grouping::Encoded }
        }
        _ => Grouping::AsTheyAre,
    }
}

/// Whether values of the type are grouped by something else than themselves.
pub fn needs_grouping_key(t: &DataType) -> bool {
    grouping(t) != Grouping::AsTheyAre
}

fn resolve(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let t = call.args[0].data_type.clone();
    let kind = grouping(&t);
    let result = if kind == Grouping::Encoded { DataType::Binary } else { t.clone() };
    let parameters = format!("{t:?}");
    Ok(Resolved::new(vec![t.clone()], result, call.args[0].nullable, move |inputs| {
        let array = inputs.array(0)?;
        match kind {
            Grouping::AsTheyAre => Ok(array),
            Grouping::Normalized => Ok(normalize_floats(&array)),
            Grouping::Encoded => encoded(&array, &t),
        }
    })
    .with_parameters(parameters))
}

fn encoded(array: &ArrayRef, t: &DataType) -> Result<ArrayRef> {
    let comparable = comparable(array, t)?;
    if comparable.data_type() == &ArrowType::Binary {
        return Ok(comparable);
    }
    let keys = Comparison::of(&comparable)?;
    let bytes =
        (0..comparable.len()).map(|row| comparable.is_valid(row).then(|| keys.row(row).as_ref().to_vec()));
    Ok(Arc::new(bytes.collect::<BinaryArray>()))
}

/// The same values in a form that is equal where they are, and that has their order.
pub(crate) fn comparable(array: &ArrayRef, t: &DataType) -> Result<ArrayRef> {
    Ok(match t {
        DataType::String { collation: Some(_) } => match collator_of(t)? {
            Some(collator) => crate::collation::keys(array, Some(&collator)),
            None => Arc::clone(array),
        },
        DataType::Float | DataType::Double => normalize_floats(array),
        DataType::Array { element, .. } if needs_grouping_key(element) => {
            let list = array.as_list::<i32>();
            let values = comparable(list.values(), element)?;
            let field = Arc::new(Field::new("element", values.data_type().clone(), true));
            Arc::new(
                ListArray::try_new(field, list.offsets().clone(), values, list.nulls().cloned()).spark()?,
            )
        }
        DataType::Struct(s) => {
            let array = array.as_struct();
            let columns = array
                .columns()
                .iter()
                .zip(&s.fields)
                .map(|(c, f)| comparable(c, &f.data_type))
                .collect::<Result<Vec<_>>>()?;
            Arc::new(structs(columns, array.nulls().cloned(), array.len())?)
        }
        DataType::Map { key, value, .. } => sorted_entries(array.as_map(), key, value)?,
        _ => Arc::clone(array),
    })
}

fn structs(
    columns: Vec<ArrayRef>,
    nulls: Option<arrow::buffer::NullBuffer>,
    rows: usize,
) -> Result<StructArray> {
    let named = columns.iter().enumerate();
    let fields: Fields = named.map(|(i, c)| Field::new(i.to_string(), c.data_type().clone(), true)).collect();
    StructArray::try_new_with_length(fields, columns, nulls, rows).spark()
}

/// A map as the list of its entries, by the order of their keys.
fn sorted_entries(map: &MapArray, key: &DataType, value: &DataType) -> Result<ArrayRef> {
    let keys = comparable(map.keys(), key)?;
    let values = comparable(map.values(), value)?;
    let order = Comparison::of(&keys)?;
    let mut picked: Vec<u32> = Vec::with_capacity(keys.len());
    let mut lengths = Vec::with_capacity(map.len());
    for row in 0..map.len() {
        let (from, to) = (map.value_offsets()[row] as u32, map.value_offsets()[row + 1] as u32);
        let mut entries: Vec<u32> = if map.is_valid(row) { (from..to).collect() } else { Vec::new() };
        entries.sort_by(|a, b| order.row(*a as usize).cmp(&order.row(*b as usize)));
        lengths.push(entries.len());
        picked.extend(entries);
    }
    let picked = UInt32Array::from(picked);
    let rows = picked.len();
    let entries = structs(
        vec![take(&keys, &picked, None).spark()?, take(&values, &picked, None).spark()?],
        None,
        rows,
    )?;
    let field = Arc::new(Field::new("entry", entries.data_type().clone(), true));
    let list = ListArray::try_new(
        field,
        OffsetBuffer::from_lengths(lengths),
        Arc::new(entries),
        map.nulls().cloned(),
    );
    Ok(Arc::new(list.spark()?))
}
