//! Writing: a directory of part files, as Spark lays it out.
//!
//! Files get names of their own, so what is there is not touched until all rows are written: a failure leaves the old files
//! and removes the new ones. Then an overwrite removes the old files, and `_SUCCESS` is put.

mod avro_file;
mod encoder;
mod orc_file;
mod parquet_file;
mod part;
mod text_file;

use std::collections::HashSet;
use std::sync::Arc;

use boathouse_bridge::from_datafusion;
use boathouse_formats::options::Lookup;
use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::context::Context;
use crate::errors;
use crate::format::Format;
use crate::partitions;
use crate::paths::ResolvedPath;
use encoder::Encoder;
use part::{PartWriter, Target};

pub use boathouse_spec::SaveMode;

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    pub rows: u64,
    pub bytes: u64,
    pub files: Vec<Path>,
    /// The mode was `ignore`, and something was there.
    pub skipped: bool,
}

/// Runs a plan and writes its rows below a path.
///
/// `schema` is the plan's, in Spark's types. `partition_by` names columns of it that become directories. An overwrite of
/// `replaced`, the values of the first of these, removes what has them and nothing else.
#[allow(clippy::too_many_arguments)]
pub async fn write(
    format: &str,
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    schema: &StructType,
    options: &[(String, String)],
    partition_by: &[String],
    mode: SaveMode,
    replaced: Option<&[(String, Option<String>)]>,
    path: &str,
    context: &Context,
) -> Result<Written> {
    let format = Format::find(format)?;
    crate::options::check(format, options)?;
    if has_empty(schema) {
        return Err(Error::new("EMPTY_SCHEMA_NOT_SUPPORTED_FOR_DATASOURCE")
            .param("format", format.shown())
            .message(format!("{} files hold no rows and no structs without fields.", format.shown()))
            .exception("AnalysisException"));
    }
    let place = context.paths.resolve(path, context.stores.as_ref())?;
    let replaced = replaced.map(|values| partitions::directory(&place.path, values)).transpose()?;
    let partition_columns = partition_columns(schema, partition_by, context.session.case_sensitive)?;
    check_names(schema, context.session.case_sensitive)?;
    let data_columns: Vec<usize> =
        (0..schema.fields.len()).filter(|i| !partition_columns.contains(i)).collect();
    let data_schema = StructType::new(data_columns.iter().map(|i| schema.fields[*i].clone()).collect());
    let encoder = Encoder::new(format, &data_schema, options, context)?;
    let given = Lookup(options);
    let max_rows: usize = given.number("maxRecordsPerFile", 0)?;
    let dynamic = match given.text("partitionOverwriteMode") {
        Some(text) => text.eq_ignore_ascii_case("dynamic"),
        None => context.dynamic_partition_overwrite,
    };

    let existing = match mode {
        // What is there already is nobody's business, however much it is.
        SaveMode::Append => file_in_place(&place).await?.map(|file| vec![file]),
        _ => existing_files(&place).await?,
    };
    match mode {
        SaveMode::ErrorIfExists if existing.is_some() => {
            return Err(errors::path_already_exists(&place.display()));
        }
        SaveMode::Ignore if existing.is_some() => return Ok(Written { skipped: true, ..Written::default() }),
        _ => {}
    }
    if let Some([only]) = existing.as_deref()
        && *only == place.path
    {
        // A file stands where the directory is to be.
        if mode != SaveMode::Overwrite {
            return Err(errors::path_already_exists(&place.display()));
        }
        place.store.delete(only).await.map_err(|e| Error::io(format!("deleting {}", place.display()), e))?;
    }

    let target = Arc::new(Target {
        place: place.clone(),
        encoder,
        schema: schema.clone(),
        data_columns,
        partition_columns,
        zone: context.session.zone.clone(),
        max_rows: (max_rows > 0).then_some(max_rows),
        job: Uuid::new_v4(),
        begun: Mutex::default(),
    });
    let written = match write_parts(&target, plan, task).await {
        Ok(written) => written,
        Err(e) => {
            let begun = std::mem::take(&mut *target.begun.lock());
            remove(&place, begun).await;
            return Err(e);
        }
    };
    if mode == SaveMode::Overwrite {
        let new: HashSet<&Path> = written.files.iter().collect();
        let touched: HashSet<Path> = written.files.iter().map(directory).collect();
        let by_partition = dynamic && !target.partition_columns.is_empty();
        let is_replaced = |file: &Path| match &replaced {
            Some(replaced) => file.prefix_matches(replaced),
            None => !by_partition || touched.contains(&directory(file)),
        };
        let old = existing
            .unwrap_or_default()
            .into_iter()
            .filter(|file| !new.contains(file) && *file != place.path && is_replaced(file));
        for file in old {
            match place.store.delete(&file).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(Error::io(format!("deleting {}", place.display_of(&file)), e)),
            }
        }
    }
    let marker = place.path.clone().join("_SUCCESS");
    place
        .store
        .put(&marker, PutPayload::new())
        .await
        .map_err(|e| Error::io(format!("writing {}", place.display_of(&marker)), e))?;
    Ok(written)
}

