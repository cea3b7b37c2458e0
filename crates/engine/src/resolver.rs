//! The only door to tables: names and paths to what can be read and written.
//!
//! Permissions, row filters and masks belong here, and nowhere else: whoever opens a table got it from this file.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use boathouse_bridge::ResultExt;
use boathouse_catalog::{ObjectName, TableRecord, ViewSchemaMode};
use boathouse_delta::{DeltaScan, DeltaTable, Snapshot};
use boathouse_functions::cast::{self, Mode};
use boathouse_spec::{DataSourceRef, DataType, Error, Options, Result, StructType, option, quote_name};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use url::Url;

use crate::generated_partitions::GeneratedPartitions;
use crate::names::{self, RelationName};
use crate::rows::{self, Value};
use crate::temp_views::{Environment, TempView};
use crate::{Session, change_feed, information_schema, managed_tables, query_profile, sources, storage};

/// The version of a table that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AsOf {
    Version(i64),
    /// Microseconds since the epoch.
    Timestamp(i64),
}

/// What names mean where they stand: the session's views and namespace, or those of the view being expanded.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub environment: Environment,
    pub catalog: String,
    pub schema: String,
}

impl Scope {
    pub fn of(session: &Session) -> Self {
        let (catalog, schema) = session.current_namespace();
        Self { environment: session.temp_views.environment(), catalog, schema }
    }
}

/// What a name stands for.
pub(crate) enum Resolved {
    Table(Box<ResolvedTable>),
    /// A temporary view, to be expanded; the name it was found under.
    TempView {
        name: Vec<String>,
        view: Arc<TempView>,
    },
    /// A view of the catalog, to be expanded from its text.
    View(Arc<TableRecord>),
}

/// A table that is open for reading at one version.
#[derive(Clone)]
pub(crate) struct ResolvedTable {
    pub provider: Arc<dyn TableProvider>,
    pub schema: StructType,
    /// What may stand before a column's name.
    pub qualifier: Vec<String>,
    pub delta: Option<DeltaSource>,
    /// The catalog's record, for tables opened by name.
    pub record: Option<Arc<TableRecord>>,
    /// `delta`, `parquet`, ...
    pub format: String,
    pub is_streaming: bool,
}

/// A Delta table and the version of it that is read.
#[derive(Clone)]
pub(crate) struct DeltaSource {
    pub table: DeltaTable,
    pub snapshot: Snapshot,
    pub url: Url,
}

impl ResolvedTable {
    /// A table of the server's own, of the rows that it has when it is opened.
    pub fn of_rows(name: &ObjectName, format: &str, schema: StructType, rows: &[Vec<Value>]) -> Result<Self> {
        let batch = rows::batch(&schema, rows)?;
        let provider = MemTable::try_new(batch.schema(), vec![vec![batch]]).spark()?;
        Ok(Self {
            provider: Arc::new(provider),
            schema,
            qualifier: name.parts(),
            delta: None,
            record: None,
            format: format.to_string(),
            is_streaming: false,
        })
    }

    /// The name for messages: the catalog's, or the path.
    pub fn display_name(&self) -> String {
        match (&self.record, &self.delta) {
            (Some(record), _) => record.name.quoted(),
            (None, Some(delta)) => quote_name(&["delta".to_string(), storage::shown(&delta.url)]),
            (None, None) => quote_name(&self.qualifier),
        }
    }
}

