//! Views, temporary and kept, and SQL functions.

use crate::home::Home;

#[test]
fn views_of_the_catalog() {
    let home = Home::new();
    home.rows("CREATE VIEW v (x COMMENT 'xc', y) COMMENT 'vc' AS SELECT 1, 'a'");
    assert_eq!(home.rows("SELECT y, x FROM v"), ["a|1"]);
    assert_eq!(home.rows("DESCRIBE v"), ["x|int|xc", "y|string|NULL"]);
    assert_eq!(
        home.rows("SHOW CREATE TABLE v"),
        [
            "CREATE VIEW default.v (\n  x COMMENT 'xc',\n  y)\nCOMMENT 'vc'\nWITH SCHEMA COMPENSATION\nAS SELECT 1, 'a'\n"
        ]
    );
    assert_eq!(home.class("CREATE VIEW v AS SELECT 1"), "TABLE_OR_VIEW_ALREADY_EXISTS");
    assert_eq!(home.class("CREATE OR REPLACE VIEW v AS SELECT * FROM v"), "RECURSIVE_VIEW");
    home.rows("ALTER VIEW v AS SELECT 5 AS z");
    assert_eq!(home.rows("SELECT * FROM v"), ["5"]);
    home.rows("DROP TABLE v");
    assert_eq!(home.class("DROP VIEW v"), "TABLE_OR_VIEW_NOT_FOUND");
    assert_eq!(
        home.class("CREATE VIEW v (a, b) AS SELECT 1"),
        "CREATE_VIEW_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS"
    );
    assert_eq!(home.class("CREATE VIEW v AS SELECT 1 a, 2 A"), "COLUMN_ALREADY_EXISTS");
}

#[test]
fn temporary_views() {
    let home = Home::new();
    home.rows("CREATE TEMPORARY VIEW v AS SELECT 1 AS a");
    home.rows("CREATE GLOBAL TEMPORARY VIEW g AS SELECT 2 AS b");
    assert_eq!(home.rows("SELECT a, b FROM v, global_temp.g"), ["1|2"]);
    assert_eq!(home.class("CREATE TEMPORARY VIEW v AS SELECT 2"), "TEMP_TABLE_OR_VIEW_ALREADY_EXISTS");
    assert_eq!(home.class("CREATE VIEW p AS SELECT * FROM v"), "INVALID_TEMP_OBJ_REFERENCE");
    assert_eq!(home.rows("SHOW VIEWS IN global_temp"), ["global_temp|g|true", "|v|true"]);
    assert_eq!(home.class("SHOW CREATE TABLE v"), "EXPECT_PERMANENT_VIEW_NOT_TEMP");
    home.rows("DROP VIEW v");
    home.rows("DROP VIEW global_temp.g");
    assert_eq!(home.class("SELECT * FROM global_temp.g"), "TABLE_OR_VIEW_NOT_FOUND");
}

#[test]
fn sql_functions() {
    let home = Home::new();
    home.rows("CREATE FUNCTION plus_one(a INT COMMENT 'pc') RETURNS INT COMMENT 'fc' RETURN a + 1");
    assert_eq!(home.rows("SELECT plus_one(4)"), ["5"]);
    assert_eq!(
        home.rows("DESCRIBE FUNCTION plus_one"),
        ["Function: spark_catalog.default.plus_one", "Type:     SCALAR", "Input:    a INT", "Returns:  INT"]
    );
    assert_eq!(home.class("CREATE FUNCTION plus_one(a INT) RETURNS INT RETURN a"), "ROUTINE_ALREADY_EXISTS");
    assert_eq!(
        home.class("CREATE FUNCTION f(a INT, a INT) RETURNS INT RETURN a"),
        "DUPLICATE_ROUTINE_PARAMETER_NAMES"
    );
    assert_eq!(
        home.class("CREATE FUNCTION f(a INT) RETURNS INT RETURN b"),
        "UNRESOLVED_COLUMN.WITH_SUGGESTION"
    );
    home.rows("CREATE TEMPORARY FUNCTION twice(a INT) RETURNS INT RETURN a * 2");
    assert_eq!(home.rows("SELECT twice(4)"), ["8"]);
    assert_eq!(home.rows("SHOW USER FUNCTIONS"), ["spark_catalog.default.plus_one", "twice"]);
    home.rows("DROP TEMPORARY FUNCTION twice");
    home.rows("DROP FUNCTION plus_one");
    assert_eq!(home.class("DROP FUNCTION plus_one"), "ROUTINE_NOT_FOUND");
    assert_eq!(home.class("DROP FUNCTION abs"), "FORBIDDEN_OPERATION");
}
