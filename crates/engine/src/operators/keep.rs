//! An operator of DataFusion's that its optimizer must leave where it is.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties,
    ReplaceChildrenOptions,
};

use super::only;

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

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.kept.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(only(children, "Keep")?, Arc::clone(&self.make))))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.kept.execute(partition, context)
    }
}
