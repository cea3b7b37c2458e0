//! Which columns of a plan are event times.

use std::collections::BTreeMap;

use boathouse_engine::StatefulGroups;
use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// The delay, in microseconds, of the watermark of each column that is an event time or a window of one.
pub(super) type Times = BTreeMap<String, i64>;

/// The event times of a node's output, by those of its inputs.
pub(super) fn of(plan: &LogicalPlan, inputs: &[Times]) -> Times {
    let all: Times = inputs.iter().flat_map(|t| t.iter().map(|(k, v)| (k.clone(), *v))).collect();
    match plan {
        LogicalPlan::Projection(p) => through(&p.expr, &p.schema, &all),
        LogicalPlan::Aggregate(a) => through(&a.group_expr, &a.schema, &all),
        // The columns of a union are, to Spark, those of its first input.
        LogicalPlan::Union(u) => {
            let (Some(first), Some(times)) = (u.inputs.first(), inputs.first()) else { return Times::new() };
            let names = u.schema.fields().iter().zip(first.schema().fields());
            names.filter_map(|(f, own)| Some((f.name().clone(), *times.get(own.name())?))).collect()
        }
        other => {
            let schema = other.schema();
            all.into_iter().filter(|(name, _)| schema.fields().iter().any(|f| f.name() == name)).collect()
        }
    }
}

/// The event time in the output of a function over groups, with the longest delay of the input's.
pub(super) fn of_groups(groups: &StatefulGroups, input: &Times) -> Times {
    let column = groups.task.event_time.and_then(|i| groups.schema.fields().get(i));
    column.map(|f| (f.name().clone(), input.values().copied().max().unwrap_or(0))).into_iter().collect()
}

/// The outputs of expressions that are event times.
fn through(exprs: &[Expr], schema: &DFSchemaRef, times: &Times) -> Times {
    let outputs = schema.fields().iter();
    exprs.iter().zip(outputs).filter_map(|(e, f)| Some((f.name().clone(), delay(e, times)?))).collect()
}

/// A column itself, a window of one, or the last moment of such a window: to Spark, these alone keep what it notes of a column
/// (`TimeWindowing`, `ResolveWindowTime`).
fn delay(expr: &Expr, times: &Times) -> Option<i64> {
    match expr.clone().unalias_nested().data {
        Expr::Column(column) => times.get(&column.name).copied(),
        Expr::ScalarFunction(call) => match (call.name(), call.args.as_slice()) {
            ("window" | "window_time", [of]) => delay_of_window(of, times),
            // The windows of a row that slide are rows of their own: no other lists are noted.
            ("explode", [of @ Expr::Column(_)]) => delay(of, times),
            // The window of a row is made of its time and its end.
            ("session_window", [Expr::ScalarFunction(window)]) => delay_of_window(window.args.get(1)?, times),
            _ => None,
        },
        _ => None,
    }
}

fn delay_of_window(of: &Expr, times: &Times) -> Option<i64> {
    match of {
        Expr::Column(_) => delay(of, times),
        Expr::ScalarFunction(call) if call.name() == "window_time" => delay(of, times),
        _ => None,
    }
}
