//! `CREATE TABLE`, `REPLACE TABLE`, `CREATE TABLE .. AS SELECT`, `CREATE TABLE .. LIKE`.

use std::collections::HashSet;
use std::sync::Arc;

use boathouse_catalog::{ObjectName, OnConflict, Properties, TableKind, TableRecord};
use boathouse_delta::{DeltaTable, NewTable, Operation, Snapshot, WriteMode, WriteOptions};
use boathouse_spec::{
    Bucket, ColumnDefinition, CreateMode, CreateTable, DataType, Error, Name, Options, PartitionField, Relation, Result,
    StructField, StructType, TableConstraint, option, quote, quote_name,
};
use serde_json::{Value as Json, json};
use url::Url;

use crate::commands::insert::duplicate;
use crate::commands::table_columns::CHAR_VARCHAR;
use crate::commands::target::{self, Found};
use crate::commands::{column_default, table_columns, table_expressions};
use crate::execute::{self, project};
use crate::{QueryResult, Session, names, sources, storage};

/// What a statement says of a new table, in one form for all statements that make one.
pub(crate) struct Definition {
    /// The name in the catalog; `None` for a table that is only a path.
    pub name: Option<ObjectName>,
    pub mode: CreateMode,
    pub provider: String,
    pub schema: StructType,
    pub partition_by: Vec<String>,
    pub cluster_by: Vec<String>,
    pub bucket: Option<Bucket>,
    pub location: Option<String>,
    pub comment: Option<String>,
    pub collation: Option<String>,
    pub properties: Properties,
    pub options: Options,
    pub query: Option<Relation>,
    /// The name of the statement, as the table's history has it.
    pub operation: &'static str,
}

pub(super) async fn run(session: &Arc<Session>, create: CreateTable) -> Result<QueryResult> {
    if create.temporary {
        return Err(Error::unsupported("CREATE TEMPORARY TABLE (use CREATE TEMPORARY VIEW)"));
    }
    if create.row_filter.is_some() {
        return Err(Error::unsupported("row filters"));
    }
    if let Some(column) = create.columns.iter().find(|c| c.mask.is_some()) {
        return Err(Error::unsupported(format!("the mask of the column {}", quote(&column.name))));
    }
    let definition = definition(session, create).await?;
    make(session, definition).await?;
    Ok(QueryResult::empty())
}

async fn definition(session: &Arc<Session>, create: CreateTable) -> Result<Definition> {
    let statement = if create.mode == CreateMode::Replace { "REPLACE TABLE" } else { "CREATE TABLE" };
    let (name, path) = place(session, &create.name).await?;
    let (like_schema, like_provider, like_partitions) = match &create.like {
        Some(source) => like(session, source).await?,
        None => (StructType::default(), None, Vec::new()),
    };
    let provider = match create.provider.or(like_provider) {
        Some(provider) => provider.to_lowercase(),
        None if path.is_some() => "delta".to_string(),
        None => session.conf().require("spark.sql.sources.default")?.to_lowercase(),
    };
    let mut columns = create.columns;
    let mut partition_by = like_partitions;
    for field in &create.partition_by {
        match field {
            PartitionField::Column(name) => match name.as_slice() {
                [one] => partition_by.push(one.clone()),
                other => {
                    return Err(Error::unsupported(format!("partitioning by the field {}", quote_name(other))));
                }
            },
            PartitionField::Typed(column) => {
                partition_by.push(column.name.clone());
                columns.push(column.clone());
            }
            PartitionField::Transform { name, .. } => {
                return Err(Error::new("DELTA_UNSUPPORTED_PARTITION_TRANSFORM")
                    .param("transform", name)
                    .message(format!("Tables are partitioned by columns; {name}(..) is not supported. Use a generated column."))
                    .exception("UnsupportedOperationException"));
            }
        }
    }
    let mut properties: Properties = create.properties.into_iter().collect();
    let schema = if create.like.is_some() { like_schema } else { schema_of(session, statement, &columns).await? };
    constraints(session, &schema, &create.constraints, &mut properties).await?;
    let mut options = create.options;
    let location = match (create.location, path) {
        (Some(location), _) | (None, Some(location)) => Some(location),
        (None, None) => option(&options, "path").map(str::to_string),
    };
    if location.as_deref().is_some_and(|l| l.trim().is_empty()) {
        return Err(Error::new("INVALID_EMPTY_LOCATION")
            .param("location", location.unwrap_or_default())
            .message("The location is empty.")
            .exception("AnalysisException"));
    }
    options.retain(|(k, _)| !k.eq_ignore_ascii_case("path"));
    let as_select = create.query.is_some();
    Ok(Definition {
        name,
        mode: create.mode,
        provider,
        schema,
        partition_by,
        cluster_by: create.cluster_by.unwrap_or_default().iter().map(|c| c.join(".")).collect(),
        bucket: create.bucket,
        location,
        comment: create.comment,
        collation: create.collation,
        properties,
        options,
        query: create.query,
        operation: match (create.mode, as_select) {
            (CreateMode::OrReplace, true) => "CREATE OR REPLACE TABLE AS SELECT",
            (CreateMode::Replace, true) => "REPLACE TABLE AS SELECT",
            (_, true) => "CREATE TABLE AS SELECT",
            _ => "CREATE TABLE",
        },
    })
}

