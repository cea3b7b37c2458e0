//! `connect`: the Spark Connect service, with the messages of Delta Connect and of declarative pipelines.
//!
//! It owns the protocol: what clients send becomes `spec` in `convert`, what the engine gives becomes messages again, and
//! errors become the exceptions clients raise. No other crate knows the messages, and this one knows neither plans of
//! DataFusion nor tables: it asks a [`Session`](boathouse_engine::Session).
//!
//! A request's way: `codec` decodes it (`nesting` refuses what is too deep), `service` finds its session, `convert` reads
//! the plan, `execute` runs it and pushes responses into an `operation`, from which the client's stream takes them and
//! to which a client that lost its connection attaches again. `analyze`, `config` and `uploads` answer the other calls.
//!
//! The messages are compiled from `proto/spark_connect.fds`, which `tools/extract_protos.py` takes from the released
//! Python clients. Streaming queries are run by whoever implements [`StreamingHandler`], pipelines by
//! [`boathouse_pipelines::Pipelines`].
//!
//! `client` is the other end, as small as the command line needs it.
//!
//! Start reading at `service`, then `convert`.

mod analyze;
mod arrow_rows;
pub mod client;
mod codec;
mod config;
mod convert;
mod exceptions;
mod execute;
mod failure;
mod nesting;
mod operation;
mod operations;
mod options;
mod permanent;
mod proto;
mod run_pipeline;
mod run_streaming;
mod server;
mod service;
mod stream_manager;
pub mod streaming;
mod uploads;

pub use analyze::SPARK_VERSION;
pub use options::{Authenticator, ConnectOptions};
pub use server::runtime;
pub use service::ConnectService;
pub use streaming::StreamingHandler;
