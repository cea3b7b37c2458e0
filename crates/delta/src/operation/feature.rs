//! ALTER TABLE DROP FEATURE.

use boathouse_spec::{Error, Result};
use datafusion::catalog::Session;
use serde_json::Value;

use super::alter::transaction;
use super::backfill;
use super::delete::DmlOptions;
use super::optimize::{OptimizeOptions, optimize, rewrite_files};
use super::{history_traces, narrow_files, remove_mapping};
use crate::action::{DomainMetadata, Metadata};
use crate::catalog_managed;
use crate::log::checkpoint;
use crate::row_tracking;
use crate::snapshot::Snapshot;
use crate::table::DeltaTable;
use crate::transaction::{Committed, Operation, ReadSet};

/// Features that can be taken from a table again, once nothing of the table needs them.
const REMOVABLE: &[&str] = &[
    "checkConstraints",
    "checkpointProtection",
    "columnMapping",
    "deletionVectors",
    "domainMetadata",
    "inCommitTimestamp",
    "materializePartitionColumns",
    "rowTracking",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
];
/// The feature of tables whose log must not be cut before a version that lost a feature.
const PROTECTION: &str = "checkpointProtection";
const PROTECTED_BEFORE: &str = "delta.requireCheckpointProtectionBeforeVersion";

/// ALTER TABLE DROP FEATURE: first what the feature left in the table goes, then the feature.
///
/// Old versions still need it where readers must know it; so the log is kept readable by checkpoints before and after,
/// and by the feature `checkpointProtection`, which keeps writers from cutting it at the wrong place.
pub async fn drop_feature(
    table: &DeltaTable,
    session: &dyn Session,
    name: &str,
    truncate_history: bool,
    options: &DmlOptions,
) -> Result<()> {
    let before = table.latest().await?;
    let feature = check_removable(&before, name, truncate_history)?;
    let changed = remove_traces(&before, session, &feature, options).await?;
    let ready = match &changed {
        Some(committed) => committed.snapshot.clone(),
        None => before.clone(),
    };
    let needs_readers = crate::protocol::is_reader_feature(&feature);
    let truncates = truncate_history && needs_readers;
    if truncates && (changed.is_some() || history_traces::remain(&ready, &feature).await?) {
        return Err(history_is_there(&ready, &feature, changed.is_some()));
    }
    let mut protocol = ready.protocol().without_feature(&feature);
    let mut metadata = ready.metadata().clone();
    let protects = needs_readers && feature != "vacuumProtocolCheck" && !truncates;
    if protects {
        checkpoint::write(&ready).await?;
        protocol = protocol.with_features(&[PROTECTION]);
        metadata.configuration.insert(PROTECTED_BEFORE.into(), (ready.version() + 1).to_string());
    } else if feature == PROTECTION {
        metadata.configuration.shift_remove(PROTECTED_BEFORE);
    }
    let operation =
        Operation::new("DROP FEATURE").text("featureName", &feature).raw("truncateHistory", truncate_history);
    let mut transaction = transaction(&ready, operation, options);
    transaction.reads = ReadSet::whole_table();
    if feature == row_tracking::FEATURE {
        row_tracking::forget(&mut metadata);
        transaction.domains = row_tracking::removed_domain(&ready).await?;
    }
    if feature == "domainMetadata" {
        let domains = ready.domains().await?.into_iter();
        transaction.domains = domains.map(|d| DomainMetadata { removed: true, ..d }).collect();
    }
    if metadata != *ready.metadata() {
        transaction.metadata = Some(metadata);
    }
    transaction.protocol = Some(protocol);
    let committed = transaction.commit().await?;
    if protects {
        checkpoint::write(&committed.snapshot).await?;
    }
    table.cache().put(committed.snapshot);
    Ok(())
}

fn check_removable(table: &Snapshot, name: &str, truncate_history: bool) -> Result<String> {
    let mut droppable = crate::protocol::known_features().filter(|f| *f != catalog_managed::FEATURE);
    let Some(feature) = droppable.find(|f| f.eq_ignore_ascii_case(name)) else {
        return Err(Error::new("DELTA_FEATURE_DROP_UNSUPPORTED_CLIENT_FEATURE")
            .param("feature", name)
            .message(format!("This version does not have the table feature {name}, and cannot drop it."))
            .exception("DeltaTableFeatureException"));
    };
    if !table.protocol().has(feature) {
        return Err(Error::new("DELTA_FEATURE_DROP_FEATURE_NOT_PRESENT")
            .param("feature", feature)
            .message(format!("The table does not have the feature {feature}."))
            .exception("DeltaTableFeatureException"));
    }
    if !REMOVABLE.contains(&feature) {
        return Err(Error::new("DELTA_FEATURE_DROP_NONREMOVABLE_FEATURE")
            .param("feature", feature)
            .message(format!("The feature {feature} cannot be dropped."))
            .exception("DeltaTableFeatureException"));
    }
    let dependent = crate::protocol::dependents(table.protocol(), feature).join(", ");
    if !dependent.is_empty() {
        return Err(Error::new("DELTA_FEATURE_DROP_DEPENDENT_FEATURE")
            .param("feature", feature)
            .param("dependentFeatures", &dependent)
            .message(format!("The features {dependent} of the table need {feature}: drop them first."))
            .exception("DeltaTableFeatureException"));
    }
    if truncate_history && !crate::protocol::is_reader_feature(feature) && feature != PROTECTION {
        return Err(Error::new("DELTA_FEATURE_DROP_HISTORY_TRUNCATION_NOT_ALLOWED")
            .message(format!("No history needs the feature {feature}: drop it without TRUNCATE HISTORY."))
            .exception("DeltaTableFeatureException"));
    }
    Ok(feature.to_string())
}

