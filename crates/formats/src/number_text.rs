//! Numbers as text: Java's spellings and Spark's decimals.

/// A decimal number: `unscaled` times ten to the power of minus `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BigDecimal {
    pub unscaled: i128,
    pub scale: i32,
    /// The number of digits of the unscaled value, as Java counts them.
    pub precision: u32,
}

/// Reads what Java's `BigDecimal` reads: an optional sign, digits with an optional point, an optional exponent.
/// `None` also where there are more digits than 128 bits hold.
pub fn parse_decimal(text: &str) -> Option<BigDecimal> {
    let bytes = text.as_bytes();
    let (negative, mut at) = match bytes.first()? {
        b'-' => (true, 1),
        b'+' => (false, 1),
        _ => (false, 0),
    };
    let (mut unscaled, mut scale, mut digits, mut point) = (0_i128, 0_i32, 0, false);
    // Digits beyond 38 that are zeros behind the point do not change the value that a decimal can keep.
    let mut dropped = false;
    while let Some(b) = bytes.get(at) {
        match b {
            b'0'..=b'9' => {
                digits += 1;
                let next = unscaled.checked_mul(10).and_then(|v| v.checked_add(i128::from(b - b'0')));
                match next {
                    Some(v) if !dropped => {
                        unscaled = v;
                        scale += i32::from(point);
                    }
                    _ if point => dropped = true,
                    _ => return None,
                }
            }
            b'.' if !point => point = true,
            _ => break,
        }
        at += 1;
    }
    if digits == 0 {
        return None;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let exponent: i32 = text[at + 1..].parse().ok()?;
        scale = scale.checked_sub(exponent)?;
        at = bytes.len();
    }
    if at != bytes.len() {
        return None;
    }
    let precision = digits_of(unscaled.unsigned_abs());
    Some(BigDecimal { unscaled: if negative { -unscaled } else { unscaled }, scale, precision })
}

fn digits_of(value: u128) -> u32 {
    value.checked_ilog10().map_or(1, |d| d + 1)
}

impl BigDecimal {
    /// The unscaled value as `DECIMAL(precision, scale)`, rounded half up; `None` where it does not fit.
    pub fn rescale(&self, precision: u8, scale: u8) -> Option<i128> {
        let target = i32::from(scale);
        let value = if self.scale <= target {
            let up = u32::try_from(target - self.scale).ok()?;
            if self.unscaled == 0 { 0 } else { self.unscaled.checked_mul(10_i128.checked_pow(up)?)? }
        } else {
            let down = u32::try_from(self.scale - target).ok()?;
            match 10_i128.checked_pow(down) {
                None => 0,
                Some(factor) => {
                    let (quotient, rest) = (self.unscaled / factor, self.unscaled % factor);
                    let round = rest.unsigned_abs() >= factor.unsigned_abs().div_ceil(2);
                    quotient + if round { self.unscaled.signum() } else { 0 }
                }
            }
        };
        (value.unsigned_abs() < 10_u128.checked_pow(u32::from(precision))?).then_some(value)
    }
}

/// Appends a decimal as Java's `BigDecimal.toString`: with an exponent where the number is small.
pub fn write_decimal(unscaled: i128, scale: i32, out: &mut String) {
    if unscaled < 0 {
        out.push('-');
    }
    let digits = unscaled.unsigned_abs().to_string();
    let adjusted = digits.len() as i64 - 1 - i64::from(scale);
    if scale >= 0 && adjusted >= -6 {
        write_plain(&digits, scale as usize, out);
        return;
    }
    out.push_str(&digits[..1]);
    if digits.len() > 1 {
        out.push('.');
        out.push_str(&digits[1..]);
    }
    if adjusted != 0 {
        out.push('E');
        if adjusted > 0 {
            out.push('+');
        }
        out.push_str(itoa::Buffer::new().format(adjusted));
    }
}

/// Appends a decimal without exponent, as a decimal casts to STRING.
pub fn write_plain_decimal(unscaled: i128, scale: u8, out: &mut String) {
    if unscaled < 0 {
        out.push('-');
    }
    write_plain(&unscaled.unsigned_abs().to_string(), usize::from(scale), out);
}

fn write_plain(digits: &str, scale: usize, out: &mut String) {
    if scale == 0 {
        out.push_str(digits);
    } else if digits.len() > scale {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        out.push_str(whole);
        out.push('.');
        out.push_str(fraction);
    } else {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', scale - digits.len()));
        out.push_str(digits);
    }
}

/// Appends a double as Java's `Double.toString`: `1.0`, `1.0E10`, `NaN`.
pub fn write_double(value: f64, out: &mut String) {
    if !value.is_finite() {
        out.push_str(non_finite(value));
        return;
    }
    // The smallest double has two shortest spellings; Java has this one.
    if value.abs() == f64::from_bits(1) {
        out.push_str(if value < 0.0 { "-4.9E-324" } else { "4.9E-324" });
        return;
    }
    java_form(
        ryu::Buffer::new().format_finite(value),
        value == 0.0 || (1e-3..1e7).contains(&value.abs()),
        out,
    );
}

/// Appends a float as Java's `Float.toString`.
pub fn write_float(value: f32, out: &mut String) {
    if !value.is_finite() {
        out.push_str(non_finite(f64::from(value)));
        return;
    }
    if value.abs() == f32::from_bits(1) {
        out.push_str(if value < 0.0 { "-1.4E-45" } else { "1.4E-45" });
        return;
    }
    java_form(
        ryu::Buffer::new().format_finite(value),
        value == 0.0 || (1e-3..1e7).contains(&value.abs()),
        out,
    );
}

