//! Streaming queries that are started whenever a server is.

use boathouse_spec::{Result, clock};
use sqlx::sqlite::SqliteRow;

use crate::encoding::{properties_from_json, properties_to_json};
use crate::errors;
use crate::records::Properties;
use crate::store::{Catalog, get};

/// A query, as it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRecord {
    pub name: String,
    /// As users write it.
    pub checkpoint: String,
    /// The request to start it, which only who took it can read.
    pub request: Vec<u8>,
    /// What was set in the session that asked.
    pub settings: Properties,
    /// The current catalog and schema of that session.
    pub catalog: String,
    pub schema: String,
    pub owner: String,
    pub created_at_us: i64,
}

impl Catalog {
    /// Records a query, in place of one of its name or on its checkpoint.
    pub async fn put_stream(&self, record: &StreamRecord) -> Result<()> {
        let doing = errors::store("recording a stream");
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM streams WHERE name = $1 OR checkpoint = $2")
            .bind(&record.name)
            .bind(&record.checkpoint)
            .execute(&mut *write.tx)
            .await
            .map_err(&doing)?;
        sqlx::query(
            "INSERT INTO streams (name, checkpoint, request, settings, catalog_name, schema_name, owner, created_at_us)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&record.name)
        .bind(&record.checkpoint)
        .bind(&record.request)
        .bind(properties_to_json(&record.settings))
        .bind(&record.catalog)
        .bind(&record.schema)
        .bind(&record.owner)
        .bind(clock::now_us())
        .execute(&mut *write.tx)
        .await
        .map_err(&doing)?;
        write.commit().await
    }

    /// Forgets the query of a name, where there is one.
    pub async fn remove_stream(&self, name: &str) -> Result<()> {
        let doing = errors::store("forgetting a stream");
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM streams WHERE name = $1")
            .bind(name)
            .execute(&mut *write.tx)
            .await
            .map_err(&doing)?;
        write.commit().await
    }

    /// All queries, the oldest first.
    pub async fn list_streams(&self) -> Result<Vec<StreamRecord>> {
        sqlx::query("SELECT * FROM streams ORDER BY created_at_us, name")
            .fetch_all(self.pool())
            .await
            .map_err(errors::store("listing streams"))?
            .iter()
            .map(from_row)
            .collect()
    }
}

fn from_row(row: &SqliteRow) -> Result<StreamRecord> {
    Ok(StreamRecord {
        name: get(row, "name")?,
        checkpoint: get(row, "checkpoint")?,
        request: get(row, "request")?,
        settings: properties_from_json(get(row, "settings")?)?,
        catalog: get(row, "catalog_name")?,
        schema: get(row, "schema_name")?,
        owner: get(row, "owner")?,
        created_at_us: get(row, "created_at_us")?,
    })
}
