//! DESCRIBE DETAIL.

use boathouse_spec::{DataType, Result, StructType, quote_paths_if_needed};
use serde_json::json;

use crate::report::{Report, field, strings};
use crate::snapshot::Snapshot;

/// The row of DESCRIBE DETAIL; `name` is the table's in the catalog, none for a table by path.
pub async fn detail(table: &Snapshot, name: Option<&str>) -> Result<Report> {
    let metadata = table.metadata();
    let files = table.files().await?;
    let (mut count, mut bytes, mut vectors, mut deleted) = (0i64, 0i64, 0i64, 0i64);
    for file in files.iter() {
        count += 1;
        bytes = bytes.saturating_add(file.size);
        if let Some(vector) = &file.deletion_vector {
            vectors += 1;
            deleted = deleted.saturating_add(vector.cardinality);
        }
    }
    let mut features = table.protocol().features();
    features.sort();
    let properties: serde_json::Map<String, serde_json::Value> =
        metadata.configuration.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
    let clustering = table.clustering_columns().await?.unwrap_or_default();
    let row = json!({
        "format": "delta",
        "id": metadata.id,
        "name": name.map(str::to_string).or_else(|| metadata.name.clone()),
        "description": metadata.description,
        "location": table.location().uri(),
        "createdAt": metadata.created_time.map(|t| t.saturating_mul(1000)),
        "lastModified": table.timestamp_ms().saturating_mul(1000),
        "partitionColumns": metadata.partition_columns,
        "clusteringColumns": quote_paths_if_needed(&clustering),
        "numFiles": count,
        "sizeInBytes": bytes,
        "properties": properties,
        "minReaderVersion": table.protocol().min_reader_version,
        "minWriterVersion": table.protocol().min_writer_version,
        "tableFeatures": features,
        "statistics": {"numRowsDeletedByDeletionVectors": deleted, "numDeletionVectors": vectors},
        "clusterByAuto": false,
    });
    Report::new(schema(), &[row])
}

fn schema() -> StructType {
    let names = || DataType::array(DataType::STRING, true);
    StructType::new(vec![
        field("format", DataType::STRING),
        field("id", DataType::STRING),
        field("name", DataType::STRING),
        field("description", DataType::STRING),
        field("location", DataType::STRING),
        field("createdAt", DataType::Timestamp),
        field("lastModified", DataType::Timestamp),
        field("partitionColumns", names()),
        field("clusteringColumns", names()),
        field("numFiles", DataType::Long),
        field("sizeInBytes", DataType::Long),
        field("properties", strings()),
        field("minReaderVersion", DataType::Integer),
        field("minWriterVersion", DataType::Integer),
        field("tableFeatures", names()),
        field("statistics", DataType::map(DataType::STRING, DataType::Long, true)),
        field("clusterByAuto", DataType::Boolean),
    ])
}
