//! Writing checkpoints: classic ones, and by the V2 spec with sidecars where `delta.checkpointPolicy` is `v2`.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use boathouse_spec::{Error, Result, clock, fault};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt, PutMode};
use parquet::arrow::AsyncArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use super::columns::{CheckpointColumns, Contents};
use crate::action::{Action, Remove};
use crate::data_file::Output;
use crate::log::{LAST_CHECKPOINT, kernel, put_derived};
use crate::snapshot::Snapshot;

/// Rows made Arrow at a time.
const BATCH_ROWS: usize = 8192;
/// Files in a sidecar.
const SIDECAR_FILES: usize = 50_000;

/// What a reader needs to know beside the files.
struct Rest {
    /// Protocol, metadata, transactions, domains.
    about: Vec<Action>,
    removed: Vec<Remove>,
}

/// Writes the checkpoint of a version, and the hint that it is there.
pub(super) async fn write(table: &Snapshot) -> Result<()> {
    write_with(table, SIDECAR_FILES).await
}

/// The same with so many files in a sidecar.
pub(crate) async fn write_with(table: &Snapshot, sidecar_files: usize) -> Result<()> {
    let rest = rest(table).await?;
    let adds = table.files().await?.len();
    let rows = rest.about.len() + rest.removed.len() + adds;
    // The table's files are encoded on the log's threads: a query's must not wait for them.
    let table_of_task = table.clone();
    let hint = kernel::spawn(async move {
        if is_v2(&table_of_task) {
            v2(&table_of_task, rest, sidecar_files).await
        } else {
            classic(&table_of_task, rest).await
        }
    })
    .await?;
    fault::point("delta::after-checkpoint-file")?;
    let mut content = json!({ "version": table.version(), "size": rows, "numOfAddFiles": adds });
    if let (Some(content), Value::Object(hint)) = (content.as_object_mut(), hint) {
        content.extend(hint);
    }
    put_hint(table, &content).await
}

fn is_v2(table: &Snapshot) -> bool {
    table.property("delta.checkpointPolicy") == Some("v2") && table.protocol().has("v2Checkpoint")
}

async fn classic(table: &Snapshot, rest: Rest) -> Result<Value> {
    let columns = CheckpointColumns::new(table, Contents::Classic);
    let name = format!("{:020}.checkpoint.parquet", table.version());
    let mut file = File::create(table, table.location().log_path(&name), &columns)?;
    file.actions(&columns, &rest.about, &[]).await?;
    file.removed(&columns, rest.removed).await?;
    let mut files = table.files().await?.iter();
    loop {
        let chunk: Vec<_> = files.by_ref().take(BATCH_ROWS).collect();
        if chunk.is_empty() {
            break;
        }
        file.write(&columns.of_files(&chunk)?).await?;
    }
    let meta = file.close().await?;
    Ok(json!({ "sizeInBytes": meta.size }))
}

async fn v2(table: &Snapshot, rest: Rest, sidecar_files: usize) -> Result<Value> {
    let columns = CheckpointColumns::new(table, Contents::Sidecar);
    let mut sidecars = Vec::new();
    let mut removed = rest.removed;
    let files = table.files().await?;
    let mut files = files.iter();
    loop {
        let share: Vec<_> = files.by_ref().take(sidecar_files).collect();
        if share.is_empty() && removed.is_empty() {
            break;
        }
        let path = table.location().sidecar_path(&format!("{}.parquet", uuid::Uuid::new_v4()));
        let mut file = File::create(table, path, &columns)?;
        file.removed(&columns, std::mem::take(&mut removed)).await?;
        for chunk in share.chunks(BATCH_ROWS) {
            file.write(&columns.of_files(chunk)?).await?;
        }
        sidecars.push(file.close().await?);
    }
    let columns = CheckpointColumns::new(table, Contents::Manifest);
    let name = format!("{:020}.checkpoint.{}.parquet", table.version(), uuid::Uuid::new_v4());
    let mut file = File::create(table, table.location().log_path(&name), &columns)?;
    let mut extra = vec![json!({ "checkpointMetadata": { "version": table.version() } })];
    extra.extend(sidecars.iter().map(|meta| {
        json!({ "sidecar": {
            "path": meta.location.filename(),
            "sizeInBytes": meta.size,
            "modificationTime": meta.last_modified.timestamp_millis(),
        }})
    }));
    file.actions(&columns, &rest.about, &extra).await?;
    let meta = file.close().await?;
    let size = meta.size + sidecars.iter().map(|m| m.size).sum::<u64>();
    Ok(json!({
        "sizeInBytes": size,
        "v2Checkpoint": {
            "path": name,
            "sizeInBytes": meta.size,
            "modificationTime": meta.last_modified.timestamp_millis(),
        },
    }))
}

