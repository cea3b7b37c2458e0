//! One file for each statement or method on a table.

pub(crate) mod create;
pub(crate) mod delete;
mod dml;
pub(crate) mod update;
pub(crate) mod write;

pub use create::{NewTable, create};
pub use delete::{DmlOptions, delete};
pub use update::{Assignment, update};
pub use write::{PartitionOverwrite, Predicate, WriteMode, WriteOptions, write};

use boathouse_spec::{Error, Result};

use crate::snapshot::Snapshot;

/// Changes of rows must be written down where the table keeps a change feed, which is not done yet.
fn refuse_change_feed(table: &Snapshot, statement: &str) -> Result<()> {
    if table.property("delta.enableChangeDataFeed").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        return Err(Error::unsupported(format!("{statement} on a table with delta.enableChangeDataFeed")));
    }
    Ok(())
}
