//! Shared rows as a table, which plans scan.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use boathouse_bridge::no_expressions;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Statistics, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::rows::SharedRows;

/// One of the readers of shared rows.
#[derive(Debug)]
pub(super) struct SharedTable {
    pub rows: Arc<SharedRows>,
    pub reader: usize,
    /// Among the shared plans of a query.
    pub number: usize,
}

#[async_trait]
impl TableProvider for SharedTable {
    fn schema(&self) -> SchemaRef {
        self.rows.plan.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = self.rows.plan.schema().fields().len();
        if projection.is_some_and(|p| !p.iter().copied().eq(0..all)) {
            return internal_err!("shared rows are read with all of their columns");
        }
        Ok(Arc::new(SharedRowsExec {
            rows: Arc::clone(&self.rows),
            reader: self.reader,
            number: self.number,
            shown: false,
        }))
    }
}

/// Reads shared rows. The plan that makes them is done: nothing of it may be changed for one of its readers, so that it is no child
/// while the plan around is made.
#[derive(Debug)]
struct SharedRowsExec {
    rows: Arc<SharedRows>,
    reader: usize,
    number: usize,
    /// Whether the plan that makes the rows is a child: once the whole is done, for who looks at it.
    shown: bool,
}

/// A plan that is done, with shared parts below the first of their readers.
pub(super) fn shown(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let shown = plan.transform_down(|node| {
        let Some(scan) = node.downcast_ref::<SharedRowsExec>().filter(|scan| scan.reader == 0) else {
            return Ok(Transformed::no(node));
        };
        let (rows, reader, number) = (Arc::clone(&scan.rows), scan.reader, scan.number);
        let scan = Arc::new(SharedRowsExec { rows, reader, number, shown: true });
        // What is below it is shown already.
        Ok(Transformed::new(scan as _, true, TreeNodeRecursion::Jump))
    })?;
    Ok(shown.data)
}

impl DisplayAs for SharedRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "SharedRows: number={}, readers={}", self.number, self.rows.readers())
    }
}

impl ExecutionPlan for SharedRowsExec {
    fn name(&self) -> &str {
        "SharedRows"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.rows.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        if self.shown { vec![&self.rows.plan] } else { Vec::new() }
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    no_expressions!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.rows.read(self.reader, partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.rows.metrics())
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        StatisticsContext::new().compute(self.rows.plan.as_ref(), args)
    }
}
