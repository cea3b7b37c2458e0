//! The errors of what the compatibility forbids: delta-spark's classes and words.

use boathouse_spec::{DataType, Error, StructType};

use super::Version;

/// The exception that Python's clients see.
const UNSUPPORTED: &str = "UnsupportedOperationException";

fn violation(subclass: &str, version: i32, text: impl AsRef<str>) -> Error {
    Error::new(format!("DELTA_ICEBERG_COMPAT_VIOLATION.{subclass}"))
        .param("version", version)
        .message(format!("The validation of IcebergCompatV{version} has failed.\n{}", text.as_ref()))
        .exception(UNSUPPORTED)
}

fn of(subclass: &str, version: Version, text: impl AsRef<str>) -> Error {
    violation(subclass, version.number(), text)
}

pub(super) fn mutually_exclusive(version: Version) -> Error {
    of(
        "VERSION_MUTUAL_EXCLUSIVE",
        version,
        "Only one IcebergCompat version can be enabled, please explicitly disable all other IcebergCompat versions that are not \
         needed.",
    )
}

pub(super) fn wrong_property(version: Version, key: &str, required: &str, actual: &str) -> Error {
    let n = version.number();
    of(
        "WRONG_REQUIRED_TABLE_PROPERTY",
        version,
        format!(
            "IcebergCompatV{n} requires table property '{key}' to be set to '{required}'. Current value: '{actual}'."
        ),
    )
    .param("key", key)
    .param("requiredValue", required)
    .param("actualValue", actual)
}

pub(super) fn disables_feature(version: Version, feature: &str) -> Error {
    let n = version.number();
    of(
        "DISABLING_REQUIRED_TABLE_FEATURE",
        version,
        format!(
            "IcebergCompatV{n} requires feature {feature} to be supported and enabled. You cannot drop it from the table. Instead, \
             please disable IcebergCompatV{n} first."
        ),
    )
    .param("feature", feature)
}

/// delta-spark throws this without a class.
pub(super) fn no_statistics(version: Version, table_id: &str, path: &str, stats: Option<&str>) -> Error {
    let n = version.number();
    Error::new("DELTA_ICEBERG_COMPAT_VIOLATION.FILES_WITHOUT_STATISTICS")
        .param("version", n)
        .message(format!(
            "[tableId={table_id}] IcebergCompatV{n} requires all AddFiles to contain the numRecords statistic. AddFile {path} is \
             missing this statistic. Stats: {}",
            stats.unwrap_or("null")
        ))
        .exception(UNSUPPORTED)
}

pub(super) fn changed_partitioning(version: Version, before: &[String], after: &[String]) -> Error {
    let n = version.number();
    let (before, after) = (format!("({})", before.join(",")), format!("({})", after.join(",")));
    of(
        "REPLACE_TABLE_CHANGE_PARTITION_NAMES",
        version,
        format!(
            "IcebergCompatV{n} doesn't support replacing partitioned tables with a differently-named partition spec, because \
             Iceberg-Spark 1.1.0 doesn't.\nPrev Partition Spec: {before}\nNew Partition Spec: {after}"
        ),
    )
    .param("prevPartitionSpec", before)
    .param("newPartitionSpec", after)
}

pub(super) fn unsupported_type(version: Version, t: &DataType, schema: &StructType) -> Error {
    let (n, name, tree) = (version.number(), t.type_name(), schema.tree_string(None));
    of(
        "UNSUPPORTED_DATA_TYPE",
        version,
        format!(
            "IcebergCompatV{n} does not support the data type {name} in your schema. Your schema:\n{tree}"
        ),
    )
    .param("dataType", name)
    .param("schema", tree)
}

pub(super) fn unsupported_partition_type(version: Version, t: &DataType, schema: &StructType) -> Error {
    let (n, name, tree) = (version.number(), t.type_name(), schema.tree_string(None));
    of(
        "UNSUPPORTED_PARTITION_DATA_TYPE",
        version,
        format!(
            "IcebergCompatV{n} does not support the data type {name} for partition columns in your schema. Your partition \
             schema:\n{tree}"
        ),
    )
    .param("dataType", name)
    .param("schema", tree)
}

pub(super) fn deletion_vectors(version: Version) -> Error {
    let n = version.number();
    of(
        "DELETION_VECTORS_SHOULD_BE_DISABLED",
        version,
        format!(
            "IcebergCompatV{n} requires Deletion Vectors to be disabled on the table first. Then run REORG PURGE command to purge \
             the Deletion Vectors on the table."
        ),
    )
}

pub(super) fn type_change(version: Version, path: &str, from: &DataType, to: &DataType) -> Error {
    let n = version.number();
    let (from, to) = (format!("\"{}\"", from.sql()), format!("\"{}\"", to.sql()));
    of(
        "UNSUPPORTED_TYPE_WIDENING",
        version,
        format!(
            "IcebergCompatV{n} is incompatible with a type change applied to this table:\nField {path} was changed from {from} to \
             {to}."
        ),
    )
    .param("fieldPath", path)
    .param("prevType", from)
    .param("newType", to)
}

/// REORG .. UPGRADE UNIFORM to a version that is none.
pub(crate) fn version_not_supported(version: i32) -> Error {
    // delta-spark says of versions below the first that the third is one.
    let most = if version < 1 { 3 } else { Version::V2.number() };
    violation(
        "COMPAT_VERSION_NOT_SUPPORTED",
        version,
        format!(
            "IcebergCompatVersion = {version} is not supported. Supported versions are between 1 and {most} "
        ),
    )
    .param("maxVersion", most)
}

/// REORG .. UPGRADE UNIFORM while others added files.
pub(crate) fn files_not_compatible(
    version: Version,
    table_version: i64,
    all: usize,
    without: usize,
) -> Error {
    let n = version.number();
    of(
        "FILES_NOT_ICEBERG_COMPAT",
        version,
        format!(
            "Enabling Uniform Iceberg with IcebergCompatV{n} requires all files to be iceberg compatible.\nThere are {all} files in \
             table version {table_version} and {without} files are not iceberg compatible, which is usually a result of concurrent \
             write.\nPlease run the REORG TABLE table APPLY (UPGRADE UNIFORM (ICEBERG_COMPAT_VERSION={n}) command again."
        ),
    )
    .param("addFilesCount", all)
    .param("tableVersion", table_version)
    .param("addFilesWithoutTag", without)
    .exception("IllegalStateException")
}

/// REORG .. UPGRADE UNIFORM whose files could not be written.
pub(crate) fn rewrite_failed(version: Version, cause: &Error) -> Error {
    let n = version.number();
    of(
        "REWRITE_DATA_FAILED",
        version,
        format!(
            "Rewriting data to IcebergCompatV{n} failed.\nPlease run the REORG TABLE table APPLY (UPGRADE UNIFORM \
             (ICEBERG_COMPAT_VERSION={n}) command again.\n{cause}"
        ),
    )
    .exception("IllegalStateException")
}
