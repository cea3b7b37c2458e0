//! Epochs of continuous queries and of real-time mode: rows go to the sink as they come, and the logs are written once for all rows
//! of an interval. What came since then comes again after a restart, as Spark promises no more for such queries.

use std::time::{Duration, Instant};

use boathouse_spec::{Result, fault};

use super::MicroBatchQuery;
use crate::checkpoint::{CommitEntry, OffsetEntry};
use crate::progress::{Progress, Timer};
use crate::slice::StreamSlice;
use crate::source::Limit;

/// The epoch that runs.
pub(super) struct Epoch {
    interval: Duration,
    begun: Instant,
    timer: Timer,
    /// Where each source was when it began.
    starts: Vec<Option<String>>,
    /// The rows of each source since then, and those that the sink has had.
    rows: Vec<i64>,
    written: Option<i64>,
    /// How far the last part of it read; `None` as long as there was none.
    read: Option<OffsetEntry>,
    /// Parts that the sink has had.
    part: u64,
}

impl Epoch {
    fn new(interval: Duration, starts: Vec<Option<String>>) -> Self {
        Self {
            interval,
            begun: Instant::now(),
            timer: Timer::start(),
            rows: vec![0; starts.len()],
            starts,
            written: None,
            read: None,
            part: 0,
        }
    }

    pub fn part(&self) -> u64 {
        self.part
    }
}

impl MicroBatchQuery {
    /// From now on checkpoints are written once an interval, where the sink takes rows in parts and nothing is remembered.
    pub(crate) fn run_in_epochs(&mut self, interval: Duration) {
        if self.is_plain() && self.sink.takes_parts() && !interval.is_zero() {
            self.epoch = Some(Epoch::new(interval, self.places()));
        }
    }

    fn places(&self) -> Vec<Option<String>> {
        self.sources.iter().map(|s| s.committed.clone()).collect()
    }

    /// Gives what has come to the sink; whether there was something, and the report of the epoch or batch that ended.
    pub(crate) async fn look(&mut self, all: bool) -> Result<(bool, Option<Progress>)> {
        if self.epoch.is_none() || self.planned.is_some() {
            let progress = self.step(all).await?;
            let places = self.places();
            if let Some(epoch) = &mut self.epoch {
                epoch.starts = places;
            }
            return Ok((progress.is_some(), progress));
        }
        let found = self.part().await?;
        Ok((found, self.end_epoch(false).await?))
    }

    /// Gives the rows that have come since the last look to the sink; whether there were any.
    async fn part(&mut self) -> Result<bool> {
        let mut timer = Timer::start();
        let Some(entry) = self.plan(Limit::Options, &mut timer).await? else { return Ok(false) };
        let from = Instant::now();
        let slices = self.slices(&entry).await?;
        let counted: Vec<StreamSlice> = slices.iter().map(|(s, _)| s.clone()).collect();
        self.add_batch(&entry, slices).await?;
        self.committed(&entry);
        let written = self.sink.num_output_rows();
        let Some(epoch) = &mut self.epoch else { return Ok(true) };
        epoch.timer.add("addBatch", from);
        for (sum, slice) in epoch.rows.iter_mut().zip(&counted) {
            *sum += slice.rows_read();
        }
        epoch.written = written.map(|n| n + epoch.written.unwrap_or(0));
        epoch.part += 1;
        epoch.read = Some(entry);
        Ok(true)
    }

    /// Notes how far everything was read, where the interval has passed, or at the end of the query.
    pub(crate) async fn end_epoch(&mut self, is_last: bool) -> Result<Option<Progress>> {
        let is_over = |e: &Epoch| e.read.is_some() && (is_last || e.begun.elapsed() >= e.interval);
        let Some(mut epoch) = self.epoch.take_if(|e| is_over(e)) else { return Ok(None) };
        let interval = epoch.interval;
        let entry = epoch.read.take().unwrap_or_default();
        let from = Instant::now();
        self.settled().await?;
        self.checkpoint.write_offsets(self.next, &entry).await?.done().await?;
        fault::point("streaming::after-offsets")?;
        self.forget_done().await?;
        let commit = CommitEntry { next_watermark_ms: self.watermark_ms, ..CommitEntry::default() };
        self.settling = self.checkpoint.write_commit(self.next, &commit).await?;
        epoch.timer.add("walCommit", from);
        let mut progress = self.progress(&entry, &epoch.starts, &epoch.rows, &[], epoch.timer);
        progress.sink.num_output_rows = epoch.written;
        self.next += 1;
        self.epoch = Some(Epoch::new(interval, self.places()));
        Ok(Some(progress))
    }
}
