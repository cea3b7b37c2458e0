//! Temporary views: names for queries, kept by a session (or, the global ones, by the engine).

use std::collections::HashMap;
use std::sync::Arc;

use boathouse_catalog::Properties;
use boathouse_spec::{Relation, StructType};
use parking_lot::RwLock;

/// A temporary view. Views of SQL text see the temporary views of the time they are used; views of DataFrames see
/// those of the time they were made (`spark.table("v").filter(..).createOrReplaceTempView("v")` is no cycle).
#[derive(Debug, Clone)]
pub struct TempView {
    pub relation: Relation,
    /// The SQL text, for views made by SQL.
    pub text: Option<String>,
    /// Output columns as they were at creation, with comments.
    pub schema: StructType,
    /// The names of these columns in the query; none of a DataFrame.
    pub query_columns: Vec<String>,
    pub comment: Option<String>,
    pub properties: Vec<(String, String)>,
    /// `DEFAULT COLLATION`
    pub collation: Option<String>,
    /// The views that names in `relation` mean; `None`: those of the session at use.
    pub environment: Option<Environment>,
    /// Catalog and schema at creation, for names in `relation`.
    pub namespace: (String, String),
    /// The settings at creation that decide what the query means.
    pub configs: Properties,
}

/// Temporary views by lower-case name, unchanging.
pub type Environment = Arc<HashMap<String, Arc<TempView>>>;

/// The changing set of views of a session.
#[derive(Debug, Default)]
pub struct TempViews {
    current: RwLock<Environment>,
}

impl TempViews {
    pub fn environment(&self) -> Environment {
        Arc::clone(&self.current.read())
    }

    pub fn get(&self, name: &str) -> Option<Arc<TempView>> {
        self.current.read().get(&name.to_lowercase()).cloned()
    }

    /// Puts a view; false (and nothing changed) where the name is taken and `replace` is not wanted.
    pub fn put(&self, name: &str, view: TempView, replace: bool) -> bool {
        let mut current = self.current.write();
        let key = name.to_lowercase();
        if !replace && current.contains_key(&key) {
            return false;
        }
        let mut next = HashMap::clone(&current);
        next.insert(key, Arc::new(view));
        *current = Arc::new(next);
        true
    }

    pub fn remove(&self, name: &str) -> bool {
        let mut current = self.current.write();
        let mut next = HashMap::clone(&current);
        let found = next.remove(&name.to_lowercase()).is_some();
        *current = Arc::new(next);
        found
    }

    pub fn restore(&self, environment: Environment) {
        *self.current.write() = environment;
    }
}
