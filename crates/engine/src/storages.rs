//! Storage for each set of settings of object stores: sessions that reach stores in the same way share theirs, and what one
//! can reach by its credentials another cannot.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boathouse_connectors::StoreSettings;
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use parking_lot::Mutex;

use crate::execute::template_state;
use crate::storage::Storage;

/// Settings that are kept at a time: tokens that live for an hour make new ones again and again.
const MAX_KEPT: usize = 32;

/// Storage, and the state that a query over it is cloned from: rules and settings, no tables, no functions.
pub(crate) struct Reached {
    pub storage: Arc<Storage>,
    pub state: SessionState,
}

pub(crate) struct Storages {
    home: PathBuf,
    /// That of sessions without settings.
    plain: Arc<Reached>,
    /// The latest used last.
    others: Mutex<Vec<(StoreSettings, Arc<Reached>)>>,
}

impl Storages {
    /// `runtime` has what all share: memory, disk, caches. The plain storage's stores take the place of its own.
    pub fn new(home: &Path, runtime: &RuntimeEnv, parallelism: usize) -> Self {
        let plain = Arc::new(reached(home, StoreSettings::default(), runtime, parallelism));
        Self { home: home.to_path_buf(), plain, others: Mutex::default() }
    }

    pub fn plain(&self) -> &Arc<Reached> {
        &self.plain
    }

    pub fn by(&self, settings: StoreSettings) -> Arc<Reached> {
        if settings.is_empty() {
            return Arc::clone(&self.plain);
        }
        let mut others = self.others.lock();
        let found = match others.iter().position(|(known, _)| *known == settings) {
            Some(i) => others.remove(i),
            None => {
                let state = &self.plain.state;
                let parallelism = state.config().target_partitions();
                let made = reached(&self.home, settings.clone(), state.runtime_env(), parallelism);
                (settings, Arc::new(made))
            }
        };
        let reached = Arc::clone(&found.1);
        others.push(found);
        if others.len() > MAX_KEPT {
            others.remove(0);
        }
        reached
    }
}

fn reached(home: &Path, settings: StoreSettings, runtime: &RuntimeEnv, parallelism: usize) -> Reached {
    let storage = Arc::new(Storage::new(home, settings));
    let runtime = RuntimeEnv { object_store_registry: storage.object_stores(), ..runtime.clone() };
    Reached { state: template_state(Arc::new(runtime), parallelism), storage }
}
