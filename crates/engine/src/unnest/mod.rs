//! Subqueries to joins, for every subquery that DataFusion's own rules do not take.
//!
//! DataFusion decorrelates the plain forms well: a conjunct of WHERE that is (NOT) EXISTS or (NOT) IN, an aggregate over
//! rows picked by an equality. The rule here takes all others first, anywhere in a plan: a correlated subquery is computed
//! for the distinct values of the outer columns it uses (its *domain*, see `domain.rs`; Neumann and Kemper, "Unnesting
//! Arbitrary Queries") and joined back; EXISTS and IN become the mark of a mark join.

mod domain;
mod expression;
mod lateral;
mod plain;
mod repeatable;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::Column;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection};
use datafusion::optimizer::AnalyzerRule;

pub(crate) use self::expression::IN_VALUES;
use self::expression::Replaced;
use crate::operators::once_key;

#[derive(Debug)]
pub(crate) struct UnnestSubqueries;

impl AnalyzerRule for UnnestSubqueries {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if has_subqueries(&plan)? { rewrite(plan) } else { Ok(plan) }
    }

    fn name(&self) -> &str {
        "unnest_subqueries"
    }
}

fn has_subqueries(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply(|node| {
        found |= matches!(node, LogicalPlan::Subquery(_)) || node.expressions().iter().any(is_subquery_in);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_))
}

fn is_subquery_in(expr: &Expr) -> bool {
    expr.exists(|e| Ok(is_subquery(e))).unwrap_or(false)
}

/// The plan without the subqueries that are ours to take; its output is the same.
fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !has_subqueries(&plan)? {
        return Ok(plan);
    }
    if let LogicalPlan::Join(join) = &plan
        && let LogicalPlan::Subquery(_) = join.right.as_ref()
    {
        return lateral::rewrite(join.clone());
    }
    let inputs = plan.inputs().into_iter().cloned().map(rewrite).collect::<Result<Vec<_>>>()?;
    let exprs = plan
        .expressions()
        .into_iter()
        .map(expression::with_rewritten_subqueries)
        .collect::<Result<Vec<_>>>()?;
    let is_ours = |e: &Expr| is_subquery_in(e);
    if !exprs.iter().any(is_ours) {
        return with_parts(&plan, exprs, inputs);
    }
    match plan {
        LogicalPlan::Filter(_) => {
            let input = first(inputs)?;
            filter(first(exprs)?, input)
        }
        LogicalPlan::Join(join) => on_join(join, exprs, inputs),
        other => {
            let [input]: [LogicalPlan; 1] = inputs
                .try_into()
                .map_err(|_| DataFusionError::NotImplemented(format!("a subquery in {}", other.display())))?;
            let in_projection = matches!(other, LogicalPlan::Projection(_));
            let keeps_columns = !matches!(other, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_));
            let columns = columns_of(&input);
            let mut replaced = Replaced::over(input);
            let exprs = exprs
                .into_iter()
                .map(|e| replaced.expression(e, &|s| in_projection && plain::scalar(s)))
                .collect::<Result<Vec<_>>>()?;
            let is_changed = replaced.is_changed;
            let rebuilt = with_parts(&other, exprs, vec![replaced.plan])?;
            // A sort or a window passes its input's columns on.
            if keeps_columns && is_changed {
                let own = columns_of(&rebuilt);
                let added: HashSet<&Column> = replaced.added.iter().collect();
                let kept = own.into_iter().filter(|c| columns.contains(c) || !added.contains(c));
                return project(kept.map(Expr::Column).collect(), rebuilt);
            }
            Ok(rebuilt)
        }
    }
}

/// The node over other inputs, with other expressions.
fn with_parts(plan: &LogicalPlan, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    if let LogicalPlan::Projection(_) = plan {
        return project(exprs, first(inputs)?);
    }
    plan.with_new_exprs(exprs, inputs)
}

fn first<T>(items: Vec<T>) -> Result<T> {
    items.into_iter().next().ok_or_else(|| DataFusionError::Internal("a plan node without its parts".into()))
}

