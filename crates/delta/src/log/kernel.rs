//! The door to `delta_kernel`: its engine over our stores, and its blocking calls off the query's runtime.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::thread::ScopedJoinHandle;

use arrow::array::{Array, AsArray, BooleanArray, MapArray, RecordBatch, StructArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::json::LineDelimitedWriter;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
#[cfg(test)]
use delta_kernel::Engine as _;
use delta_kernel::actions::deletion_vector::{DeletionVectorDescriptor, DeletionVectorStorageType};
use delta_kernel::actions::get_commit_schema;
use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::scan::StatsOptions;
use delta_kernel::snapshot::SnapshotBuilder;
use delta_kernel::{KernelError, Snapshot as KernelSnapshot, SnapshotRef};
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use delta_kernel_default_engine::{DefaultEngine, DefaultEngineBuilder};
use indexmap::IndexMap;
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use url::Url;

use crate::action::{Action, DeletionVector, Format, Metadata, PartitionValues, Protocol};
use crate::error;
use crate::file_set::{FileRow, FileSet, FinishedSegment, Rare, SEGMENT_FILES, SegmentBuilder};
use crate::location::TableLocation;
use crate::schema::TableColumns;

pub(crate) type Engine = DefaultEngine<TokioMultiThreadExecutor>;

/// Segments of files made at a time.
const MAX_BUILDERS: usize = 4;

/// Threads of the log's own: kernel calls block, and the queries' threads must not.
static EXECUTOR: LazyLock<Result<(Arc<TokioMultiThreadExecutor>, tokio::runtime::Handle)>> =
    LazyLock::new(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(32)
            .thread_name("delta-log")
            .enable_all()
            .build()
            .map_err(|e| Error::io("starting the threads that read transaction logs", e))?;
        let handle = runtime.handle().clone();
        // The runtime lives as long as the process.
        std::mem::forget(runtime);
        Ok((Arc::new(TokioMultiThreadExecutor::new(handle.clone())), handle))
    });

/// Where the kernel sees every table. It works on URLs, and does not survive all names that directories have: so the
/// engine's store begins at the table, and the names above it do not come up.
pub(crate) const ROOT: &str = "file:///";

pub(crate) fn engine(location: &TableLocation) -> Result<Engine> {
    let (executor, _) = EXECUTOR.as_ref().map_err(Clone::clone)?;
    let store: Arc<dyn ObjectStore> = if location.prefix().is_root() {
        location.store().clone()
    } else {
        Arc::new(PrefixStore::new(location.store().clone(), location.prefix().clone()))
    };
    Ok(DefaultEngineBuilder::new(store).with_task_executor(executor.clone()).build())
}

fn root() -> Result<Url> {
    Url::parse(ROOT).map_err(|e| Error::internal(format!("the root of tables is no URL: {e}")))
}

/// Runs a call that blocks.
pub(crate) async fn run<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (_, handle) = EXECUTOR.as_ref().map_err(Clone::clone)?;
    handle
        .spawn_blocking(call)
        .await
        .map_err(|e| Error::internal(format!("reading a log did not end: {e}")))?
}

/// Runs work of the log that waits for storage on the log's own threads.
pub(crate) async fn spawn<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let (_, handle) = EXECUTOR.as_ref().map_err(Clone::clone)?;
    handle.spawn(work).await.map_err(|e| Error::internal(format!("writing a log did not end: {e}")))?
}

/// What the kernel makes of a log, without the files.
pub(crate) struct Loaded {
    pub kernel: SnapshotRef,
    pub version: i64,
    pub protocol: Protocol,
    pub metadata: Metadata,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
}

/// A version of a table. The kernel takes none of a catalog-managed one that it was not told the catalog has.
fn at_version(builder: SnapshotBuilder, location: &TableLocation, version: u64) -> SnapshotBuilder {
    let builder = builder.at_version(version);
    match location.coordinator() {
        Some(_) => builder.with_max_catalog_version(version),
        None => builder,
    }
}

