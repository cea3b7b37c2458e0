//! A Parquet file that is being written.

use std::sync::Arc;

use arrow::array::RecordBatch;
use boathouse_spec::{Error, Result};
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::encoder::Encoder;

/// Spark's schema is in the footer under this key, and readers take it from there.
const SPARK_SCHEMA_KEY: &str = "org.apache.spark.sql.parquet.row.metadata";
/// A row group is closed when it would be about this big.
const ROW_GROUP_BYTES: usize = 128 << 20;

pub(super) struct ParquetFile {
    writer: AsyncArrowWriter<BufWriter>,
    shown: String,
}

impl ParquetFile {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        path: &Path,
        compression: Compression,
        encoder: &Encoder,
    ) -> Result<Self> {
        let metadata = vec![KeyValue::new(SPARK_SCHEMA_KEY.to_string(), encoder.schema.json())];
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_created_by(format!("Boathouse version {}", env!("CARGO_PKG_VERSION")))
            .set_key_value_metadata(Some(metadata))
            // The names that the format asks for in lists and maps, which other readers expect.
            .set_coerce_types(true)
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let fields: Vec<_> =
            encoder.arrow_schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let schema = Arc::new(arrow::datatypes::Schema::new(fields));
        let writer =
            AsyncArrowWriter::try_new_with_options(BufWriter::new(store, path.clone()), schema, options)
                .map_err(|e| failed(path.as_ref(), e))?;
        Ok(Self { writer, shown: path.to_string() })
    }

    pub(super) async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.writer.write(rows).await.map_err(|e| failed(&self.shown, e))?;
        if self.writer.in_progress_size() > ROW_GROUP_BYTES {
            self.writer.flush().await.map_err(|e| failed(&self.shown, e))?;
        }
        Ok(())
    }

    /// Completes the file; gives how many bytes it has.
    pub(super) async fn finish(mut self: Box<Self>) -> Result<u64> {
        self.writer.finish().await.map_err(|e| failed(&self.shown, e))?;
        Ok(self.writer.bytes_written() as u64)
    }
}

fn failed(path: &str, e: impl std::fmt::Display) -> Error {
    Error::io(format!("writing {path}"), e)
}
