//! Rows to the Arrow streams that clients read: Spark's field names and the session's time zone, in batches of bounded
//! size, each a whole IPC stream, in chunks where the client asks for them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType as ArrowType, Field, FieldRef, Fields, Schema, TimeUnit};
use arrow::ipc::writer::StreamWriter;
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_spec::{DataType, Result, StructField, StructType};
use bytes::Bytes;

use crate::proto::spark::execute_plan_response::ArrowBatch;

/// The smallest chunk a client may ask for.
const MIN_CHUNK_BYTES: usize = 1024;

/// The Arrow schema of rows as clients see it. Its layout is that of `boathouse_bridge::arrow_schema`; only names and
/// zones differ, so the arrays fit as they are.
pub fn client_schema(schema: &StructType, zone: &str) -> Schema {
    Schema::new(
        schema
            .fields
            .iter()
            .map(|f| client_field(&f.name, &f.data_type, f.nullable, zone))
            .collect::<Vec<_>>(),
    )
}

fn client_field(name: &str, t: &DataType, nullable: bool, zone: &str) -> FieldRef {
    Arc::new(Field::new(name, client_type(t, zone), nullable))
}

fn client_type(t: &DataType, zone: &str) -> ArrowType {
    match t {
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some(zone.into())),
        DataType::Array { element, contains_null } => {
            ArrowType::List(client_field("element", element, *contains_null, zone))
        }
        DataType::Map { key, value, value_contains_null } => {
            let entries = Fields::from(vec![
                client_field("key", key, false, zone),
                client_field("value", value, *value_contains_null, zone),
            ]);
            ArrowType::Map(Arc::new(Field::new("entries", ArrowType::Struct(entries), false)), false)
        }
        DataType::Struct(s) => {
            let fields = s.fields.iter().zip(different_names(s));
            let field =
                |(f, name): (&StructField, String)| client_field(&name, &f.data_type, f.nullable, zone);
            ArrowType::Struct(fields.map(field).collect())
        }
        DataType::Variant => {
            // The Python client knows a variant by this mark.
            let mark = HashMap::from([("variant".to_string(), "true".to_string())]);
            ArrowType::Struct(Fields::from(vec![
                Field::new("metadata", ArrowType::Binary, false).with_metadata(mark),
                Field::new("value", ArrowType::Binary, false),
            ]))
        }
        DataType::Geometry { srid } => spatial("geometry", *srid),
        DataType::Geography { srid } => spatial("geography", *srid),
        DataType::Udt { sql_type, .. } => client_type(sql_type, zone),
        plain => arrow_type(plain),
    }
}

/// The names of a struct's fields. Clients read structs by name: equal names are numbered (Spark's
/// `ArrowUtils.deduplicateFieldNames`), which the client takes back.
fn different_names(s: &StructType) -> Vec<String> {
    let names: Vec<&str> = s.fields.iter().map(|f| f.name.as_str()).collect();
    let numbered = |(i, name): (usize, &&str)| match names.iter().filter(|other| *other == name).count() {
        1 => (*name).to_string(),
        _ => format!("{name}_{}", names[..i].iter().filter(|other| *other == name).count()),
    };
    names.iter().enumerate().map(numbered).collect()
}

/// The Python client knows spatial values by a mark, too, and any system by -1.
fn spatial(kind: &str, srid: Option<i32>) -> ArrowType {
    let srid = srid.unwrap_or(-1).to_string();
    let mark = HashMap::from([(kind.to_string(), "true".to_string()), ("srid".to_string(), srid)]);
    ArrowType::Struct(Fields::from(vec![
        Field::new("srid", ArrowType::Int32, false),
        Field::new("wkb", ArrowType::Binary, false).with_metadata(mark),
    ]))
}

/// Turns the batches of one result into messages.
pub struct BatchEncoder {
    schema: Schema,
    max_batch_bytes: usize,
    /// Where the client takes chunks: their size.
    chunk_bytes: Option<usize>,
    rows: i64,
    sent_any: bool,
}

impl BatchEncoder {
    /// `chunking` is what the client said about chunks: whether it takes them, and of what size.
    pub fn new(
        schema: &StructType,
        zone: &str,
        max_batch_bytes: usize,
        chunking: Option<Option<i64>>,
    ) -> Self {
        let chunk_bytes = chunking.map(|preferred| {
            let preferred = preferred.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
            preferred.unwrap_or(max_batch_bytes).clamp(MIN_CHUNK_BYTES, max_batch_bytes.max(MIN_CHUNK_BYTES))
        });
        Self { schema: client_schema(schema, zone), max_batch_bytes, chunk_bytes, rows: 0, sent_any: false }
    }

