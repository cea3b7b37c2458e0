//! A session: settings, temporary views, current namespace, and the door for plans.

use std::borrow::Cow;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use boathouse_catalog::{DEFAULT_SCHEMA, SESSION_CATALOG};
use boathouse_connectors::OpenedTables;
use boathouse_delta::DeltaTable;
use boathouse_spec::{
    CatalogCall, Command, Error, Expectation, ExplainMode, Expr, Name, Plan, Relation, RelationNode, Result,
    SqlText, StorageLevel, StructType, TableRef, clock,
};
use dashmap::DashMap;
use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::analyzer::Analyzer;
use crate::artifacts::ArtifactStore;
use crate::execute::{self, panic_error};
use crate::functions::SessionFunctions;
use crate::kept_analysis::{self, KeptAnalysis};
use crate::resolver::{self, Resolved, Scope};
use crate::storage::Storage;
use crate::temp_views::TempViews;
use crate::variables::{Variable, Variables};
use crate::{
    Datasets, Engine, ExpectationOutcome, KeptQuery, QueryResult, SessionConf, commands, explain,
    query_profile, relation_walk,
};

pub struct Session {
    pub(crate) engine: Arc<Engine>,
    pub(crate) id: String,
    server_side_id: String,
    pub(crate) user: String,
    pub(crate) conf: SessionConf,
    pub(crate) temp_views: TempViews,
    /// Current catalog and schema.
    pub(crate) namespace: RwLock<(String, String)>,
    pub(crate) variables: Variables,
    pub(crate) functions: SessionFunctions,
    /// Python data sources, by lower-case name.
    pub(crate) python_sources: DashMap<String, crate::python::PythonSource>,
    pub(crate) profiles: crate::python::Profiles,
    /// DataFrames kept under an id (`checkpoint`, `foreachBatch`).
    remotes: DashMap<String, Relation>,
    /// Tables without a name, by id.
    kept_tables: DashMap<String, (Arc<dyn TableProvider>, StructType)>,
    /// What names mean to a pipeline whose flows this session analyzes and runs.
    datasets: RwLock<Option<Arc<dyn Datasets>>>,
    /// What expectations counted, by the id that plans name it with.
    outcomes: DashMap<String, Weak<ExpectationOutcome>>,
    /// Queries over streams with their slices in place, by id.
    kept_queries: DashMap<String, KeptQuery>,
    /// Tables that relations of `createTable` made, with the call, by the client's ids of the relations.
    made_tables: DashMap<i64, (Command, Name)>,
    /// Tables of files that were opened.
    pub(crate) opened_files: OpenedTables,
    /// What `spark.sql` found last.
    pub(crate) kept_analysis: Mutex<Option<KeptAnalysis>>,
    artifacts: Arc<ArtifactStore>,
    closed: CancellationToken,
    last_used_us: AtomicI64,
    running: AtomicUsize,
}

/// What `spark.sql(text)` gave: a query is lazy, a command has run.
pub enum SqlCommandOutcome {
    Query(Relation),
    Rows(QueryResult),
}

impl Session {
    pub(crate) fn new(engine: Arc<Engine>, id: &str, user: &str, conf: SessionConf) -> Self {
        let catalog = conf.get("spark.sql.defaultCatalog").unwrap_or_else(|| SESSION_CATALOG.to_string());
        let artifacts = Arc::new(ArtifactStore::new(
            engine.scratch().join("artifacts").join(uuid::Uuid::new_v4().to_string()),
        ));
        Self {
            engine,
            id: id.to_string(),
            server_side_id: uuid::Uuid::new_v4().to_string(),
            user: user.to_string(),
            conf,
            temp_views: TempViews::default(),
            namespace: RwLock::new((catalog, DEFAULT_SCHEMA.to_string())),
            variables: Variables::default(),
            functions: SessionFunctions::default(),
            python_sources: DashMap::new(),
            profiles: Default::default(),
            remotes: DashMap::new(),
            kept_tables: DashMap::new(),
            datasets: RwLock::new(None),
            outcomes: DashMap::new(),
            kept_queries: DashMap::new(),
            made_tables: DashMap::new(),
            opened_files: OpenedTables::default(),
            kept_analysis: Mutex::default(),
            artifacts,
            closed: CancellationToken::new(),
            last_used_us: AtomicI64::new(clock::now_us()),
            running: AtomicUsize::new(0),
        }
    }

