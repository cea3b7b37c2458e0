//! The files of a table version: unchanging segments, each with the files that are still part of the table.
//!
//! A commit adds a segment and unmarks files in older ones, so that the next version costs what the commit changed, and
//! the statistics of a segment are decoded once however many versions share it.

mod builder;
mod files;
mod packed_texts;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use arrow::array::Array;
use arrow::datatypes::SchemaRef;
use boathouse_spec::Result;
use datafusion::physical_expr::PhysicalExpr;
use roaring::RoaringTreemap;

use crate::action::{Action, Add, FileKey};
use crate::log::checksum::Totals;
use crate::schema::TableColumns;
use crate::stats::StatsTable;
use crate::stats::prune::FilePruner;

pub(crate) use builder::{FinishedSegment, SEGMENT_FILES, SegmentBuilder};
use files::{Cursor, Files};
pub(crate) use files::{FileRow, Rare};

/// More small segments than this are made one.
const MAX_SMALL: usize = 64;
/// Fewer files than this are a small segment.
const SMALL: usize = 8192;
/// So many files are kept by columns.
const COMPACT_FROM: usize = 1024;

#[derive(Debug)]
struct Segment {
    files: Files,
    /// Hashes of the files' identities with their rows, in the order of the hashes.
    positions: OnceLock<Vec<(u64, u32)>>,
    stats: OnceLock<Arc<StatsTable>>,
}

#[derive(Debug, Clone)]
struct Part {
    segment: Arc<Segment>,
    /// `None` while all files of the segment are live.
    live: Option<Arc<Vec<bool>>>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FileSet {
    parts: Vec<Part>,
}

impl Segment {
    fn new(files: Files) -> Self {
        Self { files, positions: OnceLock::new(), stats: OnceLock::new() }
    }

    fn stats(&self, columns: &TableColumns) -> &Arc<StatsTable> {
        self.stats.get_or_init(|| {
            let mut builder = crate::stats::StatsTableBuilder::new(columns);
            let mut cursor = self.files.cursor();
            for row in 0..self.files.len() {
                let file = cursor.get(row);
                builder.push(file.stats.as_deref(), &file.partition_values);
            }
            Arc::new(builder.finish())
        })
    }
}

fn hash(path: &str, vector: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (path, vector).hash(&mut hasher);
    hasher.finish()
}

impl Part {
    fn new(files: Vec<Arc<Add>>) -> Self {
        Self { segment: Arc::new(Segment::new(files.into())), live: None }
    }

    fn is_live(&self, index: usize) -> bool {
        self.live.as_ref().is_none_or(|live| live[index])
    }

    /// How many files are live.
    fn len(&self) -> usize {
        match &self.live {
            Some(live) => live.iter().filter(|l| **l).count(),
            None => self.segment.files.len(),
        }
    }

    fn live_rows(&self) -> impl Iterator<Item = usize> {
        (0..self.segment.files.len()).filter(|i| self.is_live(*i))
    }

    fn position(&self, key: &FileKey) -> Option<usize> {
        let files = &self.segment.files;
        let positions = self.segment.positions.get_or_init(|| {
            let of_row = |row: usize| {
                let vector = files.deletion_vector(row).map(crate::action::DeletionVector::unique_id);
                (hash(files.path(row), vector.as_deref()), row as u32)
            };
            let mut positions: Vec<_> = (0..files.len()).map(of_row).collect();
            positions.sort_unstable();
            positions
        });
        let wanted = hash(&key.path, key.vector.as_deref());
        let first = positions.partition_point(|(hash, _)| *hash < wanted);
        let same = positions[first..].iter().take_while(|(hash, _)| *hash == wanted);
        let mut rows = same.map(|(_, row)| *row as usize);
        rows.find(|row| self.is_live(*row) && files.is(*row, key))
    }

    fn files(&self) -> impl Iterator<Item = Arc<Add>> {
        let mut cursor = self.segment.files.cursor();
        self.live_rows().map(move |row| cursor.get(row))
    }
}

impl FileSet {
    pub fn new(files: Vec<Add>) -> Self {
        Self { parts: vec![Part::new(files.into_iter().map(Arc::new).collect())] }
    }

    /// Of segments in the order of their files.
    pub fn of_segments(segments: Vec<FinishedSegment>) -> Self {
        Self { parts: segments.into_iter().map(|s| s.0).collect() }
    }

