//! The events of an update, in the shape of Databricks' event log.

use boathouse_catalog::ObjectName;
use boathouse_engine::RuleCount;
use boathouse_spec::{Error, Violation};
use serde_json::{Value, json};

use crate::name::shown;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    Warn,
    Error,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// A state of an update (`update_progress.state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpdateState {
    Initializing,
    SettingUpTables,
    Running,
    Completed,
    Failed,
}

impl UpdateState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::SettingUpTables => "SETTING_UP_TABLES",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

/// A state of a flow (`flow_progress.status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlowState {
    Queued,
    Starting,
    Running,
    Completed,
    Failed,
    Skipped,
}

impl FlowState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
        }
    }
}

/// What a query of a flow did: a whole flow, or one batch of a streaming one.
#[derive(Debug, Clone, Default)]
pub(crate) struct FlowMetrics {
    /// Rows that came out of the query, dropped ones included.
    pub rows: u64,
    pub dropped: u64,
    pub rules: Vec<RuleCount>,
    /// Views it read that have expectations.
    pub views: Vec<(ObjectName, Vec<RuleCount>)>,
}

/// One event. The event log adds time, id and sequence.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub event_type: &'static str,
    pub level: Level,
    pub message: String,
    pub dataset: Option<ObjectName>,
    pub flow: Option<ObjectName>,
    pub batch: Option<i64>,
    pub details: Value,
    pub error: Option<Error>,
}

impl Event {
    fn new(event_type: &'static str, message: String, details: Value) -> Self {
        let message = message.trim().to_string();
        Self {
            event_type,
            level: Level::Info,
            message,
            dataset: None,
            flow: None,
            batch: None,
            details,
            error: None,
        }
    }

    pub fn create_update(full_refresh: bool, dry: bool) -> Self {
        let details = json!({"create_update": {"full_refresh": full_refresh, "validate_only": dry}});
        Self::new("create_update", "The update is created.".to_string(), details)
    }

    pub fn update(state: UpdateState) -> Self {
        let message = format!("Update is {}.", state.name());
        let level = if state == UpdateState::Failed { Level::Error } else { Level::Info };
        Self {
            level,
            ..Self::new("update_progress", message, json!({"update_progress": {"state": state.name()}}))
        }
    }

    /// The columns and kind of a dataset.
    pub fn dataset(name: &ObjectName, kind: &str, schema: &str, comment: Option<&str>) -> Self {
        let details =
            json!({"dataset_definition": {"dataset_type": kind, "schema": schema, "comment": comment}});
        let event = Self::new(
            "dataset_definition",
            format!("{} is a {}.", shown(name), kind.to_lowercase()),
            details,
        );
        Self { dataset: Some(name.clone()), ..event }
    }

    /// What a flow reads and writes.
    pub fn flow_definition(
        flow: &ObjectName,
        target: &ObjectName,
        is_streaming: bool,
        inputs: &[String],
    ) -> Self {
        let details = json!({"flow_definition": {
            "output_dataset": shown(target),
            "flow_type": if is_streaming { "STREAMING" } else { "COMPLETE" },
            "input_datasets": inputs,
        }});
        let event = Self::new("flow_definition", format!("Flow {} is defined.", shown(flow)), details);
        Self { dataset: Some(target.clone()), flow: Some(flow.clone()), ..event }
    }

    pub fn flow(flow: &ObjectName, target: &ObjectName, state: FlowState) -> Self {
        let verb = match state {
            FlowState::Completed | FlowState::Failed => "has",
            _ => "is",
        };
        let message = format!("Flow {} {verb} {}.", shown(flow), state.name());
        let details = json!({"flow_progress": {"status": state.name()}});
        let level = match state {
            FlowState::Failed => Level::Error,
            FlowState::Skipped => Level::Warn,
            _ => Level::Info,
        };
        let event = Self::new("flow_progress", message, details);
        Self { level, dataset: Some(target.clone()), flow: Some(flow.clone()), ..event }
    }

    /// Rows of a flow, and how they kept the dataset's expectations.
    pub fn with_metrics(mut self, metrics: &FlowMetrics) -> Self {
        let progress = &mut self.details["flow_progress"];
        progress["metrics"] = json!({"num_output_rows": metrics.rows - metrics.dropped});
        let rule = |dataset: &Option<String>, r: &RuleCount| {
            let action = match r.action {
                Violation::Warn => "warn",
                Violation::Drop => "drop",
                Violation::Fail => "fail",
            };
            json!({
                "name": r.name,
                "dataset": dataset,
                "action": action,
                "passed_records": r.passed,
                "failed_records": r.failed,
            })
        };
        let dataset = self.dataset.as_ref().map(shown);
        let mut expectations: Vec<Value> = metrics.rules.iter().map(|r| rule(&dataset, r)).collect();
        for (view, rules) in &metrics.views {
            let view = Some(shown(view));
            expectations.extend(rules.iter().map(|r| rule(&view, r)));
        }
        if !expectations.is_empty() {
            progress["data_quality"] =
                json!({"dropped_records": metrics.dropped, "expectations": expectations});
        }
        self
    }

    pub fn because(mut self, why: &str) -> Self {
        self.message = format!("{} {why}", self.message);
        self
    }

    pub fn in_batch(mut self, batch: i64) -> Self {
        self.batch = Some(batch);
        self
    }

    pub fn with_error(mut self, error: &Error) -> Self {
        self.message = format!("{} {error}", self.message);
        self.error = Some(error.clone());
        self
    }
}
