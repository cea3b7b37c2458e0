//! The life of a running query: triggers, batches, events, the end.

use std::sync::Arc;
use std::time::Duration;

use boathouse_engine::{Busy, Session};
use boathouse_spec::{Error, Result, clock};
use serde_json::json;

use super::running::RunningQuery;
use super::{CheckpointPlace, Listeners};
use crate::checkpoint::{Directory, InFlight};
use crate::interval;
use crate::micro_batch::MicroBatchQuery;
use crate::progress::{Progress, timestamp};
use crate::settings;
use crate::start::{self, QueryEvent, QueryEventKind};

/// How long to wait before looking for new data again where rows are to come out at once: longer each time that there are none.
const SOON: Duration = Duration::from_millis(2);
const LATER: Duration = Duration::from_millis(16);

/// Whether temporary checkpoints are deleted also where their query failed.
const FORCE_DELETE: &str = "spark.sql.streaming.forceDeleteTempCheckpointLocation";

/// When batches run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// Milliseconds from one to the next; 0: as soon as the one before is done.
    Every(i64),
    AvailableNow,
    Once,
    /// As soon as rows have come; milliseconds from one checkpoint to the next, at most.
    Continuous(i64),
    /// As soon as rows have come; milliseconds that a batch may last.
    RealTime(i64),
}

impl Trigger {
    /// Whether rows are to come out as they come.
    pub fn is_low_latency(self) -> bool {
        matches!(self, Self::Continuous(_) | Self::RealTime(_))
    }

    pub fn parse(trigger: &start::Trigger) -> Result<Self> {
        match trigger {
            start::Trigger::Default => Ok(Self::Every(0)),
            start::Trigger::ProcessingTime(text) => {
                interval(text, 0, "the interval of trigger should not be negative").map(Self::Every)
            }
            start::Trigger::AvailableNow => Ok(Self::AvailableNow),
            start::Trigger::Once => Ok(Self::Once),
            start::Trigger::Continuous(text) => {
                interval(text, 0, "requirement failed: the interval of trigger should not be negative")
                    .map(Self::Continuous)
            }
            start::Trigger::RealTime(text) => {
                interval(text, 1, "requirement failed: the batch duration should not be negative")
                    .map(Self::RealTime)
            }
        }
    }
}

/// Milliseconds, which must not be fewer than `least`.
fn interval(text: &str, least: i64, otherwise: &str) -> Result<i64> {
    match interval::parse_ms(text) {
        Some(ms) if ms >= least => Ok(ms),
        Some(_) => Err(Error::new("_LEGACY_ERROR_TEMP_3262")
            .message(otherwise)
            .exception("IllegalArgumentException")),
        None => Err(Error::new("INVALID_INTERVAL_FORMAT.UNRECOGNIZED_NUMBER")
            .param("input", text)
            .param("number", text.split_whitespace().next().unwrap_or_default())
            .message(format!(
                "Error parsing '{text}' to interval. Please ensure that the value provided is in a valid format for defining an \
                 interval. You can reference the documentation for the correct format. Unrecognized number {}.",
                text.split_whitespace().next().unwrap_or_default()
            ))
            .exception("IllegalArgumentException")),
    }
}

/// Lets a query run on the engine's threads.
pub(super) fn spawn(
    listeners: Arc<Listeners>,
    session: &Arc<Session>,
    running: Arc<RunningQuery>,
    query: MicroBatchQuery,
    trigger: Trigger,
    checkpoint: CheckpointPlace,
) {
    let polling_ms = settings::milliseconds(session, "spark.sql.streaming.pollingDelay", 10);
    let run = Run {
        listeners,
        _busy: session.busy(),
        session: Arc::clone(session),
        running,
        query,
        last_event_ms: clock::now_ms(),
        polling: Duration::from_millis(u64::try_from(polling_ms).unwrap_or(0)),
        idle_event_ms: settings::milliseconds(
            session,
            "spark.sql.streaming.noDataProgressEventInterval",
            10_000,
        ),
    };
    let handle = session.engine().runtime().clone();
    handle.spawn(run.until_the_end(trigger, checkpoint));
}

struct Run {
    listeners: Arc<Listeners>,
    /// The one that started the query; the query runs in one of its own.
    session: Arc<Session>,
    /// A query keeps its session, however rarely it has something to do.
    _busy: Busy,
    running: Arc<RunningQuery>,
    query: MicroBatchQuery,
    last_event_ms: i64,
    /// How long to wait before looking for new data again.
    polling: Duration,
    /// A query without data tells so this often, in milliseconds.
    idle_event_ms: i64,
}

