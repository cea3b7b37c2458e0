//! `substring`, `left`, `right`, `substring_index`, `overlay`.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::Int32Type;
use boathouse_spec::{DataType, Result};

use super::{chars, string_like, string_or_binary};
use crate::apply::{byte_rows, check_size, text_rows};
use crate::collation::{Collator, collator_of};
use crate::{Call, Inputs, Registry, ReplacedArg, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["substring", "substr", "mid"], substring);
    r.scalar(&["left"], left);
    r.scalar(&["right"], right);
    r.scalar(&["substring_index"], substring_index);
    r.scalar(&["overlay"], overlay);
}

/// Where `substring(text, position, length)` starts and ends among `count` units; `None` for nothing.
fn range(count: i64, position: i32, length: i32) -> Option<(usize, usize)> {
    let position = i64::from(position);
    if position > count {
        return None;
    }
    let start = match position {
        1.. => position - 1,
        0 => 0,
        _ => count + position,
    };
    // What lies before the start counts towards the length.
    let end = (start + i64::from(length)).min(count);
    let start = start.max(0);
    (start < end).then_some((start as usize, end as usize))
}

/// The bytes of characters `start..end`.
fn slice(text: &str, start: usize, end: usize) -> &str {
    if text.is_ascii() {
        return &text[start.min(text.len())..end.min(text.len())];
    }
    let mut indices = text.char_indices().map(|(i, _)| i);
    let from = indices.nth(start).unwrap_or(text.len());
    let to = match end - start {
        0 => from,
        n => indices.nth(n - 1).unwrap_or(text.len()),
    };
    &text[from..to]
}

fn sub(text: &str, position: i32, length: i32) -> &str {
    if length <= 0 {
        return "";
    }
    // Only a position from the end needs the number of characters; otherwise more than there are will do.
    let count = if position < 0 { chars(text) as i64 } else { i64::MAX >> 1 };
    match range(count, position, length) {
        Some((start, end)) => slice(text, start, end),
        None => "",
    }
}

fn sub_bytes(bytes: &[u8], position: i32, length: i32) -> &[u8] {
    match range(bytes.len() as i64, position, length) {
        Some((start, end)) if length > 0 => &bytes[start..end],
        _ => &[],
    }
}

