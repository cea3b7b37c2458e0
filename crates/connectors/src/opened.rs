//! Tables of files that were opened, kept: opened again, one whose files are still the same is not looked into again.
//!
//! To open a table lists its files and then finds out what is in them: the schema, which for JSON and CSV reads all of them, and
//! statistics. Each statement opens its tables, so that it sees the files that are there. What it finds in the list tells whether
//! anything has changed: names, sizes, times and, where the store has them, tags.

use std::sync::Arc;

use boathouse_spec::{Options, Result, StructType, clock};
use parking_lot::Mutex;

use crate::context::Context;
use crate::format::Format;
use crate::listing::Found;
use crate::table::{FileTable, FoundFiles};

/// So many tables are kept.
const MAX_TABLES: usize = 64;

/// Of so many files together.
const MAX_FILES: usize = 20_000;

/// A file that changed so shortly ago may change again within one tick of its store's clock, at the same size.
const SETTLED_US: i64 = 2_000_000;

/// The tables of one user, whose rights and settings they were opened under.
#[derive(Debug, Default)]
pub struct OpenedTables {
    /// The one that was asked for last is the last.
    kept: Mutex<Vec<Opened>>,
}

#[derive(Debug)]
struct Opened {
    schema: Option<StructType>,
    paths: Vec<String>,
    files: Vec<Found>,
    table: Arc<FileTable>,
}

impl OpenedTables {
    /// The same as [`crate::open`], with the table that was opened before where that is still what the files are.
    pub async fn open(
        &self,
        format: &str,
        schema: Option<&StructType>,
        options: &Options,
        paths: &[String],
        context: &Context,
    ) -> Result<Arc<FileTable>> {
        let format = Format::find(format)?;
        let found = FoundFiles::of_table(format, options, paths, context).await?;
        let is_same = |opened: &Opened| {
            opened.schema.as_ref() == schema
                && opened.paths == paths
                && opened.table.reads_as(format, options, context)
                && Arc::ptr_eq(&opened.table.place.store, &found.place.store)
        };
        let known = {
            let mut kept = self.kept.lock();
            kept.iter().position(is_same).map(|i| kept.remove(i)).filter(|opened| opened.files == found.files)
        };
        let opened = match known {
            Some(opened) => opened,
            None => {
                let files = if found.may_be_kept() { found.files.clone() } else { Vec::new() };
                let table = FileTable::new(format, schema, options, found, context, true).await?;
                Opened { schema: schema.cloned(), paths: paths.to_vec(), files, table: Arc::new(table) }
            }
        };
        let table = Arc::clone(&opened.table);
        if !opened.files.is_empty() {
            let mut kept = self.kept.lock();
            kept.push(opened);
            let files = |kept: &[Opened]| kept.iter().map(|opened| opened.files.len()).sum::<usize>();
            while kept.len() > MAX_TABLES || files(&kept) > MAX_FILES {
                kept.remove(0);
            }
        }
        Ok(table)
    }
}

impl FoundFiles {
    /// Whether the list tells when the files are others. Files that could not be read may be readable the next time.
    fn may_be_kept(&self) -> bool {
        let settled_us = clock::now_us() - SETTLED_US;
        self.files.len() <= MAX_FILES
            && !self.choice.ignore_corrupt
            && self.files.iter().all(|file| file.meta.last_modified.timestamp_micros() < settled_us)
    }
}
