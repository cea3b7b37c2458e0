//! `applyInPandas`, `applyInArrow` and their co-grouped forms: a function over the rows of each group.
//!
//! The input has a row a group: the keys, then for each side a list of the group's rows.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType as ArrowType, SchemaRef};
use boathouse_bridge::{ResultExt, arrow_type};
use boathouse_python::{Body, EvalType, Function, Input};
use boathouse_spec::{Error, PythonFunction, Result, StructField};
use datafusion::common::DFSchemaRef;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;

use super::Setup;
use super::call::next_id;
use super::stream::{Exchange, exchanged, sent_batch, sent_schema, unwrapped, wrapped};
use crate::operators::{self, PartitionOperator, PartitionWork};

/// What is applied to groups.
pub(crate) struct ApplyGroups {
    pub name: String,
    pub function: PythonFunction,
    /// The keys, as the user names them.
    pub keys: Vec<StructField>,
    /// The columns of each side.
    pub sides: Vec<Vec<StructField>>,
    pub setup: Arc<Setup>,
}

pub(crate) fn apply_groups(input: LogicalPlan, apply: ApplyGroups, schema: DFSchemaRef) -> LogicalPlan {
    let columns = |fields: &[StructField]| -> Vec<(String, ArrowType)> {
        fields.iter().map(|f| (f.name.clone(), arrow_type(&f.data_type))).collect()
    };
    let keys = columns(&apply.keys);
    let sides = apply.sides.iter().map(|s| keys.iter().cloned().chain(columns(s)).collect()).collect();
    let arrow = Arc::new(schema.as_arrow().clone());
    let groups = Groups {
        name: apply.name,
        function: apply.function,
        key_count: keys.len(),
        id: next_id(),
        sides,
        schema: arrow,
        setup: apply.setup,
    };
    operators::plan(groups, vec![input], Vec::new(), Some(schema))
}

#[derive(Clone)]
struct Groups {
    name: String,
    function: PythonFunction,
    key_count: usize,
    id: i64,
    /// Keys and columns of each side.
    sides: Vec<Vec<(String, ArrowType)>>,
    schema: SchemaRef,
    setup: Arc<Setup>,
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApplyInPython {}", self.name)
    }
}

impl PartitionOperator for Groups {
    fn key(&self) -> String {
        format!("{self:?} {:?}", self.function.command)
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl PartitionWork for Groups {
    fn name(&self) -> &str {
        "ApplyInPython"
    }

    fn run(
        &self,
        partition: usize,
        rows: SendableRecordBatchStream,
        _: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let (args, command) = (self.offsets(), self.function.command.clone());
        let function = Function { args, command, id: self.id };
        let task = self.setup.task(&self.function, partition, Body::Functions(vec![function]));
        // Functions over one group as Arrow take its rows as structs.
        let wraps = matches!(task.eval_type, EvalType::GROUPED_MAP_ARROW | EvalType::GROUPED_MAP_ARROW_ITER);
        let schemas: Vec<SchemaRef> = self.sides.iter().map(|s| sent_schema(s, &self.setup.zone)).collect();
        let key_count = self.key_count;
        let to_input = move |batch: RecordBatch| {
            let mut inputs = Vec::with_capacity(batch.num_rows());
            for row in 0..batch.num_rows() {
                let mut streams: Vec<RecordBatch> = Vec::with_capacity(schemas.len());
                for (side, schema) in schemas.iter().enumerate() {
                    let rows = group(&batch, row, key_count, side, schema)?;
                    streams.push(if wraps { wrapped(&rows)? } else { rows });
                }
                // Without keys there is a group also where there are no rows.
                if streams.iter().any(|s| s.num_rows() > 0) {
                    inputs.push(Input::Group(streams));
                }
            }
            Ok(inputs)
        };
        let wanted = Arc::clone(&self.schema);
        let exchange = Exchange {
            setup: Arc::clone(&self.setup),
            task,
            sent: None,
            to_input: Box::new(to_input),
            from_output: Box::new(move |batch| Ok(vec![unwrapped(&batch, &wanted)?])),
            always: false,
        };
        Ok(exchanged(rows, exchange, Arc::clone(&self.schema)))
    }
}

impl Groups {
    /// For each side: how many numbers follow, how many of them are keys, the keys' columns, the others'.
    fn offsets(&self) -> Vec<(i32, Option<String>)> {
        let mut out = Vec::new();
        for side in &self.sides {
            out.push(side.len() as i32 + 1);
            out.push(self.key_count as i32);
            out.extend(0..side.len() as i32);
        }
        out.into_iter().map(|n| (n, None)).collect()
    }
}

/// The rows of a side of a group, its keys before them.
fn group(
    batch: &RecordBatch,
    row: usize,
    key_count: usize,
    side: usize,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let lists = batch.column(key_count + side);
    let lists =
        lists.as_list_opt::<i32>().ok_or_else(|| Error::internal("the rows of a group are no list"))?;
    let rows = lists.value(row);
    let fields = rows.as_struct_opt().ok_or_else(|| Error::internal("the rows of a group are no structs"))?;
    let repeat = UInt32Array::from(vec![row as u32; rows.len()]);
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for key in &batch.columns()[..key_count] {
        columns.push(take(key, &repeat, None).spark()?);
    }
    columns.extend(fields.columns().iter().cloned());
    sent_batch(&columns, schema, rows.len())
}
