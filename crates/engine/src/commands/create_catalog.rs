//! `CREATE CATALOG` and `DROP CATALOG`.

use std::sync::Arc;

use boathouse_catalog::{DEFAULT_SCHEMA, SESSION_CATALOG};
use boathouse_spec::{Error, Options, Result};

use crate::commands::create_schema;
use crate::{QueryResult, Session};

pub(super) async fn create(
    session: &Arc<Session>,
    name: &str,
    if_not_exists: bool,
    comment: Option<String>,
    location: Option<String>,
    provider: Option<String>,
    options: Options,
) -> Result<QueryResult> {
    if let Some(provider) = provider {
        return Err(Error::unsupported(format!("catalogs of the kind {provider}")));
    }
    let location = match location {
        Some(location) => Some(session.storage().url(&location)?.to_string()),
        None => None,
    };
    let properties = options.into_iter().collect();
    let created = session
        .engine
        .catalog
        .create_catalog(name, comment.as_deref(), location.as_deref(), &properties, &session.user)
        .await;
    match created {
        Err(e) if if_not_exists && e.is("CATALOG_ALREADY_EXISTS") => Ok(QueryResult::empty()),
        other => other.map(|_| QueryResult::empty()),
    }
}

pub(super) async fn drop(
    session: &Arc<Session>,
    name: &str,
    if_exists: bool,
    cascade: bool,
) -> Result<QueryResult> {
    let dropped = match session.engine.catalog.drop_catalog(name, cascade).await {
        Err(e) if if_exists && e.is("CATALOG_NOT_FOUND") => return Ok(QueryResult::empty()),
        other => other?,
    };
    for schema in dropped {
        create_schema::remove_files(session, schema).await?;
    }
    let mut namespace = session.namespace.write();
    if namespace.0.eq_ignore_ascii_case(name) {
        *namespace = (SESSION_CATALOG.to_string(), DEFAULT_SCHEMA.to_string());
    }
    std::mem::drop(namespace);
    Ok(QueryResult::empty())
}
