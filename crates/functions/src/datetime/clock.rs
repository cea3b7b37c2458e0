//! A zone's wall clock, made for many conversions in a row: the region's history is a table, and the span that
//! served last is tried first.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};

use chrono_tz::Tz;

use crate::Context;
use crate::cast::calendar::{
    MICROS_PER_DAY, MICROS_PER_SECOND, SECONDS_PER_DAY, civil_from_days, days_from_civil, is_leap,
};
use crate::cast::zone::Zone;

/// Rules are known one by one up to this year; later years repeat them.
const FIRST_REPEATED_YEAR: i64 = 2100;
/// The calendar repeats after so many years, where no century is skipped.
const CYCLE_YEARS: i64 = 28;

/// The offsets of a region: `offsets[i]` holds from `instants[i - 1]` to `instants[i]`.
struct History {
    /// Instants at which the offset changes.
    instants: Vec<i64>,
    /// Wall clock times from which the later offset is taken: the end of the gap, or of the time that comes twice.
    locals: Vec<i64>,
    offsets: Vec<i64>,
}

impl History {
    fn of(region: Tz) -> Arc<Self> {
        static KNOWN: LazyLock<RwLock<HashMap<Tz, Arc<History>>>> = LazyLock::new(Default::default);
        if let Ok(known) = KNOWN.read()
            && let Some(history) = known.get(&region)
        {
            return Arc::clone(history);
        }
        let history = Arc::new(Self::read(Zone::Region(region)));
        if let Ok(mut known) = KNOWN.write() {
            known.insert(region, Arc::clone(&history));
        }
        history
    }

    fn fixed(seconds: i64) -> Arc<Self> {
        Arc::new(Self { instants: vec![], locals: vec![], offsets: vec![seconds * MICROS_PER_SECOND] })
    }

    /// Asks for the offset day by day, and closes in on each change.
    fn read(zone: Zone) -> Self {
        let first = days_from_civil(1800, 1, 1) * SECONDS_PER_DAY;
        let last = days_from_civil(FIRST_REPEATED_YEAR, 1, 1) * SECONDS_PER_DAY;
        let mut before = zone.offset_at(first);
        let mut history =
            Self { instants: vec![], locals: vec![], offsets: vec![i64::from(before) * MICROS_PER_SECOND] };
        let mut day = first;
        while day < last {
            let next = day + SECONDS_PER_DAY;
            let after = zone.offset_at(next);
            if after != before {
                let (mut low, mut high) = (day, next);
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    if zone.offset_at(middle) == before { low = middle } else { high = middle }
                }
                history.instants.push(high * MICROS_PER_SECOND);
                history.locals.push((high + i64::from(before.max(after))) * MICROS_PER_SECOND);
                history.offsets.push(i64::from(after) * MICROS_PER_SECOND);
                before = after;
            }
            day = next;
        }
        history
    }
}

/// A span of time with one offset.
#[derive(Clone, Copy)]
struct Span {
    from: i64,
    until: i64,
    offset: i64,
}

const NO_SPAN: Span = Span { from: i64::MAX, until: i64::MIN, offset: 0 };

/// The wall clock of a zone; microseconds throughout.
pub(crate) struct Clock {
    history: Arc<History>,
    instants: Cell<Span>,
    locals: Cell<Span>,
}

impl Clock {
    /// The session's clock.
    pub fn of(context: &Context) -> Self {
        Self::in_zone(Zone::of(context))
    }

    /// The clock of Greenwich: wall clock times without a zone.
    pub fn utc() -> Self {
        Self::in_zone(Zone::UTC)
    }

    pub fn in_zone(zone: Zone) -> Self {
        let history = match zone {
            Zone::Fixed(seconds) => History::fixed(i64::from(seconds)),
            Zone::Region(tz) => History::of(tz),
        };
        Self { history, instants: Cell::new(NO_SPAN), locals: Cell::new(NO_SPAN) }
    }

    /// How far the clock is ahead of Greenwich at an instant.
    pub fn offset_at(&self, instant: i64) -> i64 {
        let last = self.instants.get();
        if last.from <= instant && instant < last.until {
            return last.offset;
        }
        self.look_up(&self.history.instants, instant, &self.instants)
    }

    /// The wall clock at an instant.
    pub fn local(&self, instant: i64) -> i64 {
        instant.saturating_add(self.offset_at(instant))
    }

    /// The instant of a wall clock time: of a time that comes twice the first; a time that is skipped counts on from
    /// the clock as it was before.
    pub fn instant(&self, local: i64) -> i64 {
        let last = self.locals.get();
        let offset = if last.from <= local && local < last.until {
            last.offset
        } else {
            self.look_up(&self.history.locals, local, &self.locals)
        };
        local.saturating_sub(offset)
    }

    /// [`Clock::instant`], `None` where it does not fit.
    pub fn checked_instant(&self, local: i64) -> Option<i64> {
        let instant = self.instant(local);
        (instant != i64::MIN && instant != i64::MAX).then_some(instant)
    }

