//! Intervals as text: `INTERVAL '1 02:03:04.5' DAY TO SECOND`.

use boathouse_spec::IntervalField;

use crate::datetime_text::push_fraction;

/// Appends a day-time interval in its ANSI form.
pub fn write_day_time(us: i64, start: IntervalField, end: IntervalField, out: &mut String) {
    let total = us.unsigned_abs();
    let seconds = total / 1_000_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600, seconds / 60);
    out.push_str("INTERVAL '");
    if us < 0 {
        out.push('-');
    }
    let mut leading = true;
    for field in [IntervalField::Day, IntervalField::Hour, IntervalField::Minute, IntervalField::Second] {
        if field < start || field > end {
            continue;
        }
        let (separator, value) = match field {
            IntervalField::Day => ("", days),
            IntervalField::Hour => (" ", if leading { hours } else { hours % 24 }),
            IntervalField::Minute => (":", if leading { minutes } else { minutes % 60 }),
            _ => (":", if leading { seconds } else { seconds % 60 }),
        };
        if !leading {
            out.push_str(separator);
        }
        if field == IntervalField::Day {
            out.push_str(&value.to_string());
        } else {
            out.push_str(&format!("{value:02}"));
        }
        if field == IntervalField::Second {
            push_fraction((total % 1_000_000) as i64, out);
        }
        leading = false;
    }
    close(start, end, out);
}

/// Appends a year-month interval in its ANSI form.
pub fn write_year_month(months: i32, start: IntervalField, end: IntervalField, out: &mut String) {
    let total = months.unsigned_abs();
    out.push_str("INTERVAL '");
    if months < 0 {
        out.push('-');
    }
    out.push_str(&match (start, end) {
        (IntervalField::Year, IntervalField::Year) => format!("{}", total / 12),
        (IntervalField::Month, _) => format!("{total}"),
        _ => format!("{}-{}", total / 12, total % 12),
    });
    close(start, end, out);
}

fn close(start: IntervalField, end: IntervalField, out: &mut String) {
    out.push_str("' ");
    out.push_str(&start.name().to_uppercase());
    if start != end {
        out.push_str(" TO ");
        out.push_str(&end.name().to_uppercase());
    }
}

/// Appends a calendar interval: `1 years 2 months 25 days 5 hours 6 minutes 7.5 seconds`.
pub fn write_calendar(months: i32, days: i32, us: i64, out: &mut String) {
    let mut parts = Vec::new();
    let mut part = |value: i64, unit: &str| {
        if value != 0 {
            parts.push(format!("{value} {unit}"));
        }
    };
    part(i64::from(months / 12), "years");
    part(i64::from(months % 12), "months");
    part(i64::from(days), "days");
    part(us / 3_600_000_000, "hours");
    part(us % 3_600_000_000 / 60_000_000, "minutes");
    let rest = us % 60_000_000;
    if rest != 0 {
        let mut seconds = if rest < 0 { "-".to_string() } else { String::new() };
        seconds.push_str(&(rest.unsigned_abs() / 1_000_000).to_string());
        push_fraction((rest.unsigned_abs() % 1_000_000) as i64, &mut seconds);
        parts.push(format!("{seconds} seconds"));
    }
    out.push_str(&if parts.is_empty() { "0 seconds".to_string() } else { parts.join(" ") });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_sparks() {
        let day_time = |us, start, end| {
            let mut out = String::new();
            write_day_time(us, start, end, &mut out);
            out
        };
        use IntervalField::*;
        assert_eq!(day_time(86_400_000_000, Day, Day), "INTERVAL '1' DAY");
        assert_eq!(day_time(93_784_500_000, Day, Second), "INTERVAL '1 02:03:04.5' DAY TO SECOND");
        assert_eq!(day_time(-93_784_500_000, Hour, Minute), "INTERVAL '-26:03' HOUR TO MINUTE");
        let mut out = String::new();
        write_year_month(14, Year, Month, &mut out);
        write_calendar(14, 25, 18_367_500_000, &mut out);
        assert_eq!(out, "INTERVAL '1-2' YEAR TO MONTH1 years 2 months 25 days 5 hours 6 minutes 7.5 seconds");
    }
}
