//! What a merge did, for the change feed: the second pass once more for the rows that it wrote, and the same with every row
//! keeping its values for what was there before.

use boathouse_bridge::ResultExt;
use boathouse_spec::Result;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit, when};
use datafusion::scalar::ScalarValue;

use super::evolved::as_evolved;
use super::find::Found;
use super::plan::Read;
use super::second_pass::SecondPass;
use super::{
    CLAUSE_COLUMN, MATCHED, Merge, MergeAction, MergeClause, NOT_MATCHED, NOT_MATCHED_BY_SOURCE, plan,
};
use crate::action::Cdc;
use crate::change_feed::{self, CHANGE_TYPE, ChangeType, ChangedTable};
use crate::data_file::WrittenFiles;
use crate::operation::rows_of;

impl SecondPass<'_> {
    /// The files of changes. `marks`: what only goes is told by deletion vectors.
    pub async fn change_files(&self, found: &Found, marks: bool) -> Result<Vec<Cdc>> {
        let told = self.merge.only_inserts() || (marks && self.merge.only_deletes());
        if told || !change_feed::keeps_changes(self.table) {
            return Ok(Vec::new());
        }
        let mut parts = Vec::new();
        if !self.merge.only_deletes() {
            let mut read = found.changing();
            if !self.merge.not_matched.is_empty() {
                read = found.matched.clone();
                read.merge(found.unmatched.clone());
            }
            let rows = self.changes(self.choosing(read), None, &[])?;
            parts.push(typed(rows, &written(self.merge))?);
        }
        parts.extend(self.old_rows(found)?);
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { return Ok(Vec::new()) };
        let all = parts.try_fold(first, |all, part| {
            LogicalPlanBuilder::from(all).union(part).spark()?.build().spark()
        })?;
        change_feed::write_rows(&self.changed_table(), self.session, &all, &self.options.files).await
    }

    /// The files of changes of what was there before.
    pub async fn old_change_files(&self, found: &Found) -> Result<Vec<Cdc>> {
        let mut out = Vec::new();
        for rows in self.old_rows(found)? {
            let table = self.changed_table();
            out.extend(change_feed::write_rows(&table, self.session, &rows, &self.options.files).await?);
        }
        Ok(out)
    }

    /// The files of changes of rows that were written.
    pub async fn added_change_files(&self, written: &WrittenFiles, kind: ChangeType) -> Result<Vec<Cdc>> {
        let table = self.changed_table();
        change_feed::of_added(&table, self.session, &written.adds, kind, &self.options.files).await
    }

    fn changed_table(&self) -> ChangedTable<'_> {
        ChangedTable { snapshot: self.table, metadata: &self.new.metadata, schema: &self.new.schema }
    }

    /// The rows that changed or went, as they were.
    fn old_rows(&self, found: &Found) -> Result<Vec<LogicalPlan>> {
        let mut out = Vec::new();
        let mut kept = self.keeping();
        // Several rows of the source may match a row that is deleted without condition: it is deleted once.
        let bare_delete = matches!(
            self.merge.matched.as_slice(),
            [MergeClause { condition: None, action: MergeAction::Delete, .. }]
        );
        let mut read = found.changing();
        if bare_delete {
            kept.matched.clear();
            read = found.unmatched.clone();
            let files = self.choosing(found.acting.clone());
            if !files.is_empty() {
                out.push(self.deleted(files)?);
            }
        }
        let files = self.choosing(read);
        if !files.is_empty() {
            let schema = &self.new.schema;
            let read = Read { scan: self.scan, files, changing: None, carried: &[] };
            let rows = plan::changes_plan(&kept, self.source, read, self.table, schema)?;
            out.push(typed(rows, &before(self.merge))?);
        }
        Ok(out)
    }

    /// The merge with every row keeping its values.
    fn keeping(&self) -> Merge {
        let keep = |clauses: &[MergeClause]| -> Vec<MergeClause> {
            clauses
                .iter()
                .map(|c| MergeClause { action: MergeAction::Update(Vec::new()), ..c.clone() })
                .collect()
        };
        Merge {
            matched: keep(&self.merge.matched),
            not_matched: Vec::new(),
            not_matched_by_source: keep(&self.merge.not_matched_by_source),
            ..self.merge.clone()
        }
    }

    fn deleted(&self, files: Vec<crate::file_set::FileWithStats>) -> Result<LogicalPlan> {
        let mut columns = Vec::new();
        for field in &self.new.schema.fields {
            let value = match self.table.schema().field(&field.name) {
                Some(old) => as_evolved(Expr::Column(Column::from_name(&old.name)), old, field),
                None => {
                    let arrow = boathouse_bridge::arrow_type(&field.data_type);
                    Expr::Literal(ScalarValue::try_from(&arrow).spark()?, None)
                }
            };
            columns.push(value.alias(&field.name));
        }
        columns.push(lit(ChangeType::Delete.name()).alias(CHANGE_TYPE));
        let scan = self.scan.clone().with_files_as_numbered(files);
        rows_of(scan)?.project(columns).spark()?.build().spark()
    }
}

type Kinds = Vec<(i64, ChangeType)>;

fn numbered(clauses: &[MergeClause], base: i64, kind: impl Fn(&MergeAction) -> Option<ChangeType>) -> Kinds {
    let numbered = clauses.iter().enumerate();
    numbered.filter_map(|(i, c)| Some((base + i as i64, kind(&c.action)?))).collect()
}

/// What the rows of a clause are that are written.
fn written(merge: &Merge) -> Kinds {
    let kind = |action: &MergeAction| match action {
        MergeAction::Update(_) => Some(ChangeType::UpdatePostimage),
        MergeAction::Insert(_) => Some(ChangeType::Insert),
        MergeAction::Delete => None,
    };
    let mut out = numbered(&merge.matched, MATCHED, kind);
    out.extend(numbered(&merge.not_matched, NOT_MATCHED, kind));
    out.extend(numbered(&merge.not_matched_by_source, NOT_MATCHED_BY_SOURCE, kind));
    out
}

/// What the rows of a clause were.
fn before(merge: &Merge) -> Kinds {
    let kind = |action: &MergeAction| match action {
        MergeAction::Update(_) => Some(ChangeType::UpdatePreimage),
        MergeAction::Delete => Some(ChangeType::Delete),
        MergeAction::Insert(_) => None,
    };
    let mut out = numbered(&merge.matched, MATCHED, kind);
    out.extend(numbered(&merge.not_matched_by_source, NOT_MATCHED_BY_SOURCE, kind));
    out
}

/// The rows of these clauses, with the type of their change in the place of the clause.
fn typed(rows: LogicalPlan, kinds: &Kinds) -> Result<LogicalPlan> {
    let clause = || Expr::Column(Column::from_name(CLAUSE_COLUMN));
    let rows = LogicalPlanBuilder::from(rows)
        .filter(clause().in_list(kinds.iter().map(|(number, _)| lit(*number)).collect(), false))
        .spark()?;
    let mut change = lit(ScalarValue::Utf8(None));
    for (number, kind) in kinds.iter().rev() {
        change = when(clause().eq(lit(*number)), lit(kind.name())).otherwise(change).spark()?;
    }
    let mut columns: Vec<Expr> = Vec::new();
    for column in rows.schema().columns() {
        if column.name != CLAUSE_COLUMN {
            let name = column.name.clone();
            columns.push(Expr::Column(column).alias(name));
        }
    }
    columns.push(change.alias(CHANGE_TYPE));
    rows.project(columns).spark()?.build().spark()
}
