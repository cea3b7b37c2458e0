//! One file for each statement or method on a table.

pub(crate) mod alter;
mod backfill;
pub(crate) mod clone;
pub(crate) mod constraint;
pub(crate) mod convert;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod detail;
mod dml;
pub(crate) mod feature;
pub(crate) mod fsck;
pub(crate) mod generate;
pub(crate) mod history;
mod history_traces;
pub(crate) mod merge;
mod narrow_files;
pub(crate) mod optimize;
mod remove_mapping;
mod replace_columns;
pub(crate) mod restore;
pub(crate) mod sync_identity;
pub(crate) mod update;
mod upgrade_uniform;
mod upkeep;
pub(crate) mod vacuum;
pub(crate) mod write;

pub use alter::{
    ColumnChange, NewColumn, add_columns, change_column, cluster_by, drop_columns, rename_column,
    set_properties, unset_properties,
};
pub use clone::{CloneOptions, clone_report, clone_table, is_interrupted_clone};
pub use constraint::{add_constraint, drop_constraint};
pub use convert::{ConvertOptions, convert};
pub use create::{NewTable, create, create_operation, partition_column_not_found};
pub use delete::{DmlOptions, delete, truncate};
pub use detail::detail;
pub(crate) use dml::rows_of;
pub use dml::varies;
pub use feature::drop_feature;
pub use fsck::{BrokenFile, BrokenLogFile, FsckMode, FsckResult, fsck, fsck_log_report, fsck_report};
pub use generate::{SYMLINK_MANIFEST, generate};
pub use history::{HistoryEntry, history, history_report};
pub use merge::{Merge, MergeAction, MergeClause, merge};
pub use optimize::{
    AutoCompact, ClusteringStats, FileCount, OptimizeMetrics, OptimizeOptions, SizeSummary, optimize,
    optimize_report,
};
pub use remove_mapping::remove_mapping;
pub use replace_columns::replace_columns;
pub use restore::{RestoreTo, restore, restore_report};
pub use sync_identity::sync_identity;
pub use update::{Assignment, update};
pub(crate) use upgrade_uniform::UPGRADE_UNIFORM;
pub use upgrade_uniform::upgrade_uniform;
pub use upkeep::{Upkeep, keep_up, wants_maintenance};
pub use vacuum::{InventoryFile, VacuumOptions, VacuumResult, VacuumScope, vacuum, vacuum_report};
pub use write::{PartitionOverwrite, Predicate, WriteMode, WriteOptions, write};
