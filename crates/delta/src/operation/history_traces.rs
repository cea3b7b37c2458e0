//! What a table's history has of a feature that is to be dropped, and cutting the history off where it is old enough
//! (`ALTER TABLE .. DROP FEATURE .. TRUNCATE HISTORY`).

use boathouse_spec::Result;

use crate::action::{Action, Metadata};
use crate::log::{self, checkpoint, cleanup, timeline};
use crate::schema::widening;
use crate::snapshot::Snapshot;

const RETENTION: &str = "delta.dropFeatureTruncateHistory.retentionDuration";
const DEFAULT_RETENTION_MS: i64 = 24 * 3_600_000;

/// Whether the history needs the feature, once what is past its retention is cut off.
pub(super) async fn remain(table: &Snapshot, feature: &str) -> Result<bool> {
    let location = table.location();
    // From here on the table can begin at a checkpoint of this version.
    checkpoint::write(table).await?;
    let retention = table.interval_ms(RETENTION).unwrap_or(DEFAULT_RETENTION_MS);
    cleanup::truncate(table, retention).await?;
    let (commits, checkpoints) = log::list_history(location).await?;
    let (first, last) =
        timeline::version_range(&commits, &checkpoints).ok_or_else(|| timeline::no_history(location))?;
    // What the first version has from before, and what each commit after it says.
    let oldest = Snapshot::load(location, Some(first)).await?;
    let mut needed = metadata_needs(oldest.metadata(), feature)
        || (feature == "deletionVectors"
            && oldest.files().await?.iter().any(|f| f.deletion_vector.is_some()))
        || (feature == "v2Checkpoint" && checkpoint::has_v2(location).await?);
    for version in first + 1..=last {
        if needed {
            break;
        }
        let actions = log::read_commit(location, version).await?.unwrap_or_default();
        needed = actions.iter().any(|action| needs(action, feature));
    }
    Ok(needed)
}

/// Whether readers of an action must know the feature (delta-spark's `actionUsesFeature`).
fn needs(action: &Action, feature: &str) -> bool {
    match action {
        Action::Metadata(metadata) => metadata_needs(metadata, feature),
        Action::Add(add) => feature == "deletionVectors" && add.deletion_vector.is_some(),
        Action::Remove(remove) => feature == "deletionVectors" && remove.deletion_vector.is_some(),
        _ => false,
    }
}

fn metadata_needs(metadata: &Metadata, feature: &str) -> bool {
    let is = |key: &str, wanted: &str| {
        metadata.configuration.get(key).is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    };
    match feature {
        "deletionVectors" => is("delta.enableDeletionVectors", "true"),
        "columnMapping" => is("delta.columnMapping.mode", "name") || is("delta.columnMapping.mode", "id"),
        "typeWidening" | "typeWidening-preview" => {
            is("delta.enableTypeWidening", "true") || metadata.schema_string.contains(widening::TYPE_CHANGES)
        }
        "v2Checkpoint" => is("delta.checkpointPolicy", "v2"),
        _ => false,
    }
}
