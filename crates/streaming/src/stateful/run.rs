//! One batch of a query that has watermarks or state: from the leaves up, each stateful operator takes the rows of what is below
//! it, and gives its output as rows in memory to what is above.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use boathouse_bridge::ResultExt;
use boathouse_engine::{
    EventTimeWatermark, Session, SessionWindows, StatefulGroups, StreamDeduplicate, StreamOperation,
};
use boathouse_spec::{Error, Result};
use datafusion::catalog::MemTable;
use datafusion::common::{Column, DFSchemaRef};
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Distinct, Expr, Join, LogicalPlan, LogicalPlanBuilder, Projection};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::check::{aggregates, streams};
use super::distinct::without_redundant_aggregations;
use super::needed::Needed;
use super::times::{self, Times};
use super::watermark::{Tracker, WatermarkPlanner};
use super::{Operator, State, aggregate, deduplicate, join, limit, python, sessions};
use crate::query::OutputMode;

/// What the operators of a batch need to know.
#[derive(Clone)]
pub(crate) struct Batches {
    state: Arc<SessionState>,
    pub mode: OutputMode,
    pub batch_id: i64,
    /// When the batch was planned, in milliseconds since the epoch.
    pub batch_ms: i64,
    pub marks: Marks,
    pub tracker: Tracker,
}

/// The watermarks of an operator's input, in microseconds since the epoch. Operators whose output is older than their input
/// have lower ones for those above them (Spark's `WatermarkPropagator`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Rows that are not later than this are too late: the watermark of the batch before.
    pub late_us: Option<i64>,
    /// What is not later than this is over.
    pub now_us: i64,
}

impl Marks {
    fn and(self, other: Self) -> Self {
        Self { late_us: self.late_us.min(other.late_us), now_us: self.now_us.min(other.now_us) }
    }

    fn behind(self, us: i64) -> Self {
        let us = us.max(0);
        Self { late_us: self.late_us.map(|t| t.saturating_sub(us)), now_us: self.now_us.saturating_sub(us) }
    }
}

/// A part of the plan, with the output of its stateful operators in their place.
struct Rewritten {
    plan: LogicalPlan,
    times: Times,
    marks: Marks,
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
        let mut planners: Vec<Arc<dyn ExtensionPlanner + Send + Sync>> =
            vec![Arc::new(WatermarkPlanner(self.0.clone()))];
        planners.extend(boathouse_engine::extension_planners());
        DefaultPhysicalPlanner::with_extension_planners(planners).create_physical_plan(plan, state).await
    }
}

impl Batches {
    pub fn new(session: &Session, mode: OutputMode, batch_id: i64, batch_ms: i64, marks: Marks) -> Self {
        let tracker = Tracker::default();
        let state = SessionStateBuilder::new_from_existing(session.query_state())
            .with_query_planner(Arc::new(Planner(tracker.clone())))
            .build();
        Self { state: Arc::new(state), mode, batch_id, batch_ms, marks, tracker }
    }

    /// The state without optimization of physical plans.
    pub fn unoptimized(&self) -> SessionState {
        SessionStateBuilder::new_from_existing(self.state.as_ref().clone())
            .with_physical_optimizer_rules(Vec::new())
            .build()
    }

    /// Into how many parts large work is split.
    pub fn partitions(&self) -> usize {
        self.state.config().target_partitions().max(1)
    }

    pub async fn physical(&self, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        self.state.create_physical_plan(plan).await.spark()
    }

    pub async fn collect(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Vec<RecordBatch>> {
        datafusion::physical_plan::collect(plan, self.state.task_ctx()).await.spark()
    }

    /// The operators of the query that remember, in the order of their numbers.
    pub fn operators(&self, plan: &LogicalPlan) -> Vec<&'static str> {
        if !streams(plan) {
            return Vec::new();
        }
        let below = plan.inputs().into_iter().flat_map(|input| self.operators(input));
        self.operator_name(plan).into_iter().chain(below).collect()
    }

