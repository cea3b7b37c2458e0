//! Table functions of the services around the engine: `event_log('p')`. They give a relation in place of the call.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_spec::{Literal, Relation, Result};
use dashmap::DashMap;

use crate::Session;

/// A function in FROM whose arguments are constants.
#[async_trait]
pub trait TableFunction: Send + Sync {
    /// The relation that stands for the call. It is analyzed with the permissions of the session, as any other.
    async fn relation(&self, session: &Arc<Session>, args: Vec<Literal>) -> Result<Relation>;
}

/// Functions by lower-case name.
#[derive(Default)]
pub(crate) struct TableFunctions(DashMap<String, Arc<dyn TableFunction>>);

impl TableFunctions {
    pub fn put(&self, name: &str, function: Arc<dyn TableFunction>) {
        self.0.insert(name.to_lowercase(), function);
    }

    pub fn get(&self, name: &str) -> Option<Arc<dyn TableFunction>> {
        self.0.get(name).map(|f| Arc::clone(f.value()))
    }
}
