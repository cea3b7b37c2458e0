//! Tables that are not Delta: files, through `boathouse_connectors`.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use boathouse_bridge::arrow_schema;
use boathouse_catalog::TableRecord;
use boathouse_connectors::kafka::{KafkaTable, KafkaWriter, SinkOptions};
use boathouse_connectors::{Context, Format};
use boathouse_formats::binary_style::BinaryStyle;
use boathouse_formats::options::SessionDefaults;
use boathouse_spec::{
    DataSourceRef, DataType, Error, Options, Relation, Result, SaveMode, StructField, StructType, Write,
    option,
};
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::LogicalPlan;
use tokio::runtime::Handle;
use url::Url;

use crate::commands::{Definition, Fitted, Partition, duplicate, forget_statistics, overflow_error};
use crate::execute::{self, project};
use crate::resolver::ResolvedTable;
use crate::{QueryResult, Session, storage};

/// Systems that are known by name and not read or written here.
const ELSEWHERE: &[&str] = &[
    "jdbc",
    "kafka",
    "snowflake",
    "mongodb",
    "iceberg",
    "deltasharing",
    "hive",
    "rate",
    "socket",
    "cloudfiles",
    "image",
];

/// Whether a name before a path means a format.
pub(crate) fn is_format(name: &str) -> bool {
    matches!(
        name.to_lowercase().as_str(),
        "delta" | "parquet" | "csv" | "json" | "orc" | "avro" | "text" | "binaryfile" | "xml" | "iceberg"
    )
}

/// Refuses a format that is none.
pub(crate) fn check_provider(provider: &str) -> Result<Format> {
    if matches!(provider.to_lowercase().as_str(), "noop" | "console") {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1135")
            .param("className", provider)
            .message(format!("{provider} takes rows and has none: it can be written with save() only."))
            .exception("AnalysisException"));
    }
    if ELSEWHERE.contains(&provider.to_lowercase().as_str()) {
        return Err(Error::unsupported(format!("the data source {provider}")));
    }
    Format::find(provider)
}

/// What reading and writing files needs to know of a session.
pub(crate) fn context(session: &Session) -> Result<Context> {
    let conf = session.conf();
    let zone = conf.zone();
    let defaults = SessionDefaults {
        zone,
        corrupt_column: conf
            .get("spark.sql.columnNameOfCorruptRecord")
            .unwrap_or_else(|| "_corrupt_record".to_string()),
        infer_ntz: conf
            .get("spark.sql.timestampType")
            .is_some_and(|t| t.eq_ignore_ascii_case("TIMESTAMP_NTZ")),
        case_sensitive: conf.flag("spark.sql.caseSensitive"),
        ansi: conf.ansi(),
        binary_style: BinaryStyle::named(conf.get("spark.sql.binaryOutputStyle").as_deref()),
    };
    let storage = session.storage();
    let mut context = Context::new(storage.paths().clone(), storage.object_stores(), defaults);
    context.infer_partition_types = conf.flag("spark.sql.sources.partitionColumnTypeInference.enabled");
    context.merge_parquet_schemas = conf.flag("spark.sql.parquet.mergeSchema");
    context.merge_orc_schemas = conf.flag("spark.sql.orc.mergeSchema");
    if let Some(codec) = conf.get("spark.sql.orc.compression.codec") {
        context.orc_codec = codec;
    }
    if let Some(codec) = conf.get("spark.sql.parquet.compression.codec") {
        context.parquet_codec = codec;
    }
    context.ignore_corrupt_files = conf.flag("spark.sql.files.ignoreCorruptFiles");
    context.ignore_missing_files = conf.flag("spark.sql.files.ignoreMissingFiles");
    context.ignore_invalid_partitions = conf.flag("spark.sql.files.ignoreInvalidPartitionPaths");
    context.ignore_sink_log = conf.flag("spark.sql.streaming.fileStreamSink.ignoreMetadata");
    context.rescued_file_path = conf
        .get("spark.databricks.sql.rescuedDataColumn.filePath.enabled")
        .is_none_or(|v| !v.eq_ignore_ascii_case("false"));
    context.dynamic_partition_overwrite = conf
        .get("spark.sql.sources.partitionOverwriteMode")
        .is_some_and(|m| m.eq_ignore_ascii_case("dynamic"));
    Ok(context)
}

