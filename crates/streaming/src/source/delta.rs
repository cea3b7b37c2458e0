//! A Delta table as a stream: the rows that are there when the query begins, then those that each commit adds.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_delta::{Add, CommitChanges, DeltaScan, DeltaTable, Snapshot, TimestampRules, changes};
use boathouse_formats::datetime_text::parse_timestamp;
use boathouse_formats::zone::Zone;
use boathouse_spec::{Error, Options, Result, StructType};
use datafusion::catalog::TableProvider;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Limit, Source};
use crate::checkpoint::Directory;
use crate::options::{Given, invalid};

/// Files a batch takes where no option says (`maxFilesPerTrigger`).
pub(super) const DEFAULT_MAX_FILES: i64 = 1000;

/// The index before the first file of a version.
const BASE_INDEX: i64 = -1;

/// Where a source keeps the version that its query began with.
const START_FILE: &str = "0";

/// Commits that are read at once while looking for new files.
const COMMITS_AT_ONCE: i64 = 100;

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
    index: i64,
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

/// A file with its place in the table's history.
#[derive(Debug, Clone)]
struct IndexedFile {
    version: i64,
    index: i64,
    is_last: bool,
    add: Arc<Add>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// The whole table as it is, then its commits.
    Snapshot,
    /// The commits from this version on.
    Version(i64),
}

#[derive(Debug, Clone, Copy, Default)]
struct Allowed {
    deletes: bool,
    changes: bool,
    skip_commits: bool,
}

pub(super) struct DeltaSource {
    name: String,
    table: DeltaTable,
    /// The table when the query began: it says the columns.
    snapshot: Snapshot,
    schema: StructType,
    start: Start,
    allowed: Allowed,
    max_files: i64,
    max_bytes: Option<i64>,
    /// The last version to be read, with `availableNow`.
    last_version: Option<i64>,
    /// The files of the starting version, ordered.
    initial: Option<(i64, Arc<Vec<IndexedFile>>)>,
    /// Commits that were read, so that slicing them does not read them again.
    commits: Vec<CommitChanges>,
    backlog: Option<(usize, i64)>,
}

/// The columns of the stream of a table.
pub(super) async fn schema(table: &DeltaTable, options: &Options) -> Result<StructType> {
    check(options)?;
    Ok(stream_schema(&table.latest().await?))
}

