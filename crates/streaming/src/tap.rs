//! An operator that passes rows on and looks at each batch.

use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use boathouse_bridge::{no_expressions, one_input, rows_of_input};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use futures::StreamExt;

type Look = Arc<dyn Fn(&RecordBatch) + Send + Sync>;

pub(crate) struct TapExec {
    name: &'static str,
    /// What follows the name in plans.
    detail: String,
    input: Arc<dyn ExecutionPlan>,
    look: Look,
}

impl TapExec {
    pub fn new(
        name: &'static str,
        detail: &str,
        input: Arc<dyn ExecutionPlan>,
        look: impl Fn(&RecordBatch) + Send + Sync + 'static,
    ) -> Self {
        Self { name, detail: detail.to_string(), input, look: Arc::new(look) }
    }
}

impl fmt::Debug for TapExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.name).field("input", &self.input).finish_non_exhaustive()
    }
}

impl DisplayAs for TapExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        if self.detail.is_empty() {
            return f.write_str(self.name);
        }
        write!(f, "{}: {}", self.name, self.detail)
    }
}

impl TapExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, detail: self.detail.clone(), look: Arc::clone(&self.look), ..*self })
    }
}

impl ExecutionPlan for TapExec {
    fn name(&self) -> &str {
        self.name
    }

    rows_of_input!();
    one_input!();
    no_expressions!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let look = Arc::clone(&self.look);
        let input = self.input.execute(partition, context)?;
        let schema = input.schema();
        let tapped = input.inspect(move |batch| {
            if let Ok(batch) = batch {
                look(batch);
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, tapped)))
    }
}
