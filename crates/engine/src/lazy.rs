//! `x <> 0 AND 1 / x > 2`: what the left side of AND and OR decides, the right side is not evaluated for, as in Spark.
//!
//! DataFusion evaluates both sides for all rows of a batch unless few are left, and makes AND and OR of a CASE whose values are
//! boolean. Where the right side may fail (a division, a cast), that is an error that Spark does not have. When DataFusion's
//! rules are done, such an operator becomes a CASE, whose branches are evaluated for their own rows only. The conditions that
//! a filter is made of stay apart: [`crate::conjunction`] evaluates one after the other.

use boathouse_functions::never_fails;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Case, Expr, Filter, LogicalPlan, Operator, lit};
use datafusion::scalar::ScalarValue;

/// The plan with operators that do not evaluate what has been decided. For plans that are optimized already.
pub(crate) fn lazily(plan: LogicalPlan) -> Result<LogicalPlan> {
    let changed = plan.transform_up(|node| match node {
        LogicalPlan::Filter(filter) => {
            let Filter { predicate, input, .. } = filter;
            let mut changed = false;
            let mut conditions = Vec::new();
            for condition in split_conjunction_owned(predicate) {
                let condition = guarded(condition)?;
                changed |= condition.transformed;
                conditions.push(condition.data);
            }
            let predicate = conjunction(conditions).unwrap_or_else(|| lit(true));
            Ok(Transformed::new_transformed(LogicalPlan::Filter(Filter::new(predicate, input)), changed))
        }
        // Its filters are hints for what to read.
        LogicalPlan::TableScan(_) => Ok(Transformed::no(node)),
        node => {
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(guarded(expr)?.update_data(|expr| name.restore(expr)))
            })
        }
    })?;
    Ok(changed.data)
}

fn guarded(expr: Expr) -> Result<Transformed<Expr>> {
    expr.transform_up(|node| match node {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right })
            if can_fail(&right) =>
        {
            let mut operands = Vec::new();
            flatten(*right, op, &mut operands);
            let lazy = operands.into_iter().fold(*left, |left, right| lazy(left, op, right));
            Ok(Transformed::yes(lazy))
        }
        other => Ok(Transformed::no(other)),
    })
}

/// `a`, `b`, `c` of `a AND (b AND c)`.
fn flatten(expr: Expr, op: Operator, operands: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: other, right }) if other == op => {
            flatten(*left, op, operands);
            flatten(*right, op, operands);
        }
        other => operands.push(other),
    }
}

/// An operand that decides is FALSE for AND, TRUE for OR. After NULL the other side counts, but not alone.
fn lazy(left: Expr, op: Operator, right: Expr) -> Expr {
    let decides = op == Operator::Or;
    let null = Expr::Literal(ScalarValue::Boolean(None), None);
    let after_null = Expr::BinaryExpr(BinaryExpr::new(Box::new(right.clone()), op, Box::new(null)));
    let branches =
        vec![(Box::new(lit(!decides)), Box::new(right)), (Box::new(lit(decides)), Box::new(lit(decides)))];
    Expr::Case(Case::new(Some(Box::new(left)), branches, Some(Box::new(after_null))))
}

/// Whether an expression may be an error for one row and not for another.
fn can_fail(expr: &Expr) -> bool {
    use Operator::{And, Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq, Or};
    let found = expr.exists(|node| {
        Ok(match node {
            Expr::BinaryExpr(binary) => !matches!(
                binary.op,
                Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom | And | Or
            ),
            Expr::ScalarFunction(call) => !never_fails(call.name()),
            Expr::Column(_)
            | Expr::Literal(..)
            | Expr::Alias(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Between(_)
            | Expr::InList(_)
            | Expr::Case(_)
            | Expr::TryCast(_) => false,
            _ => true,
        })
    });
    found.unwrap_or(true)
}
