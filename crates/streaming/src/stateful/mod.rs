//! Queries with watermarks and state.
//!
//! `check.rs` refuses what Spark refuses; `run.rs` runs a batch; an operator has a file; `store.rs` is what they remember.
//! The state of batch N is version N + 1 of the stores; its ids go into `commits/N`.

mod aggregate;
mod check;
mod deduplicate;
mod join;
mod limit;
mod run;
mod store;
mod times;
mod watermark;

use std::time::Instant;

use arrow::datatypes::FieldRef;
use boathouse_spec::Result;
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::checkpoint::Directory;
pub(crate) use check::{Shape, check};
pub(crate) use run::Batches;
use store::StateStore;
use times::Times;
pub(crate) use watermark::Seen;

/// By operator: by partition: the ids of its stores, as the commit log has them.
pub(crate) type StateIds = IndexMap<String, Vec<Vec<String>>>;

/// What all stateful operators of a query remember.
pub(crate) struct State {
    directory: Directory,
    operators: Vec<Operator>,
    /// Operators met so far in this batch.
    met: usize,
    /// The version to begin with, and its ids: what the last batch that is done left.
    committed: Option<(i64, StateIds)>,
}

pub(crate) struct Operator {
    id: usize,
    name: &'static str,
    /// Told of by another operator: the second side of a join.
    is_part: bool,
    directory: Directory,
    committed: Option<(i64, String)>,
    store: Option<StateStore>,
    progress: OperatorProgress,
    commit_ms: i64,
}

#[derive(Debug, Default)]
struct OperatorProgress {
    updated: usize,
    removed: usize,
    dropped: usize,
    duplicates: usize,
}

impl State {
    pub fn new(directory: Directory, committed: Option<(i64, StateIds)>) -> Self {
        Self { directory, operators: Vec::new(), met: 0, committed }
    }

    fn begin(&mut self) {
        self.met = 0;
        for operator in &mut self.operators {
            operator.progress = OperatorProgress::default();
        }
    }

    /// The next operator of the plan: the order is the same in every batch.
    fn next(&mut self, name: &'static str) -> &mut Operator {
        let id = self.met;
        self.met += 1;
        if id == self.operators.len() {
            let known = self.committed.as_ref().and_then(|(version, ids)| {
                Some((*version, ids.get(&id.to_string())?.first()?.first()?.clone()))
            });
            self.operators.push(Operator {
                id,
                name,
                is_part: name.is_empty(),
                directory: self.directory.child(&format!("{id}/0")),
                committed: known,
                store: None,
                progress: OperatorProgress::default(),
                commit_ms: 0,
            });
        }
        &mut self.operators[id]
    }

    /// Writes what the operators remember after a batch.
    pub async fn commit(&mut self, batch_id: i64) -> Result<StateIds> {
        let mut ids = StateIds::new();
        for operator in &mut self.operators {
            let from = Instant::now();
            if let Some(store) = &mut operator.store {
                let id = store.commit(batch_id + 1).await?;
                ids.insert(operator.id.to_string(), vec![vec![id]]);
            }
            operator.commit_ms = i64::try_from(from.elapsed().as_millis()).unwrap_or(i64::MAX);
        }
        Ok(ids)
    }

    /// The operators' part of the progress report.
    pub fn progress(&self) -> Vec<Value> {
        self.operators.iter().filter(|o| !o.is_part).map(Operator::progress_json).collect()
    }
}

impl Operator {
    /// The store; opened at the first use, when its columns are known.
    async fn store(
        &mut self,
        _batches: &Batches,
        keys: Vec<FieldRef>,
        values: Vec<FieldRef>,
        time: Option<usize>,
    ) -> Result<&mut StateStore> {
        let store = match self.store.take() {
            Some(store) => store,
            None => {
                let committed = self.committed.as_ref().map(|(version, id)| (*version, id.as_str()));
                StateStore::open(self.directory.clone(), keys, values, time, committed).await?
            }
        };
        Ok(self.store.insert(store))
    }

    fn progress_json(&self) -> Value {
        let p = &self.progress;
        let mut metrics = serde_json::Map::new();
        if self.name.starts_with("dedupe") {
            metrics.insert("numDroppedDuplicateRows".into(), p.duplicates.into());
        }
        json!({
            "operatorName": self.name,
            "numRowsTotal": self.store.as_ref().map_or(0, StateStore::len),
            "numRowsUpdated": p.updated,
            "allUpdatesTimeMs": 0,
            "numRowsRemoved": p.removed,
            "allRemovalsTimeMs": 0,
            "commitTimeMs": self.commit_ms,
            "memoryUsedBytes": self.store.as_ref().map_or(0, StateStore::bytes),
            "numRowsDroppedByWatermark": p.dropped,
            "numShufflePartitions": 1,
            "numStateStoreInstances": 1,
            "customMetrics": metrics,
        })
    }
}
