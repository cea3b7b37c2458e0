//! Pattern text to items: the letters of `DateTimeFormatter`, and which of them Spark refuses.

use boathouse_spec::{Error, Result};

/// A numeric or named field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Field {
    Year,
    YearOfEra,
    Era,
    Month,
    DayOfMonth,
    DayOfYear,
    /// The day within its week, weeks beginning on the first of the month.
    DayOfAlignedWeek,
    DayOfWeek,
    Quarter,
    ModifiedJulianDay,
    HourOfDay,
    ClockHourOfDay,
    HourOfAmPm,
    ClockHourOfAmPm,
    AmPm,
    Minute,
    Second,
    OffsetSeconds,
    Nano,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// A minus where negative.
    Normal,
    /// None at all.
    Never,
    /// Also a plus where the number is wider than its padding.
    ExceedsPad,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) field: Field,
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) sign: Sign,
    /// Two digits of a year from 2000 to 2099.
    pub(super) reduced: bool,
    /// Digits that the fixed-width numbers right behind this one need.
    pub(super) reserved: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OffsetStyle {
    /// 1 `+HHmm`, 3 `+HHMM`, 4 `+HH:MM`, 5 `+HHMMss`, 6 `+HH:MM:ss`: Java's numbering.
    pub(super) kind: u8,
    /// What stands for zero.
    pub(super) zero: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Literal(String),
    Optional(Vec<Item>),
    Number(Number),
    /// Digits of the second after its point.
    Fraction {
        min: usize,
        max: usize,
    },
    Text {
        field: Field,
        full: bool,
    },
    Offset(OffsetStyle),
    LocalizedOffset {
        full: bool,
    },
    ZoneId,
    ZoneName {
        full: bool,
        generic: bool,
    },
}

pub(super) fn compile(pattern: &str, parsing: bool) -> Result<Vec<Item>> {
    check_letters(pattern, parsing)?;
    let compiler =
        Compiler { parsing, year_of_era: has_unquoted(pattern, 'G'), stack: vec![Level::default()] };
    compiler.run(pattern).map_err(|Refused| unrecognized(pattern))
}

/// Java would not take the pattern.
struct Refused;

#[derive(Default)]
struct Level {
    items: Vec<Item>,
    /// The number that gives digits to those behind it.
    active: Option<usize>,
}

struct Compiler {
    parsing: bool,
    /// With an era in the pattern, `y` is the year of it.
    year_of_era: bool,
    stack: Vec<Level>,
}

impl Compiler {
    fn run(mut self, pattern: &str) -> Result<Vec<Item>, Refused> {
        let chars: Vec<char> = pattern.chars().collect();
        let mut i = 0;
        while i < chars.len() {
            let c = chars[i];
            match c {
                'a'..='z' | 'A'..='Z' => {
                    let count = chars[i..].iter().take_while(|x| **x == c).count();
                    self.letter(c, count)?;
                    i += count;
                }
                '\'' => i = self.quoted(&chars, i)?,
                '[' => {
                    self.top()?.active = None;
                    self.stack.push(Level::default());
                    i += 1;
                }
                ']' => {
                    if self.stack.len() < 2 {
                        return Err(Refused);
                    }
                    self.close()?;
                    i += 1;
                }
                '{' | '}' | '#' => return Err(Refused),
                other => {
                    self.literal(other)?;
                    i += 1;
                }
            }
        }
        while self.stack.len() > 1 {
            self.close()?;
        }
        self.stack.pop().map(|level| level.items).ok_or(Refused)
    }

    fn top(&mut self) -> Result<&mut Level, Refused> {
        self.stack.last_mut().ok_or(Refused)
    }

    fn close(&mut self) -> Result<(), Refused> {
        let inner = self.stack.pop().ok_or(Refused)?;
        let level = self.top()?;
        level.active = None;
        if !inner.items.is_empty() {
            level.items.push(Item::Optional(inner.items));
        }
        Ok(())
    }

    fn literal(&mut self, c: char) -> Result<(), Refused> {
        let level = self.top()?;
        level.active = None;
        match level.items.last_mut() {
            Some(Item::Literal(text)) => text.push(c),
            _ => level.items.push(Item::Literal(c.to_string())),
        }
        Ok(())
    }

    fn quoted(&mut self, chars: &[char], start: usize) -> Result<usize, Refused> {
        if chars.get(start + 1) == Some(&'\'') {
            self.literal('\'')?;
            return Ok(start + 2);
        }
        let mut i = start + 1;
        loop {
            match (chars.get(i), chars.get(i + 1)) {
                (None, _) => return Err(Refused),
                (Some('\''), Some('\'')) => {
                    self.literal('\'')?;
                    i += 2;
                }
                (Some('\''), _) => return Ok(i + 1),
                (Some(c), _) => {
                    self.literal(*c)?;
                    i += 1;
                }
            }
        }
    }

