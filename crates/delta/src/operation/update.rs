//! UPDATE.

use std::sync::Arc;
use std::time::Instant;

use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::catalog::Session;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, lit, when};

use super::delete::{DmlOptions, take_out};
use super::dml::{self, FileChanges, Matches, Search, Touched};
use super::optimize;
use super::write::Predicate;
use crate::action::Cdc;
use crate::change_feed;
use crate::data_file::{TableVersion, WriteTarget, WrittenFiles, write_plan};
use crate::file_set::FileWithStats;
use crate::row_tracking;
use crate::scan::{DeltaScan, unqualified};
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation, OwnReads};

/// A column of the table and its new value, an expression over the table's columns of the column's type.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub column: String,
    pub value: Expr,
}

/// Changes the rows of a condition, all rows where there is none. `None` where no row matched.
pub async fn update(
    table: &Snapshot,
    session: &dyn Session,
    condition: Option<&Predicate>,
    assignments: &[Assignment],
    options: &DmlOptions,
) -> Result<Option<Committed>> {
    let started = Instant::now();
    crate::protocol::check_writable(table.location(), table.protocol(), table.metadata(), table.schema())?;
    if table.was_written(options.txn.as_ref()).await? {
        return Ok(None);
    }
    let search = Search::of(condition)?;
    let Matches { touched, reads } = dml::find(session, table, &search).await?;
    let scan_ms = started.elapsed().as_millis();
    if touched.is_empty() && options.txn.is_none() && !options.records_nothing {
        return Ok(None);
    }

    let rewriting = Instant::now();
    let matching: Option<u64> = touched.iter().map(|t| t.matching).sum();
    let marks = options.deletion_vectors && dml::are_written(table);
    let change_files = changed_rows(table, session, &touched, assignments, options).await?;
    // What decided by the rows of a subquery is not computed again.
    let (written, changes) = if marks || search.has_subqueries() {
        change_rows(table, session, touched, assignments, marks, options).await?
    } else {
        let files: Vec<_> = touched.into_iter().map(|t| t.file).collect();
        let mut changes = FileChanges::default();
        changes.remove_files(&files);
        let condition = search.plain.into_iter().reduce(Expr::and).unwrap_or_else(|| lit(true));
        (rewrite(table, session, Some(condition), assignments, files, options).await?, changes)
    };
    // Where the log does not tell the rows of whole files, what was written does.
    let updated = matching.unwrap_or(written.rows);

    let text: Vec<String> = condition.map(|c| c.sql.clone()).into_iter().collect();
    let operation = Operation::new("UPDATE").predicates("predicate", &text);
    let mut transaction = options.transaction(table, operation);
    transaction.keeps_ids();
    transaction.reads = reads;
    transaction.of_application(options.txn.as_ref());
    let m = &mut transaction.metrics;
    // Spark counts the old state of a file that stays with a vector, without its bytes.
    m.set("numRemovedFiles", changes.removes.len());
    m.set("numRemovedBytes", if marks { 0 } else { changes.removed_bytes() });
    m.set("numCopiedRows", written.rows.saturating_sub(updated));
    m.set("numDeletionVectorsAdded", changes.vectors_added);
    m.set("numDeletionVectorsRemoved", changes.vectors_removed);
    m.set("numDeletionVectorsUpdated", changes.vectors_updated);
    m.set("numAddedChangeFiles", change_files.len());
    m.set("executionTimeMs", started.elapsed().as_millis());
    m.set("scanTimeMs", scan_ms);
    m.set("numAddedFiles", written.adds.len());
    m.set("numUpdatedRows", updated);
    m.set("numAddedBytes", written.bytes);
    m.set("rewriteTimeMs", rewriting.elapsed().as_millis());
    changes.put_into(&mut transaction);
    transaction.add_written(written.adds);
    transaction.add_changes(change_files);
    transaction.reads.extend(OwnReads::found(session));
    let committed = transaction.commit().await?;
    Ok(Some(optimize::after_commit(committed, session, &options.auto_compact, options).await))
}

/// The files of the change feed.
async fn changed_rows(
    table: &Snapshot,
    session: &dyn Session,
    touched: &[Touched],
    assignments: &[Assignment],
    options: &DmlOptions,
) -> Result<Vec<Cdc>> {
    let files = touched.iter().map(Touched::matching_only).collect();
    change_feed::of_update(table, session, files, assignments, &options.files).await
}

/// Writes the rows that change anew, apart from the others, and takes out the old ones.
async fn change_rows(
    table: &Snapshot,
    session: &dyn Session,
    touched: Vec<Touched>,
    assignments: &[Assignment],
    marks: bool,
    options: &DmlOptions,
) -> Result<(WrittenFiles, FileChanges)> {
    let files = touched.iter().map(Touched::matching_only).collect();
    let mut written = rewrite(table, session, None, assignments, files, options).await?;
    let (changes, copies) = take_out(table, session, touched, marks, options).await?;
    written.extend(copies);
    Ok((written, changes))
}

/// Writes the rows of files with their new values; those that do not meet the condition keep theirs.
async fn rewrite(
    table: &Snapshot,
    session: &dyn Session,
    condition: Option<Expr>,
    assignments: &[Assignment],
    files: Vec<FileWithStats>,
    options: &DmlOptions,
) -> Result<WrittenFiles> {
    let mut columns = Vec::with_capacity(table.schema().fields.len());
    for assignment in assignments {
        if table.schema().index_of(&assignment.column).is_none() {
            return Err(Error::internal(format!(
                "UPDATE sets `{}`, which the table does not have",
                assignment.column
            )));
        }
    }
    for field in &table.schema().fields {
        let old = Expr::Column(Column::from_name(&field.name));
        let new = assignments.iter().find(|a| a.column.eq_ignore_ascii_case(&field.name));
        columns.push(match new {
            None => old,
            Some(a) => {
                let value = unqualified(a.value.clone())?;
                let value = match &condition {
                    Some(condition) => when(condition.clone(), value).otherwise(old).spark()?,
                    None => value,
                };
                value.alias(&field.name)
            }
        });
    }
    let carried = row_tracking::carried(table);
    let column = |name: &str| Expr::Column(Column::from_name(name));
    columns.extend(row_tracking::carried_values(&carried, column, condition.as_ref())?);
    let bytes = files.iter().map(dml::bytes_read).sum();
    let plan = dml::rows_of(DeltaScan::with_hidden(table.clone(), carried)?.with_files(files))?
        .project(columns)
        .spark()?
        .build()
        .spark()?;
    let plan = session.create_physical_plan(&plan).await.spark()?;
    let target = WriteTarget::new(
        session,
        &TableVersion::of(table),
        &options.constraints,
        &options.file_options(),
        true,
    )?
    .keeping_ids(table.metadata());
    write_plan(dml::gathered(plan, bytes), session.task_ctx(), Arc::new(target)).await
}
