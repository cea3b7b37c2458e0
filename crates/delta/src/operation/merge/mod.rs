//! MERGE.
//!
//! Two passes over the source, which is held in memory where it fits: the first joins it to the target to find the files
//! with rows that match, and to see that no target row matches twice; the second joins it to those files only and writes
//! what they become, together with what is inserted. A merge that only inserts is one anti join.

mod source;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result, StructType, clock};
use datafusion::catalog::Session;
use datafusion::catalog::default_table_source::DefaultTableSource;
use datafusion::common::{Column, TableReference};
use datafusion::functions_aggregate::expr_fn::{count, max, sum};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, lit, when};
use datafusion::physical_plan::collect;
use datafusion::scalar::ScalarValue;
use serde_json::{Value, json};

use super::delete::DmlOptions;
use super::dml::{self, FILE_COLUMN};
use crate::action::Remove;
use crate::data_file::{FileOptions, RowActions, TableVersion, WriteTarget, WrittenFiles, write_plan};
use crate::file_set::FileWithStats;
use crate::scan::{DeltaScan, HiddenColumn, HiddenValue, unqualified};
use crate::schema::stored;
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation, ReadSet, Transaction};

use super::update::Assignment;
use source::MergeSource;

/// The hidden column with a row's position.
const ROW_COLUMN: &str = "__delta_row";
/// Set in every row of the source.
const SOURCE_COLUMN: &str = "__delta_source";
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

/// What the first pass found.
#[derive(Default)]
struct Found {
    /// Positions of files with rows that match.
    joined: BTreeSet<i64>,
    /// Positions of files with rows that change.
    acting: BTreeSet<i64>,
    /// Matches beyond the first of a target row; only a bare DELETE allows them.
    surplus: i64,
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
    super::refuse_change_feed(table, "MERGE")?;
    check_clauses(merge)?;
    let materializing = Instant::now();
    let source = source::prepare(session, &merge.source).await?;
    let materialize_ms = materializing.elapsed().as_millis();

    let conjuncts = split_conjunction_owned(merge.condition.clone());
    let by_source = !merge.not_matched_by_source.is_empty();
    let pruning = if by_source {
        Vec::new()
    } else {
        target_filters(session, table, merge, &source, &conjuncts).await?
    };
    let scan = DeltaScan::with_hidden(
        table.clone(),
        vec![
            HiddenColumn::new(FILE_COLUMN, HiddenValue::FileIndex),
            HiddenColumn::new(ROW_COLUMN, HiddenValue::RowIndex),
        ],
    )?;
    let mut candidates = scan.candidate_files(session, &pruning).await?;
    candidates.iter_mut().enumerate().for_each(|(i, f)| f.index = i);
    let mut reads = ReadSet::default();
    if by_source {
        reads.whole_table = true;
    } else {
        reads.predicates.push(dml::read_predicates(session, table, &pruning)?);
    }

    let scanning = Instant::now();
    let inserts_only = merge.matched.is_empty() && !by_source;
    let found = if inserts_only {
        Found::default()
    } else {
        find(session, merge, &source, &scan, &candidates, by_source).await?
    };
    let scan_ms = if inserts_only { 0 } else { scanning.elapsed().as_millis() };

