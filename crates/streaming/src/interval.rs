//! Times as triggers and options write them.

/// Milliseconds of `10 seconds`, `interval 1 minute 30 seconds`, `7d`, `500ms`, `2 hours`; a bare number is milliseconds.
/// `None` where the text is no such time, or has no fixed length.
pub fn parse_ms(text: &str) -> Option<i64> {
    let lower = text.trim().to_lowercase();
    let body = lower.strip_prefix("interval").map_or(lower.as_str(), str::trim_start);
    let mut total_us: i64 = 0;
    let mut rest = body.trim_start();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '+').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: i64 = number.parse().ok()?;
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        total_us = total_us.checked_add(number.checked_mul(unit_us(unit)?)?)?;
        rest = after.trim_start();
    }
    Some(total_us.div_euclid(1000))
}

fn unit_us(unit: &str) -> Option<i64> {
    Some(match unit.strip_suffix('s').filter(|u| u.len() > 1 && *u != "m" && *u != "u").unwrap_or(unit) {
        "us" | "microsecond" => 1,
        "" | "ms" | "milli" | "millisecond" => 1000,
        "s" | "sec" | "second" => 1_000_000,
        "m" | "min" | "minute" => 60_000_000,
        "h" | "hour" => 3_600_000_000,
        "d" | "day" => 86_400_000_000,
        "w" | "week" => 7 * 86_400_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected) in [
            ("10 seconds", 10_000),
            ("100 milliseconds", 100),
            ("interval 1 minute 30 seconds", 90_000),
            ("7d", 604_800_000),
            ("500ms", 500),
            ("5 min", 300_000),
            ("2 hours", 7_200_000),
            ("1 week", 604_800_000),
            ("0 seconds", 0),
            ("250", 250),
            ("1 second", 1000),
        ] {
            assert_eq!(parse_ms(text), Some(expected), "{text}");
        }
        for text in ["", "soon", "1 month", "x seconds"] {
            assert_eq!(parse_ms(text), None, "{text}");
        }
    }
}
