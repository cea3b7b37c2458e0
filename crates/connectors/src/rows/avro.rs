//! Avro files: read whole, and given batch by batch.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{
    DataType as ArrowType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use arrow_avro::reader::{Reader, ReaderBuilder};
use boathouse_bridge::{ResultExt, UTC, conform};
use boathouse_formats::zone::Zone;
use boathouse_spec::{Result, StructField, StructType};
use bytes::Bytes;

/// The schema of a file, as Spark reads it.
pub(super) fn schema(bytes: Bytes) -> Result<StructType> {
    let schema = reader(bytes, 1)?.schema();
    let fields = schema.fields().iter().map(|f| plain_field(f)).collect::<Fields>();
    let read = boathouse_bridge::spark_schema(&Schema::new(fields))?;
    let fields = read.fields.into_iter().map(|f| StructField::new(f.name, f.data_type.as_nullable(), true));
    Ok(StructType::new(fields.collect()))
}

/// The batches of a file, as it has them.
pub(super) fn reader(bytes: Bytes, rows: usize) -> Result<Reader<Cursor<Bytes>>> {
    ReaderBuilder::new().with_batch_size(rows).build(Cursor::new(bytes)).spark()
}

/// A field in the Arrow types that Spark's types are kept in.
fn plain_field(field: &Field) -> FieldRef {
    Arc::new(Field::new(field.name(), plain(field.data_type()), field.is_nullable()))
}

fn plain(t: &ArrowType) -> ArrowType {
    match t {
        ArrowType::Dictionary(_, value) => plain(value),
        ArrowType::FixedSizeBinary(_) | ArrowType::LargeBinary | ArrowType::BinaryView => ArrowType::Binary,
        ArrowType::LargeUtf8 | ArrowType::Utf8View => ArrowType::Utf8,
        ArrowType::Timestamp(_, Some(_)) => ArrowType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        ArrowType::Timestamp(_, None) => ArrowType::Timestamp(TimeUnit::Microsecond, None),
        ArrowType::List(f) | ArrowType::LargeList(f) => ArrowType::List(plain_field(f)),
        ArrowType::Struct(fields) => ArrowType::Struct(fields.iter().map(|f| plain_field(f)).collect()),
        ArrowType::Map(f, sorted) => ArrowType::Map(plain_field(f), *sorted),
        other => other.clone(),
    }
}

/// The columns that are wanted, by their names; those that a file has not are NULL.
pub(super) fn arrange(
    batch: &RecordBatch,
    wanted: &SchemaRef,
    zone: &Zone,
    case_sensitive: bool,
) -> Result<RecordBatch> {
    let schema = batch.schema();
    let same = |a: &str, b: &str| if case_sensitive { a == b } else { a.to_lowercase() == b.to_lowercase() };
    let columns = wanted
        .fields()
        .iter()
        .map(|field| match schema.fields().iter().position(|f| same(f.name(), field.name())) {
            Some(i) => convert(batch.column(i), field.data_type(), zone),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        })
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(wanted.clone(), columns, &options).spark()
}

fn convert(array: &ArrayRef, wanted: &ArrowType, zone: &Zone) -> Result<ArrayRef> {
    if let (ArrowType::Timestamp(_, None), ArrowType::Timestamp(TimeUnit::Microsecond, Some(_))) =
        (array.data_type(), wanted)
    {
        let local = conform(array, &ArrowType::Timestamp(TimeUnit::Microsecond, None))?;
        let local = local.as_primitive::<TimestampMicrosecondType>();
        let instants: TimestampMicrosecondArray = local.unary(|us| zone.to_utc(us));
        return Ok(Arc::new(instants.with_timezone(UTC)));
    }
    conform(array, wanted)
}