    let rewriting = Instant::now();
    let evolved = merge.evolved_schema.as_ref().filter(|s| *s != table.schema());
    let (metadata, schema, protocol) = match evolved {
        Some(wanted) => {
            let mut metadata = table.metadata().clone();
            let wanted = stored::stored_schema(wanted)?;
            let schema = stored::assign_mapping(&wanted, &mut metadata, false);
            metadata.schema_string = schema.json();
            let needed = crate::protocol::needed_features(&metadata, &schema);
            let protocol = table.protocol().with_features(&needed);
            (metadata, schema, protocol)
        }
        None => (table.metadata().clone(), table.schema().clone(), table.protocol().clone()),
    };
    let acting: Vec<FileWithStats> = pick(&candidates, &found.acting);
    let joined: Vec<FileWithStats> = pick(&candidates, &found.joined);
    let plan = if inserts_only {
        inserts_plan(merge, &source, &scan, &candidates, &schema)?
    } else {
        changes_plan(merge, &source, &scan, &found, joined.clone(), table, &schema)?
    };
    let actions = Arc::new(RowActions::new(CLAUSE_COLUMN, dropped(merge)));
    let written = match plan {
        None => WrittenFiles::default(),
        Some(plan) => {
            let physical = session.create_physical_plan(&plan).await.spark()?;
            let file_options = FileOptions { compression: options.compression.clone(), ..Default::default() };
            let target = WriteTarget::new(
                session,
                &TableVersion {
                    location: table.location(),
                    protocol: &protocol,
                    metadata: &metadata,
                    schema: &schema,
                },
                &options.constraints,
                &file_options,
                true,
            )?
            .with_actions(actions.clone());
            let bytes = acting.iter().map(|f| f.file.size).sum::<i64>().saturating_add(source.bytes());
            write_plan(dml::gathered(physical, bytes), session.task_ctx(), Arc::new(target)).await?
        }
    };

