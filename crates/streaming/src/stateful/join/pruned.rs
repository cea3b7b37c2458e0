//! A join of the columns that are read of it and by it: only these are remembered, as in Spark.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::Schema;
use boathouse_bridge::ResultExt;
use boathouse_spec::Result;
use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Projection};

use super::side::internal;
use crate::stateful::needed::Needed;

/// The join without the columns that nobody reads.
pub(super) fn pruned(
    join: &Join,
    inputs: [LogicalPlan; 2],
    needed: &Needed,
) -> Result<(Join, [LogicalPlan; 2])> {
    let node = LogicalPlan::Join(join.clone());
    let [left, right] = inputs;
    let left = of_side(left, &needed.below(&node, 0))?;
    let right = of_side(right, &needed.below(&node, 1))?;
    let join = Join::try_new(
        Arc::new(left.clone()),
        Arc::new(right.clone()),
        join.on.clone(),
        join.filter.clone(),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    );
    Ok((join.spark()?, [left, right]))
}

fn of_side(input: LogicalPlan, needed: &Needed) -> Result<LogicalPlan> {
    let all = input.schema().columns();
    let kept: Vec<Expr> = all.iter().filter(|c| needed.has(&c.name)).cloned().map(Expr::Column).collect();
    if kept.len() == all.len() {
        return Ok(input);
    }
    Ok(LogicalPlan::Projection(Projection::try_new(kept, Arc::new(input)).spark()?))
}

/// The rows with all columns, of which those that nobody reads are NULL.
pub(super) fn widened(rows: &RecordBatch, known: &DFSchemaRef, all: &DFSchemaRef) -> Result<RecordBatch> {
    let mut next = known.fields().iter().zip(rows.columns()).peekable();
    let columns = all.fields().iter().map(|field| match next.next_if(|(f, _)| f.name() == field.name()) {
        Some((_, column)) => Arc::clone(column),
        None => new_null_array(field.data_type(), rows.num_rows()),
    });
    let columns: Vec<ArrayRef> = columns.collect();
    let fields = all.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(internal)
}
