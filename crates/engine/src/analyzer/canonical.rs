//! Expressions that mean the same, however they are written (Spark's `Expression.canonicalized`): `a + 1` is grouped by where
//! `1 + a` is selected.
//!
//! The canonical form is for comparisons only. Operands whose order does not matter are sorted, comparisons turned to `<` and
//! `<=`, and functions stand under their class.

use std::sync::Arc;

use boathouse_functions::SparkScalar;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::utils::split_binary_owned;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, Projection};

use super::operator::binary;

/// What is grouped by, to be found again in expressions over the groups.
pub(super) struct Keys(Vec<Option<Expr>>);

impl Keys {
    pub fn new<'a>(keys: impl Iterator<Item = &'a Expr>) -> Self {
        Self(keys.map(|key| is_composed(key).then(|| canonical(key))).collect())
    }

    /// The place of the key that means the same as an expression.
    pub fn find(&self, expr: &Expr) -> Option<usize> {
        if !is_composed(expr) || self.0.iter().all(Option::is_none) {
            return None;
        }
        let wanted = canonical(expr);
        self.0.iter().position(|key| key.as_ref() == Some(&wanted))
    }
}

/// Whether two expressions mean the same.
pub(super) fn same(a: &Expr, b: &Expr) -> bool {
    a == b || (is_composed(a) && is_composed(b) && canonical(a) == canonical(b))
}

/// The plan with canonical expressions, and without projections that change nothing.
pub(crate) fn canonical_plan(plan: &LogicalPlan) -> LogicalPlan {
    let form = plan.clone().transform_up(|node| {
        let node = node.map_expressions(|e| Ok(Transformed::yes(canonical(&e))))?.data;
        Ok(Transformed::yes(match node {
            LogicalPlan::Projection(projection) if keeps_all(&projection) => {
                Arc::unwrap_or_clone(projection.input)
            }
            other => other,
        }))
    });
    form.map_or_else(|_| plan.clone(), |form| form.data)
}

/// Whether a projection gives the columns of its input in their order.
fn keeps_all(projection: &Projection) -> bool {
    let columns = projection.input.schema().columns();
    let is_kept = |(e, column): (&Expr, &Column)| matches!(e, Expr::Column(c) if c.name == column.name);
    projection.expr.len() == columns.len() && projection.expr.iter().zip(&columns).all(is_kept)
}

fn is_composed(expr: &Expr) -> bool {
    !matches!(
        expr,
        Expr::Column(_) | Expr::Literal(..) | Expr::AggregateFunction(_) | Expr::OuterReferenceColumn(..)
    )
}

fn canonical(expr: &Expr) -> Expr {
    let form = expr.clone().transform_up(|e| {
        Ok(Transformed::yes(match e {
            Expr::ScalarFunction(call) => of_call(call),
            Expr::BinaryExpr(e) => of_binary(e),
            Expr::Not(inner) => match *inner {
                Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op.negate() {
                    Some(negated) => of_binary(BinaryExpr::new(left, negated, right)),
                    None => Expr::Not(Box::new(binary(*left, op, *right))),
                },
                inner => Expr::Not(Box::new(inner)),
            },
            Expr::InList(mut list) => {
                list.list.sort_by_cached_key(shown);
                Expr::InList(InList::new(list.expr, list.list, list.negated))
            }
            other => other,
        }))
    });
    form.map_or_else(|_| expr.clone(), |form| form.data)
}

fn of_call(call: ScalarFunction) -> Expr {
    match call.func.inner().downcast_ref::<SparkScalar>() {
        Some(function) => function.canonical(call.args),
        None => Expr::ScalarFunction(call),
    }
}

fn of_binary(BinaryExpr { left, op, right }: BinaryExpr) -> Expr {
    match op {
        Operator::Gt => binary(*right, Operator::Lt, *left),
        Operator::GtEq => binary(*right, Operator::LtEq, *left),
        Operator::And | Operator::Or => {
            let mut parts = split_binary_owned(binary(*left, op, *right), op);
            parts.sort_by_cached_key(shown);
            let all = parts.into_iter().reduce(|a, b| binary(a, op, b));
            all.unwrap_or_else(|| datafusion::logical_expr::lit(true))
        }
        Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom
            if shown(&left) > shown(&right) =>
        {
            binary(*right, op, *left)
        }
        _ => binary(*left, op, *right),
    }
}

/// What expressions are sorted by.
fn shown(expr: &Expr) -> String {
    format!("{expr:?}")
}
