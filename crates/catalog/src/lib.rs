//! `catalog`: the metastore. What exists, under which three-level name, and where it is kept.
//!
//! Owns: catalogs, schemas, tables and views (one namespace), SQL functions, pipelines, permanent streams, the commits of
//! catalog-managed Delta tables, and the rows of `information_schema`.
//! Everything is one SQLite file in write-ahead mode through one [`Catalog`] handle; several handles, in one process or
//! in several, may work on one file. Each change is one transaction: a crash leaves the state before it or after it.
//!
//! Must not touch: data files (dropping a managed table returns its record, and the caller removes the files),
//! DataFusion, Arrow. Temporary views, variables and the current schema belong to the session, not here.
//! For a Delta table the Delta log is the truth, and the schema in its record a copy for listing.
//!
//! Start with [`Catalog`] in `store.rs`, then `tables.rs`. Names are lower case, as Spark's session catalog keeps them.

mod catalogs;
mod delta_commits;
mod encoding;
mod errors;
mod functions;
mod information_schema;
mod information_schema_types;
mod migrations;
mod names;
mod pipelines;
mod query_history;
mod records;
mod schemas;
mod store;
mod streams;
mod tables;

pub use delta_commits::RatifiedCommits;
pub use information_schema::{
    CatalogRow, ColumnRow, ParameterRow, RoutineRow, SchemataRow, TableRow, ViewRow,
};
pub use information_schema_types::TypeFacets;
pub use names::{DEFAULT_SCHEMA, ObjectName, SESSION_CATALOG, SchemaName};
pub use pipelines::PipelineRecord;
pub use query_history::{QueryHistory, QueryRecord};
pub use records::{
    CatalogRecord, FunctionKind, FunctionRecord, ParameterRecord, Properties, SchemaRecord, TableKind,
    TableRecord, ViewDefinition, ViewSchemaMode,
};
pub use schemas::DroppedSchema;
pub use store::Catalog;
pub use streams::StreamRecord;
pub use tables::OnConflict;

#[cfg(test)]
mod tests;
