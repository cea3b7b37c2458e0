//! Places in topics: partitions, offsets, and their JSON, which is Spark's (`JsonUtils` of its Kafka connector).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use boathouse_spec::{Error, Result};
use serde_json::{Map, Value};

use super::errors::illegal_argument;

/// Stands for the end of a partition in offsets that users write.
pub const LATEST: i64 = -1;
/// Stands for the beginning of a partition in offsets that users write.
pub const EARLIEST: i64 = -2;

/// A partition of a topic, shown as Kafka shows it: `topic-0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: &str, partition: i32) -> Self {
        Self { topic: Arc::from(topic), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// An offset for each partition: the next one to be read, so one after the last that was.
pub type Offsets = BTreeMap<TopicPartition, i64>;

/// `{"topic":{"0":23,"1":-1}}`
pub fn parse_offsets(text: &str) -> Result<Offsets> {
    numbers(text).ok_or_else(|| {
        let example = r#"{"topicA":{"0":23,"1":-1},"topicB":{"0":-2}}"#;
        illegal_argument(format!("Expected e.g. {example}, got {text}"))
    })
}

/// `{"topic":{"0":1700000000000}}`, in milliseconds.
pub fn parse_timestamps(text: &str) -> Result<Offsets> {
    numbers(text).ok_or_else(|| {
        illegal_argument(format!(
            "Expected e.g. {{\"topicA\": {{\"0\": 123456789, \"1\": 123456789}},\n\"topicB\": {{\"0\": 123456789, \"1\": \
             123456789}}}}, got {text}"
        ))
    })
}

fn numbers(text: &str) -> Option<Offsets> {
    let Ok(Value::Object(topics)) = serde_json::from_str(text) else { return None };
    let mut out = Offsets::new();
    for (topic, partitions) in &topics {
        for (partition, number) in partitions.as_object()? {
            out.insert(TopicPartition::new(topic, partition.parse().ok()?), number.as_i64()?);
        }
    }
    Some(out)
}

/// `{"topicA":[0,1],"topicB":[2]}`
pub fn parse_partitions(text: &str) -> Result<Vec<TopicPartition>> {
    let parsed = || -> Option<Vec<TopicPartition>> {
        let Ok(Value::Object(topics)) = serde_json::from_str(text) else { return None };
        let mut out = Vec::new();
        for (topic, partitions) in &topics {
            for partition in partitions.as_array()? {
                out.push(TopicPartition::new(topic, i32::try_from(partition.as_i64()?).ok()?));
            }
        }
        Some(out)
    };
    parsed().ok_or_else(|| {
        illegal_argument(format!(r#"Expected e.g. {{"topicA":[0,1],"topicB":[0,1]}}, got {text}"#))
    })
}

/// The JSON of offsets, ordered by topic and partition: the same offsets are the same text.
pub fn print_offsets(offsets: &Offsets) -> String {
    let mut topics: Map<String, Value> = Map::new();
    for (place, offset) in offsets {
        let partitions = topics.entry(place.topic.to_string()).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(partitions) = partitions {
            partitions.insert(place.partition.to_string(), Value::from(*offset));
        }
    }
    Value::Object(topics).to_string()
}

/// Offsets of a checkpoint.
pub fn parse_logged(text: &str) -> Result<Offsets> {
    numbers(text).ok_or_else(|| {
        Error::new("STREAM_CHECKPOINT_CORRUPT")
            .message(format!("{text} is no offset of a stream from Kafka."))
    })
}

/// As Scala prints a set: `Set(t-0, t-1)`.
pub fn show<'a>(places: impl IntoIterator<Item = &'a TopicPartition>) -> String {
    let shown: Vec<String> = places.into_iter().map(TopicPartition::to_string).collect();
    format!("Set({})", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_json() {
        let text = r#"{"b":{"10":3,"2":1},"a":{"0":-2}}"#;
        let offsets = parse_offsets(text).unwrap();
        assert_eq!(offsets[&TopicPartition::new("b", 10)], 3);
        assert_eq!(print_offsets(&offsets), r#"{"a":{"0":-2},"b":{"2":1,"10":3}}"#);
        for wrong in ["", "1", "[]", r#"{"a":1}"#, r#"{"a":{"x":1}}"#, r#"{"a":{"0":"x"}}"#] {
            assert!(parse_offsets(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn partitions_are_json() {
        let places = parse_partitions(r#"{"a":[0,2]}"#).unwrap();
        assert_eq!(show(&places), "Set(a-0, a-2)");
        assert!(parse_partitions(r#"{"a":{"0":1}}"#).is_err());
    }
}
