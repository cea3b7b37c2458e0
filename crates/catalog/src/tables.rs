//! Tables and views: one namespace, one record each.

use boathouse_spec::{Result, clock};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::encoding::{
    bucket_from_json, bucket_to_json, names_from_json, names_to_json, paths_from_json, paths_to_json,
    properties_from_json, properties_to_json, schema_from_json, view_from_json, view_to_json,
};
use crate::names::{ObjectName, SchemaName, check_new};
use crate::records::{TableKind, TableRecord};
use crate::store::{Catalog, get, get_id};
use crate::{delta_commits, errors, schemas};

const SELECT: &str = "SELECT t.id AS id, c.name AS catalog_name, s.name AS schema_name, t.name AS name, t.kind AS kind, \
    t.provider AS provider, t.schema_json AS schema_json, t.partition_columns AS partition_columns, \
    t.clustering_columns AS clustering_columns, t.bucket AS bucket, t.location AS location, \
    t.properties AS properties, t.options AS options, t.comment AS comment, t.collation_name AS collation_name, \
    t.owner AS owner, t.view_definition AS view_definition, t.created_at_us AS created_at_us, \
    t.created_by AS created_by, t.created_version AS created_version, t.updated_at_us AS updated_at_us, \
    t.updated_by AS updated_by, \
    EXISTS (SELECT 1 FROM managed_tables m WHERE m.table_id = t.id) AS manages_commits \
    FROM relations t JOIN schemas s ON s.id = t.schema_id JOIN catalogs c ON c.id = s.catalog_id";

/// What becomes of a table or view that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    Fail,
    /// The new one takes its place in the same transaction. A view replaces views only, a table tables only.
    Replace,
}

impl Catalog {
    /// Creates a table or view. Returns the record as stored and the one it replaced.
    ///
    /// The id of a replaced record is kept where the kind and location are the same: it is the same table with another
    /// definition, and what refers to it by id goes on doing so.
    pub async fn create_table(
        &self,
        mut record: TableRecord,
        on_conflict: OnConflict,
    ) -> Result<(TableRecord, Option<TableRecord>)> {
        check_new(&record.name.catalog, &record.name.name)?;
        let mut write = self.write().await?;
        let schema = schemas::require(&mut write.tx, &record.name.schema_name()).await?;
        let existing = find(&mut write.tx, &record.name).await?;
        let now = clock::now_us();
        record.created_at_us = now;
        record.updated_at_us = now;
        record.location = record.location.as_deref().map(without_trailing_slash).map(str::to_string);
        if let Some(existing) = &existing {
            if on_conflict == OnConflict::Fail {
                return Err(errors::relation_already_exists(&record.name));
            }
            match (record.kind.is_view(), existing.kind.is_view()) {
                (true, false) => return Err(errors::view_over_table(&record.name)),
                (false, true) => return Err(errors::table_over_view(&record.name)),
                _ => {}
            }
            if existing.kind == record.kind && existing.location == record.location {
                record.id = existing.id;
                record.created_at_us = existing.created_at_us;
            }
            if record.id != existing.id {
                delta_commits::forget(&mut write.tx, existing.id).await?;
            }
            delete(&mut write.tx, existing).await?;
        }
        insert(&mut write.tx, &schema.id.to_string(), &record).await?;
        write.commit().await?;
        Ok((record, existing))
    }

    /// The tables and views of a schema by name.
    pub async fn list_tables(&self, schema: &SchemaName) -> Result<Vec<TableRecord>> {
        let mut connection = self.pool().acquire().await.map_err(errors::store("listing tables"))?;
        let schema = schemas::require(&mut connection, schema).await?;
        list(&mut connection, &schema.id.to_string()).await
    }

    pub async fn find_table(&self, name: &ObjectName) -> Result<Option<TableRecord>> {
        let mut connection = self.pool().acquire().await.map_err(errors::store("finding a table"))?;
        find(&mut connection, name).await
    }

