//! Object stores, made when they are first asked for and kept.

mod azure;
mod google;
mod s3;
mod settings;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use boathouse_bridge::to_datafusion;
use boathouse_spec::Error;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreRegistry;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use parking_lot::RwLock;
use url::Url;

pub(crate) use azure::SCHEMES as AZURE_SCHEMES;
pub use settings::StoreSettings;

/// The stores that are reached by the same settings. It is DataFusion's registry too, so that a scan finds the store of any
/// path.
///
/// What settings do not say comes from the environment, by the names that the clouds' own tools have: `AWS_ACCESS_KEY_ID`, ..,
/// `AZURE_STORAGE_ACCOUNT_KEY`, .., `GOOGLE_APPLICATION_CREDENTIALS`, .. (docs/object_stores.md lists them).
#[derive(Debug, Default)]
pub struct Stores {
    known: RwLock<HashMap<String, Arc<dyn ObjectStore>>>,
    settings: StoreSettings,
}

impl Stores {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_settings(settings: StoreSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    fn make(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let host = url.host_str().unwrap_or_default();
        match url.scheme() {
            "file" => Ok(Arc::new(LocalFileSystem::new())),
            "s3" | "s3a" | "s3n" => s3::open(host, &self.settings).map_err(to_datafusion),
            "gs" | "gcs" => google::open(host, &self.settings).map_err(to_datafusion),
            scheme if AZURE_SCHEMES.contains(&scheme) => {
                azure::open(url, &self.settings).map_err(to_datafusion)
            }
            other => Err(to_datafusion(Error::unsupported(format!("object stores of the scheme {other}")))),
        }
    }
}

/// The name of a store, one for all spellings of it: URLs of the same name are of the same objects.
pub(crate) fn store_name(url: &Url) -> String {
    match url.scheme() {
        "s3a" | "s3n" => format!("s3://{}", url.authority()),
        "gcs" => format!("gs://{}", url.authority()),
        scheme if AZURE_SCHEMES.contains(&scheme) => azure::key(url),
        scheme => format!("{scheme}://{}", url.authority()),
    }
}

fn unusable(store: &str, e: impl fmt::Display) -> Error {
    Error::new("INVALID_PATH").param("path", store).message(format!("{store} cannot be used: {e}"))
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.known.write().insert(store_name(url), store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let name = store_name(url);
        self.known
            .write()
            .remove(&name)
            .ok_or_else(|| DataFusionError::Internal(format!("there is no object store of {name}")))
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let name = store_name(url);
        if let Some(store) = self.known.read().get(&name) {
            return Ok(Arc::clone(store));
        }
        let made = self.make(url)?;
        Ok(Arc::clone(self.known.write().entry(name).or_insert(made)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_kept() {
        let stores = Stores::new();
        let get = |u: &str| stores.get_store(&Url::parse(u).unwrap()).unwrap();
        assert!(Arc::ptr_eq(&get("s3://b/x"), &get("s3a://b/y")));
        assert!(!Arc::ptr_eq(&get("s3://b/x"), &get("s3://c/x")));
        assert!(Arc::ptr_eq(&get("file:///"), &get("file:///x")));
        assert!(Arc::ptr_eq(
            &get("abfss://c@a.dfs.core.windows.net/x"),
            &get("wasbs://c@a.blob.core.windows.net/y")
        ));
        assert!(!Arc::ptr_eq(
            &get("abfss://c@a.dfs.core.windows.net"),
            &get("abfss://d@a.dfs.core.windows.net")
        ));
        assert!(stores.get_store(&Url::parse("hdfs://b").unwrap()).is_err());
    }
}
