//! The queries that run: started, watched, stopped.

mod low_latency;
mod permanent;
mod run;
mod running;
mod turns;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use boathouse_engine::Session;
use boathouse_spec::{Error, Result, clock, option};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::checkpoint::{Checkpoint, Directory};
use crate::micro_batch::MicroBatchQuery;
use crate::progress::timestamp;
use crate::query::{OutputMode, QueryDefinition};
use crate::settings;
use crate::sink::{self, Target};
use crate::start::{NamedQuery, QueryEvent, QueryId, StartQuery, StartedQuery};
pub use running::RunningQuery;
use turns::Turns;

/// Queries that have ended are remembered this long, in milliseconds.
const REMEMBERED_MS: i64 = 3_600_000;

/// Whether a query that runs is stopped where it is started again.
const STOP_ACTIVE_RUN: &str = "spark.sql.streaming.stopActiveRunOnRestart";

/// Events that may wait for a listener.
const WAITING_EVENTS: usize = 1000;

/// What queries need of the program around them.
#[derive(Debug, Clone, Default)]
pub struct ManagerOptions {
    /// Where the Python workers of `foreachBatch` find the server, `sc://localhost:15002`; it is refused without.
    pub connect_url: Option<String>,
}

/// The streaming queries of all sessions.
#[derive(Default)]
pub struct StreamManager {
    options: ManagerOptions,
    queries: Mutex<Vec<Arc<RunningQuery>>>,
    /// Names of queries that are being started.
    starting: Mutex<HashSet<ReservedName>>,
    turns: Turns,
    /// Queries started so far.
    started: watch::Sender<u64>,
    listeners: Arc<Listeners>,
}

/// Who listens to the events of queries, by session.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<HashMap<String, mpsc::Sender<QueryEvent>>>);

impl Listeners {
    /// Sends an event of a query where somebody listens who sees it. A listener that does not keep up loses events, and stops
    /// nobody.
    pub fn post(&self, query: &RunningQuery, event: &QueryEvent) {
        let listeners = self.0.lock();
        for (session_id, sender) in listeners.iter().filter(|(id, _)| query.is_seen_by_session(id)) {
            if let Err(mpsc::error::TrySendError::Full(_)) = sender.try_send(event.clone()) {
                tracing::warn!("a listener of the session {session_id} is too slow; an event was dropped");
            }
        }
    }
}

impl StreamManager {
    pub fn new(options: ManagerOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Starts a query; what is wrong with it is said now.
    pub async fn start(&self, session: &Arc<Session>, start: StartQuery) -> Result<StartedQuery> {
        self.forget_old();
        let mode = OutputMode::parse(&start.output_mode)?;
        let trigger = run::Trigger::parse(&start.trigger)?;
        if start.foreach_batch.is_some() {
            low_latency::check_sink(session, trigger, &Target::ForeachBatch, mode)?;
        }
        let target = Target::of(session, &start).await?;
        target.check_mode(mode)?;
        let updates_table = target.is_delta() && mode == OutputMode::Update;
        if updates_table && trigger.is_low_latency() {
            return Err(sink::no_updates());
        }
        low_latency::check_sink(session, trigger, &target, mode)?;
        low_latency::check_interval(session, trigger)?;
        let name = start.query_name.clone();
        let checkpoint = checkpoint(session, &start, &target)?;
        let is_permanent = permanent::is_permanent(&start)?;
        if is_permanent {
            permanent::check(trigger, &target, &checkpoint)?;
        }
        let reserve = |name: &String| self.reserve(session, name, &checkpoint.path, is_permanent);
        let _reserved = name.as_ref().map(reserve).transpose()?;
        if let Some(name) = &name {
            permanent::check_name(session, name, &checkpoint.path, is_permanent).await?;
        }
        let definition = QueryDefinition {
            name: name.clone(),
            input: start.input.clone(),
            checkpoint: checkpoint.path.clone(),
            output_mode: mode,
        };
        if target.is_memory() && mode != OutputMode::Complete && !checkpoint.is_temporary {
            refuse_recovery(session, &checkpoint.path).await?;
        }
        let _turn = self.turns.take(&checkpoint.path).await;
        self.make_way(session, &checkpoint.path, is_permanent).await?;
        let is_batch_sink = target.is_of_batches();
        let sink = sink::open(session, &start, target, mode, &self.options).await?;
        let mut query = MicroBatchQuery::open(session.for_stream(), definition, sink).await?;
        low_latency::check_query(session, trigger, is_batch_sink, &query)?;
        if updates_table && !query.tell_changed_rows() {
            return Err(sink::no_updates());
        }
        let id = QueryId { id: query.id().to_string(), run_id: query.run_id().to_string() };
        let running = RunningQuery::new(session, id.clone(), name.clone(), &checkpoint.path, is_permanent);
        let running = self.enter(running)?;
        let is_heard = self.listeners.0.lock().contains_key(session.id());
        let started_event = is_heard.then(|| {
            json!({
                "id": id.id,
                "runId": id.run_id,
                "name": name,
                "timestamp": timestamp(clock::now_ms()),
                "jobTags": [],
            })
            .to_string()
        });
        run::spawn(Arc::clone(&self.listeners), session, running, query, trigger, checkpoint);
        Ok(StartedQuery { id, name: name.unwrap_or_default(), started_event })
    }

    /// Keeps a name for a query that is about to be one of the session's, until what is returned is dropped.
    fn reserve(
        &self,
        session: &Session,
        name: &str,
        checkpoint: &str,
        is_permanent: bool,
    ) -> Result<Reserved<'_>> {
        // A permanent query may take the place of its last run, whose session is another.
        let is_other = |q: &RunningQuery| !(is_permanent && q.checkpoint() == checkpoint);
        let is_taken = |q: &RunningQuery| q.is_active() && q.name() == Some(name) && is_other(q);
        let session_id = (!is_permanent).then(|| session.id().to_string());
        // First the names that are being taken: a query that has just got its name is among the others before it leaves them.
        let mut starting = self.starting.lock();
        let reserved = ReservedName { session_id, name: name.to_string() };
        // All sessions see what is permanent.
        let is_seen = |q: &RunningQuery| is_permanent || q.is_seen_by(session);
        if starting.iter().any(|other| other.meets(&reserved))
            || self.queries.lock().iter().any(|q| is_seen(q) && is_taken(q))
        {
            return Err(Error::new("_LEGACY_ERROR_TEMP_3280")
                .message(format!("Cannot start query with name {name} as a query with that name is already active in this SparkSession"))
                .exception("IllegalArgumentException"));
        }
        starting.insert(reserved.clone());
        Ok(Reserved { starting: &self.starting, reserved })
    }

