//! A table without column mapping again: its files are written with the names that its columns have now (delta-spark's
//! `RemoveColumnMappingCommand`).

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Result, StructField, StructType, clock};
use datafusion::catalog::Session;

use super::alter::transaction;
use super::delete::DmlOptions;
use super::dml;
use crate::action::Metadata;
use crate::clustering;
use crate::data_file::{TableVersion, WriteTarget, WrittenFiles, write_plan};
use crate::iceberg_compat;
use crate::row_tracking;
use crate::scan::DeltaScan;
use crate::schema::{TableColumns, stored};
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation, ReadSet};

const MODE: &str = "delta.columnMapping.mode";

impl Snapshot {
    /// Whether a change of properties takes the column mapping away (`delta.columnMapping.mode = none`, or no mode).
    pub fn maps_columns(&self) -> bool {
        self.columns().is_mapped()
    }
}

/// Writes all rows under the columns' own names. `mode`: what the table says of its mapping then.
pub async fn remove_mapping(
    table: &Snapshot,
    session: &dyn Session,
    mode: Option<&str>,
    options: &DmlOptions,
) -> Result<Committed> {
    crate::protocol::check_writable(table.location(), table.protocol(), table.metadata(), table.schema())?;
    check_names(table.schema())?;
    let mut metadata = table.metadata().clone();
    metadata.configuration.retain(|key, _| !key.starts_with("delta.columnMapping."));
    metadata.configuration.extend(mode.map(|mode| (MODE.to_string(), mode.to_string())));
    let schema = unmapped(table.schema());
    metadata.schema_string = schema.json();
    iceberg_compat::check_early(Some(table), table.protocol(), &metadata, &schema)?;

    let files = table.files().await?.pruned(table.columns(), &table.arrow_schema(), &[])?;
    let now = clock::now_ms();
    let removes: Vec<_> = files.iter().map(|f| f.file.remove(now, false)).collect();
    let written = match files.is_empty() {
        true => WrittenFiles::default(),
        false => {
            let scan = DeltaScan::with_hidden(table.clone(), row_tracking::carried(table))?;
            let plan = dml::rows_of(scan.with_files(files))?.build().spark()?;
            let plan = session.create_physical_plan(&plan).await.spark()?;
            let version = TableVersion {
                location: table.location(),
                protocol: table.protocol(),
                metadata: &metadata,
                schema: &schema,
            };
            let target =
                WriteTarget::unchecked(&version, &options.file_options(), false)?.keeping_ids(&metadata);
            write_plan(plan, session.task_ctx(), Arc::new(target)).await?
        }
    };
    let mut transaction = transaction(table, Operation::new("REMOVE COLUMN MAPPING"), options);
    transaction.keeps_ids();
    transaction.reads = ReadSet::whole_table();
    transaction.blind_append = Some(false);
    transaction.domains = clustering_by_name(table, &metadata, &schema).await?;
    transaction.metadata = Some(metadata);
    transaction.remove(removes);
    transaction.add_written(written.adds);
    transaction.commit().await
}

/// The columns that the table is clustered by, under their new names in files.
async fn clustering_by_name(
    table: &Snapshot,
    metadata: &Metadata,
    schema: &StructType,
) -> Result<Vec<crate::action::DomainMetadata>> {
    let Some(columns) = table.clustering_columns().await?.filter(|c| !c.is_empty()) else {
        return Ok(Vec::new());
    };
    clustering::domain(&TableColumns::new(schema, metadata)?, schema, &columns).map(|d| vec![d])
}

fn check_names(schema: &StructType) -> Result<()> {
    stored::check_names(schema, false).map_err(|e| {
        let names = e.parameters().iter().find(|(key, _)| key == "invalidColumnNames");
        let names = names.map(|(_, names)| names.clone()).unwrap_or_default();
        Error::new("DELTA_INVALID_COLUMN_NAMES_WHEN_REMOVING_COLUMN_MAPPING")
            .param("invalidColumnNames", &names)
            .message(format!(
                "Files cannot have columns of these names, which contain one of ' ,;{{}}()\\n\\t=': {names}. Rename them \
                 before the column mapping is removed."
            ))
            .exception("AnalysisException")
    })
}

/// The schema without ids and names in files.
fn unmapped(schema: &StructType) -> StructType {
    StructType::new(schema.fields.iter().map(unmapped_field).collect())
}

fn unmapped_field(field: &StructField) -> StructField {
    let mut notes = field.metadata_map();
    notes.retain(|key, _| !key.starts_with("delta.columnMapping."));
    StructField { data_type: unmapped_type(&field.data_type), ..field.clone() }.with_metadata(&notes)
}

fn unmapped_type(t: &DataType) -> DataType {
    match t {
        DataType::Struct(s) => DataType::Struct(unmapped(s)),
        DataType::Array { element, contains_null } => DataType::array(unmapped_type(element), *contains_null),
        DataType::Map { key, value, value_contains_null } => {
            DataType::map(unmapped_type(key), unmapped_type(value), *value_contains_null)
        }
        other => other.clone(),
    }
}
