//! A version of a table: what it is, and which files it has.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use boathouse_spec::{Result, StructType};
use datafusion::common::Statistics;
use delta_kernel::SnapshotRef;
use tokio::sync::OnceCell;

use crate::action::{Action, Metadata, Protocol};
use crate::error;
use crate::file_set::FileSet;
use crate::location::TableLocation;
use crate::log::checksum::{self, Found, Known};
use crate::log::{self, CommitFile, checkpoint, managed};
use crate::property::DEFAULT_FILE_RETENTION_MS;
use crate::schema::TableColumns;

/// Further behind than this a snapshot may be cheaper to load anew, from a checkpoint.
const MAX_CATCH_UP: usize = 100;
/// About what a file takes in a checkpoint.
const CHECKPOINT_BYTES_PER_FILE: u64 = 100;

/// A state of a table that never changes. Cheap to clone; the list of files is read when first needed.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
}

struct Inner {
    location: TableLocation,
    version: i64,
    timestamp_ms: i64,
    protocol: Protocol,
    metadata: Arc<Metadata>,
    schema: Arc<StructType>,
    columns: Arc<TableColumns>,
    files: OnceCell<FileSet>,
    statistics: OnceLock<Statistics>,
    /// Where the files come from until they are read.
    source: Option<FileSource>,
    /// The kernel's state this one grew from, and the progress of applications since.
    kernel: SnapshotRef,
    txns: Arc<HashMap<String, i64>>,
    known: Known,
    /// The commit file of this version, to notice that the table was replaced by another.
    commit: Option<CommitFile>,
}

/// A state whose files are not read yet, and the commits after it.
#[derive(Clone)]
struct FileSource {
    kernel: SnapshotRef,
    commits: Vec<Arc<Vec<Action>>>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({} v{})", self.inner.location.uri(), self.inner.version)
    }
}

impl Snapshot {
    /// Loads a version, the latest where none is named.
    pub(crate) async fn load(location: &TableLocation, version: Option<i64>) -> Result<Self> {
        let latest = managed::publish(location).await?;
        if latest.is_some_and(|latest| latest < 0) {
            return Err(error::not_a_table(location));
        }
        let version = version.or(latest);
        let mut loaded = checkpoint::load(location, version).await?;
        let mut known = Known::default();
        match checksum::find(location, &loaded.kernel).await {
            Found::Nothing => {}
            Found::Valid(of, found) if of == loaded.version => known = Known::of(&found),
            Found::Valid(..) => {}
            Found::Wrong(path) => {
                tracing::warn!(table = location.uri(), "{path} is not of its commit: it was passed over");
                loaded = checkpoint::load(&location.hiding([path].into()), version).await?;
            }
        }
        crate::protocol::check_readable(location, &loaded.protocol)?;
        let commit = log::head_commit(location, loaded.version).await?;
        let schema = StructType::from_json(&loaded.metadata.schema_string)?;
        let columns = TableColumns::new(&schema, &loaded.metadata)?;
        Ok(Self {
            inner: Arc::new(Inner {
                location: location.clone(),
                version: loaded.version,
                timestamp_ms: loaded.timestamp_ms,
                protocol: loaded.protocol,
                metadata: Arc::new(loaded.metadata),
                schema: Arc::new(schema),
                columns: Arc::new(columns),
                files: OnceCell::new(),
                statistics: OnceLock::new(),
                source: Some(FileSource { kernel: loaded.kernel.clone(), commits: Vec::new() }),
                kernel: loaded.kernel,
                txns: Arc::default(),
                known,
                commit,
            }),
        })
    }

