//! ORC files: read whole, and given batch by batch.
//!
//! A TIMESTAMP of ORC is a time of day without a zone: Spark's TIMESTAMP in the zone of the session.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, FieldRef, Fields, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use boathouse_bridge::{ResultExt, UTC};
use boathouse_formats::zone::Zone;
use boathouse_spec::{Error, Result, StructType};
use bytes::Bytes;
use orc_rust::projection::ProjectionMask;
use orc_rust::{ArrowReader, ArrowReaderBuilder, TimestampPrecision};

use crate::orc::tail::{PROLEPTIC_GREGORIAN, Tail};
use crate::orc::times::Meaning;
use crate::orc::types;

/// The schema of a file by its end, as Spark reads it.
pub(super) fn schema(end: &[u8]) -> Result<StructType> {
    match Tail::of(end)? {
        Some(tail) => types::to_schema(&tail.footer.types),
        None => Err(Error::unsupported("finding the schema of ORC files that are compressed with LZO")),
    }
}

/// The batches of some columns of a file, as it has them.
pub(super) fn reader(bytes: Bytes, rows: usize, wanted: &Schema, case_sensitive: bool) -> Result<Batches> {
    let builder = builder(bytes)?;
    let root = builder.file_metadata().root_data_type();
    let names: Vec<&str> = root
        .children()
        .iter()
        .map(|c| c.name())
        .filter(|name| wanted.fields().iter().any(|f| same(f.name(), name, case_sensitive)))
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
                let options = RecordBatchOptions::new().with_row_count(Some(count));
                let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options);
                Some(batch.map_err(boathouse_bridge::from_arrow))
            }
        }
    }
}

fn same(a: &str, b: &str, case_sensitive: bool) -> bool {
    if case_sensitive { a == b } else { a.to_lowercase() == b.to_lowercase() }
}

fn builder(bytes: Bytes) -> Result<ArrowReaderBuilder<Bytes>> {
    let builder = ArrowReaderBuilder::try_new(bytes).map_err(malformed)?;
    Ok(builder.with_timestamp_precision(TimestampPrecision::Microsecond))
}

fn malformed(e: impl std::fmt::Display) -> Error {
    Error::io("reading an ORC file", e)
}

/// How values of a file become those of the wanted types.
pub(super) struct Shape {
    meaning: Meaning,
    /// Times of day were read as if they were instants in UTC, for `meaning` to tell.
    is_raw: bool,
    case_sensitive: bool,
}

impl Shape {
    /// That of a file, and the file as it is to be read.
    pub(super) fn of(bytes: Vec<u8>, zone: &Zone, case_sensitive: bool) -> Result<(Self, Bytes)> {
        let shape = |written, is_julian, is_raw| Self {
            meaning: Meaning::of(zone.clone(), written, is_julian),
            is_raw,
            case_sensitive,
        };
        let Some(tail) = Tail::of(&bytes)? else {
            return Ok((shape(Zone::UTC, true, false), bytes.into()));
        };
        tail.check(&bytes)?;
        let is_julian = tail.footer.calendar != Some(PROLEPTIC_GREGORIAN);
        Ok(match tail.zone(&bytes)? {
            Some(written) => (shape(written, is_julian, true), tail.with_instants(bytes)?.into()),
            None => (shape(Zone::UTC, is_julian, false), bytes.into()),
        })
    }

