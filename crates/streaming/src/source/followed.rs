//! A Delta table that a stream follows: where the query begins, how far it goes, and the commits on the way.

use boathouse_delta::{CommitChanges, DeltaTable, Snapshot, TimestampRules, changes};
use boathouse_formats::datetime_text::parse_timestamp;
use boathouse_formats::zone::Zone;
use boathouse_spec::{Error, Options, Result, StructType};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Limit;
use crate::checkpoint::Directory;
use crate::options::{Given, invalid};

/// Files a batch takes where no option says (`maxFilesPerTrigger`).
const DEFAULT_MAX_FILES: i64 = 1000;

/// Commits that are read at once while looking for what is new.
pub(super) const COMMITS_AT_ONCE: i64 = 100;

/// The index before the first file of a version.
pub(super) const BASE_INDEX: i64 = -1;

/// Where a source keeps the version that its query began with.
const START_FILE: &str = "0";

/// A place in a table's history, in the form Delta has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Offset {
    source_version: i64,
    /// The table's id: another table in its place is noticed.
    reservoir_id: String,
    /// Everything before this version was read.
    pub reservoir_version: i64,
    /// Of this version, the files up to this index were read.
    pub index: i64,
    /// The version's files are those of the whole table, not those of its commit.
    pub is_starting_version: bool,
}

impl Offset {
    /// Where a version's commit is the next to be read.
    pub fn before(table_id: &str, version: i64) -> Self {
        Self {
            source_version: 1,
            reservoir_id: table_id.to_string(),
            reservoir_version: version,
            index: BASE_INDEX,
            is_starting_version: false,
        }
    }

    /// The same, of the whole table at the version.
    pub fn of_whole_table(self) -> Self {
        Self { is_starting_version: true, ..self }
    }

    /// The same, once the version's files up to an index were read.
    pub fn after_file(self, index: i64, is_starting_version: bool) -> Self {
        Self { index, is_starting_version, ..self }
    }

    /// The offset of a checkpoint, which must be of this table.
    pub fn of_table(text: &str, table_id: &str) -> Result<Self> {
        let offset = Self::parse(text)?;
        if offset.reservoir_id == table_id {
            return Ok(offset);
        }
        Err(Error::new("DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE")
            .param("oldTableId", &offset.reservoir_id)
            .param("newTableId", table_id)
            .message(format!(
                "The streaming query was reading from an unexpected Delta table (id = '{table_id}'). It used to read from another \
                 Delta table (id = '{}') according to checkpoint. This may happen when you changed the code to read from a new \
                 table or you deleted and re-created a table. Please revert your change or delete your streaming query checkpoint \
                 to restart from scratch.",
                offset.reservoir_id
            ))
            .exception("IllegalStateException"))
    }

    fn parse(text: &str) -> Result<Self> {
        let offset: Self = serde_json::from_str(text).map_err(|e| {
            Error::new("DELTA_INVALID_SOURCE_OFFSET_FORMAT")
                .message(format!("{text} is no offset of a Delta table: {e}."))
        })?;
        match offset.source_version {
            1 | 3 => Ok(offset),
            version => Err(Error::new("DELTA_INVALID_SOURCE_VERSION")
                .param("version", version)
                .message(format!("The offset {text} is of version {version}; 1 and 3 are known."))),
        }
    }

    pub fn text(&self) -> String {
        json!({
            "sourceVersion": self.source_version,
            "reservoirId": self.reservoir_id,
            "reservoirVersion": self.reservoir_version,
            "index": self.index,
            "isStartingVersion": self.is_starting_version,
        })
        .to_string()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// The whole table as it is, then its commits.
    Snapshot,
    /// The commits from this version on.
    Version(i64),
}

pub(super) struct Followed {
    pub name: String,
    pub table: DeltaTable,
    /// The table when the query began: it says the columns.
    pub snapshot: Snapshot,
    pub start: Start,
    max_files: i64,
    max_bytes: Option<i64>,
    /// The last version to be read, with `availableNow`.
    last_version: Option<i64>,
    /// Commits that were read, so that slicing them does not read them again.
    commits: Vec<CommitChanges>,
}

impl Followed {
    /// `zone` is the session's, for `startingTimestamp`.
    pub async fn open(
        name: String,
        table: DeltaTable,
        options: &Options,
        zone: &Zone,
        directory: &Directory,
    ) -> Result<Self> {
        check(options)?;
        let given = Given(options);
        let snapshot = table.latest().await?;
        let max_bytes = given.bytes("maxBytesPerTrigger")?;
        let max_files = given.positive("maxFilesPerTrigger")?;
        Ok(Self {
            start: start(directory, &table, &snapshot, &given, zone).await?,
            name,
            table,
            snapshot,
            // A limit in bytes alone stands for itself.
            max_files: max_files.unwrap_or(if max_bytes.is_some() { i64::MAX } else { DEFAULT_MAX_FILES }),
            max_bytes,
            last_version: None,
            commits: Vec::new(),
        })
    }

