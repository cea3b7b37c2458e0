//! Numbers and booleans out of strings, by Java's and Spark's grammar.

/// Without the whitespace and control characters around (`UTF8String.trimAll`).
pub fn trim_all(text: &[u8]) -> &[u8] {
    let blank = |b: &u8| *b <= 0x20 || *b == 0x7f;
    let start = text.iter().position(|b| !blank(b)).unwrap_or(text.len());
    let end = text.iter().rposition(|b| !blank(b)).map_or(start, |n| n + 1);
    &text[start..end]
}

/// [`trim_all`] of a string.
pub fn trim_str(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ' || c == '\u{7f}')
}

/// An integer; `fraction` allows (and drops) digits after a decimal point, as casts without ANSI do.
pub fn integer(text: &str, fraction: bool) -> Option<i64> {
    let text = trim_all(text.as_bytes());
    let (negative, digits) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut out = 0i64;
    let mut rest = digits.iter();
    for byte in rest.by_ref() {
        match byte {
            // Below zero, where one more value fits.
            b'0'..=b'9' => out = out.checked_mul(10)?.checked_sub(i64::from(byte - b'0'))?,
            b'.' if fraction => break,
            _ => return None,
        }
    }
    if !rest.all(u8::is_ascii_digit) {
        return None;
    }
    if negative { Some(out) } else { out.checked_neg() }
}

pub fn boolean(text: &str) -> Option<bool> {
    let text = trim_all(text.as_bytes());
    let is = |words: [&str; 5]| words.iter().any(|w| text.eq_ignore_ascii_case(w.as_bytes()));
    if is(["t", "true", "y", "yes", "1"]) {
        Some(true)
    } else if is(["f", "false", "n", "no", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// A floating-point number as Java's `Double.valueOf` reads it, and `inf`, `infinity` and `nan` in any case.
pub fn float<F: std::str::FromStr + From<f32>>(text: &str, hexadecimal: impl Fn(f64) -> F) -> Option<F> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let (sign, bare) = match text.as_bytes().first()? {
        b'-' => (-1.0f32, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if !bare.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        let is = |word: &str| bare.eq_ignore_ascii_case(word);
        if is("inf") || is("infinity") {
            return Some(F::from(sign * f32::INFINITY));
        }
        // With a sign only in the spelling that Java reads itself.
        return ((is("nan") && text == bare) || bare == "NaN").then(|| F::from(f32::NAN));
    }
    let number = bare.strip_suffix(['d', 'D', 'f', 'F']);
    if bare.starts_with("0x") || bare.starts_with("0X") {
        return hex_float(number.unwrap_or(bare).as_bytes()).map(|v| hexadecimal(f64::from(sign) * v));
    }
    let number = number.unwrap_or(bare);
    let plain = number.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if !plain || number.starts_with(['+', '-']) {
        return None;
    }
    text[..text.len() - (bare.len() - number.len())].parse().ok()
}

/// `0x1.8p1`
fn hex_float(text: &[u8]) -> Option<f64> {
    let split = text.iter().position(|b| matches!(b, b'p' | b'P'))?;
    let exponent: i32 = std::str::from_utf8(&text[split + 1..]).ok()?.parse().ok()?;
    let (mut value, mut scale, mut digits, mut point) = (0f64, 0i32, 0, false);
    for byte in &text[2..split] {
        match byte {
            b'.' if !point => point = true,
            _ => {
                value = value * 16.0 + f64::from(char::from(*byte).to_digit(16)?);
                digits += 1;
                scale -= if point { 4 } else { 0 };
            }
        }
    }
    (digits > 0).then(|| value * 2f64.powi(exponent.saturating_add(scale)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        assert_eq!(integer(" 1\t", false), Some(1));
        assert_eq!(integer("1.5", false), None);
        assert_eq!(integer("1.5", true), Some(1));
        assert_eq!(integer("-9223372036854775808", false), Some(i64::MIN));
        assert_eq!(integer("9223372036854775808", false), None);
        assert_eq!(integer("-", true), None);
        assert_eq!(integer("1.x", true), None);
    }

    #[test]
    fn floats() {
        let d = |s: &str| float::<f64>(s, |v| v);
        assert_eq!(d("1d"), Some(1.0));
        assert_eq!(d(" 1e3 "), Some(1000.0));
        assert_eq!(d("5."), Some(5.0));
        assert_eq!(d(".5"), Some(0.5));
        assert_eq!(d("."), None);
        assert_eq!(d("1e"), None);
        assert_eq!(d("-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(d("+Infinity"), Some(f64::INFINITY));
        assert_eq!(d("0x1.8p1"), Some(3.0));
        assert_eq!(d("1_0"), None);
        assert_eq!(d("--1"), None);
    }
}