/// Opens files for reading.
pub(crate) async fn open(session: &Arc<Session>, source: &DataSourceRef) -> Result<ResolvedTable> {
    if source.format == "kafka" {
        return open_kafka(source);
    }
    if matches!(source.format.as_str(), "statestore" | "state-metadata") && !source.is_streaming {
        let table = session.engine().stream_reader()?.checkpoint_table(session, source).await?;
        return Ok(ResolvedTable {
            provider: table.provider,
            schema: table.schema,
            qualifier: Vec::new(),
            delta: None,
            record: None,
            format: source.format.clone(),
            is_streaming: false,
        });
    }
    check_provider(&source.format)?;
    let mut paths = source.paths.clone();
    if paths.is_empty()
        && let Some(path) = option(&source.options, "path")
    {
        paths.push(path.to_string());
    }
    let options: Options =
        source.options.iter().filter(|(k, _)| !k.eq_ignore_ascii_case("path")).cloned().collect();
    if paths.is_empty()
        && let Some(schema) = &source.schema
    {
        return Ok(empty(&source.format, schema.clone()));
    }
    if paths.is_empty() {
        return Err(Error::new("UNABLE_TO_INFER_SCHEMA")
            .param("format", &source.format)
            .message(format!("There is no path to read {} from: give one to load().", source.format))
            .exception("AnalysisException"));
    }
    let context = context(session)?;
    let (format, schema) = (source.format.clone(), source.schema.clone());
    // Listing waits and finding a schema computes: neither belongs on a thread that serves other queries.
    let opener = Arc::clone(session);
    let table = blocking(session, move |runtime| {
        let opened = &opener.opened_files;
        runtime.block_on(opened.open(&format, schema.as_ref(), &options, &paths, &context))
    })
    .await?;
    Ok(ResolvedTable {
        schema: table.spark_schema().clone(),
        provider: table,
        qualifier: Vec::new(),
        delta: None,
        record: None,
        format: source.format.to_lowercase(),
        is_streaming: source.is_streaming,
    })
}

/// Topics of Kafka. Nothing is asked of the cluster here: offsets are looked up when a plan is made.
fn open_kafka(source: &DataSourceRef) -> Result<ResolvedTable> {
    let (table, schema) = kafka_table(&source.options, source.schema.as_ref())?;
    Ok(ResolvedTable {
        schema,
        provider: Arc::new(table),
        qualifier: Vec::new(),
        delta: None,
        record: None,
        format: source.format.clone(),
        is_streaming: source.is_streaming,
    })
}

/// The columns of a table over topics, for the catalog.
pub(crate) fn kafka_columns(options: &Options, given: Option<&StructType>) -> Result<StructType> {
    kafka_table(options, given).map(|(_, schema)| schema)
}

/// Topics as a table; columns that are given must be those there are.
fn kafka_table(options: &Options, given: Option<&StructType>) -> Result<(KafkaTable, StructType)> {
    let table = KafkaTable::batch(options)?;
    let actual = table.spark_schema();
    let is_same = |given: &StructType| {
        let pairs = given.fields.iter().zip(&actual.fields);
        given.fields.len() == actual.fields.len()
            && pairs.into_iter().all(|(g, a)| g.name == a.name && g.data_type == a.data_type)
    };
    if let Some(given) = given
        && !is_same(given)
    {
        let shown = |schema: &StructType| {
            let columns = schema.fields.iter().map(|f| format!("{} {}", f.name, f.data_type.sql()));
            columns.collect::<Vec<_>>().join(",")
        };
        return Err(Error::new("USER_SPECIFIED_AND_ACTUAL_SCHEMA_MISMATCH")
            .param("schema", shown(given))
            .param("actualSchema", shown(&actual))
            .message(format!(
                "The user-specified schema doesn't match the actual schema:\nuser-specified: {}, actual: {}. If you're \
                 using\nDataFrameReader.schema API or creating a table, please do not specify the schema.\nOr if you're scanning an \
                 existed table, please drop it and re-create it.",
                shown(given),
                shown(&actual)
            ))
            .exception("AnalysisException"));
    }
    Ok((table, actual))
}

/// Runs work on a thread of its own.
async fn blocking<T: Send + 'static>(
    session: &Arc<Session>,
    work: impl FnOnce(&Handle) -> Result<T> + Send + 'static,
) -> Result<T> {
    let runtime = session.engine.runtime.clone();
    let joined = session.engine.runtime.spawn_blocking(move || work(&runtime)).await;
    joined.map_err(|e| Error::internal(format!("opening files: {e}")))?
}