    pub fn description(&self) -> String {
        format!("DeltaSource[{}]", self.table.location().uri())
    }

    /// Files and bytes that a batch may take.
    pub fn limits(&self, limit: Limit) -> (i64, i64) {
        match limit {
            Limit::Options => (self.max_files, self.max_bytes.unwrap_or(i64::MAX)),
            Limit::All => (i64::MAX, i64::MAX),
        }
    }

    /// The offset at which the commits from a version on are to come.
    pub fn before(&self, version: i64) -> Offset {
        Offset::before(self.snapshot.id(), version)
    }

    /// Where a query begins that has no checkpoint.
    pub fn first_offset(&self, latest: i64) -> Offset {
        match self.start {
            Start::Snapshot => self.before(latest).of_whole_table(),
            Start::Version(version) => self.before(version),
        }
    }

    pub fn read_offset(&self, text: &str) -> Result<Offset> {
        Offset::of_table(text, self.snapshot.id())
    }

    pub async fn at_version(&self, version: i64) -> Result<Snapshot> {
        if self.snapshot.version() == version {
            return Ok(self.snapshot.clone());
        }
        self.table.at_version(version).await
    }

    /// Nothing after the latest version of now is read.
    pub async fn stop_at_latest(&mut self) -> Result<()> {
        self.last_version = Some(self.table.latest().await?.version());
        Ok(())
    }

    /// The last version to be looked at now.
    pub async fn latest_version(&self) -> Result<i64> {
        let latest = self.table.latest().await?.version();
        Ok(self.last_version.map_or(latest, |last| last.min(latest)))
    }

    /// The commits of versions, those that are known from the last call taken from it.
    pub async fn commits(&mut self, from: i64, to: i64) -> Result<Vec<CommitChanges>> {
        self.commits.retain(|c| c.version >= from);
        let known = self.commits.iter().map(|c| c.version).max();
        let first_known = self.commits.iter().map(|c| c.version).min();
        let missing = match (first_known, known) {
            (Some(first), Some(last)) if first == from => last + 1,
            _ => {
                self.commits.clear();
                from
            }
        };
        if missing <= to {
            self.commits.extend(changes(self.table.location(), missing, Some(to)).await?);
        }
        Ok(self.commits.iter().filter(|c| c.version <= to).cloned().collect())
    }

