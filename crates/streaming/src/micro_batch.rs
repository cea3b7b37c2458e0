//! A query as micro-batches: what is new is planned, written to the offset log, run, and noted as done, in this order, so that
//! a crash at any point leaves either nothing of a batch or all that is needed to run the same batch again.

mod epoch;

use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use boathouse_bridge::{ResultExt, arrow_schema};
use boathouse_engine::{KeptQuery, Session};
use boathouse_spec::{Error, ExplainMode, Plan, Relation, Result, StructField, StructType, clock, fault};
use datafusion::catalog::MemTable;
use datafusion::logical_expr::LogicalPlan;
use indexmap::IndexMap;
use tokio_util::sync::CancellationToken;

use crate::changed_rows;
use crate::checkpoint::{Checkpoint, CommitEntry, Directory, OffsetEntry, Retention, Settling};
use crate::event_times;
use crate::observed;
use crate::progress::{Progress, SinkProgress, SourceProgress, Timer, timestamp};
use crate::query::{Batch, Change, QueryDefinition, Sink};
use crate::reader::{Bound, Opening};
use crate::slice::StreamSlice;
use crate::source::{Continuity, Limit, Source};
use crate::stateful::{self, Batches, Marks, Memory, Seen, Shape, State, StateIds};

use epoch::Epoch;

/// Settings that a restart takes from the checkpoint, in the order Spark writes them.
const KEPT_SETTINGS: &[&str] = &[
    "spark.sql.streaming.stateStore.providerClass",
    "spark.sql.streaming.stateStore.rocksdb.mergeOperatorVersion",
    "spark.sql.streaming.stateStore.rocksdb.formatVersion",
    "spark.sql.streaming.queryEvolution.enableSourceEvolution",
    "spark.sql.streaming.stateStore.encodingFormat",
    "spark.sql.streaming.statefulOperator.useStrictDistribution",
    "spark.sql.streaming.flatMapGroupsWithState.stateFormatVersion",
    "spark.sql.streaming.multipleWatermarkPolicy",
    "spark.sql.streaming.stateStore.rowChecksum.enabled",
    "spark.sql.streaming.aggregation.stateFormatVersion",
    "spark.sql.function.protobufExtensions.enabled",
    "spark.sql.shuffle.partitions",
    "spark.sql.streaming.join.stateFormatVersion",
    "spark.sql.streaming.stateStore.compression.codec",
    "spark.sql.optimizer.pruneFiltersCanPruneStreamingSubplan",
];

/// A streaming query that runs batch by batch.
pub struct MicroBatchQuery {
    session: Arc<Session>,
    definition: QueryDefinition,
    sink: Arc<dyn Sink>,
    id: String,
    run_id: String,
    checkpoint: Checkpoint,
    /// The query, names fixed as they were at its start.
    query: KeptQuery,
    /// As it was analyzed then.
    plan: LogicalPlan,
    schema: StructType,
    sources: Vec<Reading>,
    conf: IndexMap<String, String>,
    /// The batch to be run next.
    next: i64,
    /// That batch, where it was planned before a restart and is not done.
    planned: Option<OffsetEntry>,
    watermark_ms: i64,
    /// The watermark that the last batch ran with; `None` before the first.
    ran_with_ms: Option<i64>,
    /// The watermark of each watermark node, in milliseconds.
    watermarks: Vec<i64>,
    shape: Shape,
    /// What the sink is told of its rows.
    change: Change,
    /// Whether the query observes metrics of its rows.
    observes: bool,
    /// What it observed of the last batch.
    observed: serde_json::Map<String, serde_json::Value>,
    state: State,
    last_trigger_ms: Option<i64>,
    /// The last entry of a log that was written.
    settling: Settling,
    /// Whether this run has removed what earlier ones left of old logs.
    has_purged: bool,
    /// The plan of the first batch of this run.
    explanation: Option<String>,
    /// Where checkpoints are written once an interval.
    epoch: Option<Epoch>,
}

/// A source, and how far it was read.
struct Reading {
    source: Box<dyn Source>,
    schema: StructType,
    committed: Option<String>,
}

