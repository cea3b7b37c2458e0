//! The rows that a condition chooses, by a scan of the files that may have some.

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::Result;
use datafusion::catalog::Session;
use datafusion::common::Column;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use roaring::RoaringTreemap;

use super::{FILE_COLUMN, ROW_COLUMN, RowSets, collect_into, has_subquery, longs, read_predicates, rows_of};
use crate::file_set::FileWithStats;
use crate::operation::write::Predicate;
use crate::scan::{DeltaScan, HiddenColumn, HiddenValue, row_count, unqualified};
use crate::snapshot::Snapshot;
use crate::transaction::ReadSet;

/// A file with rows that match.
pub(crate) struct Touched {
    pub file: FileWithStats,
    /// Whether the file was read to tell.
    pub is_read: bool,
    /// Which rows match; `None` where all do.
    pub rows: Option<RoaringTreemap>,
    /// How many rows match; `None` where all do and the log does not tell their number.
    pub matching: Option<u64>,
}

impl Touched {
    /// The file, of which the rows that match are read.
    pub fn matching_only(&self) -> FileWithStats {
        match &self.rows {
            None => self.file.clone(),
            Some(rows) => self.file.clone().choosing(Arc::new(rows.clone())),
        }
    }
}

/// The files with rows that match a condition, and what was read to find them.
pub(crate) struct Matches {
    pub touched: Vec<Touched>,
    pub reads: ReadSet,
}

/// Which rows are looked for: those that match all conjuncts.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// Without subqueries: they rule out files, and tell other commits' rows from those that were looked for.
    pub plain: Vec<Expr>,
    /// Those with subqueries.
    with_subqueries: Vec<Expr>,
    outer_names: Vec<(String, String)>,
}

impl Search {
    /// By conjuncts that have no subqueries.
    pub fn plain(conjuncts: Vec<Expr>) -> Self {
        Self { plain: conjuncts, ..Self::default() }
    }

    /// By a condition, which may have subqueries; all rows where there is none.
    pub fn of(condition: Option<&Predicate>) -> Result<Self> {
        let Some(condition) = condition else { return Ok(Self::default()) };
        let mut out = Self { outer_names: condition.outer_names.clone(), ..Self::default() };
        for conjunct in split_conjunction_owned(unqualified(condition.expr.clone())?) {
            let list = if has_subquery(&conjunct)? { &mut out.with_subqueries } else { &mut out.plain };
            list.push(conjunct);
        }
        Ok(out)
    }

    /// Whether rows of other tables, or other rows of this one, decide.
    pub fn has_subqueries(&self) -> bool {
        !self.with_subqueries.is_empty()
    }

    /// The rows of a scan that match.
    fn over(&self, mut scan: LogicalPlanBuilder) -> Result<LogicalPlanBuilder> {
        if !self.outer_names.is_empty() {
            let own = |name: &str| Expr::Column(Column::from_name(name));
            let all = scan.schema().columns().into_iter().map(Expr::Column);
            let outer = self.outer_names.iter().map(|(name, outer)| own(name).alias(outer));
            scan = scan.project(all.chain(outer).collect::<Vec<_>>()).spark()?;
        }
        match self.plain.iter().chain(&self.with_subqueries).cloned().reduce(Expr::and) {
            Some(condition) => scan.filter(condition).spark(),
            None => Ok(scan),
        }
    }
}

/// Finds the rows that are looked for.
pub(crate) async fn find(session: &dyn Session, table: &Snapshot, search: &Search) -> Result<Matches> {
    let scan = DeltaScan::with_hidden(table.clone(), hidden_columns())?;
    let mut candidates = scan.candidate_files(session, &search.plain).await?;
    candidates.iter_mut().enumerate().for_each(|(i, f)| f.index = i);
    let mut reads = ReadSet::default();
    if search.plain.is_empty() {
        reads.whole_table = true;
    } else {
        reads.predicates.push(read_predicates(session, table, &search.plain)?);
    }
    let touched = if !search.has_subqueries() && search.plain.iter().all(|c| scan.is_partition_filter(c)) {
        let whole = |file: FileWithStats| Touched {
            is_read: false,
            matching: file.live_rows().map(|r| r as u64),
            rows: None,
            file,
        };
        candidates.into_iter().map(whole).collect()
    } else {
        let rows = matching_rows(session, &scan, &candidates, search).await?;
        touched_by(table, &candidates, rows).await?
    };
    reads.files = touched.iter().map(|t| t.file.file.key()).collect();
    Ok(Matches { touched, reads })
}

/// What tells where a row is.
pub(crate) fn hidden_columns() -> Vec<HiddenColumn> {
    vec![
        HiddenColumn::new(FILE_COLUMN, HiddenValue::FileIndex),
        HiddenColumn::new(ROW_COLUMN, HiddenValue::RowIndex),
    ]
}

/// The files that have some of the rows, by their numbers.
pub(crate) async fn touched_by(
    table: &Snapshot,
    candidates: &[FileWithStats],
    mut matching: RowSets,
) -> Result<Vec<Touched>> {
    let mut touched = Vec::with_capacity(matching.files.len());
    for file in candidates {
        let Some(rows) = matching.files.remove(&(file.index as i64)) else { continue };
        let deleted = file.file.deletion_vector.as_ref().map_or(0, |v| v.cardinality.unsigned_abs());
        let all = row_count(table.location(), file).await?.saturating_sub(deleted);
        let matching = rows.len();
        let rows = (matching < all).then_some(rows);
        touched.push(Touched { file: file.clone(), is_read: true, rows, matching: Some(matching) });
    }
    Ok(touched)
}

async fn matching_rows(
    session: &dyn Session,
    scan: &DeltaScan,
    candidates: &[FileWithStats],
    search: &Search,
) -> Result<RowSets> {
    let mut out = RowSets::default();
    if candidates.is_empty() {
        return Ok(out);
    }
    let scan = scan.clone().having_ruled_out_others(candidates).await?;
    let plan = search.over(rows_of(scan.with_files_as_numbered(candidates.to_vec()))?)?;
    let place = [FILE_COLUMN, ROW_COLUMN].map(|c| Expr::Column(Column::from_name(c)));
    let plan = plan.project(place).spark()?.build().spark()?;
    let physical = session.create_physical_plan(&plan).await.spark()?;
    let parts = collect_into(physical, session.task_ctx(), |sets: &mut RowSets, batch| {
        sets.insert_all(longs(batch, 0)?, longs(batch, 1)?);
        Ok(())
    })
    .await?;
    parts.into_iter().for_each(|part| out.merge(part));
    Ok(out)
}
