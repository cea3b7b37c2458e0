//! A part of a plan that stands in it several times and would give other rows each time: random numbers, the first rows in
//! no order. All copies of one node read what is computed once (`shared_plans`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use super::{Operator, only, operator_of, plan};

/// The name of the node.
const ONCE: &str = "Once";

/// The same rows wherever a copy of this node stands.
pub(crate) fn once(input: LogicalPlan) -> LogicalPlan {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    plan(Once { number: NEXT.fetch_add(1, Ordering::Relaxed) }, vec![input], Vec::new(), None)
}

/// What the copies of such a node have in common, and no other node has.
pub(crate) fn once_key(plan: &LogicalPlan) -> Option<String> {
    operator_of(plan).filter(|operator| operator.name() == ONCE).map(|operator| operator.key())
}

#[derive(Debug)]
struct Once {
    number: u64,
}

impl Operator for Once {
    fn name(&self) -> &str {
        ONCE
    }

    fn key(&self) -> String {
        format!("{ONCE} {}", self.number)
    }

    fn plan(
        &self,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        only(inputs, ONCE)
    }
}
