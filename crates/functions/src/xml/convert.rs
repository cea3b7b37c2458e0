//! `from_xml`, `to_xml`, `schema_of_xml`.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use boathouse_formats::options::ParseMode;
use boathouse_formats::xml::{self, Options};
use boathouse_spec::{DataType, Error, Result};

use crate::datetime::constant_text;
use crate::options::{
    drop_malformed, is_single_variant, not_single_variant, options_argument, schema_argument,
    session_defaults, take_single_variant,
};
use crate::{Call, Registry, Resolved, ShownArg, Want, mismatch};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["from_xml"], |c| {
        c.arity_of(&[2, 3])?;
        let schema = schema_argument(c, 1)?;
        from_xml(c, &schema, &options_argument(c, 2)?)
    });
    r.scalar(&["to_xml"], to_xml);
    r.scalar(&["schema_of_xml"], schema_of_xml);
}

/// `from_xml` with a schema that is known. The call's first argument is the text; arguments behind it are not looked at.
pub fn from_xml(call: &Call, schema: &DataType, options: &[(String, String)]) -> Result<Resolved> {
    let shown = format!("{}({})", call.name, call.args.first().map(|a| a.sql.as_str()).unwrap_or_default());
    let target = match schema.as_nullable() {
        target @ (DataType::Struct(_) | DataType::Variant) => target,
        other => {
            return Err(Error::new("DATATYPE_MISMATCH.INVALID_XML_SCHEMA")
                .param("schema", format!("\"{}\"", other.sql()))
                .param("sqlExpr", format!("\"{shown}\""))
                .message(format!("XML is read as a struct, not as {}.", other.sql())));
        }
    };
    if let Some(arg) = call.args.first()
        && !(arg.data_type.is_string() || arg.data_type == DataType::Null)
    {
        return Err(call.unexpected_input_in(&shown, 0, 0, &Want::Str.sql()));
    }
    let (given, single_variant) = take_single_variant(options);
    let mut parsed = Options::parse(&given, &session_defaults(call.context), false)?;
    if single_variant && let DataType::Struct(s) = &target {
        if !is_single_variant(s, &parsed.corrupt_column) {
            return Err(not_single_variant("XML", &target));
        }
        parsed.single_variant = true;
    }
    if parsed.mode == ParseMode::DropMalformed {
        return Err(drop_malformed(call.name));
    }
    let mut coerced = call.types();
    if let Some(first) = coerced.first_mut() {
        *first = DataType::STRING;
    }
    let read_as = target.clone();
    Ok(Resolved::new(coerced, target, true, move |inputs| match &read_as {
        DataType::Struct(schema) => xml::from_xml(&inputs.strings(0)?, schema, &parsed),
        _ => xml::from_xml_as_variant(&inputs.strings(0)?, &parsed),
    })
    .with_parameters(options)
    .shown_with(vec![ShownArg::Arg(0)]))
}

fn to_xml(call: &Call) -> Result<Resolved> {
    call.arity_of(&[1, 2])?;
    let given = options_argument(call, 1)?;
    let input = call.args[0].data_type.clone();
    if !matches!(input, DataType::Struct(_) | DataType::Variant | DataType::Null) {
        let shown = format!("{}({})", call.name, call.args[0].sql);
        return Err(call.unexpected_input_in(&shown, 0, 0, "\"STRUCT\""));
    }
    let options = Options::parse(&given, &session_defaults(call.context), true)?;
    let resolved = Resolved::new(call.types(), DataType::STRING, true, move |inputs| match &input {
        DataType::Null => Ok(Arc::new(StringArray::new_null(inputs.rows())) as ArrayRef),
        t => Ok(Arc::new(xml::to_xml(&inputs.array(0)?, t, &options)?)),
    });
    Ok(resolved.shown_with(vec![ShownArg::Arg(0)]))
}

fn schema_of_xml(call: &Call) -> Result<Resolved> {
    call.arity_of(&[1, 2])?;
    let given = options_argument(call, 1)?;
    let coerced = call.exactly(&[Want::Str, Want::Any])?;
    let text = match constant_text(call, 0) {
        Some(Some(text)) => text,
        Some(None) => return Err(mismatch::unexpected_null(call, "xml")),
        None => return Err(mismatch::not_constant(call, 0, "xml", "STRING")),
    };
    let options = Options::parse(&given, &session_defaults(call.context), false)?;
    options.check_for_inferring()?;
    Ok(Resolved::new(coerced, DataType::STRING, false, move |inputs| {
        let schema = xml::type_of(&text, &options)?.sql();
        Ok(Arc::new(StringArray::from(vec![schema.as_str(); inputs.rows()])))
    })
    .shown_with(vec![ShownArg::Arg(0)]))
}
