//! The metrics of a physical plan, operator by operator.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use serde::Serialize;

use crate::explain_tree;

/// The count of a Delta scan's files that its filters left out by the log.
const PRUNED_BY_LOG: &str = boathouse_delta::FILES_PRUNED;

/// An operator that ran. Times and counts are sums over its partitions.
#[derive(Debug, Default, Serialize)]
pub(crate) struct OperatorProfile {
    pub operator: String,
    /// What it does: expressions, keys, the table's place.
    pub details: String,
    pub rows: Option<usize>,
    pub time_us: Option<u64>,
    pub peak_memory_bytes: Option<usize>,
    pub spilled_bytes: usize,
    pub spilled_rows: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_read: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_pruned: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_read: Option<usize>,
    /// Whatever else it counts: row groups and pages pruned, times of its parts in microseconds.
    pub other: BTreeMap<String, usize>,
    pub children: Vec<OperatorProfile>,
}

/// Sums over the operators of a query.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub spilled_bytes: usize,
    pub files_read: usize,
    pub files_pruned: usize,
    pub bytes_read: usize,
}

impl OperatorProfile {
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let (operator, details) = explain_tree::name_and_details(plan);
        let mut profile = Self {
            operator,
            details,
            files_read: files_of(plan),
            children: plan.children().into_iter().map(Self::of).collect(),
            ..Self::default()
        };
        if let Some(metrics) = plan.metrics() {
            profile.add(&metrics);
        }
        profile
    }

    fn add(&mut self, metrics: &MetricsSet) {
        for metric in metrics.iter() {
            match metric.value() {
                MetricValue::OutputRows(rows) => *self.rows.get_or_insert(0) += rows.value(),
                MetricValue::ElapsedCompute(time) => {
                    *self.time_us.get_or_insert(0) += time.value() as u64 / 1000;
                }
                MetricValue::SpilledBytes(bytes) => self.spilled_bytes += bytes.value(),
                MetricValue::SpilledRows(rows) => self.spilled_rows += rows.value(),
                MetricValue::CurrentMemoryUsage(gauge) | MetricValue::PeakMemoryUsage { gauge, .. } => {
                    *self.peak_memory_bytes.get_or_insert(0) += gauge.value();
                }
                MetricValue::Gauge { name, gauge } if name.contains("mem") => {
                    *self.peak_memory_bytes.get_or_insert(0) += gauge.value();
                }
                MetricValue::Count { name, count } if name == "bytes_scanned" => {
                    *self.bytes_read.get_or_insert(0) += count.value();
                }
                MetricValue::Count { name, count } if name == PRUNED_BY_LOG => {
                    *self.files_pruned.get_or_insert(0) += count.value();
                }
                MetricValue::Count { name, count } if name == "build_mem_used" => {
                    *self.peak_memory_bytes.get_or_insert(0) += count.value();
                }
                MetricValue::PruningMetrics { name, pruning_metrics } => {
                    self.count(&format!("{name}_pruned"), pruning_metrics.pruned());
                    self.count(&format!("{name}_matched"), pruning_metrics.matched());
                }
                MetricValue::Time { name, time } => self.count(&format!("{name}_us"), time.value() / 1000),
                MetricValue::StartTimestamp(_) | MetricValue::EndTimestamp(_) => {}
                other => self.count(other.name(), other.as_usize()),
            }
        }
    }

    fn count(&mut self, name: &str, value: usize) {
        if value > 0 {
            *self.other.entry(name.to_string()).or_default() += value;
        }
    }

    pub fn add_to(&self, totals: &mut Totals) {
        totals.spilled_bytes += self.spilled_bytes;
        totals.files_read += self.files_read.unwrap_or(0);
        totals.files_pruned += self.files_pruned.unwrap_or(0);
        totals.bytes_read += self.bytes_read.unwrap_or(0);
        for child in &self.children {
            child.add_to(totals);
        }
    }

    /// One operator a line, as `EXPLAIN` draws them, with what it did in brackets.
    pub fn tree(&self) -> String {
        let mut out = String::new();
        self.draw(0, &mut out);
        out
    }

    fn draw(&self, depth: usize, out: &mut String) {
        if depth > 0 {
            out.push_str(&"   ".repeat(depth - 1));
            out.push_str("+- ");
        }
        let details = if self.details.is_empty() { String::new() } else { format!(" {}", self.details) };
        let _ = writeln!(out, "{}{details} [{}]", self.operator, self.shown().join(", "));
        for child in &self.children {
            child.draw(depth + 1, out);
        }
    }

    fn shown(&self) -> Vec<String> {
        let mut parts = Vec::new();
        let mut push = |name: &str, value: Option<String>| {
            parts.extend(value.map(|v| format!("{name}={v}")));
        };
        let positive = |n: usize| (n > 0).then(|| n.to_string());
        push("rows", self.rows.map(|n| n.to_string()));
        push("time_us", self.time_us.map(|n| n.to_string()));
        push("peak_memory_bytes", self.peak_memory_bytes.and_then(positive));
        push("spilled_bytes", positive(self.spilled_bytes));
        push("spilled_rows", positive(self.spilled_rows));
        push("files_read", self.files_read.map(|n| n.to_string()));
        push("files_pruned", self.files_pruned.map(|n| n.to_string()));
        push("bytes_read", self.bytes_read.map(|n| n.to_string()));
        for (name, value) in &self.other {
            push(name, positive(*value));
        }
        parts
    }
}

/// How many files these are: tasks may share one, each with a range of it.
fn distinct<'a>(files: impl Iterator<Item = &'a PartitionedFile>) -> usize {
    let (whole, parts): (Vec<_>, Vec<_>) = files.partition(|file| file.range.is_none());
    let shared: HashSet<_> = parts.into_iter().map(|file| &file.object_meta.location).collect();
    whole.len() + shared.len()
}

/// How many files a scan reads; nothing where it scans no files.
fn files_of(plan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    let own = plan
        .downcast_ref::<DataSourceExec>()
        .and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>())
        .map(|config| distinct(config.file_groups.iter().flat_map(|group| group.iter())));
    let others = boathouse_connectors::scanned_files(plan.as_ref());
    own.or((!others.is_empty()).then_some(others.len()))
}