    /// The table or view, or `TABLE_OR_VIEW_NOT_FOUND`. Its message names the full name; where a user wrote a shorter
    /// one, the caller knows it and says that.
    pub async fn get_table(&self, name: &ObjectName) -> Result<TableRecord> {
        self.find_table(name).await?.ok_or_else(|| errors::relation_not_found(name))
    }

    /// The tables whose directory is exactly `location` (as recorded, without a trailing slash).
    pub async fn tables_at(&self, location: &str) -> Result<Vec<TableRecord>> {
        sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE t.location = $1 ORDER BY c.name, s.name, t.name")))
            .bind(without_trailing_slash(location))
            .fetch_all(self.pool())
            .await
            .map_err(errors::store("finding tables by location"))?
            .iter()
            .map(from_row)
            .collect()
    }

    /// Changes a table or view in one transaction: what `change` sees cannot be overwritten meanwhile. Name and id stay.
    pub async fn alter_table(
        &self,
        name: &ObjectName,
        user: &str,
        change: impl FnOnce(&mut TableRecord) -> Result<()> + Send,
    ) -> Result<TableRecord> {
        let mut write = self.write().await?;
        let found = find(&mut write.tx, name).await?;
        let before = found.ok_or_else(|| errors::relation_not_found(name))?;
        let mut record = before.clone();
        change(&mut record)?;
        record.id = before.id;
        record.name = before.name.clone();
        record.location = record.location.as_deref().map(without_trailing_slash).map(str::to_string);
        record.updated_at_us = clock::now_us();
        record.updated_by = user.to_string();
        let schema = schemas::require(&mut write.tx, &name.schema_name()).await?;
        delete(&mut write.tx, &before).await?;
        insert(&mut write.tx, &schema.id.to_string(), &record).await?;
        write.commit().await?;
        Ok(record)
    }

    /// Gives a table or view another name, in the same catalog. Files stay where they are.
    pub async fn rename_table(&self, from: &ObjectName, to: &ObjectName, user: &str) -> Result<TableRecord> {
        check_new(&to.catalog, &to.name)?;
        let mut write = self.write().await?;
        let found = find(&mut write.tx, from).await?;
        let mut record = found.ok_or_else(|| errors::relation_not_found(from))?;
        let schema = schemas::require(&mut write.tx, &to.schema_name()).await?;
        if find(&mut write.tx, to).await?.is_some() {
            return Err(errors::relation_already_exists(to));
        }
        record.name = to.clone();
        record.updated_at_us = clock::now_us();
        record.updated_by = user.to_string();
        sqlx::query("UPDATE relations SET schema_id = $1, name = $2, updated_at_us = $3, updated_by = $4 WHERE id = $5")
            .bind(schema.id.to_string())
            .bind(&to.name)
            .bind(record.updated_at_us)
            .bind(&record.updated_by)
            .bind(record.id.to_string())
            .execute(&mut *write.tx)
            .await
            .map_err(errors::store("renaming a table"))?;
        write.commit().await?;
        Ok(record)
    }

    /// Drops a table or (as Spark's `DROP TABLE` does too) a view. The files of a managed table are the caller's to
    /// remove, after this returns: a crash between leaves files without a name, never a name without files.
    pub async fn drop_table(&self, name: &ObjectName) -> Result<TableRecord> {
        self.drop_relation(name, |_| Ok(())).await
    }

    /// Drops a view, and refuses a table.
    pub async fn drop_view(&self, name: &ObjectName) -> Result<TableRecord> {
        self.drop_relation(name, |record| match record.kind {
            TableKind::View | TableKind::MaterializedView => Ok(()),
            kind => Err(errors::drop_view_on_table(name, kind)),
        })
        .await
    }

    async fn drop_relation(
        &self,
        name: &ObjectName,
        accept: impl FnOnce(&TableRecord) -> Result<()> + Send,
    ) -> Result<TableRecord> {
        let mut write = self.write().await?;
        let found = find(&mut write.tx, name).await?;
        let record = found.ok_or_else(|| errors::relation_not_found(name))?;
        accept(&record)?;
        delta_commits::forget(&mut write.tx, record.id).await?;
        delete(&mut write.tx, &record).await?;
        write.commit().await?;
        Ok(record)
    }
}

