//! What a query knows of its topics: which partitions it reads and where they begin and end. Spark: `KafkaOffsetReaderAdmin`.

use std::sync::Arc;
use std::time::Duration;

use boathouse_spec::{Error, Result};
use parking_lot::Mutex;

use super::client::{At, Client};
use super::errors::{DataLoss, illegal_argument};
use super::fetch::Readers;
use super::offsets::{EARLIEST, LATEST, Offsets, TopicPartition, show};
use super::options::{Limit, NoMatch, SourceOptions, Strategy};
use super::ranges::Range;

/// The topics of one query. Cheap to clone; the connection is made when it is first needed.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    options: SourceOptions,
    group: String,
    client: Mutex<Option<Arc<Client>>>,
    readers: Readers,
}

impl Drop for Inner {
    /// Closing a connection waits for it: not on the thread that happens to be here.
    fn drop(&mut self) {
        let (client, readers) = (self.client.lock().take(), self.readers.close());
        if client.is_some() || !readers.is_empty() {
            std::thread::spawn(move || drop((client, readers)));
        }
    }
}

impl Cluster {
    pub fn new(options: SourceOptions, kind: &str) -> Self {
        let prefix = options.group_prefix.clone().unwrap_or_else(|| format!("spark-kafka-{kind}"));
        let group = format!("{prefix}-{}", uuid::Uuid::new_v4());
        let readers = Readers::new(options.properties.clone(), group.clone());
        Self(Arc::new(Inner { options, group, client: Mutex::default(), readers }))
    }

    pub fn options(&self) -> &SourceOptions {
        &self.0.options
    }

    /// The consumer group that messages and permissions name.
    pub fn group(&self) -> &str {
        self.0.options.properties.group.as_deref().unwrap_or(&self.0.group)
    }

    pub(super) fn readers(&self) -> &Readers {
        &self.0.readers
    }

    /// As Spark names the choice of partitions: `Subscribe[t]`.
    pub fn description(&self) -> String {
        match &self.0.options.strategy {
            Strategy::Assign(places) => {
                let shown: Vec<String> = places.iter().map(TopicPartition::to_string).collect();
                format!("Assign[{}]", shown.join(", "))
            }
            Strategy::Subscribe(topics) => format!("Subscribe[{}]", topics.join(", ")),
            Strategy::Pattern(pattern) => format!("SubscribePattern[{}]", pattern.as_str()),
        }
    }

