//! Footers of Parquet files that were read, kept for all stores together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::Session;
use datafusion::common::{HashMap, TableReference};
use datafusion::error::Result;
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::execution::cache::{Cache, CacheEntryInfo};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::path::Path;

/// DataFusion's cache of footers as it is for one store. DataFusion knows files by their path alone, which another store may
/// have too.
pub struct Footers {
    all: Arc<FileMetadataCache>,
    store: String,
}

impl Footers {
    pub fn of_store(session: &dyn Session, store: &ObjectStoreUrl) -> Arc<FileMetadataCache> {
        let all = session.runtime_env().cache_manager.get_file_metadata_cache();
        Arc::new(Self { all, store: store.as_str().to_string() })
    }

    fn key(&self, path: &Path) -> Path {
        Path::from(format!("{}{path}", self.store))
    }
}

impl Cache<Path, CachedFileMetadataEntry> for Footers {
    fn get(&self, path: &Path) -> Option<CachedFileMetadataEntry> {
        self.all.get(&self.key(path))
    }

    fn put(&self, path: &Path, footer: CachedFileMetadataEntry) -> Option<CachedFileMetadataEntry> {
        self.all.put(&self.key(path), footer)
    }

    fn remove(&self, path: &Path) -> Option<CachedFileMetadataEntry> {
        self.all.remove(&self.key(path))
    }

    fn contains_key(&self, path: &Path) -> bool {
        self.all.contains_key(&self.key(path))
    }

    fn len(&self) -> usize {
        self.all.len()
    }

    fn clear(&self) {
        self.all.clear();
    }

    fn name(&self) -> String {
        self.all.name()
    }

    fn cache_limit(&self) -> usize {
        self.all.cache_limit()
    }

    fn update_cache_limit(&self, limit: usize) {
        self.all.update_cache_limit(limit);
    }

    fn cache_ttl(&self) -> Option<Duration> {
        self.all.cache_ttl()
    }

    fn update_cache_ttl(&self, ttl: Option<Duration>) {
        self.all.update_cache_ttl(ttl);
    }

    fn drop_table_entries(&self, table: &TableReference) -> Result<()> {
        self.all.drop_table_entries(table)
    }

    fn list_entries(&self) -> HashMap<Path, CacheEntryInfo<CachedFileMetadataEntry>> {
        self.all.list_entries()
    }
}

impl fmt::Debug for Footers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Footers({})", self.store)
    }
}

#[cfg(test)]
mod tests {
    use std::any::Any;

    use datafusion::execution::cache::cache_manager::FileMetadata;
    use datafusion::object_store::ObjectMeta;
    use datafusion::prelude::SessionContext;

    use super::*;

    struct Footer(&'static str);

    impl FileMetadata for Footer {
        fn as_any(&self) -> &dyn Any {
            self
        }

        fn memory_size(&self) -> usize {
            1
        }

        fn extra_info(&self) -> HashMap<String, String> {
            [("of".to_string(), self.0.to_string())].into_iter().collect()
        }
    }

    #[test]
    fn stores_with_files_of_one_path_are_told_apart() {
        let session = SessionContext::new();
        let of =
            |store: &'static str| Footers::of_store(&session.state(), &ObjectStoreUrl::parse(store).unwrap());
        let path = Path::from("t/part-0.parquet");
        let meta = ObjectMeta {
            location: path.clone(),
            last_modified: Default::default(),
            size: 1,
            e_tag: None,
            version: None,
        };
        let (one, two) = ("s3://one", "s3://two");
        of(one).put(&path, CachedFileMetadataEntry::new(meta.clone(), Arc::new(Footer(one))));
        assert!(of(two).get(&path).is_none());
        of(two).put(&path, CachedFileMetadataEntry::new(meta, Arc::new(Footer(two))));
        for store in [one, two] {
            let footer = of(store).get(&path).unwrap();
            assert_eq!(footer.file_metadata.extra_info()["of"], store);
        }
    }
}
