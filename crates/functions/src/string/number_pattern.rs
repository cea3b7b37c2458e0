//! Number patterns of `to_number` and `to_char`: `[MI|S][$](0|9|G|,)*[.|D](0|9)*[$][PR|MI|S]`.

use boathouse_spec::{DataType, Error, Result};

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// Runs of digits between grouping separators; a run that starts with 0 wants all its digits.
    Digits(Vec<Run>),
    Point,
    Dollar,
    Sign,
    Minus,
    Bracket,
    Invalid(char),
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Run {
    length: usize,
    exact: bool,
}

/// A checked pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberPattern {
    tokens: Vec<Token>,
    text: String,
    pub precision: usize,
    pub scale: usize,
}

fn bad(class: &str, format: &str, why: &str) -> Error {
    Error::new(format!("INVALID_FORMAT.{class}"))
        .param("format", format!("'{format}'"))
        .message(format!("The number format '{format}' {why}."))
}

impl NumberPattern {
    pub fn parse(format: &str) -> Result<Self> {
        let text = format.to_uppercase();
        if text.is_empty() {
            return Err(bad("EMPTY", &text, "is empty"));
        }
        let mut tokens: Vec<Token> = Vec::new();
        let mut rest = text.as_str();
        let mut separators_ok = true;
        while let Some(c) = rest.chars().next() {
            let mut used = c.len_utf8();
            match c {
                '0' | '9' | ',' | 'G' => {
                    let end = rest.find(|c| !matches!(c, '0' | '9' | ',' | 'G')).unwrap_or(rest.len());
                    let runs: Vec<&str> = rest[..end].split([',', 'G']).collect();
                    separators_ok &= runs.iter().all(|r| !r.is_empty());
                    tokens.push(Token::Digits(
                        runs.iter().map(|r| Run { length: r.len(), exact: r.starts_with('0') }).collect(),
                    ));
                    used = end;
                }
                '.' | 'D' => tokens.push(Token::Point),
                '$' => tokens.push(Token::Dollar),
                'S' => tokens.push(Token::Sign),
                'M' if rest.starts_with("MI") => {
                    tokens.push(Token::Minus);
                    used = 2;
                }
                'P' if rest.starts_with("PR") => {
                    tokens.push(Token::Bracket);
                    used = 2;
                }
                other => tokens.push(Token::Invalid(other)),
            }
            rest = &rest[used..];
        }
        check(&tokens, &text, separators_ok)?;
        let point = tokens.iter().position(|t| *t == Token::Point);
        let digits = |tokens: &[Token]| -> usize {
            tokens
                .iter()
                .map(|t| match t {
                    Token::Digits(runs) => runs.iter().map(|r| r.length).sum(),
                    _ => 0,
                })
                .sum()
        };
        let scale = point.map_or(0, |p| digits(&tokens[p..]));
        let precision = digits(&tokens);
        if precision > 38 {
            return Err(Error::new("DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION")
                .param("precision", precision)
                .param("maxPrecision", 38)
                .message(format!("A decimal of {precision} digits has more than 38.")));
        }
        Ok(Self { tokens, text, precision, scale })
    }

    pub fn decimal_type(&self) -> DataType {
        DataType::Decimal { precision: self.precision.max(1) as u8, scale: self.scale as u8 }
    }

