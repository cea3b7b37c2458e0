//! Three-level names, normalized to lower case.

use std::fmt;

use boathouse_spec::{Result, quote, quote_name};

use crate::errors;

/// The catalog of a new home, the only one with Spark's Hive-style naming rules.
pub const SESSION_CATALOG: &str = "spark_catalog";
/// The schema of a new catalog. In [`SESSION_CATALOG`] it cannot be dropped.
pub const DEFAULT_SCHEMA: &str = "default";

/// `catalog.schema`
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaName {
    pub catalog: String,
    pub schema: String,
}

/// `catalog.schema.name`, of a table, view or function.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    pub catalog: String,
    pub schema: String,
    pub name: String,
}

impl SchemaName {
    pub fn new(catalog: &str, schema: &str) -> Self {
        Self { catalog: catalog.to_lowercase(), schema: schema.to_lowercase() }
    }

    /// The backticked form of messages.
    pub fn quoted(&self) -> String {
        quote_name(&[&self.catalog, &self.schema])
    }
}

impl ObjectName {
    pub fn new(catalog: &str, schema: &str, name: &str) -> Self {
        Self { catalog: catalog.to_lowercase(), schema: schema.to_lowercase(), name: name.to_lowercase() }
    }

    pub fn schema_name(&self) -> SchemaName {
        SchemaName { catalog: self.catalog.clone(), schema: self.schema.clone() }
    }

    /// The backticked form of messages.
    pub fn quoted(&self) -> String {
        quote_name(&[&self.catalog, &self.schema, &self.name])
    }

    /// The parts, outermost first.
    pub fn parts(&self) -> Vec<String> {
        vec![self.catalog.clone(), self.schema.clone(), self.name.clone()]
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.catalog, self.schema)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.catalog, self.schema, self.name)
    }
}

/// Refuses names that cannot be created. The session catalog has Hive's rule (letters, digits, underscore); other
/// catalogs have Unity Catalog's (no period, space, slash or control character, at most 255 characters).
pub(crate) fn check_new(catalog: &str, name: &str) -> Result<()> {
    let allowed = if catalog == SESSION_CATALOG {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    } else {
        name.chars().all(|c| !matches!(c, '.' | ' ' | '/' | '\u{7f}') && !c.is_control())
    };
    if name.is_empty() || name.chars().count() > 255 || !allowed {
        return Err(errors::invalid_name(&quote(name)));
    }
    Ok(())
}
