//! Text and bytes: `hex`, `unhex`, `base64`, `unbase64`, `encode`, `decode`, `to_binary`.

use arrow::datatypes::Int64Type;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boathouse_spec::{DataType, Error, Result};

use super::string_like;
use crate::apply::{byte_rows, text_rows};
use crate::cast::failure::quoted;
use crate::coercion::implicit_cast;
use crate::{Call, Context, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["hex"], hex);
    r.scalar(&["unhex"], unhex);
    r.scalar(&["base64"], base64);
    r.scalar(&["unbase64"], unbase64);
    r.scalar(&["encode"], encode);
    r.scalar(&["decode"], decode);
    r.scalar(&["to_binary"], |c| to_binary(c, false));
    r.scalar(&["try_to_binary"], |c| to_binary(c, true));
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

fn push_hex(bytes: &[u8], out: &mut String) {
    out.extend(
        bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from),
    );
}

fn hex(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::one_of([Want::LONG, Want::BINARY, Want::Str])])?;
    let nullable = call.nullable_as(&coerced);
    let number = coerced[0] == DataType::Long;
    let t = string_like(&coerced[0]);
    Ok(Resolved::new(coerced, t, nullable, move |inputs| {
        if number {
            use std::fmt::Write;
            let numbers = inputs.numbers::<Int64Type>(0)?;
            return text_rows(inputs.rows(), |row, out| {
                Ok(numbers.get(row).map(|n| {
                    let _ = write!(out, "{n:X}");
                }))
            });
        }
        let bytes = inputs.bytes(0)?;
        text_rows(inputs.rows(), |row, out| Ok(bytes.get(row).map(|b| push_hex(b, out))))
    }))
}

/// Bytes of hexadecimal digits; an odd first digit stands alone.
fn read_hex(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    let (odd, rest) = text.split_at(text.len() % 2);
    for b in odd {
        out.push(digit(*b)?);
    }
    for pair in rest.chunks_exact(2) {
        out.push(digit(pair[0])? << 4 | digit(pair[1])?);
    }
    Some(())
}

fn unhex(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::Str])?;
    Ok(Resolved::new(coerced, DataType::Binary, true, |inputs| {
        let text = inputs.text(0)?;
        byte_rows(inputs.rows(), |row, out| Ok(text.get(row).and_then(|s| read_hex(s.as_bytes(), out))))
    }))
}

fn base64(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::BINARY])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::STRING, nullable, |inputs| {
        let bytes = inputs.bytes(0)?;
        let in_lines = inputs.context().base64_in_lines;
        text_rows(inputs.rows(), |row, out| {
            let Some(bytes) = bytes.get(row) else { return Ok(None) };
            if in_lines {
                push_base64_lines(bytes, out);
            } else {
                STANDARD.encode_string(bytes, out);
            }
            Ok(Some(()))
        })
    }))
}

/// As mails have it (RFC 2045): lines of 76 characters, which stand for 57 bytes.
fn push_base64_lines(bytes: &[u8], out: &mut String) {
    for (i, line) in bytes.chunks(57).enumerate() {
        if i > 0 {
            out.push_str("\r\n");
        }
        STANDARD.encode_string(line, out);
    }
}

/// MIME: what is no character of the alphabet is skipped. `None` where a last unit is incomplete.
fn read_base64(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (mut bits, mut count) = (0u32, 0);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    (count < 6).then_some(())
}

/// Whether the text is base64 in whole units, blanks before the padding apart (Spark's `UnBase64.isValidBase64`).
fn strict_base64(text: &[u8]) -> bool {
    if let Some(padding) = text.iter().position(|b| *b == b'=')
        && text[padding..].iter().any(u8::is_ascii_whitespace)
    {
        return false;
    }
    let used: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let body = used.iter().position(|b| *b == b'=').unwrap_or(used.len());
    let padding = &used[body..];
    used[..body].iter().all(|b| b.is_ascii_alphanumeric() || *b == b'+' || *b == b'/')
        && padding.iter().all(|b| *b == b'=')
        && match body % 4 {
            0 => padding.is_empty(),
            2 => padding.is_empty() || padding.len() == 2,
            3 => padding.len() <= 1,
            _ => false,
        }
}

