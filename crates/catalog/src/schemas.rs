//! Schemas: the second level of names.

use boathouse_spec::{Result, clock};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};
use uuid::Uuid;

use crate::encoding::{properties_from_json, properties_to_json};
use crate::names::{DEFAULT_SCHEMA, SESSION_CATALOG, SchemaName, check_new};
use crate::records::{FunctionRecord, SchemaRecord, TableRecord};
use crate::store::{Catalog, get, get_id};
use crate::{catalogs, errors, functions, tables};

const SELECT: &str = "SELECT s.id AS id, c.name AS catalog_name, s.name AS name, s.comment AS comment, s.owner AS owner, \
    s.location AS location, s.properties AS properties, s.collation_name AS collation_name, \
    s.created_at_us AS created_at_us, s.created_by AS created_by, s.updated_at_us AS updated_at_us, \
    s.updated_by AS updated_by FROM schemas s JOIN catalogs c ON c.id = s.catalog_id";

/// A schema that was dropped, with all that was in it. The files of managed tables are the caller's to remove.
#[derive(Debug, Clone, PartialEq)]
pub struct DroppedSchema {
    pub schema: SchemaRecord,
    pub tables: Vec<TableRecord>,
    pub functions: Vec<FunctionRecord>,
}

impl SchemaRecord {
    /// A record of a name and an owner. The catalog sets the times when it is created.
    pub fn new(name: SchemaName, owner: &str) -> Self {
        Self {
            id: Uuid::new_v4(),
            name,
            comment: None,
            owner: owner.to_string(),
            location: None,
            properties: Default::default(),
            collation: None,
            created_at_us: 0,
            created_by: owner.to_string(),
            updated_at_us: 0,
            updated_by: owner.to_string(),
        }
    }
}

