//! Queries with watermarks and state.
//!
//! `check.rs` refuses what Spark refuses; `run.rs` runs a batch; an operator has a file; `store.rs` is what they remember.
//! The state of batch N is version N + 1 of the stores; its ids go into `commits/N`.

mod aggregate;
mod check;
mod deduplicate;
mod join;
mod limit;
mod python;
mod run;
mod store;
mod times;
mod watermark;

use std::time::Instant;

use boathouse_spec::{Error, Result};
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::checkpoint::Directory;
pub(crate) use check::{Shape, check};
pub(crate) use run::Batches;
use store::{Layout, StateStore};
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
    directory: Directory,
    /// A version, and the ids of its stores.
    committed: Option<(i64, Vec<String>)>,
    stores: Vec<StateStore>,
    progress: OperatorProgress,
    commit_ms: i64,
    /// Whether it is called at times of the clock, also where there are no rows.
    wakes: bool,
}

#[derive(Debug, Default)]
struct OperatorProgress {
    updated: usize,
    removed: usize,
    dropped: usize,
    duplicates: usize,
    /// The rows of state, where they are counted in another way.
    total: Option<usize>,
    /// Figures of the operator's own.
    custom: serde_json::Map<String, Value>,
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
            let known = self
                .committed
                .as_ref()
                .and_then(|(version, ids)| Some((*version, ids.get(&id.to_string())?.first()?.clone())));
            self.operators.push(Operator {
                id,
                name,
                directory: self.directory.child(&format!("{id}/0")),
                committed: known,
                stores: Vec::new(),
                progress: OperatorProgress::default(),
                commit_ms: 0,
                wakes: false,
            });
        }
        &mut self.operators[id]
    }

    /// Whether something is over at a time of the clock, in milliseconds, that an operator is to be called for.
    pub fn is_due(&self, now_ms: i64) -> bool {
        let wakes = self.operators.iter().filter(|o| o.wakes).flat_map(|o| &o.stores);
        wakes.filter_map(StateStore::first_time).any(|first_us| first_us.div_euclid(1000) < now_ms)
    }

    /// Writes what the operators remember after a batch.
    pub async fn commit(&mut self, batch_id: i64) -> Result<StateIds> {
        let mut ids = StateIds::new();
        for operator in &mut self.operators {
            let from = Instant::now();
            let mut of_stores = Vec::new();
            for store in &mut operator.stores {
                of_stores.push(store.commit(batch_id + 1).await?);
            }
            if !of_stores.is_empty() {
                ids.insert(operator.id.to_string(), vec![of_stores]);
            }
            operator.commit_ms = i64::try_from(from.elapsed().as_millis()).unwrap_or(i64::MAX);
        }
        Ok(ids)
    }

    /// The operators' part of the progress report, what is above before what is below.
    pub fn progress(&self) -> Vec<Value> {
        self.operators.iter().rev().map(Operator::progress_json).collect()
    }
}

impl Operator {
    /// The store of an operator with one; opened at the first use, when its columns are known.
    async fn store(&mut self, layout: Layout) -> Result<&mut StateStore> {
        self.open(0, self.directory.clone(), layout).await
    }

    /// The n-th of several stores; they are opened in their order.
    async fn named_store(&mut self, n: usize, name: &str, layout: Layout) -> Result<&mut StateStore> {
        self.open(n, self.directory.child(name), layout).await
    }

    async fn open(&mut self, n: usize, directory: Directory, layout: Layout) -> Result<&mut StateStore> {
        if n == self.stores.len() {
            let committed = self.committed.as_ref().and_then(|(v, ids)| Some((*v, ids.get(n)?.as_str())));
            self.stores.push(StateStore::open(directory, layout, committed).await?);
        }
        self.stores.get_mut(n).ok_or_else(|| Error::internal("stores are opened in their order"))
    }

    fn progress_json(&self) -> Value {
        let p = &self.progress;
        let mut metrics = p.custom.clone();
        if self.name.starts_with("dedupe") {
            metrics.insert("numDroppedDuplicateRows".into(), p.duplicates.into());
        }
        json!({
            "operatorName": self.name,
            "numRowsTotal": p.total.unwrap_or_else(|| self.stores.iter().map(StateStore::len).sum()),
            "numRowsUpdated": p.updated,
            "allUpdatesTimeMs": 0,
            "numRowsRemoved": p.removed,
            "allRemovalsTimeMs": 0,
            "commitTimeMs": self.commit_ms,
            "memoryUsedBytes": self.stores.iter().map(StateStore::bytes).sum::<usize>(),
            "numRowsDroppedByWatermark": p.dropped,
            "numShufflePartitions": 1,
            "numStateStoreInstances": self.stores.len(),
            "customMetrics": metrics,
        })
    }
}
