//! `SHOW COLLATIONS`.

use boathouse_functions::collation::{self, Collation};
use boathouse_spec::{Result, StructType};

use crate::QueryResult;
use crate::names::matches_pattern;
use crate::rows::{self, Value, text};

/// Of the ICU that Spark has.
const ICU_VERSION: &str = "78.3.0.0";

pub(super) fn schema() -> StructType {
    StructType::new(vec![
        text("NAME", false),
        text("LANGUAGE", true),
        text("COUNTRY", true),
        text("ACCENT_SENSITIVITY", false),
        text("CASE_SENSITIVITY", false),
        text("PAD_ATTRIBUTE", false),
        text("ICU_VERSION", true),
    ])
}

pub(super) fn run(pattern: Option<&str>) -> Result<QueryResult> {
    let rows = collation::all()
        .into_iter()
        .filter(|c| pattern.is_none_or(|p| matches_pattern(&c.name(), p)))
        .map(|c| row(&c))
        .collect();
    rows::result(schema(), rows)
}

fn row(c: &Collation) -> Vec<Value> {
    let shown = |text: Option<&str>| text.filter(|t| !t.is_empty()).map_or(Value::Null, Value::from);
    let locale = c.locale();
    vec![
        c.name().into(),
        shown(locale.map(|l| l.language)),
        shown(locale.map(|l| l.country)),
        if c.ignores_accents() { "ACCENT_INSENSITIVE" } else { "ACCENT_SENSITIVE" }.into(),
        if c.ignores_case() { "CASE_INSENSITIVE" } else { "CASE_SENSITIVE" }.into(),
        if c.trims() { "RTRIM" } else { "NO_PAD" }.into(),
        shown(locale.map(|_| ICU_VERSION)),
    ]
}
