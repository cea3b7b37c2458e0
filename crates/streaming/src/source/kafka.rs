//! Kafka: its offsets are the next ones to be read of each partition. Spark: `KafkaMicroBatchStream`.
//!
//! Where a new query starts is noted in `sources/i/0` of the checkpoint before its first batch, in the form of Spark's
//! `KafkaSourceInitialOffsetWriter`: a zero byte, `v1`, a line break, and the offsets.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_connectors::kafka::{
    Cluster, KafkaTable, Offsets, StreamOptions, limited, parse_logged, print_offsets, schema as columns,
};
use boathouse_spec::{DataSourceRef, Error, Result, StructType, clock};
use datafusion::catalog::TableProvider;
use serde_json::{Map, Value};

use super::{Continuity, Limit, Source};
use crate::checkpoint::{Directory, lines_v1, with_v1};

/// The file of the offsets that a query started with.
const INITIAL: &str = "0";

pub(super) struct Kafka {
    schema: StructType,
    options: StreamOptions,
    cluster: Cluster,
    directory: Directory,
    initial: Option<Offsets>,
    /// Where the partitions ended when that was last asked.
    latest: Option<Offsets>,
    /// The end of all, with `availableNow`.
    fixed: Option<Offsets>,
    /// The end of the batch that was last read.
    consumed: Option<Offsets>,
    /// When `minOffsetsPerTrigger` last let a batch pass.
    last_trigger_ms: i64,
}

/// The columns of a source, without a query.
pub(super) fn schema(source: &DataSourceRef) -> Result<StructType> {
    let options = StreamOptions::new(&source.options)?;
    let columns = columns(options.source.include_headers);
    // A table over topics has in the catalog what a stream of it has anyway.
    if source.schema.as_ref().is_some_and(|given| given.fields.len() != columns.fields.len()) {
        return Err(Error::new("")
            .message(
                "requirement failed: Kafka source has a fixed schema and cannot be set with a custom one",
            )
            .exception("IllegalArgumentException"));
    }
    Ok(columns)
}

impl Kafka {
    pub fn open(source: &DataSourceRef, directory: Directory) -> Result<Self> {
        let schema = schema(source)?;
        let options = StreamOptions::new(&source.options)?;
        Ok(Self {
            schema,
            cluster: Cluster::new(options.source.clone(), "source"),
            options,
            directory,
            initial: None,
            latest: None,
            fixed: None,
            consumed: None,
            last_trigger_ms: 0,
        })
    }

    async fn from(&mut self, start: Option<&str>) -> Result<Offsets> {
        match start {
            Some(text) => parse_logged(text),
            None => self.initial().await,
        }
    }

    /// Where the query started: as noted, or as the options say, and then noted.
    async fn initial(&mut self) -> Result<Offsets> {
        if let Some(initial) = &self.initial {
            return Ok(initial.clone());
        }
        let initial = match self.noted().await? {
            Some(initial) => initial,
            None => {
                let initial = self.cluster.starting(&self.options.starting).await?;
                let contents = format!("\0{}", with_v1(print_offsets(&initial)));
                if self.directory.create(INITIAL, contents).await? {
                    Some(initial)
                } else {
                    self.noted().await?
                }
                .ok_or_else(|| corrupt(&self.directory))?
            }
        };
        self.initial = Some(initial.clone());
        Ok(initial)
    }

    async fn noted(&self) -> Result<Option<Offsets>> {
        let Some(bytes) = self.directory.read(INITIAL).await? else { return Ok(None) };
        let text = bytes.get(1..).and_then(|b| std::str::from_utf8(b).ok());
        let json = text.and_then(|t| lines_v1(t).ok()?.next()).ok_or_else(|| corrupt(&self.directory))?;
        parse_logged(json).map(Some)
    }

    /// As much of what there is as the options let a batch have.
    async fn allowed(&mut self, from: &Offsets, latest: Offsets) -> Result<Offsets> {
        if self.options.min_offsets.is_some_and(|min| self.waits(min, from, &latest)) {
            return Ok(from.clone());
        }
        let Some(max) = self.options.max_offsets else { return Ok(latest) };
        let mut from = from.clone();
        from.extend(self.cluster.added(&from, &latest).await?);
        Ok(limited(max, &from, &latest))
    }

    /// Whether there is too little for a batch, and it may wait for more. Spark: `delayBatch`.
    fn waits(&mut self, min: i64, from: &Offsets, latest: &Offsets) -> bool {
        let now = clock::now_ms();
        let new: i64 = latest.iter().map(|(place, end)| end - from.get(place).copied().unwrap_or(0)).sum();
        if now - self.last_trigger_ms < self.options.max_trigger_delay_ms && new < min {
            return true;
        }
        self.last_trigger_ms = now;
        false
    }
}

fn corrupt(directory: &Directory) -> Error {
    Error::new("STREAM_CHECKPOINT_CORRUPT").message(format!(
        "The first offsets of a stream from Kafka, {}/{INITIAL}, cannot be read.",
        directory.display()
    ))
}

#[async_trait]
impl Source for Kafka {
    fn schema(&self) -> &StructType {
        &self.schema
    }

    fn continuity(&self) -> Continuity {
        Continuity::RealTime
    }

    fn description(&self) -> String {
        format!("KafkaV2[{}]", self.cluster.description())
    }

    async fn prepare_available_now(&mut self) -> Result<()> {
        self.fixed = Some(self.cluster.latest(None).await?);
        Ok(())
    }

    async fn end_offset(&mut self, start: Option<&str>, limit: Limit) -> Result<Option<String>> {
        let from = self.from(start).await?;
        let latest = match &self.fixed {
            Some(fixed) => fixed.clone(),
            None => self.cluster.latest(Some(&from)).await?,
        };
        self.latest = Some(latest.clone());
        let end = match limit {
            Limit::All => latest,
            Limit::Options => self.allowed(&from, latest).await?,
        };
        if end.is_empty() {
            return Ok(None);
        }
        // Spark writes the same offsets in another order.
        if end == from && start.is_some() {
            return Ok(start.map(str::to_string));
        }
        Ok(Some(print_offsets(&end)))
    }

    fn latest_offset(&self) -> Option<String> {
        self.latest.as_ref().filter(|latest| !latest.is_empty()).map(print_offsets)
    }

    async fn slice(&mut self, start: Option<&str>, end: &str) -> Result<Arc<dyn TableProvider>> {
        let (from, until) = (self.from(start).await?, parse_logged(end)?);
        let ranges = self.cluster.ranges(&from, &until).await?;
        self.consumed = Some(until);
        Ok(Arc::new(KafkaTable::ranges(self.cluster.clone(), ranges)))
    }

    fn metrics(&self) -> Map<String, Value> {
        let (Some(consumed), Some(latest)) = (&self.consumed, &self.latest) else { return Map::new() };
        let behind: Vec<i64> =
            latest.iter().filter_map(|(place, end)| Some(end - consumed.get(place)?)).collect();
        let (Some(min), Some(max)) = (behind.iter().min(), behind.iter().max()) else { return Map::new() };
        let average = behind.iter().sum::<i64>() as f64 / behind.len() as f64;
        Map::from_iter([
            ("avgOffsetsBehindLatest".to_string(), Value::from(format!("{average:.1}"))),
            ("maxOffsetsBehindLatest".to_string(), Value::from(max.to_string())),
            ("minOffsetsBehindLatest".to_string(), Value::from(min.to_string())),
        ])
    }
}
