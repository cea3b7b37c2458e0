//! MERGE.
//!
//! Two passes over the source, which is held in memory or on disk: the first joins it to the target to find the rows
//! that match, and to see that none of them matches twice; the second joins it to those rows only and writes what they
//! become, together with what is inserted. The old rows are marked as deleted; where the table has no deletion vectors,
//! the second pass reads all rows of their files and writes them anew. A merge that only inserts is one anti join, and one
//! that only deletes needs no second pass.

mod changes;
mod evolved;
mod find;
mod joins;
mod keys;
mod plan;
mod second_pass;
mod source;
mod spilled;

use std::collections::BTreeSet;
use std::time::Instant;

use boathouse_spec::{Error, Result, StructType};
use datafusion::catalog::Session;
use datafusion::common::TableReference;
use datafusion::logical_expr::{Expr, LogicalPlan};
use serde_json::{Value, json};

use super::delete::DmlOptions;
use super::dml;
use super::optimize;
use super::update::Assignment;
use crate::file_set::FileWithStats;
use crate::row_tracking;
use crate::scan::DeltaScan;
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation, OwnReads, ReadSet};
use find::{Found, OfTarget};
use second_pass::{Done, Evolved, Outcome, SecondPass};
use source::MergeSource;

/// Which clause a row falls to.
pub(crate) const CLAUSE_COLUMN: &str = "__delta_clause";

/// Clause numbers: unchanged rows, rows of the source that nothing is done with, and the clauses of each kind from here.
const COPY: i64 = 0;
const SKIP: i64 = -1;
const MATCHED: i64 = 1_000;
const NOT_MATCHED: i64 = 2_000;
const NOT_MATCHED_BY_SOURCE: i64 = 3_000;

/// What a clause does.
#[derive(Debug, Clone)]
pub enum MergeAction {
    Delete,
    /// Columns that are not named keep their value.
    Update(Vec<Assignment>),
    /// Columns that are not named are NULL.
    Insert(Vec<Assignment>),
}

/// `WHEN .. [AND condition] THEN action`
#[derive(Debug, Clone)]
pub struct MergeClause {
    pub condition: Option<Expr>,
    /// The condition's text, for the history.
    pub sql: Option<String>,
    pub action: MergeAction,
}

impl MergeClause {
    /// Whether it sets values that differ each time they are computed.
    fn varies(&self) -> bool {
        match &self.action {
            MergeAction::Update(list) | MergeAction::Insert(list) => {
                list.iter().any(|a| dml::varies(&a.value))
            }
            MergeAction::Delete => false,
        }
    }
}

/// A merge as the engine understood it. Expressions name the target's columns with `target` as their qualifier, and the
/// source's as the source plan's schema has them.
#[derive(Debug, Clone)]
pub struct Merge {
    pub target: TableReference,
    pub source: LogicalPlan,
    pub condition: Expr,
    pub condition_sql: String,
    pub matched: Vec<MergeClause>,
    pub not_matched: Vec<MergeClause>,
    pub not_matched_by_source: Vec<MergeClause>,
    /// The table's schema afterwards, where the merge may add columns (`WITH SCHEMA EVOLUTION`).
    pub evolved_schema: Option<StructType>,
}

impl Merge {
    /// Whether rows of the target are deleted, and nothing else happens.
    fn only_deletes(&self) -> bool {
        self.not_matched.is_empty()
            && self
                .matched
                .iter()
                .chain(&self.not_matched_by_source)
                .all(|c| matches!(c.action, MergeAction::Delete))
    }

    /// Whether no row of the target changes.
    fn only_inserts(&self) -> bool {
        self.matched.is_empty() && self.not_matched_by_source.is_empty()
    }
}

