//! Tables that are not Delta: files and external systems, through `boathouse_connectors`.

use std::sync::Arc;

use boathouse_catalog::TableRecord;
use boathouse_spec::{DataSourceRef, Error, Options, Result};

use crate::Session;
use crate::resolver::ResolvedTable;

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
