//! What the directories that files are in say together: whether a table is partitioned, and which of the files belong to it.
//!
//! Spark decides this with all files in sight (`PartitioningAwareFileIndex`, `PartitioningUtils.parsePartitions`), also where a
//! stream wants the new ones alone.

use std::sync::Arc;

use boathouse_spec::{Error, Result};
use object_store::path::Path;
use parking_lot::Mutex;

use crate::listing::{Found, Wanted};
use crate::partitions::{self, Agreement, Values};
use crate::paths::ResolvedPath;

/// Which of the directories below those that are named have files of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All, where the name of one is a partition value; otherwise those that are named alone, unless `recursiveFileLookup` says
    /// more.
    Partitions,
    /// All.
    Everything,
}

/// The directories of files, as far as they differ in their partition columns or in where those begin.
#[derive(Default)]
struct Directories {
    /// The last one: files come directory by directory.
    last: Option<String>,
    partitioned: Vec<Values>,
    /// Of directories without partition values two are enough to know that they differ.
    plain: Vec<Values>,
    error: Option<Error>,
}

impl Directories {
    fn add(&mut self, file: &Path, root: &Path) {
        let directory = directory_of(file);
        if self.last.as_deref() == Some(directory) {
            return;
        }
        self.last = Some(directory.to_string());
        match partitions::values_in(file, root) {
            Ok(values) if values.columns.is_empty() => {
                if self.plain.len() < 2 && self.plain.iter().all(|known| known.base != values.base) {
                    self.plain.push(values);
                }
            }
            Ok(values) => {
                if !self.partitioned.iter().any(|known| known.is_like(&values)) {
                    self.partitioned.push(values);
                }
            }
            Err(e) => self.error = Some(e),
        }
    }
}

/// Looks at files while they are listed.
#[derive(Clone, Default)]
pub(crate) struct Layout(Arc<Mutex<Directories>>);

impl Layout {
    /// The same files are wanted, and all that are asked about are looked at. `base` is the option `basePath`.
    pub fn looking_at(&self, wanted: &Wanted, base: Option<&ResolvedPath>) -> Wanted {
        let (wanted, directories) = (Arc::clone(wanted), Arc::clone(&self.0));
        let base = base.map(|b| b.path.clone());
        Arc::new(move |file, root| {
            let below = base.as_ref().unwrap_or(root);
            if file.location.prefix_matches(below) {
                directories.lock().add(&file.location, below);
            }
            wanted(file, root)
        })
    }

    /// The files that belong to the table: beside partitions those in them, otherwise those in the directories that were named.
    pub fn choose(
        &self,
        files: &mut Vec<Found>,
        base: Option<&ResolvedPath>,
        agreement: Agreement,
        display: impl Fn(&Path) -> String,
    ) -> Result<()> {
        let mut directories = self.0.lock();
        if let Some(error) = directories.error.take() {
            return Err(error);
        }
        if directories.partitioned.is_empty() {
            files.retain(|f| directory_of(&f.meta.location) == f.root.as_ref());
            return Ok(());
        }
        let all = directories.partitioned.iter().chain(&directories.plain);
        agreement.check_bases(all, &display)?;
        agreement.check_names(&directories.partitioned, &display)?;
        files.retain(|f| partitions::has_values(&f.meta.location, base.map_or(&f.root, |b| &b.path)));
        Ok(())
    }
}

fn directory_of(file: &Path) -> &str {
    file.as_ref().rsplit_once('/').map_or("", |(directory, _)| directory)
}
