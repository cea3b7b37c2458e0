//! What operators of our own have in common.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;

/// The only input of an operator that has one.
pub fn only(inputs: Vec<Arc<dyn ExecutionPlan>>, operator: &str) -> Result<Arc<dyn ExecutionPlan>> {
    inputs.into_iter().next().ok_or_else(|| DataFusionError::Internal(format!("{operator} has one input")))
}
