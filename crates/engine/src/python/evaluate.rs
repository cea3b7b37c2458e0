//! The operator that adds the results of Python calls as columns.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType as ArrowType, SchemaRef};
use boathouse_bridge::{ResultExt, arrow_type, conform};
use boathouse_python::{Body, EvalType, Function, Input};
use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use parking_lot::Mutex;

use super::PythonCall;
use super::stream::{Exchange, exchanged, parts, sent_batch, sent_schema};
use crate::operators::{self, MapPartitionsExec, Operator, PartitionWork};

/// Calls that one task answers, their arguments one after the other.
#[derive(Clone)]
pub(super) struct Evaluate {
    pub calls: Vec<Arc<PythonCall>>,
    /// The input's columns, then a column for each call.
    pub schema: SchemaRef,
}

impl fmt::Debug for Evaluate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.calls.iter().map(|c| c.name.as_str()).collect();
        write!(f, "PythonEval {}", names.join(", "))
    }
}

impl Operator for Evaluate {
    fn name(&self) -> &str {
        "PythonEval"
    }

    fn key(&self) -> String {
        format!("{self:?}")
    }

    fn plan(
        &self,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        exprs: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let input = operators::only(inputs, "PythonEval")?;
        let work = Work { evaluate: self.clone(), args: exprs };
        Ok(Arc::new(MapPartitionsExec::new(input, Arc::new(work), Arc::clone(&self.schema))))
    }
}

#[derive(Debug)]
struct Work {
    evaluate: Evaluate,
    args: Vec<Arc<dyn PhysicalExpr>>,
}

/// Rows that wait for their results.
type Waiting = Arc<Mutex<VecDeque<RecordBatch>>>;

impl PartitionWork for Work {
    fn name(&self) -> &str {
        "PythonEval"
    }

    fn run(
        &self,
        partition: usize,
        rows: SendableRecordBatchStream,
        _: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let calls = &self.evaluate.calls;
        let Some(first) = calls.first() else { return Ok(rows) };
        let setup = Arc::clone(&first.setup);
        let aggregates = EvalType(first.function.eval_type).is_aggregate();
        let mut offset = 0;
        let mut functions = Vec::with_capacity(calls.len());
        for call in calls {
            let args = call.arg_names.iter().map(|name| {
                offset += 1;
                (offset - 1, name.clone())
            });
            functions.push(Function {
                args: args.collect(),
                command: call.function.command.clone(),
                id: call.id,
            });
        }
        let types: Vec<DataType> = calls.iter().flat_map(|c| c.arg_types.iter().cloned()).collect();
        let mut task = setup.task(&first.function, partition, Body::Functions(functions));
        if task.eval_type == EvalType::ARROW_BATCHED {
            task.eval_conf.push(("input_type".to_string(), input_type(&types)));
        }
        let columns: Vec<(String, ArrowType)> =
            types.iter().enumerate().map(|(i, t)| (format!("_{i}"), arrow_type(t))).collect();
        let sent = sent_schema(&columns, &setup.zone);
        let waiting = Waiting::default();
        let (args, queue, batch_schema, batch_rows) =
            (self.args.clone(), Arc::clone(&waiting), Arc::clone(&sent), setup.batch_rows);
        let to_input = move |batch: RecordBatch| {
            let mut inputs = Vec::new();
            for batch in parts(batch, batch_rows) {
                let rows = batch.num_rows();
                let values = args
                    .iter()
                    .map(|a| a.evaluate(&batch).and_then(|v| v.into_array(rows)).spark())
                    .collect::<Result<Vec<ArrayRef>>>()?;
                if rows > 0 {
                    queue.lock().push_back(batch);
                    match aggregates {
                        true => inputs.extend(groups(&values, &batch_schema)?),
                        false => inputs.push(Input::Rows(sent_batch(&values, &batch_schema, rows)?)),
                    }
                }
            }
            Ok(inputs)
        };
        let schema = Arc::clone(&self.evaluate.schema);
        let from_output = move |results: RecordBatch| joined(&waiting, &results, &schema);
        let exchange = Exchange {
            setup,
            task,
            sent: (!aggregates).then_some(sent),
            to_input: Box::new(to_input),
            from_output: Box::new(from_output),
            always: false,
        };
        Ok(exchanged(rows, exchange, Arc::clone(&self.evaluate.schema)))
    }
}

/// The types of the arguments, as the worker reads them.
pub(super) fn input_type(types: &[DataType]) -> String {
    let fields = types.iter().enumerate().map(|(i, t)| StructField::new(format!("_{i}"), t.clone(), true));
    StructType::new(fields.collect()).json()
}

/// Lists of argument rows as groups.
fn groups(values: &[ArrayRef], schema: &SchemaRef) -> Result<Vec<Input>> {
    let [lists] = values else { return Err(Error::internal("an aggregate takes one list of rows")) };
    let lists = lists.as_list_opt::<i32>().ok_or_else(|| Error::internal("an aggregate takes lists"))?;
    let mut out = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let rows = lists.value(row);
        let columns = rows.as_struct_opt().map(|s| s.columns().to_vec()).unwrap_or_default();
        out.push(Input::Group(vec![sent_batch(&columns, schema, rows.len())?]));
    }
    Ok(out)
}

/// The rows that have waited, with the results beside them. Batches need not have the same size on both sides.
fn joined(waiting: &Waiting, results: &RecordBatch, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < results.num_rows() {
        let mut queue = waiting.lock();
        let Some(rows) = queue.pop_front() else {
            return Err(Error::internal("a Python function gave more rows than it was given"));
        };
        let count = rows.num_rows().min(results.num_rows() - at);
        if count < rows.num_rows() {
            queue.push_front(rows.slice(count, rows.num_rows() - count));
        }
        drop(queue);
        let rows = rows.slice(0, count);
        let results = results.slice(at, count);
        at += count;
        let columns = rows
            .columns()
            .iter()
            .chain(results.columns())
            .zip(schema.fields())
            .map(|(c, f)| conform(c, f.data_type()))
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        out.push(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).spark()?);
    }
    Ok(out)
}
