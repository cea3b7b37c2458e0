//! What UPDATE and DELETE share: finding the files with rows that match, and reading rows to be written again.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::catalog::Session;
use datafusion::catalog::default_table_source::DefaultTableSource;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, collect};

use crate::file_set::FileWithStats;
use crate::scan::{DeltaScan, HiddenColumn, HiddenValue, unqualified};
use crate::snapshot::Snapshot;
use crate::transaction::ReadSet;

/// The hidden column with a file's position.
pub(crate) const FILE_COLUMN: &str = "__delta_file";
/// Rewritten rows of less than this go to one file.
const SINGLE_FILE_BYTES: i64 = 64 * 1024 * 1024;

/// A file with rows that match.
pub(crate) struct Touched {
    pub file: FileWithStats,
    /// How many rows match; `None` where all do and the log does not tell their number.
    pub matching: Option<u64>,
    /// Every row of the file matches.
    pub whole: bool,
}

/// The files with rows that match a condition, and what was read to find them.
pub(crate) struct Matches {
    pub touched: Vec<Touched>,
    pub reads: ReadSet,
}

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

/// Finds the files with rows that match all conjuncts.
pub(crate) async fn find(session: &dyn Session, table: &Snapshot, conjuncts: &[Expr]) -> Result<Matches> {
    let scan =
        DeltaScan::with_hidden(table.clone(), vec![HiddenColumn::new(FILE_COLUMN, HiddenValue::FileIndex)])?;
    let candidates = scan.candidate_files(session, conjuncts).await?;
    let mut reads = ReadSet::default();
    if conjuncts.is_empty() {
        reads.whole_table = true;
    } else {
        reads.predicates.push(read_predicates(session, table, conjuncts)?);
    }
    if conjuncts.iter().all(|c| scan.is_partition_filter(c)) {
        let touched: Vec<Touched> = candidates
            .into_iter()
            .map(|file| Touched { matching: file.live_rows().map(|r| r as u64), whole: true, file })
            .collect();
        reads.files = touched.iter().map(|t| t.file.file.key()).collect();
        return Ok(Matches { touched, reads });
    }
    let counts = count_matches(session, &scan, &candidates, conjuncts).await?;
    let touched: Vec<Touched> = candidates
        .into_iter()
        .enumerate()
        .filter_map(|(i, file)| {
            let matching = *counts.get(&(i as i64))?;
            let whole = file.live_rows().is_some_and(|rows| rows as u64 == matching);
            Some(Touched { file, matching: Some(matching), whole })
        })
        .collect();
    reads.files = touched.iter().map(|t| t.file.file.key()).collect();
    Ok(Matches { touched, reads })
}

/// Matching rows by the position of their file.
async fn count_matches(
    session: &dyn Session,
    scan: &DeltaScan,
    candidates: &[FileWithStats],
    conjuncts: &[Expr],
) -> Result<HashMap<i64, u64>> {
    if candidates.is_empty() {
        return Ok(HashMap::new());
    }
    let builder = rows_of(scan.clone().with_files(candidates.to_vec()))?;
    let plan = match conjuncts.iter().cloned().reduce(Expr::and) {
        Some(condition) => builder.filter(condition).spark()?,
        None => builder,
    };
    let plan = plan
        .aggregate(
            vec![Expr::Column(Column::from_name(FILE_COLUMN))],
            vec![count(lit(1i64)).alias("matching")],
        )
        .spark()?
        .build()
        .spark()?;
    let physical = session.create_physical_plan(&plan).await.spark()?;
    let mut out = HashMap::new();
    for batch in collect(physical, session.task_ctx()).await.spark()? {
        let (files, counts) =
            (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            out.insert(files.value(row), counts.value(row).unsigned_abs());
        }
    }
    Ok(out)
}

/// A logical plan over a scan.
pub(crate) fn rows_of(scan: DeltaScan) -> Result<LogicalPlanBuilder> {
    let source = Arc::new(DefaultTableSource::new(Arc::new(scan)));
    LogicalPlanBuilder::scan(datafusion::logical_expr::UNNAMED_TABLE, source, None).spark()
}

/// The plan of rewritten rows, gathered where they are few.
pub(crate) fn gathered(plan: Arc<dyn ExecutionPlan>, bytes: i64) -> Arc<dyn ExecutionPlan> {
    if bytes <= SINGLE_FILE_BYTES && plan.output_partitioning().partition_count() > 1 {
        return Arc::new(CoalescePartitionsExec::new(plan));
    }
    plan
}
