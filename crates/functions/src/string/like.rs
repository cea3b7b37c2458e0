//! `LIKE`, `ILIKE`, and their forms with several patterns.

use boathouse_spec::{DataType, Error, Result};
use memchr::memmem;

use crate::apply::{Operand, flag_rows};
use crate::cast::failure::quoted;
use crate::collation::pattern_ignores_case;
use crate::{Call, Inputs, Registry, Resolved, Want};
use arrow::array::{ArrayRef, StringArray};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["like"], |c| like(c, false));
    r.scalar(&["ilike"], |c| like(c, true));
    r.scalar(
        &[
            "like_all",
            "likeall",
            "like_any",
            "likeany",
            "not_like_all",
            "notlikeall",
            "not_like_any",
            "notlikeany",
            "ilike_all",
            "ilike_any",
            "not_ilike_all",
            "not_ilike_any",
        ],
        many,
    );
}

/// A compiled pattern.
enum Pattern {
    Equals(String),
    /// Pieces of text with `%` between them.
    Pieces {
        first: String,
        middle: Vec<memmem::Finder<'static>>,
        last: String,
    },
    /// With `_`.
    Any(Vec<Token>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    Char(char),
    /// `_`
    One,
    /// `%`
    Many,
}

fn bad_escape(pattern: &str, c: char) -> Error {
    Error::new("INVALID_FORMAT.ESC_IN_THE_MIDDLE")
        .param("format", quoted(pattern))
        .param("char", format!("'{c}'"))
        .message(format!("In the pattern {} the escape character stands before '{c}'.", quoted(pattern)))
}

impl Pattern {
    fn parse(pattern: &str, escape: char) -> Result<Self> {
        let mut tokens = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            if c == escape {
                match chars.next() {
                    Some(next) if next == '_' || next == '%' || next == escape => {
                        tokens.push(Token::Char(next))
                    }
                    Some(next) => return Err(bad_escape(pattern, next)),
                    None => {
                        return Err(Error::new("INVALID_FORMAT.ESC_AT_THE_END")
                            .param("format", quoted(pattern))
                            .message(format!(
                                "The pattern {} ends with the escape character.",
                                quoted(pattern)
                            )));
                    }
                }
            } else {
                match c {
                    '_' => tokens.push(Token::One),
                    '%' if tokens.last() == Some(&Token::Many) => {}
                    '%' => tokens.push(Token::Many),
                    c => tokens.push(Token::Char(c)),
                }
            }
        }
        if tokens.contains(&Token::One) {
            return Ok(Self::Any(tokens));
        }
        let text = |piece: &[Token]| -> String {
            let char_of = |token: &Token| match token {
                Token::Char(c) => Some(*c),
                Token::One | Token::Many => None,
            };
            piece.iter().filter_map(char_of).collect()
        };
        let pieces: Vec<String> = tokens.split(|token| *token == Token::Many).map(text).collect();
        Ok(match pieces.as_slice() {
            [] => Self::Equals(String::new()),
            [all] => Self::Equals(all.clone()),
            [first, middle @ .., last] => Self::Pieces {
                first: first.clone(),
                middle: middle.iter().map(|piece| memmem::Finder::new(piece).into_owned()).collect(),
                last: last.clone(),
            },
        })
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Equals(s) => text == s,
            Self::Pieces { first, middle, last } => pieces(first, middle, last, text).is_some(),
            Self::Any(tokens) => wildcard(tokens, text),
        }
    }
}

/// Finds each piece as early as there is one, which leaves the most to those behind it.
fn pieces(first: &str, middle: &[memmem::Finder], last: &str, text: &str) -> Option<()> {
    let mut rest = text.strip_prefix(first)?.strip_suffix(last)?.as_bytes();
    for piece in middle {
        rest = &rest[piece.find(rest)? + piece.needle().len()..];
    }
    Some(())
}