    /// Runs the query, and gives its rows under the names of the plan.
    pub async fn run(&self, state: &mut State, plan: LogicalPlan) -> Result<Vec<RecordBatch>> {
        let plan = without_redundant_aggregations(plan)?;
        state.begin(&self.operators(&plan)).await?;
        let rewritten = self.rewrite(state, plan, Needed::All).await?;
        let physical = self.physical(&rewritten.plan).await?;
        self.collect(physical).await
    }

    /// Runs the stateful operators, those below before those above; `needed` are the columns that those above read.
    fn rewrite<'a>(
        &'a self,
        state: &'a mut State,
        plan: LogicalPlan,
        needed: Needed,
    ) -> BoxFuture<'a, Result<Rewritten>> {
        async move {
            if !streams(&plan) {
                return Ok(Rewritten { plan, times: Times::new(), marks: self.marks });
            }
            // Operators have their numbers from the top down.
            let operator = self.operator_name(&plan).map(|name| state.enter(name));
            let (mut inputs, mut known, mut marks) = (Vec::new(), Vec::new(), self.marks);
            for (i, input) in plan.inputs().into_iter().enumerate() {
                let rewritten = self.rewrite(state, input.clone(), needed.below(&plan, i)).await?;
                marks = marks.and(rewritten.marks);
                inputs.push(rewritten.plan);
                known.push(rewritten.times);
            }
            let mut times = times::of(&plan, &known);
            if let Some(groups) = groups_of(&plan) {
                times.extend(times::of_groups(groups, known.first().unwrap_or(&Times::new())));
            }
            if let Some(operator) = operator {
                let batches = Self { marks, ..self.clone() };
                if let LogicalPlan::Join(join) = &plan {
                    marks = output_marks(join, &known, marks);
                }
                let operator = state.operator(operator)?;
                let rows = batches.operate(operator, &plan, inputs, known, &times, &needed).await?;
                return Ok(Rewritten { plan: in_memory(rows, plan.schema())?, times, marks });
            }
            if let LogicalPlan::Extension(node) = &plan {
                let node = node.node.as_any();
                if let Some(watermark) = node.downcast_ref::<EventTimeWatermark>() {
                    // Spark takes the watermark of other columns away.
                    times = Times::from([(watermark.column.name.clone(), watermark.delay_us)]);
                    self.tracker.register(watermark);
                }
                if node.is::<SessionWindows>() || node.is::<StreamOperation>() {
                    // The aggregation above makes sessions of the windows; other notes were for the check.
                    return Ok(Rewritten { plan: only(&mut inputs)?, times, marks });
                }
            }
            Ok(Rewritten { plan: rebuilt(&plan, inputs)?, times, marks })
        }
        .boxed()
    }

    /// What Spark calls the operator, where it is one that remembers.
    fn operator_name(&self, plan: &LogicalPlan) -> Option<&'static str> {
        match plan {
            LogicalPlan::Aggregate(node) if node.group_expr.iter().any(|e| is_session(e, &node.input)) => {
                Some("sessionWindowStateStoreSaveExec")
            }
            LogicalPlan::Aggregate(_) => Some("stateStoreSave"),
            LogicalPlan::Join(node) if streams(&node.left) && streams(&node.right) => {
                Some("symmetricHashJoin")
            }
            // Over rows that are only added; over an aggregation each batch has them all (`StreamingGlobalLimitStrategy`).
            LogicalPlan::Limit(_) if self.mode == OutputMode::Append || !aggregates(plan) => {
                Some("globalLimit")
            }
            LogicalPlan::Distinct(Distinct::All(_)) => Some("dedupe"),
            LogicalPlan::Extension(node) => {
                if let Some(groups) = groups_of(plan) {
                    return Some(python::name(&groups.task));
                }
                let dedup = node.node.as_any().downcast_ref::<StreamDeduplicate>()?;
                Some(if dedup.within_watermark { "dedupeWithinWatermark" } else { "dedupe" })
            }
            _ => None,
        }
    }

    /// Runs a stateful operator; `times` are the event times of its output, `needed` what is read of it.
    async fn operate(
        &self,
        operator: &mut Operator,
        plan: &LogicalPlan,
        mut inputs: Vec<LogicalPlan>,
        known: Vec<Times>,
        times: &Times,
        needed: &Needed,
    ) -> Result<Vec<RecordBatch>> {
        match plan {
            LogicalPlan::Aggregate(node) => {
                let input = only(&mut inputs)?;
                let timed = known.first().cloned().unwrap_or_default();
                let is_timed = |e: &Expr| matches!(e.clone().unalias_nested().data, Expr::Column(c) if timed.contains_key(&c.name));
                if let Some(session) = node.group_expr.iter().position(|e| is_session(e, &node.input)) {
                    let is_timed = is_timed(&node.group_expr[session]);
                    return sessions::run(self, operator, node, input, session, is_timed).await;
                }
                let time = node.group_expr.iter().position(is_timed);
                aggregate::run(self, operator, node, input, time).await
            }
            LogicalPlan::Join(node) => {
                let two = "a join has two sides";
                let inputs = <[LogicalPlan; 2]>::try_from(inputs).map_err(|_| Error::internal(two))?;
                let known = <[Times; 2]>::try_from(known).map_err(|_| Error::internal(two))?;
                join::run(self, operator, node, inputs, known, needed).await
            }
            LogicalPlan::Limit(node) => limit::run(self, operator, node, only(&mut inputs)?).await,
            LogicalPlan::Extension(node) => {
                if let Some(groups) = groups_of(plan) {
                    let timed = known.first().cloned().unwrap_or_default();
                    return python::run(self, operator, groups, inputs, &timed).await;
                }
                let Some(dedup) = node.node.as_any().downcast_ref::<StreamDeduplicate>() else {
                    return Err(Error::internal("an operator without state"));
                };
                let (keys, within) = (&dedup.keys, dedup.within_watermark);
                let mut times = times.clone();
                // A column that nobody reads is not there any more when Spark looks for the event time.
                times.retain(|name, _| within || needed.has(name) || keys.iter().any(|k| k.name == *name));
                deduplicate::run(self, operator, keys, within, only(&mut inputs)?, &times).await
            }
            // All columns of distinct rows are keys.
            _ => {
                let input = only(&mut inputs)?;
                let keys = input.schema().columns();
                deduplicate::run(self, operator, &keys, false, input, times).await
            }
        }
    }
}

/// The watermarks of what a join gives: its rows are as old as those that it remembers.
fn output_marks(join: &Join, known: &[Times], marks: Marks) -> Marks {
    let [left, right] = known else { return marks };
    let condition = join::Condition::of(join, [left.clone(), right.clone()]);
    let schemas = [join.left.schema(), join.right.schema()];
    let bounds = schemas.into_iter().enumerate().filter_map(|(side, schema)| condition.bound(side, schema));
    bounds.map(|bound| marks.behind(bound.behind_us)).fold(marks, Marks::and)
}

fn groups_of(plan: &LogicalPlan) -> Option<&StatefulGroups> {
    let LogicalPlan::Extension(node) = plan else { return None };
    node.node.as_any().downcast_ref()
}

/// Whether a key is the column that is to become sessions.
pub(super) fn is_session(key: &Expr, input: &LogicalPlan) -> bool {
    let Expr::Column(key) = key else { return false };
    if let LogicalPlan::Extension(node) = input
        && let Some(windows) = node.node.as_any().downcast_ref::<SessionWindows>()
        && windows.column.name == key.name
    {
        return true;
    }
    input.inputs().into_iter().any(|input| is_session(&Expr::Column(key.clone()), input))
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
