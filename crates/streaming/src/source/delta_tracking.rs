//! `schemaTrackingLocation`: the columns with which a stream reads a Delta table are kept in a log, so that it goes over changes
//! that do not only add: columns renamed or dropped, types widened. delta-spark's `DeltaSourceMetadataTrackingLog`, with its files:
//! `_schema_log_<table id>/0`, `1`, ...

use std::collections::BTreeSet;
use std::sync::Arc;

use boathouse_delta::{CommitChanges, Metadata, Protocol, Snapshot};
use boathouse_engine::Session;
use boathouse_spec::{Error, Options, Result, StructType};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::delta_schema_change as schema_change;
use crate::checkpoint::{Directory, lines_v1, with_v1};
use crate::options::Given;
use crate::settings;

/// Options that name the place of the log.
const LOCATION: [&str; 2] = ["schemaTrackingLocation", "schemaLocation"];

/// Tells the logs of several sources over one table apart.
const TRACKING_ID: &str = "streamingSourceTrackingId";

const OUTSIDE_ALLOWED: &str = "spark.databricks.delta.streaming.allowSchemaLocationOutsideCheckpointLocation";

/// With which columns, settings and features a table is read from a version on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    table_id: String,
    /// What was known at this version; not necessarily where it changed.
    pub delta_commit_version: i64,
    pub data_schema_json: String,
    partition_schema_json: String,
    /// The source's directory in the checkpoint.
    source_metadata_path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table_configurations: Option<IndexMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol_json: Option<String>,
    /// The entry before, where it is not the one with the number before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous_metadata_seq_num: Option<i64>,
}

impl Entry {
    fn new(version: i64, metadata: &Metadata, protocol: &Protocol, source: &str) -> Result<Self> {
        let schema = StructType::from_json(&metadata.schema_string)?;
        let partitions = metadata.partition_columns.iter().filter_map(|name| schema.field(name).cloned());
        Ok(Self {
            table_id: metadata.id.clone(),
            delta_commit_version: version,
            data_schema_json: metadata.schema_string.clone(),
            partition_schema_json: StructType::new(partitions.collect()).json(),
            source_metadata_path: source.to_string(),
            table_configurations: Some(metadata.configuration.clone()),
            protocol_json: Some(protocol_json(protocol)?),
            previous_metadata_seq_num: None,
        })
    }

    pub fn schema(&self) -> Result<StructType> {
        StructType::from_json(&self.data_schema_json).map_err(|_| {
            Error::new("DELTA_STREAMING_SCHEMA_LOG_PARSE_SCHEMA_FAILED").message(
                "Failed to parse the schema from the Delta streaming source schema log. The schema log may have been corrupted. Please \
                 pick a new schema location.",
            )
        })
    }

    fn protocol(&self) -> Option<Protocol> {
        let action: Value = serde_json::from_str(self.protocol_json.as_deref()?).ok()?;
        serde_json::from_value(action.get("protocol")?.clone()).ok()
    }

    /// The table as this entry says it is to be read.
    pub fn view(&self, table: &Snapshot) -> Result<Snapshot> {
        let partitions = StructType::from_json(&self.partition_schema_json)?;
        table.read_as(
            Metadata {
                schema_string: self.data_schema_json.clone(),
                partition_columns: partitions.fields.into_iter().map(|f| f.name).collect(),
                configuration: self
                    .table_configurations
                    .clone()
                    .unwrap_or_else(|| table.metadata().configuration.clone()),
                ..table.metadata().clone()
            },
            self.protocol().unwrap_or_else(|| table.protocol().clone()),
        )
    }

    /// That the stream has to start anew, to go on with this entry.
    pub fn evolution(&self) -> Result<Error> {
        let schema = self.schema()?.tree_string(None);
        let settings = self.table_configurations.iter().flatten().map(|(k, v)| format!("{k}:{v}"));
        let settings = settings.collect::<Vec<_>>().join(", ");
        let protocol = self.protocol().map(|p| shown_protocol(&p)).unwrap_or_default();
        Ok(Error::new("DELTA_STREAMING_METADATA_EVOLUTION")
            .param("schema", &schema)
            .param("config", &settings)
            .param("protocol", &protocol)
            .message(format!(
                "The schema, table configuration or protocol of your Delta table has changed during streaming.\nThe schema or metadata \
                 tracking log has been updated.\nPlease restart the stream to continue processing using the updated metadata.\nUpdated \
                 schema: {schema}.\nUpdated table configurations: {settings}.\nUpdated table protocol: {protocol}"
            ))
            .exception("RuntimeException"))
    }
}

