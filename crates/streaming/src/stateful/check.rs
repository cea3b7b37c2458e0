//! What a streaming query may be: Spark's `UnsupportedOperationChecker`.

use boathouse_engine::{
    EventTimeWatermark, Remembered, StateTime, StatefulGroups, StreamDeduplicate, StreamOperation,
    StreamOperationKind,
};
use boathouse_spec::{Error, Result};
use datafusion::common::JoinType;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Aggregate, Expr, Join, Limit, LogicalPlan, Projection, SkipType, Window};

use super::join::Condition;
use super::run::is_session;
use super::times::{self, Times};
use crate::query::OutputMode;
use crate::slice::StreamSlice;

/// What there is in a query, as far as its running differs by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub aggregates: usize,
    pub deduplicates: usize,
    pub joins: usize,
    pub limits: usize,
    /// Functions over groups that remember.
    pub groups: usize,
    pub watermarks: usize,
    /// Something is kept until the watermark passes it: a batch without data may have rows.
    pub expires: bool,
}

impl Shape {
    /// Whether batches depend on those before.
    pub fn is_stateful(self) -> bool {
        self.aggregates + self.deduplicates + self.joins + self.limits + self.groups > 0
    }

    /// Whether batches run as they are, by the engine alone.
    pub fn is_plain(self) -> bool {
        !self.is_stateful() && self.watermarks == 0
    }
}

/// Whether a leaf of the plan streams.
pub(crate) fn streams(plan: &LogicalPlan) -> bool {
    if let LogicalPlan::TableScan(scan) = plan
        && let Ok(provider) = source_as_provider(&scan.source)
    {
        return (provider.as_ref() as &dyn std::any::Any).is::<StreamSlice>();
    }
    plan.inputs().into_iter().any(streams)
}

/// Refuses what has no meaning over a stream, or none in the output mode; where it `is_strict`, also what may lose rows.
pub(crate) fn check(plan: &LogicalPlan, mode: OutputMode, is_strict: bool) -> Result<Shape> {
    let aggregated = aggregates(plan);
    let mut checker = Checker {
        mode,
        aggregated,
        shape: Shape::default(),
        groupings: Vec::new(),
        refusal: None,
        refusal_of_plan: None,
        window_column: None,
        is_incorrect: false,
    };
    if mode == OutputMode::Complete && !aggregated {
        return Err(checker.refused_mode("no streaming aggregations"));
    }
    checker.visit(plan);
    checker.is_incorrect &= is_strict;
    checker.finish()
}

/// Whether there is an aggregation over a stream.
pub(super) fn aggregates(plan: &LogicalPlan) -> bool {
    if let Some((_, input)) = except(plan) {
        return input.is_some_and(aggregates);
    }
    (matches!(plan, LogicalPlan::Aggregate(_)) && streams(plan)) || plan.inputs().into_iter().any(aggregates)
}

/// Whether later rows of the result may take the place of earlier ones in update mode: of an aggregation, of functions over groups.
pub(crate) fn changes_rows(plan: &LogicalPlan) -> bool {
    let is_one = match plan {
        LogicalPlan::Aggregate(_) => true,
        LogicalPlan::Extension(node) => node.node.as_any().is::<StatefulGroups>(),
        _ => false,
    };
    (is_one && streams(plan)) || plan.inputs().into_iter().any(changes_rows)
}

fn noted(plan: &LogicalPlan) -> Option<&StreamOperation> {
    let LogicalPlan::Extension(node) = plan else { return None };
    node.node.as_any().downcast_ref()
}

/// The aggregation of an EXCEPT, which is none of the query's, and what is below it: the stream is the first of its inputs.
fn except(plan: &LogicalPlan) -> Option<(&Aggregate, Option<&LogicalPlan>)> {
    let StreamOperation { input, kind: StreamOperationKind::Except | StreamOperationKind::ExceptAll } =
        noted(plan)?
    else {
        return None;
    };
    let aggregate = first_aggregate(input)?;
    Some((aggregate, two_inputs(&aggregate.input)?.inputs().first().copied()))
}

fn first_aggregate(plan: &LogicalPlan) -> Option<&Aggregate> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => Some(aggregate),
        other => other.inputs().into_iter().find_map(first_aggregate),
    }
}

