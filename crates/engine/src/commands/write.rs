//! `df.write`: `save`, `saveAsTable`, `insertInto`.

use std::sync::Arc;

use boathouse_catalog::{ObjectName, Properties};
use boathouse_connectors::Format;
use boathouse_delta::{DeltaTable, PartitionOverwrite, Snapshot, WriteMode, WriteOptions};
use boathouse_functions::cast::Mode;
use boathouse_spec::{
    Bucket, CreateMode, DataType, Error, Insert, InsertMode, Options, Relation, Result, SaveMode,
    StructField, StructType, TableTarget, Write, WriteTarget, option, quote,
};
use url::Url;

use crate::commands::create_table::{Definition, already_exists, stored_field};
use crate::commands::insert::{self, is_dynamic, merges_schema};
use crate::commands::store_assignment::{appended_type, overflow_error};
use crate::commands::target::{self, Found};
use crate::commands::{computed_columns, create_table, delta_defaults, table_expressions};
use crate::execute::{self, project};
use crate::resolver::{self, ResolvedTable};
use crate::{QueryResult, Session, sinks, sources};

pub(super) async fn run(session: &Arc<Session>, write: Write) -> Result<QueryResult> {
    let format = match &write.format {
        Some(format) => format.to_lowercase(),
        None => session.conf().require("spark.sql.sources.default")?.to_lowercase(),
    };
    match write.target.clone() {
        WriteTarget::Path(path) => save(session, write, &format, Some(path)).await,
        WriteTarget::None => {
            let path = option(&write.options, "path").map(str::to_string);
            save(session, write, &format, path).await
        }
        WriteTarget::InsertInto(name) => {
            if write.bucket.is_some() {
                return Err(Error::new("_LEGACY_ERROR_TEMP_1312")
                    .param("operation", "insertInto")
                    .message("insertInto() takes no bucketBy(): the table says itself how it is bucketed.")
                    .exception("AnalysisException"));
            }
            if !write.partition_by.is_empty() {
                let name = name.join(".");
                return Err(Error::new("PARTITION_BY_NOT_ALLOWED_WITH_INSERT_INTO")
                    .param("tableName", &name)
                    .message(format!(
                        "{name} says itself how it is partitioned: insertInto() takes no partitionBy()."
                    ))
                    .exception("AnalysisException"));
            }
            let overwrite = write.mode == Some(SaveMode::Overwrite);
            let insert = Insert {
                table: TableTarget::Name(name),
                query: write.input,
                columns: Vec::new(),
                by_name: false,
                mode: if overwrite { InsertMode::Overwrite } else { InsertMode::Append },
                partition: None,
                if_partition_not_exists: false,
                options: write.options,
                with_schema_evolution: false,
            };
            insert::run(session, insert).await
        }
        WriteTarget::Table(name) => save_as_table(session, write, &format, name).await,
    }
}

async fn save(
    session: &Arc<Session>,
    write: Write,
    format: &str,
    path: Option<String>,
) -> Result<QueryResult> {
    match format {
        "kafka" => return sources::save_to_kafka(session, write).await,
        "noop" => return sinks::save_nowhere(session, write).await,
        "console" => return sinks::save_to_console(session, write).await,
        _ => {}
    }
    let python = session.python_sources.get(format).map(|s| s.value().clone());
    if let Some(source) = python {
        let mut options = write.options;
        options.extend(path.filter(|_| option(&options, "path").is_none()).map(|p| ("path".to_string(), p)));
        let mode = write.mode.unwrap_or(SaveMode::ErrorIfExists);
        return crate::python::save_to_source(session, &source, write.input, mode, &options).await;
    }
    if format != "delta" {
        sources::check_provider(format)?;
        return sources::save(session, write, format, path).await;
    }
    let path = path.ok_or_else(|| {
        Error::new("DELTA_PATH_NOT_SPECIFIED")
            .message("A Delta table is written to a path: give it to save(), or use saveAsTable().")
            .exception("IllegalArgumentException")
    })?;
    if write.bucket.is_some() {
        return Err(Error::new("DELTA_OPERATION_NOT_ALLOWED")
            .param("operation", "Bucketing")
            .message("Delta tables are not bucketed.")
            .exception("AnalysisException"));
    }
    let url = session.storage().url(&path)?;
    let mode = write.mode.unwrap_or(SaveMode::ErrorIfExists);
    to_delta(session, &url, write, mode, None, false).await?;
    Ok(QueryResult::empty())
}

