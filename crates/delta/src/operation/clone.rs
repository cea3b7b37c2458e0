//! CLONE: a table with the files of another (shallow), or with copies of them (deep).

use std::collections::HashSet;
use std::sync::Arc;

use boathouse_spec::{DataType, Error, Result, StructType, clock, fault};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use indexmap::IndexMap;
use object_store::path::Path;
use object_store::{ObjectStoreExt, WriteMultipart};
use serde_json::{Value, json};

use super::delete::DmlOptions;
use crate::action::{Action, Add, DeletionVector, DomainMetadata, Metadata, Protocol};
use crate::catalog_managed;
use crate::clustering;
use crate::data_file::delete_quietly;
use crate::location::{LOG_DIRECTORY, TableLocation, encode_path};
use crate::log::commit_file::make_durable;
use crate::log::{checkpoint, kernel};
use crate::property;
use crate::report::{Report, field};
use crate::row_tracking;
use crate::schema::stored;
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation, ReadSet, Transaction};

/// Files copied at a time.
const PARALLEL_COPIES: usize = 8;

/// How to clone.
#[derive(Debug, Clone, Default)]
pub struct CloneOptions {
    /// The source as the history is to name it.
    pub source_name: String,
    /// The files stay where they are, and the clone names them there.
    pub shallow: bool,
    /// Properties that the clone has instead of the source's.
    pub properties: IndexMap<String, String>,
    pub commit: DmlOptions,
}

/// Makes a table of what a version of another has, or, given its snapshot, replaces one.
pub async fn clone_table(
    location: &TableLocation,
    replaces: Option<&Snapshot>,
    source: &Snapshot,
    options: &CloneOptions,
) -> Result<Committed> {
    if location.url() == source.location().url() {
        return Err(Error::new("DELTA_UNSUPPORTED_CLONE_REPLACE_SAME_TABLE")
            .param("tableName", location.uri())
            .message(format!("{} cannot be replaced by a clone of itself.", location.uri()))
            .exception("IllegalArgumentException"));
    }
    let (protocol, metadata) = cloned_metadata(location, replaces, source, options)?;
    let mut written = Vec::new();
    let copied = match copy_files(location, source, options.shallow, &mut written).await {
        Ok(copied) => copied,
        Err(e) => {
            delete_quietly(location, written).await;
            return Err(e);
        }
    };
    let mut operation = Operation::new("CLONE")
        .text("source", options.source_name.clone())
        .raw("sourceVersion", source.version());
    if !options.shallow {
        operation = operation.raw("isShallow", false);
    }
    let mut transaction = Transaction::new(location, replaces, operation);
    transaction.user_metadata.clone_from(&options.commit.user_metadata);
    transaction.tags = options.commit.commit_fields.clone();
    transaction.blind_append = Some(false);
    transaction.metadata = Some(metadata);
    transaction.domains = domains(source, replaces).await?;
    if replaces.is_none_or(|r| *r.protocol() != protocol) {
        transaction.protocol = Some(protocol);
    }
    let mut removed = Vec::new();
    if let Some(old) = replaces {
        let now = clock::now_ms();
        transaction.reads = ReadSet::whole_table();
        let kept: HashSet<_> = copied.iter().map(Add::key).collect();
        removed.extend(
            old.files().await?.iter().filter(|f| !kept.contains(&f.key())).map(|f| f.remove(now, true)),
        );
    }
    let size = |files: &[Add]| files.iter().map(|f| f.size).sum::<i64>();
    let m = &mut transaction.metrics;
    m.set("sourceTableSize", size(&copied));
    m.set("sourceNumOfFiles", copied.len());
    m.set("numRemovedFiles", removed.len());
    m.set("numCopiedFiles", if options.shallow { 0 } else { copied.len() });
    m.set("removedFilesSize", removed.iter().filter_map(|r| r.size).sum::<i64>());
    m.set("copiedFilesSize", if options.shallow { 0 } else { size(&copied) });
    transaction.remove(removed);
    if options.shallow {
        transaction.add(copied);
    } else {
        transaction.add_written(copied);
    }
    transaction.commit().await
}