    reads.files = joined.iter().map(|f| f.file.key()).collect();
    let now = clock::now_ms();
    let removes: Vec<Remove> = acting.iter().map(|f| f.file.remove(now, true)).collect();
    if removes.is_empty() && written.adds.is_empty() && evolved.is_none() {
        return Ok(None);
    }
    let mut transaction = Transaction::new(table.location(), Some(table), operation(merge));
    transaction.user_metadata.clone_from(&options.user_metadata);
    transaction.tags = options.commit_fields.clone();
    transaction.reads = reads;
    transaction.blind_append = Some(false);
    if evolved.is_some() {
        transaction.metadata = Some(metadata);
        if protocol != *table.protocol() {
            transaction.protocol = Some(protocol);
        }
    }
    let counts = Counts::of(merge, &actions, found.surplus);
    let m = &mut transaction.metrics;
    m.set("numTargetRowsCopied", counts.copied);
    m.set("numTargetRowsDeleted", counts.matched_deleted + counts.unmatched_deleted);
    m.set("numTargetBytesRemoved", removes.iter().filter_map(|r| r.size).sum::<i64>());
    m.set("numTargetDeletionVectorsAdded", 0);
    m.set("numTargetRowsMatchedUpdated", counts.matched_updated);
    m.set("numTargetRowsMatchedDeleted", counts.matched_deleted);
    m.set("numTargetRowsUpdated", counts.matched_updated + counts.unmatched_updated);
    m.set("numTargetChangeFilesAdded", 0);
    m.set("numTargetRowsNotMatchedBySourceDeleted", counts.unmatched_deleted);
    m.set("rewriteTimeMs", rewriting.elapsed().as_millis());
    m.set("numTargetFilesAdded", written.adds.len());
    m.set("numTargetBytesAdded", written.bytes);
    m.set("executionTimeMs", started.elapsed().as_millis());
    m.set("materializeSourceTimeMs", materialize_ms);
    m.set("numTargetRowsInserted", counts.inserted);
    m.set("numTargetDeletionVectorsUpdated", 0);
    m.set("scanTimeMs", scan_ms);
    m.set("numOutputRows", written.rows);
    m.set("numTargetDeletionVectorsRemoved", removes.iter().filter(|r| r.deletion_vector.is_some()).count());
    m.set("numTargetRowsNotMatchedBySourceUpdated", counts.unmatched_updated);
    m.set("numSourceRows", source.rows(session).await?);
    m.set("numTargetFilesRemoved", removes.len());
    transaction.remove(removes);
    transaction.add_written(written.adds);
    transaction.commit().await.map(Some)
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

/// The clauses whose rows are not written.
fn dropped(merge: &Merge) -> Vec<i64> {
    let deletes = |clauses: &[MergeClause], base: i64| -> Vec<i64> {
        let numbered = clauses.iter().enumerate();
        numbered
            .filter(|(_, c)| matches!(c.action, MergeAction::Delete))
            .map(|(i, _)| base + i as i64)
            .collect()
    };
    let mut out = vec![SKIP];
    out.extend(deletes(&merge.matched, MATCHED));
    out.extend(deletes(&merge.not_matched_by_source, NOT_MATCHED_BY_SOURCE));
    out
}

fn clause_of(merge: &Merge, clause: i64) -> Option<&MergeClause> {
    let (list, base) = match clause {
        c if c >= NOT_MATCHED_BY_SOURCE => (&merge.not_matched_by_source, NOT_MATCHED_BY_SOURCE),
        c if c >= NOT_MATCHED => (&merge.not_matched, NOT_MATCHED),
        c if c >= MATCHED => (&merge.matched, MATCHED),
        _ => return None,
    };
    list.get(usize::try_from(clause - base).ok()?)
}

#[derive(Default)]
struct Counts {
    copied: i64,
    inserted: i64,
    matched_updated: i64,
    matched_deleted: i64,
    unmatched_updated: i64,
    unmatched_deleted: i64,
}

impl Counts {
    fn of(merge: &Merge, actions: &RowActions, surplus: i64) -> Self {
        let mut out = Self::default();
        for (clause, rows) in actions.counts() {
            let kind = clause_of(merge, clause).map(|c| &c.action);
            let slot = match kind {
                None if clause == COPY => &mut out.copied,
                None => continue,
                Some(MergeAction::Insert(_)) => &mut out.inserted,
                Some(MergeAction::Update(_)) if clause < NOT_MATCHED => &mut out.matched_updated,
                Some(MergeAction::Update(_)) => &mut out.unmatched_updated,
                Some(MergeAction::Delete) if clause < NOT_MATCHED => &mut out.matched_deleted,
                Some(MergeAction::Delete) => &mut out.unmatched_deleted,
            };
            *slot += rows;
        }
        out.matched_deleted -= surplus;
        out
    }
}

/// Filters on the target alone that every match passes: those of the condition, and the range of the source's keys.
async fn target_filters(
    session: &dyn Session,
    table: &Snapshot,
    merge: &Merge,
    source: &MergeSource,
    conjuncts: &[Expr],
) -> Result<Vec<Expr>> {
    let is_target = |c: &Column| c.relation.as_ref() == Some(&merge.target);
    let mut out = Vec::new();
    let mut keys = Vec::new();
    for conjunct in conjuncts {
        if conjunct.is_volatile() {
            continue;
        }
        let columns = conjunct.column_refs();
        if !columns.is_empty() && columns.iter().all(|c| is_target(c)) {
            out.push(unqualified(conjunct.clone())?);
        } else if let Some((column, key)) = source::equality(conjunct, &is_target)
            && table.schema().field(&column.name).is_some()
        {
            keys.push((column, key));
        }
    }
    out.extend(source::key_ranges(session, source, keys).await?);
    Ok(out)
}

fn target_rows(scan: &DeltaScan, merge: &Merge, files: Vec<FileWithStats>) -> Result<LogicalPlanBuilder> {
    let source = Arc::new(DefaultTableSource::new(Arc::new(scan.clone().with_files_as_numbered(files))));
    LogicalPlanBuilder::scan(merge.target.clone(), source, None).spark()
}

fn source_rows(source: &MergeSource) -> Result<LogicalPlan> {
    let plan = source.plan()?;
    let mut columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    columns.push(lit(true).alias(SOURCE_COLUMN));
    LogicalPlanBuilder::from(plan).project(columns).spark()?.build().spark()
}

fn target_column(merge: &Merge, name: &str) -> Expr {
    Expr::Column(Column::new(Some(merge.target.clone()), name))
}

/// The first pass.
async fn find(
    session: &dyn Session,
    merge: &Merge,
    source: &MergeSource,
    scan: &DeltaScan,
    candidates: &[FileWithStats],
    by_source: bool,
) -> Result<Found> {
    let mut found = Found::default();
    if by_source {
        // Any row may be one that the source does not match.
        found.acting = candidates.iter().map(|f| f.index as i64).collect();
        found.joined.clone_from(&found.acting);
    }
    if candidates.is_empty() || merge.matched.is_empty() {
        return Ok(found);
    }
    let acts =
        merge.matched.iter().map(|c| c.condition.clone().unwrap_or_else(|| lit(true))).reduce(Expr::or);
    let acts = when(acts.unwrap_or_else(|| lit(false)), lit(1i64)).otherwise(lit(0i64)).spark()?;
    let plan = target_rows(scan, merge, candidates.to_vec())?
        .join_on(source_rows(source)?, JoinType::Inner, [merge.condition.clone()])
        .spark()?
        .project(vec![
            target_column(merge, FILE_COLUMN).alias("f"),
            target_column(merge, ROW_COLUMN).alias("r"),
            acts.alias("a"),
        ])
        .spark()?
        .aggregate(
            vec![Expr::Column(Column::from_name("f")), Expr::Column(Column::from_name("r"))],
            vec![count(lit(1i64)).alias("n"), max(Expr::Column(Column::from_name("a"))).alias("acts")],
        )
        .spark()?
        .aggregate(
            vec![Expr::Column(Column::from_name("f"))],
            vec![
                max(Expr::Column(Column::from_name("n"))).alias("most"),
                sum(Expr::Column(Column::from_name("n")) - lit(1i64)).alias("surplus"),
                max(Expr::Column(Column::from_name("acts"))).alias("acting"),
            ],
        )
        .spark()?
        .build()
        .spark()?;
    let physical = session.create_physical_plan(&plan).await.spark()?;
    let mut most = 0;
    for batch in collect(physical, session.task_ctx()).await.spark()? {
        let column = |i: usize| batch.column(i).as_primitive::<Int64Type>();
        let (files, mosts, surplus, acting) = (column(0), column(1), column(2), column(3));
        for row in 0..batch.num_rows() {
            most = most.max(mosts.value(row));
            found.surplus += surplus.value(row);
            found.joined.insert(files.value(row));
            if acting.is_valid(row) && acting.value(row) == 1 {
                found.acting.insert(files.value(row));
            }
        }
    }
    let bare_delete = matches!(
        merge.matched.as_slice(),
        [MergeClause { condition: None, action: MergeAction::Delete, .. }]
    );
    if most > 1 && !bare_delete {
        return Err(Error::new("DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE")
            .param("usageReference", "https://docs.delta.io/latest/delta-update.html#upsert-into-a-table-using-merge")
            .message(
                "Several rows of the source match the same row of the target, so that it is not clear which of them \
                 it should be changed by. Remove the duplicates from the source before the MERGE.",
            )
            .exception("UnsupportedOperationException"));
    }
    Ok(found)
}

/// Rows of the source without match, as the insert clauses make them.
fn inserts_plan(
    merge: &Merge,
    source: &MergeSource,
    scan: &DeltaScan,
    candidates: &[FileWithStats],
    schema: &StructType,
) -> Result<Option<LogicalPlan>> {
    let rows = LogicalPlanBuilder::from(source_rows(source)?);
    let rows = if candidates.is_empty() {
        rows
    } else {
        let target = target_rows(scan, merge, candidates.to_vec())?.build().spark()?;
        rows.join_on(target, JoinType::LeftAnti, [merge.condition.clone()]).spark()?
    };
    let clause = first_clause(&merge.not_matched, NOT_MATCHED, SKIP)?;
    let mut columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    columns.push(clause.alias(CLAUSE_COLUMN));
    let rows = rows.project(columns).spark()?;
    let output = output_columns(merge, schema, &|_| None)?;
    let plan = rows.project(output).spark()?;
    let plan = plan.filter(Expr::Column(Column::from_name(CLAUSE_COLUMN)).not_eq(lit(SKIP))).spark()?;
    plan.build().spark().map(Some)
}

/// What the files with matches become, and what is inserted.
fn changes_plan(
    merge: &Merge,
    source: &MergeSource,
    scan: &DeltaScan,
    found: &Found,
    joined: Vec<FileWithStats>,
    table: &Snapshot,
    schema: &StructType,
) -> Result<Option<LogicalPlan>> {
    let inserts = !merge.not_matched.is_empty();
    if joined.is_empty() && !inserts {
        return Ok(None);
    }
    if found.acting.is_empty() && !inserts {
        return Ok(None);
    }
    let join = if inserts { JoinType::Full } else { JoinType::Left };
    let mut rows = target_rows(scan, merge, joined)?
        .join_on(source_rows(source)?, join, [merge.condition.clone()])
        .spark()?;
    let file = target_column(merge, FILE_COLUMN);
    if found.acting.len() < found.joined.len() {
        let acting = found.acting.iter().map(|f| lit(*f)).collect();
        rows = rows.filter(file.clone().is_null().or(file.clone().in_list(acting, false))).spark()?;
    }
    let in_source = Expr::Column(Column::from_name(SOURCE_COLUMN)).is_not_null();
    let clause = when(file.is_null(), first_clause(&merge.not_matched, NOT_MATCHED, SKIP)?)
        .when(in_source, first_clause(&merge.matched, MATCHED, COPY)?)
        .otherwise(first_clause(&merge.not_matched_by_source, NOT_MATCHED_BY_SOURCE, COPY)?)
        .spark()?;
    let mut columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    columns.push(clause.alias(CLAUSE_COLUMN));
    let rows = rows.project(columns).spark()?;
    let old = |name: &str| table.schema().field(name).map(|f| target_column(merge, &f.name));
    let plan = rows.project(output_columns(merge, schema, &old)?).spark()?;
    plan.build().spark().map(Some)
}

/// The number of the first clause whose condition holds.
fn first_clause(clauses: &[MergeClause], base: i64, otherwise: i64) -> Result<Expr> {
    let mut fallback = lit(otherwise);
    for (i, clause) in clauses.iter().enumerate().rev() {
        let number = lit(base + i as i64);
        fallback = match &clause.condition {
            None => number,
            Some(condition) => when(condition.clone(), number).otherwise(fallback).spark()?,
        };
    }
    Ok(fallback)
}

/// For each column of the table its value by the clause of the row, and the clause itself.
fn output_columns(
    merge: &Merge,
    schema: &StructType,
    old: &dyn Fn(&str) -> Option<Expr>,
) -> Result<Vec<Expr>> {
    let clause = || Expr::Column(Column::from_name(CLAUSE_COLUMN));
    let numbered = |clauses: &[MergeClause], base: i64| -> Vec<(i64, MergeAction)> {
        clauses.iter().enumerate().map(|(i, c)| (base + i as i64, c.action.clone())).collect()
    };
    let mut all = numbered(&merge.matched, MATCHED);
    all.extend(numbered(&merge.not_matched, NOT_MATCHED));
    all.extend(numbered(&merge.not_matched_by_source, NOT_MATCHED_BY_SOURCE));
    let mut out = Vec::with_capacity(schema.fields.len() + 1);
    for field in &schema.fields {
        let null = || -> Result<Expr> {
            let t = boathouse_bridge::arrow_type(&field.data_type);
            Ok(Expr::Literal(ScalarValue::try_from(&t).spark()?, None))
        };
        let before = match old(&field.name) {
            Some(column) => column,
            None => null()?,
        };
        let given = |list: &[Assignment]| {
            list.iter().find(|a| a.column.eq_ignore_ascii_case(&field.name)).map(|a| a.value.clone())
        };
        let mut branches = Vec::new();
        for (number, action) in &all {
            match action {
                MergeAction::Delete => {}
                MergeAction::Update(list) => branches.extend(given(list).map(|v| (*number, v))),
                MergeAction::Insert(list) => branches.push((*number, given(list).map_or_else(null, Ok)?)),
            }
        }
        let mut value = before;
        for (number, branch) in branches.into_iter().rev() {
            value = when(clause().eq(lit(number)), branch).otherwise(value).spark()?;
        }
        out.push(value.alias(&field.name));
    }
    out.push(clause());
    Ok(out)
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
