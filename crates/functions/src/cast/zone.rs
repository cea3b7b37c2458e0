//! Time zones as Java's `ZoneId` understands them: region names, `UTC+2`, `+02:00`, and the old three-letter names.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::calendar::{MICROS_PER_SECOND, SECONDS_PER_DAY, civil_from_days, days_from_civil, is_leap};
use crate::Context;

/// A zone: a region with its history, or a fixed offset in seconds east of Greenwich.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    Region(Tz),
    Fixed(i32),
}

/// Years after this one follow their region's last rule, which the compiled zone data stops applying.
const LAST_RULED_YEAR: i64 = 2099;

impl Zone {
    pub const UTC: Zone = Zone::Fixed(0);

    /// The session's zone.
    pub fn of(context: &Context) -> Self {
        Self::parse(&context.timezone_name).unwrap_or(Self::UTC)
    }

    /// Reads a zone as Spark's `getZoneId` does; `None` where there is no such zone.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if matches!(text, "Z" | "UTC" | "GMT" | "UT" | "z") {
            return (text != "z").then_some(Self::UTC);
        }
        if text.starts_with(['+', '-']) {
            return offset(text).map(Self::Fixed);
        }
        for prefix in ["UTC", "GMT", "UT"] {
            if let Some(rest) = text.strip_prefix(prefix)
                && rest.starts_with(['+', '-'])
            {
                return offset(rest).map(Self::Fixed);
            }
        }
        if let Some(zone) = short_name(text) {
            return Some(zone);
        }
        // Java knows region names in their exact case only.
        let tz: Tz = text.parse().ok()?;
        Some(if tz == Tz::UTC { Self::UTC } else { Self::Region(tz) })
    }

    /// Seconds east of Greenwich at an instant.
    pub fn offset_at(&self, utc_seconds: i64) -> i32 {
        match self {
            Self::Fixed(seconds) => *seconds,
            Self::Region(tz) => match DateTime::from_timestamp(ruled(utc_seconds), 0) {
                Some(at) => tz.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc(),
                None => 0,
            },
        }
    }

    /// The wall clock at an instant: seconds and microseconds within the second.
    pub fn local(&self, utc_us: i64) -> (i64, i64) {
        let seconds = utc_us.div_euclid(MICROS_PER_SECOND);
        (seconds + i64::from(self.offset_at(seconds)), utc_us.rem_euclid(MICROS_PER_SECOND))
    }

    /// The wall clock as microseconds since 1970-01-01 00:00; `None` where that does not fit 64 bits.
    pub fn local_us(&self, utc_us: i64) -> Option<i64> {
        let offset = self.offset_at(utc_us.div_euclid(MICROS_PER_SECOND));
        utc_us.checked_add(i64::from(offset) * MICROS_PER_SECOND)
    }

    /// The instant of a wall clock time, in seconds. Where clocks went back the earlier instant; where they went
    /// forward and the time never was, as much later as the gap is long.
    pub fn instant(&self, local_seconds: i64) -> i64 {
        let tz = match self {
            Self::Fixed(seconds) => return local_seconds - i64::from(*seconds),
            Self::Region(tz) => tz,
        };
        let Some(at) = DateTime::from_timestamp(ruled(local_seconds), 0).map(|t| t.naive_utc()) else {
            return local_seconds;
        };
        let offset = match tz.offset_from_local_datetime(&at) {
            chrono::LocalResult::Single(o) | chrono::LocalResult::Ambiguous(o, _) => {
                o.fix().local_minus_utc()
            }
            // In a gap: the offset in force before it.
            chrono::LocalResult::None => self.offset_at(local_seconds - SECONDS_PER_DAY),
        };
        local_seconds - i64::from(offset)
    }

    /// [`Zone::instant`] in microseconds; `None` where it does not fit 64 bits.
    pub fn instant_us(&self, local_us: i64) -> Option<i64> {
        let seconds = self.instant(local_us.div_euclid(MICROS_PER_SECOND));
        seconds.checked_mul(MICROS_PER_SECOND)?.checked_add(local_us.rem_euclid(MICROS_PER_SECOND))
    }

    /// The instant of midnight of a day.
    pub fn midnight_us(&self, days: i32) -> Option<i64> {
        self.instant(i64::from(days) * SECONDS_PER_DAY).checked_mul(MICROS_PER_SECOND)
    }
}

/// Moves an instant after the ruled years to a ruled year that has the same calendar, so that the last rule applies to
/// it; and keeps every instant within what chrono can hold.
fn ruled(seconds: i64) -> i64 {
    let days = seconds.div_euclid(SECONDS_PER_DAY);
    if days < -90_000_000 {
        return -7_000_000_000_000;
    }
    if days < 47_000 {
        return seconds;
    }
    let (year, _, _) = civil_from_days(days);
    if year <= LAST_RULED_YEAR {
        return seconds;
    }
    let first = days_from_civil(year, 1, 1);
    // The 28 years up to 2099 hold every pair of weekday and leap year.
    for y in LAST_RULED_YEAR - 27..=LAST_RULED_YEAR {
        let start = days_from_civil(y, 1, 1);
        if (first - start).rem_euclid(7) == 0 && is_leap(y) == is_leap(year) {
            return seconds - (first - start) * SECONDS_PER_DAY;
        }
    }
    seconds
}