impl Run {
    async fn until_the_end(mut self, trigger: Trigger, checkpoint: CheckpointPlace) {
        let (stop, closed) = (self.running.stop.clone(), self.session.closed());
        // A panic in a batch is this query's error, and must not leave it looking alive.
        let writes = InFlight::default();
        let batches = writes.of(self.batches(trigger));
        let ended = tokio::select! {
            ended = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(batches)) => {
                ended.unwrap_or_else(|_| Err(Error::internal("The query failed by a defect of the engine. Please report it.")))
            }
            () = stop.cancelled() => Ok(()),
            // A session's end stops its queries.
            () = closed.cancelled() => Ok(()),
        };
        writes.done().await;
        let ended = match ended {
            Ok(()) => self.last_epoch().await,
            failed => failed,
        };
        if let Err(e) = &ended {
            tracing::error!("the streaming query {} failed: {e}", self.query.id());
        }
        // What became of a query that failed may be looked at, unless the session says otherwise.
        let is_kept = ended.is_err() && !settings::flag(&self.session, FORCE_DELETE, false);
        if checkpoint.is_temporary
            && !is_kept
            && let Ok(directory) = Directory::open(&self.session, &checkpoint.path)
        {
            directory.delete_all().await;
        }
        let exception = ended.as_ref().err();
        self.running.end(exception);
        let event = json!({
            "id": self.query.id(),
            "runId": self.query.run_id(),
            "exception": exception.map(ToString::to_string),
            "errorClassOnException": exception.map(|e| e.class().to_string()),
        });
        self.post(QueryEventKind::Terminated, event.to_string());
    }

    /// What was read and not noted yet is noted when a query is stopped.
    async fn last_epoch(&mut self) -> Result<()> {
        if let Some(progress) = self.query.end_epoch(true).await? {
            self.progress(&progress);
        }
        self.query.settled().await
    }

    async fn batches(&mut self, trigger: Trigger) -> Result<()> {
        match trigger {
            Trigger::Once => self.trigger(true).await.map(|_| ()),
            Trigger::AvailableNow => {
                self.query.prepare_available_now().await?;
                while self.trigger(false).await? {}
                Ok(())
            }
            Trigger::Continuous(ms) | Trigger::RealTime(ms) => {
                self.query.run_in_epochs(Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
                let mut pause = SOON;
                loop {
                    if self.trigger(false).await? {
                        pause = SOON;
                        continue;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LATER);
                }
            }
            Trigger::Every(ms) => loop {
                let begun_ms = clock::now_ms();
                let found = self.trigger(false).await?;
                let pause = match ms {
                    0 if found => continue,
                    0 => self.polling,
                    // Triggers are at multiples of the interval, as Spark has them. A clock that was set back meanwhile makes
                    // none of them longer.
                    ms => {
                        let next = begun_ms.div_euclid(ms).saturating_add(1).saturating_mul(ms);
                        let pause = next.saturating_sub(clock::now_ms()).min(ms);
                        Duration::from_millis(u64::try_from(pause).unwrap_or(0))
                    }
                };
                tokio::time::sleep(pause).await;
            },
        }
    }

    /// Runs one trigger; whether there was something to do.
    async fn trigger(&mut self, all: bool) -> Result<bool> {
        let mut number = 0;
        self.running.triggers.send_modify(|t| {
            t.begun += 1;
            number = t.begun;
        });
        // Work is shown as such only once it lasts: a look for new data is no batch.
        self.running.set_status("Getting offsets", false, true);
        let (found, progress) = self.query.look(all).await?;
        if let Some(progress) = progress {
            self.progress(&progress);
        }
        if found {
            self.running.set_status("Processing new data", true, false);
        } else {
            self.running.triggers.send_modify(|t| t.last_idle = number);
            self.running.set_status("Waiting for data to arrive", false, false);
            self.idle();
        }
        Ok(found)
    }

    fn progress(&mut self, progress: &Progress) {
        let json = progress.json();
        self.running.add_progress(json.to_string());
        self.last_event_ms = clock::now_ms();
        if let Some(text) = self.query.explanation() {
            self.running.set_explanation(text);
        }
        self.post(QueryEventKind::Progress, json!({ "progress": json }).to_string());
    }

    fn idle(&mut self) {
        let now = clock::now_ms();
        // The clock may have been set back.
        if (0..self.idle_event_ms).contains(&(now - self.last_event_ms)) {
            return;
        }
        self.last_event_ms = now;
        let event =
            json!({ "id": self.query.id(), "runId": self.query.run_id(), "timestamp": timestamp(now) });
        self.post(QueryEventKind::Idle, event.to_string());
    }

    fn post(&self, kind: QueryEventKind, json: String) {
        self.listeners.post(&self.running, &QueryEvent { kind, json });
    }
}
