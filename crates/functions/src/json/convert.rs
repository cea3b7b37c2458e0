//! `from_json`, `to_json`, `schema_of_json`.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use boathouse_formats::json::{self, Options, ValueParser};
use boathouse_formats::options::ParseMode;
use boathouse_spec::{DataType, Error, Result};

use crate::datetime::constant_text;
use crate::options::{
    any, check_encoding, drop_malformed, is_single_variant, not_single_variant, options_argument,
    schema_argument, session_defaults, take_single_variant,
};
use crate::{Call, Registry, Resolved, ShownArg, Want, mismatch};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["from_json"], |c| {
        c.arity_of(&[2, 3])?;
        let schema = schema_argument(c, 1)?;
        from_json(c, &schema, &options_argument(c, 2)?)
    });
    r.scalar(&["to_json"], to_json);
    r.scalar(&["schema_of_json"], schema_of_json);
}

/// `from_json` with a schema that is known. The call's first argument is the text; arguments behind it are not looked
/// at.
pub fn from_json(call: &Call, schema: &DataType, options: &[(String, String)]) -> Result<Resolved> {
    // Messages show the text only, and a map as `entries`.
    let text = call.args.first().map(|a| a.sql.as_str()).unwrap_or_default();
    let schema = schema.as_nullable();
    let map = matches!(schema, DataType::Map { .. });
    let shown = if map { "entries".to_string() } else { format!("{}({text})", call.name) };
    let bad_schema = |class: &str| {
        Error::new(format!("DATATYPE_MISMATCH.{class}"))
            .param("schema", format!("\"{}\"", schema.sql()))
            .param("sqlExpr", format!("\"{shown}\""))
    };
    let nested = matches!(
        schema,
        DataType::Struct(_) | DataType::Array { .. } | DataType::Map { .. } | DataType::Variant
    );
    if !nested {
        return Err(bad_schema("INVALID_JSON_SCHEMA").message(format!(
            "JSON is read as a struct, an array, a map or a variant, not as {}.",
            schema.sql()
        )));
    }
    if any(&schema, &|t| matches!(t, DataType::Map { key, .. } if !key.is_string())) {
        return Err(bad_schema("INVALID_JSON_MAP_KEY_TYPE")
            .message(format!("The keys of maps out of JSON are strings, unlike in {}.", schema.sql())));
    }
    if let Some(arg) = call.args.first()
        && !(arg.data_type.is_string() || arg.data_type == DataType::Null)
    {
        return Err(call.unexpected_input_in(&shown, 0, 0, &Want::Str.sql()));
    }
    check_encoding(call, options, "JSONOptions")?;
    let (given, single_variant) = take_single_variant(options);
    let mut parsed = Options::parse(&given, &session_defaults(call.context))?;
    if single_variant {
        let fits = matches!(&schema, DataType::Struct(s) if is_single_variant(s, &parsed.corrupt_column));
        if !fits {
            return Err(not_single_variant("JSON", &schema));
        }
        parsed.single_variant = true;
    }
    if parsed.mode == ParseMode::DropMalformed {
        return Err(drop_malformed(call.name));
    }
    parsed.exact_strings = false;
    // A parser now, so that a schema it does not take fails here and not in the query.
    ValueParser::new(&schema, parsed.clone())?;
    let mut coerced = call.types();
    if let Some(first) = coerced.first_mut() {
        *first = DataType::STRING;
    }
    let target = schema.clone();
    let resolved = Resolved::new(coerced, schema, true, move |inputs| {
        ValueParser::new(&target, parsed.clone())?.parse(&inputs.strings(0)?)
    });
    let resolved = resolved.with_parameters(options);
    Ok(if map { resolved.shown_bare("entries") } else { resolved.shown_with(vec![ShownArg::Arg(0)]) })
}

fn to_json(call: &Call) -> Result<Resolved> {
    call.arity_of(&[1, 2])?;
    let given = options_argument(call, 1)?;
    let input = call.args[0].data_type.clone();
    match &input {
        DataType::Struct(_)
        | DataType::Array { .. }
        | DataType::Map { .. }
        | DataType::Variant
        | DataType::Null => {}
        other => {
            return Err(Error::new("DATATYPE_MISMATCH.INVALID_JSON_SCHEMA")
                .param("schema", format!("\"{}\"", other.sql()))
                .param("sqlExpr", format!("\"{}({})\"", call.name, call.args[0].sql))
                .message(format!(
                    "`to_json` writes structs, arrays, maps and variants, not {}.",
                    other.sql()
                )));
        }
    }
    check_encoding(call, &given, "JSONOptions")?;
    let options = Options::parse_for_writing(&given, &session_defaults(call.context))?;
    let resolved = Resolved::new(call.types(), DataType::STRING, true, move |inputs| match &input {
        DataType::Null => Ok(Arc::new(StringArray::new_null(inputs.rows())) as ArrayRef),
        t => Ok(Arc::new(json::to_json(&inputs.array(0)?, t, &options)?)),
    });
    Ok(resolved.shown_with(vec![ShownArg::Arg(0)]))
}

fn schema_of_json(call: &Call) -> Result<Resolved> {
    call.arity_of(&[1, 2])?;
    let given = options_argument(call, 1)?;
    let coerced = call.exactly(&[Want::Str, Want::Any])?;
    let text = match constant_text(call, 0) {
        Some(Some(text)) => text,
        Some(None) => return Err(mismatch::unexpected_null(call, "json")),
        None => return Err(mismatch::not_constant(call, 0, "json", "STRING")),
    };
    check_encoding(call, &given, "JSONOptions")?;
    let options = Options::parse(&take_single_variant(&given).0, &session_defaults(call.context))?;
    options.check_for_inferring()?;
    Ok(Resolved::new(coerced, DataType::STRING, false, move |inputs| {
        let schema = json::type_of(&text, options.clone())?.sql();
        Ok(Arc::new(StringArray::from(vec![schema.as_str(); inputs.rows()])))
    })
    .shown_with(vec![ShownArg::Arg(0)]))
}
