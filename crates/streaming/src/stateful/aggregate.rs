//! Aggregation over a stream: partial results by key are remembered, and merged with those of each batch.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::common::Column;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Aggregate, EmptyRelation, Expr, LogicalPlan, Projection};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use super::Operator;
use super::run::Batches;
use super::store::{Layout, instants};
use crate::query::OutputMode;
use crate::tap::TapExec;

/// An aggregation in DataFusion's physical terms.
pub(super) struct Plan {
    group: PhysicalGroupBy,
    aggregates: Vec<Arc<AggregateFunctionExpr>>,
    filters: Vec<Option<Arc<dyn PhysicalExpr>>>,
    input_schema: SchemaRef,
}

impl Plan {
    pub async fn of(batches: &Batches, aggregate: &Aggregate, input: &LogicalPlan) -> Result<Self> {
        // Planned over nothing: what matters is how the expressions are, not where the rows come from.
        let nothing = LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: false,
            schema: Arc::clone(input.schema()),
        });
        let over_nothing =
            Aggregate::try_new(Arc::new(nothing), aggregate.group_expr.clone(), aggregate.aggr_expr.clone())
                .spark()?;
        let state = batches.unoptimized();
        let planner = DefaultPhysicalPlanner::default();
        let planned =
            planner.create_physical_plan(&LogicalPlan::Aggregate(over_nothing), &state).await.spark()?;
        let first = first_aggregate(&planned)
            .ok_or_else(|| Error::internal("an aggregation that is planned as none"))?;
        let first = first.downcast_ref::<AggregateExec>().ok_or_else(|| Error::internal("no aggregation"))?;
        Ok(Self {
            group: first.group_expr().clone(),
            aggregates: first.aggr_expr().to_vec(),
            filters: first.filter_expr().to_vec(),
            input_schema: first.input_schema(),
        })
    }

    /// Partial results of rows, one a key.
    pub fn partial(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let partial = AggregateExec::try_new(
            AggregateMode::Partial,
            self.group.clone(),
            self.aggregates.clone(),
            self.filters.clone(),
            input,
            Arc::clone(&self.input_schema),
        )
        .spark()?;
        self.over(AggregateMode::PartialReduce, Arc::new(CoalescePartitionsExec::new(Arc::new(partial))))
    }

    /// Partial results merged, or finished.
    pub fn over(&self, mode: AggregateMode, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = AggregateExec::try_new(
            mode,
            self.group.as_final(),
            self.aggregates.clone(),
            vec![None; self.aggregates.len()],
            input,
            Arc::clone(&self.input_schema),
        );
        Ok(Arc::new(plan.spark()?))
    }

    pub fn keys(&self) -> usize {
        self.group.num_group_exprs()
    }
}

/// The aggregation that sees rows first.
fn first_aggregate(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let below = plan.children().into_iter().find_map(first_aggregate);
    below.or_else(|| plan.downcast_ref::<AggregateExec>().map(|_| Arc::clone(plan)))
}

/// The input with the columns that the aggregation reads, and no others.
pub(super) fn pruned(aggregate: &Aggregate, input: LogicalPlan) -> Result<LogicalPlan> {
    let exprs = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
    let needed: HashSet<Column> =
        exprs.flat_map(|e| e.column_refs().into_iter().cloned().collect::<Vec<_>>()).collect();
    let kept: Vec<Expr> =
        input.schema().columns().into_iter().filter(|c| needed.contains(c)).map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(kept, Arc::new(input)).spark()?))
}

/// Rows of partial results as a plan.
pub(super) fn memory(batches: Vec<RecordBatch>, schema: &SchemaRef) -> Result<Arc<dyn ExecutionPlan>> {
    let source = MemorySourceConfig::try_new_exec(&[batches], Arc::clone(schema), None).spark()?;
    Ok(source)
}

/// Runs the aggregation over the rows of a batch, and gives its output for the mode. `time` is the key that is an event time.
pub(super) async fn run(
    batches: &Batches,
    operator: &mut Operator,
    aggregate: &Aggregate,
    input: LogicalPlan,
    time: Option<usize>,
) -> Result<Vec<RecordBatch>> {
    let input = pruned(aggregate, input)?;
    let plan = Plan::of(batches, aggregate, &input).await?;
    let rows = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&rows);
    let input = TapExec::new("AggregatedRowsExec", "", batches.physical(&input).await?, move |batch| {
        counted.fetch_add(batch.num_rows(), Ordering::Relaxed);
    });
    let partial = plan.partial(Arc::new(input))?;
    let schema = partial.schema();
    let mut new = batches.collect(partial).await?;
    if plan.keys() > 0 && rows.load(Ordering::Relaxed) == 0 {
        // The group of all rows, of a ROLLUP, is none where there are no rows.
        new.clear();
    }
    if let Some(time) = time {
        operator.progress.dropped += drop_late(&mut new, time, batches.marks.late_us)?;
    }
    let keys = schema.fields()[..plan.keys()].to_vec();
    let values = schema.fields()[plan.keys()..].to_vec();
    let store = operator.store(Layout { keys, values, time, ..Layout::default() }).await?;

    let mut old = Vec::new();
    for batch in &new {
        // The store has its own names; the columns are the same.
        let found = store.get_many(batch)?;
        old.push(
            RecordBatch::try_new(Arc::clone(&schema), found.columns().to_vec())
                .map_err(|e| Error::internal(e.to_string()))?,
        );
    }
    let both = UnionExec::try_new(vec![memory(new, &schema)?, memory(old, &schema)?]).spark()?;
    let merged = plan.over(AggregateMode::PartialReduce, Arc::new(CoalescePartitionsExec::new(both)))?;
    let merged = batches.collect(merged).await?;
    let mut updated = 0;
    for batch in &merged {
        store.put(batch)?;
        updated += batch.num_rows();
    }
    let output = match batches.mode {
        OutputMode::Complete => vec![store.all()?],
        mode => {
            let over = match time {
                Some(_) => store.expire(batches.marks.now_us)?,
                None => RecordBatch::new_empty(store.schema()),
            };
            operator.progress.removed += over.num_rows();
            if mode == OutputMode::Append { vec![over] } else { merged }
        }
    };
    operator.progress.updated += updated;
    let output = output.into_iter().map(|b| RecordBatch::try_new(Arc::clone(&schema), b.columns().to_vec()));
    let output =
        output.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| Error::internal(e.to_string()))?;
    batches.collect(plan.over(AggregateMode::Final, memory(output, &schema)?)?).await
}

/// Takes away the rows whose time the watermark has passed; how many there were.
pub(super) fn drop_late(batches: &mut [RecordBatch], column: usize, late_us: Option<i64>) -> Result<usize> {
    let Some(late_us) = late_us else { return Ok(0) };
    let mut dropped = 0;
    for batch in batches {
        let Some(times) = instants(batch.column(column)) else { continue };
        let keep: Vec<bool> = times.iter().map(|t| t.is_none_or(|t| t > late_us)).collect();
        if keep.iter().all(|k| *k) {
            continue;
        }
        let before = batch.num_rows();
        *batch = arrow::compute::filter_record_batch(batch, &keep.into())
            .map_err(|e| Error::internal(e.to_string()))?;
        dropped += before - batch.num_rows();
    }
    Ok(dropped)
}
