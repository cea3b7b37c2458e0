//! Files that a stream reads: found, remembered, and found again after a restart.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use boathouse_connectors::layout::Depth;
use boathouse_connectors::listing::{self, Found, Wanted};
use boathouse_connectors::{Context, ResolvedPath};
use boathouse_spec::{DataSourceRef, Error, Options, Result, option};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use url::Url;

/// A file of the log.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// A URL, as Spark writes it.
    pub path: String,
    /// When the file was changed last, in milliseconds since the epoch.
    pub timestamp: i64,
    pub batch: i64,
    /// Known, and not to be read: it was there before the query (`includeExistingFiles`).
    pub is_skipped: bool,
    /// When it was taken, in milliseconds since the epoch, where it is to be cleaned away some time after that.
    pub taken_ms: Option<i64>,
}

impl Entry {
    pub fn parse(line: &str) -> Result<Self> {
        let wrong = || {
            Error::new("STREAM_CHECKPOINT_CORRUPT").message(format!("{line} is no file of a source's log."))
        };
        let value: Value = serde_json::from_str(line).map_err(|_| wrong())?;
        let number = |key: &str| value.get(key).and_then(Value::as_i64).ok_or_else(wrong);
        Ok(Self {
            path: value.get("path").and_then(Value::as_str).ok_or_else(wrong)?.to_string(),
            timestamp: number("timestamp")?,
            batch: number("batchId")?,
            is_skipped: value.get("skipped").and_then(Value::as_bool).unwrap_or(false),
            taken_ms: value.get("taken").and_then(Value::as_i64),
        })
    }

    /// The time and the batch of a line, which is not looked at otherwise: there may be millions.
    pub fn time_and_batch(line: &str) -> Option<(i64, i64)> {
        let number = |key: &str| {
            let text = &line[line.rfind(key)? + key.len()..];
            text[..text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len())].parse().ok()
        };
        Some((number("\"timestamp\":")?, number("\"batchId\":")?))
    }

    pub fn line(&self) -> String {
        let mut value = json!({ "path": self.path, "timestamp": self.timestamp, "batchId": self.batch });
        if self.is_skipped {
            value["skipped"] = true.into();
        }
        if let Some(ms) = self.taken_ms {
            value["taken"] = ms.into();
        }
        value.to_string()
    }
}

/// The files that were read, by what makes two files the same. They may be millions: of each there are 16 bytes.
#[derive(Debug)]
pub(super) struct Seen {
    /// By a hash of what makes a file: when it was changed, in seconds since the epoch.
    files: HashMap<[u32; 3], u32>,
    /// The name alone makes a file.
    by_name: bool,
    /// A file that was changed is another file.
    by_time: bool,
    /// Files older than the newest one by more than this are never read, in milliseconds.
    max_age_ms: Option<i64>,
    newest: i64,
    purged_before: i64,
    /// What is older is forgotten already.
    swept_before: i64,
}

impl Seen {
    pub fn new(by_name: bool, by_time: bool, max_age_ms: Option<i64>) -> Self {
        Self {
            files: HashMap::new(),
            by_name,
            by_time,
            max_age_ms,
            newest: 0,
            purged_before: 0,
            swept_before: 0,
        }
    }

    /// 96 bits: of a hundred million files no two are likely to have the same.
    fn key(&self, path: &str, timestamp: i64) -> [u32; 3] {
        let name = if self.by_name { path.rsplit('/').next().unwrap_or(path) } else { path };
        let time = if self.by_time { timestamp } else { 0 };
        let hash = |seed: u8| {
            let mut hasher = DefaultHasher::new();
            (seed, name, time).hash(&mut hasher);
            hasher.finish()
        };
        let (a, b) = (hash(1), hash(2));
        [(a >> 32) as u32, a as u32, b as u32]
    }

    pub fn is_new(&self, path: &str, timestamp: i64) -> bool {
        timestamp >= self.purged_before && !self.files.contains_key(&self.key(path, timestamp))
    }

    pub fn add(&mut self, path: &str, timestamp: i64) {
        let key = self.key(path, timestamp);
        self.files.insert(key, seconds(timestamp));
        self.newest = self.newest.max(timestamp);
    }

    /// Forgets files that are too old to be read again.
    pub fn purge(&mut self) {
        let Some(max_age_ms) = self.max_age_ms else { return };
        let before = self.newest.saturating_sub(max_age_ms);
        self.purged_before = before;
        // Times are known to the second: more often there is nothing to find.
        if before - self.swept_before >= 1000 {
            self.swept_before = before;
            self.files.retain(|_, changed| *changed >= seconds(before));
        }
    }

    /// Whether files of a time may still be asked for.
    pub fn knows(&self, timestamp: i64) -> bool {
        timestamp >= self.purged_before
    }
}

fn seconds(timestamp_ms: i64) -> u32 {
    u32::try_from(timestamp_ms.div_euclid(1000)).unwrap_or(if timestamp_ms < 0 { 0 } else { u32::MAX })
}

/// Where a stream of files looks.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub format: String,
    pub options: Options,
    pub paths: Vec<String>,
    pub context: Context,
    pub depth: Depth,
}

