//! Rows kept in memory: `CACHE TABLE`, `df.cache()`, `df.persist()`.
//!
//! An entry is made at once and filled by the first query that scans it, as in Spark. Rows are held under the memory
//! pool of all queries; where they do not fit, queries read the source as if nothing were cached. A write to a table
//! empties the entries that read it, and the next use fills them again.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::{Arc, Weak};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use boathouse_bridge::{arrow_schema, to_datafusion};
use boathouse_delta::DeltaScan;
use boathouse_spec::{Relation, RelationNode, Result, StorageLevel, StructType, TableRef};
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session as DataFusionSession, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::{Mutex, RwLock};

use crate::resolver::{AsOf, ResolvedTable};
use crate::{Session, execute};

pub(crate) const NO_STORAGE: StorageLevel = StorageLevel {
    use_disk: false,
    use_memory: false,
    use_off_heap: false,
    deserialized: false,
    replication: 1,
};
/// What `cache()` and CACHE TABLE mean.
pub(crate) const MEMORY_AND_DISK: StorageLevel = StorageLevel {
    use_disk: true,
    use_memory: true,
    use_off_heap: false,
    deserialized: true,
    replication: 1,
};

thread_local! {
    /// The entry whose own source is being analyzed on this thread: it must not be read from itself.
    static FILLING: Cell<u64> = const { Cell::new(0) };
}

/// All entries, of all sessions.
#[derive(Default)]
pub(crate) struct CacheManager {
    entries: RwLock<Vec<Arc<Entry>>>,
}

struct Entry {
    number: u64,
    key: Key,
    level: StorageLevel,
    schema: StructType,
    relation: Relation,
    /// Whose views and settings the relation means.
    session: Weak<Session>,
    /// URIs of the tables it reads, once known.
    reads: Mutex<Vec<String>>,
    state: tokio::sync::Mutex<State>,
}

#[derive(PartialEq)]
enum Key {
    /// A table or view of the catalog, by its full name.
    Table(Vec<String>),
    /// A relation of a session, by its form.
    Relation(String, Relation),
}

#[derive(Default)]
enum State {
    #[default]
    Empty,
    Filled {
        batches: Arc<Vec<RecordBatch>>,
        _memory: MemoryReservation,
    },
    /// There was no memory for it; it is tried again after the source changed.
    TooLarge,
}

impl CacheManager {
    /// Keeps a relation's rows from its first use on. Nothing happens where it is kept already.
    pub fn persist(
        &self,
        session: &Arc<Session>,
        relation: &Relation,
        schema: StructType,
        level: StorageLevel,
    ) {
        self.add(session, key_of(session, relation), relation.clone(), schema, level);
    }

    /// Keeps a table or view of the catalog.
    pub fn persist_table(
        &self,
        session: &Arc<Session>,
        name: Vec<String>,
        schema: StructType,
        level: StorageLevel,
    ) {
        let relation =
            Relation::new(RelationNode::Table(TableRef { name: name.clone(), ..TableRef::default() }));
        self.add(session, Key::Table(name), relation, schema, level);
    }

    fn add(
        &self,
        session: &Arc<Session>,
        key: Key,
        relation: Relation,
        schema: StructType,
        level: StorageLevel,
    ) {
        let mut entries = self.entries.write();
        if entries.iter().any(|e| e.key == key) {
            return;
        }
        let number = entries.iter().map(|e| e.number).max().unwrap_or(0) + 1;
        entries.push(Arc::new(Entry {
            number,
            key,
            level,
            schema,
            relation,
            session: Arc::downgrade(session),
            reads: Mutex::default(),
            state: tokio::sync::Mutex::default(),
        }));
    }

    pub fn unpersist(&self, session: &Session, relation: &Relation) -> bool {
        self.remove(&key_of(session, relation))
    }

    pub fn unpersist_table(&self, name: &[String]) -> bool {
        self.remove(&Key::Table(name.to_vec()))
    }

