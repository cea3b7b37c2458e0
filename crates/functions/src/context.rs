//! What functions need to know of the session.

use std::sync::Arc;

use boathouse_formats::binary_style::BinaryStyle;

/// Settings that change what functions return. Part of a function's identity: two calls under different settings
/// are different expressions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Context {
    /// `spark.sql.ansi.enabled`
    pub ansi: bool,
    /// `spark.sql.session.timeZone`, as the user wrote it.
    pub timezone_name: Arc<str>,
    /// `spark.sql.mapKeyDedupPolicy`
    pub map_key_policy: MapKeyPolicy,
    /// `spark.sql.decimalOperations.allowPrecisionLoss`
    pub allow_precision_loss: bool,
    /// `spark.sql.legacy.timeParserPolicy`: true for CORRECTED (and EXCEPTION), false for LEGACY.
    pub strict_time_parser: bool,
    /// `spark.sql.legacy.sizeOfNull`
    pub size_of_null: bool,
    /// `spark.sql.timestampType` is TIMESTAMP_NTZ
    pub timestamp_ntz_default: bool,
    /// `spark.sql.caseSensitive`
    pub case_sensitive: bool,
    /// `spark.sql.legacy.javaCharsets`: `encode` and `decode` take character sets beyond the documented ones.
    pub java_charsets: bool,
    /// `spark.sql.legacy.codingErrorAction`: what a character set lacks is replaced instead of refused.
    pub replaces_coding_errors: bool,
    /// `spark.sql.chunkBase64String.enabled`: `base64` gives lines of 76 characters.
    pub base64_in_lines: bool,
    /// `spark.sql.legacy.negativeIndexInArrayInsert`: -1 is the place before the last element.
    pub inserts_before_last: bool,
    /// `spark.sql.function.concatBinaryAsString`
    pub concat_binary_as_string: bool,
    /// `spark.sql.function.eltOutputAsString`
    pub elt_output_as_string: bool,
    /// `spark.sql.legacy.interval.enabled`: the difference of two dates or timestamps is a calendar interval.
    pub legacy_interval: bool,
    /// `spark.sql.binaryOutputStyle`
    pub binary_style: BinaryStyle,
    /// `spark.sql.geospatial.enabled`
    pub geospatial: bool,
    /// Start of the query, microseconds since the epoch: `current_timestamp()` and its kin.
    pub now_us: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MapKeyPolicy {
    /// Duplicate keys raise DUPLICATED_MAP_KEY.
    Exception,
    LastWins,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            ansi: true,
            timezone_name: "UTC".into(),
            map_key_policy: MapKeyPolicy::Exception,
            allow_precision_loss: true,
            strict_time_parser: true,
            size_of_null: false,
            timestamp_ntz_default: false,
            case_sensitive: false,
            java_charsets: false,
            replaces_coding_errors: false,
            base64_in_lines: true,
            inserts_before_last: false,
            concat_binary_as_string: false,
            elt_output_as_string: false,
            legacy_interval: false,
            binary_style: BinaryStyle::default(),
            geospatial: true,
            now_us: 0,
        }
    }
}