/// A file of a checkpoint in the making. It has its name when it is whole.
struct File<'a> {
    table: &'a Snapshot,
    path: Path,
    writer: AsyncArrowWriter<Output>,
}

impl<'a> File<'a> {
    fn create(table: &'a Snapshot, path: Path, columns: &CheckpointColumns) -> Result<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let output = Output::whole(table.location(), &path);
        let writer = AsyncArrowWriter::try_new(output, columns.schema().clone(), Some(properties))
            .map_err(|e| Error::io(format!("writing {path}"), e))?;
        Ok(Self { table, path, writer })
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).await.map_err(|e| Error::io(format!("writing {}", self.path), e))
    }

    async fn actions(
        &mut self,
        columns: &CheckpointColumns,
        actions: &[Action],
        extra: &[Value],
    ) -> Result<()> {
        if let Some(batch) = columns.of_actions(actions, extra)? {
            self.write(&batch).await?;
        }
        Ok(())
    }

    async fn removed(&mut self, columns: &CheckpointColumns, removed: Vec<Remove>) -> Result<()> {
        let removed: Vec<_> = removed.into_iter().map(Action::Remove).collect();
        for chunk in removed.chunks(BATCH_ROWS) {
            self.actions(columns, chunk, &[]).await?;
        }
        Ok(())
    }

    /// What is behind this survives a crash: log files that it stands for may be deleted then.
    async fn close(self) -> Result<ObjectMeta> {
        let failed = |e: &dyn std::fmt::Display| Error::io(format!("writing {}", self.path), e);
        self.writer.close().await.map_err(|e| failed(&e))?;
        let location = self.table.location();
        location.store().head(&self.path).await.map_err(|e| failed(&e))
    }
}

/// What the log tells of the table at its version beside its files.
async fn rest(table: &Snapshot) -> Result<Rest> {
    let now = clock::now_ms();
    // How long VACUUM needs to know of removed files.
    let cutoff = now.saturating_sub(table.deleted_file_retention_ms());
    // Spark keeps transactions for good unless this is set.
    let expired = table.interval_ms("delta.setTransactionRetentionDuration").map(|ms| now.saturating_sub(ms));
    let mut about =
        vec![Action::Protocol(table.protocol().clone()), Action::Metadata(table.metadata().clone())];
    let mut removed = Vec::new();
    let files = table.files().await?;
    let (mut apps, mut domains, mut seen) = (HashSet::new(), HashSet::new(), HashSet::new());
    let kinds = &["remove", "txn", "domainMetadata"];
    for action in super::actions(table.location(), table.version(), kinds).await? {
        // The latest comes first.
        match action {
            Action::Txn(txn) if apps.insert(txn.app_id.clone()) => {
                let is_expired = expired.zip(txn.last_updated).is_some_and(|(cutoff, at)| at <= cutoff);
                if !is_expired {
                    about.push(Action::Txn(txn));
                }
            }
            Action::DomainMetadata(d) if domains.insert(d.domain.clone()) && !d.removed => {
                about.push(Action::DomainMetadata(d));
            }
            Action::Remove(mut r) if r.deletion_timestamp.unwrap_or(0) >= cutoff => {
                let key = r.key();
                if !files.contains(&key) && seen.insert(key) {
                    r.data_change = false;
                    r.stats = None;
                    removed.push(r);
                }
            }
            _ => {}
        }
    }
    Ok(Rest { about, removed })
}

/// Writes `_last_checkpoint`, unless another writer's hint is of a later version.
async fn put_hint(table: &Snapshot, content: &Value) -> Result<()> {
    let location = table.location();
    let path = location.log_path(LAST_CHECKPOINT);
    if let Ok(found) = location.store().get(&path).await
        && let Ok(bytes) = found.bytes().await
        && let Ok(hint) = serde_json::from_slice::<Value>(&bytes)
        && hint.get("version").and_then(Value::as_i64).is_some_and(|v| v > table.version())
    {
        return Ok(());
    }
    let content = content.to_string().into_bytes();
    put_derived(location, &path, content, PutMode::Overwrite).await
}
