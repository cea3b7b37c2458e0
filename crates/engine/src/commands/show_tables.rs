//! `SHOW TABLES`, `SHOW VIEWS`, `SHOW TABLE EXTENDED`.

use std::sync::Arc;

use boathouse_catalog::TableRecord;
use boathouse_spec::{DataType, Error, PartitionSpec, Result, StructType};

use crate::commands::{partitions, table_columns, table_details};
use crate::names::{GLOBAL_TEMP, matches_pattern};
use crate::resolver;
use crate::rows::{self, Value, column, text};
use crate::{QueryResult, Session};

pub(super) fn table_schema() -> StructType {
    StructType::new(vec![
        text("namespace", false),
        text("tableName", false),
        column("isTemporary", DataType::Boolean, false),
    ])
}

pub(super) fn view_schema() -> StructType {
    StructType::new(vec![
        text("namespace", false),
        text("viewName", false),
        column("isTemporary", DataType::Boolean, false),
    ])
}

pub(super) fn extended_schema() -> StructType {
    let mut schema = table_schema();
    schema.fields.push(text("information", false));
    schema
}

fn is_global_temp(schema: Option<&[String]>) -> bool {
    matches!(schema, Some([name]) if name.eq_ignore_ascii_case(GLOBAL_TEMP))
}

/// The relations of a schema that the pattern admits.
async fn listed(
    session: &Arc<Session>,
    schema: Option<&[String]>,
    pattern: Option<&str>,
) -> Result<Vec<TableRecord>> {
    if is_global_temp(schema) {
        return Ok(Vec::new());
    }
    if let Some(name) = schema
        && let [first, _, ..] = name
        && session.engine.catalog.find_catalog(first).await?.is_none()
    {
        return Err(nested_schema(name));
    }
    let schema = session.schema_or_current(schema)?;
    let mut all = session.engine.catalog.list_tables(&schema).await?;
    all.retain(|t| pattern.is_none_or(|p| matches_pattern(&t.name.name, p)));
    all.sort_by(|a, b| a.name.name.cmp(&b.name.name));
    Ok(all)
}

/// A name of several parts the first of which is no catalog: the session's catalog has no schemas in schemas.
fn nested_schema(name: &[String]) -> Error {
    let shown = name.join(".");
    Error::new("_LEGACY_ERROR_TEMP_1126")
        .param("catalog", &shown)
        .message(format!("There is no schema {shown}: schemas have no schemas inside."))
        .exception("AnalysisException")
}

/// Names of the temporary views that are shown with a schema: the session's, and the global ones with theirs.
fn temporary(session: &Session, schema: Option<&[String]>, pattern: Option<&str>) -> Vec<(String, String)> {
    let admitted = |name: &String| pattern.is_none_or(|p| matches_pattern(name, p));
    let mut out = Vec::new();
    if is_global_temp(schema) {
        let mut names: Vec<String> = session.engine.global_temp_views.environment().keys().cloned().collect();
        names.sort();
        out.extend(names.into_iter().filter(admitted).map(|n| (GLOBAL_TEMP.to_string(), n)));
    }
    let mut names: Vec<String> = session.temp_views.environment().keys().cloned().collect();
    names.sort();
    out.extend(names.into_iter().filter(admitted).map(|n| (String::new(), n)));
    out
}

pub(super) async fn tables(
    session: &Arc<Session>,
    schema: Option<&[String]>,
    pattern: Option<&str>,
) -> Result<QueryResult> {
    let mut rows: Vec<Vec<Value>> = listed(session, schema, pattern)
        .await?
        .into_iter()
        .map(|t| vec![t.name.schema.into(), t.name.name.into(), false.into()])
        .collect();
    for (namespace, name) in temporary(session, schema, pattern) {
        rows.push(vec![namespace.into(), name.into(), true.into()]);
    }
    rows::result(table_schema(), rows)
}

pub(super) async fn views(
    session: &Arc<Session>,
    schema: Option<&[String]>,
    pattern: Option<&str>,
) -> Result<QueryResult> {
    let mut rows: Vec<Vec<Value>> = listed(session, schema, pattern)
        .await?
        .into_iter()
        .filter(|t| t.kind.is_view())
        .map(|t| vec![t.name.schema.into(), t.name.name.into(), false.into()])
        .collect();
    for (namespace, name) in temporary(session, schema, pattern) {
        rows.push(vec![namespace.into(), name.into(), true.into()]);
    }
    rows::result(view_schema(), rows)
}

pub(super) async fn extended(
    session: &Arc<Session>,
    schema: Option<&[String]>,
    pattern: &str,
    partition: Option<PartitionSpec>,
) -> Result<QueryResult> {
    let mut rows: Vec<Vec<Value>> = Vec::new();
    if let Some(partition) = partition {
        let mut name = session.schema_or_current(schema).map(|s| vec![s.catalog, s.schema])?;
        name.push(pattern.to_string());
        let table = super::target::table(
            session,
            &name,
            "SHOW TABLE EXTENDED",
            &table_columns::command_path(session),
        )
        .await?;
        let found = partitions::one(session, &table, &partition).await?;
        let Some(record) = &table.record else { return rows::result(extended_schema(), rows) };
        let location = record.location.as_deref().map(|l| table_details::shown_location(session, l));
        let information = format!(
            "Partition Values: [{}]\nLocation: {}/{}\nCreated Time: {}\nLast Access: UNKNOWN\n",
            partitions::shown(&found).replace('/', ", "),
            location.unwrap_or_default(),
            partitions::shown(&found),
            table_details::java_time(session, record.created_at_us)
        );
        rows.push(vec![
            record.name.schema.clone().into(),
            record.name.name.clone().into(),
            false.into(),
            information.into(),
        ]);
        return rows::result(extended_schema(), rows);
    }
    for record in listed(session, schema, Some(pattern)).await? {
        let (namespace, name) = (record.name.schema.clone(), record.name.name.clone());
        let information = information(session, record).await;
        rows.push(vec![namespace.into(), name.into(), false.into(), information.into()]);
    }
    for (namespace, name) in temporary(session, schema, Some(pattern)) {
        let view = if namespace.is_empty() {
            session.temp_views.get(&name)
        } else {
            session.engine.global_temp_views.get(&name)
        };
        let Some(view) = view else { continue };
        let full =
            if namespace.is_empty() { vec![name.clone()] } else { vec![namespace.clone(), name.clone()] };
        let details = table_details::of_temp_view(session, &full, &view)?;
        rows.push(vec![namespace.into(), name.into(), true.into(), lines(&details, &view.schema).into()]);
    }
    rows::result(extended_schema(), rows)
}

/// A table that cannot be opened is listed with what the catalog knows.
async fn information(session: &Arc<Session>, record: TableRecord) -> String {
    let record = Arc::new(record);
    if record.kind.is_view() {
        return lines(&table_details::of_view(session, &record), &record.schema);
    }
    match resolver::open_table(session, &record, &Vec::new(), None).await {
        Ok(table) => lines(&table_details::of_table(session, &table), &table.schema),
        Err(e) => {
            tracing::warn!("{} cannot be opened: {e}", record.name);
            String::new()
        }
    }
}

fn lines(details: &[(String, String)], schema: &StructType) -> String {
    let mut out = String::new();
    for (key, value) in details {
        out.push_str(&format!("{key}: {value}\n"));
    }
    out.push_str(&format!("Schema: {}\n\n", schema.tree_string(None).trim_end_matches('\n')));
    out
}
