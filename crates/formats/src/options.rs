//! Options of the text formats: case-insensitive keys, Spark's spellings of values.

use boathouse_spec::{Error, Result};

use crate::binary_style::BinaryStyle;
use crate::zone::Zone;

/// What to do with a record that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParseMode {
    /// Its fields that could not be read are NULL.
    #[default]
    Permissive,
    /// It is left out.
    DropMalformed,
    /// It fails the query.
    FailFast,
}

impl ParseMode {
    /// Unknown modes are `PERMISSIVE`, as in Spark (which warns).
    pub fn parse(text: &str) -> Self {
        match text.to_uppercase().as_str() {
            "DROPMALFORMED" => Self::DropMalformed,
            "FAILFAST" => Self::FailFast,
            _ => Self::Permissive,
        }
    }
}

/// What the session decides where an option does not.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionDefaults {
    /// `spark.sql.session.timeZone`
    pub zone: Zone,
    /// `spark.sql.columnNameOfCorruptRecord`
    pub corrupt_column: String,
    /// `spark.sql.timestampType` is `TIMESTAMP_NTZ`
    pub infer_ntz: bool,
    /// `spark.sql.caseSensitive`
    pub case_sensitive: bool,
    /// `spark.sql.ansi.enabled`, for what is raised and what is NULL.
    pub ansi: bool,
    /// `spark.sql.binaryOutputStyle`
    pub binary_style: BinaryStyle,
}

impl Default for SessionDefaults {
    fn default() -> Self {
        Self {
            zone: Zone::UTC,
            corrupt_column: "_corrupt_record".to_string(),
            infer_ntz: false,
            case_sensitive: false,
            ansi: true,
            binary_style: BinaryStyle::default(),
        }
    }
}

/// Options as given, looked up without regard to case; of two spellings the last counts.
pub struct Lookup<'a>(pub &'a [(String, String)]);

impl<'a> Lookup<'a> {
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.as_str())
    }

    /// `true` or `false` in any case; anything else is refused.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.text(key) {
            None => Ok(default),
            Some(v) if v.eq_ignore_ascii_case("true") => Ok(true),
            Some(v) if v.eq_ignore_ascii_case("false") => Ok(false),
            Some(v) => Err(illegal(format!("The option `{key}` is true or false, not '{v}'."))),
        }
    }

    pub fn number<T: std::str::FromStr>(&self, key: &str, default: T) -> Result<T> {
        match self.text(key) {
            None => Ok(default),
            Some(v) => v.trim().parse().map_err(|_| invalid(key, v, "a number")),
        }
    }

    /// As [`Lookup::flag`], with the error of CSV.
    pub fn csv_flag(&self, key: &str, default: bool) -> Result<bool> {
        self.flag(key, default).map_err(|_| {
            Error::new("_LEGACY_ERROR_TEMP_2147")
                .param("paramName", key)
                .message(format!("The option `{key}` is true or false, and nothing else."))
                .exception("SparkException")
        })
    }

    /// As [`Lookup::number`], with the error of CSV.
    pub fn csv_number<T: std::str::FromStr>(&self, key: &str, default: T) -> Result<T> {
        self.number(key, default).map_err(|_| {
            let value = self.text(key).unwrap_or_default();
            Error::new("_LEGACY_ERROR_TEMP_2146")
                .param("paramName", key)
                .param("value", value)
                .message(format!("The option `{key}` is an integer, which {value} is not."))
        })
    }

    /// One character; an empty text gives `None`.
    pub fn character(&self, key: &str, default: Option<char>) -> Result<Option<char>> {
        let Some(text) = self.text(key) else { return Ok(default) };
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (None, _) => Ok(None),
            (Some(c), None) => Ok(Some(c)),
            _ => Err(Error::new("OPTION_VALUE_EXCEEDS_ONE_CHARACTER")
                .param("paramName", key)
                .param("actualValue", text)
                .message(format!("The option `{key}` is one character, and '{text}' is more."))),
        }
    }

    pub fn zone(&self, default: &Zone) -> Result<Zone> {
        match self.text("timeZone") {
            Some(id) => Zone::named(id),
            None => Ok(default.clone()),
        }
    }

    /// The separator of lines, where one is given: it is not empty.
    pub fn line_separator(&self) -> Result<Option<String>> {
        match self.text("lineSep") {
            Some("") => Err(illegal("The option `lineSep` is empty.".to_string())),
            given => Ok(given.map(str::to_string)),
        }
    }

    /// The `locale` option: only English is known.
    pub fn check_locale(&self) -> Result<()> {
        match self.text("locale") {
            Some(tag) if !tag.to_lowercase().starts_with("en") => {
                Err(Error::unsupported(format!("the locale '{tag}' (English locales only)")))
            }
            _ => Ok(()),
        }
    }
}

/// What Spark requires of an option, in an error without a class.
pub fn illegal(message: String) -> Error {
    Error::new("").message(message).exception("IllegalArgumentException")
}

/// A value that an option does not take: without an error class, as Java's `require` throws it.
pub fn invalid(key: &str, value: &str, expected: &str) -> Error {
    Error::new("")
        .exception("IllegalArgumentException")
        .message(format!("The option `{key}` has the value '{value}', and wants {expected}."))
}

/// `MALFORMED_RECORD_IN_PARSING`, as FAILFAST raises it for one record.
pub fn malformed_record(shown_row: &str, cause: Option<&str>) -> Error {
    let error = Error::new("MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION")
        .param("badRecord", shown_row)
        .param("failFastMode", "FAILFAST")
        .message(format!(
            "A record is malformed, and the mode is FAILFAST. What could be read of it: {shown_row}. \
             The mode PERMISSIVE reads such records as NULL."
        ));
    match cause {
        Some(cause) => error.caused_by(cause),
        None => error,
    }
}