/// The catalog name, or the path of `` delta.`/path` ``.
async fn place(session: &Session, name: &Name) -> Result<(Option<ObjectName>, Option<String>)> {
    if let [format, path] = name.as_slice()
        && format.eq_ignore_ascii_case("delta")
        && path.contains('/')
    {
        return Ok((None, Some(path.clone())));
    }
    if let [bare] = name.as_slice()
        && bare.contains('/')
    {
        return Err(Error::new("INVALID_SCHEMA_OR_RELATION_NAME")
            .param("name", quote(bare))
            .message(format!("{} cannot be the name of a table. A table at a path is delta.{}.", quote(bare), quote(bare)))
            .exception("AnalysisException"));
    }
    session.known_object_name(name).await.map(|n| (Some(n), None))
}

async fn like(
    session: &Arc<Session>,
    source: &[String],
) -> Result<(StructType, Option<String>, Vec<String>)> {
    let found = target::find(session, source, &target::relation_path(session)).await?;
    let schema = table_columns::of_found(session, &found).await?;
    Ok(match &found {
        Found::Table(table) => {
            (schema, Some(table.format.clone()), crate::commands::partitions::columns(table))
        }
        _ => (schema, None, Vec::new()),
    })
}

/// The columns of a definition as a table keeps them: defaults, generation and lengths in their metadata.
pub(super) async fn schema_of(
    session: &Arc<Session>,
    statement: &'static str,
    columns: &[ColumnDefinition],
) -> Result<StructType> {
    refuse_duplicates(columns.iter().map(|c| c.name.as_str()))?;
    let with_defaults: Vec<ColumnDefinition> = columns.iter().filter(|c| c.default.is_some()).cloned().collect();
    if !with_defaults.is_empty() {
        session
            .analyze(move |analyzer| {
                with_defaults.iter().try_for_each(|c| match &c.default {
                    Some(default) => column_default::check(analyzer, statement, &c.name, &c.data_type, default),
                    None => Ok(()),
                })
            })
            .await?;
    }
    columns.iter().map(field_of).collect::<Result<Vec<_>>>().map(StructType::new)
}

/// A column's field.
pub(super) fn field_of(column: &ColumnDefinition) -> Result<StructField> {
    let field = column.field();
    let mut metadata = field.metadata_map();
    if let Some(default) = &column.default {
        metadata.insert(column_default::CURRENT.into(), default.text.clone().into());
        metadata.insert(column_default::EXISTS.into(), default.text.clone().into());
    }
    if let Some(generated) = &column.generated {
        metadata.insert("delta.generationExpression".into(), generated.text.clone().into());
    }
    if let Some(identity) = &column.identity {
        if identity.step == 0 {
            return Err(Error::new("DELTA_IDENTITY_COLUMNS_ILLEGAL_STEP")
                .message("The step of an identity column cannot be 0.")
                .exception("AnalysisException"));
        }
        metadata.insert("delta.identity.start".into(), identity.start.into());
        metadata.insert("delta.identity.step".into(), identity.step.into());
        metadata.insert("delta.identity.allowExplicitInsert".into(), identity.allow_explicit.into());
    }
    Ok(stored_field(&field.with_metadata(&metadata)))
}

