//! Where a pipeline keeps what is not a dataset: below its storage, `HOME/pipelines/<name>` unless the user says otherwise.
//!
//! ```text
//! event_log/                                               the Delta table of its events
//! dropped/<catalog>/<schema>/<table>/                      a Delta table of the rows that expectations dropped
//! tables/<catalog>/<schema>/<table>/                       private datasets
//! checkpoints/<catalog>/<schema>/<table>/<flow>/<generation>/   what a streaming flow has read
//! ```
//!
//! A generation is a table's life since it was created or fully refreshed. It is a property of the table, set by the commit
//! that empties it: so a table and what its flows have read never disagree, whenever a process dies.

use boathouse_catalog::ObjectName;

/// Paths of one pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: String,
}

impl Layout {
    pub fn new(storage: &str) -> Self {
        Self { root: storage.trim_end_matches('/').to_string() }
    }

    pub fn event_log(&self) -> String {
        format!("{}/event_log", self.root)
    }

    pub fn dropped(&self, table: &ObjectName) -> String {
        format!("{}/dropped/{}", self.root, directory(table))
    }

    pub fn private_table(&self, table: &ObjectName) -> String {
        format!("{}/tables/{}", self.root, directory(table))
    }

    pub fn checkpoint(&self, table: &ObjectName, flow: &ObjectName, generation: &str) -> String {
        let flow = [&flow.catalog, &flow.schema, &flow.name].map(|p| segment(p)).join(".");
        format!("{}/checkpoints/{}/{flow}/{generation}", self.root, directory(table))
    }
}

fn directory(name: &ObjectName) -> String {
    [&name.catalog, &name.schema, &name.name].map(|p| segment(p)).join("/")
}

/// A name as one part of a path: what is not a letter, digit, `-` or `_` is written as `%` and its bytes.
pub(crate) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_storage() {
        assert_eq!(segment("sales 2024"), "sales%202024");
        assert_eq!(segment("../x"), "%2E%2E%2Fx");
        let layout = Layout::new("/p/");
        let table = ObjectName::new("c", "s", "a b");
        assert_eq!(layout.dropped(&table), "/p/dropped/c/s/a%20b");
    }
}
