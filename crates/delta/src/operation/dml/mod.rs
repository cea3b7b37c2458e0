//! What UPDATE, DELETE and MERGE share: finding the rows that change, deleting them, and reading rows to be written again.

mod find;
mod row_sets;
mod vectors;

pub(crate) use find::{Matches, Touched, find, hidden_columns, touched_by};
pub(crate) use row_sets::{RowSets, collect_into, longs};
pub(crate) use vectors::{FileChanges, are_written, mark_deleted, other_rows};

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::catalog::Session;
use datafusion::catalog::default_table_source::DefaultTableSource;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::file_set::FileWithStats;
use crate::scan::{DeltaScan, unqualified};
use crate::snapshot::Snapshot;

/// The hidden column with a file's position.
pub(crate) const FILE_COLUMN: &str = "__delta_file";
/// The hidden column with a row's position in its file.
pub(crate) const ROW_COLUMN: &str = "__delta_row";
/// Rewritten rows of less than this go to one file.
const SINGLE_FILE_BYTES: i64 = 64 * 1024 * 1024;

/// The conjuncts of a condition, without qualifiers.
pub(crate) fn conjuncts(condition: Option<&Expr>) -> Result<Vec<Expr>> {
    let Some(condition) = condition else { return Ok(Vec::new()) };
    refuse_subqueries(condition)?;
    Ok(split_conjunction_owned(unqualified(condition.clone())?))
}

fn refuse_subqueries(condition: &Expr) -> Result<()> {
    let mut found = false;
    condition
        .apply(|e| {
            found |= matches!(e, Expr::InSubquery(_) | Expr::Exists(_) | Expr::ScalarSubquery(_));
            Ok(TreeNodeRecursion::Continue)
        })
        .spark()?;
    if found {
        return Err(Error::new("DELTA_UNSUPPORTED_SUBQUERY")
            .param("operation", "UPDATE or DELETE")
            .param("cond", condition.to_string())
            .message("Subqueries are not supported in the condition of UPDATE and DELETE. Use MERGE.")
            .exception("AnalysisException"));
    }
    Ok(())
}

/// The conditions as a transaction remembers them, for the check against others' commits.
pub(crate) fn read_predicates(
    session: &dyn Session,
    table: &Snapshot,
    conjuncts: &[Expr],
) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
    let schema = DFSchema::try_from(table.arrow_schema()).spark()?;
    conjuncts.iter().map(|c| session.create_physical_expr(c.clone(), &schema).spark()).collect()
}

/// A logical plan over a scan.
pub(crate) fn rows_of(scan: DeltaScan) -> Result<LogicalPlanBuilder> {
    let source = Arc::new(DefaultTableSource::new(Arc::new(scan)));
    LogicalPlanBuilder::scan(datafusion::logical_expr::UNNAMED_TABLE, source, None).spark()
}

/// About how many bytes of a file are read.
pub(crate) fn bytes_read(file: &FileWithStats) -> i64 {
    let share = file.chosen.as_ref().zip(file.num_records()).map(|(chosen, all)| {
        // Rows are of one size, about.
        chosen.len() as f64 / all.max(1) as f64
    });
    (file.file.size as f64 * share.unwrap_or(1.0)) as i64
}

/// The plan of rewritten rows, gathered where they are few.
pub(crate) fn gathered(plan: Arc<dyn ExecutionPlan>, bytes: i64) -> Arc<dyn ExecutionPlan> {
    if bytes <= SINGLE_FILE_BYTES && plan.output_partitioning().partition_count() > 1 {
        return Arc::new(CoalescePartitionsExec::new(plan));
    }
    plan
}
