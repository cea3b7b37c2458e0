//! The functions of regular expressions: `rlike`, `regexp_extract`, `regexp_replace`, and their kin.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::Int32Type;
use boathouse_spec::{DataType, Error, Result};
use fancy_regex::Captures;

use super::java_regex::JavaRegex;
use super::{byte_of_char, chars, string_like};
use crate::apply::{Operand, check_size, flag_rows, number_rows, text_rows};
use crate::cast::failure::quoted;
use crate::collation::pattern_ignores_case;
use crate::{Call, Inputs, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["rlike", "regexp", "regexp_like"], rlike);
    r.scalar(&["regexp_extract"], |c| extract(c, false));
    r.scalar(&["regexp_extract_all"], |c| extract(c, true));
    r.scalar(&["regexp_replace"], replace);
    r.scalar(&["regexp_count"], count);
    r.scalar(&["regexp_substr"], substr);
    r.scalar(&["regexp_instr"], instr);
}

/// The pattern of each row, compiled when it changes.
pub(super) struct Patterns {
    operand: Operand<StringArray>,
    last: Option<(String, Arc<JavaRegex>)>,
    function: String,
    ignores_case: bool,
}

impl Patterns {
    pub fn new(inputs: &Inputs, i: usize, function: &str, ignores_case: bool) -> Result<Self> {
        let function = function.to_string();
        Ok(Self { operand: inputs.text(i)?, last: None, function, ignores_case })
    }

    pub fn get(&mut self, row: usize) -> Result<Option<Arc<JavaRegex>>> {
        let Some(pattern) = self.operand.get(row) else { return Ok(None) };
        if let Some((text, compiled)) = &self.last
            && text == pattern
        {
            return Ok(Some(Arc::clone(compiled)));
        }
        let compiled = match self.ignores_case {
            true => JavaRegex::new(&format!("(?i){pattern}")),
            false => JavaRegex::new(pattern),
        };
        let compiled = Arc::new(compiled.ok_or_else(|| bad_pattern(&self.function, pattern))?);
        self.last = Some((pattern.to_string(), Arc::clone(&compiled)));
        Ok(Some(compiled))
    }
}

fn bad_pattern(function: &str, pattern: &str) -> Error {
    Error::new("INVALID_PARAMETER_VALUE.PATTERN")
        .param("parameter", "`regexp`")
        .param("functionName", format!("`{function}`"))
        .param("value", quoted(pattern))
        .message(format!("`{function}`: {} is no regular expression.", quoted(pattern)))
}

fn rlike(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    let name = call.name.to_string();
    let shown = call.name.to_uppercase();
    let ignores_case = pattern_ignores_case(call)?;
    Ok(Resolved::new(coerced, DataType::Boolean, nullable, move |inputs| {
        let text = inputs.text(0)?;
        let mut patterns = Patterns::new(inputs, 1, &name, ignores_case)?;
        if patterns.operand.constant
            && let Some(pattern) = patterns.get(0)?
        {
            let out: BooleanArray =
                (0..inputs.rows()).map(|row| text.get(row).map(|t| pattern.is_match(t))).collect();
            return Ok(Arc::new(out));
        }
        flag_rows(inputs.rows(), |row| {
            Ok(patterns.get(row)?.and_then(|p| text.get(row).map(|t| p.is_match(t))))
        })
    })
    .shown_as(shown))
}

fn check_group(function: &str, groups: usize, index: i32) -> Result<usize> {
    if index >= 0 && index as usize <= groups {
        return Ok(index as usize);
    }
    Err(Error::new("INVALID_PARAMETER_VALUE.REGEX_GROUP_INDEX")
        .param("parameter", "`idx`")
        .param("functionName", format!("`{function}`"))
        .param("groupCount", groups)
        .param("groupIndex", index)
        .message(format!(
            "`{function}`: the pattern has {groups} groups, so that there is no group {index}."
        )))
}

fn extract(call: &Call, all: bool) -> Result<Resolved> {
    call.arity(2..=3)?;
    let coerced = call.want(&[Want::Str, Want::Str, Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    let three = coerced.len() == 3;
    let ignores_case = pattern_ignores_case(call)?;
    let t = string_like(&coerced[0]);
    let t = if all { DataType::array(t, true) } else { t };
    let name = call.name.to_string();
    let resolved = Resolved::new(coerced, t, nullable, move |inputs| {
        let text = inputs.text(0)?;
        let mut patterns = Patterns::new(inputs, 1, &name, ignores_case)?;
        let indices = if three { Some(inputs.numbers::<Int32Type>(2)?) } else { None };
        let index = |row: usize| indices.as_ref().map_or(Some(1), |i| i.get(row));
        if all {
            return extract_all(inputs, &text, &mut patterns, index, &name);
        }
        text_rows(inputs.rows(), |row, out| {
            let (Some(text), Some(pattern), Some(index)) = (text.get(row), patterns.get(row)?, index(row))
            else {
                return Ok(None);
            };
            if let Some(captures) = pattern.captures_at(text, 0) {
                let group = check_group(&name, pattern.groups(), index)?;
                out.push_str(captures.get(group).map_or("", |m| m.as_str()));
            }
            Ok(Some(()))
        })
    });
    Ok(match three {
        true => resolved,
        false => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Arg(1), ShownArg::Text("1".into())]),
    })
}