/// Resolves a relation's name.
pub(crate) async fn resolve(
    session: &Arc<Session>,
    name: &[String],
    options: &Options,
    as_of: Option<AsOf>,
    scope: &Scope,
) -> Result<Resolved> {
    if let Some((provider, schema)) = session.kept_table(name) {
        return Ok(Resolved::Table(Box::new(ResolvedTable {
            provider,
            schema,
            qualifier: Vec::new(),
            delta: None,
            record: None,
            format: "kept".to_string(),
            is_streaming: false,
        })));
    }
    match names::relation_name(name, &scope.catalog, &scope.schema)? {
        RelationName::Bare(bare) => {
            if let Some(view) = scope.environment.get(&bare.to_lowercase()) {
                return Ok(Resolved::TempView { name: vec![bare], view: Arc::clone(view) });
            }
            let full = names::qualify(name, &scope.catalog, &scope.schema)?;
            catalog_relation(session, name, full, options, as_of, scope).await
        }
        RelationName::GlobalTemp(view) => match session.engine.global_temp_views.get(&view) {
            Some(found) => {
                Ok(Resolved::TempView { name: vec![names::GLOBAL_TEMP.to_string(), view], view: found })
            }
            None => Err(not_found(name, scope)),
        },
        RelationName::Qualified(full) => {
            if let Some(view) = session_view(name, scope) {
                return Ok(view);
            }
            catalog_relation(session, name, full, options, as_of, scope).await
        }
    }
}

/// `session.v` and `system.session.v` name temporary views too.
fn session_view(name: &[String], scope: &Scope) -> Option<Resolved> {
    let bare = match name {
        [schema, view] if schema.eq_ignore_ascii_case("session") => view,
        [catalog, schema, view]
            if catalog.eq_ignore_ascii_case("system") && schema.eq_ignore_ascii_case("session") =>
        {
            view
        }
        _ => return None,
    };
    let view = scope.environment.get(&bare.to_lowercase())?;
    Some(Resolved::TempView { name: vec![bare.clone()], view: Arc::clone(view) })
}

async fn catalog_relation(
    session: &Arc<Session>,
    name: &[String],
    full: ObjectName,
    options: &Options,
    as_of: Option<AsOf>,
    scope: &Scope,
) -> Result<Resolved> {
    if full.catalog == "system" && full.schema == "query" {
        return query_profile::open(session, &full)
            .await?
            .ok_or_else(|| not_found(name, scope))
            .map(|t| Resolved::Table(Box::new(t)));
    }
    if full.schema == "information_schema" {
        return information_schema::open(session, &full)
            .await?
            .ok_or_else(|| not_found(name, scope))
            .map(|t| Resolved::Table(Box::new(t)));
    }
    if let Some(record) = session.engine.catalog.find_table(&full).await? {
        return open_record(session, Arc::new(record), options, as_of).await;
    }
    if let [format, path] = name
        && sources::is_format(format)
        && session.conf().flag("spark.sql.runSQLOnFiles")
    {
        return by_path(session, format, path, options, as_of).await.map(|t| Resolved::Table(Box::new(t)));
    }
    if let Some((bare, version)) = version_of(session, full.name.as_str()) {
        let full = ObjectName { name: bare.to_string(), ..full };
        if let Some(record) = session.engine.catalog.find_table(&full).await? {
            let version = parse_suffix(session, version)?;
            return open_record(session, Arc::new(record), options, Some(one_of(as_of, version)?)).await;
        }
    }
    if name.len() == 3 && session.engine.catalog.find_catalog(&name[0]).await?.is_none() {
        return Err(names::single_part_namespace(name));
    }
    Err(not_found(name, scope))
}

fn not_found(name: &[String], scope: &Scope) -> Error {
    names::not_found(name, &query_path(&scope.catalog, &scope.schema))
}

/// Where Spark says it looked for a relation of a query.
pub(crate) fn query_path(catalog: &str, schema: &str) -> Vec<String> {
    vec![
        quote_name(&["system", "builtin"]),
        quote_name(&["system", "session"]),
        quote_name(&[catalog, schema]),
    ]
}

/// Opens a relation of the catalog.
async fn open_record(
    session: &Arc<Session>,
    record: Arc<TableRecord>,
    options: &Options,
    as_of: Option<AsOf>,
) -> Result<Resolved> {
    if record.kind.is_view() {
        if as_of.is_some() {
            return Err(no_time_travel(&record.name.quoted()));
        }
        // A view that follows its query has no columns but the query's.
        let follows = record.view.as_ref().is_some_and(|v| {
            v.schema_mode == ViewSchemaMode::Evolution && v.query_columns == record.schema.names()
        });
        if follows && !record.schema.fields.is_empty() {
            let record = TableRecord { schema: StructType::default(), ..(*record).clone() };
            return Ok(Resolved::View(Arc::new(record)));
        }
        return Ok(Resolved::View(record));
    }
    let table = open_table(session, &record, options, as_of).await?;
    Ok(Resolved::Table(Box::new(session.engine.cache.substitute(table, as_of))))
}

