//! ALTER TABLE DROP FEATURE.

use boathouse_spec::{Error, Result};
use datafusion::catalog::Session;

use super::alter::transaction;
use super::delete::DmlOptions;
use super::optimize::{OptimizeOptions, optimize};
use crate::action::{Action, Metadata};
use crate::log::{self, checkpoint, cleanup, timeline};
use crate::property::parse_interval_ms;
use crate::snapshot::Snapshot;
use crate::table::DeltaTable;
use crate::transaction::{Committed, Operation, ReadSet};

/// Features that can be taken from a table again, once nothing of the table needs them.
const REMOVABLE: &[&str] = &[
    "checkConstraints",
    "checkpointProtection",
    "deletionVectors",
    "inCommitTimestamp",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
];
/// The feature of tables whose log must not be cut before a version that lost a feature.
const PROTECTION: &str = "checkpointProtection";
const PROTECTED_BEFORE: &str = "delta.requireCheckpointProtectionBeforeVersion";

/// How old the history must be that TRUNCATE HISTORY cuts off, and Spark's default.
const TRUNCATION_RETENTION: &str = "delta.dropFeatureTruncateHistory.retentionDuration";
const DEFAULT_TRUNCATION_MS: i64 = 24 * 3_600_000;

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
    let truncates = truncate_history && crate::protocol::is_reader_feature(&feature);
    if truncates {
        truncate(&ready, &feature, changed.is_some()).await?;
    }
    let mut protocol = ready.protocol().without_feature(&feature);
    let mut metadata = ready.metadata().clone();
    let protects =
        crate::protocol::is_reader_feature(&feature) && feature != "vacuumProtocolCheck" && !truncates;
    if protects {
        checkpoint::write(&ready).await?;
        protocol = protocol.with_features(&[PROTECTION]);
        metadata.configuration.insert(PROTECTED_BEFORE.into(), (ready.version() + 1).to_string());
    } else if feature == PROTECTION {
        metadata.configuration.shift_remove(PROTECTED_BEFORE);
    }
    let operation =
        Operation::new("DROP FEATURE").text("featureName", feature).raw("truncateHistory", truncate_history);
    let mut transaction = transaction(&ready, operation, options);
    transaction.reads = ReadSet::whole_table();
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
    let Some(feature) = crate::protocol::known_features().find(|f| f.eq_ignore_ascii_case(name)) else {
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
        "v2Checkpoint" if table.property("delta.checkpointPolicy") == Some("v2") => {
            let classic =
                [("delta.checkpointPolicy".to_string(), "classic".to_string())].into_iter().collect();
            super::alter::set_properties(table, &classic, options).await.map(Some)
        }
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
            let widened = table.schema().json().contains(crate::schema::widening::TYPE_CHANGES);
            if widened {
                return Err(Error::unsupported(
                    "DROP FEATURE typeWidening of a table whose columns were widened: its files would be written anew",
                ));
            }
            match unset(&["delta.enableTypeWidening"]) {
                Some(keys) => super::alter::unset_properties(table, &keys, options).await.map(Some),
                None => Ok(None),
            }
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

/// Cuts the history off that needs the feature; an error where the retention keeps some of it.
async fn truncate(table: &Snapshot, feature: &str, changed: bool) -> Result<()> {
    if changed {
        return Err(history_is_there(feature, true));
    }
    checkpoint::write(table).await?;
    let retention = table.property(TRUNCATION_RETENTION).and_then(parse_interval_ms);
    cleanup::truncate(table, retention.unwrap_or(DEFAULT_TRUNCATION_MS)).await?;
    let location = table.location();
    let (commits, checkpoints) = log::list_history(location).await?;
    let Some((first, last)) = timeline::version_range(&commits, &checkpoints) else {
        return Err(timeline::no_history(location));
    };
    // What the first version has from before, and what each commit after it says.
    let oldest = Snapshot::load(location, Some(first)).await?;
    let mut needed = needs(&Action::Metadata(oldest.metadata().clone()), feature);
    needed |= oldest.files().await?.iter().any(|f| needs(&Action::Add(f.as_ref().clone()), feature));
    for version in first + 1..=last {
        let actions = log::read_commit(location, version).await?.unwrap_or_default();
        needed |= actions.iter().any(|action| needs(action, feature));
    }
    if feature == "v2Checkpoint" {
        needed |= checkpoint::has_v2(location).await?;
    }
    if needed { Err(history_is_there(feature, false)) } else { Ok(()) }
}

/// Whether a reader of an action must know a feature (Spark: `RemovableFeature.actionUsesFeature`).
fn needs(action: &Action, feature: &str) -> bool {
    match (feature, action) {
        ("deletionVectors", Action::Add(add)) => add.deletion_vector.is_some(),
        ("deletionVectors", Action::Remove(remove)) => remove.deletion_vector.is_some(),
        ("deletionVectors", Action::Metadata(m)) => is_on(m, "delta.enableDeletionVectors"),
        ("typeWidening" | "typeWidening-preview", Action::Metadata(m)) => {
            is_on(m, "delta.enableTypeWidening")
                || m.schema_string.contains(crate::schema::widening::TYPE_CHANGES)
        }
        ("v2Checkpoint", Action::Metadata(m)) => {
            m.configuration.get("delta.checkpointPolicy").is_some_and(|policy| policy == "v2")
        }
        _ => false,
    }
}

fn is_on(metadata: &Metadata, key: &str) -> bool {
    metadata.configuration.get(key).is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

fn history_is_there(feature: &str, changed: bool) -> Error {
    let class = if changed {
        "DELTA_FEATURE_DROP_WAIT_FOR_RETENTION_PERIOD"
    } else {
        "DELTA_FEATURE_DROP_HISTORICAL_VERSIONS_EXIST"
    };
    Error::new(class)
        .param("feature", feature)
        .param("logRetentionPeriodKey", "delta.logRetentionDuration")
        .param("logRetentionPeriod", "30 days")
        .param("truncateHistoryLogRetentionPeriod", "24 hours")
        .message(format!(
            "The table does not use {feature} any more, but versions in its history do. Wait until they are older than \
             {TRUNCATION_RETENTION} (24 hours where it is not set) and try again, or drop the feature without TRUNCATE \
             HISTORY, which keeps them readable."
        ))
        .exception("DeltaTableFeatureException")
}
