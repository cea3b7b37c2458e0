//! Data files and their deletion vectors: whether they are there, and whether they hold what the log says.

use std::sync::Arc;

use boathouse_spec::{Error, Result};
use datafusion::common::runtime::SpawnedTask;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::errors::ParquetError;
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
    let rows = match rows(location, meta.clone()).await {
        Ok(rows) => rows,
        Err(_) => match rows(&in_memory(location, &path).await?, meta).await {
            Ok(rows) => rows,
            Err(ParquetError::NYI(what)) => {
                return Err(Error::unsupported(format!("reading {path}: {what}")));
            }
            Err(e) => return Ok(Some(e.to_string())),
        },
    };
    if let Some(said) = said_rows(file)
        && said != rows
    {
        return Ok(Some(format!("the file has {rows} rows, and the log says {said}")));
    }
    let Some(vector) = &file.deletion_vector else { return Ok(None) };
    let mut deleted = deletion_vector::read(location, vector).await;
    if deleted.is_err()
        && let Some(path) = kernel::vector_file(location, vector)?
    {
        deleted = deletion_vector::read(&in_memory(location, &path).await?, vector).await;
    }
    match deleted {
        Ok(deleted) => {
            let beyond = deleted.max().is_some_and(|last| last >= rows);
            Ok(beyond.then(|| format!("the deletion vector deletes rows behind the last one of {rows}")))
        }
        Err(e) => Ok(Some(e.to_string())),
    }
}

/// The location with nothing in it but a file, in memory. What cannot be decoded from there is damaged: where storage fails,
/// nothing is known of the file, and it stays in the table.
async fn in_memory(location: &TableLocation, path: &Path) -> Result<TableLocation> {
    let failed = |e| Error::io(format!("reading {path}"), e);
    let bytes = location.store().get(path).await.map_err(failed)?.bytes().await.map_err(failed)?;
    let store = InMemory::new();
    store.put(path, bytes.into()).await.map_err(failed)?;
    Ok(location.with_store(Arc::new(store)))
}

/// The rows of a file, all of which are decoded.
async fn rows(location: &TableLocation, meta: ObjectMeta) -> std::result::Result<u64, ParquetError> {
    let reader = open_file(location, meta).map_err(|e| ParquetError::External(Box::new(e)))?;
    let batches = ParquetRecordBatchStreamBuilder::new(reader).await?.build()?;
    batches.try_fold(0, |rows, batch| async move { Ok(rows + batch.num_rows() as u64) }).await
}

fn said_rows(file: &Add) -> Option<u64> {
    let stats: Value = serde_json::from_str(file.stats.as_deref()?).ok()?;
    stats.get("numRecords")?.as_u64()
}
