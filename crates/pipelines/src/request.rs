//! What clients ask: they create a graph, define its outputs and flows (or send SQL files to be read), and start a run,
//! whose events come back as a stream. The messages of `spark.connect.PipelineCommand`, without their encoding.

use boathouse_spec::{Expr, Name, Options, Relation, StructType};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreateGraph {
    pub default_catalog: Option<String>,
    pub default_database: Option<String>,
    pub sql_conf: Options,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    MaterializedView,
    StreamingTable,
    TemporaryView,
    Sink,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DefineOutput {
    pub graph_id: String,
    pub name: String,
    pub kind: OutputKind,
    pub comment: Option<String>,
    pub location: SourceLocation,
    pub table: Option<TableDetails>,
    pub sink: Option<SinkDetails>,
    /// A message of the client's own, for outputs the protocol has no fields for.
    pub extension: Option<Extension>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct TableDetails {
    pub properties: Options,
    pub partition_by: Vec<String>,
    pub cluster_by: Vec<Name>,
    pub format: Option<String>,
    pub schema: Option<StructType>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SinkDetails {
    pub format: Option<String>,
    pub options: Options,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DefineFlow {
    pub graph_id: String,
    pub name: String,
    pub target: String,
    pub sql_conf: Options,
    pub client_id: Option<String>,
    pub location: SourceLocation,
    pub once: bool,
    pub details: FlowDetails,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FlowDetails {
    /// The rows of a relation; none where the client will be asked for it.
    Relation(Option<Relation>),
    AutoCdc(Box<AutoCdc>),
    Extension(Extension),
}

/// `create_auto_cdc_flow`, slowly changing dimensions of type 1.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoCdc {
    pub source: String,
    pub keys: Vec<Expr>,
    pub sequence_by: Option<Expr>,
    pub apply_as_deletes: Option<Expr>,
    pub apply_as_truncates: Option<Expr>,
    pub columns: Vec<Expr>,
    pub except_columns: Vec<Expr>,
    pub ignore_null_columns: Vec<Expr>,
    pub ignore_null_except_columns: Vec<Expr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceLocation {
    pub file: Option<String>,
    pub line: Option<i32>,
    pub definition_path: Option<String>,
}

/// A message that only client and handler understand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    pub type_url: String,
    pub value: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartRun {
    pub graph_id: String,
    pub full_refresh: Vec<String>,
    pub full_refresh_all: bool,
    pub refresh: Vec<String>,
    pub dry: bool,
    pub storage: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFile {
    pub graph_id: String,
    pub path: String,
    pub text: String,
}

/// A request about a graph.
#[derive(Debug, Clone, PartialEq)]
pub enum PipelineRequest {
    CreateGraph(CreateGraph),
    DropGraph(String),
    DefineOutput(Box<DefineOutput>),
    DefineFlow(Box<DefineFlow>),
    DefineSql(SqlFile),
    StartRun(StartRun),
    Extension(Extension),
}

/// The full name that an output or a flow got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvedName {
    pub catalog: String,
    pub namespace: Vec<String>,
    pub name: String,
}

/// A line of a run's event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineEvent {
    /// Microseconds since the epoch.
    pub timestamp_us: i64,
    pub message: String,
}

/// Says that a request comes from inside a query function, while its graph is still being defined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryFunctionContext {
    pub graph_id: Option<String>,
    pub definition_path: Option<String>,
    pub flow_name: Option<String>,
}