    fn item(&mut self, item: Item) -> Result<(), Refused> {
        let level = self.top()?;
        level.active = None;
        level.items.push(item);
        Ok(())
    }

    /// A number next to a number: the first one leaves the digits that the fixed ones behind it need.
    fn number(&mut self, number: Number) -> Result<(), Refused> {
        let level = self.top()?;
        let fixed = number.min == number.max && number.sign == Sign::Never;
        match level.active {
            Some(active) if fixed => {
                if let Some(Item::Number(first)) = level.items.get_mut(active) {
                    first.reserved += number.max;
                }
            }
            _ => level.active = Some(level.items.len()),
        }
        level.items.push(Item::Number(number));
        Ok(())
    }

    fn value(&mut self, field: Field, min: usize, max: usize, sign: Sign) -> Result<(), Refused> {
        self.number(Number { field, min, max, sign, reduced: false, reserved: 0 })
    }

    /// One letter for a number as wide as it is, two for one padded to two digits.
    fn one_or_two(&mut self, field: Field, count: usize) -> Result<(), Refused> {
        match count {
            1 => self.value(field, 1, 19, Sign::Normal),
            2 => self.value(field, 2, 2, Sign::Never),
            _ => Err(Refused),
        }
    }

    /// One or two letters for a number, three for the short name, four for the long one.
    fn number_or_text(&mut self, field: Field, count: usize) -> Result<(), Refused> {
        match count {
            1 | 2 => self.one_or_two(field, count),
            3 | 4 => self.item(Item::Text { field, full: count == 4 }),
            _ => Err(Refused),
        }
    }

    fn letter(&mut self, letter: char, count: usize) -> Result<(), Refused> {
        match letter {
            'y' | 'u' => {
                let field = if self.year_of_era { Field::YearOfEra } else { Field::Year };
                match count {
                    2 => {
                        let sign = Sign::Never;
                        self.number(Number { field, min: 2, max: 2, sign, reduced: true, reserved: 0 })
                    }
                    1 | 3 => self.value(field, count, 19, Sign::Normal),
                    _ => self.value(field, count, 19, Sign::ExceedsPad),
                }
            }
            'M' | 'L' => self.number_or_text(Field::Month, count),
            'Q' | 'q' => self.number_or_text(Field::Quarter, count),
            'E' if count <= 4 => self.item(Item::Text { field: Field::DayOfWeek, full: count == 4 }),
            'G' if count <= 4 => self.item(Item::Text { field: Field::Era, full: count == 4 }),
            'a' if count == 1 => self.item(Item::Text { field: Field::AmPm, full: false }),
            'd' => self.one_or_two(Field::DayOfMonth, count),
            'D' => match count {
                1 => self.value(Field::DayOfYear, 1, 19, Sign::Normal),
                2 | 3 => self.value(Field::DayOfYear, count, 3, Sign::Never),
                _ => Err(Refused),
            },
            'F' if count == 1 => self.value(Field::DayOfAlignedWeek, 1, 19, Sign::Normal),
            'g' => self.value(Field::ModifiedJulianDay, count.min(19), 19, Sign::Normal),
            'H' => self.one_or_two(Field::HourOfDay, count),
            'k' => self.one_or_two(Field::ClockHourOfDay, count),
            'K' => self.one_or_two(Field::HourOfAmPm, count),
            'h' => self.one_or_two(Field::ClockHourOfAmPm, count),
            'm' => self.one_or_two(Field::Minute, count),
            's' => self.one_or_two(Field::Second, count),
            'S' if count <= 9 => self.fraction(count),
            'V' if count == 2 => self.item(Item::ZoneId),
            'v' if count == 1 || count == 4 => self.item(Item::ZoneName { full: count == 4, generic: true }),
            'z' if count <= 4 => self.item(Item::ZoneName { full: count == 4, generic: false }),
            'O' if count == 1 || count == 4 => self.item(Item::LocalizedOffset { full: count == 4 }),
            'X' if count <= 5 => self.item(Item::Offset(OffsetStyle { kind: offset_kind(count), zero: "Z" })),
            'x' if count <= 5 => {
                let zero = match count {
                    1 => "+00",
                    2 | 4 => "+0000",
                    _ => "+00:00",
                };
                self.item(Item::Offset(OffsetStyle { kind: offset_kind(count), zero }))
            }
            'Z' => match count {
                1..=3 => self.item(Item::Offset(OffsetStyle { kind: 3, zero: "+0000" })),
                4 => self.item(Item::LocalizedOffset { full: true }),
                5 => self.item(Item::Offset(OffsetStyle { kind: 6, zero: "Z" })),
                _ => Err(Refused),
            },
            _ => Err(Refused),
        }
    }

