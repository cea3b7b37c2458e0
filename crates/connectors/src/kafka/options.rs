//! The options of Spark's Kafka source, and what it refuses. Spark: `KafkaSourceProvider`.

use boathouse_spec::{Error, Options, Result, option};

use super::errors::illegal_argument;
use super::offsets::{
    EARLIEST, LATEST, Offsets, TopicPartition, parse_offsets, parse_partitions, parse_timestamps,
};
use super::properties::Properties;

const STRATEGIES: [&str; 3] = ["subscribe", "subscribepattern", "assign"];

/// How long a reader waits for records that are there (`spark.network.timeout`).
const POLL_TIMEOUT_MS: u64 = 120_000;

/// How long `minOffsetsPerTrigger` may hold back a batch: 15 minutes.
const MAX_TRIGGER_DELAY_MS: i64 = 15 * 60_000;

/// Which partitions are read.
#[derive(Debug, Clone)]
pub enum Strategy {
    Assign(Vec<TopicPartition>),
    Subscribe(Vec<String>),
    /// Java's pattern, found anywhere in a topic's name.
    Pattern(fancy_regex::Regex),
}

/// What a start at a time means for a partition whose records are all older.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMatch {
    Error,
    Latest,
}

/// Where reading starts or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    Earliest,
    Latest,
    /// For each partition, `LATEST` and `EARLIEST` among them.
    Offsets(Offsets),
    /// A time for each partition, in milliseconds.
    Times(Offsets, NoMatch),
    /// One time for all.
    Time(i64, NoMatch),
}

/// Options that batches and streams have in common.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    pub strategy: Strategy,
    pub properties: Properties,
    pub fail_on_data_loss: bool,
    pub include_headers: bool,
    pub min_partitions: Option<usize>,
    pub max_records_per_partition: Option<i64>,
    pub fetch_retries: u32,
    pub fetch_retry_interval_ms: u64,
    pub poll_timeout_ms: u64,
    pub group_prefix: Option<String>,
}

/// What is a stream's own.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    pub source: SourceOptions,
    pub starting: Limit,
    pub max_offsets: Option<i64>,
    pub min_offsets: Option<i64>,
    pub max_trigger_delay_ms: i64,
}

/// What is a batch's own.
#[derive(Debug, Clone)]
pub struct BatchOptions {
    pub source: SourceOptions,
    pub starting: Limit,
    pub ending: Limit,
}

impl StreamOptions {
    pub fn new(options: &Options) -> Result<Self> {
        let given = Given(options);
        if given.has("endingOffsets") {
            return Err(illegal_argument("ending offset not valid in streaming queries"));
        }
        if given.has("endingOffsetsByTimestamp") {
            return Err(illegal_argument("ending timestamp not valid in streaming queries"));
        }
        check(&given)?;
        let delay = given.text("maxTriggerDelay").map(java_time_ms).transpose()?;
        Ok(Self {
            source: SourceOptions::new(&given, options)?,
            starting: limit(&given, "starting", Limit::Latest)?,
            max_offsets: given.number("maxOffsetsPerTrigger")?,
            min_offsets: given.number("minOffsetsPerTrigger")?,
            max_trigger_delay_ms: delay.unwrap_or(MAX_TRIGGER_DELAY_MS),
        })
    }
}

impl BatchOptions {
    pub fn new(options: &Options) -> Result<Self> {
        let given = Given(options);
        let starting = limit(&given, "starting", Limit::Earliest)?;
        check_end(&starting, &Limit::Latest, LATEST, "starting offset can't be latest", |p| {
            format!("startingOffsets for {p} can't be latest for batch queries on Kafka")
        })?;
        let ending = limit(&given, "ending", Limit::Latest)?;
        check_end(&ending, &Limit::Earliest, EARLIEST, "ending offset can't be earliest", |p| {
            format!("ending offset for {p} can't be earliest for batch queries on Kafka")
        })?;
        check(&given)?;
        check_order(&starting, &ending)?;
        Ok(Self { source: SourceOptions::new(&given, options)?, starting, ending })
    }
}

