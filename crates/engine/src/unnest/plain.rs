//! The forms of subqueries that DataFusion's own rules take: they plan them best.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, Subquery};

use super::expression::IN_VALUES;
use super::{is_subquery, is_subquery_in, outer_columns};

/// Whether a conjunct of WHERE over the input is (NOT) EXISTS or (NOT) IN in a plain form.
pub(super) fn conjunct(expr: &Expr, _input: &LogicalPlan) -> bool {
    match expr {
        Expr::Not(inner) => match inner.as_ref() {
            // NOT IN of a correlated subquery has to know NULLs of its rows from those of others.
            Expr::InSubquery(e) => is_plain_value(&e.expr) && is_independent(&e.subquery),
            Expr::Exists(e) => exists(&e.subquery),
            _ => false,
        },
        Expr::InSubquery(e) => {
            is_plain_value(&e.expr) && (is_independent(&e.subquery) || (!e.negated && exists(&e.subquery)))
        }
        Expr::Exists(e) => exists(&e.subquery),
        _ => !is_subquery_in(expr),
    }
}

fn is_plain_value(expr: &Expr) -> bool {
    !is_subquery_in(expr) && !matches!(expr, Expr::ScalarFunction(f) if f.func.name() == IN_VALUES)
}

fn is_independent(subquery: &Subquery) -> bool {
    outer_columns(&subquery.subquery).is_ok_and(|o| o.is_empty())
}

/// Rows picked by conditions with outer columns, nothing else done with them.
fn exists(subquery: &Subquery) -> bool {
    picks(&subquery.subquery, false)
}

fn has_outer(expr: &Expr) -> bool {
    let mut found = false;
    let walked = expr.apply(|e| {
        found |= matches!(e, Expr::OuterReferenceColumn(..)) || is_subquery(e);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.is_err() || found
}

fn has_none(plan: &LogicalPlan) -> bool {
    outer_columns(plan).is_ok_and(|o| o.is_empty())
}

/// Filters with outer columns over a plan without; with `equal`, by equalities of a column with an outer one only.
fn picks(plan: &LogicalPlan, equal: bool) -> bool {
    match plan {
        LogicalPlan::Projection(p) => !p.expr.iter().any(has_outer) && picks(&p.input, equal),
        LogicalPlan::Filter(f) => {
            let fits = split_conjunction(&f.predicate)
                .into_iter()
                .all(|c| !is_subquery_in(c) && (!has_outer(c) || !equal || is_equality(c)));
            fits && picks(&f.input, equal)
        }
        other => has_none(other),
    }
}

fn is_equality(expr: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else { return false };
    matches!(
        (left.as_ref(), right.as_ref()),
        (Expr::Column(_), Expr::OuterReferenceColumn(..)) | (Expr::OuterReferenceColumn(..), Expr::Column(_))
    )
}

/// An aggregate that is NULL for no rows, over rows that equalities with outer columns pick.
pub(super) fn scalar(subquery: &Subquery) -> bool {
    fn aggregate(plan: &LogicalPlan) -> bool {
        match plan {
            LogicalPlan::Projection(p) => {
                // What is computed from NULL has to be NULL: a column, or arithmetic of one.
                !p.expr.iter().any(|e| has_outer(e) || !is_null_for_null(e)) && aggregate(&p.input)
            }
            LogicalPlan::Aggregate(a) => {
                a.group_expr.is_empty()
                    && !a.aggr_expr.iter().any(|e| has_outer(e) || !is_null_when_empty(e, &a.input))
                    && picks(&a.input, true)
            }
            _ => false,
        }
    }
    is_independent(subquery) || aggregate(&subquery.subquery)
}

fn is_null_for_null(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(Alias { expr, .. }) => is_null_for_null(expr),
        Expr::Column(_) => true,
        Expr::Cast(c) => is_null_for_null(&c.expr),
        Expr::ScalarFunction(f) => {
            matches!(f.func.name(), "+" | "-" | "*" | "/" | "cast" | "cast_legacy")
                && f.args.iter().any(is_null_for_null)
        }
        _ => false,
    }
}

fn is_null_when_empty(expr: &Expr, input: &LogicalPlan) -> bool {
    // More than one row is an error only for the values that are asked for.
    if expr
        .exists(|e| Ok(matches!(e, Expr::AggregateFunction(f) if f.func.name() == "single_value")))
        .unwrap_or(true)
    {
        return false;
    }
    super::domain::empty_value(expr, input).is_ok_and(|v| v.is_null())
}