    fn fraction(&mut self, count: usize) -> Result<(), Refused> {
        let min = if self.parsing { 1 } else { count };
        let level = self.top()?;
        // A fraction of exactly that many digits takes part in adjacent numbers; one of varying length does not.
        match level.active {
            Some(active) if min == count => {
                if let Some(Item::Number(first)) = level.items.get_mut(active) {
                    first.reserved += count;
                }
            }
            _ => level.active = None,
        }
        level.items.push(Item::Fraction { min, max: count });
        Ok(())
    }
}

fn offset_kind(count: usize) -> u8 {
    match count {
        1 => 1,
        2 => 3,
        3 => 4,
        4 => 5,
        _ => 6,
    }
}

/// The parts of a pattern that are not in quotes, in Spark's way of telling them: every second piece between quotes.
fn unquoted(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split('\'').step_by(2)
}

fn has_unquoted(pattern: &str, letter: char) -> bool {
    unquoted(pattern).any(|part| part.contains(letter))
}

/// Letters and lengths that Spark refuses before Java sees them.
fn check_letters(pattern: &str, parsing: bool) -> Result<()> {
    for part in unquoted(pattern) {
        if let Some(c) = part.chars().find(|c| "YWwuec".contains(*c)) {
            return Err(if legacy_accepts(pattern) {
                legacy_pattern(pattern)
            } else {
                Error::new("INCONSISTENT_BEHAVIOR_CROSS_VERSION.DATETIME_WEEK_BASED_PATTERN")
                    .param("c", c)
                    .message(format!(
                        "The pattern letter {c} counts in weeks. Use the SQL function EXTRACT instead."
                    ))
            });
        }
        let refused = |c: &char| "ABnNp".contains(*c) || (parsing && "EFqQ".contains(*c));
        if let Some(c) = part.chars().find(refused) {
            return Err(if legacy_accepts(pattern) {
                legacy_pattern(pattern)
            } else {
                Error::new("INVALID_DATETIME_PATTERN.ILLEGAL_CHARACTER")
                    .param("c", c)
                    .param("pattern", pattern)
                    .message(format!(
                        "The pattern '{pattern}' has the letter '{c}', which is not allowed here."
                    ))
            });
        }
        let too_long = ["GGGGG", "MMMMM", "LLLLL", "EEEEE", "QQQQQ", "qqqqq", "yyyyyyy"];
        if too_long.iter().any(|style| part.contains(style)) {
            return Err(if legacy_accepts(pattern) {
                legacy_pattern(pattern)
            } else {
                Error::new("INVALID_DATETIME_PATTERN.LENGTH")
                    .param("pattern", pattern)
                    .message(format!("The pattern '{pattern}' repeats a letter too often."))
            });
        }
    }
    Ok(())
}

fn unrecognized(pattern: &str) -> Error {
    if legacy_accepts(pattern) {
        return legacy_pattern(pattern);
    }
    Error::new("INVALID_DATETIME_PATTERN.WITH_SUGGESTION")
        .param("pattern", quoted(pattern))
        .param("docroot", DOCROOT)
        .message(format!(
            "'{pattern}' is not a datetime pattern: a letter, a repetition or a bracket is wrong."
        ))
}

/// Of a pattern that Spark 2 would have taken.
pub(super) const OF_OLDER_VERSIONS: &str = "INCONSISTENT_BEHAVIOR_CROSS_VERSION.DATETIME_PATTERN_RECOGNITION";
const DOCROOT: &str = "https://spark.apache.org/docs/latest";

/// Spark 2 would have taken the pattern, and Spark says so instead of guessing what is meant now.
fn legacy_pattern(pattern: &str) -> Error {
    Error::new(OF_OLDER_VERSIONS)
        .param("pattern", quoted(pattern))
        .param("config", "\"spark.sql.legacy.timeParserPolicy\"")
        .param("docroot", DOCROOT)
        .message(format!(
            "The pattern '{pattern}' was a datetime pattern in Spark 2 and is none since Spark 3. \
             Write it with the letters of the datetime pattern reference."
        ))
}

fn quoted(pattern: &str) -> String {
    format!("'{}'", pattern.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Whether Java's `SimpleDateFormat`, the formatter of Spark 2, takes the pattern.
fn legacy_accepts(pattern: &str) -> bool {
    let (mut in_quotes, mut chars) = (false, pattern.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '\'' if chars.peek() == Some(&'\'') => {
                chars.next();
            }
            '\'' => in_quotes = !in_quotes,
            'a'..='z' | 'A'..='Z' if !in_quotes => {
                let mut count = 1;
                while chars.peek() == Some(&c) {
                    chars.next();
                    count += 1;
                }
                if !"GyMwWDdFEaHkKhmsSzZYuXL".contains(c) || (c == 'X' && count > 3) {
                    return false;
                }
            }
            _ => {}
        }
    }
    !in_quotes
}
