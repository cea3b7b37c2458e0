//! Functions that live as long as the session: temporary SQL functions and Python functions registered under a name.

use std::collections::BTreeMap;
use std::sync::Arc;

use boathouse_catalog::{FunctionRecord, ObjectName};
use boathouse_spec::{Error, PythonFunction};
use parking_lot::RwLock;

#[derive(Debug, Clone)]
pub(crate) enum SessionFunction {
    /// `CREATE TEMPORARY FUNCTION f(..) RETURN ..`
    Sql(Arc<FunctionRecord>),
    /// `spark.udf.register`
    Python { function: Arc<PythonFunction>, deterministic: bool, is_table_function: bool },
}

/// By lower-case name.
#[derive(Debug, Default)]
pub(crate) struct SessionFunctions {
    all: RwLock<BTreeMap<String, SessionFunction>>,
}

impl Clone for SessionFunctions {
    fn clone(&self) -> Self {
        Self { all: RwLock::new(self.all.read().clone()) }
    }
}

impl SessionFunctions {
    pub fn get(&self, name: &str) -> Option<SessionFunction> {
        let all = self.all.read();
        if all.is_empty() { None } else { all.get(&name.to_lowercase()).cloned() }
    }

    pub fn is_empty(&self) -> bool {
        self.all.read().is_empty()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Puts a function; false (and nothing changed) where the name is taken and `replace` is not wanted.
    pub fn put(&self, name: &str, function: SessionFunction, replace: bool) -> bool {
        let mut all = self.all.write();
        let key = name.to_lowercase();
        if !replace && all.contains_key(&key) {
            return false;
        }
        all.insert(key, function);
        true
    }

    pub fn remove(&self, name: &str) -> bool {
        self.all.write().remove(&name.to_lowercase()).is_some()
    }

    pub fn names(&self) -> Vec<String> {
        self.all.read().keys().cloned().collect()
    }
}

/// The function, in lower case, that a name means among those that are built in: `f`, `builtin.f` or `system.builtin.f`.
pub(crate) fn builtin_name(name: &[String]) -> Option<String> {
    within("builtin", name).map(str::to_lowercase)
}

/// The function that a name means among those of the session: `f`, `session.f` or `system.session.f`.
pub(crate) fn session_name(name: &[String]) -> Option<&str> {
    within("session", name)
}

fn within<'a>(schema: &str, name: &'a [String]) -> Option<&'a str> {
    match name {
        [function] => Some(function),
        [s, function] if s.eq_ignore_ascii_case(schema) => Some(function),
        [system, s, function] if system.eq_ignore_ascii_case("system") && s.eq_ignore_ascii_case(schema) => {
            Some(function)
        }
        _ => None,
    }
}

/// What the language of a function says that is a class of the JVM: its body is the class's name. Such a function may be
/// declared, described and dropped; whoever calls it learns that the class cannot be loaded.
pub(crate) const JAVA: &str = "JAVA";

pub(crate) fn is_class(function: &FunctionRecord) -> bool {
    function.language == JAVA
}

pub(crate) fn cannot_load(class: &str, name: &ObjectName) -> Error {
    Error::new("CANNOT_LOAD_FUNCTION_CLASS")
        .param("className", class)
        .param("functionName", name.quoted())
        .message(format!(
            "The class {class} cannot be loaded: there is no JVM here. Write the function in SQL."
        ))
        .exception("AnalysisException")
}
