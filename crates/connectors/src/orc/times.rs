//! Timestamps and dates of ORC files: seconds from 2015 on, in the time of day of the zone that wrote them, and the days of
//! the calendar of that time.

use boathouse_formats::calendar::{MICROS_PER_DAY as DAY, MICROS_PER_SECOND as SECOND, days_from_civil};
use boathouse_formats::zone::Zone;

/// 2015-01-01 00:00, from where ORC counts seconds.
const BASE: i64 = 1_420_070_400 * SECOND;
/// 1582-10-15, the first day of the Gregorian calendar.
const FIRST_GREGORIAN: i64 = -141_427;
/// Readers take a second from times before 1970 that have more microseconds.
const NO_MILLISECOND: i64 = 999;

/// How a file is written: the zone of its stripes, and from where seconds are counted there.
pub(crate) struct Clock {
    zone: Zone,
    base: i64,
}

impl Clock {
    pub(crate) fn of(zone: &Zone) -> Self {
        let base = if is_named(zone) { zone.to_utc(BASE) } else { BASE };
        Self { zone: zone.clone(), base }
    }

    /// The zone's name in the file.
    pub(crate) fn name(&self) -> &str {
        if is_named(&self.zone) { self.zone.id() } else { "UTC" }
    }

    /// Seconds and nanoseconds of an instant, as ORC has them; a number of trailing zeros is in the last three bits of the
    /// nanoseconds. (A time in the second before 1970 comes back a second later where it has milliseconds: in Spark, too.)
    pub(crate) fn written(&self, instant: i64) -> (i64, i64) {
        let time = if is_named(&self.zone) { instant } else { self.zone.to_local(instant) };
        let (mut second, part) = (time.div_euclid(SECOND), time.rem_euclid(SECOND));
        if second < 0 && part > NO_MILLISECOND {
            second += 1;
        }
        (second - self.base / SECOND, with_zeros_counted(part * 1000))
    }
}

/// ORC has no name for an offset: times of day by one are written as such in UTC.
fn is_named(zone: &Zone) -> bool {
    matches!(zone, Zone::Region(_))
}

fn with_zeros_counted(nanoseconds: i64) -> i64 {
    if nanoseconds == 0 || nanoseconds % 100 != 0 {
        return nanoseconds << 3;
    }
    let (mut rest, mut zeros) = (nanoseconds / 100, 1);
    while rest % 10 == 0 && zeros < 7 {
        rest /= 10;
        zeros += 1;
    }
    rest << 3 | zeros
}

/// What times and dates of a file mean.
pub(crate) struct Meaning {
    /// Of the session: a time of day is one in this zone.
    pub(crate) session: Zone,
    /// Of the file.
    written: Zone,
    /// Days before 1582-10-15 are those of the Julian calendar.
    pub(crate) is_julian: bool,
    /// Seconds from the start of ORC's count in UTC to that in the file's zone.
    base_shift: i64,
}

impl Meaning {
    pub(crate) fn of(session: Zone, written: Zone, is_julian: bool) -> Self {
        let base_shift = (written.to_utc(BASE) - BASE) / SECOND;
        Self { session, written, is_julian, base_shift }
    }

    /// The instant of a timestamp that was read as if ORC counted from 2015 in UTC.
    pub(crate) fn instant(&self, read: i64) -> i64 {
        let (mut second, part) = (read.div_euclid(SECOND), read.rem_euclid(SECOND));
        // The second that the reader took is given back, and taken by what the time is in the zone.
        if second < 0 && part > NO_MILLISECOND {
            second += 1;
        }
        second += self.base_shift;
        if second < 0 && part > NO_MILLISECOND {
            second -= 1;
        }
        let instant = second.saturating_mul(SECOND).saturating_add(part);
        let is_old = self.is_julian && instant < (FIRST_GREGORIAN + 1) * DAY;
        if self.written == self.session && !is_old {
            return instant;
        }
        let time = self.written.to_local(instant);
        let days = time.div_euclid(DAY);
        self.session.to_utc(self.day(days).saturating_mul(DAY).saturating_add(time.rem_euclid(DAY)))
    }

    /// The day of a date, in days from 1970 on.
    pub(crate) fn day(&self, days: i64) -> i64 {
        match self.is_julian && days < FIRST_GREGORIAN {
            true => gregorian_of_julian(days),
            false => days,
        }
    }
}

/// The day that has in the Gregorian calendar the date that a day has in the Julian one.
fn gregorian_of_julian(days: i64) -> i64 {
    // Richards' algorithm, by the Julian day number.
    let from_start = days + 2_440_588 + 32_082;
    let years = (4 * from_start + 3).div_euclid(1461);
    let of_year = from_start - (1461 * years).div_euclid(4);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    // The month counts from March, and so does the year.
    days_from_civil(years - 4800 + month / 10, ((month + 2) % 12 + 1) as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_have_their_zeros_counted() {
        assert_eq!(with_zeros_counted(1000), 0x0a);
        assert_eq!(with_zeros_counted(100_000), 0x0c);
        assert_eq!(with_zeros_counted(123), 123 << 3);
        assert_eq!(with_zeros_counted(0), 0);
    }

    #[test]
    fn times_come_back_in_any_zone() {
        for name in ["UTC", "America/Los_Angeles", "Asia/Tokyo", "+01:30"] {
            let zone = Zone::named(name).unwrap();
            let clock = Clock::of(&zone);
            let written = Zone::named(clock.name()).unwrap();
            let meaning = Meaning::of(zone.clone(), written, false);
            for instant in [
                0,
                1_500_000,
                -1_500_000,
                -2_000_000,
                -40_000_000_500_000,
                1_636_277_400_250_000,
                30_000_000_000_000_000,
            ] {
                let (second, nanoseconds) = clock.written(instant);
                let zeros = nanoseconds & 7;
                let nanoseconds =
                    (nanoseconds >> 3) * if zeros == 0 { 1 } else { 10_i64.pow(zeros as u32 + 1) };
                let mut read = second + BASE / SECOND;
                if read < 0 && nanoseconds > 999_999 {
                    read -= 1;
                }
                assert_eq!(meaning.instant(read * SECOND + nanoseconds / 1000), instant, "{name}");
            }
        }
    }

    #[test]
    fn dates_of_the_julian_calendar() {
        // The Julian 1500-01-01 is the Gregorian 1500-01-10.
        assert_eq!(gregorian_of_julian(-171_655), -171_664);
        // 1582-10-04 is the day before 1582-10-15.
        assert_eq!(gregorian_of_julian(FIRST_GREGORIAN - 1), FIRST_GREGORIAN - 11);
        // 0001-01-01
        assert_eq!(gregorian_of_julian(-719_164), -719_162);
    }
}
