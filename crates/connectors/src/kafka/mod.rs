//! Apache Kafka: topics as tables, for batches and for streams, and rows as messages. The semantics and the options are those of
//! Spark's connector (`connector/kafka-0-10-sql`), the client is librdkafka.
//!
//! `options.rs` says what users may say, `properties.rs` what of it is the client's (with `jaas.rs` and `oauth.rs`: who logs in,
//! `key_stores.rs`: with which keys); `cluster.rs` knows partitions and offsets, `ranges.rs` chooses what is read, `fetch.rs` reads it, `rows.rs` and `table.rs` make it a table. `write.rs` sends rows, `message_columns.rs` says which are messages.

mod client;
mod cluster;
mod errors;
mod fetch;
mod jaas;
mod jks;
mod key_stores;
mod message_columns;
mod oauth;
mod offsets;
mod options;
mod properties;
mod ranges;
mod rows;
mod table;
mod write;

pub use cluster::Cluster;
pub use offsets::{Offsets, TopicPartition, parse_logged, print_offsets};
pub use options::{Limit, StreamOptions};
pub use ranges::{Range, limited};
pub use rows::schema;
pub use table::KafkaTable;
pub use write::{BatchMark, KafkaWriter, SinkOptions};

#[cfg(test)]
mod tests;