    /// The messages of a batch; none for one without rows.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<ArrowBatch>> {
        let mut messages = Vec::new();
        let rows = batch.num_rows();
        let step = rows_per_message(batch, self.max_batch_bytes)?;
        let mut at = 0;
        while at < rows {
            let length = step.min(rows - at);
            self.encode_slice(&batch.slice(at, length), &mut messages)?;
            at += length;
        }
        Ok(messages)
    }

    /// What a result without rows is told by: one empty batch.
    pub fn finish(&mut self) -> Result<Vec<ArrowBatch>> {
        let mut messages = Vec::new();
        if !self.sent_any {
            let types = self.schema.clone();
            self.encode_slice(&RecordBatch::new_empty(Arc::new(types)), &mut messages)?;
        }
        Ok(messages)
    }

    fn encode_slice(&mut self, batch: &RecordBatch, messages: &mut Vec<ArrowBatch>) -> Result<()> {
        let data = Bytes::from(ipc_stream(&self.schema, std::slice::from_ref(batch))?);
        let row_count = batch.num_rows() as i64;
        let start_offset = Some(self.rows);
        self.rows += row_count;
        self.sent_any = true;
        let chunk = match self.chunk_bytes {
            None => {
                messages.push(ArrowBatch { row_count, data, start_offset, ..ArrowBatch::default() });
                return Ok(());
            }
            Some(chunk) => chunk,
        };
        let chunks = data.len().div_ceil(chunk).max(1);
        for index in 0..chunks {
            messages.push(ArrowBatch {
                row_count,
                data: data.slice(index * chunk..data.len().min((index + 1) * chunk)),
                start_offset,
                chunk_index: Some(index as i64),
                num_chunks_in_batch: Some(chunks as i64),
            });
        }
        Ok(())
    }
}

/// How many rows of the batch make a message of the wanted size, taking rows as equally large.
fn rows_per_message(batch: &RecordBatch, max_bytes: usize) -> Result<usize> {
    let mut bytes = 0;
    for column in batch.columns() {
        bytes += column.to_data().get_slice_memory_size().spark()?;
    }
    if bytes <= max_bytes {
        return Ok(batch.num_rows().max(1));
    }
    Ok((batch.num_rows() * max_bytes / bytes).max(1))
}

/// Batches as an Arrow IPC stream under a schema of the same layout.
pub fn ipc_stream(schema: &Schema, batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema).spark()?;
    for batch in batches {
        writer.write(batch).spark()?;
    }
    writer.into_inner().spark()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray, new_null_array};
    use arrow::ipc::reader::StreamReader;
    use boathouse_bridge::arrow_schema;

    fn long() -> StructType {
        StructType::new(vec![StructField::new("id", DataType::Long, false)])
    }

    fn longs(n: i64) -> RecordBatch {
        let array: ArrayRef = Arc::new(Int64Array::from_iter_values(0..n));
        RecordBatch::try_new(Arc::new(arrow_schema(&long())), vec![array]).unwrap()
    }

    fn read(data: &[u8]) -> Vec<RecordBatch> {
        StreamReader::try_new(data, None).unwrap().collect::<std::result::Result<_, _>>().unwrap()
    }

    #[test]
    fn rows_are_shown_in_the_sessions_zone_under_sparks_names() {
        let nested = DataType::array(DataType::map(DataType::STRING, DataType::Timestamp, true), true);
        let schema = StructType::new(vec![
            StructField::new("t", DataType::Timestamp, true),
            StructField::new("n", nested, true),
            StructField::new("v", DataType::Variant, true),
        ]);
        let types = arrow_schema(&schema);
        let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![7]).with_timezone("UTC"));
        let columns = vec![
            time,
            new_null_array(types.field(1).data_type(), 1),
            new_null_array(types.field(2).data_type(), 1),
        ];
        let batch = RecordBatch::try_new(Arc::new(types), columns).unwrap();
        let messages = BatchEncoder::new(&schema, "Asia/Tokyo", 1 << 20, None).encode(&batch).unwrap();
        let read = read(&messages[0].data);
        let zoned = ArrowType::Timestamp(TimeUnit::Microsecond, Some("Asia/Tokyo".into()));
        assert_eq!(read[0].column(0).data_type(), &zoned);
        let ArrowType::List(element) = read[0].column(1).data_type().clone() else { panic!() };
        assert_eq!(element.name(), "element");
    }

    #[test]
    fn equal_names_of_fields_are_numbered() {
        let field = |name: &str| StructField::new(name, DataType::Long, false);
        let ArrowType::Struct(fields) =
            client_type(&DataType::structure(vec![field("a"), field("b"), field("a")]), "UTC")
        else {
            panic!()
        };
        let names: Vec<&str> = fields.iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["a_0", "b", "a_1"]);
    }

    #[test]
    fn large_batches_are_split_by_rows_and_into_chunks() {
        let mut encoder = BatchEncoder::new(&long(), "UTC", 40_000, Some(Some(10_000)));
        let messages = encoder.encode(&longs(10_000)).unwrap();
        let offsets: Vec<_> =
            messages.iter().filter(|m| m.chunk_index == Some(0)).map(|m| m.start_offset).collect();
        assert_eq!(offsets, [Some(0), Some(5_000)]);
        assert!(messages.iter().all(|m| m.data.len() <= 10_000));
        let first: Vec<u8> =
            messages.iter().filter(|m| m.start_offset == Some(0)).flat_map(|m| m.data.to_vec()).collect();
        assert_eq!(read(&first)[0].num_rows(), 5_000);
        assert_eq!(messages[0].num_chunks_in_batch, Some(messages.len() as i64 / 2));
        assert!(encoder.finish().unwrap().is_empty());
    }

    #[test]
    fn no_rows_are_one_empty_batch() {
        let messages = BatchEncoder::new(&long(), "UTC", 1 << 20, None).finish().unwrap();
        assert_eq!((messages.len(), messages[0].row_count, messages[0].chunk_index), (1, 0, None));
    }
}
