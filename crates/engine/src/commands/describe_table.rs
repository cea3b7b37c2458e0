//! `DESCRIBE TABLE` and `DESCRIBE QUERY`.

use std::sync::Arc;

use boathouse_spec::{
    DataType, Error, PartitionSpec, Relation, Result, StructField, StructType, quote_name,
    quote_path_if_needed,
};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value as Json, json};

use crate::commands::target::{self, Found};
use crate::commands::{partitions, table_columns, table_details};
use crate::resolver::ResolvedTable;
use crate::rows::{self, Value, text};
use crate::{QueryResult, Session};

pub(super) fn schema_of_result() -> StructType {
    StructType::new(vec![
        text("col_name", false).with_comment(Some("name of the column")),
        text("data_type", false).with_comment(Some("data type of the column")),
        text("comment", true).with_comment(Some("comment of the column")),
    ])
}

type Rows = Vec<Vec<Value>>;

pub(super) async fn query(session: &Arc<Session>, query: Relation) -> Result<QueryResult> {
    let schema = session.schema(&query).await?;
    // A query gives strings, also of columns that are CHAR or VARCHAR to their table.
    let row = |f: &StructField| -> Vec<Value> {
        vec![f.name.as_str().into(), f.data_type.simple_string().into(), f.comment().into()]
    };
    rows::result(schema_of_result(), schema.fields.iter().map(row).collect())
}

pub(super) async fn run(
    session: &Arc<Session>,
    name: &[String],
    partition: Option<PartitionSpec>,
    extended: bool,
    as_json: bool,
) -> Result<QueryResult> {
    let found = target::find(session, name, &target::relation_path(session)).await?;
    let columns = table_columns::of_found(session, &found).await?;
    if as_json {
        if !extended {
            return Err(Error::new("DESCRIBE_JSON_NOT_EXTENDED")
                .message("DESCRIBE TABLE .. AS JSON shows all there is: say EXTENDED.")
                .exception("AnalysisException"));
        }
        let text = as_json_text(session, &found, &columns);
        return rows::result(
            StructType::new(vec![rows::text("json_metadata", false)]),
            vec![vec![text.into()]],
        );
    }
    let mut out: Rows = columns.fields.iter().map(column_row).collect();
    match &found {
        Found::Table(table) => {
            partition_rows(table, &columns, &mut out).await?;
            match &partition {
                Some(partition) => {
                    describe_partition(session, name, table, partition, extended, &mut out).await?
                }
                None if extended => details(table_details::of_table(session, table), &mut out),
                None => {}
            }
        }
        other if partition.is_some() => {
            return Err(Error::new("FORBIDDEN_OPERATION")
                .param("statement", "DESC PARTITION")
                .param("objectType", "VIEW")
                .param("objectName", other.display_name())
                .message(format!("{} is a view: it has no partitions.", other.display_name()))
                .exception("AnalysisException"));
        }
        Found::View(record) if extended => details(table_details::of_view(session, record), &mut out),
        _ => {}
    }
    let defaults: Vec<_> =
        columns.fields.iter().filter_map(|f| table_columns::default_text(f).map(|d| (f, d))).collect();
    if !defaults.is_empty() {
        blank(&mut out);
        section("# Column Default Values", &mut out);
        for (field, default) in defaults {
            out.push(vec![
                field.name.as_str().into(),
                table_columns::declared_type(field).into(),
                default.into(),
            ]);
        }
    }
    rows::result(schema_of_result(), out)
}

fn column_row(field: &StructField) -> Vec<Value> {
    vec![field.name.as_str().into(), table_columns::declared_type(field).into(), field.comment().into()]
}

/// The titles of the columns of a section.
fn heading() -> Vec<Value> {
    vec!["# col_name".into(), "data_type".into(), "comment".into()]
}

fn section(title: &str, out: &mut Rows) {
    out.push(vec![title.into(), "".into(), "".into()]);
}

fn blank(out: &mut Rows) {
    section("", out);
}

fn details(entries: Vec<(String, String)>, out: &mut Rows) {
    blank(out);
    section("# Detailed Table Information", out);
    out.extend(entries.into_iter().map(|(k, v)| vec![k.into(), v.into(), "".into()]));
}

