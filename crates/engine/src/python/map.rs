//! `mapInPandas` and `mapInArrow`: a function over the batches of each partition.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType as ArrowType, SchemaRef};
use boathouse_bridge::arrow_type;
use boathouse_python::{Body, Function, Input};
use boathouse_spec::{PythonFunction, Result, StructField};
use datafusion::common::DFSchemaRef;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;

use super::Setup;
use super::call::next_id;
use super::stream::{Exchange, exchanged, parts, sent_batch, sent_schema, unwrapped, wrapped};
use crate::operators::{self, PartitionOperator, PartitionWork};

/// The function's rows. `columns` are the input's, as the user names them.
pub(crate) fn map_partitions(
    input: LogicalPlan,
    name: &str,
    function: PythonFunction,
    columns: &[StructField],
    schema: DFSchemaRef,
    setup: Arc<Setup>,
) -> LogicalPlan {
    plan(input, name, function, columns, schema, setup, false)
}

/// The same, where the function is also called for partitions without rows.
pub(crate) fn map_all_partitions(
    input: LogicalPlan,
    name: &str,
    function: PythonFunction,
    columns: &[StructField],
    schema: DFSchemaRef,
    setup: Arc<Setup>,
) -> LogicalPlan {
    plan(input, name, function, columns, schema, setup, true)
}

fn plan(
    input: LogicalPlan,
    name: &str,
    function: PythonFunction,
    columns: &[StructField],
    schema: DFSchemaRef,
    setup: Arc<Setup>,
    always: bool,
) -> LogicalPlan {
    let columns = columns.iter().map(|f| (f.name.clone(), arrow_type(&f.data_type))).collect();
    let arrow = Arc::new(schema.as_arrow().clone());
    let map = Map { name: name.to_string(), function, columns, schema: arrow, setup, always, id: next_id() };
    operators::plan(map, vec![input], Vec::new(), Some(schema))
}

#[derive(Clone)]
struct Map {
    name: String,
    function: PythonFunction,
    columns: Vec<(String, ArrowType)>,
    schema: SchemaRef,
    setup: Arc<Setup>,
    /// Whether it is called without rows, too.
    always: bool,
    id: i64,
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MapInPython {}", self.name)
    }
}

impl PartitionOperator for Map {
    fn key(&self) -> String {
        format!("{self:?} {:?}", self.function.command)
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl PartitionWork for Map {
    fn name(&self) -> &str {
        "MapInPython"
    }

    fn run(
        &self,
        partition: usize,
        rows: SendableRecordBatchStream,
        _: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let command = self.function.command.clone();
        let function = Function { args: vec![(0, None)], command, id: self.id };
        let task = self.setup.task(&self.function, partition, Body::Functions(vec![function]));
        let flat = sent_schema(&self.columns, &self.setup.zone);
        let empty = RecordBatch::new_empty(Arc::clone(&flat));
        let sent = wrapped(&empty).map_err(boathouse_bridge::to_datafusion)?.schema();
        let batch_rows = self.setup.batch_rows;
        let to_input = move |batch: RecordBatch| {
            let send =
                |b: RecordBatch| Ok(Input::Rows(wrapped(&sent_batch(b.columns(), &flat, b.num_rows())?)?));
            parts(batch, batch_rows)
                .into_iter()
                .filter(|b| b.num_rows() > 0)
                .map(send)
                .collect::<Result<Vec<_>>>()
        };
        let wanted = Arc::clone(&self.schema);
        let exchange = Exchange {
            setup: Arc::clone(&self.setup),
            task,
            sent: Some(sent),
            to_input: Box::new(to_input),
            from_output: Box::new(move |batch| Ok(vec![unwrapped(&batch, &wanted)?])),
            always: self.always,
        };
        Ok(exchanged(rows, exchange, Arc::clone(&self.schema)))
    }
}