/// Merges. `None` where nothing changed.
pub async fn merge(
    table: &Snapshot,
    session: &dyn Session,
    merge: &Merge,
    options: &DmlOptions,
) -> Result<Option<Committed>> {
    let started = Instant::now();
    crate::protocol::check_writable(table.location(), table.protocol(), table.metadata(), table.schema())?;
    check_clauses(merge)?;
    if table.was_written(options.txn.as_ref()).await? {
        return Ok(None);
    }
    let materializing = Instant::now();
    let source = source::prepare(session, &merge.source).await?;
    let materialize_ms = materializing.elapsed().as_millis();

    let mut hidden = dml::hidden_columns();
    hidden.extend(row_tracking::carried(table));
    let scan = DeltaScan::with_hidden(table.clone(), hidden)?;
    let (candidates, mut reads) = candidates(table, session, merge, &source, &scan).await?;
    let sorting = joins::sorting(session, &source, &candidates)?;
    let session = sorting.as_ref().map_or(session, |state| state as &dyn Session);
    let scanning = Instant::now();
    let found = if merge.only_inserts() {
        Found::default()
    } else {
        let scan = scan.clone().having_ruled_out_others(&candidates).await?;
        find::find(session, merge, &source, &scan, &candidates).await?
    };
    let scan_ms = if merge.only_inserts() { 0 } else { scanning.elapsed().as_millis() };
    // Which rows kept others from being inserted is not told: any of those that were read may have.
    let mut read = found.changing_files();
    read.extend(found.matched.files.keys());
    let concerns = |f: &&FileWithStats| merge.only_inserts() || read.contains(&(f.index as i64));
    reads.files = candidates.iter().filter(concerns).map(|f| f.file.key()).collect();

    let rewriting = Instant::now();
    let new = Evolved::of(table, merge)?;
    let pass = SecondPass {
        table,
        session,
        merge,
        options,
        source: &source,
        scan: &scan,
        candidates: &candidates,
        new: &new,
    };
    let marks = options.deletion_vectors && dml::are_written(table);
    let Done { outcome: Outcome { changes, written, counts }, change_files } =
        if pass.inserts_apart() { pass.apart(&found, marks).await? } else { pass.run(&found, marks).await? };
    let changes_nothing = changes.removes.is_empty() && written.adds.is_empty() && !new.is_changed;
    if changes_nothing && options.txn.is_none() && !options.records_nothing {
        return Ok(None);
    }
    let mut transaction = options.transaction(table, operation(merge));
    transaction.keeps_ids();
    transaction.reads = reads;
    transaction.of_application(options.txn.as_ref());
    transaction.blind_append = Some(false);
    if new.is_changed {
        transaction.metadata = Some(new.metadata);
        if new.protocol != *table.protocol() {
            transaction.protocol = Some(new.protocol);
        }
    }
    let m = &mut transaction.metrics;
    m.set("numTargetRowsCopied", counts.copied);
    m.set("numTargetRowsDeleted", counts.matched_deleted + counts.unmatched_deleted);
    m.set("numTargetBytesRemoved", changes.removed_bytes());
    m.set("numTargetDeletionVectorsAdded", changes.vectors_added);
    m.set("numTargetRowsMatchedUpdated", counts.matched_updated);
    m.set("numTargetRowsMatchedDeleted", counts.matched_deleted);
    m.set("numTargetRowsUpdated", counts.matched_updated + counts.unmatched_updated);
    m.set("numTargetChangeFilesAdded", change_files.len());
    m.set("numTargetRowsNotMatchedBySourceDeleted", counts.unmatched_deleted);
    m.set("rewriteTimeMs", rewriting.elapsed().as_millis());
    m.set("numTargetFilesAdded", written.adds.len());
    m.set("numTargetBytesAdded", written.bytes);
    m.set("executionTimeMs", started.elapsed().as_millis());
    m.set("materializeSourceTimeMs", materialize_ms);
    m.set("numTargetRowsInserted", counts.inserted);
    m.set("numTargetDeletionVectorsUpdated", changes.vectors_updated);
    m.set("scanTimeMs", scan_ms);
    m.set("numOutputRows", written.rows);
    m.set("numTargetDeletionVectorsRemoved", changes.vectors_removed);
    m.set("numTargetRowsNotMatchedBySourceUpdated", counts.unmatched_updated);
    m.set("numSourceRows", source.rows());
    m.set("numTargetFilesRemoved", changes.removed_files);
    changes.put_into(&mut transaction);
    transaction.add_written(written.adds);
    transaction.add_changes(change_files);
    transaction.reads.extend(OwnReads::found(session));
    transaction.record_identities(&options.identities)?;
    let committed = transaction.commit().await?;
    Ok(Some(optimize::after_commit(committed, session, &options.auto_compact, options).await))
}

