//! The files of a table version: unchanging segments, each with the files that are still part of the table.
//!
//! A commit adds a segment and unmarks files in older ones, so that the next version costs what the commit changed, and
//! the statistics of a segment are decoded once however many versions share it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use arrow::array::Array;
use arrow::datatypes::SchemaRef;
use boathouse_spec::Result;
use datafusion::physical_expr::PhysicalExpr;
use roaring::RoaringTreemap;

use crate::action::{Action, Add, FileKey};
use crate::schema::TableColumns;
use crate::stats::StatsTable;
use crate::stats::prune::FilePruner;

/// More segments than this are made one.
const MAX_SEGMENTS: usize = 64;

#[derive(Debug)]
struct Segment {
    files: Vec<Arc<Add>>,
    positions: OnceLock<HashMap<FileKey, usize>>,
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

impl Part {
    fn new(files: Vec<Arc<Add>>) -> Self {
        let segment = Segment { files, positions: OnceLock::new(), stats: OnceLock::new() };
        Self { segment: Arc::new(segment), live: None }
    }

    fn is_live(&self, index: usize) -> bool {
        self.live.as_ref().is_none_or(|live| live[index])
    }

    fn position(&self, key: &FileKey) -> Option<usize> {
        let positions = self
            .segment
            .positions
            .get_or_init(|| self.segment.files.iter().enumerate().map(|(i, f)| (f.key(), i)).collect());
        positions.get(key).copied().filter(|i| self.is_live(*i))
    }

    fn files(&self) -> impl Iterator<Item = &Arc<Add>> {
        self.segment.files.iter().enumerate().filter(|(i, _)| self.is_live(*i)).map(|(_, f)| f)
    }
}

impl FileSet {
    pub fn new(files: Vec<Add>) -> Self {
        Self { parts: vec![Part::new(files.into_iter().map(Arc::new).collect())] }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Add>> {
        self.parts.iter().flat_map(Part::files)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.iter().count()
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
        if parts.len() > MAX_SEGMENTS {
            return Self { parts: merge_small(parts) };
        }
        Self { parts }
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
            let stats =
                part.segment.stats.get_or_init(|| Arc::new(StatsTable::build(&part.segment.files, columns)));
            let mut keep: Vec<bool> = (0..part.segment.files.len()).map(|i| part.is_live(i)).collect();
            for pruner in &pruners {
                for (keep, passes) in keep.iter_mut().zip(pruner.keep(stats)?) {
                    *keep &= passes;
                }
            }
            for (row, file) in part.segment.files.iter().enumerate().filter(|(i, _)| keep[*i]) {
                out.push(FileWithStats {
                    file: file.clone(),
                    stats: stats.clone(),
                    row,
                    index: out.len(),
                    chosen: None,
                });
            }
        }
        Ok(out)
    }

    /// The same files without decoded statistics: after a change of schema they mean other columns.
    pub fn forget_stats(&self) -> Self {
        Self { parts: vec![Part::new(self.iter().cloned().collect())] }
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

/// Makes one segment of all but the largest, whose statistics are worth keeping.
fn merge_small(parts: Vec<Part>) -> Vec<Part> {
    let largest = parts.iter().enumerate().max_by_key(|(_, p)| p.segment.files.len()).map(|(i, _)| i);
    let mut out = Vec::new();
    let mut rest = Vec::new();
    for (i, part) in parts.into_iter().enumerate() {
        if Some(i) == largest {
            out.push(part);
        } else {
            rest.extend(part.files().cloned());
        }
    }
    out.push(Part::new(rest));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::PartitionValues;

    fn add(path: &str) -> Add {
        Add {
            path: path.into(),
            partition_values: PartitionValues::new(),
            size: 1,
            modification_time: 0,
            data_change: true,
            stats: None,
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        }
    }

    fn paths(set: &FileSet) -> Vec<&str> {
        let mut out: Vec<_> = set.iter().map(|f| f.path.as_str()).collect();
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
        assert!(many.parts.len() <= MAX_SEGMENTS);
    }
}
