//! How alike strings are, and checks of their form: `levenshtein`, `soundex`, `luhn_check`.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::Int32Type;
use boathouse_spec::{DataType, Result};

use crate::apply::{flag_rows, number_rows, text_rows};
use crate::{Call, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["levenshtein"], levenshtein);
    r.scalar(&["soundex"], soundex);
    r.scalar(&["luhn_check"], luhn_check);
}

/// The number of characters to insert, delete or exchange.
fn distance(a: &str, b: &str) -> i32 {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<i32> = (0..=b.len() as i32).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i as i32 + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + i32::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn levenshtein(call: &Call) -> Result<Resolved> {
    call.arity(2..=3)?;
    let coerced = call.want(&[Want::Str, Want::Str, Want::INT])?;
    let nullable = call.nullable_as(&coerced);
    let three = coerced.len() == 3;
    Ok(Resolved::new(coerced, DataType::Integer, nullable, move |inputs| {
        let (a, b) = (inputs.text(0)?, inputs.text(1)?);
        let thresholds = if three { Some(inputs.numbers::<Int32Type>(2)?) } else { None };
        let out = number_rows::<Int32Type>(inputs.rows(), |row| {
            let (Some(a), Some(b)) = (a.get(row), b.get(row)) else { return Ok(None) };
            let distance = distance(a, b);
            Ok(match &thresholds {
                None => Some(distance),
                Some(t) => t.get(row).map(|t| if distance > t { -1 } else { distance }),
            })
        })?;
        let out: ArrayRef = Arc::new(out);
        Ok(out)
    }))
}

/// The digit of a letter's sound; `7` for H and W, which are passed over, `0` for vowels, which part.
fn sound(letter: u8) -> u8 {
    match letter.to_ascii_uppercase() {
        b'B' | b'F' | b'P' | b'V' => b'1',
        b'C' | b'G' | b'J' | b'K' | b'Q' | b'S' | b'X' | b'Z' => b'2',
        b'D' | b'T' => b'3',
        b'L' => b'4',
        b'M' | b'N' => b'5',
        b'R' => b'6',
        b'H' | b'W' => b'7',
        _ => b'0',
    }
}

fn soundex_of(text: &str, out: &mut String) {
    let bytes = text.as_bytes();
    let Some(first) = bytes.first().filter(|b| b.is_ascii_alphabetic()) else {
        return out.push_str(text);
    };
    let mut code = [b'0'; 4];
    code[0] = first.to_ascii_uppercase();
    let mut last = sound(*first);
    let mut n = 1;
    for byte in &bytes[1..] {
        if n == 4 {
            break;
        }
        if !byte.is_ascii_alphabetic() {
            last = b'0';
            continue;
        }
        let digit = sound(*byte);
        if digit == b'7' {
            continue;
        }
        if digit != b'0' && digit != last {
            code[n] = digit;
            n += 1;
        }
        last = digit;
    }
    out.extend(code.map(char::from));
}

fn soundex(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.exactly(&[Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::STRING, nullable, |inputs| {
        let text = inputs.text(0)?;
        text_rows(inputs.rows(), |row, out| Ok(text.get(row).map(|s| soundex_of(s, out))))
    }))
}

/// Whether a string of digits has the check digit of the Luhn algorithm.
fn luhn(text: &str) -> bool {
    let digits = text.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let digit = u32::from(b - b'0') << (i % 2);
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn luhn_check(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::Str])?;
    Ok(Resolved::new(coerced, DataType::Boolean, true, |inputs| {
        let text = inputs.text(0)?;
        flag_rows(inputs.rows(), |row| Ok(text.get(row).map(luhn)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sounds() {
        let code = |s: &str| {
            let mut out = String::new();
            soundex_of(s, &mut out);
            out
        };
        assert_eq!(code("Miller"), "M460");
        assert_eq!(code("Tymczak"), "T522");
        assert_eq!(code("Ashcraft"), "A261");
        assert_eq!(code("Robert"), "R163");
        assert_eq!(code("1abc"), "1abc");
    }

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("äb", "ab"), 1);
    }
}
