//! Table properties: which of Delta's we know, and what their values may be.

use boathouse_spec::{Error, Result};
use indexmap::IndexMap;

use crate::action::{Metadata, Protocol};
use crate::catalog_managed::asks_for_catalog;
use crate::deletion_vector::INLINE_BYTES;
use crate::stats::columns;

/// What values a property takes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Boolean,
    /// Not less than this.
    Integer(i64),
    Interval,
    Isolation,
    /// Names of columns, by commas.
    Columns,
    Text,
    OneOf(&'static [&'static str]),
}

/// The class of values that a property does not take, where delta-spark has none.
pub(crate) const INVALID_VALUE: &str = "DELTA_VIOLATE_TABLE_PROPERTY_VALIDATION_FAILED";

/// Our own: whether a server's keeper maintains the table.
pub(crate) const MAINTENANCE: &str = "boathouse.maintenance";

/// Delta's properties that mean something here, or nothing that a reader or writer must act on.
const KNOWN: &[(&str, Kind)] = &[
    (MAINTENANCE, Kind::OneOf(&["auto", "off"])),
    (INLINE_BYTES, Kind::Integer(i64::MIN)),
    ("delta.appendOnly", Kind::Boolean),
    ("delta.autoOptimize.autoCompact", Kind::OneOf(&["true", "false", "auto", "legacy"])),
    ("delta.autoOptimize.optimizeWrite", Kind::Boolean),
    ("delta.checkpoint.writeStatsAsJson", Kind::Boolean),
    ("delta.checkpoint.writeStatsAsStruct", Kind::Boolean),
    ("delta.checkpointInterval", Kind::Integer(1)),
    ("delta.checkpointPolicy", Kind::OneOf(&["classic", "v2"])),
    ("delta.columnMapping.maxColumnId", Kind::Integer(i64::MIN)),
    ("delta.columnMapping.mode", Kind::OneOf(&["none", "name", "id"])),
    ("delta.compatibility.symlinkFormatManifest.enabled", Kind::OneOf(&["false"])),
    ("delta.dataSkippingNumIndexedCols", Kind::Integer(-1)),
    ("delta.dataSkippingStatsColumns", Kind::Columns),
    ("delta.deletedFileRetentionDuration", Kind::Interval),
    ("delta.dropFeatureTruncateHistory.retentionDuration", Kind::Interval),
    ("delta.enableChangeDataFeed", Kind::Boolean),
    ("delta.enableDeletionVectors", Kind::Boolean),
    ("delta.enableExpiredLogCleanup", Kind::Boolean),
    ("delta.enableIcebergCompatV1", Kind::Boolean),
    ("delta.enableIcebergCompatV2", Kind::Boolean),
    ("delta.enableInCommitTimestamps", Kind::Boolean),
    ("delta.inCommitTimestampEnablementTimestamp", Kind::Integer(i64::MIN)),
    ("delta.inCommitTimestampEnablementVersion", Kind::Integer(i64::MIN)),
    ("delta.enableMaterializePartitionColumnsFeature", Kind::Boolean),
    ("delta.enableRowTracking", Kind::Boolean),
    ("delta.enableTypeWidening", Kind::Boolean),
    ("delta.enableVariantShredding", Kind::Boolean),
    ("delta.rowTracking.materializedRowCommitVersionColumnName", Kind::Text),
    ("delta.rowTracking.materializedRowIdColumnName", Kind::Text),
    ("delta.rowTrackingSuspended", Kind::Boolean),
    ("delta.isolationLevel", Kind::Isolation),
    ("delta.logRetentionDuration", Kind::Interval),
    ("delta.parquet.compression.codec", Kind::Text),
    ("delta.requireCheckpointProtectionBeforeVersion", Kind::Integer(i64::MIN)),
    ("delta.randomizeFilePrefixes", Kind::OneOf(&["false"])),
    ("delta.sampleRetentionDuration", Kind::Interval),
    ("delta.setTransactionRetentionDuration", Kind::Interval),
    ("delta.targetFileSize", Kind::Text),
    ("delta.tuneFileSizesForRewrites", Kind::Boolean),
    ("delta.universalFormat.iceberg.atomicConversion.supported", Kind::Boolean),
    ("delta.writePartitionColumnsToParquet", Kind::Boolean),
];

/// Milliseconds that removed files are kept, and that the log is, where the table says nothing.
pub(crate) const DEFAULT_FILE_RETENTION_MS: i64 = 7 * 24 * 3_600_000;
pub(crate) const DEFAULT_LOG_RETENTION_MS: i64 = 30 * 24 * 3_600_000;

/// Delta's properties that ask for what is not done yet.
const UNSUPPORTED: &[&str] = &[
    "delta.coordinatedCommits.commitCoordinator-preview",
    "delta.enableIcebergCompatV3",
    "delta.randomPrefixLength",
    "delta.redirectReaderWriter-preview",
    "delta.universalFormat.enabledFormats",
];

