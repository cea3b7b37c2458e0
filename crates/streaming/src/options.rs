//! Options of sources, with errors that name them.

use boathouse_spec::{Error, Options, Result, option};

/// Looks options up and reads their values.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a>(pub &'a Options);

impl<'a> Given<'a> {
    pub fn text(&self, key: &str) -> Option<&'a str> {
        option(self.0, key)
    }

    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.text(key).map(|v| v.trim().to_lowercase()).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(invalid(key, other, "it must be 'true' or 'false'")),
        }
    }

    /// A number above zero.
    pub fn positive(&self, key: &str) -> Result<Option<i64>> {
        match self.text(key) {
            None => Ok(None),
            Some(text) => match text.trim().parse::<i64>() {
                Ok(n) if n > 0 => Ok(Some(n)),
                _ => Err(invalid(key, text, "must be a positive integer")),
            },
        }
    }

    /// A size in bytes: `1g`, `10mb`, `512`.
    pub fn bytes(&self, key: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let (number, unit) = number_and_unit(text);
        let shift = match unit.trim() {
            "" | "b" => 0,
            "k" | "kb" => 10,
            "m" | "mb" => 20,
            "g" | "gb" => 30,
            "t" | "tb" => 40,
            "p" | "pb" => 50,
            _ => return Err(invalid(key, text, "it must be a size such as 512m or 10g")),
        };
        match number.parse::<i64>().ok().and_then(|n| n.checked_mul(1 << shift)) {
            Some(n) if n > 0 => Ok(Some(n)),
            _ => Err(invalid(key, text, "must be a positive size")),
        }
    }

    /// A time in milliseconds as Spark's own options have it: `7d`, `90m`, `1500` (`JavaUtils.timeStringAs`).
    pub fn java_time_ms(&self, key: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let (number, unit) = number_and_unit(text);
        let in_ms = match unit.as_str() {
            "us" => Some((1, 1000)),
            "" | "ms" => Some((1, 1)),
            "s" => Some((1000, 1)),
            "m" | "min" => Some((60_000, 1)),
            "h" => Some((3_600_000, 1)),
            "d" => Some((86_400_000, 1)),
            _ => None,
        };
        let time = in_ms.and_then(|(times, by)| Some(number.parse::<i64>().ok()?.checked_mul(times)? / by));
        time.map(Some).ok_or_else(|| {
            Error::new("")
                .message(format!(
                    "Time must be specified as seconds (s), milliseconds (ms), microseconds (us), minutes (m or min), hour (h), or day (d). \
                     E.g. 50s, 100ms, or 250us.\nFailed to parse time string: {text}"
                ))
                .exception("NumberFormatException")
        })
    }

    /// A time in milliseconds: `7d`, `10 minutes`, `500ms`.
    pub fn duration_ms(&self, key: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(key) else { return Ok(None) };
        match crate::interval::parse_ms(text) {
            Some(ms) if ms >= 0 => Ok(Some(ms)),
            _ => Err(invalid(key, text, "it must be a time such as 7d or 10 minutes")),
        }
    }
}

/// The digits that a text begins with, and what follows them in lower case.
fn number_and_unit(text: &str) -> (String, String) {
    let mut number = text.trim().to_lowercase();
    let unit = number.split_off(number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len()));
    (number, unit)
}

/// An option with a value that it cannot have.
pub fn invalid(key: &str, value: &str, why: &str) -> Error {
    Error::new("STREAMING_INVALID_OPTION")
        .param("option", key)
        .param("value", value)
        .message(format!("Invalid value '{value}' for option '{key}', {why}"))
        .exception("IllegalArgumentException")
}
