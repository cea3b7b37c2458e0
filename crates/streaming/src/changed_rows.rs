//! Which columns tell that a row takes the place of an earlier one, in update mode: the keys of the query's aggregation.

use boathouse_spec::StructType;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use crate::query::Change;
use crate::stateful::{self, streams};

/// What rows of the query are to earlier ones; `None` where not all keys are columns of the result.
pub(crate) fn change(plan: &LogicalPlan, schema: &StructType) -> Option<Change> {
    if !stateful::changes_rows(plan) {
        return Some(Change::Rows);
    }
    let fields = plan.schema().fields().iter().zip(&schema.fields);
    let columns = fields.map(|(f, shown)| (f.name().clone(), shown.name.clone())).collect();
    keys_among(plan, columns).map(|keys| Change::Replace(keys.into()))
}

/// The names of the keys, by columns of a node with the names that they have in the result.
fn keys_among(plan: &LogicalPlan, columns: Vec<(String, String)>) -> Option<Vec<String>> {
    match plan {
        LogicalPlan::Aggregate(aggregate) if streams(plan) => group_keys(aggregate, &columns),
        LogicalPlan::Projection(projection) => {
            let outputs = projection.schema.fields().iter().zip(&projection.expr);
            let from = outputs.filter_map(|(f, e)| Some((f.name(), column_of(e)?)));
            let below = from.flat_map(|(own, below)| {
                let shown = columns.iter().filter(move |(name, _)| name == own);
                shown.map(move |(_, shown)| (below.clone(), shown.clone()))
            });
            keys_among(&projection.input, below.collect())
        }
        LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Extension(_) => {
            match plan.inputs().as_slice() {
                [input] => keys_among(input, columns),
                _ => None,
            }
        }
        // What joins and the like make of a group may be several rows.
        _ => None,
    }
}

fn group_keys(aggregate: &Aggregate, columns: &[(String, String)]) -> Option<Vec<String>> {
    let shown = |key: &Expr| {
        let key = column_of(key)?;
        columns.iter().find(|(name, _)| *name == key).map(|(_, shown)| shown.clone())
    };
    aggregate.group_expr.iter().map(shown).collect()
}

fn column_of(expr: &Expr) -> Option<String> {
    match expr.clone().unalias_nested().data {
        Expr::Column(column) => Some(column.name),
        _ => None,
    }
}
