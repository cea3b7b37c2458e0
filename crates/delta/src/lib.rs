//! `delta`: Delta Lake tables, on the official `delta_kernel`.
//!
//! The crate owns the transaction log (reading, the commit loop, checkpoints), the scan of a table version as a
//! DataFusion plan, the writing of data files, and every statement that changes a table. It takes DataFusion objects
//! (expressions over a table's columns, plans, a session); it resolves no names, parses no SQL and checks no
//! permissions: `crates/engine` does, before it calls.
//!
//! Start with [`DeltaTable`] and [`Snapshot`] (a version of a table), [`DeltaScan`] (its rows), and [`write`],
//! [`delete`], [`update`] (changes). Each statement is a file in `operation/`; `transaction/` is the commit loop and
//! its conflict rules; `log/` the files of the log; `scan/` and `data_file/` read and write data files.
//!
//! Expressions over a table name its columns without qualifier, or with any: qualifiers are dropped (in [`Merge`] they
//! tell target from source). Where a condition comes with its SQL text ([`Predicate`]), the text is only recorded.
//! A statement gives `None` where there was nothing to do, so that no version is made; else [`Committed`], with the
//! snapshot it made for [`SnapshotCache::put`], and delta-spark's figures.
//!
//! Who writes rows resolves [`Snapshot::check_constraints`] and hands them in; a write without them fails.
//!
//! Deliberately absent: other modes of the `deltalake` crate, a second reader of the log beside the kernel's (commits
//! since a known snapshot are applied here, everything older comes from the kernel), and any lock: writers meet only
//! in the store's put-if-absent, or in the catalog that manages a table's commits ([`CommitCoordinator`]), which is whose to say
//! is not known here. Not to be sent to other machines as it is: the scan of a table with deletion vectors
//! (row selections are a file extension that does not serialize) or with column mapping inside structs
//! (`scan/converted.rs`).

mod action;
mod catalog_managed;
mod change_feed;
mod changes;
mod clustering;
mod coordinator;
mod data_file;
mod deletion_vector;
pub mod disk;
mod error;
mod external;
mod file_set;
mod iceberg_compat;
mod location;
mod log;
mod operation;
mod partition;
mod plan_watch;
mod property;
mod protocol;
mod report;
mod row_tracking;
mod scan;
mod schema;
mod snapshot;
mod stats;
mod table;
mod time;
mod transaction;

pub use action::{
    Action, Add, Cdc, CommitInfo, DeletionVector, DomainMetadata, Format, Metadata, PartitionValues,
    Protocol, Remove, Txn,
};
pub use catalog_managed::asks_for_catalog;
pub use change_feed::{
    CHANGE_TYPE, COMMIT_TIMESTAMP, COMMIT_VERSION, ChangePoint, change_feed, change_feed_schema,
    changes_plan, is_change_feed_on, keeps_changes,
};
pub use changes::{CommitChanges, FileChange, changes, kept_changes};
pub use coordinator::{CommitCoordinator, Ratified};
pub use data_file::FileSettings;
pub use iceberg_compat::is_asked_for as asks_for_iceberg;
pub use location::{LOG_DIRECTORY, TableLocation};
pub use operation::{
    Assignment, AutoCompact, BrokenFile, BrokenLogFile, CloneOptions, ClusteringStats, ColumnChange,
    ConvertOptions, DmlOptions, FileCount, FsckMode, FsckResult, HistoryEntry, InventoryFile, Merge,
    MergeAction, MergeClause, NewColumn, NewTable, OptimizeMetrics, OptimizeOptions, PartitionOverwrite,
    Predicate, RestoreTo, SYMLINK_MANIFEST, SizeSummary, Upkeep, VacuumOptions, VacuumResult, VacuumScope,
    WriteMode, WriteOptions, add_columns, add_constraint, change_column, clone_report, clone_table,
    cluster_by, convert, create, create_operation, delete, detail, drop_columns, drop_constraint,
    drop_feature, fsck, fsck_log_report, fsck_report, generate, history, history_report,
    is_interrupted_clone, keep_up, merge, optimize, optimize_report, partition_column_not_found,
    remove_mapping, rename_column, replace_columns, restore, restore_report, set_properties, sync_identity,
    truncate, unset_properties, update, upgrade_uniform, vacuum, vacuum_report, varies, wants_maintenance,
    write,
};
pub use partition::SessionZone;
pub use plan_watch::PlanWatch;
pub use property::Checks as PropertyChecks;
pub use report::Report;
pub use scan::{
    DeltaScan, DeriveFilters, FILES_PRUNED, HiddenColumn, HiddenValue, LiveRowsExec, LiveRowsFilter,
};
pub use schema::automatic_widening::{AutomaticWidening, Widening};
pub use schema::conform::conform_over;
pub use schema::constraints::CheckConstraint;
pub use schema::identity::{IdentityColumn, identity_columns};
pub use schema::lengths::Lengths;
pub use schema::path::{ColumnPlace, field_at};
pub use schema::reconcile::{evolved_schema, evolves_type, refuse_mismatch};
pub use schema::stored::{declared_schema, declared_type};
pub use schema::widening::is_wider;
pub use snapshot::Snapshot;
pub use table::{DeltaTable, SnapshotCache, TimestampRules};
pub use transaction::{Committed, IsolationLevel, Operation, OwnReads};

/// What commits record as their writer.
pub const ENGINE_INFO: &str = concat!("Boathouse/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
