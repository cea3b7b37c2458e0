//! Subqueries in expressions, replaced by columns that joins compute.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Expr, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, binary_expr, lit,
};
use datafusion::scalar::ScalarValue;

use super::domain::Domain;
use super::repeatable::repeatable;
use super::{columns_of, fresh, outer_columns_of, plain, project};

/// The function that stands for several values before IN.
pub(crate) const IN_VALUES: &str = "in_values";

/// Rewrites the plans of an expression's subqueries.
pub(super) fn with_rewritten_subqueries(expr: Expr) -> Result<Expr> {
    let again = |s: Subquery| -> Result<Subquery> {
        Ok(Subquery { subquery: Arc::new(super::rewrite(Arc::unwrap_or_clone(s.subquery))?), ..s })
    };
    let rewritten = expr.transform(|e| {
        Ok(match e {
            Expr::ScalarSubquery(s) => Transformed::yes(Expr::ScalarSubquery(again(s)?)),
            Expr::Exists(e) => Transformed::yes(Expr::Exists(Exists::new(again(e.subquery)?, e.negated))),
            Expr::InSubquery(e) => {
                Transformed::yes(Expr::InSubquery(InSubquery::new(e.expr, again(e.subquery)?, e.negated)))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(rewritten.data)
}

/// NOT moved inwards to where the subqueries are: whether IN or NOT IN is meant decides what NULLs do (Spark's
/// `BooleanSimplification`).
pub(super) fn with_inner_not(expr: Expr) -> Expr {
    if !super::is_subquery_in(&expr) {
        return expr;
    }
    match expr {
        Expr::Not(inner) => negated(*inner),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            binary_expr(with_inner_not(*left), op, with_inner_not(*right))
        }
        other => other,
    }
}

fn negated(expr: Expr) -> Expr {
    match expr {
        Expr::Not(inner) => with_inner_not(*inner),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => negated(*left).or(negated(*right)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => negated(*left).and(negated(*right)),
        Expr::InSubquery(e) => Expr::InSubquery(InSubquery { negated: !e.negated, ..e }),
        other => Expr::Not(Box::new(other)),
    }
}

/// Calls `each` with the plan of every subquery, and the values that IN compares with it.
pub(super) fn each_subquery(
    expr: &Expr,
    mut each: impl FnMut(&LogicalPlan, &[Expr]) -> Result<()>,
) -> Result<()> {
    expr.apply(|e| {
        match e {
            Expr::ScalarSubquery(s) => each(&s.subquery, &[])?,
            Expr::Exists(e) => each(&e.subquery.subquery, &[])?,
            Expr::InSubquery(e) => each(&e.subquery.subquery, &in_values(&e.expr))?,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn in_values(expr: &Expr) -> Vec<Expr> {
    match expr {
        Expr::ScalarFunction(f) if f.func.name() == IN_VALUES => f.args.clone(),
        other => vec![other.clone()],
    }
}

/// A plan that grows by the columns that subqueries become.
pub(super) struct Replaced {
    pub plan: LogicalPlan,
    pub added: Vec<Column>,
    pub is_changed: bool,
}

impl Replaced {
    pub fn over(plan: LogicalPlan) -> Self {
        Self { plan, added: Vec::new(), is_changed: false }
    }

    /// The expression without subqueries, but for the scalar ones that `keep` says.
    pub fn expression(&mut self, expr: Expr, keep: &dyn Fn(&Subquery) -> bool) -> Result<Expr> {
        let mut failure = None;
        let replaced = with_inner_not(expr).transform_down(|e| {
            let column = match e {
                Expr::ScalarSubquery(s) if keep(&s) => return Ok(Transformed::no(Expr::ScalarSubquery(s))),
                Expr::ScalarSubquery(s)
                    if s.outer_ref_columns.is_empty()
                        && !super::reads_shared(&s.subquery)
                        && outer_columns_of(&s.subquery, &self.plan)?.is_empty() =>
                {
                    return Ok(Transformed::no(Expr::ScalarSubquery(s)));
                }
                Expr::ScalarSubquery(s) => self.scalar(s),
                Expr::Exists(e) => self.exists(e),
                Expr::InSubquery(e) => self.is_in(e, keep),
                Expr::Not(inner) => match *inner {
                    Expr::InSubquery(e) => self.is_in(InSubquery { negated: !e.negated, ..e }, keep),
                    other => return Ok(Transformed::no(Expr::Not(Box::new(other)))),
                },
                other => return Ok(Transformed::no(other)),
            };
            Ok(match column {
                Ok(column) => Transformed::new(column, true, TreeNodeRecursion::Jump),
                Err(e) => {
                    failure = Some(e);
                    Transformed::new(lit(ScalarValue::Null), true, TreeNodeRecursion::Stop)
                }
            })
        })?;
        match failure {
            Some(e) => Err(e),
            None => Ok(replaced.data),
        }
    }

    /// The rows that EXISTS or IN look for, and how they match the plan's.
    fn candidates(&mut self, subquery: &LogicalPlan) -> Result<(LogicalPlan, Option<Expr>)> {
        match plain::picked(subquery, &self.plan)? {
            Some((plan, conditions)) => Ok((plan, conjunction(conditions))),
            None => self.unnested(subquery),
        }
    }

    /// The subquery for all values of the outer columns, and how its rows match the plan's.
    fn unnested(&mut self, plan: &LogicalPlan) -> Result<(LogicalPlan, Option<Expr>)> {
        let outer = outer_columns_of(plan, &self.plan)?;
        if outer.is_empty() {
            return Ok((plan.clone(), None));
        }
        self.plan = repeatable(self.plan.clone(), &outer)?;
        let domain = Domain::of(&self.plan, outer, plan)?;
        let matches = domain.matches();
        Ok((domain.push(plan.clone())?, matches))
    }

    fn scalar(&mut self, subquery: Subquery) -> Result<Expr> {
        let value = columns_of(&subquery.subquery).into_iter().next();
        let value =
            value.ok_or_else(|| DataFusionError::Internal("a scalar subquery without a column".into()))?;
        let (plan, matches) = self.unnested(&subquery.subquery)?;
        let column = fresh("scalar");
        let others = columns_of(&plan).into_iter().filter(|c| *c != value).map(Expr::Column);
        let list = std::iter::once(Expr::Column(value.clone()).alias(column.name.clone())).chain(others);
        let plan = project(list.collect(), plan)?;
        let condition = matches.unwrap_or_else(|| lit(true));
        let kept = columns_of(&self.plan).into_iter().chain([column.clone()]);
        let joined = LogicalPlanBuilder::from(self.plan.clone())
            .join_on(plan, JoinType::Left, [condition])?
            .build()?;
        self.plan = project(kept.map(Expr::Column).collect(), joined)?;
        self.added.push(column.clone());
        self.is_changed = true;
        Ok(Expr::Column(column))
    }

    /// A column that is true where the plan has a row that matches.
    fn mark(&mut self, plan: LogicalPlan, condition: Option<Expr>) -> Result<Expr> {
        let column = fresh("mark");
        // Only what the condition needs has to be carried; a plan must have a column at all.
        let condition = condition.unwrap_or_else(|| lit(true));
        let before = columns_of(&self.plan);
        let joined = LogicalPlanBuilder::from(self.plan.clone())
            .join_on(plan, JoinType::LeftMark, [condition])?
            .build()?;
        let mark = columns_of(&joined).into_iter().last();
        let mark = mark.ok_or_else(|| DataFusionError::Internal("a mark join without a mark".into()))?;
        let mut list: Vec<Expr> = before.into_iter().map(Expr::Column).collect();
        list.push(Expr::Column(mark).alias(column.name.clone()));
        self.plan = project(list, joined)?;
        self.added.push(column.clone());
        self.is_changed = true;
        Ok(Expr::Column(column))
    }

    fn exists(&mut self, exists: Exists) -> Result<Expr> {
        let (plan, matches) = self.candidates(&exists.subquery.subquery)?;
        let mark = self.mark(plan, matches)?;
        Ok(if exists.negated { Expr::Not(Box::new(mark)) } else { mark })
    }

    /// `values IN (subquery)` as Spark's existence join has it, which knows true and false only: a row equals the values.
    /// NOT IN is true where no row equals them and none might.
    fn is_in(&mut self, is_in: InSubquery, keep: &dyn Fn(&Subquery) -> bool) -> Result<Expr> {
        let columns = columns_of(&is_in.subquery.subquery);
        let mut values = Vec::new();
        for value in in_values(&is_in.expr) {
            values.push(self.expression(value, keep)?);
        }
        let (plan, matches) = self.candidates(&is_in.subquery.subquery)?;
        let mut condition: Option<Expr> = None;
        for (value, column) in values.into_iter().zip(columns) {
            let equal = value.eq(Expr::Column(column));
            condition = Some(match condition {
                None => equal,
                Some(c) => c.and(equal),
            });
        }
        let condition = condition.ok_or_else(|| DataFusionError::Internal("IN without values".into()))?;
        let both = |c: Expr| Some(matches.clone().map_or(c.clone(), |m| m.and(c)));
        let condition = match is_in.negated {
            true => condition.clone().or(Expr::IsNull(Box::new(condition))),
            false => condition,
        };
        let result = self.mark(plan, both(condition))?;
        Ok(if is_in.negated { Expr::Not(Box::new(result)) } else { result })
    }
}
