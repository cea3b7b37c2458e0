//! One execution: its responses, and the clients that attach to read them.
//!
//! A query produces responses into a bounded buffer; an attached [`Cursor`] takes them out. A client that lost its
//! connection attaches again behind the last response it has seen, so what was sent is kept for a while, until the
//! client releases it. When nobody takes the responses, the query waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boathouse_spec::{Error, Result};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::proto::spark::execute_plan_response::{ResponseType, ResultComplete};
use crate::proto::spark::{ExecutePlanResponse, get_status_response::operation_status::OperationState};

/// What bounds an operation.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub max_unsent_bytes: usize,
    pub max_kept_bytes: usize,
    /// How long one attached stream may last; reattachable operations only.
    pub stream_duration: Duration,
}

pub struct Operation {
    id: String,
    session_id: String,
    server_side_session_id: String,
    tags: Vec<String>,
    is_reattachable: bool,
    /// Of the plan, to tell a repeated request from another one with the same id.
    plan_hash: u64,
    limits: Limits,
    state: Mutex<State>,
    produced: Notify,
    consumed: Notify,
}

struct State {
    kept: VecDeque<Kept>,
    /// Number of the first response in `kept`.
    first: u64,
    /// Number of the first response that was not sent yet.
    unsent: u64,
    unsent_bytes: usize,
    sent_bytes: usize,
    /// The response before `first`, once there was one.
    released: Option<String>,
    outcome: Option<Result<()>>,
    is_interrupted: bool,
    /// Raised by each client that attaches: the one before is cut off.
    cursor: u64,
    is_attached: bool,
    idle_since: Instant,
    task: Option<AbortHandle>,
}

struct Kept {
    id: String,
    response: ExecutePlanResponse,
    bytes: usize,
}

/// What identifies an operation to its client.
pub struct Identity {
    pub id: String,
    pub session_id: String,
    pub server_side_session_id: String,
    pub tags: Vec<String>,
    pub is_reattachable: bool,
    pub plan_hash: u64,
}

