//! One batch of a query that has watermarks or state: from the leaves up, each stateful operator takes the rows of what is below
//! it, and gives its output as rows in memory to what is above.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use boathouse_bridge::ResultExt;
use boathouse_engine::{EventTimeWatermark, Session, StatefulGroups, StreamDeduplicate};
use boathouse_spec::{Error, Result};
use datafusion::catalog::MemTable;
use datafusion::common::{Column, DFSchemaRef};
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, LogicalPlanBuilder, Projection};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::check::streams;
use super::times::{self, Times};
use super::watermark::{Tracker, WatermarkPlanner};
use super::{State, aggregate, deduplicate, join, limit, python};
use crate::query::OutputMode;

/// What the operators of a batch need to know.
pub(crate) struct Batches {
    state: SessionState,
    pub mode: OutputMode,
    pub batch_id: i64,
    /// When the batch was planned, in milliseconds since the epoch.
    pub batch_ms: i64,
    /// Rows that are not later than this are too late, in microseconds since the epoch: the watermark of the batch before.
    pub late_us: Option<i64>,
    /// What is not later than this is over.
    pub watermark_us: i64,
    pub tracker: Tracker,
}

#[derive(Debug)]
struct Planner(Tracker);

#[async_trait::async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        state: &dyn datafusion::catalog::Session,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let mut planners = boathouse_engine::extension_planners();
        planners.push(Arc::new(WatermarkPlanner(self.0.clone())));
        DefaultPhysicalPlanner::with_extension_planners(planners).create_physical_plan(plan, state).await
    }
}

impl Batches {
    pub fn new(
        session: &Session,
        mode: OutputMode,
        batch_id: i64,
        batch_ms: i64,
        late_us: Option<i64>,
        watermark_us: i64,
    ) -> Self {
        let tracker = Tracker::default();
        let state = SessionStateBuilder::new_from_existing(session.query_state())
            .with_query_planner(Arc::new(Planner(tracker.clone())))
            .build();
        Self { state, mode, batch_id, batch_ms, late_us, watermark_us, tracker }
    }

    /// The state without optimization of physical plans.
    pub fn unoptimized(&self) -> SessionState {
        SessionStateBuilder::new_from_existing(self.state.clone())
            .with_physical_optimizer_rules(Vec::new())
            .build()
    }

    pub async fn physical(&self, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        self.state.create_physical_plan(plan).await.spark()
    }

    pub async fn collect(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Vec<RecordBatch>> {
        datafusion::physical_plan::collect(plan, self.state.task_ctx()).await.spark()
    }

    /// Runs the query, and gives its rows under the names of the plan.
    pub async fn run(&self, state: &mut State, plan: LogicalPlan) -> Result<Vec<RecordBatch>> {
        state.begin();
        let (plan, _) = self.rewrite(state, plan).await?;
        let physical = self.physical(&plan).await?;
        self.collect(physical).await
    }

    /// The plan with the output of its stateful operators in their place.
    fn rewrite<'a>(
        &'a self,
        state: &'a mut State,
        plan: LogicalPlan,
    ) -> BoxFuture<'a, Result<(LogicalPlan, Times)>> {
        async move {
            if !streams(&plan) {
                return Ok((plan, Times::new()));
            }
            let mut inputs = Vec::new();
            let mut known = Vec::new();
            for input in plan.inputs() {
                let (input, times) = self.rewrite(state, input.clone()).await?;
                inputs.push(input);
                known.push(times);
            }
            let mut found = times::of(&plan, &known);
            let both = plan.inputs().iter().filter(|i| streams(i)).count() > 1;
            let rows = match &plan {
                LogicalPlan::Aggregate(node) => {
                    let input = only(&mut inputs)?;
                    let timed = known.first().cloned().unwrap_or_default();
                    let is_timed = |e: &Expr| matches!(e.clone().unalias_nested().data, Expr::Column(c) if timed.contains_key(&c.name));
                    let time = node.group_expr.iter().position(is_timed);
                    aggregate::run(self, state.next("stateStoreSave"), node, input, time).await?
                }
                LogicalPlan::Join(node) if both => {
                    let two = "a join has two sides";
                    let inputs = <[LogicalPlan; 2]>::try_from(inputs).map_err(|_| Error::internal(two))?;
                    let times = <[Times; 2]>::try_from(known).map_err(|_| Error::internal(two))?;
                    join::run(self, state.next("symmetricHashJoin"), node, inputs, times).await?
                }
                LogicalPlan::Limit(node) if self.mode == OutputMode::Append => {
                    let input = only(&mut inputs)?;
                    limit::run(self, state.next("globalLimit"), node, input).await?
                }
                LogicalPlan::Distinct(Distinct::All(_)) => {
                    let input = only(&mut inputs)?;
                    let keys = input.schema().columns();
                    deduplicate::run(self, state.next("dedupe"), &keys, false, input, &found).await?
                }
                LogicalPlan::Extension(node) => {
                    let node = node.node.as_any();
                    if let Some(watermark) = node.downcast_ref::<EventTimeWatermark>() {
                        found.insert(watermark.column.name.clone(), watermark.delay_us);
                        self.tracker.register(watermark);
                        return Ok((rebuilt(&plan, inputs)?, found));
                    }
                    if let Some(groups) = node.downcast_ref::<StatefulGroups>() {
                        let timed = known.first().cloned().unwrap_or_default();
                        let rows = python::run(self, state, groups, inputs, &timed).await?;
                        found.extend(times::of_groups(groups, &timed));
                        return Ok((in_memory(rows, plan.schema())?, found));
                    }
                    let Some(dedup) = node.downcast_ref::<StreamDeduplicate>() else {
                        return Ok((rebuilt(&plan, inputs)?, found));
                    };
                    let name = if dedup.within_watermark { "dedupeWithinWatermark" } else { "dedupe" };
                    let input = only(&mut inputs)?;
                    deduplicate::run(self, state.next(name), &dedup.keys, dedup.within_watermark, input, &found).await?
                }
                _ => return Ok((rebuilt(&plan, inputs)?, found)),
            };
            Ok((in_memory(rows, plan.schema())?, found))
        }
        .boxed()
    }
}

fn only(inputs: &mut Vec<LogicalPlan>) -> Result<LogicalPlan> {
    inputs.pop().ok_or_else(|| Error::internal("a stateful operator without input"))
}

fn rebuilt(plan: &LogicalPlan, inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    if inputs.is_empty() {
        return Ok(plan.clone());
    }
    plan.with_new_exprs(plan.expressions(), inputs).spark()
}

/// Rows as a leaf with the names of a node's output.
pub(super) fn in_memory(rows: Vec<RecordBatch>, schema: &DFSchemaRef) -> Result<LogicalPlan> {
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(i, f)| f.as_ref().clone().with_name(i.to_string()).with_nullable(true))
        .collect();
    let unnamed: SchemaRef = Arc::new(arrow::datatypes::Schema::new(fields));
    let rows = rows.into_iter().map(|b| {
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(b.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&unnamed), b.columns().to_vec(), &options)
    });
    let rows =
        rows.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| Error::internal(e.to_string()))?;
    let table = MemTable::try_new(Arc::clone(&unnamed), vec![rows]).spark()?;
    let scan = LogicalPlanBuilder::scan("state", provider_as_source(Arc::new(table)), None)
        .spark()?
        .build()
        .spark()?;
    let columns = scan.schema().columns().into_iter().zip(schema.fields());
    let named = columns.map(|(c, f): (Column, _)| Expr::Column(c).alias(f.name())).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(named, Arc::new(scan)).spark()?))
}
