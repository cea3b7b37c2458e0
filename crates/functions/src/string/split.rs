//! `split`, `split_part`, `sentences`.

use std::sync::Arc;

use arrow::array::{ListBuilder, StringBuilder};
use arrow::datatypes::Int32Type;
use boathouse_spec::{DataType, Error, Result};
use unicode_segmentation::UnicodeSegmentation;

use super::java_regex::JavaRegex;
use super::regex::Patterns;
use super::string_like;
use crate::apply::{check_size, text_rows};
use crate::collation::{Collator, collator_of, pattern_ignores_case};
use crate::{Call, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["split"], split);
    r.scalar(&["split_part"], split_part);
    r.scalar(&["sentences"], sentences);
}

/// The parts of a text between matches, at most `limit` of them where that is positive.
fn parts<'t>(text: &'t str, pattern: &JavaRegex, limit: i32, mut push: impl FnMut(&'t str)) {
    let mut from = 0;
    let mut count = 1;
    let into_characters = pattern.is_empty();
    pattern.each_span(text, |start, end| {
        if limit > 0 && count >= limit {
            return false;
        }
        // An empty match at the start splits nothing off, and the empty pattern nothing at the end.
        if start == end && (start == 0 || (into_characters && start == text.len())) {
            return true;
        }
        push(&text[from..start]);
        from = end;
        count += 1;
        true
    });
    push(&text[from..]);
}

fn split(call: &Call) -> Result<Resolved> {
    call.arity(2..=3)?;
    let coerced = call.want(&[Want::Str, Want::Str, Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    let three = coerced.len() == 3;
    let ignores_case = pattern_ignores_case(call)?;
    let t = DataType::array(string_like(&coerced[0]), false);
    let resolved = Resolved::new(coerced, t, nullable, move |inputs| {
        let text = inputs.text(0)?;
        let mut patterns = Patterns::new(inputs, 1, "split", ignores_case)?;
        let limits = if three { Some(inputs.numbers::<Int32Type>(2)?) } else { None };
        let mut out = ListBuilder::new(StringBuilder::new());
        let mut size = 0;
        for row in 0..inputs.rows() {
            let limit = limits.as_ref().map_or(Some(-1), |l| l.get(row));
            let (Some(text), Some(pattern), Some(limit)) = (text.get(row), patterns.get(row)?, limit) else {
                out.append_null();
                continue;
            };
            size += text.len() + 1;
            check_size(size)?;
            parts(text, &pattern, limit, |part| out.values().append_value(part));
            out.append(true);
        }
        Ok(Arc::new(out.finish()))
    });
    Ok(match three {
        true => resolved,
        false => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Arg(1), ShownArg::Text("-1".into())]),
    })
}

fn split_part(call: &Call) -> Result<Resolved> {
    call.arity(3..=3)?;
    let coerced = call.want(&[Want::Str, Want::Str, Want::INT])?;
    let t = string_like(&coerced[0]);
    let collator = collator_of(&coerced[0])?;
    Ok(Resolved::new(coerced, t, true, move |inputs| {
        let (text, delimiter) = (inputs.text(0)?, inputs.text(1)?);
        let numbers = inputs.numbers::<Int32Type>(2)?;
        text_rows(inputs.rows(), |row, out| {
            let (Some(text), Some(delimiter), Some(n)) =
                (text.get(row), delimiter.get(row), numbers.get(row))
            else {
                return Ok(None);
            };
            if n == 0 {
                return Err(Error::new("INVALID_INDEX_OF_ZERO")
                    .message("The index 0 is invalid: indices start at 1, or at -1 from the end."));
            }
            let nth = n.unsigned_abs() as usize - 1;
            if let (Some(collator), false) = (&collator, delimiter.is_empty()) {
                out.push_str(collated_part(collator, text, delimiter, n));
                return Ok(Some(()));
            }
            let part = match (delimiter.is_empty(), n > 0) {
                (true, _) => (nth == 0).then_some(text),
                (false, true) => text.split(delimiter).nth(nth),
                (false, false) => {
                    let all: Vec<&str> = text.split(delimiter).collect();
                    all.len().checked_sub(nth + 1).and_then(|i| all.get(i).copied())
                }
            };
            out.push_str(part.unwrap_or(""));
            Ok(Some(()))
        })
    }))
}

/// The `n`th part between delimiters found in a collation.
fn collated_part<'t>(collator: &Collator, text: &'t str, delimiter: &str, n: i32) -> &'t str {
    let mut parts = Vec::new();
    let mut from = 0;
    for (begin, end) in collator.all(text, delimiter) {
        parts.push(&text[from..begin]);
        from = end;
    }
    parts.push(&text[from..]);
    let at =
        if n > 0 { (n as usize).checked_sub(1) } else { parts.len().checked_sub(n.unsigned_abs() as usize) };
    at.and_then(|i| parts.get(i).copied()).unwrap_or("")
}

/// Sentences as arrays of words, by Unicode's rules of segmentation.
fn sentences(call: &Call) -> Result<Resolved> {
    call.arity(1..=3)?;
    let coerced = call.want(&[Want::Str])?;
    let t = DataType::array(DataType::array(string_like(&coerced[0]), false), false);
    let shown = (0..3).map(|i| match i < coerced.len() {
        true => ShownArg::Arg(i),
        false => ShownArg::Text(String::new()),
    });
    let shown = shown.collect();
    Ok(Resolved::new(coerced, t, true, |inputs| {
        let text = inputs.text(0)?;
        let mut out = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
        for row in 0..inputs.rows() {
            let Some(text) = text.get(row) else {
                out.append_null();
                continue;
            };
            let mut sentences = text.unicode_sentences().peekable();
            if sentences.peek().is_none() && !text.is_empty() {
                // A text without words is a sentence without words.
                out.values().append(true);
            }
            for sentence in sentences {
                let words = out.values();
                for word in sentence.unicode_words() {
                    words.values().append_value(word);
                }
                words.append(true);
            }
            out.append(true);
        }
        Ok(Arc::new(out.finish()))
    })
    .shown_with(shown))
}