    fn remove(&self, key: &Key) -> bool {
        let mut entries = self.entries.write();
        let before = entries.len();
        entries.retain(|e| e.key != *key);
        entries.len() < before
    }

    pub fn clear(&self) {
        self.entries.write().clear();
    }

    pub fn is_empty(&self) -> bool {
        self.entries.read().is_empty()
    }

    pub fn level(&self, session: &Session, relation: &Relation) -> Option<StorageLevel> {
        let key = key_of(session, relation);
        self.entries.read().iter().find(|e| e.key == key).map(|e| e.level)
    }

    pub fn is_table_cached(&self, name: &[String]) -> bool {
        self.entries.read().iter().any(|e| matches!(&e.key, Key::Table(n) if n == name))
    }

    /// The cached form of a relation, where there is one: the analyzer asks for each relation it meets.
    pub fn lookup(&self, session: &Session, relation: &Relation) -> Option<ResolvedTable> {
        let entries = self.entries.read();
        if entries.is_empty() {
            return None;
        }
        let filling = FILLING.get();
        let entry = entries.iter().find(|e| match &e.key {
            Key::Relation(id, kept) => *id == session.id && e.number != filling && kept == relation,
            Key::Table(_) => false,
        })?;
        Some(entry.table(Vec::new()))
    }

    /// A table as it is cached, where it is; else as it came.
    pub fn substitute(&self, table: ResolvedTable, as_of: Option<AsOf>) -> ResolvedTable {
        let entries = self.entries.read();
        if entries.is_empty() || as_of.is_some() {
            return table;
        }
        let filling = FILLING.get();
        let found = entries
            .iter()
            .find(|e| e.number != filling && matches!(&e.key, Key::Table(n) if *n == table.qualifier))
            .filter(|e| e.schema == table.schema);
        match found {
            Some(entry) => ResolvedTable { provider: entry.table(Vec::new()).provider, ..table },
            None => table,
        }
    }

    /// Forgets rows that came from a table that changed. The next use reads it again.
    pub async fn changed(&self, uri: &str) {
        let touched: Vec<Arc<Entry>> = {
            let entries = self.entries.read();
            entries.iter().filter(|e| e.reads.lock().iter().any(|r| r == uri)).cloned().collect()
        };
        for entry in touched {
            *entry.state.lock().await = State::Empty;
        }
    }

    /// Forgets rows of everything that may have come from a table of files: what such entries read is not known.
    pub async fn changed_table(&self, name: &[String]) {
        let touched: Vec<Arc<Entry>> = {
            let entries = self.entries.read();
            let is_touched = |e: &Arc<Entry>| match &e.key {
                Key::Table(n) => n == name,
                Key::Relation(..) => true,
            };
            entries.iter().filter(|e| is_touched(e)).cloned().collect()
        };
        for entry in touched {
            *entry.state.lock().await = State::Empty;
        }
    }

    /// Forgets the rows of everything, to read them again.
    pub async fn refresh_all(&self) {
        let all: Vec<Arc<Entry>> = self.entries.read().clone();
        for entry in all {
            *entry.state.lock().await = State::Empty;
        }
    }

    /// Forgets what no name leads to any more: the entries of a table that was dropped.
    pub fn dropped(&self, name: &[String]) {
        self.unpersist_table(name);
    }
}

fn key_of(session: &Session, relation: &Relation) -> Key {
    if let RelationNode::Table(table) = &*relation.node
        && table.time_travel.is_none()
        && table.options.is_empty()
        && table.identifier.is_none()
    {
        let is_temporary = matches!(table.name.as_slice(), [bare] if session.temp_views.get(bare).is_some());
        if !is_temporary && let Ok(full) = session.object_name(&table.name) {
            return Key::Table(full.parts());
        }
        if let [bare] = table.name.as_slice()
            && let Some(view) = session.temp_views.get(bare)
        {
            return Key::Relation(session.id.clone(), view.relation.clone());
        }
    }
    Key::Relation(session.id.clone(), relation.clone())
}

