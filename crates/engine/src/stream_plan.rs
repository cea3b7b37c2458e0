//! Plan nodes of streams where nobody runs them: `explain` shows them; they give no rows.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use boathouse_bridge::{no_expressions, one_input};
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

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
            || any.is::<StreamOperation>();
        let [input] = inputs else { return Ok(None) };
        Ok(is_one.then(|| {
            let (name, line) = (node.name().to_string(), Shown(node).to_string());
            Arc::new(ShownExec { name, line, input: Arc::clone(input) }) as Arc<_>
        }))
    }
}

struct Shown<'a>(&'a dyn UserDefinedLogicalNode);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_for_explain(f)
    }
}

#[derive(Debug)]
struct ShownExec {
    name: String,
    line: String,
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for ShownExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl ShownExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, name: self.name.clone(), line: self.line.clone() })
    }
}

impl ExecutionPlan for ShownExec {
    fn name(&self) -> &str {
        &self.name
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    one_input!();
    no_expressions!();

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        datafusion::common::internal_err!("a stream that nobody runs was read")
    }
}
