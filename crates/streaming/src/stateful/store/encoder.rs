//! Batches as parts of one Arrow stream, several at the same time.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use boathouse_spec::{Error, Result};
use bytes::Bytes;

use super::internal;

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

    /// How many batches are worth to be encoded together.
    pub fn at_once(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// The bytes of some batches, in their order, each made and encoded by a thread of its own.
    pub fn encoded<T: Sync>(
        &self,
        parts: &[T],
        batch: impl Fn(&T) -> Result<RecordBatch> + Sync,
    ) -> Result<Vec<Bytes>> {
        let one = |part: &T| self.one(&batch(part)?);
        let [first, rest @ ..] = parts else { return Ok(Vec::new()) };
        std::thread::scope(|threads| {
            let rest: Vec<_> = rest.iter().map(|part| threads.spawn(|| one(part))).collect();
            let first = one(first);
            let rest = rest.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(broken())));
            std::iter::once(first).chain(rest).collect()
        })
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

fn broken() -> Error {
    Error::internal("a thread that writes state")
}

fn writer(schema: &Schema) -> Result<StreamWriter<Vec<u8>>> {
    let options =
        IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).map_err(internal)?;
    StreamWriter::try_new_with_options(Vec::new(), schema, options).map_err(internal)
}
