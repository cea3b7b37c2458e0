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
        assert!(decode(b"", Some("nope")).is_err());
    }
}
