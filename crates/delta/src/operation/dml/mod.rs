//! What UPDATE, DELETE and MERGE share: finding the rows that change, deleting them, and reading rows to be written again.

mod find;
mod row_sets;
mod vectors;

pub(crate) use find::{Matches, Search, Touched, find, hidden_columns, touched_by};
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
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
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

/// The conjuncts of a condition without subqueries, without qualifiers.
pub(crate) fn conjuncts(condition: Option<&Expr>) -> Result<Vec<Expr>> {
    let Some(condition) = condition else { return Ok(Vec::new()) };
    if has_subquery(condition)? {
        return Err(Error::new("DELTA_UNSUPPORTED_SUBQUERY")
            .param("operation", "condition")
            .param("cond", condition.to_string())
            .message("This condition has no subqueries; those of DELETE and UPDATE have.")
            .exception("AnalysisException"));
    }
    Ok(split_conjunction_owned(unqualified(condition.clone())?))
}

pub(crate) fn has_subquery(condition: &Expr) -> Result<bool> {
    condition
        .exists(|e| Ok(matches!(e, Expr::InSubquery(_) | Expr::Exists(_) | Expr::ScalarSubquery(_))))
        .spark()
}

/// Whether a value differs each time it is computed, by a function or by the rows of a subquery.
pub fn varies(value: &Expr) -> bool {
    let within = |e: &Expr| match e {
        Expr::ScalarSubquery(query) => plan_varies(&query.subquery),
        Expr::InSubquery(within) => plan_varies(&within.subquery.subquery),
        Expr::Exists(exists) => plan_varies(&exists.subquery.subquery),
        _ => false,
    };
    value.is_volatile() || value.exists(|e| Ok(within(e))).unwrap_or(true)
}

fn plan_varies(plan: &LogicalPlan) -> bool {
    let own = |plan: &LogicalPlan| {
        let mut found = false;
        plan.apply_expressions(|e| {
            found |= varies(e);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    };
    plan.exists(own).unwrap_or(true)
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
