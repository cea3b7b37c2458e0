//! CSV: `from_csv`, `to_csv`, `schema_of_csv`. Reading and writing CSV is `formats`' business.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use boathouse_formats::csv::{self, Options};
use boathouse_formats::options::{Lookup, ParseMode};
use boathouse_spec::{DataType, Error, Result, StructType};

use crate::datetime::constant_text;
use crate::options::{
    any, check_encoding, drop_malformed, is_single_variant, options_argument, schema_argument,
    session_defaults, take_single_variant,
};
use crate::{Call, Registry, Resolved, ShownArg, Want, mismatch};

pub(crate) fn register(r: &mut Registry) {
    r.scalar(&["from_csv"], |c| {
        c.arity_of(&[2, 3])?;
        let schema = schema_argument(c, 1)?;
        from_csv(c, &schema, &options_argument(c, 2)?)
    });
    r.scalar(&["to_csv"], to_csv);
    r.scalar(&["schema_of_csv"], schema_of_csv);
}

/// `from_csv` with a schema that is known. The call's first argument is the text; arguments behind it are not looked at.
pub fn from_csv(call: &Call, schema: &DataType, options: &[(String, String)]) -> Result<Resolved> {
    let DataType::Struct(schema) = schema.as_nullable() else {
        return Err(Error::new("INVALID_SCHEMA.NON_STRUCT_TYPE")
            .param("inputSchema", format!("\"{}\"", schema.sql()))
            .param("dataType", format!("\"{}\"", schema.sql()))
            .message(format!("CSV is read as a struct, not as {}.", schema.sql())));
    };
    if let Some(arg) = call.args.first()
        && !(arg.data_type.is_string() || arg.data_type == DataType::Null)
    {
        let shown = format!("{}({})", call.name, arg.sql);
        return Err(call.unexpected_input_in(&shown, 0, 0, &Want::Str.sql()));
    }
    check_encoding(call, options, "CSVOptions")?;
    let (given, single_variant) = take_single_variant(options);
    let mut parsed = Options::parse(&given, &session_defaults(call.context))?;
    if single_variant {
        let name = Lookup(options).text("singleVariantColumn").unwrap_or_default();
        // Unlike JSON and XML, CSV looks for the name.
        if !is_single_variant(&schema, &parsed.corrupt_column) || schema.field(name).is_none() {
            let shown = DataType::Struct(schema).sql();
            return Err(Error::new("INVALID_SINGLE_VARIANT_COLUMN")
                .param("schema", format!("\"{shown}\""))
                .message(format!(
                    "With the option `singleVariantColumn` CSV is read as one VARIANT of its name, not as {shown}."
                )));
        }
        parsed.single_variant = true;
    }
    if parsed.mode == ParseMode::DropMalformed {
        return Err(drop_malformed(call.name));
    }
    let is_refused = |t: &DataType| {
        matches!(t, DataType::Array { .. } | DataType::Map { .. } | DataType::Struct(_) | DataType::Null)
    };
    if let Some(field) = schema.fields.iter().find(|f| is_refused(&f.data_type)) {
        let given = field.data_type.sql();
        return Err(Error::new("UNSUPPORTED_DATATYPE")
            .param("typeName", format!("\"{given}\""))
            .message(format!("CSV holds no values of the type {given}.")));
    }
    let mut coerced = call.types();
    if let Some(first) = coerced.first_mut() {
        *first = DataType::STRING;
    }
    let nullable = call.args.first().is_none_or(|a| a.nullable || a.data_type == DataType::Null);
    let target = schema.clone();
    Ok(Resolved::new(coerced, DataType::Struct(schema), nullable, move |inputs| {
        csv::from_csv(&inputs.strings(0)?, &target, &parsed)
    })
    .with_parameters(options)
    .shown_with(vec![ShownArg::Arg(0)]))
}

fn to_csv(call: &Call) -> Result<Resolved> {
    call.arity_of(&[1, 2])?;
    let given = options_argument(call, 1)?;
    let input = call.args[0].data_type.clone();
    let schema = match &input {
        DataType::Struct(s) if !any(&input, &|t| *t == DataType::Variant) => s.clone(),
        DataType::Null => StructType::default(),
        other => {
            return Err(Error::new("DATATYPE_MISMATCH.UNSUPPORTED_INPUT_TYPE")
                .param("functionName", "`to_csv`")
                .param("dataType", format!("\"{}\"", other.sql()))
                .param("sqlExpr", format!("\"{}({})\"", call.name, call.args[0].sql))
                .message(format!("`to_csv` writes structs, not {}.", other.sql())));
        }
    };
    check_encoding(call, &given, "CSVOptions")?;
    let options = Options::parse_for_writing(&given, &session_defaults(call.context))?;
    let resolved = Resolved::new(call.types(), DataType::STRING, true, move |inputs| {
        let array = inputs.array(0)?;
        Ok(match array.as_struct_opt() {
            Some(rows) => Arc::new(csv::to_csv(rows, &schema, &options)?) as ArrayRef,
            None => Arc::new(StringArray::new_null(array.len())),
        })
    });
    Ok(resolved.shown_with(vec![ShownArg::Arg(0)]))
}

fn schema_of_csv(call: &Call) -> Result<Resolved> {
    call.arity_of(&[1, 2])?;
    let given = options_argument(call, 1)?;
    let coerced = call.exactly(&[Want::Str, Want::Any])?;
    let text = match constant_text(call, 0) {
        Some(Some(text)) => text,
        Some(None) => return Err(mismatch::unexpected_null(call, "csv")),
        None => return Err(mismatch::not_constant(call, 0, "csv", "STRING")),
    };
    check_encoding(call, &given, "CSVOptions")?;
    let options = Options::parse(&take_single_variant(&given).0, &session_defaults(call.context))?;
    options.check_for_inferring()?;
    Ok(Resolved::new(coerced, DataType::STRING, false, move |inputs| {
        let schema = DataType::Struct(csv::type_of(&text, options.clone())?).sql();
        Ok(Arc::new(StringArray::from(vec![schema.as_str(); inputs.rows()])))
    })
    .shown_with(vec![ShownArg::Arg(0)]))
}
