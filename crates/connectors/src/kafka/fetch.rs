//! Consumers that go on where they stopped: a stream's next batch finds its first records here already.
//!
//! One consumer reads all partitions of a query, each into a queue of its own, so that tasks read side by side. A partition that
//! is read twice at once (a plan with the same slice twice, a range that was divided) takes a consumer more.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use boathouse_spec::{Error, Result};
use parking_lot::Mutex;
use rdkafka::consumer::Consumer;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Reader, Reasons, consumer};
use super::cluster::Cluster;
use super::errors::{DataLoss, failed};
use super::offsets::TopicPartition;
use super::properties::Properties;
use super::ranges::Range;

/// How long one look into a queue waits.
const POLL: Duration = Duration::from_millis(100);

/// Looks in vain after which an end of the partition that was met is looked at closely.
const PATIENCE: u32 = 2;

const SEEK_TIMEOUT: Duration = Duration::from_secs(10);

/// What all partitions of a query may have ready together, and each at most and at least, in KiB.
const READY_KIB: usize = 128 << 10;
const READY_EACH_KIB: std::ops::RangeInclusive<usize> = 1 << 10..=32 << 10;

pub struct Readers {
    properties: Properties,
    group: String,
    /// How many partitions there are to read, as far as is known.
    places: AtomicUsize,
    members: Mutex<Vec<Arc<Member>>>,
}

/// A consumer and the partitions it has; `None` for one that is being read.
pub struct Member {
    consumer: Arc<Reader>,
    slots: Mutex<HashMap<TopicPartition, Option<Slot>>>,
}

/// A partition of a consumer, between two reads.
struct Slot {
    queue: PartitionQueue<Reasons>,
    /// The offset to be read next.
    next: i64,
    /// Messages that were taken from the queue and not yet read.
    held: VecDeque<OwnedMessage>,
}

/// A slot while it is read; it goes back when it is dropped.
struct Lease<'a> {
    readers: &'a Readers,
    member: Arc<Member>,
    place: TopicPartition,
    slot: Option<Slot>,
}

impl Readers {
    pub fn new(properties: Properties, group: String) -> Self {
        Self {
            properties,
            group: format!("{group}-executor"),
            places: AtomicUsize::new(1),
            members: Mutex::default(),
        }
    }

    /// So many partitions will be read: they share the memory for what is ready.
    pub fn expect(&self, places: usize) {
        self.places.fetch_max(places, Ordering::Relaxed);
    }

    fn consumer(&self) -> Result<Arc<Reader>> {
        let places = self.places.load(Ordering::Relaxed);
        let ready = (READY_KIB / places).clamp(*READY_EACH_KIB.start(), *READY_EACH_KIB.end());
        consumer(&self.properties, &self.group, ready)
    }

    /// All consumers, to be closed.
    pub fn close(&self) -> Vec<Arc<Member>> {
        std::mem::take(&mut *self.members.lock())
    }

    fn lease(&self, place: &TopicPartition, from: i64) -> Result<Lease<'_>> {
        let mut members = self.members.lock();
        let mut idle = None;
        for member in members.iter() {
            let mut slots = member.slots.lock();
            match slots.get_mut(place) {
                Some(Some(slot)) if slot.next == from => {
                    let slot = slots.insert(place.clone(), None).flatten();
                    return Ok(self.leased(member, place, slot));
                }
                // Being read.
                Some(None) => {}
                Some(Some(_)) | None => idle = idle.or(Some(Arc::clone(member))),
            }
        }
        if let Some(member) = idle
            && let Some(slot) = member.move_to(place, from)?
        {
            return Ok(self.leased(&member, place, Some(slot)));
        }
        let member = Arc::new(Member { consumer: self.consumer()?, slots: Mutex::default() });
        let slot = member.move_to(place, from)?;
        members.push(Arc::clone(&member));
        Ok(self.leased(&member, place, slot))
    }

    fn leased(&self, member: &Arc<Member>, place: &TopicPartition, slot: Option<Slot>) -> Lease<'_> {
        Lease { readers: self, member: Arc::clone(member), place: place.clone(), slot }
    }

    /// Takes a slot back. Consumers beyond the first were needed once and are not kept.
    fn give_back(&self, member: &Arc<Member>, place: &TopicPartition, slot: Option<Slot>) {
        let mut members = self.members.lock();
        {
            let mut slots = member.slots.lock();
            match slot {
                Some(slot) => slots.insert(place.clone(), Some(slot)),
                None => slots.remove(place),
            };
        }
        let mut number = 0;
        let unused: Vec<Arc<Member>> = members
            .extract_if(.., |m| {
                number += 1;
                number > 1 && m.slots.lock().values().all(Option::is_some)
            })
            .collect();
        drop(members);
        if !unused.is_empty() {
            // Closing a connection waits for it.
            std::thread::spawn(move || drop(unused));
        }
    }
}

