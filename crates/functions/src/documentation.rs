//! What Spark says of its functions: usage, arguments and examples, recorded by `tools/record_functions.py`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

#[derive(Deserialize)]
struct Documented {
    name: String,
    /// Function, class, usage and extended usage, as `DESCRIBE FUNCTION EXTENDED` shows them.
    lines: Vec<String>,
}

static DOCUMENTATION: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
    let text = include_str!("documentation.jsonl");
    let parsed = text.lines().filter_map(|line| serde_json::from_str::<Documented>(line).ok());
    parsed.map(|d| (d.name, d.lines)).collect()
});

/// What `DESCRIBE FUNCTION EXTENDED` shows of a built-in function or operator; nothing of those that Spark does not describe.
pub fn documentation(name: &str) -> Option<&'static [String]> {
    DOCUMENTATION.get(name).map(Vec::as_slice)
}

/// The names of Spark's built-in functions and operators.
pub fn documented() -> impl Iterator<Item = &'static str> {
    DOCUMENTATION.keys().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        assert_eq!(DOCUMENTATION.len(), include_str!("documentation.jsonl").lines().count());
        let abs = documentation("abs").unwrap();
        assert_eq!(abs[2], "Usage: abs(expr) - Returns the absolute value of the numeric or interval value.");
    }
}
