//! Interval literals: the text form, unit lists, and ANSI's from-to form.

use boathouse_spec::{DataType, Error, Expr, Interval, IntervalField, Literal, Result};

use crate::error;
use crate::lexer::Kind;
use crate::parser::Parser;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

const UNITS: &[&str] = &[
    "NANOSECOND",
    "NANOSECONDS",
    "MICROSECOND",
    "MICROSECONDS",
    "MILLISECOND",
    "MILLISECONDS",
    "SECOND",
    "SECONDS",
    "MINUTE",
    "MINUTES",
    "HOUR",
    "HOURS",
    "DAY",
    "DAYS",
    "WEEK",
    "WEEKS",
    "MONTH",
    "MONTHS",
    "YEAR",
    "YEARS",
];
const FROM_TO_UNITS: &[&str] = &["SECOND", "MINUTE", "HOUR", "DAY", "MONTH", "YEAR"];

/// Why text is no interval: the subclass of INVALID_INTERVAL_FORMAT, with its parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IntervalError {
    class: &'static str,
    parameter: Option<(&'static str, String)>,
}

impl IntervalError {
    fn new(class: &'static str) -> Self {
        Self { class, parameter: None }
    }

    fn of(class: &'static str, key: &'static str, value: impl Into<String>) -> Self {
        Self { class, parameter: Some((key, value.into())) }
    }

    fn into_error(self, input: &str) -> Error {
        let error = Error::new(format!("INVALID_INTERVAL_FORMAT.{}", self.class)).param("input", input);
        let error = match &self.parameter {
            Some((key, value)) => error.param(key, value),
            None => error,
        };
        let reason = self.class.to_lowercase().replace('_', " ");
        let what = self.parameter.map(|(_, value)| format!(" {value}")).unwrap_or_default();
        error
            .message(format!("'{input}' is not an interval: {reason}{what}."))
            .exception("IllegalArgumentException")
    }
}

/// An interval and the fields that were named in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ParsedInterval {
    pub months: i32,
    pub days: i32,
    pub microseconds: i64,
    /// Coarse to fine by [`IntervalField`]; weeks are days, fractions of a second are seconds.
    fields: Vec<IntervalField>,
}

impl ParsedInterval {
    pub fn value(&self) -> Interval {
        Interval { months: self.months, days: self.days, microseconds: self.microseconds }
    }

    fn add(&mut self, value: &str, unit: &str) -> Result<(), IntervalError> {
        let singular = unit.strip_suffix('s').unwrap_or(unit);
        let negative = value.starts_with('-');
        let digits = value.trim_start_matches(['-', '+']);
        let (whole, fraction) = match digits.split_once('.') {
            Some((w, f)) => (w, Some(f)),
            None => (digits, None),
        };
        let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !fraction.is_none_or(all_digits) || (whole.is_empty() && fraction.is_none())
        {
            return Err(IntervalError::of("UNRECOGNIZED_NUMBER", "number", value));
        }
        if fraction.is_some() && singular != "second" {
            return Err(IntervalError::of("INVALID_FRACTION", "unit", unit));
        }
        if whole.is_empty() && fraction == Some("") {
            return Err(IntervalError::of("INVALID_VALUE", "value", value));
        }
        let overflow = || IntervalError::new("ARITHMETIC_EXCEPTION");
        let mut number: i64 = if whole.is_empty() {
            0
        } else {
            format!("{}{whole}", if negative { "-" } else { "" }).parse().map_err(|_| overflow())?
        };
        let months_per = match singular {
            "year" => Some((12, IntervalField::Year)),
            "month" => Some((1, IntervalField::Month)),
            _ => None,
        };
        if let Some((factor, field)) = months_per {
            let months = number.checked_mul(factor).and_then(|m| m.checked_add(self.months.into()));
            self.months = months.and_then(|m| m.try_into().ok()).ok_or_else(overflow)?;
            self.fields.push(field);
            return Ok(());
        }
        if matches!(singular, "week" | "day") {
            number = number.checked_mul(if singular == "week" { 7 } else { 1 }).ok_or_else(overflow)?;
            let days = number.checked_add(self.days.into());
            self.days = days.and_then(|d| d.try_into().ok()).ok_or_else(overflow)?;
            self.fields.push(IntervalField::Day);
            return Ok(());
        }
        let (factor, field) = match singular {
            "hour" => (MICROS_PER_HOUR, IntervalField::Hour),
            "minute" => (MICROS_PER_MINUTE, IntervalField::Minute),
            "second" => (MICROS_PER_SECOND, IntervalField::Second),
            "millisecond" => (1000, IntervalField::Second),
            "microsecond" => (1, IntervalField::Second),
            _ => return Err(IntervalError::of("INVALID_UNIT", "unit", unit)),
        };
        let mut micros = number.checked_mul(factor).ok_or_else(overflow)?;
        if let Some(fraction) = fraction {
            if fraction.len() > 9 {
                return Err(IntervalError::of("INVALID_PRECISION", "value", value));
            }
            let padded = format!("{fraction:0<6}");
            let part: i64 = padded[..6].parse().unwrap_or(0);
            micros = micros.checked_add(if negative { -part } else { part }).ok_or_else(overflow)?;
        }
        self.microseconds = self.microseconds.checked_add(micros).ok_or_else(overflow)?;
        self.fields.push(field);
        Ok(())
    }
}

