//! The arguments `lgNomEntries` and `mode`, which have defaults.

use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;

use super::summary::Mode;
use crate::mismatch::{not_constant, unexpected_null, whole_number};
use crate::sketch::theta::{DEFAULT_LG_NOMINAL, nominal_size};
use crate::{Arg, Call, ShownArg};

pub(super) const DEFAULT_MODE: &str = "sum";

/// What is no sketch of these numbers.
pub(super) fn invalid_buffer(function: &str) -> Error {
    Error::new("TUPLE_INVALID_INPUT_SKETCH_BUFFER").param("function", format!("`{function}`")).message(
        format!(
            "`{function}` takes Tuple sketches of its type, such as `tuple_sketch_agg_*` makes; this binary value is none."
        ),
    )
}

pub(super) fn mode_of(text: &str, function: &str) -> Result<Mode> {
    Mode::named(text).ok_or_else(|| {
        Error::new("TUPLE_INVALID_SKETCH_MODE")
            .param("function", format!("`{function}`"))
            .param("mode", text)
            .param("validModes", "sum, min, max, alwaysone")
            .message(format!("`{function}` takes the modes sum, min, max and alwaysone, not '{text}'."))
    })
}

/// The error of a value as one of the call.
fn in_call(call: &Call, error: &Error) -> Error {
    let inner = format!("[{}] {} SQLSTATE: {}", error.class(), error.text(), error.sqlstate());
    Error::new("DATATYPE_MISMATCH.TYPE_CHECK_FAILURE_WITH_HINT")
        .param("sqlExpr", format!("\"{}\"", call.sql()))
        .param("msg", &inner)
        .param("hint", "")
        .message(format!("Cannot resolve \"{}\": {inner}.", call.sql()))
}

/// A constant `lgNomEntries`.
pub(super) fn constant_size(call: &Call, i: usize) -> Result<u8> {
    let Some(arg) = call.args.get(i) else { return nominal_size(DEFAULT_LG_NOMINAL, call.name) };
    let value = whole_number(arg).ok_or_else(|| not_constant(call, i, "lgNomEntries", "INT"))?;
    let value = value.ok_or_else(|| unexpected_null(call, "lgNomEntries"))?;
    nominal_size(value, call.name).map_err(|e| in_call(call, &e))
}

/// A constant `mode`.
pub(super) fn constant_mode(call: &Call, i: usize) -> Result<Mode> {
    match call.args.get(i).map(text) {
        None => Ok(Mode::Sum),
        Some(None) => Err(not_constant(call, i, "mode", "STRING")),
        Some(Some(None)) => Err(unexpected_null(call, "mode")),
        Some(Some(Some(text))) => mode_of(&text, call.name).map_err(|e| in_call(call, &e)),
    }
}

/// The text of a constant; `None` where the argument is none, `Some(None)` where it is NULL.
fn text(arg: &Arg) -> Option<Option<String>> {
    match arg.constant.as_ref()? {
        ScalarValue::Utf8(text) => Some(text.clone()),
        ScalarValue::Null => Some(None),
        _ => None,
    }
}

/// How a call shows its arguments in the name of its column: the first `args` as they were given, then the defaults of the rest.
pub(super) fn shown(args: usize, defaults: &[&str]) -> Vec<ShownArg> {
    let all = args.max(defaults.len());
    (0..all)
        .map(|i| if i < args { ShownArg::Arg(i) } else { ShownArg::Text(defaults[i].to_string()) })
        .collect()
}

/// Constants are numbers of the type INT, or are cast to it.
pub(super) fn size_type() -> DataType {
    DataType::Integer
}
