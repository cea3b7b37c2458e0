//! What datasets are called: three parts, as relations of the catalog.

use boathouse_catalog::ObjectName;
use boathouse_spec::{Error, Result};

/// The full name of a dataset as users write it; short names are in the pipeline's catalog and schema. A leading `LIVE` is
/// what older pipelines wrote before the names of their own datasets.
pub(crate) fn qualify(name: &[String], namespace: (&str, &str)) -> Option<ObjectName> {
    let name = match name {
        [live, rest @ ..] if live.eq_ignore_ascii_case("live") && !rest.is_empty() => rest,
        _ => name,
    };
    let (catalog, schema) = namespace;
    match name {
        [table] => Some(ObjectName::new(catalog, schema, table)),
        [schema, table] => Some(ObjectName::new(catalog, schema, table)),
        [catalog, schema, table] => Some(ObjectName::new(catalog, schema, table)),
        _ => None,
    }
}

/// The full name of a dataset given as text.
pub(crate) fn parse(text: &str, namespace: (&str, &str)) -> Result<ObjectName> {
    let parts = boathouse_sql::parse_name(text)?;
    qualify(&parts, namespace).ok_or_else(|| {
        Error::new("INVALID_SCHEMA_OR_RELATION_NAME")
            .param("name", text)
            .message(format!("'{text}' cannot be the name of a dataset: it has more than three parts."))
            .exception("AnalysisException")
    })
}

/// A name as it is shown: `catalog.schema.table`.
pub(crate) fn shown(name: &ObjectName) -> String {
    name.parts().iter().map(|p| boathouse_spec::quote_if_needed(p)).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_in_the_pipelines_schema() {
        let name =
            |text: &str| parse(text, ("main", "sales")).map(|n| shown(&n)).map_err(|e| e.class().to_string());
        assert_eq!(name("Bronze"), Ok("main.sales.bronze".to_string()));
        assert_eq!(name("LIVE.bronze"), Ok("main.sales.bronze".to_string()));
        assert_eq!(name("other.bronze"), Ok("main.other.bronze".to_string()));
        assert_eq!(name("a.b.`c d`"), Ok("a.b.`c d`".to_string()));
        assert_eq!(name("a.b.c.d"), Err("INVALID_SCHEMA_OR_RELATION_NAME".to_string()));
    }
}
