//! Messages as rows. Spark: `KafkaRecordToRowConverter`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int32Builder, Int64Builder, ListBuilder, RecordBatch, StringBuilder,
    StructBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType as ArrowType, SchemaRef};
use boathouse_bridge::{ResultExt, UTC};
use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use rdkafka::Timestamp;

use super::fetch::{MessageRef, Row};
use super::offsets::TopicPartition;

/// The columns of messages.
pub fn schema(include_headers: bool) -> StructType {
    let mut fields = vec![
        StructField::new("key", DataType::Binary, true),
        StructField::new("value", DataType::Binary, true),
        StructField::new("topic", DataType::STRING, true),
        StructField::new("partition", DataType::Integer, true),
        StructField::new("offset", DataType::Long, true),
        StructField::new("timestamp", DataType::Timestamp, true),
        StructField::new("timestampType", DataType::Integer, true),
    ];
    if include_headers {
        fields.push(StructField::new("headers", headers_type(), true));
    }
    StructType::new(fields)
}

/// `ARRAY<STRUCT<key: STRING, value: BINARY>>`
pub fn headers_type() -> DataType {
    let header = vec![
        StructField::new("key", DataType::STRING, true),
        StructField::new("value", DataType::Binary, true),
    ];
    DataType::array(DataType::structure(header), true)
}

/// A column being made.
enum Column {
    Key(BinaryBuilder),
    Value(BinaryBuilder),
    Topic(StringBuilder),
    Partition(Int32Builder),
    Offset(Int64Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampType(Int32Builder),
    Headers(ListBuilder<StructBuilder>),
}

/// Makes batches of the columns of a schema, which is a projection of [`schema`].
pub struct Rows {
    schema: SchemaRef,
    columns: Vec<Column>,
    place: TopicPartition,
    rows: usize,
    bytes: usize,
}

impl Rows {
    const MAX_ROWS: usize = 8192;
    const MAX_BYTES: usize = 8 << 20;

    pub fn new(schema: SchemaRef, place: TopicPartition) -> Result<Self> {
        let columns =
            schema.fields().iter().map(|f| column(f.name(), f.data_type())).collect::<Result<_>>()?;
        Ok(Self { schema, columns, place, rows: 0, bytes: 0 })
    }

    pub fn add(&mut self, row: &dyn Row) -> Result<()> {
        let message = row.message();
        for column in &mut self.columns {
            append(column, &message, &self.place)?;
        }
        self.rows += 1;
        self.bytes += message.key.map_or(0, <[u8]>::len) + message.value.map_or(0, <[u8]>::len);
        Ok(())
    }

    pub fn is_full(&self) -> bool {
        self.rows >= Self::MAX_ROWS || self.bytes >= Self::MAX_BYTES
    }

    /// The rows so far, if there are any.
    pub fn finish(&mut self) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(finish).collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options).map(Some).spark()
    }
}

fn column(name: &str, data_type: &ArrowType) -> Result<Column> {
    Ok(match name {
        "key" => Column::Key(BinaryBuilder::new()),
        "value" => Column::Value(BinaryBuilder::new()),
        "topic" => Column::Topic(StringBuilder::new()),
        "partition" => Column::Partition(Int32Builder::new()),
        "offset" => Column::Offset(Int64Builder::new()),
        "timestamp" => Column::Timestamp(TimestampMicrosecondBuilder::new().with_timezone(UTC)),
        "timestampType" => Column::TimestampType(Int32Builder::new()),
        "headers" => match data_type {
            ArrowType::List(item) => {
                let ArrowType::Struct(fields) = item.data_type() else {
                    return Err(Error::internal("headers without fields"));
                };
                let header = StructBuilder::from_fields(fields.clone(), 0);
                Column::Headers(ListBuilder::new(header).with_field(Arc::clone(item)))
            }
            _ => return Err(Error::internal("headers that are no list")),
        },
        other => return Err(Error::internal(format!("the column {other} of Kafka messages"))),
    })
}

fn append(column: &mut Column, message: &MessageRef, place: &TopicPartition) -> Result<()> {
    match column {
        Column::Key(builder) => builder.append_option(message.key),
        Column::Value(builder) => builder.append_option(message.value),
        Column::Topic(builder) => builder.append_value(&place.topic),
        Column::Partition(builder) => builder.append_value(message.partition),
        Column::Offset(builder) => builder.append_value(message.offset),
        Column::Timestamp(builder) => {
            let ms = message.timestamp.to_millis().unwrap_or(-1);
            let us = ms.checked_mul(1000).ok_or_else(|| malformed_timestamp(place, message.offset, ms))?;
            builder.append_value(us);
        }
        Column::TimestampType(builder) => builder.append_value(match message.timestamp {
            Timestamp::NotAvailable => -1,
            Timestamp::CreateTime(_) => 0,
            Timestamp::LogAppendTime(_) => 1,
        }),
        Column::Headers(builder) => append_headers(builder, &message.headers)?,
    }
    Ok(())
}

fn append_headers(builder: &mut ListBuilder<StructBuilder>, headers: &[(&str, Option<&[u8]>)]) -> Result<()> {
    for (key, value) in headers {
        let header = builder.values();
        let keys = header.field_builder::<StringBuilder>(0);
        keys.ok_or_else(|| Error::internal("headers without keys"))?.append_value(key);
        let values = header.field_builder::<BinaryBuilder>(1);
        values.ok_or_else(|| Error::internal("headers without values"))?.append_option(*value);
        header.append(true);
    }
    builder.append(!headers.is_empty());
    Ok(())
}

fn finish(column: &mut Column) -> ArrayRef {
    match column {
        Column::Key(builder) | Column::Value(builder) => Arc::new(builder.finish()),
        Column::Topic(builder) => Arc::new(builder.finish()),
        Column::Partition(builder) | Column::TimestampType(builder) => Arc::new(builder.finish()),
        Column::Offset(builder) => Arc::new(builder.finish()),
        Column::Timestamp(builder) => Arc::new(builder.finish()),
        Column::Headers(builder) => Arc::new(builder.finish()),
    }
}

fn malformed_timestamp(place: &TopicPartition, offset: i64, timestamp: i64) -> Error {
    Error::new("KAFKA_MALFORMED_RECORD_TIMESTAMP")
        .param("topic", &place.topic)
        .param("partition", place.partition)
        .param("offset", offset)
        .param("timestamp", timestamp)
        .message(format!(
            "Record at topic {} partition {} offset {offset} has timestamp value {timestamp} that overflows when converting to Spark's \
             microsecond-precision TimestampType.\nKafka record timestamps must be in milliseconds since epoch per the Kafka protocol. \
             The provided value suggests the producer may be writing timestamps in microseconds or nanoseconds instead.\nEnsure the \
             Kafka producer sets the ProducerRecord timestamp in milliseconds.",
            place.topic, place.partition
        ))
}
