//! The table a statement is about.

use std::sync::Arc;

use boathouse_catalog::TableRecord;
use boathouse_spec::{Error, Result, quote_name};

use crate::Session;
use crate::names;
use crate::resolver::{self, DeltaSource, Resolved, ResolvedTable, Scope, query_path};
use crate::temp_views::TempView;

/// What a name stands for.
pub(super) enum Found {
    Table(Box<ResolvedTable>),
    View(Arc<TableRecord>),
    TempView { name: Vec<String>, view: Arc<TempView> },
}

impl Found {
    /// The name for messages.
    pub fn display_name(&self) -> String {
        match self {
            Self::Table(table) => table.display_name(),
            Self::View(record) => record.name.quoted(),
            Self::TempView { name, .. } => quote_name(name),
        }
    }
}

/// Where statements that must name something existing look for it.
pub(super) fn command_path(session: &Session) -> Vec<String> {
    let (catalog, schema) = session.current_namespace();
    vec![quote_name(&["system", "session"]), quote_name(&[catalog, schema])]
}

/// Where DESCRIBE and DML look.
pub(super) fn relation_path(session: &Session) -> Vec<String> {
    let (catalog, schema) = session.current_namespace();
    query_path(&catalog, &schema)
}

/// Finds a table or view; `path` is what the message says where it was looked for.
pub(super) async fn find(session: &Arc<Session>, name: &[String], path: &[String]) -> Result<Found> {
    let scope = Scope::of(session);
    let resolved = resolver::resolve(session, name, &Vec::new(), None, &scope)
        .await
        .map_err(|e| if e.class() == "TABLE_OR_VIEW_NOT_FOUND" { names::not_found(name, path) } else { e })?;
    Ok(match resolved {
        Resolved::Table(table) => Found::Table(table),
        Resolved::View(record) => Found::View(record),
        Resolved::TempView { name, view } => Found::TempView { name, view },
    })
}

/// Finds a table, and refuses a view.
pub(super) async fn table(
    session: &Arc<Session>,
    name: &[String],
    operation: &str,
    path: &[String],
) -> Result<ResolvedTable> {
    match find(session, name, path).await? {
        Found::Table(table) => Ok(*table),
        view => Err(not_a_view(&view.display_name(), operation)),
    }
}

/// Finds a Delta table to change: never as it is cached.
pub(super) async fn delta(
    session: &Arc<Session>,
    name: &[String],
    operation: &str,
    path: &[String],
) -> Result<(ResolvedTable, DeltaSource)> {
    let table = table(session, name, operation, path).await?;
    match table.delta.clone() {
        Some(delta) => Ok((table, delta)),
        None => Err(no_operation(&table.display_name(), operation)),
    }
}

/// EXPECT_TABLE_NOT_VIEW
pub(super) fn not_a_view(name: &str, operation: &str) -> Error {
    Error::new("EXPECT_TABLE_NOT_VIEW.NO_ALTERNATIVE")
        .param("viewName", name)
        .param("operation", operation)
        .message(format!("{operation} is about tables, and {name} is a view."))
        .exception("AnalysisException")
}

/// UNSUPPORTED_FEATURE.TABLE_OPERATION: tables of that kind cannot do it.
pub(super) fn no_operation(name: &str, operation: &str) -> Error {
    Error::new("UNSUPPORTED_FEATURE.TABLE_OPERATION")
        .param("tableName", name)
        .param("operation", operation)
        .message(format!("{operation} is not possible on {name}: it is no Delta table."))
        .exception("AnalysisException")
}