/// The files that may have rows that change or match, and what is read to tell.
async fn candidates(
    table: &Snapshot,
    session: &dyn Session,
    merge: &Merge,
    source: &MergeSource,
    scan: &DeltaScan,
) -> Result<(Vec<FileWithStats>, ReadSet)> {
    let by_source = !merge.not_matched_by_source.is_empty();
    let (filters, mut candidates) = if by_source {
        // Any row may be one that the source does not match.
        (Vec::new(), scan.candidate_files(session, &[]).await?)
    } else {
        let OfTarget { filters, keys } = OfTarget::find(session, table, merge, source).await?;
        let files = scan.candidate_files(session, &filters).await?;
        (filters, keys::matching_files(session, source, &keys, files).await?)
    };
    candidates.iter_mut().enumerate().for_each(|(i, f)| f.index = i);
    let mut reads = ReadSet::default();
    if by_source {
        reads.whole_table = true;
    } else {
        reads.predicates.push(dml::read_predicates(session, table, &filters)?);
    }
    Ok((candidates, reads))
}

fn pick(files: &[FileWithStats], positions: &BTreeSet<i64>) -> Vec<FileWithStats> {
    files.iter().filter(|f| positions.contains(&(f.index as i64))).cloned().collect()
}

/// Only the last clause of a kind may go without a condition.
fn check_clauses(merge: &Merge) -> Result<()> {
    let all = [
        (&merge.matched, "DELTA_NON_LAST_MATCHED_CLAUSE_OMIT_CONDITION"),
        (&merge.not_matched, "DELTA_NON_LAST_NOT_MATCHED_CLAUSE_OMIT_CONDITION"),
        (&merge.not_matched_by_source, "DELTA_NON_LAST_NOT_MATCHED_BY_SOURCE_CLAUSE_OMIT_CONDITION"),
    ];
    for (clauses, class) in all {
        let (_, before) = clauses.split_last().map_or((None, &[][..]), |(l, b)| (Some(l), b));
        if before.iter().any(|c| c.condition.is_none()) {
            return Err(Error::new(class)
                .message("Of several clauses of a kind in MERGE only the last may omit its condition.")
                .exception("AnalysisException"));
        }
    }
    if merge.matched.is_empty() && merge.not_matched.is_empty() && merge.not_matched_by_source.is_empty() {
        return Err(Error::new("DELTA_MERGE_MISSING_WHEN")
            .message("MERGE needs at least one WHEN clause.")
            .exception("AnalysisException"));
    }
    Ok(())
}

fn operation(merge: &Merge) -> Operation {
    let clauses = |list: &[MergeClause]| -> Value {
        list.iter()
            .map(|c| {
                let action = match c.action {
                    MergeAction::Delete => "delete",
                    MergeAction::Update(_) => "update",
                    MergeAction::Insert(_) => "insert",
                };
                match &c.sql {
                    Some(sql) => json!({"predicate": sql, "actionType": action}),
                    None => json!({"actionType": action}),
                }
            })
            .collect()
    };
    Operation::new("MERGE")
        .predicates("predicate", std::slice::from_ref(&merge.condition_sql))
        .json("matchedPredicates", &clauses(&merge.matched))
        .json("notMatchedPredicates", &clauses(&merge.not_matched))
        .json("notMatchedBySourcePredicates", &clauses(&merge.not_matched_by_source))
}
