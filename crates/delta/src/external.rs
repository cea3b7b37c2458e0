//! Files of a table that are in another store, as those of a shallow clone may be: the table's store has them too, below a
//! name of theirs.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::execution::object_store::ObjectStoreRegistry;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use url::Url;

/// Below it: the scheme of a URL, its authority, its path. Delta's own files do not begin with this.
const ROOM: &str = ".other-stores";
/// The authority of a URL that has none.
const NONE: &str = "-";

/// The name in the table's store of what another store has.
pub(crate) fn path_of(url: &Url) -> std::result::Result<Path, object_store::path::Error> {
    let object = Path::from_url_path(url.path())?;
    let authority = if url.authority().is_empty() { NONE } else { url.authority() };
    Path::parse(format!("{ROOM}/{}/{authority}/{object}", url.scheme()))
}

/// The store that a name is of, and the object's path there; `None` for one of the table's store.
pub(crate) fn place(path: &Path) -> Option<(Url, Path)> {
    let rest = path.as_ref().strip_prefix(ROOM)?.strip_prefix('/')?;
    let (scheme, rest) = rest.split_once('/')?;
    let (authority, object) = rest.split_once('/')?;
    let authority = if authority == NONE { "" } else { authority };
    let base = Url::parse(&format!("{scheme}://{authority}/")).ok()?;
    Some((base, Path::parse(object).ok()?))
}

/// A table's store, through which what the table names in others can be read, and only read.
#[derive(Debug)]
pub(crate) struct WithExternalFiles {
    own: Arc<dyn ObjectStore>,
    stores: Arc<dyn ObjectStoreRegistry>,
}

impl WithExternalFiles {
    pub fn new(own: Arc<dyn ObjectStore>, stores: Arc<dyn ObjectStoreRegistry>) -> Self {
        Self { own, stores }
    }

    fn of(&self, path: &Path) -> Result<Option<(Arc<dyn ObjectStore>, Path)>> {
        let Some((base, object)) = place(path) else { return Ok(None) };
        let store = self
            .stores
            .get_store(&base)
            .map_err(|e| Error::Generic { store: "external files", source: Box::new(e) })?;
        Ok(Some((store, object)))
    }
}

impl fmt::Display for WithExternalFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.own.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for WithExternalFiles {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.own.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.own.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let Some((store, object)) = self.of(location)? else {
            return self.own.get_opts(location, options).await;
        };
        let mut result = store.get_opts(&object, options).await?;
        // Whoever asks for the object again asks here.
        result.meta.location = location.clone();
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match self.of(location)? {
            Some((store, object)) => store.get_ranges(&object, ranges).await,
            None => self.own.get_ranges(location, ranges).await,
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.own.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.own.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.own.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.own.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        match self.of(from)? {
            // What two stores hold is copied by whoever has both.
            Some(_) => Err(Error::NotImplemented {
                operation: "copy from another store".into(),
                implementer: self.own.to_string(),
            }),
            None => self.own.copy_opts(from, to, options).await,
        }
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: object_store::RenameOptions) -> Result<()> {
        self.own.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for (url, base, path) in [
            ("s3://bucket/a%20b/x.parquet", "s3://bucket/", "a b/x.parquet"),
            ("abfss://box@account.dfs.core.windows.net/x", "abfss://box@account.dfs.core.windows.net/", "x"),
            ("file:///data/p=a%2520b/x", "file:///", "data/p=a%20b/x"),
        ] {
            let name = path_of(&Url::parse(url).unwrap()).unwrap();
            let (found, object) = place(&name).unwrap();
            assert_eq!((found.as_str(), object.as_ref()), (base, path));
        }
        assert!(place(&Path::from("data/x")).is_none());
    }
}