/// Builds the state at a version, the latest where none is named.
pub(crate) async fn load(
    location: &TableLocation,
    version: Option<i64>,
) -> Result<std::result::Result<Loaded, KernelError>> {
    let location = location.clone();
    run(move || {
        let engine = engine(&location)?;
        let mut builder = KernelSnapshot::builder_for(ROOT);
        if let Some(version) = version {
            let version = u64::try_from(version).map_err(|_| error::version_not_found(version, 0, 0))?;
            builder = at_version(builder, &location, version);
        }
        let loaded = builder.build(&engine).and_then(|kernel| {
            let timestamp_ms = kernel.get_timestamp(&engine)?;
            Ok((kernel, timestamp_ms))
        });
        if let Err(KernelError::MaxCatalogVersion(_)) = &loaded {
            return Err(error::managed_by_a_catalog(&location));
        }
        Ok(loaded.map(|(kernel, timestamp_ms)| Loaded {
            version: kernel.version() as i64,
            protocol: protocol(&kernel),
            metadata: metadata(&kernel),
            kernel,
            timestamp_ms,
        }))
    })
    .await
}

fn protocol(kernel: &SnapshotRef) -> Protocol {
    let p = kernel.table_configuration().protocol();
    let names = |features: Option<&[delta_kernel::table_features::TableFeature]>| {
        features.map(|f| f.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    Protocol {
        min_reader_version: p.min_reader_version(),
        min_writer_version: p.min_writer_version(),
        reader_features: names(p.reader_features()),
        writer_features: names(p.writer_features()),
    }
}

fn metadata(kernel: &SnapshotRef) -> Metadata {
    let m = kernel.table_configuration().metadata();
    let sorted = |map: &std::collections::HashMap<String, String>| {
        let mut out: IndexMap<String, String> = map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        out.sort_keys();
        out
    };
    Metadata {
        id: m.id().to_string(),
        name: m.name().map(str::to_string),
        description: m.description().map(str::to_string),
        format: Format { provider: m.format_provider().to_string(), options: sorted(m.format_options()) },
        schema_string: m.schema_string().clone(),
        partition_columns: m.partition_columns().to_vec(),
        configuration: sorted(m.configuration()),
        created_time: m.created_time(),
    }
}

/// The files of a snapshot, with their statistics for the table's columns.
pub(crate) async fn files(
    location: &TableLocation,
    kernel: SnapshotRef,
    columns: Arc<TableColumns>,
) -> Result<std::result::Result<FileSet, KernelError>> {
    let location = location.clone();
    run(move || {
        let engine = engine(&location)?;
        match read_files(&engine, &kernel, &columns) {
            Ok(done) => done.map(Ok),
            Err(e) => Ok(Err(e)),
        }
    })
    .await
}

/// Rows of scan metadata, of which some are files.
type Scanned = (Vec<bool>, Box<ArrowEngineData>);

/// Reads the log on this thread, while others make segments of what was read.
fn read_files(
    engine: &Engine,
    kernel: &SnapshotRef,
    columns: &TableColumns,
) -> std::result::Result<Result<FileSet>, KernelError> {
    let properties = kernel.table_configuration().metadata().configuration();
    let has_json = properties.get("delta.checkpoint.writeStatsAsJson").is_none_or(|v| v != "false");
    // Where checkpoints have parsed statistics only, JSON is made of them.
    let stats = if has_json { StatsOptions::json_only() } else { StatsOptions::all() };
    let scan = kernel.clone().scan_builder().with_stats(stats).without_row_transforms().build()?;
    let at_once = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_BUILDERS);
    std::thread::scope(|scope| {
        let mut segments = Vec::new();
        let mut working = VecDeque::new();
        let (mut pending, mut rows): (Vec<Scanned>, usize) = (Vec::new(), 0);
        for batch in scan.scan_metadata(engine)? {
            let (data, selected) = batch?.scan_files.into_parts();
            let data = ArrowEngineData::try_from_engine_data(data)?;
            rows += data.record_batch().num_rows();
            pending.push((selected, data));
            if rows < SEGMENT_FILES {
                continue;
            }
            if working.len() >= at_once
                && let Some(oldest) = working.pop_front()
            {
                segments.push(joined(oldest));
            }
            let scanned = std::mem::take(&mut pending);
            rows = 0;
            working.push_back(scope.spawn(move || segment(scanned, columns)));
        }
        segments.extend(working.into_iter().map(joined));
        segments.push(segment(pending, columns));
        Ok(segments.into_iter().collect::<Result<Vec<_>>>().map(FileSet::of_segments))
    })
}

fn joined(worker: ScopedJoinHandle<'_, Result<FinishedSegment>>) -> Result<FinishedSegment> {
    worker.join().unwrap_or_else(|_| Err(Error::internal("a thread that reads files of a log ended")))
}

fn segment(scanned: Vec<Scanned>, columns: &TableColumns) -> Result<FinishedSegment> {
    let mut builder = SegmentBuilder::new(columns);
    for (selected, data) in scanned {
        read_adds(data.record_batch(), &selected, &mut builder)?;
    }
    Ok(builder.finish())
}

/// The progress of an application.
pub(crate) async fn app_version(
    location: &TableLocation,
    kernel: SnapshotRef,
    app_id: String,
) -> Result<Option<i64>> {
    let location = location.clone();
    run(move || {
        let engine = engine(&location)?;
        kernel
            .get_app_id_version(&app_id, &engine)
            .map_err(|e| error::corrupt(&location, Some(kernel.version() as i64), e))
    })
    .await
}

/// The rows a deletion vector deletes, as the kernel reads them.
#[cfg(test)]
pub(crate) async fn deleted_rows(
    location: &TableLocation,
    vector: DeletionVector,
) -> Result<roaring::RoaringTreemap> {
    let location = location.clone();
    run(move || {
        let engine = engine(&location)?;
        let rows = descriptor(&location, &vector)?
            .read(engine.storage_handler(), &root()?)
            .map_err(|e| broken_vector(&location, &e))?;
        // The kernel may use another version of the bitmap crate; the rows are the same.
        Ok(rows.into_iter().collect())
    })
    .await
}

/// The rows of the kernel's scan metadata ("scan row schema").
fn read_adds(batch: &RecordBatch, selected: &[bool], out: &mut SegmentBuilder<'_>) -> Result<()> {
    let missing = |name: &str| Error::internal(format!("the kernel's scan metadata has no column {name}"));
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
    let paths = column("path")?.as_string::<i32>();
    let sizes = column("size")?.as_primitive::<Int64Type>();
    let times = column("modificationTime")?.as_primitive::<Int64Type>();
    let stats = column("stats")?.as_string::<i32>();
    let vectors = column("deletionVector")?.as_struct();
    let constants = column("fileConstantValues")?.as_struct();
    let inside = |s: &StructArray, name: &str| s.column_by_name(name).cloned().ok_or_else(|| missing(name));

    let partition_values = inside(constants, "partitionValues")?;
    let tags = inside(constants, "tags")?;
    let base_row_id = inside(constants, "baseRowId")?;
    let commit_version = inside(constants, "defaultRowCommitVersion")?;
    let clustering = inside(constants, "clusteringProvider")?;
    let long = |a: &dyn Array, i: usize| {
        let a = a.as_primitive::<Int64Type>();
        a.is_valid(i).then(|| a.value(i))
    };

    for row in 0..batch.num_rows() {
        // A selection vector shorter than the batch selects the rest.
        if !selected.get(row).copied().unwrap_or(true) || paths.is_null(row) {
            continue;
        }
        out.push(FileRow {
            path: paths.value(row),
            partition_values: if constants.is_valid(row) {
                string_map(partition_values.as_map(), row)
            } else {
                PartitionValues::new()
            },
            size: sizes.value(row),
            modification_time: times.value(row),
            stats: stats.is_valid(row).then(|| stats.value(row)),
            rare: Rare {
                tags: tags.is_valid(row).then(|| string_map(tags.as_map(), row)).filter(|t| !t.is_empty()),
                deletion_vector: read_vector(vectors, row)?,
                base_row_id: long(&base_row_id, row),
                default_row_commit_version: long(&commit_version, row),
                clustering_provider: clustering
                    .is_valid(row)
                    .then(|| clustering.as_string::<i32>().value(row).to_string()),
            },
        });
    }
    Ok(())
}

fn string_map(map: &MapArray, row: usize) -> PartitionValues {
    if map.is_null(row) || map.value_length(row) == 0 {
        return PartitionValues::new();
    }
    let entries = map.value(row);
    let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
    (0..entries.len())
        .map(|i| (keys.value(i).to_string(), values.is_valid(i).then(|| values.value(i).to_string())))
        .collect()
}

/// All actions of some kinds (`remove`, `txn`, ...), as far back as the log up to a version goes, latest first.
pub(crate) async fn actions(
    location: &TableLocation,
    version: i64,
    kinds: &'static [&'static str],
) -> Result<Vec<Action>> {
    let location = location.clone();
    run(move || {
        let engine = engine(&location)?;
        let broken = |e: KernelError| error::corrupt(&location, Some(version), e);
        let builder = at_version(KernelSnapshot::builder_for(ROOT), &location, version as u64);
        let snapshot = builder.build(&engine).map_err(broken)?;
        let schema = get_commit_schema().project(kinds).map_err(broken)?;
        let mut out = Vec::new();
        for batch in snapshot.log_segment().read_actions(&engine, schema).map_err(broken)? {
            let data = batch.map_err(broken)?.actions;
            let data = ArrowEngineData::try_from_engine_data(data).map_err(broken)?;
            let Some(batch) = with_any(data.record_batch())? else { continue };
            // The rows have the shape of the log's lines.
            let mut lines = LineDelimitedWriter::new(Vec::new());
            lines.write(&batch).and_then(|()| lines.finish()).spark()?;
            out.extend(Action::parse_commit(&lines.into_inner(), "a checkpoint or commit")?);
        }
        Ok(out)
    })
    .await
}

