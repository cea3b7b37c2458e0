//! Event times as rows pass, and the watermark that follows from them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::kernels::aggregate;
use async_trait::async_trait;
use boathouse_engine::EventTimeWatermark;
use datafusion::catalog::Session;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use indexmap::IndexMap;
use parking_lot::Mutex;

use super::store::timestamps;
use crate::tap::TapExec;

/// The event times seen in a batch, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Seen {
    pub count: i64,
    pub min: i64,
    pub max: i64,
    pub sum: f64,
}

impl Seen {
    /// The times of a column, or the ends of its windows.
    fn of(column: &ArrayRef) -> Self {
        let Some(times) = timestamps(column) else { return Self::default() };
        let (Some(min), Some(max)) = (aggregate::min(&times), aggregate::max(&times)) else {
            return Self::default();
        };
        let sum = match times.null_count() {
            0 => times.values().iter().map(|t| *t as f64).sum::<f64>(),
            _ => times.iter().flatten().map(|t| t as f64).sum::<f64>(),
        };
        Self { count: (times.len() - times.null_count()) as i64, min, max, sum }
    }

    fn merge(&mut self, other: Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other;
            return;
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
    }
}

/// What the watermark nodes of a batch saw, by column and delay in microseconds, in the order of the plan, which is the same in
/// every batch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tracker(Arc<Mutex<IndexMap<(String, i64), Seen>>>);

impl Tracker {
    pub fn register(&self, node: &EventTimeWatermark) {
        self.0.lock().entry((node.column.name.clone(), node.delay_us)).or_default();
    }

    pub fn seen(&self) -> Vec<(i64, Seen)> {
        self.0.lock().iter().map(|((_, delay_us), seen)| (*delay_us, *seen)).collect()
    }
}

/// Plans watermark nodes.
pub(super) struct WatermarkPlanner(pub Tracker);

#[async_trait]
impl ExtensionPlanner for WatermarkPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<EventTimeWatermark>() else { return Ok(None) };
        let Some(input) = inputs.first() else {
            return Err(DataFusionError::Internal("a watermark has one input".into()));
        };
        self.0.register(node);
        let column = node.input.schema().index_of_column(&node.column)?;
        let key = (node.column.name.clone(), node.delay_us);
        let (shown, tracker) = (key.0.clone(), self.0.clone());
        Ok(Some(Arc::new(TapExec::new("EventTimeWatermarkExec", &shown, Arc::clone(input), move |batch| {
            tracker.0.lock().entry(key.clone()).or_default().merge(Seen::of(batch.column(column)));
        }))))
    }
}
