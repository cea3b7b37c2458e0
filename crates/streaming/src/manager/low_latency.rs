//! Continuous and real-time triggers: what Spark lets run under them. Here rows come out as soon as they have come, and checkpoints
//! are written once an interval (`micro_batch/epoch.rs`).

use boathouse_engine::{EventTimeWatermark, Session, StreamDeduplicate};
use boathouse_spec::{Error, Result};
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::run::Trigger;
use crate::micro_batch::MicroBatchQuery;
use crate::query::OutputMode;
use crate::settings;
use crate::sink::{Target, capitalized};
use crate::source::Continuity;
use crate::stateful::streams;

/// The least duration of a batch in real-time mode.
const MIN_DURATION: &str = "spark.sql.streaming.realTimeMode.minBatchDuration";

/// Refuses batches that are too short for real-time mode.
pub(super) fn check_interval(session: &Session, trigger: Trigger) -> Result<()> {
    let least = settings::milliseconds(session, MIN_DURATION, 5000);
    match trigger {
        Trigger::RealTime(ms) if ms < least => Err(Error::new("INVALID_STREAMING_REAL_TIME_MODE_TRIGGER_INTERVAL")
            .param("interval", ms)
            .param("minBatchDuration", least)
            .message(format!(
                "The real-time trigger interval is set to {ms} ms. This is less than the {least} ms minimum specified by {MIN_DURATION}."
            ))
            .exception("IllegalArgumentException")),
        _ => Ok(()),
    }
}

/// Refuses sinks before a query is opened.
pub(super) fn check_sink(
    session: &Session,
    trigger: Trigger,
    target: &Target,
    mode: OutputMode,
) -> Result<()> {
    match trigger {
        Trigger::Continuous(_) if *target == Target::ForeachBatch => {
            Err(Error::new("_LEGACY_ERROR_TEMP_1187")
                .message("'foreachBatch' is not supported with continuous trigger.")
                .exception("AnalysisException"))
        }
        Trigger::RealTime(_) => {
            if checks_allowlist(session) && !is_real_time_sink(target) {
                return Err(not_allowed(&format!("The sink(s): {}", target.class_name()), "sink"));
            }
            match mode {
                OutputMode::Update => Ok(()),
                mode => Err(real_time(
                    "OUTPUT_MODE_NOT_SUPPORTED",
                    format!(
                        "The output mode {0} is not supported. To work around this limitation, set the output mode to Update. In the \
                         future, {0} may be supported.",
                        capitalized(mode.name())
                    ),
                )),
            }
        }
        _ => Ok(()),
    }
}

/// Refuses operators and sources, and the sinks that Spark refuses last.
pub(super) fn check_query(
    session: &Session,
    trigger: Trigger,
    is_batch_sink: bool,
    query: &MicroBatchQuery,
) -> Result<()> {
    match trigger {
        Trigger::Continuous(ms) => {
            if is_batch_sink {
                return Err(Error::new("_LEGACY_ERROR_TEMP_3278")
                    .message(format!("Unknown type of trigger: ContinuousTrigger({ms})"))
                    .exception("IllegalStateException"));
            }
            check_continuous(query.analyzed())?;
            for source in query.continuity() {
                match source {
                    Continuity::Continuous | Continuity::RealTime => {}
                    Continuity::Relation => return Err(not_continuous("StreamingRelation")),
                    Continuity::Batches(name) => {
                        return Err(Error::new("_LEGACY_ERROR_TEMP_3252")
                            .message(format!("Data source {name} does not support continuous processing."))
                            .exception("UnsupportedOperationException"));
                    }
                }
            }
            Ok(())
        }
        Trigger::RealTime(_) => check_real_time(session, query),
        _ => Ok(()),
    }
}

fn check_real_time(session: &Session, query: &MicroBatchQuery) -> Result<()> {
    if checks_allowlist(session) && query.is_stateful() {
        return Err(not_allowed("The operator(s): those that keep state", "operator"));
    }
    for (source, class) in query.continuity().zip(query.source_classes()) {
        if !matches!(source, Continuity::RealTime) {
            return Err(real_time(
                "INPUT_STREAM_NOT_SUPPORTED",
                format!("The input stream {class} is not supported in Real-time Mode."),
            ));
        }
    }
    Ok(())
}