    /// Ends the run of a query that is about to run again, whichever session started it, where the session lets it.
    async fn make_way(&self, session: &Arc<Session>, checkpoint: &str, is_permanent: bool) -> Result<()> {
        let id = Checkpoint::known_query_id(&Directory::open(session, checkpoint)?).await?;
        let running =
            self.queries.lock().iter().find(|q| Some(&q.id().id) == id.as_ref() && q.is_active()).cloned();
        let Some(running) = running else {
            // One that failed would be started by the next server.
            return if is_permanent { Ok(()) } else { permanent::forget_at(session, checkpoint).await };
        };
        let QueryId { id, run_id } = running.id();
        if settings::flag(session, STOP_ACTIVE_RUN, true) {
            tracing::warn!("the streaming query {id} is started again: its run {run_id} is stopped");
            if !is_permanent {
                permanent::forget(session, &running).await?;
            }
            return running.stop().await;
        }
        Err(Error::new("")
            .message(format!(
                "Cannot start query with id {id} as another query with same id is already active. Perhaps you are attempting to restart a \
                 query from checkpoint that is already active. You may stop the old query by setting the SQL configuration: \
                 spark.conf.set(\"{STOP_ACTIVE_RUN}\", true) and retry."
            ))
            .exception("IllegalStateException"))
    }

    /// Counts a query among those that run. One query runs once.
    fn enter(&self, query: Arc<RunningQuery>) -> Result<Arc<RunningQuery>> {
        let mut queries = self.queries.lock();
        if queries.iter().any(|q| q.id().id == query.id().id && q.is_active()) {
            return Err(Error::new("CONCURRENT_QUERY")
                .message("Another instance of this query was just started by a concurrent session.")
                .exception("IllegalStateException"));
        }
        queries.push(Arc::clone(&query));
        self.started.send_modify(|n| *n += 1);
        Ok(query)
    }

    /// The active queries of a session, and those that are permanent.
    pub fn active(&self, session: &Session) -> Vec<Arc<RunningQuery>> {
        self.queries.lock().iter().filter(|q| q.is_seen_by(session) && q.is_active()).cloned().collect()
    }

    /// A run of a query, active or ended.
    pub fn find(&self, session: &Session, id: &QueryId) -> Result<Arc<RunningQuery>> {
        let queries = self.queries.lock();
        let found = queries.iter().rev().find(|q| q.is_seen_by(session) && q.id() == id);
        found.cloned().ok_or_else(|| {
            Error::new("STREAMING_QUERY_NOT_FOUND")
                .param("id", &id.id)
                .message(format!("Streaming query {} is not found, or belongs to another session.", id.id))
        })
    }

    /// The active query of an id.
    pub fn get(&self, session: &Session, id: &str) -> Option<NamedQuery> {
        self.active(session).into_iter().find(|q| q.id().id == id).map(|q| q.named())
    }

    /// Waits until a query of the session ends, one of those active then or one that ended since the last reset.
    pub async fn await_any_termination(&self, session: &Session, timeout_ms: Option<i64>) -> Result<bool> {
        let mut ended = Vec::new();
        if !within(timeout_ms, async { ended = self.any_ended(session).await }).await {
            return Ok(false);
        }
        ended.iter().find_map(|q| q.failure()).map_or(Ok(true), Err)
    }