async fn partition_rows(table: &ResolvedTable, columns: &StructType, out: &mut Rows) -> Result<()> {
    let partitioning = partitions::columns(table);
    if !partitioning.is_empty() {
        section("# Partition Information", out);
        out.push(heading());
        out.extend(partitioning.iter().filter_map(|name| columns.field(name)).map(column_row));
    }
    let clustering = partitions::clustering(table).await?;
    if !clustering.is_empty() {
        section("# Clustering Information", out);
        out.push(heading());
        for path in clustering {
            // Fields of structs by their paths, as in Spark's `DescribeTableExec`.
            if let Some(field) = boathouse_delta::field_at(columns, &path) {
                out.push(column_row(&StructField { name: quote_path_if_needed(&path), ..field }));
            }
        }
    }
    Ok(())
}

async fn describe_partition(
    session: &Arc<Session>,
    name: &[String],
    table: &ResolvedTable,
    partition: &PartitionSpec,
    extended: bool,
    out: &mut Rows,
) -> Result<()> {
    if partitions::columns(table).is_empty() {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1251")
            .param("action", "DESC PARTITION")
            .param("tableName", name.last().map(String::as_str).unwrap_or_default())
            .message(format!("{} has no partitions to describe.", table.display_name()))
            .exception("AnalysisException"));
    }
    let found = partitions::one(session, table, partition).await?;
    if extended {
        blank(out);
        section("# Detailed Partition Information", out);
        let record = table.record.as_ref();
        let mut entries = Vec::new();
        if let Some(record) = record {
            entries.push(("Database", record.name.schema.clone()));
            entries.push(("Table", record.name.name.clone()));
        }
        entries.push(("Partition Values", format!("[{}]", partitions::shown(&found).replace('/', ", "))));
        if let Some(location) = record.and_then(|r| r.location.as_deref()) {
            let location = table_details::shown_location(session, location);
            entries.push(("Location", format!("{location}/{}", partitions::shown(&found))));
        }
        out.extend(entries.into_iter().map(|(k, v)| vec![k.into(), v.into(), "".into()]));
        blank(out);
        section("# Storage Information", out);
        if let Some(location) = record.and_then(|r| r.location.as_deref()) {
            out.push(vec![
                "Location".into(),
                table_details::shown_location(session, location).into(),
                "".into(),
            ]);
        }
    }
    Ok(())
}

/// `DESCRIBE EXTENDED t AS JSON`: one object of a fixed form.
fn as_json_text(session: &Session, found: &Found, columns: &StructType) -> String {
    let mut out = Map::new();
    match found {
        Found::Table(table) => match &table.record {
            Some(record) => {
                name_members(&mut out, &record.name.name, Some((&record.name.catalog, &record.name.schema)));
                out.insert("columns".into(), json_columns(columns));
                if let Some(location) = &record.location {
                    out.insert("location".into(), table_details::shown_location(session, location).into());
                }
                out.insert("created_time".into(), iso_time(record.created_at_us).into());
                out.insert("last_access".into(), "UNKNOWN".into());
                out.insert("created_by".into(), record.created_version.clone().into());
                out.insert("type".into(), record.kind.as_str().into());
                out.insert("provider".into(), record.provider.clone().unwrap_or_default().into());
                if let Some(comment) = &record.comment {
                    out.insert("comment".into(), comment.clone().into());
                }
                if !record.owner.is_empty() {
                    out.insert("owner".into(), record.owner.clone().into());
                }
                let properties = table_details::properties(table);
                if !properties.is_empty() {
                    let map: Map<_, _> = properties.into_iter().map(|(k, v)| (k, Json::String(v))).collect();
                    out.insert("table_properties".into(), Json::Object(map));
                }
                let partition_columns = partitions::columns(table);
                if !partition_columns.is_empty() {
                    out.insert("partition_provider".into(), "Catalog".into());
                    out.insert("partition_columns".into(), json!(partition_columns));
                }
            }
            None => {
                name_members(&mut out, &table.display_name(), None);
                out.insert("columns".into(), json_columns(columns));
                out.insert("provider".into(), table.format.clone().into());
            }
        },
        Found::View(record) => {
            name_members(&mut out, &record.name.name, Some((&record.name.catalog, &record.name.schema)));
            out.insert("columns".into(), json_columns(columns));
            out.insert("created_time".into(), iso_time(record.created_at_us).into());
            out.insert("last_access".into(), "UNKNOWN".into());
            out.insert("created_by".into(), record.created_version.clone().into());
            out.insert("type".into(), "VIEW".into());
            if let Some(view) = &record.view {
                out.insert("view_text".into(), view.text.clone().into());
                out.insert("view_original_text".into(), view.text.clone().into());
                out.insert("view_schema_mode".into(), view.schema_mode.as_str().into());
                out.insert(
                    "view_catalog_and_namespace".into(),
                    format!("{}.{}", view.current_catalog, view.current_schema).into(),
                );
                out.insert("view_query_output_columns".into(), json!(view.query_columns));
            }
        }
        Found::TempView { name, view } => {
            name_members(&mut out, name.last().map(String::as_str).unwrap_or_default(), None);
            out.insert("columns".into(), json_columns(columns));
            out.insert("type".into(), "VIEW".into());
            if let Some(text) = &view.text {
                out.insert("view_text".into(), text.clone().into());
            }
        }
    }
    Json::Object(out).to_string()
}

