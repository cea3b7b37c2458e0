//! Making Delta tables: a first commit, or one that replaces what was there.

use std::sync::Arc;

use boathouse_catalog::{ObjectName, TableRecord};
use boathouse_delta::{DeltaTable, NewTable, Operation, Snapshot, WriteMode, WriteOptions};
use boathouse_spec::{
    CreateMode, DataType, Error, Relation, Result, StructField, StructType, quote_name, quote_paths_if_needed,
};
use serde_json::{Value as Json, json};

use crate::commands::create_table::{
    Definition, already_exists, location_of, record, refuse_duplicates, store, stored_field,
};
use crate::commands::{delta_defaults, table_expressions, write};
use crate::execute::{self, project};
use crate::managed_tables::Target;
use crate::{Session, names, storage};

pub(super) async fn make(
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
    let target = Target::of(session, existing.as_ref(), &url)?;
    let table = &target.table;
    let is_there = DeltaTable::is_delta_table(table.location()).await?;
    let snapshot = if is_there { Some(table.latest().await?) } else { None };
    let replaces = matches!(definition.mode, CreateMode::OrReplace | CreateMode::Replace);
    if !is_there && definition.mode == CreateMode::Replace && definition.name.is_none() {
        return Err(names::not_found(&["delta".to_string(), storage::shown(&url)], &[]));
    }
    if !is_there && !managed && existing.is_none() && !session.storage().is_empty(&url).await? {
        return Err(Error::new("DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION")
            .param("tableId", definition.name.as_ref().map(ObjectName::to_string).unwrap_or_default())
            .param("tableLocation", storage::shown(&url))
            .message(format!(
                "{} holds files and no Delta table. Choose an empty directory, or convert what is there.",
                storage::shown(&url)
            ))
            .exception("AnalysisException"));
    }
    definition.refuse_partitions_of_all()?;
    let properties = delta_defaults::properties(session, &definition.properties);
    let name = definition.name.as_ref().map(ObjectName::quoted).unwrap_or_default();
    let target =
        target.managed_if_asked(session, properties.keys(), &name, (&url, managed, is_there)).await?;
    let table = &target.table;
    let new_table = NewTable {
        schema: definition.schema.clone(),
        partition_by: definition.partition_by.clone(),
        cluster_by: (!definition.cluster_by.is_empty()).then(|| definition.cluster_by.clone()),
        name: None,
        description: definition.comment.clone(),
        properties,
        property_checks: table_expressions::property_checks(session),
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
                (Some(_), false)
                    if definition.name.is_none() && definition.mode == CreateMode::IfNotExists =>
                {
                    return Ok(());
                }
                (Some(_), false) => WriteMode::ErrorIfExists,
            };
            as_select(session, &definition, table, snapshot.as_ref(), query.clone(), mode, new_table).await
        }
        None => without_rows(session, &definition, table, snapshot.as_ref(), replaces, new_table).await,
    };
    let made = match outcome {
        Ok(made) => made,
        Err(e) => {
            if managed && !is_there {
                session.storage().delete(&url).await?;
            }
            return target.made(session, Err(e)).await;
        }
    };
    session.engine.cache.changed(&table.location().uri()).await;
    let Some(name) = definition.name.clone() else { return Ok(()) };
    let mut record = record(session, &definition, name, managed, &url);
    record.id = target.id.unwrap_or(record.id);
    record.schema = made.schema().clone();
    record.partition_columns = made.partition_columns().to_vec();
    // The table's own log has them; the catalog's copy is for listings.
    record.properties = made.metadata().configuration.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    for (key, value) in &definition.properties {
        if key.starts_with("boathouse.constraints.") {
            record.properties.insert(key.clone(), value.clone());
        }
    }
    let stored = store(session, record, &definition, managed && !is_there, &url).await;
    target.made(session, stored).await
}

async fn without_rows(
    session: &Arc<Session>,
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
            session.committed(table, &committed);
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
                let data_type =
                    if f.data_type == DataType::Null { DataType::Null } else { f.data_type.as_nullable() };
                stored_field(&StructField { data_type, nullable: true, ..f.clone() })
            })
            .collect(),
    );
    let properties: serde_json::Map<String, Json> =
        new_table.properties.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
    let mut operation = Operation::new(definition.operation)
        .text("isManaged", new_table.managed.to_string())
        .json("partitionBy", &json!(definition.partition_by))
        .json("clusterBy", &json!(quote_paths_if_needed(&definition.cluster_by)))
        .json("properties", &Json::Object(properties));
    operation = match &new_table.description {
        Some(text) => operation.text("description", text.clone()),
        None => operation.raw("description", Json::Null),
    };
    let mut options = WriteOptions::new(mode);
    options.partition_by = Some(definition.partition_by.clone());
    options.overwrite_schema = mode == WriteMode::Overwrite;
    write::common_options(session, &definition.options, &mut options)?;
    options.new_table = new_table;
    options.operation = Some(operation);
    let state = execute::writing_state(session, snapshot);
    let input = execute::written_plan(session, &state, &plan).await?;
    let written = boathouse_delta::write(table.location(), snapshot, &state, input, &options).await?;
    let Some(committed) = written else {
        return table.latest().await;
    };
    session.committed(table, &committed);
    Ok(committed.snapshot)
}
