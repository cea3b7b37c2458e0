//! The plan node of `withWatermark` over a stream. Whoever runs the stream gives it meaning; as a node it passes rows on.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use boathouse_formats::calendar::MICROS_PER_DAY;
use boathouse_formats::interval_parse::parse_calendar_interval;
use boathouse_spec::{Error, Result};
use datafusion::common::{Column, DFSchemaRef, Result as DataFusionResult};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

/// Rows older than the latest event time less the delay may be dropped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub struct EventTimeWatermark {
    pub input: LogicalPlan,
    /// The event time: a timestamp, or a window.
    pub column: Column,
    pub delay_us: i64,
}

impl UserDefinedLogicalNodeCore for EventTimeWatermark {
    fn name(&self) -> &str {
        "EventTimeWatermark"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![Expr::Column(self.column.clone())]
    }

    /// As in Spark, rows that a filter takes away by other columns do not move the watermark.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::from([self.column.name.clone()])
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventTimeWatermark: {}, delay {}", self.column, delay_text(self.delay_us))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        let (mut exprs, mut inputs) = (exprs, inputs);
        let (Some(Expr::Column(column)), Some(input)) = (exprs.pop(), inputs.pop()) else {
            return datafusion::common::internal_err!("a watermark has one column and one input");
        };
        Ok(Self { input, column, delay_us: self.delay_us })
    }
}

/// Marks the column of `session_window` over a stream: each row has a window of its own there, and those of a key that touch are
/// one session for the aggregation above.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub struct SessionWindows {
    pub input: LogicalPlan,
    pub column: Column,
}

impl UserDefinedLogicalNodeCore for SessionWindows {
    fn name(&self) -> &str {
        "SessionWindows"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![Expr::Column(self.column.clone())]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionWindows: {}", self.column)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        let (mut exprs, mut inputs) = (exprs, inputs);
        let (Some(Expr::Column(column)), Some(input)) = (exprs.pop(), inputs.pop()) else {
            return datafusion::common::internal_err!("sessions have one column and one input");
        };
        Ok(Self { input, column })
    }
}

/// An operation over a stream that does not show in the nodes that do it, for whoever checks what may run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub struct StreamOperation {
    pub input: LogicalPlan,
    pub kind: StreamOperationKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash)]
pub enum StreamOperationKind {
    Sample,
    SortWithinPartitions,
    Pivot,
    Intersect,
    /// The input is the aggregation that leaves each row once.
    Except,
    ExceptAll,
    /// The right side streams.
    ExceptStream,
}

impl UserDefinedLogicalNodeCore for StreamOperation {
    fn name(&self) -> &str {
        "StreamOperation"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of a stream", self.kind)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        let Some(input) = inputs.pop() else {
            return datafusion::common::internal_err!("an operation over a stream has one input");
        };
        Ok(Self { input, kind: self.kind })
    }
}

/// Notes the operation where the rows stream.
pub(crate) fn noted(plan: LogicalPlan, kind: StreamOperationKind, is_streaming: bool) -> LogicalPlan {
    match is_streaming {
        true => LogicalPlan::Extension(Extension { node: Arc::new(StreamOperation { input: plan, kind }) }),
        false => plan,
    }
}

/// One row of each set of rows with equal keys, over all time, or until the watermark has passed the first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub struct StreamDeduplicate {
    pub input: LogicalPlan,
    pub keys: Vec<Column>,
    pub within_watermark: bool,
}

impl UserDefinedLogicalNodeCore for StreamDeduplicate {
    fn name(&self) -> &str {
        "StreamDeduplicate"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        self.keys.iter().cloned().map(Expr::Column).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamDeduplicate: {} keys", self.keys.len())
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> DataFusionResult<Self> {
        let Some(input) = inputs.pop() else {
            return datafusion::common::internal_err!("a deduplication has one input");
        };
        let keys =
            exprs.into_iter().filter_map(|e| if let Expr::Column(c) = e { Some(c) } else { None }).collect();
        Ok(Self { input, keys, within_watermark: self.within_watermark })
    }
}

/// The delay as Spark shows it: `10 seconds`.
fn delay_text(delay_us: i64) -> String {
    match delay_us % 1_000_000 {
        0 => format!("{} seconds", delay_us / 1_000_000),
        _ => format!("{} milliseconds", delay_us / 1000),
    }
}

/// The delay of `withWatermark`, in microseconds. A month of it has 31 days (Spark's `IntervalUtils.getDuration`).
pub(crate) fn parse_delay(text: &str) -> Result<i64> {
    let wrong = |why: &str| {
        Error::new("CANNOT_PARSE_INTERVAL").param("intervalString", format!("'{text}'")).message(why)
    };
    let interval =
        parse_calendar_interval(text).ok_or_else(|| wrong(&format!("'{text}' is no interval.")))?;
    let days = i64::from(interval.days) + i64::from(interval.months) * 31;
    let delay = days
        .checked_mul(MICROS_PER_DAY)
        .and_then(|days| days.checked_add(interval.microseconds))
        .ok_or_else(|| {
            Error::new("INTERVAL_ARITHMETIC_OVERFLOW.WITHOUT_SUGGESTION")
                .message(format!("The delay {text} does not fit 64 bits of microseconds."))
        })?;
    if delay < 0 {
        return Err(Error::new("_LEGACY_ERROR_TEMP_3263")
            .param("delayThreshold", text)
            .message(format!("delay threshold ({text}) should not be negative.")));
    }
    Ok(delay)
}
