//! Reading texts by a pattern: which characters each item takes. What they mean together is `resolve.rs`.

use super::compile::{Field, Item, Number, OffsetStyle, Sign};
use super::format::MONTHS;
use super::resolve::Fields;
use crate::zone::Zone;
use crate::zone_names::longest_prefix;

/// The position behind what the items took, or the one where an item did not fit.
pub(super) fn parse(items: &[Item], text: &str, start: usize, fields: &mut Fields) -> Result<usize, usize> {
    let mut at = start;
    for item in items {
        at = match item {
            Item::Literal(literal) => parse_literal(literal, text, at)?,
            Item::Optional(inner) => {
                let saved = fields.clone();
                match parse(inner, text, at, fields) {
                    Ok(end) => end,
                    Err(_) => {
                        *fields = saved;
                        at
                    }
                }
            }
            Item::Number(number) => parse_number(number, text, at, fields)?,
            Item::Fraction { min, max } => parse_fraction(*min, *max, text, at, fields)?,
            Item::Text { field, full } => parse_text(*field, *full, text, at, fields)?,
            Item::Offset(style) => parse_offset(*style, text, at, fields)?,
            Item::LocalizedOffset { full } => parse_localized_offset(*full, text, at, fields)?,
            Item::ZoneId => parse_zone(false, text, at, fields)?,
            Item::ZoneName { .. } => parse_zone(true, text, at, fields)?,
        };
    }
    Ok(at)
}

fn parse_literal(literal: &str, text: &str, at: usize) -> Result<usize, usize> {
    let mut rest = text[at..].char_indices();
    let mut end = at;
    for expected in literal.chars() {
        let Some((offset, c)) = rest.next() else { return Err(at) };
        if c != expected && !c.to_lowercase().eq(expected.to_lowercase()) {
            return Err(at);
        }
        end = at + offset + c.len_utf8();
    }
    Ok(end)
}

/// How many ASCII digits stand at a position, at most `max`.
fn digits(text: &str, at: usize, max: usize) -> usize {
    text.as_bytes()[at..].iter().take(max).take_while(|b| b.is_ascii_digit()).count()
}

fn parse_number(number: &Number, text: &str, at: usize, fields: &mut Fields) -> Result<usize, usize> {
    let mut start = at;
    let (mut positive, mut negative) = (false, false);
    match text.as_bytes().get(at) {
        None => return Err(at),
        Some(b'+') => {
            if number.sign != Sign::ExceedsPad {
                return Err(at);
            }
            positive = true;
            start += 1;
        }
        Some(b'-') => {
            if number.sign == Sign::Never {
                return Err(at);
            }
            negative = true;
            start += 1;
        }
        Some(_) => {}
    }
    let mut length = digits(text, start, number.max + number.reserved);
    if length < number.min {
        return Err(start);
    }
    if number.reserved > 0 {
        length = length.saturating_sub(number.reserved).max(number.min).min(number.max);
    }
    let shown = &text[start..start + length];
    // Nineteen digits may be too many for a long; such numbers are no field's value anyway.
    let Ok(mut value) = shown.parse::<i64>() else { return Err(at) };
    if negative {
        if value == 0 {
            return Err(start - 1);
        }
        value = -value;
    } else if number.sign == Sign::ExceedsPad {
        if positive && length <= number.min {
            return Err(start - 1);
        }
        if !positive && length > number.min {
            return Err(start);
        }
    }
    if number.reduced && length == 2 {
        value += 2000;
    }
    fields.set(number.field, value).map_err(|()| at)?;
    Ok(start + length)
}

fn parse_fraction(
    min: usize,
    max: usize,
    text: &str,
    at: usize,
    fields: &mut Fields,
) -> Result<usize, usize> {
    let length = digits(text, at, max);
    if length < min {
        return Err(at);
    }
    let value: i64 = text[at..at + length].parse().map_err(|_| at)?;
    let nanos = value * 10_i64.pow(9 - length as u32);
    fields.set(Field::Nano, nanos).map_err(|()| at)?;
    Ok(at + length)
}

fn parse_text(field: Field, full: bool, text: &str, at: usize, fields: &mut Fields) -> Result<usize, usize> {
    let starts_with =
        |name: &str| text[at..].get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let found = match field {
        Field::Month => {
            let names = MONTHS.iter().enumerate();
            let names = names.map(|(i, name)| (if full { name } else { &name[..3] }, i as i64 + 1));
            names.into_iter().find(|(name, _)| starts_with(name))
        }
        Field::AmPm => [("AM", 0), ("PM", 1)].into_iter().find(|(name, _)| starts_with(name)),
        Field::Era if full => {
            [("Before Christ", 0), ("Anno Domini", 1)].into_iter().find(|(name, _)| starts_with(name))
        }
        Field::Era => [("BC", 0), ("AD", 1)].into_iter().find(|(name, _)| starts_with(name)),
        // Days of the week and quarters are refused in patterns for reading.
        _ => None,
    };
    let (name, value) = found.ok_or(at)?;
    fields.set(field, value).map_err(|()| at)?;
    Ok(at + name.len())
}

