//! From an analyzed plan to rows.

use std::any::Any;
use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use boathouse_bridge::{ResultExt, arrow_schema, conform_batch, to_datafusion};
use boathouse_delta::{OwnReads, SessionZone, Snapshot};
use boathouse_formats::zone::Zone;
use boathouse_spec::{Error, Literal, Result, StructType};
use datafusion::config::ConfigNonZeroUsize;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, RecordBatchStream, execute_stream};
use datafusion::prelude::SessionConfig;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::analyzer::Analyzed;
use crate::column_cache::ColumnCache;
use crate::conjunction::CHEAP_CONDITIONS_FIRST;
use crate::constant_keys::CONSTANT_KEYS;
use crate::distinct_steps::DistinctSteps;
use crate::grouping_sets::ALL_KEYS_FIRST;
use crate::join_order::{self, JoinOrder};
use crate::memory::QueryMemory;
use crate::metadata_only::{self, MetadataOnly};
use crate::ordered::in_partition_order;
use crate::rank_limit::RANK_LIMITS;
use crate::session::AbortOnDrop;
use crate::unnest::UnnestSubqueries;
use crate::windows::WINDOWS;
use crate::{Session, observe, operators, query_profile, shared_plans};

/// Metrics of `observe`, by name; complete when the stream has ended.
pub type ObservedMetrics = Arc<Mutex<Vec<(String, Vec<(String, Literal)>)>>>;

/// Batches that may wait between the query and whoever takes them.
const BUFFERED_BATCHES: usize = 4;

/// Sorts of one partition that have to fit into memory together. Each takes its share for merging what it spills before it
/// has seen a row, where more memory is more than it needs.
const SORTS_AT_ONCE: usize = 16;

/// The rows of a query or command. Batches have the Arrow schema of `schema` (`boathouse_bridge::arrow_schema`).
pub struct QueryResult {
    pub schema: StructType,
    pub stream: SendableRecordBatchStream,
    pub observed: ObservedMetrics,
}

impl QueryResult {
    /// Rows that are there already.
    pub(crate) fn of(schema: StructType, batches: Vec<RecordBatch>) -> Self {
        let arrow = Arc::new(arrow_schema(&schema));
        let stream = futures::stream::iter(batches.into_iter().map(Ok));
        Self {
            schema,
            stream: Box::pin(RecordBatchStreamAdapter::new(arrow, stream)),
            observed: ObservedMetrics::default(),
        }
    }

    /// The result of a command that has nothing to show.
    pub(crate) fn empty() -> Self {
        Self::of(StructType::default(), Vec::new())
    }

    /// All rows. For results known to be small; the stream is for the others.
    pub async fn collect(self) -> Result<(StructType, Vec<RecordBatch>)> {
        let batches = self.stream.try_collect::<Vec<_>>().await.spark()?;
        Ok((self.schema, batches))
    }
}

/// Rows of a batch. Spark has it for readers of Parquet; here it goes for all operators.
const BATCH_ROWS: &str = "spark.sql.parquet.columnarReaderBatchSize";

