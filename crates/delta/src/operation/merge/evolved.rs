//! Values of the target in the types that its columns have once the merge has evolved them.

use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::{ResultExt, to_datafusion};
use boathouse_spec::StructField;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::schema::conform::conform_over;

/// A column of the target in its new type.
pub(super) fn as_evolved(column: Expr, old: &StructField, new: &StructField) -> Expr {
    if old.data_type.same_type(&new.data_type) {
        return column;
    }
    let to = boathouse_bridge::arrow_type(&new.data_type);
    let udf = AsEvolved { signature: Signature::any(1, Volatility::Immutable), to };
    ScalarUDF::new_from_impl(udf).call(vec![column])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AsEvolved {
    signature: Signature,
    to: ArrowType,
}

impl ScalarUDFImpl for AsEvolved {
    fn name(&self) -> &'static str {
        "as_evolved"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[ArrowType]) -> DataFusionResult<ArrowType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let rows = args.number_rows;
        let values = args.args.iter().map(|v| v.to_array(rows)).collect::<DataFusionResult<Vec<_>>>();
        let values = values.spark().map_err(to_datafusion)?;
        match values.as_slice() {
            [value] => conform_over(value, None, &self.to).map(ColumnarValue::Array).map_err(to_datafusion),
            _ => Err(to_datafusion(boathouse_spec::Error::internal("as_evolved takes one value"))),
        }
    }
}