impl Member {
    /// Has the consumer read a partition from an offset on, and marks it as being read. `None` where this consumer cannot.
    fn move_to(&self, place: &TopicPartition, from: i64) -> Result<Option<Slot>> {
        let mut slots = self.slots.lock();
        match slots.remove(place).flatten() {
            Some(slot) => {
                let at = Offset::Offset(from);
                if self.consumer.seek(&place.topic, place.partition, at, SEEK_TIMEOUT).is_err() {
                    let _ = self.consumer.incremental_unassign(&list(place, Offset::Invalid));
                    return Ok(None);
                }
                slots.insert(place.clone(), None);
                Ok(Some(Slot { next: from, held: VecDeque::new(), ..slot }))
            }
            None => {
                let assigned = self.consumer.incremental_assign(&list(place, Offset::Offset(from)));
                assigned.map_err(|e| self.failed(place, &e, ""))?;
                let queue = self.consumer.split_partition_queue(&place.topic, place.partition);
                let queue = queue.ok_or_else(|| Error::internal(format!("no queue for {place}")))?;
                let held = self.strays();
                slots.insert(place.clone(), None);
                Ok(Some(Slot { queue, next: from, held }))
            }
        }
    }

    /// Messages that came between the assignment of a partition and the making of its queue. The caller holds the lock.
    fn strays(&self) -> VecDeque<OwnedMessage> {
        let mut out = VecDeque::new();
        while let Some(polled) = self.consumer.poll(Duration::ZERO) {
            if let Ok(message) = polled {
                out.push_back(message.detach());
            }
        }
        out
    }

    /// Lets the consumer say what troubles it.
    fn serve(&self) {
        // Whoever holds the lock is looking into the same queue.
        if let Some(_slots) = self.slots.try_lock() {
            self.consumer.poll(Duration::ZERO);
        }
    }

