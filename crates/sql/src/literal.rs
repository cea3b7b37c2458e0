//! Constants: strings, numbers, typed literals.

use boathouse_spec::{DataType, Error, Expr, Literal, Result};

use crate::datetime;
use crate::interval;
use crate::lexer::{Kind, Token};
use crate::options::Parameters;
use crate::parser::Parser;

const MAX_PRECISION: usize = 38;

impl Parser<'_> {
    // ---- strings

    pub fn is_string(&self, token: Token) -> bool {
        token.kind == Kind::String
            || (token.kind == Kind::DoubleQuoted && !self.options.quotes_are_identifiers())
    }

    /// Whether a string, or a parameter marker with a value, stands here.
    pub fn at_string(&self) -> bool {
        self.is_string(self.peek()) || (self.parameters().is_some() && self.at_parameter_marker())
    }

    /// Whether the tokens `from..to` can be one string literal.
    pub fn all_string_tokens(&self, from: usize, to: usize) -> bool {
        let mut pos = from;
        while pos < to {
            let token = self.tokens[pos];
            let marker = self.options.parameters.is_some()
                && token.kind == Kind::Symbol
                && matches!(token.text, "?" | ":");
            if marker {
                pos += if token.text == ":" { 2 } else { 1 };
            } else if self.is_string(token) {
                pos += 1;
            } else {
                return false;
            }
        }
        true
    }

    /// One string; adjacent ones are joined.
    pub fn string_literal(&mut self) -> Result<String> {
        if !self.at_string() {
            return Err(self.unexpected());
        }
        let mut text = self.single_string()?;
        while self.at_string() {
            text.push_str(&self.single_string()?);
        }
        Ok(text)
    }

    /// One string, without joining.
    pub fn single_string(&mut self) -> Result<String> {
        let token = self.peek();
        if self.is_string(token) {
            self.advance();
            return Ok(self.string_value(token));
        }
        let start = self.pos;
        match self.parameter()? {
            Expr::Literal(Literal::String(text)) => Ok(text),
            _ => Err(self.unexpected_at(start)),
        }
    }

    /// The text a string token means.
    pub fn string_value(&self, token: Token) -> String {
        let source = self.source(token);
        if matches!(source.as_bytes().first(), Some(b'r' | b'R')) {
            return source[2..source.len() - 1].to_string();
        }
        let inner = &source[1..source.len() - 1];
        if self.options.escaped_string_literals {
            return inner.to_string();
        }
        unescape(inner, &source[..1], self.options.consecutive_string_literals)
    }

    // ---- parameters

    pub fn at_parameter_marker(&self) -> bool {
        self.at_symbol("?")
            || (self.at_symbol(":")
                && (self.peek_at(1).kind == Kind::Word || self.is_identifier(self.peek_at(1))))
    }

    /// How many tokens the parameter marker at an offset takes; none where it has no value here.
    pub fn known_marker_at(&self, offset: usize) -> Option<usize> {
        self.parameters()?;
        if self.symbol_at(offset, "?") {
            return Some(1);
        }
        let name = self.peek_at(offset + 1);
        let is_name = name.kind == Kind::Word || self.is_identifier(name);
        (self.symbol_at(offset, ":") && is_name).then_some(2)
    }

    /// `:name` or `?`: its value where values are known.
    pub fn parameter(&mut self) -> Result<Expr> {
        let start = self.pos;
        let value = self.marker(start)?;
        if let Expr::Literal(literal) = &value
            && let Some(text) = literal_text(literal)
        {
            self.note_bound(start, text);
        }
        Ok(value)
    }

    fn marker(&mut self, start: usize) -> Result<Expr> {
        if self.eat_symbol("?") {
            let index = self.positional;
            self.positional += 1;
            let Some(parameters) = self.parameters() else {
                return Ok(Expr::PositionalParameter(index));
            };
            let value = parameters.positional.get(index).cloned();
            let offset = self.tokens[start].start;
            return value.ok_or_else(|| self.unbound_parameter(start, &format!("_{offset}")));
        }
        self.expect_symbol(":")?;
        let name = self.simple_identifier()?;
        let Some(parameters) = self.parameters() else {
            return Ok(Expr::NamedParameter(name));
        };
        let value = parameters.named.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
        value.ok_or_else(|| self.unbound_parameter(start, &name))
    }

    /// The values of markers, where they are put in their place here.
    fn parameters(&self) -> Option<&Parameters> {
        self.options.parameters.as_ref().filter(|_| !self.keeps_parameters)
    }

    fn unbound_parameter(&self, start: usize, name: &str) -> Error {
        self.error_from(
            start,
            Error::new("UNBOUND_SQL_PARAMETER")
                .param("name", name)
                .message(format!("The parameter {name} has no value: add it to the arguments.")),
        )
        .exception("AnalysisException")
    }

    // ---- numbers

    pub fn is_number(&self, token: Token) -> bool {
        matches!(
            token.kind,
            Kind::Integer
                | Kind::Decimal
                | Kind::Exponent
                | Kind::BigInt
                | Kind::SmallInt
                | Kind::TinyInt
                | Kind::Double
                | Kind::Float
                | Kind::BigDecimal
        )
    }

    /// A number with an optional minus sign.
    pub fn number(&mut self) -> Result<Literal> {
        let start = self.pos;
        let negative = self.eat_symbol("-");
        let token = self.advance();
        let source = self.source(token);
        let sign = if negative { "-" } else { "" };
        let strip = |n: usize| format!("{sign}{}", &source[..source.len() - n]);
        let result = match token.kind {
            Kind::Integer => integer(&format!("{sign}{source}")),
            Kind::BigInt => in_range(&strip(1), "bigint", i64::MIN.into(), i64::MAX.into())
                .map(|v| Literal::Long(v as i64)),
            Kind::SmallInt => in_range(&strip(1), "smallint", i16::MIN.into(), i16::MAX.into())
                .map(|v| Literal::Short(v as i16)),
            Kind::TinyInt => {
                in_range(&strip(1), "tinyint", i8::MIN.into(), i8::MAX.into()).map(|v| Literal::Byte(v as i8))
            }
            Kind::Double => double(&strip(1)),
            Kind::Float => float(&strip(1)),
            Kind::BigDecimal => decimal(&strip(2)),
            Kind::Exponent if !self.options.exponent_literal_as_decimal => double(&strip(0)),
            _ => decimal(&strip(0)),
        };
        Ok(result.unwrap_or_else(|error| {
            let error = match token.kind {
                Kind::Integer | Kind::Decimal => error.exception("ArithmeticException"),
                _ => self.error_from(start, error),
            };
            self.note(error);
            Literal::NULL
        }))
    }

    /// An unsigned integer written out, or given by a parameter.
    pub fn integer_value(&mut self) -> Result<i64> {
        let start = self.pos;
        if self.parameters().is_some() && self.at_parameter_marker() {
            return match self.parameter()? {
                Expr::Literal(Literal::Integer(v)) => Ok(v.into()),
                Expr::Literal(Literal::Long(v)) => Ok(v),
                Expr::Literal(Literal::Short(v)) => Ok(v.into()),
                Expr::Literal(Literal::Byte(v)) => Ok(v.into()),
                _ => Err(self.unexpected_at(start)),
            };
        }
        if self.kind() != Kind::Integer {
            return Err(self.unexpected());
        }
        let token = self.advance();
        self.source(token).parse().map_err(|_| {
            self.error_from(start, range_error(self.source(token), "bigint", i64::MIN, i64::MAX))
        })
    }

    // ---- typed literals

    /// `DATE '..'`, `X'..'`, ...: a word and one string.
    pub fn typed_literal(&mut self) -> Result<Expr> {
        let start = self.pos;
        let word = self.advance();
        let type_name = if word.kind == Kind::Word {
            self.source(word).to_ascii_uppercase()
        } else {
            self.identifier_text(word)?.to_uppercase()
        };
        let token = self.advance();
        let value = self.string_value(token);
        let invalid = |p: &Self| {
            p.error_from(
                start,
                Error::new("INVALID_TYPED_LITERAL")
                    .param("valueType", format!("\"{type_name}\""))
                    .param("value", format!("'{value}'"))
                    .message(format!("'{value}' is not a valid value of the type \"{type_name}\".")),
            )
        };
        if let Some(special) = datetime::special_value(&type_name, &value, self.options.timestamp_ntz) {
            return Ok(special);
        }
        let literal = match type_name.as_str() {
            "DATE" => datetime::parse_date(&value).map(Literal::Date),
            "TIME" => datetime::parse_time(&value)
                .map(|nanoseconds| Literal::Time { nanoseconds, precision: datetime::TIME_PRECISION }),
            "TIMESTAMP_NTZ" => datetime::parse_timestamp(&value)
                .filter(|t| !t.time_only)
                .map(|t| Literal::TimestampNtz(t.local_us)),
            "TIMESTAMP_LTZ" => datetime::parse_timestamp(&value).map(|t| t.into_literal(&value)),
            "TIMESTAMP" => datetime::parse_timestamp(&value).map(|t| {
                let zoned = t.offset.is_some() || t.named_zone;
                if self.options.timestamp_ntz && !zoned && !t.time_only {
                    Literal::TimestampNtz(t.local_us)
                } else {
                    t.into_literal(&value)
                }
            }),
            "INTERVAL" => self.interval_text(start, &value)?,
            "X" => parse_hex(&value).map(Literal::Binary),
            _ => {
                let supported =
                    r#""DATE", "TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP", "INTERVAL", "X", "TIME""#;
                let error = self.error_from(
                    start,
                    Error::new("UNSUPPORTED_TYPED_LITERAL")
                        .param("unsupportedType", format!("\"{type_name}\""))
                        .param("supportedTypes", supported)
                        .message(format!(
                            "There are no literals of the type \"{type_name}\"; there are literals of {supported}."
                        )),
                );
                self.note(error);
                Some(Literal::NULL)
            }
        };
        Ok(Expr::Literal(literal.unwrap_or_else(|| {
            let error = invalid(self);
            self.note(error);
            Literal::NULL
        })))
    }

    /// `INTERVAL 'text'`; `None` where the text is no interval.
    fn interval_text(&mut self, start: usize, value: &str) -> Result<Option<Literal>> {
        let Ok(parsed) = interval::parse_interval(value) else { return Ok(None) };
        Ok(Some(self.typed_interval(start, parsed).unwrap_or_else(|error| {
            self.note(error);
            Literal::NULL
        })))
    }
}

