//! An operator of DataFusion's that its optimizer must leave where it is.

use std::fmt;
use std::sync::Arc;

use boathouse_bridge::one_input;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

/// Makes the operator over an input.
pub(super) type Make = Arc<dyn Fn(Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> + Send + Sync>;

pub(super) struct KeepExec {
    input: Arc<dyn ExecutionPlan>,
    make: Make,
    kept: Arc<dyn ExecutionPlan>,
}

impl KeepExec {
    pub fn new(input: Arc<dyn ExecutionPlan>, make: Make) -> Self {
        let kept = make(Arc::clone(&input));
        Self { input, make, kept }
    }
}

impl fmt::Debug for KeepExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keep({:?})", self.kept)
    }
}

impl DisplayAs for KeepExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.kept.fmt_as(kind, f)
    }
}

impl KeepExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::new(input, Arc::clone(&self.make)))
    }
}

impl ExecutionPlan for KeepExec {
    fn name(&self) -> &str {
        "Keep"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.kept.properties()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    one_input!();

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.kept.apply_expressions(f)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.kept.execute(partition, context)
    }
}
