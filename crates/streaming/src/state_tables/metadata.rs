//! `state-metadata`: the stateful operators of a query, a row for each of their stores.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use boathouse_spec::{Error, Result};
use serde_json::Value;

use crate::checkpoint::{Checkpoint, lines_v1};

/// A store of an operator, as the checkpoint tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoreInfo {
    pub operator_id: i64,
    pub operator_name: String,
    pub store_name: String,
    pub partitions: i32,
    pub prefix_columns: i32,
}

/// The stores of all operators, in the order of their ids.
pub(super) async fn stores(checkpoint: &Checkpoint) -> Result<Vec<StoreInfo>> {
    let mut found = Vec::new();
    for operator in 0.. {
        let about = checkpoint.root().child(&format!("state/{operator}/_metadata"));
        let Some(text) = about.read_text("metadata").await? else { break };
        let wrong = || {
            Error::new("STREAM_CHECKPOINT_CORRUPT")
                .param("file", format!("{}/metadata", about.display()))
                .message(format!("The file {}/metadata of the checkpoint cannot be used.", about.display()))
        };
        found.extend(parse(&text).ok_or_else(wrong)?);
    }
    Ok(found)
}

fn parse(text: &str) -> Option<Vec<StoreInfo>> {
    let about: Value = serde_json::from_str(lines_v1(text).ok()?.next()?).ok()?;
    let operator = about.get("operatorInfo")?;
    let mut out = Vec::new();
    for store in about.get("stateStoreInfo")?.as_array()? {
        let number = |key: &str| store.get(key).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok());
        out.push(StoreInfo {
            operator_id: operator.get("operatorId")?.as_i64()?,
            operator_name: operator.get("operatorName")?.as_str()?.to_string(),
            store_name: store.get("storeName")?.as_str()?.to_string(),
            partitions: number("numPartitions")?,
            prefix_columns: number("numColsPrefixKey")?,
        });
    }
    Some(out)
}

/// The table: `_numColsPrefixKey` is a hidden column of Spark's, which is asked for by its name.
pub(super) async fn table(checkpoint: &Checkpoint) -> Result<RecordBatch> {
    let stores = stores(checkpoint).await?;
    let done = checkpoint.done().await?;
    let (first, last) = (done.first().copied().unwrap_or(-1), done.last().copied().unwrap_or(-1));
    let longs = |of: fn(&StoreInfo) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(stores.iter().map(of)))
    };
    let texts = |of: fn(&StoreInfo) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(stores.iter().map(of)))
    };
    let each = |n: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![n; stores.len()])) };
    let partitions: ArrayRef = Arc::new(Int32Array::from_iter_values(stores.iter().map(|s| s.partitions)));
    let nothing: ArrayRef = Arc::new(StringArray::new_null(stores.len()));
    RecordBatch::try_from_iter_with_nullable([
        ("operatorId", longs(|s| s.operator_id), true),
        ("operatorName", texts(|s| &s.operator_name), true),
        ("stateStoreName", texts(|s| &s.store_name), true),
        ("numPartitions", partitions, true),
        ("minBatchId", each(first), true),
        ("maxBatchId", each(last), true),
        ("operatorProperties", nothing, true),
    ])
    .map_err(|e| Error::internal(e.to_string()))
}
