//! OPTIMIZE of a clustered table: files that are not clustered yet, and the last ones that are, are written along the
//! curve of the clustering columns. Files that were clustered together (a cube, named by a tag) and are many stay.

use std::collections::HashMap;

use boathouse_spec::{Error, Name, Result, quote_paths_if_needed};
use indexmap::IndexMap;

use super::{ClusteringStats, OptimizeOptions};
use crate::action::Add;
use crate::clustering::PROVIDER;
use crate::file_set::FileWithStats;
use crate::snapshot::Snapshot;

const CUBE_ID: &str = "ZCUBE_ID";
const CUBE_COLUMNS: &str = "ZCUBE_ZORDER_BY";
/// A cube of this size is not written again for files that came later.
const FULL_CUBE_BYTES: i64 = 100 * 1024 * 1024 * 1024;

/// The columns to cluster by; empty where the table is not clustered.
pub(super) async fn columns(table: &Snapshot, options: &OptimizeOptions) -> Result<Vec<Name>> {
    let columns = table.clustering_columns().await?.unwrap_or_default();
    if options.purge {
        return Ok(Vec::new());
    }
    if columns.is_empty() {
        if options.full {
            return Err(Error::new("DELTA_OPTIMIZE_FULL_NOT_SUPPORTED")
                .message("OPTIMIZE FULL is for clustered tables: this one has no clustering columns.")
                .exception("UnsupportedOperationException"));
        }
        return Ok(columns);
    }
    if !options.zorder_by.is_empty() {
        return Err(Error::new("DELTA_CLUSTERING_WITH_ZORDER_BY")
            .message("The table is clustered: OPTIMIZE orders its files by the clustering columns, not by ZORDER BY.")
            .exception("AnalysisException"));
    }
    if let Some(condition) = &options.condition {
        return Err(Error::new("DELTA_CLUSTERING_WITH_PARTITION_PREDICATE")
            .param("predicates", &condition.sql)
            .message(format!("The table is clustered: OPTIMIZE takes no condition ({}).", condition.sql))
            .exception("AnalysisException"));
    }
    Ok(columns)
}

/// What clustering has made of a file.
enum Standing {
    /// Not clustered.
    Loose,
    /// In a cube of these columns.
    Cube(String),
    /// Clustered by other columns.
    Other,
}

/// The files that are to be clustered now. Those that were clustered by other columns are left until all are asked for.
pub(super) fn candidates(
    files: Vec<FileWithStats>,
    columns: &[Name],
    full: bool,
) -> (Vec<FileWithStats>, ClusteringStats) {
    let mut stats = ClusteringStats::default();
    let mut cubes: HashMap<String, i64> = HashMap::new();
    let mut waiting = false;
    for file in &files {
        match standing(&file.file, columns) {
            Standing::Cube(id) => {
                *cubes.entry(id).or_default() += file.file.size;
                stats.cube_files.add(file.file.size);
                continue;
            }
            Standing::Loose => waiting = true,
            Standing::Other => waiting |= full,
        }
        stats.other_files.add(file.file.size);
    }
    stats.cubes = cubes.len() as i64;
    if !waiting && cubes.len() <= 1 && files.iter().all(|f| f.file.deletion_vector.is_none()) {
        return (Vec::new(), stats);
    }
    let chosen: Vec<FileWithStats> = files
        .into_iter()
        .filter(|file| match standing(&file.file, columns) {
            Standing::Cube(id) => cubes.get(&id).is_none_or(|size| *size < FULL_CUBE_BYTES),
            Standing::Loose => true,
            Standing::Other => full,
        })
        .collect();
    chosen.iter().for_each(|f| stats.merged.add(f.file.size));
    stats.new_cubes = i64::from(!chosen.is_empty());
    (chosen, stats)
}

fn standing(file: &Add, columns: &[Name]) -> Standing {
    if file.clustering_provider.as_deref() != Some(PROVIDER) {
        return Standing::Loose;
    }
    let tag = |key: &str| file.tags.as_ref().and_then(|t| t.get(key)).cloned().flatten();
    match (tag(CUBE_COLUMNS), tag(CUBE_ID)) {
        (Some(by), Some(id)) if by == columns_text(columns) => Standing::Cube(id),
        (Some(_), _) => Standing::Other,
        _ => Standing::Loose,
    }
}

fn columns_text(columns: &[Name]) -> String {
    serde_json::json!(quote_paths_if_needed(columns)).to_string()
}

/// Says of files that they were clustered together.
pub(super) fn mark(files: &mut [Add], columns: &[Name]) {
    let id = uuid::Uuid::new_v4().to_string();
    for file in files {
        let tags = file.tags.get_or_insert_with(IndexMap::new);
        tags.insert(CUBE_ID.into(), Some(id.clone()));
        tags.insert(CUBE_COLUMNS.into(), Some(columns_text(columns)));
        file.clustering_provider = Some(PROVIDER.into());
    }
}
