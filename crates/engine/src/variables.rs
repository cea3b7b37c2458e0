//! Session variables: `DECLARE`, `SET VAR`.

use std::sync::Arc;

use boathouse_spec::DataType;
use datafusion::scalar::ScalarValue;
use indexmap::IndexMap;
use parking_lot::RwLock;

/// A variable with its present value.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    /// The name as declared.
    pub name: String,
    pub data_type: DataType,
    pub value: ScalarValue,
    /// What `SET VAR v = DEFAULT` sets.
    pub default: ScalarValue,
}

/// The variables of a session, by lower-case name.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    all: RwLock<IndexMap<String, Arc<Variable>>>,
}

impl Clone for Variables {
    fn clone(&self) -> Self {
        Self { all: RwLock::new(self.all.read().clone()) }
    }
}

impl Variables {
    /// The variable that a name of one part, `session.v` or `system.session.v` means.
    pub fn lookup(&self, name: &[String]) -> Option<Arc<Variable>> {
        let last = match name {
            [v] => v,
            [schema, v] if schema.eq_ignore_ascii_case("session") => v,
            [catalog, schema, v]
                if catalog.eq_ignore_ascii_case("system") && schema.eq_ignore_ascii_case("session") =>
            {
                v
            }
            _ => return None,
        };
        self.all.read().get(&last.to_lowercase()).cloned()
    }

    /// Whether a variable of that last name part exists.
    pub fn contains(&self, name: &str) -> bool {
        self.all.read().contains_key(&name.to_lowercase())
    }

    pub fn is_empty(&self) -> bool {
        self.all.read().is_empty()
    }

    pub fn put(&self, variable: Variable) {
        self.all.write().insert(variable.name.to_lowercase(), Arc::new(variable));
    }

    pub fn set(&self, name: &str, value: ScalarValue) {
        if let Some(v) = self.all.write().get_mut(&name.to_lowercase()) {
            Arc::make_mut(v).value = value;
        }
    }

    pub fn remove(&self, name: &str) -> bool {
        self.all.write().shift_remove(&name.to_lowercase()).is_some()
    }
}