fn extract_all(
    inputs: &Inputs,
    text: &Operand<StringArray>,
    patterns: &mut Patterns,
    index: impl Fn(usize) -> Option<i32>,
    name: &str,
) -> Result<ArrayRef> {
    let mut out = ListBuilder::new(StringBuilder::new());
    let mut size = 0;
    for row in 0..inputs.rows() {
        let (Some(text), Some(pattern), Some(index)) = (text.get(row), patterns.get(row)?, index(row)) else {
            out.append_null();
            continue;
        };
        let mut failure = None;
        pattern.each(text, |captures| match check_group(name, pattern.groups(), index) {
            Ok(group) => {
                let found = captures.get(group).map_or("", |m| m.as_str());
                size += found.len() + 1;
                out.values().append_value(found);
                true
            }
            Err(e) => {
                failure = Some(e);
                false
            }
        });
        if let Some(e) = failure {
            return Err(e);
        }
        check_size(size)?;
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

/// A replacement in Java's form: `$1`, `${name}`, `\` before a character that means itself.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Group(usize),
}

fn parse_replacement(text: &str, pattern: &JavaRegex) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => literal.push(chars.next()?),
            '$' => {
                let group = match chars.peek()? {
                    '{' => {
                        chars.next();
                        let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
                        pattern.group(&name)?
                    }
                    _ => {
                        let mut n = chars.next()?.to_digit(10)? as usize;
                        if n > pattern.groups() {
                            return None;
                        }
                        // As many digits as still name a group.
                        while let Some(d) = chars.peek().and_then(|c| c.to_digit(10)) {
                            if n * 10 + d as usize > pattern.groups() {
                                break;
                            }
                            n = n * 10 + d as usize;
                            chars.next();
                        }
                        n
                    }
                };
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Group(group));
            }
            c => literal.push(c),
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Some(pieces)
}

fn write_pieces(pieces: &[Piece], captures: &Captures, out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Group(n) => out.push_str(captures.get(*n).map_or("", |m| m.as_str())),
        }
    }
}

