//! ORC files: read whole, and given batch by batch.
//!
//! A TIMESTAMP of ORC is a time of day without a zone: Spark's TIMESTAMP in the zone of the session.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType as ArrowType, Field, FieldRef, Fields, Schema};
use boathouse_bridge::UTC;
use boathouse_spec::{Error, Result, StructField, StructType};
use bytes::Bytes;
use orc_rust::projection::ProjectionMask;
use orc_rust::{ArrowReader, ArrowReaderBuilder, TimestampPrecision};
use std::sync::Arc;

/// The schema of a file, as Spark reads it.
pub(super) fn schema(bytes: Bytes) -> Result<StructType> {
    let schema = builder(bytes)?.schema();
    let fields = schema.fields().iter().map(|f| spark_field(f)).collect::<Fields>();
    let read = boathouse_bridge::spark_schema(&Schema::new(fields))?;
    let fields = read.fields.into_iter().map(|f| StructField::new(f.name, f.data_type.as_nullable(), true));
    Ok(StructType::new(fields.collect()))
}

/// The batches of some columns of a file, as it has them.
pub(super) fn reader(bytes: Bytes, rows: usize, wanted: &Schema, case_sensitive: bool) -> Result<Batches> {
    let builder = builder(bytes)?;
    let root = builder.file_metadata().root_data_type();
    let same = |a: &str, b: &str| if case_sensitive { a == b } else { a.to_lowercase() == b.to_lowercase() };
    let names: Vec<&str> = root
        .children()
        .iter()
        .map(|c| c.name())
        .filter(|name| wanted.fields().iter().any(|f| same(f.name(), name)))
        .collect();
    if names.is_empty() {
        return Ok(Batches::Empty(builder.file_metadata().number_of_rows()));
    }
    let projection = ProjectionMask::named_roots(root, &names);
    Ok(Batches::Columns(Box::new(builder.with_projection(projection).with_batch_size(rows).build())))
}

/// What is read of a file: columns, or the number of its rows where it has none of the columns.
pub(super) enum Batches {
    Columns(Box<ArrowReader<Bytes>>),
    Empty(u64),
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Columns(reader) => reader.next().map(|batch| batch.map_err(malformed)),
            Self::Empty(0) => None,
            Self::Empty(rows) => {
                let count = usize::try_from(std::mem::take(rows)).unwrap_or(usize::MAX);
                let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(count));
                let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options);
                Some(batch.map_err(boathouse_bridge::from_arrow))
            }
        }
    }
}

fn builder(bytes: Bytes) -> Result<ArrowReaderBuilder<Bytes>> {
    let builder = ArrowReaderBuilder::try_new(bytes).map_err(malformed)?;
    Ok(builder.with_timestamp_precision(TimestampPrecision::Microsecond))
}

fn malformed(e: impl std::fmt::Display) -> Error {
    Error::io("reading an ORC file", e)
}

/// A field in the Arrow types that Spark's types are kept in.
fn spark_field(field: &Field) -> FieldRef {
    Arc::new(Field::new(field.name(), spark_type(field.data_type()), field.is_nullable()))
}

fn spark_type(t: &ArrowType) -> ArrowType {
    match t {
        ArrowType::Timestamp(unit, _) => ArrowType::Timestamp(*unit, Some(UTC.into())),
        ArrowType::List(f) => ArrowType::List(spark_field(f)),
        ArrowType::Struct(fields) => ArrowType::Struct(fields.iter().map(|f| spark_field(f)).collect()),
        ArrowType::Map(f, sorted) => ArrowType::Map(spark_field(f), *sorted),
        other => other.clone(),
    }
}
