//! `streaming`: streaming queries. Bounded slices of sources with checkpoints: what is new since the last run, exactly once.
//!
//! # How to run a query
//!
//! A [`QueryDefinition`] is a relation with streaming leaves (`STREAM t`, `spark.readStream..`) and a checkpoint. A
//! [`Sink`] takes the batches. [`MicroBatchQuery::open`] resolves the sources and reads the checkpoint;
//! [`MicroBatchQuery::run_available_now`] gives all that is there now to the sink, in batches.
//!
//! ```ignore
//! let query = QueryDefinition { name: None, input, checkpoint: "/mnt/checkpoints/t".into(), output_mode: OutputMode::Append };
//! let mut query = MicroBatchQuery::open(session, query, sink).await?;
//! query.run_available_now(stop, |progress| ..).await?;
//! ```
//!
//! [`Batch::rows`] is a bounded relation of the session: wrap it (filters, expectations, a projection) and execute it like any
//! other, as often as needed; it is gone after [`Sink::write`] returns. A batch may come again with the same `id` and the same
//! rows after a crash: a sink must make the second time change nothing, for Delta tables by the options `txnAppId` =
//! [`Batch::query_id`] and `txnVersion` = [`Batch::id`] of the write. A query without new data gives the sink nothing.
//!
//! Names in the query mean what they meant when it was opened. The engine must know who reads streams before a streaming
//! relation is analyzed: `engine.set_stream_reader(Arc::new(boathouse_streaming::Sources))`, once, after `Engine::open`.
//!
//! A query over `cloudFiles` that meets new columns notes them and fails with `UNKNOWN_FIELD_EXCEPTION`: open it again and it has
//! them. Queries with watermarks or state run once a batch, and give the sink rows that are in memory.
//!
//! # Inside
//!
//! [`StreamManager`] runs the queries of `writeStream`: `manager/` their life, `sink/` a file a sink.
//!
//! `checkpoint/` has Spark's files (`metadata`, `offsets`, `commits`, `sources`), `source/` a file a source, `micro_batch.rs`
//! the order of the steps, `stateful/` operators that remember. `reader.rs` is what the analyzer asks for streaming leaves.
//!
//! Deliberately absent: a second way to data. Slices are table providers that the engine's resolver hands to the analyzer;
//! rows are written by the engine's commands.

mod blocking;
mod changed_rows;
mod checkpoint;
mod event_times;
mod interval;
mod manager;
mod micro_batch;
mod observed;
mod options;
mod progress;
mod query;
mod reader;
mod settings;
mod sink;
mod slice;
mod source;
mod start;
mod state_tables;
mod stateful;
mod tap;

pub use checkpoint::{Checkpoint, Directory};
pub use manager::{ManagerOptions, RunningQuery, StreamManager};
pub use micro_batch::MicroBatchQuery;
pub use progress::{Progress, SinkProgress, SourceProgress};
pub use query::{Batch, OutputMode, QueryDefinition, Sink};
pub use reader::Sources;
pub use start::{
    NamedQuery, PERMANENT, Permanent, QueryEvent, QueryEventKind, QueryFailure, QueryId, QueryStatus,
    StartQuery, StartedQuery, StreamTarget, Trigger,
};
