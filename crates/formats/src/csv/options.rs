//! Options of the CSV format.

use boathouse_spec::{Error, Result};

use crate::binary_style::BinaryStyle;
use crate::datetime_pattern::Pattern;
use crate::options::{Lookup, ParseMode, SessionDefaults, illegal, invalid};
use crate::rescue::Rescue;
use crate::zone::Zone;

/// What to do with a quote inside a quoted value that is neither escaped nor its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnescapedQuote {
    /// It is part of the value, which goes on to the next quote that ends it.
    StopAtClosingQuote,
    BackToDelimiter,
    /// The value was not quoted at all, and goes on to the next delimiter.
    #[default]
    StopAtDelimiter,
    /// The value is NULL.
    SkipValue,
    RaiseError,
}

/// How CSV is read, inferred and written.
#[derive(Debug, Clone)]
pub struct Options {
    pub mode: ParseMode,
    pub corrupt_column: String,
    pub zone: Zone,
    pub binary_style: BinaryStyle,
    pub delimiter: String,
    /// `\0` for none.
    pub quote: char,
    pub escape: char,
    pub escape_escape: Option<char>,
    pub comment: Option<char>,
    pub header: bool,
    pub multi_line: bool,
    pub line_separator: Option<String>,
    pub encoding: Option<String>,
    pub trim_leading: bool,
    pub trim_trailing: bool,
    pub null_value: String,
    pub empty_value: String,
    pub nan_value: String,
    pub positive_infinity: String,
    pub negative_infinity: String,
    pub max_columns: usize,
    /// -1 for no limit.
    pub max_chars_per_column: i64,
    pub unescaped_quote: UnescapedQuote,
    pub enforce_schema: bool,
    pub date_format: Option<Pattern>,
    pub timestamp_format: Option<Pattern>,
    pub timestamp_ntz_format: Option<Pattern>,
    /// Texts that do not fit the format may have the default form.
    pub fall_back: bool,
    /// The schema is one VARIANT, which takes the whole record, and may have the column of corrupt records. Only functions
    /// set it: files refuse the option `singleVariantColumn`.
    pub single_variant: bool,
    /// Records of files only: `from_csv` does not rescue.
    pub rescue: Option<Rescue>,
    /// The file of the records, told with what is rescued.
    pub file_path: Option<String>,
    // ---- inferring
    pub infer_schema: bool,
    pub prefer_date: bool,
    pub infer_ntz: bool,
    pub case_sensitive: bool,
    pub sampling_ratio: f64,
    // ---- writing
    pub quote_all: bool,
    pub escape_quotes: bool,
    pub date_format_out: Option<Pattern>,
    pub timestamp_format_out: Option<Pattern>,
    pub timestamp_ntz_format_out: Option<Pattern>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: ParseMode::Permissive,
            corrupt_column: "_corrupt_record".to_string(),
            zone: Zone::UTC,
            binary_style: BinaryStyle::default(),
            delimiter: ",".to_string(),
            quote: '"',
            escape: '\\',
            escape_escape: None,
            comment: None,
            header: false,
            multi_line: false,
            line_separator: None,
            encoding: None,
            trim_leading: false,
            trim_trailing: false,
            null_value: String::new(),
            empty_value: String::new(),
            nan_value: "NaN".to_string(),
            positive_infinity: "Inf".to_string(),
            negative_infinity: "-Inf".to_string(),
            max_columns: 20480,
            max_chars_per_column: -1,
            unescaped_quote: UnescapedQuote::default(),
            enforce_schema: true,
            date_format: None,
            timestamp_format: None,
            timestamp_ntz_format: None,
            fall_back: true,
            single_variant: false,
            rescue: None,
            file_path: None,
            infer_schema: false,
            prefer_date: true,
            infer_ntz: false,
            case_sensitive: false,
            sampling_ratio: 1.0,
            quote_all: false,
            escape_quotes: true,
            date_format_out: None,
            timestamp_format_out: None,
            timestamp_ntz_format_out: None,
        }
    }
}

impl Options {
    /// Reads options for reading. Keys that CSV does not know are left alone, as Spark does.
    pub fn parse(options: &[(String, String)], session: &SessionDefaults) -> Result<Self> {
        let given = Lookup(options);
        let pattern = |key: &str| given.text(key).map(Pattern::for_reading_fields).transpose();
        let base = Self::parse_common(&given, session, false)?;
        let timestamp_format = pattern("timestampFormat")?;
        Ok(Self {
            fall_back: given.flag("enableDateTimeParsingFallback", timestamp_format.is_none())?,
            date_format: pattern("dateFormat")?,
            timestamp_format,
            timestamp_ntz_format: pattern("timestampNTZFormat")?,
            rescue: Rescue::parse(options)?,
            ..base
        })
    }

    /// Fails where a schema cannot be inferred by the patterns of timestamps, which are needed then.
    pub fn check_for_inferring(&self) -> Result<()> {
        let patterns = [&self.timestamp_format, &self.timestamp_ntz_format];
        patterns.into_iter().flatten().try_for_each(Pattern::check_readable)
    }