/// The node that takes one input from the other.
fn two_inputs(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan.inputs().as_slice() {
        [_, _] => Some(plan),
        [below] => two_inputs(below),
        _ => None,
    }
}

struct Checker {
    mode: OutputMode,
    /// Whether the query has an aggregation.
    aggregated: bool,
    shape: Shape,
    /// The aggregations, from the leaves up.
    groupings: Vec<Grouping>,
    /// Why the first operator that is refused is.
    refusal: Option<Error>,
    /// Why the first batch cannot be planned, where nothing else is refused.
    refusal_of_plan: Option<Error>,
    /// What users call the column of the window function that is met next.
    window_column: Option<String>,
    /// Something that remembers is above an aggregation whose rows are not final.
    is_incorrect: bool,
}

/// A node as those above it see it.
#[derive(Default)]
struct Visited {
    streams: bool,
    times: Times,
    /// There is an aggregation over a stream in it.
    aggregates: bool,
}

/// What matters of the keys of an aggregation.
struct Grouping {
    /// One is an event time.
    is_timed: bool,
    /// One is a session.
    has_session: bool,
}

impl Checker {
    fn visit(&mut self, plan: &LogicalPlan) -> Visited {
        if let Some((aggregate, Some(stream))) = except(plan) {
            return self.except(plan, aggregate, stream);
        }
        let mut inputs = Vec::new();
        let mut streaming = Vec::new();
        let mut aggregates = false;
        if let LogicalPlan::Projection(projection) = plan {
            self.window_column = self.window_column.take().or_else(|| window_column(projection));
        }
        for input in plan.inputs() {
            let visited = self.visit(input);
            inputs.push(visited.times);
            streaming.push(visited.streams);
            aggregates |= visited.aggregates;
        }
        let any = streaming.iter().any(|s| *s) || (streaming.is_empty() && streams(plan));
        let mut found = times::of(plan, &inputs);
        if !any {
            return Visited::default();
        }
        self.is_incorrect |= aggregates && self.mode != OutputMode::Append && remembers(plan, &streaming);
        if let LogicalPlan::Extension(node) = plan
            && let Some(watermark) = node.node.as_any().downcast_ref::<EventTimeWatermark>()
        {
            self.shape.watermarks += 1;
            if !aggregates && inputs.iter().any(|times| !times.is_empty()) {
                self.refusal.get_or_insert_with(redefined);
            }
            found = Times::from([(watermark.column.name.clone(), watermark.delay_us)]);
        }
        if let LogicalPlan::Extension(node) = plan
            && let Some(groups) = node.node.as_any().downcast_ref::<StatefulGroups>()
        {
            found.extend(times::of_groups(groups, &inputs.first().cloned().unwrap_or_default()));
        }
        if let Err(refusal) = self.operator(plan, &streaming, &inputs, &found) {
            self.refusal.get_or_insert(refusal);
        }
        aggregates |= matches!(plan, LogicalPlan::Aggregate(_));
        Visited { streams: true, times: found, aggregates }
    }

    /// EXCEPT of a stream and a table: an aggregation, which Spark makes of it once all else is checked.
    fn except(&mut self, plan: &LogicalPlan, aggregate: &Aggregate, stream: &LogicalPlan) -> Visited {
        let below = self.visit(stream);
        let times = times_above(plan, stream, &below.times);
        let keys = times_above(&aggregate.input, stream, &below.times);
        self.shape.aggregates += 1;
        self.shape.expires |= self.mode != OutputMode::Complete;
        let is_timed = |e: &Expr| matches!(e, Expr::Column(c) if keys.contains_key(&c.name));
        if self.mode == OutputMode::Append && !aggregate.group_expr.iter().any(is_timed) {
            self.refusal_of_plan.get_or_insert_with(without_watermark);
        }
        Visited { times, ..below }
    }