/// The state that each query's state is a copy of. Its one analyzer rule unnests subqueries: types and names are decided by our analyzer,
/// and DataFusion must not coerce again.
pub(crate) fn template_state(runtime_env: Arc<RuntimeEnv>, parallelism: usize) -> SessionState {
    // Sessions that reach object stores with other credentials have another state, and so another cache.
    let columns = Arc::new(ColumnCache::new(&runtime_env.memory_pool));
    let memory = runtime_env.memory_pool.memory_limit();
    let mut config = SessionConfig::new()
        .with_extension(columns)
        .with_target_partitions(parallelism)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false);
    let options = config.options_mut();
    options.execution.parquet.schema_force_view_types = false;
    // Field metadata may differ between the plans; types and names are ours on both sides.
    options.execution.skip_physical_aggregate_schema_check = true;
    // Rows keep the order of the partitions they were read in, as in Spark; sources make their own partitions.
    options.optimizer.enable_round_robin_repartition = false;
    options.execution.enable_file_stream_work_stealing = false;
    // Measured on TPC-H: builds of a few million rows are faster collected once, with a direct index over dense keys.
    options.optimizer.hash_join_single_partition_threshold = 64 << 20;
    options.optimizer.hash_join_single_partition_threshold_rows = 2_000_000;
    options.execution.perfect_hash_join_small_build_threshold = 8_000_000;
    if let MemoryLimit::Finite(bytes) = memory {
        let share = bytes / (SORTS_AT_ONCE * parallelism.max(1));
        let reserved = &mut options.execution.sort_spill_reservation_bytes;
        *reserved = share.min(*reserved);
    }
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime_env)
        .with_analyzer_rules(vec![Arc::new(UnnestSubqueries)])
        .with_optimizer_rules(crate::guarded_rules::rules())
        .with_optimizer_rule(Arc::new(DistinctSteps))
        .with_optimizer_rule(Arc::new(JoinOrder))
        .with_optimizer_rule(Arc::new(MetadataOnly))
        .with_physical_optimizer_rules(crate::join_hints::rules())
        .with_physical_optimizer_rule(Arc::new(RANK_LIMITS))
        .with_physical_optimizer_rule(Arc::new(WINDOWS))
        .with_physical_optimizer_rule(Arc::new(CHEAP_CONDITIONS_FIRST))
        .with_physical_optimizer_rule(Arc::new(ALL_KEYS_FIRST))
        .with_physical_optimizer_rule(Arc::new(CONSTANT_KEYS))
        .with_query_planner(Arc::new(observe::Planner))
        .build()
}

/// The state of queries that are one row of constants: such plans run as they are, and most of the time of `SELECT 1`
/// would go into rules that find nothing.
pub(crate) fn constant_state(template: &SessionState) -> SessionState {
    SessionStateBuilder::new_from_existing(template.clone())
        .with_config(template.config().clone().with_target_partitions(1))
        .with_analyzer_rules(Vec::new())
        .with_optimizer_rules(Vec::new())
        .with_physical_optimizer_rules(Vec::new())
        .build()
}

/// The state of one query.
pub(crate) fn query_state(session: &Session) -> SessionState {
    let mut state = session.engine.storages.by(session.conf.stores()).state.clone();
    let rows = session.conf.set_integer(BATCH_ROWS).and_then(|rows| usize::try_from(rows).ok());
    if let Some(Ok(rows)) = rows.map(ConfigNonZeroUsize::try_new) {
        state.config_mut().options_mut().execution.batch_size = rows;
    }
    let zone = session.conf.zone();
    if zone != Zone::UTC {
        state.config_mut().set_extension(Arc::new(SessionZone(zone)));
    }
    state
}

/// The state for a statement that writes to a Delta table: what it reads of that table is noted for its commit.
pub(crate) fn writing_state(session: &Session, table: Option<&Snapshot>) -> SessionState {
    let mut state = query_state(session);
    if let Some(table) = table {
        state.config_mut().set_extension(OwnReads::of(table));
    }
    state
}

/// Plans and runs an analyzed query.
pub(crate) async fn run(
    session: &Arc<Session>,
    analyzed: Analyzed,
    mut observations: Vec<Arc<observe::Observation>>,
) -> Result<QueryResult> {
    if analyzed.is_streaming {
        return Err(streaming_source());
    }
    let schema = analyzed.schema();
    let observed = ObservedMetrics::default();
    observations.extend(observe::observations(&analyzed.plan));
    let stream = stream_of(session, &analyzed.plan).await?;
    let stream = renamed(stream, &schema);
    let sink = Arc::clone(&observed);
    let profiles = session.profiles.clone();
    let done = move || {
        let mut metrics = observe::values(&observations);
        let profiles = std::mem::take(&mut *profiles.lock());
        if !profiles.is_empty() {
            // The client knows them by this name.
            let profiles = profiles.into_iter().map(|p| (String::new(), Literal::Binary(p)));
            metrics.push(("__python_accumulator__".to_string(), profiles.collect()));
        }
        *sink.lock() = metrics;
    };
    let stream = driven(session, stream, done).await;
    Ok(QueryResult { schema, stream, observed })
}

/// All rows of an analyzed query, under the names users see.
pub(crate) async fn collect(session: &Arc<Session>, analyzed: &Analyzed) -> Result<Vec<RecordBatch>> {
    let schema = analyzed.schema();
    let stream = stream_of(session, &analyzed.plan).await?;
    renamed(stream, &schema).try_collect().await.spark()
}

