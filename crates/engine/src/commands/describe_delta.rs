//! `DESCRIBE HISTORY` and `DESCRIBE DETAIL`.

use std::sync::Arc;

use boathouse_delta::DeltaTable;
use boathouse_spec::{DataType, Result, StructType};

use crate::commands::delta_maintenance::reported;
use crate::commands::{partitions, table_details, target};
use crate::rows::{self, Value, column, text};
use crate::{QueryResult, Session};

pub(super) fn history_schema() -> Option<StructType> {
    boathouse_delta::history_report(&[]).ok().map(|r| r.schema)
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
        column("statistics", DataType::map(DataType::STRING, DataType::Long, true), true),
        column("clusterByAuto", DataType::Boolean, true),
    ])
}

pub(super) fn is_delta_schema() -> StructType {
    StructType::new(vec![column("value", DataType::Boolean, false)])
}

pub(super) async fn is_delta(session: &Arc<Session>, path: &str) -> Result<QueryResult> {
    let url = session.storage().url(path)?;
    let is_delta = DeltaTable::is_delta_table(&session.storage().location(&url)?).await?;
    rows::result(is_delta_schema(), vec![vec![is_delta.into()]])
}

pub(super) async fn history(
    session: &Arc<Session>,
    name: &[String],
    limit: Option<i64>,
) -> Result<QueryResult> {
    let (_, delta) =
        target::delta(session, name, "DESCRIBE HISTORY", &target::relation_path(session)).await?;
    let limit = limit.map(|l| usize::try_from(l).unwrap_or(0));
    let entries = boathouse_delta::history(delta.table.location(), limit).await?;
    boathouse_delta::history_report(&entries).map(reported)
}

pub(super) async fn detail(session: &Arc<Session>, name: &[String]) -> Result<QueryResult> {
    let table = target::table(session, name, "DESCRIBE DETAIL", &target::relation_path(session)).await?;
    let shown = table.record.as_ref().map(|r| r.name.to_string());
    if let Some(delta) = &table.delta {
        return boathouse_delta::detail(&delta.snapshot, shown.as_deref()).await.map(reported);
    }
    let record = table.record.as_ref();
    let row: Vec<Value> = vec![
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
        Value::Null,
        Value::Null,
    ];
    rows::result(detail_schema(), vec![row])
}
