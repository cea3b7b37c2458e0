//! Groups by a key that is the same in all rows.
//!
//! `WHERE year = 2001 .. GROUP BY year, customer`: rows of one year are sorted by it, and DataFusion aggregates them as sorted
//! rows, which hands out groups of all customers piece by piece and moves those that remain each time. As rows in no order
//! they are handed out at once.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, InputOrderMode};

use crate::operator_rule::OperatorRule;
use crate::operators::{MapPartitionsExec, PartitionWork};

/// Forgets that keys are constant below the first step of aggregations; the second follows.
pub(crate) const CONSTANT_KEYS: OperatorRule =
    OperatorRule { name: "boathouse_constant_keys", replacement: in_no_order };

fn in_no_order(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(whole) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let input = whole.input();
    if matches!(whole.mode(), AggregateMode::Final | AggregateMode::FinalPartitioned)
        || *whole.input_order_mode() == InputOrderMode::Linear
        || whole.limit_options().is_some()
        || input.output_ordering().is_some()
        || whole.aggr_expr().iter().any(|f| !f.order_bys().is_empty())
    {
        return Ok(None);
    }
    let aggregation = AggregateExec::try_new(
        *whole.mode(),
        whole.group_expr().clone(),
        whole.aggr_expr().to_vec(),
        whole.filter_expr().to_vec(),
        Arc::new(MapPartitionsExec::new(Arc::clone(input), Arc::new(InNoOrder), input.schema())),
        whole.input_schema(),
    )?;
    Ok(Some(Arc::new(aggregation)))
}

/// The rows as they are.
#[derive(Debug)]
struct InNoOrder;

impl PartitionWork for InNoOrder {
    fn name(&self) -> &str {
        "InNoOrder"
    }

    fn run(
        &self,
        _: usize,
        rows: SendableRecordBatchStream,
        _: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        Ok(rows)
    }
}
