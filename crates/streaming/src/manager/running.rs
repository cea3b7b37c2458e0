//! A query that runs, as those see it who ask.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use boathouse_engine::Session;
use boathouse_spec::{Error, Result, clock};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::settings;
use crate::start::{NamedQuery, QueryFailure, QueryId, QueryStatus};

const STOP_TIMEOUT: &str = "spark.sql.streaming.stopTimeout";

pub struct RunningQuery {
    session_id: String,
    id: QueryId,
    name: Option<String>,
    checkpoint: String,
    is_permanent: bool,
    pub(super) stop: CancellationToken,
    /// Progress events that are kept.
    kept_progress: usize,
    /// How long the query may take to stop, in milliseconds; without end where it is 0.
    stop_timeout_ms: i64,
    state: Mutex<State>,
    /// Whether the query has ended.
    ended: watch::Sender<bool>,
    /// Whether the end was one of those that `resetTerminated` forgot.
    is_end_forgotten: AtomicBool,
    /// Triggers begun, and the last of those that found nothing new.
    pub(super) triggers: watch::Sender<Triggers>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Triggers {
    pub begun: u64,
    pub last_idle: u64,
}

struct State {
    status: QueryStatus,
    progress: VecDeque<String>,
    failure: Option<Error>,
    ended_ms: Option<i64>,
    explanation: String,
}

impl RunningQuery {
    pub(super) fn new(
        session: &Session,
        id: QueryId,
        name: Option<String>,
        checkpoint: &str,
        is_permanent: bool,
    ) -> Arc<Self> {
        let kept = settings::number(session, "spark.sql.streaming.numRecentProgressUpdates", 100);
        let status = QueryStatus {
            message: "Initializing sources".to_string(),
            is_data_available: false,
            is_trigger_active: false,
            is_active: true,
        };
        Arc::new(Self {
            session_id: session.id().to_string(),
            id,
            name,
            checkpoint: checkpoint.to_string(),
            is_permanent,
            stop: CancellationToken::new(),
            kept_progress: usize::try_from(kept).unwrap_or(0),
            stop_timeout_ms: settings::milliseconds(session, STOP_TIMEOUT, 0),
            state: Mutex::new(State {
                status,
                progress: VecDeque::new(),
                failure: None,
                ended_ms: None,
                explanation: "No physical plan. Waiting for data.".to_string(),
            }),
            ended: watch::Sender::new(false),
            is_end_forgotten: AtomicBool::new(false),
            triggers: watch::Sender::new(Triggers::default()),
        })
    }

    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    pub fn id(&self) -> &QueryId {
        &self.id
    }

    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// As users write it.
    pub(super) fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// Whether it is nobody's but the server's, and is started with it.
    pub fn is_permanent(&self) -> bool {
        self.is_permanent
    }

    pub(super) fn is_seen_by(&self, session: &Session) -> bool {
        self.is_seen_by_session(session.id())
    }

    pub(super) fn is_seen_by_session(&self, id: &str) -> bool {
        self.is_permanent || self.session_id == id
    }

    pub fn named(&self) -> NamedQuery {
        NamedQuery { id: self.id.clone(), name: self.name.clone() }
    }

    pub fn is_active(&self) -> bool {
        !*self.ended.borrow()
    }

    /// Whether the query has ended, and nobody said that this is to be forgotten.
    pub(super) fn is_end_remembered(&self) -> bool {
        !self.is_active() && !self.is_end_forgotten.load(Ordering::Relaxed)
    }

    /// Forgets that the query has ended, where it has.
    pub(super) fn forget_end(&self) {
        if !self.is_active() {
            self.is_end_forgotten.store(true, Ordering::Relaxed);
        }
    }

    /// When the query ended, in milliseconds since the epoch.
    pub fn ended_ms(&self) -> Option<i64> {
        self.state.lock().ended_ms
    }

    pub fn status(&self) -> QueryStatus {
        self.state.lock().status.clone()
    }