    /// The format in upper case.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn capacity(&self) -> usize {
        self.precision - self.scale
    }

    /// The unscaled decimal that a text says; `None` where it does not match.
    pub fn read(&self, text: &str) -> Option<i128> {
        let text: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let mut at = 0;
        let mut negative = false;
        let (mut whole, mut fraction) = (String::new(), String::new());
        let mut after_point = false;
        let opened = self.tokens.contains(&Token::Bracket) && text.first() == Some(&b'<');
        if opened {
            negative = true;
            at = 1;
        }
        for token in &self.tokens {
            let next = text.get(at).copied();
            match token {
                Token::Digits(runs) if after_point => {
                    let end =
                        text[at..].iter().position(|b| !b.is_ascii_digit()).map_or(text.len(), |n| at + n);
                    if end - at > runs.iter().map(|r| r.length).sum() {
                        return None;
                    }
                    fraction.extend(text[at..end].iter().map(|b| char::from(*b)));
                    at = end;
                }
                Token::Digits(runs) => {
                    let end = text[at..]
                        .iter()
                        .position(|b| !b.is_ascii_digit() && *b != b',')
                        .map_or(text.len(), |n| at + n);
                    let groups: Vec<&[u8]> = text[at..end].split(|b| *b == b',').collect();
                    match_groups(runs, &groups)?;
                    whole.extend(groups.iter().flat_map(|g| g.iter()).map(|b| char::from(*b)));
                    at = end;
                }
                Token::Point => {
                    after_point = true;
                    if next == Some(b'.') {
                        at += 1;
                    }
                }
                Token::Dollar => {
                    if next != Some(b'$') {
                        return None;
                    }
                    at += 1;
                }
                Token::Sign => match next {
                    Some(b'-') => {
                        negative = true;
                        at += 1;
                    }
                    Some(b'+') => at += 1,
                    _ => {}
                },
                Token::Minus => {
                    if next == Some(b'-') {
                        negative = true;
                        at += 1;
                    }
                }
                Token::Bracket => {
                    if opened {
                        if next != Some(b'>') {
                            return None;
                        }
                        at += 1;
                    }
                }
                Token::Invalid(_) => return None,
            }
        }
        if at != text.len() || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let digits = format!("{whole}{fraction:0<width$}", width = self.scale);
        let value: i128 = digits.parse().ok()?;
        Some(if negative { -value } else { value })
    }

    /// A decimal as text; `#` for every digit where it does not fit.
    pub fn write(&self, unscaled: i128, scale: u8, out: &mut String) {
        let mut digits = unscaled.unsigned_abs().to_string();
        let scale = usize::from(scale);
        if digits.len() <= scale {
            digits = format!("{digits:0>width$}", width = scale + 1);
        }
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let negative = unscaled < 0;
        if whole.len() > self.capacity() || fraction.len() > self.scale {
            return self.write_overflow(negative, out);
        }
        let mut result: Vec<char> = Vec::new();
        let mut places = self.capacity();
        let mut after_point = false;
        let mut fraction_digits = fraction.chars();
        if self.tokens.contains(&Token::Bracket) && negative {
            result.push('<');
        }
        for (i, token) in self.tokens.iter().enumerate() {
            match token {
                Token::Digits(runs) if after_point => {
                    for _ in 0..runs.iter().map(|r| r.length).sum() {
                        result.push(fraction_digits.next().unwrap_or('0'));
                    }
                }
                Token::Digits(runs) => {
                    for (n, run) in runs.iter().enumerate() {
                        if n > 0 {
                            let shown = result.last().is_some_and(char::is_ascii_digit);
                            if shown { result.push(',') } else { blank(&mut result) }
                        }
                        for _ in 0..run.length {
                            if places <= whole.len() {
                                result.extend(whole.chars().nth(whole.len() - places));
                            } else if run.exact {
                                result.push('0');
                            } else {
                                blank(&mut result);
                            }
                            places -= 1;
                        }
                    }
                }
                Token::Point => {
                    after_point = true;
                    // A number without whole digits shows its zero, where a blank leaves room.
                    if result.last() == Some(&' ') {
                        result.pop();
                        result.push('0');
                    }
                    result.push('.');
                }
                Token::Dollar => result.push('$'),
                Token::Sign => result.push(if negative { '-' } else { '+' }),
                Token::Minus if negative => result.push('-'),
                Token::Minus => result.push(' '),
                Token::Bracket if i == 0 => {}
                Token::Bracket => result.push(if negative { '>' } else { ' ' }),
                Token::Invalid(_) => {}
            }
        }
        if self.tokens.contains(&Token::Bracket) && !negative {
            result.push(' ');
        }
        // A point with nothing behind it is left blank.
        if result.last() == Some(&'.') {
            result.pop();
            result.push(' ');
        }
        out.extend(result);
    }

    /// `#` for every digit of a number that does not fit, with its sign.
    fn write_overflow(&self, negative: bool, out: &mut String) {
        if negative && self.tokens.contains(&Token::Bracket) {
            out.push('<');
        }
        for token in &self.tokens {
            match token {
                Token::Digits(runs) => {
                    let runs: Vec<String> = runs.iter().map(|r| "#".repeat(r.length)).collect();
                    out.push_str(&runs.join(" "));
                }
                Token::Point => out.push('.'),
                Token::Dollar => out.push('$'),
                Token::Sign => out.push(if negative { '-' } else { '+' }),
                Token::Minus => out.push(if negative { '-' } else { ' ' }),
                Token::Bracket => out.push_str(if negative { ">" } else { "  " }),
                Token::Invalid(_) => {}
            }
        }
    }
}

/// A blank goes before a sign that was just written.
fn blank(result: &mut Vec<char>) {
    match result.last() {
        Some('-' | '+' | '<') => result.insert(result.len() - 1, ' '),
        _ => result.push(' '),
    }
}