impl SourceOptions {
    fn new(given: &Given, options: &Options) -> Result<Self> {
        let positive = |key: &str| Ok::<_, Error>(given.number(key)?.and_then(|n| u64::try_from(n).ok()));
        Ok(Self {
            strategy: strategy(given)?,
            properties: Properties::of(options)?,
            fail_on_data_loss: given.flag("failOnDataLoss", true)?,
            include_headers: given.flag("includeHeaders", false)?,
            min_partitions: given.number("minPartitions")?.and_then(|n| usize::try_from(n).ok()),
            max_records_per_partition: given.number("maxRecordsPerPartition")?,
            fetch_retries: positive("fetchOffset.numRetries")?
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(3),
            fetch_retry_interval_ms: positive("fetchOffset.retryIntervalMs")?.unwrap_or(1000),
            poll_timeout_ms: positive("kafkaConsumer.pollTimeoutMs")?.unwrap_or(POLL_TIMEOUT_MS),
            group_prefix: given.text("groupIdPrefix").map(str::to_string),
        })
    }
}

/// Looks options up; their keys are of no case.
struct Given<'a>(&'a Options);

impl<'a> Given<'a> {
    fn text(&self, key: &str) -> Option<&'a str> {
        option(self.0, key)
    }

    fn has(&self, key: &str) -> bool {
        self.text(key).is_some()
    }

    fn number(&self, key: &str) -> Result<Option<i64>> {
        let parse = |text: &str| {
            text.parse().map_err(|_| {
                Error::new("")
                    .message(format!("For input string: \"{text}\""))
                    .exception("NumberFormatException")
            })
        };
        self.text(key).map(parse).transpose()
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.text(key) {
            None => Ok(default),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(illegal_argument(format!("For input string: \"{text}\""))),
        }
    }
}

/// What Spark checks before anything is read. Spark: `validateGeneralOptions`.
fn check(given: &Given) -> Result<()> {
    check_strategy(given)?;
    if given.number("minPartitions")?.is_some_and(|n| n <= 0) {
        return Err(illegal_argument("minPartitions must be positive"));
    }
    if given.number("maxRecordsPerPartition")?.is_some_and(|n| n <= 0) {
        return Err(illegal_argument("maxrecordsperpartition must be positive"));
    }
    check_client(given)?;
    if given.has("minOffsetsPerTrigger") && given.has("maxOffsetsPerTrigger") {
        let min = given.number("minOffsetsPerTrigger")?.unwrap_or(0);
        let max = given.number("maxOffsetsPerTrigger")?.unwrap_or(i64::MAX);
        if min > max {
            return Err(illegal_argument(format!(
                "The value of minOffsetPerTrigger({min}) is higher than the maxOffsetsPerTrigger({max})."
            )));
        }
    }
    Ok(())
}

fn check_strategy(given: &Given) -> Result<()> {
    let chosen: Vec<&str> = STRATEGIES.into_iter().filter(|key| given.has(key)).collect();
    let named = STRATEGIES.join(", ");
    let many = match chosen.len() {
        0 => "One of the following options must",
        1 => return Ok(()),
        _ => "Only one of the following options can",
    };
    Err(illegal_argument(format!(
        "{many} be specified for Kafka source: {named}. See the docs for more details."
    )))
}

fn strategy(given: &Given) -> Result<Strategy> {
    if let Some(text) = given.text("assign") {
        if !text.trim().starts_with('{') {
            return Err(illegal_argument(format!(
                "No topicpartitions to assign as specified value for option 'assign' is '{text}'"
            )));
        }
        return parse_partitions(text).map(Strategy::Assign);
    }
    if let Some(text) = given.text("subscribe") {
        let topics: Vec<String> =
            text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_string).collect();
        if topics.is_empty() {
            return Err(illegal_argument(format!(
                "No topics to subscribe to as specified value for option 'subscribe' is '{text}'"
            )));
        }
        return Ok(Strategy::Subscribe(topics));
    }
    let text = given.text("subscribePattern").unwrap_or_default();
    if text.trim().is_empty() {
        return Err(illegal_argument(format!(
            "Pattern to subscribe is empty as specified value for option 'subscribePattern' is '{text}'"
        )));
    }
    let pattern = fancy_regex::Regex::new(text.trim());
    pattern
        .map(Strategy::Pattern)
        .map_err(|e| illegal_argument(format!("The pattern {text} cannot be read: {e}")))
}

