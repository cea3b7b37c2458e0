//! `DESCRIBE HISTORY` and `DESCRIBE DETAIL`.

use std::sync::Arc;

use boathouse_delta::DeltaTable;
use boathouse_spec::{DataType, Error, Result, StructType};

use crate::commands::{partitions, table_details, target};
use crate::rows::{self, Value, column, text};
use crate::{QueryResult, Session, storage};

pub(super) fn history_schema() -> StructType {
    let texts = DataType::map(DataType::STRING, DataType::STRING, true);
    let structure = |names: &[&str]| DataType::structure(names.iter().map(|n| text(n, true)).collect());
    StructType::new(vec![
        column("version", DataType::Long, true),
        column("timestamp", DataType::Timestamp, true),
        text("userId", true),
        text("userName", true),
        text("operation", true),
        column("operationParameters", texts.clone(), true),
        column("job", structure(&["jobId", "jobName", "jobRunId", "runId", "jobOwnerId", "triggerType"]), true),
        column("notebook", structure(&["notebookId"]), true),
        text("clusterId", true),
        column("readVersion", DataType::Long, true),
        text("isolationLevel", true),
        column("isBlindAppend", DataType::Boolean, true),
        column("operationMetrics", texts, true),
        text("userMetadata", true),
        text("engineInfo", true),
    ])
}

pub(super) fn detail_schema() -> StructType {
    StructType::new(vec![
        text("format", true),
        text("id", true),
        text("name", true),
        text("description", true),
        text("location", true),
        column("createdAt", DataType::Timestamp, true),
        column("lastModified", DataType::Timestamp, true),
        column("partitionColumns", DataType::array(DataType::STRING, true), true),
        column("clusteringColumns", DataType::array(DataType::STRING, true), true),
        column("numFiles", DataType::Long, true),
        column("sizeInBytes", DataType::Long, true),
        column("properties", DataType::map(DataType::STRING, DataType::STRING, true), true),
        column("minReaderVersion", DataType::Integer, true),
        column("minWriterVersion", DataType::Integer, true),
        column("tableFeatures", DataType::array(DataType::STRING, true), true),
    ])
}

pub(super) fn is_delta_schema() -> StructType {
    StructType::new(vec![column("value", DataType::Boolean, false)])
}

pub(super) async fn is_delta(session: &Arc<Session>, path: &str) -> Result<QueryResult> {
    let url = session.engine.storage.url(path)?;
    let is_delta = DeltaTable::is_delta_table(&session.engine.storage.location(&url)?).await?;
    rows::result(is_delta_schema(), vec![vec![is_delta.into()]])
}

pub(super) async fn history(
    _session: &Arc<Session>,
    _name: &[String],
    _limit: Option<i64>,
) -> Result<QueryResult> {
    Err(Error::unsupported("DESCRIBE HISTORY"))
}

pub(super) async fn detail(session: &Arc<Session>, name: &[String]) -> Result<QueryResult> {
    let table = target::table(session, name, "DESCRIBE DETAIL", &target::relation_path(session)).await?;
    let shown = table.record.as_ref().map(|r| r.name.to_string());
    let row: Vec<Value> = match &table.delta {
        Some(delta) => {
            let snapshot = &delta.snapshot;
            let (metadata, protocol) = (snapshot.metadata(), snapshot.protocol());
            let files = snapshot.add_actions().await?;
            let mut features: Vec<String> = protocol
                .reader_features
                .iter()
                .flatten()
                .chain(protocol.writer_features.iter().flatten())
                .cloned()
                .collect();
            if protocol.writer_features.is_none() {
                features = legacy_features(protocol.min_reader_version, protocol.min_writer_version);
            }
            features.sort();
            features.dedup();
            vec![
                "delta".into(),
                metadata.id.clone().into(),
                shown.or_else(|| metadata.name.clone()).into(),
                metadata.description.clone().into(),
                storage::shown(&delta.url).into(),
                metadata.created_time.map(|ms| Value::Timestamp(ms * 1000)).unwrap_or(Value::Null),
                Value::Timestamp(snapshot.timestamp_ms() * 1000),
                Value::texts(snapshot.partition_columns().to_vec()),
                Value::texts(partitions::clustering(&table)),
                Value::Integer(files.len() as i64),
                Value::Integer(files.iter().map(|f| f.size).sum()),
                Value::text_map(metadata.configuration.iter().map(|(k, v)| (k.clone(), v.clone()))),
                Value::Integer(i64::from(protocol.min_reader_version)),
                Value::Integer(i64::from(protocol.min_writer_version)),
                Value::texts(features),
            ]
        }
        None => {
            let record = table.record.as_ref();
            vec![
                table.format.clone().into(),
                Value::Null,
                shown.into(),
                record.and_then(|r| r.comment.clone()).into(),
                record.and_then(|r| r.location.as_deref()).map(|l| table_details::shown_location(session, l)).into(),
                record.map(|r| Value::Timestamp(r.created_at_us)).unwrap_or(Value::Null),
                Value::Null,
                Value::texts(partitions::columns(&table)),
                Value::Null,
                Value::Null,
                Value::Null,
                Value::text_map(table_details::properties(&table)),
                Value::Null,
                Value::Null,
                Value::Null,
            ]
        }
    };
    rows::result(detail_schema(), vec![row])
}

/// The features that the old numbers of versions stand for.
fn legacy_features(reader: i32, writer: i32) -> Vec<String> {
    let all = [
        (2, "appendOnly"),
        (2, "invariants"),
        (3, "checkConstraints"),
        (4, "changeDataFeed"),
        (4, "generatedColumns"),
        (5, "columnMapping"),
        (6, "identityColumns"),
    ];
    all.iter()
        .filter(|(version, name)| *version <= writer && (*name != "columnMapping" || reader >= 2))
        .map(|(_, name)| (*name).to_string())
        .collect()
}