fn name_members(out: &mut Map<String, Json>, table: &str, namespace: Option<(&str, &str)>) {
    out.insert("table_name".into(), table.into());
    if let Some((catalog, schema)) = namespace {
        out.insert("catalog_name".into(), catalog.into());
        out.insert("namespace".into(), json!([schema]));
        out.insert("schema_name".into(), schema.into());
    }
}

fn iso_time(us: i64) -> String {
    DateTime::<Utc>::from_timestamp_micros(us)
        .map_or_else(String::new, |t| t.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn json_columns(columns: &StructType) -> Json {
    let all = columns.fields.iter().map(|f| {
        let mut column = Map::new();
        column.insert("name".into(), f.name.clone().into());
        column.insert("type".into(), json_type(&f.data_type));
        column.insert("nullable".into(), f.nullable.into());
        if let Some(comment) = f.comment() {
            column.insert("comment".into(), comment.into());
        }
        if let Some(default) = table_columns::default_text(f) {
            column.insert("default".into(), default.into());
        }
        Json::Object(column)
    });
    Json::Array(all.collect())
}

fn json_type(t: &DataType) -> Json {
    match t {
        DataType::Array { element, contains_null } => {
            json!({"name": "array", "element_type": json_type(element), "element_nullable": contains_null})
        }
        DataType::Map { key, value, value_contains_null } => json!({
            "name": "map", "key_type": json_type(key), "value_type": json_type(value),
            "value_nullable": value_contains_null
        }),
        DataType::Struct(s) => {
            let fields: Vec<_> = s
                .fields
                .iter()
                .map(|f| json!({"name": f.name, "type": json_type(&f.data_type), "nullable": f.nullable}))
                .collect();
            json!({"name": "struct", "fields": fields})
        }
        DataType::Decimal { precision, scale } => {
            json!({"name": "decimal", "precision": precision, "scale": scale})
        }
        DataType::String { collation } => {
            json!({"name": "string", "collation": collation.as_deref().unwrap_or(boathouse_spec::UTF8_BINARY)})
        }
        DataType::Char(n) => json!({"name": "char", "length": n}),
        DataType::Varchar(n) => json!({"name": "varchar", "length": n}),
        DataType::Timestamp => json!({"name": "timestamp_ltz"}),
        DataType::YearMonthInterval { start, end } | DataType::DayTimeInterval { start, end } => {
            json!({"name": "interval", "start_unit": start.name(), "end_unit": end.name()})
        }
        other => json!({"name": other.simple_string()}),
    }
}

/// COLUMN_NOT_FOUND
pub(super) fn column_not_found(column: &[String]) -> Error {
    Error::new("COLUMN_NOT_FOUND")
        .param("colName", quote_name(column))
        .param("caseSensitiveConfig", "\"spark.sql.caseSensitive\"")
        .message(format!("There is no column {}.", quote_name(column)))
        .exception("AnalysisException")
}