    /// The queries of the session that have ended since the last reset, once there are any; also one that is started later.
    async fn any_ended(&self, session: &Session) -> Vec<Arc<RunningQuery>> {
        let mut started = self.started.subscribe();
        loop {
            started.mark_unchanged();
            let mine: Vec<_> =
                self.queries.lock().iter().filter(|q| q.session_id() == session.id()).cloned().collect();
            let ended: Vec<_> = mine.iter().filter(|q| q.is_end_remembered()).cloned().collect();
            if !ended.is_empty() {
                return ended;
            }
            let mut waiting: FuturesUnordered<_> =
                mine.iter().filter(|q| q.is_active()).map(|q| q.wait()).collect();
            tokio::select! {
                Some(()) = waiting.next() => {}
                _ = started.changed() => {}
            }
        }
    }

    pub fn reset_terminated(&self, session: &Session) {
        for query in self.queries.lock().iter().filter(|q| q.session_id() == session.id()) {
            query.forget_end();
        }
    }

    /// Sends the events of a session's queries.
    pub fn listen(&self, session: &Session) -> mpsc::Receiver<QueryEvent> {
        let (sender, receiver) = mpsc::channel(WAITING_EVENTS);
        self.listeners.0.lock().insert(session.id().to_string(), sender);
        receiver
    }

    pub fn stop_listening(&self, session: &Session) {
        self.listeners.0.lock().remove(session.id());
    }

    /// Stops all queries, all of them at once.
    pub async fn shutdown(&self) {
        let all: Vec<_> = self.queries.lock().clone();
        for stopped in join_all(all.iter().map(|query| query.stop())).await {
            if let Err(e) = stopped {
                tracing::warn!("{e}");
            }
        }
        self.listeners.0.lock().clear();
    }

    fn forget_old(&self) {
        let before = clock::now_ms() - REMEMBERED_MS;
        self.queries.lock().retain(|q| q.ended_ms().is_none_or(|at| at > before));
    }
}

/// The name of a query that is being started.
struct Reserved<'a> {
    starting: &'a Mutex<HashSet<ReservedName>>,
    reserved: ReservedName,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ReservedName {
    /// The session that sees it; all do where `None`.
    session_id: Option<String>,
    name: String,
}

impl ReservedName {
    /// Whether a session sees both.
    fn meets(&self, other: &Self) -> bool {
        let apart =
            self.session_id.is_some() && other.session_id.is_some() && self.session_id != other.session_id;
        self.name == other.name && !apart
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.starting.lock().remove(&self.reserved);
    }
}

/// Waits for something, not longer than a time; whether it came.
pub(crate) async fn within(timeout_ms: Option<i64>, what: impl Future<Output = ()>) -> bool {
    match timeout_ms {
        None => {
            what.await;
            true
        }
        Some(ms) => {
            let limit = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
            tokio::time::timeout(limit, what).await.is_ok()
        }
    }
}

/// Where a query keeps its checkpoint.
pub(crate) struct CheckpointPlace {
    pub path: String,
    /// Removed when the query ends.
    pub is_temporary: bool,
}

/// Where the query's option or the session's setting puts its checkpoint.
fn given_checkpoint(session: &Session, start: &StartQuery) -> Option<String> {
    if let Some(path) = option(&start.options, "checkpointLocation").filter(|p| !p.is_empty()) {
        return Some(path.to_string());
    }
    let root = session.conf().get("spark.sql.streaming.checkpointLocation").filter(|p| !p.is_empty())?;
    let name = start.query_name.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    Some(format!("{}/{name}", root.trim_end_matches('/')))
}

fn checkpoint(session: &Arc<Session>, start: &StartQuery, target: &Target) -> Result<CheckpointPlace> {
    if let Some(path) = given_checkpoint(session, start) {
        return Ok(CheckpointPlace { path, is_temporary: false });
    }
    if !target.takes_temporary_checkpoint() {
        return Err(Error::new("_LEGACY_ERROR_TEMP_3266")
            .message(
                "checkpointLocation must be specified either through option(\"checkpointLocation\", ...) or \
                 SparkSession.conf.set(\"spark.sql.streaming.checkpointLocation\", ...)",
            )
            .exception("AnalysisException"));
    }
    let directory = session.engine().scratch().join(format!("temporary-{}", uuid::Uuid::new_v4()));
    Ok(CheckpointPlace { path: format!("file:{}", directory.display()), is_temporary: true })
}

/// The rows of a memory sink are gone with its query: it cannot go on from a checkpoint.
async fn refuse_recovery(session: &Arc<Session>, path: &str) -> Result<()> {
    let offsets = Directory::open(session, path)?.child("offsets");
    if offsets.list().await?.is_empty() {
        return Ok(());
    }
    Err(Error::new("_LEGACY_ERROR_TEMP_3283")
        .param("checkpointPath", offsets.display())
        .message(format!(
            "This query does not support recovering from checkpoint location. Delete {} to start over.",
            offsets.display()
        ))
        .exception("AnalysisException"))
}
