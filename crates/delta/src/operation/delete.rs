//! DELETE.

use std::sync::Arc;
use std::time::Instant;

use boathouse_bridge::ResultExt;
use boathouse_spec::{Result, clock};
use datafusion::catalog::Session;
use roaring::RoaringTreemap;
use serde_json::{Map, Value};

use super::dml::{self, FileChanges, Matches, Search, Touched};
use super::optimize::{self, AutoCompact};
use super::write::Predicate;
use crate::action::Cdc;
use crate::change_feed;
use crate::data_file::{FileOptions, FileSettings, TableVersion, WriteTarget, WrittenFiles, write_plan};
use crate::file_set::FileWithStats;
use crate::property::Checks;
use crate::row_tracking;
use crate::scan::DeltaScan;
use crate::schema::constraints::CheckConstraint;
use crate::schema::identity::IdentityColumn;
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation, OwnReads, ReadSet, Transaction};

/// What all row-changing statements say beside what they change.
#[derive(Debug, Clone)]
pub struct DmlOptions {
    /// The table's CHECK constraints, resolved.
    pub constraints: Vec<CheckConstraint>,
    pub user_metadata: Option<String>,
    /// More fields for the commit info: `userId`, `userName`, `job`, `notebook`, `clusterId`.
    pub commit_fields: Map<String, Value>,
    /// The identity columns whose numbers the new rows have.
    pub identities: Vec<IdentityColumn>,
    pub files: FileSettings,
    /// Application and version (`spark.databricks.delta.write.txnAppId`, `txnVersion`): the same statement again does nothing.
    pub txn: Option<(String, i64)>,
    pub property_checks: Checks,
    /// Whether rows may be marked as deleted where the table has deletion vectors.
    pub deletion_vectors: bool,
    /// Whether a statement that changes nothing makes a version all the same (`spark.databricks.delta.skipRecordingEmptyCommits`).
    pub records_nothing: bool,
    pub auto_compact: AutoCompact,
}

impl Default for DmlOptions {
    fn default() -> Self {
        Self {
            constraints: Vec::new(),
            user_metadata: None,
            commit_fields: Map::new(),
            identities: Vec::new(),
            files: FileSettings::default(),
            txn: None,
            property_checks: Checks::Known,
            deletion_vectors: true,
            records_nothing: false,
            auto_compact: AutoCompact::default(),
        }
    }
}

impl DmlOptions {
    pub(crate) fn file_options(&self) -> FileOptions {
        FileOptions { settings: self.files.clone(), ..FileOptions::default() }
    }

    /// A transaction of the statement.
    pub(crate) fn transaction(&self, table: &Snapshot, operation: Operation) -> Transaction {
        let mut out = Transaction::new(table.location(), Some(table), operation);
        out.user_metadata.clone_from(&self.user_metadata);
        out.tags = self.commit_fields.clone();
        out
    }
}

/// The files that go and come when the rows of a condition are deleted.
pub(crate) struct Rewrite {
    pub reads: ReadSet,
    pub changes: FileChanges,
    pub written: WrittenFiles,
    pub copied_rows: u64,
    /// As Spark counts them: none where rows were looked for to be marked.
    pub removed_bytes: i64,
    /// Files of the change feed.
    pub change_files: Vec<Cdc>,
    /// `None` where whole files go whose number of rows is not recorded.
    pub deleted_rows: Option<u64>,
    pub scan_ms: u128,
    pub rewrite_ms: u128,
}

/// Deletes the rows of a condition, all rows where there is none. `None` where there was nothing to delete, or the same `txn`
/// was written before.
pub async fn delete(
    table: &Snapshot,
    session: &dyn Session,
    condition: Option<&Predicate>,
    options: &DmlOptions,
) -> Result<Option<Committed>> {
    let started = Instant::now();
    if table.was_written(options.txn.as_ref()).await? {
        return Ok(None);
    }
    let rewrite = rewrite_rows(table, session, &Search::of(condition)?, options).await?;
    // Unlike UPDATE and MERGE, delta-spark's DELETE does not note its `txn` where no row goes.
    if rewrite.changes.removes.is_empty() && !options.records_nothing {
        return Ok(None);
    }
    let text = condition.map_or_else(|| "true".to_string(), |c| c.sql.clone());
    let operation = Operation::new("DELETE").predicates("predicate", &[text]);
    let mut transaction = options.transaction(table, operation);
    transaction.keeps_ids();
    transaction.reads = rewrite.reads;
    transaction.of_application(options.txn.as_ref());
    let (m, changes) = (&mut transaction.metrics, &rewrite.changes);
    m.set("numRemovedFiles", changes.removed_files);
    m.set("numRemovedBytes", rewrite.removed_bytes);
    m.set("numCopiedRows", rewrite.copied_rows);
    m.set("numDeletionVectorsAdded", changes.vectors_added);
    m.set("numDeletionVectorsRemoved", changes.vectors_removed);
    m.set("numDeletionVectorsUpdated", changes.vectors_updated);
    m.set("numAddedChangeFiles", rewrite.change_files.len());
    m.set("numAddedFiles", rewrite.written.adds.len());
    m.set("numAddedBytes", rewrite.written.bytes);
    if let Some(rows) = rewrite.deleted_rows {
        m.set("numDeletedRows", rows);
    }
    m.set("executionTimeMs", started.elapsed().as_millis());
    m.set("scanTimeMs", rewrite.scan_ms);
    m.set("rewriteTimeMs", rewrite.rewrite_ms);
    rewrite.changes.put_into(&mut transaction);
    transaction.add_written(rewrite.written.adds);
    transaction.add_changes(rewrite.change_files);
    transaction.reads.extend(OwnReads::found(session));
    let committed = transaction.commit().await?;
    Ok(Some(optimize::after_commit(committed, session, &options.auto_compact, options).await))
}

