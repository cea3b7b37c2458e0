//! The contract of higher-order functions: `transform(array, x -> x + 1)`.
//!
//! The analyzer asks [`HigherOrder::parameters`] what the lambda's parameters are, resolves its body against them and
//! the columns around, and hands the compiled body to [`HigherOrder::resolve`]'s code as a [`LambdaBody`].

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use boathouse_spec::{DataType, Result};

use crate::{Arg, Call, Inputs, Resolved};

/// A lambda parameter's type.
#[derive(Debug, Clone, PartialEq)]
pub struct LambdaParameter {
    pub data_type: DataType,
    pub nullable: bool,
}

/// An argument of a higher-order function: a value, or a lambda with so many parameters.
pub enum LambdaArg {
    Value(Arg),
    Lambda { arity: usize },
}

/// A resolved lambda: its result type, and the code once the plan runs.
#[derive(Clone)]
pub struct LambdaBody {
    pub data_type: DataType,
    pub nullable: bool,
    /// `evaluate(parameters, rows)`: the parameters' values, one for each evaluation, and for each the row of the batch
    /// it belongs to (columns around are taken from that row). Gives one value an evaluation.
    pub evaluate:
        Arc<dyn Fn(&HigherOrderInputs, &[ArrayRef], &UInt32Array) -> Result<ArrayRef> + Send + Sync>,
}

/// What a lambda body may need of the running batch beside its parameters: the captured columns.
pub struct HigherOrderInputs<'a> {
    pub inputs: &'a Inputs<'a>,
    /// Where the captured columns start among the inputs.
    pub captured_from: usize,
}

/// A higher-order function.
#[derive(Clone, Copy)]
pub struct HigherOrder {
    /// The parameters of each lambda, in the order of the lambdas among the arguments. Called again with what is known
    /// of earlier lambdas' results in `bodies` (`aggregate`: the accumulator's type is the first lambda's result).
    pub parameters: fn(&Call, &[LambdaArg], bodies: &[LambdaBody]) -> Result<Vec<Vec<LambdaParameter>>>,
    /// `Resolved::coerced` covers the value arguments; its code gets them, then the captured columns.
    pub resolve: fn(&Call, &[LambdaArg], Vec<LambdaBody>) -> Result<Resolved>,
}
