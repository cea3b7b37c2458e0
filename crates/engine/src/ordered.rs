//! The order of rows where a plan has several partitions and one consumer.
//!
//! Spark's `collect`, `show` and `LIMIT` take the rows of the first partition, then those of the second. DataFusion's
//! `CoalescePartitionsExec` takes whichever comes first, so that two runs differ. Where the order reaches the user,
//! [`OrderedCoalesceExec`] takes its place: all partitions run at once, and their rows come in order.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use boathouse_bridge::{no_expressions, one_input};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LimitStream, LocalLimitExec};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::{RecordBatchReceiverStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, Distribution, ExecutionPlan,
    ExecutionPlanProperties, Partitioning, PlanProperties, ReplaceChildrenOptions,
};
use futures::StreamExt;

/// Batches of a later partition that wait for their turn.
const WAITING_BATCHES: usize = 32;

/// Makes a plan give one partition, its rows in the order of the partitions.
pub(crate) fn in_partition_order(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let plan = rewrite(plan);
    if plan.output_partitioning().partition_count() > 1 {
        return Arc::new(OrderedCoalesceExec::new(plan, None));
    }
    plan
}

/// Replaces coalescing below operators that keep the order of rows.
fn rewrite(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    if let Some(coalesce) = plan.downcast_ref::<CoalescePartitionsExec>() {
        return Arc::new(OrderedCoalesceExec::new(Arc::clone(coalesce.input()), coalesce.fetch()));
    }
    let keeps_order = plan.is::<ProjectionExec>()
        || plan.is::<FilterExec>()
        || plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>()
        || plan
            .downcast_ref::<AggregateExec>()
            .is_some_and(|a| matches!(a.mode(), AggregateMode::Final) && a.group_expr().is_empty());
    if !keeps_order {
        return plan;
    }
    let Some(child) = plan.children().first().map(|c| Arc::clone(c)) else { return plan };
    let rewritten = rewrite(Arc::clone(&child));
    if Arc::ptr_eq(&child, &rewritten) {
        return plan;
    }
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(&plan).replace_children(vec![rewritten], options).unwrap_or(plan)
}

#[derive(Debug)]
pub(crate) struct OrderedCoalesceExec {
    input: Arc<dyn ExecutionPlan>,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl OrderedCoalesceExec {
    pub fn new(input: Arc<dyn ExecutionPlan>, fetch: Option<usize>) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        ));
        Self { input, fetch, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for OrderedCoalesceExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match self.fetch {
            Some(fetch) => write!(f, "OrderedCoalesceExec: fetch={fetch}"),
            None => write!(f, "OrderedCoalesceExec"),
        }
    }
}

impl OrderedCoalesceExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::new(input, self.fetch))
    }
}

impl ExecutionPlan for OrderedCoalesceExec {
    fn name(&self) -> &str {
        "OrderedCoalesceExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::UnspecifiedDistribution]
    }

    one_input!();
    no_expressions!();

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(DataFusionError::Internal(format!(
                "OrderedCoalesceExec has no partition {partition}"
            )));
        }
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let partitions = self.input.output_partitioning().partition_count();
        if partitions == 1 {
            return Ok(limited(self.input.execute(0, context)?, self.fetch, metrics));
        }
        Ok(limited(in_order(&self.input, 0..partitions, &context)?, self.fetch, metrics))
    }
}

/// The rows of some partitions of a plan, one partition after the other. All run at once.
pub(crate) fn in_order(
    plan: &Arc<dyn ExecutionPlan>,
    partitions: Range<usize>,
    context: &Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    if partitions.len() == 1 {
        return plan.execute(partitions.start, Arc::clone(context));
    }
    let mut streams = Vec::with_capacity(partitions.len());
    for i in partitions {
        let mut builder = RecordBatchReceiverStream::builder(plan.schema(), WAITING_BATCHES);
        let (sender, input, context) = (builder.tx(), Arc::clone(plan), Arc::clone(context));
        builder.spawn(async move {
            let mut rows = input.execute(i, context)?;
            while let Some(item) = rows.next().await {
                let failed = item.is_err();
                if sender.send(item).await.is_err() || failed {
                    break;
                }
            }
            Ok(())
        });
        streams.push(builder.build());
    }
    let stream = futures::stream::iter(streams).flatten();
    Ok(Box::pin(RecordBatchStreamAdapter::new(plan.schema(), stream)))
}

/// The first rows of a stream.
fn limited(
    stream: SendableRecordBatchStream,
    fetch: Option<usize>,
    metrics: BaselineMetrics,
) -> SendableRecordBatchStream {
    match fetch {
        Some(_) => Box::pin(LimitStream::new(stream, 0, fetch, metrics)),
        None => stream,
    }
}
