//! Numbers in other bases: `bin`, `conv`.

use arrow::datatypes::{Int32Type, Int64Type};
use boathouse_spec::{DataType, Error, Result};

use crate::apply::text_rows;
use crate::string::string_like;
use crate::{Call, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["bin"], bin);
    r.scalar(&["conv"], conv);
}

fn bin(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::LONG])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::STRING, nullable, |inputs| {
        use std::fmt::Write;
        let numbers = inputs.numbers::<Int64Type>(0)?;
        text_rows(inputs.rows(), |row, out| {
            Ok(numbers.get(row).map(|n| {
                let _ = write!(out, "{n:b}");
            }))
        })
    }))
}

/// What `conv` makes of a text.
enum Converted {
    Text(String),
    Null,
    Overflow,
}

/// Digits as far as they go, in 64 bits without a sign; a negative target base shows the sign.
fn convert(text: &str, from: i32, to: i32) -> Converted {
    let valid = |base: i32| (2..=36).contains(&base.unsigned_abs());
    if !(2..=36).contains(&from) || !valid(to) {
        return Converted::Null;
    }
    let text = text.trim_matches(' ');
    if text.is_empty() {
        return Converted::Null;
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut value = 0u64;
    let mut overflow = false;
    for c in digits.chars() {
        let Some(digit) = c.to_digit(36).filter(|d| *d < from as u32) else { break };
        match value.checked_mul(from as u64).and_then(|v| v.checked_add(u64::from(digit))) {
            Some(v) => value = v,
            None => {
                overflow = true;
                value = u64::MAX;
                break;
            }
        }
    }
    if overflow {
        return Converted::Overflow;
    }
    Converted::Text(written(value, negative, to))
}

fn written(mut value: u64, mut negative: bool, to: i32) -> String {
    if negative && to > 0 {
        // The two's complement of a number that has no sign here.
        value = if (value as i64) < 0 { u64::MAX } else { (value as i64).wrapping_neg() as u64 };
        negative = false;
    } else if to < 0 && (value as i64) < 0 {
        value = (value as i64).wrapping_neg() as u64;
        negative = true;
    }
    let base = u64::from(to.unsigned_abs());
    let mut out = Vec::new();
    loop {
        out.push(char::from_digit((value % base) as u32, base as u32).unwrap_or('?').to_ascii_uppercase());
        value /= base;
        if value == 0 {
            break;
        }
    }
    if negative && to < 0 {
        out.push('-');
    }
    out.iter().rev().collect()
}

fn conv(call: &Call) -> Result<Resolved> {
    call.arity(3..=3)?;
    let coerced = call.want(&[Want::Str, Want::INT, Want::INT])?;
    let ansi = call.context.ansi;
    let t = string_like(&coerced[0]);
    Ok(Resolved::new(coerced, t, true, move |inputs| {
        let text = inputs.text(0)?;
        let (from, to) = (inputs.numbers::<Int32Type>(1)?, inputs.numbers::<Int32Type>(2)?);
        text_rows(inputs.rows(), |row, out| {
            let (Some(text), Some(from), Some(to)) = (text.get(row), from.get(row), to.get(row)) else {
                return Ok(None);
            };
            match convert(text, from, to) {
                Converted::Text(s) => out.push_str(&s),
                Converted::Null => return Ok(None),
                Converted::Overflow if ansi => {
                    return Err(Error::new("ARITHMETIC_OVERFLOW")
                        .param("message", "Overflow in function conv()")
                        .param("alternative", "")
                        .param("config", "\"spark.sql.ansi.enabled\"")
                        .message("The number that `conv` reads does not fit 64 bits."));
                }
                Converted::Overflow => {
                    out.push_str(&written(u64::MAX, text.trim_matches(' ').starts_with('-'), to))
                }
            }
            Ok(Some(()))
        })
    }))
}