/// Reads `[interval] number unit [number unit ...]`, signs apart from their numbers allowed.
pub(crate) fn parse_interval(text: &str) -> Result<ParsedInterval, IntervalError> {
    let lower = text.to_ascii_lowercase();
    let mut words = lower.split(|c: char| c.is_whitespace() || c <= ' ').filter(|w| !w.is_empty()).peekable();
    if words.peek() == Some(&"interval") {
        words.next();
    }
    let mut out = ParsedInterval::default();
    while let Some(word) = words.next() {
        let value = if matches!(word, "-" | "+") {
            let number = words.next().ok_or_else(|| IntervalError::of("MISSING_NUMBER", "word", word))?;
            if number.starts_with(['-', '+']) {
                return Err(IntervalError::of("UNRECOGNIZED_NUMBER", "number", number));
            }
            format!("{word}{number}")
        } else {
            word.to_string()
        };
        if value.chars().skip(1).any(|c| matches!(c, '-' | '+')) {
            return Err(IntervalError::of("UNRECOGNIZED_NUMBER", "number", value));
        }
        let unit = words.next().ok_or_else(|| IntervalError::of("MISSING_UNIT", "word", &value))?;
        out.add(&value, unit)?;
    }
    if out.fields.is_empty() {
        return Err(IntervalError::new("INPUT_IS_EMPTY"));
    }
    Ok(out)
}

/// Whether text is a number as the value part of a unit list allows it.
fn is_plain_number(text: &str) -> bool {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text).trim_start();
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

