//! Text of dates, times and timestamps, as Spark's casts and typed literals read it.

use boathouse_spec::{DataType, Expr, Literal, SpecialTime};

/// The precision of a TIME literal.
pub(crate) const TIME_PRECISION: u8 = 6;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// A timestamp's text, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimestampText {
    /// Microseconds since the epoch on the wall clock.
    pub local_us: i64,
    /// Seconds east of UTC where the text says so.
    pub offset: Option<i64>,
    /// A zone is named, but not by its offset.
    pub named_zone: bool,
    /// The text is a time without a date.
    pub time_only: bool,
}

impl TimestampText {
    /// An instant where the text alone tells it; else the text, to be read in the session's time zone.
    pub fn into_literal(self, text: &str) -> Literal {
        match self.offset {
            Some(offset) if !self.time_only => {
                Literal::Timestamp(self.local_us.saturating_sub(offset * MICROS_PER_SECOND))
            }
            _ => Literal::TimestampText(text.to_string()),
        }
    }
}

/// `DATE 'today'` and the like: values that depend on the clock become calls.
pub(crate) fn special_value(type_name: &str, text: &str, timestamp_ntz: bool) -> Option<Expr> {
    let word = SpecialTime::of(text, |_| false)?;
    let today = |days: i32| match days {
        0 => Expr::call("current_date", vec![]),
        n => Expr::call(
            "date_add",
            vec![Expr::call("current_date", vec![]), Expr::literal(Literal::Integer(n))],
        ),
    };
    let ntz = type_name == "TIMESTAMP_NTZ" || (type_name == "TIMESTAMP" && timestamp_ntz);
    match (type_name, word) {
        ("DATE", SpecialTime::Epoch) => Some(Expr::literal(Literal::Date(0))),
        ("DATE", SpecialTime::Now) => Some(today(0)),
        ("DATE", SpecialTime::Day(after)) => Some(today(after)),
        ("TIMESTAMP" | "TIMESTAMP_NTZ" | "TIMESTAMP_LTZ", word) => Some(match word {
            SpecialTime::Epoch => {
                Expr::literal(if ntz { Literal::TimestampNtz(0) } else { Literal::Timestamp(0) })
            }
            SpecialTime::Now => Expr::call(if ntz { "localtimestamp" } else { "current_timestamp" }, vec![]),
            SpecialTime::Day(after) => {
                today(after).cast(if ntz { DataType::TimestampNtz } else { DataType::Timestamp })
            }
        }),
        _ => None,
    }
}

/// Days since the epoch: `yyyy`, `yyyy-[m]m`, `yyyy-[m]m-[d]d`, the last with anything after a space or `T`.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let bytes = trim(text).as_bytes();
    let (sign, mut i) = match bytes.first()? {
        b'-' => (-1, 1),
        b'+' => (1, 1),
        _ => (1, 0),
    };
    let mut segments = [1i64, 1, 1];
    let (mut segment, mut value, mut digits) = (0, 0i64, 0);
    let valid = |segment: usize, digits: usize| match segment {
        0 => (4..=7).contains(&digits),
        _ => (1..=2).contains(&digits),
    };
    while i < bytes.len() && !matches!(bytes[i], b' ' | b'T') {
        match bytes[i] {
            b'-' if segment < 2 => {
                if !valid(segment, digits) {
                    return None;
                }
                segments[segment] = value;
                (segment, value, digits) = (segment + 1, 0, 0);
            }
            b @ b'0'..=b'9' => {
                value = value.saturating_mul(10).saturating_add((b - b'0').into());
                digits += 1;
            }
            _ => return None,
        }
        i += 1;
    }
    if !valid(segment, digits) || (segment < 2 && i < bytes.len()) {
        return None;
    }
    segments[segment] = value;
    days_from_civil(sign * segments[0], segments[1], segments[2])?.try_into().ok()
}