/// A field as tables store it: CHAR and VARCHAR are strings with a note of what they are.
pub(super) fn stored_field(field: &StructField) -> StructField {
    let stored = without_lengths(&field.data_type);
    if stored == field.data_type {
        return field.clone();
    }
    let mut metadata = field.metadata_map();
    metadata.insert(CHAR_VARCHAR.into(), field.data_type.simple_string().into());
    StructField { data_type: stored, ..field.clone() }.with_metadata(&metadata)
}

fn without_lengths(t: &DataType) -> DataType {
    match t {
        DataType::Char(_) | DataType::Varchar(_) => DataType::STRING,
        DataType::Array { element, contains_null } => DataType::array(without_lengths(element), *contains_null),
        DataType::Map { key, value, value_contains_null } => {
            DataType::map(without_lengths(key), without_lengths(value), *value_contains_null)
        }
        DataType::Struct(s) => DataType::structure(
            s.fields
                .iter()
                .map(|f| StructField { data_type: without_lengths(&f.data_type), ..f.clone() })
                .collect(),
        ),
        other => other.clone(),
    }
}

/// CHECK constraints are properties of a Delta table; keys are recorded for whoever reads them, and not enforced.
async fn constraints(
    session: &Arc<Session>,
    schema: &StructType,
    constraints: &[TableConstraint],
    properties: &mut Properties,
) -> Result<()> {
    for (i, constraint) in constraints.iter().enumerate() {
        match constraint {
            TableConstraint::Check { name, condition } => {
                let name = name.clone().unwrap_or_else(|| format!("check_{}", i + 1));
                properties.insert(format!("delta.constraints.{}", name.to_lowercase()), condition.text.clone());
            }
            TableConstraint::PrimaryKey { name, columns } => {
                known_columns(schema, columns)?;
                let name = name.clone().unwrap_or_else(|| "primary_key".to_string());
                properties.insert(key_property(&name), format!("PRIMARY KEY ({})", columns.join(", ")));
            }
            TableConstraint::ForeignKey { name, columns, table, references } => {
                known_columns(schema, columns)?;
                let name = name.clone().unwrap_or_else(|| format!("foreign_key_{}", i + 1));
                let text = format!(
                    "FOREIGN KEY ({}) REFERENCES {} ({})",
                    columns.join(", "),
                    table.join("."),
                    references.join(", ")
                );
                properties.insert(key_property(&name), text);
            }
            TableConstraint::Unique { .. } => return Err(Error::unsupported("UNIQUE constraints")),
            TableConstraint::Expectation { name, .. } => {
                return Err(Error::unsupported(format!("the expectation {name} outside a pipeline")));
            }
        }
    }
    let _ = session;
    Ok(())
}

/// The property under which a key that is not enforced is recorded.
pub(super) fn key_property(name: &str) -> String {
    format!("boathouse.constraints.{}", name.to_lowercase())
}

fn known_columns(schema: &StructType, columns: &[String]) -> Result<()> {
    match columns.iter().find(|c| schema.field(c).is_none()) {
        Some(missing) => {
            Err(super::describe_table::column_not_found(std::slice::from_ref(missing)))
        }
        None => Ok(()),
    }
}

fn refuse_duplicates<'a>(names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name.to_lowercase()) {
            return Err(duplicate(name));
        }
    }
    Ok(())
}

