//! `rate-micro-batch`: the same number of rows in every batch, whenever it runs.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::Session;
use boathouse_spec::{DataSourceRef, Error, Result, StructType};
use datafusion::catalog::TableProvider;
use serde::{Deserialize, Serialize};

use super::generated::{self, Numbers};
use super::{Continuity, Limit, Source, rate};
use crate::options::{Given, invalid};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Offset {
    /// The next number.
    offset: i64,
    /// The time of its row, in milliseconds since the epoch.
    timestamp: i64,
}

pub(super) struct RateMicroBatch {
    schema: StructType,
    rows: i64,
    partitions: usize,
    start_ms: i64,
    advance_ms: i64,
    /// The one batch that `availableNow` reads ends here.
    last: Option<String>,
    is_fixed: bool,
}

impl RateMicroBatch {
    pub fn open(session: &Arc<Session>, source: &DataSourceRef) -> Result<Self> {
        rate::check(source)?;
        let given = Given(&source.options);
        let number = |key: &str, default: i64| match given.text(key) {
            None => Ok(default),
            Some(text) => match text.trim().parse::<i64>() {
                Ok(n) if n >= 0 => Ok(n),
                _ => Err(invalid(key, text, "must be a number that is not negative")),
            },
        };
        let rows = given.positive("rowsPerBatch")?.ok_or_else(|| {
            Error::new("_LEGACY_ERROR_TEMP_3242")
                .message("Invalid value '0'. The option 'rowsPerBatch' must be positive")
                .exception("IllegalArgumentException")
        })?;
        Ok(Self {
            schema: generated::schema(),
            rows,
            partitions: given
                .positive("numPartitions")?
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or_else(|| session.engine().parallelism()),
            start_ms: number("startTimestamp", 0)?,
            advance_ms: number("advanceMillisPerBatch", 1000)?,
            last: None,
            is_fixed: false,
        })
    }

    fn offset(&self, text: Option<&str>) -> Result<Offset> {
        match text {
            None => Ok(Offset { offset: 0, timestamp: self.start_ms }),
            Some(text) => serde_json::from_str(text).map_err(|_| {
                Error::new("STREAM_CHECKPOINT_CORRUPT")
                    .message(format!("{text} is no offset of this source."))
            }),
        }
    }
}

#[async_trait]
impl Source for RateMicroBatch {
    fn schema(&self) -> &StructType {
        &self.schema
    }

    fn continuity(&self) -> Continuity {
        Continuity::Batches("rate-micro-batch")
    }

    fn description(&self) -> String {
        format!(
            "RatePerMicroBatchStream[rowsPerBatch={}, numPartitions={}, startTimestamp={}, advanceMsPerBatch={}]",
            self.rows, self.partitions, self.start_ms, self.advance_ms
        )
    }

    async fn prepare_available_now(&mut self) -> Result<()> {
        self.is_fixed = true;
        Ok(())
    }

    async fn end_offset(&mut self, start: Option<&str>, _limit: Limit) -> Result<Option<String>> {
        if let Some(last) = &self.last {
            return Ok(Some(last.clone()));
        }
        let from = self.offset(start)?;
        let end = Offset { offset: from.offset + self.rows, timestamp: from.timestamp + self.advance_ms };
        let end = serde_json::to_string(&end).map_err(|e| Error::internal(e.to_string()))?;
        if self.is_fixed {
            self.last = Some(end.clone());
        }
        Ok(Some(end))
    }

    async fn slice(&mut self, start: Option<&str>, end: &str) -> Result<Arc<dyn TableProvider>> {
        let (from, to) = (self.offset(start)?, self.offset(Some(end))?);
        let numbers = Numbers {
            from: from.offset,
            to: to.offset,
            start_us: from.timestamp.saturating_mul(1000),
            step_us: 0.0,
        };
        generated::table(&numbers, self.partitions)
    }
}
