//! A checkpoint of our own writing, in the classic form: for tables with writer features that the kernel does not
//! write checkpoints of, though a checkpoint has nothing to do with them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::json::ReaderBuilder;
use boathouse_bridge::{ResultExt, arrow_schema};
use boathouse_spec::{DataType, Error, Result, StructType, clock, fault};
use object_store::ObjectStoreExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::json;

use super::kernel;
use crate::action::Action;
use crate::property::parse_interval_ms;
use crate::report::{field, strings};
use crate::snapshot::Snapshot;

/// Spark's default of `delta.deletedFileRetentionDuration`: how long VACUUM needs to know of removed files.
const DEFAULT_TOMBSTONE_MS: i64 = 7 * 24 * 3_600_000;
/// Actions made Arrow at a time.
const BATCH_ROWS: usize = 8192;

pub(super) async fn write(table: &Snapshot) -> Result<()> {
    let actions = state(table).await?;
    let (rows, adds) = (actions.len(), actions.iter().filter(|a| matches!(a, Action::Add(_))).count());
    let bytes = kernel::run(move || encode(&actions)).await?;
    let size = bytes.len();
    let location = table.location();
    let put = |name: String, content: Vec<u8>| async move {
        let path = location.log_path(&name);
        location.store().put(&path, content.into()).await.map_err(|e| Error::io(format!("writing {path}"), e))
    };
    put(format!("{:020}.checkpoint.parquet", table.version()), bytes).await?;
    fault::point("delta::before-checkpoint-hint")?;
    let hint = json!({
        "version": table.version(), "size": rows, "sizeInBytes": size, "numOfAddFiles": adds,
    });
    put("_last_checkpoint".into(), hint.to_string().into_bytes()).await?;
    Ok(())
}

/// What a reader needs to know of the table at its version.
async fn state(table: &Snapshot) -> Result<Vec<Action>> {
    let mut out =
        vec![Action::Protocol(table.protocol().clone()), Action::Metadata(table.metadata().clone())];
    let retention = table
        .property("delta.deletedFileRetentionDuration")
        .and_then(parse_interval_ms)
        .unwrap_or(DEFAULT_TOMBSTONE_MS);
    let cutoff = clock::now_ms().saturating_sub(retention);
    let files = table.files().await?;
    let (mut apps, mut domains, mut removed) = (HashSet::new(), HashSet::new(), HashSet::new());
    let kinds = &["remove", "txn", "domainMetadata"];
    for action in kernel::actions(table.location(), table.version(), kinds).await? {
        // The latest comes first.
        match action {
            Action::Txn(txn) if apps.insert(txn.app_id.clone()) => out.push(Action::Txn(txn)),
            Action::DomainMetadata(d) if domains.insert(d.domain.clone()) && !d.removed => {
                out.push(Action::DomainMetadata(d));
            }
            Action::Remove(mut r) if r.deletion_timestamp.unwrap_or(0) >= cutoff => {
                let key = r.key();
                if !files.contains(&key) && removed.insert(key) {
                    r.data_change = false;
                    r.stats = None;
                    out.push(Action::Remove(r));
                }
            }
            _ => {}
        }
    }
    for file in files.iter() {
        let mut add = file.as_ref().clone();
        add.data_change = false;
        out.push(Action::Add(add));
    }
    Ok(out)
}

fn encode(actions: &[Action]) -> Result<Vec<u8>> {
    let schema = Arc::new(arrow_schema(&schema()));
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let failed = |e: parquet::errors::ParquetError| Error::io("encoding a checkpoint", e);
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).map_err(failed)?;
    for chunk in actions.chunks(BATCH_ROWS) {
        let mut decoder =
            ReaderBuilder::new(schema.clone()).with_batch_size(BATCH_ROWS).build_decoder().spark()?;
        for action in chunk {
            decoder.decode(action.to_json()?.as_bytes()).spark()?;
            decoder.decode(b"\n").spark()?;
        }
        if let Some(batch) = decoder.flush().spark()? {
            writer.write(&batch).map_err(failed)?;
        }
    }
    writer.into_inner().map_err(failed)
}

/// The columns of a checkpoint ("Checkpoint Schema" in PROTOCOL.md).
fn schema() -> StructType {
    let text = |name: &str| field(name, DataType::STRING);
    let long = |name: &str| field(name, DataType::Long);
    let int = |name: &str| field(name, DataType::Integer);
    let flag = |name: &str| field(name, DataType::Boolean);
    let texts = |name: &str| field(name, strings());
    let names = |name: &str| field(name, DataType::array(DataType::STRING, true));
    let group = |name: &str, fields| field(name, DataType::structure(fields));
    let vector = || {
        group(
            "deletionVector",
            vec![
                text("storageType"),
                text("pathOrInlineDv"),
                int("offset"),
                int("sizeInBytes"),
                long("cardinality"),
            ],
        )
    };
    StructType::new(vec![
        group("txn", vec![text("appId"), long("version"), long("lastUpdated")]),
        group(
            "add",
            vec![
                text("path"),
                texts("partitionValues"),
                long("size"),
                long("modificationTime"),
                flag("dataChange"),
                texts("tags"),
                vector(),
                long("baseRowId"),
                long("defaultRowCommitVersion"),
                text("clusteringProvider"),
                text("stats"),
            ],
        ),
        group(
            "remove",
            vec![
                text("path"),
                long("deletionTimestamp"),
                flag("dataChange"),
                flag("extendedFileMetadata"),
                texts("partitionValues"),
                long("size"),
                vector(),
                long("baseRowId"),
                long("defaultRowCommitVersion"),
            ],
        ),
        group(
            "metaData",
            vec![
                text("id"),
                text("name"),
                text("description"),
                group("format", vec![text("provider"), texts("options")]),
                text("schemaString"),
                names("partitionColumns"),
                texts("configuration"),
                long("createdTime"),
            ],
        ),
        group(
            "protocol",
            vec![
                int("minReaderVersion"),
                int("minWriterVersion"),
                names("readerFeatures"),
                names("writerFeatures"),
            ],
        ),
        group("domainMetadata", vec![text("domain"), text("configuration"), flag("removed")]),
    ])
}
