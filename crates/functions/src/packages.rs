//! Functions that Spark has in packages beside it (`spark-avro`, `spark-protobuf`): it knows their names, checks what they are
//! given, and refuses them where the package is not loaded. They are refused here with the same classes.

use boathouse_spec::{DataType, Error, Result};
use datafusion::scalar::ScalarValue;

use crate::{Arg, Call};

/// Why a call of such a function fails; `None` for other functions.
pub fn package_refusal(call: &Call) -> Option<Error> {
    let checked = match call.name {
        "from_avro" => from_avro(call),
        "to_avro" => to_avro(call),
        "schema_of_avro" => schema_of_avro(call),
        "from_protobuf" | "to_protobuf" => protobuf(call),
        _ => return None,
    };
    Some(checked.err().unwrap_or_else(|| not_loaded(call)))
}

fn not_loaded(call: &Call) -> Error {
    let function = call.name.to_uppercase();
    let (class, package) = match function.ends_with("AVRO") {
        true => ("AVRO_NOT_LOADED_SQL_FUNCTIONS_UNUSABLE", "spark-avro"),
        false => ("PROTOBUF_NOT_LOADED_SQL_FUNCTIONS_UNUSABLE", "spark-protobuf"),
    };
    Error::new(class)
        .param("functionName", &function)
        .message(format!("{function} is a function of Spark's package {package}, which is not here."))
}

fn from_avro(call: &Call) -> Result<()> {
    call.arity(2..=3)?;
    constant(call, 1, is_text, "an Avro schema as JSON")?;
    constant(call, 2, is_options, OPTIONS)
}

fn to_avro(call: &Call) -> Result<()> {
    call.arity(1..=2)?;
    constant(call, 1, is_text, "an Avro schema as JSON")
}

fn schema_of_avro(call: &Call) -> Result<()> {
    call.arity(1..=2)
}

fn protobuf(call: &Call) -> Result<()> {
    call.arity(2..=4)?;
    constant(call, 1, is_text, "the name of a Protobuf message")?;
    let is_descriptor = |t: &DataType| t.is_atomic() || *t == DataType::Null;
    constant(call, 2, is_descriptor, "the path of a file of Protobuf descriptors, or its bytes")?;
    constant(call, 3, is_options, OPTIONS)?;
    match call.args.get(2).and_then(|a| a.constant.as_ref()) {
        Some(ScalarValue::Utf8(Some(path))) if !std::path::Path::new(path).exists() => {
            Err(Error::new("PROTOBUF_DESCRIPTOR_FILE_NOT_FOUND")
                .param("filePath", path)
                .message(format!("There is no file of Protobuf descriptors at {path}.")))
        }
        _ => Ok(()),
    }
}

/// What the last argument of most of them is.
const OPTIONS: &str = "a map of options, strings to strings";

fn is_text(t: &DataType) -> bool {
    t.is_string() || *t == DataType::Null
}

fn is_options(t: &DataType) -> bool {
    match t {
        DataType::Map { key, value, .. } => is_text(key) && is_text(value),
        other => *other == DataType::Null,
    }
}

/// An argument, where it is given, that has to be a constant of certain types; `what` it is.
fn constant(call: &Call, i: usize, fits: impl Fn(&DataType) -> bool, what: &str) -> Result<()> {
    let is_right = |arg: &Arg| arg.constant.is_some() && fits(&arg.data_type);
    if call.args.get(i).is_none_or(is_right) {
        return Ok(());
    }
    let why = format!("argument {} has to be a constant, {what}", i + 1);
    Err(Error::new("DATATYPE_MISMATCH.TYPE_CHECK_FAILURE_WITH_HINT")
        .param("sqlExpr", format!("\"{}\"", shown(call)))
        .param("msg", &why)
        .param("hint", "")
        .message(format!("Cannot resolve \"{}\": {why}.", shown(call))))
}

/// The call with the arguments that Spark fills in.
fn shown(call: &Call) -> String {
    let mut args: Vec<&str> = call.args.iter().map(|a| a.sql.as_str()).collect();
    if call.name.ends_with("protobuf") {
        args.resize(args.len().max(4), "NULL");
    }
    format!("{}({})", call.name, args.join(", "))
}