/// Opens a table of the catalog, as it is and not as it may be cached.
pub(crate) async fn open_table(
    session: &Arc<Session>,
    record: &Arc<TableRecord>,
    options: &Options,
    as_of: Option<AsOf>,
) -> Result<ResolvedTable> {
    let provider = record.provider.as_deref().unwrap_or("delta");
    let mut table = if provider == "delta" {
        let location = record
            .location
            .as_deref()
            .ok_or_else(|| Error::internal(format!("the table {} has no location", record.name)))?;
        let url = session.storage().url(location)?;
        let delta = managed_tables::table_of(session, record, &url)?;
        let opened = open_delta(session, delta, url, options, as_of).await;
        opened.map_err(|e| if e.is("PATH_NOT_FOUND") { lost_files(record) } else { e })?
    } else {
        if as_of.is_some() {
            return Err(no_time_travel(&record.name.quoted()));
        }
        sources::open_record(session, record, options).await?
    };
    table.qualifier = record.name.parts();
    table.record = Some(Arc::clone(record));
    Ok(table)
}

/// A table of the catalog whose directory is gone.
fn lost_files(record: &TableRecord) -> Error {
    Error::new("DELTA_TABLE_NOT_FOUND")
        .param("tableName", record.name.quoted())
        .message(format!(
            "The files of the table {} are gone: {} does not exist.",
            record.name.quoted(),
            record.location.as_deref().unwrap_or_default()
        ))
        .exception("AnalysisException")
}

/// `` delta.`/path` ``, `` parquet.`/path` ``
pub(crate) async fn by_path(
    session: &Arc<Session>,
    format: &str,
    path: &str,
    options: &Options,
    as_of: Option<AsOf>,
) -> Result<ResolvedTable> {
    if path.is_empty() {
        return Err(Error::new("INVALID_EMPTY_LOCATION")
            .param("location", path)
            .message("The location is empty.")
            .exception("AnalysisException"));
    }
    let mut table = if format.eq_ignore_ascii_case("delta") {
        delta_path(session, path, options, as_of).await?
    } else {
        if as_of.is_some() {
            return Err(no_time_travel(&quote_name(&[format, path])));
        }
        let source = DataSourceRef {
            format: format.to_lowercase(),
            options: options.clone(),
            paths: vec![path.to_string()],
            ..DataSourceRef::default()
        };
        sources::open(session, &source).await?
    };
    table.qualifier = vec![format.to_lowercase(), path.to_string()];
    Ok(table)
}

/// `spark.read.format(..).load(..)`
pub(crate) async fn data_source(session: &Arc<Session>, source: &DataSourceRef) -> Result<ResolvedTable> {
    let format = match source.format.as_str() {
        "" => session.conf().require("spark.sql.sources.default")?,
        format => format.to_string(),
    };
    if !format.eq_ignore_ascii_case("delta") {
        return sources::open(session, &DataSourceRef { format: format.to_lowercase(), ..source.clone() })
            .await;
    }
    let from_option = option(&source.options, "path").map(str::to_string);
    let path = match (source.paths.as_slice(), from_option) {
        ([path], _) => path.clone(),
        ([], Some(path)) => path,
        ([], None) => {
            return Err(Error::new("DELTA_PATH_NOT_SPECIFIED")
                .message("A Delta table is read from a path: give it to load(), or as the option 'path'.")
                .exception("IllegalArgumentException"));
        }
        (many, _) => {
            return Err(Error::unsupported(format!("reading {} paths as one Delta table", many.len())));
        }
    };
    if source.schema.is_some() {
        return Err(Error::new("DELTA_UNSUPPORTED_SCHEMA_DURING_READ")
            .message("A Delta table has its own schema: read it without schema().")
            .exception("AnalysisException"));
    }
    let mut table = delta_path(session, &path, &source.options, None).await?;
    table.is_streaming = source.is_streaming;
    Ok(table)
}

