//! The facts that Spark tells of its functions: how they are written, their classes, and since when there are any. Recorded by
//! `tools/record_functions.py`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// A built-in function or operator of Spark's.
#[derive(Deserialize)]
pub struct Documented {
    name: String,
    /// Operators that the parser knows have none.
    class: Option<String>,
    /// How it is written, with the names of its arguments: `abs(expr)`.
    forms: Vec<String>,
    /// The version of Spark that it came with.
    since: Option<String>,
}

impl Documented {
    /// Spark's class, the same for all names of a function.
    pub fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }

    /// What `DESCRIBE FUNCTION` shows.
    pub fn lines(&self, extended: bool) -> Vec<String> {
        let mut lines = vec![format!("Function: {}", self.name)];
        lines.extend(self.class.as_ref().map(|class| format!("Class: {class}")));
        lines.push(format!("Usage: {}", self.forms.join("\n       ")));
        if extended && let Some(since) = &self.since {
            lines.push(format!("Extended Usage:\n    Since: {since}\n"));
        }
        lines
    }
}

static DOCUMENTATION: LazyLock<BTreeMap<String, Documented>> = LazyLock::new(|| {
    let text = include_str!("documentation.jsonl");
    let parsed = text.lines().filter_map(|line| serde_json::from_str::<Documented>(line).ok());
    parsed.map(|d| (d.name.clone(), d)).collect()
});

/// What is known of a built-in function or operator; nothing of those that Spark does not describe.
pub fn documentation(name: &str) -> Option<&'static Documented> {
    DOCUMENTATION.get(name)
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
        assert_eq!(documentation("abs").unwrap().lines(false)[2], "Usage: abs(expr)");
        assert_eq!(documentation("!=").unwrap().lines(true), ["Function: !=", "Usage: expr1 != expr2"]);
    }
}
