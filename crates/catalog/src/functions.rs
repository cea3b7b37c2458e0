//! Functions that users define in SQL. Names are not overloaded.

use boathouse_spec::{Result, clock};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::encoding::{
    names_from_json, names_to_json, parameters_from_json, parameters_to_json, properties_from_json,
    properties_to_json, schema_from_json, type_from_json, type_to_json,
};
use crate::names::{ObjectName, SchemaName, check_new};
use crate::records::{FunctionKind, FunctionRecord};
use crate::store::{Catalog, get, get_id};
use crate::tables::OnConflict;
use crate::{errors, schemas};

const SELECT: &str = "SELECT f.id AS id, c.name AS catalog_name, s.name AS schema_name, f.name AS name, f.kind AS kind, \
    f.language AS language, f.parameters AS parameters, f.return_type AS return_type, \
    f.return_columns AS return_columns, f.body AS body, f.body_is_query AS body_is_query, f.comment AS comment, \
    f.deterministic AS deterministic, f.characteristics AS characteristics, f.owner AS owner, \
    f.current_catalog AS current_catalog, f.current_schema AS current_schema, f.configs AS configs, \
    f.created_at_us AS created_at_us, f.created_by AS created_by, f.updated_at_us AS updated_at_us, \
    f.updated_by AS updated_by \
    FROM functions f JOIN schemas s ON s.id = f.schema_id JOIN catalogs c ON c.id = s.catalog_id";

impl Catalog {
    /// Creates a function. Returns the record as stored and the one it replaced.
    pub async fn create_function(
        &self,
        mut record: FunctionRecord,
        on_conflict: OnConflict,
    ) -> Result<(FunctionRecord, Option<FunctionRecord>)> {
        check_new(&record.name.catalog, &record.name.name)?;
        let mut write = self.write().await?;
        let schema = schemas::require(&mut write.tx, &record.name.schema_name()).await?;
        let existing = find(&mut write.tx, &record.name).await?;
        record.created_at_us = clock::now_us();
        record.updated_at_us = record.created_at_us;
        if let Some(existing) = &existing {
            if on_conflict == OnConflict::Fail {
                return Err(errors::routine_already_exists(&record.name));
            }
            record.id = existing.id;
            record.created_at_us = existing.created_at_us;
            record.created_by = existing.created_by.clone();
            delete(&mut write.tx, existing).await?;
        }
        insert(&mut write.tx, &schema.id.to_string(), &record).await?;
        write.commit().await?;
        Ok((record, existing))
    }

    /// The functions of a schema by name.
    pub async fn list_functions(&self, schema: &SchemaName) -> Result<Vec<FunctionRecord>> {
        let mut connection = self.pool().acquire().await.map_err(errors::store("listing functions"))?;
        let schema = schemas::require(&mut connection, schema).await?;
        list(&mut connection, &schema.id.to_string()).await
    }

    pub async fn find_function(&self, name: &ObjectName) -> Result<Option<FunctionRecord>> {
        let mut connection = self.pool().acquire().await.map_err(errors::store("finding a function"))?;
        find(&mut connection, name).await
    }

    pub async fn get_function(&self, name: &ObjectName) -> Result<FunctionRecord> {
        self.find_function(name).await?.ok_or_else(|| errors::routine_not_found(name))
    }

    /// Changes a function in one transaction. Name and id stay.
    pub async fn alter_function(
        &self,
        name: &ObjectName,
        user: &str,
        change: impl FnOnce(&mut FunctionRecord) -> Result<()> + Send,
    ) -> Result<FunctionRecord> {
        let mut write = self.write().await?;
        let found = find(&mut write.tx, name).await?;
        let before = found.ok_or_else(|| errors::routine_not_found(name))?;
        let mut record = before.clone();
        change(&mut record)?;
        record.id = before.id;
        record.name = before.name.clone();
        record.updated_at_us = clock::now_us();
        record.updated_by = user.to_string();
        let schema = schemas::require(&mut write.tx, &name.schema_name()).await?;
        delete(&mut write.tx, &before).await?;
        insert(&mut write.tx, &schema.id.to_string(), &record).await?;
        write.commit().await?;
        Ok(record)
    }