async fn find(connection: &mut SqliteConnection, name: &ObjectName) -> Result<Option<TableRecord>> {
    sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE c.name = $1 AND s.name = $2 AND t.name = $3")))
        .bind(&name.catalog)
        .bind(&name.schema)
        .bind(&name.name)
        .fetch_optional(connection)
        .await
        .map_err(errors::store("finding a table"))?
        .as_ref()
        .map(from_row)
        .transpose()
}

pub(crate) async fn list(connection: &mut SqliteConnection, schema_id: &str) -> Result<Vec<TableRecord>> {
    sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE t.schema_id = $1 ORDER BY t.name")))
        .bind(schema_id)
        .fetch_all(connection)
        .await
        .map_err(errors::store("listing tables"))?
        .iter()
        .map(from_row)
        .collect()
}

async fn delete(connection: &mut SqliteConnection, record: &TableRecord) -> Result<()> {
    sqlx::query("DELETE FROM relations WHERE id = $1")
        .bind(record.id.to_string())
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(errors::store("dropping a table"))
}

async fn insert(connection: &mut SqliteConnection, schema_id: &str, record: &TableRecord) -> Result<()> {
    sqlx::query(
        "INSERT INTO relations (id, schema_id, name, kind, provider, schema_json, partition_columns, clustering_columns,
                                bucket, location, properties, options, comment, collation_name, owner, view_definition,
                                created_at_us, created_by, created_version, updated_at_us, updated_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
    )
    .bind(record.id.to_string())
    .bind(schema_id)
    .bind(&record.name.name)
    .bind(record.kind.as_str())
    .bind(&record.provider)
    .bind(record.schema.json())
    .bind(names_to_json(&record.partition_columns))
    .bind(paths_to_json(&record.clustering_columns))
    .bind(record.bucket.as_ref().map(bucket_to_json))
    .bind(&record.location)
    .bind(properties_to_json(&record.properties))
    .bind(properties_to_json(&record.options))
    .bind(&record.comment)
    .bind(&record.collation)
    .bind(&record.owner)
    .bind(record.view.as_ref().map(view_to_json))
    .bind(record.created_at_us)
    .bind(&record.created_by)
    .bind(&record.created_version)
    .bind(record.updated_at_us)
    .bind(&record.updated_by)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(errors::store("creating a table"))
}

/// Locations are compared as text, so they are kept in one form.
fn without_trailing_slash(location: &str) -> &str {
    let trimmed = location.trim_end_matches('/');
    if trimmed.is_empty() || trimmed.ends_with(':') { location } else { trimmed }
}

fn from_row(row: &SqliteRow) -> Result<TableRecord> {
    let kind: &str = get(row, "kind")?;
    Ok(TableRecord {
        id: get_id(row, "id")?,
        name: ObjectName {
            catalog: get(row, "catalog_name")?,
            schema: get(row, "schema_name")?,
            name: get(row, "name")?,
        },
        kind: TableKind::parse(kind).ok_or_else(|| errors::corrupt("a kind of table", kind))?,
        provider: get(row, "provider")?,
        schema: schema_from_json(get(row, "schema_json")?)?,
        partition_columns: names_from_json(get(row, "partition_columns")?)?,
        clustering_columns: paths_from_json(get(row, "clustering_columns")?)?,
        bucket: get::<Option<&str>>(row, "bucket")?.map(bucket_from_json).transpose()?,
        location: get(row, "location")?,
        manages_commits: get(row, "manages_commits")?,
        properties: properties_from_json(get(row, "properties")?)?,
        options: properties_from_json(get(row, "options")?)?,
        comment: get(row, "comment")?,
        collation: get(row, "collation_name")?,
        owner: get(row, "owner")?,
        view: get::<Option<&str>>(row, "view_definition")?.map(view_from_json).transpose()?,
        created_at_us: get(row, "created_at_us")?,
        created_by: get(row, "created_by")?,
        created_version: get(row, "created_version")?,
        updated_at_us: get(row, "updated_at_us")?,
        updated_by: get(row, "updated_by")?,
    })
}
