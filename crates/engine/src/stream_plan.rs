//! Plan nodes of streams where nobody runs them: `explain` shows them; they give no rows.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use boathouse_bridge::{no_expressions, one_partition};
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use crate::python::StatefulGroups;
use crate::watermark::{EventTimeWatermark, SessionWindows, StreamDeduplicate, StreamOperation};

/// Plans the nodes of streams that whoever runs streams has not planned.
pub(crate) struct StreamNodePlanner;

#[async_trait]
impl ExtensionPlanner for StreamNodePlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let any = node.as_any();
        let is_one = any.is::<EventTimeWatermark>()
            || any.is::<SessionWindows>()
            || any.is::<StreamDeduplicate>()
            || any.is::<StreamOperation>()
            || any.is::<StatefulGroups>();
        Ok(is_one.then(|| {
            let (name, line) = (node.name().to_string(), Shown(node).to_string());
            let schema = Arc::new(node.schema().as_arrow().clone());
            let properties = one_partition(schema, EmissionType::Incremental);
            Arc::new(ShownExec { name, line, inputs: inputs.to_vec(), properties }) as Arc<_>
        }))
    }
}

struct Shown<'a>(&'a dyn UserDefinedLogicalNode);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_for_explain(f)
    }
}

#[derive(Debug, Clone)]
struct ShownExec {
    name: String,
    line: String,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for ShownExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl ExecutionPlan for ShownExec {
    fn name(&self) -> &str {
        &self.name
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    no_expressions!();

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn replace_children(
        self: Arc<Self>,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self { inputs, ..Self::clone(&self) }))
    }

    fn with_new_children(
        self: Arc<Self>,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        datafusion::common::internal_err!("a stream that nobody runs was read")
    }
}
