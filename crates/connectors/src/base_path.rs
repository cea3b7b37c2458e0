//! The option `basePath`: the directory below which the names of directories are partition values.
//!
//! It has to be a directory, and above everything that is read (Spark's `PartitioningAwareFileIndex.basePaths`).

use boathouse_spec::{Error, Result};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use crate::listing::{Found, is_glob};
use crate::paths::ResolvedPath;

/// Refuses a base that is none of what was read: `found` is what the globs among the paths matched.
pub(crate) async fn check(base: &ResolvedPath, paths: &[ResolvedPath], found: &[Found]) -> Result<()> {
    check_directory(base).await?;
    let is_pattern = |path: &ResolvedPath| path.path.parts().any(|part| is_glob(part.as_ref()));
    let named = paths.iter().filter(|p| !is_pattern(p)).map(|p| &p.path);
    let matched = found.iter().map(|f| &f.root);
    match named.chain(matched).find(|root| !root.prefix_matches(&base.path)) {
        Some(root) => Err(illegal(format!(
            "Wrong basePath {} for the root path: {}",
            base.display(),
            base.display_of(root)
        ))),
        None => Ok(()),
    }
}

async fn check_directory(base: &ResolvedPath) -> Result<()> {
    let doing = |e| Error::io(format!("looking for {}", base.display()), e);
    if base.path.is_root() || base.local_file().is_some_and(|f| f.is_dir()) {
        return Ok(());
    }
    match base.store.head(&base.path).await {
        Ok(_) => return Err(illegal("Option 'basePath' must be a directory".to_string())),
        Err(object_store::Error::NotFound { .. }) => {}
        Err(e) => return Err(doing(e)),
    }
    match base.store.list(Some(&base.path)).try_next().await.map_err(doing)? {
        Some(_) => Ok(()),
        None => Err(illegal("Option 'basePath' not found".to_string())),
    }
}

fn illegal(message: String) -> Error {
    Error::new("").message(message).exception("IllegalArgumentException")
}