/// Settings of the client that are ours to make.
fn check_client(given: &Given) -> Result<()> {
    if given.has("kafka.auto.offset.reset") {
        return Err(illegal_argument(
            "\nKafka option 'auto.offset.reset' is not supported.\nInstead set the source option 'startingoffsets' to 'earliest' or \
             'latest'\nto specify where to start. Structured Streaming manages which offsets are consumed\ninternally, rather than \
             relying on the kafkaConsumer to do it. This will ensure that no\ndata is missed when new topics/partitions are \
             dynamically subscribed. Note that\n'startingoffsets' only applies when a new Streaming query is started, and\nthat resuming \
             will always pick up from where the query left off. See the docs for more\ndetails.\n         ",
        ));
    }
    for (kind, kinds) in [("key", "keys"), ("value", "values")] {
        if given.has(&format!("kafka.{kind}.deserializer")) {
            return Err(illegal_argument(format!(
                "Kafka option '{kind}.deserializer' is not supported as {kinds} are deserialized as byte arrays with \
                 ByteArrayDeserializer. Use DataFrame operations to explicitly deserialize the {kinds}."
            )));
        }
    }
    for name in ["enable.auto.commit", "interceptor.classes"] {
        if given.has(&format!("kafka.{name}")) {
            return Err(illegal_argument(format!("Kafka option '{name}' is not supported")));
        }
    }
    if !given.has("kafka.bootstrap.servers") {
        return Err(illegal_argument(
            "Option 'kafka.bootstrap.servers' must be specified for configuring Kafka consumer",
        ));
    }
    Ok(())
}

/// `startingTimestamp`, `startingOffsetsByTimestamp`, `startingOffsets`, in this order; and the same for the end.
fn limit(given: &Given, which: &str, default: Limit) -> Result<Limit> {
    let no_match = match given.text("startingOffsetsByTimestampStrategy").map(str::to_uppercase).as_deref() {
        None | Some("ERROR") => NoMatch::Error,
        Some("LATEST") => NoMatch::Latest,
        Some(other) => {
            return Err(Error::new("")
                .message(format!("No value found for '{other}'"))
                .exception("NoSuchElementException"));
        }
    };
    if let Some(text) = given.text(&format!("{which}Timestamp")).map(str::trim) {
        let time = text.parse();
        let time = time.map_err(|_| illegal_argument(format!("Expected a single long value, got {text}")))?;
        return Ok(Limit::Time(time, no_match));
    }
    if let Some(text) = given.text(&format!("{which}OffsetsByTimestamp")) {
        return Ok(Limit::Times(parse_timestamps(text.trim())?, no_match));
    }
    match given.text(&format!("{which}Offsets")).map(str::trim) {
        None => Ok(default),
        Some(text) if text.eq_ignore_ascii_case("latest") => Ok(Limit::Latest),
        Some(text) if text.eq_ignore_ascii_case("earliest") => Ok(Limit::Earliest),
        Some(text) => parse_offsets(text).map(Limit::Offsets),
    }
}

fn check_end(
    limit: &Limit,
    refused: &Limit,
    offset: i64,
    says: &str,
    of_partition: impl Fn(&TopicPartition) -> String,
) -> Result<()> {
    if limit == refused {
        return Err(illegal_argument(format!("{says} for batch queries on Kafka")));
    }
    if let Limit::Offsets(offsets) = limit
        && let Some((place, _)) = offsets.iter().find(|(_, o)| **o == offset)
    {
        return Err(illegal_argument(of_partition(place)));
    }
    Ok(())
}

