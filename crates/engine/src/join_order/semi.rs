//! Semi joins where they cost least, and as filters below aggregations.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, NullEquality, Result};
use datafusion::logical_expr::{Aggregate, Expr, Join, JoinConstraint, LogicalPlan, Projection};

use super::estimate::estimate;
use super::graph::JoinGraph;

/// An aggregation gets a filter where its keys are at most this part of those it has.
const FEW_KEYS: f64 = 0.1;

/// Moves semi joins over joins to the one table they are about, where that has fewer rows than the joins give.
pub(super) fn pushed_down(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    plan.transform_up(|node| {
        let LogicalPlan::Join(join) = &node else { return Ok(Transformed::no(node)) };
        if join.join_type != JoinType::LeftSemi || join.filter.is_some() || join.on.is_empty() {
            return Ok(Transformed::no(node));
        }
        let Some(mut graph) = JoinGraph::of(&join.left) else { return Ok(Transformed::no(node)) };
        let keys: HashSet<&Column> = join.on.iter().flat_map(|(l, _)| l.column_refs()).collect();
        let about = graph.tables.iter().position(|t| keys.iter().all(|c| t.schema().has_column(c)));
        let Some(about) = about else { return Ok(Transformed::no(node)) };
        let joined = estimate(&join.left);
        if !joined.is_known || graph.estimates()[about].rows > joined.rows {
            return Ok(Transformed::no(node));
        }
        let table = Arc::new(std::mem::take(&mut graph.tables[about]));
        let reduced = semi_join(table, Arc::clone(&join.right), join.on.clone(), join.null_equality)?;
        graph.tables[about] = reduced;
        let given = graph.given.clone();
        let joined = graph.build(&given)?;
        Ok(Transformed::yes(super::with_columns_of(joined, &node)?))
    })
}

fn semi_join(
    left: Arc<LogicalPlan>,
    right: Arc<LogicalPlan>,
    on: Vec<(Expr, Expr)>,
    null_equality: NullEquality,
) -> Result<LogicalPlan> {
    let kind = JoinType::LeftSemi;
    Ok(LogicalPlan::Join(Join::try_new(
        left,
        right,
        on,
        None,
        kind,
        JoinConstraint::On,
        null_equality,
        false,
    )?))
}

/// An aggregation that is joined by its keys to a table with few of them (what a correlated subquery becomes) reads the rows
/// of these keys only: the join drops the other groups.
pub(super) fn filtered_aggregates(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    plan.transform_down(|node| {
        let LogicalPlan::Join(join) = &node else { return Ok(Transformed::no(node)) };
        if !matches!(join.join_type, JoinType::Inner | JoinType::LeftSemi)
            || join.null_equality != NullEquality::NullEqualsNothing
        {
            return Ok(Transformed::no(node));
        }
        if let Some(right) = filtered(&join.right, &join.left, &join.on, |(l, r)| (r, l))? {
            let new = Join { right: Arc::new(right), ..join.clone() };
            return Ok(Transformed::yes(LogicalPlan::Join(new)));
        }
        if join.join_type == JoinType::Inner
            && let Some(left) = filtered(&join.left, &join.right, &join.on, |(l, r)| (l, r))?
        {
            let new = Join { left: Arc::new(left), ..join.clone() };
            return Ok(Transformed::yes(LogicalPlan::Join(new)));
        }
        Ok(Transformed::no(node))
    })
}

type Key = (Expr, Expr);