/// Makes a table as defined. Nothing is left of one that could not be made.
pub(super) async fn make(session: &Arc<Session>, definition: Definition) -> Result<()> {
    let existing = match &definition.name {
        Some(name) => {
            session.engine.catalog.get_schema(&name.schema_name()).await?;
            session.engine.catalog.find_table(name).await?
        }
        None => None,
    };
    if let (Some(record), Some(name)) = (&existing, &definition.name) {
        match definition.mode {
            CreateMode::IfNotExists => return Ok(()),
            CreateMode::Create => return Err(already_exists(&name.quoted())),
            CreateMode::OrReplace | CreateMode::Replace if record.kind.is_view() => {
                return Err(target::not_a_view(&name.quoted(), "REPLACE TABLE"));
            }
            _ => {}
        }
    }
    if existing.is_none()
        && definition.mode == CreateMode::Replace
        && let Some(name) = &definition.name
    {
        return Err(names::not_found(&name.parts(), &[quote_name(&[name.catalog.as_str(), name.schema.as_str()])]));
    }
    if definition.provider == "delta" {
        delta(session, definition, existing).await
    } else {
        files(session, definition, existing).await
    }
}

/// TABLE_OR_VIEW_ALREADY_EXISTS
pub(super) fn already_exists(name: &str) -> Error {
    Error::new("TABLE_OR_VIEW_ALREADY_EXISTS")
        .param("relationName", name)
        .message(format!(
            "The table or view {name} exists already. Choose another name, drop or replace it, or say IF NOT EXISTS."
        ))
        .exception("AnalysisException")
}

/// Where the table will be, and whether the catalog owns it.
async fn location_of(
    session: &Arc<Session>,
    definition: &Definition,
    existing: Option<&TableRecord>,
) -> Result<(Url, bool)> {
    if let Some(location) = &definition.location {
        return Ok((session.engine.storage.url(location)?, false));
    }
    if let Some(record) = existing.filter(|r| r.provider.as_deref() == Some(definition.provider.as_str()))
        && let Some(location) = &record.location
    {
        return Ok((session.engine.storage.url(location)?, record.kind == TableKind::Managed));
    }
    let Some(name) = &definition.name else {
        return Err(Error::internal("a table without name and location"));
    };
    let schema = session.engine.catalog.get_schema(&name.schema_name()).await?;
    let mut place = schema.location;
    if place.is_none()
        && let Some(root) = session.engine.catalog.get_catalog(&name.catalog).await?.location
    {
        place = Some(storage::below(&session.engine.storage.url(&root)?, &name.schema)?.to_string());
    }
    Ok((session.engine.storage.managed_table(place.as_deref(), name)?, true))
}

async fn delta(
    session: &Arc<Session>,
    definition: Definition,
    existing: Option<TableRecord>,
) -> Result<()> {
    if definition.bucket.is_some() {
        return Err(Error::new("DELTA_OPERATION_NOT_ALLOWED")
            .param("operation", "Bucketing")
            .message("Delta tables are not bucketed. Use CLUSTER BY.")
            .exception("AnalysisException"));
    }
    let (url, managed) = location_of(session, &definition, existing.as_ref()).await?;
    let table = session.engine.storage.delta(&url)?;
    let is_there = DeltaTable::is_delta_table(table.location()).await?;
    let snapshot = if is_there { Some(table.latest().await?) } else { None };
    let replaces = matches!(definition.mode, CreateMode::OrReplace | CreateMode::Replace);
    if !is_there && !managed && existing.is_none() && !session.engine.storage.is_empty(&url).await? {
        return Err(Error::new("DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION")
            .param("tableId", definition.name.as_ref().map(ObjectName::to_string).unwrap_or_default())
            .param("tableLocation", storage::shown(&url))
            .message(format!(
                "{} holds files and no Delta table. Choose an empty directory, or convert what is there.",
                storage::shown(&url)
            ))
            .exception("AnalysisException"));
    }
    let new_table = NewTable {
        schema: definition.schema.clone(),
        partition_by: definition.partition_by.clone(),
        name: None,
        description: definition.comment.clone(),
        properties: delta_properties(session, &definition.properties),
        managed,
        operation: match definition.mode {
            CreateMode::OrReplace => Some("CREATE OR REPLACE TABLE".to_string()),
            CreateMode::Replace => Some("REPLACE TABLE".to_string()),
            _ => None,
        },
        user_metadata: table_expressions::user_metadata(session),
        commit_fields: table_expressions::commit_fields(session),
    };
    let outcome = match &definition.query {
        Some(query) => {
            let mode = match (&snapshot, replaces) {
                (None, _) => WriteMode::ErrorIfExists,
                (Some(_), true) => WriteMode::Overwrite,
                (Some(_), false) if definition.name.is_none() && definition.mode == CreateMode::IfNotExists => {
                    return Ok(());
                }
                (Some(_), false) => WriteMode::ErrorIfExists,
            };
            as_select(session, &definition, &table, snapshot.as_ref(), query.clone(), mode, new_table).await
        }
        None => without_rows(&definition, &table, snapshot.as_ref(), replaces, new_table).await,
    };
    let made = match outcome {
        Ok(made) => made,
        Err(e) => {
            if managed && !is_there {
                session.engine.storage.delete(&url).await?;
            }
            return Err(e);
        }
    };
    session.engine.cache.changed(&table.location().uri()).await;
    let Some(name) = definition.name.clone() else { return Ok(()) };
    let mut record = record(session, &definition, name, managed, &url);
    record.schema = made.schema().clone();
    record.partition_columns = made.partition_columns().to_vec();
    // The table's own log has them; the catalog's copy is for listings.
    record.properties = made.metadata().configuration.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    for (key, value) in &definition.properties {
        if key.starts_with("boathouse.") {
            record.properties.insert(key.clone(), value.clone());
        }
    }
    store(session, record, &definition, managed && !is_there, &url).await
}