    /// Asks with a few attempts, each on a thread that may wait. A client that failed is made anew.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&Client, &SourceOptions) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let question = Arc::new(question);
        let mut attempt = 1;
        loop {
            let (this, question) = (self.clone(), Arc::clone(&question));
            let asked = tokio::task::spawn_blocking(move || {
                this.client().and_then(|client| question(&client, &this.0.options))
            });
            match asked.await.map_err(|e| Error::internal(format!("asking Kafka: {e}")))? {
                Err(e)
                    if attempt < self.0.options.fetch_retries
                        && e.exception_name() != Some("IllegalArgumentException") =>
                {
                    tracing::warn!("attempt {attempt} to get offsets from Kafka: {e}");
                    attempt += 1;
                    *self.0.client.lock() = None;
                    self.retry_interval().await;
                }
                done => return done,
            }
        }
    }

    /// Lets the time between two attempts pass that `fetchOffset.retryIntervalMs` asks for.
    async fn retry_interval(&self) {
        tokio::time::sleep(Duration::from_millis(self.0.options.fetch_retry_interval_ms)).await;
    }

    fn client(&self) -> Result<Arc<Client>> {
        let mut client = self.0.client.lock();
        if let Some(client) = client.as_ref() {
            return Ok(Arc::clone(client));
        }
        let made = Arc::new(Client::open(&self.0.options.properties, &format!("{}-driver", self.0.group))?);
        *client = Some(Arc::clone(&made));
        Ok(made)
    }

    pub async fn partitions(&self) -> Result<Vec<TopicPartition>> {
        self.ask(assigned).await
    }

    pub async fn earliest(&self) -> Result<Offsets> {
        self.ask(|client, options| client.ends(&assigned(client, options)?, At::Earliest)).await
    }

    /// Where partitions end now. Ends before what is `known` are asked for again: brokers may say old ones for a moment.
    pub async fn latest(&self, known: Option<&Offsets>) -> Result<Offsets> {
        let mut attempt = 1;
        loop {
            let found =
                self.ask(|client, options| client.ends(&assigned(client, options)?, At::Latest)).await?;
            let went_back =
                known.is_some_and(|known| found.iter().any(|(p, end)| known.get(p).is_some_and(|k| k > end)));
            if !went_back || attempt >= self.0.options.fetch_retries {
                return Ok(found);
            }
            attempt += 1;
            self.retry_interval().await;
        }
    }

    /// The offsets that a limit of a stream means, each partition with a number.
    pub async fn starting(&self, limit: &Limit) -> Result<Offsets> {
        let unresolved = self.limit(limit.clone(), true, |specified, assigned| {
            Error::new("")
                .message(format!(
                    "assertion failed: If startingOffsets contains specific offsets, you must specify all TopicPartitions.\nUse -1 for \
                     latest, -2 for earliest, if you don't care.\nSpecified: {specified} Assigned: {assigned}"
                ))
                .exception("SparkException")
        });
        self.resolved(unresolved.await?).await
    }

    /// The ranges that the limits of a batch mean.
    pub async fn between(&self, starting: &Limit, ending: &Limit) -> Result<Vec<Range>> {
        let mismatch = |specified: String, assigned: String| {
            Error::new("KAFKA_START_OFFSET_DOES_NOT_MATCH_ASSIGNED")
                .param("specifiedPartitions", &specified)
                .param("assignedPartitions", &assigned)
                .message(format!(
                    "Partitions specified for Kafka start offsets don't match what are assigned. Maybe topic partitions are created \nor \
                     deleted while the query is running. Use -1 for latest, -2 for earliest.\nSpecified: {specified} Assigned: {assigned}"
                ))
                .exception("SparkIllegalStateException")
        };
        let from = self.limit(starting.clone(), true, mismatch).await?;
        let until = self.limit(ending.clone(), false, mismatch).await?;
        let (from, until) = (self.resolved(from).await?, self.resolved(until).await?);
        if !from.keys().eq(until.keys()) {
            let shown = |o: &Offsets| o.keys().map(TopicPartition::to_string).collect::<Vec<_>>().join(",");
            return Err(Error::new("")
                .message(format!(
                    "different topic partitions for starting offsets topics[{}] and ending offsets topics[{}]",
                    shown(&from),
                    shown(&until)
                ))
                .exception("SparkIllegalStateException"));
        }
        let mut ranges = Vec::with_capacity(from.len());
        for ((place, from), until) in from.into_iter().zip(until.into_values()) {
            if from > until {
                return Err(start_after_end(&place, from, until));
            }
            ranges.push(Range { place, from, until });
        }
        Ok(ranges)
    }

    /// A limit for the partitions there are; beginnings and ends may still be unresolved.
    async fn limit(
        &self,
        limit: Limit,
        is_start: bool,
        mismatch: impl Fn(String, String) -> Error + Send + Sync + 'static,
    ) -> Result<Offsets> {
        self.ask(move |client, options| {
            let places = assigned(client, options)?;
            let all = |offset| places.iter().map(|p| (p.clone(), offset)).collect();
            match &limit {
                Limit::Earliest => Ok(all(EARLIEST)),
                Limit::Latest => Ok(all(LATEST)),
                Limit::Offsets(offsets) => {
                    if !places.iter().eq(offsets.keys()) {
                        return Err(mismatch(show(offsets.keys()), show(&places)));
                    }
                    Ok(offsets.clone())
                }
                Limit::Times(times, no_match) => {
                    if !places.iter().eq(times.keys()) {
                        return Err(times_mismatch(is_start, show(times.keys()), show(&places)));
                    }
                    at_times(client, times, is_start, *no_match)
                }
                Limit::Time(time, no_match) => at_times(client, &all(*time), is_start, *no_match),
            }
        })
        .await
    }

    /// Beginnings and ends as numbers.
    async fn resolved(&self, offsets: Offsets) -> Result<Offsets> {
        self.ask(move |client, _| {
            let open = offsets.iter().filter_map(|(place, offset)| match *offset {
                LATEST => Some((place, At::Latest)),
                EARLIEST => Some((place, At::Earliest)),
                _ => None,
            });
            let mut out = offsets.clone();
            out.extend(client.offsets(open)?);
            Ok(out)
        })
        .await
    }

    /// The ranges between two offsets of a stream, and what was lost between them.
    /// Spark: `getOffsetRangesFromResolvedOffsets`.
    pub async fn ranges(&self, from: &Offsets, until: &Offsets) -> Result<Vec<Range>> {
        let fails = self.0.options.fail_on_data_loss;
        let mut from = from.clone();
        let gone: Vec<TopicPartition> = from.keys().filter(|p| !until.contains_key(p)).cloned().collect();
        let added = self.added(&from, until).await?;
        let missing: Vec<TopicPartition> =
            until.keys().filter(|p| !from.contains_key(p) && !added.contains_key(p)).cloned().collect();
        if !missing.is_empty() {
            DataLoss::NoInitial(missing).report(fails)?;
        }
        for (place, start) in &added {
            if *start != 0 {
                DataLoss::AddedLate { place: place.clone(), start: *start }.report(fails)?;
            }
        }
        if !gone.is_empty() {
            let has_group = self.0.options.properties.group.is_some();
            DataLoss::Deleted { places: gone, has_group }.report(fails)?;
        }
        from.extend(added);
        let mut ranges = Vec::with_capacity(until.len());
        for (place, end) in until {
            let Some(begin) = from.get(place) else { continue };
            if end < begin {
                DataLoss::Changed { place: place.clone(), before: *begin, now: *end }.report(fails)?;
            }
            ranges.push(Range { place: place.clone(), from: *begin, until: *end });
        }
        Ok(ranges)
    }

    /// Where partitions begin that `until` has and `from` has not, as far as they are still there.
    pub async fn added(&self, from: &Offsets, until: &Offsets) -> Result<Offsets> {
        let new: Vec<TopicPartition> = until.keys().filter(|p| !from.contains_key(p)).cloned().collect();
        if new.is_empty() {
            return Ok(Offsets::new());
        }
        self.ask(move |client, options| {
            let there = assigned(client, options)?;
            let new: Vec<TopicPartition> = new.iter().filter(|p| there.contains(p)).cloned().collect();
            client.ends(&new, At::Earliest)
        })
        .await
    }

    /// Where one partition begins and ends.
    pub(super) fn bounds(&self, place: &TopicPartition) -> Result<(i64, i64)> {
        let client = self.client()?;
        let one = std::slice::from_ref(place);
        let at = |at| Ok::<_, Error>(client.ends(one, at)?.get(place).copied().unwrap_or(0));
        Ok((at(At::Earliest)?, at(At::Latest)?))
    }
}