fn substring(call: &Call) -> Result<Resolved> {
    call.arity(2..=3)?;
    let coerced = call.want(&[string_or_binary(), Want::INT, Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    let binary = coerced[0] == DataType::Binary;
    let t = if binary { DataType::Binary } else { string_like(&coerced[0]) };
    let three = coerced.len() == 3;
    let resolved = Resolved::new(coerced, t, nullable, move |inputs| {
        let positions = inputs.numbers::<Int32Type>(1)?;
        let lengths = if three { Some(inputs.numbers::<Int32Type>(2)?) } else { None };
        let wanted = |row: usize| {
            let position = positions.get(row)?;
            Some((position, lengths.as_ref().map_or(Some(i32::MAX), |l| l.get(row))?))
        };
        if binary {
            let bytes = inputs.bytes(0)?;
            return byte_rows(inputs.rows(), |row, out| {
                let (Some(bytes), Some((position, length))) = (bytes.get(row), wanted(row)) else {
                    return Ok(None);
                };
                out.extend_from_slice(sub_bytes(bytes, position, length));
                Ok(Some(()))
            });
        }
        let text = inputs.text(0)?;
        let mut out = StringBuilder::with_capacity(inputs.rows(), text.array.value_data().len() / 2 + 16);
        let mut size = 0;
        for row in 0..inputs.rows() {
            match (text.get(row), wanted(row)) {
                (Some(text), Some((position, length))) => {
                    let part = sub(text, position, length);
                    size += part.len();
                    check_size(size)?;
                    out.append_value(part);
                }
                _ => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()))
    });
    Ok(match three {
        true => resolved,
        false => resolved.shown_with(vec![
            ShownArg::Arg(0),
            ShownArg::Arg(1),
            ShownArg::Text(i32::MAX.to_string()),
        ]),
    })
}

fn left(call: &Call) -> Result<Resolved> {
    let resolved = ends(call, |text, n| sub(text, 1, n), |bytes, n| sub_bytes(bytes, 1, n), true)?;
    let args = vec![ReplacedArg::Arg(0), ReplacedArg::Integer(1), ReplacedArg::Arg(1)];
    Ok(resolved.replaced_by("substring", args))
}

fn right(call: &Call) -> Result<Resolved> {
    ends(
        call,
        |text, n| sub(text, n.saturating_neg(), i32::MAX),
        |bytes, n| sub_bytes(bytes, n.saturating_neg(), i32::MAX),
        false,
    )
}

fn ends(
    call: &Call,
    text: fn(&str, i32) -> &str,
    bytes: fn(&[u8], i32) -> &[u8],
    left: bool,
) -> Result<Resolved> {
    call.arity(2..=2)?;
    let want = if left { string_or_binary() } else { Want::Str };
    let coerced = call.want(&[want, Want::INT])?;
    let nullable = call.nullable_as(&coerced) || !left;
    let binary = coerced[0] == DataType::Binary;
    let t = if binary { DataType::Binary } else { string_like(&coerced[0]) };
    Ok(Resolved::new(coerced, t, nullable, move |inputs| {
        let counts = inputs.numbers::<Int32Type>(1)?;
        if binary {
            let values = inputs.bytes(0)?;
            return byte_rows(inputs.rows(), |row, out| {
                let (Some(v), Some(n)) = (values.get(row), counts.get(row)) else { return Ok(None) };
                out.extend_from_slice(if n <= 0 { &[] } else { bytes(v, n) });
                Ok(Some(()))
            });
        }
        let values = inputs.text(0)?;
        text_rows(inputs.rows(), |row, out| {
            let (Some(v), Some(n)) = (values.get(row), counts.get(row)) else { return Ok(None) };
            out.push_str(if n <= 0 { "" } else { text(v, n) });
            Ok(Some(()))
        })
    }))
}

fn substring_index(call: &Call) -> Result<Resolved> {
    call.arity(3..=3)?;
    let coerced = call.want(&[Want::Str, Want::Str, Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    let t = string_like(&coerced[0]);
    let collator = collator_of(&coerced[0])?;
    Ok(Resolved::new(coerced, t, nullable, move |inputs| {
        let (text, delimiter) = (inputs.text(0)?, inputs.text(1)?);
        let counts = inputs.numbers::<Int32Type>(2)?;
        text_rows(inputs.rows(), |row, out| {
            let (Some(text), Some(delimiter), Some(n)) = (text.get(row), delimiter.get(row), counts.get(row))
            else {
                return Ok(None);
            };
            out.push_str(match &collator {
                Some(collator) => before_in(collator, text, delimiter, n),
                None => before(text, delimiter, n),
            });
            Ok(Some(()))
        })
    }))
}

/// The same in a collation.
fn before_in<'a>(collator: &Collator, text: &'a str, delimiter: &str, n: i32) -> &'a str {
    let delimiter = collator.trimmed(delimiter);
    if delimiter.is_empty() || n == 0 {
        return "";
    }
    // Matches may overlap here, too: each search goes on one character further.
    let width = |c: Option<char>| c.map_or(1, char::len_utf8);
    let (mut from, mut until, mut rest) = (0, text.len(), text);
    for _ in 0..n.unsigned_abs() {
        let found = if n > 0 {
            collator.find(text, delimiter, from)
        } else {
            collator.find_last(text, delimiter, until)
        };
        let Some((begin, end)) = found else { return text };
        from = begin + width(text[begin..].chars().next());
        until = end - width(text[..end].chars().next_back());
        rest = if n > 0 { &text[..begin] } else { &text[end..] };
    }
    rest
}

/// What stands before the `n`th delimiter, from the end where `n` is negative.
fn before<'a>(text: &'a str, delimiter: &str, n: i32) -> &'a str {
    if delimiter.is_empty() || n == 0 {
        return "";
    }
    let wanted = n.unsigned_abs() as usize - 1;
    // Matches may overlap: each search starts one byte on.
    let step = |at: usize| text[at..].chars().next().map_or(1, char::len_utf8);
    if n > 0 {
        let mut at = 0;
        for _ in 0..wanted {
            match text[at..].find(delimiter) {
                Some(i) => at += i + step(at + i),
                None => return text,
            }
        }
        return text[at..].find(delimiter).map_or(text, |i| &text[..at + i]);
    }
    let mut end = text.len();
    let mut found = None;
    for _ in 0..=wanted {
        match text[..end].rfind(delimiter) {
            Some(i) => {
                found = Some(i);
                end = (i + delimiter.len()).saturating_sub(1);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
            }
            None => return text,
        }
    }
    found.map_or(text, |i| &text[i + delimiter.len()..])
}