/// Properties of the session's defaults (`spark.databricks.delta.properties.defaults.*`), then those of the statement.
fn delta_properties(session: &Session, given: &Properties) -> Properties {
    const DEFAULTS: &str = "spark.databricks.delta.properties.defaults.";
    let mut all = Properties::new();
    for (key, value) in session.conf().get_all(Some(DEFAULTS)) {
        all.insert(format!("delta.{}", &key[DEFAULTS.len()..]), value);
    }
    all.extend(given.iter().filter(|(k, _)| !k.starts_with("boathouse.")).map(|(k, v)| (k.clone(), v.clone())));
    all
}

async fn without_rows(
    definition: &Definition,
    table: &DeltaTable,
    snapshot: Option<&Snapshot>,
    replaces: bool,
    new_table: NewTable,
) -> Result<Snapshot> {
    match snapshot {
        Some(snapshot) if !replaces => {
            // An existing table gets a name. What the statement says of it must be so.
            if definition.name.is_none() && definition.mode == CreateMode::Create {
                return Err(already_exists(&quote_name(&["delta".to_string(), table.location().uri()])));
            }
            let (wanted, there) = (&definition.schema, snapshot.schema());
            let same = wanted.fields.is_empty()
                || (wanted.fields.len() == there.fields.len()
                    && wanted.fields.iter().zip(&there.fields).all(|(a, b)| {
                        a.name.eq_ignore_ascii_case(&b.name) && a.data_type.same_type(&b.data_type)
                    }));
            if !same {
                return Err(Error::new("DELTA_CREATE_TABLE_SCHEME_MISMATCH")
                    .param("path", table.location().uri())
                    .param("specifiedSchema", wanted.tree_string(None))
                    .param("existingSchema", there.tree_string(None))
                    .param("schemaDifferences", "")
                    .message(format!(
                        "The table at {} has other columns than the statement says.",
                        table.location().uri()
                    ))
                    .exception("AnalysisException"));
            }
            Ok(snapshot.clone())
        }
        _ => {
            if new_table.schema.fields.is_empty() && snapshot.is_none() && definition.location.is_some() {
                return Err(Error::new("DELTA_SCHEMA_NOT_PROVIDED")
                    .message(format!(
                        "There is no Delta table at {} yet: say which columns it is to have.",
                        table.location().uri()
                    ))
                    .exception("AnalysisException"));
            }
            let committed =
                boathouse_delta::create(table.location(), snapshot.filter(|_| replaces), &new_table).await?;
            table.cache().put(committed.snapshot.clone());
            Ok(committed.snapshot)
        }
    }
}

