//! Dates, timestamps and times of day out of strings, by the grammar of Spark's `stringToDate`, `stringToTimestamp`
//! and `stringToTime`.

use super::calendar::{MICROS_PER_SECOND, SECONDS_PER_DAY, checked_days};
use super::parse_number::{trim_all, trim_str};
use super::zone::Zone;

/// `[+-]y{4,7}[-m[m][-d[d][( |T)anything]]]`
pub fn date(text: &str) -> Option<i32> {
    let bytes = trim_all(text.as_bytes());
    let mut segments = [1i64; 3];
    let (mut segment, mut value, mut digits) = (0usize, 0i64, 0usize);
    let (negative, mut at) = match bytes.first()? {
        b'-' => (true, 1),
        b'+' => (false, 1),
        _ => (false, 0),
    };
    let valid = |segment: usize, digits: usize| match segment {
        0 => (4..=7).contains(&digits),
        _ => (1..=2).contains(&digits),
    };
    while at < bytes.len() && !(segment == 2 && matches!(bytes[at], b' ' | b'T')) {
        match bytes[at] {
            b'-' if segment < 2 => {
                if !valid(segment, digits) {
                    return None;
                }
                segments[segment] = value;
                segment += 1;
                (value, digits) = (0, 0);
            }
            b @ b'0'..=b'9' => {
                digits += 1;
                if digits > 7 {
                    return None;
                }
                value = value * 10 + i64::from(b - b'0');
            }
            _ => return None,
        }
        at += 1;
    }
    if !valid(segment, digits) {
        return None;
    }
    segments[segment] = value;
    let year = if negative { -segments[0] } else { segments[0] };
    checked_days(year, segments[1], segments[2])
}

/// What a timestamp's text says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parts {
    /// Year, month, day; none where only a time was written.
    date: Option<(i64, i64, i64)>,
    hour: i64,
    minute: i64,
    second: i64,
    microsecond: i64,
    zone: Option<Zone>,
}

impl Parts {
    /// `[date( |T)]h[h][:m[m][:s[s][.f{0,9}]]][zone]`, or a date alone.
    pub fn parse(text: &str) -> Option<Self> {
        let text = trim_str(text);
        let bytes = text.as_bytes();
        // Year, month, day, hour, minute, second, microsecond.
        let mut segments = [1i64, 1, 1, 0, 0, 0, 0];
        let (mut segment, mut value, mut digits, mut fraction_digits) = (0usize, 0i64, 0usize, 0usize);
        let mut time_only = false;
        let mut zone = None;
        let (negative, mut at) = match bytes.first()? {
            b'-' => (true, 1),
            b'+' => (false, 1),
            _ => (false, 0),
        };
        let valid = |segment: usize, digits: usize| match segment {
            0 => (4..=6).contains(&digits),
            6 => true,
            _ => (1..=2).contains(&digits),
        };
        while at < bytes.len() {
            let byte = bytes[at];
            if byte.is_ascii_digit() {
                if segment == 6 {
                    fraction_digits += 1;
                }
                if segment != 6 || digits < 6 {
                    value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
                }
                digits += 1;
                at += 1;
                continue;
            }
            let next = match (segment, byte) {
                (0, b'T') if at == 0 => {
                    time_only = true;
                    segment = 3;
                    at += 1;
                    continue;
                }
                (0 | 1, b'-') => segment + 1,
                (0, b':') if at > 0 => {
                    // A time from its first digit on.
                    time_only = true;
                    segment = 3;
                    4
                }
                (2, b' ' | b'T') => 3,
                (3 | 4, b':') => segment + 1,
                (5, b'.') => 6,
                (5 | 6, _) => {
                    if !valid(segment, digits) {
                        return None;
                    }
                    zone = Some(Zone::parse(text.get(at..)?)?);
                    break;
                }
                _ => return None,
            };
            if !valid(segment, digits) {
                return None;
            }
            segments[segment] = value;
            segment = next;
            (value, digits) = (0, 0);
            at += 1;
        }
        if !valid(segment, digits) {
            return None;
        }
        segments[segment] = value;
        for _ in fraction_digits..6 {
            segments[6] *= 10;
        }
        if negative && time_only {
            return None;
        }
        let [year, month, day, hour, minute, second, microsecond] = segments;
        let year = if negative { -year } else { year };
        (hour < 24 && minute < 60 && second < 60).then_some(Self {
            date: (!time_only).then_some((year, month, day)),
            hour,
            minute,
            second,
            microsecond,
            zone,
        })
    }

    fn seconds_of_day(&self) -> i64 {
        self.hour * 3600 + self.minute * 60 + self.second
    }

    /// The instant, read in `session` where the text names no zone; `now_us` gives the day of a time alone.
    pub fn instant(&self, session: &Zone, now_us: i64) -> Option<i64> {
        let zone = self.zone.as_ref().unwrap_or(session);
        let days = match self.date {
            Some((year, month, day)) => i64::from(checked_days(year, month, day)?),
            None => zone.local(now_us).0.div_euclid(SECONDS_PER_DAY),
        };
        let seconds = zone.instant(days * SECONDS_PER_DAY + self.seconds_of_day());
        seconds.checked_mul(MICROS_PER_SECOND)?.checked_add(self.microsecond)
    }

