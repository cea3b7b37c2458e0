//! The files of a segment: as they came where they are few, by columns where they are many.

use std::collections::HashMap;
use std::sync::Arc;

use super::packed_texts::{PackedTexts, TextReader};
use crate::action::{Add, DeletionVector, FileKey, PartitionValues};

#[derive(Debug)]
pub(super) enum Files {
    Listed(Vec<Arc<Add>>),
    Compact(CompactFiles),
}

/// About 200 bytes a file with statistics of five columns, where an [`Add`] of its own takes four times that.
#[derive(Debug, Default)]
pub(crate) struct CompactFiles {
    paths: String,
    path_ends: Vec<usize>,
    sizes: Vec<i64>,
    modification_times: Vec<i64>,
    /// Where the values are in `partitions`.
    partition: Vec<u32>,
    partitions: Vec<PartitionValues>,
    by_partition: HashMap<Vec<(String, Option<String>)>, u32>,
    stats: PackedTexts,
    /// What few files have.
    rare: HashMap<u32, Rare>,
}

/// The parts of an [`Add`] that most files of most tables do not have.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rare {
    pub tags: Option<PartitionValues>,
    pub deletion_vector: Option<DeletionVector>,
    pub base_row_id: Option<i64>,
    pub default_row_commit_version: Option<i64>,
    pub clustering_provider: Option<String>,
}

/// A file to be added to [`CompactFiles`].
pub(crate) struct FileRow<'a> {
    pub path: &'a str,
    pub partition_values: PartitionValues,
    pub size: i64,
    pub modification_time: i64,
    pub stats: Option<&'a str>,
    pub rare: Rare,
}

impl CompactFiles {
    pub fn push(&mut self, file: FileRow<'_>) {
        let row = self.path_ends.len() as u32;
        self.paths.push_str(file.path);
        self.path_ends.push(self.paths.len());
        self.sizes.push(file.size);
        self.modification_times.push(file.modification_time);
        self.stats.push(file.stats);
        if file.rare != Rare::default() {
            self.rare.insert(row, file.rare);
        }
        let partition = self.partition_of(file.partition_values);
        self.partition.push(partition);
    }

    fn partition_of(&mut self, values: PartitionValues) -> u32 {
        // Files of a partition often follow each other.
        if let Some(last) = self.partition.last()
            && self.partitions.get(*last as usize) == Some(&values)
        {
            return *last;
        }
        let key: Vec<_> = values.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        *self.by_partition.entry(key).or_insert_with(|| {
            self.partitions.push(values);
            self.partitions.len() as u32 - 1
        })
    }

    /// Nothing comes after this.
    pub fn finish(mut self) -> Self {
        self.stats.finish();
        self.by_partition = HashMap::new();
        self.paths.shrink_to_fit();
        self.path_ends.shrink_to_fit();
        self.sizes.shrink_to_fit();
        self.modification_times.shrink_to_fit();
        self.partition.shrink_to_fit();
        self
    }

    pub fn len(&self) -> usize {
        self.path_ends.len()
    }

    pub fn partition_values(&self, row: usize) -> &PartitionValues {
        &self.partitions[self.partition[row] as usize]
    }

    fn path(&self, row: usize) -> &str {
        let start = if row == 0 { 0 } else { self.path_ends[row - 1] };
        &self.paths[start..self.path_ends[row]]
    }

    fn rare(&self, row: usize) -> Option<&Rare> {
        if self.rare.is_empty() { None } else { self.rare.get(&(row as u32)) }
    }

    fn add(&self, row: usize, stats: &mut TextReader<'_>) -> Add {
        let rare = self.rare(row).cloned().unwrap_or_default();
        Add {
            path: self.path(row).to_string(),
            partition_values: self.partition_values(row).clone(),
            size: self.sizes[row],
            modification_time: self.modification_times[row],
            data_change: true,
            stats: stats.get(row).map(str::to_string),
            tags: rare.tags,
            deletion_vector: rare.deletion_vector,
            base_row_id: rare.base_row_id,
            default_row_commit_version: rare.default_row_commit_version,
            clustering_provider: rare.clustering_provider,
        }
    }
}

impl Files {
    pub fn len(&self) -> usize {
        match self {
            Self::Listed(files) => files.len(),
            Self::Compact(files) => files.len(),
        }
    }

    pub fn path(&self, row: usize) -> &str {
        match self {
            Self::Listed(files) => &files[row].path,
            Self::Compact(files) => files.path(row),
        }
    }

    pub fn deletion_vector(&self, row: usize) -> Option<&DeletionVector> {
        match self {
            Self::Listed(files) => files[row].deletion_vector.as_ref(),
            Self::Compact(files) => files.rare(row).and_then(|r| r.deletion_vector.as_ref()),
        }
    }

    pub fn size(&self, row: usize) -> i64 {
        match self {
            Self::Listed(files) => files[row].size,
            Self::Compact(files) => files.sizes[row],
        }
    }

    /// Whether no file has a deletion vector, where that is told without a look at each.
    pub fn surely_no_vectors(&self) -> bool {
        matches!(self, Self::Compact(files) if files.rare.is_empty())
    }

    pub fn is(&self, row: usize, key: &FileKey) -> bool {
        self.path(row) == key.path && self.deletion_vector(row).map(DeletionVector::unique_id) == key.vector
    }

    pub fn cursor(&self) -> Cursor<'_> {
        let stats = match self {
            Self::Listed(_) => None,
            Self::Compact(files) => Some(files.stats.reader()),
        };
        Cursor { files: self, stats }
    }
}

/// Gives files of a segment; neighbours are cheap.
pub(super) struct Cursor<'a> {
    files: &'a Files,
    stats: Option<TextReader<'a>>,
}

impl Cursor<'_> {
    pub fn get(&mut self, row: usize) -> Arc<Add> {
        match (self.files, &mut self.stats) {
            (Files::Compact(files), Some(stats)) => Arc::new(files.add(row, stats)),
            (Files::Listed(files), _) => Arc::clone(&files[row]),
            (Files::Compact(files), None) => Arc::new(files.add(row, &mut files.stats.reader())),
        }
    }
}

/// The files as a segment keeps them.
impl From<Vec<Arc<Add>>> for Files {
    fn from(files: Vec<Arc<Add>>) -> Self {
        if files.len() < super::COMPACT_FROM {
            return Self::Listed(files);
        }
        let mut out = CompactFiles::default();
        for file in files {
            let file = Arc::unwrap_or_clone(file);
            out.push(FileRow {
                path: &file.path,
                partition_values: file.partition_values,
                size: file.size,
                modification_time: file.modification_time,
                stats: file.stats.as_deref(),
                rare: Rare {
                    tags: file.tags,
                    deletion_vector: file.deletion_vector,
                    base_row_id: file.base_row_id,
                    default_row_commit_version: file.default_row_commit_version,
                    clustering_provider: file.clustering_provider,
                },
            });
        }
        Self::Compact(out.finish())
    }
}