/// Groups of a text against the runs of a pattern, from the right.
fn match_groups(runs: &[Run], groups: &[&[u8]]) -> Option<()> {
    if groups.len() > runs.len() {
        return None;
    }
    for (n, run) in runs.iter().rev().enumerate() {
        let length = groups.len().checked_sub(n + 1).and_then(|i| groups.get(i)).map_or(0, |g| g.len());
        let ok = if run.exact { length == run.length } else { length <= run.length };
        if !ok {
            return None;
        }
    }
    Some(())
}

/// Spark's checks of a format, in their order.
fn check(tokens: &[Token], format: &str, separators_ok: bool) -> Result<()> {
    let count = |wanted: &Token| tokens.iter().filter(|t| *t == wanted).count();
    let point = tokens.iter().position(|t| *t == Token::Point);
    let digits = tokens.iter().position(|t| matches!(t, Token::Digits(_)));
    if digits.is_none() {
        return Err(bad("WRONG_NUM_DIGIT", format, "has no digits"));
    }
    if let Some(p) = point {
        let separated = tokens[p..].iter().any(|t| matches!(t, Token::Digits(runs) if runs.len() > 1));
        if separated {
            return Err(bad(
                "THOUSANDS_SEPS_MUST_BEFORE_DEC",
                format,
                "has a grouping separator after the point",
            ));
        }
    }
    if !separators_ok {
        return Err(bad(
            "CONT_THOUSANDS_SEPS",
            format,
            "has a grouping separator without digits on both sides",
        ));
    }
    if let Some(dollar) = tokens.iter().position(|t| *t == Token::Dollar) {
        if digits.is_some_and(|d| dollar > d) {
            return Err(bad("CUR_MUST_BEFORE_DIGIT", format, "has the dollar after digits"));
        }
        if point.is_some_and(|p| dollar > p) {
            return Err(bad("CUR_MUST_BEFORE_DEC", format, "has the dollar after the point"));
        }
    }
    for (token, name) in [
        (Token::Point, ". or D"),
        (Token::Sign, "S"),
        (Token::Dollar, "$"),
        (Token::Minus, "MI"),
        (Token::Bracket, "PR"),
    ] {
        if count(&token) > 1 {
            return Err(bad("WRONG_NUM_TOKEN", format, &format!("has several {name}")).param("token", name));
        }
    }
    // What is left must follow the order of the grammar.
    let mut stage = 0;
    for token in tokens {
        let (place, name) = match token {
            Token::Minus | Token::Sign if stage == 0 => (1, "sign"),
            Token::Dollar => (2, "$"),
            Token::Digits(_) if stage < 3 => (3, "digit sequence"),
            Token::Point => (4, "."),
            Token::Digits(_) => (5, "digit sequence"),
            Token::Minus => (6, "MI"),
            Token::Sign => (6, "S"),
            Token::Bracket => (6, "PR"),
            Token::Invalid(c) => {
                return Err(bad("UNEXPECTED_TOKEN", format, &format!("has an unexpected '{c}'"))
                    .param("token", format!("character '{c}'")));
            }
        };
        if place <= stage {
            return Err(
                bad("UNEXPECTED_TOKEN", format, &format!("has an unexpected {name}")).param("token", name)
            );
        }
        stage = place;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_to_text() {
        let write = |v: i128, scale, format: &str| {
            let mut out = String::new();
            NumberPattern::parse(format).unwrap().write(v, scale, &mut out);
            out
        };
        assert_eq!(write(-5, 0, "S999"), "  -5");
        assert_eq!(write(-5, 0, "999PR"), "  <5>");
        assert_eq!(write(5, 0, "999PR"), "  5  ");
        assert_eq!(write(234, 0, "9,999"), "  234");
        assert_eq!(write(234, 0, "0,000"), "0,234");
        assert_eq!(write(5, 1, "99.99"), " 0.50");
        assert_eq!(write(-1, 2, "S9.99"), " -.01");
        assert_eq!(write(12, 0, "99."), "12 ");
        assert_eq!(write(1_234_567, 0, "999,999"), "### ###");
        assert_eq!(write(12345, 3, "99.99"), "##.##");
        assert_eq!(write(-12345, 3, "S99.99"), "-##.##");
        assert_eq!(write(-12, 0, "9PR"), "<#>");
        assert_eq!(write(12, 0, "9PR"), "#  ");
    }

    #[test]
    fn text_to_numbers() {
        let read = |s: &str, format: &str| NumberPattern::parse(format).unwrap().read(s);
        assert_eq!(read("12,454.8-", "99,999.9S"), Some(-124_548));
        assert_eq!(read("<12>", "99PR"), Some(-12));
        assert_eq!(read("1234", "9,999"), None);
        assert_eq!(read("234", "9,999"), Some(234));
        assert_eq!(read("7", "000"), None);
        assert_eq!(read("12.34", "99.9"), None);
    }
}
