//! `SHOW CREATE TABLE`.

use std::sync::Arc;

use boathouse_catalog::{TableKind, TableRecord};
use boathouse_spec::{
    DataType, Error, Result, StructField, StructType, UTF8_BINARY, quote_if_needed, quote_name,
    quote_path_if_needed,
};

use crate::commands::table_columns::{self, CHAR_VARCHAR};
use crate::commands::target::{self, Found};
use crate::commands::{partitions, table_details};
use crate::resolver::ResolvedTable;
use crate::rows::{self, text};
use crate::{QueryResult, Session, storage};

pub(super) async fn run(session: &Arc<Session>, name: &[String], as_serde: bool) -> Result<QueryResult> {
    let found = target::find(session, name, &target::command_path(session)).await?;
    let statement = match &found {
        Found::TempView { name, .. } => {
            return Err(Error::new("EXPECT_PERMANENT_VIEW_NOT_TEMP")
                .param("viewName", quote_name(name))
                .param("operation", "SHOW CREATE TABLE")
                .message(format!(
                    "{} is a temporary view: no statement in the catalog made it.",
                    quote_name(name)
                ))
                .exception("AnalysisException"));
        }
        Found::View(record) => {
            // A view that follows its query has the columns that this one gives now.
            let columns = match record.schema.fields.is_empty() {
                true => table_columns::of_found(session, &found).await?,
                false => record.schema.clone(),
            };
            view(record, &columns)
        }
        Found::Table(found) if as_serde => {
            return Err(Error::new("_LEGACY_ERROR_TEMP_1275")
                .param("table", found.display_name())
                .message("AS SERDE shows tables of Hive, and there are none here.")
                .exception("AnalysisException"));
        }
        Found::Table(found) => table(session, found).await?,
    };
    rows::result(StructType::new(vec![text("createtab_stmt", false)]), vec![vec![statement.into()]])
}

async fn table(session: &Session, table: &ResolvedTable) -> Result<String> {
    let name = match (&table.record, &table.delta) {
        (Some(record), _) => dotted(&record.name.parts()),
        (None, Some(delta)) => format!("delta.{}", boathouse_spec::quote(&storage::shown(&delta.url))),
        (None, None) => dotted(&table.qualifier),
    };
    let columns: Vec<_> = table.schema.fields.iter().map(|f| format!("  {}", column(f))).collect();
    let mut out = format!("CREATE TABLE {name} (\n{})\nUSING {}\n", columns.join(",\n"), table.format);
    let record = table.record.as_deref();
    if let Some(options) = record.map(|r| &r.options).filter(|o| !o.is_empty()) {
        let mut list: Vec<_> = options
            .iter()
            .filter(|(k, _)| !k.eq_ignore_ascii_case("path"))
            .map(|(k, v)| pair(k, v))
            .collect();
        list.sort();
        if !list.is_empty() {
            out.push_str(&format!("OPTIONS (\n{})\n", list.join(",\n")));
        }
    }
    let partition_columns = partitions::columns(table);
    if !partition_columns.is_empty() {
        out.push_str(&format!("PARTITIONED BY ({})\n", names(&partition_columns)));
    }
    let clustering = partitions::clustering(table).await?;
    if !clustering.is_empty() {
        let columns: Vec<String> = clustering.iter().map(|path| quote_path_if_needed(path)).collect();
        out.push_str(&format!("CLUSTER BY ({})\n", columns.join(", ")));
    }
    if let Some(bucket) = record.and_then(|r| r.bucket.as_ref()) {
        out.push_str(&format!("CLUSTERED BY ({})\n", names(&bucket.columns)));
        if !bucket.sort.is_empty() {
            let sort: Vec<String> = bucket.sort.iter().map(|(c, _)| c.clone()).collect();
            out.push_str(&format!("SORTED BY ({})\n", names(&sort)));
        }
        out.push_str(&format!("INTO {} BUCKETS\n", bucket.count));
    }
    let comment = match &table.delta {
        Some(delta) => delta.snapshot.metadata().description.clone(),
        None => record.and_then(|r| r.comment.clone()),
    };
    if let Some(comment) = comment {
        out.push_str(&format!("COMMENT '{}'\n", escape(&comment)));
    }
    if let Some(record) = record
        && record.kind == TableKind::External
        && let Some(location) = &record.location
    {
        out.push_str(&format!("LOCATION '{}'\n", escape(&table_details::shown_location(session, location))));
    }
    let properties = table_details::properties(table);
    let list: Vec<_> = properties
        .iter()
        .filter(|(k, _)| !k.starts_with("spark.sql.statistics."))
        .map(|(k, v)| pair(k, v))
        .collect();
    if !list.is_empty() {
        out.push_str(&format!("TBLPROPERTIES (\n{})\n", list.join(",\n")));
    }
    Ok(out)
}

