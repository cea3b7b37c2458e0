//! Where paths lead: the DBFS root of the home, object stores, and the Delta tables in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_catalog::{ObjectName, SESSION_CATALOG, SchemaName};
use boathouse_connectors::{Paths, StoreSettings, Stores};
use boathouse_delta::{DeltaTable, SnapshotCache, TableLocation};
use boathouse_spec::{Error, Result};
use datafusion::execution::object_store::ObjectStoreRegistry;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

pub(crate) struct Storage {
    home: PathBuf,
    paths: Paths,
    object_stores: Arc<dyn ObjectStoreRegistry>,
    snapshots: Arc<SnapshotCache>,
}

impl Storage {
    /// Storage that is reached by these settings, and by the environment where they say nothing.
    pub fn new(home: &Path, settings: StoreSettings) -> Self {
        let working_directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Self {
            home: home.to_path_buf(),
            paths: Paths::new(home, &working_directory),
            object_stores: Arc::new(Stores::with_settings(settings)),
            snapshots: Arc::new(SnapshotCache::new()),
        }
    }

    /// The stores that paths are looked up in, shared with DataFusion.
    pub fn object_stores(&self) -> Arc<dyn ObjectStoreRegistry> {
        Arc::clone(&self.object_stores)
    }

    /// What paths mean.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The URL of a path as users write it: DBFS paths live below the home, others are what they say.
    pub fn url(&self, path: &str) -> Result<Url> {
        // A URL of this machine has its characters encoded; a path has not.
        let plain = match path.strip_prefix("file:///").and(Url::parse(path).ok()).map(|u| u.to_file_path()) {
            Some(Ok(file)) => file.display().to_string(),
            _ => path.to_string(),
        };
        let place = self.paths.resolve(&plain, self.object_stores.as_ref())?;
        Url::parse(&place.url_of(&place.path)).map_err(|e| {
            Error::new("INVALID_PATH")
                .param("path", path)
                .message(format!("The path '{path}' cannot be used: {e}."))
                .exception("AnalysisException")
        })
    }

    /// The place of a managed table.
    pub fn managed_table(&self, schema_location: Option<&str>, name: &ObjectName) -> Result<Url> {
        let schema = match schema_location {
            Some(location) => self.url(location)?,
            None => self.schema_directory(&name.schema_name())?,
        };
        below(&schema, &name.name)
    }

    /// The default place of a schema's managed tables, as Spark lays out its warehouse.
    pub fn schema_directory(&self, name: &SchemaName) -> Result<Url> {
        let mut directory = self.home.join("warehouse");
        if name.catalog != SESSION_CATALOG {
            directory =
                directory.join(format!("{}.catalog", name.catalog)).join(format!("{}.db", name.schema));
        } else if name.schema != boathouse_catalog::DEFAULT_SCHEMA {
            directory = directory.join(format!("{}.db", name.schema));
        }
        directory_url(&directory).ok_or_else(|| Error::internal("the home has no URL"))
    }

    pub fn store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.object_stores.get_store(url).spark()
    }

    /// A table may name files outside of its directory: those of the table it was cloned from.
    pub fn location(&self, url: &Url) -> Result<TableLocation> {
        Ok(TableLocation::new(self.store(url)?, url)?.with_external_files(self.object_stores()))
    }

    /// The Delta table at a URL, whether there is one or not.
    pub fn delta(&self, url: &Url) -> Result<DeltaTable> {
        Ok(DeltaTable::new(self.location(url)?, Arc::clone(&self.snapshots)))
    }

    /// Whether anything is below the URL.
    pub async fn is_empty(&self, url: &Url) -> Result<bool> {
        let location = self.location(url)?;
        let mut listed = location.store().list(Some(location.prefix()));
        match listed.next().await {
            None | Some(Err(object_store::Error::NotFound { .. })) => Ok(true),
            Some(Ok(_)) => Ok(false),
            Some(Err(_)) if location.is_below_file() => Ok(true),
            Some(Err(e)) => Err(Error::io(format!("listing {}", shown(url)), e)),
        }
    }

    /// Makes a directory where directories are things of their own.
    pub async fn create_directory(&self, url: &Url) -> Result<()> {
        if url.scheme() == "file"
            && let Ok(directory) = url.to_file_path()
        {
            tokio::fs::create_dir_all(&directory)
                .await
                .map_err(|e| Error::io(format!("creating {}", shown(url)), e))?;
        }
        Ok(())
    }

    /// Takes a directory for a new managed table: the one that was asked for, or, where something of another table is (one
    /// that is being dropped or made, or was left by a crash), one of a similar name. No two callers get the same.
    pub async fn claim(&self, wanted: &Url) -> Result<Url> {
        // Object stores have no directories that one caller could make: only a name of its own is sure to be nobody else's.
        if wanted.scheme() != "file" {
            return Ok(with_suffix(wanted, &uuid::Uuid::new_v4().simple().to_string()));
        }
        let mut url = wanted.clone();
        while !Self::makes_directory(&url).await? {
            url = with_suffix(wanted, &uuid::Uuid::new_v4().simple().to_string()[..8]);
        }
        Ok(url)
    }

    /// Makes a directory on the local disk; `false` where there is one.
    async fn makes_directory(url: &Url) -> Result<bool> {
        let failed = |e| Error::io(format!("creating {}", shown(url)), e);
        let directory = url.to_file_path().map_err(|()| Error::internal(format!("{url} is no path")))?;
        if let Some(parent) = directory.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(failed)?;
        }
        match tokio::fs::create_dir(&directory).await {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(failed(e)),
        }
    }

    /// Removes everything below the URL.
    pub async fn delete(&self, url: &Url) -> Result<()> {
        let location = self.location(url)?;
        self.snapshots.forget(&location);
        if location.prefix().is_root() {
            return Err(Error::internal(format!("refused to delete all of {}", shown(url))));
        }
        if url.scheme() == "file"
            && let Ok(directory) = url.to_file_path()
        {
            return delete_directory(&directory)
                .await
                .map_err(|e| Error::io(format!("deleting {}", shown(url)), e));
        }
        let failed = |e| Error::io(format!("deleting {}", shown(url)), e);
        let listed = location.store().list(Some(location.prefix()));
        let objects: Vec<_> = listed.map_ok(|meta| meta.location).try_collect().await.map_err(failed)?;
        for object in objects {
            match location.store().delete(&object).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(failed(e)),
            }
        }
        Ok(())
    }
}

