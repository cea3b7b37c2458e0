//! Object stores, made when they are first asked for and kept.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreRegistry;
use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use parking_lot::RwLock;
use url::Url;

/// The stores of a process. It is DataFusion's registry too, so that a scan finds the store of any path.
///
/// S3 is configured by the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`,
/// `AWS_ENDPOINT_URL` (MinIO and the like), `AWS_ALLOW_HTTP`.
#[derive(Debug, Default)]
pub struct Stores {
    known: RwLock<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl Stores {
    pub fn new() -> Self {
        Self::default()
    }

    fn make(url: &Url) -> Result<Arc<dyn ObjectStore>> {
        match url.scheme() {
            "file" => Ok(Arc::new(LocalFileSystem::new())),
            "s3" | "s3a" | "s3n" => s3(url.host_str().unwrap_or_default()),
            other => Err(DataFusionError::External(Box::new(boathouse_spec::Error::unsupported(format!(
                "object stores of the scheme {other}"
            ))))),
        }
    }
}

/// Stores are known by scheme and authority; the spellings of S3 are one.
fn key(url: &Url) -> String {
    let scheme = match url.scheme() {
        "s3a" | "s3n" => "s3",
        other => other,
    };
    format!("{scheme}://{}", url.authority())
}

fn s3(bucket: &str) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        // Commits are puts that must not overwrite.
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    if let Some(endpoint) = endpoint {
        // Servers of one's own have no name for each bucket, and mostly no certificate.
        builder = builder
            .with_endpoint(&endpoint)
            .with_virtual_hosted_style_request(false)
            .with_allow_http(endpoint.starts_with("http://"));
    }
    if std::env::var("AWS_REGION").is_err() && std::env::var("AWS_DEFAULT_REGION").is_err() {
        builder = builder.with_region("us-east-1");
    }
    Ok(Arc::new(builder.build()?))
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.known.write().insert(key(url), store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.known
            .write()
            .remove(&key(url))
            .ok_or_else(|| DataFusionError::Internal(format!("there is no object store of {}", key(url))))
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let key = key(url);
        if let Some(store) = self.known.read().get(&key) {
            return Ok(Arc::clone(store));
        }
        let made = Self::make(url)?;
        Ok(Arc::clone(self.known.write().entry(key).or_insert(made)))
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
        assert!(stores.get_store(&Url::parse("gs://b").unwrap()).is_err());
    }
}