impl Operation {
    pub fn new(identity: Identity, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            id: identity.id,
            session_id: identity.session_id,
            server_side_session_id: identity.server_side_session_id,
            tags: identity.tags,
            is_reattachable: identity.is_reattachable,
            plan_hash: identity.plan_hash,
            limits,
            state: Mutex::new(State {
                kept: VecDeque::new(),
                first: 0,
                unsent: 0,
                unsent_bytes: 0,
                sent_bytes: 0,
                released: None,
                outcome: None,
                is_interrupted: false,
                cursor: 0,
                is_attached: false,
                idle_since: Instant::now(),
                task: None,
            }),
            produced: Notify::new(),
            consumed: Notify::new(),
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    pub fn is_reattachable(&self) -> bool {
        self.is_reattachable
    }

    pub fn plan_hash(&self) -> u64 {
        self.plan_hash
    }

    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|t| t == tag)
    }

    /// The task to end when the operation is interrupted.
    pub fn runs_as(&self, task: AbortHandle) {
        let mut state = self.state.lock();
        if state.outcome.is_some() {
            task.abort();
        } else {
            state.task = Some(task);
        }
    }

    /// Adds a response, once there is room for it. Fails when the operation has ended meanwhile.
    pub async fn push(&self, response: ExecutePlanResponse) -> Result<()> {
        let bytes = size_of(&response);
        let mut response = Some(self.addressed(response));
        loop {
            let consumed = self.consumed.notified();
            tokio::pin!(consumed);
            consumed.as_mut().enable();
            {
                let mut state = self.state.lock();
                if let Some(outcome) = &state.outcome {
                    return Err(outcome.clone().err().unwrap_or_else(canceled));
                }
                if state.unsent_bytes == 0 || state.unsent_bytes + bytes <= self.limits.max_unsent_bytes {
                    if let Some(response) = response.take() {
                        state.keep(response, bytes);
                    }
                    drop(state);
                    self.produced.notify_waiters();
                    return Ok(());
                }
            }
            consumed.await;
        }
    }

    /// Ends the operation; only the first outcome counts.
    pub fn finish(&self, outcome: Result<()>) {
        let mut state = self.state.lock();
        if state.outcome.is_some() {
            return;
        }
        if outcome.is_ok() && self.is_reattachable {
            let complete = ResponseType::ResultComplete(ResultComplete {});
            let response = ExecutePlanResponse { response_type: Some(complete), ..Default::default() };
            let bytes = size_of(&response);
            let response = self.addressed(response);
            state.keep(response, bytes);
        }
        state.outcome = Some(outcome);
        state.task = None;
        drop(state);
        self.produced.notify_waiters();
        self.consumed.notify_waiters();
    }

    /// Cancels the operation where it still runs; tells whether it did. What was not sent yet is dropped.
    pub fn interrupt(&self) -> bool {
        let mut state = self.state.lock();
        if state.outcome.is_some() {
            return false;
        }
        state.is_interrupted = true;
        state.outcome = Some(Err(canceled()));
        let sent = (state.unsent - state.first) as usize;
        state.kept.truncate(sent);
        state.unsent_bytes = 0;
        if let Some(task) = state.task.take() {
            task.abort();
        }
        drop(state);
        self.produced.notify_waiters();
        self.consumed.notify_waiters();
        true
    }

    pub fn status(&self) -> OperationState {
        let state = self.state.lock();
        match &state.outcome {
            None => OperationState::Running,
            Some(Ok(())) => OperationState::Succeeded,
            Some(Err(_)) if state.is_interrupted => OperationState::Cancelled,
            Some(Err(_)) => OperationState::Failed,
        }
    }

    /// Whether no client was attached for so long.
    pub fn is_abandoned(&self, detached: Duration) -> bool {
        let state = self.state.lock();
        !state.is_attached && state.idle_since.elapsed() >= detached
    }

    /// Forgets the responses up to and including that one.
    pub fn release_until(&self, response_id: &str) {
        let mut state = self.state.lock();
        let Some(at) = state.kept.iter().position(|k| k.id == response_id) else {
            return;
        };
        for _ in 0..=at {
            state.drop_first();
        }
        drop(state);
        self.consumed.notify_waiters();
    }

    /// Attaches a client behind the last response it saw, or at the start. Whoever was attached is cut off.
    pub fn attach(self: &Arc<Self>, last_seen: Option<&str>) -> Result<Cursor> {
        let mut state = self.state.lock();
        let next = match last_seen {
            None if state.first == 0 => 0,
            None => {
                let gone = state.released.clone().unwrap_or_default();
                return Err(not_available(&gone, state.first));
            }
            Some(id) if state.released.as_deref() == Some(id) => state.first,
            Some(id) => match state.kept.iter().position(|k| k.id == id) {
                Some(at) => state.first + at as u64 + 1,
                None => {
                    return Err(Error::new("INVALID_CURSOR.POSITION_NOT_FOUND")
                        .param("responseId", id)
                        .message(format!("No response with the id {id} was sent.")));
                }
            },
        };
        state.cursor += 1;
        state.is_attached = true;
        let number = state.cursor;
        drop(state);
        self.produced.notify_waiters();
        let until = self.is_reattachable.then(|| Instant::now() + self.limits.stream_duration);
        Ok(Cursor { operation: Arc::clone(self), number, next, until })
    }

    fn addressed(&self, response: ExecutePlanResponse) -> ExecutePlanResponse {
        ExecutePlanResponse {
            session_id: self.session_id.clone(),
            server_side_session_id: self.server_side_session_id.clone(),
            operation_id: self.id.clone(),
            response_id: Uuid::new_v4().to_string(),
            ..response
        }
    }
}

impl State {
    fn keep(&mut self, response: ExecutePlanResponse, bytes: usize) {
        self.unsent_bytes += bytes;
        self.kept.push_back(Kept { id: response.response_id.clone(), response, bytes });
    }

