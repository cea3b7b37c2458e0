//! Rows deleted by deletion vectors: the files stay, and the log says which of their rows are gone.

use std::sync::Arc;

use boathouse_spec::{Result, clock};
use futures::{StreamExt, TryStreamExt, stream};
use roaring::RoaringTreemap;

use crate::action::{Add, Remove};
use crate::deletion_vector;
use crate::file_set::FileWithStats;
use crate::location::TableLocation;
use crate::scan::row_count;
use crate::snapshot::Snapshot;
use crate::stats;
use crate::transaction::Transaction;

/// Vectors that are read at a time.
const PARALLEL_READS: usize = 16;

/// Whether statements mark rows of the table as deleted rather than write files again.
pub(crate) fn are_written(table: &Snapshot) -> bool {
    table.protocol().has("deletionVectors") && table.metadata().is_on("delta.enableDeletionVectors")
}

/// What deleting rows makes of files.
#[derive(Debug, Default)]
pub(crate) struct FileChanges {
    pub removes: Vec<Remove>,
    /// The files that stay, with their new vectors.
    pub adds: Vec<Add>,
    /// Files of vectors, relative to the table.
    pub vector_files: Vec<String>,
    /// Files that are gone with all their rows.
    pub removed_files: u64,
    pub vectors_added: u64,
    pub vectors_removed: u64,
    pub vectors_updated: u64,
}

impl FileChanges {
    /// Takes out whole files.
    pub fn remove_files<'a>(&mut self, files: impl IntoIterator<Item = &'a FileWithStats>) {
        let now = clock::now_ms();
        for file in files {
            self.removed_files += 1;
            self.vectors_removed += u64::from(file.file.deletion_vector.is_some());
            self.removes.push(file.file.remove(now, true));
        }
    }

    /// The sizes of the files that are gone with all their rows, in bytes.
    pub fn removed_bytes(&self) -> i64 {
        let staying: std::collections::HashSet<&str> = self.adds.iter().map(|a| a.path.as_str()).collect();
        self.removes.iter().filter(|r| !staying.contains(r.path.as_str())).filter_map(|r| r.size).sum()
    }

    /// Hands the changes to a transaction.
    pub fn put_into(self, transaction: &mut Transaction) {
        transaction.remove(self.removes);
        transaction.add(self.adds);
        transaction.written_beside(self.vector_files);
    }
}

/// Marks rows as deleted; none of them is yet, and in each file some stay.
pub(crate) async fn mark_deleted(
    table: &Snapshot,
    files: Vec<(FileWithStats, RoaringTreemap)>,
) -> Result<FileChanges> {
    let mut out = FileChanges::default();
    let location = table.location();
    let reads: Vec<_> =
        files.iter().map(|(file, rows)| with_old(location.clone(), file.clone(), rows.clone())).collect();
    let vectors: Vec<RoaringTreemap> = stream::iter(reads).buffered(PARALLEL_READS).try_collect().await?;
    let inline_bytes =
        table.property(deletion_vector::INLINE_BYTES).and_then(|v| v.parse().ok()).unwrap_or(0);
    let stored = deletion_vector::store(location, vectors, inline_bytes).await?;
    let now = clock::now_ms();
    for ((file, _), vector) in files.iter().zip(stored.vectors) {
        out.vectors_added += 1;
        if file.file.deletion_vector.is_some() {
            out.vectors_removed += 1;
            out.vectors_updated += 1;
        }
        out.removes.push(file.file.remove(now, true));
        let rows = row_count(location, file).await?;
        out.adds.push(Add {
            deletion_vector: Some(vector),
            stats: Some(stats::loosened(file.file.stats.as_deref(), rows)),
            data_change: true,
            ..file.file.as_ref().clone()
        });
    }
    out.vector_files = stored.files;
    Ok(out)
}

async fn with_old(
    location: TableLocation,
    file: FileWithStats,
    mut rows: RoaringTreemap,
) -> Result<RoaringTreemap> {
    if let Some(old) = &file.file.deletion_vector {
        rows |= deletion_vector::read(&location, old).await?;
    }
    Ok(rows)
}

/// The rows of a file that are neither deleted nor listed.
pub(crate) async fn other_rows(
    location: TableLocation,
    file: FileWithStats,
    listed: RoaringTreemap,
) -> Result<FileWithStats> {
    let rows = row_count(&location, &file).await?;
    let gone = with_old(location, file.clone(), listed).await?;
    let mut left = RoaringTreemap::new();
    left.insert_range(0..rows);
    left -= gone;
    Ok(file.choosing(Arc::new(left)))
}
