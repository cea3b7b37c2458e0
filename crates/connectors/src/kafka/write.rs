//! Rows into topics. As in Spark each row is a message that arrives at least once: what was sent before a failure stays.
//!
//! With the option `transactionalId` a write is one transaction, which readers with `isolation.level` = `read_committed` see whole
//! or not at all. A batch of a stream notes in it that it was written, as the offset of a consumer group of that name: the same
//! batch again does nothing, so each row arrives exactly once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use boathouse_bridge::from_datafusion;
use boathouse_spec::{Error, Options, Result, StructType, fault, option};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use parking_lot::Mutex;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::JoinSet;

use super::client::{Reader, Reasons, open};
use super::errors::{failed, illegal_argument};
use super::message_columns::{Messages, check};
use super::properties::Properties;

/// How long a producer may wait for its topic, as the Java client does (`max.block.ms`).
const MAX_BLOCK: Duration = Duration::from_secs(60);

/// How long messages that were sent may take (`delivery.timeout.ms`), and one step of a transaction.
const DELIVERY: Duration = Duration::from_secs(120);

/// How long the broker waits for the end of a transaction: a batch has to be computed in this time.
const TRANSACTION_TIMEOUT_MS: &str = "600000";

/// The Java client's defaults, where librdkafka has others.
const PRODUCER: &[(&str, &str)] = &[
    ("partitioner", "murmur2_random"),
    ("acks", "all"),
    ("linger.ms", "5"),
    ("delivery.timeout.ms", "120000"),
    ("message.max.bytes", "1048576"),
];

/// The options of Spark's Kafka sink, and ours.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    properties: Properties,
    topic: Option<String>,
    transactional_id: Option<String>,
}

impl SinkOptions {
    pub fn new(options: &Options) -> Result<Self> {
        for (kind, kinds) in [("key", "keys"), ("value", "value")] {
            if option(options, &format!("kafka.{kind}.serializer")).is_some() {
                return Err(illegal_argument(format!(
                    "Kafka option '{kind}.serializer' is not supported as {kinds} are serialized with ByteArraySerializer."
                )));
            }
        }
        let topic = option(options, "topic").map(|t| t.trim().to_string());
        let transactional_id = option(options, "transactionalId").map(str::to_string);
        if transactional_id.is_some() && topic.is_none() {
            return Err(illegal_argument(
                "The option 'transactionalId' needs the option 'topic': what was written is noted at its first partition.",
            ));
        }
        Ok(Self { properties: Properties::of(options)?, topic, transactional_id })
    }
}

/// A batch of a stream.
#[derive(Debug, Clone)]
pub struct BatchMark {
    pub query_id: String,
    pub batch_id: i64,
}

/// Writes rows. A stream keeps it from batch to batch.
pub struct KafkaWriter {
    options: SinkOptions,
    producer: Mutex<Option<Arc<Sender>>>,
}

impl KafkaWriter {
    pub fn new(options: SinkOptions) -> Self {
        Self { options, producer: Mutex::default() }
    }

    /// Whether a write is a transaction.
    pub fn is_transactional(&self) -> bool {
        self.options.transactional_id.is_some()
    }

    /// Runs a plan and sends its rows; how many there were. `schema` is the plan's, in Spark's types.
    pub async fn write(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        task: Arc<TaskContext>,
        schema: &StructType,
        mark: Option<BatchMark>,
    ) -> Result<u64> {
        check(schema, self.options.topic.as_deref())?;
        if self.options.properties.servers.is_empty() {
            return Err(Error::new("")
                .message("Kafka option bootstrap.servers is not set. Please make sure it is set and retry.")
                .exception("SparkException"));
        }
        let sender = self.sender().await?;
        let written = match &self.options.transactional_id {
            Some(_) => self.in_transaction(&sender, plan, task, mark).await,
            None => send_all(&sender, plan, task).await,
        };
        if written.is_err() {
            // What it still holds is not to be sent with the next batch.
            *self.producer.lock() = None;
        }
        written
    }

    async fn sender(&self) -> Result<Arc<Sender>> {
        if let Some(sender) = self.producer.lock().clone() {
            return Ok(sender);
        }
        let options = self.options.clone();
        let sender = Arc::new(blocking(move || Sender::open(options)).await?);
        *self.producer.lock() = Some(Arc::clone(&sender));
        Ok(sender)
    }