/// Writes a DataFrame to the Delta table at a place, by the names of its columns. Only an append to a table by its name
/// casts: by path, and in place of what is there, the types must fit.
async fn to_delta(
    session: &Arc<Session>,
    url: &Url,
    write: Write,
    mode: SaveMode,
    table: Option<&ResolvedTable>,
    casts: bool,
) -> Result<()> {
    let delta = match table.and_then(|t| t.delta.as_ref()) {
        Some(delta) => delta.table.clone(),
        None => session.storage().delta(url)?,
    };
    let snapshot =
        if DeltaTable::is_delta_table(delta.location()).await? { Some(delta.latest().await?) } else { None };
    if snapshot.is_none() && mode == SaveMode::ErrorIfExists && !session.storage().is_empty(url).await? {
        return Err(Error::new("DELTA_PATH_EXISTS")
            .param("path", delta.location().uri())
            .message(format!(
                "There are files in {}, and the write is not to overwrite them.",
                delta.location().uri()
            ))
            .exception("AnalysisException"));
    }
    let opened = match (table, &snapshot) {
        (Some(table), _) => Some(table.clone()),
        (None, Some(_)) => {
            Some(resolver::open_delta(session, delta.clone(), url.clone(), &Vec::new(), None).await?)
        }
        (None, None) => None,
    };
    let mut options = write_options(session, &write, mode)?;
    options.replace_where_text = option(&write.options, "replaceWhere").map(str::to_string);
    let overwrites = mode == SaveMode::Overwrite;
    let replaces_schema = options.overwrite_schema && overwrites && options.replace_where_text.is_none();
    let (input, existing, merges) = (write.input.clone(), opened.clone(), options.merge_schema);
    let condition = options.replace_where_text.clone().filter(|_| overwrites);
    let allowed = options.widening;
    let (plan, schema, constraints, replaced, sources, identities) = session
        .analyze(move |analyzer| {
            let analyzed = analyzer.query(&input)?;
            let schema = analyzed.schema();
            if casts {
                refuse_twice(&schema)?;
            }
            let mut sources = Vec::new();
            let list = analyzed.output.iter().map(|a| {
                let column = existing.as_ref().filter(|_| casts).and_then(|t| t.schema.field(&a.name));
                let value = match column {
                    Some(column) => {
                        let to = appended_type(&a.data_type, &column.data_type);
                        sources.push((
                            StructField { data_type: to.clone(), ..column.clone() },
                            a.data_type.clone(),
                        ));
                        analyzer.cast(a.typed(), &to, Mode::Ansi)?
                    }
                    None => a.typed(),
                };
                Ok(value.expr.alias(&a.name))
            });
            let list = list.collect::<Result<Vec<_>>>()?;
            let (constraints, replaced) = match &existing {
                Some(table) => {
                    let scope = table_expressions::TableScope::open(analyzer, table, None)?;
                    let constraints = match &table.delta {
                        Some(delta) => scope.constraints(analyzer, &delta.snapshot)?,
                        None => Vec::new(),
                    };
                    let replaced = match &condition {
                        Some(text) => {
                            if let Some(delta) = &table.delta {
                                boathouse_delta::refuse_mismatch(&delta.snapshot, &schema, merges, allowed)?;
                            }
                            let expr = analyzer.session.conf().parse_expression(text)?;
                            let found = scope.condition(analyzer, &expr, "replaceWhere")?;
                            table_expressions::check_replaced(&analyzer.session, table, &found)?;
                            Some(found)
                        }
                        None => None,
                    };
                    (constraints, replaced)
                }
                None => (Vec::new(), None),
            };
            let mut plan = project(list, analyzed.plan)?;
            let mut identities = Vec::new();
            if let Some(table) = existing.as_ref().filter(|_| !replaces_schema) {
                identities = computed_columns::identity_columns(table);
                plan = computed_columns::complete(analyzer, table, plan, &identities)?;
            }
            Ok((plan, schema, constraints, replaced, sources, identities))
        })
        .await?;
    options.constraints = constraints;
    options.replace_where = replaced;
    options.identities = identities;
    if snapshot.is_none() {
        options.new_table.properties = delta_defaults::properties(session, &options.new_table.properties);
        options.new_table.property_checks = table_expressions::property_checks(session);
        options.new_table.schema = StructType::new(
            schema
                .fields
                .iter()
                .map(|f| {
                    stored_field(&StructField {
                        data_type: f.data_type.as_nullable(),
                        nullable: true,
                        ..f.clone()
                    })
                })
                .collect(),
        );
    }
    let written = commit(session, &delta, snapshot.as_ref(), &plan, &options).await;
    written.map_err(|e| overflow_error(e, &sources, &delta.location().uri()))
}

