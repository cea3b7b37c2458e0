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

pub fn version_not_found(version: i64, earliest: i64, latest: i64) -> Error {
    Error::new("DELTA_VERSION_NOT_FOUND")
        .param("userVersion", version)
        .param("earliest", earliest)
        .param("latest", latest)
        .message(format!("The table has no version {version}: it has the versions {earliest} to {latest}."))
        .exception("AnalysisException")
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
