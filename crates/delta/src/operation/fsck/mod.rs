//! FSCK REPAIR TABLE: mends the log of a table, and takes files out of it that storage does not have any more or that
//! cannot be read. The statement is Databricks'.

mod data_files;
mod log_files;
mod report;

use std::ops::RangeInclusive;

use boathouse_spec::{Result, clock};
use futures::{StreamExt, TryStreamExt, stream};

pub use data_files::BrokenFile;
pub use log_files::BrokenLogFile;
pub use report::{fsck_log_report, fsck_report};

use super::delete::DmlOptions;
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation, Transaction};

/// Files looked up at a time.
const PARALLEL_HEADS: usize = 32;

/// How much is looked at. Each does what those before it do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FsckMode {
    /// The files of the log that the latest version is built from.
    MetadataOnly,
    /// Whether the files of the table are there, and whether their partition values may be NULL.
    #[default]
    Files,
    /// The contents of the files that were modified within a time (milliseconds since the epoch), or of all.
    Verify(Option<RangeInclusive<i64>>),
}

/// What was found; the commit that took files out of the table, where there was one.
#[derive(Debug)]
pub struct FsckResult {
    pub log: Vec<BrokenLogFile>,
    pub files: Vec<BrokenFile>,
    pub committed: Option<Committed>,
}

/// Finds what is broken and, unless it is a dry run, repairs it.
pub async fn fsck(
    table: &Snapshot,
    mode: &FsckMode,
    dry_run: bool,
    options: &DmlOptions,
) -> Result<FsckResult> {
    let log = log_files::find(table).await?;
    let files = match mode {
        FsckMode::MetadataOnly => Vec::new(),
        FsckMode::Files => broken_files(table, None).await?,
        FsckMode::Verify(time) => broken_files(table, Some(time.as_ref())).await?,
    };
    if dry_run {
        return Ok(FsckResult { log, files, committed: None });
    }
    let committed = if files.is_empty() { None } else { Some(take_out(table, &files, options).await?) };
    if !log.is_empty() {
        log_files::repair(committed.as_ref().map_or(table, |c| &c.snapshot), &log).await?;
    }
    Ok(FsckResult { log, files, committed })
}

/// The files of which something is missing, or wrong in those that are verified.
async fn broken_files(
    table: &Snapshot,
    verified: Option<Option<&RangeInclusive<i64>>>,
) -> Result<Vec<BrokenFile>> {
    let not_null = data_files::required_partitions(table);
    let files = table.files().await?;
    let found = files.iter().map(|file| data_files::missing(table.location().clone(), file, &not_null));
    let found: Vec<Option<BrokenFile>> =
        stream::iter(found.collect::<Vec<_>>()).buffered(PARALLEL_HEADS).try_collect().await?;
    let mut broken: Vec<BrokenFile> = found.into_iter().flatten().collect();
    let Some(time) = verified else { return Ok(broken) };
    let known: std::collections::HashSet<_> = broken.iter().map(|b| b.file.key()).collect();
    let verified = files.iter().filter(|file| {
        !known.contains(&file.key()) && time.is_none_or(|time| time.contains(&file.modification_time))
    });
    let work: Vec<_> = verified.map(|file| data_files::verify(table.location().clone(), file)).collect();
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let found: Vec<Option<BrokenFile>> = stream::iter(work).buffered(at_once).try_collect().await?;
    broken.extend(found.into_iter().flatten());
    Ok(broken)
}

async fn take_out(table: &Snapshot, broken: &[BrokenFile], options: &DmlOptions) -> Result<Committed> {
    let mut transaction = Transaction::new(table.location(), Some(table), Operation::new("FSCK"));
    transaction.user_metadata.clone_from(&options.user_metadata);
    transaction.tags = options.commit_fields.clone();
    transaction.reads.files = broken.iter().map(|b| b.file.key()).collect();
    let now = clock::now_ms();
    let count = |is: fn(&BrokenFile) -> bool| broken.iter().filter(|b| is(b)).count();
    let metrics = &mut transaction.metrics;
    metrics.set("numRemovedFiles", broken.len());
    metrics.set("numFilesScanned", table.files().await?.len());
    metrics.set("numMissingFiles", count(|b| b.data_missing));
    metrics.set("numMissingDeletionVectors", count(|b| b.vector_missing));
    metrics.set("numCorruptFiles", count(|b| b.problem.is_some()));
    transaction.remove(broken.iter().map(|b| b.file.remove(now, true)).collect::<Vec<_>>());
    transaction.commit().await
}