/// A start after its end is refused before the cluster is asked, where both are given. Spark: `checkOffsetLimitValidity`.
fn check_order(starting: &Limit, ending: &Limit) -> Result<()> {
    let (kind, start, end) = match (starting, ending) {
        (Limit::Offsets(start), Limit::Offsets(end)) => ("offset", start, end),
        (Limit::Times(start, _), Limit::Times(end, _)) => ("timestamp", start, end),
        _ => return Ok(()),
    };
    if !start.keys().eq(end.keys()) {
        let show = |o: &Offsets| o.keys().map(TopicPartition::to_string).collect::<Vec<_>>().join(", ");
        return Err(illegal_argument(format!(
            "The specified start offset and end offset should have the same topic-partitions.\nTopic-partitions for start offset: {}, \
             topic-partitions for end offset: {}.",
            show(start),
            show(end)
        )));
    }
    for ((place, from), until) in start.iter().zip(end.values()) {
        if from > until && *from >= 0 && *until >= 0 {
            return Err(illegal_argument(format!(
                "The specified start {kind} {from} is greater than the end {kind} {until} for topic {} partition {}.",
                place.topic, place.partition
            )));
        }
    }
    Ok(())
}

/// A time as Spark's settings have it: `15m`, `100ms`, `2h`; a bare number is milliseconds.
fn java_time_ms(text: &str) -> Result<i64> {
    let lower = text.trim().to_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let factor_us = match unit {
        "us" => Some(1),
        "" | "ms" => Some(1000),
        "s" => Some(1_000_000),
        "m" | "min" => Some(60_000_000),
        "h" => Some(3_600_000_000),
        "d" => Some(86_400_000_000),
        _ => None,
    };
    let us = number.parse::<i64>().ok().zip(factor_us).and_then(|(n, f)| n.checked_mul(f));
    us.map(|us| us / 1000).ok_or_else(|| {
        Error::new("")
            .message(format!(
                "Time must be specified as seconds (s), milliseconds (ms), microseconds (us), minutes (m or min), hour (h), or day (d). \
                 E.g. 50s, 100ms, or 250us.\nFailed to parse time string: {text}"
            ))
            .exception("NumberFormatException")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(more: &[(&str, &str)]) -> Options {
        let base = [("kafka.bootstrap.servers", "a:1"), ("subscribe", "t")];
        base.iter().chain(more).map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn streams_start_at_the_end_and_batches_read_all() {
        let stream = StreamOptions::new(&options(&[("maxTriggerDelay", "2m")])).unwrap();
        assert_eq!((stream.starting, stream.max_trigger_delay_ms), (Limit::Latest, 120_000));
        let batch = BatchOptions::new(&options(&[])).unwrap();
        assert_eq!((batch.starting, batch.ending), (Limit::Earliest, Limit::Latest));
    }

    /// The texts are Spark 4.2's.
    #[test]
    fn refusals() {
        for (key, value, says) in [
            (
                "assign",
                "{}",
                "Only one of the following options can be specified for Kafka source: subscribe",
            ),
            ("minPartitions", "0", "minPartitions must be positive"),
            ("minPartitions", "x", "For input string: \"x\""),
            ("kafka.auto.offset.reset", "latest", "Kafka option 'auto.offset.reset' is not supported."),
            ("kafka.enable.auto.commit", "true", "Kafka option 'enable.auto.commit' is not supported"),
            ("startingTimestamp", "x", "Expected a single long value, got x"),
            ("startingOffsets", "latest", "starting offset can't be latest for batch queries on Kafka"),
            ("startingOffsets", r#"{"t":{"0":-1}}"#, "startingOffsets for t-0 can't be latest"),
            ("endingOffsets", "earliest", "ending offset can't be earliest for batch queries on Kafka"),
            ("failOnDataLoss", "x", "For input string: \"x\""),
            ("startingOffsetsByTimestampStrategy", "foo", "No value found for 'FOO'"),
        ] {
            let error = BatchOptions::new(&options(&[(key, value)])).unwrap_err();
            assert!(error.text().trim().starts_with(says), "{key}: {error}");
        }
        let error = StreamOptions::new(&options(&[("endingOffsets", "latest")])).unwrap_err();
        assert_eq!(error.text(), "ending offset not valid in streaming queries");
        let more = [("startingOffsets", r#"{"t":{"0":2}}"#), ("endingOffsets", r#"{"t":{"0":1}}"#)];
        let error = BatchOptions::new(&options(&more)).unwrap_err();
        assert_eq!(
            error.text(),
            "The specified start offset 2 is greater than the end offset 1 for topic t partition 0."
        );
    }
}
