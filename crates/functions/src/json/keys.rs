//! `json_array_length` and `json_object_keys`: what the outermost array or object has.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, ListBuilder, StringBuilder};
use boathouse_formats::json::{Scanner, Start, SyntaxError};
use boathouse_spec::{DataType, Result};

use super::{LENIENCY, is_marked};
use crate::{Call, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["json_array_length"], |c| {
        c.arity(1..=1)?;
        let coerced = c.exactly(&[Want::Str])?;
        Ok(Resolved::new(coerced, DataType::Integer, true, |inputs| {
            let out: Int32Array = inputs.strings(0)?.iter().map(|t| length(t?).ok()?).collect();
            Ok(Arc::new(out))
        }))
    });
    r.scalar(&["json_object_keys"], object_keys);
}

/// The number of elements; `None` of what is no array.
fn length(text: &str) -> Result<Option<i32>, SyntaxError> {
    let mut scanner = Scanner::new(text, LENIENCY);
    if is_marked(text) || scanner.start()? != Start::Array {
        return Ok(None);
    }
    scanner.open();
    let mut length = 0;
    while scanner.next_element(length == 0)? {
        scanner.skip_value()?;
        length += 1;
    }
    Ok(Some(length))
}

fn object_keys(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.exactly(&[Want::Str])?;
    Ok(Resolved::new(coerced, DataType::array(DataType::STRING, true), true, |inputs| {
        let mut out = ListBuilder::new(StringBuilder::new());
        let mut names = Vec::new();
        for text in &inputs.strings(0)? {
            names.clear();
            if text.is_some_and(|t| keys(t, &mut names).unwrap_or(false)) {
                for name in &names {
                    out.values().append_value(name);
                }
                out.append(true);
            } else {
                out.append(false);
            }
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    }))
}

/// Whether the text is an object, and its keys as they come.
fn keys(text: &str, names: &mut Vec<String>) -> Result<bool, SyntaxError> {
    let mut scanner = Scanner::new(text, LENIENCY);
    if is_marked(text) || scanner.start()? != Start::Object {
        return Ok(false);
    }
    scanner.open();
    let mut scratch = Vec::new();
    while let Some(name) = scanner.next_field(names.is_empty(), &mut scratch)? {
        names.push(String::from_utf8_lossy(name).into_owned());
        scanner.skip_value()?;
    }
    Ok(true)
}