/// Nanoseconds since midnight.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let trimmed = trim(text);
    let half = trimmed.len().checked_sub(2).and_then(|i| trimmed.split_at_checked(i));
    let (clock, afternoon) = match half {
        Some((clock, half)) if half.eq_ignore_ascii_case("am") => (clock.trim_end(), Some(false)),
        Some((clock, half)) if half.eq_ignore_ascii_case("pm") => (clock.trim_end(), Some(true)),
        _ => (trimmed, None),
    };
    let parsed = parse_timestamp(clock)?;
    if !parsed.time_only || parsed.offset.is_some() || parsed.named_zone {
        return None;
    }
    let mut micros = parsed.local_us.rem_euclid(SECONDS_PER_DAY * MICROS_PER_SECOND);
    if let Some(afternoon) = afternoon {
        const HALF_DAY: i64 = 12 * 3600 * MICROS_PER_SECOND;
        const HOUR: i64 = 3600 * MICROS_PER_SECOND;
        // Of the twelve hours the first is written 12.
        if !(HOUR..HALF_DAY + HOUR).contains(&micros) {
            return None;
        }
        micros = micros % HALF_DAY + if afternoon { HALF_DAY } else { 0 };
    }
    Some(micros * 1000)
}

/// Spark's timestamp text: `[+-]yyyy[-[m]m[-[d]d[( |T)[h]h:[m]m[:[s]s[.fraction]][zone]]]]`, or a time alone.
pub(crate) fn parse_timestamp(text: &str) -> Option<TimestampText> {
    const YEAR: usize = 0;
    const DAY: usize = 2;
    const HOUR: usize = 3;
    const SECOND: usize = 5;
    const FRACTION: usize = 6;
    let trimmed = trim(text);
    let bytes = trimmed.as_bytes();
    let (sign, mut i) = match bytes.first()? {
        b'-' => (Some(-1), 1),
        b'+' => (Some(1), 1),
        _ => (None, 0),
    };
    let mut segments = [1i64, 1, 1, 0, 0, 0, 0];
    let (mut segment, mut value, mut digits, mut fraction_digits) = (YEAR, 0i64, 0usize, 0);
    let mut zone = None;
    let mut time_only = false;
    let valid = |segment: usize, digits: usize| match segment {
        YEAR => (4..=6).contains(&digits),
        FRACTION => true,
        _ => (1..=2).contains(&digits),
    };
    while i < bytes.len() {
        let b = bytes[i];
        if b.is_ascii_digit() {
            // Digits beyond microseconds are dropped.
            if segment != FRACTION || digits < 6 {
                value = value.saturating_mul(10).saturating_add((b - b'0').into());
                fraction_digits += usize::from(segment == FRACTION);
            }
            digits += 1;
            i += 1;
            continue;
        }
        if i == 0 && b == b'T' {
            time_only = true;
            segment = HOUR;
            i += 1;
            continue;
        }
        let next = match (segment, b) {
            (YEAR, b':') if sign.is_none() => {
                time_only = true;
                segment = HOUR;
                HOUR + 1
            }
            (YEAR | 1, b'-') | (DAY, b' ' | b'T') | (HOUR | 4, b':') | (SECOND, b'.') => segment + 1,
            (SECOND | FRACTION, _) => {
                zone = Some(trimmed[i..].trim());
                FRACTION + 1
            }
            _ => return None,
        };
        if !valid(segment, digits) {
            return None;
        }
        segments[segment] = value;
        if zone.is_some() {
            break;
        }
        (segment, value, digits) = (next, 0, 0);
        i += 1;
    }
    if zone.is_none() {
        if !valid(segment, digits) {
            return None;
        }
        segments[segment] = value;
    }
    for _ in fraction_digits..6 {
        segments[FRACTION] *= 10;
    }
    let (offset, named_zone) = match zone {
        None => (None, false),
        Some(zone) => match parse_offset(zone) {
            Some(offset) => (Some(offset), false),
            None if is_zone_name(zone) => (None, true),
            None => return None,
        },
    };
    let [year, month, day, hour, minute, second, micros] = segments;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = if time_only { 0 } else { days_from_civil(sign.unwrap_or(1) * year, month, day)? };
    let seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    let local_us = seconds.checked_mul(MICROS_PER_SECOND)?.checked_add(micros)?;
    Some(TimestampText { local_us, offset, named_zone, time_only })
}

