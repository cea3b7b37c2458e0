//! Tables: made, written, changed, and read at other versions.

use crate::home::Home;

#[test]
fn inserts_follow_the_rules_of_store_assignment() {
    let home = Home::new();
    home.rows("CREATE TABLE t (a INT, b STRING DEFAULT 'd')");
    home.rows("INSERT INTO t VALUES (1, 'x'), (2, DEFAULT)");
    home.rows("INSERT INTO t (a) VALUES (3)");
    home.rows("INSERT INTO t BY NAME SELECT 'y' AS b, 4 AS a");
    home.rows("INSERT INTO t SELECT 5L, 6");
    assert_eq!(home.rows("SELECT * FROM t ORDER BY a"), ["1|x", "2|d", "3|d", "4|y", "5|6"]);
    for (statement, class) in [
        ("INSERT INTO t VALUES ('abc', 'x')", "CAST_INVALID_INPUT"),
        ("INSERT INTO t VALUES (1)", "INSERT_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS"),
        ("INSERT INTO t VALUES (1, 'x', 3)", "DELTA_METADATA_MISMATCH"),
        ("INSERT INTO t VALUES (99999999999, 'x')", "CAST_OVERFLOW_IN_TABLE_INSERT"),
        ("INSERT INTO t (a, a) VALUES (1, 2)", "COLUMN_ALREADY_EXISTS"),
        ("INSERT INTO t (zz) VALUES (1)", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("INSERT INTO t BY NAME SELECT 1 AS a, 2 AS zz", "DELTA_METADATA_MISMATCH"),
        ("INSERT INTO nope VALUES (1)", "TABLE_OR_VIEW_NOT_FOUND"),
    ] {
        assert_eq!(home.class(statement), class, "{statement}");
    }
    assert_eq!(home.rows("SELECT count(*) FROM t"), ["5"], "a write that failed leaves nothing");
}

#[test]
fn lengths_are_checked() {
    let home = Home::new();
    home.rows("CREATE TABLE t (v VARCHAR(3), c CHAR(4))");
    home.rows("INSERT INTO t VALUES ('abc', 'x')");
    assert_eq!(home.rows("SELECT v || '.', c || '.' FROM t WHERE c = 'x'"), ["abc.|x   ."]);
    // Spaces count, as in delta-spark; files of other formats lose them.
    for long in ["'abcd', 'x'", "'abc  ', 'x'", "'a', 'vwxyz'"] {
        assert_eq!(home.class(&format!("INSERT INTO t VALUES ({long})")), "DELTA_EXCEED_CHAR_VARCHAR_LIMIT");
    }
    home.rows("CREATE TABLE p (v VARCHAR(3), c CHAR(4)) USING parquet");
    home.rows("INSERT INTO p VALUES ('abc  ', 'x')");
    assert_eq!(home.rows("SELECT v || '.', c || '.' FROM p"), ["abc.|x   ."]);
    assert_eq!(home.class("INSERT INTO p VALUES ('abcd', 'x')"), "EXCEED_LIMIT_LENGTH");
    assert_eq!(home.rows("DESCRIBE t"), ["v|varchar(3)|NULL", "c|char(4)|NULL"]);
}

#[test]
fn rows_change() {
    let home = Home::new();
    home.rows("CREATE TABLE t (id INT, name STRING, s STRUCT<x: INT, y: INT>)");
    home.rows("INSERT INTO t VALUES (1, 'a', struct(1, 2)), (2, 'b', NULL), (3, 'c', NULL)");
    assert_eq!(home.rows("UPDATE t SET name = 'z', s.x = 10 WHERE id = 1"), ["1"]);
    assert_eq!(home.rows("SELECT name, s.x, s.y FROM t WHERE id = 1"), ["z|10|2"]);
    assert_eq!(home.rows("DELETE FROM t WHERE id = 2"), ["1"]);
    assert_eq!(
        home.rows(
            "MERGE INTO t USING (SELECT 3 AS id, 'cc' AS name UNION ALL SELECT 9, 'n') s ON t.id = s.id \
             WHEN MATCHED THEN UPDATE SET t.name = s.name \
             WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name) \
             WHEN NOT MATCHED BY SOURCE AND t.id = 1 THEN DELETE"
        ),
        ["3|1|1|1"]
    );
    assert_eq!(home.rows("SELECT id, name FROM t ORDER BY id"), ["3|cc", "9|n"]);
    assert_eq!(home.class("UPDATE t SET nope = 1"), "UNRESOLVED_COLUMN.WITH_SUGGESTION");
    assert_eq!(
        home.class("MERGE INTO t USING (SELECT 3 AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET *"),
        "DELTA_MERGE_UNRESOLVED_EXPRESSION"
    );
}

#[test]
fn merge_with_schema_evolution() {
    let home = Home::new();
    home.rows("CREATE TABLE t AS SELECT 1 AS id, 'a' AS name");
    home.rows(
        "MERGE WITH SCHEMA EVOLUTION INTO t USING (SELECT 1 AS id, 5 AS extra UNION ALL SELECT 2, 6) s ON t.id = s.id \
         WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
    );
    assert_eq!(home.rows("SELECT id, name, extra FROM t ORDER BY id"), ["1|a|5", "2|NULL|6"]);
    assert_eq!(home.rows("SHOW COLUMNS IN t"), ["id", "name", "extra"]);
}

#[test]
fn other_versions() {
    let home = Home::new();
    home.rows("CREATE TABLE t AS SELECT 1 AS a");
    home.rows("INSERT INTO t VALUES (2)");
    home.rows("INSERT OVERWRITE t VALUES (3)");
    assert_eq!(home.rows("SELECT a FROM t VERSION AS OF 1 ORDER BY a"), ["1", "2"]);
    assert_eq!(home.rows("SELECT a FROM `t@v0`"), ["1"]);
    assert_eq!(home.class("SELECT a FROM t VERSION AS OF 9"), "DELTA_VERSION_NOT_FOUND");
    home.rows("RESTORE TABLE t TO VERSION AS OF 0");
    assert_eq!(home.rows("SELECT a FROM t"), ["1"]);
    let operations: Vec<String> = home
        .rows("DESCRIBE HISTORY t")
        .iter()
        .filter_map(|r| r.split('|').nth(4).map(str::to_string))
        .collect();
    assert_eq!(operations, ["RESTORE", "WRITE", "WRITE", "CREATE TABLE AS SELECT"]);
}

#[test]
fn tables_at_paths() {
    let home = Home::new();
    let path = home.directory.join("somewhere");
    let at = format!("delta.`{}`", path.display());
    home.rows(&format!("CREATE TABLE t USING delta LOCATION '{}' AS SELECT 1 AS a", path.display()));
    home.rows(&format!("INSERT INTO {at} VALUES (2)"));
    assert_eq!(home.rows("SELECT a FROM t ORDER BY a"), ["1", "2"]);
    home.rows("DROP TABLE t");
    assert_eq!(home.rows(&format!("SELECT count(*) FROM {at}")), ["2"], "an external table keeps its files");
    assert_eq!(home.class("SELECT * FROM delta.`/nope`"), "PATH_NOT_FOUND");
}

#[test]
fn a_dropped_managed_table_leaves_nothing() {
    let home = Home::new();
    home.rows("CREATE TABLE t AS SELECT 1 AS a");
    assert!(home.directory.join("warehouse/t/_delta_log").exists());
    home.rows("DROP TABLE t");
    assert!(!home.directory.join("warehouse/t").exists());
    assert_eq!(home.class("CREATE TABLE t AS SELECT 1 AS a, 2 AS a"), "COLUMN_ALREADY_EXISTS");
    assert!(
        !home.directory.join("warehouse/t").exists(),
        "nothing is left of a table that could not be made"
    );
}

#[test]
fn cached_rows_follow_their_table() {
    let home = Home::new();
    home.rows("CREATE TABLE t AS SELECT 1 AS a");
    home.rows("CACHE TABLE t");
    assert_eq!(home.rows("SELECT count(*) FROM t"), ["1"]);
    home.rows("INSERT INTO t VALUES (2)");
    assert_eq!(home.rows("SELECT count(*) FROM t"), ["2"]);
    home.rows("UNCACHE TABLE t");
    home.rows("UNCACHE TABLE IF EXISTS nope");
}

#[test]
fn columns_and_constraints_change() {
    let home = Home::new();
    home.rows("CREATE TABLE t (id INT)");
    home.rows("ALTER TABLE t ADD COLUMNS (note STRING COMMENT 'n', z INT FIRST)");
    assert_eq!(home.rows("SHOW COLUMNS IN t"), ["z", "id", "note"]);
    assert_eq!(home.class("ALTER TABLE t RENAME COLUMN note TO n"), "DELTA_UNSUPPORTED_RENAME_COLUMN");
    home.rows("ALTER TABLE t SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')");
    home.rows("ALTER TABLE t RENAME COLUMN note TO n");
    home.rows("ALTER TABLE t DROP COLUMN z");
    assert_eq!(home.rows("SHOW COLUMNS IN t"), ["id", "n"]);
    home.rows("ALTER TABLE t ADD CONSTRAINT positive CHECK (id > 0)");
    assert_eq!(home.class("INSERT INTO t VALUES (-1, 'x')"), "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES");
    home.rows("ALTER TABLE t DROP CONSTRAINT positive");
    home.rows("INSERT INTO t VALUES (-1, 'x')");
    home.rows("ALTER TABLE t RENAME TO t2");
    assert_eq!(home.rows("SELECT id FROM t2"), ["-1"]);
}

#[test]
fn tables_of_files() {
    let home = Home::new();
    home.rows("CREATE TABLE t (a INT, b STRING, p INT) USING parquet PARTITIONED BY (p)");
    assert_eq!(home.rows("SELECT count(*) FROM t"), ["0"]);
    home.rows("INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2)");
    home.rows("INSERT INTO t PARTITION (p = 3) VALUES (5, 'w')");
    home.rows("INSERT OVERWRITE t PARTITION (p = 1) VALUES (7, 'n')");
    assert_eq!(home.rows("SELECT * FROM t ORDER BY a"), ["2|y|2", "5|w|3", "7|n|1"]);
    home.rows("ALTER TABLE t DROP PARTITION (p = 2)");
    assert_eq!(home.rows("SHOW PARTITIONS t"), ["p=1", "p=3"]);
    assert_eq!(home.class("UPDATE t SET a = 1"), "UNSUPPORTED_FEATURE.TABLE_OPERATION");
    home.rows("TRUNCATE TABLE t");
    assert_eq!(home.rows("SELECT count(*) FROM t"), ["0"]);
    assert_eq!(home.class("CREATE TABLE n (a INT) USING nope"), "DATA_SOURCE_NOT_FOUND");
}
