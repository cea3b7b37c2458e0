//! Recursive common table expressions: the anchor's rows, then again and again those that the recursive step makes of the
//! rows before, until there are none.
//!
//! The step reads the rows before from [`WorkRows`], which the analyzer puts in place of the table's own name. All levels
//! are computed before the first row leaves, as in Spark: a recursion that does not end fails whatever is asked of it, but
//! for a LIMIT directly above.

use std::any::Any;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use boathouse_bridge::{conform_batch, no_expressions, one_partition, to_datafusion};
use boathouse_spec::Error;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, LogicalPlan, TableSource, TableType, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::execution_plan::{EmissionType, reset_plan_states};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, Distribution, ExecutionPlan,
    InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::StreamExt;
use parking_lot::Mutex;

/// The rows of the level before, which the recursive step reads.
#[derive(Debug)]
pub(crate) struct WorkRows {
    schema: SchemaRef,
    batches: Mutex<Vec<RecordBatch>>,
}

impl WorkRows {
    pub fn new(schema: SchemaRef) -> Arc<Self> {
        Arc::new(Self { schema, batches: Mutex::default() })
    }

    /// Whether the source is this table.
    pub fn is_table(self: &Arc<Self>, source: &Arc<dyn TableSource>) -> bool {
        let Ok(provider) = source_as_provider(source) else { return false };
        let provider: &dyn Any = provider.as_ref();
        provider.downcast_ref::<WorkTable>().is_some_and(|t| Arc::ptr_eq(&t.rows, self))
    }

    /// The rows as a table.
    pub fn table(self: &Arc<Self>) -> DataFusionResult<Arc<dyn TableProvider>> {
        let stream = Arc::new(WorkStream(Arc::clone(self)));
        let table = StreamingTable::try_new(Arc::clone(&self.schema), vec![stream])?;
        Ok(Arc::new(WorkTable { rows: Arc::clone(self), table }))
    }
}

#[derive(Debug)]
struct WorkTable {
    rows: Arc<WorkRows>,
    table: StreamingTable,
}

#[async_trait]
impl TableProvider for WorkTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.rows.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        self.table.scan(state, projection, filters, limit).await
    }
}

#[derive(Debug)]
struct WorkStream(Arc<WorkRows>);

impl PartitionStream for WorkStream {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = self.0.batches.lock().clone();
        let stream = futures::stream::iter(batches.into_iter().map(Ok));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.0.schema), stream))
    }
}

/// How far a recursion may go; `None`: without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash)]
pub(crate) struct Limits {
    pub levels: Option<u64>,
    pub rows: Option<u64>,
}

/// `anchor UNION ALL step`, where the step reads the rows of the level before.
#[derive(Debug, Clone)]
pub(crate) struct Recursion {
    pub anchor: LogicalPlan,
    pub step: LogicalPlan,
    pub schema: DFSchemaRef,
    pub work: Arc<WorkRows>,
    pub limits: Limits,
}

/// Whether the node on top of a plan is a recursion.
pub(crate) fn is_recursion(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Extension(extension) if extension.node.as_any().is::<Recursion>())
}

/// Whether a plan has a recursion in it.
pub(crate) fn is_recursive(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        if is_recursion(node) {
            found = true;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok());
    found
}

impl PartialEq for Recursion {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.work, &other.work)
            && self.limits == other.limits
            && self.anchor == other.anchor
            && self.step == other.step
    }
}

impl Eq for Recursion {}

impl PartialOrd for Recursion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.anchor.partial_cmp(&other.anchor)
    }
}

impl Hash for Recursion {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.anchor.hash(state);
        self.step.hash(state);
        self.limits.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for Recursion {
    fn name(&self) -> &str {
        "UnionLoop"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.anchor, &self.step]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "UnionLoop")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        let [anchor, step]: [LogicalPlan; 2] =
            inputs.try_into().map_err(|_| DataFusionError::Internal("UnionLoop has two inputs".into()))?;
        Ok(Self {
            anchor,
            step,
            schema: Arc::clone(&self.schema),
            work: Arc::clone(&self.work),
            limits: self.limits,
        })
    }
}

pub(crate) struct RecursionPlanner;

