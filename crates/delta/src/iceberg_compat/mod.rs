//! Tables whose files Iceberg can read too: the features `icebergCompatV1` and `icebergCompatV2` ("Iceberg Compatibility"
//! in PROTOCOL.md, delta-spark's `IcebergCompat`). What Iceberg's own metadata would be (UniForm) is nobody's business here.
//!
//! Such a table maps its columns and has no deletion vectors; its files hold the columns that partition it and the ids of all
//! their fields; each file tells its number of rows. [`check`] looks at every commit, whichever statement makes it.

mod checks;
pub(crate) mod nested_ids;
mod violation;

use indexmap::IndexMap;

use crate::action::{Add, Metadata, Protocol, is_true};

pub(crate) use checks::{Change, check, check_early};
pub(crate) use violation::{files_not_compatible, rewrite_failed, version_not_supported};

const MAPPING_MODE: &str = "delta.columnMapping.mode";
/// Whether UniForm may convert the table in the commits themselves; delta-spark notes it in every table it makes.
const ATOMIC_CONVERSION: &str = "delta.universalFormat.iceberg.atomicConversion.supported";
/// The formats that UniForm keeps beside the table's own.
pub(crate) const UNIFORM_FORMATS: &str = "delta.universalFormat.enabledFormats";
/// The tag of a file that says for which version it was written.
const TAG: &str = "ICEBERG_COMPAT_VERSION";

/// A version of the compatibility.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V1,
    V2,
}

impl Version {
    pub const ALL: [Version; 2] = [Version::V1, Version::V2];

    pub fn of_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.number() == number)
    }

    pub fn number(self) -> i32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// The table property that turns it on.
    pub fn property(self) -> &'static str {
        match self {
            Self::V1 => "delta.enableIcebergCompatV1",
            Self::V2 => "delta.enableIcebergCompatV2",
        }
    }

    fn is_enabled(self, metadata: &Metadata) -> bool {
        metadata.is_on(self.property())
    }
}

/// The version that is on.
pub(crate) fn enabled(metadata: &Metadata) -> Option<Version> {
    Version::ALL.into_iter().find(|v| v.is_enabled(metadata))
}

/// Whether properties turn a version on: tables have no deletion vectors by themselves then.
pub fn is_asked_for<'a>(properties: impl IntoIterator<Item = (&'a String, &'a String)>) -> bool {
    let is_property = |key: &str| Version::ALL.iter().any(|v| v.property().eq_ignore_ascii_case(key));
    properties.into_iter().any(|(key, value)| is_property(key) && is_true(value))
}

/// Whether UniForm keeps another format beside the table's.
pub(crate) fn has_uniform(metadata: &Metadata) -> bool {
    metadata.configuration.get(UNIFORM_FORMATS).is_some_and(|formats| !formats.trim().is_empty())
}

/// What a statement that makes or replaces a table need not say (`relatedTableProperties` of delta-spark's versions).
pub(crate) fn set_required(metadata: &mut Metadata) {
    if enabled(metadata).is_some() {
        let configuration = &mut metadata.configuration;
        configuration.entry(MAPPING_MODE.into()).or_insert_with(|| "name".into());
        configuration.entry(ATOMIC_CONVERSION.into()).or_insert_with(|| "true".into());
    }
}

/// Whether files hold the columns that partition them (delta-spark's `TransactionalWrite.writeFiles`).
pub(crate) fn materializes_partitions(protocol: &Protocol, metadata: &Metadata) -> bool {
    enabled(metadata).is_some()
        || protocol.has("materializePartitionColumns")
        || metadata.is_on("delta.writePartitionColumnsToParquet")
}

/// The tags of new files.
pub(crate) fn tags(metadata: &Metadata) -> Option<IndexMap<String, Option<String>>> {
    let version = enabled(metadata).filter(|v| *v >= Version::V2)?;
    Some([(TAG.to_string(), Some(version.number().to_string()))].into_iter().collect())
}

/// Whether a file was written for the version.
pub(crate) fn is_written_for(file: &Add, version: Version) -> bool {
    let tag = file.tags.as_ref().and_then(|tags| tags.get(TAG)).cloned().flatten();
    tag.is_some_and(|tag| tag == version.number().to_string())
}
