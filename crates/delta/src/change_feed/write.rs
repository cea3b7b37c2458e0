//! Writing files of changes.

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result, StructType};
use datafusion::catalog::Session;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;

use super::{CHANGE_TYPE, keeps_changes};
use crate::action::{Add, Cdc, Metadata};
use crate::data_file::{FileOptions, FileSettings, TableVersion, WriteTarget, write_plan};
use crate::file_set::FileWithStats;
use crate::operation::{Assignment, rows_of};
use crate::scan::{DeltaScan, unqualified};
use crate::snapshot::Snapshot;

/// The directory of files of changes.
const DIRECTORY: &str = "_change_data";

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeType {
    Insert,
    Delete,
    UpdatePreimage,
    UpdatePostimage,
}

impl ChangeType {
    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Delete => "delete",
            Self::UpdatePreimage => "update_preimage",
            Self::UpdatePostimage => "update_postimage",
        }
    }
}

/// A table as a commit leaves it, which may have other columns than before.
pub(crate) struct ChangedTable<'a> {
    pub snapshot: &'a Snapshot,
    pub metadata: &'a Metadata,
    pub schema: &'a StructType,
}

impl<'a> ChangedTable<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, metadata: snapshot.metadata(), schema: snapshot.schema() }
    }
}

/// Writes the changes of a commit: a plan with the table's columns and `_change_type`. The files go into the commit that
/// makes the changes; once there is one, readers take the commit's changes from such files alone.
async fn write_changes(
    table: &ChangedTable<'_>,
    session: &dyn Session,
    plan: Arc<dyn ExecutionPlan>,
    settings: &FileSettings,
) -> Result<Vec<Cdc>> {
    if plan.schema().index_of(CHANGE_TYPE).is_err() {
        return Err(Error::internal("changes without their type"));
    }
    let with_type = table.snapshot.with_change_type(table.metadata, table.schema)?;
    let options = FileOptions { settings: settings.clone(), ..FileOptions::default() };
    let target = WriteTarget::unchecked(&TableVersion::of(&with_type), &options, false)?.below(DIRECTORY);
    let written = write_plan(plan, session.task_ctx(), Arc::new(target)).await?;
    let cdc = written.adds.into_iter().map(|add| Cdc {
        path: add.path,
        partition_values: add.partition_values,
        size: add.size,
        data_change: false,
        tags: None,
    });
    Ok(cdc.collect())
}

/// The files of changes of an UPDATE: the chosen rows of files as they were and as they are; nothing where the table does
/// not keep its changes.
pub(crate) async fn of_update(
    table: &Snapshot,
    session: &dyn Session,
    files: Vec<FileWithStats>,
    assignments: &[Assignment],
    settings: &FileSettings,
) -> Result<Vec<Cdc>> {
    if !keeps_changes(table) || files.is_empty() {
        return Ok(Vec::new());
    }
    let before = changed_rows(table, files.clone(), &[], ChangeType::UpdatePreimage)?;
    let after = changed_rows(table, files, assignments, ChangeType::UpdatePostimage)?;
    let both = LogicalPlanBuilder::from(before).union(after).spark()?.build().spark()?;
    write_rows(&ChangedTable::of(table), session, &both, settings).await
}

/// The files of changes of a DELETE that writes files again: the chosen rows of files.
pub(crate) async fn of_delete(
    table: &Snapshot,
    session: &dyn Session,
    files: Vec<FileWithStats>,
    settings: &FileSettings,
) -> Result<Vec<Cdc>> {
    if !keeps_changes(table) || files.is_empty() {
        return Ok(Vec::new());
    }
    let plan = changed_rows(table, files, &[], ChangeType::Delete)?;
    write_rows(&ChangedTable::of(table), session, &plan, settings).await
}

/// The files of changes of rows that a commit adds beside others that it deletes, read from the files that have them: once a
/// commit tells of some of its changes in files of their own, it tells of all in them.
pub(crate) async fn of_added(
    table: &ChangedTable<'_>,
    session: &dyn Session,
    adds: &[Add],
    kind: ChangeType,
    settings: &FileSettings,
) -> Result<Vec<Cdc>> {
    let written = table.snapshot.with_columns(table.metadata.clone(), table.schema.clone())?;
    let files = super::numbered(adds.iter().cloned().map(Arc::new).collect(), &written);
    let plan = changed_rows(&written, files, &[], kind)?;
    write_rows(table, session, &plan, settings).await
}

/// Writes rows with their `_change_type`.
pub(crate) async fn write_rows(
    table: &ChangedTable<'_>,
    session: &dyn Session,
    plan: &LogicalPlan,
    settings: &FileSettings,
) -> Result<Vec<Cdc>> {
    let plan = session.create_physical_plan(plan).await.spark()?;
    write_changes(table, session, Arc::new(CoalescePartitionsExec::new(plan)), settings).await
}

fn changed_rows(
    table: &Snapshot,
    files: Vec<FileWithStats>,
    assignments: &[Assignment],
    change: ChangeType,
) -> Result<LogicalPlan> {
    let builder = rows_of(DeltaScan::new(table.clone())?.with_files(files))?;
    let mut columns = Vec::with_capacity(table.schema().fields.len() + 1);
    for field in &table.schema().fields {
        let new = assignments.iter().find(|a| a.column.eq_ignore_ascii_case(&field.name));
        let value = match new {
            Some(assignment) => unqualified(assignment.value.clone())?,
            None => Expr::Column(Column::from_name(&field.name)),
        };
        columns.push(value.alias(&field.name));
    }
    columns.push(lit(change.name()).alias(CHANGE_TYPE));
    builder.project(columns).spark()?.build().spark()
}
