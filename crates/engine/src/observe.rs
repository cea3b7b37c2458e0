//! `observe`: named metrics of the rows that pass a point of a plan.
//!
//! The analyzer puts an [`Observe`] node there ([`plan`]). The rows pass unchanged; each partition aggregates on the
//! way, and when the last has ended the metrics are complete. The executor finds the nodes in the plan ([`observations`])
//! and hands their values to the client with the end of the rows.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use async_trait::async_trait;
use boathouse_bridge::{ResultExt, no_expressions, one_input, to_datafusion};
use boathouse_spec::{DataType, Literal, Result};
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Accumulator, Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PhysicalExpr, PlanProperties,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use parking_lot::Mutex;

use crate::QueryResult;
use crate::expectations::ExpectPlanner;

/// A metric: its name and type, and how it comes from the observation's aggregates.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Metric {
    pub name: String,
    pub data_type: DataType,
    /// Over the results of the aggregates, which are its columns.
    pub expr: Expr,
}

/// The metrics of one `observe`, filled while the plan runs.
pub(crate) struct Observation {
    pub name: String,
    /// Aggregate function calls over the input's columns, with the names that the metrics know their results by.
    aggregates: Vec<(String, Expr)>,
    metrics: Vec<Metric>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accumulators: Vec<Box<dyn Accumulator>>,
    values: Option<Vec<Literal>>,
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observation({})", self.name)
    }
}

impl Observation {
    /// The names and values, once all rows have passed. Before that they are NULL.
    pub fn values(&self) -> Vec<(String, Literal)> {
        let mut state = self.state.lock();
        if state.values.is_none() && !state.accumulators.is_empty() {
            let results: DataFusionResult<Vec<ScalarValue>> =
                state.accumulators.iter_mut().map(|a| a.evaluate()).collect();
            state.values = results.spark().and_then(|r| self.computed(&r)).ok();
        }
        let null = |m: &Metric| Literal::Null(m.data_type.clone());
        match &state.values {
            Some(values) => {
                self.metrics.iter().zip(values).map(|(m, v)| (m.name.clone(), v.clone())).collect()
            }
            None => self.metrics.iter().map(|m| (m.name.clone(), null(m))).collect(),
        }
    }

    /// The metrics, out of the results of the aggregates.
    fn computed(&self, results: &[ScalarValue]) -> Result<Vec<Literal>> {
        let fields: Vec<Field> = self
            .aggregates
            .iter()
            .zip(results)
            .map(|((name, _), value)| Field::new(name, value.data_type(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let columns =
            results.iter().map(ScalarValue::to_array).collect::<DataFusionResult<Vec<_>>>().spark()?;
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options).spark()?;
        let schema = DFSchema::try_from(schema).spark()?;
        let value = |metric: &Metric| {
            let expr =
                create_physical_expr(&metric.expr, &schema, &ExecutionProps::new(), &Default::default())
                    .spark()?;
            let array = expr.evaluate(&batch).and_then(|v| v.into_array(1)).spark()?;
            crate::literals::from_scalar(&ScalarValue::try_from_array(&array, 0).spark()?, &metric.data_type)
        };
        self.metrics.iter().map(value).collect()
    }

    /// Adds what one partition has seen.
    fn merge(&self, partials: Vec<Box<dyn Accumulator>>) -> DataFusionResult<()> {
        let mut state = self.state.lock();
        state.values = None;
        if state.accumulators.is_empty() {
            state.accumulators = partials;
            return Ok(());
        }
        for (whole, mut part) in state.accumulators.iter_mut().zip(partials) {
            let fields: DataFusionResult<Vec<_>> = part.state()?.iter().map(|s| s.to_array()).collect();
            whole.merge_batch(&fields?)?;
        }
        Ok(())
    }
}

/// A plan that gives the rows of `input` and observes them.
pub(crate) fn plan(
    input: LogicalPlan,
    name: &str,
    aggregates: Vec<(String, Expr)>,
    metrics: Vec<Metric>,
) -> LogicalPlan {
    let observation = Observation { name: name.to_string(), aggregates, metrics, state: Mutex::default() };
    let observation = Arc::new(observation);
    LogicalPlan::Extension(Extension { node: Arc::new(Observe { input, observation }) })
}

/// The values of observations, as they go to the client.
pub(crate) fn values(observations: &[Arc<Observation>]) -> Vec<(String, Vec<(String, Literal)>)> {
    observations.iter().map(|o| (o.name.clone(), o.values())).collect()
}

/// What was observed of the rows of a plan, by the names of the observations.
pub fn observed(plan: &LogicalPlan) -> Vec<(String, Vec<(String, Literal)>)> {
    values(&observations(plan))
}

tokio::task_local! {
    /// The observations in the plans that the running command has executed.
    static OF_COMMAND: Arc<Mutex<Vec<Arc<Observation>>>>;
}

/// Runs a command, and gives it the metrics that were observed meanwhile.
pub(crate) async fn during(command: impl Future<Output = Result<QueryResult>>) -> Result<QueryResult> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let result = OF_COMMAND.scope(Arc::clone(&seen), command).await?;
    let seen = std::mem::take(&mut *seen.lock());
    result.observed.lock().extend(values(&seen));
    Ok(result)
}

/// Notes that a plan is about to run.
pub(crate) fn note(plan: &LogicalPlan) {
    let _ = OF_COMMAND.try_with(|seen| seen.lock().extend(observations(plan)));
}

/// The observations in a plan, in the order of their nodes.
pub(crate) fn observations(plan: &LogicalPlan) -> Vec<Arc<Observation>> {
    let mut found = Vec::new();
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Extension(extension) = node
            && let Some(observe) = extension.node.as_any().downcast_ref::<Observe>()
        {
            found.push(Arc::clone(&observe.observation));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok());
    found
}

#[derive(Debug, Clone)]
struct Observe {
    input: LogicalPlan,
    observation: Arc<Observation>,
}

impl PartialEq for Observe {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.observation, &other.observation) && self.input == other.input
    }
}