/// Resolves the escapes of a string's inside.
fn unescape(inner: &str, quote: &str, two_strings: bool) -> String {
    if !inner.contains('\\') && !inner.contains(quote) {
        return inner.to_string();
    }
    let chars: Vec<char> = inner.chars().collect();
    let quote = quote.chars().next().unwrap_or('\'');
    let hex = |from: usize, len: usize| -> Option<u32> {
        let digits: String = chars.get(from..from + len)?.iter().collect();
        if digits.chars().all(|c| c.is_ascii_hexdigit()) {
            u32::from_str_radix(&digits, 16).ok()
        } else {
            None
        }
    };
    let mut out = String::with_capacity(inner.len());
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        if c == quote && chars.get(i + 1) == Some(&quote) {
            if !two_strings {
                out.push(quote);
            }
            i += 2;
            continue;
        }
        let Some(&next) = chars.get(i + 1).filter(|_| c == '\\') else {
            out.push(c);
            i += 1;
            continue;
        };
        if next == 'u'
            && let Some(code) = hex(i + 2, 4)
        {
            // A pair of surrogates is one character.
            if (0xd800..0xdc00).contains(&code)
                && chars.get(i + 6) == Some(&'\\')
                && chars.get(i + 7) == Some(&'u')
                && let Some(low) = hex(i + 8, 4)
                && (0xdc00..0xe000).contains(&low)
            {
                let combined = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                out.push(char::from_u32(combined).unwrap_or(char::REPLACEMENT_CHARACTER));
                i += 12;
            } else {
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                i += 6;
            }
            continue;
        }
        if next == 'U'
            && let Some(code) = hex(i + 2, 8)
        {
            out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            i += 10;
            continue;
        }
        if let Some(digits) = chars.get(i + 1..i + 4)
            && matches!(digits[0], '0' | '1')
            && digits.iter().all(|d| ('0'..='7').contains(d))
        {
            let code = digits.iter().fold(0, |n, d| n * 8 + d.to_digit(8).unwrap_or(0));
            out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            i += 4;
            continue;
        }
        match next {
            '0' => out.push('\0'),
            'b' => out.push('\u{8}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'Z' => out.push('\u{1a}'),
            // LIKE patterns see these escapes themselves.
            '%' | '_' => out.extend(['\\', next]),
            other => out.push(other),
        }
        i += 2;
    }
    out
}