    /// A session of another id that begins with what this one has.
    pub(crate) fn copied(&self, id: &str) -> Self {
        let copy = Self::new(Arc::clone(&self.engine), id, &self.user, self.conf.clone());
        copy.temp_views.restore(self.temp_views.environment());
        *copy.namespace.write() = self.namespace.read().clone();
        for entry in &self.remotes {
            copy.remotes.insert(entry.key().clone(), entry.value().clone());
        }
        // Views may stand on them.
        for entry in &self.kept_tables {
            copy.kept_tables.insert(entry.key().clone(), entry.value().clone());
        }
        Self {
            variables: self.variables.clone(),
            functions: self.functions.clone(),
            python_sources: self.python_sources.clone(),
            ..copy
        }
    }

    /// The session of a streaming query: settings, names and functions stay what they are now, whatever becomes of this one's
    /// (Spark's `StreamExecution.sparkSessionForStream`). It ends with this one, whose files and Python workers it uses.
    pub fn for_stream(&self) -> Arc<Self> {
        let copy = self.copied(&self.id);
        Arc::new(Self {
            server_side_id: self.server_side_id.clone(),
            artifacts: Arc::clone(&self.artifacts),
            profiles: self.profiles.clone(),
            closed: self.closed.child_token(),
            ..copy
        })
    }

