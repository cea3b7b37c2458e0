//! The change feed of a Delta table as a stream: the rows that are there when the query begins, as inserts, then what each
//! commit did. A batch takes whole commits.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_delta::{CommitChanges, DeltaTable, change_feed_schema, changes_plan};
use boathouse_engine::Session;
use boathouse_spec::{Error, Options, Result, StructType};
use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;

use super::delta_offset::{BASE_INDEX, CHANGE_INDEX, Offset};
use super::delta_start::Start;
use super::followed::{COMMITS_AT_ONCE, Followed, read_view};
use super::{Limit, Source};
use crate::checkpoint::Directory;
use crate::options::Given;

const OPTIONS: [&str; 2] = ["readChangeFeed", "readChangeData"];

/// Whether a stream is of a table's changes.
pub(super) fn is_asked_for(options: &Options) -> Result<bool> {
    let given = Given(options);
    Ok(given.flag(OPTIONS[0], false)? || given.flag(OPTIONS[1], false)?)
}

/// The columns of the stream.
pub(super) async fn schema(
    session: &Arc<Session>,
    table: &DeltaTable,
    options: &Options,
) -> Result<StructType> {
    Ok(change_feed_schema(read_view(session, table, options).await?.schema()))
}

pub(super) struct DeltaChanges {
    followed: Followed,
    schema: StructType,
}

impl DeltaChanges {
    pub async fn open(
        session: &Arc<Session>,
        name: String,
        table: DeltaTable,
        options: &Options,
        directory: &Directory,
    ) -> Result<Self> {
        let followed = Followed::open(session, name, table, options, directory).await?;
        Ok(Self { schema: change_feed_schema(followed.read.schema()), followed })
    }

    /// The whole table at a version, as if a commit had inserted it.
    async fn initial(&mut self, version: i64) -> Result<CommitChanges> {
        let snapshot = self.followed.at_version(version).await?;
        self.followed.check_whole_table(&snapshot).await?;
        self.refuse_gap(boathouse_delta::keeps_changes(&snapshot), version)?;
        let adds = snapshot.add_actions().await?;
        Ok(CommitChanges {
            version,
            timestamp_ms: snapshot.timestamp_ms(),
            adds: adds
                .iter()
                .map(|a| boathouse_delta::Add { data_change: true, ..a.as_ref().clone() })
                .collect(),
            ..CommitChanges::default()
        })
    }

    /// The commits between two offsets, as many as `enough` lets in, and the version of a change of columns that comes then.
    async fn between(
        &mut self,
        from: &Offset,
        end: i64,
        mut enough: impl FnMut(&CommitChanges) -> bool + Send,
    ) -> Result<(Vec<CommitChanges>, Option<i64>)> {
        let mut out = Vec::new();
        let mut version = from.reservoir_version;
        if from.is_starting_version {
            let initial = self.initial(version).await?;
            if enough(&initial) {
                return Ok((out, None));
            }
            out.push(initial);
            version += 1;
        }
        if version <= end && self.followed.start == Start::Version(version) {
            // What the commit says of the feed may be in commits before it.
            let there = self.followed.at_version(version).await?;
            self.refuse_gap(boathouse_delta::keeps_changes(&there), version)?;
        }
        let mut keeps = true;
        while version <= end {
            let last = end.min(version + COMMITS_AT_ONCE - 1);
            for commit in self.followed.commits(version, last).await? {
                if self.followed.is_barrier(&commit)
                    && (from.index == BASE_INDEX || commit.version > from.reservoir_version)
                {
                    return Ok((out, Some(commit.version)));
                }
                if enough(&commit) {
                    return Ok((out, None));
                }
                if let Some(metadata) = &commit.metadata {
                    keeps = boathouse_delta::is_change_feed_on(&metadata.configuration);
                }
                self.followed.check_columns(&commit)?;
                self.refuse_gap(keeps, commit.version)?;
                out.push(commit);
            }
            version = last + 1;
        }
        Ok((out, None))
    }