/// The optimized physical plan. CPU work on the calling thread, and the I/O of opening what is scanned.
pub(crate) async fn physical_plan(session: &Session, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = optimized_plan(session, query_state(session), plan).await.map(in_partition_order)?;
    operators::scoped(plan).spark().inspect(query_profile::note)
}

/// The same with as many partitions as it has, for writers that take them in parallel.
pub(crate) async fn partitioned_plan(
    session: &Session,
    plan: &LogicalPlan,
) -> Result<Arc<dyn ExecutionPlan>> {
    written_plan(session, &query_state(session), plan).await
}

/// The same, for a statement with a [`writing_state`].
pub(crate) async fn written_plan(
    session: &Session,
    state: &SessionState,
    plan: &LogicalPlan,
) -> Result<Arc<dyn ExecutionPlan>> {
    observe::note(plan);
    operators::scoped(optimized_plan(session, state.clone(), plan).await?)
        .spark()
        .inspect(query_profile::note)
}

/// The plan with what no expression computes below its expressions: arguments of SQL functions, and calls of Python.
pub(crate) fn with_calls_below(plan: &LogicalPlan) -> Result<Cow<'_, LogicalPlan>> {
    let bound = crate::bound_arguments::computed_below(plan).spark()?;
    let plan = bound.map_or(Cow::Borrowed(plan), Cow::Owned);
    Ok(crate::python::extract(&plan)?.map_or(plan, Cow::Owned))
}

async fn optimized_plan(
    session: &Session,
    mut state: SessionState,
    plan: &LogicalPlan,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = &*with_calls_below(plan)?;
    if crate::small::is_constant(plan) {
        return planned(&session.engine.constants, plan, None).await;
    }
    if crate::recursion::is_recursive(plan) {
        // The plan of a recursive step runs again and again: a filter learnt from one level must not thin out the next.
        let options = state.config_mut().options_mut();
        options.optimizer.enable_dynamic_filter_pushdown = false;
        options.optimizer.enable_join_dynamic_filter_pushdown = false;
    }
    join_order::load_statistics(plan, &state).await?;
    metadata_only::load_statistics(plan).await?;
    let small = session.engine.options.partitions.is_none() && crate::small::is_small(plan);
    if small {
        let options = state.config_mut().options_mut();
        options.execution.target_partitions = 1;
        // Filters that are learnt while a join runs would tie its sides down.
        options.optimizer.enable_dynamic_filter_pushdown = false;
        options.optimizer.enable_join_dynamic_filter_pushdown = false;
    }
    let columns = state.config().get_extension::<ColumnCache>();
    let columns = columns.filter(|_| session.conf.flag("spark.databricks.io.cache.enabled"));
    let planned = planned(&state, plan, columns.as_ref()).await?;
    if small { crate::small::streamed_as_spark(planned).spark() } else { Ok(planned) }
}

/// The optimized physical plan; scans look into `columns` first.
async fn planned(
    state: &SessionState,
    plan: &LogicalPlan,
    columns: Option<&Arc<ColumnCache>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let planned = async {
        let optimized = state.optimize(plan).spark()?;
        crate::constants::check(&optimized)?;
        shared_plans::physical(state, &optimized, columns).await
    };
    let planned = AssertUnwindSafe(planned).catch_unwind().await;
    planned.unwrap_or_else(|panic| Err(panic_error(&*panic)))
}

pub(crate) fn task_context(session: &Session) -> Arc<TaskContext> {
    query_state(session).task_ctx()
}

/// The state for a statement that changes rows or files of a Delta table by plans of its own, which are noted for the history.
pub(crate) fn changing_state(session: &Session, table: &Snapshot) -> SessionState {
    let mut state = writing_state(session, Some(table));
    if let Some(watch) = query_profile::plan_watch() {
        state.config_mut().set_extension(watch);
    }
    state
}

/// A projection whose names are nobody's but ours.
pub(crate) fn project(exprs: Vec<Expr>, input: LogicalPlan) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input)).spark()?))
}