async fn as_select(
    session: &Arc<Session>,
    definition: &Definition,
    table: &DeltaTable,
    snapshot: Option<&Snapshot>,
    query: Relation,
    mode: WriteMode,
    mut new_table: NewTable,
) -> Result<Snapshot> {
    if !definition.schema.fields.is_empty() {
        return Err(Error::new("_LEGACY_ERROR_TEMP_0052")
            .message("CREATE TABLE .. AS SELECT takes its columns from the query: do not list them.")
            .exception("ParseException"));
    }
    let (plan, schema) = session
        .analyze(move |analyzer| {
            let analyzed = analyzer.query(&query)?;
            let schema = analyzed.schema();
            refuse_duplicates(schema.fields.iter().map(|f| f.name.as_str()))?;
            let list = analyzed.output.iter().map(|a| a.column().alias(&a.name)).collect();
            Ok((project(list, analyzed.plan)?, schema))
        })
        .await?;
    new_table.schema = StructType::new(
        schema
            .fields
            .iter()
            .map(|f| {
                let data_type = if f.data_type == DataType::Null { DataType::Null } else { f.data_type.as_nullable() };
                stored_field(&StructField { data_type, nullable: true, ..f.clone() })
            })
            .collect(),
    );
    let properties: serde_json::Map<String, Json> =
        new_table.properties.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
    let mut operation = Operation::new(definition.operation)
        .text("isManaged", new_table.managed.to_string())
        .json("partitionBy", &json!(definition.partition_by))
        .json("clusterBy", &json!(definition.cluster_by))
        .json("properties", &Json::Object(properties));
    operation = match &new_table.description {
        Some(text) => operation.text("description", text.clone()),
        None => operation.raw("description", Json::Null),
    };
    let mut options = WriteOptions::new(mode);
    options.partition_by = Some(definition.partition_by.clone());
    options.overwrite_schema = mode == WriteMode::Overwrite;
    options.user_metadata.clone_from(&new_table.user_metadata);
    options.commit_fields = new_table.commit_fields.clone();
    options.new_table = new_table;
    options.operation = Some(operation);
    let input = execute::partitioned_plan(session, &plan).await?;
    let state = execute::query_state(session);
    let written = boathouse_delta::write(table.location(), snapshot, &state, input, &options).await?;
    let Some(committed) = written else {
        return table.latest().await;
    };
    table.cache().put(committed.snapshot.clone());
    Ok(committed.snapshot)
}

fn record(session: &Session, definition: &Definition, name: ObjectName, managed: bool, url: &Url) -> TableRecord {
    let kind = if managed { TableKind::Managed } else { TableKind::External };
    let mut record = TableRecord::new(name, kind, Some(&definition.provider), definition.schema.clone());
    record.partition_columns.clone_from(&definition.partition_by);
    record.clustering_columns.clone_from(&definition.cluster_by);
    record.bucket.clone_from(&definition.bucket);
    record.location = Some(url.to_string());
    record.comment.clone_from(&definition.comment);
    record.collation.clone_from(&definition.collation);
    record.properties.clone_from(&definition.properties);
    record.options = definition.options.iter().cloned().collect();
    record.owner.clone_from(&session.user);
    record.created_by.clone_from(&session.user);
    record.updated_by.clone_from(&session.user);
    record
}

/// Gives the table its name. Files that were made for it go where that fails.
async fn store(
    session: &Arc<Session>,
    record: TableRecord,
    definition: &Definition,
    owns_files: bool,
    url: &Url,
) -> Result<()> {
    let replaces = matches!(definition.mode, CreateMode::OrReplace | CreateMode::Replace);
    let conflict = if replaces { OnConflict::Replace } else { OnConflict::Fail };
    let parts = record.name.parts();
    match session.engine.catalog.create_table(record, conflict).await {
        Ok((_, replaced)) => {
            session.engine.cache.dropped(&parts);
            if let Some(old) = replaced
                && old.kind == TableKind::Managed
                && old.location.as_deref().is_some_and(|l| session.engine.storage.url(l).is_ok_and(|u| u != *url))
            {
                super::drop_relation::remove_files(session, &old).await?;
            }
            Ok(())
        }
        Err(e) => {
            if owns_files {
                session.engine.storage.delete(url).await?;
            }
            if definition.mode == CreateMode::IfNotExists && e.is("TABLE_OR_VIEW_ALREADY_EXISTS") {
                return Ok(());
            }
            Err(e)
        }
    }
}

