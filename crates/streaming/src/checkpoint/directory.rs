//! A directory of small files that are created whole and never changed, on this machine's disk or in an object store.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use boathouse_connectors::ResolvedPath;
use boathouse_engine::Session;
use boathouse_spec::{Error, Result, fault};
use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

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

    pub async fn read_text(&self, name: &str) -> Result<Option<String>> {
        match self.read(name).await? {
            Some(bytes) => match String::from_utf8(bytes.to_vec()) {
                Ok(text) => Ok(Some(text)),
                Err(e) => Err(self.failed("reading", name, e)),
            },
            None => Ok(None),
        }
    }

    /// Creates a file, whole or not at all; false where it exists already.
    pub async fn create(&self, name: &str, contents: impl Into<Bytes>) -> Result<bool> {
        let contents = contents.into();
        if let Some(file) = self.local(name) {
            let created = tokio::task::spawn_blocking(move || create_local(&file, &contents, false)).await;
            let created = created.map_err(|e| self.failed("writing", name, e))?;
            return created.map_err(|e| self.failed("writing", name, e));
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.place.store.put_opts(&self.file(name), PutPayload::from(contents), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(false)
            }
            Err(e) => Err(self.failed("writing", name, e)),
        }
    }

    /// Writes a file, whole, in place of one that may be there.
    pub async fn replace(&self, name: &str, contents: impl Into<Bytes>) -> Result<()> {
        let contents = contents.into();
        if let Some(file) = self.local(name) {
            let written = tokio::task::spawn_blocking(move || create_local(&file, &contents, true)).await;
            let written = written.map_err(|e| self.failed("writing", name, e))?;
            return written.map(|_| ()).map_err(|e| self.failed("writing", name, e));
        }
        let put = self.place.store.put(&self.file(name), PutPayload::from(contents)).await;
        put.map(|_| ()).map_err(|e| self.failed("writing", name, e))
    }

    /// The names of the files directly in the directory.
    pub async fn list(&self) -> Result<Vec<String>> {
        let listed = match self.place.store.list_with_delimiter(Some(&self.place.path)).await {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(e) => return Err(self.failed("listing", "", e)),
        };
        let names = listed.objects.iter().filter_map(|o| o.location.filename().map(str::to_string));
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
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

/// A file of this machine: written beside its place, made durable, then linked into it, so that it is there whole or not at
/// all, and so that one of two writers wins.
fn create_local(file: &std::path::Path, contents: &[u8], replace: bool) -> std::io::Result<bool> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name().and_then(|n| n.to_str())) else {
        return Err(std::io::Error::other("the path names no file"));
    };
    std::fs::create_dir_all(directory)?;
    let staged = directory.join(format!(".{name}.{}.tmp", uuid::Uuid::new_v4()));
    let written = (|| {
        let mut out = std::fs::File::create_new(&staged)?;
        let (first, rest) = contents.split_at(contents.len() / 2);
        out.write_all(first)?;
        fault::io_point("streaming::half-written")?;
        out.write_all(rest)?;
        out.sync_all()?;
        fault::io_point("streaming::before-link")?;
        if replace {
            return std::fs::rename(&staged, file).map(|()| true);
        }
        match std::fs::hard_link(&staged, file) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e),
        }
    })();
    let _ = std::fs::remove_file(&staged);
    if matches!(written, Ok(true)) {
        fault::io_point("streaming::after-link")?;
        std::fs::File::open(directory)?.sync_all()?;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_creates() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a/0");
        assert!(create_local(&file, b"first", false).unwrap());
        assert!(!create_local(&file, b"second", false).unwrap());
        assert_eq!(std::fs::read(&file).unwrap(), b"first");
        assert!(create_local(&file, b"third", true).unwrap());
        assert_eq!(std::fs::read(&file).unwrap(), b"third");
        assert_eq!(std::fs::read_dir(directory.path().join("a")).unwrap().count(), 1);
    }
}
