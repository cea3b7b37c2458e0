//! `delta`: Delta Lake tables, on the official `delta_kernel`.
mod action;
mod error;
mod file_set;
mod location;
mod log;
mod partition;
mod protocol;
mod scan;
mod schema;
mod snapshot;
mod stats;
mod table;
mod time;
mod transaction;

/// What commits record as their writer.
pub const ENGINE_INFO: &str = concat!("Boathouse/", env!("CARGO_PKG_VERSION"));
