//! Python table functions: rows for each row of arguments, and rows at the end.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType as ArrowType, SchemaRef};
use boathouse_bridge::arrow_type;
use boathouse_python::{Body, EvalType, Input};
use boathouse_spec::{DataType, PythonFunction, Result, StructType};
use datafusion::common::DFSchemaRef;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use super::Setup;
use super::evaluate::input_type;
use super::stream::{Exchange, exchanged, sent_batch, sent_schema, unwrapped};
use crate::operators::{self, MapPartitionsExec, Operator, PartitionWork};

/// A table function with what it is given.
#[derive(Clone)]
pub(crate) struct TableFunction {
    pub name: String,
    pub function: PythonFunction,
    /// The arguments are the input's columns, in order.
    pub args: Vec<(Option<String>, DataType)>,
    pub returns: StructType,
    /// Columns inside the table argument: a new instance of the class begins where their values change.
    pub partition_indexes: Vec<usize>,
    pub setup: Arc<Setup>,
}

/// The rows of a table function over the rows of its arguments.
pub(crate) fn table_function(input: LogicalPlan, table: TableFunction, schema: DFSchemaRef) -> LogicalPlan {
    let arrow = Arc::new(schema.as_arrow().clone());
    operators::plan(Table { table, schema: arrow }, vec![input], Vec::new(), Some(schema))
}

#[derive(Clone)]
struct Table {
    table: TableFunction,
    schema: SchemaRef,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PythonTableFunction {}", self.table.name)
    }
}

impl Operator for Table {
    fn name(&self) -> &str {
        "PythonTableFunction"
    }

    fn key(&self) -> String {
        format!("{self:?} {:?}", self.table.function.command)
    }

    fn plan(
        &self,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let input = operators::only(inputs, "PythonTableFunction")?;
        Ok(Arc::new(MapPartitionsExec::new(input, Arc::new(self.clone()), Arc::clone(&self.schema))))
    }
}

impl PartitionWork for Table {
    fn name(&self) -> &str {
        "PythonTableFunction"
    }

    fn run(
        &self,
        partition: usize,
        rows: SendableRecordBatchStream,
        _: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let table = &self.table;
        let args = table.args.iter().enumerate().map(|(i, (name, _))| (i as i32, name.clone())).collect();
        let body = Body::Table {
            args,
            command: table.function.command.clone(),
            return_type: table.returns.json(),
            name: table.name.clone(),
            partition_indexes: table.partition_indexes.iter().map(|i| *i as i32).collect(),
        };
        let mut task = table.setup.task(&table.function, partition, body);
        let types: Vec<DataType> = table.args.iter().map(|(_, t)| t.clone()).collect();
        match task.eval_type {
            EvalType::ARROW_UDTF => {
                let tables = types.iter().enumerate().filter(|(_, t)| matches!(t, DataType::Struct(_)));
                let tables: Vec<String> = tables.map(|(i, _)| i.to_string()).collect();
                task.eval_conf.push(("table_arg_offsets".to_string(), tables.join(",")));
            }
            _ => task.eval_conf.push(("input_type".to_string(), input_type(&types))),
        }
        let columns: Vec<(String, ArrowType)> =
            types.iter().enumerate().map(|(i, t)| (format!("_{i}"), arrow_type(t))).collect();
        let sent = sent_schema(&columns, &table.setup.zone);
        let schema = Arc::clone(&sent);
        let to_input = move |batch: RecordBatch| -> Result<Vec<Input>> {
            Ok(vec![Input::Rows(sent_batch(&batch.columns()[..schema.fields().len()], &schema, batch.num_rows())?)])
        };
        let wanted = Arc::clone(&self.schema);
        let exchange = Exchange {
            setup: Arc::clone(&table.setup),
            task,
            sent: Some(sent),
            to_input: Box::new(to_input),
            from_output: Box::new(move |batch| Ok(vec![unwrapped(&batch, &wanted)?])),
        };
        Ok(exchanged(rows, exchange, Arc::clone(&self.schema)))
    }
}
