//! Rows of a query as rows of the table's files: columns by name, nested fields too, with the files' types and names.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray, make_array,
    new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::CastOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef};
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};

/// The batch with the columns of `target`, found by name without regard to case; those it lacks are NULL.
pub(crate) fn conform_batch(batch: &RecordBatch, target: &SchemaRef) -> Result<RecordBatch> {
    let mut arrays = Vec::with_capacity(target.fields().len());
    for field in target.fields() {
        arrays.push(match position(batch.schema_ref().fields(), field.name()) {
            Some(i) => conform(batch.column(i), field.data_type())?,
            None => new_null_array(field.data_type(), batch.num_rows()),
        });
    }
    // NULLs in columns that forbid them are the constraints' matter, which name the column.
    let fields: Fields = target.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    RecordBatch::try_new_with_options(
        Arc::new(arrow::datatypes::Schema::new(fields)),
        arrays,
        &RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
    )
    .spark()
}

fn position(fields: &Fields, name: &str) -> Option<usize> {
    fields
        .iter()
        .position(|f| f.name() == name)
        .or_else(|| fields.iter().position(|f| f.name().eq_ignore_ascii_case(name)))
}

/// The array as a type that holds its values; fields of structs that it lacks are those of `below`, where that is given.
pub fn conform_over(array: &ArrayRef, below: Option<&ArrayRef>, target: &DataType) -> Result<ArrayRef> {
    let (Some(below), DataType::Struct(_), DataType::Struct(fields)) = (below, array.data_type(), target)
    else {
        return conform(array, target);
    };
    let (over, below) = (array.as_struct(), below.as_struct());
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let under = match position(below.fields(), field.name()) {
            // Below a struct that is NULL there is nothing.
            Some(i) => Some(masked(below.column(i), below.nulls())?),
            None => None,
        };
        columns.push(match (position(over.fields(), field.name()), under) {
            (Some(i), under) => conform_over(over.column(i), under.as_ref(), field.data_type())?,
            (None, Some(under)) => conform(&under, field.data_type())?,
            (None, None) => new_null_array(field.data_type(), array.len()),
        });
    }
    StructArray::try_new(fields.clone(), columns, over.nulls().cloned())
        .map(|a| Arc::new(a) as ArrayRef)
        .map_err(|e| nested_null(fields, &e))
}

/// The array with more NULLs.
fn masked(array: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
    let nulls = NullBuffer::union(array.nulls(), nulls);
    if array.data_type().is_null() {
        return Ok(array.clone());
    }
    let data = array.to_data().into_builder().nulls(nulls).build().spark()?;
    Ok(make_array(data))
}

/// The array as a type that holds its values.
pub(crate) fn conform(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    if array.data_type() == target {
        return Ok(array.clone());
    }
    match (array.data_type(), target) {
        (DataType::Null, _) => Ok(new_null_array(target, array.len())),
        (DataType::Struct(_), DataType::Struct(fields)) => conform_struct(array.as_struct(), fields),
        (DataType::List(_), DataType::List(field)) => conform_list(array.as_list::<i32>(), field),
        (DataType::Map(..), DataType::Map(entries, sorted)) => conform_map(array.as_map(), entries, *sorted),
        _ => {
            let options = CastOptions { safe: false, ..Default::default() };
            arrow::compute::cast_with_options(array, target, &options).spark()
        }
    }
}

fn conform_struct(array: &StructArray, fields: &Fields) -> Result<ArrayRef> {
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        columns.push(match position(array.fields(), field.name()) {
            Some(i) => conform(array.column(i), field.data_type())?,
            None => new_null_array(field.data_type(), array.len()),
        });
    }
    if fields.is_empty() {
        return Ok(Arc::new(StructArray::new_empty_fields(array.len(), array.nulls().cloned())));
    }
    StructArray::try_new(fields.clone(), columns, array.nulls().cloned())
        .map(|a| Arc::new(a) as ArrayRef)
        .map_err(|e| nested_null(fields, &e))
}

