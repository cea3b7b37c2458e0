//! Statistics of a file that gets a deletion vector ("Per-file Statistics" in PROTOCOL.md).

use super::json::{self, Node};

const TIGHT: &str = "\"tightBounds\":true";

/// The statistics of a file of `rows` rows after some of them are deleted: its bounds still hold, but no row may be at them.
pub(crate) fn loosened(stats: Option<&str>, rows: u64) -> String {
    let bare = || format!("{{\"numRecords\":{rows},\"tightBounds\":false}}");
    let Some(text) = stats.map(str::trim) else { return bare() };
    let Some(root) = json::parse(text) else { return bare() };
    if root.get("numRecords").and_then(Node::as_i64).is_none() {
        return bare();
    }
    match root.get("tightBounds") {
        Some(Node::Boolean(false)) => text.to_string(),
        // Writers put it last; a column of that name has no bounds that are booleans.
        Some(_) => match text.rfind(TIGHT) {
            Some(at) => format!("{}\"tightBounds\":false{}", &text[..at], &text[at + TIGHT.len()..]),
            None => bare(),
        },
        None => match text.strip_suffix('}') {
            Some(head) => format!("{head},\"tightBounds\":false}}"),
            None => bare(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_no_longer_tight() {
        let wide = r#"{"numRecords":3,"minValues":{"a":1.10},"tightBounds":false}"#;
        for (given, wanted) in [
            (Some(r#"{"numRecords":3,"minValues":{"a":1.10},"tightBounds":true}"#), wide),
            (Some(r#"{"numRecords":3,"minValues":{"a":1.10}}"#), wide),
            (Some(wide), wide),
            (Some("{}"), r#"{"numRecords":3,"tightBounds":false}"#),
            (Some("damaged"), r#"{"numRecords":3,"tightBounds":false}"#),
            (None, r#"{"numRecords":3,"tightBounds":false}"#),
        ] {
            assert_eq!(loosened(given, 3), wanted);
        }
    }
}
