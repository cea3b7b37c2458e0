//! `format_string`: Java's `Formatter`.

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    Date32Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalYearMonthType, Time64NanosecondType, TimestampMicrosecondType,
};
use boathouse_spec::{DataType, Error, Result};

use crate::apply::{Operand, check_size, text_rows};
use crate::cast::text::{Style, to_strings, write_double, write_float};
use crate::cast::zone::Zone;
use crate::{Call, Inputs, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["format_string", "printf"], format_string);
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Flags {
    left: bool,
    alternate: bool,
    plus: bool,
    space: bool,
    zero: bool,
    group: bool,
    parentheses: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Spec { arg: Which, flags: Flags, width: Option<usize>, precision: Option<usize>, conversion: char },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Which {
    Next,
    Last,
    /// From 1.
    Nth(usize),
}

fn bad(text: &str) -> Error {
    Error::new("INVALID_PARAMETER_VALUE.PATTERN")
        .param("functionName", "`format_string`")
        .param("parameter", "`strfmt`")
        .param("value", format!("'{text}'"))
        .message(format!("`format_string`: the format specifier {text} is invalid."))
}

fn parse(format: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            literal.push(c);
            continue;
        }
        let mut spec = String::from("%");
        let mut arg = Which::Next;
        let mut flags = Flags::default();
        let mut width: Option<usize> = None;
        let mut precision = None;
        // An index, or a width: digits until something else.
        let number = |chars: &mut std::iter::Peekable<std::str::Chars>, spec: &mut String| -> Option<usize> {
            let mut out: Option<usize> = None;
            while let Some(d) = chars.peek().and_then(|c| c.to_digit(10)) {
                if out.is_none() && d == 0 {
                    break;
                }
                out = Some(out.unwrap_or(0).saturating_mul(10).saturating_add(d as usize));
                spec.extend(chars.next());
            }
            out
        };
        let first = number(&mut chars, &mut spec);
        if chars.peek() == Some(&'$') {
            spec.extend(chars.next());
            arg = Which::Nth(first.ok_or_else(|| bad(&spec))?);
        } else {
            width = first;
            if chars.peek() == Some(&'<') {
                chars.next();
                arg = Which::Last;
            }
        }
        if width.is_none() {
            while let Some(c) = chars.peek() {
                match c {
                    '-' => flags.left = true,
                    '#' => flags.alternate = true,
                    '+' => flags.plus = true,
                    ' ' => flags.space = true,
                    '0' => {
                        flags.zero = true;
                        spec.push('0');
                        chars.next();
                        if chars.peek() == Some(&'$') {
                            return Err(Error::new("INVALID_PARAMETER_VALUE.ZERO_INDEX")
                                .param("parameter", "`strfmt`")
                                .param("functionName", "`format_string`")
                                .message("`format_string`: arguments count from 1."));
                        }
                        continue;
                    }
                    ',' => flags.group = true,
                    '(' => flags.parentheses = true,
                    _ => break,
                }
                spec.extend(chars.next());
            }
            width = number(&mut chars, &mut spec);
        }
        if chars.peek() == Some(&'.') {
            spec.extend(chars.next());
            let zero = chars.peek() == Some(&'0');
            if zero {
                spec.extend(chars.next());
            }
            precision = match number(&mut chars, &mut spec) {
                Some(n) => Some(n),
                None if zero => Some(0),
                None => return Err(bad(&spec)),
            };
        }
        let Some(conversion) = chars.next() else { return Err(bad(&spec)) };
        spec.push(conversion);
        if !matches!(
            conversion,
            'b' | 'B'
                | 'h'
                | 'H'
                | 's'
                | 'S'
                | 'c'
                | 'C'
                | 'd'
                | 'o'
                | 'x'
                | 'X'
                | 'e'
                | 'E'
                | 'f'
                | 'g'
                | 'G'
                | 'a'
                | 'A'
                | '%'
                | 'n'
        ) {
            if matches!(conversion, 't' | 'T') {
                return Err(Error::unsupported("dates in format_string"));
            }
            return Err(bad(&spec));
        }
        let integer = matches!(conversion, 'd' | 'o' | 'x' | 'X');
        let float = matches!(conversion, 'e' | 'E' | 'f' | 'g' | 'G' | 'a' | 'A');
        let wrong = ((flags.left || flags.zero) && width.is_none())
            || (flags.left && flags.zero)
            || (flags.plus && flags.space)
            || (integer && precision.is_some())
            || (flags.group
                && !(conversion == 'd' || (float && !matches!(conversion, 'e' | 'E' | 'a' | 'A'))))
            || (!integer && !float && (flags.zero || flags.plus || flags.space || flags.parentheses));
        if wrong {
            return Err(bad(&spec));
        }
        match conversion {
            '%' | 'n' => {
                let text = if conversion == '%' { "%" } else { "\n" };
                padded(text, &flags, width, &mut literal)?;
            }
            _ => {
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Spec { arg, flags, width, precision, conversion });
            }
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

fn padded(text: &str, flags: &Flags, width: Option<usize>, out: &mut String) -> Result<()> {
    let missing = width.unwrap_or(0).saturating_sub(text.chars().count());
    check_size(missing)?;
    if !flags.left {
        out.extend(std::iter::repeat_n(' ', missing));
    }
    out.push_str(text);
    if flags.left {
        out.extend(std::iter::repeat_n(' ', missing));
    }
    Ok(())
}

/// A value as Java sees it.
#[derive(Debug, Clone)]
enum Value {
    Null,
    Boolean(bool),
    /// The number and its width in bits.
    Integer(i64, u32),
    Float(f64, String),
    Text(String),
}

fn value(operand: &Operand<ArrayRef>, texts: &arrow::array::StringArray, t: &DataType, row: usize) -> Value {
    let (array, at) = (&operand.array, operand.at(row));
    if *t == DataType::Null || array.is_null(at) {
        return Value::Null;
    }
    match t {
        DataType::Boolean => Value::Boolean(array.as_boolean().value(at)),
        DataType::Byte => Value::Integer(i64::from(array.as_primitive::<Int8Type>().value(at)), 8),
        DataType::Short => Value::Integer(i64::from(array.as_primitive::<Int16Type>().value(at)), 16),
        DataType::Integer => Value::Integer(i64::from(array.as_primitive::<Int32Type>().value(at)), 32),
        DataType::Long => Value::Integer(array.as_primitive::<Int64Type>().value(at), 64),
        // Dates, times and intervals are the numbers behind them.
        DataType::Date => Value::Integer(i64::from(array.as_primitive::<Date32Type>().value(at)), 32),
        DataType::Timestamp | DataType::TimestampNtz => {
            Value::Integer(array.as_primitive::<TimestampMicrosecondType>().value(at), 64)
        }
        DataType::Time { .. } => Value::Integer(array.as_primitive::<Time64NanosecondType>().value(at), 64),
        DataType::YearMonthInterval { .. } => {
            Value::Integer(i64::from(array.as_primitive::<IntervalYearMonthType>().value(at)), 32)
        }
        DataType::DayTimeInterval { .. } => {
            Value::Integer(array.as_primitive::<DurationMicrosecondType>().value(at), 64)
        }
        DataType::Float => {
            let v = array.as_primitive::<Float32Type>().value(at);
            let mut text = String::new();
            write_float(v, &mut text);
            Value::Float(f64::from(v), text)
        }
        DataType::Double => {
            let v = array.as_primitive::<Float64Type>().value(at);
            let mut text = String::new();
            write_double(v, &mut text);
            Value::Float(v, text)
        }
        _ => Value::Text(texts.value(at).to_string()),
    }
}

fn write_spec(
    value: &Value,
    flags: &Flags,
    width: Option<usize>,
    precision: Option<usize>,
    conversion: char,
    out: &mut String,
) -> Result<()> {
    let lower = conversion.to_ascii_lowercase();
    let mismatch = |kind: &str| {
        Error::new("INVALID_PARAMETER_VALUE.PATTERN")
            .param("functionName", "`format_string`")
            .param("parameter", "`strfmt`")
            .param("value", format!("'%{conversion}'"))
            .message(format!("`format_string`: %{conversion} does not take {kind}."))
    };
    let text = match (lower, value) {
        ('b', Value::Null) => "false".to_string(),
        ('b', Value::Boolean(v)) => v.to_string(),
        ('b', _) => "true".to_string(),
        (_, Value::Null) => "null".to_string(),
        ('s', Value::Boolean(v)) => v.to_string(),
        ('s', Value::Integer(v, _)) => v.to_string(),
        ('s', Value::Float(_, text) | Value::Text(text)) => text.clone(),
        ('h', v) => format!("{:x}", java_hash(v)),
        ('c', Value::Integer(v, bits)) if *bits <= 32 => u32::try_from(*v)
            .ok()
            .and_then(char::from_u32)
            .ok_or_else(|| mismatch("this number"))?
            .to_string(),
        ('d', Value::Integer(v, _)) => {
            return number(&v.unsigned_abs().to_string(), *v < 0, flags, width, out);
        }
        ('x' | 'o', Value::Integer(v, bits)) => {
            let masked = if *bits == 64 { *v as u64 } else { *v as u64 & ((1 << bits) - 1) };
            let (digits, mark) = match lower {
                'x' => (format!("{masked:x}"), "0x"),
                _ => (format!("{masked:o}"), "0"),
            };
            let mark = if flags.alternate { mark } else { "" };
            let zeros = match flags.zero {
                true => width.unwrap_or(0).saturating_sub(digits.len() + mark.len()),
                false => 0,
            };
            format!("{mark}{}{digits}", "0".repeat(zeros))
        }
        ('e' | 'f' | 'g' | 'a', Value::Float(v, shortest)) => {
            return float(*v, shortest, flags, width, precision, conversion, out);
        }
        (_, Value::Integer(..)) => return Err(mismatch("a whole number")),
        (_, Value::Float(..)) => return Err(mismatch("a floating-point number")),
        (_, Value::Boolean(_)) => return Err(mismatch("a boolean")),
        (_, Value::Text(_)) => return Err(mismatch("text")),
    };
    let text = match precision {
        Some(n) if !matches!(lower, 'c' | 'x' | 'o') => text.chars().take(n).collect(),
        _ => text,
    };
    let text = if conversion.is_ascii_uppercase() { text.to_uppercase() } else { text };
    padded(&text, flags, width, out)
}

/// Java's `hashCode`.
fn java_hash(value: &Value) -> i32 {
    match value {
        Value::Null => 0,
        Value::Boolean(v) => {
            if *v {
                1231
            } else {
                1237
            }
        }
        Value::Integer(v, 64) => (*v ^ ((*v as u64) >> 32) as i64) as i32,
        Value::Integer(v, _) => *v as i32,
        Value::Float(v, _) => {
            let bits = v.to_bits();
            (bits ^ bits >> 32) as i32
        }
        // Spark's strings hash by Murmur3.
        Value::Text(text) => crate::hash::Algorithm::Murmur3.bytes(text.as_bytes(), 42) as u32 as i32,
    }
}

/// Digits with sign, groups and padding.
fn number(digits: &str, negative: bool, flags: &Flags, width: Option<usize>, out: &mut String) -> Result<()> {
    let (whole, rest) = digits.split_at(digits.find(['.', 'e', 'E']).unwrap_or(digits.len()));
    let mut body = String::new();
    for (i, c) in whole.chars().enumerate() {
        if flags.group && i > 0 && (whole.len() - i) % 3 == 0 {
            body.push(',');
        }
        body.push(c);
    }
    body.push_str(rest);
    let (open, close) = match (negative, flags.parentheses) {
        (true, true) => ("(", ")"),
        (true, false) => ("-", ""),
        (false, _) if flags.plus => ("+", ""),
        (false, _) if flags.space => (" ", ""),
        (false, _) => ("", ""),
    };
    let zeros = match flags.zero {
        true => width.unwrap_or(0).saturating_sub(open.len() + body.len() + close.len()),
        false => 0,
    };
    check_size(zeros)?;
    padded(&format!("{open}{}{body}{close}", "0".repeat(zeros)), flags, width, out)
}

fn float(
    v: f64,
    shortest: &str,
    flags: &Flags,
    width: Option<usize>,
    precision: Option<usize>,
    conversion: char,
    out: &mut String,
) -> Result<()> {
    let upper = conversion.is_ascii_uppercase();
    if !v.is_finite() {
        let sign = match (v == f64::NEG_INFINITY, flags.plus && v == f64::INFINITY) {
            (true, _) if flags.parentheses => "(",
            (true, _) => "-",
            (_, true) => "+",
            _ => "",
        };
        let name = if v.is_nan() { "NaN" } else { "Infinity" };
        let close = if sign == "(" { ")" } else { "" };
        let text = format!("{sign}{name}{close}");
        let text = if upper { text.to_uppercase() } else { text };
        return padded(&text, &Flags { zero: false, ..*flags }, width, out);
    }
    let negative = v.is_sign_negative();
    let shortest = shortest.trim_start_matches('-');
    let precision = precision.unwrap_or(6).min(1000);
    let digits = match conversion.to_ascii_lowercase() {
        'f' => fixed(shortest, precision),
        'e' => scientific(shortest, precision),
        'a' => hexadecimal(v.abs()),
        _ => {
            let precision = precision.max(1);
            let rounded: f64 = scientific(shortest, precision - 1).parse().unwrap_or(v.abs());
            if rounded == 0.0 {
                fixed(shortest, precision - 1)
            } else if (1e-4..10f64.powi(precision as i32)).contains(&rounded) {
                let whole = rounded.log10().floor() as i32;
                fixed(shortest, (precision as i32 - 1 - whole).max(0) as usize)
            } else {
                scientific(shortest, precision - 1)
            }
        }
    };
    let digits = if upper { digits.to_uppercase() } else { digits };
    number(&digits, negative, flags, width, out)
}

/// Digits and the power of ten of the point before them (`0.{digits} * 10^point`).
fn decompose(shortest: &str) -> (Vec<u8>, i32) {
    let (mantissa, exponent) = shortest.split_once('E').unwrap_or((shortest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
    let mut point = whole.len() as i32 + exponent.parse::<i32>().unwrap_or(0);
    let zeros = digits.iter().take_while(|d| **d == 0).count();
    digits.drain(..zeros);
    point -= zeros as i32;
    if digits.is_empty() {
        point = 1;
    }
    (digits, point)
}

/// The first `keep` digits, half up; whether a digit was carried to the front.
fn round_digits(digits: &[u8], keep: usize) -> (Vec<u8>, bool) {
    let mut out: Vec<u8> = digits.iter().copied().chain(std::iter::repeat(0)).take(keep).collect();
    if digits.get(keep).is_some_and(|d| *d >= 5) {
        for i in (0..keep).rev() {
            if out[i] < 9 {
                out[i] += 1;
                return (out, false);
            }
            out[i] = 0;
        }
        out.insert(0, 1);
        return (out, true);
    }
    (out, false)
}

fn text_of(digits: &[u8]) -> String {
    digits.iter().map(|d| char::from(b'0' + d)).collect()
}

fn fixed(shortest: &str, precision: usize) -> String {
    let (digits, point) = decompose(shortest);
    let keep = point + precision as i32;
    if keep < 0 {
        return format!("0{}{}", if precision > 0 { "." } else { "" }, "0".repeat(precision));
    }
    let (rounded, carried) = round_digits(&digits, keep as usize);
    let point = point + i32::from(carried);
    let all = text_of(&rounded);
    let (whole, fraction) = if point <= 0 {
        ("0".to_string(), format!("{}{all}", "0".repeat(point.unsigned_abs() as usize)))
    } else {
        let (w, f) = all.split_at((point as usize).min(all.len()));
        (w.to_string(), f.to_string())
    };
    if precision == 0 {
        whole
    } else {
        format!("{whole}.{:0<precision$}", &fraction[..precision.min(fraction.len())])
    }
}

fn scientific(shortest: &str, precision: usize) -> String {
    let (digits, point) = decompose(shortest);
    let zero = digits.is_empty();
    let (rounded, carried) = round_digits(&digits, precision + 1);
    let exponent = if zero { 0 } else { point - 1 + i32::from(carried) };
    let all = text_of(&rounded[..precision + 1]);
    let (first, rest) = all.split_at(1);
    let dot = if precision > 0 { "." } else { "" };
    let mut out = format!("{first}{dot}{rest}e");
    let _ = write!(out, "{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs());
    out
}

/// `0x1.8p1`
fn hexadecimal(v: f64) -> String {
    if v == 0.0 {
        return "0x0.0p0".into();
    }
    let bits = v.to_bits();
    let (exponent, mantissa) = ((bits >> 52) as i32 & 0x7ff, bits & ((1 << 52) - 1));
    let (lead, exponent) = if exponent == 0 { (0, -1022) } else { (1, exponent - 1023) };
    let digits = format!("{mantissa:013x}");
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        d => d,
    };
    format!("0x{lead}.{digits}p{exponent}")
}

fn format_string(call: &Call) -> Result<Resolved> {
    if call.args.is_empty() {
        return Err(Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
            .param("functionName", format!("`{}`", call.name))
            .param("expectedNum", "> 0")
            .param("actualNum", 0)
            .message(format!("`{}` takes at least one argument.", call.name)));
    }
    let mut coerced = call.types();
    coerced[0] = call.want(&[Want::Str, Want::Any])?[0].clone();
    let nullable = call.args[0].nullable;
    if let Some(datafusion::scalar::ScalarValue::Utf8(Some(format))) = &call.args[0].constant
        && let Err(e) = parse(format)
        && e.is("INVALID_PARAMETER_VALUE")
        && e.class().ends_with("ZERO_INDEX")
    {
        return Err(e);
    }
    let types = coerced.clone();
    Ok(Resolved::new(coerced, types[0].clone(), nullable, move |inputs| run(inputs, &types)))
}

fn run(inputs: &Inputs, types: &[DataType]) -> Result<ArrayRef> {
    let formats = inputs.text(0)?;
    let operands = (1..inputs.len()).map(|i| inputs.operand(i)).collect::<Result<Vec<_>>>()?;
    let style = Style { pretty: false, plain_decimals: true, zone: Zone::of(inputs.context()) };
    let texts = operands
        .iter()
        .zip(&types[1..])
        .map(|(o, t)| to_strings(&o.array, t, &style))
        .collect::<Result<Vec<_>>>()?;
    let mut last: Option<(String, Vec<Piece>)> = None;
    text_rows(inputs.rows(), |row, out| {
        let Some(format) = formats.get(row) else { return Ok(None) };
        if last.as_ref().is_none_or(|(text, _)| text != format) {
            last = Some((format.to_string(), parse(format)?));
        }
        let Some((_, pieces)) = &last else { return Ok(None) };
        let (mut next, mut previous) = (0usize, None);
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Spec { arg, flags, width, precision, conversion } => {
                    let index = match arg {
                        Which::Next => {
                            next += 1;
                            Some(next - 1)
                        }
                        Which::Nth(n) => n.checked_sub(1),
                        Which::Last => previous,
                    };
                    let Some(i) = index.filter(|i| *i < operands.len()) else {
                        return Err(bad(&format!("%{conversion}")));
                    };
                    previous = Some(i);
                    let value = value(&operands[i], &texts[i], &types[i + 1], row);
                    write_spec(&value, flags, *width, *precision, *conversion, out)?;
                }
            }
            check_size(out.len())?;
        }
        Ok(Some(()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats() {
        assert_eq!(fixed("1.555", 2), "1.56");
        assert_eq!(fixed("0.005", 2), "0.01");
        assert_eq!(fixed("1.0E10", 1), "10000000000.0");
        assert_eq!(fixed("9.99", 1), "10.0");
        assert_eq!(fixed("0.0", 2), "0.00");
        assert_eq!(scientific("12345.678", 2), "1.23e+04");
        assert_eq!(scientific("9.99", 1), "1.0e+01");
        assert_eq!(hexadecimal(1.0), "0x1.0p0");
    }

    #[test]
    fn specifiers() {
        assert!(parse("%d %5.2f %-10s|%n%%").is_ok());
        for wrong in ["%", "%q", "%-d", "%0d", "%.2d", "%,x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
