//! The change feed of a Delta table as a stream: the rows that are there when the query begins, as inserts, then what each
//! commit did.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_delta::{CommitChanges, DeltaTable, FileChange, change_feed_schema, changes_plan};
use boathouse_engine::Session;
use boathouse_spec::{Error, Options, Result, StructType};
use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;

use super::admission::Admission;
use super::delta::oldest_first;
use super::delta_offset::{BASE_INDEX, CHANGE_INDEX, Offset};
use super::delta_options::DeltaOptions;
use super::delta_start::Start;
use super::followed::{COMMITS_AT_ONCE, Followed, read_view};
use super::{Limit, Source};
use crate::checkpoint::Directory;

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
    /// The table that the query began with.
    initial: Option<Arc<Told>>,
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
        Ok(Self { schema: change_feed_schema(followed.read.schema()), followed, initial: None })
    }

    /// The whole table at a version, as if a commit had inserted it.
    async fn initial(&mut self, version: i64) -> Result<Arc<Told>> {
        if let Some(known) = self.initial.as_ref().filter(|told| told.commit.version == version) {
            return Ok(Arc::clone(known));
        }
        let snapshot = self.followed.at_version(version).await?;
        self.followed.check_whole_table(&snapshot).await?;
        self.refuse_gap(boathouse_delta::keeps_changes(&snapshot), version)?;
        let adds = oldest_first(&snapshot).await?;
        let inserted = CommitChanges {
            version,
            timestamp_ms: snapshot.timestamp_ms(),
            files: (0..adds.len()).map(FileChange::Add).collect(),
            adds: adds
                .iter()
                .map(|a| boathouse_delta::Add { data_change: true, ..a.as_ref().clone() })
                .collect(),
            ..CommitChanges::default()
        };
        let told = Arc::new(Told::of(inserted, &self.followed.options));
        self.initial = Some(Arc::clone(&told));
        Ok(told)
    }

    /// What was committed between two places, as much as is admitted, and where that ends.
    async fn between(
        &mut self,
        from: &Offset,
        until: Until,
        mut admission: Option<Admission>,
    ) -> Result<(Vec<CommitChanges>, Option<Offset>)> {
        let (mut out, mut end) = (Vec::new(), None);
        let mut version = from.reservoir_version;
        if from.is_starting_version {
            let initial = self.initial(version).await?;
            let taken =
                initial.part(from.index, until.index_in(version), Marks::WholeTable, admission.as_mut());
            end = self.after(&taken, true);
            out.extend(taken.part);
            if !taken.is_all {
                return Ok((out, end));
            }
            version += 1;
        } else {
            self.initial = None;
        }
        let last_version = until.last_version();
        if version <= last_version && self.followed.start == Start::Version(version) {
            // What the commit says of the feed may be in commits before it.
            let there = self.followed.at_version(version).await?;
            self.refuse_gap(boathouse_delta::keeps_changes(&there), version)?;
        }
        let mut keeps = true;
        while version <= last_version {
            let last = last_version.min(version + COMMITS_AT_ONCE - 1);
            for commit in self.followed.commits(version, last).await? {
                let is_first = commit.version == from.reservoir_version && !from.is_starting_version;
                if self.followed.is_barrier(&commit) && (from.index == BASE_INDEX || !is_first) {
                    return Ok((
                        out,
                        Some(self.followed.before(commit.version).after_file(CHANGE_INDEX, false)),
                    ));
                }
                if admission.is_some_and(|a| !a.has_room()) {
                    return Ok((out, end));
                }
                if let Some(metadata) = &commit.metadata {
                    keeps = boathouse_delta::is_change_feed_on(&metadata.configuration);
                }
                self.followed.check_columns(&commit)?;
                self.refuse_gap(keeps, commit.version)?;
                let read = if is_first { from.index } else { BASE_INDEX };
                let told = Told::of(commit, &self.followed.options);
                let marks = if is_first { Marks::End } else { Marks::Both };
                let taken = told.part(read, until.index_in(told.commit.version), marks, admission.as_mut());
                end = self.after(&taken, false).or(end);
                out.extend(taken.part);
                if !taken.is_all {
                    return Ok((out, end));
                }
            }
            version = last + 1;
        }
        Ok((out, end))
    }

    /// The place behind what was taken of a version.
    fn after(&self, taken: &Taken, of_whole_table: bool) -> Option<Offset> {
        match taken.last {
            _ if taken.is_all && taken.has_end => Some(self.followed.before(taken.version + 1)),
            Some(index) => Some(self.followed.before(taken.version).after_file(index, of_whole_table)),
            None => None,
        }
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

/// The end of a range: everything of the versions before, and of this one the files up to an index.
#[derive(Debug, Clone, Copy)]
struct Until {
    version: i64,
    index: i64,
}

impl Until {
    fn offset(offset: &Offset) -> Self {
        Self { version: offset.reservoir_version, index: offset.index }
    }

    fn last_version(self) -> i64 {
        if self.index < 0 { self.version - 1 } else { self.version }
    }

    fn index_in(self, version: i64) -> i64 {
        if version < self.version { i64::MAX } else { self.index }
    }
}

/// The files that tell what a commit did, in the order in which offsets count them (delta-spark's `IndexedChangeFileSeq`).
struct Told {
    commit: CommitChanges,
    files: Vec<ToldFile>,
}

struct ToldFile {
    what: What,
    size: i64,
    has_vector: bool,
    /// `excludeRegex` leaves it.
    is_read: bool,
}

#[derive(Clone, Copy)]
enum What {
    Changes(usize),
    File(FileChange),
}

/// The marks that delta-spark sets before the files of a version and behind them, as far as they are ahead of where a batch
/// begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marks {
    Both,
    End,
    /// Those of a version that is read whole, whose files always come apart.
    WholeTable,
}

