//! Maintenance that a table needs, as far as its log tells: for a keeper that looks at tables now and then.

use boathouse_spec::Result;
use datafusion::catalog::Session;

use super::delete::DmlOptions;
use super::optimize;
use super::vacuum::{VacuumOptions, VacuumResult, VacuumScope, vacuum};
use crate::property::MAINTENANCE;
use crate::snapshot::Snapshot;
use crate::transaction::Committed;

/// What was done for a table.
#[derive(Debug, Default)]
pub struct Upkeep {
    pub optimized: Option<Committed>,
    pub vacuumed: Option<VacuumResult>,
}

/// Whether the table asks for it (`boathouse.maintenance`).
pub fn wants_maintenance(table: &Snapshot) -> bool {
    table.property(MAINTENANCE).is_some_and(|v| v.eq_ignore_ascii_case("auto"))
}

/// Compacts or clusters a table where that pays, and deletes what no version within the retention needs. The thresholds are
/// those of auto compaction: 50 small files in a partition; besides, files with a fifth of their rows deleted, and 50 files or
/// 1 GiB that are not clustered yet.
pub async fn keep_up(
    table: &Snapshot,
    session: &dyn Session,
    options: &DmlOptions,
    vacuums: bool,
) -> Result<Upkeep> {
    let optimized = optimize::where_it_pays(table, session, options).await?;
    let table = optimized.as_ref().map_or(table, |c| &c.snapshot);
    let vacuumed = if vacuums { clean_up(table, options).await? } else { None };
    Ok(Upkeep { optimized, vacuumed })
}

/// VACUUM LITE, where there is something to delete: it would make two versions for nothing.
async fn clean_up(table: &Snapshot, options: &DmlOptions) -> Result<Option<VacuumResult>> {
    let mut vacuuming = VacuumOptions {
        retain_hours: None,
        dry_run: true,
        scope: VacuumScope::Lite,
        inventory: None,
        skip_retention_check: false,
        is_silent: false,
        commit: options.clone(),
    };
    if vacuum(table, &vacuuming).await?.files == 0 {
        return Ok(None);
    }
    vacuuming.dry_run = false;
    vacuum(table, &vacuuming).await.map(Some)
}
