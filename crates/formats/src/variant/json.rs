//! Variants out of JSON and as JSON.

use base64::Engine;
use boathouse_spec::Result;

use super::*;
use crate::datetime_text::{push_fraction, write_date, write_time};
use crate::json::{Leniency, Scanner, Start, SyntaxError, write_text};
use crate::number_text::{write_double, write_float};
use crate::zone::{Zone, offset_id};

/// Standard JSON only.
const STRICT: Leniency = Leniency {
    comments: false,
    single_quotes: false,
    unquoted_names: false,
    leading_zeros: false,
    non_numeric_numbers: false,
    any_escape: false,
    control_characters: false,
};

/// Appends the value of a JSON text to a builder. `Ok(false)` where the text is no JSON (what follows the value is not
/// looked at); an error where it is too large or has a name twice.
pub fn parse_json(text: &str, out: &mut Builder) -> Result<bool> {
    let mut scanner = Scanner::new(text, STRICT);
    append_json(&mut scanner, out)
}

/// Appends the value at the scanner's place.
pub fn append_json(scanner: &mut Scanner, out: &mut Builder) -> Result<bool> {
    match append(scanner, out, 0) {
        Ok(()) => Ok(true),
        Err(Failure::Syntax) => Ok(false),
        Err(Failure::Other(e)) => Err(e),
    }
}

enum Failure {
    Syntax,
    Other(Error),
}

impl From<SyntaxError> for Failure {
    fn from(_: SyntaxError) -> Self {
        Self::Syntax
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Other(e)
    }
}

fn append(scanner: &mut Scanner, out: &mut Builder, depth: usize) -> Result<(), Failure> {
    if depth > MAX_DEPTH {
        return Err(Failure::Syntax);
    }
    let mut scratch = Vec::new();
    match scanner.start()? {
        Start::Object => {
            scanner.open();
            let start = out.position();
            let mut fields = Vec::new();
            while let Some(name) = scanner.next_field(fields.is_empty(), &mut scratch)? {
                let name = std::str::from_utf8(name).map_err(|_| Failure::Syntax)?;
                fields.push(out.field(start, name));
                append(scanner, out, depth + 1)?;
            }
            out.close_object(start, &mut fields)?;
        }
        Start::Array => {
            scanner.open();
            let start = out.position();
            let mut offsets = Vec::new();
            while scanner.next_element(offsets.is_empty())? {
                offsets.push(out.position() - start);
                append(scanner, out, depth + 1)?;
            }
            out.close_array(start, &offsets)?;
        }
        Start::Text(quote) => {
            let text = scanner.text_slice(quote, &mut scratch)?;
            out.string(std::str::from_utf8(text).map_err(|_| Failure::Syntax)?);
        }
        Start::Number => {
            let number = scanner.number()?;
            match (number.long, decimal(number.text)) {
                (Some(v), _) => out.long(v),
                (None, Some((unscaled, scale))) => out.decimal(unscaled, scale),
                (None, None) => out.double(number.text.parse().map_err(|_| Failure::Syntax)?),
            }
        }
        Start::True => {
            scanner.word("true")?;
            out.boolean(true);
        }
        Start::False => {
            scanner.word("false")?;
            out.boolean(false);
        }
        Start::Null => {
            scanner.word("null")?;
            out.null();
        }
        Start::Name => return Err(Failure::Syntax),
    }
    Ok(())
}

/// The decimal of a number's text, where it has no exponent and at most 38 digits.
fn decimal(text: &str) -> Option<(i128, u8)> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.len() > 38 {
        return None;
    }
    let mut unscaled: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    (unscaled < 10i128.pow(38)).then_some((sign * unscaled, fraction.len() as u8))
}

/// Appends a variant as JSON; instants on the wall clock of a zone.
pub fn write_json(v: &Variant, zone: &Zone, out: &mut String) -> Result<()> {
    write(v, zone, out, 0)
}

fn write(v: &Variant, zone: &Zone, out: &mut String, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(malformed());
    }
    match v.kind()? {
        Kind::Object(_) => {
            out.push('{');
            let mut first = true;
            v.for_each_field(|name, value| {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                write_text(name, false, out);
                out.push(':');
                write(&value, zone, out, depth + 1)
            })?;
            out.push('}');
        }
        Kind::Array(_) => {
            out.push('[');
            let mut first = true;
            v.for_each_element(|value| {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                write(&value, zone, out, depth + 1)
            })?;
            out.push(']');
        }
        Kind::Null => out.push_str("null"),
        Kind::Boolean(v) => out.push_str(if v { "true" } else { "false" }),
        Kind::Long(v) => out.push_str(itoa::Buffer::new().format(v)),
        Kind::Float(v) => quoted(!v.is_finite(), out, |out| write_float(v, out)),
        Kind::Double(v) => quoted(!v.is_finite(), out, |out| write_double(v, out)),
        Kind::Decimal { unscaled, scale } => write_plain_decimal(unscaled, scale, out),
        Kind::String(v) => write_text(v, false, out),
        Kind::Binary(v) => {
            quoted(true, out, |out| base64::engine::general_purpose::STANDARD.encode_string(v, out));
        }
        Kind::Date(days) => quoted(true, out, |out| write_date(i64::from(days), out)),
        Kind::Timestamp(us) => quoted(true, out, |out| {
            let offset = zone.offset_at(us);
            write_wall_clock(us.saturating_add(i64::from(offset) * 1_000_000), out);
            out.push_str(&match offset_id(offset) {
                id if id == "Z" => "+00:00".to_string(),
                id => id,
            });
        }),
        Kind::TimestampNtz(us) => quoted(true, out, |out| write_wall_clock(us, out)),
        Kind::Uuid(bytes) => quoted(true, out, |out| write_uuid(&bytes, out)),
    }
    Ok(())
}

fn quoted(quotes: bool, out: &mut String, write: impl FnOnce(&mut String)) {
    if quotes {
        out.push('"');
    }
    write(out);
    if quotes {
        out.push('"');
    }
}

fn write_wall_clock(us: i64, out: &mut String) {
    const DAY: i64 = 86_400_000_000;
    write_date(us.div_euclid(DAY), out);
    out.push(' ');
    let time = us.rem_euclid(DAY);
    write_time(time, out);
    push_fraction(time % 1_000_000, out);
}

/// Without trailing zeros behind the point, and without an exponent.
pub fn write_plain_decimal(mut unscaled: i128, mut scale: u8, out: &mut String) {
    while scale > 0 && unscaled % 10 == 0 {
        unscaled /= 10;
        scale -= 1;
    }
    if scale == 0 {
        out.push_str(itoa::Buffer::new().format(unscaled));
        return;
    }
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = usize::from(scale) + 1);
    if unscaled < 0 {
        out.push('-');
    }
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    out.push_str(whole);
    out.push('.');
    out.push_str(fraction);
}

fn write_uuid(bytes: &[u8; 16], out: &mut String) {
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push_str(&format!("{byte:02x}"));
    }
}