/// Runs the partitions of a plan side by side.
async fn write_parts(
    target: &Arc<Target>,
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
) -> Result<Written> {
    let mut tasks: JoinSet<Result<Written>> = JoinSet::new();
    for partition in 0..plan.output_partitioning().partition_count() {
        let (target, plan, task) = (target.clone(), plan.clone(), task.clone());
        tasks.spawn(write_part(target, plan, task, partition));
    }
    let mut written = Written::default();
    while let Some(finished) = tasks.join_next().await {
        let part = match finished.map_err(|e| Error::internal(e.to_string())).flatten() {
            Ok(part) => part,
            Err(e) => {
                // What the others write has to be there, or not, before it is removed.
                tasks.shutdown().await;
                return Err(e);
            }
        };
        written.rows += part.rows;
        written.bytes += part.bytes;
        written.files.extend(part.files);
    }
    if written.files.is_empty() && target.partition_columns.is_empty() {
        // A DataFrame without rows is a file without rows, so that its schema can be read.
        let mut writer = PartWriter::new(target.clone(), 0);
        writer.write_empty().await?;
        written.files.extend(writer.into_files().into_iter().map(|(path, _)| path));
    }
    written.files.sort();
    Ok(written)
}

async fn write_part(
    target: Arc<Target>,
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    partition: usize,
) -> Result<Written> {
    let mut writer = PartWriter::new(target, partition);
    let mut batches = plan.execute(partition, task).map_err(from_datafusion)?;
    let mut written = Written::default();
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(from_datafusion)?;
        written.rows += batch.num_rows() as u64;
        writer.write(&batch).await?;
    }
    writer.finish().await?;
    for (path, bytes) in writer.into_files() {
        written.bytes += bytes;
        written.files.push(path);
    }
    Ok(written)
}

/// A file that stands where the directory is to be.
async fn file_in_place(place: &ResolvedPath) -> Result<Option<Path>> {
    if place.path.is_root() {
        return Err(Error::new("INVALID_PATH")
            .param("path", place.display())
            .message("The root of a store cannot be written to. Name a directory in it."));
    }
    if is_local_directory(place) {
        return Ok(None);
    }
    Ok(place.store.head(&place.path).await.ok().map(|meta| meta.location))
}

fn is_local_directory(place: &ResolvedPath) -> bool {
    place.local_file().is_some_and(|f| f.is_dir())
}

/// Everything below a path, hidden files too; `None` where there is nothing.
async fn existing_files(place: &ResolvedPath) -> Result<Option<Vec<Path>>> {
    if let Some(file) = file_in_place(place).await? {
        return Ok(Some(vec![file]));
    }
    let files: Vec<Path> = place
        .store
        .list(Some(&place.path))
        .map_ok(|meta| meta.location)
        .try_collect()
        .await
        .map_err(|e| Error::io(format!("listing {}", place.display()), e))?;
    Ok((!files.is_empty() || is_local_directory(place)).then_some(files))
}

async fn remove(place: &ResolvedPath, files: Vec<Path>) {
    for file in files {
        match place.store.delete(&file).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(e) => tracing::warn!("could not remove {} of a failed write: {e}", place.display_of(&file)),
        }
    }
}

fn directory(file: &Path) -> Path {
    let mut parts: Vec<_> = file.parts().collect();
    parts.pop();
    parts.into_iter().collect()
}

fn partition_columns(schema: &StructType, names: &[String], case_sensitive: bool) -> Result<Vec<usize>> {
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let found = schema
            .fields
            .iter()
            .position(|f| if case_sensitive { f.name == *name } else { f.name.eq_ignore_ascii_case(name) });
        let Some(i) = found else {
            return Err(Error::new("_LEGACY_ERROR_TEMP_1155")
                .param("col", name)
                .param("schemaCatalog", DataType::Struct(schema.clone()).simple_string())
                .message(format!("There is no column `{name}` to partition by in ({}).", schema.ddl()))
                .exception("AnalysisException"));
        };
        if columns.contains(&i) {
            return Err(errors::column_already_exists(name));
        }
        columns.push(i);
    }
    if !columns.is_empty() && columns.len() == schema.fields.len() {
        return Err(Error::new("ALL_PARTITION_COLUMNS_NOT_ALLOWED")
            .message("All columns are partition columns, and none is left for the files.")
            .exception("AnalysisException"));
    }
    Ok(columns)
}

/// Whether a row or a struct in it has no fields (Spark's `DataSource.validateSchema`).
fn has_empty(schema: &StructType) -> bool {
    let is_empty = |field: &StructField| matches!(&field.data_type, DataType::Struct(s) if has_empty(s));
    schema.fields.is_empty() || schema.fields.iter().any(is_empty)
}

fn check_names(schema: &StructType, case_sensitive: bool) -> Result<()> {
    let mut seen = HashSet::new();
    for field in &schema.fields {
        let name = if case_sensitive { field.name.clone() } else { field.name.to_lowercase() };
        if !seen.insert(name) {
            return Err(errors::column_already_exists(&field.name));
        }
    }
    Ok(())
}