fn conform_list(array: &ListArray, field: &FieldRef) -> Result<ArrayRef> {
    let values = conform(array.values(), field.data_type())?;
    ListArray::try_new(field.clone(), array.offsets().clone(), values, array.nulls().cloned())
        .map(|a| Arc::new(a) as ArrayRef)
        .map_err(|e| nested_null(&Fields::from(vec![field.clone()]), &e))
}

fn conform_map(array: &MapArray, entries: &FieldRef, sorted: bool) -> Result<ArrayRef> {
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(Error::internal("the entries of a map are no struct"));
    };
    // Keys and values go by position: their names differ between writers.
    let columns =
        vec![conform(array.keys(), fields[0].data_type())?, conform(array.values(), fields[1].data_type())?];
    let entry_array =
        StructArray::try_new(fields.clone(), columns, None).map_err(|e| nested_null(fields, &e))?;
    MapArray::try_new(entries.clone(), array.offsets().clone(), entry_array, array.nulls().cloned(), sorted)
        .map(|a| Arc::new(a) as ArrayRef)
        .spark()
}

/// A NULL inside a value where the table's type has none.
fn nested_null(fields: &Fields, cause: &dyn std::fmt::Display) -> Error {
    let names: Vec<&str> =
        fields.iter().filter(|f| !f.is_nullable()).map(|f| Field::name(f).as_str()).collect();
    Error::new("DELTA_NOT_NULL_CONSTRAINT_VIOLATED")
        .param("columnName", names.join(", "))
        .message(format!("NULL in a nested field that is NOT NULL ({}): {cause}", names.join(", ")))
        .exception("DeltaInvariantViolationException")
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int16Array, Int32Array, StringArray};
    use arrow::datatypes::Schema;

    use super::*;

    #[test]
    fn columns_go_by_name() {
        let inner = StructArray::from(vec![(
            Arc::new(Field::new("B", DataType::Int16, true)),
            Arc::new(Int16Array::from(vec![Some(1), None])) as ArrayRef,
        )]);
        let batch = RecordBatch::try_from_iter([
            ("s", Arc::new(inner) as ArrayRef),
            ("ID", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef),
        ])
        .unwrap();
        let inner_fields =
            Fields::from(vec![Field::new("a", DataType::Utf8, true), Field::new("b", DataType::Int32, true)]);
        let target = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int32, false),
            Field::new("s", DataType::Struct(inner_fields), true),
            Field::new("gone", DataType::Utf8, true),
        ]));
        let out = conform_batch(&batch, &target).unwrap();
        assert_eq!(out.num_columns(), 3);
        let s = out.column(1).as_struct();
        assert_eq!(s.column(1).as_ref(), &Int32Array::from(vec![Some(1), None]) as &dyn Array);
        assert_eq!(s.column(0).as_ref(), &StringArray::from(vec![None::<&str>, None]) as &dyn Array);
        assert_eq!(out.column(2).null_count(), 2);
    }

    #[test]
    fn fields_that_are_lacking_stay() {
        let field = |name: &str| Arc::new(Field::new(name, DataType::Int32, true));
        let ints = |v: Vec<Option<i32>>| Arc::new(Int32Array::from(v)) as ArrayRef;
        let over: ArrayRef = Arc::new(StructArray::from(vec![(field("b"), ints(vec![Some(1), Some(2)]))]));
        let nulls = Some(NullBuffer::from(vec![true, false]));
        let below = StructArray::new(
            Fields::from(vec![field("a"), field("b")]),
            vec![ints(vec![Some(7), Some(8)]), ints(vec![Some(0), Some(0)])],
            nulls,
        );
        let target = DataType::Struct(Fields::from(vec![field("a"), field("b"), field("c")]));
        let out = conform_over(&over, Some(&(Arc::new(below) as ArrayRef)), &target).unwrap();
        let out = out.as_struct();
        assert_eq!(out.column(0).as_ref(), &Int32Array::from(vec![Some(7), None]) as &dyn Array);
        assert_eq!(out.column(1).as_ref(), &Int32Array::from(vec![1, 2]) as &dyn Array);
        assert_eq!(out.column(2).null_count(), 2);
    }
}
