//! Intervals out of text: the ANSI forms (`INTERVAL '1-2' YEAR TO MONTH`, `1-2`) and the calendar form
//! (`1 years 2 months`).

use boathouse_spec::{DataType, Error, Interval, IntervalField};

use IntervalField::{Day, Hour, Minute, Month, Second, Year};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// Microseconds of one unit of a day-time field.
fn micros_of(field: IntervalField) -> i64 {
    match field {
        Day => MICROS_PER_DAY,
        Hour => MICROS_PER_HOUR,
        Minute => MICROS_PER_MINUTE,
        _ => MICROS_PER_SECOND,
    }
}

fn trim_str(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ' || c == '\u{7f}')
}

/// What of an ANSI interval's text stands between the quotes, and its sign.
fn unwrap_interval(text: &str, start: IntervalField, end: IntervalField) -> Option<(bool, &str)> {
    let text = trim_str(text);
    let (outer, inner) = match text.get(..8).filter(|p| p.eq_ignore_ascii_case("INTERVAL")) {
        None => (false, text),
        Some(_) => {
            let rest = text.get(8..)?;
            let rest = rest.strip_prefix(|c: char| c.is_ascii_whitespace())?.trim_start();
            let (negative, rest) = match rest.as_bytes().first()? {
                b'-' => (true, &rest[1..]),
                b'+' => (false, &rest[1..]),
                _ => (false, rest),
            };
            let (inner, fields) = rest.strip_prefix('\'')?.split_once('\'')?;
            let words: Vec<String> = fields.split_whitespace().map(str::to_ascii_lowercase).collect();
            let wanted: Vec<&str> =
                if start == end { vec![start.name()] } else { vec![start.name(), "to", end.name()] };
            if words != wanted || !fields.starts_with(|c: char| c.is_ascii_whitespace()) {
                return None;
            }
            (negative, inner)
        }
    };
    let (negative, inner) = match inner.as_bytes().first()? {
        b'-' => (true, &inner[1..]),
        b'+' => (false, &inner[1..]),
        _ => (false, inner),
    };
    Some((outer != negative, inner))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn short_digits(text: &str) -> bool {
    text.len() <= 2 && digits(text)
}

/// Months of a year-month interval.
pub fn parse_year_month(text: &str, start: IntervalField, end: IntervalField) -> Result<i32, Error> {
    let unmatched = || {
        let form = match (start, end) {
            (Year, Year) => "y",
            (Month, _) => "m",
            _ => "y-m",
        };
        no_interval(text, "year-month", form, start, end)
    };
    let (negative, inner) = unwrap_interval(text, start, end).ok_or_else(unmatched)?;
    let (years, months) = match (start, end) {
        (Year, Year) if digits(inner) => (inner, "0"),
        (Month, _) if digits(inner) => ("0", inner),
        (Year, Month) => match inner.split_once('-') {
            Some((y, m)) if digits(y) && digits(m) => (y, m),
            _ => return Err(unmatched()),
        },
        _ => return Err(unmatched()),
    };
    let value = || {
        let (y, m): (i64, i64) = (years.parse().ok()?, months.parse().ok()?);
        if start == Year && m > 11 {
            return None;
        }
        let total = y.checked_mul(12)?.checked_add(m)?;
        i32::try_from(if negative { -total } else { total }).ok()
    };
    value().ok_or_else(|| out_of_range(text, "year-month"))
}

/// Microseconds of a day-time interval.
pub fn parse_day_time(text: &str, start: IntervalField, end: IntervalField) -> Result<i64, Error> {
    let unmatched = || {
        let form: String = [(Day, "d"), (Hour, "h"), (Minute, "m"), (Second, "s.n")]
            .into_iter()
            .filter(|(f, _)| *f >= start && *f <= end)
            .map(|(f, name)| match f {
                f if f == start => name.to_string(),
                Hour => format!(" {name}"),
                _ => format!(":{name}"),
            })
            .collect();
        no_interval(text, "day-time", &form, start, end)
    };
    let (negative, mut rest) = unwrap_interval(text, start, end).ok_or_else(unmatched)?;
    let mut total = Some(0i128);
    for field in [Day, Hour, Minute, Second] {
        if field < start || field > end {
            continue;
        }
        let (mut part, after) = if field == end {
            (rest, "")
        } else {
            rest.split_once(if field == Day { ' ' } else { ':' }).ok_or_else(unmatched)?
        };
        rest = after;
        let mut fraction = 0;
        if field == Second
            && let Some((whole, digits_after)) = part.split_once('.')
        {
            if !digits(digits_after) || digits_after.len() > 9 {
                return Err(unmatched());
            }
            fraction = format!("{digits_after:0<6}")[..6].parse::<i128>().unwrap_or(0);
            part = whole;
        }
        if !(if field == start { digits(part) } else { short_digits(part) }) {
            return Err(unmatched());
        }
        let limit = match field {
            _ if field == start => i128::from(i64::MAX),
            Hour => 23,
            _ => 59,
        };
        total =
            part.parse::<i128>().ok().filter(|v| *v <= limit).zip(total).and_then(|(v, sum)| {
                v.checked_mul(i128::from(micros_of(field)))?.checked_add(sum + fraction)
            });
    }
    total
        .and_then(|us| i64::try_from(if negative { -us } else { us }).ok())
        .ok_or_else(|| out_of_range(text, "day-time"))
}

fn no_interval(text: &str, kind: &str, form: &str, start: IntervalField, end: IntervalField) -> Error {
    let t = interval_type(start, end).sql();
    let fields = t.trim_start_matches("INTERVAL ");
    let class = if kind == "year-month" {
        "INVALID_INTERVAL_FORMAT.UNMATCHED_FORMAT_STRING"
    } else {
        "INVALID_INTERVAL_FORMAT.UNMATCHED_FORMAT_STRING_WITH_NOTICE"
    };
    let supported = format!("`[+|-]{form}`, `INTERVAL [+|-]'[+|-]{form}' {fields}`");
    Error::new(class)
        .param("intervalStr", kind)
        .param("supportedFormat", &supported)
        .param("typeName", t.to_lowercase())
        .param("input", text)
        .message(format!(
            "'{text}' is no {} value: it must have one of the forms {supported}.",
            t.to_lowercase()
        ))
}

fn interval_type(start: IntervalField, end: IntervalField) -> DataType {
    match start {
        Year | Month => DataType::YearMonthInterval { start, end },
        _ => DataType::DayTimeInterval { start, end },
    }
}

fn out_of_range(text: &str, kind: &str) -> Error {
    Error::new("INVALID_INTERVAL_FORMAT.INTERVAL_PARSING")
        .param("input", text)
        .param("interval", kind)
        .message(format!("'{text}' is out of the range of {kind} intervals."))
}

/// A calendar interval: `[interval] {[+-]number[.fraction] unit}`; a fraction is for seconds only.
pub fn parse_calendar_interval(text: &str) -> Option<Interval> {
    let lower = trim_str(text).to_ascii_lowercase();
    let mut rest = lower.as_str();
    if let Some(after) = rest.strip_prefix("interval")
        && after.starts_with(|c: char| c.is_ascii_whitespace())
    {
        rest = after.trim_start();
    }
    let (mut months, mut days, mut us) = (0i32, 0i32, 0i64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let negative = rest.starts_with('-');
        rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, mut after) = rest.split_at(end);
        let mut fraction = None;
        if let Some(tail) = after.strip_prefix('.') {
            let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
            if end > 9 || (end == 0 && number.is_empty()) {
                return None;
            }
            fraction = Some(format!("{:0<6}", &tail[..end])[..6].parse::<i64>().ok()?);
            after = &tail[end..];
        } else if number.is_empty() {
            return None;
        }
        if !after.starts_with(|c: char| c.is_ascii_whitespace()) {
            return None;
        }
        let after = after.trim_start();
        let end = after.find(|c: char| c.is_ascii_whitespace()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        rest = after.trim_start();
        let magnitude: i64 = if number.is_empty() { 0 } else { number.parse().ok()? };
        let value = if negative { -magnitude } else { magnitude };
        let unit = unit.strip_suffix('s').unwrap_or(unit);
        if fraction.is_some() && unit != "second" {
            return None;
        }
        let add_us = |us: i64, unit: i64| us.checked_add(value.checked_mul(unit)?);
        match unit {
            "year" => months = months.checked_add(i32::try_from(value.checked_mul(12)?).ok()?)?,
            "month" => months = months.checked_add(i32::try_from(value).ok()?)?,
            "week" => days = days.checked_add(i32::try_from(value.checked_mul(7)?).ok()?)?,
            "day" => days = days.checked_add(i32::try_from(value).ok()?)?,
            "hour" => us = add_us(us, MICROS_PER_HOUR)?,
            "minute" => us = add_us(us, MICROS_PER_MINUTE)?,
            "second" => {
                let fraction = fraction.unwrap_or(0);
                us = add_us(us, MICROS_PER_SECOND)?.checked_add(if negative {
                    -fraction
                } else {
                    fraction
                })?;
            }
            "millisecond" => us = add_us(us, 1000)?,
            "microsecond" => us = add_us(us, 1)?,
            _ => return None,
        }
    }
    Some(Interval { months, days, microseconds: us })
}
