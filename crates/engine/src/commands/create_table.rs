//! `CREATE TABLE`, `REPLACE TABLE`, `CREATE TABLE .. AS SELECT`, `CREATE TABLE .. LIKE`.

use std::collections::HashSet;
use std::sync::Arc;

use boathouse_catalog::{ObjectName, OnConflict, Properties, TableKind, TableRecord};
use boathouse_spec::{
    Bucket, ColumnDefinition, CreateMode, CreateTable, DataType, Error, Name, Options, PartitionField,
    Relation, Result, StructField, StructType, TableConstraint, option, quote, quote_name,
};
use url::Url;

use crate::commands::insert::duplicate;
use crate::commands::table_columns::CHAR_VARCHAR;
use crate::commands::target::{self, Found};
use crate::commands::{
    column_default, create_delta, create_files, file_definition, generated_column, table_columns,
};
use crate::{QueryResult, Session, names, sources, storage};

/// What a statement says of a new table, in one form for all statements that make one.
pub(crate) struct Definition {
    /// The name in the catalog; `None` for a table that is only a path.
    pub name: Option<ObjectName>,
    pub mode: CreateMode,
    pub provider: String,
    pub schema: StructType,
    pub partition_by: Vec<String>,
    pub cluster_by: Vec<Name>,
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

impl Definition {
    /// The rows of a table are more than where they lie; what a query brings its writer checks.
    pub(super) fn refuse_partitions_of_all(&self) -> Result<()> {
        let all = !self.partition_by.is_empty() && self.partition_by.len() == self.schema.fields.len();
        if !all || self.query.is_some() {
            return Ok(());
        }
        Err(Error::new("ALL_PARTITION_COLUMNS_NOT_ALLOWED")
            .message("A table cannot be partitioned by all of its columns.")
            .exception("AnalysisException"))
    }
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
    if let Some(bucket) = &create.bucket {
        file_definition::check_bucket_count(session, bucket)?;
    }
    refuse_reserved(session, create.properties.iter().map(|(key, _)| key.as_str()))?;
    let is_external = create.external;
    let (name, path) = place(session, &create.name).await?;
    let like = match &create.like {
        Some(source) => like(session, source).await?,
        None => Like::default(),
    };
    let provider = match create.provider.or(like.provider) {
        Some(provider) => provider.to_lowercase(),
        None if path.is_some() => "delta".to_string(),
        None => session.conf().require("spark.sql.sources.default")?.to_lowercase(),
    };
    if provider != "delta" {
        refuse_unkept(name.as_ref(), &create.columns, &create.constraints)?;
    }
    let mut columns = create.columns;
    let mut partition_by = like.partition_by;
    for field in &create.partition_by {
        match field {
            PartitionField::Column(name) => match name.as_slice() {
                [one] => partition_by.push(one.clone()),
                other => {
                    return Err(Error::unsupported(format!(
                        "partitioning by the field {}",
                        quote_name(other)
                    )));
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
    if let Some(collation) = &create.collation {
        let text = boathouse_functions::collation::collated(collation)?;
        columns.iter_mut().for_each(|c| c.data_type = with_text_type(&c.data_type, &text));
    }
    let mut properties: Properties = create.properties.into_iter().collect();
    let schema =
        if create.like.is_some() { like.schema } else { schema_of(session, statement, &columns).await? };
    constraints(&schema, &create.constraints, &mut properties)?;
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
    if is_external && location.is_none() && provider != "delta" && sources::is_format(&provider) {
        let (class, exception) = match create.query.is_some() {
            true => ("_LEGACY_ERROR_TEMP_2047", "IllegalArgumentException"),
            false => ("_LEGACY_ERROR_TEMP_1069", "AnalysisException"),
        };
        return Err(Error::new(class).message("An external table needs a LOCATION.").exception(exception));
    }
    options.retain(|(k, _)| !k.eq_ignore_ascii_case("path"));
    let mut bucket = create.bucket;
    if provider != "delta" {
        let mut inherited = like.options;
        inherited.retain(|(k, _)| option(&options, k).is_none());
        inherited.append(&mut options);
        options = inherited;
        bucket = bucket.or(like.bucket);
    }
    let as_select = create.query.is_some();
    Ok(Definition {
        name,
        mode: create.mode,
        provider,
        schema,
        partition_by,
        cluster_by: create.cluster_by.unwrap_or_default(),
        bucket,
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

/// Properties that a clause or the catalog itself sets (Spark's `CatalogV2Util.TABLE_RESERVED_PROPERTIES`).
pub(super) fn refuse_reserved<'a>(session: &Session, mut keys: impl Iterator<Item = &'a str>) -> Result<()> {
    let advice = |key: &str| match key {
        "provider" => Some("please use the USING clause to specify it"),
        "location" => Some("please use the LOCATION clause to specify it"),
        "owner" => Some("it will be set to the current user"),
        "external" => Some("please use CREATE EXTERNAL TABLE"),
        "is_managed_location" | "collation" => Some("please remove it from the TBLPROPERTIES list"),
        _ => None,
    };
    let found = keys.find_map(|key| advice(key).map(|advice| (key, advice)));
    match found {
        Some((key, advice)) if !session.conf().flag("spark.sql.legacy.notReserveProperties") => {
            Err(Error::new("UNSUPPORTED_FEATURE.SET_TABLE_PROPERTY")
                .param("property", key)
                .param("msg", advice)
                .message(format!("{key} is a reserved table property, {advice}."))
                .exception("ParseException"))
        }
        _ => Ok(()),
    }
}

/// The catalog name, or the path of `` delta.`/path` ``.
pub(super) async fn place(session: &Session, name: &Name) -> Result<(Option<ObjectName>, Option<String>)> {
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
            .message(format!(
                "{} cannot be the name of a table. A table at a path is delta.{}.",
                quote(bare),
                quote(bare)
            ))
            .exception("AnalysisException"));
    }
    session.known_object_name(name).await.map(|n| (Some(n), None))
}

/// What a new table takes from the one that it is to be like.
#[derive(Default)]
struct Like {
    schema: StructType,
    provider: Option<String>,
    partition_by: Vec<String>,
    bucket: Option<Bucket>,
    options: Options,
}

async fn like(session: &Arc<Session>, source: &[String]) -> Result<Like> {
    let found = target::find(session, source, &target::relation_path(session)).await?;
    let schema = table_columns::of_found(session, &found).await?;
    let Found::Table(table) = &found else { return Ok(Like { schema, ..Like::default() }) };
    let mut like = Like {
        schema,
        provider: Some(table.format.clone()),
        partition_by: crate::commands::partitions::columns(table),
        ..Like::default()
    };
    // How files are read is theirs; a Delta table's own settings are in its log.
    if let Some(record) = table.record.as_ref().filter(|_| table.delta.is_none()) {
        let options = record.options.iter().filter(|(k, _)| !k.eq_ignore_ascii_case("path"));
        like.options = options.map(|(k, v)| (k.clone(), v.clone())).collect();
        like.bucket.clone_from(&record.bucket);
    }
    Ok(like)
}

/// The columns of a definition as a table keeps them: defaults, generation and lengths in their metadata.
pub(super) async fn schema_of(
    session: &Arc<Session>,
    statement: &'static str,
    columns: &[ColumnDefinition],
) -> Result<StructType> {
    refuse_duplicates(columns.iter().map(|c| c.name.as_str()))?;
    let with_defaults: Vec<ColumnDefinition> =
        columns.iter().filter(|c| c.default.is_some()).cloned().collect();
    if !with_defaults.is_empty() {
        let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
        session
            .analyze(move |analyzer| {
                with_defaults.iter().try_for_each(|c| match &c.default {
                    Some(default) => {
                        column_default::refuse_columns(statement, &c.name, default, &names)?;
                        column_default::check(analyzer, statement, &c.name, &c.data_type, default)
                    }
                    None => Ok(()),
                })
            })
            .await?;
    }
    if columns.iter().any(|c| c.generated.is_some() || c.identity.is_some()) {
        let checked = columns.to_vec();
        session.analyze(move |analyzer| generated_column::check(analyzer, &checked)).await?;
    }
    columns.iter().map(field_of).collect::<Result<Vec<_>>>().map(StructType::new)
}

/// The type with the default collation of its table for each STRING that is written without one.
pub(super) fn with_text_type(t: &DataType, text: &DataType) -> DataType {
    match t {
        DataType::String { collation: None } => text.clone(),
        DataType::Array { element, contains_null } => {
            DataType::array(with_text_type(element, text), *contains_null)
        }
        DataType::Map { key, value, value_contains_null } => {
            DataType::map(with_text_type(key, text), with_text_type(value, text), *value_contains_null)
        }
        DataType::Struct(s) => DataType::structure(
            s.fields
                .iter()
                .map(|f| StructField { data_type: with_text_type(&f.data_type, text), ..f.clone() })
                .collect(),
        ),
        other => other.clone(),
    }
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

/// The type with strings of any length.
fn without_lengths(t: &DataType) -> DataType {
    match t {
        DataType::Char(_) | DataType::Varchar(_) => DataType::STRING,
        DataType::Array { element, contains_null } => {
            DataType::array(without_lengths(element), *contains_null)
        }
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

/// Refuses promises about rows that only Delta tables keep.
fn refuse_unkept(
    name: Option<&ObjectName>,
    columns: &[ColumnDefinition],
    constraints: &[TableConstraint],
) -> Result<()> {
    let operation = if !constraints.is_empty() {
        "CONSTRAINT"
    } else if columns.iter().any(|c| c.generated.is_some()) {
        "generated columns"
    } else if columns.iter().any(|c| c.identity.is_some()) {
        "identity columns"
    } else {
        return Ok(());
    };
    Err(target::no_operation(&name.map(ObjectName::quoted).unwrap_or_default(), operation))
}

/// CHECK constraints are properties of a Delta table; keys are recorded for whoever reads them, and not enforced.
fn constraints(
    schema: &StructType,
    constraints: &[TableConstraint],
    properties: &mut Properties,
) -> Result<()> {
    for (i, constraint) in constraints.iter().enumerate() {
        match constraint {
            TableConstraint::Check { name, condition } => {
                let name = name.clone().unwrap_or_else(|| format!("check_{}", i + 1));
                properties
                    .insert(format!("delta.constraints.{}", name.to_lowercase()), condition.text.clone());
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
    Ok(())
}

/// The property under which a key that is not enforced is recorded.
pub(super) fn key_property(name: &str) -> String {
    format!("boathouse.constraints.{}", name.to_lowercase())
}

fn known_columns(schema: &StructType, columns: &[String]) -> Result<()> {
    match columns.iter().find(|c| schema.field(c).is_none()) {
        Some(missing) => Err(super::describe_table::column_not_found(std::slice::from_ref(missing))),
        None => Ok(()),
    }
}

pub(super) fn refuse_duplicates<'a>(names: impl Iterator<Item = &'a str>) -> Result<()> {
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
    let Some(existing) = existing(session, &definition).await? else { return Ok(()) };
    if definition.provider == "delta" {
        create_delta::make(session, definition, existing).await
    } else {
        file_definition::check(session, &definition).await?;
        create_files::make(session, definition, existing).await
    }
}

/// What has the name of a table that is to be made; `None` where that ends the matter (`IF NOT EXISTS`).
pub(super) async fn existing(
    session: &Arc<Session>,
    definition: &Definition,
) -> Result<Option<Option<TableRecord>>> {
    let existing = match &definition.name {
        Some(name) => {
            session.engine.catalog.get_schema(&name.schema_name()).await?;
            session.engine.catalog.find_table(name).await?
        }
        None => None,
    };
    if let (Some(record), Some(name)) = (&existing, &definition.name) {
        match definition.mode {
            CreateMode::IfNotExists => return Ok(None),
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
        return Err(names::not_found(
            &name.parts(),
            &[quote_name(&[name.catalog.as_str(), name.schema.as_str()])],
        ));
    }
    Ok(Some(existing))
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

/// Where the table will be, and whether the catalog owns it: a new place of its own is taken for it.
pub(super) async fn location_of(
    session: &Arc<Session>,
    definition: &Definition,
    existing: Option<&TableRecord>,
) -> Result<(Url, bool)> {
    if let Some(location) = &definition.location {
        return Ok((session.storage().url(location)?, false));
    }
    if let Some(record) = existing.filter(|r| r.provider.as_deref() == Some(definition.provider.as_str()))
        && let Some(location) = &record.location
    {
        return Ok((session.storage().url(location)?, record.kind == TableKind::Managed));
    }
    // What has the name may have files there: they stay until the new table is made.
    Ok((session.storage().claim(&managed_location(session, definition).await?).await?, true))
}

/// The place of a managed table by its name.
pub(super) async fn managed_location(session: &Session, definition: &Definition) -> Result<Url> {
    let Some(name) = &definition.name else {
        return Err(Error::internal("a table without name and location"));
    };
    let schema = session.engine.catalog.get_schema(&name.schema_name()).await?;
    let mut place = schema.location;
    if place.is_none()
        && let Some(root) = session.engine.catalog.get_catalog(&name.catalog).await?.location
    {
        place = Some(storage::below(&session.storage().url(&root)?, &name.schema)?.to_string());
    }
    session.storage().managed_table(place.as_deref(), name)
}

pub(super) fn record(
    session: &Session,
    definition: &Definition,
    name: ObjectName,
    managed: bool,
    url: &Url,
) -> TableRecord {
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
pub(super) async fn store(
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
                && old.location.as_deref().is_some_and(|l| session.storage().url(l).is_ok_and(|u| u != *url))
            {
                super::drop_relation::remove_files(session, &old).await?;
            }
            Ok(())
        }
        Err(e) => {
            if owns_files {
                session.storage().delete(url).await?;
            }
            if definition.mode == CreateMode::IfNotExists && e.is("TABLE_OR_VIEW_ALREADY_EXISTS") {
                return Ok(());
            }
            Err(e)
        }
    }
}
