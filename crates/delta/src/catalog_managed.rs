//! The feature `catalogManaged`: a catalog says which commits are the table's versions ([`crate::CommitCoordinator`]). What comes
//! with it, and what cannot be changed under it (Spark: `CatalogOwnedTableUtils`).

use boathouse_spec::{Error, Result};

use crate::action::{Metadata, Protocol};
use crate::snapshot::Snapshot;

pub(crate) const FEATURE: &str = "catalogManaged";

/// Commits are published later than they are made, so they carry their timestamps.
const TIMESTAMPS: &[&str] = &[
    "delta.enableInCommitTimestamps",
    "delta.inCommitTimestampEnablementTimestamp",
    "delta.inCommitTimestampEnablementVersion",
];

/// What new tables have where the statement does not say otherwise.
const DEFAULTS: &[(&str, &str)] = &[
    ("delta.checkpointPolicy", "v2"),
    ("delta.enableDeletionVectors", "true"),
    ("delta.enableRowTracking", "true"),
];

/// Whether a property of a table asks for a catalog that manages its commits.
pub fn asks_for_catalog(key: &str) -> bool {
    key.eq_ignore_ascii_case("delta.feature.catalogManaged")
}

fn is_timestamp(key: &str) -> bool {
    TIMESTAMPS.iter().any(|t| t.eq_ignore_ascii_case(key))
}

/// Gives the metadata of a table what the feature needs, and that of a new one what else it brings.
pub(crate) fn complete(protocol: &Protocol, metadata: &mut Metadata, is_new: bool) {
    if !protocol.has(FEATURE) {
        return;
    }
    // Also where the statement says that there are none, as in delta-spark.
    metadata.configuration.insert(TIMESTAMPS[0].into(), "true".into());
    for (key, value) in DEFAULTS.iter().filter(|_| is_new) {
        metadata.configuration.entry((*key).into()).or_insert_with(|| (*value).into());
    }
}

/// Refuses to give a table that exists the feature.
pub(crate) fn refuse_upgrade<'a>(table: &Snapshot, mut set: impl Iterator<Item = &'a String>) -> Result<()> {
    if table.protocol().has(FEATURE) || !set.any(|key| asks_for_catalog(key)) {
        return Ok(());
    }
    Err(Error::unsupported(
        "the change of a table that exists to one whose commits the catalog manages: make a new table of it",
    ))
}

/// Refuses to change what a table needs for the feature.
pub(crate) fn check_change<'a>(table: &Snapshot, mut keys: impl Iterator<Item = &'a String>) -> Result<()> {
    match table.protocol().has(FEATURE) && keys.any(|key| is_timestamp(key)) {
        true => Err(cannot_change_timestamps()),
        false => Ok(()),
    }
}

fn cannot_change_timestamps() -> Error {
    Error::new("DELTA_CANNOT_MODIFY_CATALOG_MANAGED_DEPENDENCIES")
        .message(
            "A table whose commits a catalog manages has timestamps in its commits. Leave out delta.enableInCommitTimestamps, \
             delta.inCommitTimestampEnablementVersion and delta.inCommitTimestampEnablementTimestamp.",
        )
        .exception("IllegalArgumentException")
}