/// The side with the aggregation, filtered by the keys of the other side; `None` where that is not worthwhile.
fn filtered(
    side: &LogicalPlan,
    other: &LogicalPlan,
    on: &[Key],
    of_side: impl Fn(&Key) -> (&Expr, &Expr),
) -> Result<Option<LogicalPlan>> {
    // Down to the aggregation, through what only renames and filters.
    let Some((aggregate, path)) = aggregation(side) else { return Ok(None) };
    if matches!(aggregate.input.as_ref(), LogicalPlan::Join(j) if j.join_type == JoinType::LeftSemi) {
        return Ok(None);
    }
    let mut pairs = Vec::new();
    for key in on {
        let (mine, theirs) = of_side(key);
        let (Expr::Column(mine), Expr::Column(theirs)) = (mine, theirs) else { continue };
        let Some(grouped) = traced(&path, mine) else { continue };
        let position = aggregate.schema.columns().iter().position(|c| *c == grouped);
        let Some(Expr::Column(inner)) = position.and_then(|i| aggregate.group_expr.get(i)) else { continue };
        pairs.push((inner.clone(), theirs.clone()));
    }
    if pairs.is_empty() {
        return Ok(None);
    }
    let Some((keys, on)) = few_keys(other, &pairs, aggregate)? else { return Ok(None) };
    let input = semi_join(Arc::clone(&aggregate.input), Arc::new(keys), on, NullEquality::NullEqualsNothing)?;
    let aggregate =
        Aggregate::try_new(Arc::new(input), aggregate.group_expr.clone(), aggregate.aggr_expr.clone())?;
    rebuilt(&path, LogicalPlan::Aggregate(aggregate)).map(Some)
}

/// A table of the other side that has a few of the keys, with names of its own.
fn few_keys(
    other: &LogicalPlan,
    pairs: &[(Column, Column)],
    aggregate: &Aggregate,
) -> Result<Option<(LogicalPlan, Vec<Key>)>> {
    let groups = estimate(&aggregate.input);
    let tables = JoinGraph::of(other).map_or_else(|| vec![other.clone()], |g| g.tables);
    for table in tables {
        let known: Vec<_> = pairs.iter().filter(|(_, theirs)| table.schema().has_column(theirs)).collect();
        // What is aggregated or joined itself would be done twice.
        if known.is_empty() || !is_simple(&table) {
            continue;
        }
        let keys = estimate(&table);
        let rows = keys.rows;
        let few = keys.is_known
            && groups.is_known
            && known.iter().any(|(inner, _)| rows < FEW_KEYS * groups.distinct(&Expr::Column(inner.clone())));
        if !few {
            continue;
        }
        let mut columns = Vec::new();
        let mut on = Vec::new();
        for (i, (inner, theirs)) in known.iter().enumerate() {
            let name = format!("__key{i}#{}", theirs.name);
            columns.push(Expr::Column(theirs.clone()).alias(&name));
            on.push((Expr::Column(inner.clone()), Expr::Column(Column::new_unqualified(name))));
        }
        let keys = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(table))?);
        return Ok(Some((keys, on)));
    }
    Ok(None)
}

/// A table with filters: cheap to read twice, and the same each time.
fn is_simple(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => scan.fetch.is_none(),
        LogicalPlan::Filter(f) => !f.predicate.is_volatile() && is_simple(&f.input),
        LogicalPlan::Projection(p) => !p.expr.iter().any(Expr::is_volatile) && is_simple(&p.input),
        _ => false,
    }
}

/// The aggregation below projections and filters, with these from the top down.
fn aggregation(plan: &LogicalPlan) -> Option<(&Aggregate, Vec<&LogicalPlan>)> {
    let mut path = Vec::new();
    let mut current = plan;
    loop {
        match current {
            LogicalPlan::Aggregate(a) if !a.group_expr.is_empty() && !is_grouping_set(a) => {
                return Some((a, path));
            }
            LogicalPlan::Projection(p) => {
                path.push(current);
                current = &p.input;
            }
            LogicalPlan::Filter(f) => {
                path.push(current);
                current = &f.input;
            }
            _ => return None,
        }
    }
}

fn is_grouping_set(aggregate: &Aggregate) -> bool {
    aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_)))
}

/// What a column is called below the projections of a path.
fn traced(path: &[&LogicalPlan], column: &Column) -> Option<Column> {
    let mut column = column.clone();
    for node in path {
        let LogicalPlan::Projection(p) = node else { continue };
        let i = p.schema.columns().iter().position(|c| *c == column)?;
        column = match p.expr.get(i)? {
            Expr::Column(c) => c.clone(),
            Expr::Alias(a) => match a.expr.as_ref() {
                Expr::Column(c) => c.clone(),
                _ => return None,
            },
            _ => return None,
        };
    }
    Some(column)
}

/// The path again, over another input.
fn rebuilt(path: &[&LogicalPlan], input: LogicalPlan) -> Result<LogicalPlan> {
    path.iter().rev().try_fold(input, |input, node| node.with_new_exprs(node.expressions(), vec![input]))
}
