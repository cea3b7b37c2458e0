//! Whether a query has the operators that its checkpoint has state of (Spark's `OperatorStateMetadata` and
//! `StateStoreConf.stateSchemaCheck`).

use boathouse_spec::{Error, Result};
use serde_json::Value;

use super::StateIds;
use crate::checkpoint::Directory;

/// What the checkpoint says of an operator.
struct Known {
    name: String,
    has_stores: bool,
}

/// Where the checkpoint describes an operator.
pub(super) fn place(state: &Directory, operator: usize) -> Directory {
    state.child(&format!("{operator}/_metadata"))
}

async fn known(state: &Directory) -> Result<Vec<Known>> {
    let mut found = Vec::new();
    while let Some(text) = place(state, found.len()).read_text("metadata").await? {
        let about: Option<Value> =
            text.split_once('\n').and_then(|(_, json)| serde_json::from_str(json).ok());
        let about = about.unwrap_or_default();
        let stores = about["stateStoreInfo"].as_array();
        found.push(Known {
            name: about["operatorInfo"]["operatorName"].as_str().unwrap_or_default().to_string(),
            has_stores: stores.is_none_or(|stores| !stores.is_empty()),
        });
    }
    Ok(found)
}

/// Refuses operators other than those of the batches before, and state that the commit log does not name.
pub(super) async fn check(state: &Directory, names: &[&str], version: i64, ids: &StateIds) -> Result<()> {
    let known = known(state).await?;
    if !known.iter().map(|k| k.name.as_str()).eq(names.iter().copied()) {
        return Err(match known.is_empty() {
            true => missing(names),
            false => other(&known, names),
        });
    }
    let nameless = |(i, known): &(usize, &Known)| known.has_stores && !ids.contains_key(&i.to_string());
    match known.iter().enumerate().find(nameless) {
        Some((operator, known)) => Err(Error::unsupported(format!(
            "state of the operator {} ({operator}) that batch {} does not name, as that of Apache Spark in {},",
            known.name,
            version - 1,
            state.display()
        ))),
        None => Ok(()),
    }
}

/// Takes away what a first batch that was broken off said of operators beyond so many: the query may have fewer now.
pub(super) async fn forget(state: &Directory, operators: usize) -> Result<()> {
    for operator in operators.. {
        let place = place(state, operator);
        if place.read("metadata").await?.is_none() {
            break;
        }
        place.delete("metadata").await?;
    }
    Ok(())
}

fn shown<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let shown: Vec<String> =
        names.enumerate().map(|(i, name)| format!("(OperatorId: {i} -> OperatorName: {name})")).collect();
    format!("[{}]", shown.join(", "))
}

fn missing(names: &[&str]) -> Error {
    let operators = shown(names.iter().copied());
    Error::new("STREAMING_STATEFUL_OPERATOR_MISSING_STATE_DIRECTORY").param("OpsInCurBatchSeq", &operators).message(format!(
        "Cannot restart streaming query with stateful operators because the state directory is empty or missing.\nStateful operators \
         in current batch: {operators}.\nThis typically occurs when state files have been deleted or the streaming query was \
         previously run without stateful operators but restarted with stateful operators.\nPlease remove the stateful operators, use \
         a new checkpoint location, or restore the missing state files."
    ))
}

fn other(known: &[Known], names: &[&str]) -> Error {
    let (before, now) = (shown(known.iter().map(|k| k.name.as_str())), shown(names.iter().copied()));
    Error::new("STREAMING_STATEFUL_OPERATOR_NOT_MATCH_IN_STATE_METADATA")
        .param("OpsInMetadataSeq", &before)
        .param("OpsInCurBatchSeq", &now)
        .message(format!(
            "Streaming stateful operator name does not match with the operator in state metadata. This likely to happen when user \
             adds/removes/changes stateful operator of existing streaming query.\nStateful operators in the metadata: {before}; \
             Stateful operators in current batch: {now}."
        ))
}
