//! Streams in plans: what the analyzer asks of whoever runs streaming queries.
//!
//! A streaming leaf (`STREAM t`, `spark.readStream..`) has a schema and no rows of its own. What stands for it is said by a
//! [`StreamReader`]: the engine's own gives the schema only, so that `df.schema` and `df.isStreaming` answer; a query
//! that runs puts the slice of each batch in its place ([`crate::Session::keep_query`]).

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_delta::DeltaTable;
use boathouse_spec::{DataSourceRef, Error, Options, Relation, Result, StructType};
use datafusion::catalog::TableProvider;

use crate::Session;
use crate::temp_views::Environment;

/// A streaming leaf of a plan.
pub struct StreamLeaf {
    /// Its position among the leaves of the query, in the order of analysis: equal in every analysis of the same query.
    /// `None` where the leaf is only checked, and is no part of the plan.
    pub index: Option<usize>,
    pub origin: StreamOrigin,
}

pub enum StreamOrigin {
    /// A Delta table, by name or by path.
    Delta {
        /// As messages call it.
        name: String,
        table: DeltaTable,
        options: Options,
    },
    /// Everything else: files, `cloudFiles`, `rate`, `kafka`, ...
    Source(DataSourceRef),
}

/// What stands for a streaming leaf.
pub struct StreamTable {
    pub provider: Arc<dyn TableProvider>,
    pub schema: StructType,
    /// Whether the plan still streams: a slice is bounded, and is not.
    pub is_streaming: bool,
}

/// Says what streaming leaves are.
#[async_trait]
pub trait StreamReader: Send + Sync {
    async fn read(&self, session: &Arc<Session>, leaf: StreamLeaf) -> Result<StreamTable>;

    /// What the checkpoint of a query holds, as a bounded table: the data sources `statestore` and `state-metadata`.
    async fn checkpoint_table(&self, _: &Arc<Session>, _: &DataSourceRef) -> Result<StreamTable> {
        Err(no_streams())
    }
}

/// A query whose streaming leaves are given, and whose names mean what they meant when it was started.
#[derive(Clone)]
pub struct KeptQuery {
    pub(crate) relation: Relation,
    pub(crate) environment: Environment,
    /// Current catalog and schema.
    pub(crate) namespace: (String, String),
    pub(crate) reader: Arc<dyn StreamReader>,
    /// What `current_timestamp()` is, in microseconds since the epoch.
    pub(crate) now_us: Option<i64>,
}

impl KeptQuery {
    /// The relation as names are now in the session.
    pub fn new(session: &Session, relation: Relation, reader: Arc<dyn StreamReader>) -> Self {
        Self {
            relation,
            environment: session.temp_views.environment(),
            namespace: session.current_namespace(),
            reader,
            now_us: None,
        }
    }

    /// The same query with other slices, at another time.
    pub fn with_reader(&self, reader: Arc<dyn StreamReader>, now_us: i64) -> Self {
        Self { reader, now_us: Some(now_us), ..self.clone() }
    }
}

/// Where nobody runs streams.
pub(crate) fn no_streams() -> Error {
    Error::unsupported("streaming sources in this program")
}
