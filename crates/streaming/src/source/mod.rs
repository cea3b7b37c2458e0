//! Sources: a file each. A source says how far its data goes, and gives what lies between two offsets.

mod admission;
mod cleaner;
mod cloud_files;
mod delta;
mod delta_changes;
mod delta_offset;
mod delta_options;
mod delta_schema_change;
mod delta_start;
mod delta_tracking;
mod event_order;
mod file_listing;
mod file_rules;
mod file_stream;
mod followed;
mod generated;
mod kafka;
mod python;
mod rate;
mod rate_micro_batch;
mod schema_hints;
mod schema_log;
mod socket;

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::{PythonStream, Session, StreamOrigin};
use boathouse_spec::{Error, Result, StructType};
use datafusion::catalog::TableProvider;
use serde_json::{Map, Value};

use self::delta_options::DeltaOptions;
use crate::checkpoint::Directory;

/// How much a batch may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// What the source's options say.
    Options,
    /// All there is (`Trigger.Once`).
    All,
}

/// Whether a source has a form without batches in Spark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continuity {
    Continuous,
    /// Also in real-time mode.
    RealTime,
    /// A source of batches, by its name.
    Batches(&'static str),
    /// The relation itself is no operation of continuous queries.
    Relation,
}

/// Offsets are JSON text in a form of the source's own; the same text means the same place for ever.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    fn schema(&self) -> &StructType;

    /// As progress reports call it.
    fn description(&self) -> String;

    /// Fixes the end: nothing that comes later is read.
    async fn prepare_available_now(&mut self) -> Result<()>;

    /// The place up to which a batch that begins at `start` shall read; `start` itself, or `None`, where there is nothing new.
    async fn end_offset(&mut self, start: Option<&str>, limit: Limit) -> Result<Option<String>>;

    /// The end of all data, where the source knows it, for progress reports.
    fn latest_offset(&self) -> Option<String> {
        None
    }

    /// The rows after `start` up to `end`: the same rows each time.
    async fn slice(&mut self, start: Option<&str>, end: &str) -> Result<Arc<dyn TableProvider>>;

    /// Nothing up to `end` will be asked for again.
    async fn commit(&mut self, _end: &str) -> Result<()> {
        Ok(())
    }

    /// Whether the source is to be told which of its columns is the event time of the query.
    fn wants_event_time(&self) -> bool {
        false
    }

    /// Tells it, by the column's name.
    fn set_event_time(&mut self, _column: &str) -> Result<()> {
        Ok(())
    }

    fn continuity(&self) -> Continuity {
        Continuity::Relation
    }

    /// What Spark calls the source where it refuses it.
    fn class_name(&self) -> String {
        self.description()
    }

    /// Figures for progress reports.
    fn metrics(&self) -> Map<String, Value> {
        Map::new()
    }
}

/// Opens a source; `directory` is its own in the checkpoint.
pub(crate) async fn open(
    session: &Arc<Session>,
    origin: StreamOrigin,
    directory: Directory,
) -> Result<Box<dyn Source>> {
    match origin {
        StreamOrigin::Delta { name, table, options } => {
            if DeltaOptions::parse(&options)?.reads_changes {
                let source = delta_changes::DeltaChanges::open(session, name, table, &options, &directory);
                return Ok(Box::new(source.await?));
            }
            Ok(Box::new(delta::DeltaSource::open(session, name, table, &options, &directory).await?))
        }
        StreamOrigin::Source(source) if PythonStream::is_known(session, &source.format) => {
            Ok(Box::new(python::Python::open(session, &source).await?))
        }
        StreamOrigin::Source(source) => match source.format.as_str() {
            "cloudfiles" => Ok(Box::new(cloud_files::CloudFiles::open(session, &source, directory).await?)),
            "kafka" => Ok(Box::new(kafka::Kafka::open(&source, directory)?)),
            "rate" => Ok(Box::new(rate::Rate::open(session, &source, &directory).await?)),
            "rate-micro-batch" => Ok(Box::new(rate_micro_batch::RateMicroBatch::open(session, &source)?)),
            "socket" => Ok(Box::new(socket::Socket::open(&source).await?)),
            format if is_file_format(format) => {
                Ok(Box::new(file_stream::FileStream::open(session, &source, directory).await?))
            }
            other => Err(unknown(other)),
        },
    }
}

/// The schema of a source, without a query.
pub(crate) async fn schema(session: &Arc<Session>, origin: &StreamOrigin) -> Result<StructType> {
    match origin {
        StreamOrigin::Delta { table, options, .. } if DeltaOptions::parse(options)?.reads_changes => {
            delta_changes::schema(session, table, options).await
        }
        StreamOrigin::Delta { table, options, .. } => delta::schema(session, table, options).await,
        StreamOrigin::Source(source) if PythonStream::is_known(session, &source.format) => {
            PythonStream::columns(session, source).await
        }
        StreamOrigin::Source(source) => match source.format.as_str() {
            "cloudfiles" => cloud_files::schema(session, source).await,
            "kafka" => kafka::schema(source),
            "rate" | "rate-micro-batch" => rate::check(source).map(|()| generated::schema()),
            "socket" => socket::schema(source),
            format if is_file_format(format) => file_stream::schema(session, source).await,
            other => Err(unknown(other)),
        },
    }
}

fn is_file_format(format: &str) -> bool {
    boathouse_connectors::Format::find(format).is_ok()
}

fn unknown(format: &str) -> Error {
    match format {
        "kinesis" | "pubsub" | "pulsar" | "eventhubs" | "orc" | "avro" | "xml" | "statestore" => {
            Error::unsupported(format!("the streaming source {format}"))
        }
        _ => Error::new("DATA_SOURCE_NOT_FOUND")
            .param("provider", format)
            .message(format!("There is no streaming source named {format}."))
            .exception("AnalysisException"),
    }
}
