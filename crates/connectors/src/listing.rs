//! Which files a path means: directories, globs, hidden files, and the options that choose among them.

use std::sync::Arc;

use boathouse_formats::datetime_text::parse_timestamp;
use boathouse_formats::options::Lookup;
use boathouse_formats::zone::Zone;
use boathouse_spec::{Error, Result};
use futures::{StreamExt, TryStreamExt};
use globset::{GlobBuilder, GlobMatcher};
use object_store::path::Path;
use object_store::{ListResult, ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::context::Context;
use crate::partitions::Agreement;
use crate::paths::ResolvedPath;
use crate::{errors, sink_log};

/// The options that choose files.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    path_glob_filter: Option<GlobMatcher>,
    /// Microseconds since the epoch.
    modified_before_us: Option<i64>,
    modified_after_us: Option<i64>,
    /// Directories' names are no partition values.
    pub recursive: bool,
    /// Paths that do not exist are left out.
    pub ignore_missing: bool,
    /// Partition directories may begin in several places, and files be beside them, which are left out.
    pub ignore_invalid_partitions: bool,
    /// Files that cannot be read are left out.
    pub ignore_corrupt: bool,
    /// A glob may match nothing: who asks waits for files.
    pub waits: bool,
    /// The log of a streaming query does not choose.
    pub ignore_sink_log: bool,
}

impl Choice {
    pub fn parse(options: &[(String, String)], zone: &Zone) -> Result<Self> {
        let given = Lookup(options);
        let zone = given.zone(zone)?;
        let instant = |key: &str| {
            given.text(key).map(|text| {
                parse_timestamp(text, &zone).ok_or_else(|| {
                    Error::new("INVALID_OPTION_VALUE").param("option", key).param("value", text).message(format!(
                        "The option `{key}` has the value '{text}', and wants a timestamp such as 2024-01-31T12:00:00."
                    ))
                })
            })
        };
        Ok(Self {
            path_glob_filter: given.text("pathGlobFilter").map(|g| glob(g, false)).transpose()?,
            modified_before_us: instant("modifiedBefore").transpose()?,
            modified_after_us: instant("modifiedAfter").transpose()?,
            recursive: given.flag("recursiveFileLookup", false)?,
            ignore_missing: given.flag("ignoreMissingFiles", false)?,
            ignore_invalid_partitions: given.flag("ignoreInvalidPartitionPaths", false)?,
            ignore_corrupt: given.flag("ignoreCorruptFiles", false)?,
            waits: false,
            ignore_sink_log: false,
        })
    }

    pub(crate) fn agreement(&self, context: &Context) -> Agreement {
        Agreement { case_sensitive: context.session.case_sensitive, any_base: self.ignore_invalid_partitions }
    }

    fn takes(&self, file: &ObjectMeta) -> bool {
        let name = file.location.filename().unwrap_or_default();
        let modified = file.last_modified.timestamp_micros();
        self.path_glob_filter.as_ref().is_none_or(|g| g.is_match(name))
            && self.modified_before_us.is_none_or(|t| modified < t)
            && self.modified_after_us.is_none_or(|t| modified > t)
    }
}

/// A file, and the root it was found below.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub meta: ObjectMeta,
    /// The directory the user named, or that a glob of theirs matched; for a file, the one it is in.
    pub root: Path,
    /// Whether the log of a streaming query names it.
    pub is_logged: bool,
}

/// Which of the files that are found, each with its root, are held: a directory may have millions.
pub type Wanted = Arc<dyn Fn(&ObjectMeta, &Path) -> bool + Send + Sync>;

/// All of them.
pub fn all() -> Wanted {
    Arc::new(|_, _| true)
}

/// The files that a path means, those that are wanted, in the order of their names.
///
/// A path that names nothing is an error, unless missing files are ignored, or a glob is waited for.
pub async fn list(path: &ResolvedPath, choice: &Choice, wanted: &Wanted) -> Result<Vec<Found>> {
    let pattern: Vec<&str> = path.path.as_ref().split('/').filter(|part| !part.is_empty()).collect();
    let (chosen, wanted) = (choice.clone(), Arc::clone(wanted));
    let takes: Wanted = Arc::new(move |file, root| {
        !is_hidden(&file.location, root) && wanted(file, root) && chosen.takes(file)
    });
    let is_pattern = pattern.iter().any(|part| is_glob(part));
    let mut found = if is_pattern {
        list_glob(path, &pattern, &takes).await?
    } else {
        list_plain(path, &takes, choice.ignore_sink_log).await?
    };
    if found.is_none() && !choice.ignore_missing && !(choice.waits && is_pattern) {
        return Err(errors::path_not_found(&path.display()));
    }
    let mut files = found.take().unwrap_or_default();
    files.sort_by(|a, b| a.meta.location.cmp(&b.meta.location));
    Ok(files)
}

/// Of more files than this, those of each directory are listed for themselves, some at once.
const MANY: usize = 20_000;

/// In so many directories at most: each needs a request.
const MAX_PARTS: usize = 256;