    pub fn iter(&self) -> impl Iterator<Item = Arc<Add>> {
        self.parts.iter().flat_map(Part::files)
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    /// The sizes of the files, without the cost of the files.
    pub fn sizes(&self) -> impl Iterator<Item = i64> {
        self.parts.iter().flat_map(|p| p.live_rows().map(|row| p.segment.files.size(row)))
    }

    /// All files together.
    pub fn totals(&self) -> Totals {
        let mut out = Totals::default();
        for part in &self.parts {
            let files = &part.segment.files;
            for row in part.live_rows() {
                out.files += 1;
                out.bytes = out.bytes.saturating_add(files.size(row));
            }
            if files.surely_no_vectors() {
                continue;
            }
            for vector in part.live_rows().filter_map(|row| files.deletion_vector(row)) {
                out.vectors += 1;
                out.deleted = out.deleted.saturating_add(vector.cardinality);
            }
        }
        out
    }

    pub fn contains(&self, key: &FileKey) -> bool {
        self.parts.iter().any(|p| p.position(key).is_some())
    }

    /// The files after a commit.
    pub fn apply(&self, actions: &[Action]) -> Self {
        let mut gone: HashSet<FileKey> = HashSet::new();
        let mut added = Vec::new();
        for action in actions {
            match action {
                Action::Remove(r) => {
                    gone.insert(r.key());
                }
                Action::Add(a) => {
                    // The same file again (new statistics or tags) takes the place of the old one.
                    gone.insert(a.key());
                    added.push(Arc::new(a.clone()));
                }
                _ => {}
            }
        }
        if gone.is_empty() {
            return self.clone();
        }
        let mut parts = self.parts.clone();
        for part in &mut parts {
            let hits: Vec<usize> = gone.iter().filter_map(|key| part.position(key)).collect();
            if hits.is_empty() {
                continue;
            }
            let mut live = match &part.live {
                Some(live) => live.as_ref().clone(),
                None => vec![true; part.segment.files.len()],
            };
            hits.into_iter().for_each(|i| live[i] = false);
            part.live = Some(Arc::new(live));
        }
        parts.retain(|p| p.live.as_ref().is_none_or(|live| live.iter().any(|l| *l)));
        if !added.is_empty() {
            parts.push(Part::new(added));
        }
        Self { parts: merge_small(parts) }
    }

    /// The files in which all filters may find rows, with their segments' statistics. The filters name columns of `schema`.
    pub fn pruned(
        &self,
        columns: &TableColumns,
        schema: &SchemaRef,
        filters: &[Arc<dyn PhysicalExpr>],
    ) -> Result<Vec<FileWithStats>> {
        let pruners: Vec<FilePruner> = filters.iter().map(|f| FilePruner::new(f, schema)).collect();
        let mut out = Vec::new();
        for part in &self.parts {
            let stats = part.segment.stats(columns);
            let mut keep: Vec<bool> = (0..part.segment.files.len()).map(|i| part.is_live(i)).collect();
            for pruner in &pruners {
                for (keep, passes) in keep.iter_mut().zip(pruner.keep(stats)?) {
                    *keep &= passes;
                }
            }
            let mut cursor: Cursor<'_> = part.segment.files.cursor();
            for row in keep.iter().enumerate().filter(|(_, keep)| **keep).map(|(row, _)| row) {
                out.push(FileWithStats {
                    file: cursor.get(row),
                    stats: stats.clone(),
                    row,
                    index: out.len(),
                    chosen: None,
                });
            }
        }
        Ok(out)
    }

    /// All files by their segments, for what is asked of them together.
    pub fn groups(&self, columns: &TableColumns) -> Vec<StatsGroup> {
        self.parts.iter().map(|part| part.group(columns)).collect()
    }

    /// The same files without decoded statistics: after a change of schema they mean other columns.
    pub fn forget_stats(&self) -> Self {
        let parts = self.parts.iter().map(|part| Part::new(part.files().collect()));
        Self { parts: parts.collect() }
    }
}

impl Part {
    fn group(&self, columns: &TableColumns) -> StatsGroup {
        let (files, stats) = (&self.segment.files, self.segment.stats(columns).clone());
        let (mut deleted, mut whole) = (0i64, true);
        if !files.surely_no_vectors() {
            for vector in self.live_rows().filter_map(|row| files.deletion_vector(row)) {
                deleted = deleted.saturating_add(vector.cardinality);
                whole = false;
            }
        }
        let bytes = self.live_rows().map(|row| files.size(row)).fold(0i64, i64::saturating_add);
        let rows: Option<Vec<usize>> = self.live.is_some().then(|| self.live_rows().collect());
        let records = match &rows {
            None => stats.total_records(0..stats.files),
            Some(rows) => stats.total_records(rows.iter().copied()),
        };
        let num_rows =
            records.zip(u64::try_from(deleted).ok()).and_then(|(n, deleted)| n.checked_sub(deleted));
        StatsGroup { stats, rows, num_rows, bytes, whole }
    }
}

/// Files that share a table of statistics.
pub(crate) struct StatsGroup {
    pub stats: Arc<StatsTable>,
    /// Their rows in it; all where `None`.
    pub rows: Option<Vec<usize>>,
    /// Rows that are read; `None` where the log does not tell.
    pub num_rows: Option<u64>,
    pub bytes: i64,
    /// Whether every row of every file is read.
    pub whole: bool,
}

impl StatsGroup {
    /// Files by what tables of statistics they share.
    pub fn among(files: &[FileWithStats]) -> Vec<Self> {
        let mut out: Vec<Self> = Vec::new();
        for file in files {
            let known = out.iter().rposition(|g| Arc::ptr_eq(&g.stats, &file.stats));
            let position = known.unwrap_or_else(|| {
                let stats = file.stats.clone();
                out.push(Self { stats, rows: Some(Vec::new()), num_rows: Some(0), bytes: 0, whole: true });
                out.len() - 1
            });
            let group = &mut out[position];
            group.rows.get_or_insert_default().push(file.row);
            group.num_rows = group.num_rows.zip(file.live_rows()).map(|(a, b)| a.saturating_add(b as u64));
            group.bytes = group.bytes.saturating_add(file.file.size);
            group.whole &= file.is_whole();
        }
        out
    }
}

/// A file, and its row in the statistics of its segment.
#[derive(Debug, Clone)]
pub(crate) struct FileWithStats {
    pub file: Arc<Add>,
    pub stats: Arc<StatsTable>,
    pub row: usize,
    /// Its position among the files it was found with.
    pub index: usize,
    /// The rows to be read, none of them deleted; all that are not deleted where `None`.
    pub chosen: Option<Arc<RoaringTreemap>>,
}

impl FileWithStats {
    /// Rows in the file, deleted ones counted; `None` where the log does not tell.
    pub fn num_records(&self) -> Option<u64> {
        self.stats.num_records.is_valid(self.row).then(|| self.stats.num_records.value(self.row))
    }

