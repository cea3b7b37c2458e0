//! Small queries: a few rows in memory are planned for one thread, which is faster than to spread them, and leaves rows in
//! the order in which Spark gives them: groups as they are first seen, joins by the side that Spark streams.

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result};
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use crate::join_hints;
use crate::ordered::in_partition_order;

/// What is few.
const ROWS: usize = 1000;

/// Whether all that a plan reads are a few rows in memory.
pub(crate) fn is_small(plan: &LogicalPlan) -> bool {
    let (mut rows, mut small) = (0, true);
    let walked = plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(scan) => {
                let found = source_as_provider(&scan.source).ok().and_then(|provider| {
                    (provider.as_ref() as &dyn Any).downcast_ref::<MemTable>().and_then(rows_of)
                });
                rows += found.unwrap_or(usize::MAX / 4);
            }
            // What a source of its own gives is not known.
            LogicalPlan::Extension(extension) => small &= !extension.node.inputs().is_empty(),
            _ => {}
        }
        small &= rows <= ROWS;
        Ok(if small { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walked.is_ok() && small
}

/// Whether a plan is one row of constants: there is nothing to optimize.
pub(crate) fn is_constant(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::EmptyRelation(leaf) => leaf.produce_one_row,
        LogicalPlan::Projection(projection) => {
            let simple =
                |e: &Expr| !matches!(e, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_));
            let all = |e: &Expr| e.exists(|e| Ok(!simple(e))).is_ok_and(|found| !found);
            projection.expr.iter().all(all) && is_constant(&projection.input)
        }
        _ => false,
    }
}

fn rows_of(table: &MemTable) -> Option<usize> {
    let mut rows = 0;
    for partition in &table.batches {
        let batches = partition.try_read().ok()?;
        rows += batches.iter().map(|b| b.num_rows()).sum::<usize>();
    }
    Some(rows)
}

/// Joins of small inputs stream the side that Spark streams: the left one, where the right is no larger or must be kept.
pub(crate) fn streamed_as_spark(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let changed = plan.transform_up(|node| {
        if join_hints::is_hinted(&node) {
            return Ok(Transformed::no(node));
        }
        Ok(match turned_round(&node)? {
            Some(turned) => Transformed::yes(turned),
            None => Transformed::no(node),
        })
    })?;
    Ok(changed.data)
}

/// A join that builds its right side, where Spark streams the left one.
fn turned_round(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let is_wanted = if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        builds_right(*join.join_type(), join.left(), join.right())
    } else if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        *join.join_type() == JoinType::Inner && is_smaller(join.left(), join.right())
    } else if let Some(join) = node.downcast_ref::<CrossJoinExec>() {
        is_smaller(join.left(), join.right())
    } else {
        false
    };
    let children: Vec<_> = node.children().into_iter().cloned().collect();
    let (true, [left, right]) = (is_wanted, children.as_slice()) else { return Ok(None) };
    // What is built is one partition, which the right side (a union) may not be yet.
    let sides = vec![Arc::clone(left), in_partition_order(Arc::clone(right))];
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    let node = Arc::clone(node).replace_children(sides, options)?;
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        // A join that cannot be turned round stays as it is.
        return Ok(join.swap_inputs(PartitionMode::CollectLeft).ok());
    }
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        return join.swap_inputs().map(Some);
    }
    node.downcast_ref::<CrossJoinExec>().map(|join| join.swap_inputs()).transpose()
}

fn builds_right(kind: JoinType, left: &Arc<dyn ExecutionPlan>, right: &Arc<dyn ExecutionPlan>) -> bool {
    match kind {
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => true,
        JoinType::Inner => bytes(left).zip(bytes(right)).is_some_and(|(left, right)| right <= left),
        _ => false,
    }
}

/// Products come in the order of the side that is built, and Spark's in the order of the larger one.
fn is_smaller(left: &Arc<dyn ExecutionPlan>, right: &Arc<dyn ExecutionPlan>) -> bool {
    bytes(left).zip(bytes(right)).is_some_and(|(left, right)| left < right)
}

/// What Spark takes a relation's size to be: the number of rows, by the width of their types.
pub(crate) fn bytes(plan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new()).ok()?;
    match statistics.num_rows {
        Precision::Exact(rows) | Precision::Inexact(rows) => Some(rows * width(&plan.schema())),
        Precision::Absent => None,
    }
}

fn width(schema: &Schema) -> usize {
    let of = |t: &DataType| match t {
        DataType::Boolean | DataType::Int8 => 1,
        DataType::Int16 => 2,
        DataType::Int32 | DataType::Float32 | DataType::Date32 => 4,
        DataType::Utf8 => 20,
        DataType::Binary => 100,
        DataType::Decimal128(precision, _) if *precision > 18 => 16,
        _ => 8,
    };
    8 + schema.fields().iter().map(|f| of(f.data_type())).sum::<usize>()
}