impl MicroBatchQuery {
    /// Resolves the sources, reads the checkpoint, and makes it where there is none.
    pub async fn open(
        session: Arc<Session>,
        definition: QueryDefinition,
        sink: Arc<dyn Sink>,
    ) -> Result<Self> {
        let checkpoint =
            Checkpoint::new(Directory::open(&session, &definition.checkpoint)?, Retention::of(&session))
                .of_session(&session);
        let id = checkpoint.query_id().await?;
        let opening = Arc::new(Opening::new(checkpoint.clone()));
        let query = KeptQuery::new(&session, definition.input.clone(), opening.clone());
        let (plan, schema) = plan_of(&session, query.clone()).await?;
        let mut opened = opening.take();
        event_times::tell(&plan, &mut opened)?;
        let sources: Vec<Reading> = opened
            .into_iter()
            .map(|source| Reading { schema: source.schema().clone(), source, committed: None })
            .collect();
        if sources.is_empty() {
            return Err(not_streaming());
        }
        let is_strict = session.conf().flag("spark.sql.streaming.statefulOperator.checkCorrectness.enabled");
        let shape = stateful::check(&plan, definition.output_mode, is_strict)?;
        let state = State::new(&checkpoint, Memory::of(&session), None);
        let mut this = Self {
            shape,
            change: Change::default(),
            observes: !boathouse_engine::observed(&plan).is_empty(),
            observed: serde_json::Map::new(),
            state,
            ran_with_ms: None,
            watermarks: Vec::new(),
            conf: kept_settings(&session),
            session,
            definition,
            sink,
            id,
            run_id: uuid::Uuid::new_v4().to_string(),
            checkpoint,
            query,
            plan,
            schema,
            sources,
            next: 0,
            planned: None,
            watermark_ms: 0,
            last_trigger_ms: None,
            settling: Settling::default(),
            has_purged: false,
            explanation: None,
            epoch: None,
        };
        this.resume().await?;
        Ok(this)
    }

    /// Takes up where the checkpoint says.
    async fn resume(&mut self) -> Result<()> {
        // What an earlier run wrote last may be known to the system and not to the disk yet.
        self.checkpoint.settle_logs().await?;
        let Some((batch, entry)) = self.checkpoint.latest_offsets().await? else {
            return Ok(());
        };
        if entry.offsets.len() != self.sources.len() {
            return Err(Error::new("STREAMING_SOURCES_CHANGED")
                .param("checkpointLocation", self.checkpoint.root().display())
                .message(format!(
                    "There are {} sources in the checkpoint offsets and now there are {} sources requested by the query. Cannot \
                     continue: start the query with a new checkpoint.",
                    entry.offsets.len(),
                    self.sources.len()
                ))
                .exception("IllegalStateException"));
        }
        for (key, value) in &entry.conf {
            self.conf.insert(key.clone(), value.clone());
        }
        let commit = self.checkpoint.latest_commit().await?;
        if let Some((_, commit)) = &commit {
            self.watermarks.clone_from(&commit.watermarks_ms);
        }
        match commit {
            Some((done, commit)) if done >= batch => {
                self.next = batch + 1;
                self.watermark_ms = commit.next_watermark_ms;
                self.ran_with_ms = Some(entry.watermark_ms);
                self.state = self.state_of(done, commit.state_ids);
                self.committed(&entry);
            }
            done => {
                // The batch was planned and is not known to be done: it is run again, over the same rows.
                if let Some((done, commit)) = &done {
                    let state_ids = commit.state_ids.clone();
                    self.state = self.state_of(*done, state_ids);
                }
                if let Some((done, _)) = done.filter(|(done, _)| done + 1 != batch) {
                    tracing::warn!(
                        "batch {batch} of the query {} was planned, and the last one done is {done}",
                        self.id
                    );
                }
                if batch > 0 {
                    let before = self.checkpoint.offsets_of(batch - 1).await?;
                    self.ran_with_ms = Some(before.watermark_ms);
                    self.committed(&before);
                }
                self.next = batch;
                self.watermark_ms = entry.watermark_ms;
                self.planned = Some(entry);
            }
        }
        Ok(())
    }

    /// The state that a batch left.
    fn state_of(&self, batch: i64, ids: StateIds) -> State {
        State::new(&self.checkpoint, Memory::of(&self.session), Some((batch + 1, ids)))
    }

    fn committed(&mut self, entry: &OffsetEntry) {
        for (reading, offset) in self.sources.iter_mut().zip(&entry.offsets) {
            reading.committed.clone_from(offset);
        }
    }

    /// The columns of the rows given to the sink.
    pub fn schema(&self) -> &StructType {
        &self.schema
    }

    /// The id of the query, which stays over restarts.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id of this run.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The analyzed query.
    pub(crate) fn analyzed(&self) -> &LogicalPlan {
        &self.plan
    }

    pub(crate) fn is_stateful(&self) -> bool {
        self.shape.is_stateful()
    }

