//! `pipelines`: declarative pipelines. Graphs of flows that keep streaming tables and materialized views up to date, with
//! expectations on their rows and a log of what happened.
//!
//! [`Pipelines`] takes the definitions of a client (`request.rs`, `extension.rs`; SQL files by `sql.rs`) into a `graph`.
//! A run resolves it (`resolve.rs`: columns, kinds, what reads what, in whatever order it was defined), makes its tables
//! (`table.rs`) and runs its flows (`update.rs` decides when, `flow.rs` how). Events go to the client and to `event_log.rs`;
//! rows that expectations drop to `dropped.rs`. `layout.rs` says where all that lies.
//!
//! Exactly once: a batch of a streaming flow is one commit to its table, marked with the query and the batch, and so is the
//! commit of the rows it dropped; a batch that runs again after a crash changes nothing. A materialized view is replaced by
//! one commit.
//!
//! The crate knows no protocol and opens no tables: flows are queries and commands of a [`boathouse_engine::Session`], in
//! which the names of datasets mean what [`boathouse_engine::Datasets`] says.

mod dropped;
mod event;
mod event_log;
mod extension;
mod flow;
mod functions;
mod graph;
mod layout;
mod name;
pub mod request;
mod resolve;
mod service;
mod sql;
mod table;
mod update;
mod view_rules;

pub use functions::register_functions;
pub use service::Pipelines;
