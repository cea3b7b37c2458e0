//! A directory of small files that are created whole and never changed, on this machine's disk or in an object store.

use std::borrow::Cow;
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use boathouse_connectors::ResolvedPath;
use boathouse_engine::Session;
use boathouse_spec::{Error, Result};
use bytes::Bytes;
use futures::StreamExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};

use super::in_flight;
use super::local::{self, Settling};
use super::new_file::NewFile;
use crate::stateful::nameless;

/// What goes to an object store by one request.
const PART_BYTES: usize = 8 << 20;

/// Requests of a file at the same time, each with a part of it in memory.
const REQUESTS: usize = 4;

#[derive(Debug, Clone)]
pub struct Directory {
    place: ResolvedPath,
}

impl Directory {
    /// A directory by its path or URL as users write it.
    pub fn open(session: &Arc<Session>, path: &str) -> Result<Self> {
        let context = session.file_context()?;
        Ok(Self { place: context.paths.resolve(path, context.stores.as_ref())? })
    }

    /// A directory of this machine, for tests.
    #[cfg(test)]
    pub fn at(path: &std::path::Path) -> Self {
        let stores = boathouse_connectors::Stores::new();
        let paths = boathouse_connectors::Paths::new(path, path);
        Self { place: paths.resolve(&path.display().to_string(), &stores).unwrap() }
    }

    pub fn child(&self, name: &str) -> Self {
        Self { place: self.place.with_path(self.file(name)) }
    }

    /// The directory so many levels up.
    pub fn up(&self, levels: usize) -> Self {
        let parts: Vec<_> = self.place.path.parts().collect();
        let kept = parts.len().saturating_sub(levels);
        Self { place: self.place.with_path(parts[..kept].iter().cloned().collect()) }
    }

    /// Whether this is another directory, or below it.
    pub fn is_in(&self, other: &Self) -> bool {
        self.place.url_of(&Path::default()) == other.place.url_of(&Path::default())
            && self.place.path.prefix_matches(&other.place.path)
    }

    /// As Spark shows it.
    pub fn display(&self) -> String {
        self.place.display()
    }

    fn file(&self, name: &str) -> Path {
        name.split('/').fold(self.place.path.clone(), |path, part| path.join(part))
    }

    fn local(&self, name: &str) -> Option<PathBuf> {
        self.place.local_file().map(|directory| directory.join(name))
    }

    fn failed(&self, doing: &str, name: &str, e: impl std::fmt::Display) -> Error {
        Error::io(format!("{doing} {}/{name}", self.display()), e)
    }

    /// The contents of a file; `None` where there is none.
    pub async fn read(&self, name: &str) -> Result<Option<Bytes>> {
        match self.place.store.get(&self.file(name)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(|e| self.failed("reading", name, e)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.failed("reading", name, e)),
        }
    }

