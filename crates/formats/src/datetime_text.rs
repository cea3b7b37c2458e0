//! Dates and timestamps without a pattern: the forms that `CAST`, JSON and CSV read by default, and the ISO forms
//! they are written in.

use boathouse_spec::clock;

use crate::calendar::{MICROS_PER_DAY, checked_date, civil_from_days};
use crate::zone::Zone;

/// What a timestamp text says.
#[derive(Debug, Clone, PartialEq)]
pub struct TimestampText<'a> {
    /// Days since the epoch; `None` where only a time of day is given.
    pub days: Option<i64>,
    /// Microseconds since midnight.
    pub time_us: i64,
    /// The zone's id, not yet looked up.
    pub zone: Option<&'a str>,
}

/// Removes what Java's `UTF8String.trimAll` removes: whitespace and control characters at both ends.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_control() || c == ' ' || (c.is_whitespace() && c != '\u{a0}'))
}

/// Reads `[+-]yyyy*[-[m]m[-[d]d[( |T)[h]h[:[m]m[:[s]s[.us]][zone]]]]]` and times of day alone (`[T][h]h:[m]m...`).
pub fn split_timestamp(text: &str) -> Option<TimestampText<'_>> {
    let text = trim(text);
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return None;
    }
    // year, month, day, hour, minute, second, fraction
    let mut parts = [1_i64, 1, 1, 0, 0, 0, 0];
    let (mut part, mut value, mut digits) = (0_usize, 0_i64, 0_usize);
    let mut at = 0;
    let mut year_sign = 0;
    if bytes[0] == b'-' || bytes[0] == b'+' {
        year_sign = if bytes[0] == b'-' { -1 } else { 1 };
        at = 1;
    }
    let (mut only_time, mut zone) = (false, None);
    let valid = |part: usize, digits: usize| match part {
        6 => true,
        0 => (4..=6).contains(&digits),
        _ => (1..=2).contains(&digits),
    };
    while at < bytes.len() {
        let b = bytes[at];
        if b.is_ascii_digit() {
            if part != 6 || digits < 6 {
                value = value * 10 + i64::from(b - b'0');
            }
            digits += 1;
            if digits > 6 && part != 6 {
                return None;
            }
            at += 1;
            continue;
        }
        let end_of_part =
            |parts: &mut [i64; 7], part: usize| valid(part, digits).then(|| parts[part] = value).is_some();
        match (part, b) {
            (0, b'T') if at == 0 => {
                only_time = true;
                part = 3;
            }
            (0, b':') if year_sign == 0 => {
                if !valid(3, digits) {
                    return None;
                }
                only_time = true;
                parts[3] = value;
                part = 4;
            }
            (0 | 1, b'-') | (2, b' ' | b'T') | (3 | 4, b':') | (5, b'.') => {
                if !end_of_part(&mut parts, part) {
                    return None;
                }
                part += 1;
            }
            // A zone may follow seconds or their fraction.
            (5 | 6, _) => {
                if !end_of_part(&mut parts, part) {
                    return None;
                }
                if part == 6 {
                    parts[6] = scale_fraction(value, digits);
                }
                zone = Some(trim(&text[at..]));
                part = 7;
                break;
            }
            _ => return None,
        }
        (value, digits) = (0, 0);
        at += 1;
    }
    if part < 7 {
        if !valid(part, digits) {
            return None;
        }
        parts[part] = if part == 6 { scale_fraction(value, digits) } else { value };
    }
    let [year, month, day, hour, minute, second, micros] = parts;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = if only_time {
        None
    } else {
        let year = if year_sign < 0 { -year } else { year };
        Some(checked_date(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)?)
    };
    Some(TimestampText { days, time_us: ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros, zone })
}

/// A fraction of up to six digits, as microseconds.
fn scale_fraction(value: i64, digits: usize) -> i64 {
    value * 10_i64.pow(6 - digits.min(6) as u32)
}

/// A timestamp on the wall clock of `zone`, unless the text names another. A time of day alone is today's.
pub fn parse_timestamp(text: &str, zone: &Zone) -> Option<i64> {
    let parsed = split_timestamp(text)?;
    let own = match parsed.zone {
        Some(id) => Some(Zone::parse(id)?),
        None => None,
    };
    let zone = own.as_ref().unwrap_or(zone);
    let days = match parsed.days {
        Some(days) => days,
        None => zone.to_local(clock::now_us()).div_euclid(MICROS_PER_DAY),
    };
    let local = days.checked_mul(MICROS_PER_DAY)?.checked_add(parsed.time_us)?;
    Some(zone.to_utc(local))
}

