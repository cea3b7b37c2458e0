//! Liquid clustering: the columns by which files are kept together ("Clustered Table" in PROTOCOL.md).

use boathouse_spec::{Error, Result, StructType};
use serde_json::{Value, json};

use crate::action::{DomainMetadata, Metadata};
use crate::schema::TableColumns;
use crate::snapshot::Snapshot;
use crate::stats::columns;

/// The domain in which a table keeps its clustering columns, by their names in files.
pub(crate) const DOMAIN: &str = "delta.clustering";
/// What files that were written by clustering say of themselves.
pub(crate) const PROVIDER: &str = "liquid";
/// Delta takes so many columns.
const MAX_COLUMNS: usize = 4;

/// The domain's content for columns of a table; no columns is no clustering, and is recorded too.
pub(crate) fn domain(
    columns: &TableColumns,
    schema: &StructType,
    names: &[String],
) -> Result<DomainMetadata> {
    let physical = names
        .iter()
        .map(|name| {
            let parts: Vec<String> = name.split('.').map(str::to_string).collect();
            columns.physical_path(schema, &parts).ok_or_else(|| not_found(name, schema))
        })
        .collect::<Result<Vec<_>>>()?;
    let configuration = json!({"clusteringColumns": physical, "domainName": DOMAIN}).to_string();
    Ok(DomainMetadata { configuration, ..no_columns() })
}

/// The domain's content for a table that is clustered by nothing, or no longer.
pub(crate) fn no_columns() -> DomainMetadata {
    let configuration = json!({"clusteringColumns": [], "domainName": DOMAIN}).to_string();
    DomainMetadata { domain: DOMAIN.into(), configuration, removed: false }
}

/// Refuses columns that a table cannot be clustered by; gives their names as the table has them.
pub(crate) fn checked(schema: &StructType, metadata: &Metadata, names: &[String]) -> Result<Vec<String>> {
    if names.len() > MAX_COLUMNS {
        return Err(Error::new("DELTA_CLUSTER_BY_INVALID_NUM_COLUMNS")
            .param("numColumnsLimit", MAX_COLUMNS)
            .param("actualNumColumns", names.len())
            .message(format!(
                "A table is clustered by {MAX_COLUMNS} columns at most, not by {}.",
                names.len()
            ))
            .exception("AnalysisException"));
    }
    let mut out: Vec<String> = Vec::new();
    for name in names {
        let (spelled, data_type) = find(schema, name).ok_or_else(|| not_found(name, schema))?;
        if out.contains(&spelled) {
            return Err(Error::new("DELTA_DUPLICATE_COLUMNS_FOUND.CLUSTER_BY")
                .param("duplicateCols", spelled.to_lowercase())
                .message(format!("The table would be clustered by `{spelled}` twice."))
                .exception("AnalysisException"));
        }
        if !crate::stats::table::has_bounds(&boathouse_bridge::arrow_type(&data_type)) {
            return Err(Error::new("DELTA_CLUSTERING_COLUMNS_DATATYPE_NOT_SUPPORTED")
                .param("columnsWithDataTypes", format!("{spelled} : {}", data_type.sql()))
                .message(format!("A table cannot be clustered by `{spelled}` of type {}.", data_type.sql()))
                .exception("AnalysisException"));
        }
        out.push(spelled);
    }
    refuse_without_statistics(schema, metadata, &out)?;
    Ok(out)
}

/// Clustering is of use by the bounds of its columns.
fn refuse_without_statistics(schema: &StructType, metadata: &Metadata, names: &[String]) -> Result<()> {
    let mut missing = Vec::new();
    for name in names {
        let path: Vec<String> = name.split('.').map(str::to_string).collect();
        if !columns::are_gathered(metadata, schema, &path)? {
            missing.push(name.as_str());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::new("DELTA_CLUSTERING_COLUMN_MISSING_STATS")
        .param("columns", missing.join(", "))
        .param("schema", schema.tree_string(None))
        .message(format!(
            "A table is clustered by columns with statistics: {} has none. See the table properties {} and {}.",
            missing.join(", "),
            columns::NAMED,
            columns::NUMBER
        ))
        .exception("AnalysisException"))
}

/// The columns that a table is clustered by stay, and what they are in.
pub(crate) fn refuse_drop(clustering: &[String], dropped: &[Vec<String>]) -> Result<()> {
    for column in dropped {
        let name = column.join(".");
        let inside = |c: &&String| {
            let (c, name) = (c.to_lowercase(), name.to_lowercase());
            c == name || c.starts_with(&format!("{name}."))
        };
        if let Some(found) = clustering.iter().find(inside) {
            return Err(Error::new("DELTA_UNSUPPORTED_DROP_CLUSTERING_COLUMN")
                .param("columnList", found)
                .message(format!("The table is clustered by {found}, which cannot be dropped."))
                .exception("AnalysisException"));
        }
    }
    Ok(())
}

fn find(schema: &StructType, name: &str) -> Option<(String, boathouse_spec::DataType)> {
    let mut fields = &schema.fields;
    let mut spelled = Vec::new();
    let mut parts = name.split('.').peekable();
    while let Some(part) = parts.next() {
        let field = fields.iter().find(|f| f.name.eq_ignore_ascii_case(part))?;
        spelled.push(field.name.clone());
        if parts.peek().is_none() {
            return Some((spelled.join("."), field.data_type.clone()));
        }
        match &field.data_type {
            boathouse_spec::DataType::Struct(s) => fields = &s.fields,
            _ => return None,
        }
    }
    None
}

fn not_found(name: &str, schema: &StructType) -> Error {
    Error::new("DELTA_COLUMN_NOT_FOUND_IN_SCHEMA")
        .param("columnName", name)
        .param("tableSchema", schema.tree_string(None))
        .message(format!("There is no column `{name}` in:\n{}", schema.tree_string(None)))
        .exception("AnalysisException")
}

impl Snapshot {
    /// The columns that the table is clustered by, in dots; `None` where it is not a clustered table.
    pub async fn clustering_columns(&self) -> Result<Option<Vec<String>>> {
        let paths = self.clustering_paths().await?;
        Ok(paths.map(|paths| paths.iter().map(|path| path.join(".")).collect()))
    }

    /// The columns that the table is clustered by, each outermost name first; `None` where it is not a clustered table.
    pub async fn clustering_paths(&self) -> Result<Option<Vec<Vec<String>>>> {
        if !self.protocol().has("clustering") {
            return Ok(None);
        }
        let Some(domain) = self.clustering_record().await? else { return Ok(None) };
        let content: Value = serde_json::from_str(&domain.configuration).unwrap_or(Value::Null);
        let columns = content.get("clusteringColumns").and_then(Value::as_array).cloned().unwrap_or_default();
        let paths = columns.iter().filter_map(|path| {
            let path: Vec<String> =
                path.as_array()?.iter().filter_map(|p| p.as_str().map(str::to_string)).collect();
            self.columns().logical_path(self.schema(), &path)
        });
        Ok(Some(paths.collect()))
    }

    /// What the log says of clustering, as it says it.
    pub(crate) async fn clustering_record(&self) -> Result<Option<DomainMetadata>> {
        Ok(self.domains().await?.into_iter().find(|d| d.domain == DOMAIN))
    }
}
