//! UPDATE.

use std::sync::Arc;
use std::time::Instant;

use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result, clock};
use datafusion::catalog::Session;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, lit, when};

use super::delete::DmlOptions;
use super::dml;
use super::write::Predicate;
use crate::data_file::{FileOptions, TableVersion, WriteTarget, WrittenFiles, write_plan};
use crate::scan::{DeltaScan, unqualified};
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation, Transaction};

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
    super::refuse_change_feed(table, "UPDATE")?;
    let conjuncts = dml::conjuncts(condition.map(|c| &c.expr))?;
    let found = dml::find(session, table, &conjuncts).await?;
    let scan_ms = started.elapsed().as_millis();
    if found.touched.is_empty() {
        return Ok(None);
    }

    let rewriting = Instant::now();
    let files: Vec<_> = found.touched.iter().map(|t| t.file.clone()).collect();
    let written = rewrite(table, session, &conjuncts, assignments, files, options).await?;
    let matching: Option<u64> = found.touched.iter().map(|t| t.matching).sum();
    // Where the log does not tell the rows of whole files, what was written does.
    let updated = matching.unwrap_or(written.rows);

    let text: Vec<String> = condition.map(|c| c.sql.clone()).into_iter().collect();
    let operation = Operation::new("UPDATE").predicates("predicate", &text);
    let mut transaction = Transaction::new(table.location(), Some(table), operation);
    transaction.user_metadata.clone_from(&options.user_metadata);
    transaction.tags = options.commit_fields.clone();
    transaction.reads = found.reads;
    let now = clock::now_ms();
    let removes: Vec<_> = found.touched.iter().map(|t| t.file.file.remove(now, true)).collect();
    let m = &mut transaction.metrics;
    m.set("numRemovedFiles", removes.len());
    m.set("numRemovedBytes", removes.iter().filter_map(|r| r.size).sum::<i64>());
    m.set("numCopiedRows", written.rows.saturating_sub(updated));
    m.set("numDeletionVectorsAdded", 0);
    m.set("numDeletionVectorsRemoved", removes.iter().filter(|r| r.deletion_vector.is_some()).count());
    m.set("numDeletionVectorsUpdated", 0);
    m.set("numAddedChangeFiles", 0);
    m.set("executionTimeMs", started.elapsed().as_millis());
    m.set("scanTimeMs", scan_ms);
    m.set("numAddedFiles", written.adds.len());
    m.set("numUpdatedRows", updated);
    m.set("numAddedBytes", written.bytes);
    m.set("rewriteTimeMs", rewriting.elapsed().as_millis());
    transaction.remove(removes);
    transaction.add_written(written.adds);
    transaction.commit().await.map(Some)
}

async fn rewrite(
    table: &Snapshot,
    session: &dyn Session,
    conjuncts: &[Expr],
    assignments: &[Assignment],
    files: Vec<crate::file_set::FileWithStats>,
    options: &DmlOptions,
) -> Result<WrittenFiles> {
    let condition = conjuncts.iter().cloned().reduce(Expr::and).unwrap_or_else(|| lit(true));
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
                when(condition.clone(), value).otherwise(old).spark()?.alias(&field.name)
            }
        });
    }
    let bytes = files.iter().map(|f| f.file.size).sum();
    let plan = dml::rows_of(DeltaScan::new(table.clone())?.with_files(files))?
        .project(columns)
        .spark()?
        .build()
        .spark()?;
    let plan = session.create_physical_plan(&plan).await.spark()?;
    let file_options = FileOptions { compression: options.compression.clone(), ..Default::default() };
    let target =
        WriteTarget::new(session, &TableVersion::of(table), &options.constraints, &file_options, true)?;
    write_plan(dml::gathered(plan, bytes), session.task_ctx(), Arc::new(target)).await
}
