//! Queries from text to rows.

use crate::home::Home;

#[test]
fn the_smallest_query() {
    let home = Home::new();
    assert_eq!(home.rows("SELECT 1"), ["1"]);
    assert_eq!(home.schema("SELECT 1"), ["1: int not null"]);
}

#[test]
fn rows_keep_the_order_of_their_partitions() {
    let home = Home::new();
    let rows = home.rows("SELECT id FROM range(0, 100000) WHERE id % 1000 = 0");
    let expected: Vec<String> = (0..100).map(|i| (i * 1000).to_string()).collect();
    assert_eq!(rows, expected);
    assert_eq!(home.rows("SELECT id FROM range(0, 100000) LIMIT 3"), ["0", "1", "2"]);
}

#[test]
fn a_missing_table_is_named() {
    let home = Home::new();
    let error = home.error("SELECT * FROM nope");
    assert_eq!(error.class(), "TABLE_OR_VIEW_NOT_FOUND");
    let parameters = error.parameters();
    assert!(parameters.contains(&("relationName".into(), "`nope`".into())));
    assert!(parameters.contains(&(
        "searchPath".into(),
        "[`system`.`builtin`, `system`.`session`, `spark_catalog`.`default`]".into()
    )));
}

#[test]
fn explain_has_sparks_sections() {
    let home = Home::new();
    assert!(home.rows("EXPLAIN SELECT 1")[0].starts_with("== Physical Plan =="));
    let extended = home.rows("EXPLAIN EXTENDED SELECT 1 AS a");
    for section in
        ["== Parsed Logical Plan ==", "== Analyzed Logical Plan ==\na: int", "== Optimized Logical Plan =="]
    {
        assert!(extended[0].contains(section), "{}", extended[0]);
    }
}
