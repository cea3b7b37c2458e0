//! `SHOW CATALOGS`, `SHOW SCHEMAS`, `SHOW CURRENT SCHEMA`.

use std::sync::Arc;

use boathouse_spec::{Result, StructType};

use crate::names::matches_pattern;
use crate::rows::{self, text};
use crate::{QueryResult, Session};

pub(super) fn catalog_schema() -> StructType {
    StructType::new(vec![text("catalog", false)])
}

pub(super) fn namespace_schema() -> StructType {
    StructType::new(vec![text("namespace", false)])
}

pub(super) fn current_schema() -> StructType {
    StructType::new(vec![text("catalog", false), text("namespace", false)])
}

pub(super) async fn catalogs(session: &Arc<Session>, pattern: Option<&str>) -> Result<QueryResult> {
    let names = session.engine.catalog.list_catalogs().await?.into_iter().map(|c| c.name);
    let rows =
        names.filter(|n| pattern.is_none_or(|p| matches_pattern(n, p))).map(|n| vec![n.into()]).collect();
    rows::result(catalog_schema(), rows)
}

pub(super) async fn schemas(
    session: &Arc<Session>,
    inside: Option<&[String]>,
    pattern: Option<&str>,
) -> Result<QueryResult> {
    let in_catalog = match inside {
        Some([name]) => session.engine.catalog.find_catalog(name).await?.is_some(),
        _ => false,
    };
    let catalog = match inside {
        Some([name]) if in_catalog => name.to_lowercase(),
        Some(schema) => {
            // `SHOW SCHEMAS IN schema`, `IN catalog.schema`: schemas have no schemas inside.
            session.engine.catalog.get_schema(&session.schema_name(schema)?).await?;
            return rows::result(namespace_schema(), Vec::new());
        }
        None => session.current_namespace().0,
    };
    let names = session.engine.catalog.list_schemas(&catalog).await?.into_iter().map(|s| s.name.schema);
    let rows =
        names.filter(|n| pattern.is_none_or(|p| matches_pattern(n, p))).map(|n| vec![n.into()]).collect();
    rows::result(namespace_schema(), rows)
}

pub(super) fn current(session: &Arc<Session>) -> Result<QueryResult> {
    let (catalog, schema) = session.current_namespace();
    rows::result(current_schema(), vec![vec![catalog.into(), schema.into()]])
}
