//! What a path means: the DBFS root of the home, this machine's files, or an object store.

use std::path::{Component, Path as FilePath, PathBuf};
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use crate::stores::{AZURE_SCHEMES, store_name};

/// Where paths without a scheme lead.
#[derive(Debug, Clone, PartialEq)]
pub struct Paths {
    dbfs_root: PathBuf,
    working_directory: PathBuf,
}

/// A path, found: its store, and its place in the store.
#[derive(Debug, Clone)]
pub struct ResolvedPath {
    /// The key of the store in DataFusion's runtime.
    pub store_url: ObjectStoreUrl,
    pub store: Arc<dyn ObjectStore>,
    /// The place in the store; glob characters in it are as they were written.
    pub path: Path,
    /// Scheme and authority as written: `file:`, `s3a://bucket`.
    pub base: String,
}

impl ResolvedPath {
    /// As Spark shows it: `file:/data/t`, `s3://bucket/t`.
    pub fn display(&self) -> String {
        self.display_of(&self.path)
    }

    /// Another place of the same store, as Spark shows it.
    pub fn display_of(&self, path: &Path) -> String {
        format!("{}/{path}", self.base)
    }

    /// The place as a URL, characters encoded: `file:///data/a%20b`.
    pub fn url_of(&self, path: &Path) -> String {
        let mut url = String::from(if self.base == "file:" { "file://" } else { self.base.as_str() });
        for part in path.parts() {
            url.push('/');
            url.extend(percent_encoding::utf8_percent_encode(part.as_ref(), PATH_CHARACTERS));
        }
        url
    }

    /// The directory or file on this machine, where it is one.
    pub fn local_file(&self) -> Option<PathBuf> {
        (self.base == "file:").then(|| PathBuf::from(format!("/{}", self.path)))
    }

    /// The same store, another place.
    pub fn with_path(&self, path: Path) -> Self {
        Self { path, ..self.clone() }
    }
}

/// What a URL's path must have encoded, as `java.net.URI` does it.
const PATH_CHARACTERS: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
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

impl Paths {
    /// `home` has the DBFS root in its `dbfs`; relative paths begin at `working_directory`.
    pub fn new(home: &FilePath, working_directory: &FilePath) -> Self {
        Self { dbfs_root: home.join("dbfs"), working_directory: working_directory.to_path_buf() }
    }

    /// The directory of `dbfs:/`.
    pub fn dbfs_root(&self) -> &FilePath {
        &self.dbfs_root
    }

    /// Finds a path as users write it. Characters mean themselves: `%20` is no blank.
    pub fn resolve(&self, path: &str, stores: &dyn ObjectStoreRegistry) -> Result<ResolvedPath> {
        if path.trim().is_empty() {
            return Err(invalid(path, "it is empty"));
        }
        if path.contains('\0') {
            return Err(invalid(path, "it has a zero byte"));
        }
        if let Some(below) = below_dbfs(path) {
            return local(&self.dbfs_root.join(below), path, stores);
        }
        match scheme(path) {
            Some("file") => {
                let rest = path["file:".len()..].trim_start_matches('/');
                // `file://host/..` would name another machine; Hadoop knows only `file:/` and `file:///`.
                local(&FilePath::new("/").join(rest), path, stores)
            }
            Some(scheme @ ("s3" | "s3a" | "s3n" | "gs" | "gcs")) => in_store(scheme, path, stores),
            Some(scheme) if AZURE_SCHEMES.contains(&scheme) => in_store(scheme, path, stores),
            Some(scheme @ ("adl" | "hdfs" | "http" | "https")) => {
                Err(Error::unsupported(format!("paths of the scheme {scheme}")))
            }
            Some(scheme) => Err(Error::new("UNSUPPORTED_FILESYSTEM_SCHEME").param("scheme", scheme).message(
                format!("The path '{path}' has the scheme {scheme}, for which there is no file system."),
            )),
            None => local(&self.working_directory.join(path), path, stores),
        }
    }
}

/// The scheme of a path: letters before a colon that stands before any slash.
fn scheme(path: &str) -> Option<&str> {
    let (scheme, _) = path.split_once(':')?;
    let valid = scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    (valid && scheme.starts_with(|c: char| c.is_ascii_alphabetic())).then_some(scheme)
}

/// The part below the DBFS root, for the ways a path can say that it is in DBFS.
fn below_dbfs(path: &str) -> Option<PathBuf> {
    let rest = if let Some(rest) = path.strip_prefix("dbfs:") {
        // `dbfs:/dbfs/x` is what people write when they convert too often; it is a directory named dbfs.
        rest
    } else if path == "/dbfs" || path.starts_with("/dbfs/") {
        &path["/dbfs".len()..]
    } else if ["/mnt", "/FileStore", "/Volumes"]
        .iter()
        .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    {
        path
    } else {
        return None;
    };
    Some(normal(rest).collect())
}