/// `Z`, `UTC`, `+01`, `-8:30`, `UTC+1`, ... in seconds east of UTC.
pub(crate) fn parse_offset(zone: &str) -> Option<i64> {
    let rest = ["UTC", "GMT", "UT"].iter().find_map(|p| zone.strip_prefix(p)).unwrap_or(zone);
    if rest.is_empty() || rest == "Z" {
        return Some(0);
    }
    let (sign, digits) = match rest.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let parts: Vec<&str> = if digits.contains(':') {
        digits.split(':').collect()
    } else {
        match digits.len() {
            1 | 2 => vec![digits],
            4 => vec![&digits[..2], &digits[2..]],
            6 => vec![&digits[..2], &digits[2..4], &digits[4..]],
            _ => return None,
        }
    };
    let number = |i: usize| -> Option<i64> {
        match parts.get(i) {
            None => Some(0),
            Some(p) if (1..=2).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()) => p.parse().ok(),
            Some(_) => None,
        }
    };
    let (hours, minutes, seconds) = (number(0)?, number(1)?, number(2)?);
    let total = hours * 3600 + minutes * 60 + seconds;
    (parts.len() <= 3 && minutes < 60 && seconds < 60 && total <= 18 * 3600).then_some(sign * total)
}

/// Names of zones that have no region before a slash; whether others exist is for those who have the database.
const SIMPLE_ZONES: &[&str] = &[
    "ACT",
    "AET",
    "AGT",
    "ART",
    "AST",
    "BET",
    "BST",
    "CAT",
    "CET",
    "CNT",
    "CST",
    "CST6CDT",
    "CTT",
    "Cuba",
    "EAT",
    "ECT",
    "EET",
    "EST",
    "EST5EDT",
    "Egypt",
    "Eire",
    "GB",
    "GB-Eire",
    "GMT0",
    "Greenwich",
    "HST",
    "Hongkong",
    "IET",
    "IST",
    "Iceland",
    "Iran",
    "Israel",
    "JST",
    "Jamaica",
    "Japan",
    "Kwajalein",
    "Libya",
    "MET",
    "MIT",
    "MST",
    "MST7MDT",
    "NET",
    "NST",
    "NZ",
    "NZ-CHAT",
    "Navajo",
    "PLT",
    "PNT",
    "PRC",
    "PRT",
    "PST",
    "PST8PDT",
    "Poland",
    "Portugal",
    "ROK",
    "SST",
    "Singapore",
    "Turkey",
    "UCT",
    "Universal",
    "VST",
    "W-SU",
    "WET",
    "Zulu",
];

fn is_zone_name(zone: &str) -> bool {
    if !zone.contains('/') {
        return SIMPLE_ZONES.contains(&zone);
    }
    zone.starts_with(|c: char| c.is_ascii_alphabetic())
        && zone
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+' | b'~' | b':'))
}

/// White space and control characters do not count at the ends.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ' || c == '\u{7f}')
}

/// Days since the epoch of a proleptic Gregorian date; `None` where there is no such date.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years count from March, so that the leap day is the last of its year.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert_eq!(parse_date(" 2024-2-29 x"), Some(19782));
        assert_eq!(parse_date("2023-02-29"), None);
        assert_eq!(parse_date("2020"), Some(18262));
        assert_eq!(parse_date("2020T"), None);
        assert_eq!(parse_date("015"), None);
        assert_eq!(parse_date("-0001-01-01"), Some(-719893));
        assert_eq!(parse_date("mar 11 2016"), None);
        assert_eq!(parse_date("2021-4294967297-11"), None);
    }

    #[test]
    fn timestamps() {
        let of = |t: &str| parse_timestamp(t);
        assert_eq!(of("1970-01-01 00:00:01.5").map(|t| t.local_us), Some(1_500_000));
        assert_eq!(of("1970-01-01T00:00:00Z").and_then(|t| t.offset), Some(0));
        assert_eq!(of("1970-01-01 00:00:00-8:30").and_then(|t| t.offset), Some(-30600));
        assert_eq!(of("1970-01-01 00:00:00 Europe/Paris").map(|t| t.named_zone), Some(true));
        assert_eq!(of("1970-01-01 00:00:00.1234567").map(|t| t.local_us), Some(123_456));
        assert_eq!(of("12:34").map(|t| t.time_only), Some(true));
        assert_eq!(of("2016-33-11 20:54:00.000"), None);
        assert_eq!(of("2019-01-01中文"), None);
        assert_eq!(of("4294967297"), None);
        assert_eq!(of("2021-01-01T12:30:4294967297.123456"), None);
        assert_eq!(parse_time("01:02:03.4"), Some(3_723_400_000_000));
        assert_eq!(parse_time("12:00:00 AM"), Some(0));
        assert_eq!(parse_time("12:30PM"), Some(45_000_000_000_000));
        assert_eq!(parse_time("13:00 PM"), None);
    }
}
