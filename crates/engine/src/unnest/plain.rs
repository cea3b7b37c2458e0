//! The forms of subqueries that DataFusion's own rules take: they plan them best.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator, Subquery};

use super::expression::IN_VALUES;
use super::{columns_of, is_subquery, is_subquery_in, outer_columns, project, reads_shared};

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

/// A subquery whose rows only conditions pick: its rows before the conditions with columns of `outer`, and these conditions.
/// They are the condition of a join then, which costs less than the subquery for each value of the outer columns.
pub(super) fn picked(plan: &LogicalPlan, outer: &LogicalPlan) -> Result<Option<(LogicalPlan, Vec<Expr>)>> {
    match plan {
        LogicalPlan::Projection(p) if !p.expr.iter().any(has_outer) => {
            let Some((input, conditions)) = picked(&p.input, outer)? else { return Ok(None) };
            let shown = columns_of(plan);
            let mut list = p.expr.clone();
            for column in columns_of(&input) {
                let is_used = conditions.iter().any(|c| c.column_refs().contains(&column));
                if is_used && !shown.contains(&column) {
                    list.push(Expr::Column(column));
                }
            }
            Ok(Some((project(list, input)?, conditions)))
        }
        LogicalPlan::Filter(f) => {
            let Some((input, mut conditions)) = picked(&f.input, outer)? else { return Ok(None) };
            let (with, without): (Vec<&Expr>, Vec<&Expr>) =
                split_conjunction(&f.predicate).into_iter().partition(|c| has_outer(c));
            for condition in with {
                match with_columns_of(condition, outer)? {
                    Some(condition) => conditions.push(condition),
                    None => return Ok(None),
                }
            }
            let plan = match conjunction(without.into_iter().cloned()) {
                Some(rest) => LogicalPlan::Filter(Filter::try_new(rest, Arc::new(input))?),
                None => input,
            };
            Ok(Some((plan, conditions)))
        }
        other if has_none(other) => Ok(Some((other.clone(), Vec::new()))),
        _ => Ok(None),
    }
}

/// The condition with the columns of `outer` themselves, where it uses no others from around and no subquery.
fn with_columns_of(condition: &Expr, outer: &LogicalPlan) -> Result<Option<Expr>> {
    let mut fits = !condition.is_volatile();
    let rewritten = condition.clone().transform(|e| {
        Ok(match e {
            Expr::OuterReferenceColumn(_, c) if outer.schema().has_column(&c) => {
                Transformed::yes(Expr::Column(c))
            }
            other => {
                fits &= !is_subquery(&other) && !matches!(other, Expr::OuterReferenceColumn(..));
                Transformed::no(other)
            }
        })
    })?;
    Ok(fits.then_some(rewritten.data))
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
    !reads_shared(&subquery.subquery) && (is_independent(subquery) || aggregate(&subquery.subquery))
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