    /// Whether the sink runs the query itself: what remembers, and what is observed, is run once, whatever sinks do.
    fn is_plain(&self) -> bool {
        self.shape.is_plain() && !self.observes
    }

    /// Has the sink told by which columns rows take the place of earlier ones; false where that is not known.
    pub(crate) fn tell_changed_rows(&mut self) -> bool {
        let change = changed_rows::change(&self.plan, &self.schema);
        let is_known = change.is_some();
        self.change = change.unwrap_or_default();
        is_known
    }

    pub(crate) fn continuity(&self) -> impl Iterator<Item = Continuity> {
        self.sources.iter().map(|s| s.source.continuity())
    }

    pub(crate) fn source_classes(&self) -> impl Iterator<Item = String> {
        self.sources.iter().map(|s| s.source.class_name())
    }

    pub fn definition(&self) -> &QueryDefinition {
        &self.definition
    }

    /// The plan of the batches, once one has run.
    pub fn explanation(&self) -> Option<String> {
        self.explanation.clone()
    }

    /// The batch that would be run next.
    pub fn next_batch(&self) -> i64 {
        self.next
    }

    /// Runs all that is there now, in batches. Stops between two batches, or within one, when `stop` is cancelled; a batch
    /// that was stopped is run again by the next start.
    pub async fn run_available_now(
        &mut self,
        stop: CancellationToken,
        mut on_progress: impl FnMut(&Progress) + Send,
    ) -> Result<()> {
        self.prepare_available_now().await?;
        while !stop.is_cancelled() {
            let progress = tokio::select! {
                progress = self.step(false) => progress?,
                () = stop.cancelled() => break,
            };
            match progress {
                Some(progress) => on_progress(&progress),
                None => break,
            }
        }
        Ok(())
    }

    /// Fixes the end of all sources: nothing that comes later is read.
    pub async fn prepare_available_now(&mut self) -> Result<()> {
        for reading in &mut self.sources {
            reading.source.prepare_available_now().await?;
        }
        Ok(())
    }

    /// Plans and runs one batch, of all that is there with `all`, of what the sources' options allow without. `None` where
    /// there is nothing new.
    pub async fn step(&mut self, all: bool) -> Result<Option<Progress>> {
        let mut timer = Timer::start();
        let entry = match self.planned.take() {
            Some(entry) => entry,
            None => {
                let limit = if all { Limit::All } else { Limit::Options };
                let Some(entry) = self.plan(limit, &mut timer).await? else {
                    self.settled().await?;
                    return Ok(None);
                };
                let from = Instant::now();
                self.settled().await?;
                self.settling = self.checkpoint.write_offsets(self.next, &entry).await?;
                fault::point("streaming::after-offsets")?;
                self.forget_done().await?;
                timer.add("walCommit", from);
                entry
            }
        };
        self.run(entry, timer).await.map(Some)
    }

    /// Where each source's next batch ends; `None` where none has anything new.
    async fn plan(&mut self, limit: Limit, timer: &mut Timer) -> Result<Option<OffsetEntry>> {
        let from = Instant::now();
        let mut offsets = Vec::with_capacity(self.sources.len());
        let mut is_new = false;
        for reading in &mut self.sources {
            let start = reading.committed.as_deref();
            let end = reading.source.end_offset(start, limit).await?.or_else(|| reading.committed.clone());
            is_new |= end != reading.committed;
            offsets.push(end);
        }
        timer.add("latestOffset", from);
        let timestamp_ms = clock::now_ms();
        if self.session.conf().flag("spark.sql.streaming.noDataMicroBatches.enabled") {
            // What the watermark has passed since is given out, also without new rows.
            is_new |= self.shape.expires && self.ran_with_ms.is_some_and(|ran| self.watermark_ms > ran);
            is_new |= self.state.is_due(timestamp_ms);
        }
        Ok(is_new.then(|| OffsetEntry {
            watermark_ms: self.watermark_ms,
            timestamp_ms,
            conf: self.conf.clone(),
            offsets,
        }))
    }

    /// Tells the sources that the batch before is done, and removes old logs.
    async fn forget_done(&mut self) -> Result<()> {
        for reading in &mut self.sources {
            if let Some(end) = reading.committed.clone() {
                reading.source.commit(&end).await?;
            }
        }
        let is_first = !std::mem::replace(&mut self.has_purged, true);
        self.checkpoint.purge(self.next, is_first).await
    }

