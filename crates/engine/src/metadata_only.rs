//! Aggregates that a table's log answers: `SELECT count(*), min(a), max(a) FROM t` reads no data file where the statistics of
//! the files are exact (delta-spark's `OptimizeMetadataOnlyDeltaQuery`).

use std::any::Any;
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_delta::DeltaScan;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, Result, Statistics};
use datafusion::datasource::{TableProvider, source_as_provider};
use datafusion::logical_expr::{Aggregate, EmptyRelation, Expr, LogicalPlan, Projection, TableScan};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::scalar::ScalarValue;

#[derive(Debug, Default)]
pub(crate) struct MetadataOnly;

impl OptimizerRule for MetadataOnly {
    fn name(&self) -> &str {
        "boathouse_metadata_only"
    }

    fn apply_order(&self) -> Option<datafusion::optimizer::ApplyOrder> {
        Some(datafusion::optimizer::ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        let Some(answer) = answer(aggregate) else { return Ok(Transformed::no(plan)) };
        let row = LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: true,
            schema: Arc::new(datafusion::common::DFSchema::empty()),
        });
        Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(answer, Arc::new(row))?)))
    }
}

/// Loads the files of tables whose log may answer an aggregate of a plan: the rule itself cannot wait for them.
pub(crate) async fn load_statistics(plan: &LogicalPlan) -> boathouse_spec::Result<()> {
    let mut scans = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node
            && aggregate.group_expr.is_empty()
            && let Some(scan) = whole_table(&aggregate.input)
            && let Ok(provider) = source_as_provider(&scan.source)
        {
            scans.push(provider);
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .spark()?;
    for provider in scans {
        if let Some(scan) = (provider.as_ref() as &dyn Any).downcast_ref::<DeltaScan>() {
            scan.load().await?;
        }
    }
    Ok(())
}

/// The table all of whose rows a plan gives.
fn whole_table(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => Some(scan),
        LogicalPlan::SubqueryAlias(alias) => whole_table(&alias.input),
        LogicalPlan::Projection(projection) => whole_table(&projection.input),
        _ => None,
    }
}

/// A literal for each aggregate; `None` where the log does not answer one of them.
fn answer(aggregate: &Aggregate) -> Option<Vec<Expr>> {
    if !aggregate.group_expr.is_empty() {
        return None;
    }
    let scan = whole_table(&aggregate.input)?;
    let provider = source_as_provider(&scan.source).ok()?;
    let delta = (provider.as_ref() as &dyn Any).downcast_ref::<DeltaScan>()?;
    let statistics = TableProvider::statistics(delta)?;
    let schema = TableProvider::schema(delta);
    let mut out = Vec::with_capacity(aggregate.aggr_expr.len());
    for (expr, (qualifier, field)) in aggregate.aggr_expr.iter().zip(aggregate.schema.iter()) {
        let position = |column: &Column| {
            let name = source_name(&aggregate.input, column)?;
            schema.index_of(&name).ok()
        };
        let value = value(expr, &statistics, &position)?;
        let value = if value.data_type() == *field.data_type() {
            value
        } else {
            value.cast_to(field.data_type()).ok()?
        };
        out.push(Expr::Literal(value, None).alias_qualified(qualifier.cloned(), field.name()));
    }
    Some(out)
}

/// The table's name of a column of a plan that only renames.
fn source_name(plan: &LogicalPlan, column: &Column) -> Option<String> {
    match plan {
        LogicalPlan::TableScan(_) => Some(column.name.clone()),
        LogicalPlan::SubqueryAlias(alias) => source_name(&alias.input, column),
        LogicalPlan::Projection(projection) => {
            let position = projection.schema.index_of_column(column).ok()?;
            match projection.expr.get(position)?.clone().unalias() {
                Expr::Column(inner) => source_name(&projection.input, &inner),
                _ => None,
            }
        }
        _ => None,
    }
}

fn value(
    expr: &Expr,
    statistics: &Statistics,
    position: &dyn Fn(&Column) -> Option<usize>,
) -> Option<ScalarValue> {
    let call = match expr {
        Expr::AggregateFunction(call) => call,
        Expr::Alias(alias) => return value(&alias.expr, statistics, position),
        _ => return None,
    };
    let params = &call.params;
    if params.distinct || params.filter.is_some() || !params.order_by.is_empty() {
        return None;
    }
    let [argument] = params.args.as_slice() else { return None };
    let rows = exact(&statistics.num_rows)?;
    let count = |n: usize| i64::try_from(n).ok().map(|n| ScalarValue::Int64(Some(n)));
    match (call.func.name(), argument) {
        ("count", Expr::Literal(value, _)) if !value.is_null() => count(*rows),
        ("count", Expr::Column(column)) => {
            let nulls = &statistics.column_statistics.get(position(column)?)?.null_count;
            count(rows.checked_sub(*exact(nulls)?)?)
        }
        ("min", Expr::Column(column)) => {
            exact(&statistics.column_statistics.get(position(column)?)?.min_value).cloned()
        }
        ("max", Expr::Column(column)) => {
            exact(&statistics.column_statistics.get(position(column)?)?.max_value).cloned()
        }
        _ => None,
    }
}

fn exact<T: std::fmt::Debug + Clone + PartialEq + Eq + PartialOrd>(value: &Precision<T>) -> Option<&T> {
    match value {
        Precision::Exact(value) => Some(value),
        _ => None,
    }
}