fn checks_allowlist(session: &Session) -> bool {
    let given = session.conf().get("spark.sql.streaming.realTimeMode.allowlistCheck");
    given.is_none_or(|v| !v.eq_ignore_ascii_case("false"))
}

fn is_real_time_sink(target: &Target) -> bool {
    matches!(target, Target::Console | Target::Foreach | Target::Kafka)
}

/// Spark's `UnsupportedOperationChecker.checkForContinuous`.
fn check_continuous(plan: &LogicalPlan) -> Result<()> {
    for input in plan.inputs() {
        check_continuous(input)?;
    }
    if tells_time(plan) {
        return Err(not_continuous_time());
    }
    let name = match plan {
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => return Ok(()),
        LogicalPlan::TableScan(_) | LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {
            if streams(plan) {
                return Ok(());
            }
            "LogicalRDD"
        }
        LogicalPlan::Aggregate(_) => "Aggregate",
        LogicalPlan::Distinct(_) => "Deduplicate",
        LogicalPlan::Join(_) => "Join",
        LogicalPlan::Union(_) => "Union",
        LogicalPlan::Limit(_) => "LocalLimit",
        LogicalPlan::Sort(_) => "Sort",
        LogicalPlan::Window(_) => "Window",
        LogicalPlan::Unnest(_) => "Generate",
        LogicalPlan::Repartition(_) => "Repartition",
        LogicalPlan::Extension(node) if node.node.as_any().is::<EventTimeWatermark>() => "EventTimeWatermark",
        LogicalPlan::Extension(node) if node.node.as_any().is::<StreamDeduplicate>() => "Deduplicate",
        LogicalPlan::Extension(node) => match node.node.name() {
            // It stands around what is computed once for a row, and is no operation.
            "Barrier" => return Ok(()),
            "Shuffle" | "Coalesce" => "Repartition",
            "Observe" => "CollectMetrics",
            other => return Err(not_continuous(other)),
        },
        other => return Err(not_continuous(&other.display().to_string())),
    };
    Err(not_continuous(name))
}

fn not_continuous(operation: &str) -> Error {
    let why = format!("Continuous processing does not support {operation} operations.");
    Error::new("_LEGACY_ERROR_TEMP_3102").param("msg", &why).message(why).exception("AnalysisException")
}

/// Functions that tell the time of a batch.
const TIMES: &[&str] =
    &["current_date", "curdate", "current_timestamp", "now", "localtimestamp", "current_time"];

/// Whether a node has a value that is the time of its batch: rows without batches have none.
fn tells_time(plan: &LogicalPlan) -> bool {
    let is_time = |e: &Expr| {
        let call = match e {
            Expr::ScalarFunction(f) => {
                TIMES.contains(&f.name()) || (f.name() == "unix_timestamp" && f.args.is_empty())
            }
            _ => false,
        };
        Ok(call)
    };
    plan.expressions().iter().any(|e| e.exists(|e| is_time(e)).unwrap_or(false))
}

fn not_continuous_time() -> Error {
    let why = "Continuous processing does not support current time operations.";
    Error::new("_LEGACY_ERROR_TEMP_3102").param("msg", why).message(why).exception("AnalysisException")
}

fn not_allowed(what: &str, list: &str) -> Error {
    real_time(
        "OPERATOR_OR_SINK_NOT_IN_ALLOWLIST",
        format!(
            "{what} is not in the {list} allowlist for Real-Time Mode. To bypass this check, set \
             spark.sql.streaming.realTimeMode.allowlistCheck to false. By changing this, you agree to run the query at your own risk."
        ),
    )
}

fn real_time(class: &str, why: String) -> Error {
    Error::new(format!("STREAMING_REAL_TIME_MODE.{class}"))
        .message(format!("Streaming real-time mode has the following limitation: {why}"))
        .exception("SparkIllegalArgumentException")
}