    /// The instant of a wall clock time, by an offset that was in force just before where that is still valid.
    /// `None` where it does not fit.
    pub fn resolve(&self, local: i64, offset: i64) -> Option<i64> {
        let kept = local.checked_sub(offset)?;
        if self.offset_at(kept) == offset { Some(kept) } else { self.checked_instant(local) }
    }

    /// The first instant of a day: midnight, or the end of the gap that swallowed it.
    pub fn start_of_day(&self, day: i64) -> i64 {
        let midnight = day.saturating_mul(MICROS_PER_DAY);
        let instant = self.instant(midnight);
        if self.local(instant) == midnight {
            return instant;
        }
        let changes = &self.history.instants;
        match changes.partition_point(|c| *c <= instant) {
            0 => instant,
            i => changes[i - 1],
        }
    }

    /// The day on the wall clock.
    pub fn day(&self, instant: i64) -> i64 {
        self.local(instant).div_euclid(MICROS_PER_DAY)
    }

    fn look_up(&self, changes: &[i64], at: i64, cache: &Cell<Span>) -> i64 {
        let offsets = &self.history.offsets;
        let end = days_from_civil(FIRST_REPEATED_YEAR, 1, 1) * MICROS_PER_DAY;
        if at >= end && !changes.is_empty() {
            let i = changes.partition_point(|c| *c <= repeated(at));
            return offsets[i];
        }
        let i = changes.partition_point(|c| *c <= at);
        let span = Span {
            from: if i == 0 { i64::MIN } else { changes[i - 1] },
            until: match changes.get(i) {
                Some(change) => *change,
                None if changes.is_empty() => i64::MAX,
                None => end,
            },
            offset: offsets[i],
        };
        cache.set(span);
        span.offset
    }
}

/// The same time of a year before [`FIRST_REPEATED_YEAR`] that has the same calendar.
fn repeated(at: i64) -> i64 {
    let (year, _, _) = civil_from_days(at.div_euclid(MICROS_PER_DAY));
    let first = days_from_civil(year, 1, 1);
    for earlier in FIRST_REPEATED_YEAR - CYCLE_YEARS..FIRST_REPEATED_YEAR {
        let start = days_from_civil(earlier, 1, 1);
        if (first - start).rem_euclid(7) == 0 && is_leap(earlier) == is_leap(year) {
            return at - (first - start) * MICROS_PER_DAY;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(year: i64, month: u32, day: u32, hour: i64, minute: i64) -> i64 {
        days_from_civil(year, month, day) * MICROS_PER_DAY + (hour * 60 + minute) * 60 * MICROS_PER_SECOND
    }

    const HOUR: i64 = 3600 * MICROS_PER_SECOND;

    #[test]
    fn clocks_skip_and_repeat() {
        let clock = Clock::in_zone(Zone::Region(Tz::America__Los_Angeles));
        assert_eq!(clock.instant(at(2015, 3, 8, 2, 30)), at(2015, 3, 8, 10, 30));
        assert_eq!(clock.local(at(2015, 3, 8, 10, 30)), at(2015, 3, 8, 3, 30));
        assert_eq!(clock.instant(at(2015, 11, 1, 1, 30)), at(2015, 11, 1, 8, 30));
        assert_eq!(clock.local(at(2015, 11, 1, 9, 30)), at(2015, 11, 1, 1, 30));
    }

    #[test]
    fn the_far_past_and_future() {
        let clock = Clock::in_zone(Zone::Region(Tz::America__Los_Angeles));
        for year in [2037, 2099, 2100, 2500, 9999, 200_000] {
            assert_eq!(clock.offset_at(at(year, 7, 1, 0, 0)), -7 * HOUR, "{year}");
            assert_eq!(clock.offset_at(at(year, 12, 1, 0, 0)), -8 * HOUR, "{year}");
        }
        assert_eq!(clock.offset_at(at(1500, 7, 1, 0, 0)), -28_378 * MICROS_PER_SECOND);
        // Moscow has no daylight saving since 2014.
        let moscow = Clock::in_zone(Zone::Region(Tz::Europe__Moscow));
        assert_eq!(moscow.offset_at(at(2040, 7, 1, 0, 0)), 3 * HOUR);
        assert_eq!(clock.local(i64::MIN), i64::MIN);
    }

    #[test]
    fn agrees_with_the_zone() {
        for tz in [Tz::Europe__Berlin, Tz::Africa__Casablanca, Tz::Australia__Lord_Howe, Tz::Pacific__Apia] {
            let zone = Zone::Region(tz);
            let clock = Clock::in_zone(zone);
            let mut second = days_from_civil(1850, 1, 1) * SECONDS_PER_DAY;
            while second < days_from_civil(2120, 1, 1) * SECONDS_PER_DAY {
                let us = second * MICROS_PER_SECOND;
                assert_eq!(
                    clock.offset_at(us),
                    i64::from(zone.offset_at(second)) * MICROS_PER_SECOND,
                    "{second}"
                );
                second += 86_400 * 5 + 3_601;
            }
        }
    }
}
