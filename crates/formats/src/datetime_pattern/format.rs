//! Writing values by a pattern.

use super::compile::{Field, Item, Number, OffsetStyle, Sign};
use crate::calendar::{civil_from_days, day_of_week, day_of_year};
use crate::zone::Zone;
use crate::zone_names::names_of;

/// What there is to write: a date, a time of day, a zone with its offset and the instant; each may be missing.
pub(super) struct Value<'a> {
    date: Option<(i64, u32, u32, i64)>,
    nanos: Option<i64>,
    pub(super) zone: Option<(&'a Zone, i32, i64)>,
}

impl<'a> Value<'a> {
    pub(super) fn new(days: Option<i64>, nanos: Option<i64>, zone: Option<(&'a Zone, i32, i64)>) -> Self {
        let date = days.map(|days| {
            let (y, m, d) = civil_from_days(days);
            (y, m, d, days)
        });
        Self { date, nanos, zone }
    }

    /// Days since 1970-01-01.
    pub(super) fn days(&self) -> Result<i64, &'static str> {
        self.date.map(|(.., days)| days).ok_or("a date")
    }

    pub(super) fn field(&self, field: Field) -> Result<i64, &'static str> {
        let date = || self.date.ok_or("a date");
        let nanos = || self.nanos.ok_or("a time of day");
        let hour = || nanos().map(|n| n / 3_600_000_000_000);
        Ok(match field {
            Field::Year => date()?.0,
            Field::YearOfEra => {
                let year = date()?.0;
                if year > 0 { year } else { 1 - year }
            }
            Field::Era => i64::from(date()?.0 > 0),
            Field::Month => i64::from(date()?.1),
            Field::DayOfMonth => i64::from(date()?.2),
            Field::DayOfYear => day_of_year(date()?.3),
            Field::DayOfAlignedWeek => i64::from((date()?.2 - 1) % 7 + 1),
            Field::DayOfWeek => i64::from(day_of_week(date()?.3)),
            Field::Quarter => i64::from((date()?.1 - 1) / 3 + 1),
            Field::ModifiedJulianDay => date()?.3 + 40_587,
            Field::HourOfDay => hour()?,
            Field::ClockHourOfDay => (hour()? + 23) % 24 + 1,
            Field::HourOfAmPm => hour()? % 12,
            Field::ClockHourOfAmPm => (hour()? + 11) % 12 + 1,
            Field::AmPm => hour()? / 12,
            Field::Minute => nanos()? / 60_000_000_000 % 60,
            Field::Second => nanos()? / 1_000_000_000 % 60,
            Field::Nano => nanos()? % 1_000_000_000,
            Field::OffsetSeconds => i64::from(self.zone.ok_or("a time zone")?.1),
        })
    }
}

/// Appends the value, or names what it lacks. Optional parts are left out where they lack something.
pub(super) fn write(items: &[Item], value: &Value, out: &mut String) -> Result<(), &'static str> {
    for item in items {
        match item {
            Item::Literal(text) => out.push_str(text),
            Item::Optional(inner) => {
                let before = out.len();
                if write(inner, value, out).is_err() {
                    out.truncate(before);
                }
            }
            Item::Number(number) => write_number(number, value.field(number.field)?, out)?,
            Item::Fraction { max, .. } => {
                let digits = format!("{:09}", value.field(Field::Nano)?);
                out.push_str(&digits[..*max]);
            }
            Item::Text { field, full } => out.push_str(text(*field, value.field(*field)?, *full)),
            Item::Offset(style) => {
                write_offset(*style, value.field(Field::OffsetSeconds)? as i32, out);
            }
            Item::LocalizedOffset { full } => {
                write_localized_offset(*full, value.field(Field::OffsetSeconds)? as i32, out);
            }
            Item::ZoneId => out.push_str(value.zone.ok_or("a time zone")?.0.id()),
            Item::ZoneName { full, generic } => {
                let (zone, _, instant) = value.zone.ok_or("a time zone")?;
                out.push_str(zone_name(zone, instant, *full, *generic));
            }
        }
    }
    Ok(())
}

