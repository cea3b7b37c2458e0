//! Data files and their deletion vectors: whether they are there, and whether they hold what the log says.

use std::sync::Arc;

use boathouse_spec::{Error, Result};
use datafusion::common::runtime::SpawnedTask;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use serde_json::Value;

use crate::action::Add;
use crate::deletion_vector;
use crate::location::TableLocation;
use crate::log::kernel;
use crate::scan::open_file;
use crate::snapshot::Snapshot;

/// A file of the table with which something is wrong.
#[derive(Debug, Clone)]
pub struct BrokenFile {
    pub path: String,
    pub data_missing: bool,
    pub vector: Option<String>,
    pub vector_missing: bool,
    /// What is wrong with a file that is there.
    pub problem: Option<String>,
    pub(super) file: Arc<Add>,
}

/// The partition columns that are NOT NULL, as the log and as the table name them.
pub(super) fn required_partitions(table: &Snapshot) -> Vec<(String, String)> {
    let partitions = table.columns().partitions(table.metadata());
    let required = partitions.iter().filter(|column| !column.field.is_nullable());
    required.map(|column| (column.physical.clone(), column.logical().to_string())).collect()
}

/// What is missing of a file: itself, its deletion vector, or a value of its partition.
pub(super) fn missing(
    location: TableLocation,
    file: Arc<Add>,
    required: &[(String, String)],
) -> impl Future<Output = Result<Option<BrokenFile>>> + use<> {
    let is_null = |physical: &String| file.partition_values.get(physical).is_none_or(Option::is_none);
    let problem = required
        .iter()
        .find(|(physical, _)| is_null(physical))
        .map(|(_, column)| format!("the partition column {column} is NOT NULL and has no value"));
    async move {
        let data_missing = head(&location, &location.resolve(&file.path)?).await?.is_none();
        let vector = vector_path(&location, &file)?;
        let vector_missing = match &vector {
            Some(path) => head(&location, path).await?.is_none(),
            None => false,
        };
        if !data_missing && !vector_missing && problem.is_none() {
            return Ok(None);
        }
        Ok(Some(broken(&location, file, data_missing, vector, vector_missing, problem)))
    }
}

fn broken(
    location: &TableLocation,
    file: Arc<Add>,
    data_missing: bool,
    vector: Option<Path>,
    vector_missing: bool,
    problem: Option<String>,
) -> BrokenFile {
    let vector = vector.map(|v| location.relativize(&v).unwrap_or(v.as_ref()).to_string());
    BrokenFile { path: file.path.clone(), data_missing, vector, vector_missing, problem, file }
}

fn vector_path(location: &TableLocation, file: &Add) -> Result<Option<Path>> {
    match &file.deletion_vector {
        Some(vector) => kernel::vector_file(location, vector),
        None => Ok(None),
    }
}

async fn head(location: &TableLocation, path: &Path) -> Result<Option<ObjectMeta>> {
    match location.store().head(path).await {
        Ok(meta) => Ok(Some(meta)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(Error::io(format!("looking for {path}"), e)),
    }
}

/// Reads a file to its last page, and its deletion vector.
pub(super) async fn verify(location: TableLocation, file: Arc<Add>) -> Result<Option<BrokenFile>> {
    let task = SpawnedTask::spawn(async move {
        let Some(problem) = problem(&location, &file).await? else { return Ok(None) };
        let vector = vector_path(&location, &file)?;
        Ok(Some(broken(&location, file, false, vector, false, Some(problem))))
    });
    task.await.map_err(|e| Error::internal(format!("verifying a file did not end: {e}")))?
}

/// What is wrong with a file that is there; `None` where nothing is.
async fn problem(location: &TableLocation, file: &Add) -> Result<Option<String>> {
    let path = location.resolve(&file.path)?;
    let meta = location.store().head(&path).await;
    let meta = meta.map_err(|e| Error::io(format!("looking for {path}"), e))?;
    if i64::try_from(meta.size).is_ok_and(|size| size != file.size) {
        return Ok(Some(format!("the file has {} bytes, and the log says {}", meta.size, file.size)));
    }
    let rows = match rows(location, meta).await {
        Ok(rows) => rows,
        Err(e) => return contents(location, &path, &e).await.map(Some),
    };
    if let Some(said) = said_rows(file)
        && said != rows
    {
        return Ok(Some(format!("the file has {rows} rows, and the log says {said}")));
    }
    let Some(vector) = &file.deletion_vector else { return Ok(None) };
    match deletion_vector::read(location, vector).await {
        Ok(deleted) => {
            let beyond = deleted.max().is_some_and(|last| last >= rows);
            Ok(beyond.then(|| format!("the deletion vector deletes rows behind the last one of {rows}")))
        }
        Err(e) => match kernel::vector_file(location, vector)? {
            Some(path) => contents(location, &path, &e.to_string()).await.map(Some),
            None => Ok(Some(e.to_string())),
        },
    }
}

/// The rows of a file, all of which are decoded.
async fn rows(location: &TableLocation, meta: ObjectMeta) -> std::result::Result<u64, String> {
    let reader = open_file(location, meta).map_err(|e| e.to_string())?;
    let batches = ParquetRecordBatchStreamBuilder::new(reader)
        .await
        .and_then(|b| b.build())
        .map_err(|e| e.to_string())?;
    let rows = batches.try_fold(0, |rows, batch| async move { Ok(rows + batch.num_rows() as u64) });
    rows.await.map_err(|e| e.to_string())
}

/// The problem of a file whose bytes can be had: where storage fails, nothing is known of the file, and it stays in the table.
async fn contents(location: &TableLocation, path: &Path, problem: &str) -> Result<String> {
    let failed = |e: object_store::Error| Error::io(format!("reading {path}"), e);
    let bytes = location.store().get(path).await.map_err(failed)?.into_stream();
    bytes.try_for_each(|_| async { Ok(()) }).await.map_err(failed)?;
    Ok(problem.to_string())
}

fn said_rows(file: &Add) -> Option<u64> {
    let stats: Value = serde_json::from_str(file.stats.as_deref()?).ok()?;
    stats.get("numRecords")?.as_u64()
}