    /// The columns that a commit sets must be those that the query began with.
    pub fn check_columns(&self, commit: &CommitChanges) -> Result<()> {
        match &commit.metadata {
            Some(metadata) if commit.version > self.snapshot.version() => {
                let new = StructType::from_json(&metadata.schema_string)?;
                check_columns(&self.name, self.snapshot.schema(), &new, commit.version)
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn check(options: &Options) -> Result<()> {
    let given = Given(options);
    for key in ["schemaTrackingLocation", "schemaLocation", "excludeRegex", "failOnDataLoss"] {
        if given.text(key).is_some() {
            return Err(Error::unsupported(format!("the option {key} of a stream from a Delta table")));
        }
    }
    if given.text("versionAsOf").or_else(|| given.text("timestampAsOf")).is_some() {
        return Err(Error::new("DELTA_TIME_TRAVEL_INVALID_STREAMING")
            .message("A stream does not travel in time: use startingVersion or startingTimestamp.")
            .exception("AnalysisException"));
    }
    Ok(())
}

/// A stream goes on while it can read what comes with the columns it began with.
fn check_columns(name: &str, old: &StructType, new: &StructType, version: i64) -> Result<()> {
    if same_columns(old, new) {
        return Ok(());
    }
    Err(Error::new("DELTA_SCHEMA_CHANGED_WITH_VERSION")
        .param("version", version)
        .param("previousSchema", old.json())
        .param("newSchema", new.json())
        .message(format!(
            "Detected schema change in version {version} of {name}:\nstreaming source schema: {}\n\ndata file schema: {}\n\nPlease \
             try restarting the query. If this issue repeats across query restarts without making progress, you have made an \
             incompatible schema change and need to start your query from scratch using a new checkpoint directory.",
            old.json(),
            new.json()
        ))
        .exception("IllegalStateException"))
}

/// Whether rows with the new columns can be read with the old ones: only comments and other metadata may differ.
fn same_columns(old: &StructType, new: &StructType) -> bool {
    old.fields.len() == new.fields.len()
        && old
            .fields
            .iter()
            .zip(&new.fields)
            .all(|(a, b)| a.name == b.name && a.data_type.same_type(&b.data_type))
}

/// Where the query begins: where it began, for `latest` and instants mean another version later, and the first batch may be run
/// again. What it began with need not be there any more.
async fn start(
    directory: &Directory,
    table: &DeltaTable,
    snapshot: &Snapshot,
    given: &Given<'_>,
    zone: &Zone,
) -> Result<Start> {
    if given.text("startingVersion").is_some() != given.text("startingTimestamp").is_some()
        && let Some(version) = kept_start(directory).await?
    {
        return Ok(Start::Version(version));
    }
    let Start::Version(version) = starting(table, snapshot, given, zone).await? else {
        return Ok(Start::Snapshot);
    };
    let text = format!("v1\n{}", json!({ "startingVersion": version }));
    let is_kept = directory.create(START_FILE, text).await?;
    let other = if is_kept { None } else { kept_start(directory).await? };
    Ok(Start::Version(other.unwrap_or(version)))
}

async fn kept_start(directory: &Directory) -> Result<Option<i64>> {
    let text = directory.read_text(START_FILE).await?;
    let kept = text.and_then(|text| serde_json::from_str::<Value>(text.lines().nth(1)?).ok());
    Ok(kept.and_then(|kept| kept.get("startingVersion")?.as_i64()))
}

/// `startingVersion` and `startingTimestamp`.
async fn starting(table: &DeltaTable, snapshot: &Snapshot, given: &Given<'_>, zone: &Zone) -> Result<Start> {
    match (given.text("startingVersion"), given.text("startingTimestamp")) {
        (Some(_), Some(_)) => Err(Error::new("DELTA_STARTING_VERSION_AND_TIMESTAMP_BOTH_SET")
            .param("version", "startingVersion")
            .param("timestamp", "startingTimestamp")
            .message("Please either provide 'startingVersion' or 'startingTimestamp'.")
            .exception("IllegalArgumentException")),
        (Some("latest"), None) => Ok(Start::Version(snapshot.version() + 1)),
        (Some(text), None) => match text.trim().parse::<i64>() {
            Ok(version) if version >= 0 => {
                let (first, last) = table.versions().await?;
                if version > last + 1 || version < first {
                    return Err(Error::new("DELTA_VERSION_NOT_FOUND")
                        .param("userVersion", version)
                        .param("earliest", first)
                        .param("latest", last)
                        .message(format!("Cannot time travel Delta table to version {version}. Available versions: [{first}, {last}]."))
                        .exception("AnalysisException"));
                }
                Ok(Start::Version(version))
            }
            _ => Err(invalid("startingVersion", text, "must be greater than or equal to zero, or 'latest'")),
        },
        (None, Some(text)) => starting_timestamp(table, text, zone).await.map(Start::Version),
        (None, None) => Ok(Start::Snapshot),
    }
}

/// The first version committed at or after an instant.
async fn starting_timestamp(table: &DeltaTable, text: &str, zone: &Zone) -> Result<i64> {
    let Some(at_ms) = parse_timestamp(text, zone).map(|us| us.div_euclid(1000)) else {
        return Err(Error::new("DELTA_TIMESTAMP_INVALID")
            .param("expr", text)
            .message(format!("The provided timestamp ({text}) cannot be converted to a valid timestamp."))
            .exception("AnalysisException"));
    };
    let times = table.version_times().await?;
    if let Some((version, _)) = times.iter().find(|(_, time)| *time >= at_ms) {
        return Ok(*version);
    }
    // An instant after the last commit: Delta refuses it, as it does for other travels in time.
    table
        .version_at_timestamp(at_ms, TimestampRules { latest_if_after: false, earliest_if_before: true })
        .await
        .map(|v| v + 1)
}
