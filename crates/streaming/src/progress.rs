//! What a batch did, as Spark's `StreamingQueryProgress`.

use std::time::{Duration, Instant};

use boathouse_spec::clock;
use chrono::{DateTime, SecondsFormat};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

/// A batch, or a trigger that found nothing to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The query, and this run of it.
    pub id: String,
    pub run_id: String,
    pub name: Option<String>,
    /// When the trigger began, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    pub batch_id: i64,
    /// What the time went to, in milliseconds: `addBatch`, `walCommit`, ...
    pub durations_ms: IndexMap<String, i64>,
    /// `watermark`, `max`, `min`, `avg`, as timestamps.
    pub event_time: IndexMap<String, String>,
    /// As JSON.
    pub state_operators: Vec<Value>,
    pub sources: Vec<SourceProgress>,
    pub sink: SinkProgress,
    /// By the names of observations, as JSON.
    pub observed: Map<String, Value>,
    /// Milliseconds since the trigger before this one began; `None` for the first.
    pub since_last_trigger_ms: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SourceProgress {
    pub description: String,
    /// As JSON; `None` before anything was read.
    pub start_offset: Option<String>,
    pub end_offset: Option<String>,
    pub latest_offset: Option<String>,
    pub num_input_rows: i64,
    /// Figures of the source's own, as JSON.
    pub metrics: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SinkProgress {
    pub description: String,
    /// `None` where the sink does not tell.
    pub num_output_rows: Option<i64>,
}

impl Progress {
    pub fn num_input_rows(&self) -> i64 {
        self.sources.iter().map(|s| s.num_input_rows).sum()
    }

    pub fn trigger_ms(&self) -> i64 {
        self.durations_ms.get("triggerExecution").copied().unwrap_or(0)
    }

    /// The JSON of Spark.
    pub fn json(&self) -> Value {
        let rates = |rows: i64| {
            let mut rates = Map::new();
            let since = self.since_last_trigger_ms.filter(|ms| *ms > 0);
            rates.insert("inputRowsPerSecond".into(), rate(rows, since));
            rates.insert(
                "processedRowsPerSecond".into(),
                rate(rows, Some(self.trigger_ms()).filter(|ms| *ms > 0)),
            );
            rates
        };
        let mut out = Map::new();
        out.insert("id".into(), self.id.clone().into());
        out.insert("runId".into(), self.run_id.clone().into());
        out.insert("name".into(), self.name.clone().into());
        out.insert("timestamp".into(), timestamp(self.timestamp_ms).into());
        out.insert("batchId".into(), self.batch_id.into());
        out.insert("batchDuration".into(), self.trigger_ms().into());
        out.insert("numInputRows".into(), self.num_input_rows().into());
        out.extend(rates(self.num_input_rows()));
        out.insert("durationMs".into(), json!(self.durations_ms));
        if !self.event_time.is_empty() {
            out.insert("eventTime".into(), json!(self.event_time));
        }
        out.insert("stateOperators".into(), Value::Array(self.state_operators.clone()));
        let sources = self.sources.iter().map(|s| {
            let mut source = Map::new();
            source.insert("description".into(), s.description.clone().into());
            source.insert("startOffset".into(), offset(s.start_offset.as_deref()));
            source.insert("endOffset".into(), offset(s.end_offset.as_deref()));
            source.insert("latestOffset".into(), offset(s.latest_offset.as_deref()));
            source.insert("numInputRows".into(), s.num_input_rows.into());
            source.extend(rates(s.num_input_rows));
            if !s.metrics.is_empty() {
                source.insert("metrics".into(), Value::Object(s.metrics.clone()));
            }
            Value::Object(source)
        });
        out.insert("sources".into(), sources.collect());
        out.insert(
            "sink".into(),
            json!({ "description": self.sink.description, "numOutputRows": self.sink.num_output_rows.unwrap_or(-1) }),
        );
        out.insert("observedMetrics".into(), Value::Object(self.observed.clone()));
        Value::Object(out)
    }
}

fn rate(rows: i64, ms: Option<i64>) -> Value {
    match ms {
        Some(ms) => json!(rows as f64 * 1000.0 / ms as f64),
        None => json!(0.0),
    }
}

fn offset(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |t| serde_json::from_str(t).unwrap_or_else(|_| Value::String(t.to_string())))
}

/// An instant as progress reports write it: `2024-01-15T10:30:00.000Z`.
pub fn timestamp(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .map_or_else(String::new, |t| t.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Measures the steps of a trigger.
#[derive(Debug)]
pub(crate) struct Timer {
    pub started_ms: i64,
    started: Instant,
    durations: IndexMap<String, Duration>,
}

impl Timer {
    pub fn start() -> Self {
        Self { started_ms: clock::now_ms(), started: Instant::now(), durations: IndexMap::new() }
    }

    /// Adds the time since `from` to a step.
    pub fn add(&mut self, step: &str, from: Instant) {
        *self.durations.entry(step.to_string()).or_default() += from.elapsed();
    }

    pub fn finish(mut self) -> IndexMap<String, i64> {
        self.add("triggerExecution", self.started);
        self.durations.sort_unstable_keys();
        self.durations
            .into_iter()
            .map(|(k, d)| (k, i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
            .collect()
    }
}
