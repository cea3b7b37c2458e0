//! CREATE TABLE and REPLACE TABLE without rows.

use boathouse_spec::{Error, Name, Result, StructType, clock, quote_paths_if_needed};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::action::{DomainMetadata, Format, Metadata, Protocol};
use crate::catalog_managed;
use crate::clustering;
use crate::iceberg_compat;
use crate::location::TableLocation;
use crate::property::Checks;
use crate::row_tracking;
use crate::schema::{TableColumns, stored};
use crate::snapshot::Snapshot;
use crate::stats::columns;
use crate::transaction::{Committed, Operation, ReadSet, Transaction};

/// What a new table is to be.
#[derive(Debug, Clone, Default)]
pub struct NewTable {
    pub schema: StructType,
    pub partition_by: Vec<String>,
    /// The columns of liquid clustering.
    pub cluster_by: Option<Vec<Name>>,
    pub name: Option<String>,
    pub description: Option<String>,
    /// Table properties; those of Delta (`delta.*`) are checked.
    pub properties: IndexMap<String, String>,
    pub property_checks: Checks,
    /// Whether the catalog owns the files; only recorded.
    pub managed: bool,
    /// The statement that makes it, for the history: `CREATE OR REPLACE TABLE`, ...; told from what is done where `None`.
    pub operation: Option<String>,
    pub user_metadata: Option<String>,
    /// More fields for the commit info: `userId`, `userName`, `job`, `notebook`, `clusterId`.
    pub commit_fields: Map<String, Value>,
}

/// Makes a table without rows, or, given its snapshot, replaces one (`REPLACE TABLE`).
pub async fn create(
    location: &TableLocation,
    replaces: Option<&Snapshot>,
    table: &NewTable,
) -> Result<Committed> {
    let name = if replaces.is_some() { "REPLACE TABLE" } else { "CREATE TABLE" };
    let (protocol, metadata) = metadata_of(location, table, replaces, true)?;
    let operation = create_operation(table.operation.as_deref().unwrap_or(name), table);
    let mut transaction = Transaction::new(location, replaces, operation);
    transaction.user_metadata.clone_from(&table.user_metadata);
    transaction.tags = table.commit_fields.clone();
    if let Some(old) = replaces {
        let now = clock::now_ms();
        transaction.reads = ReadSet::whole_table();
        transaction.remove(old.files().await?.iter().map(|f| f.remove(now, true)).collect::<Vec<_>>());
        if *old.protocol() != protocol {
            transaction.protocol = Some(protocol);
        }
    } else {
        transaction.protocol = Some(protocol);
    }
    transaction.domains = clustering_of(table, &metadata, replaces)?;
    transaction.metadata = Some(metadata);
    transaction.commit().await
}

/// The log's record of the columns that a new table is clustered by; by none, where the table that it replaces had some.
pub(crate) fn clustering_of(
    table: &NewTable,
    metadata: &Metadata,
    replaces: Option<&Snapshot>,
) -> Result<Vec<DomainMetadata>> {
    let Some(columns) = &table.cluster_by else {
        let was_clustered = replaces.is_some_and(|r| r.protocol().has("clustering"));
        return Ok(was_clustered.then(clustering::no_columns).into_iter().collect());
    };
    let schema = StructType::from_json(&metadata.schema_string)?;
    let paths = clustering::checked(&schema, metadata, columns)?;
    clustering::domain(&TableColumns::new(&schema, metadata)?, &schema, &paths).map(|d| vec![d])
}

/// The operation of a statement that makes a table, such as `CREATE TABLE AS SELECT`.
pub fn create_operation(name: &str, table: &NewTable) -> Operation {
    let properties: Map<String, Value> =
        table.properties.iter().map(|(k, v)| (k.clone(), Value::String(v.clone()))).collect();
    let mut out = Operation::new(name).json("partitionBy", &json!(table.partition_by));
    out =
        out.json("clusterBy", &json!(quote_paths_if_needed(table.cluster_by.as_deref().unwrap_or_default())));
    out = match &table.description {
        Some(text) => out.text("description", text.clone()),
        None => out.raw("description", Value::Null),
    };
    out.text("isManaged", table.managed.to_string()).json("properties", &Value::Object(properties))
}

