//! Tells functions which partition they work on, where they ask (`boathouse_functions::partition`).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use boathouse_bridge::{no_expressions, one_input};
use boathouse_functions::partition;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, RecordBatchStream,
};
use futures::Stream;

/// Wraps the operators with expressions that differ from call to call. The last thing done to a plan.
pub(crate) fn scoped(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        if node.is::<ScopeExec>() {
            return Ok(Transformed::no(node));
        }
        let mut volatile = false;
        node.apply_expressions(&mut |e| {
            volatile |= is_volatile(e);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(match volatile {
            true => Transformed::yes(Arc::new(ScopeExec { input: node }) as Arc<dyn ExecutionPlan>),
            false => Transformed::no(node),
        })
    })
    .data()
}

#[derive(Debug)]
struct ScopeExec {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for ScopeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("PartitionScope")
    }
}

impl ScopeExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input })
    }
}

impl ExecutionPlan for ScopeExec {
    fn name(&self) -> &str {
        "PartitionScope"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    one_input!();
    no_expressions!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = partition::within(partition, || self.input.execute(partition, context))?;
        Ok(Box::pin(Scoped { partition, rows }))
    }
}

struct Scoped {
    partition: usize,
    rows: SendableRecordBatchStream,
}

impl Stream for Scoped {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let partition = self.partition;
        partition::within(partition, || self.rows.as_mut().poll_next(cx))
    }
}

impl RecordBatchStream for Scoped {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}
