//! Which columns of a plan are event times.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Fields};
use boathouse_engine::StatefulGroups;
use datafusion::common::DFSchemaRef;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};

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
    exprs
        .iter()
        .zip(outputs)
        .filter_map(|(e, f)| Some((f.name().clone(), delay(e, f.data_type(), times)?)))
        .collect()
}

/// A column itself, a window of it, or the time of a window.
fn delay(expr: &Expr, data_type: &DataType, times: &Times) -> Option<i64> {
    let bare = expr.clone().unalias_nested().data;
    if let Expr::Column(column) = &bare {
        return times.get(&column.name).copied();
    }
    let timed = bare.column_refs().iter().filter_map(|c| times.get(&c.name).copied()).max()?;
    match data_type {
        DataType::Struct(fields) if is_window(fields) => Some(timed),
        DataType::List(item) if matches!(item.data_type(), DataType::Struct(fields) if is_window(fields)) => {
            Some(timed)
        }
        // `window_time(w)`: the end of a window less the smallest step.
        DataType::Timestamp(..) => {
            let is_minus = |e: &Expr| matches!(e, Expr::BinaryExpr(b) if b.op == Operator::Minus);
            let subtracts =
                bare.exists(|e| Ok(is_minus(e) || matches!(e, Expr::ScalarFunction(f) if f.name() == "-")));
            subtracts.unwrap_or(false).then_some(timed)
        }
        _ => None,
    }
}

fn is_window(fields: &Fields) -> bool {
    fields.len() == 2 && fields[0].name() == "start" && fields[1].name() == "end"
}
