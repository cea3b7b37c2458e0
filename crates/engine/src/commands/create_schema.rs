//! `CREATE SCHEMA` and `DROP SCHEMA`.

use std::sync::Arc;

use boathouse_catalog::{DEFAULT_SCHEMA, DroppedSchema, SchemaRecord};
use boathouse_spec::{Error, Options, Result};

use crate::commands::drop_relation;
use crate::names::GLOBAL_TEMP;
use crate::{QueryResult, Session};

/// What a statement says of a new schema.
pub(super) struct NewSchema {
    pub comment: Option<String>,
    pub location: Option<String>,
    pub collation: Option<String>,
    pub properties: Options,
}

pub(super) async fn create(
    session: &Arc<Session>,
    name: &[String],
    if_not_exists: bool,
    definition: NewSchema,
) -> Result<QueryResult> {
    let name = session.schema_name(name)?;
    if name.schema.eq_ignore_ascii_case(GLOBAL_TEMP) {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1066")
            .param("database", GLOBAL_TEMP)
            .message(format!("{GLOBAL_TEMP} is the schema of global temporary views: choose another name."))
            .exception("AnalysisException"));
    }
    check_collation(session, definition.collation.as_deref())?;
    let mut record = SchemaRecord::new(name.clone(), &session.user);
    record.comment = definition.comment;
    record.collation = definition.collation;
    record.location = match definition.location {
        Some(location) => Some(session.storage().url(&location)?.to_string()),
        None => None,
    };
    record.properties = definition.properties.into_iter().collect();
    let created = session.engine.catalog.create_schema(record).await;
    match created {
        Err(e) if if_not_exists && e.is("SCHEMA_ALREADY_EXISTS") => Ok(QueryResult::empty()),
        other => other.map(|_| QueryResult::empty()),
    }
}

/// Spark has default collations of schemas behind a setting.
pub(super) fn check_collation(session: &Session, collation: Option<&str>) -> Result<()> {
    if collation.is_none() {
        return Ok(());
    }
    if !session.conf().flag("spark.sql.collation.schemaLevel.enabled") {
        return Err(Error::new("UNSUPPORTED_FEATURE.SCHEMA_LEVEL_COLLATIONS").message(
            "A schema has a default collation only where spark.sql.collation.schemaLevel.enabled is true.",
        ));
    }
    Err(Error::unsupported("a default collation of a schema"))
}

pub(super) async fn drop(
    session: &Arc<Session>,
    name: &[String],
    if_exists: bool,
    cascade: bool,
) -> Result<QueryResult> {
    let name = session.schema_name(name)?;
    let dropped = match session.engine.catalog.drop_schema(&name, cascade).await {
        Err(e) if if_exists && (e.is("SCHEMA_NOT_FOUND") || e.is("CATALOG_NOT_FOUND")) => {
            return Ok(QueryResult::empty());
        }
        other => other?,
    };
    remove_files(session, dropped).await?;
    // A session that is in the schema stays there, where nothing is (as in Spark): no other schema takes what it writes.
    Ok(QueryResult::empty())
}

/// Removes the files of what was dropped: those of managed tables, and the schema's own directory.
pub(super) async fn remove_files(session: &Arc<Session>, dropped: DroppedSchema) -> Result<()> {
    for table in &dropped.tables {
        drop_relation::remove_files(session, table).await?;
    }
    if dropped.schema.location.is_none() && dropped.schema.name.schema != DEFAULT_SCHEMA {
        let directory = session.storage().schema_directory(&dropped.schema.name)?;
        if session.storage().is_empty(&directory).await? {
            session.storage().delete(&directory).await?;
        }
    }
    Ok(())
}
