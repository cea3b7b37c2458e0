//! Reading a table: DataFusion's own Parquet scan over the files of a snapshot.

mod deletion_vector;
mod provider;
mod reader;
mod relabel;
mod source;
mod statistics;

pub(crate) use provider::unqualified;
pub use provider::{DeltaScan, HiddenColumn, HiddenValue};
pub(crate) use statistics::of_table as table_statistics;
