//! Rows to a worker and back, as a stream of a partition.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StructArray};
use arrow::datatypes::{DataType as ArrowType, Field, Fields, Schema, SchemaRef};
use boathouse_bridge::{ResultExt, conform, to_datafusion};
use boathouse_python::{Input, Run, Task};
use boathouse_spec::{Error, Result};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use super::Setup;

/// Batches that may be on their way to the worker.
const WAITING: usize = 2;

/// What a batch of rows is for the worker.
pub(super) type ToInput = Box<dyn FnMut(RecordBatch) -> Result<Vec<Input>> + Send>;
/// What the worker's rows are for the plan.
pub(super) type FromOutput = Box<dyn FnMut(RecordBatch) -> Result<Vec<RecordBatch>> + Send>;

/// How rows go to the worker and come back.
pub(super) struct Exchange {
    pub setup: Arc<Setup>,
    pub task: Task,
    /// The schema of the worker's rows, where it takes one stream; `None` for groups.
    pub sent: Option<SchemaRef>,
    pub to_input: ToInput,
    pub from_output: FromOutput,
    /// Whether a partition without rows is given to a worker, too.
    pub always: bool,
}

/// The rows that a task makes of a partition's rows.
pub(super) fn exchanged(
    rows: SendableRecordBatchStream,
    exchange: Exchange,
    schema: SchemaRef,
) -> SendableRecordBatchStream {
    let batches = async_stream::try_stream! {
        let Exchange { setup, task, sent, mut to_input, mut from_output, always } = exchange;
        let mut rows = rows;
        let first = loop {
            match rows.next().await {
                None => break None,
                Some(batch) => {
                    let batch = batch?;
                    if batch.num_rows() > 0 {
                        break Some(batch);
                    }
                }
            }
        };
        if first.is_some() || always {
            let (sender, receiver) = mpsc::channel(WAITING);
            let feeder = AbortOnDrop(tokio::spawn(async move {
                let mut next = first.map(Ok);
                while let Some(batch) = next {
                    let inputs = batch.spark().and_then(&mut to_input);
                    match inputs {
                        Ok(inputs) => {
                            for input in inputs {
                                if sender.send(Ok(input)).await.is_err() {
                                    return;
                                }
                            }
                        }
                        Err(e) => {
                            let _ = sender.send(Err(e)).await;
                            return;
                        }
                    }
                    next = rows.next().await;
                }
            }));
            let grouped = sent.is_none();
            let sent = sent.unwrap_or_else(|| Arc::new(Schema::empty()));
            let options = setup.options.clone();
            let mut run = Run::start(&setup.workers, options, &task, sent, receiver, grouped, setup.timeout)
                .await
                .map_err(to_datafusion)?;
            while let Some(batch) = run.next().await.map_err(to_datafusion)? {
                for made in from_output(batch).map_err(to_datafusion)? {
                    yield made;
                }
            }
            drop(feeder);
            setup.profiles.lock().extend(run.accumulators());
        }
    };
    let batches: std::pin::Pin<Box<dyn Stream<Item = DataFusionResult<RecordBatch>> + Send>> =
        Box::pin(batches);
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The type with instants in the session's zone, as the user's code is to see them.
pub(super) fn zoned(t: &ArrowType, zone: &Arc<str>) -> ArrowType {
    let field = |f: &Arc<Field>| Arc::new(Field::new(f.name(), zoned(f.data_type(), zone), f.is_nullable()));
    match t {
        ArrowType::Timestamp(unit, Some(_)) => ArrowType::Timestamp(*unit, Some(Arc::clone(zone))),
        ArrowType::List(f) => ArrowType::List(field(f)),
        ArrowType::Map(f, sorted) => ArrowType::Map(field(f), *sorted),
        ArrowType::Struct(fields) => ArrowType::Struct(fields.iter().map(field).collect()),
        other => other.clone(),
    }
}

/// Columns under names, as they are sent.
pub(super) fn sent_schema(columns: &[(String, ArrowType)], zone: &Arc<str>) -> SchemaRef {
    let fields: Vec<Field> = columns.iter().map(|(n, t)| Field::new(n, zoned(t, zone), true)).collect();
    Arc::new(Schema::new(fields))
}

/// A batch of the schema that is sent.
pub(super) fn sent_batch(columns: &[ArrayRef], schema: &SchemaRef, rows: usize) -> Result<RecordBatch> {
    let columns = columns
        .iter()
        .zip(schema.fields())
        .map(|(c, f)| conform(c, f.data_type()))
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).spark()
}

/// A batch as one column of structs, which is how some functions take their rows.
pub(super) fn wrapped(batch: &RecordBatch) -> Result<RecordBatch> {
    let fields: Fields = batch.schema().fields().clone();
    let rows = batch.num_rows();
    let all =
        StructArray::try_new_with_length(fields.clone(), batch.columns().to_vec(), None, rows).spark()?;
    let schema = Arc::new(Schema::new(vec![Field::new("_0", ArrowType::Struct(fields), false)]));
    RecordBatch::try_new(schema, vec![Arc::new(all)]).spark()
}

/// The columns inside the one column of structs that some functions give, of the types that were declared.
pub(super) fn unwrapped(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch> {
    let columns = match batch.columns() {
        [only] => match only.as_any().downcast_ref::<StructArray>() {
            Some(all) if all.num_columns() == wanted.fields().len() => all.columns().to_vec(),
            _ => batch.columns().to_vec(),
        },
        many => many.to_vec(),
    };
    if columns.len() != wanted.fields().len() {
        return Err(Error::internal(format!(
            "a Python function gave {} columns where {} were declared",
            columns.len(),
            wanted.fields().len()
        )));
    }
    let columns = columns
        .iter()
        .zip(wanted.fields())
        .map(|(c, f)| conform(c, f.data_type()))
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(wanted), columns, &options).spark()
}

/// A batch in parts of at most so many rows.
pub(super) fn parts(batch: RecordBatch, rows: usize) -> Vec<RecordBatch> {
    if batch.num_rows() <= rows {
        return vec![batch];
    }
    (0..batch.num_rows())
        .step_by(rows.max(1))
        .map(|at| batch.slice(at, rows.min(batch.num_rows() - at)))
        .collect()
}
