//! `upper`, `lower`, `initcap`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::buffer::Buffer;
use boathouse_spec::Result;

use super::string_like;
use crate::apply::text_rows;
use crate::{Call, Inputs, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["upper", "ucase"], |c| mapped(c, |i| change(i, u8::to_ascii_uppercase, upper)));
    r.scalar(&["lower", "lcase"], |c| mapped(c, |i| change(i, u8::to_ascii_lowercase, lower)));
    r.scalar(&["initcap"], |c| mapped(c, initcap));
}

fn mapped(call: &Call, eval: fn(&Inputs) -> Result<ArrayRef>) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    let t = string_like(&coerced[0]);
    Ok(Resolved::new(coerced, t, nullable, eval))
}

/// All bytes at once where they are ASCII: offsets and NULLs stay.
fn change(inputs: &Inputs, byte: fn(&u8) -> u8, text: fn(&str, &mut String)) -> Result<ArrayRef> {
    let array = inputs.strings(0)?;
    let (offsets, values, nulls) = array.clone().into_parts();
    let used = &values[offsets[0] as usize..offsets[offsets.len() - 1] as usize];
    if used.is_ascii() {
        let values: Vec<u8> = values.iter().map(byte).collect();
        return match StringArray::try_new(offsets, Buffer::from_vec(values), nulls) {
            Ok(out) => Ok(Arc::new(out)),
            Err(e) => Err(boathouse_bridge::from_arrow(e)),
        };
    }
    text_rows(array.len(), |row, out| {
        if array.is_null(row) {
            return Ok(None);
        }
        text(array.value(row), out);
        Ok(Some(()))
    })
}

fn upper(text: &str, out: &mut String) {
    out.extend(text.chars().flat_map(char::to_uppercase));
}

fn lower(text: &str, out: &mut String) {
    // With the rule of the final sigma.
    out.push_str(&text.to_lowercase());
}

/// The first letter of every word (words end at blanks) in title case, the rest in lower case.
fn initcap(inputs: &Inputs) -> Result<ArrayRef> {
    let array = inputs.strings(0)?;
    text_rows(array.len(), |row, out| {
        if array.is_null(row) {
            return Ok(None);
        }
        for (i, word) in array.value(row).split(' ').enumerate() {
            if i > 0 {
                out.push(' ');
            }
            let Some(first) = word.chars().next() else { continue };
            title(first, out);
            // In lower case as part of its word: a sigma at the end is another one.
            let lowered: usize = first.to_lowercase().map(char::len_utf8).sum();
            out.push_str(&word.to_lowercase()[lowered..]);
        }
        Ok(Some(()))
    })
}

fn title(c: char, out: &mut String) {
    // Digraphs have a title case of their own.
    let own = match c {
        '\u{1c4}'..='\u{1c6}' => Some('\u{1c5}'),
        '\u{1c7}'..='\u{1c9}' => Some('\u{1c8}'),
        '\u{1ca}'..='\u{1cc}' => Some('\u{1cb}'),
        '\u{1f1}'..='\u{1f3}' => Some('\u{1f2}'),
        _ => None,
    };
    if let Some(c) = own {
        return out.push(c);
    }
    let mut upper = c.to_uppercase();
    // Up to the first capital: the apostrophe of `ŉ` stands before it.
    for part in upper.by_ref() {
        out.push(part);
        if part.is_uppercase() {
            break;
        }
    }
    out.extend(upper.flat_map(char::to_lowercase));
}
