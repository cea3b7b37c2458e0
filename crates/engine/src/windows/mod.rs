//! Window functions over rows that come sorted by the partition and the order of their window.
//!
//! DataFusion's operators look at the rows of each partition of a window by themselves, and hold all rows, in memory, for frames
//! that are the whole partition. This one looks at a batch at a time, for all windows in it: it finds where partitions and groups of
//! peers begin, and asks each function for all of the batch's values. Rows wait only for functions whose frame has not ended yet,
//! and on disk where memory is short.

mod function;
mod groups;
mod waiting;

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use async_stream::try_stream;
use boathouse_bridge::one_input;
use datafusion::common::tree_node::{TreeNodeIterator, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, SpillMetrics,
};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputOrderMode, PlanProperties,
};
use futures::StreamExt;

use self::function::Function;
use self::waiting::Waiting;
use crate::operator_rule::OperatorRule;

type Plan = Arc<dyn ExecutionPlan>;

/// Puts [`WindowsExec`] in the place of DataFusion's operators, for the functions that it has.
pub(crate) const WINDOWS: OperatorRule = OperatorRule { name: "boathouse_windows", replacement: ours };

fn ours(node: &Plan) -> Result<Option<Plan>> {
    let Some((exprs, input)) = window(node) else { return Ok(None) };
    let is_known: Vec<bool> = exprs.iter().map(Function::is_known).collect();
    let those = |wanted: bool| {
        let pairs = exprs.iter().zip(&is_known).filter(move |(_, known)| **known == wanted);
        pairs.map(|(expr, _)| Arc::clone(expr)).collect::<Vec<_>>()
    };
    let (known, unknown) = (those(true), those(false));
    if known.is_empty() {
        return Ok(None);
    }
    if unknown.is_empty() {
        return Ok(Some(Arc::new(WindowsExec::new(Arc::clone(input), known, node.schema())?)));
    }
    let (schema, inputs) = (node.schema(), input.schema().fields().len());
    let below = theirs(node, unknown, input)?;
    let of_functions = schema.fields()[inputs..].iter().zip(&is_known);
    let of_known = of_functions.filter(|(_, known)| **known).map(|(field, _)| Arc::clone(field));
    let fields: Vec<_> = below.schema().fields().iter().cloned().chain(of_known).collect();
    let both = Arc::new(WindowsExec::new(below, known, Arc::new(Schema::new(fields)))?);
    in_order_of(&schema, both, &is_known, inputs).map(Some)
}

/// The operator with these functions only.
fn theirs(node: &Plan, exprs: Vec<Arc<dyn WindowExpr>>, input: &Plan) -> Result<Plan> {
    let can_repartition = input.output_partitioning().partition_count() > 1;
    let input = Arc::clone(input);
    Ok(match node.downcast_ref::<BoundedWindowAggExec>() {
        Some(window) => {
            let order = window.input_order_mode.clone();
            Arc::new(BoundedWindowAggExec::try_new(exprs, input, order, can_repartition)?)
        }
        None => Arc::new(WindowAggExec::try_new(exprs, input, can_repartition)?),
    })
}

/// The columns of the functions in the order of a schema, where those of the unknown ones come first.
fn in_order_of(schema: &SchemaRef, plan: Plan, is_known: &[bool], inputs: usize) -> Result<Plan> {
    let unknown = is_known.iter().filter(|known| !**known).count();
    let (mut of_unknown, mut of_known) = (inputs.., inputs + unknown..);
    let of_functions = is_known.iter().filter_map(|known| match known {
        true => of_known.next(),
        false => of_unknown.next(),
    });
    let places: Vec<usize> = (0..inputs).chain(of_functions).collect();
    let columns = schema.fields().iter().zip(places).map(|(field, place)| ProjectionExpr {
        expr: Arc::new(Column::new(field.name(), place)),
        alias: field.name().clone(),
    });
    Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), plan)?))
}

/// The functions and the input of a window over sorted rows.
pub(crate) fn window(plan: &Plan) -> Option<(&[Arc<dyn WindowExpr>], &Plan)> {
    if let Some(window) = plan.downcast_ref::<BoundedWindowAggExec>() {
        let is_sorted = window.input_order_mode == InputOrderMode::Sorted;
        return is_sorted.then(|| (window.window_expr(), window.input()));
    }
    let window = plan.downcast_ref::<WindowAggExec>()?;
    Some((window.window_expr(), window.input()))
}

#[derive(Debug)]
struct WindowsExec {
    input: Plan,
    /// Functions of one window: the same partitions and the same order.
    exprs: Vec<Arc<dyn WindowExpr>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl WindowsExec {
    /// `schema`: the columns of the input and those of the functions.
    fn new(input: Plan, exprs: Vec<Arc<dyn WindowExpr>>, schema: SchemaRef) -> Result<Self> {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema).extend(input.equivalence_properties().clone())?,
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        ));
        Ok(Self { input, exprs, properties, metrics: ExecutionPlanMetricsSet::new() })
    }

    /// Over an input of the same rows.
    fn over(&self, input: Plan) -> Plan {
        let (exprs, properties) = (self.exprs.clone(), Arc::clone(&self.properties));
        Arc::new(Self { input, exprs, properties, metrics: ExecutionPlanMetricsSet::new() })
    }
}

impl DisplayAs for WindowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let shown = self.exprs.iter().map(|e| format!("{} {}", e.name(), e.get_window_frame()));
        write!(f, "Windows: [{}]", shown.collect::<Vec<_>>().join(", "))
    }
}

impl ExecutionPlan for WindowsExec {
    fn name(&self) -> &str {
        "WindowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    one_input!();

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let window = &self.exprs[0];
        let keys = window.partition_by().iter().chain(window.order_by().iter().map(|o| &o.expr));
        let arguments = self.exprs.iter().flat_map(|e| e.expressions());
        arguments.chain(keys.cloned()).apply_until_stop(|expr| f(&expr))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let mut input = self.input.execute(partition, Arc::clone(&context))?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let spills = SpillMetrics::new(&self.metrics, partition);
        let mut waiting = Waiting::new(&self.exprs, Arc::clone(&schema), &context, spills)?;
        let rows = try_stream! {
            while let Some(batch) = input.next().await {
                let batch = batch?;
                if batch.num_rows() == 0 {
                    continue;
                }
                {
                    let _timer = metrics.elapsed_compute().timer();
                    waiting.add(batch)?;
                }
                while let Some(ready) = waiting.next().await? {
                    yield counted(&metrics, ready);
                }
            }
            waiting.end()?;
            while let Some(ready) = waiting.next().await? {
                yield counted(&metrics, ready);
            }
            metrics.done();
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

fn counted(metrics: &BaselineMetrics, batch: RecordBatch) -> RecordBatch {
    metrics.record_output(batch.num_rows());
    batch
}
