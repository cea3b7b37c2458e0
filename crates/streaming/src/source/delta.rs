//! A Delta table as a stream: the rows that are there when the query begins, then those that each commit adds.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_delta::{Add, CommitChanges, DeltaScan, DeltaTable, Snapshot};
use boathouse_engine::Session;
use boathouse_spec::{Error, Options, Result, StructType};
use datafusion::catalog::TableProvider;
use serde_json::{Map, Value};

use super::admission::Admission;
use super::delta_offset::{BASE_INDEX, CHANGE_INDEX, Offset};
use super::delta_start::Start;
use super::event_order::{self, EventOrder, Range, Timed, index_of, time_of};
use super::followed::{COMMITS_AT_ONCE, Followed, read_view};
use super::{Limit, Source};
use crate::checkpoint::Directory;

/// A file with its place in the table's history; a change of the table's columns has a place, too.
#[derive(Debug, Clone)]
struct IndexedFile {
    version: i64,
    index: i64,
    is_last: bool,
    add: Option<Arc<Add>>,
}

impl IndexedFile {
    fn size(&self) -> i64 {
        self.add.as_ref().map_or(0, |a| a.size)
    }
}

pub(super) struct DeltaSource {
    followed: Followed,
    schema: StructType,
    /// The files of the starting version, ordered.
    initial: Option<(i64, Arc<Vec<IndexedFile>>)>,
    backlog: Option<(usize, i64)>,
    /// The order of the whole table, once the event time is known.
    order: Option<EventOrder>,
    /// The files of the starting version with their event times: to read their statistics takes long where there are many.
    timed: Option<(i64, Arc<Vec<Timed>>)>,
}

/// The columns of the stream of a table.
pub(super) async fn schema(
    session: &Arc<Session>,
    table: &DeltaTable,
    options: &Options,
) -> Result<StructType> {
    Ok(read_view(session, table, options).await?.schema().clone())
}

impl DeltaSource {
    pub async fn open(
        session: &Arc<Session>,
        name: String,
        table: DeltaTable,
        options: &Options,
        directory: &Directory,
    ) -> Result<Self> {
        let followed = Followed::open(session, name, table, options, directory).await?;
        Ok(Self {
            schema: followed.read.schema().clone(),
            followed,
            initial: None,
            backlog: None,
            order: None,
            timed: None,
        })
    }

    /// The files after an offset, in order, as many as `enough` asks for; whether they are all there are.
    async fn files_after(
        &mut self,
        start: &Offset,
        latest: i64,
        mut enough: impl FnMut(&IndexedFile) -> bool + Send,
    ) -> Result<(Vec<IndexedFile>, bool)> {
        let mut out = Vec::new();
        let mut version = start.reservoir_version;
        if start.is_starting_version {
            let files = self.initial_files(version).await?;
            for file in files.iter().filter(|f| f.index > start.index) {
                if enough(file) {
                    return Ok((out, false));
                }
                out.push(file.clone());
            }
            version += 1;
        }
        while version <= latest {
            let last = latest.min(version + COMMITS_AT_ONCE - 1);
            for commit in self.followed.commits(version, last).await? {
                let files = self.commit_files(&commit)?;
                let is_before_start = |file: &IndexedFile| {
                    !start.is_starting_version
                        && (file.version, file.index) <= (start.reservoir_version, start.index)
                };
                if self.followed.is_barrier(&commit) {
                    let (version, index) = (commit.version, CHANGE_INDEX);
                    let change = IndexedFile { version, index, is_last: false, add: None };
                    out.extend((!is_before_start(&change)).then_some(change));
                    return Ok((out, false));
                }
                for file in files {
                    if is_before_start(&file) {
                        continue;
                    }
                    if enough(&file) {
                        return Ok((out, false));
                    }
                    out.push(file);
                }
            }
            version = last + 1;
        }
        Ok((out, true))
    }

    /// The files of the version that the query began with: the oldest first, so that event times come roughly in order.
    async fn initial_files(&mut self, version: i64) -> Result<Arc<Vec<IndexedFile>>> {
        if let Some((known, files)) = &self.initial
            && *known == version
        {
            return Ok(Arc::clone(files));
        }
        let snapshot = self.followed.at_version(version).await?;
        self.followed.check_whole_table(&snapshot).await?;
        let files = Arc::new(indexed(version, oldest_first(&snapshot).await?));
        self.initial = Some((version, Arc::clone(&files)));
        Ok(files)
    }

    /// The same in the order of their event times.
    async fn timed_files(&mut self, order: &EventOrder, version: i64) -> Result<Arc<Vec<Timed>>> {
        if let Some((known, files)) = &self.timed
            && *known == version
        {
            return Ok(Arc::clone(files));
        }
        let files = self.initial_files(version).await?;
        let timed = Arc::new(order.timed(
            files.iter().filter_map(|f| f.add.clone()).filter(|a| self.followed.options.takes(&a.path)),
        ));
        self.timed = Some((version, Arc::clone(&timed)));
        Ok(timed)
    }

    /// The end of the next range of the event times of the whole table.
    async fn end_of_range(
        &mut self,
        order: &EventOrder,
        from: &Offset,
        limit: Limit,
    ) -> Result<Option<Offset>> {
        let version = from.reservoir_version;
        let files = self.timed_files(order, version).await?;
        if files.is_empty() {
            return Ok(None);
        }
        let (max_files, max_bytes) = self.followed.limits(limit);
        Ok(Some(match event_order::end(&files, time_of(from.index), max_files, max_bytes) {
            Some(until_us) => self.followed.before(version).after_file(index_of(until_us), true),
            None => self.followed.before(version + 1),
        }))
    }

