//! GENERATE symlink_format_manifest: lists of files for readers that know no Delta.

use std::collections::BTreeMap;

use boathouse_spec::{Error, Result, fault};
use futures::TryStreamExt;
use object_store::PutMode;
use object_store::path::Path;

use crate::data_file::delete_quietly;
use crate::log::put_derived;
use crate::partition;
use crate::snapshot::Snapshot;

/// The one kind of manifest there is.
pub const SYMLINK_MANIFEST: &str = "symlink_format_manifest";
const DIRECTORY: &str = "_symlink_format_manifest";

/// Writes a manifest for each partition, and deletes those of partitions that are gone.
pub async fn generate(table: &Snapshot, mode: &str) -> Result<()> {
    if mode != SYMLINK_MANIFEST {
        return Err(Error::new("DELTA_MODE_NOT_SUPPORTED")
            .param("mode", mode)
            .param("supportedModes", SYMLINK_MANIFEST)
            .message(format!("There is no manifest of the kind '{mode}', only {SYMLINK_MANIFEST}."))
            .exception("IllegalArgumentException"));
    }
    let location = table.location();
    let files = table.files().await?;
    if files.iter().any(|f| f.deletion_vector.is_some()) {
        return Err(Error::new("DELTA_UNSUPPORTED_GENERATE_WITH_DELETION_VECTORS")
            .message(
                "A manifest names whole files, and files of this table have deleted rows in them. Run REORG TABLE .. \
                 APPLY (PURGE) first.",
            )
            .exception("UnsupportedOperationException"));
    }
    let partitions = table.columns().partitions(table.metadata());
    let mut manifests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if partitions.is_empty() {
        manifests.insert(String::new(), Vec::new());
    }
    for file in files.iter() {
        let values = partitions.iter().map(|column| {
            let value = file.partition_values.get(&column.physical).and_then(Option::as_deref);
            (column.logical(), value)
        });
        let directory = partition::directory(values);
        let object = location.resolve(&file.path)?;
        let shown = match location.is_local() {
            true => format!("file:/{object}"),
            false => location.url_of(&object),
        };
        manifests.entry(directory).or_default().push(shown);
    }
    let root = location.prefix().clone().join(DIRECTORY);
    let mut written = Vec::new();
    for (directory, mut lines) in manifests {
        lines.sort();
        let mut path = root.clone();
        path.extend(directory.split('/').filter(|d| !d.is_empty()).map(object_store::path::PathPart::from));
        let path = path.join("manifest");
        let content = if lines.is_empty() { String::new() } else { lines.join("\n") + "\n" };
        put_derived(location, &path, content.into_bytes(), PutMode::Overwrite).await?;
        fault::point("delta::after-manifest")?;
        written.push(path);
    }
    let listed: Vec<Path> = location
        .store()
        .list(Some(&root))
        .map_ok(|meta| meta.location)
        .try_collect()
        .await
        .map_err(|e| Error::io(format!("listing {root}"), e))?;
    let stale = listed.into_iter().filter(|path| !written.contains(path)).collect();
    delete_quietly(location, stale).await;
    Ok(())
}