impl Parser<'_> {
    /// Whether an INTERVAL literal stands here (and not a name `interval`).
    pub fn at_interval(&self) -> bool {
        if !self.at("INTERVAL") {
            return false;
        }
        let mut offset = 1;
        if self.symbol_at(offset, "+") || self.symbol_at(offset, "-") {
            offset += 1;
        }
        let Some(length) = self.interval_value_at(offset) else { return false };
        let token = self.peek_at(offset);
        let is_number = matches!(token.kind, Kind::Integer | Kind::Decimal);
        // Without a unit it is a typed literal (a string alone), or arithmetic with a column of that name.
        self.is_string(token) || (is_number && offset == 1) || self.at_unit(offset + length)
    }

    /// How many tokens the value of an interval at an offset takes, without its sign: a number, strings that stand side by
    /// side, or a parameter. None where there is no value.
    fn interval_value_at(&self, offset: usize) -> Option<usize> {
        if matches!(self.peek_at(offset).kind, Kind::Integer | Kind::Decimal) {
            return Some(1);
        }
        let strings = (0usize..).take_while(|n| self.is_string(self.peek_at(offset + n))).count();
        if strings > 0 { Some(strings) } else { self.known_marker_at(offset) }
    }

    fn sign_length(&self) -> usize {
        usize::from(self.at_symbol("+") || self.at_symbol("-"))
    }

    fn at_unit(&self, offset: usize) -> bool {
        UNITS.iter().any(|u| self.at_offset(offset, u))
    }

    /// `INTERVAL` with a unit list or in the from-to form.
    pub fn interval(&mut self) -> Result<Literal> {
        let literal = self.interval_or_error()?;
        Ok(literal.unwrap_or_else(|error| {
            self.note(error);
            Literal::NULL
        }))
    }

    /// The outer error is one of syntax, the inner of meaning.
    fn interval_or_error(&mut self) -> Result<Result<Literal>> {
        let start = self.pos;
        self.expect("INTERVAL")?;
        if self.is_from_to() {
            let literal = self.fielded_interval()?;
            if self.at_interval_value() && self.interval_goes_on() {
                return Ok(Err(self.two_forms(start)));
            }
            return Ok(literal);
        }
        let mut parsed = ParsedInterval::default();
        let mut failed = None;
        let mut input = String::new();
        loop {
            let value_start = self.pos;
            let value = self.interval_value()?;
            if !is_plain_number(&value) && !value.trim().is_empty() && failed.is_none() {
                let error = Error::new("_LEGACY_ERROR_TEMP_0026")
                    .param("value", &value)
                    .message(format!("The value before an interval's unit must be a number, not {value}."));
                failed = Some(self.error_about(value_start, self.pos, error));
            }
            let Some(unit) = self.eat_any(UNITS) else { return Err(self.unexpected()) };
            let text = value.split_whitespace().collect::<String>();
            let unit = unit.to_ascii_lowercase();
            input.push_str(&format!(" {value} {unit}"));
            if failed.is_none() {
                failed = parsed.add(&text, &unit).err().map(|e| e.into_error(&input));
            }
            if !self.interval_goes_on() {
                break;
            }
            if self.is_from_to() {
                self.interval_value()?;
                self.pos += 3;
                return Ok(Err(self.two_forms(start)));
            }
        }
        Ok(match failed {
            Some(error) => Err(error),
            None => self.typed_interval(start, parsed),
        })
    }

    fn at_interval_value(&self) -> bool {
        self.interval_value_at(self.sign_length()).is_some()
    }

    /// Whether another value with its unit follows (a sign may belong to arithmetic instead).
    fn interval_goes_on(&self) -> bool {
        let sign = self.sign_length();
        self.interval_value_at(sign).is_some_and(|length| self.at_unit(sign + length))
    }

    fn is_from_to(&self) -> bool {
        let sign = self.sign_length();
        let Some(length) = self.interval_value_at(sign) else { return false };
        let unit = sign + length;
        FROM_TO_UNITS.iter().any(|u| self.at_offset(unit, u))
            && self.at_offset(unit + 1, "TO")
            && FROM_TO_UNITS.iter().any(|u| self.at_offset(unit + 2, u))
    }

    fn two_forms(&mut self, start: usize) -> Error {
        if self.at_interval_value() && self.interval_goes_on() {
            let _ = self.interval_value();
            self.pos += if self.at_offset(1, "TO") { 3 } else { 1 };
        }
        self.error_from(
            start,
            Error::new("_LEGACY_ERROR_TEMP_0024").message(
                "An interval literal has either a list of units or one from-to unit, and that once.",
            ),
        )
    }

    /// The value with its sign; `- '-1'` is `1`.
    fn interval_value(&mut self) -> Result<String> {
        let negative = self.at_symbol("-");
        if negative || self.at_symbol("+") {
            self.advance();
        }
        let token = self.peek();
        let value = if matches!(token.kind, Kind::Integer | Kind::Decimal) {
            self.advance();
            self.source(token).to_string()
        } else if self.known_marker_at(0).is_some() {
            let start = self.pos;
            match self.parameter()? {
                Expr::Literal(Literal::Integer(number)) => number.to_string(),
                Expr::Literal(Literal::String(text)) => text,
                _ => return Err(self.unexpected_at(start)),
            }
        } else {
            self.string_literal()?
        };
        if !negative {
            return Ok(value);
        }
        let trimmed = value.trim_start();
        Ok(match trimmed.strip_prefix('-') {
            Some(rest) => rest.to_string(),
            None => format!("-{trimmed}"),
        })
    }

    fn fielded_interval(&mut self) -> Result<Result<Literal>> {
        let start = self.pos;
        let is_text = !matches!(self.peek_at(self.sign_length()).kind, Kind::Integer | Kind::Decimal);
        let value = self.interval_value()?;
        let from = self.advance().text.to_ascii_lowercase();
        self.expect("TO")?;
        let to = self.advance().text.to_ascii_lowercase();
        if !is_text {
            return Ok(Err(self.error_from(
                start,
                Error::new("_LEGACY_ERROR_TEMP_0027")
                    .message("The value of a from-to interval must be a string."),
            )));
        }
        let unsupported = || {
            Error::new("INVALID_INTERVAL_FORMAT.UNSUPPORTED_FROM_TO_EXPRESSION")
                .param("input", &value)
                .param("from", &from)
                .param("to", &to)
                .message(format!("There is no interval from {from} to {to}: '{value}'."))
        };
        let result = match (IntervalField::parse(&from), IntervalField::parse(&to)) {
            (Some(IntervalField::Year), Some(IntervalField::Month)) => {
                year_month(&value, self.options.legacy_interval)
            }
            (Some(a), Some(b)) if a >= IntervalField::Day && a < b => {
                day_time(&value, a, b, self.options.legacy_interval)
            }
            _ => Err(unsupported()),
        };
        Ok(result.map_err(|e| self.error_from(start, e)))
    }

    /// The literal of an interval whose named fields tell its type.
    pub fn typed_interval(&self, start: usize, parsed: ParsedInterval) -> Result<Literal> {
        if self.options.legacy_interval {
            return Ok(Literal::CalendarInterval(parsed.value()));
        }
        let finest = parsed.fields.iter().max().copied().unwrap_or(IntervalField::Second);
        let coarsest = parsed.fields.iter().min().copied().unwrap_or(IntervalField::Second);
        if coarsest <= IntervalField::Month {
            if finest > IntervalField::Month {
                let literal = self.text_from(start);
                return Err(self.error_from(
                    start,
                    Error::new("_LEGACY_ERROR_TEMP_0029").param("literal", literal).message(format!(
                        "An interval holds either years and months or days and times: {literal}."
                    )),
                ));
            }
            let data_type = DataType::YearMonthInterval { start: coarsest, end: finest };
            return Ok(Literal::YearMonthInterval { months: parsed.months, data_type });
        }
        let days = i64::from(parsed.days).checked_mul(MICROS_PER_DAY);
        let Some(microseconds) = days.and_then(|d| d.checked_add(parsed.microseconds)) else {
            return Err(Error::new("INTERVAL_ARITHMETIC_OVERFLOW.WITHOUT_SUGGESTION")
                .message("The interval is larger than its type holds.")
                .exception("ArithmeticException"));
        };
        let data_type = DataType::DayTimeInterval { start: coarsest, end: finest };
        Ok(Literal::DayTimeInterval { microseconds, data_type })
    }
}

