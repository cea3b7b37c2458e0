//! REORG TABLE .. APPLY (UPGRADE UNIFORM (ICEBERG_COMPAT_VERSION = n)): a table becomes one that Iceberg can read, its files
//! written again where they were not (delta-spark's `ReorgTableForUpgradeUniformHelper`).

use boathouse_spec::{Result, StructType};
use datafusion::catalog::Session;
use serde_json::{Map, Value};

use super::alter::check_mapping_change;
use super::delete::DmlOptions;
use super::optimize::{OptimizeMetrics, rewrite_files};
use crate::action::Protocol;
use crate::file_set::FileWithStats;
use crate::iceberg_compat::{self, Version};
use crate::schema::stored;
use crate::snapshot::Snapshot;
use crate::transaction::Committed;

/// The operation that changes the properties.
pub(crate) const UPGRADE_UNIFORM: &str = "REORG TABLE UPGRADE UNIFORM";
/// How it maps the columns.
const MAPPED_BY: &str = "name";

/// Turns a version of the compatibility on, and the other one and deletion vectors off; then writes all files again that do
/// not say they were written for it. The figures are `None` where no file had to be.
pub async fn upgrade_uniform(
    table: &Snapshot,
    session: &dyn Session,
    version: i32,
    options: &DmlOptions,
) -> Result<(Option<OptimizeMetrics>, Option<Committed>)> {
    crate::protocol::check_writable(table.location(), table.protocol(), table.metadata(), table.schema())?;
    let wanted = Version::of_number(version).ok_or_else(|| iceberg_compat::version_not_supported(version))?;
    let mut last = None;
    if iceberg_compat::enabled(table.metadata()) != Some(wanted) {
        last = Some(turn_on(table, wanted, options).await?);
    }
    // Files of the first version need nothing that those of other tables do not have.
    if wanted < Version::V2 {
        return Ok((None, last));
    }
    let current = last.as_ref().map_or(table, |c| &c.snapshot).clone();
    let others = others(&current, wanted).await?;
    if others.is_empty() {
        return Ok((None, last));
    }
    let (metrics, rewritten) = rewrite_files(&current, session, others, options)
        .await
        .map_err(|e| iceberg_compat::rewrite_failed(wanted, &e))?;
    let last = rewritten.or(last);
    let after = last.as_ref().map_or(&current, |c| &c.snapshot);
    let (all, left) = (after.files().await?.len(), self::others(after, wanted).await?.len());
    if left > 0 {
        return Err(iceberg_compat::files_not_compatible(wanted, after.version(), all, left));
    }
    Ok((Some(metrics), last))
}

/// The files that were not written for the version.
async fn others(table: &Snapshot, version: Version) -> Result<Vec<FileWithStats>> {
    let mut files = table.files().await?.pruned(table.columns(), &table.arrow_schema(), &[])?;
    files.retain(|f| !iceberg_compat::is_written_for(&f.file, version));
    Ok(files)
}

async fn turn_on(table: &Snapshot, version: Version, options: &DmlOptions) -> Result<Committed> {
    check_mapping_change(table, MAPPED_BY)?;
    let (metadata, protocol, set) = upgraded(table, version)?;
    let operation =
        crate::transaction::Operation::new(UPGRADE_UNIFORM).json("properties", &Value::Object(set));
    let mut transaction = options.transaction(table, operation);
    if protocol != *table.protocol() {
        transaction.protocol = Some(protocol);
    }
    transaction.metadata = Some(metadata);
    transaction.commit().await
}

/// The table's metadata and protocol with the version, and the properties that are set for it.
fn upgraded(
    table: &Snapshot,
    version: Version,
) -> Result<(crate::action::Metadata, Protocol, Map<String, Value>)> {
    let mut set = vec![
        (version.property(), "true"),
        ("delta.columnMapping.mode", MAPPED_BY),
        ("delta.enableDeletionVectors", "false"),
    ];
    set.extend(iceberg_compat::enabled(table.metadata()).map(|old| (old.property(), "false")));
    let told: Vec<(&str, &str)> = [
        (table.protocol().min_writer_version < 7).then_some(("delta.minWriterVersion", "7")),
        (table.protocol().min_reader_version < 3).then_some(("delta.minReaderVersion", "3")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut metadata = table.metadata().clone();
    metadata.configuration.extend(set.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())));
    iceberg_compat::set_required(&mut metadata);
    let schema: StructType = stored::assign_mapping(table.schema(), &mut metadata, true);
    metadata.schema_string = schema.json();
    let protocol = crate::protocol::upgraded(table.protocol(), &metadata, &schema)?;
    // The versions are told, as delta-spark does; what the protocol gets are features.
    let set = set.into_iter().chain(told).map(|(k, v)| (k.to_string(), Value::from(v))).collect();
    Ok((metadata, protocol, set))
}