    fn position(&self, place: &TopicPartition) -> Option<i64> {
        let positions = self.consumer.position().ok()?;
        let found = positions.find_partition(&place.topic, place.partition)?;
        match found.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    fn failed(&self, place: &TopicPartition, error: &KafkaError, servers: &str) -> Error {
        let doing = format!("reading {place} from Kafka");
        failed(&doing, servers, error, self.consumer.client().context())
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.readers.give_back(&self.member, &self.place, self.slot.take());
    }
}

fn list(place: &TopicPartition, offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    // Only a negative offset is refused.
    let _ = list.add_partition_offset(&place.topic, place.partition, offset);
    list
}

/// Gives the messages of a range to `take`, which says whether to go on. Waits for the network.
pub fn read(cluster: &Cluster, range: &Range, mut take: impl FnMut(&dyn Row) -> Result<bool>) -> Result<()> {
    let (mut from, until) = (range.from, range.until);
    while from < until {
        let mut reading = Reading::new(cluster, &range.place, from, until)?;
        match reading.run(&mut take)? {
            Outcome::Done => return Ok(()),
            Outcome::Stopped => return Ok(()),
            Outcome::Lost(offset) => match after_loss(cluster, &range.place, offset, until)? {
                Some(next) => from = next,
                None => return Ok(()),
            },
        }
    }
    Ok(())
}

/// Where to go on when the records from an offset on are not there; `None` where none of the range is.
/// Spark: `KafkaDataConsumer.getEarliestAvailableOffsetBetween`.
fn after_loss(cluster: &Cluster, place: &TopicPartition, offset: i64, until: i64) -> Result<Option<i64>> {
    let loss = DataLoss::Unreadable {
        place: place.clone(),
        from: offset,
        until,
        group: cluster.group().to_string(),
    };
    loss.report(cluster.options().fail_on_data_loss)?;
    let (earliest, latest) = cluster.bounds(place)?;
    if offset >= latest || earliest >= until {
        return Ok(None);
    }
    Ok(Some(offset.max(earliest)))
}

/// A message, owned or borrowed.
pub trait Row {
    fn message(&self) -> MessageRef<'_>;
}

/// What a row is made of.
pub struct MessageRef<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub partition: i32,
    pub offset: i64,
    pub timestamp: rdkafka::Timestamp,
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

impl<M: Message> Row for M {
    fn message(&self) -> MessageRef<'_> {
        use rdkafka::message::Headers;
        let headers = self.headers().map(|headers| headers.iter().map(|h| (h.key, h.value)).collect());
        MessageRef {
            key: self.key(),
            value: self.payload(),
            partition: self.partition(),
            offset: self.offset(),
            timestamp: self.timestamp(),
            headers: headers.unwrap_or_default(),
        }
    }
}

enum Outcome {
    Done,
    /// The taker has enough.
    Stopped,
    /// The records from this offset on are not in the partition.
    Lost(i64),
}

/// What one look into the queue gave.
enum Look {
    Stopped,
    Read,
    Beyond,
    End,
    OutOfRange,
    Nothing,
}

struct Reading<'a> {
    cluster: &'a Cluster,
    lease: Lease<'a>,
    until: i64,
    /// Looks in vain since the last message.
    idle: u32,
    met_end: bool,
    /// Since when an end that is met can be believed: it was looked for after the range was known.
    sought: bool,
    deadline: Instant,
}

impl<'a> Reading<'a> {
    fn new(cluster: &'a Cluster, place: &TopicPartition, from: i64, until: i64) -> Result<Self> {
        let lease = cluster.readers().lease(place, from)?;
        let mut this =
            Self { cluster, lease, until, idle: 0, met_end: false, sought: false, deadline: Instant::now() };
        this.progressed();
        Ok(this)
    }

    fn progressed(&mut self) {
        self.idle = 0;
        self.met_end = false;
        self.sought = false;
        self.deadline = Instant::now() + Duration::from_millis(self.cluster.options().poll_timeout_ms);
    }

    fn next(&self) -> i64 {
        self.lease.slot.as_ref().map_or(self.until, |s| s.next)
    }

    fn run(&mut self, take: &mut impl FnMut(&dyn Row) -> Result<bool>) -> Result<Outcome> {
        while self.next() < self.until {
            match self.look(take)? {
                Look::Read => {
                    if self.idle > 0 || self.met_end {
                        self.progressed();
                    }
                }
                Look::Stopped => return Ok(Outcome::Stopped),
                Look::Beyond => self.set_next(self.until),
                Look::OutOfRange => {
                    let at = self.next();
                    // A consumer that lost its place is of no more use.
                    self.lease.slot = None;
                    let _ = self
                        .lease
                        .member
                        .consumer
                        .incremental_unassign(&list(&self.lease.place, Offset::Invalid));
                    return Ok(Outcome::Lost(at));
                }
                look => {
                    if let Some(outcome) = self.waited(matches!(look, Look::End))? {
                        return Ok(outcome);
                    }
                }
            }
        }
        Ok(Outcome::Done)
    }

    fn set_next(&mut self, next: i64) {
        if let Some(slot) = &mut self.lease.slot {
            slot.next = next;
        }
    }