/// The protocol and metadata of a new table; of one that replaces another, with its features. `completes`: whether what its
/// properties need beside them is set too, as statements that make tables do.
pub(crate) fn metadata_of(
    location: &TableLocation,
    table: &NewTable,
    replaces: Option<&Snapshot>,
    completes: bool,
) -> Result<(Protocol, Metadata)> {
    let mut protocol = replaces.map_or_else(Protocol::default, |s| s.protocol().clone());
    let configuration =
        crate::property::split(&table.properties, &mut protocol, replaces.is_none(), table.property_checks)?;
    let mut metadata = Metadata {
        id: uuid::Uuid::new_v4().to_string(),
        name: table.name.clone(),
        description: table.description.clone(),
        format: Format::default(),
        schema_string: String::new(),
        partition_columns: Vec::new(),
        configuration,
        created_time: Some(clock::now_ms()),
    };
    if completes {
        iceberg_compat::set_required(&mut metadata);
        catalog_managed::complete(&protocol, &mut metadata, replaces.is_none());
    }
    let schema = stored::stored_schema(&table.schema)?;
    let mapped = metadata.configuration.get("delta.columnMapping.mode").is_some_and(|m| m != "none");
    stored::check_names(&schema, mapped)?;
    stored::check_not_null(&schema)?;
    metadata.partition_columns = partition_columns(&schema, &table.partition_by)?;
    let was_clustered = replaces.is_some_and(|r| r.protocol().has("clustering"));
    if was_clustered && table.cluster_by.is_none() && !metadata.partition_columns.is_empty() {
        return Err(Error::new("DELTA_CLUSTERING_REPLACE_TABLE_WITH_PARTITIONED_TABLE")
            .message("A clustered table cannot be replaced by a partitioned one. Drop it first.")
            .exception("AnalysisException"));
    }
    if let Some(replaced) = replaces {
        row_tracking::inherit(replaced.metadata(), &mut metadata);
        stored::inherit_ids(replaced.metadata(), &mut metadata);
    }
    row_tracking::check_properties(&metadata)?;
    crate::property::check_retention(&metadata)?;
    let schema = stored::assign_mapping(&schema, &mut metadata, false);
    metadata.schema_string = schema.json();
    columns::check(&metadata, &schema)?;
    let needed = crate::protocol::needed_features(&metadata, &schema);
    if table.cluster_by.is_some() {
        protocol = clustered_protocol(&protocol, &metadata.partition_columns)?;
    }
    let protocol = protocol.with_features(&needed);
    row_tracking::name_columns(&protocol, &mut metadata);
    crate::protocol::check_writable(location, &protocol, &metadata, &schema)?;
    Ok((protocol, metadata))
}

/// The protocol of a table that is to be clustered.
pub(crate) fn clustered_protocol(protocol: &Protocol, partition_columns: &[String]) -> Result<Protocol> {
    if !partition_columns.is_empty() {
        return Err(Error::new("DELTA_CLUSTER_BY_WITH_PARTITIONED_BY")
            .message("CLUSTER BY and PARTITIONED BY do not go together.")
            .exception("AnalysisException"));
    }
    Ok(protocol.with_features(&["clustering", "domainMetadata"]))
}

/// A partition column that is not among the columns.
pub fn partition_column_not_found(name: &str, schema: &StructType) -> Error {
    let columns = schema.names().join(", ");
    Error::new("DELTA_PARTITION_COLUMN_NOT_FOUND")
        .param("columnName", boathouse_spec::quote(name))
        .param("schemaMap", &columns)
        .message(format!("The partition column `{name}` is not in the schema: {columns}."))
        .exception("AnalysisException")
}

/// The names of partition columns as the schema has them.
pub(crate) fn partition_columns(schema: &StructType, given: &[String]) -> Result<Vec<String>> {
    let mut out: Vec<String> = Vec::new();
    for name in given {
        let Some(field) = schema.field(name) else {
            return Err(partition_column_not_found(name, schema));
        };
        if !field.data_type.is_atomic() || field.data_type == boathouse_spec::DataType::Variant {
            return Err(Error::new("DELTA_INVALID_PARTITION_COLUMN_TYPE")
                .param("name", &field.name)
                .param("dataType", field.data_type.sql())
                .message(format!(
                    "`{}` of type {} cannot partition a table.",
                    field.name,
                    field.data_type.sql()
                ))
                .exception("AnalysisException"));
        }
        if out.contains(&field.name) {
            return Err(Error::new("DELTA_DUPLICATE_COLUMNS_FOUND")
                .param("coltype", "in the partition columns")
                .param("duplicateCols", field.name.to_lowercase())
                .message(format!("The table would be partitioned by `{}` twice.", field.name))
                .exception("AnalysisException"));
        }
        out.push(field.name.clone());
    }
    if !out.is_empty() && out.len() == schema.fields.len() {
        return Err(Error::new("DELTA_CANNOT_USE_ALL_COLUMNS_FOR_PARTITION")
            .message("A table cannot be partitioned by all of its columns.")
            .exception("AnalysisException"));
    }
    Ok(out)
}