/// A Delta table by path; `path@v3` and `path@yyyyMMddHHmmssSSS` name a version.
async fn delta_path(
    session: &Arc<Session>,
    path: &str,
    options: &Options,
    as_of: Option<AsOf>,
) -> Result<ResolvedTable> {
    let url = session.storage().url(path)?;
    if let Some((bare, version)) = version_of(session, path)
        && !DeltaTable::is_delta_table(&session.storage().location(&url)?).await?
    {
        let url = session.storage().url(bare)?;
        let version = parse_suffix(session, version)?;
        let table = session.storage().delta(&url)?;
        return open_delta(session, table, url, options, Some(one_of(as_of, version)?)).await;
    }
    open_delta(session, session.storage().delta(&url)?, url, options, as_of).await
}

/// Opens a Delta table at the version that is asked for.
pub(crate) async fn open_delta(
    session: &Arc<Session>,
    table: DeltaTable,
    url: Url,
    options: &Options,
    as_of: Option<AsOf>,
) -> Result<ResolvedTable> {
    let as_of = match as_of_options(session, options)? {
        Some(option) => Some(one_of(as_of, option)?),
        None => as_of,
    };
    if change_feed::is_asked_for(options) {
        return match as_of {
            Some(_) => Err(change_feed::no_time_travel()),
            None => change_feed::open(session, table, url, options).await,
        };
    }
    let snapshot = match as_of {
        None => table.latest().await,
        Some(AsOf::Version(version)) => table.at_version(version).await,
        Some(AsOf::Timestamp(us)) => table.at_timestamp(us.div_euclid(1000)).await,
    };
    let snapshot = match snapshot {
        Ok(snapshot) => snapshot,
        Err(e) => return Err(missing_delta(session, e, &url).await),
    };
    let schema = boathouse_delta::declared_schema(snapshot.schema());
    let mut scan = DeltaScan::new(snapshot.clone())?;
    if let Some(generated) = GeneratedPartitions::of(session, &snapshot) {
        scan = scan.deriving(Arc::new(generated));
    }
    Ok(ResolvedTable {
        provider: Arc::new(scan),
        schema,
        qualifier: Vec::new(),
        delta: Some(DeltaSource { table, snapshot, url }),
        record: None,
        format: "delta".to_string(),
        is_streaming: false,
    })
}

/// What is wrong where a Delta table should be: nothing is there, or something else.
async fn missing_delta(session: &Session, e: Error, url: &Url) -> Error {
    if !e.is("DELTA_MISSING_DELTA_TABLE") {
        return e;
    }
    let path = storage::shown(url);
    let is_there = match url.to_file_path() {
        Ok(file) if url.scheme() == "file" => file.exists(),
        _ => !session.storage().is_empty(url).await.unwrap_or(true),
    };
    if is_there {
        return Error::new("DELTA_TABLE_NOT_FOUND")
            .param("tableName", &path)
            .message(format!("{path} is not a Delta table."))
            .exception("AnalysisException");
    }
    Error::new("PATH_NOT_FOUND")
        .param("path", &path)
        .message(format!("The path does not exist: {path}."))
        .exception("AnalysisException")
}

