//! `format_number`: Java's `DecimalFormat` in the US locale, rounding half to even.

use arrow::datatypes::{Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type};
use boathouse_spec::{DataType, Error, Result};

use crate::apply::text_rows;
use crate::cast::text::{write_decimal, write_double, write_float};
use crate::{Call, Inputs, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["format_number"], format_number);
}

/// A number as decimal digits: `0.{digits} * 10^point`, without zeros around.
#[derive(Debug, Clone, PartialEq)]
struct Number {
    negative: bool,
    digits: Vec<u8>,
    point: i32,
}

impl Number {
    /// Reads what `write_double` and its kin write.
    fn parse(text: &str) -> Self {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once('E').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
        let point = whole.len() as i32 + exponent.parse::<i32>().unwrap_or(0);
        Self { negative, digits: all, point }.trimmed()
    }

    fn trimmed(mut self) -> Self {
        let zeros = self.digits.iter().take_while(|d| **d == 0).count();
        self.digits.drain(..zeros);
        self.point -= zeros as i32;
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.point = 0;
        }
        self
    }

    /// Rounded half to even to so many digits after the point.
    fn rounded(&self, fraction: i32) -> Self {
        let keep = self.point + fraction;
        if keep >= self.digits.len() as i32 {
            return self.clone();
        }
        let mut out = self.clone();
        if keep < 0 {
            out.digits.clear();
            return out.trimmed();
        }
        let keep = keep as usize;
        let next = self.digits[keep];
        let rest = self.digits[keep + 1..].iter().any(|d| *d != 0);
        let odd = keep > 0 && self.digits[keep - 1] % 2 == 1;
        out.digits.truncate(keep);
        if next > 5 || (next == 5 && (rest || odd)) {
            let mut i = keep;
            loop {
                if i == 0 {
                    out.digits.insert(0, 1);
                    out.point += 1;
                    break;
                }
                i -= 1;
                if out.digits[i] < 9 {
                    out.digits[i] += 1;
                    break;
                }
                out.digits[i] = 0;
            }
        }
        out.trimmed()
    }

    fn whole_digits(&self) -> String {
        (0..self.point.max(0)).map(|i| self.digit(i)).collect()
    }

    fn fraction_digits(&self) -> String {
        (self.point.max(0)..)
            .take_while(|i| *i < self.digits.len() as i32)
            .map(|i| self.digit(i))
            .collect::<String>()
    }

    fn digit(&self, i: i32) -> char {
        usize::try_from(i).ok().and_then(|i| self.digits.get(i)).map_or('0', |d| char::from(b'0' + d))
    }

    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }
}

/// A pattern of `DecimalFormat`.
#[derive(Debug, Clone, PartialEq, Default)]
struct Pattern {
    prefix: String,
    suffix: String,
    negative: Option<(String, String)>,
    least_whole: usize,
    most_whole: usize,
    least_fraction: usize,
    most_fraction: usize,
    group: usize,
    exponent: Option<usize>,
    /// Powers of ten that `%` and `‰` multiply with.
    shift: i32,
}

impl Pattern {
    /// `#,###,###,##0.00` with so many digits after the point.
    fn digits(fraction: usize) -> Self {
        Self {
            least_whole: 1,
            most_whole: usize::MAX,
            least_fraction: fraction,
            most_fraction: fraction,
            group: 3,
            ..Self::default()
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            // Java: any number of digits in groups of three; Spark then rounds to none after the point.
            return Some(Self { group: 3, most_whole: usize::MAX, least_whole: 1, ..Self::default() });
        }
        let (positive, negative) = match text.split_once(';') {
            Some((p, n)) => (p, Some(n)),
            None => (text, None),
        };
        let mut out = Self::body(positive)?;
        if let Some(negative) = negative {
            // A `;` ends places for digits only.
            if !positive.contains(['#', '0', ',', '.']) {
                return None;
            }
            let n = Self::body(negative)?;
            out.negative = Some((n.prefix, n.suffix));
        }
        Some(out)
    }

