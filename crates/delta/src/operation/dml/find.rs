//! The rows that a condition chooses, by a scan of the files that may have some.

use boathouse_bridge::ResultExt;
use boathouse_spec::Result;
use datafusion::catalog::Session;
use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use roaring::RoaringTreemap;

use super::{FILE_COLUMN, ROW_COLUMN, RowSets, collect_into, longs, read_predicates, rows_of};
use crate::file_set::FileWithStats;
use crate::scan::{DeltaScan, HiddenColumn, HiddenValue, row_count};
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

/// The files with rows that match a condition, and what was read to find them.
pub(crate) struct Matches {
    pub touched: Vec<Touched>,
    pub reads: ReadSet,
}

/// Finds the rows that match all conjuncts.
pub(crate) async fn find(session: &dyn Session, table: &Snapshot, conjuncts: &[Expr]) -> Result<Matches> {
    let scan = DeltaScan::with_hidden(table.clone(), hidden_columns())?;
    let mut candidates = scan.candidate_files(session, conjuncts).await?;
    candidates.iter_mut().enumerate().for_each(|(i, f)| f.index = i);
    let mut reads = ReadSet::default();
    if conjuncts.is_empty() {
        reads.whole_table = true;
    } else {
        reads.predicates.push(read_predicates(session, table, conjuncts)?);
    }
    let touched = if conjuncts.iter().all(|c| scan.is_partition_filter(c)) {
        let whole = |file: FileWithStats| Touched {
            is_read: false,
            matching: file.live_rows().map(|r| r as u64),
            rows: None,
            file,
        };
        candidates.into_iter().map(whole).collect()
    } else {
        let mut rows = matching_rows(session, &scan, &candidates, conjuncts).await?;
        let mut touched = Vec::with_capacity(rows.files.len());
        for file in candidates {
            if let Some(rows) = rows.files.remove(&(file.index as i64)) {
                touched.push(touched_by(table, file, rows).await?);
            }
        }
        touched
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

/// The file with the rows of it that match.
pub(crate) async fn touched_by(
    table: &Snapshot,
    file: FileWithStats,
    rows: RoaringTreemap,
) -> Result<Touched> {
    let deleted = file.file.deletion_vector.as_ref().map_or(0, |v| v.cardinality.unsigned_abs());
    let all = row_count(table.location(), &file).await?.saturating_sub(deleted);
    let matching = rows.len();
    Ok(Touched { file, is_read: true, matching: Some(matching), rows: (matching < all).then_some(rows) })
}

async fn matching_rows(
    session: &dyn Session,
    scan: &DeltaScan,
    candidates: &[FileWithStats],
    conjuncts: &[Expr],
) -> Result<RowSets> {
    let mut out = RowSets::default();
    if candidates.is_empty() {
        return Ok(out);
    }
    let scan = scan.clone().having_ruled_out_others(candidates).await?;
    let builder = rows_of(scan.with_files_as_numbered(candidates.to_vec()))?;
    let plan = match conjuncts.iter().cloned().reduce(Expr::and) {
        Some(condition) => builder.filter(condition).spark()?,
        None => builder,
    };
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
