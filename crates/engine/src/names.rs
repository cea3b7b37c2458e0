//! What names mean in a session: qualification by the current catalog and schema.

use boathouse_catalog::{ObjectName, SESSION_CATALOG, SchemaName};
use boathouse_spec::{Error, Result, quote_name};

use crate::Session;

/// The schema of global temporary views.
pub(crate) const GLOBAL_TEMP: &str = "global_temp";

/// A relation's name in a session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RelationName {
    /// One part: a temporary view where there is one, else a table of the current schema.
    Bare(String),
    /// `global_temp.name`
    GlobalTemp(String),
    Qualified(ObjectName),
}

impl Session {
    /// The full name of a table, view or function that is kept in the catalog.
    pub(crate) fn object_name(&self, name: &[String]) -> Result<ObjectName> {
        let (catalog, schema) = self.current_namespace();
        qualify(name, &catalog, &schema)
    }

    /// The same for a statement that changes the catalog: a first part that names no catalog makes the name too long.
    pub(crate) async fn known_object_name(&self, name: &[String]) -> Result<ObjectName> {
        if let [catalog, _, _] = name
            && self.engine.catalog.find_catalog(catalog).await?.is_none()
        {
            return Err(single_part_namespace(name));
        }
        self.object_name(name)
    }

    /// The full name of a schema.
    pub(crate) fn schema_name(&self, name: &[String]) -> Result<SchemaName> {
        match name {
            [schema] => Ok(SchemaName::new(&self.namespace.read().0, schema)),
            [catalog, schema] => Ok(SchemaName::new(catalog, schema)),
            _ => Err(single_part_namespace(name)),
        }
    }

    /// The schema a statement is about: the named one, or the current.
    pub(crate) fn schema_or_current(&self, name: Option<&[String]>) -> Result<SchemaName> {
        match name {
            Some(name) => self.schema_name(name),
            None => {
                let (catalog, schema) = self.current_namespace();
                Ok(SchemaName { catalog, schema })
            }
        }
    }
}

/// The full name in a namespace.
pub(crate) fn qualify(name: &[String], catalog: &str, schema: &str) -> Result<ObjectName> {
    match name {
        [table] => Ok(ObjectName::new(catalog, schema, table)),
        [schema, table] => Ok(ObjectName::new(catalog, schema, table)),
        [catalog, schema, table] => Ok(ObjectName::new(catalog, schema, table)),
        _ => Err(single_part_namespace(name)),
    }
}

/// What a name can mean in a namespace.
pub(crate) fn relation_name(name: &[String], catalog: &str, schema: &str) -> Result<RelationName> {
    match name {
        [bare] => Ok(RelationName::Bare(bare.clone())),
        [first, view] if first.eq_ignore_ascii_case(GLOBAL_TEMP) => {
            Ok(RelationName::GlobalTemp(view.clone()))
        }
        _ => qualify(name, catalog, schema).map(RelationName::Qualified),
    }
}

pub(crate) fn single_part_namespace(name: &[String]) -> Error {
    Error::new("REQUIRES_SINGLE_PART_NAMESPACE")
        .param("sessionCatalog", SESSION_CATALOG)
        .param("identifier", quote_name(name))
        .message(format!(
            "{} has too many or too few parts: a name is catalog.schema.name, schema.name or name.",
            quote_name(name)
        ))
        .exception("AnalysisException")
}

/// `TABLE_OR_VIEW_NOT_FOUND` with the name as the user wrote it.
pub(crate) fn not_found(name: &[String], path: &[String]) -> Error {
    Error::new("TABLE_OR_VIEW_NOT_FOUND")
        .param("relationName", quote_name(name))
        .param("searchPath", format!("[{}]", path.join(", ")))
        .message(format!(
            "There is no table or view {}. Check the spelling, or name its schema and catalog. \
             DROP tolerates this with IF EXISTS.",
            quote_name(name)
        ))
        .exception("AnalysisException")
}

/// Whether a name matches a pattern of SHOW: `*` for anything, `|` between alternatives, the case not counting.
pub(crate) fn matches_pattern(name: &str, pattern: &str) -> bool {
    let name = name.to_lowercase();
    // Spaces around an alternative are part of it.
    pattern.trim().split('|').any(|alternative| {
        let text: String = alternative
            .to_lowercase()
            .split('*')
            .map(|literal| literal.to_string())
            .collect::<Vec<_>>()
            .join(".*");
        // As in Spark the rest of the pattern is a regular expression; one that is none matches nothing.
        fancy_regex::Regex::new(&format!("^(?:{text})$")).is_ok_and(|r| r.is_match(&name).unwrap_or(false))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_sparks() {
        assert!(matches_pattern("show_t1", "show_t*"));
        assert!(matches_pattern("show_t1", "show_t1*|show_t2*"));
        assert!(matches_pattern("A", "a"));
        assert!(!matches_pattern("ab", "a"));
        assert!(matches_pattern("ab", " a* "));
        assert!(!matches_pattern("ab", "x | ab"));
    }

    #[test]
    fn too_many_parts() {
        let name: Vec<String> = ["a", "b", "c", "d"].map(str::to_string).to_vec();
        assert_eq!(qualify(&name, "x", "y").unwrap_err().class(), "REQUIRES_SINGLE_PART_NAMESPACE");
    }
}