    /// Notes an operator over a stream; `times` are the event times of its output.
    fn operator(
        &mut self,
        plan: &LogicalPlan,
        streaming: &[bool],
        inputs: &[Times],
        times: &Times,
    ) -> Result<()> {
        match plan {
            LogicalPlan::Extension(node) => {
                if let Some(operation) = noted(plan) {
                    self.noted(operation.kind)?;
                } else if let Some(dedup) = node.node.as_any().downcast_ref::<StreamDeduplicate>() {
                    self.deduplicate(dedup, times)?;
                } else if let Some(groups) = node.node.as_any().downcast_ref::<StatefulGroups>() {
                    self.groups(groups, &inputs.first().cloned().unwrap_or_default())?;
                }
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate, inputs)?,
            LogicalPlan::Distinct(_) => {
                self.shape.deduplicates += 1;
                self.shape.expires = true;
            }
            LogicalPlan::Join(join) => self.join(join, streaming, inputs)?,
            LogicalPlan::Union(_) if streaming.iter().any(|s| !s) => {
                return Err(refused(
                    "Union between streaming and batch DataFrames/Datasets is not supported",
                ));
            }
            LogicalPlan::Sort(_) => self.sort()?,
            LogicalPlan::Limit(limit) => self.limit(limit)?,
            LogicalPlan::Window(window) => {
                let name = self.window_name(window);
                return Err(Error::new("NON_TIME_WINDOW_NOT_SUPPORTED_IN_STREAMING")
                    .param("windowFunc", &name)
                    .message(format!(
                        "Window function is not supported in {name} on streaming DataFrames/Datasets.\nStructured Streaming only \
                         supports time-window aggregation using the WINDOW function."
                    ))
                    .exception("AnalysisException"));
            }
            _ => {}
        }
        Ok(())
    }

    /// A window function as Spark names it.
    fn window_name(&mut self, window: &Window) -> String {
        let function = window.window_expr.iter().find_map(|e| match e.clone().unalias_nested().data {
            Expr::WindowFunction(f) => Some(f),
            _ => None,
        });
        let call = function.map(|f| {
            let args: Vec<String> = f.params.args.iter().map(|a| plain(&a.to_string())).collect();
            format!("{}({})", f.fun.name().to_uppercase(), args.join(", "))
        });
        let call = call.unwrap_or_default();
        match self.window_column.take() {
            Some(column) => format!("{call} (as column `{column}`)"),
            None => call,
        }
    }

    fn sort(&self) -> Result<()> {
        if self.mode == OutputMode::Complete && self.shape.aggregates > 0 {
            return Ok(());
        }
        Err(refused(
            "Sorting is not supported on streaming DataFrames/Datasets, unless it is on aggregated DataFrame/Dataset in Complete \
             output mode",
        ))
    }

    /// An operation that does not show in its nodes. What is said of it is said before what is said of these.
    fn noted(&mut self, kind: StreamOperationKind) -> Result<()> {
        let refusal = match kind {
            StreamOperationKind::SortWithinPartitions => return self.sort(),
            StreamOperationKind::Sample => {
                refused("Sampling is not supported on streaming DataFrames/Datasets")
            }
            StreamOperationKind::Pivot => {
                // Two aggregations, one above the other, to Spark.
                self.is_incorrect |= self.mode != OutputMode::Append;
                return Ok(());
            }
            StreamOperationKind::Intersect => {
                refused("Intersect of streaming DataFrames/Datasets is not supported")
            }
            StreamOperationKind::ExceptStream => {
                refused("Except on a streaming DataFrame/Dataset on the right is not supported")
            }
            StreamOperationKind::Except | StreamOperationKind::ExceptAll => {
                return Err(Error::internal("EXCEPT without an aggregation"));
            }
        };
        self.refusal = Some(refusal);
        Ok(())
    }

    fn limit(&mut self, limit: &Limit) -> Result<()> {
        if !matches!(limit.get_skip_type(), Ok(SkipType::Literal(0))) {
            return Err(refused("Offset is not supported on streaming DataFrames/Datasets"));
        }
        match self.mode {
            OutputMode::Complete if self.shape.aggregates > 0 => Ok(()),
            OutputMode::Update => Err(refused(
                "Limits are not supported on streaming DataFrames/Datasets in Update output mode",
            )),
            _ => {
                self.shape.limits += 1;
                Ok(())
            }
        }
    }