fn view(record: &TableRecord, columns: &StructType) -> String {
    let mut out =
        format!("CREATE VIEW {} (\n", dotted(&[record.name.schema.clone(), record.name.name.clone()]));
    let columns: Vec<_> = columns
        .fields
        .iter()
        .map(|f| match f.comment() {
            Some(comment) => format!("  {} COMMENT '{}'", quote_if_needed(&f.name), escape(&comment)),
            None => format!("  {}", quote_if_needed(&f.name)),
        })
        .collect();
    out.push_str(&format!("{})\n", columns.join(",\n")));
    if let Some(comment) = &record.comment {
        out.push_str(&format!("COMMENT '{}'\n", escape(comment)));
    }
    if let Some(collation) = &record.collation {
        out.push_str(&format!("DEFAULT COLLATION {collation}\n"));
    }
    if !record.properties.is_empty() {
        let mut list: Vec<_> = record.properties.iter().map(|(k, v)| pair(k, v)).collect();
        list.sort();
        out.push_str(&format!("TBLPROPERTIES (\n{})\n", list.join(",\n")));
    }
    if let Some(view) = &record.view {
        out.push_str(&format!("WITH SCHEMA {}\nAS {}\n", view.schema_mode.as_str(), view.text));
    }
    out
}

fn column(field: &StructField) -> String {
    let mut out = format!("{} {}", quote_if_needed(&field.name), column_type(field));
    if !field.nullable {
        out.push_str(" NOT NULL");
    }
    let metadata = field.metadata_map();
    if let Some(generated) = metadata.get("delta.generationExpression").and_then(|v| v.as_str()) {
        out.push_str(&format!(" GENERATED ALWAYS AS ({generated})"));
    }
    if let Some(default) = table_columns::default_text(field) {
        out.push_str(&format!(" DEFAULT {default}"));
    }
    if let Some(comment) = field.comment() {
        out.push_str(&format!(" COMMENT '{}'", escape(&comment)));
    }
    out
}

/// The type as declared: a CHAR or VARCHAR, alone or inside of another type, is kept as a string with a note.
fn column_type(field: &StructField) -> String {
    let metadata = field.metadata_map();
    let declared = metadata.get(CHAR_VARCHAR).and_then(|v| v.as_str());
    match declared.and_then(|text| boathouse_sql::parse_data_type(text).ok()) {
        Some(declared) => with_collations(&declared),
        None => with_collations(&field.data_type),
    }
}

/// The type with the collation of each string in it, as Spark writes it.
fn with_collations(data_type: &DataType) -> String {
    match data_type {
        DataType::String { collation: None } | DataType::Char(_) | DataType::Varchar(_) => {
            format!("{} COLLATE {UTF8_BINARY}", data_type.sql())
        }
        DataType::Array { element, .. } => format!("ARRAY<{}>", with_collations(element)),
        DataType::Map { key, value, .. } => {
            format!("MAP<{}, {}>", with_collations(key), with_collations(value))
        }
        DataType::Struct(fields) => {
            let fields: Vec<_> = fields.fields.iter().map(nested_field).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        other => other.sql(),
    }
}

fn nested_field(field: &StructField) -> String {
    let mut out = format!("{}: {}", quote_if_needed(&field.name), with_collations(&field.data_type));
    if !field.nullable {
        out.push_str(" NOT NULL");
    }
    if let Some(comment) = field.comment() {
        out.push_str(&format!(" COMMENT '{}'", escape(&comment)));
    }
    out
}

fn dotted(parts: &[String]) -> String {
    parts.iter().map(|p| quote_if_needed(p)).collect::<Vec<_>>().join(".")
}

fn names(all: &[String]) -> String {
    all.iter().map(|n| quote_if_needed(n)).collect::<Vec<_>>().join(", ")
}

fn pair(key: &str, value: &str) -> String {
    format!("  '{}' = '{}'", escape(key), escape(&table_details::redacted(key, value)))
}

/// The text between single quotes. Spark leaves backslashes as they are, so that such a text does not read back as it was.
fn escape(text: &str) -> String {
    text.replace('\'', "\\'")
}