    /// Takes one message from the queue.
    fn look(&mut self, take: &mut impl FnMut(&dyn Row) -> Result<bool>) -> Result<Look> {
        let Some(slot) = &mut self.lease.slot else { return Ok(Look::Nothing) };
        if let Some(message) = slot.held.pop_front() {
            if message.offset() >= self.until {
                slot.held.push_front(message);
                return Ok(Look::Beyond);
            }
            return taken(&mut slot.next, &message, take);
        }
        let held = match slot.queue.poll(POLL) {
            None => return Ok(Look::Nothing),
            Some(Ok(message)) if message.offset() < self.until => {
                return taken(&mut slot.next, &message, take);
            }
            Some(Ok(message)) => message.detach(),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Look::End),
            Some(Err(error)) => {
                return match error.rdkafka_error_code() {
                    Some(
                        RDKafkaErrorCode::AutoOffsetReset
                        | RDKafkaErrorCode::OffsetOutOfRange
                        | RDKafkaErrorCode::UnknownTopicOrPartition
                        | RDKafkaErrorCode::UnknownPartition,
                    ) => Ok(Look::OutOfRange),
                    code if code.is_none_or(|code| !is_final(code))
                        && !matches!(error, KafkaError::MessageConsumptionFatal(_)) =>
                    {
                        Ok(Look::Nothing)
                    }
                    _ => {
                        let servers = &self.cluster.options().properties.servers;
                        Err(self.lease.member.failed(&self.lease.place, &error, servers))
                    }
                };
            }
        };
        slot.held.push_back(held);
        Ok(Look::Beyond)
    }

    /// After a look in vain: whether the rest of the range has no messages (marks of transactions, aborted ones, compacted
    /// ones), or is not there.
    fn waited(&mut self, is_end: bool) -> Result<Option<Outcome>> {
        self.lease.member.serve();
        self.met_end |= is_end;
        if !is_end {
            self.idle += 1;
        }
        // The consumer passes over the marks of transactions in silence.
        if self.lease.member.position(&self.lease.place).is_some_and(|at| at >= self.until) {
            self.set_next(self.until);
            return Ok(Some(Outcome::Done));
        }
        if self.sought && is_end {
            let (earliest, latest) = self.cluster.bounds(&self.lease.place)?;
            if latest < self.until || earliest > self.next() {
                return Ok(Some(Outcome::Lost(self.next())));
            }
            self.set_next(self.until);
            // The consumer waits before the messages that are not there: it cannot go on from after them.
            self.lease.slot = None;
            let _ =
                self.lease.member.consumer.incremental_unassign(&list(&self.lease.place, Offset::Invalid));
            return Ok(Some(Outcome::Done));
        }
        if self.met_end && !self.sought && self.idle >= PATIENCE {
            // An end that was met may be that of a batch before: looked for anew, it is today's.
            let (place, at) = (&self.lease.place, Offset::Offset(self.next()));
            let sought = self.lease.member.consumer.seek(&place.topic, place.partition, at, SEEK_TIMEOUT);
            self.sought = sought.is_ok();
        }
        if Instant::now() > self.deadline {
            return Err(self.timed_out());
        }
        Ok(None)
    }

    fn timed_out(&self) -> Error {
        let said = self.lease.member.consumer.client().context().take();
        let said =
            if said.is_empty() { String::new() } else { format!(" The client said: {}", said.join("; ")) };
        Error::new("")
            .message(format!(
                "Cannot fetch record for offset {} of {} in {} milliseconds.{said}",
                self.next(),
                self.lease.place,
                self.cluster.options().poll_timeout_ms
            ))
            .exception("SparkException")
    }
}

/// Whether another try does not help. Of all else the client tries again by itself, and the deadline bounds it.
fn is_final(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::NotImplemented
            | RDKafkaErrorCode::BadCompression
            | RDKafkaErrorCode::BadMessage
    )
}

fn taken(
    next: &mut i64,
    message: &impl Message,
    take: &mut impl FnMut(&dyn Row) -> Result<bool>,
) -> Result<Look> {
    if message.offset() < *next {
        return Ok(Look::Read);
    }
    let goes_on = take(message)?;
    *next = message.offset() + 1;
    Ok(if goes_on { Look::Read } else { Look::Stopped })
}