impl Eq for Observe {}

impl PartialOrd for Observe {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input)
    }
}

impl Hash for Observe {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.observation.name.hash(state);
        self.input.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for Observe {
    fn name(&self) -> &str {
        "Observe"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "CollectMetrics {}", self.observation.name)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        match inputs.pop() {
            Some(input) => Ok(Self { input, observation: Arc::clone(&self.observation) }),
            None => Err(DataFusionError::Internal("Observe has one input".into())),
        }
    }

    fn necessary_children_exprs(&self, _: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}

/// DataFusion's planner, and ours for the nodes that are ours.
#[derive(Debug, Default)]
pub(crate) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        state: &dyn Session,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let plan = crate::lazy::lazily(plan.clone())?;
        DefaultPhysicalPlanner::with_extension_planners(extension_planners())
            .create_physical_plan(&plan, state)
            .await
    }
}

/// The planners of the nodes that are ours, for those who plan with nodes of their own beside them.
pub fn extension_planners() -> Vec<Arc<dyn ExtensionPlanner + Send + Sync>> {
    vec![
        Arc::new(ObservePlanner),
        Arc::new(ExpectPlanner),
        Arc::new(crate::operators::OperatorPlanner),
        Arc::new(crate::recursion::RecursionPlanner),
        Arc::new(crate::stream_plan::StreamNodePlanner),
    ]
}

struct ObservePlanner;

#[async_trait]
impl ExtensionPlanner for ObservePlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        state: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(observe) = node.as_any().downcast_ref::<Observe>() else { return Ok(None) };
        let Some(input) = inputs.first() else {
            return Err(DataFusionError::Internal("Observe has one input".into()));
        };
        let schema = input.schema();
        let mut aggregates = Vec::with_capacity(observe.observation.aggregates.len());
        for (_, aggregate) in &observe.observation.aggregates {
            let (input, properties) = (observe.input.schema(), state.execution_props());
            let lowered =
                LoweredAggregateBuilder::new(aggregate, input, &schema, properties, context).build()?;
            aggregates.push((lowered.aggregate, lowered.filter));
        }
        Ok(Some(Arc::new(ObserveExec {
            input: Arc::clone(input),
            observation: Arc::clone(&observe.observation),
            aggregates,
        })))
    }
}

type Aggregate = (Arc<AggregateFunctionExpr>, Option<Arc<dyn PhysicalExpr>>);

#[derive(Debug)]
struct ObserveExec {
    input: Arc<dyn ExecutionPlan>,
    observation: Arc<Observation>,
    aggregates: Vec<Aggregate>,
}

impl DisplayAs for ObserveExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "ObserveExec: {}", self.observation.name)
    }
}

impl ObserveExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self {
            input,
            observation: Arc::clone(&self.observation),
            aggregates: self.aggregates.clone(),
        })
    }
}

impl ExecutionPlan for ObserveExec {
    fn name(&self) -> &str {
        "ObserveExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    one_input!();
    no_expressions!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        let schema = rows.schema();
        let accumulators: DataFusionResult<Vec<_>> =
            self.aggregates.iter().map(|(a, _)| a.create_accumulator()).collect();
        let watch = Watch {
            rows,
            accumulators: accumulators?,
            aggregates: self.aggregates.clone(),
            observation: Arc::clone(&self.observation),
        };
        let stream = futures::stream::unfold(Some(watch), |watch| async move {
            let mut watch = watch?;
            match watch.rows.next().await {
                Some(Ok(batch)) => match watch.see(&batch) {
                    Ok(()) => Some((Ok(batch), Some(watch))),
                    Err(e) => Some((Err(e), None)),
                },
                Some(Err(e)) => Some((Err(e), None)),
                None => match watch.observation.merge(watch.accumulators) {
                    Ok(()) => None,
                    Err(e) => Some((Err(e), None)),
                },
            }
        });
        debug_assert!(partition < self.input.output_partitioning().partition_count());
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

/// One partition's rows as they pass.
struct Watch {
    rows: SendableRecordBatchStream,
    accumulators: Vec<Box<dyn Accumulator>>,
    aggregates: Vec<Aggregate>,
    observation: Arc<Observation>,
}

impl Watch {
    fn see(&mut self, batch: &RecordBatch) -> DataFusionResult<()> {
        for (accumulator, (aggregate, filter)) in self.accumulators.iter_mut().zip(&self.aggregates) {
            let kept = match filter {
                Some(filter) => {
                    let keep = filter.evaluate(batch)?.into_array(batch.num_rows())?;
                    let keep =
                        keep.as_any().downcast_ref::<arrow::array::BooleanArray>().ok_or_else(|| {
                            to_datafusion(boathouse_spec::Error::internal("a FILTER that is not boolean"))
                        })?;
                    arrow::compute::filter_record_batch(batch, keep)?
                }
                None => batch.clone(),
            };
            let values: DataFusionResult<Vec<_>> = aggregate
                .expressions()
                .iter()
                .map(|e| e.evaluate(&kept).and_then(|v| v.into_array(kept.num_rows())))
                .collect();
            accumulator.update_batch(&values?)?;
        }
        Ok(())
    }
}
