//! Row ids for files that are there, and files without them again: what enabling row tracking and dropping it need
//! (delta-spark's `RowTrackingBackfillCommand` and `RowTrackingUnBackfillCommand`).

use std::sync::Arc;

use boathouse_spec::{Error, Result};
use serde_json::{Value, json};

use super::alter::transaction;
use super::delete::DmlOptions;
use crate::action::{Add, Protocol};
use crate::error;
use crate::row_tracking;
use crate::snapshot::Snapshot;
use crate::transaction::Operation;

/// Files that a commit names again (`spark.databricks.delta.backfill.maxNumFilesPerCommit`).
const FILES_PER_COMMIT: usize = 100_000;
/// Others may take files away while they are named again: so often the rest is tried.
const MAX_LOST_RACES: usize = 100;

/// Makes a table ready for `delta.enableRowTracking`: from its protocol on new files get ids, then those that are there.
pub(super) async fn backfill(table: &Snapshot, options: &DmlOptions) -> Result<Snapshot> {
    let mut current = table.clone();
    if !row_tracking::is_supported(current.protocol()) {
        let protocol = current.protocol().with_features(&["rowTracking"]);
        let operation = Operation::new("UPGRADE PROTOCOL").json("newProtocol", &protocol_json(&protocol));
        let mut transaction = transaction(&current, operation, options);
        transaction.protocol = Some(protocol);
        current = transaction.commit().await?.snapshot;
    }
    let lacks = |file: &Add| file.base_row_id.is_none();
    rename_files(current, options, "ROW TRACKING BACKFILL", &lacks, &|file| file).await
}

/// Takes the ids from files, of a table that gives none any more.
pub(super) async fn unbackfill(table: &Snapshot, options: &DmlOptions) -> Result<Snapshot> {
    let has = |file: &Add| file.base_row_id.is_some() || file.default_row_commit_version.is_some();
    let without = |file: Add| Add { base_row_id: None, default_row_commit_version: None, ..file };
    rename_files(table.clone(), options, "ROW TRACKING UNBACKFILL", &has, &without).await
}

/// Names files again that need it, in batches, until there are none.
async fn rename_files(
    mut current: Snapshot,
    options: &DmlOptions,
    operation: &str,
    needs: &(dyn Fn(&Add) -> bool + Sync),
    change: &(dyn Fn(Add) -> Add + Sync),
) -> Result<Snapshot> {
    let mut batch = 0;
    let mut lost = 0;
    loop {
        let files: Vec<Arc<Add>> =
            current.files().await?.iter().filter(|f| needs(f)).take(FILES_PER_COMMIT).collect();
        if files.is_empty() {
            return Ok(current);
        }
        let operation = Operation::new(operation).json("batchId", &json!(batch));
        let mut transaction = transaction(&current, operation, options);
        transaction.blind_append = Some(false);
        transaction.reads.files = files.iter().map(|f| f.key()).collect();
        transaction.add(files.iter().map(|f| change(Add { data_change: false, ..f.as_ref().clone() })));
        match transaction.commit().await {
            Ok(committed) => {
                current = committed.snapshot;
                batch += 1;
            }
            Err(e) if is_lost_race(&e) && lost < MAX_LOST_RACES => {
                lost += 1;
                current = current.update().await?;
            }
            Err(e) => return Err(e),
        }
    }
}

fn is_lost_race(e: &Error) -> bool {
    e.exception_name() == Some(error::CONCURRENT_DELETE_READ)
}

fn protocol_json(protocol: &Protocol) -> Value {
    json!({
        "minReaderVersion": protocol.min_reader_version,
        "minWriterVersion": protocol.min_writer_version,
        "readerFeatures": protocol.reader_features,
        "writerFeatures": protocol.writer_features,
    })
}