fn write_number(number: &Number, value: i64, out: &mut String) -> Result<(), &'static str> {
    if number.reduced {
        let two = value.unsigned_abs() % 100;
        push_padded(two, 2, out);
        return Ok(());
    }
    let magnitude = value.unsigned_abs();
    match number.sign {
        _ if value < 0 => {
            if number.sign == Sign::Never {
                return Err("a number that is not negative");
            }
            out.push('-');
        }
        Sign::ExceedsPad if number.min < 19 && magnitude >= 10_u64.pow(number.min as u32) => out.push('+'),
        _ => {}
    }
    push_padded(magnitude, number.min, out);
    Ok(())
}

pub(super) fn push_padded(value: u64, width: usize, out: &mut String) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value);
    out.extend(std::iter::repeat_n('0', width.saturating_sub(digits.len())));
    out.push_str(digits);
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const QUARTERS: [&str; 4] = ["1st quarter", "2nd quarter", "3rd quarter", "4th quarter"];

fn text(field: Field, value: i64, full: bool) -> &'static str {
    let nth =
        |names: &'static [&'static str]| names.get((value - 1).max(0) as usize).copied().unwrap_or_default();
    match field {
        Field::Month if full => nth(&MONTHS),
        Field::Month => &nth(&MONTHS)[..3],
        Field::DayOfWeek if full => nth(&WEEKDAYS),
        Field::DayOfWeek => &nth(&WEEKDAYS)[..3],
        Field::Quarter if full => nth(&QUARTERS),
        Field::Quarter => nth(&["Q1", "Q2", "Q3", "Q4"]),
        Field::Era => match (value, full) {
            (0, false) => "BC",
            (0, true) => "Before Christ",
            (_, false) => "AD",
            (_, true) => "Anno Domini",
        },
        _ => {
            if value == 0 {
                "AM"
            } else {
                "PM"
            }
        }
    }
}

fn write_offset(style: OffsetStyle, seconds: i32, out: &mut String) {
    let s = seconds.unsigned_abs();
    let (hours, minutes, seconds_left) = (s / 3600, s / 60 % 60, s % 60);
    let colon = if matches!(style.kind, 4 | 6) { ":" } else { "" };
    let with_seconds = style.kind >= 5 && seconds_left > 0;
    let with_minutes = style.kind != 1 || minutes > 0;
    let shown = hours + if with_minutes { minutes } else { 0 } + if with_seconds { seconds_left } else { 0 };
    if shown == 0 {
        out.push_str(style.zero);
        return;
    }
    out.push(if seconds < 0 { '-' } else { '+' });
    push_padded(u64::from(hours), 2, out);
    if with_minutes {
        out.push_str(colon);
        push_padded(u64::from(minutes), 2, out);
    }
    if with_seconds {
        out.push_str(colon);
        push_padded(u64::from(seconds_left), 2, out);
    }
}

fn write_localized_offset(full: bool, seconds: i32, out: &mut String) {
    out.push_str("GMT");
    if seconds == 0 {
        return;
    }
    let s = seconds.unsigned_abs();
    let (hours, minutes, seconds_left) = (s / 3600, s / 60 % 60, s % 60);
    out.push(if seconds < 0 { '-' } else { '+' });
    push_padded(u64::from(hours), if full { 2 } else { 1 }, out);
    if full || minutes > 0 || seconds_left > 0 {
        out.push(':');
        push_padded(u64::from(minutes), 2, out);
    }
    if seconds_left > 0 {
        out.push(':');
        push_padded(u64::from(seconds_left), 2, out);
    }
}

pub(super) fn zone_name(zone: &Zone, instant: i64, full: bool, generic: bool) -> &str {
    let Zone::Region(tz) = zone else { return zone.id() };
    let Some(names) = names_of(tz.name()) else { return tz.name() };
    match (generic, full, !generic && zone.is_daylight(instant)) {
        (true, false, _) => names.short_generic,
        (true, true, _) => names.long_generic,
        (false, false, false) => names.short_standard,
        (false, false, true) => names.short_daylight,
        (false, true, false) => names.long_standard,
        (false, true, true) => names.long_daylight,
    }
}
