//! The evaluated arguments of a call.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::datatypes::ArrowPrimitiveType;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::logical_expr::ColumnarValue;

use crate::Context;

/// Arguments of one batch. Where every argument is a constant, `rows` is 1 and the result becomes a constant again.
pub struct Inputs<'a> {
    values: &'a [ColumnarValue],
    rows: usize,
    context: &'a Context,
}

impl<'a> Inputs<'a> {
    pub fn new(values: &'a [ColumnarValue], rows: usize, context: &'a Context) -> Self {
        Self { values, rows, context }
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Rows of the result.
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn context(&self) -> &Context {
        self.context
    }

    /// The argument as an array of `rows` values (a constant is repeated).
    pub fn array(&self, i: usize) -> Result<ArrayRef> {
        self.value(i)?.to_array_of_size(self.rows).spark()
    }

    pub fn arrays(&self) -> Result<Vec<ArrayRef>> {
        (0..self.len()).map(|i| self.array(i)).collect()
    }

    pub fn strings(&self, i: usize) -> Result<StringArray> {
        let array = self.array(i)?;
        array.as_string_opt::<i32>().cloned().ok_or_else(|| self.unexpected(i, array.as_ref()))
    }

    pub fn booleans(&self, i: usize) -> Result<BooleanArray> {
        let array = self.array(i)?;
        array.as_boolean_opt().cloned().ok_or_else(|| self.unexpected(i, array.as_ref()))
    }

    pub fn primitives<T: ArrowPrimitiveType>(&self, i: usize) -> Result<PrimitiveArray<T>> {
        let array = self.array(i)?;
        array.as_primitive_opt::<T>().cloned().ok_or_else(|| self.unexpected(i, array.as_ref()))
    }

    /// The argument as a one-row array where it is a constant (compile a pattern once, not once a row).
    pub fn constant(&self, i: usize) -> Option<ArrayRef> {
        match self.values.get(i) {
            Some(ColumnarValue::Scalar(s)) => s.to_array_of_size(1).ok(),
            _ => None,
        }
    }

    /// A constant string: `Some(None)` for a constant NULL, `None` where the argument is not constant.
    pub fn constant_string(&self, i: usize) -> Option<Option<String>> {
        let array = self.constant(i)?;
        let strings = array.as_string_opt::<i32>()?;
        Some(strings.is_valid(0).then(|| strings.value(0).to_string()))
    }

    pub fn value(&self, i: usize) -> Result<&ColumnarValue> {
        self.values.get(i).ok_or_else(|| {
            Error::internal(format!("a function asked for its argument {i} of {}", self.len()))
        })
    }

    fn unexpected(&self, i: usize, array: &dyn Array) -> Error {
        Error::internal(format!("argument {i} has the type {} at run time", array.data_type()))
    }
}
