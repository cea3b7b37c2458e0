//! Aggregations whose functions are computed in two steps (`in_two_steps`), with something in between.
//!
//! What the first step calls the states of a function the second merges; its result gets the name that the function had.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use boathouse_functions::TwoSteps;
use datafusion::common::{Column, DFSchema, Result, TableReference};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

/// The calls of both steps of the function in this place; `filter` is over the rows of the first.
pub(crate) fn calls(
    place: usize,
    function: AggregateFunction,
    steps: TwoSteps,
    filter: Option<Expr>,
) -> (Expr, Expr) {
    let name = format!("__states{place}");
    let states = Expr::Column(Column::new_unqualified(&name));
    let first = AggregateFunction { func: steps.first, ..function };
    let filter = filter.map(Box::new);
    let second = AggregateFunction::new_udf(steps.second, vec![states], false, filter, Vec::new(), None);
    (Expr::AggregateFunction(first).alias(name), merged(place, second))
}

/// A function of the second step.
pub(crate) fn merged(place: usize, function: AggregateFunction) -> Expr {
    Expr::AggregateFunction(function).alias(format!("__merged{place}"))
}

/// The columns of a plan under the names of others.
pub(crate) fn named_as(plan: LogicalPlan, names: &DFSchema) -> Result<LogicalPlan> {
    let named = |(column, (qualifier, field)): (Column, (Option<&TableReference>, &FieldRef))| {
        // DataFusion's rules take a column under its own name for two of one name.
        let is_named = column.relation.as_ref() == qualifier && column.name == *field.name();
        let expr = Expr::Column(column);
        if is_named { expr } else { expr.alias_qualified(qualifier.cloned(), field.name()) }
    };
    let columns = plan.schema().columns().into_iter().zip(names.iter()).map(named).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}