/// A timestamp without zone. One in the text is left out where it is allowed.
pub fn parse_timestamp_ntz(text: &str, allow_zone: bool) -> Option<i64> {
    let parsed = split_timestamp(text)?;
    match parsed.zone {
        Some(_) if !allow_zone => return None,
        Some(id) => {
            Zone::parse(id)?;
        }
        None => {}
    }
    parsed.days?.checked_mul(MICROS_PER_DAY)?.checked_add(parsed.time_us)
}

/// `[+-]yyyy*[-[m]m[-[d]d[( |T)...]]]`: what follows a blank or `T` behind a whole date is left out.
pub fn parse_date(text: &str) -> Option<i32> {
    let bytes = trim(text).as_bytes();
    let (sign, mut at) = match bytes.first()? {
        b'-' => (-1, 1),
        b'+' => (1, 1),
        _ => (1, 0),
    };
    let mut parts = [1_i64, 1, 1];
    let (mut part, mut value, mut digits) = (0_usize, 0_i64, 0_usize);
    let valid = |part: usize, digits: usize| match part {
        0 => (4..=7).contains(&digits),
        _ => (1..=2).contains(&digits),
    };
    while at < bytes.len() && !matches!(bytes[at], b' ' | b'T') {
        match bytes[at] {
            b @ b'0'..=b'9' if digits < 7 => {
                value = value * 10 + i64::from(b - b'0');
                digits += 1;
            }
            b'-' if part < 2 && valid(part, digits) => {
                parts[part] = value;
                part += 1;
                (value, digits) = (0, 0);
            }
            _ => return None,
        }
        at += 1;
    }
    if !valid(part, digits) || (part < 2 && at < bytes.len()) {
        return None;
    }
    parts[part] = value;
    let days = checked_date(sign * parts[0], u32::try_from(parts[1]).ok()?, u32::try_from(parts[2]).ok()?)?;
    i32::try_from(days).ok()
}

/// `[T]hh:mm[:ss[.ffffff]]`, in nanoseconds since midnight.
pub fn parse_time(text: &str) -> Option<i64> {
    let parsed = split_timestamp(text)?;
    (parsed.days.is_none() && parsed.zone.is_none()).then_some(parsed.time_us * 1000)
}

// ---- writing

fn push_two(value: u32, out: &mut String) {
    out.push((b'0' + (value / 10 % 10) as u8) as char);
    out.push((b'0' + (value % 10) as u8) as char);
}

/// `yyyy-MM-dd`, with a sign where the year has more than four digits or is negative.
pub fn write_date(days: i64, out: &mut String) {
    let (year, month, day) = civil_from_days(days);
    if year > 9999 {
        out.push('+');
    }
    write_year_month_day(year, month, day, out);
}

fn write_year_month_day(year: i64, month: u32, day: u32, out: &mut String) {
    if year < 0 {
        out.push('-');
    }
    let year = year.unsigned_abs();
    if year < 10_000 {
        push_two((year / 100) as u32, out);
        push_two((year % 100) as u32, out);
    } else {
        out.push_str(itoa::Buffer::new().format(year));
    }
    out.push('-');
    push_two(month, out);
    out.push('-');
    push_two(day, out);
}

pub fn write_time(micros_of_day: i64, out: &mut String) {
    let seconds = (micros_of_day / 1_000_000) as u32;
    push_two(seconds / 3600, out);
    out.push(':');
    push_two(seconds / 60 % 60, out);
    out.push(':');
    push_two(seconds % 60, out);
}

/// `yyyy-MM-dd'T'HH:mm:ss.SSS`: how JSON and CSV write timestamps without zone.
pub fn write_iso_ntz(us: i64, out: &mut String) {
    write_date(us.div_euclid(MICROS_PER_DAY), out);
    out.push('T');
    let time = us.rem_euclid(MICROS_PER_DAY);
    write_time(time, out);
    out.push('.');
    let millis = (time / 1000 % 1000) as u32;
    out.push((b'0' + (millis / 100) as u8) as char);
    push_two(millis % 100, out);
}

/// `yyyy-MM-dd'T'HH:mm:ss.SSSXXX`: how JSON and CSV write timestamps.
pub fn write_iso(us: i64, zone: &Zone, out: &mut String) {
    let offset = zone.offset_at(us);
    write_iso_ntz(us.saturating_add(i64::from(offset) * 1_000_000), out);
    let minutes = offset.unsigned_abs() / 60;
    if offset == 0 {
        out.push('Z');
        return;
    }
    out.push(if offset < 0 { '-' } else { '+' });
    push_two(minutes / 60, out);
    out.push(':');
    push_two(minutes % 60, out);
    // The local times of old had offsets with seconds.
    if offset % 60 != 0 {
        out.push(':');
        push_two(offset.unsigned_abs() % 60, out);
    }
}