    /// Lets plans of this session name a table or a query that another one keeps, until [`Session::remove_table`].
    pub fn keep_of(&self, other: &Self, relation: &Relation) {
        let RelationNode::Table(table) = &*relation.node else { return };
        let Some(id) = kept_table_id(&table.name) else { return };
        if let Some(kept) = other.kept_tables.get(id) {
            self.kept_tables.insert(id.to_string(), kept.value().clone());
        }
        if let Some(kept) = other.kept_queries.get(id) {
            self.kept_queries.insert(id.to_string(), kept.value().clone());
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// An id of the server's choice: it differs where a client's session was lost and made anew.
    pub fn server_side_id(&self) -> &str {
        &self.server_side_id
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub fn conf(&self) -> &SessionConf {
        &self.conf
    }

    /// Where paths lead, by the session's settings of object stores.
    pub(crate) fn storage(&self) -> Arc<Storage> {
        Arc::clone(&self.engine.storages.by(self.conf.stores()).storage)
    }

    pub fn artifacts(&self) -> &ArtifactStore {
        &self.artifacts
    }

    /// Current catalog and schema.
    pub fn current_namespace(&self) -> (String, String) {
        self.namespace.read().clone()
    }

    /// Takes over what was set in another session, and its current catalog and schema.
    pub fn begin_with<'a>(
        &self,
        settings: impl IntoIterator<Item = (&'a String, &'a String)>,
        catalog: &str,
        schema: &str,
    ) {
        for (key, value) in settings {
            self.conf.note(key, value);
        }
        *self.namespace.write() = (catalog.to_string(), schema.to_string());
    }

    /// Notes that the session is in use.
    pub fn touch(&self) {
        self.last_used_us.store(clock::now_us(), Ordering::Relaxed);
    }

    pub(crate) fn last_used_us(&self) -> i64 {
        self.last_used_us.load(Ordering::Relaxed)
    }

    /// Whether a query or command runs now.
    pub(crate) fn is_busy(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }

    /// Cancelled when the session ends: what runs on its behalf must end too.
    pub fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Marks the session busy as long as what is returned lives.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.running.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    pub(crate) fn dispose(&self) {
        self.engine.workers.forget(&self.server_side_id);
        self.closed.cancel();
        self.remotes.clear();
        self.kept_tables.clear();
        self.kept_queries.clear();
        *self.kept_analysis.lock() = None;
        self.temp_views.restore(Default::default());
        self.artifacts.clear();
    }

    /// Runs a query or a command. The rows come as they are made; dropping the stream (or this call) cancels the work.
    pub async fn execute(self: &Arc<Self>, plan: Plan) -> Result<QueryResult> {
        self.touch();
        let session = Arc::clone(self);
        self.on_engine(async move { session.execute_here(plan).await }).await
    }

    /// [`Session::execute`] for callers that run on the engine's threads already.
    pub(crate) async fn execute_here(self: &Arc<Self>, plan: Plan) -> Result<QueryResult> {
        let text = query_profile::text_of(&plan);
        query_profile::recorded(self, text, self.execute_plan(plan)).await
    }

    async fn execute_plan(self: &Arc<Self>, plan: Plan) -> Result<QueryResult> {
        if let Plan::Query(relation) = &plan
            && let RelationNode::Sql(text) = &*relation.node
            && let Some(analyzed) = kept_analysis::take(self, text).await
        {
            return execute::run(self, analyzed, Vec::new()).await;
        }
        match plan {
            Plan::Command(command) => commands::run(self, *command).await,
            Plan::Query(relation) => match *relation.node {
                RelationNode::CommandResult(command) => {
                    self.command_of_relation(relation.plan_id, *command).await
                }
                RelationNode::Sql(text) => match self.parse(&text).await? {
                    Plan::Command(command) => {
                        check_parameters(&command, &text)?;
                        commands::run(self, *command).await
                    }
                    // Without parameters the parsed query is all there is to know; with them the analyzer binds them.
                    Plan::Query(parsed) if text.named.is_empty() && text.positional.is_empty() => {
                        self.run_query(parsed).await
                    }
                    Plan::Query(_) => {
                        let node = RelationNode::Sql(text);
                        self.run_query(Relation { node: Box::new(node), ..relation }).await
                    }
                },
                node => self.run_query(Relation { node: Box::new(node), ..relation }).await,
            },
        }
    }

    async fn run_query(self: &Arc<Self>, relation: Relation) -> Result<QueryResult> {
        let analyze = move |analyzer: &mut Analyzer| {
            let analyzed = analyzer.query(&relation)?;
            Ok((analyzed, std::mem::take(&mut analyzer.collected)))
        };
        let (analyzed, observed) = self.analyze(analyze).await?;
        execute::run(self, analyzed, observed).await
    }

    /// The columns of a relation.
    pub async fn schema(self: &Arc<Self>, relation: &Relation) -> Result<StructType> {
        self.touch();
        match &*relation.node {
            RelationNode::CommandResult(command) => {
                if let Some(schema) = commands::result_schema(command) {
                    return Ok(schema);
                }
            }
            RelationNode::Sql(text) => {
                if let Plan::Command(command) = self.parse(text).await?
                    && let Some(schema) = commands::result_schema(&command)
                {
                    return Ok(schema);
                }
            }
            _ => {}
        }
        let relation = relation.clone();
        self.analyze(move |analyzer| Ok(analyzer.query(&relation)?.schema())).await
    }

    /// The columns of a view's query under the view's default collation.
    pub(crate) async fn view_schema(
        self: &Arc<Self>,
        relation: &Relation,
        collation: Option<&str>,
    ) -> Result<StructType> {
        if collation.is_none() {
            return self.schema(relation).await;
        }
        let (relation, collation) = (relation.clone(), collation.map(str::to_string));
        self.analyze(move |analyzer| {
            analyzer.under_collation(collation.as_deref(), |a| Ok(a.query(&relation)?.schema()))
        })
        .await
    }

    /// The columns of a relation, and whether it reads a stream.
    pub async fn describe(self: &Arc<Self>, relation: &Relation) -> Result<(StructType, bool)> {
        self.touch();
        let relation = relation.clone();
        self.analyze(move |analyzer| {
            let analyzed = analyzer.query(&relation)?;
            Ok((analyzed.schema(), analyzed.is_streaming))
        })
        .await
    }

    /// The text of `EXPLAIN` and `df.explain()`.
    pub async fn explain(self: &Arc<Self>, plan: &Plan, mode: ExplainMode) -> Result<String> {
        self.touch();
        let (session, plan) = (Arc::clone(self), plan.clone());
        self.on_engine(async move { explain::explain(&session, plan, mode).await }).await
    }

    /// Whether the rows are at hand without running anything.
    pub async fn is_local(self: &Arc<Self>, relation: &Relation) -> Result<bool> {
        self.touch();
        Ok(match &*relation.node {
            RelationNode::LocalData { .. }
            | RelationNode::Empty(_)
            | RelationNode::Values(_)
            | RelationNode::CommandResult(_) => true,
            RelationNode::Sql(text) => match self.parse(text).await? {
                Plan::Command(_) => true,
                Plan::Query(query) => matches!(&*query.node, RelationNode::Values(_)),
            },
            _ => false,
        })
    }

    /// Whether the relation reads a stream.
    pub async fn is_streaming(self: &Arc<Self>, relation: &Relation) -> Result<bool> {
        self.touch();
        if relation_walk::reads_stream(relation) {
            return Ok(true);
        }
        // A view may hide one.
        let relation = relation.clone();
        self.analyze(move |analyzer| Ok(analyzer.query(&relation)?.is_streaming)).await
    }

    /// The files a relation would read.
    pub async fn input_files(self: &Arc<Self>, relation: &Relation) -> Result<Vec<String>> {
        self.touch();
        let (session, relation) = (Arc::clone(self), relation.clone());
        self.on_engine(async move {
            let analyzed = session.analyze(move |analyzer| analyzer.query(&relation)).await?;
            let plan = execute::physical_plan(&session, &analyzed.plan).await?;
            Ok(explain::input_files(&plan))
        })
        .await
    }

    /// Whether two relations are the same but for the names of their columns.
    pub async fn same_semantics(self: &Arc<Self>, a: &Relation, b: &Relation) -> Result<bool> {
        let (a, b) = (self.canonical(a).await?, self.canonical(b).await?);
        Ok(a == b)
    }

    /// Equal for relations of equal semantics.
    pub async fn semantic_hash(self: &Arc<Self>, relation: &Relation) -> Result<i32> {
        let text = self.canonical(relation).await?;
        // FNV-1a: the same in every process.
        let hash = text.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        Ok(i32::from_ne_bytes(hash.to_ne_bytes()))
    }

    async fn canonical(self: &Arc<Self>, relation: &Relation) -> Result<String> {
        self.touch();
        let relation = relation.clone();
        self.analyze(move |analyzer| {
            let analyzed = analyzer.query(&relation)?;
            Ok(explain::canonical_text(&analyzed))
        })
        .await
    }

    /// Keeps a relation's rows for later queries, once a query has made them.
    pub async fn persist(self: &Arc<Self>, relation: &Relation, level: StorageLevel) -> Result<()> {
        let schema = self.schema(relation).await?;
        self.engine.cache.persist(self, relation, schema, level);
        Ok(())
    }

    pub async fn unpersist(self: &Arc<Self>, relation: &Relation, _blocking: bool) -> Result<()> {
        self.touch();
        self.engine.cache.unpersist(self, relation);
        Ok(())
    }

    /// The level a relation is kept at; nothing anywhere where it is not kept.
    pub async fn storage_level(self: &Arc<Self>, relation: &Relation) -> Result<StorageLevel> {
        self.touch();
        Ok(self.engine.cache.level(self, relation).unwrap_or(crate::cache::NO_STORAGE))
    }

    /// `spark.sql(text)`: a command runs now, a query later.
    pub async fn sql_command(self: &Arc<Self>, text: SqlText) -> Result<SqlCommandOutcome> {
        self.touch();
        match self.parse(&text).await? {
            Plan::Query(_) => {
                let text = SqlText { text: self.substituted(&text.text).into_owned(), ..text };
                // Errors of names and types belong to this call, not to the first use of the DataFrame.
                kept_analysis::analyze(self, text.clone()).await?;
                Ok(SqlCommandOutcome::Query(Relation::new(RelationNode::Sql(text))))
            }
            Plan::Command(command) => {
                check_parameters(&command, &text)?;
                let session = Arc::clone(self);
                let run = async move {
                    let running = commands::run(&session, *command);
                    query_profile::recorded(&session, text.text, running).await
                };
                let rows = self.on_engine(run).await?;
                Ok(SqlCommandOutcome::Rows(rows))
            }
        }
    }

    /// Keeps a relation under an id that later plans can name.
    pub fn keep_remote(&self, relation: Relation) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        self.remotes.insert(id.clone(), relation);
        id
    }

    pub fn remove_remote(&self, id: &str) {
        self.remotes.remove(id);
    }

    pub fn remote(&self, id: &str) -> Option<Relation> {
        self.remotes.get(id).map(|r| r.value().clone())
    }

    /// Keeps a table that has no name, such as the slice of a stream that one micro-batch reads, and gives the relation
    /// that stands for it in plans of this session, until [`Session::remove_table`].
    pub fn keep_table(&self, provider: Arc<dyn TableProvider>, schema: StructType) -> Relation {
        let id = uuid::Uuid::new_v4().to_string();
        let name = vec!["system".to_string(), KEPT_TABLES.to_string(), id.clone()];
        self.kept_tables.insert(id, (provider, schema));
        Relation::new(RelationNode::Table(TableRef { name, ..TableRef::default() }))
    }

    pub fn remove_table(&self, relation: &Relation) {
        if let RelationNode::Table(table) = &*relation.node
            && let Some(id) = kept_table_id(&table.name)
        {
            self.kept_tables.remove(id);
            self.kept_queries.remove(id);
        }
    }

    /// Keeps a query over streams whose leaves its reader gives, and gives the relation that stands for it in plans of this
    /// session, until [`Session::remove_table`].
    pub fn keep_query(&self, query: KeptQuery) -> Relation {
        let id = uuid::Uuid::new_v4().to_string();
        let name = vec!["system".to_string(), KEPT_TABLES.to_string(), id.clone()];
        self.kept_queries.insert(id, query);
        Relation::new(RelationNode::Table(TableRef { name, ..TableRef::default() }))
    }

    /// A query that is kept without a name.
    pub(crate) fn kept_query(&self, name: &[String]) -> Option<KeptQuery> {
        self.kept_queries.get(kept_table_id(name)?).map(|q| q.value().clone())
    }

    /// The analyzed plan of a relation, with columns of unique names, and the columns as users see them.
    pub async fn logical_plan(self: &Arc<Self>, relation: &Relation) -> Result<(LogicalPlan, StructType)> {
        let relation = relation.clone();
        self.analyze(move |analyzer| {
            let analyzed = analyzer.query(&relation)?;
            let schema = analyzed.schema();
            Ok((analyzed.plan, schema))
        })
        .await
    }

    /// A table that is kept without a name.
    pub(crate) fn kept_table(&self, name: &[String]) -> Option<(Arc<dyn TableProvider>, StructType)> {
        self.kept_tables.get(kept_table_id(name)?).map(|t| t.value().clone())
    }

    /// A session apart with all that this one has, in which names mean what `datasets` say.
    pub fn with_datasets(&self, datasets: Arc<dyn Datasets>, catalog: &str, schema: &str) -> Arc<Self> {
        let session = self.copied(&uuid::Uuid::new_v4().to_string());
        *session.datasets.write() = Some(datasets);
        *session.namespace.write() = (catalog.to_string(), schema.to_string());
        Arc::new(session)
    }

    pub(crate) fn has_datasets(&self) -> bool {
        self.datasets.read().is_some()
    }

    pub(crate) fn datasets(&self) -> Option<Arc<dyn Datasets>> {
        self.datasets.read().clone()
    }

    /// A relation whose rows are checked as they pass, and what will have been counted. With `keeps_dropped` the rows that
    /// are taken out are kept for [`ExpectationOutcome::take_dropped`].
    pub fn expect(
        &self,
        input: Relation,
        rules: Vec<Expectation>,
        keeps_dropped: bool,
    ) -> (Relation, Arc<ExpectationOutcome>) {
        let id = uuid::Uuid::new_v4().to_string();
        let spill = keeps_dropped.then(|| self.engine.scratch().join(format!("dropped-{id}.arrow")));
        let outcome = Arc::new(ExpectationOutcome::new(&rules, spill));
        self.outcomes.retain(|_, o| o.strong_count() > 0);
        self.outcomes.insert(id.clone(), Arc::downgrade(&outcome));
        (Relation::new(RelationNode::Expect { input, rules, outcome: id }), outcome)
    }

    pub(crate) fn outcome(&self, id: &str) -> Option<Arc<ExpectationOutcome>> {
        self.outcomes.get(id)?.upgrade()
    }

    /// Parses SQL text under the session's settings, variables substituted.
    pub async fn parse_sql(self: &Arc<Self>, text: &SqlText) -> Result<Plan> {
        self.parse(text).await
    }

    /// The Delta table that a leaf of a plan names, by its name in the catalog or by its path; `None` for other leaves.
    pub async fn delta_table(self: &Arc<Self>, leaf: &RelationNode) -> Result<Option<DeltaTable>> {
        let table = match leaf {
            RelationNode::Table(table) => {
                let scope = Scope::of(self);
                match resolver::resolve(self, &table.name, &table.options, None, &scope).await? {
                    Resolved::Table(table) => *table,
                    _ => return Ok(None),
                }
            }
            RelationNode::DataSource(source) => {
                let format = match source.format.as_str() {
                    "" => self.conf.require("spark.sql.sources.default")?,
                    format => format.to_string(),
                };
                if !format.eq_ignore_ascii_case("delta") {
                    return Ok(None);
                }
                resolver::data_source(self, source).await?
            }
            _ => return Ok(None),
        };
        Ok(table.delta.map(|d| d.table))
    }

    /// The format and the directory of a table of the catalog; `None` where there is no such table.
    pub async fn table_place(self: &Arc<Self>, name: &[String]) -> Result<Option<(String, Option<String>)>> {
        match resolver::resolve(self, name, &boathouse_spec::Options::new(), None, &Scope::of(self)).await {
            Ok(Resolved::Table(table)) => {
                let location = table.record.as_ref().and_then(|r| r.location.clone());
                Ok(Some((table.format.to_lowercase(), location)))
            }
            Ok(_) => Ok(Some((String::new(), None))),
            Err(e) if e.is("TABLE_OR_VIEW_NOT_FOUND") => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// What reading and writing files needs to know of the session.
    pub fn file_context(&self) -> Result<boathouse_connectors::Context> {
        crate::sources::context(self)
    }

    /// What a statement committed to a Delta table: the table's newest version, and the last that the session has written.
    pub(crate) fn committed(&self, table: &DeltaTable, committed: &boathouse_delta::Committed) {
        table.cache().put(committed.snapshot.clone());
        self.conf.note("spark.databricks.delta.lastCommitVersionInSession", &committed.version.to_string());
    }

    /// The state a plan is run with, for those who plan and run by themselves.
    pub fn query_state(&self) -> SessionState {
        execute::query_state(self)
    }

    /// `checkpoint` and `localCheckpoint`: the rows as they are now, under an id.
    pub async fn checkpoint(self: &Arc<Self>, relation: &Relation) -> Result<String> {
        self.touch();
        let result = self.execute(Plan::Query(relation.clone())).await?;
        let (schema, batches) = result.collect().await?;
        let arrow_ipc = vec![crate::rows::to_ipc(&schema, &batches)?];
        Ok(self.keep_remote(Relation::new(RelationNode::LocalData { arrow_ipc, schema: Some(schema) })))
    }

    /// A name of several parts as users write it.
    pub fn parse_name(&self, text: &str) -> Result<Vec<String>> {
        boathouse_sql::parse_name(text)
    }

    /// The variable that a name means, of the script that runs here or of the session, and its full name.
    pub(crate) fn variable(&self, name: &[String]) -> Option<(Arc<Variable>, String)> {
        if let Some(local) = crate::script::scope::lookup(name) {
            return Some((local.variable, local.full_name));
        }
        let variable = self.variables.lookup(name)?;
        // Names keep their case where that counts; declared elsewhere, they are in lower case.
        let is_same = |last: &String| variable.name == *last || variable.name.to_lowercase() == *last;
        if self.conf.flag("spark.sql.caseSensitive") && !name.last().is_some_and(is_same) {
            return None;
        }
        let full_name = format!("system.session.{}", boathouse_spec::quote_if_needed(&variable.name));
        Some((variable, full_name))
    }

    /// Parses SQL text under the session's settings. Parameters get their values.
    pub(crate) async fn parse(self: &Arc<Self>, text: &SqlText) -> Result<Plan> {
        let mut options = self.conf.parser_options();
        let sql = self.substituted(&text.text);
        if !text.named.is_empty() || !text.positional.is_empty() {
            if boathouse_sql::parameter_markers(&sql)? == (true, true) {
                return Err(crate::analyzer::mixed_parameters());
            }
            let named = text.named.iter().map(|(k, v)| (Some(k.clone()), v.clone()));
            let all: Vec<_> = named.chain(text.positional.iter().map(|v| (None, v.clone()))).collect();
            let folded = self.literals(all).await?;
            let mut parameters = boathouse_sql::Parameters::default();
            for (name, value) in folded {
                match name {
                    Some(name) => parameters.named.push((name, value)),
                    None => parameters.positional.push(value),
                }
            }
            options.parameters = Some(parameters);
        }
        boathouse_sql::parse_statement(&sql, &options)
    }

    /// Arguments as literals; those that are expressions are computed.
    async fn literals(
        self: &Arc<Self>,
        all: Vec<(Option<String>, Expr)>,
    ) -> Result<Vec<(Option<String>, Expr)>> {
        if all.iter().all(|(_, e)| matches!(e, Expr::Literal(_))) {
            return Ok(all);
        }
        self.analyze(move |analyzer| {
            all.into_iter()
                .map(|(name, expr)| {
                    let (value, data_type) = analyzer.constant(&expr)?;
                    Ok((name, crate::literals::written(&value, &data_type)?))
                })
                .collect()
        })
        .await
    }

    /// The text with `${name}` replaced by the setting of that name, and so in what replaces it.
    pub(crate) fn substituted<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = Cow::Borrowed(text);
        if !text.contains("${") || !self.conf.flag("spark.sql.variable.substitute") {
            return out;
        }
        for _ in 0..MOST_SUBSTITUTIONS {
            let next = self.substituted_once(&out);
            if *next == *out {
                break;
            }
            out = Cow::Owned(next);
        }
        out
    }

    fn substituted_once(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else { break };
            let name = &rest[start + 2..start + length];
            let bare = ["hivevar:", "hiveconf:", "sparkconf:", "spark:"]
                .iter()
                .find_map(|p| name.strip_prefix(p))
                .unwrap_or(name);
            out.push_str(&rest[..start]);
            match self.conf.get(bare) {
                Some(value) => out.push_str(&value),
                // The environment and the properties of the server are not for statements.
                None if bare.contains(':') => out.push_str(&rest[start..=start + length]),
                None => {}
            }
            rest = &rest[start + length + 1..];
        }
        out.push_str(rest);
        out
    }

    /// Analyzes on a thread that may block: analysis is blocking code with a deep stack. The calling thread becomes one, which
    /// costs a small query less than waking another.
    pub(crate) async fn analyze<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Analyzer) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let session = Arc::clone(self);
        let run = move || {
            catch_unwind(AssertUnwindSafe(|| {
                let mut analyzer = Analyzer::new(session)?;
                work(&mut analyzer)
            }))
            .unwrap_or_else(|panic| Err(panic_error(&*panic)))
        };
        match Handle::try_current() {
            Ok(current) if current.runtime_flavor() == RuntimeFlavor::MultiThread => {
                tokio::task::block_in_place(run)
            }
            _ => self.engine.runtime.spawn_blocking(run).await.map_err(|_| interrupted())?,
        }
    }

    /// Runs work on the engine's threads; dropping the call drops the work.
    pub(crate) async fn on_engine<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let busy = self.busy();
        let mut task = AbortOnDrop(self.engine.runtime.spawn(async move {
            let _busy = busy;
            work.await
        }));
        match (&mut task.0).await {
            Ok(result) => result,
            Err(e) if e.is_panic() => Err(panic_error(&*e.into_panic())),
            Err(_) => Err(interrupted()),
        }
    }

    /// The rows of a command, for those who use it as a relation.
    pub(crate) async fn command_rows(
        self: &Arc<Self>,
        plan_id: Option<i64>,
        command: Command,
    ) -> Result<(StructType, Vec<arrow::array::RecordBatch>)> {
        Box::pin(self.command_of_relation(plan_id, command)).await?.collect().await
    }

    /// Runs the command of a client's relation. One that makes a table makes it when it is first used, and reads it from then on
    /// (Spark keeps the plan that a relation became).
    async fn command_of_relation(
        self: &Arc<Self>,
        plan_id: Option<i64>,
        command: Command,
    ) -> Result<QueryResult> {
        let (Some(id), Command::Catalog(CatalogCall::CreateTable { table, .. })) = (plan_id, &command) else {
            return commands::run(self, command).await;
        };
        if let Some(made) = self.made_table(plan_id, &command) {
            return self.run_query(RelationNode::Table(made).into()).await;
        }
        let name = self.object_name(&boathouse_sql::parse_name(table)?)?.parts();
        let rows = commands::run(self, command.clone()).await?;
        self.made_tables.insert(id, (command, name));
        Ok(rows)
    }

    /// The table that a client's relation made, where it did.
    pub(crate) fn made_table(&self, plan_id: Option<i64>, command: &Command) -> Option<TableRef> {
        let made = self.made_tables.get(&plan_id?)?;
        let (call, name) = made.value();
        (call == command).then(|| TableRef { name: name.clone(), ..TableRef::default() })
    }
}

/// The schema of tables without a name: no user can name it, because a name ends with an id that nobody is told.
fn check_parameters(command: &Command, text: &SqlText) -> Result<()> {
    if matches!(command, Command::Script(_)) && !text.positional.is_empty() {
        return Err(Error::new("UNSUPPORTED_FEATURE.SQL_SCRIPTING_WITH_POSITIONAL_PARAMETERS")
            .message("A script takes parameters by name (:name), not by position (?)."));
    }
    Ok(())
}

/// So deep may settings name others (Spark and Hive give up there, too).
const MOST_SUBSTITUTIONS: usize = 40;

const KEPT_TABLES: &str = "__kept";

fn kept_table_id(name: &[String]) -> Option<&str> {
    match name {
        [catalog, schema, id] if catalog == "system" && schema == KEPT_TABLES => Some(id),
        _ => None,
    }
}

/// Counts as a running query while it lives: a session with one is in use.
pub struct Busy(Arc<Session>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        self.0.touch();
    }
}

/// A task that ends when nobody waits for it any more.
pub(crate) struct AbortOnDrop<T>(pub JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn interrupted() -> Error {
    Error::new("OPERATION_CANCELED").message("The operation was canceled.")
}