    /// Runs the batch that was planned.
    async fn run(&mut self, entry: OffsetEntry, mut timer: Timer) -> Result<Progress> {
        let from = Instant::now();
        let slices = self.slices(&entry).await?;
        timer.add("getBatch", from);

        let from = Instant::now();
        let counted: Vec<StreamSlice> = slices.iter().map(|(s, _)| s.clone()).collect();
        let (state_ids, seen) = self.add_batch(&entry, slices).await?;
        timer.add("addBatch", from);
        fault::point("streaming::after-sink")?;

        let from = Instant::now();
        self.move_watermark(&seen);
        let watermarks_ms = self.watermarks.clone();
        let commit = CommitEntry { next_watermark_ms: self.watermark_ms, watermarks_ms, state_ids };
        self.settling = self.checkpoint.write_commit(self.next, &commit).await?;
        timer.add("commitOffsets", from);
        fault::point("streaming::after-commit")?;

        self.ran_with_ms = Some(entry.watermark_ms);
        let starts: Vec<Option<String>> = self.sources.iter().map(|s| s.committed.clone()).collect();
        let rows: Vec<i64> = counted.iter().map(StreamSlice::rows_read).collect();
        let progress = self.progress(&entry, &starts, &rows, &seen, timer);
        self.committed(&entry);
        self.next += 1;
        Ok(progress)
    }

    /// The rows of each source up to the ends that were planned.
    async fn slices(&mut self, entry: &OffsetEntry) -> Result<Vec<(StreamSlice, StructType)>> {
        let mut slices = Vec::with_capacity(self.sources.len());
        for (reading, end) in self.sources.iter_mut().zip(&entry.offsets) {
            let slice = match end {
                Some(end) if reading.committed.as_ref() != Some(end) => {
                    StreamSlice::new(reading.source.slice(reading.committed.as_deref(), end).await?)
                }
                _ => StreamSlice::empty(&reading.schema),
            };
            slices.push((slice, reading.schema.clone()));
        }
        Ok(slices)
    }

    /// Gives the rows to the sink; the state after the batch, and the event times in it.
    async fn add_batch(
        &mut self,
        entry: &OffsetEntry,
        slices: Vec<(StreamSlice, StructType)>,
    ) -> Result<(StateIds, Vec<(i64, Seen)>)> {
        let reader = Arc::new(Bound { slices, is_streaming: !self.is_plain() });
        let now_us = entry.timestamp_ms.saturating_mul(1000);
        let query = Kept::new(&self.session, self.query.with_reader(reader, now_us));
        if self.is_plain() {
            self.state.begin(&[]).await?;
            self.give(entry, &query).await?;
            return Ok((StateIds::new(), Vec::new()));
        }
        // The query runs once, whatever the sink does with its rows: state changes with each run.
        let (plan, schema) = self.session.logical_plan(&query.relation).await?;
        let marks = Marks {
            late_us: self.ran_with_ms.map(|ms| ms.saturating_mul(1000)),
            now_us: entry.watermark_ms.saturating_mul(1000),
        };
        let batches =
            Batches::new(&self.session, self.definition.output_mode, self.next, entry.timestamp_ms, marks);
        let rows = batches.run(&mut self.state, plan.clone()).await?;
        self.observed = observed::metrics(&self.session, &plan);
        fault::point("streaming::before-state")?;
        let (state_ids, settling) = self.state.commit(self.next).await?;
        self.state.fit()?;
        fault::point("streaming::after-state")?;
        let rows = Kept::rows(&self.session, rows, schema)?;
        // A batch that is broken off runs again upon the state before it, so that only the log of those that are done waits.
        self.give(entry, &rows).await?;
        settling.done().await?;
        Ok((state_ids, batches.tracker.seen()))
    }

    async fn give(&mut self, entry: &OffsetEntry, rows: &Kept) -> Result<()> {
        let batch = Batch {
            id: self.next,
            part: self.epoch.as_ref().map_or(0, Epoch::part),
            query_id: self.id.clone(),
            rows: rows.relation.clone(),
            change: self.change.clone(),
            timestamp_ms: entry.timestamp_ms,
        };
        if self.explanation.is_none() {
            let plan = Plan::Query(batch.rows.clone());
            self.explanation = self.session.explain(&plan, ExplainMode::Simple).await.ok();
        }
        // What is written elsewhere must not outlast the plan of its batch.
        self.settled().await?;
        self.sink.write(&self.session, batch).await
    }

    /// Waits until the log is on the disk.
    pub async fn settled(&mut self) -> Result<()> {
        std::mem::take(&mut self.settling).done().await
    }

