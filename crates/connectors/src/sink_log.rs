//! Directories that a streaming query wrote: `_spark_metadata` names the files of whole batches, and no others count.

use std::collections::HashSet;

use boathouse_spec::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde_json::Value;
use url::Url;

use crate::paths::ResolvedPath;

const DIRECTORY: &str = "_spark_metadata";

/// The files that a log below `path` names; `None` where there is no log. `listed` is everything below `path`.
pub(crate) async fn files(path: &ResolvedPath, listed: &[ObjectMeta]) -> Result<Option<HashSet<Path>>> {
    let directory = path.path.clone().join(DIRECTORY);
    let mut logs: Vec<(i64, bool, &Path)> = listed
        .iter()
        .filter(|meta| meta.location.prefix_matches(&directory))
        .filter_map(|meta| {
            let name = meta.location.filename()?;
            match name.strip_suffix(".compact") {
                Some(number) => Some((number.parse().ok()?, true, &meta.location)),
                None => Some((name.parse().ok()?, false, &meta.location)),
            }
        })
        .collect();
    if logs.is_empty() {
        return Ok(None);
    }
    logs.sort_unstable_by_key(|(number, _, _)| *number);
    // A compact file has the lines of all files before it.
    let start = logs.iter().rposition(|(_, compact, _)| *compact).unwrap_or(0);
    let mut found = HashSet::new();
    for (_, _, log) in &logs[start..] {
        let doing = |e: &dyn std::fmt::Display| Error::io(format!("reading {}", path.display_of(log)), e);
        let bytes = path.store.get(log).await.map_err(|e| doing(&e))?.bytes().await.map_err(|e| doing(&e))?;
        let text = std::str::from_utf8(&bytes).map_err(|e| doing(&e))?;
        for line in text.lines().skip(1).filter(|l| !l.is_empty()) {
            let file: Value = serde_json::from_str(line).map_err(|e| doing(&e))?;
            let url = file.get("path").and_then(Value::as_str).unwrap_or_default();
            let location = Url::parse(url).map_err(|e| doing(&e))?;
            let location = Path::from_url_path(location.path()).map_err(|e| doing(&e))?;
            match file.get("action").and_then(Value::as_str) {
                Some("delete") => found.remove(&location),
                _ => found.insert(location),
            };
        }
    }
    Ok(Some(found))
}
