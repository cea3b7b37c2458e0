//! A JSON array of objects, one a row. Numbers stay numbers; dates and times are text in the session's zone.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use boathouse_functions::{Context, cast};
use boathouse_spec::{DataType, Error, Result, StructType};
use serde_json::{Map, Number, Value};

pub fn render(schema: &StructType, batches: &[RecordBatch], context: &Context) -> Result<String> {
    let mut out = String::from("[");
    let mut first = true;
    for batch in batches {
        for i in 0..batch.num_rows() {
            out.push_str(if first { "" } else { ",\n " });
            first = false;
            let mut object = Map::new();
            for (column, field) in batch.columns().iter().zip(&schema.fields) {
                object.insert(field.name.clone(), value(column, i, &field.data_type, context)?);
            }
            out.push_str(&Value::Object(object).to_string());
        }
    }
    Ok(out + "]\n")
}

fn value(array: &ArrayRef, i: usize, t: &DataType, context: &Context) -> Result<Value> {
    if array.is_null(i) {
        return Ok(Value::Null);
    }
    Ok(match t {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(i)),
        DataType::Byte => array.as_primitive::<Int8Type>().value(i).into(),
        DataType::Short => array.as_primitive::<Int16Type>().value(i).into(),
        DataType::Integer => array.as_primitive::<Int32Type>().value(i).into(),
        DataType::Long => array.as_primitive::<Int64Type>().value(i).into(),
        DataType::Float => float(f64::from(array.as_primitive::<Float32Type>().value(i))),
        DataType::Double => float(array.as_primitive::<Float64Type>().value(i)),
        DataType::Decimal { .. } => {
            // As written, digit for digit; JSON has no other number for it.
            let text = array.as_primitive::<Decimal128Type>().value_as_string(i);
            match serde_json::from_str::<Number>(&text) {
                Ok(n) => Value::Number(n),
                Err(_) => Value::String(text),
            }
        }
        DataType::Array { element, .. } => {
            let items = array.as_list::<i32>().value(i);
            Value::Array((0..items.len()).map(|j| value(&items, j, element, context)).collect::<Result<_>>()?)
        }
        DataType::Map { key, value: v, .. } => {
            let entries = array.as_map().value(i);
            let keys = cast::to_text(entries.column(0), key, context)?;
            let mut object = Map::new();
            for j in 0..entries.len() {
                object.insert(keys.value(j).to_string(), value(entries.column(1), j, v, context)?);
            }
            Value::Object(object)
        }
        DataType::Struct(s) => {
            let columns = array.as_struct();
            let mut object = Map::new();
            for (column, field) in columns.columns().iter().zip(&s.fields) {
                object.insert(field.name.clone(), value(column, i, &field.data_type, context)?);
            }
            Value::Object(object)
        }
        other => {
            let one = array.slice(i, 1);
            let text = cast::to_text(&one, other, context)?;
            if text.len() != 1 {
                return Err(Error::internal("a value has no text"));
            }
            Value::String(text.value(0).to_string())
        }
    })
}

/// JSON has no NaN and no infinity: they are text.
fn float(x: f64) -> Value {
    Number::from_f64(x).map_or_else(|| Value::String(x.to_string()), Value::Number)
}