fn protocol_json(protocol: &Protocol) -> Result<String> {
    let text = serde_json::to_string(protocol).map_err(|e| Error::internal(e.to_string()))?;
    Ok(format!("{{\"protocol\":{text}}}"))
}

/// `Protocol.simpleString`: versions, and features in order.
fn shown_protocol(protocol: &Protocol) -> String {
    let features = |given: &Option<Vec<String>>| match given {
        Some(given) => {
            let sorted: BTreeSet<&str> = given.iter().map(String::as_str).collect();
            format!("[{}]", sorted.into_iter().collect::<Vec<_>>().join(","))
        }
        None => "None".to_string(),
    };
    let versions = format!("{},{}", protocol.min_reader_version, protocol.min_writer_version);
    if protocol.writer_features.is_none() && protocol.reader_features.is_none() {
        return versions;
    }
    format!("{versions},{},{}", features(&protocol.reader_features), features(&protocol.writer_features))
}

/// The log, and the entry of it that is in force.
#[derive(Debug)]
pub(super) struct Tracking {
    directory: Directory,
    source: String,
    current: Option<(i64, Entry)>,
}

impl Tracking {
    /// The log that the options name, where they do. `source` is the source's directory in the checkpoint; there is none outside
    /// of a query.
    pub async fn open(
        session: &Arc<Session>,
        options: &Options,
        table: &Snapshot,
        source: Option<&Directory>,
    ) -> Result<Option<Self>> {
        let given = Given(options);
        let Some(location) = LOCATION.iter().find_map(|key| given.text(key)) else { return Ok(None) };
        let suffix = given.text(TRACKING_ID).map(|id| format!("_{id}")).unwrap_or_default();
        let directory =
            Directory::open(session, location)?.child(&format!("_schema_log_{}{suffix}", table.id()));
        if let Some(source) = source {
            check_place(session, &directory, source)?;
        }
        let mut log =
            Self { directory, source: source.map(Directory::display).unwrap_or_default(), current: None };
        if let Some(number) = log.directory.numbers().await?.pop() {
            log.current = log.read(number).await?.map(|entry| (number, entry));
        }
        if let Some((_, entry)) = &log.current {
            log.check(entry, table.id(), source.is_some())?;
        }
        Ok(Some(log))
    }

    async fn read(&self, number: i64) -> Result<Option<Entry>> {
        let Some(text) = self.directory.read_text(&number.to_string()).await? else { return Ok(None) };
        let entry = lines_v1(&text).ok().and_then(|mut lines| serde_json::from_str(lines.next()?).ok());
        entry.map(Some).ok_or_else(|| {
            Error::new("DELTA_STREAMING_SCHEMA_LOG_DESERIALIZE_FAILED")
                .param("location", self.directory.display())
                .message(format!(
                    "Incomplete log file in the Delta streaming source schema log at '{}'.\nThe schema log may have been corrupted. \
                     Please pick a new schema location.",
                    self.directory.display()
                ))
        })
    }

    /// The log must be of this table, and of this source.
    fn check(&self, entry: &Entry, table_id: &str, in_query: bool) -> Result<()> {
        if entry.table_id != table_id {
            return Err(Error::new("DELTA_STREAMING_SCHEMA_LOG_INCOMPATIBLE_DELTA_TABLE_ID")
                .param("persistedId", &entry.table_id)
                .param("tableId", table_id)
                .message(format!(
                    "Detected incompatible Delta table id when trying to read Delta stream.\nPersisted table id: {}, Table id: \
                     {table_id}\nThe schema log might have been reused. Please pick a new schema location.",
                    entry.table_id
                ))
                .exception("AnalysisException"));
        }
        if in_query && entry.source_metadata_path != self.source {
            return Err(Error::new("")
                .message(format!(
                    "requirement failed: The Delta source metadata path used for execution '{}' is different from the one persisted \
                     for previous processing '{}'. Please check if the schema location has been reused across different streaming \
                     sources. Pick a new `schemaTrackingLocation` or use `{TRACKING_ID}` to distinguish between streaming sources.",
                    self.source, entry.source_metadata_path
                ))
                .exception("IllegalArgumentException"));
        }
        Ok(())
    }

    /// The entry in force.
    pub fn current(&self) -> Option<&Entry> {
        self.current.as_ref().map(|(_, entry)| entry)
    }

    fn previous_number(&self) -> Option<i64> {
        let (number, entry) = self.current.as_ref()?;
        Some(entry.previous_metadata_seq_num.unwrap_or(number - 1))
    }

    /// Whether the stream may go on with the entry in force, in view of the one before it.
    pub async fn check_change(&self, session: &Session, options: &Options) -> Result<()> {
        let (Some(number), Some(current)) = (self.previous_number(), self.current()) else { return Ok(()) };
        let Some(previous) = self.read(number).await? else { return Ok(()) };
        schema_change::check_unblocked(session, options, &self.source, &previous, current)
    }