    fn aggregate(&mut self, aggregate: &Aggregate, inputs: &[Times]) -> Result<()> {
        let times = inputs.first().cloned().unwrap_or_default();
        let is_distinct = |e: &Expr| match e.clone().unalias_nested().data {
            Expr::AggregateFunction(f) => f.params.distinct,
            _ => false,
        };
        let timed = |e: &Expr| matches!(e.clone().unalias_nested().data, Expr::Column(c) if times.contains_key(&c.name));
        let is_timed = aggregate.group_expr.iter().any(timed);
        let has_session = aggregate.group_expr.iter().any(|e| match e {
            Expr::GroupingSet(sets) => {
                sets.distinct_expr().into_iter().any(|e| is_session(e, &aggregate.input))
            }
            e => is_session(e, &aggregate.input),
        });
        self.groupings.push(Grouping { is_timed, has_session });
        self.shape.aggregates += 1;
        // Whether or not a key is an event time: Spark looks at the watermark alone.
        self.shape.expires |= self.mode != OutputMode::Complete;
        if has_session {
            check_session_keys(aggregate)?;
        }
        if aggregate.aggr_expr.iter().any(is_distinct) {
            return Err(refused(
                "Distinct aggregations are not supported on streaming DataFrames/Datasets. Consider using approx_count_distinct() \
                 instead.",
            ));
        }
        Ok(())
    }

    fn deduplicate(&mut self, dedup: &StreamDeduplicate, times: &Times) -> Result<()> {
        if dedup.within_watermark && times.is_empty() {
            return Err(refused(
                "dropDuplicatesWithinWatermark is not supported on streaming DataFrames/DataSets without watermark",
            ));
        }
        self.shape.deduplicates += 1;
        self.shape.expires = true;
        Ok(())
    }

    fn groups(&mut self, groups: &StatefulGroups, times: &Times) -> Result<()> {
        let task = &groups.task;
        if let Remembered::Value(_) = task.remembered {
            self.group_state(&task.output_mode)?;
            if self.shape.groups > 0 {
                return Err(refused(
                    "Multiple applyInPandasWithStates are not supported on a streaming DataFrames/Datasets",
                ));
            }
            if task.time == StateTime::EventTime && times.is_empty() {
                return Err(refused(
                    "Watermark must be specified in the query using '[Dataset/DataFrame].withWatermark()' for using event-time \
                     timeout in a applyInPandasWithState. Event-time timeout not supported without watermark.",
                ));
            }
        }
        if task.event_time.is_some() && times.is_empty() {
            return Err(Error::new("CANNOT_ASSIGN_EVENT_TIME_COLUMN_WITHOUT_WATERMARK")
                .message(
                    "Watermark needs to be defined to reassign event time column. Failed to find watermark definition in the \
                     streaming query.",
                )
                .exception("AnalysisException"));
        }
        self.shape.groups += 1;
        self.shape.expires |= task.time == StateTime::EventTime;
        Ok(())
    }

    /// The function's mode must be the query's, unless an aggregation follows, which takes rows that are final.
    fn group_state(&self, mode: &str) -> Result<()> {
        let shown = match self.mode {
            OutputMode::Append => "Append",
            OutputMode::Update => "Update",
            OutputMode::Complete => "Complete",
        };
        if !self.aggregated {
            return match mode == self.mode.name() {
                true => Ok(()),
                false => Err(refused(&format!(
                    "applyInPandasWithState in {mode} mode is not supported with {shown} output mode on a streaming \
                     DataFrame/Dataset"
                ))),
            };
        }
        if mode == "update" {
            return Err(refused(
                "applyInPandasWithState in update mode is not supported with aggregation on a streaming DataFrame/Dataset",
            ));
        }
        match self.shape.aggregates {
            0 => Ok(()),
            _ => Err(refused(
                "applyInPandasWithState in append mode is not supported after aggregation on a streaming DataFrame/Dataset",
            )),
        }
    }

