//! What a table's history has of a feature that is to be dropped, and cutting the history off where it is old enough
//! (`ALTER TABLE .. DROP FEATURE .. TRUNCATE HISTORY`).

use boathouse_spec::{Result, clock};

use crate::action::{Action, Metadata};
use crate::data_file::delete_quietly;
use crate::log::{self, checkpoint};
use crate::property::parse_interval_ms;
use crate::schema::widening;
use crate::snapshot::Snapshot;

const RETENTION: &str = "delta.dropFeatureTruncateHistory.retentionDuration";
const DEFAULT_RETENTION_MS: i64 = 24 * 3_600_000;

/// Whether versions before this one need the feature, once those that are past their retention are gone.
pub(super) async fn remain(table: &Snapshot, feature: &str) -> Result<bool> {
    let location = table.location();
    let retention = table.property(RETENTION).and_then(parse_interval_ms).unwrap_or(DEFAULT_RETENTION_MS);
    let cutoff = clock::now_ms().saturating_sub(retention);
    let (commits, checkpoints) = log::list_history(location).await?;
    let older: Vec<_> = commits.into_iter().filter(|c| c.version < table.version()).collect();
    if older.iter().all(|c| c.modified_ms() <= cutoff) {
        // From here on the table begins at a checkpoint of this version.
        checkpoint::write(table).await?;
        let mut gone: Vec<_> = older.into_iter().map(|c| c.meta.location).collect();
        for version in checkpoints.into_iter().filter(|v| *v < table.version()) {
            gone.push(location.log_path(&format!("{version:020}.checkpoint.parquet")));
        }
        delete_quietly(location, gone).await;
        return Ok(false);
    }
    let Some(first) = older.first() else { return Ok(false) };
    let oldest = Snapshot::load(location, Some(first.version)).await?;
    let mut needed = metadata_needs(oldest.metadata(), feature)
        || (feature == "deletionVectors"
            && oldest.files().await?.iter().any(|f| f.deletion_vector.is_some()));
    for commit in &older {
        if needed {
            break;
        }
        let actions = log::read_commit(location, commit.version).await?.unwrap_or_default();
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
