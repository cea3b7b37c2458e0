//! Columns of tables and views as statements show them.

use std::sync::Arc;

use boathouse_catalog::{TableRecord, ViewSchemaMode};
use boathouse_spec::{Relation, RelationNode, Result, StructField, StructType, TableRef};

use crate::Session;
use crate::commands::target::{self, Found};

/// Field metadata under which a string column keeps that it is a CHAR or VARCHAR.
pub(crate) const CHAR_VARCHAR: &str = "__CHAR_VARCHAR_TYPE_STRING";

/// The columns of a table or view.
pub(super) async fn of(session: &Arc<Session>, name: &[String], path: &[String]) -> Result<StructType> {
    let found = target::find(session, name, path).await?;
    of_found(session, &found).await
}

pub(super) async fn of_found(session: &Arc<Session>, found: &Found) -> Result<StructType> {
    match found {
        Found::Table(table) => Ok(table.schema.clone()),
        Found::TempView { name, view } => {
            if view.schema.fields.is_empty() {
                of_relation(session, name).await
            } else {
                Ok(view.schema.clone())
            }
        }
        Found::View(record) => of_view(session, record).await,
    }
}

async fn of_view(session: &Arc<Session>, record: &Arc<TableRecord>) -> Result<StructType> {
    let follows = record
        .view
        .as_ref()
        .is_some_and(|v| matches!(v.schema_mode, ViewSchemaMode::Evolution | ViewSchemaMode::TypeEvolution));
    if !record.schema.fields.is_empty() && !follows {
        return Ok(record.schema.clone());
    }
    of_relation(session, &record.name.parts()).await
}

async fn of_relation(session: &Arc<Session>, name: &[String]) -> Result<StructType> {
    let table = TableRef { name: name.to_vec(), ..TableRef::default() };
    let relation = Relation::new(RelationNode::Table(table));
    session.analyze(move |analyzer| Ok(analyzer.query(&relation)?.schema())).await
}

pub(super) use super::target::command_path;

/// The type as declared: a CHAR or VARCHAR is kept as a string with a note.
pub(super) fn declared_type(field: &StructField) -> String {
    let note = field.metadata_map().get(CHAR_VARCHAR).and_then(|v| v.as_str().map(str::to_string));
    note.unwrap_or_else(|| field.data_type.simple_string())
}

/// The text of a column's DEFAULT.
pub(super) fn default_text(field: &StructField) -> Option<String> {
    if field.metadata.is_empty() {
        return None;
    }
    field.metadata_map().get("CURRENT_DEFAULT").and_then(|v| v.as_str().map(str::to_string))
}
