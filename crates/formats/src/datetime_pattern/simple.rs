//! The patterns of Java's `SimpleDateFormat`, which Spark takes under `spark.sql.legacy.timeParserPolicy = LEGACY`: numbers have
//! as many digits as there are, a text may go on behind the pattern, and what a text says must be true (`lenient` is off).

use boathouse_spec::{Error, Result};

use super::compile::Field;
use super::format::{MONTHS, Value, WEEKDAYS, push_padded, zone_name};
use super::{Misfit, Parsed};
use crate::calendar::{checked_date, civil_from_days, day_of_week, day_of_year, days_from_civil, is_leap};
use crate::zone::Zone;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Literal(String),
    Field { letter: char, count: usize },
}

pub(super) fn compile(pattern: &str) -> Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut letters = pattern.chars().peekable();
    let literal = |parts: &mut Vec<Part>, c: char| match parts.last_mut() {
        Some(Part::Literal(text)) => text.push(c),
        _ => parts.push(Part::Literal(c.to_string())),
    };
    let mut quoted = false;
    while let Some(c) = letters.next() {
        match c {
            '\'' if letters.peek() == Some(&'\'') => {
                letters.next();
                literal(&mut parts, '\'');
            }
            '\'' => quoted = !quoted,
            c if quoted || !c.is_ascii_alphabetic() => literal(&mut parts, c),
            c if "GyYMLwWDdFEuaHkKhmsSzZX".contains(c) => {
                let mut count = 1;
                while letters.next_if_eq(&c).is_some() {
                    count += 1;
                }
                if c == 'X' && count > 3 {
                    return Err(illegal(pattern));
                }
                parts.push(Part::Field { letter: c, count });
            }
            _ => return Err(illegal(pattern)),
        }
    }
    if quoted { Err(illegal(pattern)) } else { Ok(parts) }
}

fn illegal(pattern: &str) -> Error {
    Error::new("INVALID_DATETIME_PATTERN.WITH_SUGGESTION")
        .param("pattern", format!("'{pattern}'"))
        .message(format!("'{pattern}' is no pattern of SimpleDateFormat."))
}

/// A letter of the pattern that is not written.
pub(super) fn unwritten(parts: &[Part]) -> Option<char> {
    parts.iter().find_map(|part| match part {
        Part::Field { letter: 'Y', .. } => Some('Y'),
        _ => None,
    })
}

/// Appends the value, or names what it lacks.
pub(super) fn write(parts: &[Part], value: &Value, out: &mut String) -> Result<(), &'static str> {
    for part in parts {
        let (letter, count) = match part {
            Part::Literal(text) => {
                out.push_str(text);
                continue;
            }
            Part::Field { letter, count } => (*letter, *count),
        };
        match letter {
            'G' => out.push_str(if value.field(Field::Era)? > 0 { "AD" } else { "BC" }),
            'M' | 'L' if count >= 3 => push_name(&MONTHS, value.field(Field::Month)?, count, out),
            'E' => push_name(&WEEKDAYS, value.field(Field::DayOfWeek)?, count, out),
            'a' => out.push_str(if value.field(Field::AmPm)? == 0 { "AM" } else { "PM" }),
            'z' | 'Z' | 'X' => write_zone(letter, count, value.zone, out),
            'y' if count == 2 => push_padded(value.field(Field::YearOfEra)?.unsigned_abs() % 100, 2, out),
            _ => push_padded(number_of(letter, value)?.unsigned_abs(), count, out),
        }
    }
    Ok(())
}

fn push_name(names: &[&str], nth: i64, count: usize, out: &mut String) {
    let name = usize::try_from(nth - 1).ok().and_then(|i| names.get(i)).copied().unwrap_or_default();
    out.push_str(if count >= 4 { name } else { name.get(..3).unwrap_or(name) });
}

fn number_of(letter: char, value: &Value) -> Result<i64, &'static str> {
    let day = || value.field(Field::DayOfMonth);
    Ok(match letter {
        'y' => value.field(Field::YearOfEra)?,
        'M' | 'L' => value.field(Field::Month)?,
        'd' => day()?,
        'D' => value.field(Field::DayOfYear)?,
        'u' => value.field(Field::DayOfWeek)?,
        'F' => (day()? - 1) / 7 + 1,
        'H' => value.field(Field::HourOfDay)?,
        'k' => value.field(Field::ClockHourOfDay)?,
        'K' => value.field(Field::HourOfAmPm)?,
        'h' => value.field(Field::ClockHourOfAmPm)?,
        'm' => value.field(Field::Minute)?,
        's' => value.field(Field::Second)?,
        'S' => value.field(Field::Nano)? / 1_000_000,
        'W' => week_of(value.days()? - day()? + 1, day()?),
        'w' => week_of_year(value.days()?, value.field(Field::Year)?),
        _ => return Err("a letter that is not written"),
    })
}

