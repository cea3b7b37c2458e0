//! Row tracking: each file gets ids for its rows when it is committed ("Row Tracking" in PROTOCOL.md).

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::logical_expr::{Expr, Operator, when};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{binary, case, is_not_null};
use datafusion::scalar::ScalarValue;
use indexmap::IndexMap;
use serde_json::Value;

use crate::action::{Action, DomainMetadata, Metadata, Protocol, is_true};
use crate::scan::{HiddenColumn, HiddenValue};
use crate::snapshot::Snapshot;
use crate::stats::json;

/// The domain in which a table keeps the highest id it has given.
pub(crate) const DOMAIN: &str = "delta.rowTracking";
pub(crate) const FEATURE: &str = "rowTracking";
const ENABLED: &str = "delta.enableRowTracking";
const SUSPENDED: &str = "delta.rowTrackingSuspended";
/// What a commit says of itself that kept the ids of rows (`DeltaCommitTag.PreservedRowTrackingTag`).
pub(crate) const PRESERVED: &str = "delta.rowTracking.preserved";
/// What a commit says of itself that only turned row tracking on, and thus changes nothing for other writers.
pub(crate) const ONLY_ENABLES: &str = "rowTrackingEnablementOnly";
const ROW_ID_COLUMN: &str = "delta.rowTracking.materializedRowIdColumnName";
const COMMIT_VERSION_COLUMN: &str = "delta.rowTracking.materializedRowCommitVersionColumnName";

/// Whether files of the table get ids.
pub(crate) fn is_supported(protocol: &Protocol) -> bool {
    protocol.has(FEATURE)
}

/// Whether rows keep their ids when they are written again, so that readers may rely on them.
pub(crate) fn is_enabled(metadata: &Metadata) -> bool {
    metadata.is_on(ENABLED)
}

/// Whether new files get no ids although the table supports it, because the feature is about to be dropped.
pub(crate) fn is_suspended(metadata: &Metadata) -> bool {
    metadata.is_on(SUSPENDED)
}

/// Names the columns in which files keep what rows bring along, where the table is to give ids.
pub(crate) fn name_columns(protocol: &Protocol, metadata: &mut Metadata) {
    if !is_supported(protocol) {
        return;
    }
    for (key, prefix) in [(ROW_ID_COLUMN, "_row-id-col"), (COMMIT_VERSION_COLUMN, "_row-commit-version-col")]
    {
        if !metadata.configuration.contains_key(key) {
            metadata.configuration.insert(key.into(), format!("{prefix}-{}", uuid::Uuid::new_v4()));
        }
    }
}

/// A table that is restored to a version from before it tracked rows keeps the names of the columns for it.
pub(crate) fn keep_names(current: &Metadata, metadata: &mut Metadata) {
    for key in [ROW_ID_COLUMN, COMMIT_VERSION_COLUMN] {
        if let Some(name) = current.configuration.get(key) {
            metadata.configuration.entry(key.into()).or_insert_with(|| name.clone());
        }
    }
}

/// A table that is replaced goes on tracking its rows, in columns of the same names.
pub(crate) fn inherit(replaced: &Metadata, metadata: &mut Metadata) {
    keep_names(replaced, metadata);
    if is_enabled(replaced) {
        metadata.configuration.entry(ENABLED.into()).or_insert_with(|| "true".into());
    }
}

/// Takes everything from the metadata that the feature put there.
pub(crate) fn forget(metadata: &mut Metadata) {
    metadata
        .configuration
        .retain(|key, _| ![ROW_ID_COLUMN, COMMIT_VERSION_COLUMN, ENABLED, SUSPENDED].contains(&key.as_str()));
}

/// The properties that stop ids, before the feature is dropped.
pub(crate) fn stopping() -> IndexMap<String, String> {
    [(ENABLED.to_string(), "false".to_string()), (SUSPENDED.to_string(), "true".to_string())].into()
}

/// Whether a change of properties does nothing but turn row tracking on.
pub(crate) fn only_enables(properties: &IndexMap<String, String>) -> bool {
    properties.len() == 1 && properties.iter().all(|(k, v)| k.eq_ignore_ascii_case(ENABLED) && is_true(v))
}

/// Rows cannot be tracked while new files get no ids.
pub(crate) fn check_properties(metadata: &Metadata) -> Result<()> {
    if !is_enabled(metadata) || !is_suspended(metadata) {
        return Ok(());
    }
    Err(illegal(&format!(
        "The table properties {ENABLED} and {SUSPENDED} cannot both be true: set one of them to false."
    )))
}

/// A table gives ids again before it tracks its rows.
pub(crate) fn check_resumed(metadata: &Metadata) -> Result<()> {
    if !is_suspended(metadata) {
        return Ok(());
    }
    Err(illegal(&format!("{SUSPENDED} is true, so that new files get no row ids: set it to false first.")))
}

fn illegal(message: &str) -> Error {
    Error::new("DELTA_ROW_TRACKING_ILLEGAL_PROPERTY_COMBINATION")
        .param("property1", ENABLED)
        .param("property2", SUSPENDED)
        .message(message)
        .exception("IllegalStateException")
}

/// The name of the column in which files keep a value that rows bring along; `None` where the table has none.
fn kept_name(metadata: &Metadata, value: HiddenValue) -> Option<&str> {
    let key = match value {
        HiddenValue::RowId => ROW_ID_COLUMN,
        HiddenValue::RowCommitVersion => COMMIT_VERSION_COLUMN,
        _ => return None,
    };
    metadata.configuration.get(key).map(String::as_str)
}

