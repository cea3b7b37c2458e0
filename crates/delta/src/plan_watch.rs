//! Which plans a statement runs: whoever starts it may watch them, for the profile of the statement.

use std::fmt;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;

/// An extension of the configuration of a session that runs one statement: it is told of each plan that has run, with the
/// plan's metrics. Plans are not kept, since they may hold what they joined.
pub struct PlanWatch(Box<dyn Fn(&Arc<dyn ExecutionPlan>) + Send + Sync>);

impl PlanWatch {
    pub fn new(told: impl Fn(&Arc<dyn ExecutionPlan>) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self(Box::new(told)))
    }

    /// Tells that a plan has run, to its end or to its error.
    pub(crate) fn ran(context: &TaskContext, plan: &Arc<dyn ExecutionPlan>) {
        if let Some(watch) = context.session_config().get_extension::<Self>() {
            (watch.0)(plan);
        }
    }
}

impl fmt::Debug for PlanWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlanWatch")
    }
}
