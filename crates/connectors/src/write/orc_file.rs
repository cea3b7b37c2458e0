//! An ORC file that is being written.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{
    DataType as ArrowType, Field, Fields, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use boathouse_bridge::ResultExt;
use boathouse_formats::zone::Zone;
use boathouse_spec::{Error, Result};
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use orc_rust::ArrowWriterBuilder;
use orc_rust::compression::CompressionType;
use orc_rust::error::OrcError;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::encoder::Encoder;

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

/// The encoder stays on a thread of its own: it cannot go from one to another.
pub(super) struct OrcFile {
    to: BufWriter,
    written: Written,
    batches: mpsc::Sender<RecordBatch>,
    encoder: JoinHandle<Result<()>>,
    schema: SchemaRef,
    /// In whose time of day timestamps are written.
    zone: Zone,
    bytes: u64,
    shown: String,
}

impl OrcFile {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        path: &Path,
        codec: Option<CompressionType>,
        zone: &Zone,
        encoder: &Encoder,
    ) -> Self {
        let shown = path.to_string();
        let written = Written::default();
        let schema = Arc::new(stored(&encoder.arrow_schema));
        let (batches, receiver) = mpsc::channel(1);
        let (to, name, columns) = (written.clone(), shown.clone(), schema.clone());
        let encoder = tokio::task::spawn_blocking(move || {
            encode(to, columns, codec, receiver).map_err(|e| failed(&name, e))
        });
        let to = BufWriter::new(store, path.clone());
        Self { to, written, batches, encoder, schema, zone: zone.clone(), bytes: 0, shown }
    }

    pub(super) async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let columns = rows.columns().iter().map(|c| local(c, &self.zone)).collect();
        let rows = RecordBatch::try_new(self.schema.clone(), columns).spark()?;
        if self.batches.send(rows).await.is_err() {
            let ended = (&mut self.encoder).await.map_err(|e| failed(&self.shown, e))?;
            return ended.and_then(|()| Err(failed(&self.shown, "the encoder has ended")));
        }
        let bytes = std::mem::take(&mut *self.written.0.lock());
        self.bytes += bytes.len() as u64;
        self.to.write_all(&bytes).await.map_err(|e| failed(&self.shown, e))
    }

    /// Completes the file; gives how many bytes it has.
    pub(super) async fn finish(self: Box<Self>) -> Result<u64> {
        let Self { mut to, written, batches, encoder, bytes, shown, .. } = *self;
        drop(batches);
        encoder.await.map_err(|e| failed(&shown, e))??;
        let last = std::mem::take(&mut *written.0.lock());
        to.write_all(&last).await.map_err(|e| failed(&shown, e))?;
        to.shutdown().await.map_err(|e| failed(&shown, e))?;
        Ok(bytes + last.len() as u64)
    }
}

/// Writes the batches that come, and the file's end when no more do.
fn encode(
    to: Written,
    schema: SchemaRef,
    codec: Option<CompressionType>,
    mut batches: mpsc::Receiver<RecordBatch>,
) -> Result<(), OrcError> {
    let mut builder = ArrowWriterBuilder::new(to, schema);
    if let Some(codec) = codec {
        builder = builder.with_compression(codec);
    }
    let mut writer = builder.try_build()?;
    while let Some(rows) = batches.blocking_recv() {
        writer.write(&rows)?;
    }
    writer.close()
}

/// The schema of the file: everything may be NULL, and timestamps are times of day.
fn stored(schema: &Schema) -> Schema {
    let fields: Fields = schema
        .fields()
        .iter()
        .map(|f| match f.data_type() {
            ArrowType::Timestamp(..) => {
                Field::new(f.name(), ArrowType::Timestamp(TimeUnit::Microsecond, None), true)
            }
            t => Field::new(f.name(), t.clone(), true),
        })
        .collect();
    Schema::new(fields)
}

fn local(column: &ArrayRef, zone: &Zone) -> ArrayRef {
    if !matches!(column.data_type(), ArrowType::Timestamp(TimeUnit::Microsecond, Some(_))) {
        return column.clone();
    }
    let instants = column.as_primitive::<TimestampMicrosecondType>();
    let times: TimestampMicrosecondArray = instants.unary(|us| zone.to_local(us));
    Arc::new(TimestampMicrosecondArray::new(times.values().clone(), times.nulls().cloned()))
}

fn failed(path: &str, e: impl std::fmt::Display) -> Error {
    Error::io(format!("writing {path}"), e)
}
