//! One file for each statement or method on a table.

pub(crate) mod alter;
pub(crate) mod constraint;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod detail;
mod dml;
pub(crate) mod history;
pub(crate) mod merge;
pub(crate) mod optimize;
pub(crate) mod restore;
pub(crate) mod update;
pub(crate) mod vacuum;
pub(crate) mod write;

pub use alter::{
    ColumnChange, NewColumn, add_columns, change_column, drop_columns, rename_column, set_properties,
    unset_properties,
};
pub use constraint::{add_constraint, drop_constraint};
pub use create::{NewTable, create, create_operation};
pub use delete::{DmlOptions, delete};
pub use detail::detail;
pub use history::{HistoryEntry, history, history_report};
pub use merge::{Merge, MergeAction, MergeClause, merge};
pub use optimize::{AutoCompact, OptimizeMetrics, OptimizeOptions, SizeSummary, optimize, optimize_report};
pub use restore::{RestoreTo, restore, restore_report};
pub use update::{Assignment, update};
pub use vacuum::{VacuumOptions, VacuumResult, VacuumScope, vacuum, vacuum_report};
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
