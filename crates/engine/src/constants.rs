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
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlan, Volatility};
use datafusion::physical_expr::create_physical_expr;

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
            if is_constant(expr, &mut left) {
                note(expr, &mut left);
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })
    .spark()?;
    left.iter().try_for_each(|constant| value(constant).map(|_| ()))
}

/// Whether an expression is a constant. Of one that is none, the constants within it are noted.
fn is_constant(expr: &Expr, left: &mut Vec<Expr>) -> bool {
    let may_be = match expr {
        Expr::Literal(..) => return true,
        // A branch that is not taken has no error, also where what several branches have is computed below them.
        Expr::Case(_) => return false,
        Expr::Alias(alias) if alias.name.starts_with(COMMON) => return false,
        // `NaNvl` is such an expression, and `Elt` is not folded.
        Expr::ScalarFunction(call) if ["nanvl", "elt"].contains(&call.func.name()) => return false,
        Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Volatile,
        Expr::Alias(_)
        | Expr::Between(_)
        | Expr::BinaryExpr(_)
        | Expr::Cast(_)
        | Expr::InList(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotNull(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotUnknown(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsUnknown(_)
        | Expr::Like(_)
        | Expr::Negative(_)
        | Expr::Not(_)
        | Expr::TryCast(_) => true,
        _ => false,
    };
    let (mut constants, mut others) = (Vec::new(), false);
    let visited = expr.apply_children(|child| {
        if is_constant(child, left) {
            constants.push(child);
        } else {
            others = true;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    if may_be && !others && visited.is_ok() {
        return true;
    }
    constants.into_iter().for_each(|constant| note(constant, left));
    false
}

fn note(constant: &Expr, left: &mut Vec<Expr>) {
    let bare = match constant {
        Expr::Alias(alias) => alias.expr.as_ref(),
        other => other,
    };
    if !matches!(bare, Expr::Literal(..)) {
        left.push(bare.clone());
    }
}
