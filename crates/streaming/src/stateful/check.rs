//! What a streaming query may be: Spark's `UnsupportedOperationChecker`.

use boathouse_engine::{EventTimeWatermark, Remembered, StateTime, StatefulGroups, StreamDeduplicate};
use boathouse_spec::{Error, Result};
use datafusion::common::JoinType;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Aggregate, Expr, Join, LogicalPlan};

use super::join::Condition;
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
pub(super) fn streams(plan: &LogicalPlan) -> bool {
    if let LogicalPlan::TableScan(scan) = plan
        && let Ok(provider) = source_as_provider(&scan.source)
    {
        return (provider.as_ref() as &dyn std::any::Any).is::<StreamSlice>();
    }
    plan.inputs().into_iter().any(streams)
}

/// Refuses what has no meaning over a stream, or none in the output mode.
pub(crate) fn check(plan: &LogicalPlan, mode: OutputMode) -> Result<Shape> {
    let aggregated = aggregates(plan);
    let mut checker =
        Checker { mode, aggregated, refused: None, shape: Shape::default(), keys_with_time: Vec::new() };
    if mode == OutputMode::Complete && !aggregated {
        return Err(checker.refused_mode("no streaming aggregations"));
    }
    let (_, _) = checker.visit(plan)?;
    checker.finish()
}

/// Whether there is an aggregation over a stream.
fn aggregates(plan: &LogicalPlan) -> bool {
    (matches!(plan, LogicalPlan::Aggregate(_)) && streams(plan)) || plan.inputs().into_iter().any(aggregates)
}

struct Checker {
    mode: OutputMode,
    /// Whether the query has an aggregation.
    aggregated: bool,
    /// What Spark refuses only after the mode.
    refused: Option<Error>,
    shape: Shape,
    /// For each aggregation, whether one of its keys is an event time.
    keys_with_time: Vec<bool>,
}

impl Checker {
    /// Whether the node streams, and the event times of its output.
    fn visit(&mut self, plan: &LogicalPlan) -> Result<(bool, Times)> {
        let mut inputs = Vec::new();
        let mut streaming = Vec::new();
        for input in plan.inputs() {
            let (streams, times) = self.visit(input)?;
            inputs.push(times);
            streaming.push(streams);
        }
        let any = streaming.iter().any(|s| *s) || (streaming.is_empty() && streams(plan));
        let mut found = times::of(plan, &inputs);
        if !any {
            return Ok((false, Times::new()));
        }
        match plan {
            LogicalPlan::Extension(node) => {
                if let Some(watermark) = node.node.as_any().downcast_ref::<EventTimeWatermark>() {
                    self.shape.watermarks += 1;
                    found.insert(watermark.column.name.clone(), watermark.delay_us);
                } else if let Some(dedup) = node.node.as_any().downcast_ref::<StreamDeduplicate>() {
                    self.deduplicate(dedup, &found)?;
                } else if let Some(groups) = node.node.as_any().downcast_ref::<StatefulGroups>() {
                    let timed = inputs.first().cloned().unwrap_or_default();
                    if let Err(e) = self.groups(groups, &timed) {
                        self.refused.get_or_insert(e);
                    }
                    found.extend(times::of_groups(groups, &timed));
                }
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate, &inputs)?,
            LogicalPlan::Distinct(_) => self.shape.deduplicates += 1,
            LogicalPlan::Join(join) => self.join(join, &streaming, &inputs)?,
            LogicalPlan::Union(_) if streaming.iter().any(|s| !s) => {
                return Err(refused(
                    "Union between streaming and batch DataFrames/Datasets is not supported",
                ));
            }
            LogicalPlan::Sort(_) if !(self.mode == OutputMode::Complete && self.shape.aggregates > 0) => {
                return Err(refused(
                    "Sorting is not supported on streaming DataFrames/Datasets, unless it is on aggregated DataFrame/Dataset in \
                     Complete output mode",
                ));
            }
            LogicalPlan::Limit(_) => self.limit()?,
            LogicalPlan::Window(window) => {
                let name = window.window_expr.first().map(ToString::to_string).unwrap_or_default();
                return Err(Error::new("NON_TIME_WINDOW_NOT_SUPPORTED_IN_STREAMING")
                    .param("windowFunc", &name)
                    .message(format!(
                        "Window function is not supported in {name} on streaming DataFrames/Datasets. Structured Streaming only \
                         supports time-window aggregation using the WINDOW function. (session_window is not supported yet: see \
                         docs/limitations.md.)"
                    ))
                    .exception("AnalysisException"));
            }
            _ => {}
        }
        Ok((true, found))
    }

    fn limit(&mut self) -> Result<()> {
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
        if self.mode != OutputMode::Append && aggregate.aggr_expr.iter().any(is_distinct) {
            return Err(refused(
                "Distinct aggregations are not supported on streaming DataFrames/Datasets. Consider using approx_count_distinct() \
                 instead",
            ));
        }
        let timed = |e: &Expr| matches!(e.clone().unalias_nested().data, Expr::Column(c) if times.contains_key(&c.name));
        self.keys_with_time.push(aggregate.group_expr.iter().any(timed));
        self.shape.aggregates += 1;
        self.shape.expires |= self.mode != OutputMode::Complete && aggregate.group_expr.iter().any(timed);
        if self.mode != OutputMode::Append && self.shape.aggregates > 1 {
            return Err(refused(
                "Detected pattern of possible 'correctness' issue due to global watermark. The query contains stateful operation \
                 which can emit rows older than the current watermark plus allowed late record delay, which are \"late rows\" in \
                 downstream stateful operations and these rows can be discarded. Please refer the programming guide doc for more \
                 details",
            ));
        }
        Ok(())
    }

    fn deduplicate(&mut self, dedup: &StreamDeduplicate, times: &Times) -> Result<()> {
        let timed = if dedup.within_watermark {
            if times.is_empty() {
                return Err(refused(
                    "dropDuplicatesWithinWatermark is not supported on streaming DataFrames/DataSets without watermark",
                ));
            }
            true
        } else {
            dedup.keys.iter().any(|k| times.contains_key(&k.name))
        };
        self.shape.deduplicates += 1;
        self.shape.expires |= timed;
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
        let on = |stream: &str, other: &str| {
            refused(&format!(
                "{name} join with a streaming DataFrame/Dataset on the {stream} and a static DataFrame/DataSet on the {other} not \
                 supported"
            ))
        };
        match (left, right, join.join_type) {
            (true, true, JoinType::LeftAnti) => Err(refused(
                "LeftAnti joins with a streaming DataFrame/Dataset on the right are not supported",
            )),
            (true, true, _) => self.join_of_streams(join, name, inputs),
            (true, false, JoinType::Full) => Err(refused(
                "FullOuter joins with streaming DataFrames/Datasets on the left and a static DataFrame/Dataset on the right is not \
                 supported",
            )),
            (true, false, JoinType::Right) => Err(on("left", "right")),
            (false, true, JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::Full) => {
                Err(on("right", "left"))
            }
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
        if self.mode == OutputMode::Append && self.keys_with_time.contains(&false) {
            return Err(self.refused_mode("streaming aggregations without watermark"));
        }
        self.refused.map_or(Ok(self.shape), Err)
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

fn refused(why: &str) -> Error {
    Error::new("_LEGACY_ERROR_TEMP_3102").param("msg", why).message(why).exception("AnalysisException")
}
