//! The contract of higher-order functions: `transform(array, x -> x + 1)`, and the functions.
//!
//! The analyzer asks [`HigherOrder::parameters`] what the lambda's parameters are, resolves its body against them and
//! the columns around, and hands the compiled body to [`HigherOrder::resolve`]'s code as a [`LambdaBody`].

mod array_sort;
mod elements;
mod filter;
mod fold;
mod map;
mod transform;

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use boathouse_spec::{DataType, Error, Result};

use crate::{Arg, Call, Inputs, Registry, Resolved};

pub(crate) fn register(r: &mut Registry) {
    array_sort::register(r);
    filter::register(r);
    fold::register(r);
    map::register(r);
    transform::register(r);
}

/// A lambda parameter's type.
#[derive(Debug, Clone, PartialEq)]
pub struct LambdaParameter {
    pub data_type: DataType,
    pub nullable: bool,
}

/// An argument of a higher-order function.
pub enum LambdaArg {
    Value(Arg),
    Lambda(Lambda),
}

/// A lambda as messages show it.
pub struct Lambda {
    /// How many parameters it has.
    pub arity: usize,
    /// Its SQL text.
    pub sql: String,
}

impl Lambda {
    /// The text of the lambda that gives its only argument back.
    pub const IDENTITY: &str = "lambdafunction(namedlambdavariable(), namedlambdavariable())";

    /// A lambda whose body is not known yet.
    pub fn unresolved(arity: usize) -> Self {
        Self::with_body(arity, "...")
    }

    pub fn with_body(arity: usize, body: &str) -> Self {
        let parameters = vec!["namedlambdavariable()"; arity].join(", ");
        Self { arity, sql: format!("lambdafunction({body}, {parameters})") }
    }
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

/// A higher-order function. The [`Call`]s it gets hold the value arguments only; the [`LambdaArg`]s tell where lambdas
/// stand between them.
#[derive(Clone, Copy)]
pub struct HigherOrder {
    /// The parameters of each lambda, in the order of the lambdas among the arguments. Called again with what is known
    /// of earlier lambdas' results in `bodies` (`aggregate`: the accumulator's type is the first lambda's result).
    pub parameters: fn(&Call, &[LambdaArg], bodies: &[LambdaBody]) -> Result<Vec<Vec<LambdaParameter>>>,
    /// `Resolved::coerced` covers the value arguments; its code gets them, then the captured columns.
    pub resolve: fn(&Call, &[LambdaArg], Vec<LambdaBody>) -> Result<Resolved>,
}

impl LambdaParameter {
    fn new(data_type: DataType, nullable: bool) -> Self {
        Self { data_type, nullable }
    }
}

impl LambdaBody {
    /// Evaluates the body for the rows named, over the function's own inputs.
    fn call(
        &self,
        inputs: &Inputs,
        values: usize,
        parameters: &[ArrayRef],
        rows: &UInt32Array,
    ) -> Result<ArrayRef> {
        (self.evaluate)(&HigherOrderInputs { inputs, captured_from: values }, parameters, rows)
    }
}

/// INVALID_LAMBDA_FUNCTION_CALL.NUM_ARGS_MISMATCH unless each lambda takes what the function gives.
fn check_arity(args: &[LambdaArg], given: &[usize]) -> Result<()> {
    let arities = args.iter().filter_map(|a| match a {
        LambdaArg::Lambda(lambda) => Some(lambda.arity),
        LambdaArg::Value(_) => None,
    });
    for (arity, given) in arities.zip(given) {
        if arity != *given {
            return Err(Error::new("INVALID_LAMBDA_FUNCTION_CALL.NUM_ARGS_MISMATCH")
                .param("expectedNumArgs", arity)
                .param("actualNumArgs", given)
                .message(format!("A lambda with {arity} parameters is called with {given} arguments.")));
        }
    }
    Ok(())
}

/// The lambdas' numbers of parameters.
fn arity_of(args: &[LambdaArg], lambda: usize) -> usize {
    let mut lambdas = args.iter().filter_map(|a| match a {
        LambdaArg::Lambda(lambda) => Some(lambda.arity),
        LambdaArg::Value(_) => None,
    });
    lambdas.nth(lambda).unwrap_or(0)
}

/// Checks how many value arguments and lambdas there are.
fn check_shape(
    call: &Call,
    args: &[LambdaArg],
    values: usize,
    lambdas: std::ops::RangeInclusive<usize>,
) -> Result<()> {
    let given = args.iter().filter(|a| matches!(a, LambdaArg::Lambda(_))).count();
    if call.args.len() == values && lambdas.contains(&given) {
        return Ok(());
    }
    let (least, most) = (values + lambdas.start(), values + lambdas.end());
    let expected = if least == most { least.to_string() } else { format!("[{least}, {most}]") };
    Err(Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
        .param("functionName", format!("`{}`", call.name))
        .param("expectedNum", &expected)
        .param("actualNum", args.len())
        .message(format!("`{}` takes {expected} arguments, {} of them values.", call.name, values)))
}

/// The SQL text of a call with its lambdas.
fn sql_with_lambdas(call: &Call, args: &[LambdaArg]) -> String {
    let mut values = call.args.iter();
    let parts = args.iter().map(|a| match a {
        LambdaArg::Value(_) => values.next().map(|v| v.sql.clone()).unwrap_or_default(),
        LambdaArg::Lambda(lambda) => lambda.sql.clone(),
    });
    let lambdas = args.iter().filter(|a| matches!(a, LambdaArg::Lambda(_))).count();
    let parts: Vec<String> =
        parts.chain(finishes_unwritten(call.name, lambdas).then(|| Lambda::IDENTITY.into())).collect();
    format!("{}({})", call.name, parts.join(", "))
}

/// Whether the function has a last lambda that is not written: the one that finishes what was aggregated.
pub fn finishes_unwritten(function: &str, lambdas: usize) -> bool {
    matches!(function, "aggregate" | "reduce") && lambdas == 1
}

/// DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE for the lambda at argument `i`.
fn unexpected_body(call: &Call, args: &[LambdaArg], i: usize, body: &LambdaBody, wanted: &str) -> Error {
    let lambda_sql = match args.get(i) {
        Some(LambdaArg::Lambda(lambda)) => lambda.sql.as_str(),
        _ => "",
    };
    Error::new("DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE")
        .param("sqlExpr", format!("\"{}\"", sql_with_lambdas(call, args)))
        .param("paramIndex", crate::call::ordinal(i))
        .param("inputSql", format!("\"{}\"", lambda_sql))
        .param("inputType", format!("\"{}\"", body.data_type.sql()))
        .param("requiredType", wanted)
        .message(format!(
            "Cannot resolve \"{}\": the lambda must give {wanted}, but gives \"{}\".",
            sql_with_lambdas(call, args),
            body.data_type.sql()
        ))
}

/// The element type of the array argument `i`, and whether elements may be NULL.
fn array_element(call: &Call, i: usize) -> Result<(DataType, bool)> {
    match call.args.get(i).map(|a| &a.data_type) {
        Some(DataType::Array { element, contains_null }) => Ok((element.as_ref().clone(), *contains_null)),
        _ => Err(call.unexpected_input(i, "\"ARRAY\"")),
    }
}

/// The only lambda of a call.
fn only(mut bodies: Vec<LambdaBody>) -> Result<LambdaBody> {
    bodies.pop().ok_or_else(|| Error::internal("a higher-order function without its lambda"))
}
