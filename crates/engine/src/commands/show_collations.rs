//! `SHOW COLLATIONS`.

use boathouse_spec::{Result, StructType};

use crate::QueryResult;
use crate::names::matches_pattern;
use crate::rows::{self, Value, text};

/// Name, case sensitivity, whether trailing spaces count.
const COLLATIONS: &[(&str, &str, &str)] = &[
    ("UTF8_BINARY", "CASE_SENSITIVE", "NO_PAD"),
    ("UTF8_LCASE", "CASE_INSENSITIVE", "NO_PAD"),
    ("UTF8_BINARY_RTRIM", "CASE_SENSITIVE", "RTRIM"),
    ("UTF8_LCASE_RTRIM", "CASE_INSENSITIVE", "RTRIM"),
];

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
    let rows = COLLATIONS
        .iter()
        .filter(|(name, _, _)| pattern.is_none_or(|p| matches_pattern(name, p)))
        .map(|(name, case, pad)| {
            vec![
                Value::from(*name),
                Value::Null,
                Value::Null,
                "ACCENT_SENSITIVE".into(),
                (*case).into(),
                (*pad).into(),
                Value::Null,
            ]
        })
        .collect();
    rows::result(schema(), rows)
}
