//! Decimals as unscaled 128-bit integers: rescaling and conversion, rounded half up.

/// 10^n for n up to 38.
pub const POWERS: [i128; 39] = {
    let mut powers = [1i128; 39];
    let mut n = 1;
    while n < 39 {
        powers[n] = powers[n - 1] * 10;
        n += 1;
    }
    powers
};

/// Whether an unscaled value has at most `precision` digits.
pub fn fits(unscaled: i128, precision: u8) -> bool {
    unscaled.unsigned_abs() < POWERS[usize::from(precision.min(38))] as u128
}

/// `v / divisor` (positive), halves away from zero.
pub fn divide_half_up(v: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (v / divisor, v % divisor);
    // `rest` is below the divisor: doubling cannot be compared safely for the largest divisors, halving can.
    let half = divisor / 2 + divisor % 2;
    if rest.abs() >= half { quotient + v.signum() } else { quotient }
}

/// A value in another scale, where it fits the precision.
pub fn rescale(unscaled: i128, from_scale: u8, precision: u8, scale: u8) -> Option<i128> {
    let out = if scale >= from_scale {
        unscaled.checked_mul(POWERS[usize::from(scale - from_scale)])?
    } else {
        divide_half_up(unscaled, POWERS[usize::from(from_scale - scale)])
    };
    fits(out, precision).then_some(out)
}

/// A decimal number's digits: `0.{digits} * 10^point`, leading zeros stripped.
#[derive(Debug, Clone, Copy)]
pub struct Digits<'a> {
    pub negative: bool,
    /// The digits, perhaps in two pieces (before and after the decimal point).
    pub head: &'a [u8],
    pub tail: &'a [u8],
    /// Power of ten of the last digit.
    pub exponent: i64,
}

impl<'a> Digits<'a> {
    /// Reads `[+-]digits[.digits][e[+-]digits]`.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, rest) = match text.first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let head_end = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        let (head, mut rest) = rest.split_at(head_end);
        let mut tail: &[u8] = &[];
        if rest.first() == Some(&b'.') {
            let end = rest[1..].iter().position(|b| !b.is_ascii_digit()).map_or(rest.len(), |n| n + 1);
            tail = &rest[1..end];
            rest = &rest[end..];
        }
        if head.is_empty() && tail.is_empty() {
            return None;
        }
        let mut exponent = 0i64;
        if let Some(b'e' | b'E') = rest.first() {
            let text = std::str::from_utf8(&rest[1..]).ok()?;
            // BigDecimal's exponent is a 32-bit number.
            exponent = i64::from(text.parse::<i32>().ok()?);
            rest = &[];
        }
        if !rest.is_empty() {
            return None;
        }
        Some(Self { negative, head, tail, exponent: exponent - tail.len() as i64 })
    }

    fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    fn digit(&self, i: usize) -> i128 {
        let byte = if i < self.head.len() { self.head[i] } else { self.tail[i - self.head.len()] };
        i128::from(byte - b'0')
    }

    /// The unscaled value in a decimal type, rounded half up; `None` where it does not fit.
    pub fn to_decimal(self, precision: u8, scale: u8) -> Option<i128> {
        let first = (0..self.len()).find(|i| self.digit(*i) != 0);
        let Some(first) = first else { return Some(0) };
        // Digits kept: those at or above 10^-scale.
        let kept = self.len() as i64 + self.exponent + i64::from(scale);
        if kept - (first as i64) > 38 {
            return None;
        }
        let mut out = 0i128;
        for i in first as i64..kept.max(first as i64) {
            let digit = if i < self.len() as i64 { self.digit(i as usize) } else { 0 };
            out = out * 10 + digit;
        }
        if kept >= 0 && kept < self.len() as i64 && kept >= first as i64 && self.digit(kept as usize) >= 5 {
            out += 1;
        }
        let out = if self.negative { -out } else { out };
        fits(out, precision).then_some(out)
    }

    /// Digits before the decimal point, as `Decimal.fromString` counts them to refuse what cannot fit.
    pub fn integral_digits(&self) -> i64 {
        match (0..self.len()).find(|i| self.digit(*i) != 0) {
            Some(first) => self.len() as i64 - first as i64 + self.exponent,
            None => 0,
        }
    }
}

/// A double as a decimal, by its shortest decimal text as Java's `BigDecimal.valueOf`.
pub fn from_double(v: f64, precision: u8, scale: u8, buffer: &mut String) -> Option<i128> {
    use std::fmt::Write;
    if !v.is_finite() {
        return None;
    }
    buffer.clear();
    write!(buffer, "{v:e}").ok()?;
    Digits::parse(buffer.as_bytes())?.to_decimal(precision, scale)
}

/// The nearest double.
pub fn to_double(unscaled: i128, scale: u8, buffer: &mut String) -> f64 {
    // Both parts exact in a double, and one rounding: correct.
    if unscaled.unsigned_abs() <= 1 << 53 && scale <= 22 {
        return unscaled as f64 / 10f64.powi(i32::from(scale));
    }
    buffer.clear();
    super::text::write_decimal(unscaled, scale, buffer);
    buffer.parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_decimal() {
        let parse = |s: &str, p, sc| Digits::parse(s.as_bytes()).and_then(|d| d.to_decimal(p, sc));
        assert_eq!(parse("123.455", 10, 2), Some(12346));
        assert_eq!(parse("-123.454", 10, 2), Some(-12345));
        assert_eq!(parse("1e2", 10, 2), Some(10000));
        assert_eq!(parse("5e-3", 10, 2), Some(1));
        assert_eq!(parse("4e-3", 10, 2), Some(0));
        assert_eq!(parse("5e-4", 10, 2), Some(0));
        assert_eq!(parse("0.5", 10, 0), Some(1));
        assert_eq!(parse("99999999.995", 10, 2), None);
        assert_eq!(parse("1e-500000000", 10, 2), Some(0));
        assert_eq!(parse("1e500000000", 10, 2), None);
        assert_eq!(parse(".", 10, 2), None);
        assert_eq!(parse("00000000000000000000000000000000000000000000001", 38, 0), Some(1));
        assert_eq!(parse("99999999999999999999999999999999999999", 38, 0), Some(POWERS[38] - 1));
        assert_eq!(parse("99999999999999999999999999999999999999.5", 38, 0), None);
    }

    #[test]
    fn rescaling_rounds_half_up() {
        assert_eq!(rescale(125, 2, 5, 1), Some(13));
        assert_eq!(rescale(-125, 2, 5, 1), Some(-13));
        assert_eq!(rescale(-124, 2, 5, 1), Some(-12));
        assert_eq!(rescale(99, 0, 3, 2), None);
    }

    #[test]
    fn doubles() {
        let mut b = String::new();
        assert_eq!(from_double(0.1f32 as f64, 20, 10, &mut b), Some(1_000_000_015));
        assert_eq!(from_double(1e20, 38, 2, &mut b), Some(POWERS[22]));
        assert_eq!(to_double(12345, 2, &mut b), 123.45);
        assert_eq!(to_double(POWERS[37], 18, &mut b), 1e19);
    }
}