/// A literal as SQL writes it (Spark's `Literal.sql`), of the types that have a simple form. A sign stands apart from what is
/// before it: two minus signs begin a comment.
fn literal_text(literal: &Literal) -> Option<String> {
    let text = match literal {
        Literal::Null(DataType::Null) => "NULL".to_string(),
        Literal::Null(data_type) => format!("CAST(NULL AS {})", data_type.sql()),
        Literal::Boolean(value) => value.to_string(),
        Literal::Byte(value) => format!("{value}Y"),
        Literal::Short(value) => format!("{value}S"),
        Literal::Integer(value) => value.to_string(),
        Literal::Long(value) => format!("{value}L"),
        Literal::Double(value) if value.is_finite() => format!("{value:?}D"),
        Literal::Decimal { unscaled, scale, .. } => {
            let scale = usize::from(*scale);
            let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            let sign = if *unscaled < 0 { "-" } else { "" };
            let point = if fraction.is_empty() { "" } else { "." };
            format!("{sign}{whole}{point}{fraction}BD")
        }
        Literal::String(value) => format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'")),
        _ => return None,
    };
    Some(if text.starts_with('-') { format!(" {text}") } else { text })
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let padded = if text.len() % 2 == 1 { format!("0{text}") } else { text.to_string() };
    (0..padded.len()).step_by(2).map(|i| u8::from_str_radix(&padded[i..i + 2], 16).ok()).collect()
}

