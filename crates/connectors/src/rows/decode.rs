//! Bytes to text, in the encoding an option names.

use std::borrow::Cow;

use boathouse_spec::{Error, Result};
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// The text of bytes. What is no character becomes U+FFFD, as in Java.
pub(super) fn decode<'a>(bytes: &'a [u8], encoding: Option<&str>) -> Result<Cow<'a, str>> {
    let Some(name) = encoding else { return Ok(String::from_utf8_lossy(bytes)) };
    let lower = name.to_lowercase();
    Ok(match lower.as_str() {
        "utf-8" | "utf8" => String::from_utf8_lossy(bytes),
        // The web's label means windows-1252; Java's charset is the first 256 characters.
        "iso-8859-1" | "iso8859-1" | "iso8859_1" | "latin1" => bytes.iter().map(|b| char::from(*b)).collect(),
        "us-ascii" | "ascii" => bytes
            .iter()
            .map(|b| if b.is_ascii() { char::from(*b) } else { char::REPLACEMENT_CHARACTER })
            .collect(),
        // Java reads a byte order mark, and big-endian without one.
        "utf-16" => match Encoding::for_bom(bytes) {
            Some((found, length)) => found.decode_without_bom_handling(&bytes[length..]).0,
            None => UTF_16BE.decode_without_bom_handling(bytes).0,
        },
        // So does it for these.
        "utf-32" => match bytes {
            [0xff, 0xfe, 0, 0, ..] => utf_32(bytes, u32::from_le_bytes).into(),
            _ => utf_32(bytes, u32::from_be_bytes).into(),
        },
        "utf-32be" => utf_32(bytes, u32::from_be_bytes).into(),
        "utf-32le" => utf_32(bytes, u32::from_le_bytes).into(),
        "utf-16be" => UTF_16BE.decode_with_bom_removal(bytes).0,
        "utf-16le" => UTF_16LE.decode_with_bom_removal(bytes).0,
        _ => match Encoding::for_label(lower.as_bytes()) {
            Some(found) => found.decode_with_bom_removal(bytes).0,
            None => {
                return Err(Error::new("INVALID_PARAMETER_VALUE.CHARSET")
                    .param("parameter", "`charset`")
                    .param("functionName", "`read`")
                    .param("charset", name)
                    .message(format!("There is no encoding {name}.")));
            }
        },
    })
}

/// The text of characters of four bytes, without a byte order mark.
fn utf_32(bytes: &[u8], of_bytes: fn([u8; 4]) -> u32) -> String {
    let (whole, rest) = bytes.as_chunks::<4>();
    let characters =
        whole.iter().map(|b| char::from_u32(of_bytes(*b)).unwrap_or(char::REPLACEMENT_CHARACTER));
    let mut text: String = characters.collect();
    if !rest.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    match text.strip_prefix('\u{feff}') {
        Some(behind) => behind.to_string(),
        None => text,
    }
}

/// The text with its newlines as line feeds, also those in quoted values: its first newline says which they are (the
/// `LineSeparatorDetector` of the parser that Spark uses).
pub(super) fn with_line_feeds(text: &str) -> Cow<'_, str> {
    let newline = text.find(['\r', '\n']).map(|at| &text[at..]);
    match newline {
        Some(rest) if rest.starts_with("\r\n") => text.replace("\r\n", "\n").into(),
        Some(rest) if rest.starts_with('\r') => text.replace('\r', "\n").into(),
        _ => text.into(),
    }
}

/// The encoding of a JSON document as its first bytes tell it, where it is not UTF-8 (Jackson's
/// `ByteSourceJsonBootstrapper`): a byte order mark, or a first character that fills but one byte.
pub(super) fn encoding_of_json(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, _, ..] => Some("utf-32be"),
        [0xff, 0xfe, 0, 0, ..] | [_, 0, 0, 0, ..] => Some("utf-32le"),
        [0xfe, 0xff, ..] | [0, _, ..] => Some("utf-16be"),
        [0xff, 0xfe, ..] | [_, 0, ..] => Some("utf-16le"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_javas() {
        let d = |bytes: &[u8], e: &str| decode(bytes, Some(e)).unwrap().into_owned();
        assert_eq!(d(b"\xe9\x80", "ISO-8859-1"), "é\u{80}");
        assert_eq!(d(b"\xff\xfe\xe9\x00", "UTF-16"), "é");
        assert_eq!(d(b"\x00\xe9", "UTF-16"), "é");
        assert_eq!(d(b"\xe9\x00", "UTF-16LE"), "é");
        assert_eq!(d(b"\xff", "UTF-8"), "\u{fffd}");
        assert_eq!(d(b"\x80", "windows-1252"), "€");
        assert_eq!(d(b"\0\0\0\xe9", "UTF-32"), "é");
        assert_eq!(d(b"\xff\xfe\0\0\xe9\0\0\0", "UTF-32"), "é");
        assert!(decode(b"", Some("nope")).is_err());
    }

    #[test]
    fn json_tells_its_encoding() {
        assert_eq!(encoding_of_json(b"{\"a\":1}"), None);
        assert_eq!(encoding_of_json(b"{\0\"\0"), Some("utf-16le"));
        assert_eq!(encoding_of_json(b"\0{\0\""), Some("utf-16be"));
        assert_eq!(encoding_of_json(b"\0\0\0{"), Some("utf-32be"));
        assert_eq!(encoding_of_json(b"{\0\0\0"), Some("utf-32le"));
        assert_eq!(encoding_of_json(b"\xff\xfe{\0"), Some("utf-16le"));
    }

    #[test]
    fn the_first_newline_counts() {
        assert_eq!(with_line_feeds("a\r\n\"b\r\nc\""), "a\n\"b\nc\"");
        assert_eq!(with_line_feeds("a\n\"b\r\nc\""), "a\n\"b\r\nc\"");
        assert_eq!(with_line_feeds("a\rb"), "a\nb");
    }
}
