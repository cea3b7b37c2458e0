//! Batches as parts of one Arrow stream, several at the same time.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use boathouse_spec::Result;
use bytes::Bytes;

use super::internal;
use crate::blocking::each;

/// Batches that are encoded together, at most.
const MOST_AT_ONCE: usize = 8;

pub(super) struct Encoder {
    schema: Schema,
    start: Bytes,
    end: Bytes,
}

impl Encoder {
    pub fn new(schema: Schema) -> Result<Self> {
        let mut writer = writer(&schema)?;
        let start = Bytes::from(std::mem::take(writer.get_mut()));
        writer.finish().map_err(internal)?;
        let end = Bytes::from(std::mem::take(writer.get_mut()));
        Ok(Self { schema, start, end })
    }

    /// What comes before all batches.
    pub fn start(&self) -> Bytes {
        self.start.clone()
    }

    /// What comes after all batches.
    pub fn end(&self) -> Bytes {
        self.end.clone()
    }

    /// How many batches are worth to be encoded together: all of them are in memory then.
    pub fn at_once(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from).min(MOST_AT_ONCE)
    }

    /// The bytes of some batches, in their order, each made and encoded where there is a core for it.
    pub fn encoded<T: Sync>(
        &self,
        parts: &[T],
        batch: impl Fn(&T) -> Result<RecordBatch> + Sync,
    ) -> Result<Vec<Bytes>> {
        each(parts, |part| self.one(&batch(part)?)).into_iter().collect()
    }

    fn one(&self, batch: &RecordBatch) -> Result<Bytes> {
        if batch.num_rows() == 0 {
            return Ok(Bytes::new());
        }
        let mut writer = writer(&self.schema)?;
        writer.get_mut().clear();
        writer.write(batch).map_err(internal)?;
        Ok(Bytes::from(std::mem::take(writer.get_mut())))
    }
}

fn writer(schema: &Schema) -> Result<StreamWriter<Vec<u8>>> {
    let options =
        IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).map_err(internal)?;
    StreamWriter::try_new_with_options(Vec::new(), schema, options).map_err(internal)
}