/// The narrowest of INT, BIGINT and DECIMAL that holds the number.
fn integer(text: &str) -> Result<Literal> {
    if let Ok(v) = text.parse() {
        return Ok(Literal::Integer(v));
    }
    match text.parse() {
        Ok(v) => Ok(Literal::Long(v)),
        Err(_) => decimal(text),
    }
}

fn range_error(
    raw: &str,
    type_name: &str,
    min: impl std::fmt::Display,
    max: impl std::fmt::Display,
) -> Error {
    Error::new("INVALID_NUMERIC_LITERAL_RANGE")
        .param("rawStrippedQualifier", raw)
        .param("minValue", &min)
        .param("maxValue", &max)
        .param("typeName", type_name)
        .message(format!("{raw} is not within {min} and {max}, the range of {type_name}."))
}

fn in_range(text: &str, type_name: &str, min: i128, max: i128) -> Result<i128> {
    match text.parse::<i128>() {
        Ok(v) if (min..=max).contains(&v) => Ok(v),
        _ => Err(range_error(text, type_name, min, max)),
    }
}

/// Whether a number is farther from zero than `0.limit * 10^magnitude`.
fn is_above(text: &str, limit: &str, magnitude: i64) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(i) => (&text[..i], text[i + 1..].parse::<i64>().unwrap_or_default()),
        None => (text, 0),
    };
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let zeros = (digits.len() - significant.len()) as i64;
    let point = (whole.len() as i64 - zeros).saturating_add(exponent);
    // Digits of the same place: the longer text is above the one that it begins with, unless it goes on with zeros.
    !significant.is_empty()
        && (point > magnitude || (point == magnitude && significant.trim_end_matches('0') > limit))
}

