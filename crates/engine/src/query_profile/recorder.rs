//! What goes along with a statement and writes it into the history when it has come to its end.

use std::fmt::{self, Write};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use boathouse_catalog::QueryRecord;
use boathouse_delta::PlanWatch;
use boathouse_spec::{Error, Plan, Relation, RelationNode, Result, clock};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::physical_plan::ExecutionPlan;
use futures::Stream;
use parking_lot::Mutex;

use super::{OperatorProfile, Totals};
use crate::commands::name_of;
use crate::memory::QueryMemory;
use crate::{QueryResult, Session};

/// Characters of a statement that the history keeps.
const STATEMENT_LIMIT: usize = 10_000;

struct Recorder {
    session: Arc<Session>,
    statement: String,
    started_at_us: i64,
    ran: Mutex<Ran>,
}

#[derive(Default)]
struct Ran {
    plans: Vec<Arc<dyn ExecutionPlan>>,
    /// Of plans that have run and are gone.
    ended: Vec<OperatorProfile>,
    memory: Vec<Arc<QueryMemory>>,
    rows: usize,
    /// A command has done its work when it gives its rows, whether somebody takes them or not.
    is_command: bool,
    is_over: bool,
}

tokio::task_local! {
    static CURRENT: Arc<Recorder>;
}

/// Notes that a plan is about to run.
pub(crate) fn note(plan: &Arc<dyn ExecutionPlan>) {
    let _ = CURRENT.try_with(|recorder| recorder.ran.lock().plans.push(Arc::clone(plan)));
}

/// What watches the plans that a statement of a table has run by itself. Plans are not kept: they may hold what they joined.
pub(crate) fn plan_watch() -> Option<Arc<PlanWatch>> {
    let recorder = CURRENT.try_with(Arc::downgrade).ok()?;
    Some(PlanWatch::new(move |plan| {
        if let Some(recorder) = recorder.upgrade() {
            recorder.ran.lock().ended.push(OperatorProfile::of(plan));
        }
    }))
}

/// Notes that the statement is a command.
pub(crate) fn note_command() {
    let _ = CURRENT.try_with(|recorder| recorder.ran.lock().is_command = true);
}

/// Notes whose memory the running plan takes.
pub(crate) fn note_memory(memory: &Arc<QueryMemory>) {
    let _ = CURRENT.try_with(|recorder| recorder.ran.lock().memory.push(Arc::clone(memory)));
}

/// Runs a statement and keeps in the history what it did.
pub(crate) async fn recorded(
    session: &Arc<Session>,
    statement: String,
    run: impl Future<Output = Result<QueryResult>>,
) -> Result<QueryResult> {
    let recorder = Arc::new(Recorder {
        session: Arc::clone(session),
        statement,
        started_at_us: clock::now_us(),
        ran: Mutex::default(),
    });
    match CURRENT.scope(Arc::clone(&recorder), run).await {
        Ok(result) => {
            Ok(QueryResult { stream: Box::pin(Watched { rows: result.stream, recorder }), ..result })
        }
        Err(e) => {
            recorder.end(Err(&e));
            Err(e)
        }
    }
}

/// What the history calls a plan: its SQL, or the name of its topmost node.
pub(crate) fn text_of(plan: &Plan) -> String {
    let text = match plan {
        Plan::Query(Relation { node, .. }) => match node.as_ref() {
            RelationNode::Sql(sql) => sql.text.clone(),
            RelationNode::CommandResult(command) => name_of(command),
            node => format!("DataFrame {}", first_word(node)),
        },
        Plan::Command(command) => name_of(command),
    };
    text.chars().take(STATEMENT_LIMIT).collect()
}

/// The first word of what `Debug` writes: the name of an enum's variant. The rest, which may be rows, is not written.
pub(crate) fn first_word(value: &impl fmt::Debug) -> String {
    struct Word(String);
    impl Write for Word {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let end = text.find(|c: char| !c.is_ascii_alphanumeric());
            self.0.push_str(&text[..end.unwrap_or(text.len())]);
            if end.is_some() { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut word = Word(String::new());
    let _ = write!(word, "{value:?}");
    word.0
}

impl Recorder {
    /// Writes the statement into the history, once.
    fn end(&self, outcome: std::result::Result<bool, &Error>) {
        let mut ran = self.ran.lock();
        if std::mem::replace(&mut ran.is_over, true) {
            return;
        }
        let mut operators = std::mem::take(&mut ran.ended);
        operators.extend(ran.plans.iter().map(OperatorProfile::of));
        let mut totals = Totals::default();
        operators.iter().for_each(|o| o.add_to(&mut totals));
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let peak = (!ran.plans.is_empty()).then(|| ran.memory.iter().map(|m| number(m.peak())).sum());
        let status = match outcome {
            Ok(true) => "FINISHED",
            Ok(false) => "CANCELED",
            Err(_) => "FAILED",
        };
        let record = QueryRecord {
            id: uuid::Uuid::new_v4().to_string(),
            session_id: self.session.id.clone(),
            user: self.session.user.clone(),
            statement: self.statement.clone(),
            status: status.to_string(),
            error_class: outcome.err().map(|e| e.class().to_string()),
            error_message: outcome.err().map(ToString::to_string),
            started_at_us: self.started_at_us,
            duration_us: clock::now_us() - self.started_at_us,
            rows_produced: number(ran.rows),
            peak_memory_bytes: peak,
            spilled_bytes: number(totals.spilled_bytes),
            files_read: number(totals.files_read),
            files_pruned: number(totals.files_pruned),
            bytes_read: number(totals.bytes_read),
            operators: serde_json::to_string(&operators).unwrap_or_default(),
        };
        ran.plans.clear();
        ran.memory.clear();
        self.session.engine.history.keep(record);
    }
}

/// The rows of a statement, to whose end the history looks. A query whose rows nobody takes to their end was canceled.
struct Watched {
    rows: SendableRecordBatchStream,
    recorder: Arc<Recorder>,
}

impl Stream for Watched {
    type Item = datafusion::error::Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.rows.as_mut().poll_next(cx);
        match &next {
            Poll::Ready(Some(Ok(batch))) => self.recorder.ran.lock().rows += batch.num_rows(),
            Poll::Ready(Some(Err(e))) => {
                let error = boathouse_bridge::from_datafusion_ref(e);
                self.recorder.end(Err(&error));
            }
            Poll::Ready(None) => self.recorder.end(Ok(true)),
            Poll::Pending => {}
        }
        next
    }
}

impl RecordBatchStream for Watched {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let is_command = self.recorder.ran.lock().is_command;
        self.recorder.end(Ok(is_command));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // A statement whose future was dropped before it had rows.
        self.end(Ok(false));
    }
}
