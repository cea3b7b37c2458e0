//! DELETE.

use std::sync::Arc;
use std::time::Instant;

use boathouse_bridge::ResultExt;
use boathouse_spec::{Result, clock};
use datafusion::catalog::Session;
use datafusion::logical_expr::Expr;
use serde_json::{Map, Value};

use super::dml;
use super::write::Predicate;
use crate::action::Remove;
use crate::data_file::{FileOptions, TableVersion, WriteTarget, WrittenFiles, write_plan};
use crate::scan::DeltaScan;
use crate::schema::constraints::CheckConstraint;
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation, ReadSet, Transaction};

/// What all row-changing statements say beside what they change.
#[derive(Debug, Clone, Default)]
pub struct DmlOptions {
    /// The table's CHECK constraints, resolved.
    pub constraints: Vec<CheckConstraint>,
    pub user_metadata: Option<String>,
    /// More fields for the commit info: `userId`, `userName`, `job`, `notebook`, `clusterId`.
    pub commit_fields: Map<String, Value>,
    /// A codec by Spark's name; the table's or snappy where `None`.
    pub compression: Option<String>,
}

/// The files that go and come when the rows of a condition are deleted.
pub(crate) struct Rewrite {
    pub reads: ReadSet,
    pub removes: Vec<Remove>,
    pub written: WrittenFiles,
    pub copied_rows: u64,
    /// `None` where whole files go whose number of rows is not recorded.
    pub deleted_rows: Option<u64>,
    pub scan_ms: u128,
    pub rewrite_ms: u128,
}

/// Deletes the rows of a condition, all rows where there is none. `None` where there was nothing to delete.
pub async fn delete(
    table: &Snapshot,
    session: &dyn Session,
    condition: Option<&Predicate>,
    options: &DmlOptions,
) -> Result<Option<Committed>> {
    let started = Instant::now();
    let rewrite = rewrite_rows(
        table,
        session,
        condition.map(|c| &c.expr),
        &options.constraints,
        options.compression.as_deref(),
    )
    .await?;
    if rewrite.removes.is_empty() {
        return Ok(None);
    }
    let text = condition.map_or_else(|| "true".to_string(), |c| c.sql.clone());
    let operation = Operation::new("DELETE").predicates("predicate", &[text]);
    let mut transaction = Transaction::new(table.location(), Some(table), operation);
    transaction.user_metadata.clone_from(&options.user_metadata);
    transaction.tags = options.commit_fields.clone();
    transaction.reads = rewrite.reads;
    let m = &mut transaction.metrics;
    m.set("numRemovedFiles", rewrite.removes.len());
    m.set("numRemovedBytes", rewrite.removes.iter().filter_map(|r| r.size).sum::<i64>());
    m.set("numCopiedRows", rewrite.copied_rows);
    m.set("numDeletionVectorsAdded", 0);
    m.set(
        "numDeletionVectorsRemoved",
        rewrite.removes.iter().filter(|r| r.deletion_vector.is_some()).count(),
    );
    m.set("numDeletionVectorsUpdated", 0);
    m.set("numAddedChangeFiles", 0);
    m.set("numAddedFiles", rewrite.written.adds.len());
    m.set("numAddedBytes", rewrite.written.bytes);
    if let Some(rows) = rewrite.deleted_rows {
        m.set("numDeletedRows", rows);
    }
    m.set("executionTimeMs", started.elapsed().as_millis());
    m.set("scanTimeMs", rewrite.scan_ms);
    m.set("rewriteTimeMs", rewrite.rewrite_ms);
    transaction.remove(rewrite.removes);
    transaction.add_written(rewrite.written.adds);
    transaction.commit().await.map(Some)
}

/// Writes the rows that stay of files with rows of a condition.
pub(crate) async fn rewrite(
    table: &Snapshot,
    session: &dyn Session,
    condition: &Predicate,
    constraints: &[CheckConstraint],
) -> Result<Rewrite> {
    rewrite_rows(table, session, Some(&condition.expr), constraints, None).await
}

async fn rewrite_rows(
    table: &Snapshot,
    session: &dyn Session,
    condition: Option<&Expr>,
    constraints: &[CheckConstraint],
    compression: Option<&str>,
) -> Result<Rewrite> {
    let started = Instant::now();
    crate::protocol::check_writable(table.location(), table.protocol(), table.metadata(), table.schema())?;
    super::refuse_change_feed(table, "DELETE")?;
    let conjuncts = dml::conjuncts(condition)?;
    let found = dml::find(session, table, &conjuncts).await?;
    let scan_ms = started.elapsed().as_millis();

    let rewriting = Instant::now();
    let partial: Vec<_> = found.touched.iter().filter(|t| !t.whole).map(|t| t.file.clone()).collect();
    let mut written = WrittenFiles::default();
    if !partial.is_empty()
        && let Some(condition) = conjuncts.iter().cloned().reduce(Expr::and)
    {
        let bytes = partial.iter().map(|f| f.file.size).sum();
        let plan = dml::rows_of(DeltaScan::new(table.clone())?.with_files(partial))?
            .filter(Expr::IsNotTrue(Box::new(condition)))
            .spark()?
            .build()
            .spark()?;
        let plan = session.create_physical_plan(&plan).await.spark()?;
        let options = FileOptions { compression: compression.map(str::to_string), ..Default::default() };
        let target = WriteTarget::new(session, &TableVersion::of(table), constraints, &options, true)?
            .without_checks();
        written = write_plan(dml::gathered(plan, bytes), session.task_ctx(), Arc::new(target)).await?;
    }
    let now = clock::now_ms();
    Ok(Rewrite {
        removes: found.touched.iter().map(|t| t.file.file.remove(now, true)).collect(),
        deleted_rows: found.touched.iter().map(|t| t.matching).sum(),
        copied_rows: written.rows,
        reads: found.reads,
        written,
        scan_ms,
        rewrite_ms: rewriting.elapsed().as_millis(),
    })
}
