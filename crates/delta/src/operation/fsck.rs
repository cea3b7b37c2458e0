//! FSCK REPAIR TABLE: takes files out of the table that storage does not have any more.

use boathouse_spec::{DataType, Error, Result, StructType, clock};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::{Value, json};

use super::delete::DmlOptions;
use crate::action::Add;
use crate::location::TableLocation;
use crate::log::kernel;
use crate::report::{Report, field, required};
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation, Transaction};

/// Files looked up at a time.
const PARALLEL_HEADS: usize = 32;
/// A result names so many files.
const MAX_LISTED: usize = 1000;

/// A file of the table of which something is missing.
#[derive(Debug, Clone)]
pub struct BrokenFile {
    pub path: String,
    pub data_missing: bool,
    pub vector: Option<String>,
    pub vector_missing: bool,
    file: Add,
}

/// Finds the files that are gone and, unless it is a dry run, takes them out of the table.
pub async fn fsck(
    table: &Snapshot,
    dry_run: bool,
    options: &DmlOptions,
) -> Result<(Vec<BrokenFile>, Option<Committed>)> {
    let work: Vec<_> = table
        .files()
        .await?
        .iter()
        .map(|file| check(table.location().clone(), file.as_ref().clone()))
        .collect();
    let found: Vec<Option<BrokenFile>> = stream::iter(work).buffered(PARALLEL_HEADS).try_collect().await?;
    let broken: Vec<BrokenFile> = found.into_iter().flatten().collect();
    if dry_run || broken.is_empty() {
        return Ok((broken, None));
    }
    let mut transaction = Transaction::new(table.location(), Some(table), Operation::new("FSCK"));
    transaction.user_metadata.clone_from(&options.user_metadata);
    transaction.tags = options.commit_fields.clone();
    transaction.reads.files = broken.iter().map(|b| b.file.key()).collect();
    let now = clock::now_ms();
    transaction.metrics.set("numRemovedFiles", broken.len());
    transaction.metrics.set("numFilesScanned", table.files().await?.len());
    transaction.metrics.set("numMissingFiles", broken.iter().filter(|b| b.data_missing).count());
    transaction.metrics.set("numMissingDeletionVectors", broken.iter().filter(|b| b.vector_missing).count());
    transaction.remove(broken.iter().map(|b| b.file.remove(now, true)).collect::<Vec<_>>());
    let committed = transaction.commit().await?;
    Ok((broken, Some(committed)))
}

async fn check(location: TableLocation, file: Add) -> Result<Option<BrokenFile>> {
    let data = location.resolve(&file.path)?;
    let data_missing = !exists(&location, &data).await?;
    let vector = match &file.deletion_vector {
        Some(vector) => kernel::vector_file(&location, vector)?,
        None => None,
    };
    let vector_missing = match &vector {
        Some(path) => !exists(&location, path).await?,
        None => false,
    };
    if !data_missing && !vector_missing {
        return Ok(None);
    }
    let vector = vector.map(|v| location.relativize(&v).unwrap_or(v.as_ref()).to_string());
    Ok(Some(BrokenFile { path: file.path.clone(), data_missing, vector, vector_missing, file }))
}

async fn exists(location: &TableLocation, path: &Path) -> Result<bool> {
    match location.store().head(path).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(e) => Err(Error::io(format!("looking for {path}"), e)),
    }
}

/// The rows of FSCK.
pub fn fsck_report(broken: &[BrokenFile]) -> Result<Report> {
    let rows: Vec<Value> = broken
        .iter()
        .take(MAX_LISTED)
        .map(|b| {
            json!({
                "dataFilePath": b.path,
                "dataFileMissing": b.data_missing,
                "deletionVectorPath": b.vector,
                "deletionVectorFileMissing": b.vector_missing,
            })
        })
        .collect();
    Report::new(
        StructType::new(vec![
            required("dataFilePath", DataType::STRING),
            required("dataFileMissing", DataType::Boolean),
            field("deletionVectorPath", DataType::STRING),
            required("deletionVectorFileMissing", DataType::Boolean),
        ]),
        &rows,
    )
}
