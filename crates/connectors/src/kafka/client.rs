//! A client of a cluster: what topics there are, where their partitions begin and end, and the consumer that reads them.
//!
//! Calls wait for the network: they run on threads that may wait.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use boathouse_spec::Result;
use parking_lot::Mutex;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;

use super::errors::{failed, unknown_topic};
use super::oauth::Tokens;
use super::offsets::{Offsets, TopicPartition};
use super::properties::Properties;

/// How long one question to the cluster may take.
const API_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the first try of a question waits; each next one waits twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// What the client said of its troubles lately, and the tokens that it asks for.
#[derive(Debug, Default)]
pub struct Reasons {
    said: Mutex<VecDeque<String>>,
    is_refused: AtomicBool,
    tokens: Option<Arc<Tokens>>,
    /// Whether it has been given a token, or told why there is none.
    is_answered: AtomicBool,
    /// The client asks from threads of its own.
    runtime: Option<Handle>,
}

impl Reasons {
    const KEPT: usize = 3;

    /// For a client with these settings.
    pub fn of(properties: &Properties) -> Self {
        Self { tokens: properties.tokens.clone(), runtime: Handle::try_current().ok(), ..Self::default() }
    }

    /// Whether the client has to be let in by a token that it does not have yet.
    fn lacks_token(&self) -> bool {
        self.tokens.is_some() && !self.is_answered.load(Ordering::Relaxed)
    }

    fn add(&self, text: &str) {
        let mut kept = self.said.lock();
        if kept.iter().any(|k| k == text) {
            return;
        }
        if kept.len() == Self::KEPT {
            kept.pop_front();
        }
        kept.push_back(text.to_string());
    }

    pub fn take(&self) -> Vec<String> {
        self.said.lock().drain(..).collect()
    }

    /// Whether a broker did not take our name and password, or we its certificate.
    fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }
}

impl ClientContext for Reasons {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> std::result::Result<OAuthToken, Box<dyn std::error::Error>> {
        let tokens = self.tokens.as_ref().ok_or("no place of tokens is known")?;
        let token = tokens.token(self.runtime.as_ref());
        self.is_answered.store(true, Ordering::Relaxed);
        token.map_err(|error| error.to_string().replace('\0', " ").into())
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("kafka client: {facility}: {message}");
        if matches!(
            level,
            RDKafkaLogLevel::Emerg
                | RDKafkaLogLevel::Alert
                | RDKafkaLogLevel::Critical
                | RDKafkaLogLevel::Error
        ) {
            self.add(message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("kafka client: {error}: {reason}");
        if matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL)
        ) {
            self.is_refused.store(true, Ordering::Relaxed);
        }
        if !reason.is_empty() {
            self.add(reason);
        }
    }
}

impl ConsumerContext for Reasons {}

pub type Reader = BaseConsumer<Reasons>;

/// Settings of all consumers: they read what they are told, remember nothing in the cluster, and say where a partition ends.
const CONSUMER: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    // The Java client's default, which is not librdkafka's.
    ("isolation.level", "read_uncommitted"),
    // One message beyond the end of a batch is not worth waiting for.
    ("fetch.wait.max.ms", "100"),
    // What a partition has ready for the next batch is bounded by bytes (see below), and filled up again as soon as it is taken.
    ("queued.min.messages", "1000000"),
    ("fetch.queue.backoff.ms", "5"),
    ("allow.auto.create.topics", "false"),
    // Partitions that come late and are told apart from those that are gone.
    ("topic.metadata.refresh.interval.ms", "60000"),
];

/// Makes a consumer. `group` is named in messages and permissions; nobody joins it. `ready_kib` is how much each partition may
/// have ready before it is asked for.
pub fn consumer(properties: &Properties, group: &str, ready_kib: usize) -> Result<Arc<Reader>> {
    let mut config = properties.config(CONSUMER);
    if properties.get("queued.max.messages.kbytes").is_none() {
        config.set("queued.max.messages.kbytes", ready_kib.to_string());
    }
    config.set("group.id", properties.group.as_deref().unwrap_or(group));
    open(&config, properties).map(Arc::new)
}

/// Makes a consumer that may log in.
pub fn open(config: &ClientConfig, properties: &Properties) -> Result<Reader> {
    let made: KafkaResult<Reader> = config.create_with_context(Reasons::of(properties));
    let made =
        made.map_err(|e| failed("making a Kafka client", &properties.servers, &e, &Reasons::default()))?;
    // It asks for its token when it is polled, and no question has an answer before.
    let deadline = Instant::now() + API_TIMEOUT;
    while made.client().context().lacks_token() && Instant::now() < deadline {
        made.poll(Duration::from_millis(10));
    }
    Ok(made)
}

/// Where in a partition.
#[derive(Debug, Clone, Copy)]
pub enum At {
    Earliest,
    Latest,
    /// The first record of this time or a later one, in milliseconds.
    Time(i64),
}