impl Catalog {
    /// Creates a schema. `SCHEMA_ALREADY_EXISTS` where the caller said IF NOT EXISTS is the caller's to swallow.
    pub async fn create_schema(&self, mut record: SchemaRecord) -> Result<SchemaRecord> {
        check_new(&record.name.catalog, &record.name.schema)?;
        let mut write = self.write().await?;
        let catalog = catalogs::find(&mut write.tx, &record.name.catalog)
            .await?
            .ok_or_else(|| errors::catalog_not_found(&record.name.catalog))?;
        if find(&mut write.tx, &record.name).await?.is_some() || record.name.schema == "information_schema" {
            return Err(errors::schema_already_exists(&record.name));
        }
        record.created_at_us = clock::now_us();
        record.updated_at_us = record.created_at_us;
        sqlx::query(
            "INSERT INTO schemas (id, catalog_id, name, comment, owner, location, properties, collation_name,
                                  created_at_us, created_by, updated_at_us, updated_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(record.id.to_string())
        .bind(catalog.id.to_string())
        .bind(&record.name.schema)
        .bind(&record.comment)
        .bind(&record.owner)
        .bind(&record.location)
        .bind(properties_to_json(&record.properties))
        .bind(&record.collation)
        .bind(record.created_at_us)
        .bind(&record.created_by)
        .bind(record.updated_at_us)
        .bind(&record.updated_by)
        .execute(&mut *write.tx)
        .await
        .map_err(errors::store("creating a schema"))?;
        write.commit().await?;
        Ok(record)
    }

    /// The schemas of a catalog by name.
    pub async fn list_schemas(&self, catalog: &str) -> Result<Vec<SchemaRecord>> {
        let catalog = self.get_catalog(catalog).await?;
        let mut connection = self.pool().acquire().await.map_err(errors::store("listing schemas"))?;
        list(&mut connection, &catalog.id.to_string()).await
    }

    pub async fn find_schema(&self, name: &SchemaName) -> Result<Option<SchemaRecord>> {
        let mut connection = self.pool().acquire().await.map_err(errors::store("finding a schema"))?;
        find(&mut connection, name).await
    }

    /// The schema, or `CATALOG_NOT_FOUND`, or `SCHEMA_NOT_FOUND`.
    pub async fn get_schema(&self, name: &SchemaName) -> Result<SchemaRecord> {
        let mut connection = self.pool().acquire().await.map_err(errors::store("finding a schema"))?;
        require(&mut connection, name).await
    }

    /// Changes a schema in one transaction. Its name stays.
    pub async fn alter_schema(
        &self,
        name: &SchemaName,
        user: &str,
        change: impl FnOnce(&mut SchemaRecord) -> Result<()> + Send,
    ) -> Result<SchemaRecord> {
        let mut write = self.write().await?;
        let mut record = require(&mut write.tx, name).await?;
        change(&mut record)?;
        record.updated_at_us = clock::now_us();
        record.updated_by = user.to_string();
        sqlx::query(
            "UPDATE schemas SET comment = $1, owner = $2, location = $3, properties = $4, collation_name = $5,
                                updated_at_us = $6, updated_by = $7
             WHERE id = $8",
        )
        .bind(&record.comment)
        .bind(&record.owner)
        .bind(&record.location)
        .bind(properties_to_json(&record.properties))
        .bind(&record.collation)
        .bind(record.updated_at_us)
        .bind(&record.updated_by)
        .bind(record.id.to_string())
        .execute(&mut *write.tx)
        .await
        .map_err(errors::store("altering a schema"))?;
        write.commit().await?;
        Ok(record)
    }

    /// Drops a schema, and with `cascade` all that is in it.
    pub async fn drop_schema(&self, name: &SchemaName, cascade: bool) -> Result<DroppedSchema> {
        if name.catalog == SESSION_CATALOG && name.schema == DEFAULT_SCHEMA {
            return Err(errors::default_schema(name));
        }
        let mut write = self.write().await?;
        let record = require(&mut write.tx, name).await?;
        let dropped = drop_in(&mut write.tx, record, cascade).await?;
        write.commit().await?;
        Ok(dropped)
    }
}

pub(crate) async fn find(
    connection: &mut SqliteConnection,
    name: &SchemaName,
) -> Result<Option<SchemaRecord>> {
    sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE c.name = $1 AND s.name = $2")))
        .bind(&name.catalog)
        .bind(&name.schema)
        .fetch_optional(connection)
        .await
        .map_err(errors::store("finding a schema"))?
        .as_ref()
        .map(from_row)
        .transpose()
}

pub(crate) async fn require(connection: &mut SqliteConnection, name: &SchemaName) -> Result<SchemaRecord> {
    if let Some(record) = find(connection, name).await? {
        return Ok(record);
    }
    match catalogs::find(connection, &name.catalog).await? {
        Some(_) => Err(errors::schema_not_found(name)),
        None => Err(errors::catalog_not_found(&name.catalog)),
    }
}

pub(crate) async fn list(connection: &mut SqliteConnection, catalog_id: &str) -> Result<Vec<SchemaRecord>> {
    sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE s.catalog_id = $1 ORDER BY s.name")))
        .bind(catalog_id)
        .fetch_all(connection)
        .await
        .map_err(errors::store("listing schemas"))?
        .iter()
        .map(from_row)
        .collect()
}

pub(crate) async fn drop_in(
    connection: &mut SqliteConnection,
    schema: SchemaRecord,
    cascade: bool,
) -> Result<DroppedSchema> {
    let id = schema.id.to_string();
    let tables = tables::list(connection, &id).await?;
    let functions = functions::list(connection, &id).await?;
    let is_empty = tables.is_empty() && functions.is_empty();
    if !cascade && !is_empty {
        return Err(errors::schema_not_empty(&schema.name));
    }
    for statement in [
        "DELETE FROM managed_tables WHERE table_id IN (SELECT id FROM relations WHERE schema_id = $1)",
        "DELETE FROM relations WHERE schema_id = $1",
        "DELETE FROM functions WHERE schema_id = $1",
        "DELETE FROM schemas WHERE id = $1",
    ] {
        sqlx::query(statement)
            .bind(&id)
            .execute(&mut *connection)
            .await
            .map_err(errors::store("dropping a schema"))?;
    }
    Ok(DroppedSchema { schema, tables, functions })
}

fn from_row(row: &SqliteRow) -> Result<SchemaRecord> {
    Ok(SchemaRecord {
        id: get_id(row, "id")?,
        name: SchemaName { catalog: get(row, "catalog_name")?, schema: get(row, "name")? },
        comment: get(row, "comment")?,
        owner: get(row, "owner")?,
        location: get(row, "location")?,
        properties: properties_from_json(get(row, "properties")?)?,
        collation: get(row, "collation_name")?,
        created_at_us: get(row, "created_at_us")?,
        created_by: get(row, "created_by")?,
        updated_at_us: get(row, "updated_at_us")?,
        updated_by: get(row, "updated_by")?,
    })
}