    /// The wall clock; a zone in the text is allowed and ignored where `allow_zone`. A time alone is none.
    pub fn wall_clock(&self, allow_zone: bool) -> Option<i64> {
        if self.zone.is_some() && !allow_zone {
            return None;
        }
        let (year, month, day) = self.date?;
        let days = i64::from(checked_days(year, month, day)?);
        (days * SECONDS_PER_DAY + self.seconds_of_day())
            .checked_mul(MICROS_PER_SECOND)?
            .checked_add(self.microsecond)
    }

    /// Whether the text names a zone.
    pub fn has_zone(&self) -> bool {
        self.zone.is_some()
    }

    /// Whether the text has a date.
    pub fn has_date(&self) -> bool {
        self.date.is_some()
    }
}

/// An instant in microseconds.
pub fn timestamp(text: &str, session: &Zone, now_us: i64) -> Option<i64> {
    Parts::parse(text)?.instant(session, now_us)
}

/// A wall clock time in microseconds.
pub fn timestamp_ntz(text: &str, allow_zone: bool) -> Option<i64> {
    Parts::parse(text)?.wall_clock(allow_zone)
}

/// A time of day in nanoseconds: `[T]h[h]:m[m][:s[s][.f{0,9}]][ AM|PM]`, to the microsecond.
pub fn time(text: &str) -> Option<i64> {
    let text = trim_str(text);
    let upper = text.get(text.len().saturating_sub(2)..).map(str::to_ascii_uppercase);
    let (clock, afternoon) = match upper.as_deref() {
        Some("AM") => (text[..text.len() - 2].trim_end(), Some(false)),
        Some("PM") => (text[..text.len() - 2].trim_end(), Some(true)),
        _ => (text, None),
    };
    let clock = clock.strip_prefix('T').unwrap_or(clock);
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, fraction),
        None => (clock, ""),
    };
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |part: &str| -> Option<i64> {
        ((1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse().ok())?
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let (hour, minute, second) = match parts.as_slice() {
        [h, m] if fraction.is_empty() => (number(h)?, number(m)?, 0),
        [h, m, s] => (number(h)?, number(m)?, number(s)?),
        _ => return None,
    };
    let hour = match afternoon {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(pm) => hour % 12 + if pm { 12 } else { 0 },
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    Some(((hour * 3600 + minute * 60 + second) * MICROS_PER_SECOND + micros) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast::text::write_timestamp;

    fn ntz(text: &str) -> Option<String> {
        timestamp_ntz(text, true).map(|us| {
            let mut out = String::new();
            write_timestamp(us, &Zone::UTC, &mut out);
            out
        })
    }

    #[test]
    fn dates() {
        assert_eq!(date("2020"), Some(18_262));
        assert_eq!(date("2020-1"), Some(18_262));
        assert_eq!(date(" 2020-01-02 foo"), Some(18_263));
        assert_eq!(date("2020-01-02T"), Some(18_263));
        for bad in ["020-01-01", "2019-02-29", "2020-01-01Z", "2020-13-01", "", "-", "20200101x", "2020-01-"]
        {
            assert_eq!(date(bad), None, "{bad}");
        }
        assert_eq!(date("1000000-01-01"), Some(364_522_972));
    }

    #[test]
    fn timestamps() {
        for (text, want) in [
            ("2020-1-2", "2020-01-02 00:00:00"),
            ("2020-01-02T10", "2020-01-02 10:00:00"),
            ("2020-01-02 10:11:12.123456789", "2020-01-02 10:11:12.123456"),
            ("2020-01-02 10:11:12 Europe/Paris", "2020-01-02 10:11:12"),
            ("2020-01-02 10:11:12+1", "2020-01-02 10:11:12"),
            ("2020-01-01 00:00:00.", "2020-01-01 00:00:00"),
            ("-2020-01-01", "-2020-01-01 00:00:00"),
        ] {
            assert_eq!(ntz(text).as_deref(), Some(want), "{text}");
        }
        for bad in [
            "2020-01-02T",
            "2020-01-02 foo",
            "2020-01-01 00:",
            "2020-01-02 24:00:00",
            "2020-01-01 00:00:00+18:01",
            "2020-01-01 00:00:00[UTC]",
            "999999-01-01",
            "10:11",
        ] {
            assert_eq!(ntz(bad), None, "{bad}");
        }
        assert_eq!(timestamp("2020-01-01 00:00:00 +08:00", &Zone::UTC, 0), Some(1_577_808_000_000_000));
        assert_eq!(timestamp("T10:11:12.5Z", &Zone::Fixed(3600), 0), Some(36_672_500_000));
    }

    #[test]
    fn times() {
        assert_eq!(time("10:11"), Some(36_660_000_000_000));
        assert_eq!(time("1:11:12 pm"), Some(47_472_000_000_000));
        assert_eq!(time("10:11:12.123456789"), Some(36_672_123_456_000));
        assert_eq!(time("24:00:00"), None);
    }
}
