//! Deleted rows as NULLs, for aggregations of a whole table.
//!
//! Where every few rows one is deleted, most of what a scan costs more is the moving together of the rows that live. `sum`,
//! `max` and their like pass over NULL: for them it is enough to mark deleted rows as such, which moves nothing.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::nullif;
use arrow::datatypes::SchemaRef;
use boathouse_bridge::ResultExt;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use super::{LiveRowsExec, Output};

/// Functions for whose result NULLs are as if they were not there.
const PASS_OVER_NULL: [&str; 7] = ["sum", "avg", "min", "max", "count", "try_sum", "try_avg"];

/// Lets aggregations without groups take deleted rows as NULLs.
#[derive(Debug)]
pub struct DeletedRowsAsNulls;

impl PhysicalOptimizerRule for DeletedRowsAsNulls {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let rewrite = |node: Arc<dyn ExecutionPlan>| match rewritten(&node)? {
            Some(other) => Ok(Transformed::yes(other)),
            None => Ok(Transformed::no(node)),
        };
        plan.transform_up(rewrite).data()
    }

    fn name(&self) -> &str {
        "deleted_rows_as_nulls"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn rewritten(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(aggregate) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let Some(rows) = aggregate.input().downcast_ref::<LiveRowsExec>() else { return Ok(None) };
    let is_first = matches!(
        aggregate.mode(),
        AggregateMode::Partial | AggregateMode::Single | AggregateMode::SinglePartitioned
    );
    let is_filtered = aggregate.filter_expr().iter().any(Option::is_some);
    let all_nullable = rows.schema().fields().iter().all(|f| f.is_nullable());
    if !is_first || !aggregate.group_expr().is_empty() || is_filtered || !all_nullable {
        return Ok(None);
    }
    let input: Arc<dyn ExecutionPlan> = Arc::new(rows.with_output(Output::AsNulls));
    let mut functions = Vec::with_capacity(aggregate.aggr_expr().len());
    for function in aggregate.aggr_expr() {
        let Some(function) = over_nulls(function, &input)? else { return Ok(None) };
        functions.push(function);
    }
    let schema = input.schema();
    let rewritten = AggregateExec::try_new(
        *aggregate.mode(),
        aggregate.group_expr().clone(),
        functions,
        aggregate.filter_expr().to_vec(),
        input,
        schema,
    )?;
    Ok(Some(Arc::new(rewritten)))
}

/// The function over rows of which some are NULL instead of left out; `None` where that would be something else.
fn over_nulls(
    function: &Arc<AggregateFunctionExpr>,
    input: &Arc<dyn ExecutionPlan>,
) -> Result<Option<Arc<AggregateFunctionExpr>>> {
    let arguments = function.expressions();
    if !PASS_OVER_NULL.contains(&function.fun().name()) || !function.order_bys().is_empty() {
        return Ok(None);
    }
    if arguments.iter().all(|e| e.downcast_ref::<Column>().is_some()) {
        return Ok(Some(Arc::clone(function)));
    }
    // `count(*)` counts a constant: here, the rows that live.
    let [argument] = arguments.as_slice() else { return Ok(None) };
    let is_constant = argument.downcast_ref::<Literal>().is_some_and(|l| !l.value().is_null());
    if function.fun().name() != "count" || function.is_distinct() || !is_constant {
        return Ok(None);
    }
    let schema = input.schema();
    let last = schema.fields().len() - 1;
    let live: Arc<dyn PhysicalExpr> = Arc::new(Column::new(schema.field(last).name(), last));
    let count = AggregateExprBuilder::new(Arc::new(function.fun().clone()), vec![live])
        .schema(schema)
        .alias(function.name())
        .build()?;
    Ok(Some(Arc::new(count)))
}

/// The columns with NULL in the rows that do not live, and a column for those that do.
pub(super) fn masked(
    columns: &[ArrayRef],
    living: BooleanBuffer,
    schema: &SchemaRef,
) -> boathouse_spec::Result<RecordBatch> {
    let dead = BooleanArray::new(!&living, None);
    let rows = living.len();
    let masked = columns.iter().map(|column| nullif(column, &dead));
    let mut masked = masked.collect::<std::result::Result<Vec<_>, _>>().spark()?;
    let live = BooleanArray::new(BooleanBuffer::new_set(rows), Some(NullBuffer::new(living)));
    masked.push(Arc::new(live));
    RecordBatch::try_new(Arc::clone(schema), masked).spark()
}