fn refuse_twice(schema: &StructType) -> Result<()> {
    let twice =
        |i: usize| schema.fields[..i].iter().any(|f| f.name.eq_ignore_ascii_case(&schema.fields[i].name));
    match (0..schema.fields.len()).find(|i| twice(*i)) {
        Some(i) => Err(insert::given_twice(&schema.fields[i].name)),
        None => Ok(()),
    }
}

async fn commit(
    session: &Arc<Session>,
    delta: &DeltaTable,
    snapshot: Option<&Snapshot>,
    plan: &datafusion::logical_expr::LogicalPlan,
    options: &WriteOptions,
) -> Result<()> {
    let state = execute::writing_state(session, snapshot);
    let input = execute::written_plan(session, &state, plan).await?;
    let written = boathouse_delta::write(delta.location(), snapshot, &state, input, options).await?;
    if let Some(committed) = written {
        session.committed(delta, &committed);
    }
    session.engine.cache.changed(&delta.location().uri()).await;
    Ok(())
}

fn write_options(session: &Session, write: &Write, mode: SaveMode) -> Result<WriteOptions> {
    let mut options = WriteOptions::new(match mode {
        SaveMode::Append => WriteMode::Append,
        SaveMode::Overwrite => WriteMode::Overwrite,
        SaveMode::ErrorIfExists => WriteMode::ErrorIfExists,
        SaveMode::Ignore => WriteMode::Ignore,
    });
    options.partition_by = (!write.partition_by.is_empty()).then(|| write.partition_by.clone());
    delta_options(session, &write.options, &mut options)?;
    if !write.cluster_by.is_empty() {
        options.new_table.cluster_by = Some(write.cluster_by.clone());
    }
    Ok(options)
}

/// The options of Delta's writer; those it does not know are refused by name.
pub(super) fn delta_options(session: &Session, given: &Options, options: &mut WriteOptions) -> Result<()> {
    options.merge_schema = merges_schema(session, given);
    if is_dynamic(session, given)? {
        options.partition_overwrite = insert::dynamic_overwrite(session)?;
    }
    for (key, value) in given {
        match key.to_lowercase().as_str() {
            "path" | "mergeschema" | "replacewhere" | "partitionoverwritemode" => {}
            "overwriteschema" => options.overwrite_schema = truth(key, value)?,
            known if COMMON_OPTIONS.contains(&known) => {}
            other if other.starts_with("delta.") => {
                options.new_table.properties.insert(key.clone(), value.clone());
            }
            _ => return Err(Error::unsupported(format!("the option '{key}' of a write to a Delta table"))),
        }
    }
    if options.replace_where.is_some() {
        options.partition_overwrite = PartitionOverwrite::Static;
    }
    common_options(session, given, options)
}

/// Options of all writes, by whichever call.
const COMMON_OPTIONS: [&str; 7] = [
    "datachange",
    "usermetadata",
    "compression",
    "maxrecordsperfile",
    "optimizewrite",
    "txnappid",
    "txnversion",
];