    fn join(&mut self, join: &Join, streaming: &[bool], inputs: &[Times]) -> Result<()> {
        let name = match join.join_type {
            JoinType::Inner => "Inner",
            JoinType::Left => "LeftOuter",
            JoinType::Right => "RightOuter",
            JoinType::Full => "FullOuter",
            JoinType::LeftSemi => "LeftSemi",
            JoinType::LeftAnti => "LeftAnti",
            _ => "this kind of",
        };
        let (left, right) = (streaming.first() == Some(&true), streaming.get(1) == Some(&true));
        let full = |stream: &str, other: &str| {
            refused(&format!(
                "FullOuter joins with streaming DataFrames/Datasets on the {stream} and a static DataFrame/Dataset on the {other} is \
                 not supported"
            ))
        };
        match (left, right, join.join_type) {
            (_, true, JoinType::LeftAnti) => Err(refused(
                "LeftAnti joins with a streaming DataFrame/Dataset on the right are not supported",
            )),
            (true, true, _) => self.join_of_streams(join, name, inputs),
            (true, false, JoinType::Full) => Err(full("left", "right")),
            (false, true, JoinType::Full) => Err(full("right", "left")),
            (true, false, JoinType::Right) => Err(refused(&format!(
                "{name} join with a streaming DataFrame/Dataset on the left and a static DataFrame/DataSet on the right not supported"
            ))),
            (false, true, JoinType::Left | JoinType::LeftSemi) => Err(refused(&format!(
                "{name} join with a streaming DataFrame/Dataset on the right and a static DataFrame/Dataset on the left is not \
                 supported"
            ))),
            _ => Ok(()),
        }
    }

    fn join_of_streams(&mut self, join: &Join, name: &str, inputs: &[Times]) -> Result<()> {
        let is_outer = matches!(join.join_type, JoinType::Left | JoinType::Right | JoinType::Full);
        let allowed = match (is_outer, self.mode) {
            (_, OutputMode::Append) | (false, OutputMode::Update) => None,
            (true, _) => Some("Append output mode"),
            (false, OutputMode::Complete) => Some("Append and Update output modes"),
        };
        if let Some(allowed) = allowed {
            let mode = if self.mode == OutputMode::Update { "Update" } else { "Complete" };
            return Err(refused(&format!(
                "{name} join between two streaming DataFrames/Datasets is not supported in {mode} output mode, only in {allowed}"
            )));
        }
        let [left, right] = inputs else { return Err(Error::internal("a join has two sides")) };
        let condition = Condition::of(join, [left.clone(), right.clone()]);
        // Whose rows come out in the end must be known to meet no more: the side, and the one that may be NULL.
        let waits = match join.join_type {
            JoinType::Left | JoinType::LeftSemi => vec![0],
            JoinType::Right => vec![1],
            JoinType::Full => vec![0, 1],
            _ => Vec::new(),
        };
        let schemas = [join.left.schema(), join.right.schema()];
        let is_bounded = |side: &usize| {
            condition.timed_key().is_some() || condition.range(*side, schemas[*side]).is_some()
        };
        if !waits.is_empty() && !waits.iter().any(is_bounded) {
            return Err(refused(&format!(
                "Stream-stream {name} join between two streaming DataFrame/Datasets is not supported without a watermark in the join \
                 keys, or a watermark on the nullable side and an appropriate range condition"
            )));
        }
        if condition.keys.is_empty() {
            return Err(refused("Stream-stream join without equality predicate is not supported."));
        }
        self.shape.joins += 1;
        self.shape.expires |= (0..2).any(|side| condition.bound(side, schemas[side]).is_some());
        Ok(())
    }

    fn finish(self) -> Result<Shape> {
        let any = |is_one: fn(&Grouping) -> bool| self.groupings.iter().any(is_one);
        if self.mode == OutputMode::Append && any(|g| !g.is_timed) {
            return Err(self.refused_mode("streaming aggregations without watermark"));
        }
        if self.mode == OutputMode::Update && any(|g| g.has_session) {
            return Err(self.refused_mode("session window streaming aggregations"));
        }
        match self.refusal {
            Some(refusal) => Err(refusal),
            None if self.is_incorrect => Err(correctness()),
            None => self.refusal_of_plan.map_or(Ok(self.shape), Err),
        }
    }

    fn refused_mode(&self, why: &str) -> Error {
        Error::new("STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION")
            .param("outputMode", self.mode.name())
            .param("operation", why)
            .message(format!(
                "Invalid streaming output mode: {}. This output mode is not supported for {why} on streaming DataFrames/DataSets.",
                self.mode.name()
            ))
            .exception("AnalysisException")
    }
}

