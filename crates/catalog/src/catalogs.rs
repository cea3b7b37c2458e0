//! Catalogs: the first level of names.

use boathouse_spec::{Error, Result, clock, quote};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};
use uuid::Uuid;

use crate::encoding::{properties_from_json, properties_to_json};
use crate::errors;
use crate::names::{SESSION_CATALOG, check_new};
use crate::records::{CatalogRecord, Properties};
use crate::schemas::{self, DroppedSchema};
use crate::store::{Catalog, get, get_id, insert_default_schema};

const SELECT: &str = "SELECT id, name, comment, owner, location, properties, created_at_us, created_by, \
                             updated_at_us, updated_by FROM catalogs";

impl Catalog {
    /// Creates a catalog with a schema `default`.
    pub async fn create_catalog(
        &self,
        name: &str,
        comment: Option<&str>,
        location: Option<&str>,
        properties: &Properties,
        user: &str,
    ) -> Result<CatalogRecord> {
        let doing = errors::store("creating a catalog");
        let name = name.to_lowercase();
        check_new("", &name)?;
        if name == "system" || name == "hive_metastore" {
            return Err(errors::catalog_already_exists(&name));
        }
        let mut write = self.write().await?;
        if find(&mut write.tx, &name).await?.is_some() {
            return Err(errors::catalog_already_exists(&name));
        }
        let now = clock::now_us();
        let record = CatalogRecord {
            id: Uuid::new_v4(),
            name,
            comment: comment.map(str::to_string),
            owner: user.to_string(),
            location: location.map(str::to_string),
            properties: properties.clone(),
            created_at_us: now,
            created_by: user.to_string(),
            updated_at_us: now,
            updated_by: user.to_string(),
        };
        sqlx::query(
            "INSERT INTO catalogs (id, name, comment, owner, location, properties, created_at_us, created_by, updated_at_us, updated_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(record.id.to_string())
        .bind(&record.name)
        .bind(&record.comment)
        .bind(&record.owner)
        .bind(&record.location)
        .bind(properties_to_json(&record.properties))
        .bind(record.created_at_us)
        .bind(&record.created_by)
        .bind(record.updated_at_us)
        .bind(&record.updated_by)
        .execute(&mut *write.tx)
        .await
        .map_err(&doing)?;
        insert_default_schema(&mut write, &record.id.to_string(), user, now).await.map_err(&doing)?;
        write.commit().await?;
        Ok(record)
    }

    /// All catalogs by name.
    pub async fn list_catalogs(&self) -> Result<Vec<CatalogRecord>> {
        sqlx::query(AssertSqlSafe(format!("{SELECT} ORDER BY name")))
            .fetch_all(self.pool())
            .await
            .map_err(errors::store("listing catalogs"))?
            .iter()
            .map(from_row)
            .collect()
    }

    pub async fn find_catalog(&self, name: &str) -> Result<Option<CatalogRecord>> {
        let mut connection = self.pool().acquire().await.map_err(errors::store("finding a catalog"))?;
        find(&mut connection, &name.to_lowercase()).await
    }

    pub async fn get_catalog(&self, name: &str) -> Result<CatalogRecord> {
        self.find_catalog(name).await?.ok_or_else(|| errors::catalog_not_found(name))
    }

    /// Changes a catalog in one transaction. Its name stays.
    pub async fn alter_catalog(
        &self,
        name: &str,
        user: &str,
        change: impl FnOnce(&mut CatalogRecord) -> Result<()> + Send,
    ) -> Result<CatalogRecord> {
        let mut write = self.write().await?;
        let found = find(&mut write.tx, &name.to_lowercase()).await?;
        let mut record = found.ok_or_else(|| errors::catalog_not_found(name))?;
        change(&mut record)?;
        record.updated_at_us = clock::now_us();
        record.updated_by = user.to_string();
        sqlx::query(
            "UPDATE catalogs SET comment = $1, owner = $2, location = $3, properties = $4, updated_at_us = $5, updated_by = $6
             WHERE id = $7",
        )
        .bind(&record.comment)
        .bind(&record.owner)
        .bind(&record.location)
        .bind(properties_to_json(&record.properties))
        .bind(record.updated_at_us)
        .bind(&record.updated_by)
        .bind(record.id.to_string())
        .execute(&mut *write.tx)
        .await
        .map_err(errors::store("altering a catalog"))?;
        write.commit().await?;
        Ok(record)
    }

    /// Drops a catalog. Without `cascade`, only an empty schema `default` may be in it. Returns what went with it.
    pub async fn drop_catalog(&self, name: &str, cascade: bool) -> Result<Vec<DroppedSchema>> {
        let name = name.to_lowercase();
        if name == SESSION_CATALOG {
            return Err(Error::unsupported(format!("dropping the catalog {}", quote(&name))));
        }
        let mut write = self.write().await?;
        let record = find(&mut write.tx, &name).await?.ok_or_else(|| errors::catalog_not_found(&name))?;
        let inside = schemas::list(&mut write.tx, &record.id.to_string()).await?;
        if !cascade && inside.iter().any(|s| s.name.schema != crate::DEFAULT_SCHEMA) {
            return Err(errors::catalog_not_empty(&name));
        }
        let mut dropped = Vec::with_capacity(inside.len());
        for schema in inside {
            dropped.push(schemas::drop_in(&mut write.tx, schema, cascade).await?);
        }
        sqlx::query("DELETE FROM catalogs WHERE id = $1")
            .bind(record.id.to_string())
            .execute(&mut *write.tx)
            .await
            .map_err(errors::store("dropping a catalog"))?;
        write.commit().await?;
        Ok(dropped)
    }
}

pub(crate) async fn find(connection: &mut SqliteConnection, name: &str) -> Result<Option<CatalogRecord>> {
    sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE name = $1")))
        .bind(name)
        .fetch_optional(connection)
        .await
        .map_err(errors::store("finding a catalog"))?
        .as_ref()
        .map(from_row)
        .transpose()
}

fn from_row(row: &SqliteRow) -> Result<CatalogRecord> {
    Ok(CatalogRecord {
        id: get_id(row, "id")?,
        name: get(row, "name")?,
        comment: get(row, "comment")?,
        owner: get(row, "owner")?,
        location: get(row, "location")?,
        properties: properties_from_json(get(row, "properties")?)?,
        created_at_us: get(row, "created_at_us")?,
        created_by: get(row, "created_by")?,
        updated_at_us: get(row, "updated_at_us")?,
        updated_by: get(row, "updated_by")?,
    })
}
