//! Delta's error classes, with delta-spark's parameters and our words.

use boathouse_spec::Error;

use crate::location::TableLocation;

// The exceptions that Python's `delta.exceptions` knows by these names.
pub const CONCURRENT_APPEND: &str = "ConcurrentAppendException";
pub const CONCURRENT_DELETE_READ: &str = "ConcurrentDeleteReadException";
pub const CONCURRENT_DELETE_DELETE: &str = "ConcurrentDeleteDeleteException";
pub const CONCURRENT_TRANSACTION: &str = "ConcurrentTransactionException";
pub const METADATA_CHANGED: &str = "MetadataChangedException";
pub const PROTOCOL_CHANGED: &str = "ProtocolChangedException";

pub fn not_a_table(location: &TableLocation) -> Error {
    Error::new("DELTA_MISSING_DELTA_TABLE")
        .param("tableName", location.uri())
        .message(format!("{} is not a Delta table.", location.uri()))
        .exception("AnalysisException")
}

/// A writer finds that its table was dropped, or replaced by another one, since it read it.
pub fn gone(location: &TableLocation) -> Error {
    Error::new("DELTA_TABLE_NOT_FOUND")
        .param("tableName", location.uri())
        .message(format!(
            "The Delta table {} does not exist any more: it was dropped meanwhile.",
            location.uri()
        ))
        .exception("AnalysisException")
}

pub fn cannot_create_log(location: &TableLocation, cause: impl std::fmt::Display) -> Error {
    let path = format!("{}/_delta_log", location.uri());
    Error::new("DELTA_CANNOT_CREATE_LOG_PATH")
        .param("path", &path)
        .message(format!("Cannot create {path}: {cause}"))
}

/// Rows that could not be stored.
pub fn write_failed(location: &TableLocation, cause: impl std::fmt::Display) -> Error {
    Error::new("TASK_WRITE_FAILED")
        .param("path", location.uri())
        .message(format!("The rows could not be written to {}: {cause}", location.uri()))
}

/// A file of the log that is not what it should be.
pub fn unreadable(file: &str, cause: impl std::fmt::Display) -> Error {
    Error::new("FAILED_READ_FILE.NO_HINT")
        .param("path", file)
        .message(format!("Encountered an error while reading the file {file}: {cause}"))
}

pub fn unreadable_checkpoint(file: &str, cause: impl std::fmt::Display) -> Error {
    Error::new("FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER").param("path", file).message(format!(
        "Encountered an error while reading the checkpoint {file}, and the commits before it are gone: {cause}"
    ))
}

pub fn versions_not_contiguous(location: &TableLocation, versions: &[i64], wanted: Option<i64>) -> Error {
    let list = versions.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let (first, last) = (versions.first().copied().unwrap_or(0), versions.last().copied().unwrap_or(0));
    Error::new("DELTA_VERSIONS_NOT_CONTIGUOUS")
        .param("versionList", &list)
        .param("startVersion", first)
        .param("endVersion", last)
        .param("versionToLoad", wanted.unwrap_or(-1))
        .message(format!("The log of {} has a gap: of its versions there are only {list}.", location.uri()))
}

pub fn truncated_log(location: &TableLocation, version: i64) -> Error {
    let path = format!("{}/_delta_log/{version:020}.json", location.uri());
    Error::new("DELTA_TRUNCATED_TRANSACTION_LOG")
        .param("path", &path)
        .param("version", version)
        .message(format!(
            "The state of {} at version {version} cannot be built: the commits before it are gone, and there is no checkpoint.",
            location.uri()
        ))
}

pub fn version_not_found(version: i64, earliest: i64, latest: i64) -> Error {
    Error::new("DELTA_VERSION_NOT_FOUND")
        .param("userVersion", version)
        .param("earliest", earliest)
        .param("latest", latest)
        .message(format!("The table has no version {version}: it has the versions {earliest} to {latest}."))
        .exception("AnalysisException")
}

/// A feed that begins at a commit that the log does not have any more.
pub fn log_file_not_found(location: &TableLocation, version: i64, earliest: i64, latest: i64) -> Error {
    Error::new("DELTA_LOG_FILE_NOT_FOUND")
        .param("version", version)
        .param("logPath", location.uri())
        .message(format!(
            "The commit of version {version} of {} is no longer in its log (delta.logRetentionDuration): it has the versions \
             {earliest} to {latest}.",
            location.uri()
        ))
}

/// A log that contradicts itself or cannot be read.
pub fn corrupt(location: &TableLocation, version: Option<i64>, cause: impl std::fmt::Display) -> Error {
    let version = version.map_or_else(|| "?".to_string(), |v| v.to_string());
    Error::new("DELTA_STATE_RECOVER_ERROR").param("operation", "state").param("version", &version).message(
        format!(
            "The state of the table {} at version {version} cannot be built from its log: {cause}",
            location.uri()
        ),
    )
}

pub fn unsupported_read_features(location: &TableLocation, features: &[String]) -> Error {
    let list = features.join(", ");
    Error::new("DELTA_UNSUPPORTED_FEATURES_FOR_READ")
        .param("tableNameOrPath", location.uri())
        .param("dbrVersion", crate::ENGINE_INFO)
        .param("unsupported", &list)
        .message(format!(
            "The table {} cannot be read: it needs features that this version does not have: {list}.",
            location.uri()
        ))
}

/// A table that was not opened by its name in the catalog that manages its commits.
pub fn managed_by_a_catalog(location: &TableLocation) -> Error {
    Error::new("DELTA_PATH_BASED_ACCESS_TO_CATALOG_MANAGED_TABLE_BLOCKED")
        .param("path", location.uri())
        .message(format!(
            "A catalog manages the commits of the table {} (its feature catalogManaged): it is opened by its name in that catalog, \
             and not by its path or by a name in another catalog.",
            location.uri()
        ))
        .exception("IllegalStateException")
}

pub fn unsupported_write_features(location: &TableLocation, features: &[String]) -> Error {
    let list = features.join(", ");
    Error::new("DELTA_UNSUPPORTED_FEATURES_FOR_WRITE")
        .param("tableNameOrPath", location.uri())
        .param("dbrVersion", crate::ENGINE_INFO)
        .param("unsupported", &list)
        .message(format!(
            "The table {} cannot be written: it needs features that this version does not have: {list}.",
            location.uri()
        ))
}

/// A change of a table asks for features that do not turn on by themselves.
pub fn needs_features(features: &[&str], supported: &[String]) -> Error {
    let (list, known) = (features.join(", "), supported.join(", "));
    Error::new("DELTA_FEATURES_REQUIRE_MANUAL_ENABLEMENT")
        .param("unsupportedFeatures", &list)
        .param("supportedFeatures", &known)
        .message(format!(
            "The table would need the features {list}, which do not turn on by themselves: ALTER TABLE .. SET TBLPROPERTIES \
             ('delta.feature.{}' = 'supported') first. It has these: {known}.",
            features.first().copied().unwrap_or_default()
        ))
        .exception("DeltaTableFeatureException")
}

pub fn protocol_version(location: &TableLocation, reader: i32, writer: i32) -> Error {
    Error::new("DELTA_INVALID_PROTOCOL_VERSION")
        .param("tableNameOrPath", location.uri())
        .param("readerRequired", reader)
        .param("writerRequired", writer)
        .param("supportedReaders", "1, 2, 3")
        .param("supportedWriters", "2, 3, 4, 5, 6, 7")
        .message(format!(
            "The table {} needs reader version {reader} and writer version {writer}, which this version does not know.",
            location.uri()
        ))
}
