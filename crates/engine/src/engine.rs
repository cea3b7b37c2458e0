//! The engine: what all sessions share.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use boathouse_bridge::ResultExt;
use boathouse_catalog::{Catalog, QueryRecord};
use boathouse_spec::{Error, Result};
use datafusion::execution::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::TrackConsumersPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::cache::CacheManager;
use crate::memory::FairPool;
use crate::query_profile::History;
use crate::storages::Storages;
use crate::table_functions::TableFunctions;
use crate::temp_views::TempViews;
use crate::{SessionManager, StreamReader, TableFunction, execute};

/// Plans can be deep (a `withColumn` in a loop). This is address space, not memory.
const STACK_BYTES: usize = 64 << 20;

/// How to open an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The home: metastore, warehouse, DBFS root, logs.
    pub home: PathBuf,
    /// Bytes all queries may use together before they spill; `None`: 60% of the machine's memory.
    pub memory_limit: Option<usize>,
    /// `None`: the number of cores.
    pub parallelism: Option<usize>,
    /// How many partitions every query is planned for, and those VALUES have; `None`: as many as there are cores, and one
    /// where all that is read are a few rows in memory. For tests.
    pub partitions: Option<usize>,
}

impl EngineOptions {
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into(), memory_limit: None, parallelism: None, partitions: None }
    }
}

pub struct Engine {
    pub(crate) options: EngineOptions,
    /// Where queries run, apart from whatever serves the clients.
    pub(crate) runtime: Handle,
    owned_runtime: Mutex<Option<tokio::runtime::Runtime>>,
    pub(crate) runtime_env: Arc<RuntimeEnv>,
    /// The state of queries that only compute constants.
    pub(crate) constants: SessionState,
    pub(crate) catalog: Catalog,
    pub(crate) storages: Storages,
    pub(crate) sessions: SessionManager,
    pub(crate) global_temp_views: TempViews,
    pub(crate) cache: CacheManager,
    pub(crate) history: History,
    pub(crate) table_functions: TableFunctions,
    stream_reader: OnceLock<Arc<dyn StreamReader>>,
    /// Processes that run the users' Python functions.
    pub(crate) workers: boathouse_python::Workers,
    /// This process's part of HOME/tmp; removed when the engine is.
    scratch: PathBuf,
}

