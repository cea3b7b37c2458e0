//! How a query is started, and what can be asked of it.

use boathouse_spec::{Name, Options, PythonFunction, Relation};

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
    pub cluster_by: Vec<Name>,
    pub trigger: Trigger,
    /// `append`, `complete` or `update`; empty means the default.
    pub output_mode: String,
    pub query_name: Option<String>,
    pub target: StreamTarget,
    pub foreach: Option<PythonFunction>,
    pub foreach_batch: Option<PythonFunction>,
    /// The request itself, as who took it can read it again.
    pub request: Option<Vec<u8>>,
}

/// The option of queries that are started with every server.
pub const PERMANENT: &str = "permanent";

/// What has to be known of a query to start it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permanent {
    pub name: String,
    pub checkpoint: String,
    pub request: Vec<u8>,
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