    fn refuse_gap(&self, keeps: bool, version: i64) -> Result<()> {
        if keeps {
            return Ok(());
        }
        Err(Error::new("DELTA_MISSING_CHANGE_DATA")
            .param("startVersion", version)
            .param("endVersion", version)
            .param("version", version)
            .param("key", "delta.enableChangeDataFeed")
            .message(format!(
                "The changes of {} cannot be told: at version {version} the table did not keep them \
                 (delta.enableChangeDataFeed).",
                self.followed.name
            ))
            .exception("AnalysisException"))
    }
}

/// How much a commit has to be read.
fn weight(commit: &CommitChanges) -> (i64, i64) {
    if !commit.cdc.is_empty() {
        let bytes = commit.cdc.iter().map(|c| c.size).sum();
        return (i64::try_from(commit.cdc.len()).unwrap_or(i64::MAX), bytes);
    }
    let adds = commit.adds.iter().filter(|a| a.data_change);
    let removes = commit.removes.iter().filter(|r| r.data_change);
    let files = adds.clone().count() + removes.clone().count();
    let bytes = adds.map(|a| a.size).sum::<i64>() + removes.filter_map(|r| r.size).sum::<i64>();
    (i64::try_from(files).unwrap_or(i64::MAX), bytes)
}

#[async_trait]
impl Source for DeltaChanges {
    fn schema(&self) -> &StructType {
        &self.schema
    }

    fn description(&self) -> String {
        self.followed.description()
    }

    async fn prepare_available_now(&mut self) -> Result<()> {
        self.followed.stop_at_latest().await
    }

    async fn end_offset(&mut self, start: Option<&str>, limit: Limit) -> Result<Option<String>> {
        let latest = self.followed.latest_version().await?;
        let start_offset = start.map(|s| self.followed.read_offset(s)).transpose()?;
        if let Some(end) = self.followed.begin(start_offset.as_ref(), latest).await? {
            return Ok(Some(end.text()));
        }
        let from = start_offset.unwrap_or_else(|| self.followed.first_offset(latest));
        self.followed.check_start(from.reservoir_version).await?;
        let (max_files, max_bytes) = self.followed.limits(limit);
        let (mut files, mut bytes) = (0_i64, 0_i64);
        let enough = |commit: &CommitChanges| {
            let before = files;
            let (more_files, more_bytes) = weight(commit);
            files = files.saturating_add(more_files);
            bytes = bytes.saturating_add(more_bytes);
            // One commit is always taken, however large.
            before > 0 && (files > max_files || bytes > max_bytes)
        };
        let (commits, change) = self.between(&from, latest, enough).await?;
        Ok(match (change, commits.last()) {
            (Some(version), _) => Some(self.followed.before(version).after_file(CHANGE_INDEX, false).text()),
            (None, Some(commit)) => Some(self.followed.before(commit.version + 1).text()),
            (None, None) => start.map(str::to_string),
        })
    }

    async fn slice(&mut self, start: Option<&str>, end: &str) -> Result<Arc<dyn TableProvider>> {
        let end = self.followed.read_offset(end)?;
        let from = match start {
            Some(start) => self.followed.read_offset(start)?,
            // The first batch has the version that the query began with, and maybe commits after it.
            None => match self.followed.start {
                Start::Snapshot => self.followed.first_offset(end.reservoir_version - 1),
                Start::Version(version) => self.followed.before(version),
            },
        };
        self.followed.begin_log((end.reservoir_version - 1).max(0)).await?;
        self.followed.check_start(from.reservoir_version).await?;
        let (commits, _) = self.between(&from, end.reservoir_version - 1, |_| false).await?;
        let plan = changes_plan(&self.followed.read, &commits).await?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }

    async fn commit(&mut self, end: &str) -> Result<()> {
        let end = self.followed.read_offset(end)?;
        self.followed.evolve(&end).await
    }
}
