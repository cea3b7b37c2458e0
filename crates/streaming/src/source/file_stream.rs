//! Files of a directory as a stream: each file is read once, in the order of their times. The files of each offset are in
//! the log `sources/i` of the checkpoint, as Spark keeps them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use boathouse_connectors::listing::Found;
use boathouse_connectors::{FileTable, ResolvedPath};
use boathouse_engine::Session;
use boathouse_spec::{DataSourceRef, Error, Result, StructType};
use datafusion::catalog::TableProvider;
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::cleaner::{Cleaner, LEFT, refuse_sink};
use super::file_listing::{Entry, Place, Seen, blocking, modified_ms};
use super::{Limit, Source};
use crate::checkpoint::{CompactibleLog, Directory, concurrent};
use crate::options::Given;
use crate::settings;

/// How old a file may be beside the newest (`maxFileAge`): a week.
const MAX_FILE_AGE_MS: i64 = 7 * 24 * 3_600_000;

/// Below this part of a full batch, files that are left over are listed again (`discardCachedInputRatio`).
const DISCARD_RATIO: f64 = 0.2;

/// Files whose places are asked for at once after a restart.
const LOOKUPS: usize = 16;

/// How a stream of files chooses, and what its offsets look like.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub max_files: Option<i64>,
    pub max_bytes: Option<i64>,
    pub latest_first: bool,
    pub by_name: bool,
    pub by_time: bool,
    pub max_age_ms: Option<i64>,
    pub ignore_missing: bool,
    /// Files that are there when the query starts for the first time are read.
    pub include_existing: bool,
    /// What becomes of files that were read.
    pub cleaner: Option<Cleaner>,
    /// The offset's key: `logOffset`, `seqNum`.
    pub offset_key: &'static str,
    pub description: String,
}

impl Rules {
    fn of_spark(source: &DataSourceRef, place: &Place) -> Result<Self> {
        let given = Given(&source.options);
        let max_files = given.positive("maxFilesPerTrigger")?;
        let max_bytes = given.bytes("maxBytesPerTrigger")?;
        if max_files.is_some() && max_bytes.is_some() {
            return Err(Error::new("_LEGACY_ERROR_TEMP_3226")
                .message(
                    "Options maxFilesPerTrigger & maxBytesPerTrigger can't be both set at the same time.",
                )
                .exception("IllegalArgumentException"));
        }
        let latest_first = given.flag("latestFirst", false)?;
        let age = given.duration_ms("maxFileAge")?.unwrap_or(MAX_FILE_AGE_MS);
        // The newest first and not all of them: old ones would never have their turn.
        let max_age_ms = (!(latest_first && (max_files.is_some() || max_bytes.is_some()))).then_some(age);
        Ok(Self {
            max_files,
            max_bytes,
            latest_first,
            by_name: given.flag("fileNameOnly", false)?,
            by_time: false,
            max_age_ms,
            ignore_missing: given.flag("ignoreMissingFiles", place.context.ignore_missing_files)?,
            include_existing: true,
            cleaner: Cleaner::of(given, place)?,
            offset_key: "logOffset",
            description: format!(
                "FileStreamSource[{}]",
                place.resolved()?.first().map(ResolvedPath::display).unwrap_or_default()
            ),
        })
    }
}

pub(super) struct FileStream {
    place: Place,
    schema: StructType,
    rules: Rules,
    log: CompactibleLog,
    seen: Seen,
    /// Files of the log by offset.
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
    cleaning: Option<mpsc::Sender<Vec<Entry>>>,
}

/// The columns of a stream of files.
pub(super) async fn schema(session: &Arc<Session>, source: &DataSourceRef) -> Result<StructType> {
    let place = Place::new(&source.format, source, session.file_context()?)?;
    let infers = session.conf().flag("spark.sql.streaming.schemaInference");
    let declared = matches!(source.format.as_str(), "text" | "binaryfile");
    if source.schema.is_none() && !infers && !declared {
        return Err(no_schema());
    }
    Rules::of_spark(source, &place)?;
    let (root, found) = place.list().await?;
    Ok(open(&place, source.schema.as_ref(), &root, found).await?.spark_schema().clone())
}

fn no_schema() -> Error {
    Error::new("UNSPECIFIED_STREAMING_SCHEMA")
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
        let place = Place::new(&source.format, source, session.file_context()?)?;
        let rules = Rules::of_spark(source, &place)?;
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
        let interval = settings::number(session, "spark.sql.streaming.fileSource.log.compactInterval", 10);
        let log = CompactibleLog::open(directory, interval).await?;
        let mut seen = Seen::new(rules.by_name, rules.by_time, rules.max_age_ms);
        let mut entries: BTreeMap<i64, Vec<Entry>> = BTreeMap::new();
        for line in log.lines().await? {
            let entry = Entry::parse(&line)?;
            seen.add(&entry.path, entry.timestamp);
            entries.entry(entry.batch).or_default().push(entry);
        }
        seen.purge();
        let mut this = Self {
            place,
            schema,
            rules,
            log,
            seen,
            entries,
            unread: Vec::new(),
            is_fixed: false,
            taken: HashMap::new(),
            committed: None,
            cleaning: None,
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
        let (root, mut found) = self.place.list().await?;
        found.retain(|f| self.seen.is_new(&root.url_of(&f.meta.location), modified_ms(f)));
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
        let is_little = (self.unread.len() as f64) < count as f64 * DISCARD_RATIO;
        if !self.is_fixed && (is_little || self.rules.latest_first) {
            self.unread.clear();
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
        let mut entries = Vec::with_capacity(files.len());
        for found in files {
            let path = root.url_of(&found.meta.location);
            let entry = Entry { timestamp: modified_ms(&found), batch, is_skipped, path };
            self.seen.add(&entry.path, entry.timestamp);
            if !is_skipped {
                self.taken.insert(entry.path.clone(), found);
            }
            entries.push(entry);
        }
        self.seen.purge();
        let lines: Vec<String> = entries.iter().map(Entry::line).collect();
        if !self.log.add(batch, &lines).await? {
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
        if let Some(cleaner) = &self.rules.cleaner {
            let cleaning = self.cleaning.get_or_insert_with(|| cleaner.clone().start(self.place.clone()));
            // Those of earlier runs were cleaned away by them, all but the last perhaps.
            let first = self.committed.map_or(last - LEFT, |n| n + 1);
            for (_, entries) in self.entries.iter().filter(|(n, _)| (first..=last).contains(*n)) {
                // A task that is gone has said why.
                let _ = cleaning.send(entries.clone()).await;
            }
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
