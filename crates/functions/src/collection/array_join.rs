//! `array_join`.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringBuilder};
use boathouse_spec::{DataType, Result};

use super::lists::{bounds, lists};
use crate::coercion::Want;
use crate::{Call, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["array_join"], array_join);
}

fn array_join(call: &Call) -> Result<Resolved> {
    call.arity(2..=3)?;
    let coerced = call.want(&[Want::array_of(Want::Str), Want::Str, Want::Str])?;
    let joined = coerced.get(1).cloned().unwrap_or(DataType::STRING);
    Ok(Resolved::new(coerced, joined, call.any_nullable(), |inputs| {
        let list = lists(inputs, 0)?;
        let texts = list.values().as_string::<i32>();
        let between = inputs.strings(1)?;
        let for_null = if inputs.len() > 2 { Some(inputs.strings(2)?) } else { None };
        let mut out = StringBuilder::new();
        for row in 0..list.len() {
            let (Some(range), true) = (bounds(&list, row), between.is_valid(row)) else {
                out.append_null();
                continue;
            };
            if for_null.as_ref().is_some_and(|f| f.is_null(row)) {
                out.append_null();
                continue;
            }
            let mut first = true;
            for i in range {
                let text = match (texts.is_valid(i), &for_null) {
                    (true, _) => texts.value(i),
                    (false, Some(instead)) => instead.value(row),
                    (false, None) => continue,
                };
                if !first {
                    // Writing to a builder's buffer cannot fail.
                    let _ = out.write_str(between.value(row));
                }
                first = false;
                let _ = out.write_str(text);
            }
            out.append_value("");
        }
        Ok(Arc::new(out.finish()))
    }))
}
