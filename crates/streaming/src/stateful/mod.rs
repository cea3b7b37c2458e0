//! Queries with watermarks and state.
//!
//! `check.rs` refuses what Spark refuses; `run.rs` runs a batch; an operator has a file; `store.rs` is what they remember.
//! The state of batch N is version N + 1 of the stores; its ids go into `commits/N`.

mod aggregate;
mod check;
mod deduplicate;
mod distinct;
mod join;
mod limit;
mod memory;
mod needed;
mod operators;
mod python;
mod run;
mod sessions;
mod spill;
mod store;
mod times;
mod watermark;

use std::sync::Arc;
use std::time::Instant;

use boathouse_spec::{Error, Result};
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::checkpoint::{Checkpoint, Directory, Retention, Settling};
pub(crate) use check::{Shape, changes_rows, check, streams};
pub(crate) use memory::Memory;
pub(crate) use run::{Batches, Marks};
pub(crate) use spill::nameless;
use store::Layout;
pub(crate) use store::StateStore;
use times::Times;
pub(crate) use watermark::Seen;

/// The store of an operator that has one.
pub(crate) const DEFAULT_STORE: &str = "default";

/// By operator: by partition: the ids of its stores, as the commit log has them.
pub(crate) type StateIds = IndexMap<String, Vec<Vec<String>>>;

/// What all stateful operators of a query remember.
pub(crate) struct State {
    directory: Directory,
    retention: Retention,
    operators: Vec<Operator>,
    /// Operators met so far in this batch.
    met: usize,
    /// What the operators take of the engine's memory.
    memory: Arc<Memory>,
    /// The version to begin with, and its ids: what the last batch that is done left.
    committed: Option<(i64, StateIds)>,
    /// Whether the operators are known to be those of the checkpoint.
    is_checked: bool,
}

pub(crate) struct Operator {
    id: usize,
    name: &'static str,
    directory: Directory,
    memory: Arc<Memory>,
    /// A version, and the ids of its stores.
    committed: Option<(i64, Vec<String>)>,
    stores: Vec<StateStore>,
    store_names: Vec<String>,
    /// Whether the checkpoint says what the operator is.
    is_described: bool,
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
    pub fn new(checkpoint: &Checkpoint, memory: Arc<Memory>, committed: Option<(i64, StateIds)>) -> Self {
        let (directory, retention) = (checkpoint.root().child("state"), checkpoint.retention());
        Self { directory, retention, operators: Vec::new(), met: 0, memory, committed, is_checked: false }
    }

    /// Begins a batch with operators of these names, which must be those that the checkpoint has state of.
    pub async fn begin(&mut self, names: &[&'static str]) -> Result<()> {
        if !std::mem::replace(&mut self.is_checked, true) {
            match &self.committed {
                Some((version, ids)) => operators::check(&self.directory, names, *version, ids).await?,
                None => operators::forget(&self.directory, names.len()).await?,
            }
        }
        self.met = 0;
        for operator in &mut self.operators {
            operator.progress = OperatorProgress::default();
        }
        Ok(())
    }

    /// The number of the next operator of the plan: the order is the same in every batch.
    fn enter(&mut self, name: &'static str) -> usize {
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
                memory: Arc::clone(&self.memory),
                committed: known,
                stores: Vec::new(),
                store_names: Vec::new(),
                is_described: false,
                progress: OperatorProgress::default(),
                commit_ms: 0,
                wakes: false,
            });
        }
        id
    }

    fn operator(&mut self, id: usize) -> Result<&mut Operator> {
        self.operators.get_mut(id).ok_or_else(|| Error::internal("an operator that was not met"))
    }

    fn stores(&mut self) -> impl Iterator<Item = &mut StateStore> {
        self.operators.iter_mut().flat_map(|o| &mut o.stores)
    }

    /// Asks for the memory that the operators take; where there is none left, or they take so much that the next batch would not
    /// have enough to run with, their values go to this machine's disk.
    pub fn fit(&mut self) -> Result<()> {
        if self.stores().all(StateStore::fit) {
            return Ok(());
        }
        for store in self.stores() {
            store.spill()?;
        }
        for store in self.stores() {
            store.insist()?;
        }
        Ok(())
    }

    /// Whether something is over at a time of the clock, in milliseconds, that an operator is to be called for.
    pub fn is_due(&self, now_ms: i64) -> bool {
        let wakes = self.operators.iter().filter(|o| o.wakes).flat_map(|o| &o.stores);
        wakes.filter_map(StateStore::first_time).any(|first_us| first_us.div_euclid(1000) < now_ms)
    }

    /// Writes what the operators remember after a batch. The commit log must wait until it has settled.
    pub async fn commit(&mut self, batch_id: i64) -> Result<(StateIds, Settling)> {
        let (directory, retention, is_first) = (&self.directory, self.retention, self.committed.is_none());
        // The disk takes several files at once.
        let commits =
            self.operators.iter_mut().map(|o| o.commit(directory, batch_id + 1, retention, is_first));
        let mut ids = StateIds::new();
        let mut settling = Vec::new();
        for (operator, stores, files) in futures::future::try_join_all(commits).await? {
            settling.push(files);
            if !stores.is_empty() {
                ids.insert(operator, vec![stores]);
            }
        }
        Ok((ids, Settling::together(settling)))
    }

    /// The operators' part of the progress report, what is above before what is below.
    pub fn progress(&self) -> Vec<Value> {
        self.operators.iter().map(Operator::progress_json).collect()
    }
}

