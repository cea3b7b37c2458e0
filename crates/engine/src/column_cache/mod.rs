//! Columns of Parquet files that queries read again and again, kept decoded in memory.
//!
//! Where tables are read warm, most of a query's time goes into decoding the same pages anew. What is kept is the column of
//! a row group, once it is wanted for the second time, within a fixed share of the memory of all queries (`store`); where
//! the share is used up, numbers are kept in as few bytes as hold them (`piece`). A scan takes the columns that are there and
//! decodes the others (`scan`); row groups that statistics rule out are neither served nor decoded for the cache (`pruning`). Of Delta files with deleted rows the
//! live ones are kept. Files are known by store, path, size and time, so that a file that is written anew is another; Delta's
//! files never change.
//!
//! `spark.databricks.io.cache.enabled = false` turns it off for a session.

mod learnt;
mod piece;
mod pruning;
mod scan;
mod store;

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;

pub(crate) use scan::CachedColumnsExec;
pub(crate) use store::ColumnCache;

/// The plan with scans that look into the cache first.
pub(crate) fn cached(
    plan: Arc<dyn ExecutionPlan>,
    cache: &Arc<ColumnCache>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let changed = plan.transform_down(|node| match CachedColumnsExec::of(&node, cache) {
        Some(scan) => Ok(Transformed::new(Arc::new(scan) as _, true, TreeNodeRecursion::Jump)),
        None => Ok(Transformed::no(node)),
    })?;
    Ok(changed.data)
}
