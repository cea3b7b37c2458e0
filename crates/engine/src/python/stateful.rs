//! Functions over the groups of a stream that remember: `applyInPandasWithState` and `transformWithState`.
//!
//! Whoever runs the stream gives the node its meaning: it keeps what is remembered, forms the groups, and talks to a worker
//! by [`StatefulTask::start`].

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType as ArrowType, SchemaRef};
use boathouse_bridge::{arrow_schema, arrow_type};
use boathouse_python::{Body, Conversation, Said};
use boathouse_spec::{Error, PythonFunction, Result, StructField, StructType};
use datafusion::common::{DFSchemaRef, Result as DataFusionResult};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use super::Setup;
use super::state_batch::parsed_columns;
use super::stream::{sent_batch, sent_schema, unwrapped};

/// When groups without rows are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateTime {
    Never,
    ProcessingTime,
    EventTime,
}

/// What is remembered of a group.
#[derive(Debug, Clone, PartialEq)]
pub enum Remembered {
    /// One value, and when it is over: `applyInPandasWithState`.
    Value(StructType),
    /// Variables that a class declares, and timers: `transformWithState`.
    Variables,
}

/// A function over groups, and what it takes and gives.
#[derive(Debug)]
pub struct StatefulTask {
    pub name: String,
    pub remembered: Remembered,
    pub time: StateTime,
    /// As the user's code is told of it.
    pub time_name: String,
    /// `append` or `update`; `complete`, where Spark lets it pass.
    pub output_mode: String,
    pub keys: Vec<StructField>,
    pub columns: Vec<StructField>,
    /// The columns of the rows that the state begins with.
    pub initial: Vec<StructField>,
    pub output: StructType,
    /// The column of the output that is its event time.
    pub event_time: Option<usize>,
    pub(crate) function: PythonFunction,
    pub(crate) setup: Arc<Setup>,
}

/// The times of a batch.
#[derive(Debug, Clone, Copy)]
pub struct StateTimes {
    pub batch_ms: i64,
    pub watermark_ms: i64,
    /// Whether the input has a watermark.
    pub has_watermark: bool,
}

impl StatefulTask {
    /// Whether a processor takes frames, and not rows one by one.
    pub fn is_in_frames(&self) -> bool {
        matches!(self.function.eval_type, 211 | 212)
    }

    /// Processors are of groups, as Spark says where it distributes them.
    pub fn check_keys(&self) -> Result<()> {
        if !self.keys.is_empty() {
            return Ok(());
        }
        Err(Error::new("")
            .message(
                "requirement failed: The expressions for hash of a StatefulOpClusteredDistribution should not be Nil. An AllTuples \
                 should be used to represent a distribution that only has a single partition. (transformWithState needs grouping \
                 columns.)",
            )
            .exception("IllegalArgumentException"))
    }

    /// Begins a conversation with a worker.
    pub async fn start(&self, times: StateTimes) -> Result<Conversation> {
        let state = match &self.remembered {
            Remembered::Value(state) => serde_json::from_str(&state.json()).unwrap_or_default(),
            Remembered::Variables => serde_json::Value::Null,
        };
        let columns = |fields: &[StructField]| -> serde_json::Value {
            serde_json::from_str(&StructType::new(fields.to_vec()).json()).unwrap_or_default()
        };
        let settings = serde_json::json!({
            "keys": columns(&self.keys),
            "output": columns(&self.output.fields),
            "state": state,
            "timeout": self.time_name,
            "timeMode": self.time_name,
            "batchMs": times.batch_ms,
            "watermarkMs": times.watermark_ms,
            "hasWatermark": times.has_watermark,
        });
        let body = Body::Command(self.function.command.clone());
        let task = self.setup.task(&self.function, 0, body);
        let Setup { workers, options, timeout, .. } = self.setup.as_ref();
        Conversation::start(workers, options, &task, &settings.to_string(), *timeout).await
    }

    /// Begins a conversation with a processor; its variables, as JSON.
    pub async fn introduced(&self, times: StateTimes) -> Result<(Conversation, String)> {
        let mut conversation = self.start(times).await?;
        loop {
            match conversation.hear().await? {
                Said::Variables(declared) => return Ok((conversation, declared)),
                Said::Parse(text) => conversation.answer(parsed_columns(&text)).await?,
                said => return Err(Error::internal(format!("a processor that begins with {said:?}"))),
            }
        }
    }

    /// Columns as the worker takes them.
    pub fn sent(&self, fields: &[StructField], columns: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
        let named: Vec<(String, ArrowType)> =
            fields.iter().map(|f| (f.name.clone(), arrow_type(&f.data_type))).collect();
        sent_batch(columns, &sent_schema(&named, &self.setup.zone), rows)
    }

    /// The worker's rows as those of the output.
    pub fn received(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        unwrapped(batch, &self.output_schema())
    }

    /// The schema of the output's rows, their names not yet unique.
    pub fn output_schema(&self) -> SchemaRef {
        let nullable = self.output.fields.iter().map(|f| StructField { nullable: true, ..f.clone() });
        Arc::new(arrow_schema(&StructType::new(nullable.collect())))
    }
}

/// The node. Its inputs have the keys first, then the columns.
#[derive(Debug, Clone)]
pub struct StatefulGroups {
    pub task: Arc<StatefulTask>,
    /// The rows, and where the state begins with some, these.
    pub inputs: Vec<LogicalPlan>,
    pub schema: DFSchemaRef,
}

impl StatefulGroups {
    fn identity(&self) -> (usize, &[u8]) {
        (Arc::as_ptr(&self.task) as usize, &self.task.function.command)
    }
}

impl PartialEq for StatefulGroups {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity() && self.inputs == other.inputs && self.schema == other.schema
    }
}

impl Eq for StatefulGroups {}

impl PartialOrd for StatefulGroups {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.identity().partial_cmp(&other.identity())
    }
}

impl Hash for StatefulGroups {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
        self.inputs.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for StatefulGroups {
    fn name(&self) -> &str {
        match self.task.remembered {
            Remembered::Value(_) => "ApplyInPandasWithState",
            Remembered::Variables => "TransformWithState",
        }
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {} keys", self.name(), self.task.name, self.task.keys.len())
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        Ok(Self { inputs, ..self.clone() })
    }

    fn necessary_children_exprs(&self, _: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(self.inputs.iter().map(|i| (0..i.schema().fields().len()).collect()).collect())
    }
}
