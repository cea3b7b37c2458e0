//! `CONVERT TO DELTA`.

use std::sync::Arc;

use boathouse_catalog::TableRecord;
use boathouse_delta::{ConvertOptions, DeltaTable};
use boathouse_spec::{DataSourceRef, Error, Result, StructType, quote_name};
use url::Url;

use crate::commands::table_expressions::dml_options;
use crate::commands::{delta_defaults, target};
use crate::rows::{self, text};
use crate::{QueryResult, Session, sources};

pub(super) fn result_schema() -> StructType {
    StructType::new(vec![text("value", true)])
}

/// What is to be converted: a directory, with the catalog's record where it has a name.
struct Source {
    url: Url,
    record: Option<Arc<TableRecord>>,
    format: String,
}

pub(super) async fn run(
    session: &Arc<Session>,
    name: &[String],
    partition_schema: Option<StructType>,
    no_statistics: bool,
    names_table: bool,
) -> Result<QueryResult> {
    let source = source(session, name).await?;
    if !source.format.eq_ignore_ascii_case("delta") {
        convert(session, &source, partition_schema, no_statistics).await?;
    }
    if !names_table {
        return Ok(QueryResult::empty());
    }
    let shown = match (&source.record, name) {
        (Some(record), _) => record.name.quoted(),
        (None, [_, path]) => quote_name(&["delta".to_string(), path.clone()]),
        (None, other) => quote_name(other),
    };
    rows::result(result_schema(), vec![vec![shown.into()]])
}

async fn source(session: &Arc<Session>, name: &[String]) -> Result<Source> {
    if let [format, path] = name
        && path.contains('/')
    {
        return Ok(Source { url: session.storage().url(path)?, record: None, format: format.clone() });
    }
    let path = target::command_path(session);
    let table = target::table(session, name, "CONVERT TO DELTA", &path).await?;
    let record = table.record.clone();
    let location = record.as_ref().and_then(|r| r.location.clone());
    let Some(location) = location else { return Err(not_parquet(&table.format)) };
    Ok(Source { url: session.storage().url(&location)?, record, format: table.format.clone() })
}

async fn convert(
    session: &Arc<Session>,
    source: &Source,
    partition_schema: Option<StructType>,
    no_statistics: bool,
) -> Result<()> {
    let table = session.storage().delta(&source.url)?;
    if !DeltaTable::is_delta_table(table.location()).await? {
        if !source.format.eq_ignore_ascii_case("parquet") {
            return Err(not_parquet(&source.format));
        }
        let options = options(session, source, partition_schema, no_statistics).await?;
        let committed = boathouse_delta::convert(table.location(), &options).await?;
        session.committed(&table, &committed);
    }
    session.engine.cache.changed(&table.location().uri()).await;
    let Some(record) = &source.record else { return Ok(()) };
    let snapshot = table.latest().await?;
    session
        .engine
        .catalog
        .alter_table(&record.name, &session.user, move |record| {
            record.provider = Some("delta".to_string());
            record.schema = snapshot.schema().clone();
            record.partition_columns = snapshot.partition_columns().to_vec();
            record.options.clear();
            Ok(())
        })
        .await?;
    session.engine.cache.dropped(&record.name.parts());
    Ok(())
}

async fn options(
    session: &Arc<Session>,
    source: &Source,
    partition_schema: Option<StructType>,
    no_statistics: bool,
) -> Result<ConvertOptions> {
    let files = DataSourceRef {
        format: "parquet".to_string(),
        paths: vec![source.url.to_string()],
        options: vec![("mergeSchema".to_string(), "true".to_string())],
        ..DataSourceRef::default()
    };
    let opened = sources::open(session, &files).await?;
    let partition_schema = match (partition_schema, &source.record) {
        (Some(given), _) => given,
        // The catalog knows the partitioning of its tables.
        (None, Some(record)) => StructType::new(
            record.partition_columns.iter().filter_map(|p| record.schema.field(p).cloned()).collect(),
        ),
        (None, None) => StructType::default(),
    };
    let mut properties = delta_defaults::named(session);
    if let Some(record) = &source.record {
        properties.extend(record.properties.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    Ok(ConvertOptions {
        schema: opened.schema,
        partition_schema,
        collect_statistics: !no_statistics,
        catalog_table: source.record.as_ref().map(|r| r.name.quoted()),
        properties,
        commit: dml_options(session, Vec::new()),
    })
}

fn not_parquet(format: &str) -> Error {
    Error::new("DELTA_CONVERT_NON_PARQUET_TABLE")
        .param("sourceName", format)
        .message(format!("CONVERT TO DELTA is for Parquet tables, and this one is {format}."))
        .exception("AnalysisException")
}
