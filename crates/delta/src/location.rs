//! Where a table is: an object store, and a prefix inside it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use boathouse_spec::{Error, Result};
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::execution::object_store::ObjectStoreRegistry;
use object_store::ObjectStore;
use object_store::path::Path;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::Url;

use crate::coordinator::CommitCoordinator;
use crate::external::{self, WithExternalFiles};
use crate::log::hiding_store::HidingStore;

/// The directory of the transaction log.
pub const LOG_DIRECTORY: &str = "_delta_log";

/// What a URI path must have encoded, as `java.net.URI` does it for the paths in the log.
const URI_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A table's location: the store registered for the URL's base, and the table's path in that store.
#[derive(Clone, Debug)]
pub struct TableLocation {
    store: Arc<dyn ObjectStore>,
    /// Scheme and authority, with a trailing slash: `file:///`, `s3://bucket/`.
    base: Url,
    prefix: Path,
    /// The stores in which files outside of the table's directory are looked for; `None` where there are none.
    external: Option<Arc<dyn ObjectStoreRegistry>>,
    /// Who manages the table's commits; `None` where it is nobody but the store.
    coordinator: Option<Arc<dyn CommitCoordinator>>,
}

impl TableLocation {
    /// `url` is the table's full URL (`file:///data/t`, `s3://bucket/t`); `store` is the store of its base, as DataFusion
    /// registers it, so that paths in `store` begin at the base.
    pub fn new(store: Arc<dyn ObjectStore>, url: &Url) -> Result<Self> {
        let prefix = Path::from_url_path(url.path()).map_err(|e| invalid_path(url.as_str(), e))?;
        let mut base = url.clone();
        base.set_path("/");
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self { store, base, prefix, external: None, coordinator: None })
    }

    /// A table in a directory of this machine.
    pub fn local(directory: impl AsRef<std::path::Path>) -> Result<Self> {
        let directory = std::path::absolute(directory.as_ref())
            .map_err(|e| Error::io(format!("resolving {}", directory.as_ref().display()), e))?;
        let url = Url::from_directory_path(&directory)
            .map_err(|()| invalid_path(&directory.display().to_string(), "it has no URL"))?;
        Self::new(Arc::new(object_store::local::LocalFileSystem::new()), &url)
    }

    /// Lets the log name files outside of the table's directory, as shallow clones do; `stores` are those that DataFusion
    /// has. Who may read the table may then read any such file of the store, so it is for the caller to know that this is
    /// allowed.
    pub fn with_external_files(mut self, stores: Arc<dyn ObjectStoreRegistry>) -> Self {
        self.store = Arc::new(WithExternalFiles::new(self.store, Arc::clone(&stores)));
        self.external = Some(stores);
        self
    }

    /// The same place of a table whose commits a catalog manages.
    pub fn managed_by(self, coordinator: Arc<dyn CommitCoordinator>) -> Self {
        Self { coordinator: Some(coordinator), ..self }
    }

    pub(crate) fn coordinator(&self) -> Option<&dyn CommitCoordinator> {
        self.coordinator.as_deref()
    }

    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The key under which DataFusion's runtime has the store.
    pub fn object_store_url(&self) -> Result<ObjectStoreUrl> {
        ObjectStoreUrl::parse(&self.base).map_err(boathouse_bridge::from_datafusion)
    }

    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The same store with other contents, for tests and for reading a log with parts of it hidden.
    pub(crate) fn with_store(&self, store: Arc<dyn ObjectStore>) -> Self {
        Self { store, ..self.clone() }
    }

    /// The same table with some of its objects hidden, so that the kernel does not take them.
    pub(crate) fn hiding(&self, hidden: HashSet<Path>) -> Self {
        self.with_store(Arc::new(HidingStore::new(self.store.clone(), hidden)))
    }

    /// The table's URL with a trailing slash, so that relative paths join below it.
    pub fn url(&self) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(self.prefix.as_ref().split('/').filter(|s| !s.is_empty())).push("");
        }
        url
    }

    /// The full URL of an object: `file:///data/t/x.parquet`, `s3://bucket/t/x.parquet`.
    pub(crate) fn object_url(&self, object: &Path) -> Url {
        let elsewhere = external::place(object);
        let (mut url, object) = match &elsewhere {
            Some((base, object)) => (base.clone(), object),
            None => (self.base.clone(), object),
        };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(object.as_ref().split('/'));
        }
        url
    }

    /// The same as the log names files outside of a table; of this machine's disk with one slash, as Hadoop writes it,
    /// since Spark looks for files by the text.
    pub(crate) fn url_of(&self, object: &Path) -> String {
        let url = self.object_url(object);
        match url.as_str().strip_prefix("file:///") {
            Some(path) => format!("file:/{path}"),
            None => url.to_string(),
        }
    }

    /// Whether both are in one store, so that objects can be copied inside of it.
    pub(crate) fn shares_store(&self, other: &Self) -> bool {
        self.is_in_store(&other.base)
    }

    /// The location as Spark shows it: `file:/data/t`, `s3://bucket/t`.
    pub fn uri(&self) -> String {
        match self.base.scheme() {
            "file" => format!("file:/{}", self.prefix),
            _ => format!("{}{}", self.base, self.prefix),
        }
    }

    pub fn is_local(&self) -> bool {
        self.base.scheme() == "file"
    }

    /// The file on this machine's disk, where the table is on it.
    pub fn local_path(&self, path: &Path) -> Option<PathBuf> {
        self.is_local().then(|| PathBuf::from(format!("/{path}")))
    }

    /// The directory on this machine's disk that is there as long as the table is, above a file: its log's for files of the
    /// log, its own for others.
    pub(crate) fn local_root(&self, path: &Path) -> Option<PathBuf> {
        let log = self.log_directory();
        self.local_path(if path.prefix_matches(&log) { &log } else { &self.prefix })
    }

    /// Whether a file is where the table, or a directory above it, would be: nothing can be there.
    pub fn is_below_file(&self) -> bool {
        let log = self.local_path(&self.log_directory());
        log.is_some_and(|log| log.ancestors().find(|p| p.exists()).is_some_and(|p| !p.is_dir()))
    }

    /// Whether the directory of a log that was there is gone; it cannot be told where directories are no things of their own.
    pub(crate) fn has_lost_its_log(&self) -> bool {
        self.local_path(&self.log_directory()).is_some_and(|log| !log.exists())
    }

    /// A file with actions of a checkpoint.
    pub(crate) fn sidecar_path(&self, name: &str) -> Path {
        self.log_directory().join("_sidecars").join(name)
    }

    pub fn log_path(&self, name: &str) -> Path {
        self.prefix.clone().join(LOG_DIRECTORY).join(name)
    }

    pub fn log_directory(&self) -> Path {
        self.prefix.clone().join(LOG_DIRECTORY)
    }

    /// The object of a `path` in the log: a URI, relative to the table or absolute.
    pub fn resolve(&self, path: &str) -> Result<Path> {
        if let Some((scheme, _)) = path.split_once(':')
            && !scheme.is_empty()
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
            && !path[..scheme.len()].contains('/')
        {
            return self.resolve_absolute(path);
        }
        if let Some(absolute) = path.strip_prefix('/') {
            let object = Path::from_url_path(absolute).map_err(|e| invalid_path(path, e))?;
            return self.allowed(object, path);
        }
        let decoded = percent_decode_str(path).decode_utf8().map_err(|e| invalid_path(path, e))?;
        self.relative(&decoded)
    }

    fn resolve_absolute(&self, path: &str) -> Result<Path> {
        let url = Url::parse(path).map_err(|e| invalid_path(path, e))?;
        let object = if self.is_in_store(&url) {
            Path::from_url_path(url.path())
        } else if matches!(url.scheme(), "file" | "http" | "https") {
            // Who writes to a bucket has no right to this machine's files for that.
            return Err(Error::unsupported(format!(
                "a Delta table in {} with a data file that is in no object store ({path})",
                self.uri()
            )));
        } else {
            external::path_of(&url)
        };
        self.allowed(object.map_err(|e| invalid_path(path, e))?, path)
    }

    /// Whether a URL is of the table's own store, which may have several names (`s3` and `s3a`, `abfss` and `wasbs`).
    fn is_in_store(&self, url: &Url) -> bool {
        if url.scheme() == self.base.scheme() && url.authority() == self.base.authority() {
            return true;
        }
        let Some(stores) = self.external.as_ref().filter(|_| url.scheme() != "file" && !self.is_local())
        else {
            return false;
        };
        match (stores.get_store(url), stores.get_store(&self.base)) {
            (Ok(theirs), Ok(ours)) => Arc::ptr_eq(&theirs, &ours),
            _ => false,
        }
    }

    fn allowed(&self, object: Path, path: &str) -> Result<Path> {
        if self.external.is_some() || self.relativize(&object).is_some() {
            return Ok(object);
        }
        Err(Error::unsupported(format!(
            "the Delta table in {} with a data file outside of it ({path})",
            self.uri()
        )))
    }

    /// The object at a path that is relative to the table and not encoded.
    pub fn relative(&self, path: &str) -> Result<Path> {
        let full = if self.prefix.is_root() { path.to_string() } else { format!("{}/{path}", self.prefix) };
        Path::parse(&full).map_err(|e| invalid_path(path, e))
    }

    /// The path of an object below the table, not encoded; `None` where it is not below the table.
    pub fn relativize<'a>(&self, path: &'a Path) -> Option<&'a str> {
        let rest = path.as_ref().strip_prefix(self.prefix.as_ref())?;
        if self.prefix.is_root() { Some(rest) } else { rest.strip_prefix('/') }
    }
}