/// `±h`, `±hh`, `±hhmm`, `±hh:mm`, `±h:mm`, `±hh:m`, `±hhmmss`, `±hh:mm:ss`, up to 18 hours either way.
fn offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let number = |s: &str| -> Option<i32> {
        (!s.is_empty() && s.len() <= 2 && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse().ok())?
    };
    let (h, m, s) = if rest.contains(':') {
        let parts: Vec<&str> = rest.split(':').collect();
        match parts.as_slice() {
            [h, m] => (number(h)?, number(m)?, 0),
            [h, m, s] if m.len() == 2 && s.len() == 2 => (number(h)?, number(m)?, number(s)?),
            _ => return None,
        }
    } else {
        match rest.len() {
            1 | 2 => (number(rest)?, 0, 0),
            4 => (number(rest.get(..2)?)?, number(rest.get(2..)?)?, 0),
            6 => (number(rest.get(..2)?)?, number(rest.get(2..4)?)?, number(rest.get(4..)?)?),
            _ => return None,
        }
    };
    let total = h * 3600 + m * 60 + s;
    (m < 60 && s < 60 && total <= 18 * 3600).then_some(sign * total)
}

/// Java's `ZoneId.SHORT_IDS`.
fn short_name(text: &str) -> Option<Zone> {
    Some(match text {
        "EST" => Zone::Fixed(-5 * 3600),
        "MST" => Zone::Fixed(-7 * 3600),
        "HST" => Zone::Fixed(-10 * 3600),
        _ => Zone::Region(match text {
            "ACT" => Tz::Australia__Darwin,
            "AET" => Tz::Australia__Sydney,
            "AGT" => Tz::America__Argentina__Buenos_Aires,
            "ART" => Tz::Africa__Cairo,
            "AST" => Tz::America__Anchorage,
            "BET" => Tz::America__Sao_Paulo,
            "BST" => Tz::Asia__Dhaka,
            "CAT" => Tz::Africa__Harare,
            "CNT" => Tz::America__St_Johns,
            "CST" => Tz::America__Chicago,
            "CTT" => Tz::Asia__Shanghai,
            "EAT" => Tz::Africa__Addis_Ababa,
            "ECT" => Tz::Europe__Paris,
            "IET" => Tz::America__Indiana__Indianapolis,
            "IST" => Tz::Asia__Kolkata,
            "JST" => Tz::Asia__Tokyo,
            "MIT" => Tz::Pacific__Apia,
            "NET" => Tz::Asia__Yerevan,
            "NST" => Tz::Pacific__Auckland,
            "PLT" => Tz::Asia__Karachi,
            "PNT" => Tz::America__Phoenix,
            "PRT" => Tz::America__Puerto_Rico,
            "PST" => Tz::America__Los_Angeles,
            "SST" => Tz::Pacific__Guadalcanal,
            "VST" => Tz::Asia__Ho_Chi_Minh,
            _ => return None,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_read_as_in_java() {
        assert_eq!(Zone::parse("+1"), Some(Zone::Fixed(3600)));
        assert_eq!(Zone::parse("UTC+02:30"), Some(Zone::Fixed(9000)));
        assert_eq!(Zone::parse("-18:01"), None);
        assert_eq!(Zone::parse("PST"), Some(Zone::Region(Tz::America__Los_Angeles)));
        assert_eq!(Zone::parse("Nowhere/City"), None);
    }

    #[test]
    fn gaps_and_overlaps() {
        let zone = Zone::Region(Tz::America__Los_Angeles);
        // 2020-03-08 02:30 never was: 03:30 PDT.
        let local = days_from_civil(2020, 3, 8) * SECONDS_PER_DAY + 2 * 3600 + 1800;
        assert_eq!(zone.instant(local), local + 8 * 3600);
        // 2020-11-01 01:30 was twice: PDT first.
        let local = days_from_civil(2020, 11, 1) * SECONDS_PER_DAY + 3600 + 1800;
        assert_eq!(zone.instant(local), local + 7 * 3600);
    }

    #[test]
    fn daylight_saving_goes_on() {
        let zone = Zone::Region(Tz::America__Los_Angeles);
        for year in [2036, 2037, 2038, 2090, 2150, 9999] {
            assert_eq!(zone.offset_at(days_from_civil(year, 7, 1) * SECONDS_PER_DAY), -7 * 3600, "{year}");
            assert_eq!(zone.offset_at(days_from_civil(year, 1, 1) * SECONDS_PER_DAY), -8 * 3600, "{year}");
        }
        assert_eq!(
            zone.offset_at(i64::MAX / MICROS_PER_SECOND),
            zone.offset_at(i64::MAX / MICROS_PER_SECOND)
        );
        assert_eq!(zone.offset_at(i64::MIN / MICROS_PER_SECOND), -28_378);
    }
}