fn double(text: &str) -> Result<Literal> {
    match text.parse::<f64>() {
        // Spark compares the digits with the shortest ones of the largest number: more of them are above it.
        Ok(v) if v.is_finite() && !is_above(text, "17976931348623157", 309) => Ok(Literal::Double(v)),
        _ => Err(range_error(text, "double", "-1.7976931348623157E+308", "1.7976931348623157E+308")),
    }
}

fn float(text: &str) -> Result<Literal> {
    match text.parse::<f32>() {
        Ok(v) if v.is_finite() && !is_above(text, "34028234663852886", 39) => Ok(Literal::Float(v)),
        _ => Err(range_error(text, "float", "-3.4028234663852886E+38", "3.4028234663852886E+38")),
    }
}

/// A decimal of the precision and scale it is written with.
pub(crate) fn decimal(text: &str) -> Result<Literal> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(i) => (&text[..i], text[i + 1..].parse::<i64>().unwrap_or(i64::MAX)),
        None => (text, 0),
    };
    let negative = mantissa.starts_with('-');
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = format!("{whole}{fraction}").trim_start_matches('0').to_string();
    let mut scale = (fraction.len() as i64).saturating_sub(exponent);
    let too_precise = |precision: i64| {
        Error::new("DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION")
            .param("precision", precision)
            .param("maxPrecision", MAX_PRECISION)
            .message(format!(
                "The precision {precision} of the decimal is above the largest, {MAX_PRECISION}."
            ))
    };
    // A negative scale is written out as zeros.
    if scale < 0 && !digits.is_empty() {
        let zeros = scale.unsigned_abs();
        if zeros > MAX_PRECISION as u64 {
            return Err(too_precise((digits.len() as i64).saturating_add(zeros as i64)));
        }
        digits.push_str(&"0".repeat(zeros as usize));
        scale = 0;
    }
    let scale = scale.max(0);
    let precision = (digits.len() as i64).max(scale).max(1);
    if precision > MAX_PRECISION as i64 {
        return Err(too_precise(precision));
    }
    let unscaled: i128 = if digits.is_empty() { 0 } else { digits.parse().unwrap_or_default() };
    Ok(Literal::Decimal {
        unscaled: if negative { -unscaled } else { unscaled },
        precision: precision as u8,
        scale: scale as u8,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(unescape(r"a\nb\'c\\d\%\q", "'", false), "a\nb'c\\d\\%q");
        assert_eq!(unescape(r"\u0041\101\U0001F600\uD83D\uDE00", "'", false), "AA😀😀");
        assert_eq!(unescape("it''s", "'", false), "it's");
        assert_eq!(unescape("it''s", "'", true), "its");
        assert_eq!(unescape("it''s", "\"", false), "it''s");
    }

    #[test]
    fn literals_are_written_as_they_are_read() {
        for text in ["NULL", "true", "3Y", "4S", "5", "6L", "1.5D", "7BD", "2.50BD", "0.05BD", r"'a\'b\\'"] {
            let parsed = crate::parse_expression(text);
            let Ok(Expr::Literal(literal)) = &parsed else { panic!("{parsed:?}") };
            assert_eq!(literal_text(literal).as_deref(), Some(text));
        }
    }

    #[test]
    fn decimals() {
        let of = |t: &str| decimal(t).ok();
        assert_eq!(of("1.20"), Some(Literal::Decimal { unscaled: 120, precision: 3, scale: 2 }));
        assert_eq!(of("-.05"), Some(Literal::Decimal { unscaled: -5, precision: 2, scale: 2 }));
        assert_eq!(of("1E2"), Some(Literal::Decimal { unscaled: 100, precision: 3, scale: 0 }));
        assert_eq!(of("1.20E-38"), None);
        assert_eq!(of("1E999999999999999999999"), None);
    }
}