fn non_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Rewrites the shortest digits (`1.5`, `1e10`, `1.5e-7`) in Java's form.
fn java_form(shortest: &str, plain: bool, out: &mut String) {
    let (shortest, negative) = match shortest.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (shortest, false),
    };
    if negative {
        out.push('-');
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    // All digits, and how many of them stand before the point.
    let mut digits = format!("{whole}{fraction}");
    let mut point = whole.len() as i32 + exponent;
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    digits.drain(..zeros);
    point -= zeros as i32;
    if digits.is_empty() {
        out.push_str("0.0");
        return;
    }
    let digits = digits.trim_end_matches('0');
    if plain {
        if point <= 0 {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', point.unsigned_abs() as usize));
            out.push_str(digits);
        } else {
            let point = point as usize;
            if digits.len() <= point {
                out.push_str(digits);
                out.extend(std::iter::repeat_n('0', point - digits.len()));
                out.push_str(".0");
            } else {
                out.push_str(&digits[..point]);
                out.push('.');
                out.push_str(&digits[point..]);
            }
        }
        return;
    }
    out.push_str(&digits[..1]);
    out.push('.');
    out.push_str(if digits.len() > 1 { &digits[1..] } else { "0" });
    out.push('E');
    out.push_str(itoa::Buffer::new().format(point - 1));
}

/// Reads what Java's `Double.parseDouble` reads: surrounding blanks, a suffix `f` or `d`, `NaN`, `Infinity`, and hexadecimal
/// floats.
pub fn parse_java_double(text: &str) -> Option<f64> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    match unsigned {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(sign * f64::INFINITY),
        _ => {}
    }
    if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        return parse_hexadecimal(&unsigned[2..]).map(|v| sign * v);
    }
    let number = unsigned.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(unsigned);
    // Rust also reads `inf` and `nan`, which are no numbers here.
    if !number.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'.')
        || !number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
    {
        return None;
    }
    number.parse::<f64>().ok().map(|v| sign * v)
}

/// `1.8p3`: a hexadecimal significand and a binary exponent, which must be there.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let text = text.strip_suffix(['f', 'F', 'd', 'D']).filter(|t| t.contains(['p', 'P'])).unwrap_or(text);
    let (significand, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = significand.split_once('.').unwrap_or((significand, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0_f64;
    for c in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
    }
    let shift = exponent.checked_sub(i32::try_from(fraction.len()).ok()?.checked_mul(4)?)?;
    Some(value * 2.0_f64.powi(shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_javas() {
        for (value, expected) in [
            (1.0, "1.0"),
            (1e7, "1.0E7"),
            (1.5e-4, "1.5E-4"),
            (123456789.125, "1.23456789125E8"),
            (1e21, "1.0E21"),
            (0.001, "0.001"),
            (-0.0, "-0.0"),
            (4.9e-324, "4.9E-324"),
            (2e-3, "0.002"),
            (9999999.0, "9999999.0"),
            (100.0, "100.0"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (3.4028235e38, "3.4028235E38"),
        ] {
            let mut out = String::new();
            write_double(value, &mut out);
            assert_eq!(out, expected);
        }
        let mut out = String::new();
        write_float(1.5e-30, &mut out);
        assert_eq!(out, "1.5E-30");
    }

    #[test]
    fn decimals_are_javas() {
        for (unscaled, scale, expected) in [
            (150, 2, "1.50"),
            (1, 7, "1E-7"),
            (12, 8, "1.2E-7"),
            (1, 6, "0.000001"),
            (-5, 0, "-5"),
            (0, 2, "0.00"),
            (0, 10, "0E-10"),
            (12345678901234568000000, 2, "123456789012345680000.00"),
        ] {
            let mut out = String::new();
            write_decimal(unscaled, scale, &mut out);
            assert_eq!(out, expected);
        }
        assert_eq!(parse_decimal("1.005").and_then(|d| d.rescale(10, 2)), Some(101));
        assert_eq!(parse_decimal("-1.005").and_then(|d| d.rescale(10, 2)), Some(-101));
        assert_eq!(parse_decimal("1e2").and_then(|d| d.rescale(5, 2)), Some(10_000));
        assert_eq!(parse_decimal("1e-50").and_then(|d| d.rescale(5, 2)), Some(0));
        assert_eq!(parse_decimal("99999.995").and_then(|d| d.rescale(5, 2)), None);
        assert_eq!(parse_decimal("1e5").map(|d| (d.precision, d.scale)), Some((1, -5)));
        for bad in ["", "x", " 1", "1 ", "1e", "--1", "1.2.3", "."] {
            assert_eq!(parse_decimal(bad), None, "{bad}");
        }
    }

    #[test]
    fn texts_of_doubles_are_javas() {
        for (text, expected) in [
            ("1d", Some(1.0)),
            (" 1.5", Some(1.5)),
            ("1f", Some(1.0)),
            (".5", Some(0.5)),
            ("0x1p3", Some(8.0)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("1e400", Some(f64::INFINITY)),
            ("inf", None),
            ("nan", None),
            ("0x10", None),
            ("1L", None),
            ("", None),
            ("1e", None),
        ] {
            assert_eq!(parse_java_double(text), expected, "{text}");
        }
    }
}
