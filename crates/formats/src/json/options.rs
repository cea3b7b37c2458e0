//! Options of the JSON format.

use boathouse_spec::{Error, Result};

use super::scanner::{Limits, MAX_DEPTH};
use crate::datetime_pattern::Pattern;
use crate::options::{Lookup, ParseMode, SessionDefaults};
use crate::rescue::Rescue;
use crate::zone::Zone;

/// Which texts beyond standard JSON are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leniency {
    pub comments: bool,
    pub single_quotes: bool,
    pub unquoted_names: bool,
    pub leading_zeros: bool,
    pub non_numeric_numbers: bool,
    pub any_escape: bool,
    pub control_characters: bool,
}

impl Default for Leniency {
    fn default() -> Self {
        Self {
            comments: false,
            single_quotes: true,
            unquoted_names: false,
            leading_zeros: false,
            non_numeric_numbers: true,
            any_escape: false,
            control_characters: false,
        }
    }
}

/// How JSON is read, inferred and written.
#[derive(Debug, Clone)]
pub struct Options {
    pub mode: ParseMode,
    pub corrupt_column: String,
    pub leniency: Leniency,
    /// Records that exceed them are malformed; none where no option says them.
    pub limits: Option<Limits>,
    pub zone: Zone,
    pub multi_line: bool,
    /// The separator of records where it is not any newline.
    pub line_separator: Option<String>,
    pub encoding: Option<String>,
    // ---- reading
    /// Records of files only: `from_json` does not rescue.
    pub rescue: Option<Rescue>,
    /// The file of the records, told with what is rescued.
    pub file_path: Option<String>,
    pub date_format: Option<Pattern>,
    pub timestamp_format: Option<Pattern>,
    pub timestamp_ntz_format: Option<Pattern>,
    /// Texts that do not fit the format may have the default form.
    pub fall_back: bool,
    /// The schema is one VARIANT, which takes the whole record, and may have the column of corrupt records. Only functions
    /// set it: files refuse the option `singleVariantColumn`.
    pub single_variant: bool,
    /// Objects, arrays and numbers read as STRING keep their text; otherwise they are written anew.
    pub exact_strings: bool,
    // ---- inferring
    pub primitives_as_string: bool,
    pub prefers_decimal: bool,
    pub infer_timestamp: bool,
    pub infer_ntz: bool,
    pub drop_field_if_all_null: bool,
    pub sampling_ratio: f64,
    // ---- writing
    pub ignore_null_fields: bool,
    pub pretty: bool,
    pub write_non_ascii_as_codes: bool,
    pub date_format_out: Option<Pattern>,
    pub timestamp_format_out: Option<Pattern>,
    pub timestamp_ntz_format_out: Option<Pattern>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: ParseMode::Permissive,
            corrupt_column: "_corrupt_record".to_string(),
            leniency: Leniency::default(),
            limits: None,
            zone: Zone::UTC,
            multi_line: false,
            line_separator: None,
            encoding: None,
            rescue: None,
            file_path: None,
            date_format: None,
            timestamp_format: None,
            timestamp_ntz_format: None,
            fall_back: true,
            single_variant: false,
            exact_strings: true,
            primitives_as_string: false,
            prefers_decimal: false,
            infer_timestamp: false,
            infer_ntz: false,
            drop_field_if_all_null: false,
            sampling_ratio: 1.0,
            ignore_null_fields: true,
            pretty: false,
            write_non_ascii_as_codes: false,
            date_format_out: None,
            timestamp_format_out: None,
            timestamp_ntz_format_out: None,
        }
    }
}

