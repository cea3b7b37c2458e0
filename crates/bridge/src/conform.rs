//! Arrays of the exact Arrow type that was promised.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray,
    new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType as ArrowType, SchemaRef, TimeUnit, TimestampMicrosecondType};
use boathouse_spec::{Error, Result};

use crate::from_arrow;
use crate::types::is_marked_variant;

/// Gives an array the exact type that was promised. Names, nullability and metadata of nested fields may differ from what a
/// kernel, a file or a client made: then no value is touched. Other encodings of the same values are converted.
pub fn conform(array: &ArrayRef, wanted: &ArrowType) -> Result<ArrayRef> {
    if array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    if let Some(relabelled) = relabel(array, wanted) {
        return Ok(relabelled);
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, wanted, &options).map_err(from_arrow)
}

/// The same columns under another schema: names and types as promised, in order.
pub fn conform_batch(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch> {
    if batch.schema_ref() == wanted {
        return Ok(batch.clone());
    }
    if batch.num_columns() != wanted.fields().len() {
        return Err(Error::internal(format!(
            "a plan gave {} columns where {} were promised",
            batch.num_columns(),
            wanted.fields().len()
        )));
    }
    let columns = batch
        .columns()
        .iter()
        .zip(wanted.fields())
        .map(|(column, field)| conform(column, field.data_type()))
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(wanted), columns, &options).map_err(from_arrow)
}

/// The same values under other labels, without a look at them; `None` where the encoding differs.
fn relabel(array: &ArrayRef, wanted: &ArrowType) -> Option<ArrayRef> {
    if array.data_type() == wanted {
        return Some(Arc::clone(array));
    }
    Some(match (array.data_type(), wanted) {
        (ArrowType::List(_), ArrowType::List(field)) => {
            let list = array.as_list_opt::<i32>()?;
            let values = relabel(list.values(), field.data_type())?;
            let nulls = list.nulls().cloned();
            Arc::new(ListArray::try_new(Arc::clone(field), list.offsets().clone(), values, nulls).ok()?)
        }
        (ArrowType::Map(_, _), ArrowType::Map(field, sorted)) => {
            let map = array.as_map_opt()?;
            let entries: ArrayRef = Arc::new(map.entries().clone());
            let entries = relabel(&entries, field.data_type())?.as_struct_opt()?.clone();
            let nulls = map.nulls().cloned();
            Arc::new(
                MapArray::try_new(Arc::clone(field), map.offsets().clone(), entries, nulls, *sorted).ok()?,
            )
        }
        (ArrowType::Struct(from), ArrowType::Struct(to)) if from.len() == to.len() => {
            let rows = array.as_struct_opt()?;
            // Python has the two parts of a variant in the other order.
            let is_variant = is_marked_variant(from);
            let column = |i: usize| match is_variant {
                true => rows.column_by_name(to[i].name()),
                false => Some(rows.column(i)),
            };
            let columns =
                (0..to.len()).map(|i| relabel(column(i)?, to[i].data_type())).collect::<Option<Vec<_>>>()?;
            let nulls = rows.nulls().cloned();
            Arc::new(StructArray::try_new_with_length(to.clone(), columns, nulls, rows.len()).ok()?)
        }
        (
            ArrowType::Timestamp(TimeUnit::Microsecond, _),
            ArrowType::Timestamp(TimeUnit::Microsecond, zone),
        ) => {
            let times = array.as_primitive_opt::<TimestampMicrosecondType>()?;
            Arc::new(times.clone().with_timezone_opt(zone.clone()))
        }
        (ArrowType::Null, _) => new_null_array(wanted, array.len()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{BinaryArray, Int32Array, ListArray, StringViewArray};
    use arrow::datatypes::{Field, Int32Type};

    use super::*;

    #[test]
    fn variants_of_python_are_put_in_order() {
        let part = |name: &str, value: &[u8]| {
            let mark = (name == "metadata").then(|| ("variant".to_string(), "true".to_string()));
            let field = Field::new(name, ArrowType::Binary, false).with_metadata(mark.into_iter().collect());
            (Arc::new(field), Arc::new(BinaryArray::from_vec(vec![value])) as ArrayRef)
        };
        let sent: ArrayRef = Arc::new(StructArray::from(vec![part("value", b"v"), part("metadata", b"m")]));
        let t = crate::spark_type(&Field::new("v", sent.data_type().clone(), true)).unwrap();
        assert_eq!(t, boathouse_spec::DataType::Variant);
        let variant = conform(&sent, &crate::arrow_type(&t)).unwrap();
        assert_eq!(variant.as_struct().column(0).as_binary::<i32>().value(0), b"m");
        assert_eq!(variant.as_struct().column(1).as_binary::<i32>().value(0), b"v");
    }

    #[test]
    fn labels_change_and_encodings_are_converted() {
        let list: ArrayRef =
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)]), None]));
        let wanted = ArrowType::List(Arc::new(Field::new("element", ArrowType::Int32, true)));
        assert_eq!(conform(&list, &wanted).unwrap().data_type(), &wanted);
        let views: ArrayRef = Arc::new(StringViewArray::from(vec!["a"]));
        assert_eq!(conform(&views, &ArrowType::Utf8).unwrap().data_type(), &ArrowType::Utf8);
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        assert!(conform(&numbers, &ArrowType::Struct(Default::default())).is_err());
    }
}
