//! Compaction that nobody asks for: after a write (`delta.autoOptimize.autoCompact`) of the small files of the partitions
//! that it wrote to, and of all partitions where a table is kept up.

use std::collections::HashSet;

use boathouse_spec::{Result, clock};
use datafusion::catalog::Session;

use super::super::delete::DmlOptions;
use super::{OptimizeOptions, Work, bins, by_partition};
use crate::file_set::FileWithStats;
use crate::row_tracking;
use crate::scan::DeltaScan;
use crate::snapshot::Snapshot;
use crate::transaction::Committed;

/// A file is worn where one of so many rows is deleted.
const WORN_SHARE: u64 = 5;

/// When files are compacted after a write (`spark.databricks.delta.autoCompact.*`).
#[derive(Debug, Clone)]
pub struct AutoCompact {
    /// Whether tables are compacted; what the table says where `None`.
    pub enabled: Option<bool>,
    /// Bytes of the files that are written.
    pub max_file_size: i64,
    /// Files below this are small; half of `max_file_size` where `None`.
    pub min_file_size: Option<i64>,
    /// A partition with so many small files is compacted.
    pub min_files: usize,
}

impl Default for AutoCompact {
    fn default() -> Self {
        Self { enabled: None, max_file_size: 128 * 1024 * 1024, min_file_size: None, min_files: 50 }
    }
}

impl AutoCompact {
    fn is_on(&self, table: &Snapshot) -> bool {
        // `auto`, `legacy` and `true` are ways to say yes.
        self.enabled.unwrap_or_else(|| {
            table
                .property("delta.autoOptimize.autoCompact")
                .or_else(|| table.property("delta.autoOptimize"))
                .is_some_and(|v| !v.eq_ignore_ascii_case("false"))
        })
    }
}

/// Compacts what a commit left in many small files, where the session or the table asks for it. The commit has happened
/// whatever becomes of this.
pub(crate) async fn after_commit(
    committed: Committed,
    session: &dyn Session,
    asked: &AutoCompact,
    commit: &DmlOptions,
) -> Committed {
    if !asked.is_on(&committed.snapshot) {
        return committed;
    }
    let written = committed.added.iter().map(String::as_str).collect();
    match compact(&committed.snapshot, session, asked, commit, Some(written)).await {
        Ok(Some(compacted)) => Committed { snapshot: compacted.snapshot, ..committed },
        Ok(None) => committed,
        Err(e) => {
            let table = committed.snapshot.location().uri();
            tracing::warn!(table, version = committed.version, "files were not compacted after a write: {e}");
            committed
        }
    }
}

/// Compacts the small files of partitions with many of them, only of those that have one of the `written` files where some
/// are named; else also files with many deleted rows.
pub(super) async fn compact(
    table: &Snapshot,
    session: &dyn Session,
    asked: &AutoCompact,
    commit: &DmlOptions,
    written: Option<HashSet<&str>>,
) -> Result<Option<Committed>> {
    let small = asked.min_file_size.unwrap_or(asked.max_file_size / 2);
    let scan = DeltaScan::with_hidden(table.clone(), row_tracking::carried(table))?;
    let (worn, others): (Vec<_>, Vec<_>) = (scan.candidate_files(session, &[]).await?.into_iter())
        .partition(|file| written.is_none() && is_worn(file));
    let small = others.into_iter().filter(|f| f.file.size < small || f.file.deletion_vector.is_some());
    let mut partitions = by_partition(table, session, small.collect())?;
    partitions.retain(|_, files| {
        let touched = |written: &HashSet<&str>| files.iter().any(|f| written.contains(f.file.path.as_str()));
        files.len() >= asked.min_files && written.as_ref().is_none_or(touched)
    });
    let files: Vec<FileWithStats> = partitions.into_values().flatten().chain(worn).collect();
    let considered = files.len();
    let bins = bins(table, session, files, asked.max_file_size, false)?;
    let commit = DmlOptions { user_metadata: None, ..commit.clone() };
    let options = OptimizeOptions { auto: true, commit, ..OptimizeOptions::default() };
    let work = Work {
        table,
        session,
        options: &options,
        size: asked.max_file_size,
        zorder: &[],
        cluster_by: &[],
        start_ms: clock::now_ms(),
    };
    Ok(work.run(scan, bins, considered).await?.1)
}

/// Whether so many rows of a file are deleted that reading them costs more than writing the others once.
fn is_worn(file: &FileWithStats) -> bool {
    let deleted = file.file.deletion_vector.as_ref().map_or(0, |v| v.cardinality.unsigned_abs());
    file.num_records().is_some_and(|rows| deleted >= (rows / WORN_SHARE).max(1))
}
