//! `sortWithinPartitions`: each partition for itself. DataFusion's own sort may be dropped or merged into one partition.

use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use super::keep::KeepExec;
use super::{Operator, only, plan};

/// The rows of each partition in an order.
pub(crate) fn sort_within(input: LogicalPlan, keys: Vec<(Expr, SortOptions)>) -> LogicalPlan {
    let (exprs, options) = keys.into_iter().unzip();
    plan(SortWithin { options }, vec![input], exprs, None)
}

#[derive(Debug)]
struct SortWithin {
    options: Vec<SortOptions>,
}

impl Operator for SortWithin {
    fn name(&self) -> &str {
        "SortWithinPartitions"
    }

    fn key(&self) -> String {
        format!("SortWithinPartitions {:?}", self.options)
    }

    fn plan(
        &self,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        exprs: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = only(inputs, "SortWithinPartitions")?;
        let keys = exprs
            .into_iter()
            .zip(&self.options)
            .map(|(expr, options)| PhysicalSortExpr { expr, options: *options });
        let Some(ordering) = LexOrdering::new(keys) else { return Ok(input) };
        let make = move |input: Arc<dyn ExecutionPlan>| {
            let sort = SortExec::new(ordering.clone(), input).with_preserve_partitioning(true);
            Arc::new(sort) as Arc<dyn ExecutionPlan>
        };
        Ok(Arc::new(KeepExec::new(input, Arc::new(make))))
    }
}