    /// The first bytes of a file, all where it has no more.
    pub async fn read_start(&self, name: &str, bytes: u64) -> Result<Option<Bytes>> {
        match self.place.store.get_range(&self.file(name), 0..bytes).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.failed("reading", name, e)),
        }
    }

    pub async fn read_text(&self, name: &str) -> Result<Option<String>> {
        match self.read(name).await? {
            Some(bytes) => match String::from_utf8(bytes.to_vec()) {
                Ok(text) => Ok(Some(text)),
                Err(e) => Err(self.failed("reading", name, e)),
            },
            None => Ok(None),
        }
    }

    /// Brings the names of the files to the disk, and that of the directory.
    pub async fn settle(&self) -> Result<()> {
        let Some(directory) = self.local("").filter(|d| d.is_dir()) else { return Ok(()) };
        if let Some(parent) = directory.parent() {
            Settling::names_in(parent.to_path_buf()).done().await?;
        }
        Settling::names_in(directory).done().await
    }

    /// Creates a file, whole or not at all; false where it exists already.
    pub async fn create(&self, name: &str, contents: impl Into<Bytes>) -> Result<bool> {
        match self.create_settling(name, contents).await? {
            Some(settling) => settling.done().await.map(|()| true),
            None => Ok(false),
        }
    }

    /// The same, without waiting for its name to be on the disk; `None` where it exists already.
    pub async fn create_settling(&self, name: &str, contents: impl Into<Bytes>) -> Result<Option<Settling>> {
        let contents = contents.into();
        if let Some(file) = self.local(name) {
            return self.create_local(file, contents, false).await;
        }
        let writer = uuid::Uuid::new_v4().to_string();
        let attributes = Attributes::from_iter([(WRITER, writer.clone())]);
        let options = PutOptions { mode: PutMode::Create, attributes, ..PutOptions::default() };
        let (store, file) = (Arc::clone(&self.place.store), self.file(name));
        let put = async move { store.put_opts(&file, PutPayload::from(contents), options).await };
        match in_flight::to_its_end(put).await.map_err(|e| self.failed("writing", name, e))? {
            Ok(_) => Ok(Some(Settling::default())),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(self.is_written_by(name, &writer).await?.then(Settling::default))
            }
            Err(e) => Err(self.failed("writing", name, e)),
        }
    }

    /// Whether an object that is there already is this writer's own: a request whose answer was lost is made again, and what it
    /// finds then is what it wrote.
    async fn is_written_by(&self, name: &str, writer: &str) -> Result<bool> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.place.store.get_opts(&self.file(name), options).await {
            Ok(found) => Ok(found.attributes.get(&WRITER).is_some_and(|w| w.as_ref() == writer)),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(self.failed("looking at", name, e)),
        }
    }

    /// Writes a file, whole, in place of one that may be there.
    pub async fn replace(&self, name: &str, contents: impl Into<Bytes>) -> Result<()> {
        let contents = contents.into();
        if let Some(file) = self.local(name) {
            let settling = self.create_local(file, contents, true).await?;
            return settling.unwrap_or_default().done().await;
        }
        self.put(name, contents).await
    }

    /// Begins a file under a name that nobody else gives and nobody looks for before it is told of. A crash may leave a part.
    pub async fn begin(&self, name: &str) -> Result<NewFile> {
        let shown = format!("{}/{name}", self.display());
        match self.local(name) {
            Some(file) => NewFile::on_disk(file, shown).await,
            None => {
                let writer =
                    BufWriter::with_capacity(Arc::clone(&self.place.store), self.file(name), PART_BYTES);
                Ok(NewFile::in_store(writer.with_max_concurrency(REQUESTS), shown))
            }
        }
    }

    /// A file of this machine with the contents of one, which need not be in memory for it; `None` where there is none.
    pub async fn local_copy(&self, name: &str, scratch: &std::path::Path) -> Result<Option<std::fs::File>> {
        if let Some(file) = self.local(name) {
            let opened = tokio::task::spawn_blocking(move || std::fs::File::open(file)).await;
            return match opened.map_err(|e| self.failed("reading", name, e))? {
                Ok(file) => Ok(Some(file)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(self.failed("reading", name, e)),
            };
        }
        let mut found = match self.place.store.get(&self.file(name)).await {
            Ok(found) => found.into_stream(),
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(self.failed("reading", name, e)),
        };
        let mut copy = nameless(scratch).map_err(|e| self.failed("reading", name, e))?;
        while let Some(part) = found.next().await {
            let part = part.map_err(|e| self.failed("reading", name, e))?;
            copy.write_all(&part).map_err(|e| self.failed("reading", name, e))?;
        }
        copy.rewind().map_err(|e| self.failed("reading", name, e))?;
        Ok(Some(copy))
    }

    async fn create_local(&self, file: PathBuf, contents: Bytes, replace: bool) -> Result<Option<Settling>> {
        let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_string();
        let directory = file.parent().map(PathBuf::from).unwrap_or_default();
        let writing = in_flight::writing();
        let create = move || {
            let _writing = writing;
            local::create(&file, &contents, replace)
        };
        let created = tokio::task::spawn_blocking(create).await;
        let created = created.map_err(|e| self.failed("writing", &name, e))?;
        let created = created.map_err(|e| self.failed("writing", &name, e))?;
        Ok(created.then(|| Settling::names_in(directory)))
    }

    async fn put(&self, name: &str, contents: Bytes) -> Result<()> {
        let (store, file) = (Arc::clone(&self.place.store), self.file(name));
        let put = async move { store.put(&file, PutPayload::from(contents)).await };
        let put = in_flight::to_its_end(put).await.map_err(|e| self.failed("writing", name, e))?;
        put.map(|_| ()).map_err(|e| self.failed("writing", name, e))
    }

    /// The names of the files directly in the directory.
    pub async fn list(&self) -> Result<Vec<String>> {
        Ok(self.list_with_times().await?.into_iter().map(|(name, _)| name).collect())
    }

    /// The same, and when each was written last, in milliseconds since the epoch.
    pub async fn list_with_times(&self) -> Result<Vec<(String, i64)>> {
        let listed = match self.place.store.list_with_delimiter(Some(&self.place.path)).await {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(e) => return Err(self.failed("listing", "", e)),
        };
        let names = listed
            .objects
            .iter()
            .filter_map(|o| Some((o.location.filename()?.to_string(), o.last_modified.timestamp_millis())));
        let mut names: Vec<(String, i64)> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Whether there are files whose names are numbers.
    pub async fn has_files(&self) -> Result<bool> {
        Ok(!self.numbers().await?.is_empty())
    }

    /// The numbers that are names of files, ascending.
    pub async fn numbers(&self) -> Result<Vec<i64>> {
        let mut numbers: Vec<i64> = self.list().await?.iter().filter_map(|n| n.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Removes everything in the directory, as far as that is possible.
    pub async fn delete_all(&self) {
        if let Some(directory) = self.place.local_file() {
            let _ = tokio::fs::remove_dir_all(directory).await;
            return;
        }
        let listed: Vec<_> =
            self.place.store.list(Some(&self.place.path)).filter_map(|o| async { o.ok() }).collect().await;
        for object in listed {
            let _ = self.place.store.delete(&object.location).await;
        }
    }

    /// Removes a file, and the checksum that Hadoop put beside it. One that is not there is no error.
    pub async fn delete(&self, name: &str) -> Result<()> {
        for name in [name.to_string(), format!(".{name}.crc")] {
            match self.place.store.delete(&self.file(&name)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(self.failed("deleting", &name, e)),
            }
        }
        Ok(())
    }
}

/// What tells the writer of an object: attributes of Azure have names of letters.
const WRITER: Attribute = Attribute::Metadata(Cow::Borrowed("boathousewriter"));

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_of_two_creates() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::at(root.path()).child("a");
        assert!(directory.create("0", "first").await.unwrap());
        assert!(!directory.create("0", "second").await.unwrap());
        assert_eq!(directory.read_text("0").await.unwrap().unwrap(), "first");
        directory.replace("0", "third").await.unwrap();
        assert_eq!(directory.read_text("0").await.unwrap().unwrap(), "third");
        assert_eq!(std::fs::read_dir(root.path().join("a")).unwrap().count(), 1);
    }

    /// Equal contents are no sign: two processes may write the same.
    #[tokio::test]
    async fn who_wrote_an_object_is_known() {
        let root = tempfile::tempdir().unwrap();
        let mut directory = Directory::at(root.path());
        directory.place.store = Arc::new(object_store::memory::InMemory::new());
        directory.place.base = "memory:".to_string();
        assert!(directory.create("0", "same").await.unwrap());
        assert!(!directory.create("0", "same").await.unwrap());
        let found = directory.place.store.get(&directory.file("0")).await.unwrap();
        let writer = found.attributes.get(&WRITER).unwrap().to_string();
        assert!(directory.is_written_by("0", &writer).await.unwrap());
        assert!(!directory.is_written_by("1", &writer).await.unwrap());
    }
}
