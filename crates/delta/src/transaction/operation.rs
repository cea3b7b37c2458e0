//! What a commit says of itself: Spark's operation names and parameters.

use boathouse_spec::Result;
use serde_json::{Map, Value};

/// An operation with its parameters, as `DESCRIBE HISTORY` shows them.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub name: String,
    pub parameters: Map<String, Value>,
}

impl Operation {
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), parameters: Map::new() }
    }

    /// A parameter as text.
    pub fn text(mut self, key: &str, value: impl Into<String>) -> Self {
        self.parameters.insert(key.into(), Value::String(value.into()));
        self
    }

    /// A parameter that is JSON inside a text, such as `partitionBy: "[\"p\"]"`.
    pub fn json(mut self, key: &str, value: &Value) -> Self {
        self.parameters.insert(key.into(), Value::String(value.to_string()));
        self
    }

    /// A parameter as it is: a number, a flag, null.
    pub fn raw(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.parameters.insert(key.into(), value.into());
        self
    }

    /// A list of predicates, `["(id = 1)"]`; empty where there is none.
    pub fn predicates(self, key: &str, predicates: &[String]) -> Self {
        let list = Value::Array(predicates.iter().cloned().map(Value::String).collect());
        self.json(key, &list)
    }
}

/// Figures of an operation, in Spark's order; all are texts in the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Metrics(pub Vec<(String, String)>);

impl Metrics {
    pub fn set(&mut self, key: &str, value: impl ToString) {
        match self.0.iter_mut().find(|(k, _)| k == key) {
            Some((_, v)) => *v = value.to_string(),
            None => self.0.push((key.to_string(), value.to_string())),
        }
    }

    pub fn to_json(&self) -> Result<Value> {
        Ok(Value::Object(self.0.iter().map(|(k, v)| (k.clone(), Value::String(v.clone()))).collect()))
    }
}
