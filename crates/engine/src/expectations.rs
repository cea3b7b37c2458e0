//! Expectations: rules that the rows of a pipeline's dataset are to keep, checked in one pass while they are written.
//!
//! The analyzer puts an [`Expect`] node over the rows ([`plan`]). Each batch is checked as it passes: rows are counted by
//! rule, those that fail a dropping rule are taken out (and kept aside on disk where the caller wants them), and one that
//! fails a failing rule ends the query before anything is committed. NULL does not keep a rule.

use std::cmp::Ordering;
use std::fmt;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arrow::array::{Array, ArrayRef, BooleanArray, ListArray, ListBuilder, RecordBatch, StringBuilder};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::writer::FileWriter;
use async_trait::async_trait;
use boathouse_bridge::{ResultExt, arrow_schema, conform_batch, one_input, to_datafusion};
use boathouse_spec::{Error, Expectation, Result, StructType, Violation};
use datafusion::catalog::Session;
use datafusion::common::DFSchemaRef;
use datafusion::common::tree_node::{TreeNodeIterator, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::StreamExt;
use parking_lot::Mutex;

/// The column of rows kept aside that names the rules they failed.
pub const FAILED_EXPECTATIONS: &str = "_failed_expectations";

/// How many rows kept a rule, and how many did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCount {
    pub name: String,
    pub action: Violation,
    pub passed: u64,
    pub failed: u64,
}

/// What was counted while the rows passed.
pub struct ExpectationOutcome {
    rules: Vec<Counter>,
    rows: AtomicU64,
    dropped: AtomicU64,
    spill: Option<Mutex<Spill>>,
}

struct Counter {
    name: String,
    action: Violation,
    text: String,
    passed: AtomicU64,
    failed: AtomicU64,
}

/// Dropped rows, in a file that is made with the first of them and removed with this.
struct Spill {
    path: PathBuf,
    writer: Option<FileWriter<BufWriter<File>>>,
}

impl Drop for Spill {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl ExpectationOutcome {
    pub(crate) fn new(rules: &[Expectation], spill: Option<PathBuf>) -> Self {
        let counter = |r: &Expectation| Counter {
            name: r.name.clone(),
            action: r.action,
            text: r.condition.text.clone(),
            passed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        Self {
            rules: rules.iter().map(counter).collect(),
            rows: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            spill: spill.map(|path| Mutex::new(Spill { path, writer: None })),
        }
    }

    pub fn counts(&self) -> Vec<RuleCount> {
        let count = |c: &Counter| RuleCount {
            name: c.name.clone(),
            action: c.action,
            passed: c.passed.load(Relaxed),
            failed: c.failed.load(Relaxed),
        };
        self.rules.iter().map(count).collect()
    }

    /// Rows that were checked, those dropped included.
    pub fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    /// Rows that were taken out.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// The file of the rows that were taken out (Arrow IPC; their columns, and [`FAILED_EXPECTATIONS`]), complete and
    /// readable as long as this outcome lives. `None` where there are none, or nobody asked to keep them.
    pub fn take_dropped(&self) -> Result<Option<PathBuf>> {
        let Some(spill) = &self.spill else { return Ok(None) };
        let mut spill = spill.lock();
        match spill.writer.take() {
            Some(mut writer) => {
                writer.finish().map_err(|e| Error::io("keeping dropped rows", e))?;
                Ok(Some(spill.path.clone()))
            }
            None => Ok(None),
        }
    }

    fn keep(&self, batch: &RecordBatch) -> Result<()> {
        let Some(spill) = &self.spill else { return Ok(()) };
        let failed = |e: &dyn fmt::Display| Error::io("keeping dropped rows", e);
        let mut spill = spill.lock();
        if spill.writer.is_none() {
            let file = File::create(&spill.path).map_err(|e| failed(&e))?;
            let writer =
                FileWriter::try_new(BufWriter::new(file), &batch.schema()).map_err(|e| failed(&e))?;
            spill.writer = Some(writer);
        }
        match &mut spill.writer {
            Some(writer) => writer.write(batch).map_err(|e| failed(&e)),
            None => Ok(()),
        }
    }
}

/// A rule over the input's columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Rule {
    pub action: Violation,
    pub condition: Expr,
}

/// A plan that checks the rows of `input`, whose columns are called as `schema` says.
pub(crate) fn plan(
    input: LogicalPlan,
    schema: StructType,
    rules: Vec<Rule>,
    outcome: Arc<ExpectationOutcome>,
) -> LogicalPlan {
    let names = Arc::new(arrow_schema(&schema));
    LogicalPlan::Extension(Extension { node: Arc::new(Expect { input, rules, names, outcome }) })
}

#[derive(Clone)]
struct Expect {
    input: LogicalPlan,
    rules: Vec<Rule>,
    /// The columns as users call them.
    names: SchemaRef,
    outcome: Arc<ExpectationOutcome>,
}

impl fmt::Debug for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expect").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl PartialEq for Expect {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.outcome, &other.outcome) && self.rules == other.rules && self.input == other.input
    }
}