/// The rows that have a value: most rows of a checkpoint are of other kinds than those asked for.
fn with_any(batch: &RecordBatch) -> Result<Option<RecordBatch>> {
    let has = |row: usize| batch.columns().iter().any(|c| c.is_valid(row));
    let rows: BooleanArray = (0..batch.num_rows()).map(|row| Some(has(row))).collect();
    if rows.true_count() == 0 {
        return Ok(None);
    }
    filter_record_batch(batch, &rows).spark().map(Some)
}

fn read_vector(vectors: &StructArray, row: usize) -> Result<Option<DeletionVector>> {
    let column = |name: &str| {
        vectors
            .column_by_name(name)
            .ok_or_else(|| Error::internal("the kernel's deletion vectors have no such column"))
    };
    let storage = column("storageType")?.as_string::<i32>();
    if vectors.is_null(row) || storage.is_null(row) {
        return Ok(None);
    }
    let offset = column("offset")?.as_primitive::<Int32Type>();
    Ok(Some(DeletionVector {
        storage_type: storage.value(row).to_string(),
        path_or_inline_dv: column("pathOrInlineDv")?.as_string::<i32>().value(row).to_string(),
        offset: offset.is_valid(row).then(|| offset.value(row)),
        size_in_bytes: column("sizeInBytes")?.as_primitive::<Int32Type>().value(row),
        cardinality: column("cardinality")?.as_primitive::<Int64Type>().value(row),
    }))
}

