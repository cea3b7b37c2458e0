//! What a query asks of the join that a relation takes part in. Nothing at run time: the mark is there for the planner of
//! joins ([`crate::join_hints`]), and everything else passes through it.

use std::fmt;
use std::sync::Arc;

use boathouse_bridge::{no_expressions, one_input, rows_of_input, statistics_of_input};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr};

use super::{Custom, Operator, only, plan};

/// Spark's `JoinStrategyHint`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    Broadcast,
    Merge,
    ShuffleHash,
    ShuffleReplicateNestedLoop,
}

impl Strategy {
    /// The strategy that a hint of this name asks for.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_uppercase().as_str() {
            "BROADCAST" | "BROADCASTJOIN" | "MAPJOIN" => Self::Broadcast,
            "MERGE" | "SHUFFLE_MERGE" | "MERGEJOIN" => Self::Merge,
            "SHUFFLE_HASH" => Self::ShuffleHash,
            "SHUFFLE_REPLICATE_NL" => Self::ShuffleReplicateNestedLoop,
            _ => return None,
        })
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Broadcast => "(strategy=broadcast)",
            Self::Merge => "(strategy=merge)",
            Self::ShuffleHash => "(strategy=shuffle_hash)",
            Self::ShuffleReplicateNestedLoop => "(strategy=shuffle_replicate_nl)",
        })
    }
}

/// The name of the node.
pub(crate) const JOIN_HINT: &str = "JoinHint";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JoinHint {
    pub strategy: Strategy,
    /// Whether it stands below its join: until then it is a mark that a join above may take up.
    pub is_taken: bool,
}

/// The relation, marked.
pub(crate) fn join_hint(input: LogicalPlan, hint: JoinHint) -> LogicalPlan {
    plan(hint, vec![input], Vec::new(), None)
}

/// The mark at the top of a plan.
pub(crate) fn join_hint_of(plan: &LogicalPlan) -> Option<JoinHint> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    extension.node.as_any().downcast_ref::<Custom>()?.operator.join_hint()
}

impl Operator for JoinHint {
    fn name(&self) -> &str {
        JOIN_HINT
    }

    fn key(&self) -> String {
        let name = if self.is_taken { "ResolvedHint" } else { "UnresolvedHint" };
        format!("{name} {}", self.strategy)
    }

    fn join_hint(&self) -> Option<JoinHint> {
        Some(*self)
    }

    fn plan(
        &self,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = only(inputs, JOIN_HINT)?;
        Ok(if self.is_taken { Arc::new(JoinHintExec { input, strategy: self.strategy }) } else { input })
    }
}

/// The mark in a physical plan.
#[derive(Debug)]
pub(crate) struct JoinHintExec {
    input: Arc<dyn ExecutionPlan>,
    strategy: Strategy,
}

impl JoinHintExec {
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    pub fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, strategy: self.strategy })
    }
}

impl DisplayAs for JoinHintExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "JoinHint: {}", self.strategy)
    }
}

impl ExecutionPlan for JoinHintExec {
    fn name(&self) -> &str {
        JOIN_HINT
    }

    rows_of_input!();
    one_input!();
    no_expressions!();
    statistics_of_input!();

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        child_pushdown_result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(child_pushdown_result))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
