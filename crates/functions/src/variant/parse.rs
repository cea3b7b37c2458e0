//! `parse_json`, `try_parse_json`, `is_variant_null`, `is_valid_variant`.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use boathouse_formats::variant::{self, Builder, Kind};
use boathouse_spec::{DataType, Error, Result};

use super::{VARIANT, VariantColumn, Variants};
use crate::{Call, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["parse_json"], |c| parse_json(c, false));
    r.scalar(&["try_parse_json"], |c| parse_json(c, true));
    r.scalar(&["is_variant_null"], |c| {
        c.arity(1..=1)?;
        let coerced = c.exactly(&[VARIANT])?;
        Ok(Resolved::new(coerced, DataType::Boolean, false, |inputs| {
            let variants = Variants::argument(inputs, 0)?;
            let out = variants
                .iter()
                .map(|v| match v {
                    Some(v) => Ok(Some(v.kind()? == Kind::Null)),
                    None => Ok(Some(false)),
                })
                .collect::<Result<BooleanArray>>()?;
            Ok(Arc::new(out))
        }))
    });
    r.scalar(&["is_valid_variant"], |c| {
        c.arity(1..=1)?;
        let coerced = c.exactly(&[VARIANT])?;
        Ok(Resolved::new(coerced, DataType::Boolean, c.any_nullable(), |inputs| {
            let variants = Variants::argument(inputs, 0)?;
            Ok(Arc::new(variants.iter().map(|v| v.map(|v| v.check().is_ok())).collect::<BooleanArray>()))
        }))
    });
}

fn parse_json(call: &Call, tried: bool) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.exactly(&[Want::Str])?;
    let nullable = tried || call.any_nullable();
    Ok(Resolved::new(coerced, DataType::Variant, nullable, move |inputs| {
        let texts = inputs.strings(0)?;
        let mut out = VariantColumn::new(texts.len());
        let mut builder = Builder::new();
        for text in &texts {
            let Some(text) = text else {
                out.push_null();
                continue;
            };
            builder.clear();
            match variant::parse_json(text, &mut builder) {
                Ok(true) => out.push(&builder)?,
                Ok(false) | Err(_) if tried => out.push_null(),
                Ok(false) => return Err(malformed(text)),
                Err(e) if e.is("VARIANT_DUPLICATE_KEY") => return Err(malformed(text).caused_by(e)),
                Err(e) => return Err(e),
            }
        }
        out.finish()
    }))
}

fn malformed(text: &str) -> Error {
    Error::new("MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION")
        .param("badRecord", text)
        .param("failFastMode", "FAILFAST")
        .message(format!("'{text}' is no JSON. Use `try_parse_json` to get NULL."))
}