/// Asks a cluster questions.
pub struct Client {
    pub consumer: Arc<Reader>,
    servers: String,
    timeout: Duration,
}

impl Client {
    pub fn open(properties: &Properties, group: &str) -> Result<Self> {
        Ok(Self {
            consumer: consumer(properties, group, 1024)?,
            servers: properties.servers.clone(),
            timeout: properties.api_timeout_ms.map_or(API_TIMEOUT, Duration::from_millis),
        })
    }

    /// Asks until there is an answer or the time is over; a cluster that does not let us in is not asked again.
    fn ask<T>(&self, doing: &str, question: impl Fn(&Reader, Duration) -> KafkaResult<T>) -> Result<T> {
        if self.consumer.client().context().tokens.is_some() {
            // A token that runs out is asked for anew.
            self.consumer.poll(Duration::ZERO);
        }
        let deadline = Instant::now() + self.timeout;
        let mut wait = FIRST_WAIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match question(&self.consumer, wait.min(left)) {
                Ok(answer) => {
                    // Whoever was refused meanwhile, with a token that had run out, is let in again.
                    self.consumer.client().context().is_refused.store(false, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            self.listen();
            let reasons = self.consumer.client().context();
            if !is_silence(&error) || reasons.is_refused() || left <= wait {
                return Err(failed(doing, &self.servers, &error, reasons));
            }
            wait *= 2;
        }
    }

    /// Has the client say what it noted.
    fn listen(&self) {
        let deadline = Instant::now() + Duration::from_millis(200);
        while self.consumer.poll(Duration::from_millis(10)).is_some() && Instant::now() < deadline {}
    }

    /// The partitions of topics that must be there.
    pub fn partitions(&self, topics: &[String]) -> Result<Vec<TopicPartition>> {
        let mut out = Vec::new();
        for name in topics {
            let doing = format!("asking Kafka for the partitions of the topic {name}");
            let metadata = self.ask(&doing, |c, timeout| c.fetch_metadata(Some(name), timeout))?;
            let topic = metadata.topics().iter().find(|t| t.name() == name);
            let Some(topic) = topic else { return Err(unknown_topic(name)) };
            match topic.error().map(RDKafkaErrorCode::from) {
                None => out.extend(partitions_of(topic)),
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                    return Err(unknown_topic(name));
                }
                Some(code) => {
                    let error = KafkaError::MetadataFetch(code);
                    return Err(failed(&doing, &self.servers, &error, self.consumer.client().context()));
                }
            }
        }
        Ok(out)
    }

    /// The partitions of all topics whose names a pattern is found in; Kafka's own topics are none of them.
    pub fn partitions_like(&self, pattern: &fancy_regex::Regex) -> Result<Vec<TopicPartition>> {
        let metadata =
            self.ask("asking Kafka for its topics", |c, timeout| c.fetch_metadata(None, timeout))?;
        let is_wanted = |t: &&MetadataTopic| {
            !matches!(t.name(), "__consumer_offsets" | "__transaction_state" | "__share_group_state")
                && t.error().is_none()
                && pattern.is_match(t.name()).unwrap_or(false)
        };
        Ok(metadata.topics().iter().filter(is_wanted).flat_map(partitions_of).collect())
    }

    /// Offsets by their kind. A time after the last record has none, and is left out.
    pub fn offsets<'a>(&self, places: impl IntoIterator<Item = (&'a TopicPartition, At)>) -> Result<Offsets> {
        let mut list = TopicPartitionList::new();
        for (place, at) in places {
            let asked = match at {
                At::Earliest => Offset::Beginning,
                At::Latest => Offset::End,
                At::Time(ms) => Offset::Offset(ms.max(0)),
            };
            let added = list.add_partition_offset(&place.topic, place.partition, asked);
            added.map_err(|e| failed("asking Kafka for offsets", &self.servers, &e, &Reasons::default()))?;
        }
        if list.count() == 0 {
            return Ok(Offsets::new());
        }
        let doing = "asking Kafka for offsets";
        let found = self.ask(doing, |c, timeout| c.offsets_for_times(list.clone(), timeout))?;
        let mut out = BTreeMap::new();
        for element in found.elements() {
            self.ask(doing, |_, _| element.error())?;
            if let Offset::Offset(offset) = element.offset() {
                out.insert(TopicPartition::new(element.topic(), element.partition()), offset);
            }
        }
        Ok(out)
    }

    /// The same kind of offset of many partitions.
    pub fn ends(&self, places: &[TopicPartition], at: At) -> Result<Offsets> {
        self.offsets(places.iter().map(|p| (p, at)))
    }
}

/// Whether there was no answer, which may still come.
fn is_silence(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::AllBrokersDown
        )
    )
}

fn partitions_of(topic: &MetadataTopic) -> Vec<TopicPartition> {
    let mut ids: Vec<i32> = topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect();
    ids.sort_unstable();
    ids.into_iter().map(|id| TopicPartition::new(topic.name(), id)).collect()
}