    async fn in_transaction(
        &self,
        sender: &Arc<Sender>,
        plan: Arc<dyn ExecutionPlan>,
        task: Arc<TaskContext>,
        mark: Option<BatchMark>,
    ) -> Result<u64> {
        let (asked, mark_asked) = (Arc::clone(sender), mark.clone());
        let is_done = blocking(move || match &mark_asked {
            Some(mark) => asked.is_done(mark),
            None => Ok(false),
        });
        if is_done.await? {
            tracing::info!("the batch is in Kafka already");
            return Ok(0);
        }
        sender.producer.begin_transaction().map_err(|e| sender.failed("beginning a transaction", &e))?;
        let sent = send_all(sender, plan, task).await;
        let ended = Arc::clone(sender);
        match sent {
            Ok(rows) => {
                fault::point("kafka::before-commit")?;
                blocking(move || ended.commit(mark.as_ref())).await?;
                fault::point("kafka::after-commit")?;
                Ok(rows)
            }
            Err(e) => {
                let _ = blocking(move || {
                    ended
                        .producer
                        .abort_transaction(DELIVERY)
                        .map_err(|e| ended.failed("ending a transaction", &e))
                })
                .await;
                Err(e)
            }
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::internal(format!("writing to Kafka: {e}")))?
}

/// What became of messages, and what the client says.
struct Deliveries {
    reasons: Reasons,
    failure: Mutex<Option<KafkaError>>,
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(
        &self,
        config: Option<&str>,
    ) -> std::result::Result<OAuthToken, Box<dyn std::error::Error>> {
        self.reasons.generate_oauth_token(config)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.reasons.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reasons.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.failure.lock().get_or_insert_with(|| error.clone());
        }
    }
}

struct Sender {
    producer: ThreadedProducer<Deliveries>,
    options: SinkOptions,
    /// Has the group of the notes of what was written.
    notes: Mutex<Option<Arc<Reader>>>,
    /// Whether the notes were looked at: what comes after is our own.
    is_checked: AtomicBool,
}

impl Sender {
    /// Makes a producer and sees that there is a cluster.
    fn open(options: SinkOptions) -> Result<Self> {
        let properties = &options.properties;
        let mut config = properties.config(PRODUCER);
        // Like the Java client: no message twice, unless the user asks for less than all acknowledgements.
        if properties.get("enable.idempotence").is_none()
            && matches!(properties.get("acks"), None | Some("all" | "-1"))
        {
            config.set("enable.idempotence", "true");
        }
        if let Some(id) = &options.transactional_id {
            config.set("transactional.id", id);
            // A message may not take longer than its transaction.
            let timeout = properties.get("transaction.timeout.ms").unwrap_or(TRANSACTION_TIMEOUT_MS);
            config.set("transaction.timeout.ms", timeout);
            if properties.get("delivery.timeout.ms").is_none()
                && timeout.parse::<u64>().is_ok_and(|t| t < 120_000)
            {
                config.set("delivery.timeout.ms", timeout);
            }
        }
        let context = Deliveries { reasons: Reasons::of(properties), failure: Mutex::default() };
        let made = config.create_with_context(context);
        let producer: ThreadedProducer<Deliveries> = made
            .map_err(|e| failed("making a Kafka producer", &properties.servers, &e, &Reasons::default()))?;
        let this = Self { producer, options, notes: Mutex::default(), is_checked: AtomicBool::new(false) };
        let wait = this.options.properties.max_block_ms.map_or(MAX_BLOCK, Duration::from_millis);
        let found = this.producer.client().fetch_metadata(this.options.topic.as_deref(), wait);
        found.map_err(|e| {
            let topic = this.options.topic.as_deref().unwrap_or("of a message");
            let doing = format!(
                "writing to Kafka: Topic {topic} not present in metadata after {} ms",
                wait.as_millis()
            );
            this.failed(&doing, &e)
        })?;
        if this.options.transactional_id.is_some() {
            let ready = this.producer.init_transactions(wait);
            ready.map_err(|e| this.failed("preparing transactions", &e))?;
        }
        Ok(this)
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> Error {
        failed(doing, &self.options.properties.servers, error, &self.producer.client().context().reasons)
    }

    /// An error that a message met meanwhile.
    fn check(&self) -> Result<()> {
        let failure = self.producer.client().context().failure.lock().clone();
        failure.map_or(Ok(()), |e| Err(self.failed("writing to Kafka", &e)))
    }

    /// Sends a message, where there is room for one; false where it is to be tried again.
    fn send(&self, messages: &Messages<'_>, row: usize) -> Result<bool> {
        let topic = match &self.options.topic {
            Some(topic) => topic.as_str(),
            None => messages.topic(row).ok_or_else(null_topic)?,
        };
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
        record.key = messages.key(row);
        record.payload = messages.value(row);
        record.partition = messages.partition(row);
        record.headers = messages.headers(row)?;
        match self.producer.send(record) {
            Ok(()) => Ok(true),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((e @ KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition), _)) => {
                let partition = messages.partition(row).unwrap_or_default();
                Err(self.failed(
                    &format!("writing to the partition {partition} of the topic {topic}, which is not there"),
                    &e,
                ))
            }
            Err((e, _)) => Err(self.failed(&format!("writing to the topic {topic}"), &e)),
        }
    }

