//! A call of a Python function inside an expression, until [`super::extract`] takes it out.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::datatypes::{DataType as ArrowType, FieldRef};
use boathouse_bridge::typed_field;
use boathouse_spec::{DataType, PythonFunction};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

use super::Setup;

/// A number by which the profile of a function's call is found.
pub(super) fn next_id() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[derive(Clone)]
pub(crate) struct PythonCall {
    pub name: String,
    pub id: i64,
    pub function: PythonFunction,
    /// Names of the arguments that were passed by name.
    pub arg_names: Vec<Option<String>>,
    pub arg_types: Vec<DataType>,
    pub return_type: DataType,
    pub setup: Arc<Setup>,
    signature: Signature,
    field: FieldRef,
}

impl PythonCall {
    pub fn new(
        name: &str,
        function: PythonFunction,
        args: Vec<(Option<String>, DataType)>,
        return_type: DataType,
        deterministic: bool,
        setup: Arc<Setup>,
    ) -> Self {
        let volatility = if deterministic { Volatility::Stable } else { Volatility::Volatile };
        let (arg_names, arg_types) = args.into_iter().unzip();
        Self {
            name: name.to_string(),
            id: next_id(),
            function,
            arg_names,
            arg_types,
            field: Arc::new(typed_field(name, &return_type, true)),
            return_type,
            setup,
            signature: Signature::one_of(
                vec![TypeSignature::Nullary, TypeSignature::VariadicAny],
                volatility,
            ),
        }
    }

    pub fn call(self, args: Vec<Expr>) -> Expr {
        ScalarUDF::new_from_impl(self).call(args)
    }
}

impl fmt::Debug for PythonCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PythonUDF {}", self.name)
    }
}

impl PartialEq for PythonCall {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.function == other.function
            && self.arg_names == other.arg_names
            && self.return_type == other.return_type
    }
}

impl Eq for PythonCall {}

impl Hash for PythonCall {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.function.command.hash(state);
        self.arg_names.hash(state);
    }
}

impl ScalarUDFImpl for PythonCall {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[ArrowType]) -> Result<ArrowType> {
        Ok(self.field.data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let message = format!("the Python function `{}` stands where no operator was made for it", self.name);
        Err(DataFusionError::Internal(message))
    }
}
