//! A slice of a stream as a table that counts the rows read from it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use boathouse_bridge::arrow_schema;
use boathouse_spec::StructType;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::StreamExt;
use parking_lot::Mutex;

/// Rows read by each plan over a slice.
pub(crate) type Counters = Arc<Mutex<Vec<Arc<AtomicU64>>>>;

/// Rows of a source. It marks the leaf of a plan as one that streams.
#[derive(Debug, Clone)]
pub(crate) struct StreamSlice {
    inner: Arc<dyn TableProvider>,
    counters: Counters,
}

impl StreamSlice {
    pub fn new(inner: Arc<dyn TableProvider>) -> Self {
        Self { inner, counters: Counters::default() }
    }

    /// No rows of a schema.
    pub fn empty(schema: &StructType) -> Self {
        Self::new(Arc::new(EmptyTable::new(Arc::new(arrow_schema(schema)))))
    }

    /// The rows that a plan read. A sink may run several; they read the same rows.
    pub fn rows_read(&self) -> i64 {
        let most = self.counters.lock().iter().map(|c| c.load(Ordering::Relaxed)).max();
        i64::try_from(most.unwrap_or(0)).unwrap_or(i64::MAX)
    }
}

#[async_trait]
impl TableProvider for StreamSlice {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.inner.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = self.inner.scan(state, projection, filters, limit).await?;
        let rows = Arc::new(AtomicU64::new(0));
        self.counters.lock().push(Arc::clone(&rows));
        Ok(Arc::new(CountExec { input, rows }))
    }
}

/// Passes rows on and counts them.
struct CountExec {
    input: Arc<dyn ExecutionPlan>,
    rows: Arc<AtomicU64>,
}

impl fmt::Debug for CountExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountExec").field("input", &self.input).finish_non_exhaustive()
    }
}

impl DisplayAs for CountExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "StreamSliceExec")
    }
}

impl ExecutionPlan for CountExec {
    fn name(&self) -> &str {
        "StreamSliceExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => Ok(Arc::new(Self { input, rows: Arc::clone(&self.rows) })),
            None => Err(DataFusionError::Internal("a slice has one input".into())),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = Arc::clone(&self.rows);
        let input = self.input.execute(partition, context)?;
        let schema = input.schema();
        let counted = input.inspect(move |batch| {
            if let Ok(batch) = batch {
                rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, counted)))
    }
}