/// The partitions that the options choose, in order.
fn assigned(client: &Client, options: &SourceOptions) -> Result<Vec<TopicPartition>> {
    let mut places = match &options.strategy {
        Strategy::Subscribe(topics) => client.partitions(topics)?,
        Strategy::Pattern(pattern) => client.partitions_like(pattern)?,
        Strategy::Assign(chosen) => {
            let mut topics: Vec<String> = chosen.iter().map(|p| p.topic.to_string()).collect();
            topics.sort_unstable();
            topics.dedup();
            client.partitions(&topics)?.into_iter().filter(|p| chosen.contains(p)).collect()
        }
    };
    places.sort_unstable();
    places.dedup();
    Ok(places)
}

/// The first records of times; where there is none, the end, or an error where a start must have one.
fn at_times(client: &Client, times: &Offsets, is_start: bool, no_match: NoMatch) -> Result<Offsets> {
    let found = client.offsets(times.iter().map(|(place, time)| (place, At::Time(*time))))?;
    let offset = |(place, time): (&TopicPartition, &i64)| match found.get(place) {
        Some(offset) => Ok((place.clone(), *offset)),
        None if is_start && no_match == NoMatch::Error => Err(illegal_argument(format!(
            "No offset matched from request of topic-partition {place} and timestamp {time}."
        ))),
        None => Ok((place.clone(), LATEST)),
    };
    times.iter().map(offset).collect()
}

fn times_mismatch(is_start: bool, specified: String, assigned: String) -> Error {
    let position = if is_start { "start" } else { "end" };
    Error::new("KAFKA_TIMESTAMP_OFFSET_DOES_NOT_MATCH_ASSIGNED")
        .param("position", position)
        .param("specifiedPartitions", &specified)
        .param("assignedPartitions", &assigned)
        .message(format!(
            "Partitions specified for Kafka timestamp based {position} offsets don't match what are assigned. Maybe topic partitions are \
             created \nor deleted while the query is running, or you didn't specify all the partitions.\nSpecified: {specified} \
             Assigned: {assigned}"
        ))
        .exception("SparkIllegalStateException")
}

fn start_after_end(place: &TopicPartition, from: i64, until: i64) -> Error {
    Error::new("RESOLVED_START_OFFSET_GREATER_THAN_END_OFFSET")
        .param("startOffset", from)
        .param("endOffset", until)
        .param("topic", &place.topic)
        .param("partition", place.partition)
        .message(format!(
            "The resolved start offset {from} is greater than the resolved end offset {until} for topic {} partition {}.\nPlease \
             investigate in this order:\n1. Check whether start offset is set beyond the end offset or the latest available offset after \
             resolution. Possible inputs are:\n  (a) Start offset is set to a timestamp, and the end offset is set to an index of \
             offset.\n  (b) Start offset is set to an index of offset, and the end offset is set to a timestamp.\n  (c) Start offset is \
             set, and the end offset is set to latest.\n2. Check whether the Kafka topic-partition is deleted and re-created.",
            place.topic, place.partition
        ))
        .exception("SparkIllegalStateException")
}
