//! Python table functions: rows for each row of arguments, and rows at the end.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::{DataType as ArrowType, Schema, SchemaRef};
use boathouse_bridge::{ResultExt, arrow_type, conform};
use boathouse_python::{Body, EvalType, Input};
use boathouse_spec::{DataType, PythonFunction, Result, StructType};
use datafusion::common::DFSchemaRef;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use parking_lot::Mutex;

use super::Setup;
use super::evaluate::input_type;
use super::stream::{Exchange, FromOutput, exchanged, sent_batch, sent_schema, unwrapped};
use crate::operators::{self, PartitionOperator, PartitionWork};

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
    /// The pickled result of the class's `analyze`, where it has one.
    pub analyzed: Option<Vec<u8>>,
    /// The input's first columns stand beside the rows that its row gives: their number, and whether a row that gives none
    /// stays.
    pub lateral: Option<(usize, bool)>,
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

impl PartitionOperator for Table {
    fn key(&self) -> String {
        format!("{self:?} {:?}", self.table.function.command)
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
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
            analyzed: table.analyzed.clone(),
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
        let beside = table.lateral.map_or(0, |(columns, _)| columns);
        let waiting: Arc<Mutex<VecDeque<RecordBatch>>> = Arc::default();
        let queue = Arc::clone(&waiting);
        let to_input = move |batch: RecordBatch| -> Result<Vec<Input>> {
            let rows = batch.num_rows();
            let input = Input::Rows(sent_batch(&batch.columns()[beside..], &schema, rows)?);
            if beside > 0 {
                let left: Vec<usize> = (0..beside).collect();
                let left = batch.project(&left).spark()?;
                queue.lock().extend((0..rows).map(|row| left.slice(row, 1)));
            }
            Ok(vec![input])
        };
        let wanted = Arc::clone(&self.schema);
        let from_output: FromOutput = match table.lateral {
            None => Box::new(move |batch| Ok(vec![unwrapped(&batch, &wanted)?])),
            Some((_, outer)) => {
                let mut last: Option<RecordBatch> = None;
                Box::new(move |batch| {
                    // A batch for each row; what comes after the last of them belongs to the last row, too.
                    let next = waiting.lock().pop_front();
                    let is_further = next.is_none();
                    last = next.or_else(|| last.take());
                    match &last {
                        Some(row) => beside_row(row, &batch, &wanted, outer && !is_further),
                        None => Ok(Vec::new()),
                    }
                })
            }
        };
        let exchange = Exchange {
            setup: Arc::clone(&table.setup),
            task,
            sent: Some(sent),
            to_input: Box::new(to_input),
            from_output,
            always: false,
        };
        Ok(exchanged(rows, exchange, Arc::clone(&self.schema)))
    }
}

/// The rows that a row of the left side gives, with the row beside each.
fn beside_row(
    row: &RecordBatch,
    batch: &RecordBatch,
    wanted: &SchemaRef,
    outer: bool,
) -> Result<Vec<RecordBatch>> {
    let of_function = wanted.fields().iter().skip(row.num_columns()).cloned().collect::<Vec<_>>();
    let given = unwrapped(batch, &Arc::new(Schema::new(of_function)))?;
    let rows = match given.num_rows() {
        0 if !outer => return Ok(Vec::new()),
        rows => rows.max(1),
    };
    let repeat = UInt32Array::from(vec![0; rows]);
    let mut columns = Vec::with_capacity(wanted.fields().len());
    for column in row.columns() {
        columns.push(take(column, &repeat, None).spark()?);
    }
    for column in given.columns() {
        columns.push(match given.num_rows() {
            0 => new_null_array(column.data_type(), rows),
            _ => Arc::clone(column),
        });
    }
    let columns = columns
        .iter()
        .zip(wanted.fields())
        .map(|(c, f)| conform(c, f.data_type()))
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(vec![RecordBatch::try_new_with_options(Arc::clone(wanted), columns, &options).spark()?])
}
