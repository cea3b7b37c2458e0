//! Time zones as Spark names them: region ids, fixed offsets, and Java's three-letter abbreviations.

use std::str::FromStr;

use boathouse_spec::{Error, Result};
use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::{OffsetComponents, Tz};

use crate::calendar::{MICROS_PER_SECOND, civil_from_days, days_from_civil, is_leap};

const DAY_US: i64 = 86_400 * MICROS_PER_SECOND;

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Zone {
    Region(Tz),
    /// Seconds east of UTC, and the id that Java gives it: `+01:00`, `GMT+08:00`, `Z`.
    Fixed {
        seconds: i32,
        id: String,
    },
}

impl Zone {
    pub const UTC: Zone = Zone::Region(Tz::UTC);

    /// The zone of an id, by the rules of Java's `ZoneId.of` with its short ids, and the one-digit hours and minutes
    /// that Spark accepts (`+1:00`, `+01:5`).
    pub fn parse(id: &str) -> Option<Self> {
        let id = pad_offset(id);
        if let Some(short) = short_id(&id) {
            return Self::parse(short);
        }
        if id == "Z" {
            return Some(Self::offset(0));
        }
        if id.starts_with(['+', '-']) {
            return parse_offset(&id).map(Self::offset);
        }
        for prefix in ["UTC", "GMT", "UT"] {
            let Some(rest) = id.strip_prefix(prefix) else { continue };
            if rest.is_empty() {
                return match Tz::from_str(prefix) {
                    Ok(tz) => Some(Self::Region(tz)),
                    Err(_) => Some(Self::Fixed { seconds: 0, id: prefix.to_string() }),
                };
            }
            if rest.starts_with(['+', '-']) {
                let seconds = parse_offset(rest)?;
                let shown = if seconds == 0 { String::new() } else { offset_id(seconds) };
                return Some(Self::Fixed { seconds, id: format!("{prefix}{shown}") });
            }
        }
        Tz::from_str(&id).ok().map(Self::Region)
    }

    /// The zone of a region id of the time zone database, whatever else the id may abbreviate.
    pub fn parse_region(id: &str) -> Option<Self> {
        Tz::from_str(id).ok().map(Self::Region)
    }

    /// As [`Zone::parse`], with Spark's error.
    pub fn named(id: &str) -> Result<Self> {
        Self::parse(id).ok_or_else(|| {
            Error::new("INVALID_TIMEZONE").param("timeZone", id).message(format!(
                "There is no time zone '{id}'. Use a region such as 'Europe/Paris' or an offset such as '+02:00'."
            ))
        })
    }

    /// A fixed offset, in seconds east of UTC.
    pub fn offset(seconds: i32) -> Self {
        Self::Fixed { seconds, id: offset_id(seconds) }
    }

    /// The id as Java shows it.
    pub fn id(&self) -> &str {
        match self {
            Self::Region(tz) => tz.name(),
            Self::Fixed { id, .. } => id,
        }
    }

    /// Seconds east of UTC at an instant.
    pub fn offset_at(&self, utc_us: i64) -> i32 {
        match self {
            Self::Region(Tz::UTC) => 0,
            Self::Region(tz) => tz.offset_from_utc_datetime(&naive(utc_us)).fix().local_minus_utc(),
            Self::Fixed { seconds, .. } => *seconds,
        }
    }

    /// Whether daylight saving time is kept at an instant.
    pub fn is_daylight(&self, utc_us: i64) -> bool {
        match self {
            Self::Region(tz) => !tz.offset_from_utc_datetime(&naive(utc_us)).dst_offset().is_zero(),
            Self::Fixed { .. } => false,
        }
    }

    /// The wall clock at an instant, as microseconds since 1970-01-01 00:00 on it.
    pub fn to_local(&self, utc_us: i64) -> i64 {
        utc_us.saturating_add(i64::from(self.offset_at(utc_us)) * MICROS_PER_SECOND)
    }

    /// The instant of a wall clock. Where it shows twice, the first; where it is skipped, as if the clock had not
    /// been moved forward (Java's rule).
    pub fn to_utc(&self, local_us: i64) -> i64 {
        let seconds = match self {
            Self::Region(Tz::UTC) => 0,
            Self::Region(tz) => match tz.offset_from_local_datetime(&naive(local_us)).earliest() {
                Some(offset) => offset.fix().local_minus_utc(),
                // In a gap: the offset that was in force before it.
                None => self.offset_at(local_us.saturating_sub(DAY_US)),
            },
            Self::Fixed { seconds, .. } => *seconds,
        };
        local_us.saturating_sub(i64::from(seconds) * MICROS_PER_SECOND)
    }
}

/// The same time where the rules of zones are known: they are up to 2099, later years repeat those before with the same
/// calendar. (Chrono's own calendar is narrower than Spark's, too.)
fn naive(us: i64) -> NaiveDateTime {
    DateTime::from_timestamp_micros(repeated(us)).map_or(NaiveDateTime::MIN, |instant| instant.naive_utc())
}

fn repeated(us: i64) -> i64 {
    let (year, _, _) = civil_from_days(us.div_euclid(DAY_US));
    if year < 2100 {
        return us;
    }
    let first = days_from_civil(year, 1, 1);
    for earlier in 2072..2100 {
        let start = days_from_civil(earlier, 1, 1);
        if (first - start).rem_euclid(7) == 0 && is_leap(earlier) == is_leap(year) {
            return us - (first - start) * DAY_US;
        }
    }
    us
}

