//! Estimates for the rule that chooses which side of a join is built.
//!
//! DataFusion's rule asks its own statistics, which know little of filters and of joins by several keys. While it runs, the sides
//! of large joins stand below an operator that tells of the rows expected here.

use std::fmt;
use std::sync::Arc;

use boathouse_bridge::{no_expressions, one_input, rows_of_input, statistics_of_input};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Join, LogicalPlan};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr};

use super::estimate::{Estimate, estimate};
use crate::operator_rule::OperatorRule;
use crate::operators::{self, Operator, only};

/// Joins of tables with fewer rows are built on the side that was chosen without estimates: rows come out in that order.
const LARGE: f64 = 100_000.0;
/// So few rows are built in no time.
const FEW_ROWS: f64 = 10_000.0;
const MUCH: f64 = 8.0;

/// The plan with what is expected of the sides of its joins.
pub(crate) fn sized(plan: &LogicalPlan) -> Result<LogicalPlan> {
    plan.clone()
        .transform_down(|node| {
            let LogicalPlan::Join(join) = &node else { return Ok(Transformed::no(node)) };
            let (left, right) = (estimate(&join.left), estimate(&join.right));
            if !left.is_known || !right.is_known || left.unfiltered.max(right.unfiltered) < LARGE {
                return Ok(Transformed::no(node));
            }
            let side = |rows, input: &Arc<LogicalPlan>| {
                operators::plan(Sized { rows: rows as usize }, vec![input.as_ref().clone()], Vec::new(), None)
            };
            let sides =
                (side(rows_beside(&left, &right), &join.left), side(rows_beside(&right, &left), &join.right));
            let join = Join { left: Arc::new(sides.0), right: Arc::new(sides.1), ..join.clone() };
            Ok(Transformed::yes(LogicalPlan::Join(join)))
        })
        .data()
}

/// The rows that a side is said to have. Of two sides that leave few rows the one that reads much less is built: what it finds
/// spares the other most of its rows while they are read.
fn rows_beside(side: &Estimate, other: &Estimate) -> f64 {
    let is_filter = other.rows * MUCH < other.unfiltered && other.unfiltered * MUCH < side.unfiltered;
    match is_filter && side.rows.max(other.rows) < FEW_ROWS {
        true => side.unfiltered,
        false => side.rows,
    }
}

#[derive(Debug)]
struct Sized {
    rows: usize,
}

impl Operator for Sized {
    fn name(&self) -> &str {
        "Sized"
    }

    fn key(&self) -> String {
        format!("{self:?}")
    }

    fn plan(
        &self,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(SizedExec { input: only(inputs, self.name())?, rows: self.rows }))
    }
}

#[derive(Debug)]
struct SizedExec {
    input: Arc<dyn ExecutionPlan>,
    rows: usize,
}

impl DisplayAs for SizedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Sized {}", self.rows)
    }
}

impl SizedExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, rows: self.rows })
    }

    /// Rows as expected; bytes as wide as the input says that rows are.
    fn expected(&self, mut statistics: Statistics) -> Statistics {
        let width = match (statistics.total_byte_size.get_value(), statistics.num_rows.get_value()) {
            (Some(bytes), Some(rows)) if *rows > 0 => Some(*bytes as f64 / *rows as f64),
            _ => None,
        };
        let bytes = width.map(|width| Precision::Inexact((width * self.rows as f64) as usize));
        statistics.total_byte_size = bytes.unwrap_or(Precision::Absent);
        statistics.num_rows = Precision::Inexact(self.rows);
        statistics
    }
}

impl ExecutionPlan for SizedExec {
    fn name(&self) -> &str {
        "Sized"
    }

    rows_of_input!();
    one_input!();
    no_expressions!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    statistics_of_input!(expected);
}

/// Takes the operators away again, once sides are chosen.
pub(crate) const FORGET_SIZES: OperatorRule =
    OperatorRule { name: "boathouse_forget_sizes", replacement: without_size };

fn without_size(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    Ok(node.downcast_ref::<SizedExec>().map(|sized| Arc::clone(&sized.input)))
}
