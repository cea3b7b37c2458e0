//! An aggregation in DataFusion's physical terms: partial results of rows, and what is made of partial results.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Aggregate, EmptyRelation, LogicalPlan};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use super::flat_keys::FlatKeys;
use crate::stateful::run::Batches;

/// Partial results from which on it is worth to merge them in several threads.
const MANY: usize = 32 * 1024;

pub(in crate::stateful) struct Plan {
    /// The keys, by plain columns.
    group: PhysicalGroupBy,
    flat: FlatKeys,
    /// Partial results by plain columns.
    flat_schema: SchemaRef,
    /// Partial results: keys, then values.
    pub schema: SchemaRef,
    keys: usize,
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
        let input_schema = first.input_schema();
        let (group, flat) = FlatKeys::of(first.group_expr(), &input_schema)?;
        let mut plan = Self {
            keys: first.group_expr().num_group_exprs(),
            aggregates: first.aggr_expr().to_vec(),
            filters: first.filter_expr().to_vec(),
            flat_schema: Arc::clone(&input_schema),
            schema: Arc::clone(&input_schema),
            group,
            flat,
            input_schema,
        };
        plan.flat_schema = plan.first(Arc::new(EmptyExec::new(Arc::clone(&plan.input_schema))))?.schema();
        plan.schema = plan.flat.restored(RecordBatch::new_empty(Arc::clone(&plan.flat_schema)))?.schema();
        Ok(plan)
    }

    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Partial results of rows, one a key.
    pub async fn partial(
        &self,
        batches: &Batches,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Vec<RecordBatch>> {
        let mut partial = self.first(input)?;
        let partitions = partial.output_partitioning().partition_count();
        if partitions > 1 {
            partial = self.over(AggregateMode::PartialReduce, self.by_key(partial, partitions)?)?;
        }
        self.restored(batches.collect(partial).await?)
    }

    /// Partial results merged, or finished.
    pub async fn merged(
        &self,
        batches: &Batches,
        mode: AggregateMode,
        rows: impl IntoIterator<Item = &RecordBatch>,
    ) -> Result<Vec<RecordBatch>> {
        let flat = rows.into_iter().map(|b| self.flat.flat(b, &self.flat_schema));
        let flat = flat.collect::<Result<Vec<_>>>()?;
        let count: usize = flat.iter().map(RecordBatch::num_rows).sum();
        let partitions = if count < MANY || self.keys == 0 { 1 } else { batches.partitions() };
        let mut parts = vec![Vec::new(); partitions];
        for (i, batch) in flat.into_iter().enumerate() {
            parts[i % partitions].push(batch);
        }
        let source = MemorySourceConfig::try_new_exec(&parts, Arc::clone(&self.flat_schema), None);
        let mut source: Arc<dyn ExecutionPlan> = source.spark()?;
        if partitions > 1 {
            source = self.by_key(source, partitions)?;
        }
        self.restored(batches.collect(self.over(mode, source)?).await?)
    }

    /// Partial results of which those of a key are in one partition.
    fn by_key(&self, input: Arc<dyn ExecutionPlan>, partitions: usize) -> Result<Arc<dyn ExecutionPlan>> {
        let keys: Vec<_> = self.group.as_final().expr().iter().map(|(e, _)| Arc::clone(e)).collect();
        if keys.is_empty() {
            return Ok(Arc::new(CoalescePartitionsExec::new(input)));
        }
        Ok(Arc::new(RepartitionExec::try_new(input, Partitioning::Hash(keys, partitions)).spark()?))
    }

    fn restored(&self, batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
        batches.into_iter().map(|b| self.flat.restored(b)).collect()
    }

    fn first(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = AggregateExec::try_new(
            AggregateMode::Partial,
            self.group.clone(),
            self.aggregates.clone(),
            self.filters.clone(),
            input,
            Arc::clone(&self.input_schema),
        );
        Ok(Arc::new(plan.spark()?))
    }

    fn over(&self, mode: AggregateMode, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
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
}

/// The aggregation that sees rows first.
fn first_aggregate(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let below = plan.children().into_iter().find_map(first_aggregate);
    below.or_else(|| plan.downcast_ref::<AggregateExec>().map(|_| Arc::clone(plan)))
}