    /// The state after the next commit. Files are carried over when they are known.
    pub(crate) async fn after(&self, commit: CommitFile, actions: &[Action]) -> Result<Self> {
        let (mut protocol, mut metadata) = (self.inner.protocol.clone(), self.inner.metadata.clone());
        let mut in_commit_timestamp = None;
        let mut txns = self.inner.txns.clone();
        for action in actions {
            match action {
                Action::Protocol(p) => protocol = p.clone(),
                Action::Metadata(m) => metadata = Arc::new(m.clone()),
                Action::Txn(txn) => {
                    Arc::make_mut(&mut txns).insert(txn.app_id.clone(), txn.version);
                }
                Action::CommitInfo(info) => in_commit_timestamp = info.long("inCommitTimestamp"),
                _ => {}
            }
        }
        crate::protocol::check_readable(&self.inner.location, &protocol)?;
        // Files that nobody has asked for are not read for the sake of a commit.
        let (files, source) = match (self.inner.files.get(), &self.inner.source) {
            (None, Some(source)) => {
                let mut source = source.clone();
                source.commits.push(Arc::new(actions.to_vec()));
                (None, Some(source))
            }
            _ => (Some(self.files().await?.apply(actions)), None),
        };
        let same_schema = metadata.schema_string == self.inner.metadata.schema_string
            && metadata.partition_columns == self.inner.metadata.partition_columns;
        let (schema, columns) = if Arc::ptr_eq(&metadata, &self.inner.metadata) {
            (self.inner.schema.clone(), self.inner.columns.clone())
        } else {
            let schema = StructType::from_json(&metadata.schema_string)?;
            let columns = TableColumns::new(&schema, &metadata)?;
            (Arc::new(schema), Arc::new(columns))
        };
        let same_columns = same_schema && columns.mode == self.inner.columns.mode;
        let files = if same_columns { files } else { files.map(|f| f.forget_stats()) };
        let known = self.inner.known.after(actions, files.as_ref().map(FileSet::totals));
        let timestamp_ms = in_commit_timestamp
            .filter(|_| in_commit_timestamps_enabled(&metadata))
            .unwrap_or_else(|| commit.modified_ms());
        Ok(Self {
            inner: Arc::new(Inner {
                location: self.inner.location.clone(),
                version: commit.version,
                timestamp_ms,
                protocol,
                metadata,
                schema,
                columns,
                files: OnceCell::new_with(files),
                statistics: OnceLock::new(),
                source,
                kernel: self.inner.kernel.clone(),
                txns,
                known,
                commit: Some(commit),
            }),
        })
    }

    /// The latest version, by reading the commits since this one. One request to the store where there are none.
    pub(crate) async fn update(&self) -> Result<Self> {
        let Some(known) = &self.inner.commit else {
            return Self::load(&self.inner.location, None).await;
        };
        managed::publish(&self.inner.location).await?;
        let found = log::commits_from(&self.inner.location, known.version).await?;
        // Another file under this version's name, or none: the table is not the one we knew.
        match found.first() {
            Some(first) if is_same_file(first, known) => {}
            _ => return Self::load(&self.inner.location, None).await,
        }
        if found.len() > MAX_CATCH_UP && self.is_cheaper_anew(&found) {
            return Self::load(&self.inner.location, None).await;
        }
        let mut current = self.clone();
        for commit in found.into_iter().skip(1) {
            let Some(actions) = log::read_commit(&self.inner.location, commit.version).await? else {
                return Self::load(&self.inner.location, None).await;
            };
            current = current.after(commit, &actions).await?;
        }
        Ok(current)
    }

    /// Whether the commits since this version say more than a checkpoint of all files would.
    fn is_cheaper_anew(&self, commits: &[CommitFile]) -> bool {
        let Some(files) = self.inner.files.get() else { return true };
        let behind: u64 = commits.iter().skip(1).map(|c| c.meta.size).sum();
        behind > CHECKPOINT_BYTES_PER_FILE.saturating_mul(files.len() as u64)
    }

    /// Whether the table still has this version, and it is not another table's.
    pub(crate) async fn is_current_table(&self) -> bool {
        let Some(known) = &self.inner.commit else { return false };
        matches!(log::head_commit(&self.inner.location, known.version).await, Ok(Some(found)) if is_same_file(&found, known))
    }

