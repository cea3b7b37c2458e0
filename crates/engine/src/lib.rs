//! `engine`: sessions, the analyzer, and the execution of plans and commands. The heart.
//!
//! A request is a [`boathouse_spec::Plan`] for a [`Session`]. Queries go through `analyzer` (names, types, permissions:
//! Spark's rules) to a DataFusion logical plan and on to `execute`; commands have a file each in `commands`.
//!
//! Only `resolver` opens tables, paths and versions: there is no second way to data. It is asked by the analyzer for
//! queries and by commands for what they write.
//! The engine knows no wire protocol and no SQL text beyond asking `boathouse_sql` to parse views and functions.
//!
//! Start reading at [`Session::execute`].

mod aggregate_steps;
mod analyzer;
mod artifacts;
mod bound_arguments;
mod cache;
mod change_feed;
mod column_cache;
mod commands;
mod conf;
mod conjunction;
mod constant_keys;
mod constants;
mod datasets;
mod distinct_steps;
mod engine;
mod execute;
mod expectations;
mod explain;
mod explain_tree;
mod functions;
mod generated_partitions;
mod grouping_sets;
mod guarded_rules;
mod information_schema;
mod join_hints;
mod join_order;
mod keeper;
mod kept_analysis;
mod lazy;
mod limit_fence;
mod literals;
mod managed_tables;
mod memory;
mod metadata_only;
mod names;
mod nested_constants;
mod observe;
mod operator_rule;
mod operators;
mod ordered;
mod python;
mod query_profile;
mod rank_limit;
mod recursion;
mod relation_walk;
mod resolver;
mod rows;
mod script;
mod session;
mod sessions;
mod shared_plans;
mod sinks;
mod small;
mod sources;
mod storage;
mod storages;
mod stream_plan;
mod streams;
mod table_functions;
mod temp_views;
mod unnest;
mod variables;
mod watermark;
mod windows;

pub use artifacts::ArtifactStore;
pub use conf::SessionConf;
pub use datasets::{Dataset, Datasets};
pub use engine::{Engine, EngineOptions};
pub use execute::{ObservedMetrics, QueryResult};
pub use expectations::{ExpectationOutcome, FAILED_EXPECTATIONS, RuleCount};
pub use keeper::keep_tables;
pub use observe::{extension_planners, observed};
pub use python::{
    GroupPart, GroupedRows, PythonSink, PythonStream, Remembered, StateTime, StateTimes, StatefulGroups,
    StatefulTask, parsed_columns,
};
pub use rows::to_ipc;
pub use session::{Busy, Session, SqlCommandOutcome};
pub use sessions::SessionManager;
pub use sinks::{Console, drop_rows};
pub use streams::{KeptQuery, StreamLeaf, StreamOrigin, StreamReader, StreamTable};
pub use table_functions::TableFunction;
pub use watermark::{
    EventTimeWatermark, SessionWindows, StreamDeduplicate, StreamOperation, StreamOperationKind,
};
