//! SQLSTATEs of Spark's error classes. The tables are made by `tools/error_classes.py` from a
//! released Spark (`error_classes.tsv`) and a released delta-spark (`delta_error_classes.tsv`).

use std::collections::HashMap;
use std::sync::LazyLock;

static SQLSTATES: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    include_str!("error_classes.tsv")
        .lines()
        .chain(include_str!("delta_error_classes.tsv").lines())
        .filter_map(|line| line.split_once('\t'))
        .collect()
});

/// The SQLSTATE of an error class or of one of its subclasses; empty where Spark knows none.
pub fn sqlstate(class: &str) -> &'static str {
    let main = class.split('.').next().unwrap_or(class);
    match main {
        // Ours: an operating error below us (SQL/CLI class 58, system error).
        "FAILED_IO" => "58030",
        // Databricks', which Spark does not have.
        "CATALOG_ALREADY_EXISTS" => "42710",
        "CATALOG_NOT_EMPTY" => "2BP01",
        _ => SQLSTATES.get(main).copied().unwrap_or(""),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn subclasses_inherit() {
        assert_eq!(super::sqlstate("DIVIDE_BY_ZERO"), "22012");
        assert_eq!(super::sqlstate("DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE"), "42K09");
    }
}