    /// Reads options for writing: blanks around values are left out and empty texts are quoted unless told otherwise.
    pub fn parse_for_writing(options: &[(String, String)], session: &SessionDefaults) -> Result<Self> {
        let given = Lookup(options);
        let pattern = |key: &str| given.text(key).map(Pattern::for_formatting).transpose();
        let base = Self::parse_common(&given, session, true)?;
        Ok(Self {
            date_format_out: pattern("dateFormat")?,
            timestamp_format_out: pattern("timestampFormat")?,
            timestamp_ntz_format_out: pattern("timestampNTZFormat")?,
            ..base
        })
    }

    fn parse_common(given: &Lookup, session: &SessionDefaults, writing: bool) -> Result<Self> {
        given.check_locale()?;
        let text = |key: &str, default: &str| given.text(key).unwrap_or(default).to_string();
        let quote = given.character("quote", Some('"'))?.unwrap_or('\0');
        let line_separator = given.line_separator()?;
        // Spark lets two through for the newlines of Windows.
        if line_separator.as_ref().is_some_and(|s| s.chars().count() > 2) {
            return Err(illegal("The option `lineSep` of CSV is one character.".to_string()));
        }
        if given.text("singleVariantColumn").is_some() {
            return Err(Error::unsupported("the option `singleVariantColumn` of CSV"));
        }
        Ok(Self {
            mode: given.text("mode").map(ParseMode::parse).unwrap_or_default(),
            corrupt_column: text("columnNameOfCorruptRecord", &session.corrupt_column),
            zone: given.zone(&session.zone)?,
            binary_style: session.binary_style,
            delimiter: delimiter(given.text("sep").or(given.text("delimiter")).unwrap_or(","))?,
            quote,
            escape: given.character("escape", Some('\\'))?.unwrap_or('\0'),
            escape_escape: given.character("charToEscapeQuoteEscaping", None)?,
            comment: given.character("comment", None)?,
            header: given.csv_flag("header", false)?,
            multi_line: given.flag("multiLine", given.flag("wholeFile", false)?)?,
            line_separator,
            encoding: given.text("encoding").or(given.text("charset")).map(str::to_string),
            trim_leading: given.csv_flag("ignoreLeadingWhiteSpace", writing)?,
            trim_trailing: given.csv_flag("ignoreTrailingWhiteSpace", writing)?,
            null_value: text("nullValue", ""),
            empty_value: text("emptyValue", if writing { "\"\"" } else { "" }),
            nan_value: text("nanValue", "NaN"),
            positive_infinity: text("positiveInf", "Inf"),
            negative_infinity: text("negativeInf", "-Inf"),
            max_columns: given.csv_number("maxColumns", 20480)?,
            max_chars_per_column: given.csv_number("maxCharsPerColumn", -1)?,
            unescaped_quote: given
                .text("unescapedQuoteHandling")
                .map(unescaped_quote)
                .transpose()?
                .unwrap_or_default(),
            enforce_schema: given.csv_flag("enforceSchema", true)?,
            infer_schema: given.csv_flag("inferSchema", false)?,
            prefer_date: given.csv_flag("preferDate", true)?,
            infer_ntz: session.infer_ntz,
            case_sensitive: session.case_sensitive,
            sampling_ratio: given.number("samplingRatio", 1.0)?,
            quote_all: given.csv_flag("quoteAll", false)?,
            escape_quotes: given.csv_flag("escapeQuotes", true)?,
            ..Self::default()
        })
    }
}

/// The delimiter that a text names: escapes of control characters, or the text itself.
fn delimiter(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some(same @ ('"' | '\'' | '\\')) => out.push(same),
            Some('u') if chars.as_str() == "0000" => {
                chars = "".chars();
                out.push('\0');
            }
            Some(other) => {
                return Err(Error::new("INVALID_DELIMITER_VALUE.UNSUPPORTED_SPECIAL_CHARACTER")
                    .param("str", format!("\\{other}"))
                    .message(format!("The delimiter has the unknown escape \\{other}.")));
            }
            None => {
                return Err(Error::new("INVALID_DELIMITER_VALUE.SINGLE_BACKSLASH")
                    .message("A single backslash cannot be the delimiter. Write it twice."));
            }
        }
    }
    if out.is_empty() {
        return Err(Error::new("INVALID_DELIMITER_VALUE.EMPTY_STRING").message("The delimiter is empty."));
    }
    Ok(out)
}

fn unescaped_quote(text: &str) -> Result<UnescapedQuote> {
    Ok(match text.to_uppercase().as_str() {
        "STOP_AT_CLOSING_QUOTE" => UnescapedQuote::StopAtClosingQuote,
        "BACK_TO_DELIMITER" => UnescapedQuote::BackToDelimiter,
        "STOP_AT_DELIMITER" => UnescapedQuote::StopAtDelimiter,
        "SKIP_VALUE" => UnescapedQuote::SkipValue,
        "RAISE_ERROR" => UnescapedQuote::RaiseError,
        _ => {
            return Err(invalid(
                "unescapedQuoteHandling",
                text,
                "one of STOP_AT_CLOSING_QUOTE, BACK_TO_DELIMITER, STOP_AT_DELIMITER, SKIP_VALUE, RAISE_ERROR",
            ));
        }
    })
}
