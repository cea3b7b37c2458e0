//! Spark's errors about Kafka (`kafka-error-conditions.json` of its connector), and the client's.

use boathouse_spec::{Error, Result};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::Reasons;
use super::offsets::{TopicPartition, show};

/// An argument that is wrong in itself: Spark's Kafka connector gives these no error class.
pub fn illegal_argument(message: impl Into<String>) -> Error {
    Error::new("").message(message).exception("IllegalArgumentException")
}

/// What may be lost, where records that were to be read are not there.
#[derive(Debug, Clone)]
pub enum DataLoss {
    AddedLate { place: TopicPartition, start: i64 },
    Unreadable { place: TopicPartition, from: i64, until: i64, group: String },
    NoInitial(Vec<TopicPartition>),
    Deleted { places: Vec<TopicPartition>, has_group: bool },
    Changed { place: TopicPartition, before: i64, now: i64 },
}

impl DataLoss {
    fn class(&self) -> &'static str {
        match self {
            Self::AddedLate { .. } => "ADDED_PARTITION_DOES_NOT_START_FROM_OFFSET_ZERO",
            Self::Unreadable { .. } => "COULD_NOT_READ_OFFSET_RANGE",
            Self::NoInitial(_) => "INITIAL_OFFSET_NOT_FOUND_FOR_PARTITIONS",
            Self::Deleted { has_group: false, .. } => "PARTITIONS_DELETED",
            Self::Deleted { has_group: true, .. } => "PARTITIONS_DELETED_AND_GROUP_ID_CONFIG_PRESENT",
            Self::Changed { .. } => "PARTITION_OFFSET_CHANGED",
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::AddedLate { place, start } => {
                format!("Added partition {place} starts from {start} instead of 0.")
            }
            Self::Unreadable { place, from, until, group } => format!(
                "Could not read records in offset [{from}, {until}) for topic partition {place}\nwith consumer group {group}."
            ),
            Self::NoInitial(places) => {
                format!(
                    "Cannot find initial offsets for partitions {}. They may have been deleted.",
                    show(places)
                )
            }
            Self::Deleted { places, has_group: false } => {
                format!("Partitions {} have been deleted.", show(places))
            }
            Self::Deleted { places, has_group: true } => format!(
                "Partitions {} have been deleted.\nKafka option 'kafka.group.id' has been set on this query, it is\nnot recommended to \
                 set this option. This option is unsafe to use since multiple concurrent\nqueries or sources using the same group id \
                 will interfere with each other as they are part\nof the same consumer group. Restarted queries may also suffer \
                 interference from the\nprevious run having the same group id. The user should have only one query per group id,\nand/or \
                 set the option 'kafka.session.timeout.ms' to be very small so that the Kafka\nconsumers from the previous query are \
                 marked dead by the Kafka group coordinator before the\nrestarted query starts running.",
                show(places)
            ),
            Self::Changed { place, before, now } => format!(
                "Partition {place} offset was changed from {before} to {now}.\nThis could be either 1) a user error that the start \
                 offset is set beyond available offset when starting query, or 2) the kafka topic-partition is deleted and re-created."
            ),
        }
    }

    fn error(&self) -> Error {
        let error = Error::new(format!("KAFKA_DATA_LOSS.{}", self.class()))
            .message(format!(
                "Some data may have been lost because they are not available in Kafka any more;\neither the data was aged out by Kafka \
                 or the topic may have been deleted before all the data in the\ntopic was processed.\nIf you don't want your streaming \
                 query to fail on such cases, set the source option failOnDataLoss to false.\nReason: {}",
                self.reason()
            ))
            .exception("SparkIllegalStateException");
        match self {
            Self::AddedLate { place, start } => {
                error.param("topicPartition", place).param("startOffset", start)
            }
            Self::Unreadable { place, from, until, group } => error
                .param("startOffset", from)
                .param("endOffset", until)
                .param("topicPartition", place)
                .param("groupId", group),
            Self::NoInitial(places) | Self::Deleted { places, .. } => error.param("partitions", show(places)),
            Self::Changed { place, before, now } => {
                error.param("topicPartition", place).param("prevOffset", before).param("newOffset", now)
            }
        }
    }

    /// The error where losses fail a query (`failOnDataLoss`), a warning otherwise.
    pub fn report(&self, fails: bool) -> Result<()> {
        if fails {
            return Err(self.error());
        }
        tracing::warn!(
            "{} Some data may have been lost because they are not available in Kafka any more. If you want your query to fail on such \
             cases, set the source option failOnDataLoss to true.",
            self.reason()
        );
        Ok(())
    }
}

/// The client could not do something, with the reasons it noted on the way.
pub fn failed(doing: &str, servers: &str, error: &KafkaError, reasons: &Reasons) -> Error {
    if let KafkaError::ClientConfig(_, why, key, value) = error {
        return illegal_argument(format!(
            "The Kafka client does not take the option 'kafka.{key}' = '{value}': {}",
            why.trim()
        ));
    }
    let mut message = format!("Failed while {doing} (kafka.bootstrap.servers = {servers}): {error}");
    let said = reasons.take();
    if !said.is_empty() {
        message = format!("{message}. The client said: {}", said.join("; "));
    }
    let class = match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => "",
        _ => "FAILED_IO",
    };
    Error::new(class).message(message).exception("SparkException")
}

/// A topic that is to be read and is not there.
pub fn unknown_topic(topic: &str) -> Error {
    Error::new("")
        .message(format!(
            "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: This server does not host this topic-partition: {topic}."
        ))
        .exception("SparkException")
}
