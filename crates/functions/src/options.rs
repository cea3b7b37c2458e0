//! The constants that functions of text formats take: maps of options and schemas.

use std::sync::OnceLock;

use arrow::array::{Array, AsArray};
use boathouse_formats::options::{Lookup, SessionDefaults};
use boathouse_spec::{DataType, Error, Result, StructType};
use datafusion::scalar::ScalarValue;

use crate::datetime::session_zone;
use crate::string::check_charset;
use crate::{Call, Context};

/// Reads a schema's text (DDL), for functions that get one as a string. The grammar is not this crate's: the engine
/// sets it at the start.
pub type SchemaParser = fn(&str) -> Result<DataType>;

static SCHEMA_PARSER: OnceLock<SchemaParser> = OnceLock::new();

/// Sets the parser of schemas; the first one stays.
pub fn set_schema_parser(parser: SchemaParser) {
    let _ = SCHEMA_PARSER.set(parser);
}

/// The type that a schema's text means: DDL (`a INT, b STRING`, `ARRAY<INT>`), or JSON.
pub(crate) fn parse_schema(text: &str) -> Result<DataType> {
    if text.trim().is_empty() {
        return Err(Error::new("PARSE_EMPTY_STATEMENT").message("The text of a schema is empty."));
    }
    let parsed = match SCHEMA_PARSER.get() {
        Some(parse) => parse(text),
        None => default_parser(text),
    };
    parsed.or_else(
        |error| if text.trim_start().starts_with('{') { DataType::from_json(text) } else { Err(error) },
    )
}

#[cfg(test)]
fn default_parser(text: &str) -> Result<DataType> {
    crate::golden::parse_schema(text)
}

#[cfg(not(test))]
fn default_parser(_: &str) -> Result<DataType> {
    Err(Error::internal("no parser of schemas was set"))
}

/// The constant string at an argument as a type; anything else is INVALID_SCHEMA.NON_STRING_LITERAL.
pub(crate) fn schema_argument(call: &Call, i: usize) -> Result<DataType> {
    let text = match call.args.get(i).and_then(|a| a.constant.as_ref()) {
        Some(
            ScalarValue::Utf8(Some(text))
            | ScalarValue::LargeUtf8(Some(text))
            | ScalarValue::Utf8View(Some(text)),
        ) => text,
        _ => {
            let sql = call.args.get(i).map(|a| a.sql.as_str()).unwrap_or_default();
            return Err(Error::new("INVALID_SCHEMA.NON_STRING_LITERAL")
                .param("inputSchema", format!("\"{sql}\""))
                .message(format!(
                    "The schema of `{}` must be a constant string, not \"{sql}\".",
                    call.name
                )));
        }
    };
    let schema = parse_schema(text)?;
    refuse_char(&schema)?;
    Ok(schema)
}

/// CHAR and VARCHAR are types of tables' columns only (Spark's `CharVarcharUtils.failIfHasCharVarchar`).
pub fn refuse_char(t: &DataType) -> Result<()> {
    if any(t, &|t| matches!(t, DataType::Char(_) | DataType::Varchar(_))) {
        return Err(Error::new("UNSUPPORTED_CHAR_OR_VARCHAR_AS_STRING")
            .message("CHAR and VARCHAR are types of table columns; use STRING here."));
    }
    Ok(())
}

/// Whether a type or one within it has a property.
pub(crate) fn any(t: &DataType, test: &impl Fn(&DataType) -> bool) -> bool {
    test(t)
        || match t {
            DataType::Array { element, .. } => any(element, test),
            DataType::Map { key, value, .. } => any(key, test) || any(value, test),
            DataType::Struct(s) => s.fields.iter().any(|f| any(&f.data_type, test)),
            _ => false,
        }
}

/// The constant map of strings at an argument; none where the call has no such argument.
pub(crate) fn options_argument(call: &Call, i: usize) -> Result<Vec<(String, String)>> {
    let Some(arg) = call.args.get(i) else { return Ok(Vec::new()) };
    let not_a_map = || {
        Error::new("INVALID_OPTIONS.NON_MAP_FUNCTION")
            .message(format!("The options of `{}` must be a constant `map()` of strings.", call.name))
    };
    match &arg.data_type {
        DataType::Map { key, value, .. } if key.is_string() && value.is_string() => {}
        DataType::Map { .. } => {
            let given = arg.data_type.sql();
            return Err(Error::new("INVALID_OPTIONS.NON_STRING_TYPE")
                .param("mapType", format!("\"{given}\""))
                .message(format!("The options of `{}` must be a map of strings, not {given}.", call.name)));
        }
        _ => return Err(not_a_map()),
    }
    let Some(ScalarValue::Map(map)) = &arg.constant else { return Err(not_a_map()) };
    if map.is_empty() || map.is_null(0) {
        return Err(not_a_map());
    }
    let entries = map.value(0);
    let (Some(keys), Some(values)) =
        (entries.column(0).as_string_opt::<i32>(), entries.column(1).as_string_opt::<i32>())
    else {
        return Err(not_a_map());
    };
    Ok(keys
        .iter()
        .zip(values)
        .filter_map(|(k, v)| Some((k?.to_string(), v.unwrap_or_default().to_string())))
        .collect())
}

/// The options without `singleVariantColumn`, and whether it is among them: then the schema is one VARIANT for whole records.
pub(crate) fn take_single_variant(options: &[(String, String)]) -> (Vec<(String, String)>, bool) {
    let is_it = |key: &str| key.eq_ignore_ascii_case("singleVariantColumn");
    let others: Vec<_> = options.iter().filter(|(key, _)| !is_it(key)).cloned().collect();
    let given = others.len() < options.len();
    (others, given)
}

/// Whether a schema is one VARIANT, and may be the column of corrupt records.
pub(crate) fn is_single_variant(schema: &StructType, corrupt_column: &str) -> bool {
    let mut data = schema.fields.iter().filter(|f| f.name != corrupt_column);
    data.next().is_some_and(|f| f.data_type == DataType::Variant) && data.next().is_none()
}

/// The error of another schema, as Java's `require` throws it.
pub(crate) fn not_single_variant(format: &str, schema: &DataType) -> Error {
    Error::new("").exception("IllegalArgumentException").message(format!(
        "With the option `singleVariantColumn` {format} is read as one VARIANT, not as {}.",
        schema.sql()
    ))
}

/// Fails where the option `encoding` names none that Spark knows; `options_class` is the class that Spark's message names.
pub(crate) fn check_encoding(call: &Call, options: &[(String, String)], options_class: &str) -> Result<()> {
    let given = Lookup(options);
    match given.text("encoding").or(given.text("charset")) {
        Some(name) => check_charset(name, options_class, call.context),
        None => Ok(()),
    }
}

/// What the session decides for the text formats.
pub(crate) fn session_defaults(context: &Context) -> SessionDefaults {
    SessionDefaults {
        zone: session_zone(context),
        infer_ntz: context.timestamp_ntz_default,
        case_sensitive: context.case_sensitive,
        ansi: context.ansi,
        binary_style: context.binary_style,
        ..SessionDefaults::default()
    }
}

/// The mode that only files have.
pub(crate) fn drop_malformed(function: &str) -> Error {
    Error::new("PARSE_MODE_UNSUPPORTED")
        .param("funcName", format!("`{function}`"))
        .param("mode", "DROPMALFORMED")
        .message(format!("`{function}` knows the modes PERMISSIVE and FAILFAST, not DROPMALFORMED."))
}