/// `+01:00`, `-08:00:30`; `Z` for zero.
pub fn offset_id(seconds: i32) -> String {
    if seconds == 0 {
        return "Z".to_string();
    }
    let (sign, s) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    if s % 60 == 0 {
        format!("{sign}{:02}:{:02}", s / 3600, s / 60 % 60)
    } else {
        format!("{sign}{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    }
}

/// `+h`, `+hh`, `+hhmm`, `+hh:mm`, `+hhmmss`, `+hh:mm:ss`, at most 18 hours (Java's `ZoneOffset.of`).
fn parse_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let number = |s: &str| -> Option<i32> {
        (!s.is_empty() && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse().ok()).flatten()
    };
    if !rest.is_ascii() {
        return None;
    }
    let (h, m, s) = match rest.len() {
        1 | 2 => (number(rest)?, 0, 0),
        4 => (number(&rest[..2])?, number(&rest[2..])?, 0),
        6 => (number(&rest[..2])?, number(&rest[2..4])?, number(&rest[4..])?),
        5 if rest.as_bytes()[2] == b':' => (number(&rest[..2])?, number(&rest[3..])?, 0),
        8 if rest.as_bytes()[2] == b':' && rest.as_bytes()[5] == b':' => {
            (number(&rest[..2])?, number(&rest[3..5])?, number(&rest[6..])?)
        }
        _ => return None,
    };
    let total = h * 3600 + m * 60 + s;
    (m < 60 && s < 60 && total <= 18 * 3600).then_some(sign * total)
}

/// Spark pads one-digit hours (`+1:00`) and, at the end, one-digit minutes (`+01:5`).
fn pad_offset(id: &str) -> String {
    let mut out = id.to_string();
    let bytes = id.as_bytes();
    if let Some(at) = bytes.iter().position(|b| matches!(b, b'+' | b'-'))
        && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
        && bytes.get(at + 2) == Some(&b':')
    {
        out.insert(at + 1, '0');
    }
    let bytes = out.as_bytes();
    let n = bytes.len();
    if n >= 5
        && matches!(bytes[n - 5], b'+' | b'-')
        && bytes[n - 4].is_ascii_digit()
        && bytes[n - 3].is_ascii_digit()
        && bytes[n - 2] == b':'
        && bytes[n - 1].is_ascii_digit()
    {
        out.insert(n - 1, '0');
    }
    out
}

/// Java's `ZoneId.SHORT_IDS`.
fn short_id(id: &str) -> Option<&'static str> {
    Some(match id {
        "EST" => "-05:00",
        "HST" => "-10:00",
        "MST" => "-07:00",
        "ACT" => "Australia/Darwin",
        "AET" => "Australia/Sydney",
        "AGT" => "America/Argentina/Buenos_Aires",
        "ART" => "Africa/Cairo",
        "AST" => "America/Anchorage",
        "BET" => "America/Sao_Paulo",
        "BST" => "Asia/Dhaka",
        "CAT" => "Africa/Harare",
        "CNT" => "America/St_Johns",
        "CST" => "America/Chicago",
        "CTT" => "Asia/Shanghai",
        "EAT" => "Africa/Addis_Ababa",
        "ECT" => "Europe/Paris",
        "IET" => "America/Indiana/Indianapolis",
        "IST" => "Asia/Kolkata",
        "JST" => "Asia/Tokyo",
        "MIT" => "Pacific/Apia",
        "NET" => "Asia/Yerevan",
        "NST" => "Pacific/Auckland",
        "PLT" => "Asia/Karachi",
        "PNT" => "America/Phoenix",
        "PRT" => "America/Puerto_Rico",
        "PST" => "America/Los_Angeles",
        "SST" => "Pacific/Guadalcanal",
        "VST" => "Asia/Ho_Chi_Minh",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_javas() {
        for (given, id) in [
            ("+05:30", "+05:30"),
            ("+1:00", "+01:00"),
            ("GMT+8", "GMT+08:00"),
            ("UTC+01:00", "UTC+01:00"),
            ("EST", "-05:00"),
            ("PST", "America/Los_Angeles"),
            ("Z", "Z"),
            ("+00:00", "Z"),
            ("-08:00:30", "-08:00:30"),
            ("UTC", "UTC"),
            ("Etc/GMT-3", "Etc/GMT-3"),
        ] {
            assert_eq!(Zone::parse(given).map(|z| z.id().to_string()).as_deref(), Some(id), "{given}");
        }
        for bad in ["", "Nowhere/City", "+19:00", "+1é", "UTC+", "+01:60"] {
            assert_eq!(Zone::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn gaps_and_overlaps_are_javas() {
        let zone = Zone::parse("America/Los_Angeles").unwrap();
        let local = |h: i64, d: i64| {
            (crate::calendar::days_from_civil(2024, 3, 10) + d) * DAY_US + h * 3_600_000_000 + 1_800_000_000
        };
        // 02:30 does not exist on 2024-03-10.
        assert_eq!(zone.to_local(zone.to_utc(local(2, 0))), local(3, 0));
        // 01:30 shows twice on 2024-11-03: the first is in daylight saving time.
        let twice = crate::calendar::days_from_civil(2024, 11, 3) * DAY_US + 5_400_000_000;
        assert_eq!(zone.to_utc(twice) - twice, 7 * 3_600_000_000);
        assert_eq!(zone.offset_at(i64::MIN), zone.offset_at(-100_000_000_000_000_000));
    }
}