/// The week in which the n-th day after a first one is: weeks begin on Sundays.
fn week_of(first: i64, n: i64) -> i64 {
    let before = i64::from(day_of_week(first) % 7);
    (n - 1 + before) / 7 + 1
}

/// The last days of December may be in the first week of the next year.
fn week_of_year(days: i64, year: i64) -> i64 {
    let next = days_from_civil(year + 1, 1, 1);
    if days >= next - i64::from(day_of_week(next) % 7) {
        return 1;
    }
    week_of(days_from_civil(year, 1, 1), day_of_year(days))
}

fn write_zone(letter: char, count: usize, zone: Option<(&Zone, i32, i64)>, out: &mut String) {
    let (zone, offset, instant) = zone.unwrap_or((&Zone::UTC, 0, 0));
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
    match (letter, count) {
        ('z', _) => out.push_str(zone_name(zone, instant, count >= 4, false)),
        ('X', _) if offset == 0 => out.push('Z'),
        ('X', 1) => out.push_str(&format!("{sign}{hours:02}")),
        ('X', 3) => out.push_str(&format!("{sign}{hours:02}:{minutes:02}")),
        _ => out.push_str(&format!("{sign}{hours:02}{minutes:02}")),
    }
}

/// What a text has said so far.
#[derive(Default)]
struct Said {
    year: Option<i64>,
    is_bc: bool,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    /// Whether the day of the year was said last.
    by_day_of_year: bool,
    /// 1 for Monday.
    weekday: Option<i64>,
    week_in_month: Option<i64>,
    hour: Option<i64>,
    hour_of_half: Option<i64>,
    is_pm: Option<bool>,
    minute: Option<i64>,
    second: Option<i64>,
    millisecond: Option<i64>,
    zone: Option<Zone>,
}

pub(super) fn parse(parts: &[Part], text: &str) -> Result<Parsed, Misfit> {
    let mut said = Said::default();
    let mut at = 0;
    for (i, part) in parts.iter().enumerate() {
        match part {
            Part::Literal(literal) => {
                if !text[at..].starts_with(literal.as_str()) {
                    return Err(Misfit::At(at));
                }
                at += literal.len();
            }
            Part::Field { letter, count } => {
                // Numbers with nothing between them have as many digits as letters.
                let abuts = matches!(parts.get(i + 1), Some(Part::Field { letter, count }) if is_number(*letter, *count));
                let width = abuts.then_some(*count);
                at = said.take(*letter, *count, width, text, at).ok_or(Misfit::At(at))?;
            }
        }
    }
    said.resolve().ok_or_else(|| Misfit::Invalid(format!("Unparseable date: \"{text}\"")))
}

fn is_number(letter: char, count: usize) -> bool {
    !"GEazZX".contains(letter) && (!"ML".contains(letter) || count < 3)
}

impl Said {
    /// Reads a field; gives where it ends.
    fn take(
        &mut self,
        letter: char,
        count: usize,
        width: Option<usize>,
        text: &str,
        at: usize,
    ) -> Option<usize> {
        let at = at + text[at..].len() - text[at..].trim_start_matches([' ', '\t']).len();
        let rest = &text[at..];
        if rest.is_empty() {
            return None;
        }
        match letter {
            'G' => {
                let (i, length) = name(rest, &["BC", "AD"], 2)?;
                self.is_bc = i == 0;
                return Some(at + length);
            }
            'a' => {
                let (i, length) = name(rest, &["AM", "PM"], 2)?;
                self.is_pm = Some(i == 1);
                return Some(at + length);
            }
            'E' => {
                let (i, length) = name(rest, &WEEKDAYS, 3)?;
                self.weekday = Some(i as i64 + 1);
                return Some(at + length);
            }
            'M' | 'L' if count >= 3 => {
                let (i, length) = name(rest, &MONTHS, 3)?;
                self.month = Some(i as i64 + 1);
                self.by_day_of_year = false;
                return Some(at + length);
            }
            'z' | 'Z' | 'X' => {
                let (zone, length) = zone_of(rest)?;
                self.zone = Some(zone);
                return Some(at + length);
            }
            _ => {}
        }
        let (value, length) = number(rest, width)?;
        match letter {
            'y' => {
                let two_digits = count <= 2 && length == 2 && value >= 0;
                self.year = Some(if two_digits { of_century(value) } else { value });
            }
            'M' | 'L' => (self.month, self.by_day_of_year) = (Some(value), false),
            'd' => (self.day, self.by_day_of_year) = (Some(value), false),
            'D' => (self.day_of_year, self.by_day_of_year) = (Some(value), true),
            'u' => self.weekday = Some(value),
            'F' => self.week_in_month = Some(value),
            'H' => self.hour = Some(value),
            'k' => self.hour = Some(if value == 24 { 0 } else { value }),
            'K' => self.hour_of_half = Some(value),
            'h' => self.hour_of_half = Some(if value == 12 { 0 } else { value }),
            'm' => self.minute = Some(value),
            's' => self.second = Some(value),
            'S' => self.millisecond = Some(value),
            _ => return None,
        }
        Some(at + length)
    }