/// What a table may have that needs the feature goes; `None` where it has nothing.
async fn remove_traces(
    table: &Snapshot,
    session: &dyn Session,
    feature: &str,
    options: &DmlOptions,
) -> Result<Option<Committed>> {
    let unset = |keys: &[&str]| {
        let keys: Vec<String> =
            keys.iter().filter(|k| table.property(k).is_some()).map(|k| (*k).to_string()).collect();
        (!keys.is_empty()).then_some(keys)
    };
    match feature {
        "deletionVectors" => {
            let mut last = None;
            if let Some(keys) = unset(&["delta.enableDeletionVectors"]) {
                last = Some(super::alter::unset_properties(table, &keys, options).await?);
            }
            let current = last.as_ref().map_or(table, |c| &c.snapshot).clone();
            let purge =
                OptimizeOptions { purge: true, commit: options.clone(), ..OptimizeOptions::default() };
            let (_, purged) = optimize(&current, session, &purge).await?;
            Ok(purged.or(last))
        }
        "columnMapping" if table.columns().is_mapped() => {
            remove_mapping::remove_mapping(table, session, None, options).await.map(Some)
        }
        "columnMapping" => match unset(&["delta.columnMapping.mode", "delta.columnMapping.maxColumnId"]) {
            Some(keys) => super::alter::unset_properties(table, &keys, options).await.map(Some),
            None => Ok(None),
        },
        "v2Checkpoint" if table.property("delta.checkpointPolicy") == Some("v2") => {
            let classic =
                [("delta.checkpointPolicy".to_string(), "classic".to_string())].into_iter().collect();
            super::alter::set_properties(table, &classic, options).await.map(Some)
        }
        row_tracking::FEATURE => {
            let stopped = super::alter::set_properties(table, &row_tracking::stopping(), options).await?;
            let snapshot = backfill::unbackfill(&stopped.snapshot, options).await?;
            Ok(Some(Committed { snapshot, ..stopped }))
        }
        "materializePartitionColumns" => match unset(&["delta.enableMaterializePartitionColumnsFeature"]) {
            Some(keys) => super::alter::unset_properties(table, &keys, options).await.map(Some),
            None => Ok(None),
        },
        "inCommitTimestamp" => {
            let keys = unset(&[
                "delta.enableInCommitTimestamps",
                "delta.inCommitTimestampEnablementTimestamp",
                "delta.inCommitTimestampEnablementVersion",
            ]);
            match keys {
                Some(keys) => super::alter::unset_properties(table, &keys, options).await.map(Some),
                None => Ok(None),
            }
        }
        "typeWidening" | "typeWidening-preview" => {
            let mut last = None;
            if let Some(keys) = unset(&["delta.enableTypeWidening"]) {
                last = Some(super::alter::unset_properties(table, &keys, options).await?);
            }
            let current = last.as_ref().map_or(table, |c| &c.snapshot).clone();
            Ok(narrow(&current, session, options).await?.or(last))
        }
        "checkConstraints" => {
            let names: Vec<&str> = table
                .metadata()
                .configuration
                .keys()
                .filter_map(|k| k.strip_prefix("delta.constraints."))
                .collect();
            if names.is_empty() {
                return Ok(None);
            }
            Err(Error::new("DELTA_CANNOT_DROP_CHECK_CONSTRAINT_FEATURE")
                .param("constraints", names.join(", "))
                .message(format!("The table has CHECK constraints: drop {} first.", names.join(", ")))
                .exception("AnalysisException"))
        }
        _ => Ok(None),
    }
}

/// Writes files with narrower types again, and then forgets that types were changed.
async fn narrow(table: &Snapshot, session: &dyn Session, options: &DmlOptions) -> Result<Option<Committed>> {
    let (schema, changed) = narrow_files::forget_changes(table.schema());
    if changed.is_empty() {
        return Ok(None);
    }
    let files = narrow_files::narrow_files(table).await?;
    let rewritten = rewrite_files(table, session, files, options).await?.1;
    let current = rewritten.as_ref().map_or(table, |c| &c.snapshot);
    let metadata = Metadata { schema_string: schema.json(), ..current.metadata().clone() };
    let operation = Operation::new("DROP FEATURE").json("columns", &Value::Array(changed));
    super::alter::commit_metadata(current, metadata, operation, true, options).await.map(Some)
}

fn history_is_there(table: &Snapshot, feature: &str, changed: bool) -> Error {
    let retention = |key: &str, default: &str| table.property(key).unwrap_or(default).to_string();
    let log = retention("delta.logRetentionDuration", "30 days");
    let truncate = retention("delta.dropFeatureTruncateHistory.retentionDuration", "24 hours");
    let class = if changed {
        "DELTA_FEATURE_DROP_WAIT_FOR_RETENTION_PERIOD"
    } else {
        "DELTA_FEATURE_DROP_HISTORICAL_VERSIONS_EXIST"
    };
    Error::new(class)
        .param("feature", feature)
        .param("logRetentionPeriodKey", "delta.logRetentionDuration")
        .param("logRetentionPeriod", log)
        .param("truncateHistoryLogRetentionPeriod", &truncate)
        .message(format!(
            "The table does not use {feature} any more, but versions in its history do. Try again once they are older \
             than {truncate} (delta.dropFeatureTruncateHistory.retentionDuration), or drop the feature without TRUNCATE \
             HISTORY, which keeps them readable."
        ))
        .exception("DeltaTableFeatureException")
}
