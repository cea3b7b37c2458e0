//! Files of a directory as a stream: each file is read once, in the order of their times. The files of each offset are in
//! the log `sources/i` of the checkpoint, as Spark keeps them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use boathouse_connectors::layout::Depth;
use boathouse_connectors::listing::Found;
use boathouse_connectors::{FileTable, ResolvedPath};
use boathouse_engine::Session;
use boathouse_spec::{DataSourceRef, Error, Result, StructField, StructType, clock};
use datafusion::catalog::TableProvider;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use object_store::path::Path;
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::cleaner::{Cleanable, Cleaning, LEFT, Mark, refuse_sink};
use super::file_listing::{Entry, Place, Seen, blocking, modified_ms};
use super::file_rules::Rules;
use super::{Limit, Source};
use crate::checkpoint::{CompactibleLog, Directory, LogRules, concurrent};
use crate::settings;

/// Files are looked for that stayed long enough, not more often than so many milliseconds.
const CLEANING_PAUSE_MS: i64 = 600_000;

/// Files whose places are asked for at once after a restart.
const LOOKUPS: usize = 16;

pub(super) struct FileStream {
    place: Place,
    schema: StructType,
    rules: Rules,
    log: CompactibleLog,
    /// Shared with those who list files.
    seen: Arc<RwLock<Seen>>,
    /// Files of the log by offset, those of batches that are not done.
    entries: BTreeMap<i64, Vec<Entry>>,
    /// Files found and not yet taken, in the order to take them.
    unread: Vec<Found>,
    /// All files there will be, with `availableNow`.
    is_fixed: bool,
    /// Files taken and not yet read, by their URL.
    taken: HashMap<String, Found>,
    /// The last offset that was committed in this run.
    committed: Option<i64>,
    /// Takes files that were read, to clean them away.
    cleaning: Option<mpsc::Sender<Cleanable>>,
    /// The last batch whose files were given to be cleaned away, where they stay for a time.
    cleaned: i64,
    /// When files are looked for that stayed long enough.
    next_cleaning_ms: i64,
}

/// The columns of a stream of files.
pub(super) async fn schema(session: &Arc<Session>, source: &DataSourceRef) -> Result<StructType> {
    let place = Place::new(&source.format, source, session.file_context()?, Depth::Partitions)?;
    let infers = session.conf().flag("spark.sql.streaming.schemaInference");
    if source.schema.is_none() && !infers && source.format != "text" {
        return Err(no_schema());
    }
    Rules::of_spark(session, source, &place)?;
    let (root, found) = place.list().await?;
    let table = open(&place, source.schema.as_ref(), &root, found).await?;
    let partitions = table.partition_columns();
    // What directories give comes last, wherever the schema that is given names it.
    let is_data = |field: &StructField| !partitions.contains(&field.name);
    let (data, mut last): (Vec<_>, Vec<_>) = table.spark_schema().fields.iter().cloned().partition(is_data);
    last.sort_by_key(|field| partitions.iter().position(|name| *name == field.name));
    let schema = StructType::new([data, last].concat());
    match &source.schema {
        Some(given) if !settings::flag(session, FORCE_NULLABLE, true) => Ok(as_given(schema, given)),
        _ => Ok(schema),
    }
}

/// Whether all columns of files may be NULL, whatever the schema that is given says.
const FORCE_NULLABLE: &str = "spark.sql.streaming.fileSource.schema.forceNullable";

/// A schema whose columns may be NULL where those of the one that was given may.
fn as_given(schema: StructType, given: &StructType) -> StructType {
    let fields = schema
        .fields
        .into_iter()
        .map(|field| given.fields.iter().find(|g| g.name == field.name).cloned().unwrap_or(field));
    StructType::new(fields.collect())
}

fn no_schema() -> Error {
    Error::new("_LEGACY_ERROR_TEMP_2048")
        .message(
            "Schema must be specified when creating a streaming source DataFrame. If some files already exist in the directory, then \
             depending on the file format you may be able to create a static DataFrame on that directory with \
             'spark.read.load(directory)' and infer schema from it.",
        )
        .exception("IllegalArgumentException")
}

/// Opens files as a table on a thread of its own: finding a schema computes.
pub(super) async fn open(
    place: &Place,
    schema: Option<&StructType>,
    root: &ResolvedPath,
    found: Vec<Found>,
) -> Result<FileTable> {
    let (place, schema, root) = (place.clone(), schema.cloned(), root.clone());
    blocking(move |runtime| {
        let opened = boathouse_connectors::open_files(
            &place.format,
            schema.as_ref(),
            &place.options,
            &root,
            found,
            &place.context,
        );
        runtime.block_on(opened)
    })
    .await
}