/// A relative path as the log has it.
pub fn encode_path(path: &str) -> String {
    utf8_percent_encode(path, URI_PATH).to_string()
}

fn invalid_path(path: &str, cause: impl std::fmt::Display) -> Error {
    Error::new("DELTA_INVALID_PARTITION_PATH")
        .param("path", path)
        .message(format!("The path {path} cannot be used: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TableLocation {
        TableLocation::local("/data/my table").unwrap()
    }

    #[test]
    fn names_of_a_location() {
        assert_eq!(table().uri(), "file:/data/my table");
        assert_eq!(table().url().as_str(), "file:///data/my%20table/");
        assert_eq!(table().log_path("x.json").as_ref(), "data/my table/_delta_log/x.json");
    }

    #[test]
    fn paths_in_the_log_are_uris() {
        // Spark writes partition `p = 'a b/c'` below the directory `p=a b%2Fc`.
        let on_disk = "p=a b%2Fc/part-0.parquet";
        assert_eq!(encode_path(on_disk), "p=a%20b%252Fc/part-0.parquet");
        let object = table().resolve(&encode_path(on_disk)).unwrap();
        assert_eq!(object.as_ref(), "data/my table/p=a b%2Fc/part-0.parquet");
        assert_eq!(table().relativize(&object), Some(on_disk));
        assert!(
            table().resolve("file:///other/x.parquet").is_err()
                && table().resolve("/other/x.parquet").is_err()
        );
        let stores = Arc::new(datafusion::execution::object_store::DefaultObjectStoreRegistry::new());
        let open = table().with_external_files(stores);
        assert_eq!(open.resolve("file:///other/x.parquet").unwrap().as_ref(), "other/x.parquet");
        let outside = open.url_of(&open.resolve("file:///other/x%20y.parquet").unwrap());
        assert_eq!(outside, "file:/other/x%20y.parquet");
        assert_eq!(open.resolve(&outside).unwrap().as_ref(), "other/x y.parquet");
        assert_eq!(table().resolve("file:///data/my%20table/x").unwrap().as_ref(), "data/my table/x");
        assert!(table().resolve("s3://bucket/x.parquet").is_err());
        let elsewhere = open.url_of(&open.resolve("s3://bucket/x%20y.parquet").unwrap());
        assert_eq!(elsewhere, "s3://bucket/x%20y.parquet");
        assert!(table().resolve("../x.parquet").is_err());
    }
}