/// What the session, and then the statement, say of files and of the commit.
pub(super) fn common_options(session: &Session, given: &Options, options: &mut WriteOptions) -> Result<()> {
    options.files = table_expressions::file_settings(session);
    options.records_nothing = table_expressions::records_nothing(session);
    options.widening = table_expressions::automatic_widening(session);
    options.auto_compact = table_expressions::auto_compact(session);
    options.optimize_write = optimizes(session, given)?;
    options.user_metadata = table_expressions::user_metadata(session);
    options.commit_fields.extend(table_expressions::commit_fields(session));
    options.checks_replace_where =
        session.conf().flag("spark.databricks.delta.replaceWhere.constraintCheck.enabled");
    let mut txn: (Option<String>, Option<i64>) = (None, None);
    for (key, value) in given {
        match key.to_lowercase().as_str() {
            "datachange" => options.data_change = truth(key, value)?,
            "usermetadata" => options.user_metadata = Some(value.clone()),
            "compression" => options.files.compression = Some(value.clone()),
            "maxrecordsperfile" => {
                let rows = value.trim().parse::<i64>().map_err(|_| {
                    invalid_option(key, value, "it must be a number").exception("NumberFormatException")
                })?;
                options.files.max_records_per_file = u64::try_from(rows).ok().filter(|r| *r > 0);
            }
            "txnappid" => txn.0 = Some(value.clone()),
            "txnversion" => {
                let version =
                    value.trim().parse().map_err(|_| invalid_option(key, value, "it must be a number"))?;
                txn.1 = Some(version);
            }
            _ => {}
        }
    }
    match txn {
        (Some(app), Some(version)) => options.txn = Some((app, version)),
        (None, None) if options.txn.is_none() => options.txn = table_expressions::application(session)?,
        (None, None) => {}
        _ => return Err(table_expressions::half_an_application("txnAppId", "txnVersion")),
    }
    Ok(())
}

fn truth(key: &str, value: &str) -> Result<bool> {
    match value.to_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid_option(key, value, "it must be 'true' or 'false'")),
    }
}

/// `optimizeWrite`, as an option or as a setting; `None` where the table decides.
pub(super) fn optimizes(session: &Session, given: &Options) -> Result<Option<bool>> {
    if let Some(value) = option(given, "optimizeWrite") {
        return match value.to_lowercase().as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(invalid_option("optimizeWrite", value, "it must be 'true' or 'false'")),
        };
    }
    let set = session.conf().get("spark.databricks.delta.optimizeWrite.enabled");
    Ok(set.map(|value| value.trim().eq_ignore_ascii_case("true")))
}

pub(super) fn invalid_option(key: &str, value: &str, why: &str) -> Error {
    Error::new("DELTA_ILLEGAL_OPTION")
        .param("name", key)
        .param("input", value)
        .param("explain", why)
        .message(format!("'{value}' cannot be the value of the option '{key}': {why}."))
        .exception("IllegalArgumentException")
}

async fn save_as_table(
    session: &Arc<Session>,
    write: Write,
    format: &str,
    name: Vec<String>,
) -> Result<QueryResult> {
    let mode = write.mode.unwrap_or(SaveMode::ErrorIfExists);
    if let [provider, path] = name.as_slice()
        && provider.eq_ignore_ascii_case("delta")
        && path.contains('/')
    {
        return save(session, write, "delta", Some(name[1].clone())).await;
    }
    let found = match target::find(session, &name, &target::relation_path(session)).await {
        Ok(found) => Some(found),
        Err(e) if e.class() == "TABLE_OR_VIEW_NOT_FOUND" => None,
        Err(e) => return Err(e),
    };
    let table = match found {
        // A temporary view does not hide the table that is to be written.
        Some(Found::TempView { .. }) | None => None,
        Some(Found::View(record)) => return Err(target::not_a_view(&record.name.quoted(), "saveAsTable")),
        Some(Found::Table(table)) => Some(*table),
    };
    match (table, mode) {
        (Some(_), SaveMode::Ignore) => Ok(QueryResult::empty()),
        (Some(table), SaveMode::ErrorIfExists) => Err(already_exists(&table.display_name())),
        (Some(table), SaveMode::Append) => {
            if table.delta.is_none() && format != "delta" {
                refuse_other_table(session, &write, format, &table).await?;
            }
            append(session, write, table).await
        }
        (Some(table), SaveMode::Overwrite) if table.delta.is_some() && format == "delta" => {
            overwrite(session, write, table).await
        }
        (Some(table), SaveMode::Overwrite) => {
            // A table of files is dropped and made anew.
            let name = table.record.as_ref().map_or(name, |r| r.name.parts());
            refuse_self_overwrite(session, &write.input, &table).await?;
            super::drop_relation::table(session, &name, true).await?;
            create(session, write, format, name).await
        }
        (None, _) => create(session, write, format, name).await,
    }
}

