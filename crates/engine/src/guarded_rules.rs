//! Rules of DataFusion's, kept from plans that they would get wrong.
//!
//! A join in which NULL equals NULL says so once for all of its keys. Two rules make further keys of equalities, to which NULL
//! is no value: over a join by `a <=> b` they would let NULL meet NULL in `c = d`, too. And a third makes one of two window
//! functions that have become the same, in a projection, where none can be.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{JoinType, NullEquality, Result};
use datafusion::logical_expr::{LogicalPlan, Window};
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// DataFusion's rules.
pub(crate) fn rules() -> Vec<Rule> {
    Optimizer::new()
        .rules
        .into_iter()
        // Spark SQL has no `= ANY (SELECT ..)`, and to look for one takes time.
        .filter(|rule| rule.name() != "rewrite_set_comparison")
        .map(|rule| match rule.name() {
            "eliminate_cross_join" => Arc::new(Guarded { rule, is_kept_from: has_null_safe_join }) as Rule,
            "extract_equijoin_predicate" => Arc::new(Guarded { rule, is_kept_from: is_null_safe }) as Rule,
            "common_sub_expression_eliminate" => {
                Arc::new(Guarded { rule, is_kept_from: has_window_twice }) as Rule
            }
            _ => rule,
        })
        .collect()
}

#[derive(Debug)]
struct Guarded {
    rule: Rule,
    is_kept_from: fn(&LogicalPlan) -> bool,
}

impl OptimizerRule for Guarded {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.rule.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match (self.is_kept_from)(&plan) {
            true => Ok(Transformed::no(plan)),
            false => self.rule.rewrite(plan, config),
        }
    }
}

fn is_null_safe(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Join(join) if join.null_equality == NullEquality::NullEqualsNull)
}

fn has_null_safe_join(plan: &LogicalPlan) -> bool {
    let is_inner = matches!(plan, LogicalPlan::Join(join) if join.join_type == JoinType::Inner);
    (is_inner && is_null_safe(plan)) || plan.inputs().into_iter().any(has_null_safe_join)
}

/// That rule goes through the whole plan by itself.
fn has_window_twice(plan: &LogicalPlan) -> bool {
    let is_twice = |window: &Window| {
        let functions: Vec<_> = window.window_expr.iter().map(|e| e.clone().unalias()).collect();
        functions.iter().enumerate().any(|(i, f)| functions[..i].contains(f))
    };
    matches!(plan, LogicalPlan::Window(window) if is_twice(window))
        || plan.inputs().into_iter().any(has_window_twice)
}