/// The file of a deletion vector; `None` where it is inline, or outside of the table.
pub(crate) fn vector_file(location: &TableLocation, vector: &DeletionVector) -> Result<Option<Path>> {
    if vector.storage_type == "p" {
        return Ok(location.resolve(&vector.path_or_inline_dv).ok());
    }
    let url =
        descriptor(location, vector)?.absolute_path(&root()?).map_err(|e| broken_vector(location, &e))?;
    let Some(url) = url else { return Ok(None) };
    let path = Path::from_url_path(url.path()).map_err(|e| broken_vector(location, &e))?;
    location.relative(path.as_ref()).map(Some)
}

/// The vector as the kernel finds it from [`ROOT`].
fn descriptor(location: &TableLocation, vector: &DeletionVector) -> Result<DeletionVectorDescriptor> {
    let storage_type: DeletionVectorStorageType =
        vector.storage_type.parse().map_err(|e: KernelError| broken_vector(location, &e))?;
    let mut path = vector.path_or_inline_dv.clone();
    if vector.storage_type == "p" {
        let object = location.resolve(&path)?;
        let relative = location.relativize(&object).ok_or_else(|| {
            Error::unsupported(format!(
                "the Delta table in {} with a deletion vector outside of it",
                location.uri()
            ))
        })?;
        path = format!("{ROOT}{}", crate::location::encode_path(relative));
    }
    DeletionVectorDescriptor::try_new(
        storage_type,
        path,
        vector.offset,
        vector.size_in_bytes,
        vector.cardinality,
    )
    .map_err(|e| broken_vector(location, &e))
}

pub(crate) fn broken_vector(location: &TableLocation, e: &dyn std::fmt::Display) -> Error {
    Error::new("DELTA_STATE_RECOVER_ERROR")
        .param("operation", "deletion vector")
        .param("version", "?")
        .message(format!("A deletion vector of {} cannot be read: {e}", location.uri()))
}
