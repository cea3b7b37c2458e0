//! Rules over physical plans that look at one operator at a time.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

type Plan = Arc<dyn ExecutionPlan>;

/// A rule that puts another operator in the place of some, those below first. The columns stay as they are.
pub(crate) struct OperatorRule {
    pub name: &'static str,
    /// What takes the place of an operator; `None` where it stays.
    pub replacement: fn(&Plan) -> Result<Option<Plan>>,
}

impl fmt::Debug for OperatorRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PhysicalOptimizerRule for OperatorRule {
    fn name(&self) -> &str {
        self.name
    }

    fn optimize(&self, plan: Plan, _: &ConfigOptions) -> Result<Plan> {
        plan.transform_up(|node| {
            Ok(match (self.replacement)(&node)? {
                Some(other) => Transformed::yes(other),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn schema_check(&self) -> bool {
        true
    }
}