/// A part of a commit.
struct Taken {
    version: i64,
    part: Option<CommitChanges>,
    /// The index of the last file that was taken.
    last: Option<i64>,
    is_all: bool,
    /// The version's end is marked. Behind files of changes it is not: they are asked for again, and none are left.
    has_end: bool,
}

impl Told {
    fn of(commit: CommitChanges, options: &DeltaOptions) -> Self {
        let file = |what, size, has_vector, path: &str| ToldFile {
            what,
            size,
            has_vector,
            is_read: options.takes(path),
        };
        let mut files = Vec::new();
        for (i, cdc) in commit.cdc.iter().enumerate() {
            files.push(file(What::Changes(i), cdc.size, false, &cdc.path));
        }
        for change in commit.files.iter().filter(|_| commit.cdc.is_empty()) {
            let (data_change, vector, size, path) = match change {
                FileChange::Add(i) => {
                    let add = &commit.adds[*i];
                    (add.data_change, add.deletion_vector.is_some(), add.size, &add.path)
                }
                FileChange::Remove(i) => {
                    let remove = &commit.removes[*i];
                    (
                        remove.data_change,
                        remove.deletion_vector.is_some(),
                        remove.size.unwrap_or(0),
                        &remove.path,
                    )
                }
            };
            if data_change {
                files.push(file(What::File(*change), size, vector, path));
            }
        }
        Self { commit, files }
    }

    /// The files behind one index up to another, as many as are admitted.
    fn part(&self, from: i64, until: i64, marks: Marks, mut admission: Option<&mut Admission>) -> Taken {
        let asked = (0_i64..).zip(&self.files).filter(|(i, file)| *i > from && *i <= until && file.is_read);
        let asked: Vec<(i64, &ToldFile)> = asked.collect();
        let has_changes = !self.commit.cdc.is_empty();
        // An update must not be torn apart, nor a deletion vector from the one before.
        let together = marks != Marks::WholeTable && asked.iter().any(|(_, file)| file.has_vector);
        let mut taken = Vec::new();
        match &mut admission {
            Some(admission) if has_changes || together => {
                let sizes: Vec<i64> = asked.iter().map(|(_, file)| file.size).collect();
                let marks = match marks {
                    _ if has_changes => 0,
                    Marks::Both => 2,
                    Marks::End | Marks::WholeTable => 1,
                };
                if admission.admits_all(&sizes, marks) {
                    taken.clone_from(&asked);
                }
            }
            Some(admission) => {
                if marks == Marks::Both {
                    admission.passes_mark();
                }
                taken.extend(asked.iter().take_while(|(_, file)| admission.admits(file.size)));
                if taken.len() == asked.len() {
                    admission.passes_mark();
                }
            }
            None => taken.clone_from(&asked),
        }
        Taken {
            version: self.commit.version,
            last: taken.last().map(|(i, _)| *i),
            is_all: taken.len() == asked.len(),
            has_end: !has_changes,
            part: (!taken.is_empty()).then(|| self.with(taken.iter().map(|(_, file)| file.what))),
        }
    }

    /// The commit with these files alone.
    fn with(&self, files: impl Iterator<Item = What>) -> CommitChanges {
        let CommitChanges { version, timestamp_ms, ref metadata, ref protocol, ref info, .. } = self.commit;
        let mut part = CommitChanges {
            version,
            timestamp_ms,
            metadata: metadata.clone(),
            protocol: protocol.clone(),
            info: info.clone(),
            ..CommitChanges::default()
        };
        for file in files {
            match file {
                What::Changes(i) => part.cdc.push(self.commit.cdc[i].clone()),
                What::File(FileChange::Add(i)) => part.adds.push(self.commit.adds[i].clone()),
                What::File(FileChange::Remove(i)) => part.removes.push(self.commit.removes[i].clone()),
            }
        }
        part
    }
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
        self.followed.check_start(&from, start.is_some()).await?;
        let admission = (limit != Limit::All).then(|| Admission::new(self.followed.limits(limit)));
        let until = Until { version: latest + 1, index: BASE_INDEX };
        let (_, end) = self.between(&from, until, admission).await?;
        Ok(end.map(|end| end.text()).or(start.map(str::to_string)))
    }

    async fn slice(&mut self, start: Option<&str>, end: &str) -> Result<Arc<dyn TableProvider>> {
        let end = self.followed.read_offset(end)?;
        let until = Until::offset(&end);
        let from = match start {
            Some(start) => self.followed.read_offset(start)?,
            // The version that the query began with is the one that its first end speaks of, or the one before.
            None => match self.followed.start {
                Start::Snapshot if end.is_starting_version => {
                    self.followed.first_offset(end.reservoir_version)
                }
                Start::Snapshot => self.followed.first_offset(end.reservoir_version - 1),
                Start::Version(version) => self.followed.before(version),
            },
        };
        self.followed.begin_log(until.last_version().max(0)).await?;
        self.followed.check_start(&from, start.is_some()).await?;
        let (commits, _) = self.between(&from, until, None).await?;
        let plan = changes_plan(&self.followed.read, &commits).await?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }

    async fn commit(&mut self, end: &str) -> Result<()> {
        let end = self.followed.read_offset(end)?;
        self.followed.evolve(&end).await
    }
}
