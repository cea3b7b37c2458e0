//! Row tracking: each file gets ids for its rows when it is committed ("Row Tracking" in PROTOCOL.md).

use boathouse_spec::{Error, Result};
use serde_json::Value;

use crate::action::{Action, DomainMetadata, Metadata, Protocol};
use crate::snapshot::Snapshot;
use crate::stats::json;

/// The domain in which a table keeps the highest id it has given.
pub(crate) const DOMAIN: &str = "delta.rowTracking";
const FEATURE: &str = "rowTracking";
const ENABLED: &str = "delta.enableRowTracking";
const ROW_ID_COLUMN: &str = "delta.rowTracking.materializedRowIdColumnName";
const COMMIT_VERSION_COLUMN: &str = "delta.rowTracking.materializedRowCommitVersionColumnName";

/// Whether files of the table get ids.
pub(crate) fn is_supported(protocol: &Protocol) -> bool {
    protocol.has(FEATURE)
}

fn is_enabled(metadata: &Metadata) -> bool {
    metadata.configuration.get(ENABLED).is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

/// Names the columns in which files keep ids that rows bring along, where the table is to track rows.
pub(crate) fn name_columns(metadata: &mut Metadata) {
    if !is_enabled(metadata) {
        return;
    }
    for (key, prefix) in [(ROW_ID_COLUMN, "_row-id-col"), (COMMIT_VERSION_COLUMN, "_row-commit-version-col")]
    {
        if !metadata.configuration.contains_key(key) {
            metadata.configuration.insert(key.into(), format!("{prefix}-{}", uuid::Uuid::new_v4()));
        }
    }
}

/// A table gets ids from the first file on: files that are there would need them too.
pub(crate) async fn check_enabled(table: &Snapshot, metadata: &mut Metadata) -> Result<()> {
    let needs = is_enabled(metadata) && !is_enabled(table.metadata());
    if needs && table.files().await?.iter().any(|f| f.base_row_id.is_none()) {
        return Err(Error::unsupported(
            "delta.enableRowTracking on a table whose files have no row ids yet: set it when the table is made",
        ));
    }
    name_columns(metadata);
    Ok(())
}

/// Refuses to write rows anew that must keep their ids.
pub(crate) fn refuse_rewrite(table: &Snapshot, statement: &str) -> Result<()> {
    if is_enabled(table.metadata()) {
        return Err(Error::unsupported(format!(
            "{statement} that writes rows again on a table with delta.enableRowTracking: their ids would be lost"
        )));
    }
    Ok(())
}

/// The highest id that a table has given; -1 where it has given none.
pub(crate) async fn high_water_mark(table: &Snapshot) -> Result<i64> {
    let domain = table.domains().await?.into_iter().find(|d| d.domain == DOMAIN);
    let content: Value =
        domain.and_then(|d| serde_json::from_str(&d.configuration).ok()).unwrap_or(Value::Null);
    Ok(content.get("rowIdHighWaterMark").and_then(Value::as_i64).unwrap_or(-1))
}

/// Gives ids to the new files of a commit of `version`, and records the highest.
pub(crate) fn assign(actions: &mut Vec<Action>, mark: i64, version: i64) -> Result<()> {
    let before = mark;
    let mut mark = mark;
    for action in actions.iter_mut() {
        let Action::Add(add) = action else { continue };
        if add.base_row_id.is_none() {
            let rows = add.stats.as_deref().and_then(rows_in).ok_or_else(|| {
                Error::new("DELTA_ROW_ID_ASSIGNMENT_WITHOUT_STATS")
                    .message(format!("{} has no statistics, without which its rows get no ids.", add.path))
            })?;
            add.base_row_id = Some(mark + 1);
            mark += rows;
        }
        add.default_row_commit_version.get_or_insert(version);
    }
    if mark != before {
        actions.push(Action::DomainMetadata(DomainMetadata {
            domain: DOMAIN.into(),
            configuration: serde_json::json!({"rowIdHighWaterMark": mark}).to_string(),
            removed: false,
        }));
    }
    Ok(())
}

/// How many rows the statistics of a file tell of.
fn rows_in(stats: &str) -> Option<i64> {
    json::parse(stats)?.get("numRecords")?.as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Add, PartitionValues};

    fn add(rows: i64, base_row_id: Option<i64>) -> Action {
        Action::Add(Add {
            path: "a".into(),
            partition_values: PartitionValues::new(),
            size: 1,
            modification_time: 0,
            data_change: true,
            stats: Some(format!("{{\"numRecords\":{rows}}}")),
            tags: None,
            deletion_vector: None,
            base_row_id,
            default_row_commit_version: None,
            clustering_provider: None,
        })
    }

    #[test]
    fn files_follow_each_other() {
        let mut actions = vec![add(3, None), add(5, Some(1)), add(2, None)];
        assign(&mut actions, 9, 4).unwrap();
        let ids: Vec<_> = actions
            .iter()
            .filter_map(|a| match a {
                Action::Add(a) => Some((a.base_row_id, a.default_row_commit_version)),
                _ => None,
            })
            .collect();
        assert_eq!(ids, [(Some(10), Some(4)), (Some(1), Some(4)), (Some(13), Some(4))]);
        let Some(Action::DomainMetadata(d)) = actions.last() else { panic!("no mark") };
        assert_eq!(d.configuration, r#"{"rowIdHighWaterMark":14}"#);
        let mut nothing = vec![add(1, Some(0))];
        assign(&mut nothing, 0, 1).unwrap();
        assert_eq!(nothing.len(), 1);
    }
}
