//! `variant_explode` and `variant_explode_outer`: the fields of an object or the elements of an array as rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Builder, ListArray, StringBuilder, StructArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType as ArrowType, Field};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_formats::variant::{Builder, Kind, Variant};
use boathouse_spec::{DataType, Error, Result, StructField};

use super::{VARIANT, VariantColumn, Variants};
use crate::{GeneratorCall, Inputs, Registry, Resolved, ResolvedGenerator, conform};

pub(super) fn register(r: &mut Registry) {
    r.generator(&["variant_explode"], |c| explode(c, false));
    r.generator(&["variant_explode_outer"], |c| explode(c, true));
}

fn explode(generator: &GeneratorCall, outer: bool) -> Result<ResolvedGenerator> {
    let call = &generator.call;
    call.arity(1..=1)?;
    let coerced = call.exactly(&[VARIANT])?;
    let columns = vec![
        StructField::new("pos", DataType::Integer, false),
        StructField::new("key", DataType::STRING, true),
        StructField::new("value", DataType::Variant, false),
    ];
    let row = DataType::structure(columns.clone());
    let list = DataType::array(row.clone(), false);
    let scalar = Resolved::new(coerced, list, false, move |inputs| rows(inputs, &row));
    Ok(ResolvedGenerator { scalar, columns, struct_elements: true, outer })
}

fn rows(inputs: &Inputs, row: &DataType) -> Result<ArrayRef> {
    let variants = Variants::argument(inputs, 0)?;
    let mut positions = Int32Builder::new();
    let mut keys = StringBuilder::new();
    let mut values = VariantColumn::new(variants.len());
    let mut builder = Builder::new();
    let mut offsets = vec![0i32];
    let mut count = 0i32;
    for variant in variants.iter() {
        let mut position = 0;
        let mut push = |key: Option<&str>, value: &Variant| {
            positions.append_value(position);
            position += 1;
            count = count
                .checked_add(1)
                .ok_or_else(|| Error::internal("a batch of variants has too many rows"))?;
            keys.append_option(key);
            builder.clear();
            builder.variant(value)?;
            values.push(&builder)
        };
        if let Some(variant) = variant {
            match variant.kind()? {
                Kind::Object(_) => variant.for_each_field(|key, value| push(Some(key), &value))?,
                Kind::Array(_) => variant.for_each_element(|value| push(None, &value))?,
                _ => {}
            }
        }
        offsets.push(count);
    }
    let ArrowType::Struct(fields) = arrow_type(row) else {
        return Err(Error::internal("variant_explode gives structs"));
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(positions.finish()),
        Arc::new(keys.finish()),
        conform(values.finish()?, fields[2].data_type())?,
    ];
    let structs = StructArray::try_new(fields, columns, None).spark()?;
    let item = Arc::new(Field::new("item", arrow_type(row), false));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(structs), None).spark()?))
}
