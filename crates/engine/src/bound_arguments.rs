//! Arguments of SQL functions that are computed once, below the expression that calls the function.
//!
//! The body of a function stands in place of its call. Where an argument would be another value at each place of its parameter,
//! or a subquery of the body uses it, the call is a function of two operands, the argument and the body, which has the argument
//! as a column of a query around it. Before a plan is optimized, the argument becomes a column of a projection below.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

/// The name of the function, before that of the argument's column.
const BOUND: &str = "bound argument ";

/// The name of the function whose operands are the argument and the body that has it as this column.
pub(crate) fn function_name(column: &Column) -> String {
    format!("{BOUND}{}", column.name)
}

fn column_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::ScalarFunction(call) => call.func.name().strip_prefix(BOUND),
        _ => None,
    }
}

fn has_bound(expr: &Expr) -> bool {
    expr.exists(|e| Ok(column_name(e).is_some())).unwrap_or(false)
}

/// The columns that arguments become: to the expression itself they are no columns of a query around.
pub(crate) fn columns_in(expr: &Expr) -> Result<HashSet<String>> {
    let mut names = HashSet::new();
    expr.apply(|e| {
        names.extend(column_name(e).map(str::to_string));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(names)
}

/// The plan with arguments as columns below the expressions that use them; `None` where it has none.
pub(crate) fn computed_below(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= has_bound(expr);
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !found {
        return Ok(None);
    }
    plan.clone().transform_up_with_subqueries(with_arguments_below).map(|done| Some(done.data))
}

fn with_arguments_below(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let exprs = node.expressions();
    if !exprs.iter().any(has_bound) {
        return Ok(Transformed::no(node));
    }
    let inputs: Vec<LogicalPlan> = node.inputs().into_iter().cloned().collect();
    // Below a join there is no one place for them.
    let mut arguments = Arguments { values: Vec::new(), are_below: inputs.len() == 1 };
    let exprs = exprs.into_iter().map(|e| arguments.taken(e)).collect::<Result<Vec<_>>>()?;
    let mut below = Vec::with_capacity(inputs.len());
    for input in inputs {
        below.push(with_columns(input, &arguments.values)?);
    }
    let rebuilt = node.with_new_exprs(exprs, below)?;
    // Other nodes pass on the columns of their input.
    let makes_columns = matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_));
    if makes_columns || !arguments.are_below {
        return Ok(Transformed::yes(rebuilt));
    }
    let columns = node.schema().columns().into_iter().map(Expr::Column).collect();
    project(columns, rebuilt).map(Transformed::yes)
}

/// The plan with further columns, each of which may use those before it.
fn with_columns(input: LogicalPlan, values: &[(String, Expr)]) -> Result<LogicalPlan> {
    values.iter().try_fold(input, |input, (name, value)| {
        let mut list: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        list.push(value.clone().alias(name));
        project(list, input)
    })
}

fn project(exprs: Vec<Expr>, input: LogicalPlan) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
}

/// Arguments that were taken out of the expressions of a node.
struct Arguments {
    values: Vec<(String, Expr)>,
    /// Whether they become columns, or take the places of their parameters.
    are_below: bool,
}

impl Arguments {
    fn taken(&mut self, expr: Expr) -> Result<Expr> {
        let taken = expr.transform_down(|e| match e {
            Expr::ScalarFunction(call) if call.func.name().starts_with(BOUND) => {
                let body = self.body_of(call)?;
                Ok(Transformed::new(body, true, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(taken.data)
    }

    fn body_of(&mut self, call: ScalarFunction) -> Result<Expr> {
        let name = call.func.name().strip_prefix(BOUND).unwrap_or_default().to_string();
        let [value, body]: [Expr; 2] = call
            .args
            .try_into()
            .map_err(|_| DataFusionError::Internal("a bound argument has two operands".into()))?;
        let value = self.taken(value)?;
        let place = if self.are_below { Expr::Column(Column::new_unqualified(&name)) } else { value.clone() };
        // The same call may stand in several expressions of the node.
        if self.are_below && !self.values.iter().any(|(known, _)| *known == name) {
            self.values.push((name.clone(), value));
        }
        let body = body.transform(|e| {
            Ok(match &e {
                Expr::OuterReferenceColumn(_, column) if column.name == name => {
                    Transformed::yes(place.clone())
                }
                _ => Transformed::no(e),
            })
        })?;
        self.taken(body.data)
    }
}