/// A table of files, or of an external system.
async fn files(
    session: &Arc<Session>,
    mut definition: Definition,
    existing: Option<TableRecord>,
) -> Result<()> {
    if existing.is_some() {
        let name = definition.name.as_ref().map(ObjectName::quoted).unwrap_or_default();
        let operation =
            if definition.query.is_some() { "REPLACE TABLE AS SELECT" } else { "REPLACE TABLE" };
        return Err(target::no_operation(&name, operation));
    }
    if matches!(definition.mode, CreateMode::OrReplace | CreateMode::Replace) {
        let name = definition.name.as_ref().map(ObjectName::quoted).unwrap_or_default();
        return Err(target::no_operation(&name, "REPLACE TABLE"));
    }
    sources::check_provider(&definition.provider)?;
    let Some(name) = definition.name.clone() else {
        return Err(Error::internal("a table of files without a name"));
    };
    let schema = definition.schema.clone();
    for column in &definition.partition_by {
        if definition.query.is_none() && schema.field(column).is_none() && !schema.fields.is_empty() {
            return Err(Error::new("COLUMN_NOT_DEFINED_IN_TABLE")
                .param("colType", "partition")
                .param("colName", quote(column))
                .param("tableName", name.quoted())
                .param("tableCols", schema.fields.iter().map(|f| quote(&f.name)).collect::<Vec<_>>().join(", "))
                .message(format!("{} is no column of {}.", quote(column), name.quoted()))
                .exception("AnalysisException"));
        }
    }
    if !definition.partition_by.is_empty()
        && definition.query.is_none()
        && definition.partition_by.len() == schema.fields.len()
    {
        return Err(Error::new("ALL_PARTITION_COLUMNS_NOT_ALLOWED")
            .message("A table cannot be partitioned by all of its columns.")
            .exception("AnalysisException"));
    }
    let has_place = sources::has_files(&definition.provider);
    let (url, managed) = location_of(session, &definition, None).await?;
    if has_place && managed && !session.engine.storage.is_empty(&url).await? {
        return Err(Error::new("LOCATION_ALREADY_EXISTS")
            .param("location", format!("'{}'", storage::shown(&url)))
            .param("identifier", name.quoted())
            .message(format!(
                "The place of the managed table {} is not empty: {}.",
                name.quoted(),
                storage::shown(&url)
            ))
            .exception("SparkRuntimeException"));
    }
    if let Some(query) = definition.query.take() {
        let written = sources::create_as(session, &definition, &url, query).await;
        match written {
            Ok(schema) => definition.schema = schema,
            Err(e) => {
                if managed {
                    session.engine.storage.delete(&url).await?;
                }
                return Err(e);
            }
        }
    } else if definition.schema.fields.is_empty() {
        let (schema, partition_by) = sources::infer(session, &definition, &url).await?;
        definition.schema = schema;
        if definition.partition_by.is_empty() {
            definition.partition_by = partition_by;
        }
    } else {
        // Partition columns come last, as Spark lays tables of files out.
        let is_partition = |f: &StructField| definition.partition_by.iter().any(|p| p.eq_ignore_ascii_case(&f.name));
        let (last, first): (Vec<_>, Vec<_>) = schema.fields.into_iter().partition(is_partition);
        // Files cannot promise that a column has no NULLs.
        let nullable = |f: StructField| StructField { nullable: true, ..f };
        definition.schema = StructType::new(first.into_iter().chain(last).map(nullable).collect());
    }
    if has_place && managed {
        session.engine.storage.create_directory(&url).await?;
    }
    let mut record = record(session, &definition, name, managed, &url);
    if !has_place {
        record.location = definition.location.clone();
        record.kind = TableKind::External;
    }
    store(session, record, &definition, managed && has_place, &url).await
}