impl Engine {
    /// Opens a home, creating what is missing.
    pub async fn open(options: EngineOptions) -> Result<Arc<Self>> {
        let home = std::path::absolute(&options.home)
            .map_err(|e| Error::io(format!("resolving {}", options.home.display()), e))?;
        let options = EngineOptions { home, ..options };
        for part in ["warehouse", "dbfs", "logs", "tmp"] {
            let directory = options.home.join(part);
            std::fs::create_dir_all(&directory)
                .map_err(|e| Error::io(format!("creating the directory {}", directory.display()), e))?;
        }
        remove_stale_scratch(&options.home.join("tmp"));
        let scratch = options.home.join("tmp").join(format!(
            "{}-{}",
            std::process::id(),
            uuid::Uuid::new_v4().simple()
        ));
        std::fs::create_dir_all(&scratch)
            .map_err(|e| Error::io(format!("creating the directory {}", scratch.display()), e))?;

        let parallelism = options.parallelism.unwrap_or_else(cores).max(1);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(parallelism)
            .thread_stack_size(STACK_BYTES)
            .thread_name("query")
            .enable_all()
            .build()
            .map_err(|e| Error::io("starting the threads of queries", e))?;
        let handle = runtime.handle().clone();

        // Functions take schemas as text (`from_json`), but know no SQL.
        boathouse_functions::set_schema_parser(schema_of_text);

        let limit = options.memory_limit.unwrap_or_else(default_memory_limit);
        let top = NonZeroUsize::new(5).unwrap_or(NonZeroUsize::MIN);
        let runtime_env = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(FairPool::new(limit), top)))
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![scratch.clone()])),
            )
            // Listings of a directory must see files that another process wrote a moment ago.
            .with_object_list_cache_limit(0)
            .build_arc()
            .spark()?;
        let metastore = options.home.join("metastore.db");
        let catalog = handle
            .spawn(async move { Catalog::open(metastore).await })
            .await
            .map_err(|e| Error::internal(format!("opening the metastore: {e}")))??;
        let partitions = options.partitions.unwrap_or(parallelism).max(1);
        let storages = Storages::new(&options.home, &runtime_env, partitions);
        let fixed = fixed_settings(&options.home);
        let history = History::start(options.home.join("query_history.db"), &handle);
        Ok(Arc::new_cyclic(|engine| Self {
            sessions: SessionManager::new(engine.clone(), fixed),
            options,
            runtime: handle,
            owned_runtime: Mutex::new(Some(runtime)),
            runtime_env,
            constants: execute::constant_state(&storages.plain().state),
            catalog,
            storages,
            global_temp_views: TempViews::default(),
            cache: CacheManager::default(),
            history,
            table_functions: TableFunctions::default(),
            stream_reader: OnceLock::new(),
            workers: boathouse_python::Workers::default(),
            scratch,
        }))
    }

    /// Partitions a query runs in, where nothing else says.
    pub fn parallelism(&self) -> usize {
        self.storages.plain().state.config().target_partitions()
    }

    /// Where queries run.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub fn sessions(&self) -> &SessionManager {
        &self.sessions
    }

    /// The metastore. Reading and changing it through here asks no permissions: it is for the services around the engine.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The newest queries that have ended, newest first.
    pub async fn newest_queries(&self, limit: i64) -> Result<Vec<QueryRecord>> {
        self.history.newest(limit).await
    }

    /// A query that has ended, by its id in the history.
    pub async fn finished_query(&self, id: &str) -> Result<Option<QueryRecord>> {
        self.history.find(id).await
    }

    pub fn home(&self) -> &Path {
        &self.options.home
    }

    /// Gives queries a table function of a service around the engine.
    pub fn register_table_function(&self, name: &str, function: Arc<dyn TableFunction>) {
        self.table_functions.put(name, function);
    }

    /// A directory for files that live no longer than the process.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Says who knows the schemas of streaming sources. The first one stays.
    pub fn set_stream_reader(&self, reader: Arc<dyn StreamReader>) {
        let _ = self.stream_reader.set(reader);
    }

    pub(crate) fn stream_reader(&self) -> Result<Arc<dyn StreamReader>> {
        self.stream_reader.get().cloned().ok_or_else(crate::streams::no_streams)
    }

    /// Closes all sessions; running queries end with an error.
    pub async fn shutdown(&self) {
        self.sessions.close_all();
        self.cache.clear();
        if let Err(e) = self.history.flush().await {
            tracing::warn!("the history of queries was not written to its end: {e}");
        }
        self.catalog.close().await;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed where this may run: on one of them.
        if let Some(runtime) = self.owned_runtime.lock().take() {
            runtime.shutdown_background();
        }
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

/// Values of keys that sessions cannot change.
fn fixed_settings(home: &Path) -> BTreeMap<String, String> {
    let mut fixed = BTreeMap::new();
    fixed.insert("spark.sql.warehouse.dir".to_string(), format!("file:{}", home.join("warehouse").display()));
    fixed.insert("spark.app.name".to_string(), "boathouse".to_string());
    fixed.insert("spark.master".to_string(), format!("local[{}]", cores()));
    fixed
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// 60% of the machine's (or the container's) memory; 4 GiB where it cannot be known.
fn default_memory_limit() -> usize {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|l| l.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib.saturating_mul(1024))
    });
    let container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<usize>().ok());
    let total = match (machine, container) {
        (Some(a), Some(b)) => a.min(b),
        (Some(a), None) | (None, Some(a)) => a,
        (None, None) => return 4 << 30,
    };
    total / 10 * 6
}

/// Removes what processes left that ended without doing so themselves.
fn remove_stale_scratch(tmp: &Path) {
    let Ok(entries) = std::fs::read_dir(tmp) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.split('-').next()).and_then(|n| n.parse::<u32>().ok())
        else {
            continue;
        };
        if pid != std::process::id()
            && Path::new("/proc").exists()
            && !Path::new(&format!("/proc/{pid}")).exists()
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A schema as DDL text: columns, or one type.
fn schema_of_text(text: &str) -> Result<boathouse_spec::DataType> {
    boathouse_sql::parse_data_type(text).or_else(|error| {
        // The error is that of the first reading, as in Spark.
        boathouse_sql::parse_schema(text).map(boathouse_spec::DataType::Struct).map_err(|_| error)
    })
}