fn unbase64(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[Want::Str])?;
    let nullable = call.nullable_as(&coerced);
    Ok(Resolved::new(coerced, DataType::Binary, nullable, |inputs| {
        let text = inputs.text(0)?;
        byte_rows(inputs.rows(), |row, out| match text.get(row) {
            None => Ok(None),
            Some(s) => match read_base64(s.as_bytes(), out) {
                Some(()) => Ok(Some(())),
                None => Err(conversion_failure("unbase64", s, "BASE64", "try_to_binary")),
            },
        })
    }))
}

fn conversion_failure(_function: &str, text: &str, format: &str, suggestion: &str) -> Error {
    Error::new("CONVERSION_INVALID_INPUT")
        .param("str", quoted(text))
        .param("fmt", format!("'{format}'"))
        .param("targetType", "\"BINARY\"")
        .param("suggestion", format!("`{suggestion}`"))
        .message(format!("{} is no {format} text. Use `{suggestion}` to get NULL.", quoted(text)))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Charset {
    Ascii,
    Latin1,
    Utf8,
    /// Big-endian with a byte-order mark when written.
    Utf16,
    Utf16Be,
    Utf16Le,
    Utf32,
    Windows1252,
}

/// What Windows-1252 has from 0x80 on where Latin-1 has controls; 0 where it has nothing.
const WINDOWS_1252: [u16; 32] = [
    0x20AC, 0, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0,
    0x017D, 0, 0, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A,
    0x0153, 0, 0x017E, 0x0178,
];

const CHARSETS: &str = "iso-8859-1, us-ascii, utf-16, utf-16be, utf-16le, utf-32, utf-8";

/// Fails where Spark has no character set of that name.
pub(crate) fn check_charset(name: &str, function: &str, context: &Context) -> Result<()> {
    charset(name, function, context).map(|_| ())
}

fn charset(name: &str, function: &str, context: &Context) -> Result<Charset> {
    Ok(match name.to_ascii_uppercase().as_str() {
        "WINDOWS-1252" | "CP1252" if context.java_charsets => Charset::Windows1252,
        "ASCII" | "ISO646-US" if context.java_charsets => Charset::Ascii,
        "LATIN1" | "ISO8859_1" if context.java_charsets => Charset::Latin1,
        "UTF8" if context.java_charsets => Charset::Utf8,
        "US-ASCII" => Charset::Ascii,
        "ISO-8859-1" => Charset::Latin1,
        "UTF-8" => Charset::Utf8,
        "UTF-16" => Charset::Utf16,
        "UTF-16BE" => Charset::Utf16Be,
        "UTF-16LE" => Charset::Utf16Le,
        "UTF-32" => Charset::Utf32,
        _ => {
            return Err(Error::new("INVALID_PARAMETER_VALUE.CHARSET")
                .param("functionName", format!("`{function}`"))
                .param("parameter", "`charset`")
                .param("charset", name)
                .param("charsets", CHARSETS)
                .message(format!("`{function}` knows the character sets {CHARSETS}, not '{name}'.")));
        }
    })
}

fn malformed(function: &str, charset: &str) -> Error {
    Error::new("MALFORMED_CHARACTER_CODING")
        .param("function", format!("`{function}`"))
        .param("charset", charset)
        .message(format!("`{function}` met a character or bytes that {charset} does not have."))
}

fn write_charset(text: &str, charset: Charset, out: &mut Vec<u8>) -> Option<()> {
    match charset {
        Charset::Utf8 => out.extend_from_slice(text.as_bytes()),
        Charset::Ascii if text.is_ascii() => out.extend_from_slice(text.as_bytes()),
        Charset::Ascii => return None,
        Charset::Latin1 => {
            for c in text.chars() {
                out.push(u8::try_from(u32::from(c)).ok()?);
            }
        }
        Charset::Windows1252 => {
            for c in text.chars() {
                let special = WINDOWS_1252.iter().position(|u| u32::from(*u) == u32::from(c) && *u != 0);
                out.push(match (special, u8::try_from(u32::from(c))) {
                    (Some(i), _) => 0x80 + i as u8,
                    (None, Ok(b)) if !(0x80..0xa0).contains(&b) => b,
                    _ => return None,
                });
            }
        }
        Charset::Utf16 => {
            if !text.is_empty() {
                out.extend([0xfe, 0xff]);
            }
            out.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
        }
        Charset::Utf16Be => out.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
        Charset::Utf16Le => out.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
        Charset::Utf32 => out.extend(text.chars().flat_map(|c| u32::from(c).to_be_bytes())),
    }
    Some(())
}

fn read_charset(bytes: &[u8], charset: Charset, out: &mut String) -> Option<()> {
    match charset {
        Charset::Utf8 => out.push_str(std::str::from_utf8(bytes).ok()?),
        Charset::Ascii if bytes.is_ascii() => out.push_str(std::str::from_utf8(bytes).ok()?),
        Charset::Ascii => return None,
        Charset::Latin1 => out.extend(bytes.iter().map(|b| char::from(*b))),
        Charset::Windows1252 => {
            for b in bytes {
                match b.checked_sub(0x80).and_then(|i| WINDOWS_1252.get(usize::from(i))) {
                    Some(0) => return None,
                    Some(unit) => out.extend(char::from_u32(u32::from(*unit))),
                    None => out.push(char::from(*b)),
                }
            }
        }
        Charset::Utf16 | Charset::Utf16Be | Charset::Utf16Le => {
            let (little, bytes) = match (charset, bytes) {
                (Charset::Utf16, [0xff, 0xfe, rest @ ..]) => (true, rest),
                (Charset::Utf16, [0xfe, 0xff, rest @ ..]) => (false, rest),
                (Charset::Utf16Le, all) => (true, all),
                (_, all) => (false, all),
            };
            if bytes.len() % 2 != 0 {
                return None;
            }
            let units = bytes.chunks_exact(2).map(|p| match little {
                true => u16::from_le_bytes([p[0], p[1]]),
                false => u16::from_be_bytes([p[0], p[1]]),
            });
            for c in char::decode_utf16(units) {
                out.push(c.ok()?);
            }
        }
        Charset::Utf32 => {
            let (little, bytes) = match bytes {
                [0xff, 0xfe, 0, 0, rest @ ..] => (true, rest),
                [0, 0, 0xfe, 0xff, rest @ ..] => (false, rest),
                all => (false, all),
            };
            if bytes.len() % 4 != 0 {
                return None;
            }
            for p in bytes.chunks_exact(4) {
                let p = [p[0], p[1], p[2], p[3]];
                out.push(char::from_u32(if little { u32::from_le_bytes(p) } else { u32::from_be_bytes(p) })?);
            }
        }
    }
    Some(())
}

/// Writes what the character set has; `?` takes the place of other characters.
fn write_replacing(text: &str, charset: Charset, out: &mut Vec<u8>) {
    let mut buffer = [0; 4];
    for c in text.chars() {
        if write_charset(c.encode_utf8(&mut buffer), charset, out).is_none() {
            out.push(b'?');
        }
    }
}

/// Reads what the character set has; U+FFFD takes the place of other bytes.
fn read_replacing(bytes: &[u8], charset: Charset, out: &mut String) {
    match charset {
        Charset::Utf8 => out.push_str(&String::from_utf8_lossy(bytes)),
        Charset::Ascii | Charset::Windows1252 => {
            for b in bytes {
                if read_charset(&[*b], charset, out).is_none() {
                    out.push(char::REPLACEMENT_CHARACTER);
                }
            }
        }
        _ => {
            if read_charset(bytes, charset, out).is_none() {
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }
}

fn encode(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::Str, Want::Str])?;
    Ok(Resolved::new(coerced, DataType::Binary, true, |inputs| {
        let (text, names) = (inputs.text(0)?, inputs.text(1)?);
        byte_rows(inputs.rows(), |row, out| {
            let (Some(text), Some(name)) = (text.get(row), names.get(row)) else { return Ok(None) };
            let charset = charset(name, "encode", inputs.context())?;
            if inputs.context().replaces_coding_errors && !matches!(charset, Charset::Utf16) {
                write_replacing(text, charset, out);
                return Ok(Some(()));
            }
            match write_charset(text, charset, out) {
                Some(()) => Ok(Some(())),
                None => Err(malformed("encode", name)),
            }
        })
    }))
}

/// Bytes in a character set. With more arguments `decode` is a CASE of equalities, for the analyzer.
fn decode(call: &Call) -> Result<Resolved> {
    call.arity(2..=2)?;
    let coerced = call.want(&[Want::BINARY, Want::Str])?;
    Ok(Resolved::new(coerced, DataType::STRING, true, |inputs| {
        let (bytes, names) = (inputs.bytes(0)?, inputs.text(1)?);
        text_rows(inputs.rows(), |row, out| {
            let (Some(bytes), Some(name)) = (bytes.get(row), names.get(row)) else { return Ok(None) };
            let charset = charset(name, "decode", inputs.context())?;
            if inputs.context().replaces_coding_errors {
                read_replacing(bytes, charset, out);
                return Ok(Some(()));
            }
            match read_charset(bytes, charset, out) {
                Some(()) => Ok(Some(())),
                None => Err(malformed("decode", name)),
            }
        })
    }))
}

fn to_binary(call: &Call, tolerant: bool) -> Result<Resolved> {
    call.arity(1..=2)?;
    let format = match call.args.get(1) {
        None => Some("hex".to_string()),
        Some(arg) if implicit_cast(&arg.data_type, &Want::Str, call.context).is_none() => {
            return Err(call.unexpected_input(1, "\"STRING\""));
        }
        Some(arg) => match &arg.constant {
            None => return Err(crate::mismatch::not_constant(call, 1, "fmt", "STRING")),
            Some(datafusion::scalar::ScalarValue::Utf8(text)) => text.clone(),
            Some(_) if arg.data_type == DataType::Null => None,
            // A number as text is no format either.
            Some(_) => Some(arg.sql.clone()),
        },
    };
    let format = format.map(|f| f.to_ascii_lowercase());
    let is_known = |f: &String| matches!(f.as_str(), "hex" | "utf-8" | "utf8" | "base64");
    let format = if tolerant { format.filter(is_known) } else { format };
    if let Some(f) = &format
        && !is_known(f)
    {
        return Err(Error::new("DATATYPE_MISMATCH.INVALID_ARG_VALUE")
            .param("sqlExpr", format!("\"{}\"", call.sql()))
            .param("inputName", "fmt")
            .param("requireType", "case-insensitive \"STRING\"")
            .param("validValues", "'hex', 'utf-8', 'utf8', or 'base64'")
            .param("inputValue", format!("'{}'", f))
            .message(format!(
                "Cannot resolve \"{}\": the format is 'hex', 'utf-8', 'utf8' or 'base64'.",
                call.sql()
            )));
    }
    let coerced = call.want(&[Want::Str, Want::Str])?;
    let nullable =
        tolerant || format.is_none() || call.nullable_as(&coerced) || format.as_deref() != Some("base64");
    Ok(Resolved::new(coerced, DataType::Binary, nullable, move |inputs| {
        let text = inputs.text(0)?;
        byte_rows(inputs.rows(), |row, out| {
            let (Some(text), Some(format)) = (text.get(row), format.as_deref()) else { return Ok(None) };
            let done = match format {
                "hex" => read_hex(text.as_bytes(), out),
                "base64" if strict_base64(text.as_bytes()) => read_base64(text.as_bytes(), out),
                "base64" => None,
                _ => {
                    out.extend_from_slice(text.as_bytes());
                    Some(())
                }
            };
            match done {
                Some(()) => Ok(Some(())),
                None if tolerant => Ok(None),
                None => {
                    Err(conversion_failure("to_binary", text, &format.to_ascii_uppercase(), "try_to_binary"))
                }
            }
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_reads_as_mime() {
        let read = |s: &str| {
            let mut out = Vec::new();
            read_base64(s.as_bytes(), &mut out).map(|()| out)
        };
        assert_eq!(read("U3Bh\ncms="), Some(b"Spark".to_vec()));
        assert_eq!(read("U3Bh?cms"), Some(b"Spark".to_vec()));
        assert_eq!(read("A"), None);
        assert!(strict_base64(b"YQ=="));
        assert!(!strict_base64(b"Y"));
        assert!(!strict_base64(b"YQ=Q"));
    }

    #[test]
    fn charsets() {
        let mut out = Vec::new();
        assert_eq!(write_charset("é", Charset::Utf16, &mut out), Some(()));
        assert_eq!(out, [0xfe, 0xff, 0, 0xe9]);
        assert_eq!(write_charset("é", Charset::Ascii, &mut Vec::new()), None);
        let mut text = String::new();
        assert_eq!(read_charset(&[0xe9], Charset::Latin1, &mut text), Some(()));
        assert_eq!(text, "é");
    }
}