fn overlay(call: &Call) -> Result<Resolved> {
    call.arity(3..=4)?;
    let (a, b) = (&call.args[0].data_type, &call.args[1].data_type);
    let binary = *a == DataType::Binary && matches!(b, DataType::Binary | DataType::Null)
        || (*a == DataType::Null && *b == DataType::Binary);
    if (*a == DataType::Binary) != (*b == DataType::Binary) && *a != DataType::Null && *b != DataType::Null {
        return Err(call.different_types());
    }
    let value = if binary { Want::BINARY } else { Want::Str };
    let coerced = call.want(&[value.clone(), value, Want::INT, Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    let t = if binary { DataType::Binary } else { string_like(&coerced[0]) };
    let four = coerced.len() == 4;
    let resolved = Resolved::new(coerced, t, nullable, move |inputs| overlaid(inputs, binary, four));
    Ok(match four {
        true => resolved,
        false => resolved.shown_with(vec![
            ShownArg::Arg(0),
            ShownArg::Arg(1),
            ShownArg::Arg(2),
            ShownArg::Text("-1".into()),
        ]),
    })
}

fn overlaid(inputs: &Inputs, binary: bool, four: bool) -> Result<ArrayRef> {
    let positions = inputs.numbers::<Int32Type>(2)?;
    let lengths = if four { Some(inputs.numbers::<Int32Type>(3)?) } else { None };
    let wanted = |row: usize| {
        let position = positions.get(row)?;
        Some((position, lengths.as_ref().map_or(Some(-1), |l| l.get(row))?))
    };
    if binary {
        let (values, replacements) = (inputs.bytes(0)?, inputs.bytes(1)?);
        return byte_rows(inputs.rows(), |row, out| {
            let (Some(v), Some(r), Some((position, length))) =
                (values.get(row), replacements.get(row), wanted(row))
            else {
                return Ok(None);
            };
            let length = if length >= 0 { length } else { r.len() as i32 };
            out.extend_from_slice(sub_bytes(v, 1, position.saturating_sub(1)));
            out.extend_from_slice(r);
            out.extend_from_slice(sub_bytes(v, position.saturating_add(length), i32::MAX));
            Ok(Some(()))
        });
    }
    let (values, replacements) = (inputs.text(0)?, inputs.text(1)?);
    text_rows(inputs.rows(), |row, out| {
        let (Some(v), Some(r), Some((position, length))) =
            (values.get(row), replacements.get(row), wanted(row))
        else {
            return Ok(None);
        };
        let length = if length >= 0 { length } else { chars(r) as i32 };
        out.push_str(sub(v, 1, position.saturating_sub(1)));
        out.push_str(r);
        out.push_str(sub(v, position.saturating_add(length), i32::MAX));
        Ok(Some(()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        assert_eq!(sub("Spark SQL", 5, i32::MAX), "k SQL");
        assert_eq!(sub("Spark SQL", -3, i32::MAX), "SQL");
        assert_eq!(sub("Spark", 0, 2), "Sp");
        assert_eq!(sub("Spark", -10, 7), "Sp");
        assert_eq!(sub("äöü", 2, 1), "ö");
        assert_eq!(sub("äöü", 9, 1), "");
        assert_eq!(sub("abc", 2, -1), "");
    }

    #[test]
    fn delimiters() {
        assert_eq!(before("www.apache.org", ".", 2), "www.apache");
        assert_eq!(before("www.apache.org", ".", -2), "apache.org");
        assert_eq!(before("www.apache.org", ".", -9), "www.apache.org");
        assert_eq!(before("||||", "|||", 2), "|");
        assert_eq!(before("a", "", 2), "");
    }
}
