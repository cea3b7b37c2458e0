//! Streaming queries, as the protocol speaks of them. Who runs them implements [`StreamingHandler`].

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::Session;
use boathouse_spec::{PythonFunction, Result};
use tokio::sync::mpsc;

pub use boathouse_streaming::{
    NamedQuery, PERMANENT, Permanent, QueryEvent, QueryEventKind, QueryFailure, QueryId, QueryStatus,
    StartQuery, StartedQuery, StreamTarget, Trigger,
};

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