/// Directories that are listed at once.
const AT_ONCE: usize = 8;

/// What was found below a path.
#[derive(Default)]
struct Listed {
    count: usize,
    files: Vec<ObjectMeta>,
    /// Files of the log of a streaming query.
    log: Vec<ObjectMeta>,
}

impl Listed {
    fn add(&mut self, meta: ObjectMeta, path: &ResolvedPath, takes: &Wanted) {
        self.count += 1;
        if sink_log::is_part(path, &meta) {
            self.log.push(meta);
        // Tools that show object stores as directories leave an empty object for each.
        } else if meta.location != path.path && takes(&meta, &path.path) {
            self.files.push(meta);
        }
    }

    fn extend(&mut self, other: Self) {
        self.count += other.count;
        self.files.extend(other.files);
        self.log.extend(other.log);
    }
}

/// Everything below a path.
async fn list_below(path: &ResolvedPath, takes: &Wanted) -> Result<Listed> {
    let doing = |e| Error::io(format!("listing {}", path.display()), e);
    let mut found = Listed::default();
    let mut listed = path.store.list(Some(&path.path));
    while let Some(meta) = listed.try_next().await.map_err(doing)? {
        found.add(meta, path, takes);
        if found.count == MANY {
            let top = path.store.list_with_delimiter(Some(&path.path)).await.map_err(doing)?;
            if (2..=MAX_PARTS).contains(&top.common_prefixes.len()) {
                return list_parts(path, takes, top).await;
            }
        }
    }
    Ok(found)
}

/// The same, directory by directory, some at once.
async fn list_parts(path: &ResolvedPath, takes: &Wanted, top: ListResult) -> Result<Listed> {
    let mut found = Listed::default();
    top.objects.into_iter().for_each(|meta| found.add(meta, path, takes));
    let parts = top.common_prefixes.into_iter().map(|part| {
        let (path, takes) = (path.clone(), Arc::clone(takes));
        // To look at each file is work for a processor, too.
        tokio::spawn(async move {
            let mut found = Listed::default();
            let mut listed = path.store.list(Some(&part));
            while let Some(meta) = listed.try_next().await? {
                found.add(meta, &path, &takes);
            }
            Ok::<_, object_store::Error>(found)
        })
    });
    let mut parts = futures::stream::iter(parts).buffer_unordered(AT_ONCE);
    while let Some(part) = parts.next().await {
        let part = part.map_err(|e| Error::internal(format!("listing files: {e}")))?;
        found.extend(part.map_err(|e| Error::io(format!("listing {}", path.display()), e))?);
    }
    Ok(found)
}

/// The files at a path without glob characters; `None` where there is nothing.
async fn list_plain(
    path: &ResolvedPath,
    takes: &Wanted,
    ignore_sink_log: bool,
) -> Result<Option<Vec<Found>>> {
    let doing = |e| Error::io(format!("listing {}", path.display()), e);
    if !path.path.is_root() {
        match path.store.head(&path.path).await {
            Ok(meta) => {
                let root = parent(&meta.location);
                let found = takes(&meta, &root).then_some(Found { meta, root, is_logged: false });
                return Ok(Some(found.into_iter().collect()));
            }
            Err(object_store::Error::NotFound { .. }) => {}
            // The local store has no `head` of a directory, and says so in its own way.
            Err(_) if path.local_file().is_some_and(|f| f.is_dir()) => {}
            Err(e) => return Err(doing(e)),
        }
    }
    let Listed { count, mut files, mut log } = list_below(path, takes).await?;
    if count == 0 && !path.local_file().is_some_and(|f| f.is_dir()) {
        return Ok(None);
    }
    if ignore_sink_log {
        log.clear();
    }
    let written = sink_log::files(path, &log).await?;
    if let Some(written) = &written {
        files.retain(|meta| written.contains(&meta.location));
    }
    let found = |meta| Found { meta, root: path.path.clone(), is_logged: written.is_some() };
    Ok(Some(files.into_iter().map(found).collect()))
}

/// The files below what a glob matches; `None` where it matches nothing.
async fn list_glob(path: &ResolvedPath, pattern: &[&str], takes: &Wanted) -> Result<Option<Vec<Found>>> {
    let doing = |e| Error::io(format!("listing {}", path.display()), e);
    let fixed = pattern.iter().take_while(|part| !is_glob(part)).count();
    let prefix = Path::parse(pattern[..fixed].join("/")).map_err(|e| Error::io("reading a path", e))?;
    let matchers = pattern[fixed..].iter().map(|part| glob(part, true)).collect::<Result<Vec<_>>>()?;
    let (mut found, mut any) = (Vec::new(), false);
    let mut listed = path.store.list((!prefix.is_root()).then_some(&prefix));
    while let Some(meta) = listed.try_next().await.map_err(doing)? {
        let parts: Vec<_> = meta.location.parts().collect();
        let matched = parts.len() >= pattern.len()
            && matchers.iter().zip(&parts[fixed..]).all(|(m, part)| m.is_match(part.as_ref()));
        if !matched {
            continue;
        }
        any = true;
        let root = if parts.len() == pattern.len() {
            parent(&meta.location)
        } else {
            parts[..pattern.len()].iter().cloned().collect()
        };
        if takes(&meta, &root) {
            found.push(Found { meta, root, is_logged: false });
        }
    }
    Ok(any.then_some(found))
}