/// The parts of a path without `.` and `..`, which must not lead out of the root.
fn normal(path: &str) -> impl Iterator<Item = String> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part.to_string()),
        }
    }
    parts.into_iter()
}

fn local(path: &FilePath, written: &str, stores: &dyn ObjectStoreRegistry) -> Result<ResolvedPath> {
    let mut parts: Vec<&str> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => {
                parts.push(part.to_str().ok_or_else(|| invalid(written, "it is not UTF-8"))?)
            }
            Component::ParentDir => {
                parts.pop();
            }
            _ => {}
        }
    }
    let base = Url::parse("file:///").map_err(|e| invalid(written, &e.to_string()))?;
    Ok(ResolvedPath {
        store_url: ObjectStoreUrl::local_filesystem(),
        store: stores.get_store(&base).spark()?,
        path: store_path(&parts.join("/"), written)?,
        base: "file:".to_string(),
    })
}

fn in_store(scheme: &str, written: &str, stores: &dyn ObjectStoreRegistry) -> Result<ResolvedPath> {
    let rest = written[scheme.len()..]
        .strip_prefix("://")
        .ok_or_else(|| invalid(written, "the scheme of an object store goes with two slashes"))?;
    let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.is_empty() {
        return Err(invalid(written, "it names no bucket or container"));
    }
    let base = format!("{scheme}://{authority}");
    let url = Url::parse(&base).map_err(|e| invalid(written, &e.to_string()))?;
    let store = stores.get_store(&url).spark()?;
    Ok(ResolvedPath {
        store_url: ObjectStoreUrl::parse(store_name(&url)).spark()?,
        store,
        path: store_path(&normal(key).collect::<Vec<_>>().join("/"), written)?,
        base,
    })
}

fn store_path(path: &str, written: &str) -> Result<Path> {
    Path::parse(path).map_err(|e| invalid(written, &e.to_string()))
}

fn invalid(path: &str, why: &str) -> Error {
    Error::new("INVALID_PATH")
        .param("path", path)
        .message(format!("The path '{path}' cannot be used: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::Stores;

    #[test]
    fn paths_lead_where_they_say() {
        let paths = Paths::new(FilePath::new("/home/me/.boathouse"), FilePath::new("/work dir"));
        let stores = Stores::new();
        let shown = |p: &str| paths.resolve(p, &stores).unwrap().display();
        for (path, expected) in [
            ("dbfs:/x/y/", "file:/home/me/.boathouse/dbfs/x/y"),
            ("dbfs:///x", "file:/home/me/.boathouse/dbfs/x"),
            ("/dbfs/x", "file:/home/me/.boathouse/dbfs/x"),
            ("/dbfs/../../x", "file:/home/me/.boathouse/dbfs/x"),
            ("/mnt/delta/sales", "file:/home/me/.boathouse/dbfs/mnt/delta/sales"),
            ("/FileStore/a b.csv", "file:/home/me/.boathouse/dbfs/FileStore/a b.csv"),
            ("/Volumes/c/s/v/x", "file:/home/me/.boathouse/dbfs/Volumes/c/s/v/x"),
            ("/mntx/y", "file:/mntx/y"),
            ("file:/x/y", "file:/x/y"),
            ("file:///x/y/", "file:/x/y"),
            ("/data/K=V 1%20/x", "file:/data/K=V 1%20/x"),
            ("rel/x", "file:/work dir/rel/x"),
            ("../x", "file:/x"),
            ("s3a://bucket/a b/*.json", "s3a://bucket/a b/*.json"),
            ("gs://bucket/a/../b/", "gs://bucket/b"),
            ("abfss://c@a.dfs.core.windows.net/x y", "abfss://c@a.dfs.core.windows.net/x y"),
        ] {
            assert_eq!(shown(path), expected, "{path}");
        }
        for (path, class) in [
            ("", "INVALID_PATH"),
            ("s3://", "INVALID_PATH"),
            ("abfss://c@a/x", "INVALID_PATH"),
            ("hdfs://name/x", "UNSUPPORTED_FEATURE.NOT_IN_BOATHOUSE"),
            ("nope://x", "UNSUPPORTED_FILESYSTEM_SCHEME"),
        ] {
            assert_eq!(paths.resolve(path, &stores).unwrap_err().class(), class);
        }
        let found = paths.resolve("/a b/50%.json", &stores).unwrap();
        assert_eq!(found.url_of(&found.path), "file:///a%20b/50%25.json");
    }
}