fn with_suffix(url: &Url, suffix: &str) -> Url {
    let mut out = url.clone();
    out.set_path(&format!("{}-{suffix}", url.path()));
    out
}

/// Takes a directory away at once, by another name, and then what is in it: nobody sees it half deleted, and who still
/// writes into it does not get in the way.
async fn delete_directory(directory: &Path) -> std::io::Result<()> {
    let name = directory.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let aside = directory.with_file_name(format!(".{name}.{}.deleted", uuid::Uuid::new_v4().simple()));
    let removed = match tokio::fs::rename(directory, &aside).await {
        Ok(()) => tokio::fs::remove_dir_all(&aside).await,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        // It cannot be moved: a mount point.
        Err(_) => tokio::fs::remove_dir_all(directory).await,
    };
    match removed {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The URL of a directory, without a trailing slash.
fn directory_url(path: &Path) -> Option<Url> {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            std::path::Component::Normal(part) => clean.push(part),
            std::path::Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    Url::from_file_path(clean).ok()
}

/// The URL of something inside a directory.
pub(crate) fn below(directory: &Url, name: &str) -> Result<Url> {
    let mut url = directory.clone();
    url.path_segments_mut()
        .map_err(|()| Error::internal(format!("{directory} has no path")))?
        .pop_if_empty()
        .push(name);
    Ok(url)
}

/// A URL as Spark shows it: `file:/data/t`, `s3://bucket/t`.
pub(crate) fn shown(url: &Url) -> String {
    if url.scheme() == "file" {
        let path = percent_encoding_free(url.path());
        return format!("file:{path}");
    }
    url.to_string()
}

fn percent_encoding_free(path: &str) -> String {
    Url::parse(&format!("file://{path}"))
        .ok()
        .and_then(|u| u.to_file_path().ok())
        .map_or_else(|| path.to_string(), |p| p.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let storage = Storage::new(Path::new("/home/me/.boathouse"), StoreSettings::default());
        let url = |p: &str| shown(&storage.url(p).unwrap());
        assert_eq!(url("/mnt/delta/sales"), "file:/home/me/.boathouse/dbfs/mnt/delta/sales");
        assert_eq!(url("dbfs:/x/y/"), "file:/home/me/.boathouse/dbfs/x/y");
        assert_eq!(url("/dbfs/../../x"), "file:/home/me/.boathouse/dbfs/x");
        assert_eq!(url("/data/t 1"), "file:/data/t 1");
        assert_eq!(url("file:/data/t"), "file:/data/t");
        assert_eq!(url("file:///data/t/"), "file:/data/t");
        assert_eq!(url("s3://bucket/t/"), "s3://bucket/t");
        assert!(storage.url("").is_err());
    }

    #[test]
    fn the_warehouse_is_sparks() {
        let storage = Storage::new(Path::new("/h"), StoreSettings::default());
        let place =
            |c: &str, s: &str| shown(&storage.managed_table(None, &ObjectName::new(c, s, "t")).unwrap());
        assert_eq!(place("spark_catalog", "default"), "file:/h/warehouse/t");
        assert_eq!(place("spark_catalog", "d1"), "file:/h/warehouse/d1.db/t");
        assert_eq!(place("main", "d1"), "file:/h/warehouse/main.catalog/d1.db/t");
    }
}
