//! Equality and order of any Spark values: byte keys that compare as Spark compares.
//!
//! NULL is smaller than every value, NaN greater than every number and equal to itself, `-0.0` equals `0.0`; arrays
//! and structs compare element by element.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray};
use arrow::compute::kernels::arity::unary;
use arrow::datatypes::{DataType as ArrowType, Float32Type, Float64Type};
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Result};

use crate::grouping_key::comparable;

/// Makes keys for values of one row of types.
pub(crate) struct Comparison {
    converter: RowConverter,
}

impl Comparison {
    pub fn new(types: &[ArrowType]) -> Result<Self> {
        let fields = types.iter().map(|t| SortField::new(t.clone())).collect();
        Ok(Self { converter: RowConverter::new(fields).spark()? })
    }

    /// Keys of the rows of one column.
    pub fn of(array: &ArrayRef) -> Result<Rows> {
        Self::new(&[array.data_type().clone()])?.keys(std::slice::from_ref(array))
    }

    /// Keys of the values of a type, strings as their collation says.
    pub fn of_values(array: &ArrayRef, t: &DataType) -> Result<Rows> {
        Self::of(&comparable(array, t)?)
    }

    /// Keys of two columns of values of one type, comparable with each other.
    pub fn of_both_values(a: &ArrayRef, b: &ArrayRef, t: &DataType) -> Result<(Rows, Rows)> {
        Self::of_both(&comparable(a, t)?, &comparable(b, t)?)
    }

    /// Keys of two columns of one type, comparable with each other.
    pub fn of_both(a: &ArrayRef, b: &ArrayRef) -> Result<(Rows, Rows)> {
        let comparison = Self::new(&[a.data_type().clone()])?;
        let b = crate::scalar::conform(Arc::clone(b), a.data_type())?;
        Ok((comparison.keys(std::slice::from_ref(a))?, comparison.keys(&[b])?))
    }

    pub fn keys(&self, columns: &[ArrayRef]) -> Result<Rows> {
        let columns: Vec<ArrayRef> = columns.iter().map(normalize_floats).collect();
        self.converter.convert_columns(&columns).spark()
    }

    /// The values of keys kept as bytes.
    pub fn values_of_bytes<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        let parser = self.converter.parser();
        self.converter.convert_rows(keys.into_iter().map(|k| parser.parse(k))).spark()
    }
}

/// A key that outlives its batch.
pub(crate) type Key = OwnedRow;

/// Whether values of the type hold floats anywhere.
pub(crate) fn has_floats(t: &ArrowType) -> bool {
    match t {
        ArrowType::Float32 | ArrowType::Float64 => true,
        ArrowType::List(f) | ArrowType::Map(f, _) => has_floats(f.data_type()),
        ArrowType::Struct(fields) => fields.iter().any(|f| has_floats(f.data_type())),
        _ => false,
    }
}

/// `-0.0` becomes `0.0` and every NaN the one NaN, at any depth.
pub(crate) fn normalize_floats(array: &ArrayRef) -> ArrayRef {
    if !has_floats(array.data_type()) {
        return Arc::clone(array);
    }
    match array.data_type() {
        ArrowType::Float32 => {
            Arc::new(unary::<_, _, Float32Type>(array.as_primitive::<Float32Type>(), |x| {
                if x.is_nan() { f32::NAN } else { x + 0.0 }
            }))
        }
        ArrowType::Float64 => {
            Arc::new(unary::<_, _, Float64Type>(array.as_primitive::<Float64Type>(), |x| {
                if x.is_nan() { f64::NAN } else { x + 0.0 }
            }))
        }
        ArrowType::List(field) => {
            let list = array.as_list::<i32>();
            let values = normalize_floats(list.values());
            ListArray::try_new(Arc::clone(field), list.offsets().clone(), values, list.nulls().cloned())
                .map_or_else(|_| Arc::clone(array), |a| Arc::new(a) as ArrayRef)
        }
        ArrowType::Map(field, sorted) => {
            let map = array.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            let entries = normalize_floats(&entries);
            MapArray::try_new(
                Arc::clone(field),
                map.offsets().clone(),
                entries.as_struct().clone(),
                map.nulls().cloned(),
                *sorted,
            )
            .map_or_else(|_| Arc::clone(array), |a| Arc::new(a) as ArrayRef)
        }
        ArrowType::Struct(fields) => {
            let s = array.as_struct();
            let columns = s.columns().iter().map(normalize_floats).collect();
            StructArray::try_new_with_length(fields.clone(), columns, s.nulls().cloned(), s.len())
                .map_or_else(|_| Arc::clone(array), |a| Arc::new(a) as ArrayRef)
        }
        _ => Arc::clone(array),
    }
}

/// Whether a type's values cannot be told apart by their bytes alone: a collation other than `UTF8_BINARY` somewhere.
pub(crate) fn has_collation(t: &DataType) -> bool {
    match t {
        DataType::String { collation } => collation.is_some(),
        DataType::Array { element, .. } => has_collation(element),
        DataType::Map { key, value, .. } => has_collation(key) || has_collation(value),
        DataType::Struct(s) => s.fields.iter().any(|f| has_collation(&f.data_type)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;

    use super::*;

    #[test]
    fn floats_compare_as_in_spark() {
        let a: ArrayRef = Arc::new(Float64Array::from(vec![
            Some(-0.0),
            Some(0.0),
            Some(-f64::NAN),
            Some(f64::NAN),
            None,
            Some(f64::INFINITY),
        ]));
        let keys = Comparison::of(&a).expect("keys");
        assert_eq!(keys.row(0), keys.row(1));
        assert_eq!(keys.row(2), keys.row(3));
        assert!(keys.row(5) < keys.row(2));
        assert!(keys.row(4) < keys.row(0));
    }
}
