//! The second pass as a plan: for each row that changes or comes, the clause it falls to and its values.

use std::collections::BTreeSet;
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::{Result, StructField, StructType};
use datafusion::catalog::default_table_source::DefaultTableSource;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, lit, when};
use datafusion::scalar::ScalarValue;

use super::super::dml::FILE_COLUMN;
use super::super::update::Assignment;
use super::evolved::as_evolved;
use super::source::MergeSource;
use super::{
    CLAUSE_COLUMN, COPY, MATCHED, Merge, MergeAction, MergeClause, NOT_MATCHED, NOT_MATCHED_BY_SOURCE, SKIP,
};
use crate::file_set::FileWithStats;
use crate::row_tracking;
use crate::scan::{DeltaScan, HiddenColumn};
use crate::snapshot::Snapshot;

/// Set in every row of the source.
pub(super) const SOURCE_COLUMN: &str = "__delta_source";

/// The clauses whose rows are not written; rows that keep their values are, where files are written anew.
pub(super) fn dropped(merge: &Merge, copies: bool) -> Vec<i64> {
    let deletes = |clauses: &[MergeClause], base: i64| -> Vec<i64> {
        let numbered = clauses.iter().enumerate();
        numbered
            .filter(|(_, c)| matches!(c.action, MergeAction::Delete))
            .map(|(i, _)| base + i as i64)
            .collect()
    };
    let mut out = if copies { vec![SKIP] } else { vec![SKIP, COPY] };
    out.extend(deletes(&merge.matched, MATCHED));
    out.extend(deletes(&merge.not_matched_by_source, NOT_MATCHED_BY_SOURCE));
    out
}

pub(super) fn target_rows(
    scan: &DeltaScan,
    merge: &Merge,
    files: Vec<FileWithStats>,
) -> Result<LogicalPlanBuilder> {
    let source = Arc::new(DefaultTableSource::new(Arc::new(scan.clone().with_files_as_numbered(files))));
    LogicalPlanBuilder::scan(merge.target.clone(), source, None).spark()
}

pub(super) fn source_rows(source: &MergeSource) -> Result<LogicalPlan> {
    let plan = source.plan()?;
    let mut columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    columns.push(lit(true).alias(SOURCE_COLUMN));
    LogicalPlanBuilder::from(plan).project(columns).spark()?.build().spark()
}

pub(super) fn target_column(merge: &Merge, name: &str) -> Expr {
    Expr::Column(Column::new(Some(merge.target.clone()), name))
}

/// Rows of the source without match, as the insert clauses make them.
pub(super) fn inserts_plan(
    merge: &Merge,
    source: &MergeSource,
    scan: &DeltaScan,
    candidates: &[FileWithStats],
    schema: &StructType,
) -> Result<LogicalPlan> {
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
    plan.build().spark()
}

/// The rows of the target that a merge looks at.
pub(super) struct Read<'a> {
    pub scan: &'a DeltaScan,
    /// Read as far as is needed to tell what becomes of their rows.
    pub files: Vec<FileWithStats>,
    /// Only rows of these files are given, where some are named.
    pub changing: Option<&'a BTreeSet<i64>>,
    /// The columns beside the table's with which rows keep their ids.
    pub carried: &'a [HiddenColumn],
}

/// What rows of the target become, and what is inserted.
pub(super) fn changes_plan(
    merge: &Merge,
    source: &MergeSource,
    read: Read<'_>,
    table: &Snapshot,
    schema: &StructType,
) -> Result<LogicalPlan> {
    let join = if merge.not_matched.is_empty() { JoinType::Left } else { JoinType::Full };
    let mut rows = target_rows(read.scan, merge, read.files)?
        .join_on(source_rows(source)?, join, [merge.condition.clone()])
        .spark()?;
    let file = target_column(merge, FILE_COLUMN);
    if let Some(changing) = read.changing {
        let changing = changing.iter().map(|f| lit(*f)).collect();
        rows = rows.filter(file.clone().is_null().or(file.clone().in_list(changing, false))).spark()?;
    }
    let in_source = Expr::Column(Column::from_name(SOURCE_COLUMN)).is_not_null();
    let clause = when(file.is_null(), first_clause(&merge.not_matched, NOT_MATCHED, SKIP)?)
        .when(in_source, first_clause(&merge.matched, MATCHED, COPY)?)
        .otherwise(first_clause(&merge.not_matched_by_source, NOT_MATCHED_BY_SOURCE, COPY)?)
        .spark()?;
    let mut columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    columns.push(clause.alias(CLAUSE_COLUMN));
    let rows = rows.project(columns).spark()?;
    let old = |new: &StructField| {
        table.schema().field(&new.name).map(|f| as_evolved(target_column(merge, &f.name), f, new))
    };
    let mut columns = output_columns(merge, schema, &old)?;
    let changes = Expr::Column(Column::from_name(CLAUSE_COLUMN)).not_eq(lit(COPY));
    let carried = |name: &str| target_column(merge, name);
    columns.extend(row_tracking::carried_values(read.carried, carried, Some(&changes))?);
    rows.project(columns).spark()?.build().spark()
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
    old: &dyn Fn(&StructField) -> Option<Expr>,
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
        let before = match old(field) {
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