    /// Whether the table was dropped, or another one is in its place.
    pub(crate) async fn is_gone(&self) -> Result<bool> {
        let Some(known) = &self.inner.commit else { return Ok(false) };
        let found = log::head_commit(&self.inner.location, known.version).await?;
        Ok(found.is_none_or(|found| !is_same_file(&found, known)))
    }

    /// The table as it would be read by other metadata and features, without files: for files that are known.
    pub fn read_as(&self, metadata: Metadata, protocol: Protocol) -> Result<Self> {
        crate::protocol::check_readable(&self.inner.location, &protocol)?;
        let schema = StructType::from_json(&metadata.schema_string)?;
        self.with(metadata, protocol, schema)
    }

    /// A table of other columns in the same place, without files.
    pub(crate) fn with_columns(&self, metadata: Metadata, schema: StructType) -> Result<Self> {
        self.with(metadata, self.inner.protocol.clone(), schema)
    }

    fn with(&self, metadata: Metadata, protocol: Protocol, schema: StructType) -> Result<Self> {
        let inner = &self.inner;
        let columns = TableColumns::new(&schema, &metadata)?;
        Ok(Self {
            inner: Arc::new(Inner {
                location: inner.location.clone(),
                version: inner.version,
                timestamp_ms: inner.timestamp_ms,
                protocol,
                metadata: Arc::new(metadata),
                schema: Arc::new(schema),
                columns: Arc::new(columns),
                files: OnceCell::new_with(Some(FileSet::default())),
                statistics: OnceLock::new(),
                source: None,
                kernel: inner.kernel.clone(),
                txns: inner.txns.clone(),
                known: Known::default(),
                commit: inner.commit.clone(),
            }),
        })
    }

    pub fn location(&self) -> &TableLocation {
        &self.inner.location
    }

