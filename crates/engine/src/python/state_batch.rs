//! `transformWithState` over a table: every group is met once, and what is remembered of it is forgotten again (Spark's
//! `TransformWithStateInPySparkExec` for batch queries).

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch, not};
use arrow::datatypes::SchemaRef;
use boathouse_bridge::{ResultExt, to_datafusion};
use boathouse_python::Said;
use boathouse_spec::{DataType, Error, Result, clock};
use datafusion::common::{DFSchemaRef, ScalarValue};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Union, lit};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;

use super::state_parts::GroupedRows;
use super::stateful::{StateTimes, StatefulTask};
use super::stream::unwrapped;
use crate::operators::{self, PartitionOperator, PartitionWork, Scheme};

/// The task over the rows, and over those that the state begins with.
pub(crate) fn stateful_batch(
    task: StatefulTask,
    inputs: Vec<LogicalPlan>,
    schema: DFSchemaRef,
) -> Result<LogicalPlan> {
    task.check_keys()?;
    let both = inputs.iter().enumerate().map(|(i, plan)| marked(&task, &inputs, i, plan).map(Arc::new));
    let mut both = both.collect::<Result<Vec<_>>>()?;
    let plan = match both.len() {
        1 => both.pop().map(Arc::unwrap_or_clone).ok_or_else(|| Error::internal("no input"))?,
        _ => LogicalPlan::Union(Union::try_new(both).spark()?),
    };
    let plan = operators::shuffle(plan, Scheme::Neighbours, 1);
    let work = Work { task: Arc::new(task), schema: Arc::new(schema.as_arrow().clone()) };
    Ok(operators::plan(work, vec![plan], Vec::new(), Some(schema)))
}

/// The keys of an input, whether it is the second, and its columns among those of both.
fn marked(
    task: &StatefulTask,
    inputs: &[LogicalPlan],
    this: usize,
    plan: &LogicalPlan,
) -> Result<LogicalPlan> {
    let keys = task.keys.len();
    let mut list: Vec<Expr> = Vec::new();
    let own = plan.schema().columns();
    list.extend(
        own[..keys].iter().enumerate().map(|(i, k)| Expr::Column(k.clone()).alias(format!("key {i}"))),
    );
    list.push(lit(this == 1).alias("initial"));
    for (side, input) in inputs.iter().enumerate() {
        for (i, field) in input.schema().fields()[keys..].iter().enumerate() {
            let value = match side == this {
                true => Expr::Column(own[keys + i].clone()),
                false => Expr::Literal(ScalarValue::try_from(field.data_type()).spark()?, None),
            };
            list.push(value.alias(format!("column {side} {i}")));
        }
    }
    Ok(LogicalPlan::Projection(Projection::try_new(list, Arc::new(plan.clone())).spark()?))
}

#[derive(Clone)]
struct Work {
    task: Arc<StatefulTask>,
    schema: SchemaRef,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransformWithState {}", self.task.name)
    }
}

impl PartitionOperator for Work {
    fn key(&self) -> String {
        format!("{self:?} {:?}", self.task.function.command)
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl PartitionWork for Work {
    fn name(&self) -> &str {
        "TransformWithState"
    }

    fn run(
        &self,
        _: usize,
        rows: SendableRecordBatchStream,
        _: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let this = self.clone();
        let input = rows.schema();
        let schema = Arc::clone(&self.schema);
        let made = futures::stream::once(async move {
            let batches: Vec<RecordBatch> = rows.try_collect().await?;
            let all = concat_batches(&input, &batches)?;
            let made = this.transformed(&all).await.map_err(to_datafusion)?;
            Ok::<_, datafusion::error::DataFusionError>(futures::stream::iter(made.into_iter().map(Ok)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, made.try_flatten())))
    }
}

impl Work {
    async fn transformed(&self, all: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let task = &self.task;
        let keys = task.keys.len();
        let initial = all.column(keys).as_boolean();
        let columns = |from: usize, count: usize| (0..keys).chain(from..from + count).collect::<Vec<_>>();
        let rows = filter_record_batch(all, &not(initial).spark()?).spark()?;
        let rows = rows.project(&columns(keys + 1, task.columns.len())).spark()?;
        let first = filter_record_batch(all, initial).spark()?;
        let first = first.project(&columns(keys + 1 + task.columns.len(), task.initial.len()));
        // Without an initial state there are no columns for one.
        let first = match task.initial.is_empty() {
            true => RecordBatch::new_empty(rows.schema()),
            false => first.spark()?,
        };
        let times = StateTimes { batch_ms: clock::now_ms(), watermark_ms: 0, has_watermark: false };
        // What is remembered of a group is forgotten with it.
        let (mut conversation, _) = task.introduced(times).await?;
        let mut made = Vec::new();
        for part in GroupedRows::new(keys, rows, first)?.parts(1)? {
            conversation.part("rows", &part.batches(task)?).await?;
            loop {
                match conversation.hear().await? {
                    Said::Done => break,
                    Said::Rows(batch) => made.push(unwrapped(&batch, &self.schema)?),
                    Said::Parse(text) => conversation.answer(parsed_columns(&text)).await?,
                    Said::Changes(..) | Said::Counts { .. } => {}
                    said => {
                        return Err(Error::internal(format!("a function over groups that says {said:?}")));
                    }
                }
            }
        }
        conversation.finish().await?;
        Ok(made)
    }
}

/// The columns that a text says, as JSON.
pub fn parsed_columns(text: &str) -> Result<String> {
    let parsed = match boathouse_sql::parse_schema(text) {
        Ok(columns) => DataType::Struct(columns),
        Err(e) => boathouse_sql::parse_data_type(text).map_err(|_| e)?,
    };
    Ok(parsed.json_value().to_string())
}