/// `HH:mm:ss[.ffffff]` of nanoseconds since midnight, the fraction without trailing zeros: a TIME as text.
pub fn write_time_of_day(nanos: i64, out: &mut String) {
    let nanos = nanos.max(0);
    write_time(nanos / 1000 % MICROS_PER_DAY, out);
    push_fraction(nanos / 1000 % 1_000_000, out);
}

/// `.123456` without trailing zeros; nothing for zero.
pub fn push_fraction(micros: i64, out: &mut String) {
    if micros > 0 {
        let digits = format!("{micros:06}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

/// `yyyy-MM-dd HH:mm:ss[.ffffff]`: how a timestamp casts to STRING.
pub fn write_timestamp_text(local_us: i64, out: &mut String) {
    write_date(local_us.div_euclid(MICROS_PER_DAY), out);
    out.push(' ');
    let time = local_us.rem_euclid(MICROS_PER_DAY);
    write_time(time, out);
    push_fraction(time % 1_000_000, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        let mut out = String::new();
        write_timestamp_text(parse_timestamp(text, &Zone::UTC)?, &mut out);
        Some(out)
    }

    #[test]
    fn timestamps_read_as_casts_do() {
        for (text, expected) in [
            ("2024-01-31T12:34:56.123456Z", Some("2024-01-31 12:34:56.123456")),
            ("2024-01-31 12:34:56", Some("2024-01-31 12:34:56")),
            ("2024-1-3", Some("2024-01-03 00:00:00")),
            ("2024", Some("2024-01-01 00:00:00")),
            ("2024-01-31 12", Some("2024-01-31 12:00:00")),
            ("2024-01-31 12:34Z", None),
            ("2024-01-31 12:34:56.Z", Some("2024-01-31 12:34:56")),
            ("2024-01-31 12:34:56.", Some("2024-01-31 12:34:56")),
            ("2024-01-31 12:34:56UTC", Some("2024-01-31 12:34:56")),
            (" 2024-01-31 ", Some("2024-01-31 00:00:00")),
            ("2024-01-31T12:34:56+0100", Some("2024-01-31 11:34:56")),
            ("2024-01-31 12:34:56 Europe/Paris", Some("2024-01-31 11:34:56")),
            ("2024-01-31 12:34:56.123456789", Some("2024-01-31 12:34:56.123456")),
            ("2024-01-31 12:34:56.5+1:00", Some("2024-01-31 11:34:56.5")),
            ("+12024-01-01", Some("+12024-01-01 00:00:00")),
            ("1700000000", None),
            ("2024-01-31T", None),
            ("2024-01-31 25:00", None),
            ("2024-02-30", None),
            ("x", None),
            ("", None),
            ("2024-01-31 12:34:56 Nowhere", None),
        ] {
            assert_eq!(shown(text).as_deref(), expected, "{text}");
        }
        assert!(parse_timestamp("12:34", &Zone::UTC).is_some());
        assert_eq!(parse_timestamp_ntz("12:34", true), None);
        assert_eq!(parse_timestamp_ntz("2024-01-31Z", false), None);
    }

    #[test]
    fn dates_read_as_casts_do() {
        for (text, expected) in [
            ("1970-01-02", Some(1)),
            ("1970-1-2", Some(1)),
            ("1970-01-02T01:02:03", Some(1)),
            ("1970-01-02 anything", Some(1)),
            ("1970", Some(0)),
            ("1970-01", Some(0)),
            ("1970 ", Some(0)),
            ("1970-01-02Z", None),
            ("19700102x", None),
            ("1970 x", None),
            ("", None),
            ("1970-13-01", None),
            ("197-01-01", None),
        ] {
            assert_eq!(parse_date(text), expected, "{text}");
        }
    }

    #[test]
    fn iso_forms() {
        let mut out = String::new();
        write_iso(1_706_704_496_123_456, &Zone::UTC, &mut out);
        out.push(' ');
        write_iso(1_706_733_296_000_000, &Zone::parse("America/Los_Angeles").unwrap(), &mut out);
        assert_eq!(out, "2024-01-31T12:34:56.123Z 2024-01-31T12:34:56.000-08:00");
    }
}