    fn flush(&self) -> Result<()> {
        let deadline = Instant::now() + DELIVERY + DELIVERY;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            let _ = self.producer.flush(Duration::from_millis(100));
            self.check()?;
        }
        self.check()
    }

    /// Where the batches of a stream are noted.
    fn note(&self, mark: &BatchMark) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        let topic = self.options.topic.as_deref().unwrap_or_default();
        let mut element = list.add_partition(topic, 0);
        element.set_metadata(mark.query_id.as_str());
        let noted = element.set_offset(Offset::Offset(mark.batch_id + 1));
        noted.map_err(|e| self.failed("noting a batch", &e))?;
        Ok(list)
    }

    /// A consumer of the group that has the note.
    fn notes(&self) -> Result<Arc<Reader>> {
        let mut notes = self.notes.lock();
        if let Some(notes) = notes.as_ref() {
            return Ok(Arc::clone(notes));
        }
        let id = self.options.transactional_id.as_deref().unwrap_or_default();
        let mut config = self.options.properties.config(&[]);
        // Notes of a transaction that is just ending are waited for.
        config
            .set("group.id", id)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false");
        let made = open(&config, &self.options.properties)?;
        Ok(Arc::clone(notes.insert(Arc::new(made))))
    }

    /// Whether a batch was written before this program began to write.
    fn is_done(&self, mark: &BatchMark) -> Result<bool> {
        if self.is_checked.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let noted = self.notes()?.committed_offsets(self.note(mark)?, DELIVERY);
        let noted = noted.map_err(|e| self.failed("looking for what was written", &e))?;
        let is_it = |e: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            e.metadata() == mark.query_id
                && matches!(e.offset(), Offset::Offset(next) if next > mark.batch_id)
        };
        let is_done = noted.elements().iter().any(is_it);
        self.is_checked.store(!is_done, Ordering::Relaxed);
        Ok(is_done)
    }

    fn commit(&self, mark: Option<&BatchMark>) -> Result<()> {
        if let Some(mark) = mark {
            let notes = self.notes()?;
            let group =
                notes.group_metadata().ok_or_else(|| Error::internal("a consumer without a group"))?;
            let noted = self.producer.send_offsets_to_transaction(&self.note(mark)?, &group, DELIVERY);
            noted.map_err(|e| self.failed("noting a batch", &e))?;
        }
        self.producer.commit_transaction(DELIVERY).map_err(|e| self.failed("committing a transaction", &e))
    }
}

fn null_topic() -> Error {
    Error::new("KAFKA_NULL_TOPIC_IN_DATA")
        .message(
            "The Kafka message data sent to the producer contains a null topic. Use the `topic` option for setting a default topic.",
        )
        .exception("SparkIllegalStateException")
}

/// Runs the partitions of a plan side by side and sends their rows.
async fn send_all(sender: &Arc<Sender>, plan: Arc<dyn ExecutionPlan>, task: Arc<TaskContext>) -> Result<u64> {
    let rows = Arc::new(AtomicU64::new(0));
    let mut parts = JoinSet::new();
    for partition in 0..plan.output_partitioning().partition_count() {
        let (plan, task) = (Arc::clone(&plan), Arc::clone(&task));
        let (sender, rows) = (Arc::clone(sender), Arc::clone(&rows));
        parts.spawn(async move {
            let mut stream = plan.execute(partition, task).map_err(from_datafusion)?;
            while let Some(batch) = stream.next().await {
                let batch = batch.map_err(from_datafusion)?;
                let messages = Messages::of(&batch)?;
                for row in 0..batch.num_rows() {
                    while !sender.send(&messages, row)? {
                        sender.check()?;
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                }
                sender.check()?;
                rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(done) = parts.join_next().await {
        done.map_err(|e| Error::internal(format!("writing to Kafka: {e}")))??;
    }
    let flushed = Arc::clone(sender);
    blocking(move || flushed.flush()).await?;
    Ok(rows.load(Ordering::Relaxed))
}