/// The column in which files keep a value row by row, as files have it.
pub(crate) fn kept_column(table: &Snapshot, value: HiddenValue) -> Option<FieldRef> {
    kept_name(table.metadata(), value).map(|name| Arc::new(Field::new(name, DataType::Int64, true)))
}

/// What a value is made of where the file does not keep it: the sum of these.
pub(crate) fn defaults(value: HiddenValue) -> &'static [HiddenValue] {
    match value {
        HiddenValue::RowId => &[HiddenValue::BaseRowId, HiddenValue::RowIndex],
        HiddenValue::RowCommitVersion => &[HiddenValue::DefaultRowCommitVersion],
        _ => &[],
    }
}

/// A tracked value of columns: the kept one where there is one, and those of [`defaults`] ("Row Tracking", "Reader
/// Requirements").
pub(crate) fn value(
    value: HiddenValue,
    columns: Vec<Arc<dyn PhysicalExpr>>,
    schema: &Schema,
) -> Result<Arc<dyn PhysicalExpr>> {
    let kept = columns.len() - defaults(value).len();
    let mut columns = columns.into_iter();
    let kept = columns.by_ref().take(kept).next();
    let mut sum: Option<Arc<dyn PhysicalExpr>> = None;
    for column in columns {
        sum = Some(match sum {
            None => column,
            Some(sum) => binary(sum, Operator::Plus, column, schema).spark()?,
        });
    }
    let sum = sum.ok_or_else(|| Error::internal("a tracked value without default"))?;
    let Some(kept) = kept else { return Ok(sum) };
    case(None, vec![(is_not_null(kept.clone()).spark()?, kept)], Some(sum)).spark()
}

/// The columns that a scan gives beside the table's so that its rows keep their ids and versions when they are written
/// again; named as files name them. None where rows are not tracked.
pub(crate) fn carried(table: &Snapshot) -> Vec<HiddenColumn> {
    if !is_enabled(table.metadata()) {
        return Vec::new();
    }
    [HiddenValue::RowId, HiddenValue::RowCommitVersion]
        .into_iter()
        .filter_map(|value| kept_name(table.metadata(), value).map(|name| HiddenColumn::new(name, value)))
        .collect()
}

/// The fields of [`carried`] columns in files.
pub(crate) fn carried_fields(metadata: &Metadata) -> Vec<FieldRef> {
    if !is_enabled(metadata) {
        return Vec::new();
    }
    [HiddenValue::RowId, HiddenValue::RowCommitVersion]
        .into_iter()
        .filter_map(|value| kept_name(metadata, value))
        .map(|name| Arc::new(Field::new(name, DataType::Int64, true)) as FieldRef)
        .collect()
}

/// The carried columns of rows that a statement changes where `changes` holds, everywhere where it is `None`: the id stays,
/// and the version is that of the commit, which is not known yet and thus not written.
pub(crate) fn carried_values(
    carried: &[HiddenColumn],
    column: impl Fn(&str) -> Expr,
    changes: Option<&Expr>,
) -> Result<Vec<Expr>> {
    let null = || Expr::Literal(ScalarValue::Int64(None), None);
    carried
        .iter()
        .map(|hidden| {
            let old = column(&hidden.name);
            Ok(match (hidden.value, changes) {
                (HiddenValue::RowCommitVersion, None) => null(),
                (HiddenValue::RowCommitVersion, Some(changes)) => {
                    when(changes.clone(), null()).otherwise(old).spark()?
                }
                _ => old,
            }
            .alias(&hidden.name))
        })
        .collect()
}

/// The highest id that a table has given; -1 where it has given none.
pub(crate) async fn high_water_mark(table: &Snapshot) -> Result<i64> {
    let domain = table.domains().await?.into_iter().find(|d| d.domain == DOMAIN);
    let content: Value =
        domain.and_then(|d| serde_json::from_str(&d.configuration).ok()).unwrap_or(Value::Null);
    Ok(content.get("rowIdHighWaterMark").and_then(Value::as_i64).unwrap_or(-1))
}

/// What takes the mark out of the log.
pub(crate) async fn removed_domain(table: &Snapshot) -> Result<Vec<DomainMetadata>> {
    let domains = table.domains().await?.into_iter().filter(|d| d.domain == DOMAIN);
    Ok(domains.map(|d| DomainMetadata { removed: true, ..d }).collect())
}

/// Gives ids to the new files of a commit of `version`, and records the highest.
pub(crate) fn assign(actions: &mut Vec<Action>, mark: i64, version: i64) -> Result<()> {
    let before = mark;
    // Files that were part of the table before it lost its mark come with their ids.
    let known = actions.iter().filter_map(|action| match action {
        Action::Add(add) => Some(add.base_row_id? + add.stats.as_deref().and_then(rows_in)? - 1),
        _ => None,
    });
    let mut mark = known.max().unwrap_or(mark).max(mark);
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
            configuration: format!("{{\"rowIdHighWaterMark\":{mark},\"domainName\":\"{DOMAIN}\"}}"),
            removed: false,
        }));
    }
    Ok(())
}

/// How many rows the statistics of a file tell of.
fn rows_in(stats: &str) -> Option<i64> {
    json::parse(stats)?.get("numRecords")?.as_i64()
}

impl Snapshot {
    /// Whether rows of the table have ids that stay with them (`delta.enableRowTracking`).
    pub fn tracks_rows(&self) -> bool {
        is_enabled(self.metadata())
    }
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
        assert_eq!(d.configuration, r#"{"rowIdHighWaterMark":14,"domainName":"delta.rowTracking"}"#);
        let mut nothing = vec![add(1, Some(0))];
        assign(&mut nothing, 0, 1).unwrap();
        assert_eq!(nothing.len(), 1);
    }
}