impl Eq for Expect {}

impl PartialOrd for Expect {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input)
    }
}

impl Hash for Expect {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rules.hash(state);
        self.input.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for Expect {
    fn name(&self) -> &str {
        "Expect"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        self.rules.iter().map(|r| r.condition.clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<&str> = self.outcome.rules.iter().map(|r| r.name.as_str()).collect();
        write!(f, "Expect {}", names.join(", "))
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> DataFusionResult<Self> {
        let Some(input) = inputs.pop() else {
            return Err(DataFusionError::Internal("Expect has one input".into()));
        };
        let rules =
            self.rules.iter().zip(exprs).map(|(r, condition)| Rule { action: r.action, condition }).collect();
        Ok(Self { input, rules, names: Arc::clone(&self.names), outcome: Arc::clone(&self.outcome) })
    }

    fn necessary_children_exprs(&self, _: &[usize]) -> Option<Vec<Vec<usize>>> {
        // Whole rows are kept aside and shown in errors.
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}

pub(crate) struct ExpectPlanner;

#[async_trait]
impl ExtensionPlanner for ExpectPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        state: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(expect) = node.as_any().downcast_ref::<Expect>() else { return Ok(None) };
        let Some(input) = inputs.first() else {
            return Err(DataFusionError::Internal("Expect has one input".into()));
        };
        let schema = expect.input.schema();
        let rules: DataFusionResult<Vec<_>> = expect
            .rules
            .iter()
            .map(|r| Ok((r.action, planner.create_physical_expr(&r.condition, schema, state, context)?)))
            .collect();
        Ok(Some(Arc::new(ExpectExec {
            input: Arc::clone(input),
            rules: rules?,
            names: Arc::clone(&expect.names),
            outcome: Arc::clone(&expect.outcome),
        })))
    }
}

struct ExpectExec {
    input: Arc<dyn ExecutionPlan>,
    rules: Vec<(Violation, Arc<dyn PhysicalExpr>)>,
    names: SchemaRef,
    outcome: Arc<ExpectationOutcome>,
}

impl fmt::Debug for ExpectExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpectExec").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl DisplayAs for ExpectExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<&str> = self.outcome.rules.iter().map(|r| r.name.as_str()).collect();
        write!(f, "ExpectExec: {}", names.join(", "))
    }
}

impl ExpectExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self {
            input,
            rules: self.rules.clone(),
            names: Arc::clone(&self.names),
            outcome: Arc::clone(&self.outcome),
        })
    }
}

