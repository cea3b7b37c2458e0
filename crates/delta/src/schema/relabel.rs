//! Arrays with the names of their nested fields changed, values untouched.

use arrow::array::ArrayData;
use arrow::datatypes::DataType;
use boathouse_spec::{Error, Result};

/// Gives an array a type that differs from its own in the names, metadata and nullability of nested fields only.
pub(crate) fn relabel(data: ArrayData, wanted: &DataType) -> Result<ArrayData> {
    let wrong = || {
        Error::internal(format!("a column of type {} cannot be given the type {wanted}", data.data_type()))
    };
    let children: Vec<&DataType> = match wanted {
        DataType::Struct(fields) => fields.iter().map(|f| f.data_type()).collect(),
        DataType::List(field) | DataType::Map(field, _) => vec![field.data_type()],
        _ if data.data_type() == wanted => return Ok(data),
        _ => return Err(wrong()),
    };
    if children.len() != data.child_data().len() {
        return Err(wrong());
    }
    let children = data
        .child_data()
        .iter()
        .zip(children)
        .map(|(child, t)| relabel(child.clone(), t))
        .collect::<Result<Vec<_>>>()?;
    data.into_builder()
        .data_type(wanted.clone())
        .child_data(children)
        .build()
        .map_err(boathouse_bridge::from_arrow)
}
