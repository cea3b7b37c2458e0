//! Java's datetime patterns with Spark's restrictions: `yyyy-MM-dd'T'HH:mm:ss[.SSS][XXX]`.
//!
//! Spark builds two formatters of one pattern: for writing, every letter means what `DateTimeFormatter` says; for
//! reading, a fraction of a second may be shorter than its `S`s, fields that the text does not give have defaults
//! (1970-01-01, midnight), and some letters are refused. Hence [`Pattern::for_formatting`] and
//! [`Pattern::for_parsing`]. Only English names are known.

mod compile;
mod format;
mod parse;
mod resolve;
mod simple;

use boathouse_spec::{Error, Result};

use crate::calendar::{MICROS_PER_DAY, NANOS_PER_DAY};
use crate::zone::Zone;
use compile::{Item, OF_OLDER_VERSIONS};
use resolve::Fields;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    items: Vec<Item>,
    /// Those of `SimpleDateFormat` instead.
    simple: Option<Vec<simple::Part>>,
    /// Whether the pattern means anything; no text fits one that does not.
    readable: bool,
}

/// Why a text does not fit a pattern. Cheap to make: most callers turn it into NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// No item of the pattern fits at this byte of the text.
    At(usize),
    /// The pattern ended before the text, at this byte.
    Unparsed(usize),
    /// The text fits the pattern, but names no date or time.
    Invalid(String),
    /// The text fits the pattern, but what it says and what is assumed beside it are no date.
    Unresolved(String),
}

impl Misfit {
    /// What Spark puts into the `message` parameter of its error.
    pub fn message(&self, text: &str) -> String {
        let shown: String = if text.encode_utf16().count() > 64 {
            text.chars().take(64).chain("...".chars()).collect()
        } else {
            text.to_string()
        };
        let index = |at: usize| text.get(..at).map_or(at, |start| start.encode_utf16().count());
        match self {
            Self::At(at) => format!("Text '{shown}' could not be parsed at index {}", index(*at)),
            Self::Unparsed(at) => {
                format!("Text '{shown}' could not be parsed, unparsed text found at index {}", index(*at))
            }
            Self::Invalid(why) => format!("Text '{shown}' could not be parsed: {why}"),
            Self::Unresolved(why) => why.clone(),
        }
    }

    /// `CANNOT_PARSE_TIMESTAMP`, as the ANSI mode raises it; `function` is the one that gives NULL instead.
    pub fn error(&self, text: &str, function: &str) -> Error {
        let message = self.message(text);
        Error::new("CANNOT_PARSE_TIMESTAMP")
            .param("func", boathouse_spec::quote(function))
            .param("message", &message)
            .message(format!("{message}. Use `{function}` to get NULL for such texts."))
    }
}

/// What a text said, with defaults for what it did not.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// Days since the epoch.
    pub days: i64,
    /// Nanoseconds since midnight.
    pub nanos: i64,
    /// The zone or offset, where the text has one.
    pub zone: Option<Zone>,
}

impl Parsed {
    fn local_us(&self) -> Result<i64, Misfit> {
        self.days
            .checked_mul(MICROS_PER_DAY)
            .and_then(|us| us.checked_add(self.nanos / 1000))
            .ok_or_else(|| Misfit::Invalid("long overflow".to_string()))
    }
}

impl Pattern {
    /// Compiles a pattern to write dates and times with.
    pub fn for_formatting(pattern: &str) -> Result<Self> {
        Ok(Self::of_items(pattern, compile::compile(pattern, false)?))
    }

    /// Compiles a pattern to read dates and times with.
    pub fn for_parsing(pattern: &str) -> Result<Self> {
        Ok(Self::of_items(pattern, compile::compile(pattern, true)?))
    }

    /// The same for formats whose patterns are looked at with the first text, as Spark's are: a pattern that means nothing
    /// is no error, and no text fits it. One that only older versions of Spark understood is an error.
    pub fn for_reading_fields(pattern: &str) -> Result<Self> {
        Self::for_parsing(pattern).or_else(|e| match e.is(OF_OLDER_VERSIONS) {
            true => Err(e),
            false => Ok(Self { readable: false, ..Self::of_items(pattern, Vec::new()) }),
        })
    }

    fn of_items(pattern: &str, items: Vec<Item>) -> Self {
        Self { source: pattern.to_string(), items, simple: None, readable: true }
    }

    /// Whether texts can fit the pattern at all.
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// Fails where no text can fit, as [`Self::for_parsing`] does.
    pub fn check_readable(&self) -> Result<()> {
        if self.readable { Ok(()) } else { Self::for_parsing(&self.source).map(|_| ()) }
    }

    /// Compiles a pattern of `SimpleDateFormat`, for `spark.sql.legacy.timeParserPolicy = LEGACY`.
    pub fn of_simple_date_format(pattern: &str) -> Result<Self> {
        let simple = Some(simple::compile(pattern)?);
        Ok(Self { simple, ..Self::of_items(pattern, Vec::new()) })
    }

