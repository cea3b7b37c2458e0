//! Aggregations that only look for different rows, where the rows differ anyway: an EXCEPT of groups. Spark finds them when it
//! optimizes a plan that it has checked (`RemoveRedundantAggregates`), so that they have no state.

use std::collections::HashSet;

use boathouse_bridge::ResultExt;
use boathouse_engine::StreamOperation;
use boathouse_spec::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection};

/// The plan without these aggregations.
pub(super) fn without_redundant_aggregations(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plain = plan.transform_up(|node| {
        Ok(match node {
            LogicalPlan::Aggregate(aggregate) if is_redundant(&aggregate) => {
                let names = aggregate.schema.columns();
                let keys =
                    aggregate.group_expr.into_iter().zip(names).map(|(key, name)| key.alias(name.name));
                Transformed::yes(LogicalPlan::Projection(Projection::try_new(
                    keys.collect(),
                    aggregate.input,
                )?))
            }
            other => Transformed::no(other),
        })
    });
    Ok(plain.spark()?.data)
}

fn is_redundant(aggregate: &Aggregate) -> bool {
    let keys = aggregate.group_expr.iter().filter_map(column).cloned().collect();
    aggregate.aggr_expr.is_empty() && !aggregate.group_expr.is_empty() && differ(&aggregate.input, &keys)
}

/// Whether no two rows have the same values in these columns (Spark's `DistinctKeyVisitor`).
fn differ(plan: &LogicalPlan, columns: &HashSet<Column>) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => {
            let keys = aggregate.group_expr.len();
            let is_plain = !matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
            keys > 0 && is_plain && aggregate.schema.columns()[..keys].iter().all(|key| columns.contains(key))
        }
        LogicalPlan::Projection(projection) => {
            let given = projection.schema.columns().into_iter().zip(&projection.expr);
            let asked = given.filter(|(name, _)| columns.contains(name));
            differ(&projection.input, &asked.filter_map(|(_, from)| column(from)).cloned().collect())
        }
        LogicalPlan::Filter(filter) => differ(&filter.input, columns),
        // Each gives rows of its left side, once.
        LogicalPlan::Join(join) if matches!(join.join_type, JoinType::LeftAnti | JoinType::LeftSemi) => {
            differ(&join.left, columns)
        }
        LogicalPlan::Extension(node) => match node.node.as_any().downcast_ref::<StreamOperation>() {
            Some(noted) => differ(&noted.input, columns),
            None => false,
        },
        _ => false,
    }
}

/// The column that an expression is, whatever it is called.
fn column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => column(&alias.expr),
        _ => None,
    }
}
