//! Directories that a streaming query wrote: `_spark_metadata` names the files of whole batches, and no others count. Spark's
//! `FileStreamSinkLog`.

use std::collections::HashSet;

use boathouse_spec::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde_json::{Value, json};
use url::Url;

use crate::paths::ResolvedPath;

/// The directory of the log, in that of the files.
pub const DIRECTORY: &str = "_spark_metadata";

/// The number of a file of the log, and whether it holds the lines of all files before it, too.
pub fn number(name: &str) -> Option<(i64, bool)> {
    match name.strip_suffix(".compact") {
        Some(number) => Some((number.parse().ok()?, true)),
        None => Some((name.parse().ok()?, false)),
    }
}

/// The line of a file that was written.
pub fn line(path: &ResolvedPath, file: &ObjectMeta) -> String {
    json!({
        "path": path.url_of(&file.location),
        "size": file.size,
        "isDir": false,
        "modificationTime": file.last_modified.timestamp_millis(),
        "blockReplication": 1,
        "blockSize": 33_554_432,
        "action": "add",
    })
    .to_string()
}

/// When the file of a line was written, in milliseconds since the epoch.
pub fn modified_ms(line: &str) -> Option<i64> {
    serde_json::from_str::<Value>(line).ok()?.get("modificationTime")?.as_i64()
}

/// Whether a file below a path is of its log.
pub(crate) fn is_part(path: &ResolvedPath, file: &ObjectMeta) -> bool {
    file.location.prefix_matches(&path.path.clone().join(DIRECTORY))
}

/// The files that a log names; `None` where there is no log. `listed` are the files in the log's directory.
pub(crate) async fn files(path: &ResolvedPath, listed: &[ObjectMeta]) -> Result<Option<HashSet<Path>>> {
    let mut logs: Vec<(i64, bool, &Path)> = listed
        .iter()
        .filter_map(|meta| {
            let (number, compact) = number(meta.location.filename()?)?;
            Some((number, compact, &meta.location))
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