    pub async fn drop_function(&self, name: &ObjectName) -> Result<FunctionRecord> {
        let mut write = self.write().await?;
        let found = find(&mut write.tx, name).await?;
        let record = found.ok_or_else(|| errors::routine_not_found(name))?;
        delete(&mut write.tx, &record).await?;
        write.commit().await?;
        Ok(record)
    }
}

async fn find(connection: &mut SqliteConnection, name: &ObjectName) -> Result<Option<FunctionRecord>> {
    sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE c.name = $1 AND s.name = $2 AND f.name = $3")))
        .bind(&name.catalog)
        .bind(&name.schema)
        .bind(&name.name)
        .fetch_optional(connection)
        .await
        .map_err(errors::store("finding a function"))?
        .as_ref()
        .map(from_row)
        .transpose()
}

pub(crate) async fn list(connection: &mut SqliteConnection, schema_id: &str) -> Result<Vec<FunctionRecord>> {
    sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE f.schema_id = $1 ORDER BY f.name")))
        .bind(schema_id)
        .fetch_all(connection)
        .await
        .map_err(errors::store("listing functions"))?
        .iter()
        .map(from_row)
        .collect()
}

async fn delete(connection: &mut SqliteConnection, record: &FunctionRecord) -> Result<()> {
    sqlx::query("DELETE FROM functions WHERE id = $1")
        .bind(record.id.to_string())
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(errors::store("dropping a function"))
}

async fn insert(connection: &mut SqliteConnection, schema_id: &str, record: &FunctionRecord) -> Result<()> {
    sqlx::query(
        "INSERT INTO functions (id, schema_id, name, kind, language, parameters, return_type, return_columns, body,
                                body_is_query, comment, deterministic, characteristics, owner, current_catalog,
                                current_schema, configs, created_at_us, created_by, updated_at_us, updated_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
    )
    .bind(record.id.to_string())
    .bind(schema_id)
    .bind(&record.name.name)
    .bind(match record.kind {
        FunctionKind::Scalar => "SCALAR",
        FunctionKind::Table => "TABLE",
    })
    .bind(&record.language)
    .bind(parameters_to_json(&record.parameters))
    .bind(record.returns.as_ref().map(type_to_json))
    .bind(record.return_columns.json())
    .bind(&record.body)
    .bind(record.body_is_query)
    .bind(&record.comment)
    .bind(record.deterministic)
    .bind(names_to_json(&record.characteristics))
    .bind(&record.owner)
    .bind(&record.current_catalog)
    .bind(&record.current_schema)
    .bind(properties_to_json(&record.configs))
    .bind(record.created_at_us)
    .bind(&record.created_by)
    .bind(record.updated_at_us)
    .bind(&record.updated_by)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(errors::store("creating a function"))
}

fn from_row(row: &SqliteRow) -> Result<FunctionRecord> {
    Ok(FunctionRecord {
        id: get_id(row, "id")?,
        name: ObjectName {
            catalog: get(row, "catalog_name")?,
            schema: get(row, "schema_name")?,
            name: get(row, "name")?,
        },
        kind: match get(row, "kind")? {
            "TABLE" => FunctionKind::Table,
            _ => FunctionKind::Scalar,
        },
        language: get(row, "language")?,
        parameters: parameters_from_json(get(row, "parameters")?)?,
        returns: get::<Option<&str>>(row, "return_type")?.map(type_from_json).transpose()?,
        return_columns: schema_from_json(get(row, "return_columns")?)?,
        body: get(row, "body")?,
        body_is_query: get(row, "body_is_query")?,
        comment: get(row, "comment")?,
        deterministic: get(row, "deterministic")?,
        characteristics: names_from_json(get(row, "characteristics")?)?,
        owner: get(row, "owner")?,
        current_catalog: get(row, "current_catalog")?,
        current_schema: get(row, "current_schema")?,
        configs: properties_from_json(get(row, "configs")?)?,
        created_at_us: get(row, "created_at_us")?,
        created_by: get(row, "created_by")?,
        updated_at_us: get(row, "updated_at_us")?,
        updated_by: get(row, "updated_by")?,
    })
}