    fn resolve(self) -> Option<Parsed> {
        // The years that dates have.
        if self.year.is_some_and(|year| !(-999_999_999..=999_999_999).contains(&year)) {
            return None;
        }
        let year = match (self.year, self.is_bc) {
            (Some(year), true) => 1 - year,
            (Some(year), false) if year > 0 => year,
            (Some(_), false) => return None,
            (None, _) => 1970,
        };
        let days = match self.day_of_year {
            Some(day) if self.by_day_of_year => {
                (1..=365 + i64::from(is_leap(year))).contains(&day).then_some(())?;
                days_from_civil(year, 1, 1) + day - 1
            }
            _ => {
                let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
                checked_date(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)?
            }
        };
        // What else was said has to be so.
        let (_, month, day) = civil_from_days(days);
        let agrees = |said: Option<i64>, is: i64| said.is_none_or(|said| said == is);
        let fits = agrees(self.month, i64::from(month))
            && agrees(self.day, i64::from(day))
            && agrees(self.day_of_year, day_of_year(days))
            && agrees(self.weekday, i64::from(day_of_week(days)))
            && agrees(self.week_in_month, (i64::from(day) - 1) / 7 + 1);
        let hour = match (self.hour, self.hour_of_half) {
            (Some(hour), _) => hour,
            (None, Some(hour)) if (0..12).contains(&hour) => {
                hour + if self.is_pm.unwrap_or_default() { 12 } else { 0 }
            }
            (None, Some(_)) => return None,
            (None, None) => {
                if self.is_pm.unwrap_or_default() {
                    12
                } else {
                    0
                }
            }
        };
        let fits = fits && self.is_pm.is_none_or(|pm| pm == (hour >= 12));
        let (minute, second) = (self.minute.unwrap_or(0), self.second.unwrap_or(0));
        let millisecond = self.millisecond.unwrap_or(0);
        let in_range = (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second)
            && (0..1000).contains(&millisecond);
        if !(fits && in_range) {
            return None;
        }
        let nanos = (hour * 3600 + minute * 60 + second) * NANOS_PER_SECOND + millisecond * 1_000_000;
        Some(Parsed { days, nanos, zone: self.zone })
    }
}

/// Two digits are a year from 80 years ago to 20 years from now.
fn of_century(value: i64) -> i64 {
    let now = boathouse_spec::clock::now_us().div_euclid(86_400_000_000);
    let first = civil_from_days(now).0 - 80;
    let year = first - first.rem_euclid(100) + value;
    if year < first { year + 100 } else { year }
}

/// A number and its length: digits, behind a minus where it is negative.
fn number(text: &str, width: Option<usize>) -> Option<(i64, usize)> {
    let sign = usize::from(text.starts_with('-') && width.is_none());
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    let digits = width.map_or(digits, |w| digits.min(w));
    if digits == 0 || width.is_some_and(|w| digits < w) {
        return None;
    }
    let end = sign + digits;
    text[..end].parse().ok().map(|value| (value, end))
}

/// Which of the names the text begins with, in any case, whole or by its first letters; and how long it is.
fn name(text: &str, names: &[&str], short: usize) -> Option<(usize, usize)> {
    let begins = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let whole = names.iter().position(|n| begins(n)).map(|i| (i, names[i].len()));
    whole.or_else(|| names.iter().position(|n| begins(&n[..short])).map(|i| (i, short)))
}

/// `Z`, `+01:00`, `+0100`, `+01`, or the name of a zone.
fn zone_of(text: &str) -> Option<(Zone, usize)> {
    let digits = |from: usize| text[from..].bytes().take_while(|b| b.is_ascii_digit() || *b == b':').count();
    if text.starts_with(['+', '-']) {
        let length = 1 + digits(1);
        let plain: String = text[1..length].chars().filter(char::is_ascii_digit).collect();
        let (hours, minutes) = match plain.len() {
            1 | 2 => (plain.parse::<i32>().ok()?, 0),
            3 | 4 => {
                let (h, m) = plain.split_at(plain.len() - 2);
                (h.parse().ok()?, m.parse().ok()?)
            }
            _ => return None,
        };
        let seconds = hours * 3600 + minutes * 60;
        return Some((Zone::offset(if text.starts_with('-') { -seconds } else { seconds }), length));
    }
    let length = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"+-:/_".contains(b)).count();
    Zone::parse(&text[..length]).map(|zone| (zone, length))
}
