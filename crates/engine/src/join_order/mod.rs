//! The order of inner joins, by the statistics that tables have.
//!
//! DataFusion joins tables in the order in which a query names them. This rule takes the inner joins that stand next to
//! each other as one graph (`graph`), estimates how many rows each part of it has (`estimate`), and takes the cheapest
//! order (`enumerate`). More rewrites need the same estimates. Outer and anti joins come after the inner ones that leave few
//! rows (`outer`). A semi join is made where the fewest rows pass it, and an aggregation that is joined to few keys sees the
//! rows of these keys only (`semi`). What is grouped by long keys of another table is grouped by the key of that table before
//! (`eager`). Which side of a join is built follows from them, too (`sizes`).
//!
//! It runs after DataFusion's own rules, which have pushed filters to the tables by then, and changes nothing where the
//! order is as good as any: it must come to an end.

mod eager;
mod enumerate;
mod estimate;
mod graph;
mod outer;
mod semi;
mod sizes;

use std::any::Any;
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_connectors::FileTable;
use boathouse_delta::DeltaScan;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

pub(crate) use eager::FIRST_STEPS_APART;
use graph::JoinGraph;
pub(crate) use sizes::{FORGET_SIZES, sized};

/// More tables than this are left in the order they were given: the search doubles with each.
const MAX_TABLES: usize = 12;
/// Joins of less are done at once in any order; the given one is the one that Spark's rows come in.
const SMALL_COST: f64 = 200_000.0;
/// Estimates are rough: an order has to be this much cheaper to be taken.
const WORTHWHILE: f64 = 0.9;
/// A join that leaves one row of so many gives few rows.
const FEW: f64 = 4.0;

#[derive(Debug, Default)]
pub(crate) struct JoinOrder;

impl OptimizerRule for JoinOrder {
    fn name(&self) -> &str {
        "boathouse_join_order"
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut plan = Transformed::no(plan);
        for rewrite in [
            outer::anti_joins,
            outer::made_late,
            semi::pushed_down,
            eager::eager_aggregates,
            reorder,
            semi::filtered_aggregates,
        ] {
            plan = plan.transform_data(rewrite)?;
        }
        Ok(plan)
    }
}

/// Loads the statistics of the tables that a plan joins: the rule itself cannot wait for them.
pub(crate) async fn load_statistics(plan: &LogicalPlan, state: &dyn Session) -> boathouse_spec::Result<()> {
    let mut scans = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
        {
            scans.push(provider);
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .spark()?;
    if scans.len() < 2 {
        return Ok(());
    }
    for provider in scans {
        if let Some(scan) = (provider.as_ref() as &dyn Any).downcast_ref::<DeltaScan>() {
            scan.load().await?;
        } else if let Some(files) = (provider.as_ref() as &dyn Any).downcast_ref::<FileTable>() {
            files.load_statistics(state).await;
        }
    }
    Ok(())
}

/// Whether a plan gives few rows beside those of its tables, as far as statistics tell.
pub(crate) fn gives_few_rows(plan: &LogicalPlan) -> bool {
    let estimate = estimate::estimate(plan);
    estimate.is_known && estimate.rows * FEW < estimate.unfiltered
}

/// Reorders every group of joins in a plan, the outermost first.
fn reorder(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let Some(mut graph) = JoinGraph::of(&plan) else {
        return plan.map_children(reorder);
    };
    let mut changed = false;
    for table in &mut graph.tables {
        let inner = reorder(std::mem::take(table))?;
        changed |= inner.transformed;
        *table = inner.data;
    }
    let given_cost = graph.given_cost();
    if graph.tables.len() <= MAX_TABLES
        && given_cost > SMALL_COST
        && graph.estimates().iter().all(|e| e.is_known)
        && let Some(order) = enumerate::cheapest(&graph)
        && order.cost < given_cost * WORTHWHILE
    {
        let joined = graph.build(&order.tree)?;
        return Ok(Transformed::yes(with_columns_of(joined, &plan)?));
    }
    if !changed {
        return Ok(Transformed::no(plan));
    }
    let given = graph.given.clone();
    let joined = graph.build(&given)?;
    Ok(Transformed::yes(with_columns_of(joined, &plan)?))
}

/// The plan with the columns of another, in their order.
fn with_columns_of(plan: LogicalPlan, wanted: &LogicalPlan) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = wanted.schema().columns().into_iter().map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}
