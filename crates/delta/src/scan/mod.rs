//! Reading a table: DataFusion's own Parquet scan over the files of a snapshot.

mod provider;
mod reader;
mod relabel;
mod selection;
mod shredded;
mod source;
mod statistics;
mod variant_value;

pub(crate) use provider::unqualified;
pub use provider::{DeltaScan, DeriveFilters, HiddenColumn, HiddenValue};
pub(crate) use reader::open as open_file;
pub(crate) use selection::row_count;
pub(crate) use statistics::of_table as table_statistics;