    /// Changes without rows that follow the one in force are one change with it: where they lead to.
    pub fn merged(&self, commits: &[CommitChanges]) -> Option<Entry> {
        let current = self.current()?;
        let silent = |c: &&CommitChanges| {
            c.adds.is_empty()
                && c.removes.is_empty()
                && c.cdc.is_empty()
                && (c.metadata.is_some() || c.protocol.is_some())
        };
        let last = commits.iter().take_while(silent).last()?;
        if last.version <= current.delta_commit_version {
            return None;
        }
        let mut entry = Entry { delta_commit_version: last.version, ..current.clone() };
        if let Some(metadata) = &last.metadata {
            let protocol = Protocol {
                min_reader_version: 0,
                min_writer_version: 0,
                reader_features: None,
                writer_features: None,
            };
            let new = Entry::new(last.version, metadata, &protocol, &current.source_metadata_path).ok()?;
            entry = Entry { protocol_json: current.protocol_json.clone(), ..new };
        }
        if let Some(protocol) = &last.protocol {
            entry.protocol_json = protocol_json(protocol).ok();
        }
        Some(entry)
    }

    /// What is to be noted of a table at a version.
    pub fn entry(&self, version: i64, metadata: &Metadata, protocol: &Protocol) -> Result<Entry> {
        Entry::new(version, metadata, protocol, &self.source)
    }

    /// Notes an entry, which is then in force; in place of the one that is, as far as what was before it is concerned, or after it.
    pub async fn write(&mut self, entry: Entry, in_place: bool, table: &Snapshot) -> Result<()> {
        let previous = if in_place { self.previous_number() } else { None };
        let entry = Entry { previous_metadata_seq_num: previous, ..entry };
        let number = self.current.as_ref().map_or(0, |(number, _)| number + 1);
        let text = serde_json::to_string(&entry).map_err(|e| Error::internal(e.to_string()))?;
        if !self.directory.create(&number.to_string(), with_v1(text)).await? {
            return Err(Error::new("DELTA_STREAMING_SCHEMA_LOCATION_CONFLICT")
                .param("loc", self.directory.display())
                .param("table", table.location().uri())
                .message(format!(
                    "Detected conflicting schema location '{}' while streaming from table or table located at '{}'.\nAnother stream may \
                     be reusing the same schema location, which is not allowed.\nPlease provide a new unique `schemaTrackingLocation` \
                     path or `{TRACKING_ID}` as a reader option for one of the streams from this table.",
                    self.directory.display(),
                    table.location().uri()
                )));
        }
        self.current = Some((number, entry));
        Ok(())
    }
}

/// The log goes where the checkpoint goes.
fn check_place(session: &Session, directory: &Directory, source: &Directory) -> Result<()> {
    let allowed = settings::flag(session, OUTSIDE_ALLOWED, false);
    // A source is at `sources/i` of its checkpoint.
    let checkpoint = source.up(2);
    if allowed || directory.is_in(&checkpoint) {
        return Ok(());
    }
    Err(Error::new("DELTA_STREAMING_SCHEMA_LOCATION_NOT_UNDER_CHECKPOINT")
        .param("schemaTrackingLocation", directory.display())
        .param("checkpointLocation", checkpoint.display())
        .message(format!(
            "Schema location '{}' must be placed under checkpoint location '{}'.",
            directory.display(),
            checkpoint.display()
        ))
        .exception("AnalysisException"))
}

/// Whether a commit changes how a table that is read in a certain way would have to be read: its columns, settings of Delta,
/// or features.
pub(super) fn changes(read: &Snapshot, metadata: Option<&Metadata>, protocol: Option<&Protocol>) -> bool {
    let features = |p: &Protocol| {
        let set = |f: &Option<Vec<String>>| f.iter().flatten().cloned().collect::<BTreeSet<String>>();
        (p.min_reader_version, p.min_writer_version, set(&p.reader_features), set(&p.writer_features))
    };
    let settings = |m: &Metadata| {
        let own = m.configuration.iter().filter(|(k, _)| k.starts_with("delta."));
        own.map(|(k, v)| (k.clone(), v.clone())).collect::<std::collections::BTreeMap<_, _>>()
    };
    let columns = |m: &Metadata| serde_json::from_str::<Value>(&m.schema_string).unwrap_or(json!(null));
    protocol.is_some_and(|p| features(p) != features(read.protocol()))
        || metadata.is_some_and(|m| {
            columns(m) != columns(read.metadata())
                || m.partition_columns != read.metadata().partition_columns
                || settings(m) != settings(read.metadata())
        })
}
