//! Errors of arithmetic.

use boathouse_spec::{DataType, Error};

use super::Operator;
use crate::Call;

fn config(error: Error) -> Error {
    error.param("config", "\"spark.sql.ansi.enabled\"")
}

pub fn divide_by_zero() -> Error {
    config(Error::new("DIVIDE_BY_ZERO")).message("Division by zero. Use `try_divide` to get NULL instead.")
}

pub fn remainder_by_zero() -> Error {
    config(Error::new("REMAINDER_BY_ZERO")).message("Remainder by zero. Use `try_mod` to get NULL instead.")
}

pub fn interval_divided_by_zero() -> Error {
    Error::new("INTERVAL_DIVIDED_BY_ZERO")
        .message("Division of an interval by zero. Use `try_divide` to get NULL instead.")
}

/// ARITHMETIC_OVERFLOW of an INT, LONG or decimal operation; `tolerant` gives NULL instead, where there is one.
pub fn overflow(message: &str, tolerant: Option<&str>) -> Error {
    let alternative = tolerant.map(|f| format!(" Use '{f}' to tolerate overflow and return NULL instead."));
    config(Error::new("ARITHMETIC_OVERFLOW"))
        .param("message", message)
        .param("alternative", alternative.clone().unwrap_or_default())
        .message(match tolerant {
            Some(f) => format!("{message}: the result is out of range. Use `{f}` to get NULL instead."),
            None => format!("{message}: the result is out of range."),
        })
}

/// BINARY_ARITHMETIC_OVERFLOW of a TINYINT or SMALLINT operation.
pub fn small_overflow(left: &str, operator: Operator, right: &str) -> Error {
    let f = operator.tolerant();
    Error::new("BINARY_ARITHMETIC_OVERFLOW")
        .param("value1", left)
        .param("symbol", operator.symbol())
        .param("value2", right)
        .param("functionName", format!("`{f}`"))
        .message(format!(
            "{left} {} {right} is out of range. Use `{f}` to get NULL instead.",
            operator.symbol()
        ))
}

pub fn interval_overflow(tolerant: Option<&str>) -> Error {
    match tolerant {
        Some(f) => Error::new("INTERVAL_ARITHMETIC_OVERFLOW.WITH_SUGGESTION")
            .param("functionName", format!("`{f}`"))
            .message(format!("An interval is out of range. Use `{f}` to get NULL instead.")),
        None => Error::new("INTERVAL_ARITHMETIC_OVERFLOW.WITHOUT_SUGGESTION")
            .message("An interval is out of range."),
    }
}

/// DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES
pub(crate) fn binary_types_differ(call: &Call, left: &DataType, right: &DataType) -> Error {
    Error::new("DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES")
        .param("sqlExpr", format!("\"{}\"", sql(call)))
        .param("left", format!("\"{}\"", left.sql()))
        .param("right", format!("\"{}\"", right.sql()))
        .message(format!(
            "Cannot resolve \"{}\": the operands have different types, \"{}\" and \"{}\".",
            sql(call),
            left.sql(),
            right.sql()
        ))
}

/// DATATYPE_MISMATCH.BINARY_OP_WRONG_TYPE
pub(crate) fn binary_wrong_type(call: &Call, operator: Operator, actual: &DataType) -> Error {
    let wanted = match operator {
        Operator::Add | Operator::Subtract => {
            "(\"NUMERIC\" or \"INTERVAL DAY TO SECOND\" or \"INTERVAL YEAR TO MONTH\" or \"INTERVAL\")"
        }
        Operator::Divide => "(\"DOUBLE\" or \"DECIMAL\")",
        Operator::IntegralDivide => {
            "(\"BIGINT\" or \"DECIMAL\" or \"INTERVAL YEAR TO MONTH\" or \"INTERVAL DAY TO SECOND\")"
        }
        _ => "\"NUMERIC\"",
    };
    wrong_type(call, wanted, actual)
}

pub(crate) fn wrong_type(call: &Call, wanted: &str, actual: &DataType) -> Error {
    Error::new("DATATYPE_MISMATCH.BINARY_OP_WRONG_TYPE")
        .param("sqlExpr", format!("\"{}\"", sql(call)))
        .param("inputType", wanted)
        .param("actualDataType", format!("\"{}\"", actual.sql()))
        .message(format!(
            "Cannot resolve \"{}\": the operands must be {wanted}, not \"{}\".",
            sql(call),
            actual.sql()
        ))
}

/// The text of the operation: `mod` and `try_mod` are `%`.
fn sql(call: &Call) -> String {
    let symbol = match call.name {
        "mod" => "%",
        _ => return call.sql(),
    };
    format!("({} {symbol} {})", call.args[0].sql, call.args[1].sql)
}
