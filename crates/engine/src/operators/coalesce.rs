//! `coalesce(n)`: neighbouring partitions become one, without a shuffle.

use std::fmt;
use std::sync::Arc;

use boathouse_bridge::{no_expressions, one_input};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr,
    PlanProperties,
};

use super::{Operator, only, plan};
use crate::ordered::in_order;

/// The same rows, of which the plan above knows nothing: a key of grouping sets that has one value below them, by a filter,
/// has NULLs beside it above them, which DataFusion does not see when it drops sorts by constants.
pub(crate) fn unordered(input: LogicalPlan) -> LogicalPlan {
    plan(Unordered, vec![input], Vec::new(), None)
}

#[derive(Debug)]
struct Unordered;

impl Operator for Unordered {
    fn name(&self) -> &str {
        "Unordered"
    }

    fn key(&self) -> String {
        self.name().to_string()
    }

    fn plan(
        &self,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(CoalesceExec::new(only(inputs, self.name())?, usize::MAX)))
    }
}

#[derive(Debug)]
pub(super) struct CoalesceExec {
    input: Arc<dyn ExecutionPlan>,
    /// Partitions at most. How many the input has is known when the plan is done.
    most: usize,
    partitions: usize,
    properties: Arc<PlanProperties>,
}

impl CoalesceExec {
    /// At most `most` partitions; there are never more than the input has.
    pub fn new(input: Arc<dyn ExecutionPlan>, most: usize) -> Self {
        let partitions = most.clamp(1, input.output_partitioning().partition_count().max(1));
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(partitions),
            input.pipeline_behavior(),
            input.boundedness(),
        ));
        Self { input, most, partitions, properties }
    }
}

impl DisplayAs for CoalesceExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Coalesce {}", self.partitions)
    }
}

impl CoalesceExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::new(input, self.most))
    }
}

impl ExecutionPlan for CoalesceExec {
    fn name(&self) -> &str {
        "Coalesce"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    one_input!();
    no_expressions!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let inputs = self.input.output_partitioning().partition_count();
        let group = partition * inputs / self.partitions..(partition + 1) * inputs / self.partitions;
        in_order(&self.input, group, &context)
    }
}
