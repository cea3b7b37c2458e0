//! Plans that give the same rows wherever a copy of them stands: a subquery is computed for values of a copy of the plan
//! around it, and joined back to that plan.

use datafusion::common::Column;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::outer_columns;
use crate::operators::once;

/// The plan, made once where its copies could give other values of the columns.
pub(super) fn repeatable(plan: LogicalPlan, columns: &[Column]) -> Result<LogicalPlan> {
    // Inside of another subquery it is computed for values from there.
    if outer_columns(&plan)?.is_empty() && varies_in(&plan, columns)? { Ok(once(plan)) } else { Ok(plan) }
}

/// Whether the columns of the plan, or which rows it has, may be others each time.
fn varies_in(plan: &LogicalPlan, columns: &[Column]) -> Result<bool> {
    let LogicalPlan::Projection(projection) = plan else { return varies(plan) };
    let mut below = Vec::new();
    for (column, expr) in projection.schema.columns().iter().zip(&projection.expr) {
        if !columns.contains(column) {
            continue;
        }
        if expr.is_volatile() {
            return Ok(true);
        }
        below.extend(expr.column_refs().into_iter().cloned());
    }
    varies_in(&projection.input, &below)
}

fn varies(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        // Which rows are the first is open where they have no order, or have equals in it.
        let is_cut = match node {
            LogicalPlan::Limit(_) => true,
            LogicalPlan::Sort(sort) => sort.fetch.is_some(),
            _ => false,
        };
        found |= is_cut || node.expressions().iter().any(Expr::is_volatile);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}