/// Takes all files out of the table (`TRUNCATE TABLE`). `None` where it has none.
pub async fn truncate(table: &Snapshot, options: &DmlOptions) -> Result<Option<Committed>> {
    let started = Instant::now();
    crate::protocol::check_writable(table.location(), table.protocol(), table.metadata(), table.schema())?;
    let now = clock::now_ms();
    let gone: Vec<_> = table.files().await?.iter().map(|f| f.remove(now, true)).collect();
    if gone.is_empty() {
        return Ok(None);
    }
    let mut transaction = options.transaction(table, Operation::new("TRUNCATE"));
    transaction.reads = ReadSet::whole_table();
    transaction.metrics.set("numRemovedFiles", gone.len());
    transaction.metrics.set("executionTimeMs", started.elapsed().as_millis());
    transaction.remove(gone);
    transaction.commit().await.map(Some)
}

/// Deletes the rows of a condition as a part of another statement.
pub(crate) async fn rewrite(
    table: &Snapshot,
    session: &dyn Session,
    condition: &Predicate,
    options: &DmlOptions,
) -> Result<Rewrite> {
    let search = Search::plain(dml::conjuncts(Some(&condition.expr))?);
    rewrite_rows(table, session, &search, options).await
}

async fn rewrite_rows(
    table: &Snapshot,
    session: &dyn Session,
    search: &Search,
    options: &DmlOptions,
) -> Result<Rewrite> {
    let started = Instant::now();
    crate::protocol::check_writable(table.location(), table.protocol(), table.metadata(), table.schema())?;
    let Matches { touched, reads } = dml::find(session, table, search).await?;
    let scan_ms = started.elapsed().as_millis();

    let rewriting = Instant::now();
    let has_looked = touched.iter().any(|t| t.is_read);
    let deleted_rows = touched.iter().map(|t| t.matching).sum();
    let marks = options.deletion_vectors && dml::are_written(table);
    // What vectors delete, they tell; and so do files that go as a whole.
    let mut change_files = Vec::new();
    if !marks && touched.iter().any(|t| t.rows.is_some()) {
        let deleted = touched.iter().map(Touched::matching_only).collect();
        change_files = change_feed::of_delete(table, session, deleted, &options.files).await?;
    }
    let (changes, written) = take_out(table, session, touched, marks, options).await?;
    Ok(Rewrite {
        removed_bytes: if marks && has_looked { 0 } else { changes.removed_bytes() },
        deleted_rows,
        copied_rows: written.rows,
        change_files,
        reads,
        changes,
        written,
        scan_ms,
        rewrite_ms: rewriting.elapsed().as_millis(),
    })
}

/// Takes the rows out that match, whole files where all do: the others are marked as deleted, or their file goes and the other
/// rows of it are written anew.
pub(super) async fn take_out(
    table: &Snapshot,
    session: &dyn Session,
    touched: Vec<Touched>,
    marks: bool,
    options: &DmlOptions,
) -> Result<(FileChanges, WrittenFiles)> {
    let (mut whole, mut partial) = (Vec::new(), Vec::new());
    for Touched { file, rows, .. } in touched {
        match rows {
            None => whole.push(file),
            Some(rows) => partial.push((file, rows)),
        }
    }
    let (mut changes, mut copies) = (FileChanges::default(), WrittenFiles::default());
    if marks {
        changes = dml::mark_deleted(table, partial).await?;
    } else if !partial.is_empty() {
        whole.extend(partial.iter().map(|(file, _)| file.clone()));
        copies = copy_others(table, session, partial, options).await?;
    }
    changes.remove_files(&whole);
    Ok((changes, copies))
}

/// Writes the rows of files that are not listed.
async fn copy_others(
    table: &Snapshot,
    session: &dyn Session,
    files: Vec<(FileWithStats, RoaringTreemap)>,
    options: &DmlOptions,
) -> Result<WrittenFiles> {
    let bytes = files.iter().map(|(file, _)| file.file.size).sum();
    let mut rest = Vec::with_capacity(files.len());
    for (file, rows) in files {
        rest.push(dml::other_rows(table.location().clone(), file, rows).await?);
    }
    let scan = DeltaScan::with_hidden(table.clone(), row_tracking::carried(table))?;
    let plan = dml::rows_of(scan.with_files(rest))?.build().spark()?;
    let plan = session.create_physical_plan(&plan).await.spark()?;
    let target = WriteTarget::unchecked(&TableVersion::of(table), &options.file_options(), true)?
        .keeping_ids(table.metadata());
    write_plan(dml::gathered(plan, bytes), session.task_ctx(), Arc::new(target)).await
}
