//! Nothing at run time: a place in a plan that the optimizer does not move anything past.
//!
//! The numbers of partitions and random numbers depend on where they are computed; a limit that slips below them, into
//! another number of partitions, would change them.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use super::{Operator, only, plan};

/// The name of the node.
pub(crate) const BARRIER: &str = "Barrier";

/// The same rows, computed where they are.
pub(crate) fn barrier(input: LogicalPlan) -> LogicalPlan {
    plan(Barrier, vec![input], Vec::new(), None)
}

#[derive(Debug)]
struct Barrier;

impl Operator for Barrier {
    fn name(&self) -> &str {
        BARRIER
    }

    fn key(&self) -> String {
        BARRIER.to_string()
    }

    fn plan(
        &self,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        only(inputs, BARRIER)
    }
}