    /// The last progress events as JSON, the oldest first.
    pub fn recent_progress(&self) -> Vec<String> {
        self.state.lock().progress.iter().cloned().collect()
    }

    pub fn last_progress(&self) -> Option<String> {
        self.state.lock().progress.back().cloned()
    }

    /// The plan of the last batch.
    pub fn explanation(&self) -> String {
        self.state.lock().explanation.clone()
    }

    /// The error that `awaitTermination` raises.
    pub fn failure(&self) -> Option<Error> {
        self.state.lock().failure.clone()
    }

    /// The error as `query.exception()` shows it.
    pub fn exception(&self) -> Option<QueryFailure> {
        self.failure().map(|e| QueryFailure {
            // The client takes what stands behind the first colon.
            message: format!("org.apache.spark.sql.streaming.StreamingQueryException: {e}"),
            error_class: Some(e.class().to_string()),
            stack_trace: None,
        })
    }

    /// Waits until the query has ended.
    pub async fn wait(&self) {
        let mut ended = self.ended.subscribe();
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Waits until the query has ended, and gives the error it ended with.
    pub async fn await_termination(&self, timeout_ms: Option<i64>) -> Result<bool> {
        let ended = super::within(timeout_ms, self.wait()).await;
        match self.failure() {
            Some(failure) if ended => Err(failure),
            _ => Ok(ended),
        }
    }

    /// Waits until everything that was there at the call is processed.
    pub async fn process_all_available(&self) -> Result<()> {
        let mut triggers = self.triggers.subscribe();
        let begun = triggers.borrow().begun;
        let idle = async {
            let _ = triggers.wait_for(|t| t.last_idle > begun).await;
        };
        tokio::select! {
            () = idle => {}
            () = self.wait() => {}
        }
        self.failure().map_or(Ok(()), Err)
    }

    /// Stops the query and waits for its end, as long as the session said when it was started.
    pub async fn stop(&self) -> Result<()> {
        self.stop.cancel();
        let limit = (self.stop_timeout_ms > 0).then_some(self.stop_timeout_ms);
        if super::within(limit, self.wait()).await {
            return Ok(());
        }
        Err(Error::new("")
            .message(format!(
                "Stream Execution thread for stream [id = {}, runId = {}] failed to stop within {} milliseconds (specified by \
                 {STOP_TIMEOUT}). See the cause on what was being executed in the streaming query thread.",
                self.id.id, self.id.run_id, self.stop_timeout_ms
            ))
            .exception("TimeoutException"))
    }

    pub(super) fn set_status(&self, message: &str, is_data_available: bool, is_trigger_active: bool) {
        let mut state = self.state.lock();
        state.status = QueryStatus {
            message: message.to_string(),
            is_data_available,
            is_trigger_active,
            is_active: true,
        };
    }

    pub(super) fn add_progress(&self, json: String) {
        let mut state = self.state.lock();
        state.progress.push_back(json);
        if state.progress.len() > self.kept_progress {
            state.progress.pop_front();
        }
    }

    pub(super) fn set_explanation(&self, text: String) {
        self.state.lock().explanation = text;
    }

    pub(super) fn end(&self, cause: Option<&Error>) {
        {
            let mut state = self.state.lock();
            state.ended_ms = Some(clock::now_ms());
            state.failure = cause.map(|e| self.failed(e));
            let message = match cause {
                Some(e) => format!("Terminated with exception: {}", e.text()),
                None => "Stopped".to_string(),
            };
            state.status = QueryStatus { message, ..QueryStatus::default() };
        }
        self.ended.send_replace(true);
    }

    fn failed(&self, cause: &Error) -> Error {
        Error::new("STREAM_FAILED")
            .param("id", &self.id.id)
            .param("runId", &self.id.run_id)
            .param("message", cause)
            .message(format!(
                "Query [id = {}, runId = {}] terminated with exception: {cause}",
                self.id.id, self.id.run_id
            ))
            .exception("StreamingQueryException")
    }
}