#[async_trait]
impl ExtensionPlanner for RecursionPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(recursion) = node.as_any().downcast_ref::<Recursion>() else { return Ok(None) };
        let [anchor, step] = inputs else {
            return Err(DataFusionError::Internal("UnionLoop has two inputs".into()));
        };
        let schema = Arc::clone(recursion.schema.inner());
        Ok(Some(Arc::new(RecursionExec {
            anchor: Arc::clone(anchor),
            step: Arc::clone(step),
            properties: one_partition(Arc::clone(&schema), EmissionType::Final),
            schema,
            work: Arc::clone(&recursion.work),
            limits: recursion.limits,
            fetch: None,
        })))
    }
}

#[derive(Debug, Clone)]
struct RecursionExec {
    anchor: Arc<dyn ExecutionPlan>,
    step: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    work: Arc<WorkRows>,
    limits: Limits,
    /// Rows that are wanted.
    fetch: Option<usize>,
}

impl DisplayAs for RecursionExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "UnionLoopExec")?;
        self.fetch.map_or(Ok(()), |n| write!(f, ": fetch={n}"))
    }
}

impl ExecutionPlan for RecursionExec {
    fn name(&self) -> &str {
        "UnionLoopExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.anchor, &self.step]
    }

    no_expressions!();

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        self.input_distribution_requirements().into_per_child()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition, Distribution::SinglePartition])
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let [anchor, step]: [Arc<dyn ExecutionPlan>; 2] = children
            .try_into()
            .map_err(|_| DataFusionError::Internal("UnionLoopExec has two inputs".into()))?;
        Ok(Arc::new(Self { anchor, step, ..Self::clone(&self) }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self { fetch: limit, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        let schema = Arc::clone(&self.schema);
        let plan = self.clone();
        let rows = futures::stream::once(async move { plan.levels(context).await });
        let rows = rows.flat_map(|levels| match levels {
            Ok(batches) => futures::stream::iter(batches.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(e) => futures::stream::iter(vec![Err(e)]),
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

impl RecursionExec {
    /// The rows of all levels.
    async fn levels(&self, context: Arc<TaskContext>) -> DataFusionResult<Vec<RecordBatch>> {
        let memory = MemoryConsumer::new("UnionLoop").register(context.memory_pool());
        let mut all: Vec<RecordBatch> = Vec::new();
        let mut total = 0usize;
        let mut level = 0u64;
        let mut plan = Arc::clone(&self.anchor);
        loop {
            let mut stream = plan.execute(0, Arc::clone(&context))?;
            let mut fresh = Vec::new();
            while let Some(batch) = stream.next().await {
                let batch = conform_batch(&batch?, &self.schema).map_err(to_datafusion)?;
                if batch.num_rows() == 0 {
                    continue;
                }
                memory.try_grow(batch.get_array_memory_size())?;
                total += batch.num_rows();
                fresh.push(batch);
            }
            if fresh.is_empty() {
                return Ok(all);
            }
            all.extend(fresh.iter().cloned());
            if let Some(wanted) = self.fetch
                && total >= wanted
            {
                return Ok(first_rows(all, wanted));
            }
            if let (None, Some(most)) = (self.fetch, self.limits.rows)
                && total as u64 > most
            {
                return Err(to_datafusion(row_limit(most)));
            }
            if let Some(most) = self.limits.levels
                && level >= most
            {
                return Err(to_datafusion(level_limit(most)));
            }
            level += 1;
            let renamed =
                fresh.iter().map(|b| conform_batch(b, &self.work.schema)).collect::<Result<Vec<_>, _>>();
            *self.work.batches.lock() = renamed.map_err(to_datafusion)?;
            plan = reset_plan_states(Arc::clone(&self.step))?;
        }
    }
}

fn first_rows(batches: Vec<RecordBatch>, wanted: usize) -> Vec<RecordBatch> {
    let mut left = wanted;
    let cut = batches.into_iter().map(|b| {
        let taken = b.num_rows().min(left);
        left -= taken;
        b.slice(0, taken)
    });
    cut.filter(|b| b.num_rows() > 0).collect()
}

fn level_limit(most: u64) -> Error {
    Error::new("RECURSION_LEVEL_LIMIT_EXCEEDED").param("levelLimit", most).message(format!(
        "Recursion level limit {most} reached but query has not exhausted, try increasing it like \
         'WITH RECURSIVE t(col) MAX RECURSION LEVEL 200'."
    ))
}

fn row_limit(most: u64) -> Error {
    Error::new("RECURSION_ROW_LIMIT_EXCEEDED")
        .param("rowLimit", most)
        .message(format!("Recursion row limit {most} reached but query has not exhausted, try setting a larger LIMIT value when querying the CTE relation."))
}
