//! Outer joins beside inner ones: made where few rows are left.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, NullEquality, Result, ScalarValue};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, Projection};

use super::estimate::estimate;
use super::graph::JoinGraph;
use super::with_columns_of;
use crate::operators::join_hint_of;

/// Inner joins that leave this part of the rows come before an outer join.
const WORTHWHILE: f64 = 0.7;

/// `A LEFT JOIN B ON A.k = B.k WHERE B.k IS NULL` gives the rows of `A` without a partner: an anti join.
pub(super) fn anti_joins(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    plan.transform_up(|node| {
        let LogicalPlan::Filter(filter) = &node else { return Ok(Transformed::no(node)) };
        let LogicalPlan::Join(join) = filter.input.as_ref() else { return Ok(Transformed::no(node)) };
        if join.join_type != JoinType::Left || join.null_equality != NullEquality::NullEqualsNothing {
            return Ok(Transformed::no(node));
        }
        let (unmatched, rest): (Vec<&Expr>, Vec<&Expr>) =
            split_conjunction(&filter.predicate).into_iter().partition(|e| is_unmatched(join, e));
        if unmatched.is_empty() {
            return Ok(Transformed::no(node));
        }
        let anti = with_type(join, Arc::clone(&join.left), JoinType::LeftAnti)?;
        let columns = join.schema.iter().map(|(qualifier, field)| {
            let column = Expr::Column((qualifier, field).into());
            if join.left.schema().has_column(&(qualifier, field).into()) {
                return Ok(column);
            }
            let null = Expr::Literal(ScalarValue::try_from(field.data_type())?, None);
            Ok(null.alias_qualified(qualifier.cloned(), field.name()))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let mut plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(anti))?);
        if let Some(rest) = conjunction(rest.into_iter().cloned()) {
            plan = LogicalPlan::Filter(Filter::try_new(rest, Arc::new(plan))?);
        }
        Ok(Transformed::yes(plan))
    })
}

/// Whether a condition holds for rows without a partner alone: a key of a partner is equal to another, and so no NULL.
fn is_unmatched(join: &Join, condition: &Expr) -> bool {
    let Expr::IsNull(key) = condition else { return false };
    matches!(key.as_ref(), Expr::Column(_)) && join.on.iter().any(|(_, right)| right == key.as_ref())
}

/// `(A LEFT JOIN B) JOIN C` becomes `(A JOIN C) LEFT JOIN B` where `C` is joined to `A` alone and leaves few of its rows; an anti
/// join likewise.
pub(super) fn made_late(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    plan.transform_down(|node| {
        let Some(graph) = JoinGraph::of(&node) else { return Ok(Transformed::no(node)) };
        let outer_joins: Vec<usize> =
            (0..graph.tables.len()).filter(|table| outer(&graph.tables[*table]).is_some()).collect();
        for table in outer_joins {
            if let Some(late) = late(&node, table)? {
                return Ok(Transformed::yes(late));
            }
        }
        Ok(Transformed::no(node))
    })
}

/// The plan with the outer join that one of its tables is on top.
fn late(plan: &LogicalPlan, table: usize) -> Result<Option<LogicalPlan>> {
    let Some(mut graph) = JoinGraph::of(plan) else { return Ok(None) };
    let Some(outer) = outer(&graph.tables[table]).cloned() else { return Ok(None) };
    let kept = outer.left.schema();
    let of_table = graph.tables[table].schema().columns();
    let mut columns = graph.conditions.iter().flat_map(|c| c.expr.column_refs());
    if columns.any(|c| of_table.contains(c) && !kept.has_column(c)) {
        return Ok(None);
    }
    // Columns that the choice above the join leaves out are there again: their names must be nobody else's.
    let others = graph.tables.iter().enumerate().filter(|(i, _)| *i != table);
    let others: HashSet<Column> = others.flat_map(|(_, t)| t.schema().columns()).collect();
    if outer.left.schema().columns().iter().chain(&outer.right.schema().columns()).any(|c| others.contains(c))
    {
        return Ok(None);
    }
    graph.tables[table] = outer.left.as_ref().clone();
    let given = graph.given.clone();
    let inner = graph.build(&given)?;
    let (rows, before) = (estimate(&inner), estimate(&outer.left));
    if !rows.is_known || !before.is_known || rows.rows > before.rows * WORTHWHILE {
        return Ok(None);
    }
    let joined = with_type(&outer, Arc::new(inner), outer.join_type)?;
    with_columns_of(joined, plan).map(Some)
}

/// An outer or anti join, below a choice of columns.
fn outer(plan: &LogicalPlan) -> Option<&Join> {
    match plan {
        LogicalPlan::Projection(p) if p.expr.iter().all(|e| matches!(e, Expr::Column(_))) => outer(&p.input),
        LogicalPlan::Join(join)
            if matches!(join.join_type, JoinType::Left | JoinType::LeftAnti)
                && join_hint_of(&join.left).is_none()
                && join_hint_of(&join.right).is_none() =>
        {
            Some(join)
        }
        _ => None,
    }
}

fn with_type(join: &Join, left: Arc<LogicalPlan>, kind: JoinType) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Join(Join::try_new(
        left,
        Arc::clone(&join.right),
        join.on.clone(),
        join.filter.clone(),
        kind,
        join.join_constraint,
        join.null_equality,
        false,
    )?))
}
