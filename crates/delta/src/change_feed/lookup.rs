//! What is known of rows by the file they are in.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// A value for each file, by the file's index.
#[derive(Debug)]
pub(super) struct FileConstant {
    values: ArrayRef,
    signature: Signature,
}

impl FileConstant {
    pub fn new(values: ArrayRef) -> Self {
        Self { values, signature: Signature::any(1, Volatility::Immutable) }
    }

    pub fn call(self, file: Expr) -> Expr {
        ScalarUDF::from(self).call(vec![file])
    }
}

impl PartialEq for FileConstant {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.values, &other.values)
    }
}

impl Eq for FileConstant {}

impl Hash for FileConstant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.values).cast::<()>().hash(state);
    }
}

impl ScalarUDFImpl for FileConstant {
    fn name(&self) -> &str {
        "delta_file_constant"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.values.data_type().clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let files = arrays[0].as_primitive::<Int64Type>();
        Ok(ColumnarValue::Array(take(&self.values, files, None)?))
    }
}
