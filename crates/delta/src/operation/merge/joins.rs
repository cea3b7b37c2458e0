//! How a merge joins within the memory that there is.

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::Result;
use datafusion::catalog::Session;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};

use super::super::dml;
use super::source::MergeSource;
use crate::file_set::FileWithStats;

/// Rows in a hash table take about so many times the bytes of their files.
const MEMORY_PER_FILE_BYTE: usize = 16;

/// Sorted runs that are merged at a time.
const MERGED_RUNS: usize = 8;

/// Batches of a run that merging keeps.
const BUFFERS: usize = 4;

const MIN_BATCH_ROWS: usize = 16;

/// The bytes that operators may use together; `None` where there is no limit.
pub(super) fn memory_limit(pool: &dyn MemoryPool) -> Option<usize> {
    match pool.memory_limit() {
        MemoryLimit::Finite(bytes) => Some(bytes),
        _ => None,
    }
}

/// The state for the joins of a merge, where they need another than the session's: of two sides neither of which surely fits into
/// memory, both are sorted, which goes by way of the disk. A hash table of either side would fail.
pub(super) fn sorting(
    session: &dyn Session,
    source: &MergeSource,
    candidates: &[FileWithStats],
) -> Result<Option<SessionState>> {
    let Some(limit) = memory_limit(session.runtime_env().memory_pool.as_ref()) else { return Ok(None) };
    let target: i64 = candidates.iter().map(dml::bytes_read).sum();
    let target = usize::try_from(target).unwrap_or(usize::MAX);
    if !source.is_on_disk() || target.saturating_mul(MEMORY_PER_FILE_BYTE) <= limit {
        return Ok(None);
    }
    let Some(state) = session.as_any().downcast_ref::<SessionState>() else { return Ok(None) };
    sorting_state(state, limit, source.bytes_of_a_row()).map(Some)
}

/// A state whose joins sort both sides, and whose sorts have what they need for merging their runs whatever the others take: they
/// would take all that is there otherwise, and leave the other side of the join with nothing.
fn sorting_state(state: &SessionState, limit: usize, row: usize) -> Result<SessionState> {
    let partitions = state.config().target_partitions().max(2);
    // Two sorts in each partition, which share half of the memory for merging.
    let for_merging = limit / (4 * partitions);
    let of_a_batch = for_merging / (MERGED_RUNS * BUFFERS);
    let disk = &state.runtime_env().disk_manager;
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(disk.temp_dir_paths()))
        .with_max_spill_merge_fan_in(MERGED_RUNS)
        .build()
        .spark()?;
    let runtime = RuntimeEnv { disk_manager: Arc::new(disk), ..state.runtime_env().as_ref().clone() };
    let mut config = state.config().clone();
    let options = config.options_mut();
    options.optimizer.prefer_hash_join = false;
    // The planner sorts for joins of several partitions only.
    options.optimizer.repartition_joins = true;
    options.execution.target_partitions = partitions;
    options.execution.sort_spill_reservation_bytes = for_merging;
    let rows = (of_a_batch / row.max(1)).clamp(MIN_BATCH_ROWS, state.config().batch_size());
    config = config.with_batch_size(rows);
    Ok(SessionStateBuilder::new_from_existing(state.clone())
        .with_config(config)
        .with_runtime_env(Arc::new(runtime))
        .build())
}
