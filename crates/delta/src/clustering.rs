//! Liquid clustering: the columns by which files are kept together ("Clustered Table" in PROTOCOL.md).

use boathouse_spec::{Error, Name, Result, StructType, quote_path_if_needed};
use serde_json::{Value, json};

use crate::action::{DomainMetadata, Metadata};
use crate::schema::{TableColumns, path};
use crate::snapshot::Snapshot;
use crate::stats::columns;

/// The domain in which a table keeps its clustering columns, by their names in files.
pub(crate) const DOMAIN: &str = "delta.clustering";
/// What files that were written by clustering say of themselves.
pub(crate) const PROVIDER: &str = "liquid";
/// Delta takes so many columns.
const MAX_COLUMNS: usize = 4;

/// The domain's content for columns of a table; no columns is no clustering, and is recorded too.
pub(crate) fn domain(columns: &TableColumns, schema: &StructType, paths: &[Name]) -> Result<DomainMetadata> {
    let physical = paths
        .iter()
        .map(|path| columns.physical_path(schema, path).ok_or_else(|| not_found(path, schema)))
        .collect::<Result<Vec<_>>>()?;
    let configuration = json!({"clusteringColumns": physical, "domainName": DOMAIN}).to_string();
    Ok(DomainMetadata { configuration, ..no_columns() })
}

/// The domain's content for a table that is clustered by nothing, or no longer.
pub(crate) fn no_columns() -> DomainMetadata {
    let configuration = json!({"clusteringColumns": [], "domainName": DOMAIN}).to_string();
    DomainMetadata { domain: DOMAIN.into(), configuration, removed: false }
}

/// Refuses columns that a table cannot be clustered by; gives their paths as the table spells them.
pub(crate) fn checked(schema: &StructType, metadata: &Metadata, given: &[Name]) -> Result<Vec<Name>> {
    if given.len() > MAX_COLUMNS {
        return Err(Error::new("DELTA_CLUSTER_BY_INVALID_NUM_COLUMNS")
            .param("numColumnsLimit", MAX_COLUMNS)
            .param("actualNumColumns", given.len())
            .message(format!(
                "A table is clustered by {MAX_COLUMNS} columns at most, not by {}.",
                given.len()
            ))
            .exception("AnalysisException"));
    }
    let mut out: Vec<Name> = Vec::new();
    for name in given {
        let (path, data_type) = path::spelled(schema, name).ok_or_else(|| not_found(name, schema))?;
        let spelled = quote_path_if_needed(&path);
        if out.contains(&path) {
            return Err(Error::new("DELTA_DUPLICATE_COLUMNS_FOUND.CLUSTER_BY")
                .param("duplicateCols", spelled.to_lowercase())
                .message(format!("The table would be clustered by `{spelled}` twice."))
                .exception("AnalysisException"));
        }
        if !crate::stats::table::has_bounds(&boathouse_bridge::arrow_type(data_type)) {
            return Err(Error::new("DELTA_CLUSTERING_COLUMNS_DATATYPE_NOT_SUPPORTED")
                .param("columnsWithDataTypes", format!("{spelled} : {}", data_type.sql()))
                .message(format!("A table cannot be clustered by `{spelled}` of type {}.", data_type.sql()))
                .exception("AnalysisException"));
        }
        out.push(path);
    }
    refuse_without_statistics(schema, metadata, &out)?;
    Ok(out)
}

/// Clustering is of use by the bounds of its columns.
fn refuse_without_statistics(schema: &StructType, metadata: &Metadata, paths: &[Name]) -> Result<()> {
    let mut missing = Vec::new();
    for path in paths {
        if !columns::are_gathered(metadata, schema, path)? {
            missing.push(quote_path_if_needed(path));
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
pub(crate) fn refuse_drop(clustering: &[Name], dropped: &[Name]) -> Result<()> {
    for column in dropped {
        let inside = |path: &&Name| {
            path.len() >= column.len() && path.iter().zip(column).all(|(a, b)| a.eq_ignore_ascii_case(b))
        };
        if let Some(found) = clustering.iter().find(inside).map(|path| quote_path_if_needed(path)) {
            return Err(Error::new("DELTA_UNSUPPORTED_DROP_CLUSTERING_COLUMN")
                .param("columnList", &found)
                .message(format!("The table is clustered by {found}, which cannot be dropped."))
                .exception("AnalysisException"));
        }
    }
    Ok(())
}

fn not_found(path: &[String], schema: &StructType) -> Error {
    path::not_found(&quote_path_if_needed(path), schema)
}

impl Snapshot {
    /// The columns that the table is clustered by, each outermost name first; `None` where it is not a clustered table.
    pub async fn clustering_columns(&self) -> Result<Option<Vec<Name>>> {
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