    /// Whether it is the same state of the same table, as far as was known without comparing their logs.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub fn version(&self) -> i64 {
        self.inner.version
    }

    /// When the version was committed, in milliseconds since the epoch.
    pub fn timestamp_ms(&self) -> i64 {
        self.inner.timestamp_ms
    }

    pub fn protocol(&self) -> &Protocol {
        &self.inner.protocol
    }

    pub fn metadata(&self) -> &Metadata {
        &self.inner.metadata
    }

    pub fn id(&self) -> &str {
        &self.inner.metadata.id
    }

    /// The table's columns, with comments and all other metadata of the schema.
    pub fn schema(&self) -> &StructType {
        &self.inner.schema
    }

    /// The schema as rows of the table have it.
    pub fn arrow_schema(&self) -> arrow::datatypes::SchemaRef {
        self.inner.columns.logical.clone()
    }

    pub fn partition_columns(&self) -> &[String] {
        &self.inner.metadata.partition_columns
    }

    /// A table property.
    pub fn property(&self, key: &str) -> Option<&str> {
        self.inner.metadata.configuration.get(key).map(String::as_str)
    }

    /// A table property that is an interval, in milliseconds.
    pub(crate) fn interval_ms(&self, key: &str) -> Option<i64> {
        self.metadata().interval_ms(key)
    }

    /// How long removed files are kept for readers of earlier versions, in milliseconds.
    pub(crate) fn deleted_file_retention_ms(&self) -> i64 {
        self.interval_ms("delta.deletedFileRetentionDuration").unwrap_or(DEFAULT_FILE_RETENTION_MS)
    }

    pub(crate) fn columns(&self) -> &Arc<TableColumns> {
        &self.inner.columns
    }

    pub(crate) async fn files(&self) -> Result<&FileSet> {
        self.inner
            .files
            .get_or_try_init(|| async {
                let Some(source) = &self.inner.source else {
                    return Ok(FileSet::default());
                };
                let kernel = source.kernel.clone();
                let mut files = match checkpoint::files(&self.inner.location, kernel, self.columns()).await {
                    Ok(files) => files,
                    // The log of a table that was dropped meanwhile is no damaged one.
                    Err(_) if self.is_gone().await.unwrap_or(false) => {
                        return Err(error::gone(&self.inner.location));
                    }
                    Err(e) => return Err(e),
                };
                for actions in &source.commits {
                    files = files.apply(actions);
                }
                self.check_totals(&files);
                Ok(files)
            })
            .await
    }

    /// What is known without reading more of the log. The files tell better than a checksum what they are.
    pub(crate) fn known(&self) -> Known {
        let files = self.inner.files.get().map(FileSet::totals);
        Known { totals: files.or(self.inner.known.totals), ..self.inner.known.clone() }
    }

    /// The same version, of which more is known.
    pub(crate) fn knowing(mut self, known: Known) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.known = known;
        }
        self
    }

    fn check_totals(&self, files: &FileSet) {
        let found = files.totals();
        if let Some(said) = self.inner.known.totals
            && (said.files, said.bytes) != (found.files, found.bytes)
        {
            tracing::warn!(
                table = self.inner.location.uri(),
                version = self.inner.version,
                "the checksum tells of {} files of {} bytes, the log of {} of {}",
                said.files,
                said.bytes,
                found.files,
                found.bytes
            );
        }
    }

    /// What the files together have, as soon as they are known.
    pub(crate) fn statistics(&self) -> Option<&Statistics> {
        let files = self.inner.files.get()?;
        let compute = || {
            let columns: Vec<_> = self.columns().iter().map(Some).collect();
            crate::scan::table_statistics(&files.groups(self.columns()), &columns, &self.arrow_schema())
        };
        Some(self.inner.statistics.get_or_init(compute))
    }

    /// Whether an application has written a version already, or a later one.
    pub async fn was_written(&self, txn: Option<&(String, i64)>) -> Result<bool> {
        let Some((app, version)) = txn else { return Ok(false) };
        Ok(self.app_version(app).await?.is_some_and(|done| done >= *version))
    }

    /// The last version that an application wrote through `txn`; `None` where it wrote none.
    pub async fn app_version(&self, app_id: &str) -> Result<Option<i64>> {
        if let Some(version) = self.inner.txns.get(app_id) {
            return Ok(Some(*version));
        }
        if let Some(txns) = &self.inner.known.txns {
            return Ok(txns.get(app_id).map(|txn| txn.version));
        }
        checkpoint::app_version(&self.inner.location, self.inner.kernel.clone(), app_id).await
    }

    /// The table's CHECK constraints and column invariants, as (name, SQL text). Whoever writes rows resolves them and
    /// hands them in.
    pub fn check_constraints(&self) -> Vec<(String, String)> {
        crate::schema::constraints::declared(&self.inner.metadata, &self.inner.schema)
    }

    /// The files of this version.
    pub async fn add_actions(&self) -> Result<Vec<Arc<crate::action::Add>>> {
        Ok(self.files().await?.iter().collect())
    }

    /// Whether both are the same version of the same table.
    pub fn is_same_version(&self, other: &Snapshot) -> bool {
        self.version() == other.version() && self.id() == other.id()
    }

    pub(crate) fn in_commit_timestamps(&self) -> bool {
        in_commit_timestamps_enabled(&self.inner.metadata)
    }
}

fn in_commit_timestamps_enabled(metadata: &Metadata) -> bool {
    metadata.is_on("delta.enableInCommitTimestamps")
}

/// Tags go before times: Google's store tells times in milliseconds where it lists objects, and in seconds one by one.
/// Azure's has quotation marks around tags in one of the two.
fn is_same_file(a: &CommitFile, b: &CommitFile) -> bool {
    let unchanged = match (&a.meta.e_tag, &b.meta.e_tag) {
        (Some(a), Some(b)) => a.trim_matches('"') == b.trim_matches('"'),
        _ => a.meta.last_modified == b.meta.last_modified,
    };
    a.version == b.version && a.meta.size == b.meta.size && unchanged
}