/// Which properties of Delta a statement may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checks {
    /// Those we know, with values that they take.
    #[default]
    Known,
    /// Any (`spark.databricks.delta.allowArbitraryProperties.enabled`).
    Nothing,
}

/// The table configuration of properties that a statement gives; protocol versions and features among them change
/// `protocol`, or take its place where the table is new.
pub(crate) fn split(
    properties: &IndexMap<String, String>,
    protocol: &mut Protocol,
    is_new: bool,
    checks: Checks,
) -> Result<IndexMap<String, String>> {
    let mut out = IndexMap::new();
    let (mut reader, mut writer) = (None, None);
    let mut features: Vec<String> = Vec::new();
    for (key, value) in properties {
        if let Some(feature) = strip_ignore_case(key, "delta.feature.") {
            let is_status = value == "supported" || (value == "enabled" && !asks_for_catalog(key));
            if !is_status {
                return Err(Error::new("DELTA_UNSUPPORTED_FEATURE_STATUS")
                    .param("feature", feature)
                    .param("status", value)
                    .message(format!("The feature {feature} can be `supported`, not `{value}`.")));
            }
            if !crate::protocol::is_known_feature(feature) {
                return Err(Error::new("DELTA_UNSUPPORTED_FEATURES_IN_CONFIG")
                    .param("configs", feature)
                    .message(format!("This version does not have the table feature {feature}."))
                    .exception("AnalysisException"));
            }
            features.push(feature.to_string());
            continue;
        }
        if key.eq_ignore_ascii_case("delta.minReaderVersion") {
            reader = Some(version_of(key, value, 3)?);
            continue;
        }
        if key.eq_ignore_ascii_case("delta.minWriterVersion") {
            writer = Some(version_of(key, value, 7)?);
            continue;
        }
        let (key, value) = match checks {
            Checks::Known => checked(key, value)?,
            Checks::Nothing => spelled(key, value),
        };
        out.insert(key, value);
    }
    if reader.is_some() || writer.is_some() {
        let reader = reader.unwrap_or(protocol.min_reader_version);
        let writer = writer.unwrap_or(protocol.min_writer_version);
        *protocol = match is_new {
            true => Protocol::of_features(Protocol::of_versions(reader, writer).features()),
            false => protocol.with_versions(reader, writer),
        };
    }
    if !features.is_empty() {
        let names: Vec<&str> = features.iter().map(String::as_str).collect();
        *protocol = protocol.with_features(&names);
    }
    Ok(out)
}

/// The log keeps the removal of a file at least as long as VACUUM leaves the file alone
/// (`DeltaConfigs.validateTombstoneAndLogRetentionDurationCompatibility`).
pub(crate) fn check_retention(metadata: &Metadata) -> Result<()> {
    let log = metadata.interval_ms("delta.logRetentionDuration").unwrap_or(DEFAULT_LOG_RETENTION_MS);
    let files =
        metadata.interval_ms("delta.deletedFileRetentionDuration").unwrap_or(DEFAULT_FILE_RETENTION_MS);
    if files <= log {
        return Ok(());
    }
    let hours = |ms: i64| ms as f64 / 3_600_000.0;
    Err(Error::new(INVALID_VALUE)
        .message(format!(
            "delta.logRetentionDuration ({} hours) cannot be shorter than delta.deletedFileRetentionDuration ({} hours).",
            hours(log),
            hours(files)
        ))
        .exception("IllegalArgumentException"))
}

/// A version of the protocol that a statement names.
fn version_of(key: &str, value: &str, most: i32) -> Result<i32> {
    value.trim().parse().ok().filter(|version| (1..=most).contains(version)).ok_or_else(|| {
        let known: Vec<String> = (1..=most).map(|v| v.to_string()).collect();
        Error::new(INVALID_VALUE)
            .param("table", key)
            .message(format!("{key} cannot be `{value}`: it needs to be one of {}.", known.join(", ")))
            .exception("IllegalArgumentException")
    })
}

/// A property with Delta's spelling of its name, where it has one.
fn spelled(key: &str, value: &str) -> (String, String) {
    let known = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
    (known.map_or(key, |(name, _)| name).to_string(), value.to_string())
}