    /// The text the pattern was made of.
    pub fn source(&self) -> &str {
        &self.source
    }

    // ---- writing

    /// An instant (microseconds since the epoch) on the wall clock of a zone.
    pub fn format_micros(&self, us: i64, zone: &Zone) -> Result<String> {
        let mut out = String::with_capacity(self.source.len() + 8);
        self.write_micros(us, zone, &mut out)?;
        Ok(out)
    }

    pub fn write_micros(&self, us: i64, zone: &Zone, out: &mut String) -> Result<()> {
        let offset = zone.offset_at(us);
        let local = us.saturating_add(i64::from(offset) * 1_000_000);
        let value = format::Value::new(
            Some(local.div_euclid(MICROS_PER_DAY)),
            Some(local.rem_euclid(MICROS_PER_DAY) * 1000),
            Some((zone, offset, us)),
        );
        self.write(&value, out)
    }

    /// A timestamp without zone.
    pub fn format_micros_ntz(&self, us: i64) -> Result<String> {
        let mut out = String::with_capacity(self.source.len() + 8);
        self.write_micros_ntz(us, &mut out)?;
        Ok(out)
    }

    pub fn write_micros_ntz(&self, us: i64, out: &mut String) -> Result<()> {
        let days = us.div_euclid(MICROS_PER_DAY);
        self.write(&format::Value::new(Some(days), Some(us.rem_euclid(MICROS_PER_DAY) * 1000), None), out)
    }

    /// A date, in days since the epoch. A pattern that wants a time of day fails.
    pub fn format_days(&self, days: i32) -> Result<String> {
        let mut out = String::with_capacity(self.source.len() + 8);
        self.write_days(days, &mut out)?;
        Ok(out)
    }

    pub fn write_days(&self, days: i32, out: &mut String) -> Result<()> {
        self.write(&format::Value::new(Some(i64::from(days)), None, None), out)
    }

    /// A time of day, in nanoseconds since midnight. A pattern that wants a date fails.
    pub fn format_time_nanos(&self, nanos: i64) -> Result<String> {
        let mut out = String::with_capacity(self.source.len() + 8);
        self.write(&format::Value::new(None, Some(nanos.rem_euclid(NANOS_PER_DAY)), None), &mut out)?;
        Ok(out)
    }

    fn write(&self, value: &format::Value, out: &mut String) -> Result<()> {
        let written = match &self.simple {
            Some(parts) => simple::write(parts, value, out),
            None => format::write(&self.items, value, out),
        };
        written.map_err(|missing| {
            if let Some(letter) = self.simple.as_deref().and_then(simple::unwritten) {
                return Error::unsupported(format!("the letter {letter} in a legacy pattern"));
            }
            Error::new("INVALID_DATETIME_PATTERN.WITH_SUGGESTION")
                .param("pattern", format!("'{}'", self.source))
                .message(format!(
                    "The pattern '{}' asks for {missing}, which the value does not have.",
                    self.source
                ))
        })
    }

    // ---- reading

    pub fn parse_fields(&self, text: &str) -> Result<Parsed, Misfit> {
        if !self.readable {
            return Err(Misfit::At(0));
        }
        if let Some(parts) = &self.simple {
            return simple::parse(parts, text);
        }
        let mut fields = Fields::default();
        let end = parse::parse(&self.items, text, 0, &mut fields).map_err(Misfit::At)?;
        if end < text.len() {
            return Err(Misfit::Unparsed(end));
        }
        fields.resolve()
    }

    /// An instant in microseconds since the epoch. A text without a zone is on the wall clock of `zone`.
    pub fn parse_to_micros(&self, text: &str, zone: &Zone) -> Result<i64, Misfit> {
        let parsed = self.parse_fields(text)?;
        let local = parsed.local_us()?;
        Ok(parsed.zone.as_ref().unwrap_or(zone).to_utc(local))
    }

    /// A timestamp without zone. A zone in the text is left out where it is allowed, and a misfit where not.
    pub fn parse_to_micros_ntz(&self, text: &str, allow_zone: bool) -> Result<i64, Misfit> {
        let parsed = self.parse_fields(text)?;
        if parsed.zone.is_some() && !allow_zone {
            return Err(Misfit::Invalid("the text has a time zone".to_string()));
        }
        parsed.local_us()
    }

    /// A date in days since the epoch; a time and a zone in the text are left out.
    pub fn parse_to_days(&self, text: &str) -> Result<i32, Misfit> {
        let days = self.parse_fields(text)?.days;
        i32::try_from(days).map_err(|_| Misfit::Invalid("integer overflow".to_string()))
    }

    /// A time of day in nanoseconds since midnight.
    pub fn parse_to_time_nanos(&self, text: &str) -> Result<i64, Misfit> {
        Ok(self.parse_fields(text)?.nanos)
    }
}

#[cfg(test)]
mod tests;
