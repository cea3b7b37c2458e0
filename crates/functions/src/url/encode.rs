//! `url_encode`, `url_decode`, `try_url_decode`: the form encoding of Java's `URLEncoder`, where a space is `+`.

use std::sync::Arc;

use arrow::array::{Array, StringArray, StringBuilder};
use boathouse_spec::{DataType, Error, Result};

use crate::{Call, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["url_encode"], |c| {
        of_strings(c, |text, out| {
            encode(text, out);
            Ok(true)
        })
    });
    r.scalar(&["url_decode"], |c| {
        of_strings(c, |text, out| match decode(text, out) {
            true => Ok(true),
            false => Err(Error::new("CANNOT_DECODE_URL")
                .param("url", text)
                .message(format!("'{text}' is not percent-encoded text. Use `try_url_decode` to get NULL."))),
        })
    });
    r.scalar(&["try_url_decode"], |c| of_strings(c, |text, out| Ok(decode(text, out))));
}

/// A function of one string; `write` appends the result, or gives false for NULL.
fn of_strings(call: &Call, write: fn(&str, &mut Vec<u8>) -> Result<bool>) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::Str])?;
    Ok(Resolved::new(coerced, DataType::STRING, true, move |inputs| {
        let texts: StringArray = inputs.strings(0)?;
        let mut out = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
        let mut buffer = Vec::new();
        for text in &texts {
            buffer.clear();
            match text {
                Some(text) if write(text, &mut buffer)? => out.append_value(String::from_utf8_lossy(&buffer)),
                _ => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()))
    }))
}

fn encode(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
}

/// Whether the text could be decoded. Java reads the two characters behind `%` as a number, so a `+` sign passes.
fn decode(text: &str, out: &mut Vec<u8>) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'%' => {
                let hex = |b: u8| char::from(b).to_digit(16);
                let code = match bytes.get(at + 1..at + 3) {
                    Some([b'+', low]) => hex(*low),
                    Some([high, low]) => hex(*high).zip(hex(*low)).map(|(h, l)| h * 16 + l),
                    _ => None,
                };
                let Some(code) = code else { return false };
                out.push(code as u8);
                at += 3;
                continue;
            }
            b'+' => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    true
}
