//! Constants that have no order, kept out of DataFusion's statistics.
//!
//! The statistics of a projection say of a constant that it is its column's least value and its greatest, and a filter above
//! asserts that the one is not greater than the other. Arrays of structs and structs with arrays do not compare there, so that the
//! assertion fails. As the result of a function a constant has no statistics.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

/// The plan, optimized, with such constants of projections as results of functions.
pub(crate) fn without_statistics(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_down(|node| {
        if !matches!(node, LogicalPlan::Projection(_)) {
            return Ok(Transformed::no(node));
        }
        let names = NamePreserver::new(&node);
        node.map_expressions(|e| {
            if !e.exists(|e| Ok(has_no_order(e)))? {
                return Ok(Transformed::no(e));
            }
            let name = names.save(&e);
            Ok(e.transform_down(|e| Ok(as_result(e)))?.update_data(|e| name.restore(e)))
        })
    })
    .data()
}

fn has_no_order(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _)
        if value.data_type().is_nested() && value.partial_cmp(value).is_none())
}

fn as_result(expr: Expr) -> Transformed<Expr> {
    if !has_no_order(&expr) {
        return Transformed::no(expr);
    }
    match expr {
        Expr::Literal(value, metadata) => {
            let field = Field::new("constant", value.data_type(), value.is_null());
            let metadata = metadata.map(|m| m.to_hashmap()).unwrap_or_default();
            let constant =
                Constant { value, field: Arc::new(field.with_metadata(metadata)), signature: nothing() };
            Transformed::yes(ScalarUDF::from(constant).call(Vec::new()))
        }
        other => Transformed::no(other),
    }
}

fn nothing() -> Signature {
    Signature::nullary(Volatility::Immutable)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    value: ScalarValue,
    field: FieldRef,
    signature: Signature,
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}
