//! `connectors`: files and the stores they are in, and systems that hold rows: Apache Kafka ([`kafka`]).
//!
//! Owns: what a path means ([`Paths`]), object stores ([`Stores`]), which files a path stands for ([`listing`], [`layout`]), partition
//! values in directories' names ([`partitions`]), and the file formats JSON, CSV, Parquet, text and binaryFile: reading them as
//! DataFusion tables ([`open`]), inferring their schemas ([`infer_schema`]) and writing them ([`write`]).
//!
//! Must not touch: the catalog, sessions, permissions; Delta tables have their own crate. Rows of JSON and CSV text are
//! `boathouse_formats`' business, files and bytes are this crate's. Nothing here registers a table by itself: the
//! analyzer's resolver is the one that opens paths.
//!
//! Start with `table.rs` for reading and `write/mod.rs` for writing.

mod base_path;
mod context;
mod errors;
mod fitting;
mod format;
pub mod kafka;
pub mod layout;
pub mod listing;
mod opened;
mod options;
mod orc;
mod parquet;
pub mod partitions;
pub mod paths;
mod rescue;
mod rows;
pub mod sink_log;
mod stores;
mod table;
mod write;

pub use context::Context;
pub use format::Format;
pub use opened::OpenedTables;
pub use paths::{Paths, ResolvedPath};
pub use rows::scanned_files;
pub use stores::{StoreSettings, Stores};
pub use table::{
    FileTable, METADATA_COLUMN, TableFile, find_if, infer_schema, metadata_type, open, open_files,
};
pub use write::{SaveMode, Written, write};

#[cfg(test)]
mod tests;
