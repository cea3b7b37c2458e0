//! Takes the calls of Python functions out of a plan's expressions (Spark's `ExtractPythonUDFs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use boathouse_bridge::{ResultExt, typed_field};
use boathouse_python::EvalType;
use boathouse_spec::{Error, Result};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, Filter, JoinType, LogicalPlan};

use super::PythonCall;
use super::evaluate::Evaluate;
use crate::execute::project;
use crate::operators;

/// The plan with an operator for each call.
pub(crate) fn extract(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|e| {
            found |= has_call(e)?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .spark()?;
    if !found {
        return Ok(None);
    }
    let rewritten = plan.clone().transform_up_with_subqueries(|node| {
        let node = extracted(node).map_err(boathouse_bridge::to_datafusion)?;
        Ok(Transformed::yes(node))
    });
    Ok(Some(rewritten.spark()?.data))
}

fn has_call(expr: &Expr) -> DataFusionResult<bool> {
    expr.exists(|e| Ok(call_of(e).is_some()))
}

fn call_of(expr: &Expr) -> Option<&PythonCall> {
    match expr {
        Expr::ScalarFunction(f) => f.func.inner().downcast_ref::<PythonCall>(),
        _ => None,
    }
}

/// The node without calls: those whose arguments hold no others first, until none is left.
fn extracted(mut node: LogicalPlan) -> Result<LogicalPlan> {
    loop {
        let mut calls: Vec<Expr> = Vec::new();
        node.apply_expressions(|e| {
            e.apply(|e| {
                if let Expr::ScalarFunction(f) = e
                    && call_of(e).is_some()
                    && !f.args.iter().map(has_call).collect::<DataFusionResult<Vec<_>>>()?.contains(&true)
                    && !calls.contains(e)
                {
                    calls.push(e.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
        .spark()?;
        if calls.is_empty() {
            return Ok(node);
        }
        node = match node {
            LogicalPlan::Join(join) => of_join(LogicalPlan::Join(join), calls)?,
            other => over_input(other, calls)?,
        };
    }
}

/// A node with one input: the calls are columns of it.
fn over_input(node: LogicalPlan, calls: Vec<Expr>) -> Result<LogicalPlan> {
    let inputs = node.inputs();
    let [input] = inputs.as_slice() else {
        return Err(Error::unsupported(format!("Python functions in {}", node.display())));
    };
    let keeps_columns = !matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_));
    let columns: Vec<Expr> = node.schema().columns().into_iter().map(Expr::Column).collect();
    let (input, results) = with_results((*input).clone(), calls)?;
    let exprs = node.expressions().into_iter().map(|e| replaced(e, &results)).collect::<Result<Vec<_>>>()?;
    let rebuilt = node.with_new_exprs(exprs, vec![input]).spark()?;
    if keeps_columns { project(columns, rebuilt) } else { Ok(rebuilt) }
}

/// A join: a call over one side is a column of that side; over both, its condition becomes a filter.
fn of_join(node: LogicalPlan, calls: Vec<Expr>) -> Result<LogicalPlan> {
    let LogicalPlan::Join(mut join) = node else { return Err(Error::internal("no join")) };
    let columns: Vec<Expr> = join.schema.columns().into_iter().map(Expr::Column).collect();
    let of = |call: &Expr, side: &LogicalPlan| call.column_refs().iter().all(|c| side.schema().has_column(c));
    let (left, rest): (Vec<Expr>, Vec<Expr>) = calls.into_iter().partition(|c| of(c, &join.left));
    let (right, both): (Vec<Expr>, Vec<Expr>) = rest.into_iter().partition(|c| of(c, &join.right));
    if let Some(call) = both.first() {
        let name = call_of(call).map_or("", |c| c.name.as_str());
        if join.join_type != JoinType::Inner {
            return Err(Error::new("UNSUPPORTED_FEATURE.PYTHON_UDF_IN_ON_CLAUSE")
                .param("joinType", join.join_type)
                .message(format!(
                    "The Python function `{name}` takes columns of both sides of a {} join.",
                    join.join_type
                )));
        }
        // Every condition moves above: what is left is a cross join.
        let mut conditions: Vec<Expr> = join
            .on
            .drain(..)
            .map(|(l, r)| datafusion::logical_expr::binary_expr(l, datafusion::logical_expr::Operator::Eq, r))
            .collect();
        conditions.extend(join.filter.take());
        let condition = datafusion::logical_expr::utils::conjunction(conditions)
            .ok_or_else(|| Error::internal("a call in a join without a condition"))?;
        let filter = Filter::try_new(condition, Arc::new(LogicalPlan::Join(join))).spark()?;
        return Ok(LogicalPlan::Filter(filter));
    }
    let mut all = Vec::new();
    for (side, calls) in [(&mut join.left, left), (&mut join.right, right)] {
        if !calls.is_empty() {
            let (plan, results) = with_results(side.as_ref().clone(), calls)?;
            *side = Arc::new(plan);
            all.extend(results);
        }
    }
    for (l, r) in &mut join.on {
        *l = replaced(l.clone(), &all)?;
        *r = replaced(r.clone(), &all)?;
    }
    join.filter = join.filter.map(|f| replaced(f, &all)).transpose()?;
    let inputs = vec![join.left.as_ref().clone(), join.right.as_ref().clone()];
    let node = LogicalPlan::Join(join);
    let exprs = node.expressions();
    let rebuilt = node.with_new_exprs(exprs, inputs).spark()?;
    project(columns, rebuilt)
}

/// The input with a column for each call.
fn with_results(mut input: LogicalPlan, calls: Vec<Expr>) -> Result<(LogicalPlan, Vec<(Expr, Expr)>)> {
    let mut results = Vec::with_capacity(calls.len());
    let mut waiting = calls;
    while !waiting.is_empty() {
        let first = call_of(&waiting[0]).map(|c| (c.function.eval_type, c.function.python_version.clone()));
        let shared = first
            .as_ref()
            .is_some_and(|(t, _)| EvalType(*t).over_arrow().is_shared() && !EvalType(*t).is_aggregate());
        let mut together = Vec::new();
        let mut later = Vec::new();
        for call in waiting {
            let own = call_of(&call).map(|c| (c.function.eval_type, c.function.python_version.clone()));
            if together.is_empty() || (shared && own == first) {
                together.push(call);
            } else {
                later.push(call);
            }
        }
        waiting = later;
        let (plan, columns) = evaluated(input, &together)?;
        input = plan;
        results.extend(together.into_iter().zip(columns));
    }
    Ok((input, results))
}

fn evaluated(input: LogicalPlan, calls: &[Expr]) -> Result<(LogicalPlan, Vec<Expr>)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (mut args, mut functions, mut fields, mut columns) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for call in calls {
        let (Expr::ScalarFunction(f), Some(python)) = (call, call_of(call)) else {
            return Err(Error::internal("no call of a Python function"));
        };
        let name = format!("python#{}", NEXT.fetch_add(1, Ordering::Relaxed));
        fields.push(typed_field(&name, &python.return_type, true));
        columns.push(Expr::Column(Column::new_unqualified(name)));
        args.extend(f.args.iter().cloned());
        functions.push(Arc::new(python.clone()));
    }
    let added = DFSchema::from_unqualified_fields(fields.into(), Default::default()).spark()?;
    let schema = input.schema().join(&added).spark()?;
    let evaluate = Evaluate { calls: functions, schema: Arc::new(schema.as_arrow().clone()) };
    Ok((operators::plan(evaluate, vec![input], args, Some(Arc::new(schema))), columns))
}

fn replaced(expr: Expr, results: &[(Expr, Expr)]) -> Result<Expr> {
    // The name of a column stays what it was.
    let name = expr.schema_name().to_string();
    let replaced = expr
        .transform_down(|e| {
            Ok(match results.iter().find(|(call, _)| *call == e) {
                Some((_, column)) => Transformed::new(column.clone(), true, TreeNodeRecursion::Jump),
                None => Transformed::no(e),
            })
        })
        .spark()?;
    let same = !replaced.transformed || replaced.data.schema_name().to_string() == name;
    let is_output = matches!(replaced.data, Expr::Column(_));
    Ok(if same || !is_output { replaced.data } else { replaced.data.alias(name) })
}