/// A property with Delta's spelling of its name, where its value is one it takes.
pub(crate) fn checked(key: &str, value: &str) -> Result<(String, String)> {
    if let Some(name) = strip_ignore_case(key, "delta.constraints.") {
        return Ok((format!("delta.constraints.{}", name.to_lowercase()), value.to_string()));
    }
    let is_ours = strip_ignore_case(key, "boathouse.").is_some();
    if strip_ignore_case(key, "delta.").is_none() && !is_ours {
        return Ok((key.to_string(), value.to_string()));
    }
    if UNSUPPORTED.iter().any(|name| name.eq_ignore_ascii_case(key)) {
        return Err(Error::unsupported(format!("the table property {key}")));
    }
    let Some((name, kind)) = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)) else {
        return Err(Error::new("DELTA_UNKNOWN_CONFIGURATION")
            .param("config", key)
            .param("disableCheckConfig", "spark.databricks.delta.allowArbitraryProperties.enabled")
            .message(format!("Delta has no table property {key} that this version knows."))
            .exception("AnalysisException"));
    };
    let valid = match kind {
        Kind::Boolean => matches!(value.to_ascii_lowercase().as_str(), "true" | "false"),
        Kind::Integer(from) => value.trim().parse::<i64>().is_ok_and(|v| v >= *from),
        Kind::Interval => parse_interval_ms(value).is_some_and(|ms| ms >= 0),
        Kind::Isolation => ISOLATION_LEVELS.iter().any(|v| v.eq_ignore_ascii_case(value)),
        Kind::Columns => columns::parse(value).is_some(),
        Kind::Text => true,
        Kind::OneOf(values) => values.iter().any(|v| v.eq_ignore_ascii_case(value)),
    };
    match valid {
        true => Ok(((*name).to_string(), value.to_string())),
        false => Err(invalid(name, *kind, value)),
    }
}

const ISOLATION_LEVELS: [&str; 2] = ["Serializable", "WriteSerializable"];

/// The error of a value that a property does not take: with delta-spark's class where it has one.
fn invalid(name: &str, kind: Kind, value: &str) -> Error {
    let is_no_interval = parse_interval_ms(value).is_none() && !names_months(value);
    let error = match kind {
        Kind::Interval if is_no_interval => Error::new("DELTA_INVALID_INTERVAL").param("interval", value),
        Kind::Isolation => Error::new("DELTA_INVALID_ISOLATION_LEVEL").param("isolationLevel", value),
        _ => Error::new(INVALID_VALUE).param("table", name),
    };
    let takes = match kind {
        Kind::Boolean => "true or false".to_string(),
        Kind::Integer(i64::MIN) => "a number".to_string(),
        Kind::Integer(from) => format!("a number from {from} on"),
        Kind::Interval => "an interval such as `interval 2 weeks`, not of months or years".to_string(),
        Kind::Isolation => ISOLATION_LEVELS.join(" or "),
        Kind::Columns => "names of columns, by commas".to_string(),
        Kind::Text => "a text".to_string(),
        Kind::OneOf(values) => values.join(" or "),
    };
    let exception = match name {
        "delta.columnMapping.mode" => "UnsupportedOperationException",
        _ => "IllegalArgumentException",
    };
    error
        .message(format!("The table property {name} cannot be `{value}`: it takes {takes}."))
        .exception(exception)
}

fn names_months(text: &str) -> bool {
    let is_unit = |word: &str| matches!(word.trim_end_matches('s'), "month" | "year" | "quarter");
    text.to_lowercase().split_whitespace().any(is_unit)
}

/// The text after a prefix, which may differ in case.
fn strip_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.get(..prefix.len()).filter(|head| head.eq_ignore_ascii_case(prefix)).map(|_| &text[prefix.len()..])
}

/// Milliseconds of `interval 7 days`, `7 days`, `168 hours 30 minutes`.
pub(crate) fn parse_interval_ms(text: &str) -> Option<i64> {
    let lower = text.trim().to_lowercase();
    let mut words = lower.strip_prefix("interval").unwrap_or(&lower).split_whitespace();
    let mut total = 0i64;
    let mut any = false;
    while let Some(number) = words.next() {
        let number: i64 = number.trim_matches('\'').parse().ok()?;
        let unit = words.next()?;
        let ms = match unit.trim_end_matches('s') {
            "millisecond" => 1,
            "second" => 1_000,
            "minute" => 60_000,
            "hour" => 3_600_000,
            "day" => 86_400_000,
            "week" => 7 * 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(ms)?)?;
        any = true;
    }
    any.then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        assert_eq!(checked("DELTA.appendonly", "true").unwrap(), ("delta.appendOnly".into(), "true".into()));
        assert_eq!(checked("foo", "bar").unwrap(), ("foo".into(), "bar".into()));
        assert_eq!(checked("delta.nope", "1").unwrap_err().class(), "DELTA_UNKNOWN_CONFIGURATION");
        assert!(checked("delta.appendOnly", "perhaps").is_err());
        assert_eq!(parse_interval_ms("interval 1 week"), Some(604_800_000));
        assert_eq!(parse_interval_ms("30 days 1 hour"), Some(30 * 86_400_000 + 3_600_000));
        assert_eq!(parse_interval_ms("soon"), None);
    }

    #[test]
    fn features_and_versions_go_to_the_protocol() {
        let mut protocol = Protocol::default();
        let given: IndexMap<String, String> = [
            ("delta.feature.deletionVectors".to_string(), "supported".to_string()),
            ("delta.appendOnly".to_string(), "true".to_string()),
        ]
        .into_iter()
        .collect();
        let out = split(&given, &mut protocol, false, Checks::Known).unwrap();
        assert_eq!(out.keys().collect::<Vec<_>>(), ["delta.appendOnly"]);
        assert_eq!(protocol.reader_features, Some(vec!["deletionVectors".to_string()]));
    }
}
