//! Spark's errors about named things.

use boathouse_spec::{Error, quote};

use crate::names::{ObjectName, SchemaName};
use crate::records::TableKind;

pub(crate) fn store(doing: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |e| Error::io(format!("{doing} in the metastore"), e)
}

/// Whether another handle has the file for itself: `SQLITE_BUSY`, also with the reason in the upper bytes of the code.
pub(crate) fn is_busy(e: &sqlx::Error) -> bool {
    const SQLITE_BUSY: i32 = 5;
    let code = e.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

pub(crate) fn corrupt(what: &str, cause: impl std::fmt::Display) -> Error {
    Error::internal(format!("The metastore holds {what} that cannot be read: {cause}"))
}

pub(crate) fn invalid_name(quoted: &str) -> Error {
    Error::new("INVALID_SCHEMA_OR_RELATION_NAME").param("name", quoted).message(format!(
        "{quoted} cannot be the name of a schema, table or view. Names are letters, digits and underscores."
    ))
}

pub(crate) fn catalog_not_found(catalog: &str) -> Error {
    Error::new("CATALOG_NOT_FOUND")
        .param("catalogName", quote(catalog))
        .param("config", format!("\"spark.sql.catalog.{catalog}\""))
        .message(format!("There is no catalog {}. SHOW CATALOGS lists those that exist.", quote(catalog)))
}

pub(crate) fn catalog_already_exists(catalog: &str) -> Error {
    Error::new("CATALOG_ALREADY_EXISTS").param("catalogName", quote(catalog)).message(format!(
        "The catalog {} exists already. Choose another name, drop it, or say IF NOT EXISTS.",
        quote(catalog)
    ))
}

pub(crate) fn catalog_not_empty(catalog: &str) -> Error {
    Error::new("CATALOG_NOT_EMPTY").param("catalogName", quote(catalog)).message(format!(
        "The catalog {} still has schemas. Say CASCADE to drop them with it.",
        quote(catalog)
    ))
}

pub(crate) fn schema_not_found(name: &SchemaName) -> Error {
    Error::new("SCHEMA_NOT_FOUND").param("schemaName", name.quoted()).message(format!(
        "There is no schema {}. Check the spelling, or name its catalog. DROP SCHEMA tolerates this with IF EXISTS.",
        name.quoted()
    ))
}

pub(crate) fn schema_already_exists(name: &SchemaName) -> Error {
    let shown = session_form(name);
    Error::new("SCHEMA_ALREADY_EXISTS").param("schemaName", &shown).message(format!(
        "The schema {shown} exists already. Choose another name, drop it, or say IF NOT EXISTS."
    ))
}

pub(crate) fn schema_not_empty(name: &SchemaName) -> Error {
    let shown = session_form(name);
    Error::new("SCHEMA_NOT_EMPTY").param("schemaName", &shown).message(format!(
        "The schema {shown} still has tables, views or functions. Say CASCADE to drop them with it."
    ))
}

pub(crate) fn default_schema(name: &SchemaName) -> Error {
    Error::new("UNSUPPORTED_FEATURE.DROP_DATABASE")
        .param("database", name.quoted())
        .message(format!("The default schema {} cannot be dropped.", name.quoted()))
}

pub(crate) fn relation_not_found(name: &ObjectName) -> Error {
    Error::new("TABLE_OR_VIEW_NOT_FOUND")
        .param("relationName", name.quoted())
        .param("searchPath", format!("[{}]", name.schema_name().quoted()))
        .message(format!(
            "There is no table or view {}. Check the spelling, or name its schema and catalog. \
             DROP tolerates this with IF EXISTS.",
            name.quoted()
        ))
}

pub(crate) fn relation_already_exists(name: &ObjectName) -> Error {
    Error::new("TABLE_OR_VIEW_ALREADY_EXISTS").param("relationName", name.quoted()).message(format!(
        "The table or view {} exists already. Choose another name, drop or replace it, or say IF NOT EXISTS.",
        name.quoted()
    ))
}

pub(crate) fn view_over_table(name: &ObjectName) -> Error {
    Error::new("EXPECT_VIEW_NOT_TABLE.NO_ALTERNATIVE")
        .param("tableName", name.quoted())
        .param("operation", "CREATE OR REPLACE VIEW")
        .message(format!("{} is a table, and CREATE OR REPLACE VIEW replaces views only.", name.quoted()))
}

pub(crate) fn table_over_view(name: &ObjectName) -> Error {
    Error::new("EXPECT_TABLE_NOT_VIEW.NO_ALTERNATIVE")
        .param("viewName", name.quoted())
        .param("operation", "REPLACE TABLE")
        .message(format!("{} is a view, and REPLACE TABLE replaces tables only.", name.quoted()))
}

pub(crate) fn drop_view_on_table(name: &ObjectName, kind: TableKind) -> Error {
    Error::new("WRONG_COMMAND_FOR_OBJECT_TYPE")
        .param("operation", "DROP VIEW")
        .param("requiredType", "VIEW or METRIC_VIEW")
        .param("objectName", name)
        .param("foundType", kind.as_str())
        .param("alternative", "DROP TABLE")
        .message(format!("DROP VIEW drops views, and {name} is a table ({}). Use DROP TABLE.", kind.as_str()))
}

pub(crate) fn routine_not_found(name: &ObjectName) -> Error {
    let shown = routine(name);
    Error::new("ROUTINE_NOT_FOUND").param("routineName", &shown).message(format!(
        "There is no function {shown}. Check the spelling, or name its schema. DROP FUNCTION tolerates this with IF EXISTS."
    ))
}

pub(crate) fn routine_already_exists(name: &ObjectName) -> Error {
    let shown = routine(name);
    Error::new("ROUTINE_ALREADY_EXISTS")
        .param("routineName", &shown)
        .param("newRoutineType", "routine")
        .param("existingRoutineType", "routine")
        .message(format!(
            "The function {shown} exists already. Choose another name, drop or replace it, or say IF NOT EXISTS."
        ))
}

/// Spark's session catalog leaves its own name out of some messages.
fn session_form(name: &SchemaName) -> String {
    if name.catalog == crate::SESSION_CATALOG { quote(&name.schema) } else { name.quoted() }
}

fn routine(name: &ObjectName) -> String {
    if name.catalog == crate::SESSION_CATALOG {
        boathouse_spec::quote_name(&[&name.schema, &name.name])
    } else {
        name.quoted()
    }
}