fn stream_schema(snapshot: &Snapshot) -> StructType {
    snapshot.schema().clone()
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

impl DeltaSource {
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
        let ignores_files = given.flag("ignoreFileDeletion", false)?;
        let skip_commits = given.flag("skipChangeCommits", false)?;
        let changes = given.flag("ignoreChanges", false)? || ignores_files || skip_commits;
        let deletes = given.flag("ignoreDeletes", false)? || changes;
        let max_bytes = given.bytes("maxBytesPerTrigger")?;
        let max_files = given.positive("maxFilesPerTrigger")?;
        Ok(Self {
            start: kept_start(directory, starting(&table, &snapshot, &given, zone).await?).await?,
            schema: stream_schema(&snapshot),
            name,
            table,
            snapshot,
            allowed: Allowed { deletes, changes, skip_commits },
            // A limit in bytes alone stands for itself.
            max_files: max_files.unwrap_or(if max_bytes.is_some() { i64::MAX } else { DEFAULT_MAX_FILES }),
            max_bytes,
            last_version: None,
            initial: None,
            commits: Vec::new(),
            backlog: None,
        })
    }

    /// Where a query begins that has no checkpoint.
    fn first_offset(&self, latest: i64) -> Offset {
        let (version, is_starting_version) = match self.start {
            Start::Snapshot => (latest, true),
            Start::Version(version) => (version, false),
        };
        self.offset(version, BASE_INDEX, is_starting_version)
    }

    fn offset(&self, version: i64, index: i64, is_starting_version: bool) -> Offset {
        Offset {
            source_version: 1,
            reservoir_id: self.snapshot.id().to_string(),
            reservoir_version: version,
            index,
            is_starting_version,
        }
    }

    fn read_offset(&self, text: &str) -> Result<Offset> {
        Offset::of_table(text, self.snapshot.id())
    }

    /// The files after an offset, in order, as many as `enough` asks for.
    async fn files_after(
        &mut self,
        start: &Offset,
        latest: i64,
        mut enough: impl FnMut(&IndexedFile) -> bool + Send,
    ) -> Result<Vec<IndexedFile>> {
        let mut out = Vec::new();
        let mut version = start.reservoir_version;
        if start.is_starting_version {
            let files = self.initial_files(version).await?;
            for file in files.iter().filter(|f| f.index > start.index) {
                if enough(file) {
                    return Ok(out);
                }
                out.push(file.clone());
            }
            version += 1;
        }
        while version <= latest {
            let last = latest.min(version + COMMITS_AT_ONCE - 1);
            for commit in self.commits(version, last).await? {
                for file in self.commit_files(&commit)? {
                    let before_start = !start.is_starting_version
                        && (file.version, file.index) <= (start.reservoir_version, start.index);
                    if before_start {
                        continue;
                    }
                    if enough(&file) {
                        return Ok(out);
                    }
                    out.push(file);
                }
            }
            version = last + 1;
        }
        Ok(out)
    }

    /// The files of the version that the query began with: the oldest first, so that event times come roughly in order.
    async fn initial_files(&mut self, version: i64) -> Result<Arc<Vec<IndexedFile>>> {
        if let Some((known, files)) = &self.initial
            && *known == version
        {
            return Ok(Arc::clone(files));
        }
        let snapshot = if self.snapshot.version() == version {
            self.snapshot.clone()
        } else {
            self.table.at_version(version).await?
        };
        let mut adds = snapshot.add_actions().await?;
        adds.sort_by(|a, b| (a.modification_time, &a.path).cmp(&(b.modification_time, &b.path)));
        let files = Arc::new(indexed(version, adds));
        self.initial = Some((version, Arc::clone(&files)));
        Ok(files)
    }

    /// The commits of versions, those that are known from the last call taken from it.
    async fn commits(&mut self, from: i64, to: i64) -> Result<Vec<CommitChanges>> {
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

    /// The files that a commit added, after a look at what else it did.
    fn commit_files(&self, commit: &CommitChanges) -> Result<Vec<IndexedFile>> {
        if let Some(metadata) = &commit.metadata
            && commit.version > self.snapshot.version()
        {
            self.check_schema(&StructType::from_json(&metadata.schema_string)?, commit.version)?;
        }
        if commit.removes_data() {
            if self.allowed.skip_commits {
                return Ok(Vec::new());
            }
            if commit.adds_data() && !self.allowed.changes {
                return Err(self.changed("DELTA_SOURCE_TABLE_IGNORE_CHANGES", "update", commit));
            }
            if !commit.adds_data() && !self.allowed.deletes {
                return Err(self.changed("DELTA_SOURCE_IGNORE_DELETE", "delete", commit));
            }
        }
        let adds = commit.adds.iter().filter(|a| a.data_change).cloned().map(Arc::new).collect();
        Ok(indexed(commit.version, adds))
    }

    fn check_schema(&self, new: &StructType, version: i64) -> Result<()> {
        check_columns(&self.name, &self.schema, new, version)
    }

    fn changed(&self, class: &str, what: &str, commit: &CommitChanges) -> Error {
        let file = commit.removes.iter().find(|r| r.data_change).map(|r| r.path.clone()).unwrap_or_default();
        let advice = match what {
            "delete" => "If you'd like to ignore deletes, set the option 'ignoreDeletes' to 'true'.",
            _ => {
                "If this is going to happen regularly and you are okay to skip changes, set the option 'skipChangeCommits' to \
                 'true'. If you would like the data update to be reflected, please restart this query with a fresh checkpoint \
                 directory or do a full refresh of the streaming table. To handle these changes, use a materialized view."
            }
        };
        Error::new(class)
            .param(if what == "delete" { "removedFile" } else { "file" }, &file)
            .param("version", commit.version)
            .param("dataPath", self.table.location().uri())
            .message(format!(
                "Detected a data {what} (for example {file}) in the source table at version {}. This is currently not supported. \
                 {advice} The source table can be found at path {}.",
                commit.version,
                self.table.location().uri()
            ))
            .exception("UnsupportedOperationException")
    }

    /// The last version to be looked at now.
    async fn latest_version(&self) -> Result<i64> {
        let latest = self.table.latest().await?.version();
        Ok(self.last_version.map_or(latest, |last| last.min(latest)))
    }
}

#[async_trait]
impl Source for DeltaSource {
    fn schema(&self) -> &StructType {
        &self.schema
    }

    fn description(&self) -> String {
        format!("DeltaSource[{}]", self.table.location().uri())
    }

    async fn prepare_available_now(&mut self) -> Result<()> {
        self.last_version = Some(self.table.latest().await?.version());
        Ok(())
    }

    async fn end_offset(&mut self, start: Option<&str>, limit: Limit) -> Result<Option<String>> {
        let latest = self.latest_version().await?;
        let from = match start {
            Some(start) => self.read_offset(start)?,
            None => self.first_offset(latest),
        };
        let (max_files, max_bytes) = match limit {
            Limit::Options => (self.max_files, self.max_bytes.unwrap_or(i64::MAX)),
            Limit::All => (i64::MAX, i64::MAX),
        };
        let (mut files, mut bytes) = (0_i64, 0_i64);
        // One file is always taken, however large.
        let enough = |file: &IndexedFile| {
            let full = files >= max_files || (files > 0 && bytes.saturating_add(file.add.size) > max_bytes);
            files += 1;
            bytes = bytes.saturating_add(file.add.size);
            full
        };
        let taken = self.files_after(&from, latest, enough).await?;
        let Some(last) = taken.last() else {
            // A table without rows is read to its end; nothing is new.
            return Ok(start.map(str::to_string));
        };
        let end = if last.is_last {
            self.offset(last.version + 1, BASE_INDEX, false)
        } else {
            self.offset(
                last.version,
                last.index,
                from.is_starting_version && last.version == from.reservoir_version,
            )
        };
        Ok(Some(end.text()))
    }

    async fn slice(&mut self, start: Option<&str>, end: &str) -> Result<Arc<dyn TableProvider>> {
        let end = self.read_offset(end)?;
        let from = match start {
            Some(start) => self.read_offset(start)?,
            // The version that the query began with is the one that its first end speaks of.
            None if self.start == Start::Snapshot && end.is_starting_version => {
                self.first_offset(end.reservoir_version)
            }
            None if self.start == Start::Snapshot => self.first_offset(end.reservoir_version - 1),
            None => self.first_offset(end.reservoir_version),
        };
        let last_version =
            if end.index <= BASE_INDEX { end.reservoir_version - 1 } else { end.reservoir_version };
        let stop = (end.reservoir_version, end.index);
        let files = self.files_after(&from, last_version, |f| (f.version, f.index) > stop).await?;
        let bytes = files.iter().map(|f| f.add.size).sum();
        self.backlog = Some((files.len(), bytes));
        let adds = files.into_iter().map(|f| f.add).collect();
        Ok(Arc::new(DeltaScan::of_files(self.snapshot.clone(), adds)?))
    }

    fn metrics(&self) -> Map<String, Value> {
        let mut metrics = Map::new();
        if let Some((files, bytes)) = self.backlog {
            metrics.insert("numInputFiles".into(), files.to_string().into());
            metrics.insert("numInputBytes".into(), bytes.to_string().into());
        }
        metrics
    }
}

fn indexed(version: i64, adds: Vec<Arc<Add>>) -> Vec<IndexedFile> {
    let count = adds.len();
    let files = adds.into_iter().enumerate();
    files
        .map(|(i, add)| IndexedFile {
            version,
            index: i64::try_from(i).unwrap_or(i64::MAX),
            is_last: i + 1 == count,
            add,
        })
        .collect()
}

/// A stream goes on while it can read what comes with the columns it began with.
pub(super) fn check_columns(name: &str, old: &StructType, new: &StructType, version: i64) -> Result<()> {
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

/// The version that the query began with: `latest` and instants mean another one later, and the first batch may be run again.
pub(super) async fn kept_start(directory: &Directory, start: Start) -> Result<Start> {
    let Start::Version(version) = start else { return Ok(start) };
    let text = match directory.read_text(START_FILE).await? {
        Some(text) => text,
        None => {
            let text = format!("v1\n{}", json!({ "startingVersion": version }));
            if directory.create(START_FILE, text.clone()).await? {
                text
            } else {
                directory.read_text(START_FILE).await?.unwrap_or(text)
            }
        }
    };
    let kept = text.lines().nth(1).and_then(|l| serde_json::from_str::<Value>(l).ok());
    Ok(Start::Version(kept.and_then(|v| v.get("startingVersion")?.as_i64()).unwrap_or(version)))
}

/// `startingVersion` and `startingTimestamp`.
pub(super) async fn starting(
    table: &DeltaTable,
    snapshot: &Snapshot,
    given: &Given<'_>,
    zone: &Zone,
) -> Result<Start> {
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
