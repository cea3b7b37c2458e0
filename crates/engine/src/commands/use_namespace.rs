//! `USE`, `USE CATALOG`, `USE SCHEMA`.

use std::sync::Arc;

use boathouse_catalog::{DEFAULT_SCHEMA, SchemaName};
use boathouse_spec::{Error, Result, UseTarget, quote_name};

use crate::commands::evaluate;
use crate::{QueryResult, Session};

pub(super) async fn run(session: &Arc<Session>, target: UseTarget) -> Result<QueryResult> {
    match target {
        UseTarget::Catalog(name) => match name.as_slice() {
            [catalog] => catalog_only(session, catalog).await,
            _ => Err(too_many_parts(&name)),
        },
        UseTarget::Schema(name) => {
            let schema = session.schema_name(&name)?;
            set_schema(session, schema).await
        }
        UseTarget::Any(name) => any(session, &name).await,
        UseTarget::Identifier(expr) => {
            let (text, _) = evaluate::string(session, expr).await?;
            let text = text.ok_or_else(|| {
                Error::new("NOT_A_CONSTANT_STRING.NULL")
                    .param("name", "IDENTIFIER")
                    .message("IDENTIFIER takes a constant string, and the expression is NULL.")
                    .exception("AnalysisException")
            })?;
            let name = boathouse_sql::parse_name(&text)?;
            any(session, &name).await
        }
    }
}

/// A bare name is a catalog where there is one, as in Spark, else a schema of the current catalog.
async fn any(session: &Arc<Session>, name: &[String]) -> Result<QueryResult> {
    match name {
        [one] => {
            if session.engine.catalog.find_catalog(one).await?.is_some() {
                return catalog_only(session, one).await;
            }
            let schema = session.schema_name(name)?;
            set_schema(session, schema).await
        }
        _ => {
            // A first part that names no catalog is that of a schema inside a schema, and there is none.
            if let [first, _] = name
                && session.engine.catalog.find_catalog(first).await?.is_none()
            {
                let (catalog, _) = session.current_namespace();
                let shown = quote_name(&[&[catalog][..], name].concat());
                return Err(Error::new("SCHEMA_NOT_FOUND")
                    .param("schemaName", &shown)
                    .message(format!("There is no schema {shown}."))
                    .exception("AnalysisException"));
            }
            let schema = session.schema_name(name)?;
            set_schema(session, schema).await
        }
    }
}

async fn catalog_only(session: &Arc<Session>, catalog: &str) -> Result<QueryResult> {
    let record = session.engine.catalog.get_catalog(catalog).await?;
    let mut namespace = session.namespace.write();
    // As in Spark the schema stays where the catalog is the current one already.
    if namespace.0 != record.name {
        *namespace = (record.name, DEFAULT_SCHEMA.to_string());
    }
    Ok(QueryResult::empty())
}

async fn set_schema(session: &Arc<Session>, schema: SchemaName) -> Result<QueryResult> {
    let record = session.engine.catalog.get_schema(&schema).await?;
    *session.namespace.write() = (record.name.catalog, record.name.schema);
    Ok(QueryResult::empty())
}

fn too_many_parts(name: &[String]) -> Error {
    Error::new("CATALOG_NOT_FOUND")
        .param("catalogName", boathouse_spec::quote_name(name))
        .message(format!("{} is no catalog: a catalog has one name.", boathouse_spec::quote_name(name)))
        .exception("AnalysisException")
}