    fn body(text: &str) -> Option<Self> {
        let mut out = Self { most_whole: usize::MAX, ..Self::default() };
        let special = |c: char| matches!(c, '#' | '0' | ',' | '.');
        let Some(start) = text.find(special) else {
            // Without places for digits the number stands behind the text as with `#`.
            out.prefix = out.affix(text);
            return Some(out);
        };
        out.prefix = out.affix(&text[..start]);
        let body = &text[start..];
        let end = body.find(|c| !special(c)).unwrap_or(body.len());
        let (number, mut rest) = body.split_at(end);
        let (whole, fraction) = match number.split_once('.') {
            Some((w, f)) if !f.contains(['.', ',']) => (w, f),
            Some(_) => return None,
            None => (number, ""),
        };
        if let Some(i) = whole.rfind(',') {
            out.group = whole.len() - i - 1;
        }
        let bare: String = whole.chars().filter(|c| *c != ',').collect();
        out.least_whole = bare.chars().filter(|c| *c == '0').count();
        if bare.trim_start_matches('#').contains('#') || fraction.trim_start_matches('0').contains('0') {
            return None;
        }
        out.least_fraction = fraction.chars().filter(|c| *c == '0').count();
        out.most_fraction = fraction.len();
        if let Some(after) = rest.strip_prefix('E') {
            let zeros = after.chars().take_while(|c| *c == '0').count();
            if zeros == 0 {
                return None;
            }
            out.exponent = Some(zeros);
            out.most_whole = bare.len();
            rest = &after[zeros..];
        } else if out.least_whole == 0 && out.most_fraction == 0 {
            // `#` alone still shows a zero.
            out.least_whole = 0;
        }
        let suffix = rest.to_string();
        out.suffix = out.affix(&suffix);
        Some(out)
    }

    /// A prefix or suffix without its quotes.
    fn affix(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut quoted = false;
        for c in text.chars() {
            match c {
                '\'' => quoted = !quoted,
                '%' if !quoted => {
                    self.shift = 2;
                    out.push('%');
                }
                '\u{2030}' if !quoted => {
                    self.shift = 3;
                    out.push(c);
                }
                c => out.push(c),
            }
        }
        out
    }

    fn write(&self, number: &Number, out: &mut String) {
        let mut number = number.clone();
        if !number.is_zero() {
            number.point += self.shift;
        }
        let (prefix, suffix) = match (number.negative, &self.negative) {
            (true, Some((p, s))) => (p.clone(), s.clone()),
            (true, None) => (format!("-{}", self.prefix), self.suffix.clone()),
            (false, _) => (self.prefix.clone(), self.suffix.clone()),
        };
        out.push_str(&prefix);
        match self.exponent {
            Some(least) => self.write_scientific(&number, least, out),
            None => self.write_plain(&number.rounded(self.most_fraction as i32), out),
        }
        out.push_str(&suffix);
    }

    fn write_plain(&self, number: &Number, out: &mut String) {
        let (whole, fraction) = if number.point > 0 {
            (number.whole_digits(), number.fraction_digits())
        } else {
            let zeros = "0".repeat(number.point.unsigned_abs() as usize);
            (
                String::new(),
                if number.is_zero() { String::new() } else { format!("{zeros}{}", number.fraction_digits()) },
            )
        };
        let mut whole = format!("{whole:0>width$}", width = self.least_whole);
        let fraction = format!("{fraction:0<width$}", width = self.least_fraction);
        if whole.is_empty() && fraction.is_empty() {
            whole.push('0');
        }
        for (i, c) in whole.chars().enumerate() {
            if self.group > 0 && i > 0 && (whole.len() - i) % self.group == 0 {
                out.push(',');
            }
            out.push(c);
        }
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(&fraction);
        }
    }

    fn write_scientific(&self, number: &Number, least: usize, out: &mut String) {
        // With more whole places than fixed ones the exponent is a multiple of them.
        let step = if self.most_whole > self.least_whole && self.most_whole > 1 {
            self.most_whole as i32
        } else {
            0
        };
        let whole = match step {
            0 => self.least_whole.max(1) as i32,
            step => (number.point - 1).rem_euclid(step) + 1,
        };
        let mut exponent = if number.is_zero() { 0 } else { number.point - whole };
        let mut mantissa = number.clone();
        mantissa.point = if number.is_zero() { 0 } else { whole };
        // As many significant digits as the pattern has places before and after the point.
        let significant = self.most_whole as i32 + self.most_fraction as i32 - whole;
        let mut rounded = mantissa.rounded(significant.max(0));
        if rounded.point > whole && !rounded.is_zero() {
            let by = if step == 0 { 1 } else { step };
            rounded.point -= by;
            exponent += by;
        }
        let least_whole = if step == 0 { self.least_whole.max(1) } else { 1 };
        let plain = Pattern { group: 0, least_whole, exponent: None, ..self.clone() };
        plain.write_plain(&rounded, out);
        out.push('E');
        if exponent < 0 {
            out.push('-');
        }
        out.push_str(&format!("{:0>least$}", exponent.unsigned_abs()));
    }
}

