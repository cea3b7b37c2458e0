//! Keeps sorts above limits.
//!
//! A limit over rows without an order may take any of them, says DataFusion, and sorts them before the limit where they are to
//! be sorted after it: `SELECT * FROM (SELECT * FROM t LIMIT 2) ORDER BY id DESC` would give the two highest of all. Spark takes
//! the first rows of the first partitions. While DataFusion places sorts, such limits stand behind a fence.

use std::fmt;
use std::sync::Arc;

use boathouse_bridge::{no_expressions, one_input, statistics_of_input};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};

use crate::operator_rule::OperatorRule;
use crate::ordered::in_partition_order;

type Plan = Arc<dyn ExecutionPlan>;

/// DataFusion's rule that places sorts and exchanges.
pub(crate) const PLACES_SORTS: &str = "EnsureRequirements";

/// Before [`PLACES_SORTS`].
pub(crate) const FENCE_LIMITS: OperatorRule =
    OperatorRule { name: "boathouse_fence_limits", replacement: fenced };
/// Behind it.
pub(crate) const FREE_LIMITS: OperatorRule =
    OperatorRule { name: "boathouse_free_limits", replacement: freed };

fn fenced(node: &Plan) -> Result<Option<Plan>> {
    let takes_any = node.is::<GlobalLimitExec>() && node.output_ordering().is_none();
    Ok(takes_any.then(|| LimitFenceExec::around(Arc::clone(node))))
}

fn freed(node: &Plan) -> Result<Option<Plan>> {
    Ok(node.downcast_ref::<LimitFenceExec>().map(|fence| in_partition_order(Arc::clone(&fence.input))))
}

/// Nothing at run time: an operator that no sort goes below.
#[derive(Debug)]
struct LimitFenceExec {
    input: Plan,
}

impl LimitFenceExec {
    fn around(input: Plan) -> Plan {
        Arc::new(Self { input })
    }

    fn over(&self, input: Plan) -> Plan {
        Self::around(input)
    }
}

impl DisplayAs for LimitFenceExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for LimitFenceExec {
    fn name(&self) -> &str {
        "LimitFenceExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    one_input!();
    no_expressions!();
    statistics_of_input!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