impl Entry {
    fn table(self: &Arc<Self>, qualifier: Vec<String>) -> ResolvedTable {
        ResolvedTable {
            provider: Arc::new(CachedTable {
                schema: Arc::new(
                    told_apart(arrow_schema(&self.schema))
                        .with_metadata([(CACHED.to_string(), String::new())].into()),
                ),
                entry: Arc::clone(self),
            }),
            schema: self.schema.clone(),
            qualifier,
            delta: None,
            record: None,
            format: "cache".to_string(),
            is_streaming: false,
        }
    }

    /// The rows, made now where they are not there yet.
    async fn rows(self: &Arc<Self>) -> Result<Arc<Vec<RecordBatch>>> {
        let mut state = self.state.lock().await;
        if let State::Filled { batches, .. } = &*state {
            return Ok(Arc::clone(batches));
        }
        let session = self
            .session
            .upgrade()
            .ok_or_else(|| boathouse_spec::Error::internal("the session that cached these rows has ended"))?;
        let (number, relation) = (self.number, self.relation.clone());
        let analyzed = session
            .analyze(move |analyzer| {
                FILLING.set(number);
                let analyzed = analyzer.query(&relation);
                FILLING.set(0);
                analyzed
            })
            .await?;
        *self.reads.lock() = tables_read(&analyzed.plan);
        let batches = Arc::new(Box::pin(execute::collect(&session, &analyzed)).await?);
        let bytes = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let memory = MemoryConsumer::new("cached rows").register(&session.engine.runtime_env.memory_pool);
        *state = match memory.try_grow(bytes) {
            Ok(()) => State::Filled { batches: Arc::clone(&batches), _memory: memory },
            Err(_) => State::TooLarge,
        };
        Ok(batches)
    }
}

/// The schema with places as names where two columns have one name: a scan finds its columns by names.
fn told_apart(schema: Schema) -> Schema {
    let mut names = HashSet::new();
    if schema.fields().iter().all(|f| names.insert(f.name().clone())) {
        return schema;
    }
    let fields = schema.fields().iter().enumerate();
    Schema::new(fields.map(|(i, f)| f.as_ref().clone().with_name(i.to_string())).collect::<Vec<_>>())
}

/// What marks the schema of cached rows.
const CACHED: &str = "boathouse.cached";

/// Whether an operator reads rows that are kept.
pub(crate) fn is_cached_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.children().is_empty() && plan.schema().metadata().contains_key(CACHED)
}

/// The Delta tables below a plan, by URI.
pub(crate) fn tables_read(plan: &LogicalPlan) -> Vec<String> {
    let mut found = Vec::new();
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(delta) = (provider.as_ref() as &dyn Any).downcast_ref::<DeltaScan>()
        {
            found.push(delta.snapshot().location().uri());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok());
    found
}

#[derive(Debug)]
struct CachedTable {
    schema: SchemaRef,
    entry: Arc<Entry>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cache entry {}", self.number)
    }
}

#[async_trait]
impl TableProvider for CachedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn DataFusionSession,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let batches = self.entry.rows().await.map_err(to_datafusion)?;
        // Contiguous parts, so that the order of rows stays.
        let parts = state.config().target_partitions().max(1);
        let size = batches.len().div_ceil(parts).max(1);
        let marked = |batch: &RecordBatch| {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(Arc::clone(&self.schema), batch.columns().to_vec(), &options)
        };
        let partitions = batches
            .chunks(size)
            .map(|batches| batches.iter().map(marked).collect::<std::result::Result<Vec<_>, _>>())
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let partitions = if partitions.is_empty() { vec![Vec::new()] } else { partitions };
        let plan =
            MemorySourceConfig::try_new_exec(&partitions, Arc::clone(&self.schema), projection.cloned())?;
        Ok(plan)
    }
}
