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
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, PhysicalExpr};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use super::flat_keys::FlatKeys;
use crate::stateful::run::Batches;

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
        if partial.output_partitioning().partition_count() > 1 {
            partial =
                self.over(AggregateMode::PartialReduce, Arc::new(CoalescePartitionsExec::new(partial)))?;
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
        let source = MemorySourceConfig::try_new_exec(&[flat], Arc::clone(&self.flat_schema), None);
        self.restored(batches.collect(self.over(mode, source.spark()?)?).await?)
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
