//! Expressions that need no rows: their values, and their errors.
//!
//! Spark folds constants when it optimizes a query, so that `1 / 0` fails also where no row comes to it, unless it stands in a branch
//! that may not be taken (`org.apache.spark.sql.catalyst.optimizer.ConstantFolding`). DataFusion leaves what fails for the rows.

use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use boathouse_bridge::ResultExt;
use boathouse_spec::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlan};
use datafusion::physical_expr::create_physical_expr;

use crate::analyzer::is_foldable;

/// How DataFusion names what it computes once.
const COMMON: &str = "__common_expr_";

/// The value of an expression without columns.
pub(crate) fn value(expr: &Expr) -> Result<ScalarValue> {
    let physical =
        create_physical_expr(expr, &DFSchema::empty(), &ExecutionProps::new(), &Default::default())
            .spark()?;
    let one_row = RecordBatchOptions::new().with_row_count(Some(1));
    let one_row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &one_row).spark()?;
    match physical.evaluate(&one_row).spark()? {
        ColumnarValue::Scalar(value) => Ok(value),
        ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0).spark(),
    }
}

/// Fails by the first constant of an optimized plan that has no value.
pub(crate) fn check(plan: &LogicalPlan) -> Result<()> {
    let mut left = Vec::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| match e {
                e if is_left(e) => Ok(TreeNodeRecursion::Jump),
                Expr::Literal(..) => Ok(TreeNodeRecursion::Jump),
                // What they hold has a value, and not they themselves.
                Expr::Alias(_) | Expr::GroupingSet(_) => Ok(TreeNodeRecursion::Continue),
                e if is_foldable(e) && !e.exists(|e| Ok(is_left(e)))? => {
                    left.push(e.clone());
                    Ok(TreeNodeRecursion::Jump)
                }
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })
    .spark()?;
    left.iter().try_for_each(|constant| value(constant).map(|_| ()))
}

/// Whether Spark leaves the constants within an expression to the rows.
fn is_left(expr: &Expr) -> bool {
    match expr {
        // A branch that is not taken has no error, also where what several branches have is computed below them.
        Expr::Case(_) => true,
        Expr::Alias(alias) => alias.name.starts_with(COMMON),
        // `NaNvl` is such an expression, and `Elt` is not folded.
        Expr::ScalarFunction(call) => ["nanvl", "elt"].contains(&call.func.name()),
        _ => false,
    }
}
