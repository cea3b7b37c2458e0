//! Reading a table: DataFusion's own Parquet scan over the files of a snapshot.

mod converted;
mod file_columns;
mod live_rows;
mod provider;
mod reader;
mod selection;
mod selection_cache;
mod shredded;
mod source;
mod statistics;

pub use live_rows::{LiveRowsExec, LiveRowsFilter};
pub(crate) use provider::unqualified;
pub use provider::{DeltaScan, DeriveFilters, HiddenColumn, HiddenValue};
pub(crate) use reader::{footer, open as open_file};
pub(crate) use selection::row_count;
pub use source::FILES_PRUNED;
pub(crate) use statistics::of_table as table_statistics;