    fn drop_first(&mut self) {
        let Some(kept) = self.kept.pop_front() else { return };
        if self.first < self.unsent {
            self.sent_bytes -= kept.bytes;
        } else {
            self.unsent_bytes -= kept.bytes;
            self.unsent = self.first + 1;
        }
        self.released = Some(kept.id);
        self.first += 1;
    }

    /// The response of that number, which counts as sent from now on.
    fn send(
        &mut self,
        number: u64,
        is_reattachable: bool,
        max_kept_bytes: usize,
    ) -> Option<ExecutePlanResponse> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let kept = self.kept.get(at)?;
        let (bytes, response) = (kept.bytes, kept.response.clone());
        if number >= self.unsent {
            self.unsent = number + 1;
            self.unsent_bytes -= bytes;
            self.sent_bytes += bytes;
        }
        let limit = if is_reattachable { max_kept_bytes } else { 0 };
        while self.sent_bytes > limit && self.first < self.unsent && (self.first < number || !is_reattachable)
        {
            self.drop_first();
        }
        Some(response)
    }
}

/// A client reading the responses of an operation.
pub struct Cursor {
    operation: Arc<Operation>,
    number: u64,
    next: u64,
    until: Option<Instant>,
}

impl Cursor {
    /// The next response; an error ends the stream. `None` ends it too: either all was sent, or the client shall attach
    /// again for the rest.
    pub async fn next(&mut self) -> Option<Result<ExecutePlanResponse>> {
        let operation = Arc::clone(&self.operation);
        loop {
            let produced = operation.produced.notified();
            tokio::pin!(produced);
            produced.as_mut().enable();
            {
                let mut state = operation.state.lock();
                if state.cursor != self.number {
                    return Some(Err(Error::new("INVALID_CURSOR.DISCONNECTED")
                        .message("Another request has attached to the operation.")));
                }
                if self.next < state.first {
                    let gone = state.released.clone().unwrap_or_default();
                    return Some(Err(not_available(&gone, self.next)));
                }
                if let Some(response) =
                    state.send(self.next, operation.is_reattachable, operation.limits.max_kept_bytes)
                {
                    self.next += 1;
                    drop(state);
                    operation.consumed.notify_waiters();
                    return Some(Ok(response));
                }
                match &state.outcome {
                    Some(Ok(())) => return None,
                    Some(Err(error)) => return Some(Err(error.clone())),
                    None => {}
                }
            }
            match self.until {
                Some(until) => {
                    if tokio::time::timeout_at(until.into(), produced).await.is_err() {
                        return None;
                    }
                }
                None => produced.await,
            }
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        let mut state = self.operation.state.lock();
        if state.cursor == self.number {
            state.is_attached = false;
            state.idle_since = Instant::now();
        }
        drop(state);
        // Nobody can come back for the rest.
        if !self.operation.is_reattachable {
            self.operation.interrupt();
        }
    }
}

/// Bytes a response occupies, about.
fn size_of(response: &ExecutePlanResponse) -> usize {
    256 + match &response.response_type {
        Some(ResponseType::ArrowBatch(batch)) => batch.data.len(),
        _ => prost::Message::encoded_len(response),
    }
}

pub fn canceled() -> Error {
    Error::new("OPERATION_CANCELED").message("The operation was canceled.")
}

fn not_available(response_id: &str, index: u64) -> Error {
    Error::new("INVALID_CURSOR.POSITION_NOT_AVAILABLE")
        .param("responseId", response_id)
        .param("index", index)
        .message(format!(
            "The response {response_id} (number {index}) was released and cannot be sent again."
        ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::spark::execute_plan_response::ArrowBatch;

    const LIMITS: Limits =
        Limits { max_unsent_bytes: 2000, max_kept_bytes: 3000, stream_duration: Duration::from_secs(60) };

    fn operation(is_reattachable: bool) -> Arc<Operation> {
        let identity = Identity {
            id: "op".into(),
            session_id: "s".into(),
            server_side_session_id: "ss".into(),
            tags: vec!["t".into()],
            is_reattachable,
            plan_hash: 0,
        };
        Operation::new(identity, LIMITS)
    }

    fn batch(bytes: usize) -> ExecutePlanResponse {
        let batch = ArrowBatch { data: vec![0; bytes].into(), ..Default::default() };
        ExecutePlanResponse { response_type: Some(ResponseType::ArrowBatch(batch)), ..Default::default() }
    }

    async fn ids(cursor: &mut Cursor) -> Vec<String> {
        let mut ids = Vec::new();
        while let Some(Ok(response)) = cursor.next().await {
            ids.push(response.response_id);
        }
        ids
    }

    #[tokio::test]
    async fn a_client_continues_where_it_was() {
        let op = operation(true);
        for _ in 0..3 {
            op.push(batch(10)).await.unwrap();
        }
        op.finish(Ok(()));
        let all = ids(&mut op.attach(None).unwrap()).await;
        assert_eq!(all.len(), 4, "three batches and the end");
        assert_eq!(ids(&mut op.attach(Some(&all[1])).unwrap()).await, all[2..]);
        op.release_until(&all[1]);
        let error = op.attach(None).err().unwrap();
        assert_eq!(error.class(), "INVALID_CURSOR.POSITION_NOT_AVAILABLE");
        assert_eq!(ids(&mut op.attach(Some(&all[1])).unwrap()).await, all[2..]);
        assert_eq!(op.attach(Some("x")).err().unwrap().class(), "INVALID_CURSOR.POSITION_NOT_FOUND");
    }

    #[tokio::test]
    async fn a_query_waits_for_its_reader() {
        let op = operation(true);
        op.push(batch(1500)).await.unwrap();
        let waiting = Arc::clone(&op);
        let mut second = tokio::spawn(async move { waiting.push(batch(1500)).await });
        assert!(
            tokio::time::timeout(Duration::from_millis(50), &mut second).await.is_err(),
            "there was no room"
        );
        let mut cursor = op.attach(None).unwrap();
        cursor.next().await.unwrap().unwrap();
        second.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn sent_responses_are_kept_within_bounds() {
        let op = operation(true);
        let mut cursor = op.attach(None).unwrap();
        for _ in 0..10 {
            op.push(batch(1500)).await.unwrap();
            cursor.next().await.unwrap().unwrap();
        }
        let state = op.state.lock();
        assert!(state.sent_bytes <= LIMITS.max_kept_bytes && state.kept.len() == 1, "{}", state.kept.len());
    }

    #[tokio::test]
    async fn the_later_client_wins() {
        let op = operation(true);
        let mut first = op.attach(None).unwrap();
        let mut second = op.attach(None).unwrap();
        op.push(batch(1)).await.unwrap();
        let error = first.next().await.unwrap().unwrap_err();
        assert_eq!(error.class(), "INVALID_CURSOR.DISCONNECTED");
        drop(first);
        assert!(second.next().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn interrupting_ends_reader_and_producer() {
        let op = operation(true);
        op.push(batch(1900)).await.unwrap();
        let waiting = Arc::clone(&op);
        let producer = tokio::spawn(async move { waiting.push(batch(1900)).await });
        let mut cursor = op.attach(None).unwrap();
        tokio::task::yield_now().await;
        assert!(op.interrupt());
        assert!(!op.interrupt());
        assert_eq!(cursor.next().await.unwrap().unwrap_err().class(), "OPERATION_CANCELED");
        assert!(producer.await.unwrap().is_err());
        assert_eq!(op.status(), OperationState::Cancelled);
    }

    #[tokio::test]
    async fn an_operation_that_cannot_be_attached_again_ends_with_its_reader() {
        let op = operation(false);
        let cursor = op.attach(None).unwrap();
        drop(cursor);
        assert_eq!(op.status(), OperationState::Cancelled);
        assert_eq!(op.push(batch(1)).await.unwrap_err().class(), "OPERATION_CANCELED");
    }
}