/// Walks both; where they part, the last `%` takes one character more.
fn wildcard(tokens: &[Token], text: &str) -> bool {
    let (mut t, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let next = text[at..].chars().next();
        match (tokens.get(t), next) {
            (Some(Token::Many), _) => {
                t += 1;
                retry = Some((t, at));
                if t == tokens.len() {
                    return true;
                }
                continue;
            }
            (Some(Token::One), Some(c)) => {
                t += 1;
                at += c.len_utf8();
                continue;
            }
            (Some(Token::Char(wanted)), Some(c)) if *wanted == c => {
                t += 1;
                at += c.len_utf8();
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        match retry {
            Some((token, from)) => match text[from..].chars().next() {
                Some(c) => {
                    t = token;
                    at = from + c.len_utf8();
                    retry = Some((token, at));
                }
                None => return false,
            },
            None => return false,
        }
    }
}

/// Patterns compiled once where they are constant, and once per change otherwise.
struct Compiled {
    patterns: Operand<StringArray>,
    escape: char,
    ignore_case: bool,
    last: Option<(String, Pattern)>,
}

impl Compiled {
    fn new(patterns: Operand<StringArray>, escape: char, ignore_case: bool) -> Self {
        Self { patterns, escape, ignore_case, last: None }
    }

    fn test(&mut self, row: usize, text: Option<&str>) -> Result<Option<bool>> {
        let Some(pattern) = self.patterns.get(row) else { return Ok(None) };
        let Some(text) = text else { return Ok(None) };
        if self.last.as_ref().is_none_or(|(p, _)| p != pattern) {
            let compiled = match self.ignore_case {
                true => Pattern::parse(&pattern.to_lowercase(), self.escape)?,
                false => Pattern::parse(pattern, self.escape)?,
            };
            self.last = Some((pattern.to_string(), compiled));
        }
        Ok(self.last.as_ref().map(|(_, compiled)| match self.ignore_case {
            true => compiled.matches(&text.to_lowercase()),
            false => compiled.matches(text),
        }))
    }
}

fn like(call: &Call, ignore_case: bool) -> Result<Resolved> {
    call.arity(2..=3)?;
    let coerced = call.want(&[Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    let escape = match call.args.get(2) {
        None => '\\',
        Some(arg) => match &arg.constant {
            Some(datafusion::scalar::ScalarValue::Utf8(Some(text))) if text.chars().count() == 1 => {
                text.chars().next().unwrap_or('\\')
            }
            _ => {
                return Err(Error::new("INVALID_ESCAPE_CHAR")
                    .param("sqlExpr", format!("\"{}\"", arg.sql))
                    .message(format!("The escape must be one character, not {}.", arg.sql)));
            }
        },
    };
    let (left, right) = (&call.args[0].sql, &call.args[1].sql);
    let shown = match (ignore_case, escape) {
        (true, _) => format!("ilike({left}, {right})"),
        (false, '\\') => format!("{left} LIKE {right}"),
        (false, c) => format!("{left} LIKE {right} ESCAPE '{c}'"),
    };
    let ignore_case = ignore_case | pattern_ignores_case(call)?;
    Ok(Resolved::new(coerced, DataType::Boolean, nullable, move |inputs| {
        let text = inputs.text(0)?;
        let patterns = inputs.text(1)?;
        if !ignore_case
            && patterns.constant
            && let Some(pattern) = patterns.get(0)
        {
            let compiled = Pattern::parse(pattern, escape)?;
            return flag_rows(inputs.rows(), |row| Ok(text.get(row).map(|t| compiled.matches(t))));
        }
        let mut compiled = Compiled::new(patterns, escape, ignore_case);
        flag_rows(inputs.rows(), |row| compiled.test(row, text.get(row)))
    })
    .shown_bare(shown))
}

/// `like_all(text, pattern, ...)` and its kin, by the name called.
fn many(call: &Call) -> Result<Resolved> {
    call.arity(2..=usize::MAX)?;
    let name = call.name.replace('_', "");
    let all = name.ends_with("all");
    let negated = name.starts_with("not");
    let ignore_case = name.contains("ilike") | pattern_ignores_case(call)?;
    let coerced = call.want(&[Want::Str])?;
    // The patterns are no operands of Spark's expression: its name leaves them out.
    let shown = format!("{name}({})", call.args[0].sql);
    Ok(Resolved::new(coerced, DataType::Boolean, true, move |inputs| {
        evaluate_many(inputs, all, negated, ignore_case)
    })
    .shown_bare(shown))
}

fn evaluate_many(inputs: &Inputs, all: bool, negated: bool, ignore_case: bool) -> Result<ArrayRef> {
    let text = inputs.text(0)?;
    let mut patterns = (1..inputs.len())
        .map(|i| Ok(Compiled::new(inputs.text(i)?, '\\', ignore_case)))
        .collect::<Result<Vec<_>>>()?;
    flag_rows(inputs.rows(), |row| {
        let value = text.get(row);
        if value.is_none() {
            return Ok(None);
        }
        let mut unknown = false;
        for pattern in &mut patterns {
            match pattern.test(row, value)? {
                None => unknown = true,
                // One answer decides: false for ALL, true for ANY.
                Some(found) if (found != negated) != all => return Ok(Some(!all)),
                Some(_) => {}
            }
        }
        Ok(if unknown { None } else { Some(all) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let like = |text: &str, pattern: &str| Pattern::parse(pattern, '\\').map(|p| p.matches(text));
        for (text, pattern, wanted) in [
            ("Spark", "_park", true),
            ("Spark", "S%k", true),
            ("Spark", "%ar%", true),
            ("Spark", "s%", false),
            ("a\nb", "a_b", true),
            ("a%b", "a\\%b", true),
            ("axb", "a\\%b", false),
            ("ab", "%a_b%", false),
            ("xaab", "%a_b%", true),
            ("xab", "%a_b%", false),
            ("xacb", "%a_b", true),
            ("aaab", "a%ab", true),
            ("aba", "ab%ba", false),
            ("abba", "ab%ba", true),
            ("one two three two", "%two%two%", true),
            ("one two three two", "%two%three%two", true),
            ("one two three two", "one%two%three%one%", false),
            ("one two", "%two%one%", false),
            ("one two", "o%e%two", true),
            ("one", "on%ne", false),
            ("aäb", "a%b", true),
            ("a", "%%", true),
            ("a%b%c", "a\\%b%", true),
            ("a%b%c", "%\\%b\\%%", true),
            ("", "%", true),
            ("", "", true),
            ("ä", "_", true),
        ] {
            assert_eq!(like(text, pattern), Ok(wanted), "{text} {pattern}");
        }
        assert_eq!(like("a", "a\\b").unwrap_err().class(), "INVALID_FORMAT.ESC_IN_THE_MIDDLE");
        assert_eq!(like("a", "a\\").unwrap_err().class(), "INVALID_FORMAT.ESC_AT_THE_END");
    }
}
