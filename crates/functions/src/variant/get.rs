//! `variant_get(variant, path [, type])` and `try_variant_get`.

use std::collections::HashMap;

use boathouse_formats::variant::Variant;
use boathouse_spec::{DataType, Error, Result};

use super::path::{self, Step};
use super::{Variants, castable, from_variants, variant_first};
use crate::options::schema_argument;
use crate::{Call, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["variant_get"], |c| variant_get(c, false));
    r.scalar(&["try_variant_get"], |c| variant_get(c, true));
}

fn variant_get(call: &Call, tried: bool) -> Result<Resolved> {
    call.arity_of(&[2, 3])?;
    let target = if call.args.len() > 2 { schema_argument(call, 2)? } else { DataType::Variant };
    let shown = format!("{}({}, {})", call.name, call.args[0].sql, call.args[1].sql);
    variant_first(call).map_err(|_| call.unexpected_input_in(&shown, 0, 0, "\"VARIANT\""))?;
    if !matches!(call.args[1].data_type, DataType::Null) && !call.args[1].data_type.is_string() {
        return Err(call.unexpected_input_in(&shown, 1, 1, &Want::Str.sql()));
    }
    if !castable(&target) {
        return Err(Error::new("DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION")
            .param("sqlExpr", format!("\"{shown}\""))
            .param("srcType", "\"VARIANT\"")
            .param("targetType", format!("\"{}\"", target.sql()))
            .message(format!("A VARIANT cannot be cast to {}.", target.sql())));
    }
    let mut coerced = vec![DataType::Variant, DataType::STRING];
    coerced.extend(call.args.iter().skip(2).map(|_| DataType::STRING));
    let function = if tried { "try_variant_get" } else { "variant_get" };
    let to = target.clone();
    let resolved = Resolved::new(coerced, target, true, move |inputs| {
        let variants = Variants::argument(inputs, 0)?;
        let paths = inputs.strings(1)?;
        let constant = match inputs.constant_string(1) {
            Some(Some(text)) => Some(path::parse(&text, function)?),
            _ => None,
        };
        let mut known: HashMap<&str, Vec<Step>> = HashMap::new();
        let mut found: Vec<Option<Variant>> = Vec::with_capacity(variants.len());
        for (variant, text) in variants.iter().zip(&paths) {
            let (Some(variant), Some(text)) = (variant, text) else {
                found.push(None);
                continue;
            };
            let steps = match &constant {
                Some(steps) => steps,
                None => match known.entry(text) {
                    std::collections::hash_map::Entry::Occupied(e) => e.into_mut(),
                    std::collections::hash_map::Entry::Vacant(e) => e.insert(path::parse(text, function)?),
                },
            };
            found.push(path::follow(variant, steps)?);
        }
        from_variants(&found, &to, !tried, inputs.context())
    });
    Ok(resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Arg(1)]))
}
