//! Intervals as text and out of text: the ANSI forms (`INTERVAL '1-2' YEAR TO MONTH`) and the calendar form
//! (`1 years 2 months`).

use std::fmt::Write;

pub use boathouse_formats::interval_parse::{parse_calendar_interval, parse_day_time, parse_year_month};
use boathouse_spec::{DataType, IntervalField};

use super::text::write_fraction;

use IntervalField::{Day, Hour, Minute, Month, Second, Year};

const MICROS_PER_SECOND: i128 = 1_000_000;
const MICROS_PER_MINUTE: i128 = 60 * MICROS_PER_SECOND;
const MICROS_PER_HOUR: i128 = 60 * MICROS_PER_MINUTE;
const MICROS_PER_DAY: i128 = 24 * MICROS_PER_HOUR;

/// Microseconds of one unit of a day-time field.
pub fn micros_of(field: IntervalField) -> i64 {
    (match field {
        Day => MICROS_PER_DAY,
        Hour => MICROS_PER_HOUR,
        Minute => MICROS_PER_MINUTE,
        _ => MICROS_PER_SECOND,
    }) as i64
}

fn write_fields(start: IntervalField, end: IntervalField, out: &mut String) {
    out.push_str("' ");
    out.push_str(&start.name().to_uppercase());
    if start != end {
        out.push_str(" TO ");
        out.push_str(&end.name().to_uppercase());
    }
}

/// `INTERVAL '1-2' YEAR TO MONTH`
pub fn write_year_month(months: i32, start: IntervalField, end: IntervalField, out: &mut String) {
    out.push_str("INTERVAL '");
    if months < 0 {
        out.push('-');
    }
    let months = months.unsigned_abs();
    let _ = match (start, end) {
        (Year, Year) => write!(out, "{}", months / 12),
        (Month, _) => write!(out, "{months}"),
        _ => write!(out, "{}-{}", months / 12, months % 12),
    };
    write_fields(start, end, out);
}

/// `INTERVAL '1 02:03:04.5' DAY TO SECOND`
pub fn write_day_time(us: i64, start: IntervalField, end: IntervalField, out: &mut String) {
    out.push_str("INTERVAL '");
    if us < 0 {
        out.push('-');
    }
    let mut rest = i128::from(us).abs();
    for field in [Day, Hour, Minute, Second] {
        if field < start || field > end {
            continue;
        }
        let unit = i128::from(micros_of(field));
        let value = rest / unit;
        rest %= unit;
        if field == start {
            let _ = if field == Day { write!(out, "{value}") } else { write!(out, "{value:02}") };
        } else {
            let _ = write!(out, "{}{value:02}", if field == Hour { ' ' } else { ':' });
        }
        if field == Second {
            write_fraction(rest as u64, 6, out);
        }
    }
    write_fields(start, end, out);
}

/// `1 years 2 months -3 days 4 hours 5.5 seconds`
pub fn write_calendar_interval(months: i32, days: i32, us: i64, out: &mut String) {
    if months == 0 && days == 0 && us == 0 {
        out.push_str("0 seconds");
        return;
    }
    let from = out.len();
    let part = |value: i64, unit: &str, out: &mut String| {
        if value != 0 {
            if out.len() > from {
                out.push(' ');
            }
            let _ = write!(out, "{value} {unit}");
        }
    };
    part(i64::from(months / 12), "years", out);
    part(i64::from(months % 12), "months", out);
    part(i64::from(days), "days", out);
    let (hour, minute) = (MICROS_PER_HOUR as i64, MICROS_PER_MINUTE as i64);
    part(us / hour, "hours", out);
    part(us % hour / minute, "minutes", out);
    let rest = us % minute;
    if rest != 0 {
        if out.len() > from {
            out.push(' ');
        }
        if rest < 0 {
            out.push('-');
        }
        let _ = write!(out, "{}", rest.unsigned_abs() / 1_000_000);
        write_fraction(rest.unsigned_abs() % 1_000_000, 6, out);
        out.push_str(" seconds");
    }
}

/// Start and end field of an ANSI interval type.
pub fn fields(t: &DataType) -> Option<(IntervalField, IntervalField)> {
    match t {
        DataType::YearMonthInterval { start, end } | DataType::DayTimeInterval { start, end } => {
            Some((*start, *end))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use boathouse_spec::Interval;

    use super::*;

    fn day_time(us: i64, start: IntervalField, end: IntervalField) -> String {
        let mut out = String::new();
        write_day_time(us, start, end, &mut out);
        out
    }

    #[test]
    fn day_time_text() {
        let us = 93_784_500_000;
        assert_eq!(day_time(us, Day, Second), "INTERVAL '1 02:03:04.5' DAY TO SECOND");
        assert_eq!(day_time(-us, Day, Minute), "INTERVAL '-1 02:03' DAY TO MINUTE");
        assert_eq!(day_time(us, Hour, Hour), "INTERVAL '26' HOUR");
        assert_eq!(day_time(0, Second, Second), "INTERVAL '00' SECOND");
        assert_eq!(day_time(i64::MIN, Day, Second), "INTERVAL '-106751991 04:00:54.775808' DAY TO SECOND");
    }

    #[test]
    fn day_time_parses() {
        assert_eq!(parse_day_time("1 2:3:4.5", Day, Second), Ok(93_784_500_000));
        assert_eq!(parse_day_time("INTERVAL -'1 2:3:4' DAY TO SECOND", Day, Second), Ok(-93_784_000_000));
        assert_eq!(parse_day_time("10:11:12.123456789", Hour, Second), Ok(36_672_123_456));
        assert!(parse_day_time("1 24:00:00", Day, Second).is_err());
        assert!(parse_day_time("1 2:3", Day, Second).is_err());
        assert_eq!(parse_day_time(" 1 ", Day, Day), Ok(86_400_000_000));
    }

    #[test]
    fn year_month_parses() {
        assert_eq!(parse_year_month("-1-2", Year, Month), Ok(-14));
        assert_eq!(parse_year_month("INTERVAL -'1-2' YEAR TO MONTH", Year, Month), Ok(-14));
        let e = parse_year_month("2147483648", Month, Month).unwrap_err();
        assert_eq!(e.class(), "INVALID_INTERVAL_FORMAT.INTERVAL_PARSING");
        let e = parse_year_month("abc", Year, Month).unwrap_err();
        assert_eq!(e.parameters()[1].1, "`[+|-]y-m`, `INTERVAL [+|-]'[+|-]y-m' YEAR TO MONTH`");
    }

    #[test]
    fn calendar_intervals() {
        let text = |i: Interval| {
            let mut out = String::new();
            write_calendar_interval(i.months, i.days, i.microseconds, &mut out);
            out
        };
        let there_and_back = |s: &str| parse_calendar_interval(s).map(text);
        assert_eq!(
            there_and_back("1 year 2 months 3 days 4 hours 5 minutes 6.789 seconds").as_deref(),
            Some("1 years 2 months 3 days 4 hours 5 minutes 6.789 seconds")
        );
        assert_eq!(there_and_back("interval 1 day -2 hours").as_deref(), Some("1 days -2 hours"));
        assert_eq!(there_and_back("INTERVAL '3' DAY"), None);
        assert_eq!(there_and_back("1.5 days"), None);
        assert_eq!(there_and_back("-0.5 seconds").as_deref(), Some("-0.5 seconds"));
    }
}