    /// The rows of a range of the event times of the whole table.
    async fn range(
        &mut self,
        order: &EventOrder,
        from: &Offset,
        end: &Offset,
    ) -> Result<Arc<dyn TableProvider>> {
        let files = self.timed_files(order, from.reservoir_version).await?;
        let until_us = if end.is_starting_version { time_of(end.index) } else { None };
        let range = Range { from_us: time_of(from.index), until_us };
        let (rows, size) = order.rows(&self.followed.read, &files, range)?;
        self.backlog = Some(size);
        Ok(rows)
    }

    /// The files that a commit added, after a look at what else it did.
    fn commit_files(&self, commit: &CommitChanges) -> Result<Vec<IndexedFile>> {
        self.followed.check_columns(commit)?;
        if commit.removes_data() {
            let allowed = self.followed.options.allowed;
            if allowed.skip_commits {
                return Ok(Vec::new());
            }
            if commit.adds_data() && !allowed.changes {
                return Err(self.changed("DELTA_SOURCE_TABLE_IGNORE_CHANGES", "update", commit));
            }
            if !commit.adds_data() && !allowed.deletes {
                return Err(self.changed("DELTA_SOURCE_IGNORE_DELETE", "delete", commit));
            }
        }
        let adds = commit.adds.iter().filter(|a| a.data_change).cloned().map(Arc::new).collect();
        Ok(indexed(commit.version, adds))
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
            .param("dataPath", self.followed.table.location().uri())
            .message(format!(
                "Detected a data {what} (for example {file}) in the source table at version {}. This is currently not supported. \
                 {advice} The source table can be found at path {}.",
                commit.version,
                self.followed.table.location().uri()
            ))
            .exception("UnsupportedOperationException")
    }
}

#[async_trait]
impl Source for DeltaSource {
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
        self.followed.check_start(&from, start.is_some()).await?;
        if let Some(order) = self.order.clone().filter(|_| from.is_starting_version) {
            let end = self.end_of_range(&order, &from, limit).await?;
            return Ok(end.map(|end| end.text()));
        }
        let mut admission = Admission::new(self.followed.limits(limit));
        let enough = |file: &IndexedFile| !admission.admits(file.size());
        let (taken, is_all) = self.files_after(&from, latest, enough).await?;
        let end = match taken.last() {
            // A table without rows is read to its end; nothing is new.
            None if start.is_none() && self.followed.start == Start::Snapshot => return Ok(None),
            // Commits without rows are passed too: the log does not keep them for ever (Delta's index of a version's end).
            _ if is_all => self.followed.before(latest.max(from.reservoir_version - 1) + 1),
            None => from.clone(),
            Some(last) if last.is_last => self.followed.before(last.version + 1),
            Some(last) => {
                let of_whole_table = from.is_starting_version && last.version == from.reservoir_version;
                self.followed.before(last.version).after_file(last.index, of_whole_table)
            }
        };
        // The same place may be written in another way.
        Ok(if end == from { start.map(str::to_string) } else { Some(end.text()) })
    }

    async fn slice(&mut self, start: Option<&str>, end: &str) -> Result<Arc<dyn TableProvider>> {
        let end = self.followed.read_offset(end)?;
        let last_version =
            if end.index <= BASE_INDEX { end.reservoir_version - 1 } else { end.reservoir_version };
        self.followed.begin_log(last_version.max(0)).await?;
        let from = match start {
            Some(start) => self.followed.read_offset(start)?,
            // The version that the query began with is the one that its first end speaks of.
            None if self.followed.start == Start::Snapshot && end.is_starting_version => {
                self.followed.first_offset(end.reservoir_version)
            }
            None if self.followed.start == Start::Snapshot => {
                self.followed.first_offset(end.reservoir_version - 1)
            }
            None => self.followed.first_offset(end.reservoir_version),
        };
        self.followed.check_start(&from, start.is_some()).await?;
        if let Some(order) = self.order.clone().filter(|_| from.is_starting_version) {
            return self.range(&order, &from, &end).await;
        }
        let stop = (end.reservoir_version, end.index);
        let (files, _) = self.files_after(&from, last_version, |f| (f.version, f.index) > stop).await?;
        let bytes = files.iter().map(IndexedFile::size).sum();
        let adds = files.into_iter().filter_map(|f| f.add);
        let adds: Vec<Arc<Add>> = adds.filter(|a| self.followed.options.takes(&a.path)).collect();
        self.backlog = Some((adds.len(), bytes));
        Ok(Arc::new(DeltaScan::of_files(self.followed.read.clone(), adds)?))
    }

    fn wants_event_time(&self) -> bool {
        self.followed.options.is_ordered
    }

    fn set_event_time(&mut self, column: &str) -> Result<()> {
        self.order = Some(EventOrder::new(&self.followed.read, column)?);
        Ok(())
    }

    async fn commit(&mut self, end: &str) -> Result<()> {
        let end = self.followed.read_offset(end)?;
        self.followed.evolve(&end).await
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

/// The files of a table in the order of the offsets of its streams.
pub(super) async fn oldest_first(snapshot: &Snapshot) -> Result<Vec<Arc<Add>>> {
    let mut adds = snapshot.add_actions().await?;
    adds.sort_by(|a, b| (a.modification_time, &a.path).cmp(&(b.modification_time, &b.path)));
    Ok(adds)
}

fn indexed(version: i64, adds: Vec<Arc<Add>>) -> Vec<IndexedFile> {
    let count = adds.len();
    let files = adds.into_iter().enumerate();
    files
        .map(|(i, add)| IndexedFile {
            version,
            index: i64::try_from(i).unwrap_or(i64::MAX),
            is_last: i + 1 == count,
            add: Some(add),
        })
        .collect()
}