impl Operator {
    fn bytes(&self) -> usize {
        self.stores.iter().map(StateStore::bytes).sum()
    }

    /// Writes what the operator remembers as a version; its number, and the ids of its stores.
    async fn commit(
        &mut self,
        directory: &Directory,
        version: i64,
        retention: Retention,
        is_first: bool,
    ) -> Result<(String, Vec<String>, Settling)> {
        let from = Instant::now();
        if !self.is_described {
            let about = operators::place(directory, self.id);
            match is_first {
                // Of a first batch that was broken off, with other operators perhaps.
                true => about.replace("metadata", self.description()).await?,
                false => about.create("metadata", self.description()).await.map(|_| ())?,
            }
            self.is_described = true;
        }
        let stores = self.stores.iter_mut().map(|store| store.commit(version, retention));
        let (ids, files): (Vec<_>, Vec<_>) = futures::future::try_join_all(stores).await?.into_iter().unzip();
        self.commit_ms = i64::try_from(from.elapsed().as_millis()).unwrap_or(i64::MAX);
        Ok((self.id.to_string(), ids, Settling::together(files)))
    }

    /// The store of an operator with one; opened at the first use, when its columns are known.
    async fn store(&mut self, layout: Layout) -> Result<&mut StateStore> {
        self.open(0, DEFAULT_STORE, self.directory.clone(), layout).await
    }

    /// The n-th of several stores; they are opened in their order.
    async fn named_store(&mut self, n: usize, name: &str, layout: Layout) -> Result<&mut StateStore> {
        self.open(n, name, self.directory.child(name), layout).await
    }

    async fn open(
        &mut self,
        n: usize,
        name: &str,
        directory: Directory,
        layout: Layout,
    ) -> Result<&mut StateStore> {
        if n == self.stores.len() {
            let committed = self.committed.as_ref().and_then(|(v, ids)| Some((*v, ids.get(n)?.as_str())));
            self.stores.push(StateStore::open(directory, layout, committed, &self.memory).await?);
            self.store_names.push(name.to_string());
        }
        self.stores.get_mut(n).ok_or_else(|| Error::internal("stores are opened in their order"))
    }

    /// As Spark writes it into the checkpoint (`OperatorStateMetadataV1`).
    fn description(&self) -> String {
        let stores = self
            .store_names
            .iter()
            .map(|name| json!({ "storeName": name, "numColsPrefixKey": 0, "numPartitions": 1 }));
        let about = json!({
            "operatorInfo": { "operatorId": self.id, "operatorName": self.name },
            "stateStoreInfo": stores.collect::<Vec<_>>(),
        });
        crate::checkpoint::with_v1(about)
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
            "memoryUsedBytes": self.bytes(),
            "numRowsDroppedByWatermark": p.dropped,
            "numShufflePartitions": 1,
            "numStateStoreInstances": self.stores.len(),
            "customMetrics": metrics,
        })
    }
}
