//! The DATATYPE_MISMATCH errors that several families raise.

use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;

use crate::coercion::implicit_cast;
use crate::{Arg, Call, Want, cast};

fn mismatch(call: &Call, subclass: &str) -> Error {
    Error::new(format!("DATATYPE_MISMATCH.{subclass}")).param("sqlExpr", format!("\"{}\"", call.sql()))
}

/// An argument that must be a constant.
pub(crate) fn not_constant(call: &Call, i: usize, name: &str, wanted: &str) -> Error {
    let sql = call.args.get(i).map(|a| a.sql.as_str()).unwrap_or_default();
    mismatch(call, "NON_FOLDABLE_INPUT")
        .param("inputName", format!("`{name}`"))
        .param("inputType", format!("\"{wanted}\""))
        .param("inputExpr", format!("\"{sql}\""))
        .message(format!(
            "Cannot resolve \"{}\": `{name}` must be a constant {wanted}, not \"{sql}\".",
            call.sql()
        ))
}

/// A constant outside its range, such as `(0, 2147483647]`.
pub(crate) fn out_of_range(call: &Call, name: &str, range: &str, value: &str) -> Error {
    mismatch(call, "VALUE_OUT_OF_RANGE")
        .param("exprName", name)
        .param("valueRange", range)
        .param("currentValue", value)
        .message(format!("Cannot resolve \"{}\": {name} must be in {range}, but is {value}.", call.sql()))
}

/// A constant that must not be NULL.
pub(crate) fn unexpected_null(call: &Call, name: &str) -> Error {
    mismatch(call, "UNEXPECTED_NULL")
        .param("exprName", name)
        .message(format!("Cannot resolve \"{}\": {name} must not be null.", call.sql()))
}

/// Fails where values of the type have no order.
pub(crate) fn check_orderable(call: &Call, t: &DataType) -> Result<()> {
    if t.is_orderable() {
        return Ok(());
    }
    Err(mismatch(call, "INVALID_ORDERING_TYPE")
        .param("functionName", format!("`{}`", call.name))
        .param("dataType", format!("\"{}\"", t.sql()))
        .message(format!("Cannot resolve \"{}\": values of type \"{}\" have no order.", call.sql(), t.sql())))
}

/// The value of a constant whole number; `None` where the argument is no constant, `Some(None)` where it is NULL.
pub(crate) fn whole_number(arg: &Arg) -> Option<Option<i64>> {
    Some(match arg.constant.as_ref()? {
        ScalarValue::Int8(v) => v.map(i64::from),
        ScalarValue::Int16(v) => v.map(i64::from),
        ScalarValue::Int32(v) => v.map(i64::from),
        ScalarValue::Int64(v) => *v,
        ScalarValue::Null => None,
        _ => return None,
    })
}

/// The same of an argument that is cast to INT where Spark casts of its own accord: a text or another number.
pub(crate) fn whole_number_cast(call: &Call, i: usize) -> Result<Option<Option<i64>>> {
    let Some(arg) = call.args.get(i) else { return Ok(None) };
    let Some(target) = implicit_cast(&arg.data_type, &Want::INT, call.context) else {
        return Err(call.unexpected_input(i, "\"INT\""));
    };
    let Some(value) = &arg.constant else { return Ok(None) };
    Ok(match cast::constant(value, &arg.data_type, &target, call.context)? {
        ScalarValue::Int32(number) => Some(number.map(i64::from)),
        _ => None,
    })
}

/// The error with the call shown in full.
pub(crate) fn with_sql(error: Error, sql: &str) -> Error {
    let mut out = Error::new(error.class()).message(error.text());
    for (key, value) in error.parameters() {
        out = if key == "sqlExpr" { out.param(key, format!("\"{sql}\"")) } else { out.param(key, value) };
    }
    out
}