/// The rows of a logical plan, with the plan's own names.
pub(crate) async fn stream_of(
    session: &Arc<Session>,
    plan: &LogicalPlan,
) -> Result<SendableRecordBatchStream> {
    let physical = physical_plan(session, plan).await?;
    let (context, memory) = QueryMemory::within(TaskContext::from(&query_state(session)));
    query_profile::note_memory(&memory);
    Ok(memory.freed_before_errors(execute_stream(physical, context).spark()?))
}

/// Gives the batches the schema users see: the same arrays, other names.
pub(crate) fn renamed(stream: SendableRecordBatchStream, schema: &StructType) -> SendableRecordBatchStream {
    let target = Arc::new(arrow_schema(schema));
    let wanted = Arc::clone(&target);
    let stream = stream.map(move |batch| relabelled(&batch?, &wanted).map_err(to_datafusion));
    Box::pin(RecordBatchStreamAdapter::new(target, stream))
}

/// A column that was promised to have no NULLs and has some is shown with them: a wrong promise must not cost the rows.
fn relabelled(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch> {
    let broken = |(i, f): (usize, &Arc<Field>)| {
        !f.is_nullable() && batch.columns().get(i).is_some_and(|c| c.null_count() > 0)
    };
    if !wanted.fields().iter().enumerate().any(broken) {
        return conform_batch(batch, wanted);
    }
    let fields: Vec<_> =
        wanted
            .fields()
            .iter()
            .enumerate()
            .map(|(i, f)| {
                if broken((i, f)) { Arc::new(f.as_ref().clone().with_nullable(true)) } else { Arc::clone(f) }
            })
            .collect();
    tracing::warn!("a plan gave NULLs in a column it called not nullable");
    conform_batch(batch, &Arc::new(Schema::new(fields)))
}

/// Lets the query run on the engine's threads, whoever takes its rows. A panic is this query's error. `done` is called
/// when the rows have come to their end.
async fn driven(
    session: &Arc<Session>,
    mut stream: SendableRecordBatchStream,
    done: impl FnOnce() + Send + 'static,
) -> SendableRecordBatchStream {
    let schema = stream.schema();
    let (sender, receiver) = mpsc::channel(BUFFERED_BATCHES);
    // What is there at once needs no task of its own: most small queries end here.
    while let Ok(place) = sender.try_reserve() {
        match futures::poll!(pin!(next_of(&mut stream))) {
            Poll::Ready(Some(Ok(batch))) => place.send(Ok(batch)),
            Poll::Ready(Some(failure)) => {
                place.send(failure);
                return Box::pin(Driven { schema, receiver, _task: None });
            }
            Poll::Ready(None) => {
                done();
                return Box::pin(Driven { schema, receiver, _task: None });
            }
            Poll::Pending => break,
        }
    }
    let busy = session.busy();
    let task = session.engine.runtime.spawn(async move {
        let _busy = busy;
        while let Some(item) = next_of(&mut stream).await {
            let failed = item.is_err();
            if sender.send(item).await.is_err() || failed {
                return;
            }
        }
        done();
    });
    Box::pin(Driven { schema, receiver, _task: Some(AbortOnDrop(task)) })
}

async fn next_of(stream: &mut SendableRecordBatchStream) -> Option<datafusion::error::Result<RecordBatch>> {
    match AssertUnwindSafe(stream.next()).catch_unwind().await {
        Ok(next) => next,
        Err(panic) => Some(Err(to_datafusion(panic_error(&*panic)))),
    }
}

struct Driven {
    schema: SchemaRef,
    receiver: mpsc::Receiver<datafusion::error::Result<RecordBatch>>,
    _task: Option<AbortOnDrop<()>>,
}

impl Stream for Driven {
    type Item = datafusion::error::Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(cx)
    }
}

impl RecordBatchStream for Driven {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// The error a panic becomes.
pub(crate) fn panic_error(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_string())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "of an unknown kind".to_string());
    tracing::error!("a query panicked: {text}");
    if boathouse_bridge::is_overflow_text(&text) {
        return Error::batch_too_large();
    }
    Error::internal(format!("The query failed by a defect of the engine: {text}. Please report it."))
}

pub(crate) fn streaming_source() -> Error {
    Error::new("_LEGACY_ERROR_TEMP_3102")
        .param("msg", "Queries with streaming sources must be executed with writeStream.start()")
        .message("A query over streaming sources must be started with writeStream.start(), or be a flow of a pipeline.")
        .exception("AnalysisException")
}