/// Whether a directory without a table holds nothing but what a clone of `source` left there that was interrupted.
pub async fn is_interrupted_clone(location: &TableLocation, source: &Snapshot) -> Result<bool> {
    let mut copies = Vec::new();
    for file in source.files().await?.iter() {
        relocated(location, source.location(), &file, &mut copies)?;
    }
    let targets: HashSet<String> = copies.iter().map(|(_, to)| to.to_string()).collect();
    let mut listed = location.store().list(Some(location.prefix()));
    while let Some(object) = listed.next().await {
        let object = object.map_err(|e| Error::io(format!("listing {}", location.uri()), e))?.location;
        let in_log = location.relativize(&object).is_some_and(|r| r.starts_with(LOG_DIRECTORY));
        let is_temporary = object.filename().is_some_and(|name| name.starts_with('.'));
        // A file that is being copied has a number behind its name.
        let name = object.to_string();
        let name = name.rsplit_once('#').map_or(name.as_str(), |(name, _)| name);
        let is_left_over = targets.contains(name) || (in_log && is_temporary);
        if !is_left_over {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The row that CLONE gives.
pub fn clone_report(committed: Option<&Committed>) -> Result<Report> {
    let names = [
        ("source_table_size", "sourceTableSize"),
        ("source_num_of_files", "sourceNumOfFiles"),
        ("num_removed_files", "numRemovedFiles"),
        ("num_copied_files", "numCopiedFiles"),
        ("removed_files_size", "removedFilesSize"),
        ("copied_files_size", "copiedFilesSize"),
    ];
    let schema = StructType::new(names.iter().map(|(column, _)| field(column, DataType::Long)).collect());
    let rows: Vec<Value> = committed
        .map(|committed| {
            let fields = names.iter().map(|(c, m)| ((*c).to_string(), json!(committed.metric(m))));
            Value::Object(fields.collect())
        })
        .into_iter()
        .collect();
    Report::new(schema, &rows)
}

/// The source's metadata under the clone's own identity, with the properties that the statement gives.
fn cloned_metadata(
    location: &TableLocation,
    replaces: Option<&Snapshot>,
    source: &Snapshot,
    options: &CloneOptions,
) -> Result<(Protocol, Metadata)> {
    // The clone's own catalog manages its commits, or none does.
    let mut protocol = source.protocol().without_feature(catalog_managed::FEATURE);
    if let Some(old) = replaces {
        let features = old.protocol().features();
        protocol = protocol.with_features(&features.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let given = property::split(&options.properties, &mut protocol, false, options.commit.property_checks)?;
    let mut metadata = Metadata {
        id: replaces.map_or_else(|| uuid::Uuid::new_v4().to_string(), |r| r.id().to_string()),
        name: replaces.and_then(|r| r.metadata().name.clone()),
        description: replaces.and_then(|r| r.metadata().description.clone()),
        ..source.metadata().clone()
    };
    // Since when the source has them is no fact of the clone.
    metadata.configuration.retain(|key, _| {
        !key.starts_with("delta.inCommitTimestampEnablement") && !key.starts_with("delta.rowTracking.")
    });
    catalog_managed::complete(&protocol, &mut metadata, replaces.is_none());
    let mode = |m: &Metadata| {
        m.configuration.get("delta.columnMapping.mode").cloned().unwrap_or_else(|| "none".into())
    };
    let before = mode(&metadata);
    metadata.configuration.extend(given);
    let after = mode(&metadata);
    if before != after {
        return Err(Error::new("DELTA_UNSUPPORTED_COLUMN_MAPPING_MODE_CHANGE")
            .param("oldMode", &before)
            .param("newMode", &after)
            .message(format!("The column mapping mode cannot change from {before} to {after}."))
            .exception("ColumnMappingUnsupportedException"));
    }
    let schema = stored::assign_mapping(source.schema(), &mut metadata, true);
    metadata.schema_string = schema.json();
    let protocol = protocol.with_features(&crate::protocol::needed_features(&metadata, &schema));
    row_tracking::check_properties(&metadata)?;
    row_tracking::name_columns(&protocol, &mut metadata);
    crate::protocol::check_writable(location, &protocol, &metadata, &schema)?;
    Ok((protocol, metadata))
}

/// What features of the table keep in the log, such as its clustering columns; none, where only the replaced table had some.
async fn domains(source: &Snapshot, replaces: Option<&Snapshot>) -> Result<Vec<DomainMetadata>> {
    let domains = source.domains().await?;
    let mut out: Vec<_> = domains.into_iter().filter(|d| d.domain != row_tracking::DOMAIN).collect();
    if replaces.is_some_and(|r| r.protocol().has("clustering"))
        && !out.iter().any(|d| d.domain == clustering::DOMAIN)
    {
        out.push(clustering::no_columns());
    }
    Ok(out)
}

/// The files of the clone: named where they are, or copied. `written` gets what was copied so far.
async fn copy_files(
    location: &TableLocation,
    source: &Snapshot,
    shallow: bool,
    written: &mut Vec<Path>,
) -> Result<Vec<Add>> {
    let files = source.files().await?;
    if shallow {
        let named = |file: Arc<Add>| {
            let add = absolute(source.location(), &file)?;
            location.resolve(&add.path)?;
            Ok(add)
        };
        return files.iter().map(named).collect();
    }
    let mut copies: Vec<(Path, Path)> = Vec::new();
    let mut out = Vec::new();
    for file in files.iter() {
        out.push(relocated(location, source.location(), &file, &mut copies)?);
    }
    copies.sort();
    copies.dedup();
    written.extend(copies.iter().map(|(_, to)| to.clone()));
    let work: Vec<_> = copies.iter().map(|(from, to)| copy(source.location(), from, location, to)).collect();
    stream::iter(work).buffer_unordered(PARALLEL_COPIES).try_collect::<Vec<()>>().await?;
    Ok(out)
}

/// A file as another table names it, where it is.
fn absolute(source: &TableLocation, file: &Add) -> Result<Add> {
    let deletion_vector = match &file.deletion_vector {
        Some(vector) => Some(match kernel::vector_file(source, vector)? {
            Some(path) => DeletionVector {
                storage_type: "p".into(),
                path_or_inline_dv: source.url_of(&path),
                ..vector.clone()
            },
            None => vector.clone(),
        }),
        None => None,
    };
    Ok(Add { path: source.url_of(&source.resolve(&file.path)?), deletion_vector, ..anew(file) })
}

/// A file of the clone's own, and what must be copied to where for it.
fn relocated(
    location: &TableLocation,
    source: &TableLocation,
    file: &Add,
    copies: &mut Vec<(Path, Path)>,
) -> Result<Add> {
    let from = source.resolve(&file.path)?;
    let name = new_name(source, &from);
    copies.push((from, location.relative(&name)?));
    let mut add = Add { path: encode_path(&name), ..anew(file) };
    if let Some(vector) = &mut add.deletion_vector
        && let Some(from) = kernel::vector_file(source, vector)?
    {
        let name = new_name(source, &from);
        let to = location.relative(&name)?;
        // A vector that the source names by its place in the table has the same place in the clone.
        if vector.storage_type == "p" {
            vector.path_or_inline_dv = location.url_of(&to);
        }
        copies.push((from, to));
    }
    Ok(add)
}

/// The place below the clone: that below the source, or a name of its own.
fn new_name(source: &TableLocation, from: &Path) -> String {
    match source.relativize(from) {
        Some(relative) => relative.to_string(),
        None => {
            format!("{}-{}", uuid::Uuid::new_v4().simple(), from.filename().unwrap_or_default())
        }
    }
}

/// Row ids and commit versions are not the clone's.
fn anew(file: &Add) -> Add {
    Add { data_change: true, base_row_id: None, default_row_commit_version: None, ..file.clone() }
}

/// Copies a file, so that the copy survives a crash of the machine.
async fn copy(from: &TableLocation, object: &Path, to: &TableLocation, target: &Path) -> Result<()> {
    fault::point("delta::before-copy")?;
    if !from.shares_store(to) || from.store().copy(object, target).await.is_err() {
        copy_bytes(from, object, to, target).await?;
    }
    make_durable(to, target).await?;
    fault::point("delta::after-copy")
}

async fn copy_bytes(from: &TableLocation, object: &Path, to: &TableLocation, target: &Path) -> Result<()> {
    // Disks that are mounted apart, or other stores: the bytes go through here.
    let failed = |e: object_store::Error| Error::io(format!("copying {object} to {target}"), e);
    let mut bytes = from.store().get(object).await.map_err(failed)?.into_stream();
    let upload = to.store().put_multipart(target).await.map_err(failed)?;
    let mut upload = WriteMultipart::new(upload);
    while let Some(part) = bytes.next().await {
        let part: Bytes = part.map_err(failed)?;
        upload.wait_for_capacity(PARALLEL_COPIES).await.map_err(failed)?;
        upload.put(part);
    }
    upload.finish().await.map_err(failed)?;
    Ok(())
}

impl Snapshot {
    /// What features keep for this version of the table ("Domain Metadata" in PROTOCOL.md), by domain.
    pub(crate) async fn domains(&self) -> Result<Vec<DomainMetadata>> {
        if !self.protocol().has("domainMetadata") {
            return Ok(Vec::new());
        }
        if let Some(known) = self.known().domains {
            return Ok(known.values().cloned().collect());
        }
        let mut seen = HashSet::new();
        let actions = checkpoint::actions(self.location(), self.version(), &["domainMetadata"]).await?;
        Ok(actions
            .into_iter()
            .filter_map(|action| match action {
                Action::DomainMetadata(d) if seen.insert(d.domain.clone()) => Some(d),
                _ => None,
            })
            .filter(|d| !d.removed)
            .collect())
    }
}