impl Place {
    pub fn new(format: &str, source: &DataSourceRef, context: Context, depth: Depth) -> Result<Self> {
        let mut paths = source.paths.clone();
        if paths.is_empty() {
            paths.extend(option(&source.options, "path").map(str::to_string));
        }
        if paths.is_empty() {
            return Err(Error::new("_LEGACY_ERROR_TEMP_2047")
                .message("'path' is not specified")
                .exception("IllegalArgumentException"));
        }
        let options =
            source.options.iter().filter(|(k, _)| !k.eq_ignore_ascii_case("path")).cloned().collect();
        Ok(Self { format: format.to_string(), options, paths, context, depth })
    }

    /// All files that are there.
    pub async fn list(&self) -> Result<(ResolvedPath, Vec<Found>)> {
        self.list_if(listing::all()).await
    }

    /// The files that are there and wanted: the others are not held.
    pub async fn list_if(&self, wanted: Wanted) -> Result<(ResolvedPath, Vec<Found>)> {
        let place = self.clone();
        blocking(move |runtime| {
            runtime.block_on(boathouse_connectors::find_if(
                &place.format,
                &place.options,
                &place.paths,
                &place.context,
                &wanted,
                place.depth,
            ))
        })
        .await
    }

    pub fn resolved(&self) -> Result<Vec<ResolvedPath>> {
        self.paths.iter().map(|p| self.context.paths.resolve(p, self.context.stores.as_ref())).collect()
    }

    /// A file of the log as it is now; `None` where it is gone.
    pub async fn find_again(&self, entry: &Entry) -> Result<Option<Found>> {
        let location = location(&entry.path)?;
        let places = self.resolved()?;
        let Some(place) = places.first() else { return Ok(None) };
        match place.store.head(&location).await {
            Ok(meta) => Ok(Some(Found { root: root(&places, &location), meta, is_logged: false })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(Error::io(format!("looking for {}", entry.path), e)),
        }
    }
}

/// Runs work on a thread of its own: listing waits, and finding a schema computes.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&Handle) -> Result<T> + Send + 'static,
) -> Result<T> {
    let runtime = Handle::current();
    let joined = tokio::task::spawn_blocking(move || work(&runtime)).await;
    joined.map_err(|e| Error::internal(format!("opening files: {e}")))?
}

/// The place in its store that a URL of the log names.
pub(super) fn location(url: &str) -> Result<Path> {
    let wrong = |e: &dyn std::fmt::Display| Error::io(format!("reading the path {url}"), e);
    let parsed = Url::parse(url).map_err(|e| wrong(&e))?;
    Path::from_url_path(parsed.path()).map_err(|e| wrong(&e))
}

/// The directory below which names of directories are partition values.
pub(super) fn root(places: &[ResolvedPath], file: &Path) -> Path {
    let parts: Vec<_> = file.parts().collect();
    let fits = |place: &&ResolvedPath| {
        let pattern = place.path.parts().count();
        pattern <= parts.len() && (file.prefix_matches(&place.path) || is_pattern(&place.path))
    };
    let depth = places.iter().find(fits).map_or(parts.len(), |p| p.path.parts().count());
    let depth = if depth == parts.len() { depth.saturating_sub(1) } else { depth };
    parts[..depth].iter().cloned().collect()
}

fn is_pattern(path: &Path) -> bool {
    path.as_ref().contains(['*', '?', '[', '{'])
}

/// Milliseconds since the epoch of a file's last change.
pub(super) fn modified_ms(found: &Found) -> i64 {
    found.meta.last_modified.timestamp_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_once() {
        let mut seen = Seen::new(false, false, Some(100));
        assert!(seen.is_new("file:///a/1", 50));
        seen.add("file:///a/1", 50);
        assert!(!seen.is_new("file:///a/1", 60), "a file that changed is the same file");
        seen.add("file:///a/2", 5000);
        seen.purge();
        assert!(!seen.is_new("file:///a/3", 4899), "too old");
        assert!(seen.is_new("file:///a/3", 4900));
        let mut by_name = Seen::new(true, false, None);
        by_name.add("file:///a/x", 1);
        assert!(!by_name.is_new("file:///b/x", 1));
        let mut recent = Seen::new(false, false, Some(100));
        recent.add("file:///a/1", 50_000);
        recent.add("file:///a/2", 60_000);
        recent.purge();
        assert_eq!(recent.files.len(), 1);
        assert!(!recent.is_new("file:///a/1", 50_000), "too old");
        let mut by_time = Seen::new(false, true, None);
        by_time.add("file:///a/x", 1);
        assert!(by_time.is_new("file:///a/x", 2) && !by_time.is_new("file:///a/x", 1));
    }

    /// As Spark 4.2.1 wrote it.
    #[test]
    fn lines_are_sparks() {
        let line = r#"{"path":"file:///tmp/sstest/in/f0.json","timestamp":1795370937180,"batchId":0}"#;
        let entry = Entry::parse(line).unwrap();
        assert_eq!((entry.timestamp, entry.batch, entry.is_skipped), (1_795_370_937_180, 0, false));
        assert_eq!(entry.line(), line);
        assert_eq!(location("file:///tmp/a%20b/f.json").unwrap().as_ref(), "tmp/a b/f.json");
        assert_eq!(location("s3a://bucket/k/f.json").unwrap().as_ref(), "k/f.json");
        assert_eq!(Entry::time_and_batch(line), Some((1_795_370_937_180, 0)));
        assert!(Entry::parse("{}").is_err());
    }
}