/// Opens a table of the catalog that is not Delta.
pub(crate) async fn open_record(
    session: &Arc<Session>,
    record: &Arc<TableRecord>,
    options: &Options,
) -> Result<ResolvedTable> {
    let mut all: Options = record.options.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    all.extend(options.iter().cloned());
    let declared = Some(record.schema.clone()).filter(|s| !s.fields.is_empty());
    let source = DataSourceRef {
        format: record.provider.clone().unwrap_or_default(),
        schema: declared.clone(),
        options: all,
        paths: record.location.iter().cloned().collect(),
        ..DataSourceRef::default()
    };
    let mut table = match (open(session, &source).await, declared) {
        // A table that has no directory yet has no rows.
        (Err(e), Some(schema)) if e.is("PATH_NOT_FOUND") => empty(&source.format, schema),
        (opened, _) => opened?,
    };
    // What the catalog says of the columns beyond their types: comments, defaults, lengths.
    for field in &mut table.schema.fields {
        if let Some(known) = record.schema.field(&field.name) {
            field.metadata.clone_from(&known.metadata);
        }
    }
    Ok(table)
}

/// A table without rows.
pub(crate) fn empty(format: &str, schema: StructType) -> ResolvedTable {
    let arrow: SchemaRef = Arc::new(arrow_schema(&schema));
    ResolvedTable {
        provider: Arc::new(EmptyTable::new(arrow)),
        schema,
        qualifier: Vec::new(),
        delta: None,
        record: None,
        format: format.to_lowercase(),
        is_streaming: false,
    }
}

struct Rows {
    plan: LogicalPlan,
    /// The columns of the plan, in Spark's types.
    schema: StructType,
    /// What an overwrite removes, where that is not all there is.
    replaced: Option<Partition>,
}

async fn write_rows(
    session: &Arc<Session>,
    format: &str,
    rows: Rows,
    options: &Options,
    partition_by: &[String],
    mode: SaveMode,
    path: &str,
) -> Result<boathouse_connectors::Written> {
    if let Some(field) = rows.schema.fields.iter().find(|f| holds_spatial(&f.data_type)) {
        return Err(Error::unsupported(format!("{} in files of the format {format}", field.data_type.sql())));
    }
    let context = context(session)?;
    let plan = execute::partitioned_plan(session, &rows.plan).await?;
    let task = execute::task_context(session);
    let given: Options = options.iter().filter(|(k, _)| !k.eq_ignore_ascii_case("path")).cloned().collect();
    let replaced = rows.replaced.as_deref();
    boathouse_connectors::write(
        format,
        plan,
        task,
        &rows.schema,
        &given,
        partition_by,
        mode,
        replaced,
        path,
        &context,
    )
    .await
}

/// A query's rows under the names users see.
async fn query(session: &Arc<Session>, query: Relation) -> Result<Rows> {
    let case_sensitive = session.conf().flag("spark.sql.caseSensitive");
    session
        .analyze(move |analyzer| {
            let analyzed = analyzer.query(&query)?;
            let schema = analyzed.schema();
            refuse_twice(&schema, case_sensitive)?;
            let list = analyzed.output.iter().map(|a| a.column().alias(&a.name)).collect();
            Ok(Rows { plan: project(list, analyzed.plan)?, schema, replaced: None })
        })
        .await
}

/// Writes rows to a table of files; `replaced` is the partition that they take the place of.
pub(crate) async fn insert(
    session: &Arc<Session>,
    table: &ResolvedTable,
    rows: Fitted,
    overwrites: bool,
    replaced: Option<Partition>,
    dynamic: bool,
    options: &Options,
) -> Result<QueryResult> {
    if table.format == "kafka" {
        let name = table.display_name();
        return Err(Error::new("UNSUPPORTED_INSERT.NOT_ALLOWED")
            .param("relationId", &name)
            .message(format!(
                "Can't insert into the target. The target relation {name} does not allow insertion."
            ))
            .exception("AnalysisException"));
    }
    let Some(record) = &table.record else {
        return Err(Error::unsupported("INSERT into files by path: use df.write, or make a table over them"));
    };
    let location = record
        .location
        .clone()
        .ok_or_else(|| Error::internal(format!("the table {} has no location", record.name)))?;
    let mut all: Options = record.options.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    all.extend(options.iter().cloned());
    if overwrites {
        all.push(("partitionOverwriteMode".into(), if dynamic { "dynamic" } else { "static" }.into()));
    }
    let schema = StructType::new(
        table.schema.fields.iter().map(|f| StructField { nullable: true, ..f.clone() }).collect(),
    );
    let mode = if overwrites { SaveMode::Overwrite } else { SaveMode::Append };
    let sources = rows.sources;
    let rows = Rows { plan: rows.plan, schema, replaced };
    write_rows(session, &table.format, rows, &all, &record.partition_columns, mode, &location)
        .await
        .map_err(|e| overflow_error(e, &sources, &table.display_name()))?;
    changed(session, record).await?;
    Ok(QueryResult::empty())
}

