//! Tables that are not Delta: files and external systems, through `boathouse_connectors`.

use std::sync::Arc;

use boathouse_catalog::TableRecord;
use boathouse_delta::Predicate;
use boathouse_spec::{DataSourceRef, Error, Options, Relation, Result, StructType, Write};

use url::Url;

use crate::commands::{Definition, Fitted};
use crate::resolver::ResolvedTable;
use crate::{QueryResult, Session};

/// Whether a name before a path means a format.
pub(crate) fn is_format(name: &str) -> bool {
    matches!(
        name.to_lowercase().as_str(),
        "delta" | "parquet" | "csv" | "json" | "orc" | "avro" | "text" | "binaryfile" | "xml" | "iceberg"
    )
}

/// Opens files or an external table for reading.
pub(crate) async fn open(_session: &Arc<Session>, source: &DataSourceRef) -> Result<ResolvedTable> {
    Err(Error::unsupported(format!("the format {}", source.format)))
}

/// Opens a table of the catalog that is not Delta.
pub(crate) async fn open_record(
    session: &Arc<Session>,
    record: &Arc<TableRecord>,
    options: &Options,
) -> Result<ResolvedTable> {
    let mut all: Options = record.options.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    all.extend(options.iter().cloned());
    let source = DataSourceRef {
        format: record.provider.clone().unwrap_or_default(),
        schema: Some(record.schema.clone()).filter(|s| !s.fields.is_empty()),
        options: all,
        paths: record.location.iter().cloned().collect(),
        ..DataSourceRef::default()
    };
    open(session, &source).await
}

/// Writes rows to a table that is not Delta.
pub(crate) async fn insert(
    _session: &Arc<Session>,
    table: &ResolvedTable,
    _rows: Fitted,
    _overwrites: bool,
    _replaced: Option<Predicate>,
    _dynamic: bool,
    _options: &Options,
) -> Result<QueryResult> {
    Err(Error::unsupported(format!("writing the format {}", table.format)))
}

/// Removes all rows of a table that is not Delta.
pub(crate) async fn truncate(_session: &Arc<Session>, table: &ResolvedTable) -> Result<QueryResult> {
    Err(Error::unsupported(format!("TRUNCATE TABLE on the format {}", table.format)))
}

/// `INSERT OVERWRITE DIRECTORY`
pub(crate) async fn write_directory(
    _session: &Arc<Session>,
    _query: Relation,
    format: Option<&str>,
    _path: Option<&str>,
    _options: &Options,
    _overwrites: bool,
) -> Result<QueryResult> {
    Err(Error::unsupported(format!("INSERT OVERWRITE DIRECTORY USING {}", format.unwrap_or("parquet"))))
}

/// Refuses a format that is none.
pub(crate) fn check_provider(provider: &str) -> Result<()> {
    if is_format(provider) || !has_files(provider) {
        return Ok(());
    }
    Err(Error::new("DATA_SOURCE_NOT_FOUND")
        .param("provider", provider)
        .message(format!("There is no format or connector named {provider}."))
        .exception("SparkClassNotFoundException"))
}

/// Whether a table of the provider is a directory of files.
pub(crate) fn has_files(provider: &str) -> bool {
    !matches!(provider, "jdbc" | "snowflake" | "mongodb" | "kafka")
}

/// The columns of files that are there, and those of them that partition.
pub(crate) async fn infer(
    _session: &Arc<Session>,
    definition: &Definition,
    _url: &Url,
) -> Result<(StructType, Vec<String>)> {
    Err(Error::unsupported(format!("the format {}", definition.provider)))
}

/// `CREATE TABLE .. AS SELECT`: writes the rows and gives the table's columns.
pub(crate) async fn create_as(
    _session: &Arc<Session>,
    definition: &Definition,
    _url: &Url,
    _query: Relation,
) -> Result<StructType> {
    Err(Error::unsupported(format!("writing the format {}", definition.provider)))
}

/// `df.write.format(..).save(..)`
pub(crate) async fn save(
    _session: &Arc<Session>,
    _write: Write,
    format: &str,
    _path: Option<String>,
) -> Result<QueryResult> {
    Err(Error::unsupported(format!("writing the format {format}")))
}

/// Removes the files of a partition.
pub(crate) async fn drop_partition(
    _session: &Arc<Session>,
    table: &ResolvedTable,
    _partition: &[(String, Option<String>)],
) -> Result<()> {
    Err(Error::unsupported(format!("DROP PARTITION on the format {}", table.format)))
}