fn format_number(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let t = match &call.args[0].data_type {
        t if t.is_numeric() => t.clone(),
        DataType::Null => DataType::Double,
        _ => return Err(call.unexpected_input(0, "\"NUMERIC\"")),
    };
    let format = match &call.args[1].data_type {
        t if t.is_string() => DataType::STRING,
        _ => call.exactly(&[Want::Any, Want::one_of([Want::INT, Want::Str])])?[1].clone(),
    };
    let by_pattern = format.is_string();
    let t = if t.is_integral() { DataType::Long } else { t };
    let coerced = vec![t.clone(), format];
    Ok(Resolved::new(coerced, DataType::STRING, true, move |inputs| {
        let read = reader(inputs, &t)?;
        if by_pattern {
            let patterns = inputs.text(1)?;
            let mut last: Option<(String, Pattern)> = None;
            return text_rows(inputs.rows(), |row, out| {
                let Some(text) = patterns.get(row) else { return Ok(None) };
                if last.as_ref().is_none_or(|(t, _)| t != text) {
                    let pattern = Pattern::parse(text).ok_or_else(|| {
                        Error::new("INVALID_PARAMETER_VALUE.PATTERN")
                            .param("functionName", "`format_number`")
                            .param("parameter", "`expr2`")
                            .param("value", format!("'{text}'"))
                            .message(format!("`format_number`: '{text}' is no number pattern."))
                    })?;
                    last = Some((text.to_string(), pattern));
                }
                let Some((_, pattern)) = &last else { return Ok(None) };
                Ok(read(row).map(|v| write_value(v, pattern, out)))
            });
        }
        let digits = inputs.numbers::<Int32Type>(1)?;
        text_rows(inputs.rows(), |row, out| {
            let Some(n) = digits.get(row).filter(|n| *n >= 0) else { return Ok(None) };
            // Java's limit of digits after the point.
            let pattern = Pattern::digits(n.min(340) as usize);
            Ok(read(row).map(|v| write_value(v, &pattern, out)))
        })
    }))
}

enum Value {
    Finite(Number),
    Nan,
    Infinite { negative: bool },
}

fn write_value(value: Value, pattern: &Pattern, out: &mut String) {
    match value {
        Value::Finite(number) => pattern.write(&number, out),
        Value::Nan => out.push_str("NaN"),
        Value::Infinite { negative } => {
            if negative {
                out.push('-');
            }
            out.push_str(&pattern.prefix);
            out.push('\u{221e}');
            out.push_str(&pattern.suffix);
        }
    }
}

type Reader = Box<dyn Fn(usize) -> Option<Value>>;

fn reader(inputs: &Inputs, t: &DataType) -> Result<Reader> {
    let float = |v: f64, text: String| match v {
        v if v.is_nan() => Value::Nan,
        v if v.is_infinite() => Value::Infinite { negative: v < 0.0 },
        _ => Value::Finite(Number::parse(&text)),
    };
    Ok(match t {
        DataType::Long => {
            let column = inputs.numbers::<Int64Type>(0)?;
            Box::new(move |row| column.get(row).map(|v| Value::Finite(Number::parse(&v.to_string()))))
        }
        DataType::Decimal { scale, .. } => {
            let (column, scale) = (inputs.numbers::<Decimal128Type>(0)?, *scale);
            Box::new(move |row| {
                let mut text = String::new();
                write_decimal(column.get(row)?, scale, &mut text);
                Some(Value::Finite(Number::parse(&text)))
            })
        }
        DataType::Float => {
            let column = inputs.numbers::<Float32Type>(0)?;
            Box::new(move |row| {
                let v = column.get(row)?;
                let mut text = String::new();
                // Java formats the double of the float.
                if v.is_finite() {
                    write_double(f64::from(v), &mut text)
                } else {
                    write_float(v, &mut text)
                }
                Some(float(f64::from(v), text))
            })
        }
        _ => {
            let column = inputs.numbers::<Float64Type>(0)?;
            Box::new(move |row| {
                let v = column.get(row)?;
                let mut text = String::new();
                write_double(v, &mut text);
                Some(float(v, text))
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(number: &str, pattern: &str) -> String {
        let mut out = String::new();
        Pattern::parse(pattern).unwrap().write(&Number::parse(number), &mut out);
        out
    }

    #[test]
    fn patterns() {
        assert_eq!(format("12332.123456", "##################.###"), "12332.123");
        assert_eq!(format("12332.123456", "$#,##0.00"), "$12,332.12");
        assert_eq!(format("-12332.123456", "#,##0.00;(#,##0.00)"), "(12,332.12)");
        assert_eq!(format("0.1234", "#.##%"), "12.34%");
        assert_eq!(format("12345.678", "0.00E0"), "1.23E4");
        assert_eq!(format("12345.678", "##0.##E0"), "12.346E3");
        assert_eq!(format("12332.5", ""), "12,332");
        assert_eq!(format("0.5", "%"), "%50");
        assert_eq!(Pattern::parse("%;(%)"), None);
    }

    #[test]
    fn halves_go_to_even() {
        let mut out = String::new();
        for n in ["0.5", "1.5", "2.5", "-0.001"] {
            Pattern::digits(0).write(&Number::parse(n), &mut out);
            out.push(' ');
        }
        assert_eq!(out, "0 2 2 -0 ");
    }
}