impl ExecutionPlan for ExpectExec {
    fn name(&self) -> &str {
        "ExpectExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    one_input!();

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        self.rules.iter().map(|(_, condition)| condition).apply_until_stop(f)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        let schema = rows.schema();
        let check = Check {
            rules: self.rules.clone(),
            names: Arc::clone(&self.names),
            outcome: Arc::clone(&self.outcome),
        };
        let stream = rows.map(move |batch| check.pass(&batch?).map_err(to_datafusion));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

struct Check {
    rules: Vec<(Violation, Arc<dyn PhysicalExpr>)>,
    names: SchemaRef,
    outcome: Arc<ExpectationOutcome>,
}

impl Check {
    /// The rows of a batch that may pass.
    fn pass(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut kept: Vec<BooleanArray> = Vec::with_capacity(self.rules.len());
        for ((action, condition), counter) in self.rules.iter().zip(&self.outcome.rules) {
            let value = condition.evaluate(batch).and_then(|v| v.into_array(batch.num_rows())).spark()?;
            let keeps = without_nulls(&value)?;
            let passed = keeps.true_count();
            if *action == Violation::Fail && passed < keeps.len() {
                return Err(self.violation(counter, batch, &keeps));
            }
            counter.passed.fetch_add(passed as u64, Relaxed);
            counter.failed.fetch_add((keeps.len() - passed) as u64, Relaxed);
            kept.push(keeps);
        }
        self.outcome.rows.fetch_add(batch.num_rows() as u64, Relaxed);
        let dropping =
            self.rules.iter().zip(&kept).filter(|((a, _), _)| *a == Violation::Drop).map(|(_, k)| k);
        let mut stays: Option<BooleanArray> = None;
        for keeps in dropping {
            stays = Some(match stays {
                Some(all) => arrow::compute::and(&all, keeps).spark()?,
                None => keeps.clone(),
            });
        }
        let Some(stays) = stays.filter(|s| s.true_count() < s.len()) else { return Ok(batch.clone()) };
        self.outcome.dropped.fetch_add((stays.len() - stays.true_count()) as u64, Relaxed);
        if self.outcome.spill.is_some() {
            self.keep_aside(batch, &not(&stays).spark()?, &kept)?;
        }
        filter_record_batch(batch, &stays).spark()
    }

    fn keep_aside(&self, batch: &RecordBatch, goes: &BooleanArray, kept: &[BooleanArray]) -> Result<()> {
        let rows = conform_batch(&filter_record_batch(batch, goes).spark()?, &self.names)?;
        let reasons = self.reasons(goes, kept);
        let mut fields: Vec<_> = self.names.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(FAILED_EXPECTATIONS, reasons.data_type().clone(), true)));
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        columns.push(Arc::new(reasons));
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).spark()?;
        self.outcome.keep(&rows)
    }

    /// For each row that goes, the names of all rules it failed.
    fn reasons(&self, goes: &BooleanArray, kept: &[BooleanArray]) -> ListArray {
        let item = Field::new("item", DataType::Utf8, true);
        let mut reasons = ListBuilder::new(StringBuilder::new()).with_field(item);
        for row in (0..goes.len()).filter(|row| goes.value(*row)) {
            for (keeps, counter) in kept.iter().zip(&self.outcome.rules) {
                if !keeps.value(row) {
                    reasons.values().append_value(&counter.name);
                }
            }
            reasons.append(true);
        }
        reasons.finish()
    }

    fn violation(&self, counter: &Counter, batch: &RecordBatch, keeps: &BooleanArray) -> Error {
        let row = (0..keeps.len()).find(|row| !keeps.value(*row)).unwrap_or(0);
        let shown =
            conform_batch(&batch.slice(row, 1), &self.names).and_then(|b| json_of(&b)).unwrap_or_default();
        Error::new("EXPECTATION_VIOLATION")
            .param("expectation", &counter.name)
            .param("condition", &counter.text)
            .param("row", &shown)
            .message(format!(
                "A row does not keep the expectation '{}' ({}), and the expectation is to fail the update: {shown}",
                counter.name, counter.text
            ))
            .exception("SparkRuntimeException")
    }
}

/// True where the condition is true; NULL is not.
fn without_nulls(value: &ArrayRef) -> Result<BooleanArray> {
    let Some(value) = value.as_any().downcast_ref::<BooleanArray>() else {
        return Err(Error::internal("an expectation that is not boolean"));
    };
    Ok(match value.nulls() {
        Some(nulls) => BooleanArray::new(value.values() & nulls.inner(), None),
        None => value.clone(),
    })
}

/// A batch of one row as a JSON object.
fn json_of(batch: &RecordBatch) -> Result<String> {
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::LineDelimited>(Vec::new());
    writer.write(batch).spark()?;
    writer.finish().spark()?;
    Ok(String::from_utf8_lossy(&writer.into_inner()).trim().to_string())
}
