//! A Delta table that a stream follows: where the query begins, how far it goes, and the commits on the way.

use std::sync::Arc;

use boathouse_delta::{CommitChanges, DeltaTable, Metadata, Protocol, Snapshot, changes, kept_changes};
use boathouse_engine::Session;
use boathouse_spec::{Error, Options, Result, StructType};

use super::Limit;
use super::delta_offset::{AFTER_CHANGE_INDEX, BASE_INDEX, CHANGE_INDEX, Offset, other_table};
use super::delta_options::DeltaOptions;
use super::delta_schema_change::{Changes, is_readable, needs_tracking, schema_changed};
use super::delta_start::{Start, start};
use super::delta_tracking::{self, Tracking};
use crate::checkpoint::Directory;
use crate::options::Given;
use crate::settings;

/// Files a batch takes where no option says (`maxFilesPerTrigger`).
const DEFAULT_MAX_FILES: i64 = 1000;

/// Commits that are read at once while looking for what is new.
pub(super) const COMMITS_AT_ONCE: i64 = 100;

/// Reads on over columns that were renamed or dropped, with those of now.
const UNSAFE_READS: &str =
    "spark.databricks.delta.streaming.unsafeReadOnIncompatibleColumnMappingSchemaChanges.enabled";

pub(super) struct Followed {
    pub name: String,
    pub table: DeltaTable,
    /// The table when the query began.
    pub snapshot: Snapshot,
    /// How it is read: as it was then, or as the log of schemas says.
    pub read: Snapshot,
    pub start: Start,
    /// The log of schemas, where an option names one.
    tracking: Option<Tracking>,
    /// The version of the log's entry that the query began with.
    tracked_version: Option<i64>,
    /// The version that rows are read from was compared with the columns that the query began with.
    is_start_checked: bool,
    reads_unsafely: bool,
    has_starting_option: bool,
    pub options: DeltaOptions,
    /// The last version to be read, with `availableNow`.
    last_version: Option<i64>,
    /// Commits that were read, so that slicing them does not read them again.
    commits: Vec<CommitChanges>,
}

impl Followed {
    pub async fn open(
        session: &Arc<Session>,
        name: String,
        table: DeltaTable,
        options: &Options,
        directory: &Directory,
    ) -> Result<Self> {
        let given = Given(options);
        let zone = session.file_context()?.session.zone;
        let snapshot = table.latest().await?;
        let tracking = open_log(session, &table, options, &snapshot, directory).await?;
        let entry = tracking.as_ref().and_then(Tracking::current);
        let read = entry.map(|e| e.view(&snapshot)).transpose()?.unwrap_or_else(|| snapshot.clone());
        Ok(Self {
            start: start(directory, &table, &snapshot, &given, &zone).await?,
            name,
            table,
            snapshot,
            read,
            tracked_version: entry.map(|e| e.delta_commit_version),
            tracking,
            is_start_checked: false,
            reads_unsafely: settings::flag(session, UNSAFE_READS, false),
            has_starting_option: given.text("startingVersion").or(given.text("startingTimestamp")).is_some(),
            options: DeltaOptions::parse(options)?,
            last_version: None,
            commits: Vec::new(),
        })
    }

    pub fn description(&self) -> String {
        format!("DeltaSource[{}]", self.table.location().uri())
    }