/// What is cached of a table of files, and what was counted of it, is old.
async fn changed(session: &Arc<Session>, record: &TableRecord) -> Result<()> {
    session.engine.cache.changed_table(&record.name.parts()).await;
    forget_statistics(session, record).await
}

/// Removes all rows of a table of files.
pub(crate) async fn truncate(session: &Arc<Session>, table: &ResolvedTable) -> Result<QueryResult> {
    let Some(record) = &table.record else {
        return Err(Error::unsupported("TRUNCATE TABLE on files by path"));
    };
    if record.kind == boathouse_catalog::TableKind::External {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1266")
            .param("tableIdentWithDB", record.name.quoted())
            .message(format!(
                "{} is an external table: its files are not the catalog's to remove.",
                record.name.quoted()
            ))
            .exception("AnalysisException"));
    }
    if let Some(location) = &record.location {
        let url = session.storage().url(location)?;
        session.storage().delete(&url).await?;
        session.storage().create_directory(&url).await?;
    }
    changed(session, record).await?;
    Ok(QueryResult::empty())
}

/// `INSERT OVERWRITE DIRECTORY`
pub(crate) async fn write_directory(
    session: &Arc<Session>,
    rows: Relation,
    format: Option<&str>,
    path: Option<&str>,
    options: &Options,
    overwrites: bool,
) -> Result<QueryResult> {
    let format = format.unwrap_or("parquet").to_lowercase();
    check_provider(&format)?;
    let Some(path) = path.or_else(|| option(options, "path")) else {
        return Err(Error::new("_LEGACY_ERROR_TEMP_0062")
            .message("INSERT OVERWRITE DIRECTORY needs a path.")
            .exception("ParseException"));
    };
    let mode = if overwrites { SaveMode::Overwrite } else { SaveMode::Append };
    let rows = query(session, rows).await?;
    write_rows(session, &format, rows, options, &[], mode, path).await?;
    Ok(QueryResult::empty())
}

/// Whether a table of the provider is a directory of files.
pub(crate) fn has_files(provider: &str) -> bool {
    !ELSEWHERE.contains(&provider)
}

/// The columns of files that are there, and those of them that partition.
pub(crate) async fn infer(
    session: &Arc<Session>,
    definition: &Definition,
    url: &Url,
) -> Result<(StructType, Vec<String>)> {
    let paths = [url.to_string()];
    let context = context(session)?;
    let (provider, options) = (definition.provider.clone(), definition.options.clone());
    let found = blocking(session, move |runtime| {
        runtime.block_on(boathouse_connectors::infer_schema(&provider, &options, &paths, &context))
    });
    match found.await {
        // A table without columns: Spark allows it, and nothing can be read from it.
        Err(e) if e.is("PATH_NOT_FOUND") || e.is("UNABLE_TO_INFER_SCHEMA") => {
            Err(Error::new("UNABLE_TO_INFER_SCHEMA")
                .param("format", &definition.provider)
                .message(format!(
                    "There are no files in {} to take the columns from: list them in the statement.",
                    storage::shown(url)
                ))
                .exception("AnalysisException"))
        }
        other => other,
    }
}

/// `CREATE TABLE .. AS SELECT`: writes the rows and gives the table's columns, in the order of the query.
pub(crate) async fn create_as(
    session: &Arc<Session>,
    definition: &Definition,
    url: &Url,
    rows: Relation,
) -> Result<StructType> {
    let rows = query(session, rows).await?;
    let schema = rows.schema.clone();
    let mode = SaveMode::Overwrite;
    let path = url.to_string();
    write_rows(
        session,
        &definition.provider,
        rows,
        &definition.options,
        &definition.partition_by,
        mode,
        &path,
    )
    .await?;
    let nullable = |f: StructField| StructField { nullable: true, data_type: f.data_type.as_nullable(), ..f };
    Ok(StructType::new(schema.fields.into_iter().map(nullable).collect()))
}

