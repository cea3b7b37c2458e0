//! Variants in parts: what the first rows of a file have in common gets columns of its own, in that file.
//!
//! Columns of VARIANT and those inside structs are taken apart, as by Spark; variants in arrays and maps stay whole.

mod build;
mod shape;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use boathouse_bridge::ResultExt;
use boathouse_formats::variant::Variant;
use boathouse_spec::{Error, Result};

use build::Parts;
use shape::Shape;

use crate::schema::{holds_variant, is_variant};

const METADATA: &str = "metadata";
const VALUE: &str = "value";
const TYPED: &str = "typed_value";

/// So many rows are looked at, or so many bytes (Spark: `ParquetOutputWriterWithVariantShredding`).
const SAMPLE_ROWS: usize = 4096;
const SAMPLE_BYTES: usize = 64 * 1024 * 1024;

/// The first rows of a file.
#[derive(Default)]
pub(super) struct Sample {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Sample {
    pub fn push(&mut self, batch: RecordBatch) {
        self.rows += batch.num_rows();
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
    }

    pub fn is_enough(&self) -> bool {
        self.rows >= SAMPLE_ROWS || self.bytes >= SAMPLE_BYTES
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn into_batches(self) -> Vec<RecordBatch> {
        self.batches
    }
}

/// How the columns of a file are written.
pub(super) struct Shredding {
    schema: SchemaRef,
    columns: Vec<Plan>,
}

/// What becomes of a column.
enum Plan {
    Stays,
    /// The group of `value` and `typed_value`.
    Shredded(DataType),
    Struct(Vec<Plan>),
}

/// Whether files of these columns may have variants in parts.
pub(super) fn concerns(schema: &Schema) -> bool {
    fn inside(field: &FieldRef) -> bool {
        is_variant(field)
            || matches!(field.data_type(), DataType::Struct(fields) if holds_variant(field) && fields.iter().any(inside))
    }
    schema.fields().iter().any(inside)
}

impl Shredding {
    /// By what the rows of a sample have in common.
    pub fn of(schema: &SchemaRef, sample: &Sample) -> Result<Self> {
        let mut fields: Vec<FieldRef> = Vec::new();
        let mut columns = Vec::new();
        for (i, field) in schema.fields().iter().enumerate() {
            let values: Vec<&ArrayRef> = sample.batches.iter().map(|b| b.column(i)).collect();
            let plan = Plan::of(field, &values)?;
            fields.push(plan.field(field));
            columns.push(plan);
        }
        Ok(Self { schema: Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())), columns })
    }

    /// The schema of the file.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = batch.columns().iter().zip(&self.columns);
        let columns = columns.map(|(array, plan)| plan.apply(array)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).spark()
    }
}

impl Plan {
    fn of(field: &Field, values: &[&ArrayRef]) -> Result<Self> {
        if is_variant(field) {
            let (mut shape, mut rows, mut left) = (Shape::Null, 0, SAMPLE_ROWS);
            for array in values {
                let variants = Variants::of(array)?;
                let looked_at = array.len().min(left);
                left -= looked_at;
                for row in 0..looked_at {
                    if let Some(value) = variants.get(row) {
                        shape = shape.with(Shape::of(&value, 0)?);
                        rows += 1;
                    }
                }
            }
            return Ok(shape.group(rows).map_or(Self::Stays, Self::Shredded));
        }
        let DataType::Struct(fields) = field.data_type() else { return Ok(Self::Stays) };
        if !holds_variant(field) {
            return Ok(Self::Stays);
        }
        let inner = fields.iter().enumerate().map(|(i, field)| {
            let values: Vec<&ArrayRef> = values.iter().map(|v| v.as_struct().column(i)).collect();
            Self::of(field, &values)
        });
        Ok(Self::Struct(inner.collect::<Result<_>>()?))
    }

    fn field(&self, field: &FieldRef) -> FieldRef {
        match (self, field.data_type()) {
            (Self::Shredded(group), _) => {
                Arc::new(field.as_ref().clone().with_data_type(shredded_type(group)))
            }
            (Self::Struct(plans), DataType::Struct(fields)) => {
                let fields: Fields = fields.iter().zip(plans).map(|(f, plan)| plan.field(f)).collect();
                Arc::new(field.as_ref().clone().with_data_type(DataType::Struct(fields)))
            }
            _ => Arc::clone(field),
        }
    }

    fn apply(&self, array: &ArrayRef) -> Result<ArrayRef> {
        match self {
            Self::Stays => Ok(Arc::clone(array)),
            Self::Shredded(group) => shredded(array, group),
            Self::Struct(plans) => {
                let parent = array.as_struct();
                let columns = parent.columns().iter().zip(plans).map(|(column, plan)| plan.apply(column));
                let columns = columns.collect::<Result<Vec<_>>>()?;
                let fields = parent.fields().iter().zip(plans).map(|(f, plan)| plan.field(f)).collect();
                Ok(Arc::new(StructArray::try_new(fields, columns, parent.nulls().cloned()).spark()?))
            }
        }
    }
}