    /// The batch with the wanted columns. Those that the file lacks are NULL, and so are values that the wanted type does
    /// not have (ORC's `ConvertTreeReaderFactory`).
    pub(super) fn batch(&self, batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch> {
        let columns =
            self.fields(batch.schema().fields(), batch.columns(), wanted.fields(), batch.num_rows())?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(wanted.clone(), columns, &options).spark()
    }

    fn fields(
        &self,
        has: &Fields,
        columns: &[ArrayRef],
        wanted: &Fields,
        rows: usize,
    ) -> Result<Vec<ArrayRef>> {
        let column = |field: &FieldRef| {
            let named = |f: &FieldRef| same(f.name(), field.name(), self.case_sensitive);
            match has.iter().position(named) {
                Some(at) => self.values(&columns[at], field.data_type()),
                None => Ok(new_null_array(field.data_type(), rows)),
            }
        };
        wanted.iter().map(column).collect()
    }

    fn values(&self, array: &ArrayRef, wanted: &ArrowType) -> Result<ArrayRef> {
        let array = &self.dates(array);
        Ok(match (array.data_type(), wanted) {
            (ArrowType::Timestamp(..), ArrowType::Timestamp(TimeUnit::Microsecond, zone)) => {
                let instants = self.instants(array);
                Arc::new(instants.with_timezone_opt(zone.clone()))
            }
            (ArrowType::Timestamp(..), _) => {
                let instants: ArrayRef = Arc::new(self.instants(array).with_timezone(UTC));
                converted(&instants, wanted)?
            }
            (has, wanted) if has == wanted && !has.is_nested() => array.clone(),
            // Spark keeps times without a zone as numbers.
            (ArrowType::Int64, ArrowType::Timestamp(TimeUnit::Microsecond, None)) => {
                converted(array, wanted)?
            }
            (ArrowType::Date32, ArrowType::Timestamp(TimeUnit::Microsecond, Some(_))) => {
                let midnights = converted(array, &ArrowType::Timestamp(TimeUnit::Microsecond, None))?;
                let midnights = midnights.as_primitive::<TimestampMicrosecondType>();
                let instants: TimestampMicrosecondArray =
                    midnights.unary(|us| self.meaning.session.to_utc(us));
                Arc::new(instants.with_timezone(UTC))
            }
            (ArrowType::List(_), ArrowType::List(field)) => {
                let list = array.as_list::<i32>();
                let values = self.values(list.values(), field.data_type())?;
                let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
                Arc::new(ListArray::try_new(field.clone(), offsets, values, nulls).spark()?)
            }
            (ArrowType::Struct(has), ArrowType::Struct(fields)) => {
                let of = array.as_struct();
                let columns = self.fields(has, of.columns(), fields, of.len())?;
                let nulls = of.nulls().cloned();
                Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, of.len()).spark()?)
            }
            (ArrowType::Map(..), ArrowType::Map(field, sorted)) => {
                let map = array.as_map();
                let ArrowType::Struct(fields) = field.data_type() else { return converted(array, wanted) };
                let of = [map.keys(), map.values()].into_iter().zip(fields);
                let columns = of.map(|(a, f)| self.values(a, f.data_type())).collect::<Result<Vec<_>>>()?;
                let entries = StructArray::try_new(fields.clone(), columns, None).spark()?;
                let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
                Arc::new(MapArray::try_new(field.clone(), offsets, entries, nulls, *sorted).spark()?)
            }
            _ => converted(array, wanted)?,
        })
    }

    fn instants(&self, array: &ArrayRef) -> TimestampMicrosecondArray {
        let times = array.as_primitive::<TimestampMicrosecondType>();
        match array.data_type() {
            _ if self.is_raw => times.unary(|us| self.meaning.instant(us)),
            ArrowType::Timestamp(_, None) => times.unary(|us| self.meaning.session.to_utc(us)),
            _ => times.clone(),
        }
    }

    fn dates(&self, array: &ArrayRef) -> ArrayRef {
        match array.as_primitive_opt::<Date32Type>() {
            Some(days) if self.meaning.is_julian => {
                let day = |d: i32| i32::try_from(self.meaning.day(i64::from(d))).unwrap_or(d);
                Arc::new(days.unary::<_, Date32Type>(day))
            }
            _ => array.clone(),
        }
    }
}

fn converted(array: &ArrayRef, wanted: &ArrowType) -> Result<ArrayRef> {
    cast_with_options(array, wanted, &CastOptions { safe: true, ..CastOptions::default() }).spark()
}
