//! Avro files: read whole, and given batch by batch.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::{
    DataType as ArrowType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use arrow_avro::reader::{Reader, ReaderBuilder};
use boathouse_bridge::{ResultExt, UTC, conform};
use boathouse_formats::json::{Options, nullable_schema};
use boathouse_formats::rescue::{Rescue, tail};
use boathouse_formats::zone::Zone;
use boathouse_spec::{Result, StructField, StructType};
use bytes::Bytes;
use datafusion::physical_expr::PhysicalExpr;

use crate::rescue::{self, RescuedExpr};
use crate::table::FileTable;

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

/// Reads data that the table has no place for, too.
#[derive(Debug, Clone)]
pub(crate) struct Rescuing {
    rescue: Rescue,
    /// All columns of the table's files, whether they are asked for or not: what is in them is not rescued.
    table: SchemaRef,
    /// The columns that are given, where rescued data is among them.
    keep: Option<Vec<usize>>,
    options: Arc<Options>,
    /// The file, where it is told with what is rescued of it.
    pub file_path: Option<String>,
}

impl Rescuing {
    pub(super) fn new(table: &FileTable, rescue: &Rescue, keep: Option<Vec<usize>>) -> Self {
        let zone = table.context.session.zone.clone();
        Self {
            rescue: rescue.clone(),
            table: Arc::new(nullable_schema(&table.data_schema)),
            keep,
            options: Arc::new(Options { zone, ..Options::default() }),
            file_path: None,
        }
    }

    /// The same for a file with these columns.
    pub(super) fn of_file(&self, schema: &Schema) -> Result<RescuingFile<'_>> {
        let plain = Arc::new(Schema::new(schema.fields().iter().map(|f| plain_field(f)).collect::<Fields>()));
        let (named, rescued) = rescue::of_file(&self.table, &plain, &self.rescue, &self.options).spark()?;
        Ok(RescuingFile { of: self, plain, named, rescued: rescued.over_file() })
    }
}

/// How a file is read of which data may be rescued.
pub(super) struct RescuingFile<'a> {
    of: &'a Rescuing,
    /// The file's columns in the Arrow types that Spark's types are kept in.
    plain: SchemaRef,
    /// The same by the names of the table's.
    named: SchemaRef,
    rescued: RescuedExpr,
}

impl RescuingFile<'_> {
    /// The columns that are wanted, NULL where a file's do not fit.
    pub fn arrange(&self, batch: &RecordBatch, wanted: &SchemaRef, zone: &Zone) -> Result<RecordBatch> {
        let Rescuing { rescue, table, keep, file_path, .. } = self.of;
        let batch = self.plain_batch(batch)?;
        let by_name = RecordBatch::try_new(self.named.clone(), batch.columns().to_vec()).spark()?;
        let Some(keep) = keep else { return arrange(&by_name, wanted, zone, true) };
        let texts = self.rescued.evaluate(&batch).spark()?;
        let texts = texts.into_array(batch.num_rows()).spark()?;
        let tail = tail(file_path.as_deref());
        let texts: StringArray =
            texts.as_string::<i32>().iter().map(|text| text.map(|text| format!("{text}{tail}"))).collect();
        let all = arrange(&by_name, table, zone, true)?;
        let mut columns = all.columns().to_vec();
        if let Some((i, _)) = table.column_with_name(&rescue.column) {
            columns[i] = Arc::new(texts);
        }
        RecordBatch::try_new(table.clone(), columns).spark()?.project(keep).spark()
    }

    fn plain_batch(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = batch.columns().iter().zip(self.plain.fields());
        let columns = columns.map(|(column, f)| conform(column, f.data_type())).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.plain.clone(), columns, &options).spark()
    }
}