/// A group with the names before its parts.
fn shredded_type(group: &DataType) -> DataType {
    let mut fields = vec![Arc::new(Field::new(METADATA, DataType::Binary, false))];
    if let DataType::Struct(parts) = group {
        fields.extend(parts.iter().cloned());
    }
    DataType::Struct(Fields::from(fields))
}

fn shredded(array: &ArrayRef, group: &DataType) -> Result<ArrayRef> {
    let variants = Variants::of(array)?;
    let mut parts = Parts::new(group)?;
    for row in 0..array.len() {
        match variants.get(row) {
            Some(value) => parts.append(&value)?,
            None => parts.missing(),
        }
    }
    let (_, mut columns) = parts.columns()?;
    columns.insert(0, Arc::clone(variants.metadata_column()));
    let DataType::Struct(fields) = shredded_type(group) else {
        return Err(Error::internal("a variant in parts is a group"));
    };
    Ok(Arc::new(StructArray::try_new(fields, columns, array.nulls().cloned()).spark()?))
}

/// A column of whole variants.
struct Variants<'a> {
    parent: &'a StructArray,
    metadata: &'a ArrayRef,
    value: &'a ArrayRef,
}

impl<'a> Variants<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self> {
        let lacks = || Error::internal("a column of variants has no metadata or no value");
        let parent = array.as_struct_opt().ok_or_else(lacks)?;
        let part = |name: &str| {
            parent.column_by_name(name).filter(|c| *c.data_type() == DataType::Binary).ok_or_else(lacks)
        };
        Ok(Self { parent, metadata: part(METADATA)?, value: part(VALUE)? })
    }

    fn metadata_column(&self) -> &'a ArrayRef {
        self.metadata
    }

    fn get(&self, row: usize) -> Option<Variant<'a>> {
        self.parent.is_valid(row).then(|| {
            Variant::new(
                self.metadata.as_binary::<i32>().value(row),
                self.value.as_binary::<i32>().value(row),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use boathouse_formats::variant::{Builder, parse_json};
    use boathouse_spec::{DataType as SparkType, StructField};

    use super::*;

    fn group_of(rows: &[&str]) -> Option<DataType> {
        let mut shape = Shape::Null;
        for row in rows {
            let mut builder = Builder::new();
            assert!(parse_json(row, &mut builder).unwrap());
            let mut names = Vec::new();
            builder.write_metadata(&mut names).unwrap();
            shape = shape.with(Shape::of(&Variant::new(&names, builder.value()), 0).unwrap());
        }
        shape.group(rows.len() as u64)
    }

    /// The types of what has columns of its own, as text.
    fn typed(group: Option<DataType>) -> String {
        fn show(t: &DataType) -> String {
            let DataType::Struct(parts) = t else { return t.to_string() };
            match parts.get(1).map(|p| p.data_type()) {
                None => "-".to_string(),
                Some(DataType::Struct(fields)) => {
                    let shown: Vec<_> =
                        fields.iter().map(|f| format!("{}:{}", f.name(), show(f.data_type()))).collect();
                    format!("{{{}}}", shown.join(","))
                }
                Some(DataType::List(element)) => format!("[{}]", show(element.data_type())),
                Some(t) => t.to_string(),
            }
        }
        group.map_or_else(|| "whole".to_string(), |g| show(&g))
    }

    #[test]
    fn what_rows_have_in_common() {
        for (rows, expected) in [
            (vec![r#"{"a":1,"b":"x","c":[1,2],"d":{"e":true}}"#], "{a:Int64,b:Utf8,c:[Int64],d:{e:Boolean}}"),
            (vec![r#"{"a":1}"#, r#"{"a":"x","h":null}"#], "{a:-,h:-}"),
            (vec!["1", r#""x""#], "whole"),
            (vec!["1", "null"], "Int64"),
            (vec!["1.25", "10.5", "1"], "Decimal128(18, 2)"),
            (vec!["1.0", "2"], "Int64"),
            (vec!["12345678901234567890"], "Decimal128(38, 0)"),
            (vec!["9223372036854775807", "1"], "Int64"),
            (vec!["9223372036854775807", "0.5"], "Decimal128(38, 1)"),
            (vec!["[]"], "[-]"),
            (vec!["{}"], "whole"),
        ] {
            assert_eq!(typed(group_of(&rows)), expected, "{rows:?}");
        }
        // A field of one row in twelve.
        let mut rows = vec![r#"{"a":1}"#; 11];
        rows.push(r#"{"a":1,"rare":2}"#);
        assert_eq!(typed(group_of(&rows)), "{a:Int64}");
    }

    #[test]
    fn variants_of_arrays_stay_whole() {
        let field = |t: SparkType| boathouse_bridge::arrow_field(&StructField::new("v", t, true));
        let inside = SparkType::structure(vec![StructField::new("x", SparkType::Variant, true)]);
        for (t, expected) in
            [(SparkType::Variant, true), (inside, true), (SparkType::array(SparkType::Variant, true), false)]
        {
            assert_eq!(concerns(&Schema::new(vec![field(t)])), expected);
        }
    }
}