impl FileStream {
    pub async fn open(session: &Arc<Session>, source: &DataSourceRef, directory: Directory) -> Result<Self> {
        let place = Place::new(&source.format, source, session.file_context()?, Depth::Partitions)?;
        let rules = Rules::of_spark(session, source, &place)?;
        if rules.cleaner.is_some() {
            for path in &place.paths {
                refuse_sink(&Directory::open(session, path)?).await?;
            }
        }
        let schema = schema(session, source).await?;
        Self::with_rules(session, place, schema, rules, directory).await
    }

    pub async fn with_rules(
        session: &Session,
        place: Place,
        schema: StructType,
        rules: Rules,
        directory: Directory,
    ) -> Result<Self> {
        let retains = rules.cleaner.as_ref().is_some_and(|c| c.retention_ms.is_some());
        let cleaned = if retains { Mark::read(&directory).await? } else { -1 };
        let log = CompactibleLog::open(directory, LogRules::of(session, "fileSource")).await?;
        let mut seen = Seen::new(rules.by_name, rules.by_time, rules.max_age_ms);
        let mut entries: BTreeMap<i64, Vec<Entry>> = BTreeMap::new();
        // What a restart may ask for: the batch that was not done, and those whose files a crash may have left.
        let asked_for = log.latest().unwrap_or(0) - LEFT - 1;
        log.each_line(|line| {
            let entry = Entry::parse(line)?;
            seen.add(&entry.path, entry.timestamp);
            if entry.batch >= asked_for && !entry.is_skipped {
                entries.entry(entry.batch).or_default().push(entry);
            }
            Ok(())
        })
        .await?;
        seen.purge();
        let mut this = Self {
            place,
            schema,
            rules,
            log,
            seen: Arc::new(RwLock::new(seen)),
            entries,
            unread: Vec::new(),
            is_fixed: false,
            taken: HashMap::new(),
            committed: None,
            cleaning: None,
            cleaned,
            next_cleaning_ms: 0,
        };
        if !this.rules.include_existing && this.log.latest().is_none() {
            let (root, found) = this.place.list().await?;
            this.take(&root, found, true).await?;
        }
        Ok(this)
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The files that no offset has yet, in the order to take them.
    async fn new_files(&self) -> Result<(ResolvedPath, Vec<Found>)> {
        let (seen, root) = (Arc::clone(&self.seen), self.root()?);
        let is_new = move |file: &ObjectMeta, _: &Path| {
            let url = root.url_of(&file.location);
            seen.read().is_new(&url, file.last_modified.timestamp_millis())
        };
        let (root, mut found) = match self.place.list_if(Arc::new(is_new)).await {
            // A directory that was there when the query began may come again: meanwhile it is empty, as in Spark.
            Err(e) if e.is("PATH_NOT_FOUND") => return Ok((self.root()?, Vec::new())),
            found => found?,
        };
        if found.iter().any(|f| f.meta.location == root.path) {
            return Err(no_directory());
        }
        if self.rules.latest_first {
            found.sort_by_key(|f| Reverse(modified_ms(f)));
        } else {
            found.sort_by_key(modified_ms);
        }
        Ok((root, found))
    }

    /// The files that the next batch is to take; none where a batch waits, or where there are none.
    pub async fn next_files(&mut self, start: Option<&str>, limit: Limit) -> Result<Vec<Found>> {
        let read = start.map(|s| self.offset(s)).transpose()?;
        if let Some(number) = read.filter(|_| read > self.log.latest()) {
            return Err(lost_entry(number));
        }
        if limit == Limit::Options && self.log.latest() > read {
            // A batch was chosen before a restart, and not planned: it is the next one, as it would have been.
            return Ok(Vec::new());
        }
        if self.unread.is_empty() && !self.is_fixed {
            self.unread = self.new_files().await?.1;
        }
        let count = self.count(&self.unread, limit);
        if count == 0 {
            return Ok(Vec::new());
        }
        let rest = self.unread.split_off(count);
        let batch = std::mem::replace(&mut self.unread, rest);
        // Few left over: more may have come, and a fuller batch is better.
        let is_little = (self.unread.len() as f64) < count as f64 * self.rules.discard_ratio;
        if !self.is_fixed {
            let kept = if is_little || self.rules.latest_first { 0 } else { self.rules.max_cached };
            self.unread.truncate(kept);
            self.unread.shrink_to_fit();
        }
        Ok(batch)
    }

    /// Gives files the next offset, where there are any; the offset of all files that were taken.
    pub async fn take_next(&mut self, files: Vec<Found>) -> Result<Option<String>> {
        if !files.is_empty() {
            let root = self.root()?;
            self.take(&root, files, false).await?;
        }
        Ok(self.latest_text())
    }

    pub fn root(&self) -> Result<ResolvedPath> {
        let root = self.place.resolved()?.into_iter().next();
        root.ok_or_else(|| Error::internal("a stream of files without a path"))
    }

    /// How many of the files the next batch takes.
    fn count(&self, files: &[Found], limit: Limit) -> usize {
        if limit == Limit::All {
            return files.len();
        }
        let mut count = files.len();
        if let Some(max) = self.rules.max_files {
            count = count.min(usize::try_from(max).unwrap_or(usize::MAX));
        }
        if let Some(max) = self.rules.max_bytes {
            let mut bytes = 0_i64;
            // One file is always taken, however large.
            let fit = files.iter().enumerate().take_while(|(i, f)| {
                bytes = bytes.saturating_add(i64::try_from(f.meta.size).unwrap_or(i64::MAX));
                *i == 0 || bytes <= max
            });
            count = count.min(fit.count());
        }
        count
    }

    /// Gives files the next offset.
    async fn take(&mut self, root: &ResolvedPath, files: Vec<Found>, is_skipped: bool) -> Result<()> {
        let batch = self.log.latest().map_or(0, |b| b + 1);
        let retains = self.rules.cleaner.as_ref().is_some_and(|c| c.retention_ms.is_some());
        let taken_ms = (retains && !is_skipped).then(clock::now_ms);
        let mut lines = Vec::with_capacity(files.len());
        let mut entries = Vec::new();
        {
            let mut seen = self.seen.write();
            for found in files {
                let path = root.url_of(&found.meta.location);
                let entry = Entry { timestamp: modified_ms(&found), batch, is_skipped, taken_ms, path };
                seen.add(&entry.path, entry.timestamp);
                lines.push(entry.line());
                if !is_skipped {
                    self.taken.insert(entry.path.clone(), found);
                    entries.push(entry);
                }
            }
            seen.purge();
        }
        // What is too old to be read again need not be known, unless it is to be cleaned away.
        let (seen, committed) = (&self.seen, self.committed.unwrap_or(-1));
        let keep = |line: &str| {
            retains
                || Entry::time_and_batch(line)
                    .is_none_or(|(time, batch)| batch > committed - LEFT || seen.read().knows(time))
        };
        if !self.log.add(batch, &lines, keep).await? {
            return Err(concurrent(batch));
        }
        self.entries.insert(batch, entries);
        Ok(())
    }

    /// The offset of all files that were taken.
    fn latest_text(&self) -> Option<String> {
        self.log.latest().map(|n| json!({ self.rules.offset_key: n }).to_string())
    }

    fn offset(&self, text: &str) -> Result<i64> {
        let value: Option<Value> = serde_json::from_str(text).ok();
        let number =
            value.as_ref().and_then(|v| v.get(self.rules.offset_key).or(Some(v))).and_then(Value::as_i64);
        number.ok_or_else(|| {
            Error::new("STREAM_CHECKPOINT_CORRUPT")
                .message(format!("{text} is no offset of a stream of files."))
        })
    }

    /// The files of offsets, as they are now.
    async fn files_of(&self, entries: &[&Entry]) -> Result<Vec<Found>> {
        let mut lookups = Vec::with_capacity(entries.len());
        for entry in entries {
            lookups.push(self.file_of(entry).boxed());
        }
        let found: Vec<Option<Found>> =
            futures::stream::iter(lookups).buffered(LOOKUPS).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Gives the files of the last batches to be cleaned away.
    async fn clean_last(&mut self, last: i64) {
        // Those of earlier runs were cleaned away by them, all but the last perhaps.
        let first = self.committed.map_or(last - LEFT, |n| n + 1);
        let batches: Vec<Vec<Entry>> = self.entries.range(first..=last).map(|(_, e)| e.clone()).collect();
        for files in batches {
            self.clean(Cleanable { files, mark: None }).await;
        }
    }

    /// Gives files to be cleaned away that were read long enough ago. The log has them: they may be many.
    async fn clean_due(&mut self, last: i64, retention_ms: i64) -> Result<()> {
        let now = clock::now_ms();
        if now < self.next_cleaning_ms {
            return Ok(());
        }
        self.next_cleaning_ms = now + CLEANING_PAUSE_MS.min(retention_ms / 10);
        let mut due: Vec<Entry> = Vec::new();
        let cleaned = self.cleaned;
        self.log
            .each_line(|line| {
                let entry = Entry::parse(line)?;
                let is_due = entry.taken_ms.is_some_and(|taken| taken + retention_ms <= now);
                if is_due && entry.batch > cleaned && entry.batch <= last {
                    due.push(entry);
                }
                Ok(())
            })
            .await?;
        if let Some(batch) = due.iter().map(|e| e.batch).max() {
            self.cleaned = batch;
            let mark = Mark { directory: self.log.directory().clone(), batch };
            self.clean(Cleanable { files: due, mark: Some(mark) }).await;
        }
        Ok(())
    }

    async fn clean(&mut self, files: Cleanable) {
        let Some(Cleaning { cleaner, at_once, .. }) = self.rules.cleaner.clone() else { return };
        let cleaning = self.cleaning.get_or_insert_with(|| cleaner.start(self.place.clone(), at_once));
        // A task that is gone has said why.
        let _ = cleaning.send(files).await;
    }

    async fn file_of(&self, entry: &Entry) -> Result<Option<Found>> {
        if let Some(found) = self.taken.get(&entry.path) {
            return Ok(Some(found.clone()));
        }
        match self.place.find_again(entry).await? {
            None if !self.rules.ignore_missing => Err(gone(&entry.path)),
            found => Ok(found),
        }
    }
}

/// What is read is the base of partitions, too (Spark's `FileStreamSource.getBatch`).
fn no_directory() -> Error {
    Error::new("").message("Option 'basePath' must be a directory").exception("IllegalArgumentException")
}

/// New files would take its place, and be taken for those that were read.
fn lost_entry(number: i64) -> Error {
    Error::new("STREAM_CHECKPOINT_CORRUPT").message(format!(
        "The checkpoint says that the files of the entry {number} of its log of files were read, and the log ends before. Start the query \
         with a new checkpoint, or restore this one."
    ))
}

fn gone(path: &str) -> Error {
    Error::new("FAILED_READ_FILE.FILE_NOT_EXIST").param("path", path).message(format!(
        "Encountered error while reading file {path}. File does not exist. It is possible the underlying files have been updated."
    ))
}

#[async_trait]
impl Source for FileStream {
    fn schema(&self) -> &StructType {
        &self.schema
    }

    fn description(&self) -> String {
        self.rules.description.clone()
    }

    async fn prepare_available_now(&mut self) -> Result<()> {
        let (_, found) = self.new_files().await?;
        self.unread = found;
        self.is_fixed = true;
        Ok(())
    }

    async fn end_offset(&mut self, start: Option<&str>, limit: Limit) -> Result<Option<String>> {
        let files = self.next_files(start, limit).await?;
        self.take_next(files).await
    }

    async fn slice(&mut self, start: Option<&str>, end: &str) -> Result<Arc<dyn TableProvider>> {
        let first = start.map(|s| self.offset(s)).transpose()?.map_or(0, |n| n + 1);
        let last = self.offset(end)?;
        let batches = self.entries.iter().filter(|(batch, _)| (first..=last).contains(*batch));
        let entries: Vec<&Entry> = batches.flat_map(|(_, e)| e).filter(|e| !e.is_skipped).collect();
        let found = self.files_of(&entries).await?;
        Ok(Arc::new(open(&self.place, Some(&self.schema), &self.root()?, found).await?))
    }

    async fn commit(&mut self, end: &str) -> Result<()> {
        let last = self.offset(end)?;
        match self.rules.cleaner.clone() {
            Some(Cleaning { retention_ms: None, .. }) => self.clean_last(last).await,
            Some(Cleaning { retention_ms: Some(ms), .. }) => self.clean_due(last, ms).await?,
            None => {}
        }
        self.committed = Some(last);
        for (_, entries) in self.entries.range(..=last) {
            for entry in entries {
                self.taken.remove(&entry.path);
            }
        }
        self.entries.retain(|batch, _| *batch > last);
        Ok(())
    }
}