/// Two digits below a limit.
fn two_digits(text: &str, at: usize, limit: i32) -> Option<i32> {
    if digits(text, at.min(text.len()), 2) < 2 {
        return None;
    }
    text[at..at + 2].parse().ok().filter(|v| *v < limit)
}

fn parse_offset(style: OffsetStyle, text: &str, at: usize, fields: &mut Fields) -> Result<usize, usize> {
    let bytes = text.as_bytes();
    if text[at..].get(..style.zero.len()).is_some_and(|start| start.eq_ignore_ascii_case(style.zero)) {
        fields.set(Field::OffsetSeconds, 0).map_err(|()| at)?;
        return Ok(at + style.zero.len());
    }
    let negative = match bytes.get(at) {
        Some(b'+') => false,
        Some(b'-') => true,
        _ => return Err(at),
    };
    let colon = matches!(style.kind, 4 | 6);
    let hours = two_digits(text, at + 1, 24).ok_or(at)?;
    let mut end = at + 3;
    let next = |end: usize| -> Option<(i32, usize)> {
        let start = if colon {
            if bytes.get(end) != Some(&b':') {
                return None;
            }
            end + 1
        } else {
            end
        };
        two_digits(text, start, 60).map(|v| (v, start + 2))
    };
    let (mut minutes, mut seconds) = (0, 0);
    match next(end) {
        Some((v, behind)) => (minutes, end) = (v, behind),
        None if style.kind == 1 => {}
        None => return Err(at),
    }
    if style.kind >= 5
        && let Some((v, behind)) = next(end)
    {
        (seconds, end) = (v, behind);
    }
    let total = hours * 3600 + minutes * 60 + seconds;
    fields.set(Field::OffsetSeconds, i64::from(if negative { -total } else { total })).map_err(|()| at)?;
    Ok(end)
}

/// `GMT`, `GMT+8`, `GMT+05:30`
fn parse_localized_offset(full: bool, text: &str, at: usize, fields: &mut Fields) -> Result<usize, usize> {
    if !text[at..].get(..3).is_some_and(|start| start.eq_ignore_ascii_case("GMT")) {
        return Err(at);
    }
    let bytes = text.as_bytes();
    let mut end = at + 3;
    let negative = match bytes.get(end) {
        Some(b'+') => false,
        Some(b'-') => true,
        _ => {
            fields.set(Field::OffsetSeconds, 0).map_err(|()| at)?;
            return Ok(end);
        }
    };
    end += 1;
    let (mut minutes, mut seconds) = (0, 0);
    let width = if full { 2 } else { digits(text, end, 2) };
    if width == 0 || digits(text, end, 2) < width {
        return Err(at);
    }
    let hours: i32 = text[end..end + width].parse().map_err(|_| at)?;
    end += width;
    let more = |end: usize| -> Option<i32> {
        (bytes.get(end) == Some(&b':')).then(|| two_digits(text, end + 1, 60)).flatten()
    };
    match more(end) {
        Some(v) => {
            minutes = v;
            end += 3;
            if let Some(v) = more(end) {
                seconds = v;
                end += 3;
            }
        }
        None if full => return Err(at),
        None => {}
    }
    let total = hours * 3600 + minutes * 60 + seconds;
    fields.set(Field::OffsetSeconds, i64::from(if negative { -total } else { total })).map_err(|()| at)?;
    Ok(end)
}

/// A zone id, an offset (`+01:00`, `UTC+1`), and with `names` an English name.
fn parse_zone(names: bool, text: &str, at: usize, fields: &mut Fields) -> Result<usize, usize> {
    let rest = &text[at..];
    // The longest run that could be an offset, so that `UTC+01:00` is not taken for `UTC`.
    for prefix in ["UTC", "GMT", "UT", ""] {
        let Some(start) = rest.get(..prefix.len()).filter(|s| s.eq_ignore_ascii_case(prefix)) else {
            continue;
        };
        let behind = &rest[start.len()..];
        if !behind.starts_with(['+', '-']) {
            continue;
        }
        let run = 1 + behind[1..].bytes().take_while(|b| b.is_ascii_digit() || *b == b':').count();
        for length in (2..=run.min(9)).rev() {
            if let Some(zone) = Zone::parse(&format!("{prefix}{}", &behind[..length])) {
                return set_zone(fields, zone, at, at + start.len() + length);
            }
        }
    }
    if let Some((length, id)) = longest_prefix(rest, names)
        && let Some(zone) = Zone::parse_region(id)
    {
        return set_zone(fields, zone, at, at + length);
    }
    if rest.starts_with(['Z', 'z']) {
        return set_zone(fields, Zone::offset(0), at, at + 1);
    }
    Err(at)
}

fn set_zone(fields: &mut Fields, zone: Zone, at: usize, end: usize) -> Result<usize, usize> {
    if fields.zone.as_ref().is_some_and(|z| *z != zone) {
        return Err(at);
    }
    fields.zone = Some(zone);
    Ok(end)
}