/// Spark refuses to overwrite a table of files that the query itself reads.
async fn refuse_self_overwrite(
    session: &Arc<Session>,
    input: &Relation,
    table: &ResolvedTable,
) -> Result<()> {
    let Some(record) = &table.record else { return Ok(()) };
    let mut waiting = vec![input];
    while let Some(relation) = waiting.pop() {
        if let boathouse_spec::RelationNode::Table(source) = &*relation.node
            && session.object_name(&source.name).is_ok_and(|n| n == record.name)
        {
            return Err(overwrites_what_it_reads(&record.name));
        }
        waiting.extend(relation.node.inputs());
    }
    Ok(())
}

/// UNSUPPORTED_OVERWRITE.TABLE
pub(super) fn overwrites_what_it_reads(name: &ObjectName) -> Error {
    Error::new("UNSUPPORTED_OVERWRITE.TABLE")
        .param("table", name.quoted())
        .message(format!("{} cannot be overwritten by a query that reads it.", name.quoted()))
        .exception("AnalysisException")
}

/// An append to a table of files says what the table is: its format, its columns and its partitions (Spark's
/// `PreprocessTableCreation`).
async fn refuse_other_table(
    session: &Arc<Session>,
    write: &Write,
    format: &str,
    table: &ResolvedTable,
) -> Result<()> {
    let Some(record) = &table.record else { return Ok(()) };
    let Ok(existing) = Format::find(&table.format) else { return Ok(()) };
    let name = record.name.parts().join(".");
    let refused = |class: &str| Error::new(class).param("tableName", &name).exception("AnalysisException");
    let given = sources::check_provider(format)?;
    if existing != given {
        return Err(refused("_LEGACY_ERROR_TEMP_1159")
            .param("existingProvider", source_class(existing))
            .param("specifiedProvider", source_class(given))
            .message(format!("{name} is a table of {} files, not of {}.", existing.name(), given.name())));
    }
    let input = write.input.clone();
    let schema = session.analyze(move |analyzer| Ok(analyzer.query(&input)?.schema())).await?;
    if schema.fields.len() != table.schema.fields.len() {
        let shown = |schema: &StructType| DataType::Struct(schema.clone()).simple_string();
        let (columns, rows) = (shown(&table.schema), shown(&schema));
        return Err(refused("_LEGACY_ERROR_TEMP_1161")
            .param("existingTableSchema", &columns)
            .param("querySchema", &rows)
            .message(format!("{name} has other columns ({columns}) than the rows ({rows}).")));
    }
    let case_sensitive = session.conf().flag("spark.sql.caseSensitive");
    let same = |a: &str, b: &str| if case_sensitive { a == b } else { a.eq_ignore_ascii_case(b) };
    if let Some(column) =
        table.schema.fields.iter().find(|column| !schema.fields.iter().any(|f| same(&f.name, &column.name)))
    {
        let known = schema.names().join(", ");
        return Err(Error::new("_LEGACY_ERROR_TEMP_1162")
            .param("col", &column.name)
            .param("inputColumns", &known)
            .message(format!("The rows have no column {}, only: {known}.", column.name))
            .exception("AnalysisException"));
    }
    let (by, wanted) = (&write.partition_by, &record.partition_columns);
    if let Some(column) = by.iter().find(|name| !schema.fields.iter().any(|f| same(&f.name, name))) {
        let columns = table.schema.names().into_iter().map(quote).collect::<Vec<_>>().join(", ");
        return Err(Error::new("COLUMN_NOT_DEFINED_IN_TABLE")
            .param("colType", "partition")
            .param("colName", quote(column))
            .param("tableName", record.name.quoted())
            .param("tableCols", columns)
            .message(format!("{} is no column of {}.", quote(column), record.name.quoted()))
            .exception("AnalysisException"));
    }
    if by.len() != wanted.len() || !by.iter().zip(wanted).all(|(a, b)| same(a, b)) {
        let (by, wanted) = (by.join(", "), wanted.join(", "));
        return Err(refused("_LEGACY_ERROR_TEMP_1163")
            .param("specifiedPartCols", &by)
            .param("existingPartCols", &wanted)
            .message(format!("{name} is partitioned by [{wanted}], and the write by [{by}].")));
    }
    let (by, wanted) = (shown_bucket(write.bucket.as_ref()), shown_bucket(record.bucket.as_ref()));
    if !same(&by, &wanted) {
        return Err(refused("_LEGACY_ERROR_TEMP_1164")
            .param("specifiedBucketString", &by)
            .param("existingBucketString", &wanted)
            .message(format!("The buckets of {name} are: {wanted}. Those of the write are: {by}.")));
    }
    Ok(())
}

