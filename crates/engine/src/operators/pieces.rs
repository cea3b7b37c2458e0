//! Batches that wait for whoever reads them: in memory where there is room, else on disk.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::spill_file::SpillFile;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::SpillMetrics;
use datafusion::physical_plan::spill::SpillManager;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use crate::memory::Held;

pub(crate) enum Piece {
    Memory(RecordBatch, #[allow(dead_code)] Held),
    Disk(Arc<dyn SpillFile>),
}

/// Where the batches of one operator wait.
#[derive(Clone)]
pub(crate) struct Pieces {
    memory: Arc<MemoryReservation>,
    spills: SpillManager,
    schema: SchemaRef,
}

impl Pieces {
    /// `consumer`: the operator, as errors about memory name it.
    pub fn new(consumer: &str, context: &TaskContext, metrics: SpillMetrics, schema: SchemaRef) -> Self {
        let memory = MemoryConsumer::new(consumer).with_can_spill(true).register(context.memory_pool());
        let spills = SpillManager::new(context.runtime_env(), metrics, Arc::clone(&schema));
        Self { memory: Arc::new(memory), spills, schema }
    }

    pub fn hold(&self, batch: RecordBatch) -> Result<Piece> {
        if let Some(held) = Held::try_new(&self.memory, row_bytes(&batch)?) {
            return Ok(Piece::Memory(batch, held));
        }
        match self.spills.spill_record_batch_and_finish(std::slice::from_ref(&batch), "waiting rows")? {
            Some(file) => Ok(Piece::Disk(file)),
            None => internal_err!("a batch with rows made no file"),
        }
    }

    pub fn read(&self, piece: Piece) -> Result<SendableRecordBatchStream> {
        match piece {
            Piece::Memory(batch, held) => {
                let stream = futures::stream::once(async move {
                    drop(held);
                    Ok(batch)
                });
                Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream)))
            }
            Piece::Disk(file) => self.spills.read_spill_as_stream(file, None),
        }
    }
}

/// The memory of the rows of a batch, which may be a small part of what its buffers hold.
pub(super) fn row_bytes(batch: &RecordBatch) -> Result<usize> {
    let mut bytes = 0;
    for column in batch.columns() {
        bytes += column.to_data().get_slice_memory_size()?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, UInt32Array};

    use super::*;

    /// Slices share the buffers of what they are cut from.
    #[test]
    fn slices_count_as_their_rows() {
        let numbers: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..8000));
        let texts: ArrayRef = Arc::new(arrow::array::StringArray::from_iter_values(vec!["four"; 8000]));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap();
        // Numbers, the places of texts (one more than there are texts), texts.
        assert_eq!(row_bytes(&batch.slice(100, 10)).unwrap(), 10 * 4 + 11 * 4 + 10 * 4);
    }
}