    /// The watermark after a batch that saw these event times.
    fn move_watermark(&mut self, seen: &[(i64, Seen)]) {
        self.watermarks.resize(seen.len(), 0);
        for (known, (delay_us, seen)) in self.watermarks.iter_mut().zip(seen) {
            if seen.count > 0 {
                *known = (*known).max(seen.max.div_euclid(1000) - delay_us / 1000);
            }
        }
        let latest = self
            .conf
            .get("spark.sql.streaming.multipleWatermarkPolicy")
            .is_some_and(|p| p.eq_ignore_ascii_case("max"));
        let chosen = if latest { self.watermarks.iter().max() } else { self.watermarks.iter().min() };
        self.watermark_ms = self.watermark_ms.max(chosen.copied().unwrap_or(0));
    }

    fn progress(
        &mut self,
        entry: &OffsetEntry,
        starts: &[Option<String>],
        rows: &[i64],
        seen: &[(i64, Seen)],
        timer: Timer,
    ) -> Progress {
        let ends = starts.iter().zip(&entry.offsets).zip(rows);
        let sources = self.sources.iter().zip(ends).map(|(reading, ((start, end), rows))| SourceProgress {
            description: reading.source.description(),
            start_offset: start.clone(),
            end_offset: end.clone(),
            latest_offset: reading.source.latest_offset(),
            num_input_rows: *rows,
            metrics: reading.source.metrics(),
        });
        let sources = sources.collect();
        let timestamp_ms = timer.started_ms;
        let since = self.last_trigger_ms.replace(timestamp_ms).map(|before| timestamp_ms - before);
        Progress {
            id: self.id.clone(),
            run_id: self.run_id.clone(),
            name: self.definition.name.clone(),
            timestamp_ms,
            batch_id: self.next,
            durations_ms: timer.finish(),
            event_time: if self.shape.watermarks > 0 {
                event_time(entry.watermark_ms, seen)
            } else {
                IndexMap::new()
            },
            state_operators: self.state.progress(),
            sources,
            sink: SinkProgress {
                description: self.sink.description(),
                num_output_rows: self.sink.num_output_rows(),
            },
            observed: std::mem::take(&mut self.observed),
            since_last_trigger_ms: since,
        }
    }
}

/// A relation that the session keeps as long as this lives.
struct Kept {
    session: Arc<Session>,
    relation: Relation,
}

impl Kept {
    fn new(session: &Arc<Session>, query: KeptQuery) -> Self {
        Self { relation: session.keep_query(query), session: Arc::clone(session) }
    }

    /// Rows that are there, in the order of the schema's columns.
    fn rows(session: &Arc<Session>, rows: Vec<RecordBatch>, schema: StructType) -> Result<Self> {
        let nullable = schema.fields.iter().map(|f| StructField { nullable: true, ..f.clone() }).collect();
        let schema = StructType::new(nullable);
        // Names may occur twice; the table goes by positions.
        let unnamed =
            schema.fields.iter().enumerate().map(|(i, f)| StructField { name: i.to_string(), ..f.clone() });
        let arrow = Arc::new(arrow_schema(&StructType::new(unnamed.collect())));
        let rows =
            rows.iter().map(|b| boathouse_bridge::conform_batch(b, &arrow)).collect::<Result<Vec<_>>>()?;
        let table = MemTable::try_new(arrow, vec![rows]).spark()?;
        Ok(Self { relation: session.keep_table(Arc::new(table), schema), session: Arc::clone(session) })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.session.remove_table(&self.relation);
    }
}

async fn plan_of(session: &Arc<Session>, query: KeptQuery) -> Result<(LogicalPlan, StructType)> {
    let kept = Kept::new(session, query);
    session.logical_plan(&kept.relation).await
}

/// The part of a progress report about event times.
fn event_time(watermark_ms: i64, seen: &[(i64, Seen)]) -> IndexMap<String, String> {
    let mut out = IndexMap::new();
    if let Some((_, seen)) = seen.iter().find(|(_, s)| s.count > 0) {
        let text = |us: i64| timestamp(us.div_euclid(1000));
        out.insert("avg".to_string(), text((seen.sum / seen.count as f64) as i64));
        out.insert("max".to_string(), text(seen.max));
        out.insert("min".to_string(), text(seen.min));
    }
    out.insert("watermark".to_string(), timestamp(watermark_ms));
    out
}

fn kept_settings(session: &Session) -> IndexMap<String, String> {
    KEPT_SETTINGS.iter().filter_map(|key| Some(((*key).to_string(), session.conf().get(key)?))).collect()
}

fn not_streaming() -> Error {
    Error::new("WRITE_STREAM_NOT_ALLOWED")
        .message("`writeStream` can be called only on streaming Dataset/DataFrame.")
        .exception("AnalysisException")
}