fn replace(call: &Call) -> Result<Resolved> {
    call.arity(3..=4)?;
    let coerced = call.want(&[Want::Str, Want::Str, Want::Str, Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    let four = coerced.len() == 4;
    if let Some(position) = call.args.get(3) {
        match crate::mismatch::whole_number(position) {
            None if position.constant.is_none() => {
                return Err(crate::mismatch::not_constant(call, 3, "position", "INT"));
            }
            Some(Some(n)) if n < 1 => {
                return Err(crate::mismatch::out_of_range(
                    call,
                    "position",
                    "(0, 2147483647]",
                    &n.to_string(),
                ));
            }
            _ => {}
        }
    }
    let ignores_case = pattern_ignores_case(call)?;
    let t = string_like(&coerced[0]);
    let resolved = Resolved::new(coerced, t, nullable, move |inputs| {
        let text = inputs.text(0)?;
        let mut patterns = Patterns::new(inputs, 1, "regexp_replace", ignores_case)?;
        let replacements = inputs.text(2)?;
        let positions = if four { Some(inputs.numbers::<Int32Type>(3)?) } else { None };
        let mut last: Option<(String, Arc<JavaRegex>, Vec<Piece>)> = None;
        text_rows(inputs.rows(), |row, out| {
            let position = positions.as_ref().map_or(Some(1), |p| p.get(row));
            let (Some(text), Some(pattern), Some(replacement), Some(position)) =
                (text.get(row), patterns.get(row)?, replacements.get(row), position)
            else {
                return Ok(None);
            };
            let current = last.as_ref().is_some_and(|(r, p, _)| r == replacement && Arc::ptr_eq(p, &pattern));
            let start = byte_of_char(text, position.max(1) as usize - 1);
            if position > 1 && position as usize > chars(text) {
                out.push_str(text);
                return Ok(Some(()));
            }
            // A bad replacement fails only where something matches.
            let Some(mut captures) = pattern.captures_at(text, start) else {
                out.push_str(text);
                return Ok(Some(()));
            };
            if !current {
                let pieces = parse_replacement(replacement, &pattern).ok_or_else(|| {
                    Error::new("INVALID_REGEXP_REPLACE")
                        .param("source", text)
                        .param("pattern", patterns_text(&patterns, row))
                        .param("replacement", replacement)
                        .param("position", position)
                        .message(format!(
                            "`regexp_replace`: {} is no replacement for the pattern.",
                            quoted(replacement)
                        ))
                })?;
                last = Some((replacement.to_string(), Arc::clone(&pattern), pieces));
            }
            let Some((_, _, pieces)) = &last else { return Ok(None) };
            let mut copied = 0;
            while let Some(whole) = captures.get(0) {
                let (from, to) = (whole.start(), whole.end());
                out.push_str(&text[copied..from]);
                write_pieces(pieces, &captures, out);
                check_size(out.len())?;
                copied = to;
                let at =
                    if to > from { to } else { to + text[to..].chars().next().map_or(1, char::len_utf8) };
                if at > text.len() {
                    break;
                }
                match pattern.captures_at(text, at) {
                    Some(next) => captures = next,
                    None => break,
                }
            }
            out.push_str(&text[copied..]);
            Ok(Some(()))
        })
    });
    Ok(match four {
        true => resolved,
        false => resolved.shown_with(vec![
            ShownArg::Arg(0),
            ShownArg::Arg(1),
            ShownArg::Arg(2),
            ShownArg::Text("1".into()),
        ]),
    })
}

fn patterns_text(patterns: &Patterns, row: usize) -> String {
    patterns.operand.get(row).unwrap_or_default().to_string()
}

fn count(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    let ignores_case = pattern_ignores_case(call)?;
    Ok(Resolved::new(coerced, DataType::Integer, nullable, move |inputs| {
        let text = inputs.text(0)?;
        let mut patterns = Patterns::new(inputs, 1, "regexp_count", ignores_case)?;
        let out = number_rows::<Int32Type>(inputs.rows(), |row| {
            let (Some(text), Some(pattern)) = (text.get(row), patterns.get(row)?) else { return Ok(None) };
            let mut n = 0;
            pattern.each_span(text, |_, _| {
                n += 1;
                true
            });
            Ok(Some(n))
        })?;
        Ok(Arc::new(out))
    }))
}

fn substr(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::Str])?;
    let ignores_case = pattern_ignores_case(call)?;
    let t = string_like(&coerced[0]);
    Ok(Resolved::new(coerced, t, true, move |inputs| {
        let text = inputs.text(0)?;
        let mut patterns = Patterns::new(inputs, 1, "regexp_substr", ignores_case)?;
        text_rows(inputs.rows(), |row, out| {
            let (Some(text), Some(pattern)) = (text.get(row), patterns.get(row)?) else { return Ok(None) };
            // An empty match is no match.
            Ok(pattern
                .find_at(text, 0)
                .filter(|(from, to)| to > from)
                .map(|(from, to)| out.push_str(&text[from..to])))
        })
    }))
}

fn instr(call: &Call) -> Result<Resolved> {
    call.arity(2..=3)?;
    let coerced = call.want(&[Want::Str, Want::Str, Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    let ignores_case = pattern_ignores_case(call)?;
    let three = coerced.len() == 3;
    let resolved = Resolved::new(coerced, DataType::Integer, nullable, move |inputs| {
        let text = inputs.text(0)?;
        let mut patterns = Patterns::new(inputs, 1, "regexp_instr", ignores_case)?;
        // The group is taken and not used, as in Spark.
        let groups = if three { Some(inputs.numbers::<Int32Type>(2)?) } else { None };
        let out = number_rows::<Int32Type>(inputs.rows(), |row| {
            let (Some(text), Some(pattern)) = (text.get(row), patterns.get(row)?) else { return Ok(None) };
            if groups.as_ref().is_some_and(|g| g.get(row).is_none()) {
                return Ok(None);
            }
            Ok(Some(pattern.find_at(text, 0).map_or(0, |(from, _)| chars(&text[..from]) as i32 + 1)))
        })?;
        let out: ArrayRef = Arc::new(out);
        Ok(out)
    });
    Ok(match three {
        true => resolved,
        false => resolved.shown_with(vec![ShownArg::Arg(0), ShownArg::Arg(1), ShownArg::Text("0".into())]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements() {
        let pattern = JavaRegex::new("(?<a>x)(y)").unwrap();
        let parse = |s: &str| parse_replacement(s, &pattern);
        assert_eq!(parse("$2-${a}"), Some(vec![Piece::Group(2), Piece::Text("-".into()), Piece::Group(1)]));
        assert_eq!(parse("$11"), Some(vec![Piece::Group(1), Piece::Text("1".into())]));
        assert_eq!(parse(r"\$1"), Some(vec![Piece::Text("$1".into())]));
        assert_eq!(parse("$3"), None);
        assert_eq!(parse("$"), None);
    }
}
