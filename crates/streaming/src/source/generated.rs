//! Rows that are numbers and times, made when they are read.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::SchemaRef;
use boathouse_bridge::{ResultExt, UTC, arrow_schema};
use boathouse_spec::{DataType, Result, StructField, StructType};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

/// Rows in a batch.
const ROWS: i64 = 8192;

/// `timestamp TIMESTAMP, value BIGINT`
pub(super) fn schema() -> StructType {
    StructType::new(vec![
        StructField::new("timestamp", DataType::Timestamp, true),
        StructField::new("value", DataType::Long, true),
    ])
}

/// The numbers `from..to`; a row's time is `start_us`, and `step_us` more for each number after `from`.
#[derive(Clone)]
pub(super) struct Numbers {
    pub from: i64,
    pub to: i64,
    pub start_us: i64,
    pub step_us: f64,
}

/// The rows as a table of some partitions.
pub(super) fn table(numbers: &Numbers, partitions: usize) -> Result<Arc<dyn TableProvider>> {
    let schema: SchemaRef = Arc::new(arrow_schema(&schema()));
    let count = numbers.to.saturating_sub(numbers.from).max(0);
    let parts = i64::try_from(partitions).unwrap_or(1).clamp(1, (count / ROWS).max(1));
    let streams = (0..parts).map(|i| {
        let part = Part {
            schema: Arc::clone(&schema),
            numbers: numbers.clone(),
            from: numbers.from + count / parts * i + (count % parts).min(i),
            to: numbers.from + count / parts * (i + 1) + (count % parts).min(i + 1),
        };
        Arc::new(part) as Arc<dyn PartitionStream>
    });
    Ok(Arc::new(StreamingTable::try_new(Arc::clone(&schema), streams.collect()).spark()?))
}

struct Part {
    schema: SchemaRef,
    numbers: Numbers,
    from: i64,
    to: i64,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "numbers {}..{}", self.from, self.to)
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, numbers, to) = (Arc::clone(&self.schema), self.numbers.clone(), self.to);
        let batches = std::iter::successors(Some(self.from), move |from| Some(from + ROWS))
            .take_while(move |from| *from < to);
        let made = batches.map(move |from| {
            let values = from..to.min(from + ROWS);
            let time =
                |v: i64| numbers.start_us + ((v - numbers.from) as f64 * numbers.step_us).round() as i64;
            let times: TimestampMicrosecondArray = values.clone().map(time).collect::<Vec<_>>().into();
            let columns: Vec<ArrayRef> =
                vec![Arc::new(times.with_timezone(UTC)), Arc::new(Int64Array::from_iter_values(values))];
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
        });
        let schema = Arc::clone(&self.schema);
        Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(made)))
    }
}