/// The options `versionAsOf` and `timestampAsOf`.
fn as_of_options(session: &Session, options: &Options) -> Result<Option<AsOf>> {
    match (option(options, "versionAsOf"), option(options, "timestampAsOf")) {
        (Some(_), Some(_)) => Err(Error::new("INVALID_TIME_TRAVEL_SPEC")
            .message("Give either versionAsOf or timestampAsOf, not both.")
            .exception("AnalysisException")),
        (Some(version), None) => match version.trim().parse::<i64>() {
            Ok(version) if version >= 0 => Ok(Some(AsOf::Version(version))),
            _ => Err(Error::new("DELTA_TIME_TRAVEL_INVALID_BEGIN_VALUE")
                .param("timeTravelKey", "versionAsOf")
                .param("timeTravelValue", version)
                .message(format!("'{version}' is no version of a table: versions are numbers from 0."))
                .exception("IllegalArgumentException")),
        },
        (None, Some(text)) => Ok(Some(AsOf::Timestamp(parse_timestamp(session, text)?))),
        (None, None) => Ok(None),
    }
}

/// A timestamp as text, in the session's zone.
pub(crate) fn parse_timestamp(session: &Session, text: &str) -> Result<i64> {
    let context = session.conf().function_context();
    let input: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let parsed = cast::cast(&input, &DataType::STRING, &DataType::Timestamp, Mode::Try, &context)?;
    let parsed = parsed.as_primitive_opt::<TimestampMicrosecondType>();
    match parsed {
        Some(times) if times.len() == 1 && times.is_valid(0) => Ok(times.value(0)),
        _ => Err(Error::new("DELTA_TIMESTAMP_INVALID")
            .param("expr", format!("'{text}'"))
            .message(format!("'{text}' is no timestamp. Write it as 'yyyy-MM-dd HH:mm:ss'."))
            .exception("AnalysisException")),
    }
}

fn one_of(a: Option<AsOf>, b: AsOf) -> Result<AsOf> {
    match a {
        None => Ok(b),
        Some(a) if a == b => Ok(a),
        Some(_) => Err(Error::new("MULTIPLE_TIME_TRAVEL_SPEC")
            .message("The version to read is given twice: in the clause and in the options or the name.")
            .exception("AnalysisException")),
    }
}

/// The version that a name ends with, where the session lets names have one.
fn version_of<'a>(session: &Session, name: &'a str) -> Option<(&'a str, &'a str)> {
    let found = version_suffix(name)?;
    session.conf().flag("spark.databricks.delta.timeTravel.resolveOnIdentifier.enabled").then_some(found)
}

/// `name@v12` and `name@20240115103000000`, split.
fn version_suffix(name: &str) -> Option<(&str, &str)> {
    let (bare, suffix) = name.rsplit_once('@')?;
    let digits = suffix.strip_prefix(['v', 'V']).unwrap_or(suffix);
    let is_version = digits.len() < suffix.len() && !digits.is_empty();
    let valid = digits.bytes().all(|b| b.is_ascii_digit()) && (is_version || digits.len() == 17);
    (valid && !bare.is_empty()).then_some((bare, suffix))
}

fn parse_suffix(session: &Session, suffix: &str) -> Result<AsOf> {
    if let Some(version) = suffix.strip_prefix(['v', 'V']) {
        let version = version.parse().map_err(|_| {
            Error::new("INVALID_TIME_TRAVEL_SPEC").message(format!("'{suffix}' is no version of a table."))
        })?;
        return Ok(AsOf::Version(version));
    }
    let part = |range: std::ops::Range<usize>| suffix.get(range).unwrap_or_default();
    let text = format!(
        "{}-{}-{} {}:{}:{}.{}",
        part(0..4),
        part(4..6),
        part(6..8),
        part(8..10),
        part(10..12),
        part(12..14),
        part(14..17)
    );
    parse_timestamp(session, &text).map(AsOf::Timestamp)
}

fn no_time_travel(name: &str) -> Error {
    Error::new("UNSUPPORTED_FEATURE.TIME_TRAVEL")
        .param("relationId", name)
        .message(format!("{name} keeps no older versions to read."))
        .exception("AnalysisException")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_suffixes() {
        assert_eq!(version_suffix("t@v3"), Some(("t", "v3")));
        assert_eq!(version_suffix("t@20240115103000000"), Some(("t", "20240115103000000")));
        assert_eq!(version_suffix("t@home"), None);
        assert_eq!(version_suffix("@v3"), None);
    }
}
