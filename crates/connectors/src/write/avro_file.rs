//! An Avro file that is being written.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_avro::compression::CompressionCodec;
use arrow_avro::schema::{AVRO_NAME_METADATA_KEY, AVRO_NAMESPACE_METADATA_KEY};
use arrow_avro::writer::format::AvroOcfFormat;
use arrow_avro::writer::{Writer, WriterBuilder};
use boathouse_bridge::arrow_schema;
use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;

/// What an encoder has written and the store has not got yet.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) struct AvroFile {
    to: BufWriter,
    written: Written,
    writer: Writer<Written, AvroOcfFormat>,
    schema: SchemaRef,
    bytes: u64,
    shown: String,
}

impl AvroFile {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        path: &Path,
        codec: Option<CompressionCodec>,
        names: (&str, &str),
        schema: &StructType,
    ) -> Result<Self> {
        let shown = path.to_string();
        let written = Written::default();
        let schema = Arc::new(arrow_schema(&stored(schema)));
        let (record, namespace) = names;
        let mut metadata = HashMap::from([(AVRO_NAME_METADATA_KEY.to_string(), record.to_string())]);
        if !namespace.is_empty() {
            metadata.insert(AVRO_NAMESPACE_METADATA_KEY.to_string(), namespace.to_string());
        }
        let writer = WriterBuilder::new(Schema::new_with_metadata(schema.fields().clone(), metadata))
            .with_compression(codec)
            .build::<_, AvroOcfFormat>(written.clone())
            .map_err(|e| failed(&shown, e))?;
        Ok(Self { to: BufWriter::new(store, path.clone()), written, writer, schema, bytes: 0, shown })
    }

    pub(super) async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = boathouse_bridge::conform_batch(rows, &self.schema)?;
        self.writer.write(&rows).map_err(|e| failed(&self.shown, e))?;
        self.hand_on().await
    }

    async fn hand_on(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut *self.written.0.lock());
        self.bytes += bytes.len() as u64;
        self.to.write_all(&bytes).await.map_err(|e| failed(&self.shown, e))
    }

    /// Completes the file; gives how many bytes it has.
    pub(super) async fn finish(mut self: Box<Self>) -> Result<u64> {
        self.writer.finish().map_err(|e| failed(&self.shown, e))?;
        self.hand_on().await?;
        self.to.shutdown().await.map_err(|e| failed(&self.shown, e))?;
        Ok(self.bytes)
    }
}

/// The types that the format keeps: Avro knows no integers below 32 bits.
fn stored(schema: &StructType) -> StructType {
    fn wide(t: &DataType) -> DataType {
        match t {
            DataType::Byte | DataType::Short => DataType::Integer,
            DataType::Array { element, contains_null } => DataType::array(wide(element), *contains_null),
            DataType::Map { key, value, value_contains_null } => {
                DataType::map(wide(key), wide(value), *value_contains_null)
            }
            DataType::Struct(s) => DataType::structure(
                s.fields.iter().map(|f| StructField { data_type: wide(&f.data_type), ..f.clone() }).collect(),
            ),
            other => other.clone(),
        }
    }
    let fields = schema.fields.iter().map(|f| StructField {
        data_type: wide(&f.data_type),
        nullable: true,
        ..f.clone()
    });
    StructType::new(fields.collect())
}

fn failed(path: &str, e: impl std::fmt::Display) -> Error {
    Error::io(format!("writing {path}"), e)
}