/// The name of the column that shows the window function below.
fn window_column(projection: &Projection) -> Option<String> {
    let mut input = projection.input.as_ref();
    while let LogicalPlan::Projection(below) = input {
        input = below.input.as_ref();
    }
    let LogicalPlan::Window(window) = input else { return None };
    let given = window.input.schema().fields().len();
    let made: Vec<&String> = window.schema.fields().iter().skip(given).map(|f| f.name()).collect();
    let shown = projection.expr.iter().zip(projection.schema.fields());
    let mut shown = shown.filter(|(e, _)| e.column_refs().iter().any(|c| made.contains(&&c.name)));
    shown.next().map(|(_, f)| plain(f.name()))
}

/// A name without the number that makes it the only one.
fn plain(name: &str) -> String {
    name.rsplit_once('#').map_or(name, |(name, _)| name).to_string()
}

/// In Spark's words, which `tests/recorded/modes.json` has; here the setting has no effect (docs/limitations.md).
fn redefined() -> Error {
    refused(
        "Redefining watermark is disallowed. You can set the config 'spark.sql.streaming.statefulOperator.allowMultiple' to 'false' to \
         restore the previous behavior. Note that multiple stateful operators will be disallowed.",
    )
}

/// The event times of a node's output by those of a node below it.
fn times_above(plan: &LogicalPlan, below: &LogicalPlan, times: &Times) -> Times {
    if std::ptr::eq(plan, below) {
        return times.clone();
    }
    let inputs: Vec<Times> =
        plan.inputs().into_iter().map(|input| times_above(input, below, times)).collect();
    times::of(plan, &inputs)
}

/// Whether the node is an operator that remembers rows by their times.
fn remembers(plan: &LogicalPlan, streaming: &[bool]) -> bool {
    match plan {
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => true,
        LogicalPlan::Join(_) => streaming.iter().all(|s| *s),
        LogicalPlan::Extension(node) => {
            let node = node.node.as_any();
            node.is::<StreamDeduplicate>() || node.is::<StatefulGroups>()
        }
        _ => false,
    }
}

/// Sessions are of keys.
fn check_session_keys(aggregate: &Aggregate) -> Result<()> {
    if aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
        return Err(Error::unsupported("session_window in grouping sets over a stream"));
    }
    let is_key = |e: &Expr| !is_session(e, &aggregate.input) && !is_constant(e, &aggregate.input);
    if aggregate.group_expr.iter().any(is_key) { Ok(()) } else { Err(global_sessions()) }
}

pub(super) fn global_sessions() -> Error {
    refused("Global aggregation with session window in streaming query is not supported.")
}

/// Whether a key is a column that the projection below gives one value.
fn is_constant(key: &Expr, input: &LogicalPlan) -> bool {
    let (Expr::Column(key), LogicalPlan::Projection(projection)) = (key, input) else { return false };
    let columns = projection.expr.iter().zip(projection.schema.fields());
    let mut own = columns.filter(|(_, f)| *f.name() == key.name).map(|(e, _)| e);
    own.any(|e| e.column_refs().is_empty() && !e.is_volatile())
}

/// An operator that remembers is above an aggregation whose rows are not final.
fn correctness() -> Error {
    refused(
        "Detected pattern of possible 'correctness' issue due to global watermark. The query contains stateful operation which can \
         emit rows older than the current watermark plus allowed late record delay, which are \"late rows\" in downstream stateful \
         operations and these rows can be discarded. Please refer the programming guide doc for more details. If you understand the \
         possible risk of correctness issue and still need to run the query, you can disable this check by setting the config \
         `spark.sql.streaming.statefulOperator.checkCorrectness.enabled` to false.",
    )
}

fn without_watermark() -> Error {
    Error::new("UNSUPPORTED_STREAMING_OPERATOR_WITHOUT_WATERMARK")
        .param("outputMode", "Append")
        .param("statefulOperator", "aggregations")
        .message(
            "Append output mode not supported for aggregations on streaming DataFrames/DataSets without watermark.",
        )
        .exception("AnalysisException")
}

fn refused(why: &str) -> Error {
    Error::new("_LEGACY_ERROR_TEMP_3102").param("msg", why).message(why).exception("AnalysisException")
}