/// `df.write.format(..).save(..)`
pub(crate) async fn save(
    session: &Arc<Session>,
    write: Write,
    format: &str,
    path: Option<String>,
) -> Result<QueryResult> {
    if write.bucket.is_some() {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1312")
            .param("operation", "save")
            .message("save() writes no buckets: use saveAsTable().")
            .exception("AnalysisException"));
    }
    let Some(path) = path else {
        return Err(Error::new("_LEGACY_ERROR_TEMP_2047")
            .message("There is no path to write to: give one to save().")
            .exception("IllegalArgumentException"));
    };
    let mode = write.mode.unwrap_or(SaveMode::ErrorIfExists);
    let rows = query(session, write.input).await?;
    refuse_intervals(format, &rows.schema)?;
    write_rows(session, format, rows, &write.options, &write.partition_by, mode, &path).await?;
    session.engine.cache.refresh_all().await;
    Ok(QueryResult::empty())
}

/// Files have each name once (Spark's `SchemaUtils.checkColumnNameDuplication`).
fn refuse_twice(schema: &StructType, case_sensitive: bool) -> Result<()> {
    let key = |name: &str| if case_sensitive { name.to_string() } else { name.to_lowercase() };
    let mut names = HashSet::new();
    match schema.fields.iter().find(|f| !names.insert(key(&f.name))) {
        Some(field) => Err(duplicate(&field.name)),
        None => Ok(()),
    }
}

/// `df.write.format("kafka").save()`: rows as messages. There is nothing to overwrite. Spark: `KafkaSourceProvider.createRelation`.
pub(crate) async fn save_to_kafka(session: &Arc<Session>, write: Write) -> Result<QueryResult> {
    let refused = match write.mode {
        Some(SaveMode::Overwrite) => "Overwrite",
        Some(SaveMode::Ignore) => "Ignore",
        Some(SaveMode::Append | SaveMode::ErrorIfExists) | None => "",
    };
    if !refused.is_empty() {
        return Err(Error::new("_LEGACY_ERROR_TEMP_3081")
            .param("mode", refused)
            .param("append", "Append")
            .param("errorIfExists", "ErrorIfExists")
            .message(format!(
                "Save mode {refused} not allowed for Kafka. Allowed save modes are Append and ErrorIfExists (default)."
            ))
            .exception("AnalysisException"));
    }
    let writer = KafkaWriter::new(SinkOptions::new(&write.options)?);
    let rows = query(session, write.input).await?;
    let plan = execute::partitioned_plan(session, &rows.plan).await?;
    writer.write(plan, execute::task_context(session), &rows.schema, None).await?;
    Ok(QueryResult::empty())
}

fn holds_spatial(t: &DataType) -> bool {
    match t {
        DataType::Array { element, .. } => holds_spatial(element),
        DataType::Map { key, value, .. } => holds_spatial(key) || holds_spatial(value),
        DataType::Struct(s) => s.fields.iter().any(|f| holds_spatial(&f.data_type)),
        t => t.is_spatial(),
    }
}

fn refuse_intervals(format: &str, schema: &StructType) -> Result<()> {
    match schema.fields.iter().find(|f| f.data_type == DataType::CalendarInterval) {
        Some(field) => Err(Error::new("UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE")
            .param("columnName", boathouse_spec::quote(&field.name))
            .param("columnType", "\"INTERVAL\"")
            .param("format", format)
            .message(format!(
                "Files of the format {format} hold no intervals: {}.",
                boathouse_spec::quote(&field.name)
            ))
            .exception("AnalysisException")),
        None => Ok(()),
    }
}

/// Removes the files of a partition.
pub(crate) async fn drop_partition(
    session: &Arc<Session>,
    table: &ResolvedTable,
    partition: &[(String, Option<String>)],
) -> Result<()> {
    let Some(record) = &table.record else {
        return Err(Error::unsupported("DROP PARTITION on files by path"));
    };
    let Some(location) = &record.location else { return Ok(()) };
    let mut url = session.storage().url(location)?;
    for (name, value) in partition {
        let value = value.as_deref().map_or_else(
            || boathouse_connectors::partitions::NULL_PARTITION.to_string(),
            boathouse_connectors::partitions::escape,
        );
        url = storage::below(&url, &format!("{}={value}", boathouse_connectors::partitions::escape(name)))?;
    }
    session.storage().delete(&url).await?;
    changed(session, record).await
}