impl Options {
    /// Reads options as a user gave them. Keys that JSON does not know are left alone, as Spark does.
    pub fn parse(options: &[(String, String)], session: &SessionDefaults) -> Result<Self> {
        let given = Lookup(options);
        given.check_locale()?;
        let defaults = Leniency::default();
        let leniency = Leniency {
            comments: given.flag("allowComments", defaults.comments)?,
            single_quotes: given.flag("allowSingleQuotes", defaults.single_quotes)?,
            unquoted_names: given.flag("allowUnquotedFieldNames", defaults.unquoted_names)?,
            leading_zeros: given.flag("allowNumericLeadingZeros", defaults.leading_zeros)?,
            non_numeric_numbers: given.flag("allowNonNumericNumbers", defaults.non_numeric_numbers)?,
            any_escape: given.flag("allowBackslashEscapingAnyCharacter", defaults.any_escape)?,
            control_characters: given.flag("allowUnquotedControlChars", defaults.control_characters)?,
        };
        let line_separator = given.line_separator()?;
        if given.text("singleVariantColumn").is_some() {
            return Err(Error::unsupported("the option `singleVariantColumn` of JSON"));
        }
        let reading = |key: &str| given.text(key).map(Pattern::for_reading_fields).transpose();
        let writing = |key: &str| given.text(key).map(Pattern::for_formatting).transpose();
        let timestamp_format = reading("timestampFormat")?;
        Ok(Self {
            mode: given.text("mode").map(ParseMode::parse).unwrap_or_default(),
            corrupt_column: given
                .text("columnNameOfCorruptRecord")
                .unwrap_or(session.corrupt_column.as_str())
                .to_string(),
            leniency,
            limits: limits(&given)?,
            zone: given.zone(&session.zone)?,
            multi_line: given.flag("multiLine", given.flag("wholeFile", false)?)?,
            line_separator,
            encoding: given.text("encoding").or(given.text("charset")).map(str::to_string),
            rescue: Rescue::parse(options)?,
            file_path: None,
            fall_back: given.flag("enableDateTimeParsingFallback", timestamp_format.is_none())?,
            date_format: reading("dateFormat")?,
            timestamp_format,
            timestamp_ntz_format: reading("timestampNTZFormat")?,
            single_variant: false,
            exact_strings: true,
            primitives_as_string: given.flag("primitivesAsString", false)?,
            prefers_decimal: given.flag("prefersDecimal", false)?,
            infer_timestamp: given.flag("inferTimestamp", false)?,
            infer_ntz: session.infer_ntz,
            drop_field_if_all_null: given.flag("dropFieldIfAllNull", false)?,
            sampling_ratio: given.number("samplingRatio", 1.0)?,
            ignore_null_fields: given.flag("ignoreNullFields", true)?,
            pretty: given.flag("pretty", false)?,
            write_non_ascii_as_codes: given.flag("writeNonAsciiCharacterAsCodePoint", false)?,
            date_format_out: writing("dateFormat").unwrap_or_default(),
            timestamp_format_out: writing("timestampFormat").unwrap_or_default(),
            timestamp_ntz_format_out: writing("timestampNTZFormat").unwrap_or_default(),
        })
    }

    /// Fails where a schema cannot be inferred by the patterns of timestamps, which are needed then.
    pub fn check_for_inferring(&self) -> Result<()> {
        let patterns = [&self.timestamp_format, &self.timestamp_ntz_format];
        patterns.into_iter().flatten().try_for_each(Pattern::check_readable)
    }

    /// The same options for writing: patterns that can only be written are in order, and those that cannot are refused.
    pub fn parse_for_writing(options: &[(String, String)], session: &SessionDefaults) -> Result<Self> {
        let given = Lookup(options);
        let writing = |key: &str| given.text(key).map(Pattern::for_formatting).transpose();
        let formats = ["dateFormat", "timestampFormat", "timestampNTZFormat"];
        let others: Vec<(String, String)> = options
            .iter()
            .filter(|(k, _)| !formats.iter().any(|f| f.eq_ignore_ascii_case(k)))
            .cloned()
            .collect();
        Ok(Self {
            date_format_out: writing("dateFormat")?,
            timestamp_format_out: writing("timestampFormat")?,
            timestamp_ntz_format_out: writing("timestampNTZFormat")?,
            ..Self::parse(&others, session)?
        })
    }
}

/// What records may have at most, where an option says it; the others are what they are in Spark.
fn limits(given: &Lookup) -> Result<Option<Limits>> {
    if ["maxNestingDepth", "maxStringLen", "maxNumLen"].iter().all(|key| given.text(key).is_none()) {
        return Ok(None);
    }
    Ok(Some(Limits {
        depth: given.number("maxNestingDepth", MAX_DEPTH)?,
        text: given.number("maxStringLen", 100_000_000)?,
        number: given.number("maxNumLen", 1000)?,
    }))
}