/// Buckets as Spark's messages show them.
fn shown_bucket(bucket: Option<&Bucket>) -> String {
    let Some(bucket) = bucket else { return "not bucketed".to_string() };
    let mut shown = format!("{} buckets, bucket columns: [{}]", bucket.count, bucket.columns.join(", "));
    if !bucket.sort.is_empty() {
        let columns: Vec<&str> = bucket.sort.iter().map(|(name, _)| name.as_str()).collect();
        shown.push_str(&format!(", sort columns: [{}]", columns.join(", ")));
    }
    shown
}

/// The class of a format's source, as Spark's messages name it.
fn source_class(format: Format) -> &'static str {
    match format {
        Format::Json => "JsonDataSourceV2",
        Format::Csv => "CSVDataSourceV2",
        Format::Parquet => "ParquetDataSourceV2",
        Format::Text => "TextDataSourceV2",
        Format::BinaryFile => "BinaryFileFormat",
        Format::Xml => "XmlFileFormat",
        Format::Avro => "AvroFileFormat",
        Format::Orc => "OrcDataSourceV2",
    }
}

/// Rows are appended by the names of the columns.
async fn append(session: &Arc<Session>, write: Write, table: ResolvedTable) -> Result<QueryResult> {
    if let Some(delta) = table.delta.clone() {
        to_delta(session, &delta.url, write, SaveMode::Append, Some(&table), true).await?;
        return Ok(QueryResult::empty());
    }
    let insert = Insert {
        table: TableTarget::Name(table.qualifier.clone()),
        query: write.input,
        columns: Vec::new(),
        by_name: true,
        mode: InsertMode::Append,
        partition: None,
        if_partition_not_exists: false,
        options: write.options,
        with_schema_evolution: false,
    };
    insert::run(session, insert).await
}

async fn overwrite(session: &Arc<Session>, write: Write, table: ResolvedTable) -> Result<QueryResult> {
    let Some(delta) = table.delta.clone() else {
        return Err(Error::internal("an overwrite of a table that is no Delta table"));
    };
    to_delta(session, &delta.url, write, SaveMode::Overwrite, Some(&table), false).await?;
    sync_record(session, &table).await?;
    Ok(QueryResult::empty())
}

/// Takes what the table's log says into the catalog's copy.
pub(super) async fn sync_record(session: &Arc<Session>, table: &ResolvedTable) -> Result<()> {
    let (Some(record), Some(delta)) = (&table.record, &table.delta) else { return Ok(()) };
    let snapshot = delta.table.latest().await?;
    if record.schema == *snapshot.schema() {
        return Ok(());
    }
    session
        .engine
        .catalog
        .alter_table(&record.name, &session.user, move |record| {
            record.schema = snapshot.schema().clone();
            record.partition_columns = snapshot.partition_columns().to_vec();
            Ok(())
        })
        .await?;
    Ok(())
}

async fn create(
    session: &Arc<Session>,
    write: Write,
    format: &str,
    name: Vec<String>,
) -> Result<QueryResult> {
    let name = session.known_object_name(&name).await?;
    let mut properties = Properties::new();
    let mut options = write.options.clone();
    let location = option(&options, "path").map(str::to_string);
    options.retain(|(k, _)| !k.eq_ignore_ascii_case("path"));
    if format == "delta" {
        let mut checked = WriteOptions::new(WriteMode::ErrorIfExists);
        delta_options(session, &options, &mut checked)?;
        properties.extend(checked.new_table.properties);
        options.retain(|(key, _)| COMMON_OPTIONS.contains(&key.to_lowercase().as_str()));
    }
    let definition = Definition {
        name: Some(name),
        mode: if write.mode == Some(SaveMode::Ignore) { CreateMode::IfNotExists } else { CreateMode::Create },
        provider: format.to_string(),
        schema: Default::default(),
        partition_by: write.partition_by,
        cluster_by: write.cluster_by,
        bucket: write.bucket,
        location,
        comment: None,
        collation: None,
        properties,
        options,
        query: Some(write.input),
        operation: "CREATE TABLE AS SELECT",
    };
    create_table::make(session, definition).await?;
    Ok(QueryResult::empty())
}
