//! What a streaming query is, and where its batches go.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::Session;
use boathouse_spec::{Error, Relation, Result};

/// A streaming query to be run.
#[derive(Debug, Clone)]
pub struct QueryDefinition {
    pub name: Option<String>,
    /// Unresolved, with streaming leaves.
    pub input: Relation,
    /// A path or URL as users write it.
    pub checkpoint: String,
    pub output_mode: OutputMode,
}

/// Which rows of the result a batch gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputMode {
    /// Rows that are final.
    #[default]
    Append,
    /// Rows that changed.
    Update,
    /// All rows.
    Complete,
}

impl OutputMode {
    /// By Spark's name; empty means append.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_lowercase().as_str() {
            "" | "append" => Ok(Self::Append),
            "update" => Ok(Self::Update),
            "complete" => Ok(Self::Complete),
            _ => Err(Error::new("STREAMING_OUTPUT_MODE.INVALID")
                .param("outputMode", text)
                .message(format!(
                    "Invalid streaming output mode: {text}. Accepted output modes are 'Append', 'Complete', 'Update'."
                ))
                .exception("IllegalArgumentException")),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Update => "update",
            Self::Complete => "complete",
        }
    }
}

/// How the rows of a batch stand to those of earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change {
    /// They are more rows, or all rows.
    #[default]
    Rows,
    /// Each takes the place of the one with the same values in these columns (update mode).
    Replace(Arc<[String]>),
}

/// One batch of a query.
#[derive(Debug, Clone)]
pub struct Batch {
    pub id: i64,
    /// Rows of one batch may come in parts, where [`Sink::takes_parts`].
    pub part: u64,
    /// The id of the query: it stays over restarts.
    pub query_id: String,
    /// Bounded, for the time of [`Sink::write`].
    pub rows: Relation,
    pub change: Change,
    /// When the batch was planned, in milliseconds since the epoch: what `current_timestamp()` is in its rows.
    pub timestamp_ms: i64,
}

/// Where batches go.
///
/// A batch may be given again with the same id after a crash: the sink must make the second time change nothing.
#[async_trait]
pub trait Sink: Send + Sync {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()>;

    /// As progress reports call it.
    fn description(&self) -> String;

    /// Whether the rows of one batch may come in parts, each of which is more of it.
    fn takes_parts(&self) -> bool {
        false
    }

    /// The rows of the last batch, where the sink tells.
    fn num_output_rows(&self) -> Option<i64> {
        None
    }
}