/// Takes a sign, and white space around it.
fn signed(text: &str) -> (i64, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    }
}

fn number_within(text: &str, max_digits: usize) -> Option<i64> {
    (1..=max_digits).contains(&text.len()).then_some(())?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn year_month(value: &str, legacy: bool) -> Result<Literal> {
    let unmatched = || {
        Error::new("INVALID_INTERVAL_FORMAT.UNMATCHED_FORMAT_STRING")
            .param("input", value)
            .param("intervalStr", "year-month")
            .param("supportedFormat", "`[+|-]y-m`, `INTERVAL [+|-]'[+|-]y-m' YEAR TO MONTH`")
            .param("typeName", "interval year to month")
            .message(format!("'{value}' is not of the form [+|-]y-m of an interval year to month."))
    };
    let overflow = || {
        Error::new("INVALID_INTERVAL_FORMAT.INTERVAL_PARSING")
            .param("input", value)
            .param("interval", "year-month")
            .message(format!("The year-month interval '{value}' is out of range."))
    };
    let (sign, rest) = signed(value.trim());
    let (years, months) = rest.split_once('-').ok_or_else(unmatched)?;
    let all_digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(years) || !all_digits(months) {
        return Err(unmatched());
    }
    let number = |t: &str| t.parse::<i64>().ok().filter(|n| *n <= i64::from(i32::MAX));
    let (years, months) = number(years).zip(number(months)).ok_or_else(overflow)?;
    if months > 11 {
        return Err(overflow());
    }
    let total = i32::try_from(sign * (years * 12 + months)).map_err(|_| overflow())?;
    if legacy {
        return Ok(Literal::CalendarInterval(Interval { months: total, days: 0, microseconds: 0 }));
    }
    Ok(Literal::YearMonthInterval { months: total, data_type: DataType::YEAR_MONTH })
}

fn day_time(value: &str, from: IntervalField, to: IntervalField, legacy: bool) -> Result<Literal> {
    let letter = |f: IntervalField| match f {
        IntervalField::Day => "d",
        IntervalField::Hour => "h",
        IntervalField::Minute => "m",
        _ => "s.n",
    };
    let all = [IntervalField::Day, IntervalField::Hour, IntervalField::Minute, IntervalField::Second];
    let fields: Vec<IntervalField> = all.into_iter().filter(|f| (from..=to).contains(f)).collect();
    let unmatched = || {
        let mut shape = String::new();
        for (i, f) in fields.iter().enumerate() {
            if i > 0 {
                shape.push(if fields[i - 1] == IntervalField::Day { ' ' } else { ':' });
            }
            shape.push_str(letter(*f));
        }
        let (from_name, to_name) = (from.name(), to.name());
        let range = format!("{} TO {}", from_name.to_uppercase(), to_name.to_uppercase());
        Error::new("INVALID_INTERVAL_FORMAT.UNMATCHED_FORMAT_STRING_WITH_NOTICE")
            .param("input", value)
            .param("intervalStr", "day-time")
            .param("supportedFormat", format!("`[+|-]{shape}`, `INTERVAL [+|-]'[+|-]{shape}' {range}`"))
            .param("typeName", format!("interval {from_name} to {to_name}"))
            .message(format!(
                "'{value}' is not of the form [+|-]{shape} of an interval {from_name} to {to_name}."
            ))
    };
    let (sign, rest) = signed(value.trim());
    let mut parts: Vec<&str> = Vec::new();
    let mut remaining = rest;
    for field in &fields[..fields.len() - 1] {
        let separator = if *field == IntervalField::Day { ' ' } else { ':' };
        let (part, tail) = remaining.split_once(separator).ok_or_else(unmatched)?;
        parts.push(part);
        remaining = tail;
    }
    parts.push(remaining);
    let mut total: i128 = 0;
    let mut days: i64 = 0;
    for (i, (field, part)) in fields.iter().zip(&parts).enumerate() {
        let (whole, fraction) = match (field, part.split_once('.')) {
            (IntervalField::Second, Some((w, f))) => (w, f),
            _ => (*part, ""),
        };
        // The leading field may be as large as the type holds; the others wrap at their unit.
        let (max, most_digits, factor) = match (field, i == 0) {
            (IntervalField::Day, _) => (106_751_991, 9, MICROS_PER_DAY),
            (IntervalField::Hour, true) => (2_562_047_788, 10, MICROS_PER_HOUR),
            (IntervalField::Hour, false) => (23, 2, MICROS_PER_HOUR),
            (IntervalField::Minute, true) => (153_722_867_280, 12, MICROS_PER_MINUTE),
            (IntervalField::Minute, false) => (59, 2, MICROS_PER_MINUTE),
            (_, _) => (59, 2, MICROS_PER_SECOND),
        };
        let number = number_within(whole, most_digits).ok_or_else(unmatched)?;
        if number > max {
            return Err(error::legacy(
                "0063",
                "msg",
                format!("requirement failed: {} {number} outside range [0, {max}]", field.name()),
            ));
        }
        if *field == IntervalField::Day {
            days = number;
        }
        total += i128::from(number) * i128::from(factor);
        if part.contains('.') {
            if !(1..=9).contains(&fraction.len())
                || !fraction.bytes().all(|b| b.is_ascii_digit())
                || *field != IntervalField::Second
            {
                return Err(unmatched());
            }
            total += format!("{fraction:0<6}")[..6].parse::<i128>().unwrap_or(0);
        }
    }
    total *= i128::from(sign);
    let Ok(microseconds) = i64::try_from(total) else {
        return Err(error::legacy("0063", "msg", "long overflow"));
    };
    if legacy {
        let days = sign * days;
        let rest = microseconds - days * MICROS_PER_DAY;
        return Ok(Literal::CalendarInterval(Interval { months: 0, days: days as i32, microseconds: rest }));
    }
    Ok(Literal::DayTimeInterval {
        microseconds,
        data_type: DataType::DayTimeInterval { start: from, end: to },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form() {
        let ok = |t: &str| parse_interval(t).map(|p| p.value()).ok();
        let of = |months, days, microseconds| Some(Interval { months, days, microseconds });
        assert_eq!(ok("interval 3 year 1 month"), of(37, 0, 0));
        assert_eq!(ok("2 weeks 2 days 1 hour 100 millisecond 200 microseconds"), of(0, 16, 3_600_100_200));
        assert_eq!(ok("- 1 day +1.5 seconds"), of(0, -1, 1_500_000));
        assert_eq!(ok("-0.5 second"), of(0, 0, -500_000));
        for bad in ["", "+", "+.", "1", "1.2", "- 2", "1 day -", "1 day 1", "1.5 days", "中文 1 day"] {
            assert_eq!(ok(bad), None, "{bad}");
        }
    }

    #[test]
    fn from_to() {
        assert_eq!(
            day_time("-20 15:40:32.99899999", IntervalField::Day, IntervalField::Second, false).ok(),
            Some(Literal::DayTimeInterval {
                microseconds: -1_784_432_998_999,
                data_type: DataType::DAY_TIME
            })
        );
        let class = |v: &str, a, b| day_time(v, a, b, false).err().map(|e| e.class().to_string());
        assert_eq!(
            class("15:40", IntervalField::Hour, IntervalField::Second).as_deref(),
            Some("INVALID_INTERVAL_FORMAT.UNMATCHED_FORMAT_STRING_WITH_NOTICE")
        );
        assert_eq!(
            class("106751992 04", IntervalField::Day, IntervalField::Hour).as_deref(),
            Some("_LEGACY_ERROR_TEMP_0063")
        );
        assert!(year_month("178956970-8", false).is_err());
    }
}