fn parent(path: &Path) -> Path {
    let mut parts: Vec<_> = path.parts().collect();
    parts.pop();
    parts.into_iter().collect()
}

/// Whether a part of a path has characters that match others.
pub(crate) fn is_glob(part: &str) -> bool {
    part.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

fn glob(pattern: &str, literal_separator: bool) -> Result<GlobMatcher> {
    GlobBuilder::new(pattern)
        .literal_separator(literal_separator)
        .backslash_escape(true)
        .build()
        .map(|g| g.compile_matcher())
        .map_err(|e| {
            Error::new("INVALID_PATH")
                .param("path", pattern)
                .message(format!("The pattern '{pattern}' cannot be used: {e}."))
        })
}

/// Whether a file, or a directory between it and the root, has a name that is left out: those that begin with `_` (and are no
/// partition) or `.`, and files that are being copied.
fn is_hidden(file: &Path, root: &Path) -> bool {
    let below = file.parts().skip(root.parts().count());
    below.into_iter().any(|part| {
        let name = part.as_ref();
        (name.starts_with('_') && !name.contains('='))
            || name.starts_with('.')
            || name.ends_with("._COPYING_")
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path as FilePath;

    use super::*;
    use crate::paths::Paths;
    use crate::stores::Stores;

    async fn names(directory: &FilePath, path: &str, options: &[(&str, &str)]) -> Result<Vec<String>> {
        let options: Vec<_> = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let paths = Paths::new(directory, directory);
        let resolved = paths.resolve(path, &Stores::new())?;
        let base = paths.resolve(".", &Stores::new())?.path;
        let found = list(&resolved, &Choice::parse(&options, &Zone::UTC)?, &all()).await?;
        Ok(found.iter().map(|f| f.meta.location.as_ref()[base.as_ref().len() + 1..].to_string()).collect())
    }

    fn tree() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for file in [
            "t/a.json",
            "t/B c%20d.json",
            "t/_hidden.json",
            "t/.dot.json",
            "t/x.csv",
            "t/K=v 1/k.json",
            "t/_temporary/z.json",
            "t/_p=1/q.json",
            "u/1/a.json",
            "u/2/a.json",
        ] {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "{}").unwrap();
        }
        std::fs::create_dir(directory.path().join("empty")).unwrap();
        directory
    }

    #[tokio::test]
    async fn directories_and_globs() {
        let d = tree();
        let at = |p: &'static str| names(d.path(), p, &[]);
        assert_eq!(
            at("t").await.unwrap(),
            ["t/B c%20d.json", "t/K=v 1/k.json", "t/_p=1/q.json", "t/a.json", "t/x.csv"]
        );
        assert_eq!(at("t/*.json").await.unwrap(), ["t/B c%20d.json", "t/a.json"]);
        assert_eq!(at("t/B c%20d.json").await.unwrap(), ["t/B c%20d.json"]);
        assert_eq!(at("u/*").await.unwrap(), ["u/1/a.json", "u/2/a.json"]);
        assert_eq!(at("u/{1,3}/?.json").await.unwrap(), ["u/1/a.json"]);
        assert_eq!(at("u/[2-9]").await.unwrap(), ["u/2/a.json"]);
        assert_eq!(at("t/K=v 1").await.unwrap(), ["t/K=v 1/k.json"]);
        assert_eq!(at("empty").await.unwrap(), Vec::<String>::new());
        assert_eq!(at("t/_hidden.json").await.unwrap(), Vec::<String>::new());
        let e = at("nope").await.unwrap_err();
        assert_eq!(e.class(), "PATH_NOT_FOUND");
        assert!(e.parameters()[0].1.starts_with("file:/") && e.parameters()[0].1.ends_with("/nope"));
        assert_eq!(at("nope*").await.unwrap_err().class(), "PATH_NOT_FOUND");
    }

    #[tokio::test]
    async fn options_choose() {
        let d = tree();
        assert_eq!(names(d.path(), "t", &[("pathGlobFilter", "*.csv")]).await.unwrap(), ["t/x.csv"]);
        assert_eq!(
            names(d.path(), "nope", &[("ignoreMissingFiles", "true")]).await.unwrap(),
            Vec::<String>::new()
        );
        let none = names(d.path(), "t", &[("modifiedBefore", "2001-01-01T00:00:00")]).await.unwrap();
        assert_eq!(none, Vec::<String>::new());
        assert_eq!(names(d.path(), "u", &[("modifiedAfter", "2001-01-01T00:00:00")]).await.unwrap().len(), 2);
        assert!(names(d.path(), "u", &[("modifiedAfter", "soon")]).await.is_err());
    }
}
