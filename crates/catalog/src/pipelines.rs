//! Pipelines by name: where each keeps its checkpoints and its event log.

use boathouse_spec::{Result, clock};
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::encoding::{properties_from_json, properties_to_json};
use crate::errors;
use crate::records::Properties;
use crate::store::{Catalog, get, get_id};

/// A pipeline. Its datasets are ordinary relations, which name it in their property `pipelines.pipelineId`.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineRecord {
    pub id: Uuid,
    pub name: String,
    /// The URL of the directory of its checkpoints and its event log.
    pub storage: String,
    /// Where its datasets are published.
    pub catalog: String,
    pub schema: String,
    /// The file or directory it was loaded from.
    pub root: Option<String>,
    pub configuration: Properties,
    pub owner: String,
    pub created_at_us: i64,
    pub updated_at_us: i64,
}

impl Catalog {
    /// Records a pipeline under its name. One that exists keeps its id and the time of its creation, and becomes what the
    /// record says.
    pub async fn put_pipeline(&self, mut record: PipelineRecord) -> Result<PipelineRecord> {
        let doing = errors::store("recording a pipeline");
        let mut write = self.write().await?;
        record.created_at_us = clock::now_us();
        record.updated_at_us = record.created_at_us;
        let existing = sqlx::query("SELECT * FROM pipelines WHERE name = $1")
            .bind(&record.name)
            .fetch_optional(&mut *write.tx)
            .await
            .map_err(&doing)?;
        if let Some(existing) = existing.as_ref().map(from_row).transpose()? {
            record.id = existing.id;
            record.created_at_us = existing.created_at_us;
        }
        sqlx::query("DELETE FROM pipelines WHERE id = $1")
            .bind(record.id.to_string())
            .execute(&mut *write.tx)
            .await
            .map_err(&doing)?;
        sqlx::query(
            "INSERT INTO pipelines (id, name, storage, catalog_name, schema_name, root, configuration, owner,
                                    created_at_us, updated_at_us)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(record.id.to_string())
        .bind(&record.name)
        .bind(&record.storage)
        .bind(&record.catalog)
        .bind(&record.schema)
        .bind(&record.root)
        .bind(properties_to_json(&record.configuration))
        .bind(&record.owner)
        .bind(record.created_at_us)
        .bind(record.updated_at_us)
        .execute(&mut *write.tx)
        .await
        .map_err(&doing)?;
        write.commit().await?;
        Ok(record)
    }

    pub async fn find_pipeline(&self, name: &str) -> Result<Option<PipelineRecord>> {
        self.pipeline_where("SELECT * FROM pipelines WHERE name = $1", name).await
    }

    pub async fn find_pipeline_by_id(&self, id: Uuid) -> Result<Option<PipelineRecord>> {
        self.pipeline_where("SELECT * FROM pipelines WHERE id = $1", &id.to_string()).await
    }

    async fn pipeline_where(&self, query: &'static str, value: &str) -> Result<Option<PipelineRecord>> {
        sqlx::query(query)
            .bind(value)
            .fetch_optional(self.pool())
            .await
            .map_err(errors::store("finding a pipeline"))?
            .as_ref()
            .map(from_row)
            .transpose()
    }

    /// All pipelines by name.
    pub async fn list_pipelines(&self) -> Result<Vec<PipelineRecord>> {
        sqlx::query("SELECT * FROM pipelines ORDER BY name")
            .fetch_all(self.pool())
            .await
            .map_err(errors::store("listing pipelines"))?
            .iter()
            .map(from_row)
            .collect()
    }
}

fn from_row(row: &SqliteRow) -> Result<PipelineRecord> {
    Ok(PipelineRecord {
        id: get_id(row, "id")?,
        name: get(row, "name")?,
        storage: get(row, "storage")?,
        catalog: get(row, "catalog_name")?,
        schema: get(row, "schema_name")?,
        root: get(row, "root")?,
        configuration: properties_from_json(get(row, "configuration")?)?,
        owner: get(row, "owner")?,
        created_at_us: get(row, "created_at_us")?,
        updated_at_us: get(row, "updated_at_us")?,
    })
}
