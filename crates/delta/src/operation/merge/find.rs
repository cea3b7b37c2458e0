//! The first pass: which rows of the target match, and which of them change.

use std::collections::BTreeSet;

use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::catalog::Session;
use datafusion::common::Column;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, JoinType, lit, when};

use super::super::dml::{FILE_COLUMN, ROW_COLUMN, RowSets, collect_into, longs};
use super::keys::{self, Key};
use super::plan::{SOURCE_COLUMN, source_rows, target_column, target_rows};
use super::source::MergeSource;
use super::{Merge, MergeAction, MergeClause};
use crate::file_set::FileWithStats;
use crate::scan::{DeltaScan, unqualified};
use crate::snapshot::Snapshot;

/// What the first pass found.
#[derive(Default)]
pub(super) struct Found {
    /// Rows that match the source.
    pub matched: RowSets,
    /// Rows that match and change.
    pub acting: RowSets,
    /// Rows that do not match, and change.
    pub unmatched: RowSets,
}

impl Found {
    fn merge(&mut self, other: Found) {
        self.matched.merge(other.matched);
        self.acting.merge(other.acting);
        self.unmatched.merge(other.unmatched);
    }

    /// The rows that change.
    pub fn changing(&self) -> RowSets {
        let mut out = self.acting.clone();
        out.merge(self.unmatched.clone());
        out
    }

    /// Positions of files with rows that change.
    pub fn changing_files(&self) -> BTreeSet<i64> {
        self.acting.files.keys().chain(self.unmatched.files.keys()).copied().collect()
    }
}

/// What a condition says of the target.
pub(super) struct OfTarget {
    /// Filters on the target alone that every match passes: those of the condition, and the range of the source's keys.
    pub filters: Vec<Expr>,
    pub keys: Vec<Key>,
}

impl OfTarget {
    pub async fn find(
        session: &dyn Session,
        table: &Snapshot,
        merge: &Merge,
        source: &MergeSource,
    ) -> Result<Self> {
        let is_target = |c: &Column| c.relation.as_ref() == Some(&merge.target);
        let (mut filters, mut keys) = (Vec::new(), Vec::new());
        for conjunct in split_conjunction(&merge.condition) {
            if conjunct.is_volatile() {
                continue;
            }
            let columns = conjunct.column_refs();
            if !columns.is_empty() && columns.iter().all(|c| is_target(c)) {
                filters.push(unqualified(conjunct.clone())?);
            } else if let Some(key) = Key::of(conjunct, &is_target)
                && table.schema().field(key.column()).is_some()
            {
                keys.push(key);
            }
        }
        filters.extend(keys::ranges(session, source, &keys).await?);
        Ok(Self { filters, keys })
    }
}

/// What became of a row, as the plan of the first pass numbers it.
const MATCHED: i64 = 0;
const ACTING: i64 = 1;
const UNMATCHED: i64 = 2;

/// Runs the first pass over files that may have rows that match.
pub(super) async fn find(
    session: &dyn Session,
    merge: &Merge,
    source: &MergeSource,
    scan: &DeltaScan,
    candidates: &[FileWithStats],
) -> Result<Found> {
    let mut found = Found::default();
    if candidates.is_empty() {
        return Ok(found);
    }
    let by_source = !merge.not_matched_by_source.is_empty();
    let join = if by_source { JoinType::Left } else { JoinType::Inner };
    let mut rows = target_rows(scan, merge, candidates.to_vec())?
        .join_on(source_rows(source)?, join, [merge.condition.clone()])
        .spark()?;
    let acts = when(any_condition(&merge.matched), lit(ACTING)).otherwise(lit(MATCHED)).spark()?;
    let outcome = if by_source {
        let in_source = Expr::Column(Column::from_name(SOURCE_COLUMN)).is_not_null();
        let changes = any_condition(&merge.not_matched_by_source);
        rows = rows.filter(in_source.clone().or(changes)).spark()?;
        when(in_source, acts).otherwise(lit(UNMATCHED)).spark()?
    } else {
        acts
    };
    let plan = rows
        .project([
            target_column(merge, FILE_COLUMN).alias("f"),
            target_column(merge, ROW_COLUMN).alias("r"),
            outcome.alias("o"),
        ])
        .spark()?
        .build()
        .spark()?;
    let physical = session.create_physical_plan(&plan).await.spark()?;
    let parts = collect_into(physical, session.task_ctx(), |found: &mut Found, batch| {
        let (files, rows, outcomes) = (longs(batch, 0)?, longs(batch, 1)?, longs(batch, 2)?);
        for ((file, row), outcome) in files.iter().zip(rows).zip(outcomes) {
            let row = row.unsigned_abs();
            if *outcome == UNMATCHED {
                found.unmatched.insert(*file, row);
                continue;
            }
            found.matched.insert(*file, row);
            if *outcome == ACTING {
                found.acting.insert(*file, row);
            }
        }
        Ok(())
    })
    .await?;
    parts.into_iter().for_each(|part| found.merge(part));
    refuse_ambiguity(merge, &found)?;
    Ok(found)
}

/// Whether one of the clauses does something.
fn any_condition(clauses: &[MergeClause]) -> Expr {
    let conditions = clauses.iter().map(|c| c.condition.clone().unwrap_or_else(|| lit(true)));
    conditions.reduce(Expr::or).unwrap_or_else(|| lit(false))
}

/// A row that several rows of the source match can only be deleted, whichever of them it is.
fn refuse_ambiguity(merge: &Merge, found: &Found) -> Result<()> {
    let bare_delete = matches!(
        merge.matched.as_slice(),
        [MergeClause { condition: None, action: MergeAction::Delete, .. }]
    );
    if found.matched.repeated() == 0 || bare_delete || merge.matched.is_empty() {
        return Ok(());
    }
    Err(Error::new("DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE")
        .param("usageReference", "https://docs.delta.io/latest/delta-update.html#upsert-into-a-table-using-merge")
        .message(
            "Several rows of the source match the same row of the target, so that it is not clear which of them \
             it should be changed by. Remove the duplicates from the source before the MERGE.",
        )
        .exception("UnsupportedOperationException"))
}