    /// The same file, of which only some rows are read.
    pub fn choosing(self, rows: Arc<RoaringTreemap>) -> Self {
        Self { chosen: Some(rows), ..self }
    }

    /// Whether every row of the file is read.
    pub fn is_whole(&self) -> bool {
        self.chosen.is_none() && self.file.deletion_vector.is_none()
    }

    /// Rows that are read; `None` where the log does not tell.
    pub fn live_rows(&self) -> Option<usize> {
        if let Some(chosen) = &self.chosen {
            return usize::try_from(chosen.len()).ok();
        }
        let deleted = self.file.deletion_vector.as_ref().map_or(0, |v| v.cardinality);
        usize::try_from(self.num_records()?.checked_sub(u64::try_from(deleted).ok()?)?).ok()
    }
}

/// Makes one segment of the small ones, where there are too many of them. Large ones keep their statistics.
fn merge_small(parts: Vec<Part>) -> Vec<Part> {
    let is_small = |part: &Part| part.segment.files.len() < SMALL;
    if parts.iter().filter(|p| is_small(p)).count() <= MAX_SMALL {
        return parts;
    }
    let (small, mut out): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_small);
    out.push(Part::new(small.iter().flat_map(Part::files).collect()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::PartitionValues;

    fn add(path: &str) -> Add {
        Add::new(path, PartitionValues::new(), 1)
    }

    fn paths(set: &FileSet) -> Vec<String> {
        let mut out: Vec<_> = set.iter().map(|f| f.path.clone()).collect();
        out.sort_unstable();
        out
    }

    #[test]
    fn commits_change_the_set() {
        let first = FileSet::new(vec![add("a"), add("b")]);
        let second = first.apply(&[Action::Remove(add("a").remove(0, true)), Action::Add(add("c"))]);
        assert_eq!(paths(&first), ["a", "b"]);
        assert_eq!(paths(&second), ["b", "c"]);
        let mut with_vector = add("b");
        with_vector.deletion_vector = Some(crate::action::DeletionVector {
            storage_type: "u".into(),
            path_or_inline_dv: "x".into(),
            offset: Some(1),
            size_in_bytes: 1,
            cardinality: 1,
        });
        let third =
            second.apply(&[Action::Remove(add("b").remove(0, true)), Action::Add(with_vector.clone())]);
        assert_eq!(paths(&third), ["b", "c"]);
        assert!(third.contains(&with_vector.key()) && !third.contains(&add("b").key()));
        let mut many = third;
        for i in 0..200 {
            many = many.apply(&[Action::Add(add(&format!("n{i}")))]);
        }
        assert_eq!(many.len(), 202);
        assert!(many.parts.len() <= MAX_SMALL + 1);
    }
}
