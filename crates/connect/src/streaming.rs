//! Streaming queries, as the protocol speaks of them. Who runs them implements [`StreamingHandler`].

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::Session;
use boathouse_spec::{Options, PythonFunction, Relation, Result};
use tokio::sync::mpsc;

/// A query, and one run of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryId {
    pub id: String,
    pub run_id: String,
}

/// `df.writeStream...start()`
#[derive(Debug, Clone, PartialEq)]
pub struct StartQuery {
    pub input: Relation,
    /// Empty means the default.
    pub format: String,
    pub options: Options,
    pub partition_by: Vec<String>,
    pub cluster_by: Vec<String>,
    pub trigger: Trigger,
    /// `append`, `complete` or `update`; empty means the default.
    pub output_mode: String,
    pub query_name: Option<String>,
    pub target: StreamTarget,
    pub foreach: Option<PythonFunction>,
    pub foreach_batch: Option<PythonFunction>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// As soon as the last batch is done.
    Default,
    /// An interval as text: `10 seconds`.
    ProcessingTime(String),
    AvailableNow,
    Once,
    Continuous(String),
    RealTime(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamTarget {
    /// The format takes it from its options, or needs none.
    None,
    Path(String),
    Table(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedQuery {
    pub id: QueryId,
    pub name: String,
    /// The event for listeners, as JSON.
    pub started_event: Option<String>,
}

/// A request about one query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryRequest {
    Status,
    LastProgress,
    RecentProgress,
    Stop,
    ProcessAllAvailable,
    Explain { extended: bool },
    Exception,
    AwaitTermination { timeout_ms: Option<i64> },
}

/// What a query answers; each request has its own answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryAnswer {
    Status(QueryStatus),
    /// Progress events as JSON, oldest first.
    Progress(Vec<String>),
    Explanation(String),
    Exception(Option<QueryFailure>),
    Terminated(bool),
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryStatus {
    pub message: String,
    pub is_data_available: bool,
    pub is_trigger_active: bool,
    pub is_active: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryFailure {
    pub message: String,
    pub error_class: Option<String>,
    pub stack_trace: Option<String>,
}

/// A request about all queries of a session.
#[derive(Debug, Clone, PartialEq)]
pub enum ManagerRequest {
    Active,
    Get(String),
    AwaitAnyTermination { timeout_ms: Option<i64> },
    ResetTerminated,
    AddListener { id: String, listener: PythonFunction },
    RemoveListener { id: String },
    ListListeners,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManagerAnswer {
    Active(Vec<NamedQuery>),
    Query(Option<NamedQuery>),
    Terminated(bool),
    Listeners(Vec<String>),
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedQuery {
    pub id: QueryId,
    pub name: Option<String>,
}

/// An event for the listeners of a client, as the JSON that Spark's listeners get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryEvent {
    pub kind: QueryEventKind,
    pub json: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryEventKind {
    Progress,
    Terminated,
    Idle,
}

/// Runs streaming queries for the service. Without one, streaming commands are refused by name.
#[async_trait]
pub trait StreamingHandler: Send + Sync {
    async fn start(&self, session: &Arc<Session>, query: StartQuery) -> Result<StartedQuery>;

    async fn query(&self, session: &Arc<Session>, id: &QueryId, request: QueryRequest)
    -> Result<QueryAnswer>;

    async fn manage(&self, session: &Arc<Session>, request: ManagerRequest) -> Result<ManagerAnswer>;

    /// Starts sending the events of all queries of the session, until [`StreamingHandler::stop_listening`] or until
    /// the receiver is dropped.
    async fn listen(&self, session: &Arc<Session>) -> Result<mpsc::Receiver<QueryEvent>>;

    async fn stop_listening(&self, session: &Arc<Session>) -> Result<()>;
}