fn filter(predicate: Expr, input: LogicalPlan) -> Result<LogicalPlan> {
    let columns = columns_of(&input);
    // What needs no subquery comes first: the rest is for fewer rows then.
    let (plain, others): (Vec<Expr>, Vec<Expr>) =
        split_conjunction_owned(expression::with_inner_not(predicate))
            .into_iter()
            .partition(|c| !is_subquery_in(c) && !c.is_volatile());
    let input = match conjunction(plain) {
        Some(plain) => LogicalPlan::Filter(Filter::try_new(plain, Arc::new(input))?),
        None => input,
    };
    let mut replaced = Replaced::over(input);
    let mut conjuncts = Vec::new();
    for conjunct in others {
        conjuncts.push(match plain::conjunct(&conjunct, &replaced.plan) {
            true => conjunct,
            false => replaced.expression(conjunct, &plain::scalar)?,
        });
    }
    let is_changed = replaced.is_changed;
    let mut plan = replaced.plan;
    for conjunct in conjuncts {
        plan = LogicalPlan::Filter(Filter::try_new(conjunct, Arc::new(plan))?);
    }
    match is_changed {
        true => project(columns.into_iter().map(Expr::Column).collect(), plan),
        false => Ok(plan),
    }
}

/// Subqueries in the condition of a join: of an inner join they filter what it gives, else they are computed for the side
/// whose columns they use.
fn on_join(join: Join, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    let [left, right]: [LogicalPlan; 2] =
        inputs.try_into().map_err(|_| DataFusionError::Internal("a join without two inputs".into()))?;
    let (pairs, filters) = exprs.split_at(join.on.len() * 2);
    let mut conditions: Vec<Expr> = pairs.chunks(2).map(|p| p[0].clone().eq(p[1].clone())).collect();
    conditions.extend(filters.iter().cloned());
    let conditions: Vec<Expr> = conditions.into_iter().flat_map(split_conjunction_owned).collect();
    if join.join_type == JoinType::Inner {
        let (with, without): (Vec<_>, Vec<_>) = conditions.into_iter().partition(is_subquery_in);
        let builder = LogicalPlanBuilder::from(left);
        let joined = match without.is_empty() {
            true => builder.cross_join(right)?.build()?,
            false => builder.join_on(right, JoinType::Inner, without)?.build()?,
        };
        let predicate = with.into_iter().reduce(Expr::and);
        return predicate.map_or(Ok(joined.clone()), |p| filter(p, joined));
    }
    let columns: Vec<Column> = join.schema.columns();
    let (mut left, mut right) = (Replaced::over(left), Replaced::over(right));
    let mut rewritten = Vec::new();
    for condition in conditions {
        rewritten.push(if is_subquery_in(&condition) {
            on_side(condition, &mut left, &mut right)?
        } else {
            condition
        });
    }
    let joined =
        LogicalPlanBuilder::from(left.plan).join_on(right.plan, join.join_type, rewritten)?.build()?;
    project(columns.into_iter().map(Expr::Column).collect(), joined)
}

fn on_side(condition: Expr, left: &mut Replaced, right: &mut Replaced) -> Result<Expr> {
    let mut used: HashSet<Column> = HashSet::new();
    expression::each_subquery(&condition, |subquery, values| {
        used.extend(outer_columns(subquery)?);
        used.extend(values.iter().flat_map(|v| v.column_refs().into_iter().cloned()));
        Ok(())
    })?;
    let of = |side: &Replaced| columns_of(&side.plan).into_iter().filter(|c| used.contains(c)).count();
    match (of(left), of(right)) {
        (_, 0) => left.expression(condition, &|_| false),
        (0, _) => right.expression(condition, &|_| false),
        _ => Err(DataFusionError::NotImplemented(
            "a subquery in the condition of an outer join that uses columns of both sides".into(),
        )),
    }
}

/// The columns of the queries around that a plan uses.
pub(crate) fn outer_columns(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut out: Vec<Column> = Vec::new();
    plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            expr.apply(|e| {
                if let Expr::OuterReferenceColumn(_, column) = e
                    && !out.contains(column)
                {
                    out.push(column.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(out)
}

/// Whether a plan reads rows that are made once for several places. These places have to be inputs of the whole plan: what
/// expressions read is planned apart.
fn reads_shared(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        found |= once_key(node).is_some();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.is_ok() && found
}

/// Those that are columns of `input`.
fn outer_columns_of(plan: &LogicalPlan, input: &LogicalPlan) -> Result<Vec<Column>> {
    Ok(outer_columns(plan)?.into_iter().filter(|c| input.schema().has_column(c)).collect())
}

fn columns_of(plan: &LogicalPlan) -> Vec<Column> {
    plan.schema().columns()
}

fn project(exprs: Vec<Expr>, input: LogicalPlan) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
}

/// A column name that no plan has.
fn fresh(name: &str) -> Column {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Column::new_unqualified(format!("__{name}_{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}
