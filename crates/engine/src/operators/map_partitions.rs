//! A physical operator that makes each partition's rows out of the partition's rows of its input.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use boathouse_bridge::{no_expressions, one_input};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr,
    PlanProperties,
};

use super::{Operator, only};

/// What happens to the rows.
pub(crate) trait PartitionWork: fmt::Debug + Send + Sync {
    fn name(&self) -> &str;

    fn run(
        &self,
        partition: usize,
        rows: SendableRecordBatchStream,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream>;
}

/// Work that is all of a [`Custom`](super::Custom) node.
pub(crate) trait PartitionOperator: PartitionWork + Clone + 'static {
    /// [`Operator::key`].
    fn key(&self) -> String;

    /// The columns of the rows that it makes.
    fn schema(&self) -> &SchemaRef;
}

impl<W: PartitionOperator> Operator for W {
    fn name(&self) -> &str {
        PartitionWork::name(self)
    }

    fn key(&self) -> String {
        PartitionOperator::key(self)
    }

    fn plan(
        &self,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = only(inputs, PartitionWork::name(self))?;
        Ok(Arc::new(MapPartitionsExec::new(input, Arc::new(self.clone()), Arc::clone(self.schema()))))
    }
}

#[derive(Debug)]
pub(crate) struct MapPartitionsExec {
    input: Arc<dyn ExecutionPlan>,
    work: Arc<dyn PartitionWork>,
    properties: Arc<PlanProperties>,
}

impl MapPartitionsExec {
    pub fn new(input: Arc<dyn ExecutionPlan>, work: Arc<dyn PartitionWork>, schema: SchemaRef) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            input.pipeline_behavior(),
            input.boundedness(),
        ));
        Self { input, work, properties }
    }
}

impl DisplayAs for MapPartitionsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}", self.work)
    }
}

impl MapPartitionsExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::new(input, Arc::clone(&self.work), Arc::clone(self.properties.eq_properties.schema())))
    }
}

impl ExecutionPlan for MapPartitionsExec {
    fn name(&self) -> &str {
        self.work.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    one_input!();
    no_expressions!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, Arc::clone(&context))?;
        self.work.run(partition, rows, context)
    }
}