    /// Files and bytes that a batch may take.
    pub fn limits(&self, limit: Limit) -> (i64, i64) {
        let DeltaOptions { max_files, max_bytes, .. } = self.options;
        // A limit in bytes alone stands for itself.
        let default = if max_bytes.is_some() { i64::MAX } else { DEFAULT_MAX_FILES };
        match limit {
            Limit::Options => (max_files.unwrap_or(default), max_bytes.unwrap_or(i64::MAX)),
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

    /// The last version to be looked at now. What took the place of the table that the query began with is not gone on with: its
    /// columns and partitions are others.
    pub async fn latest_version(&self) -> Result<i64> {
        let latest = self.table.latest().await?;
        if latest.id() != self.snapshot.id() {
            return Err(other_table(self.snapshot.id(), latest.id()));
        }
        let latest = latest.version();
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
            let location = self.table.location();
            self.commits.extend(match self.options.passes_over_losses {
                true => kept_changes(location, missing, to).await?,
                false => changes(location, missing, Some(to)).await?,
            });
        }
        Ok(self.commits.iter().filter(|c| c.version <= to).cloned().collect())
    }

    /// Whether columns are those of the log of schemas, and change with it.
    fn is_tracking(&self) -> bool {
        !self.reads_unsafely && self.tracking.as_ref().is_some_and(|t| t.current().is_some())
    }

    /// Whether a commit changes how the table is to be read, so that a batch has to end before it.
    pub fn is_barrier(&self, commit: &CommitChanges) -> bool {
        self.is_tracking() && self.changes(commit.metadata.as_ref(), commit.protocol.as_ref(), commit.version)
    }

    fn changes(&self, metadata: Option<&Metadata>, protocol: Option<&Protocol>, version: i64) -> bool {
        // Changes without rows that led to the entry in force are behind it.
        self.tracked_version.is_none_or(|tracked| tracked < version)
            && delta_tracking::changes(&self.read, metadata, protocol)
    }

    /// Before anything is read: looks whether what was read is there, begins the log of schemas, where there is none yet, and goes no further than a change of columns
    /// that the log does not have yet. The end of the batch, where that is decided.
    pub async fn begin(&mut self, start: Option<&Offset>, latest: i64) -> Result<Option<Offset>> {
        if let Some(read) = start {
            check_still_there(read, latest)?;
        }
        let from = start.cloned().unwrap_or_else(|| self.first_offset(latest));
        let read = if start.is_some() && from.index == BASE_INDEX { -1 } else { 0 };
        self.begin_log((from.reservoir_version + read).clamp(0, latest)).await?;
        if self.is_tracking() {
            return self.pending(&from).await;
        }
        Ok(None)
    }

    /// Begins the log with the table as it was at a version.
    pub async fn begin_log(&mut self, version: i64) -> Result<()> {
        let Some(tracking) = &mut self.tracking else { return Ok(()) };
        if self.reads_unsafely || tracking.current().is_some() {
            return Ok(());
        }
        let at = match self.snapshot.version() == version {
            true => self.snapshot.clone(),
            false => self.table.at_version(version).await?,
        };
        let entry = tracking.entry(version, at.metadata(), at.protocol())?;
        tracking.write(entry.clone(), false, &self.snapshot).await?;
        match delta_tracking::changes(&self.read, Some(at.metadata()), Some(at.protocol())) {
            true => Err(entry.evolution()?),
            false => Ok(()),
        }
    }

    /// The next end after a change of columns: first one behind it, so that the batch before is done, then none.
    async fn pending(&mut self, from: &Offset) -> Result<Option<Offset>> {
        match from.index {
            CHANGE_INDEX => Ok(Some(from.at(AFTER_CHANGE_INDEX))),
            AFTER_CHANGE_INDEX => {
                let commit = self.commit(from.reservoir_version).await?;
                Ok(self.is_barrier(&commit).then(|| from.clone()))
            }
            _ => Ok(None),
        }
    }

    async fn commit(&self, version: i64) -> Result<CommitChanges> {
        let commits = changes(self.table.location(), version, Some(version)).await?;
        commits.into_iter().next().ok_or_else(|| Error::internal("a version without a commit"))
    }

    /// Once everything up to a change of columns was read: notes it, and ends the query, which goes on with it when it is started
    /// again.
    pub async fn evolve(&mut self, end: &Offset) -> Result<()> {
        if !self.is_tracking() || !matches!(end.index, CHANGE_INDEX | AFTER_CHANGE_INDEX) {
            return Ok(());
        }
        let version = end.reservoir_version;
        let commit = self.commit(version).await?;
        if !self.is_barrier(&commit) {
            return Ok(());
        }
        self.note(version, commit.metadata.as_ref(), commit.protocol.as_ref(), false).await
    }

    /// The whole table at the version that the query begins with must have the columns of the log: nothing was read of it yet.
    pub async fn check_whole_table(&mut self, at: &Snapshot) -> Result<()> {
        let (metadata, protocol) = (Some(at.metadata()), Some(at.protocol()));
        let read_version = self.tracked_version.unwrap_or_else(|| self.snapshot.version());
        if self.is_tracking()
            && at.version() >= read_version
            && self.changes(metadata, protocol, at.version())
        {
            return self.note(at.version(), metadata, protocol, true).await;
        }
        Ok(())
    }

    /// Notes what the table is from a version on, and tells so.
    async fn note(
        &mut self,
        version: i64,
        metadata: Option<&Metadata>,
        protocol: Option<&Protocol>,
        in_place: bool,
    ) -> Result<()> {
        let Some(tracking) = &mut self.tracking else { return Ok(()) };
        let metadata = metadata.unwrap_or_else(|| self.read.metadata());
        let protocol = protocol.unwrap_or_else(|| self.read.protocol());
        let entry = tracking.entry(version, metadata, protocol)?;
        tracking.write(entry.clone(), in_place, &self.snapshot).await?;
        Err(entry.evolution()?)
    }

    /// The version that was read last, or that is read first, may have had columns that those of the query are not (delta-spark's
    /// `checkReadIncompatibleSchemaChangeOnStreamStartOnce`).
    pub async fn check_start(&mut self, from: &Offset, was_read: bool) -> Result<()> {
        if self.is_tracking() || std::mem::replace(&mut self.is_start_checked, true) {
            return Ok(());
        }
        let version = from.reservoir_version - i64::from(was_read && from.index == BASE_INDEX);
        if version >= self.snapshot.version() {
            return Ok(());
        }
        // What was cleaned up is told of where commits are read.
        let Ok(at) = self.table.at_version(version).await else { return Ok(()) };
        self.check_metadata(at.metadata(), version)
    }

    /// A stream goes on while it can read what comes with the columns it began with.
    pub fn check_columns(&self, commit: &CommitChanges) -> Result<()> {
        match &commit.metadata {
            Some(metadata) if !self.is_tracking() => self.check_metadata(metadata, commit.version),
            _ => Ok(()),
        }
    }

    /// delta-spark's `checkReadIncompatibleSchemaChanges`
    fn check_metadata(&self, metadata: &Metadata, version: i64) -> Result<()> {
        let (now, then) = (self.snapshot.schema(), StructType::from_json(&metadata.schema_string)?);
        let mapped =
            |m: &Metadata| m.configuration.get("delta.columnMapping.mode").is_some_and(|mode| mode != "none");
        let (old, new) = match version < self.snapshot.version() {
            true => (&then, now),
            false => (now, &then),
        };
        let is_mapped = mapped(metadata) && mapped(self.snapshot.metadata());
        if is_mapped && !self.reads_unsafely && Changes::between(old, new).moves_columns() {
            return Err(needs_tracking(old, new));
        }
        if is_readable(&then, now) || (self.reads_unsafely && is_mapped) {
            return Ok(());
        }
        Err(schema_changed(version, now, &then, self.has_starting_option))
    }
}

/// The log of schemas that the options name: changes without rows that follow its entry are taken with it, and what is in force
/// must be allowed.
async fn open_log(
    session: &Arc<Session>,
    table: &DeltaTable,
    options: &Options,
    snapshot: &Snapshot,
    directory: &Directory,
) -> Result<Option<Tracking>> {
    let Some(mut tracking) = Tracking::open(session, options, snapshot, Some(directory)).await? else {
        return Ok(None);
    };
    if let Some(merged) = merged(&tracking, table, snapshot).await? {
        tracking.write(merged, true, snapshot).await?;
    }
    tracking.check_change(session, options).await?;
    Ok(Some(tracking))
}

async fn merged(
    tracking: &Tracking,
    table: &DeltaTable,
    snapshot: &Snapshot,
) -> Result<Option<delta_tracking::Entry>> {
    let Some(current) = tracking.current() else { return Ok(None) };
    let (mut from, latest) = (current.delta_commit_version, snapshot.version());
    let mut commits = Vec::new();
    while from <= latest {
        let some = changes(table.location(), from, Some(latest.min(from + MERGED_AT_ONCE - 1))).await?;
        let is_last = some.iter().any(|c| !c.adds.is_empty() || !c.removes.is_empty());
        commits.extend(some);
        if is_last {
            break;
        }
        from += MERGED_AT_ONCE;
    }
    Ok(tracking.merged(&commits))
}

/// Commits that are looked at at once for changes without rows.
const MERGED_AT_ONCE: i64 = 4;

/// The table as a stream of it is read, outside of a query.
pub(super) async fn read_view(
    session: &Arc<Session>,
    table: &DeltaTable,
    options: &Options,
) -> Result<Snapshot> {
    DeltaOptions::parse(options)?;
    let snapshot = table.latest().await?;
    let Some(tracking) = Tracking::open(session, options, &snapshot, None).await? else {
        return Ok(snapshot);
    };
    let merged = merged(&tracking, table, &snapshot).await?;
    match merged.as_ref().or(tracking.current()) {
        Some(entry) => entry.view(&snapshot),
        None => Ok(snapshot),
    }
}

/// What was read must still be there: a table that lost its last commits would give their numbers to others, which the stream
/// would pass over.
fn check_still_there(read: &Offset, latest: i64) -> Result<()> {
    let expected = read.reservoir_version - i64::from(read.index == BASE_INDEX);
    if expected <= latest {
        return Ok(());
    }
    Err(Error::new("DELTA_STREAMING_TRAILING_COMMIT_MISSING")
        .param("expectedVersion", expected)
        .param("seenVersion", latest)
        .message(format!(
            "The stream has read the table up to version {expected}, and its log ends with version {latest}: the commits after that \
             are gone."
        ))
        .exception("IllegalStateException"))
}
