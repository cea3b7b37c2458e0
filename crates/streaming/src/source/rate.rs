//! `rate`: so many rows a second, for trying out. Its offsets are the seconds since the query began.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::Session;
use boathouse_spec::{DataSourceRef, Error, Result, StructType, clock};
use datafusion::catalog::TableProvider;

use super::generated::{self, Numbers};
use super::{Continuity, Limit, Source};
use crate::checkpoint::{Directory, lines_v1, with_v1};
use crate::options::Given;

pub(super) struct Rate {
    schema: StructType,
    rows_per_second: i64,
    ramp_up_s: i64,
    partitions: Option<usize>,
    parallelism: usize,
    /// When the query began, in milliseconds since the epoch.
    created_ms: i64,
    /// The last second to be read, with `availableNow`.
    last_second: Option<i64>,
}

impl Rate {
    pub async fn open(session: &Arc<Session>, source: &DataSourceRef, directory: &Directory) -> Result<Self> {
        check(source)?;
        let given = Given(&source.options);
        let partitions = given.positive("numPartitions")?.and_then(|n| usize::try_from(n).ok());
        let rows_per_second = given.positive("rowsPerSecond")?.unwrap_or(1);
        let ramp_up_s = given.duration_ms("rampUpTime")?.unwrap_or(0) / 1000;
        if ramp_up_s > most_seconds(rows_per_second) {
            return Err(
                too_many("INCORRECT_RAMP_UP_RATE", rows_per_second).param("rampUpTimeSeconds", ramp_up_s)
            );
        }
        Ok(Self {
            schema: generated::schema(),
            rows_per_second,
            ramp_up_s,
            partitions,
            parallelism: session.engine().parallelism(),
            created_ms: created_ms(directory).await?,
            last_second: None,
        })
    }

    fn now(&self) -> i64 {
        ((clock::now_ms() - self.created_ms) / 1000).max(0)
    }

    /// The number that a second begins with.
    fn value_at(&self, second: i64) -> i64 {
        let ramped = second.min(self.ramp_up_s);
        let per_second = self.rows_per_second / (self.ramp_up_s + 1);
        let ramp = if ramped % 2 == 1 {
            (ramped + 1) / 2 * per_second * ramped
        } else {
            ramped / 2 * per_second * (ramped + 1)
        };
        ramp + (second - ramped) * self.rows_per_second
    }
}

/// The numbers of the rows are 64 bits wide.
fn most_seconds(rows_per_second: i64) -> i64 {
    i64::MAX / rows_per_second
}

fn too_many(class: &str, rows_per_second: i64) -> Error {
    let most = most_seconds(rows_per_second);
    Error::new(class)
        .param("rowsPerSecond", rows_per_second)
        .param("maxSeconds", most)
        .message(format!("With {rows_per_second} rows a second the numbers of rows last for {most} seconds, which is not enough."))
        .exception("SparkRuntimeException")
}

pub(super) fn check(source: &DataSourceRef) -> Result<()> {
    if source.schema.is_some() {
        return Err(Error::new("_LEGACY_ERROR_TEMP_2242")
            .param("provider", &source.format)
            .message(format!("The {} source does not support user-specified schema.", source.format))
            .exception("UnsupportedOperationException"));
    }
    Ok(())
}

/// When the query began: noted on its first start, as Spark does.
async fn created_ms(directory: &Directory) -> Result<i64> {
    let parse = |text: &str| -> Option<i64> { lines_v1(text).ok()?.next()?.trim().parse().ok() };
    let corrupt =
        || Error::new("STREAM_CHECKPOINT_CORRUPT").message("The start of a rate source cannot be read.");
    if let Some(text) = directory.read_text("0").await? {
        return parse(&text).ok_or_else(corrupt);
    }
    let now = clock::now_ms();
    if directory.create("0", with_v1(now)).await? {
        return Ok(now);
    }
    directory.read_text("0").await?.as_deref().and_then(parse).ok_or_else(corrupt)
}

fn second(offset: &str) -> Result<i64> {
    offset.trim().parse().map_err(|_| {
        Error::new("STREAM_CHECKPOINT_CORRUPT").message(format!("{offset} is no offset of a rate source."))
    })
}

#[async_trait]
impl Source for Rate {
    fn schema(&self) -> &StructType {
        &self.schema
    }

    fn class_name(&self) -> String {
        "org.apache.spark.sql.execution.streaming.sources.RateStreamMicroBatchStream".to_string()
    }

    fn continuity(&self) -> Continuity {
        Continuity::Continuous
    }

    fn description(&self) -> String {
        let partitions = self.partitions.map_or_else(|| "default".to_string(), |n| n.to_string());
        format!(
            "RateStreamV2[rowsPerSecond={}, rampUpTimeSeconds={}, numPartitions={partitions}",
            self.rows_per_second, self.ramp_up_s
        )
    }

    async fn prepare_available_now(&mut self) -> Result<()> {
        self.last_second = Some(self.now());
        Ok(())
    }

    async fn end_offset(&mut self, start: Option<&str>, _limit: Limit) -> Result<Option<String>> {
        // Where the clock was set back, nothing is new until it has come to where it was.
        let begun = start.map_or(Ok(0), second)?;
        Ok(Some(self.last_second.unwrap_or_else(|| self.now()).max(begun).to_string()))
    }

    fn latest_offset(&self) -> Option<String> {
        Some(self.now().to_string())
    }

    async fn slice(&mut self, start: Option<&str>, end: &str) -> Result<Arc<dyn TableProvider>> {
        let (first, last) = (start.map_or(Ok(0), second)?, second(end)?);
        if last > most_seconds(self.rows_per_second) {
            return Err(too_many("INTERNAL_ERROR", self.rows_per_second).param("endSeconds", last));
        }
        let (from, to) = (self.value_at(first), self.value_at(last));
        let numbers = Numbers {
            from,
            to,
            start_us: (self.created_ms + first * 1000) * 1000,
            step_us: if to > from { (last - first) as f64 * 1e6 / (to - from) as f64 } else { 0.0 },
        };
        generated::table(&numbers, self.partitions.unwrap_or(self.parallelism))
    }
}
