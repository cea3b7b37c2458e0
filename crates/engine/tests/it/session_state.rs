//! Settings, variables, namespaces, and the life of sessions.

use crate::home::Home;

#[test]
fn settings() {
    let home = Home::new();
    assert_eq!(home.rows("SET spark.sql.shuffle.partitions"), ["spark.sql.shuffle.partitions|200"]);
    assert_eq!(home.rows("SET mapred.reduce.tasks=5"), ["spark.sql.shuffle.partitions|5"]);
    assert_eq!(home.rows("SET foo.bar"), ["foo.bar|<undefined>"]);
    assert_eq!(home.class("SET spark.executor.memory=1g"), "CANNOT_MODIFY_CONFIG");
    assert_eq!(home.class("SET spark.sql.warehouse.dir=/x"), "CANNOT_MODIFY_STATIC_CONFIG");
    home.rows("SET TIME ZONE '+02:00'");
    assert_eq!(home.rows("SET spark.sql.session.timeZone"), ["spark.sql.session.timeZone|+02:00"]);
    home.rows("RESET");
    assert_eq!(home.rows("SET spark.sql.shuffle.partitions"), ["spark.sql.shuffle.partitions|200"]);
}

#[test]
fn variables() {
    let home = Home::new();
    home.rows("DECLARE VARIABLE x INT DEFAULT 5");
    assert_eq!(home.class("DECLARE x INT"), "VARIABLE_ALREADY_EXISTS");
    home.rows("SET VAR x = x + 1");
    assert_eq!(home.rows("SELECT x, session.x, system.session.x"), ["6|6|6"]);
    home.rows("SET VAR (x) = (SELECT max(id) FROM range(10))");
    assert_eq!(home.rows("SELECT x"), ["9"]);
    home.rows("SET VAR (x) = (SELECT 1 WHERE false)");
    assert_eq!(home.rows("SELECT x"), ["NULL"]);
    home.rows("SET VAR x = DEFAULT");
    assert_eq!(home.rows("SELECT x"), ["5"]);
    assert_eq!(home.class("SET VAR nope = 1"), "UNRESOLVED_VARIABLE");
    assert_eq!(home.class("SET VAR x = 'abc'"), "CAST_INVALID_INPUT");
    assert_eq!(home.class("SET VAR (x) = (VALUES 1, 2)"), "ROW_SUBQUERY_TOO_MANY_ROWS");
    home.rows("DROP TEMPORARY VARIABLE x");
    assert_eq!(home.class("DROP TEMPORARY VARIABLE x"), "VARIABLE_NOT_FOUND");
    home.rows("DROP TEMPORARY VARIABLE IF EXISTS x");
}

#[test]
fn execute_immediate() {
    let home = Home::new();
    home.rows("DECLARE z = 1 + 1");
    assert_eq!(home.rows("EXECUTE IMMEDIATE 'SELECT 1 AS a, ?' USING 3"), ["1|3"]);
    assert_eq!(home.rows("EXECUTE IMMEDIATE 'SELECT :p' USING 3 AS p"), ["3"]);
    home.rows("EXECUTE IMMEDIATE 'SELECT 5' INTO z");
    assert_eq!(home.rows("SELECT z"), ["5"]);
    assert_eq!(
        home.class("EXECUTE IMMEDIATE 'SELECT 5 UNION ALL SELECT 6' INTO z"),
        "ROW_SUBQUERY_TOO_MANY_ROWS"
    );
    assert_eq!(home.class("EXECUTE IMMEDIATE 'SET VAR z = 1' INTO z"), "INVALID_STATEMENT_FOR_EXECUTE_INTO");
    assert_eq!(home.class("EXECUTE IMMEDIATE 5"), "INVALID_EXPR_TYPE_FOR_QUERY_EXECUTE_IMMEDIATE");
    assert_eq!(
        home.class("EXECUTE IMMEDIATE 'SELECT ? + :x' USING 1, 2 AS x"),
        "INVALID_QUERY_MIXED_QUERY_PARAMETERS"
    );
}

#[test]
fn namespaces() {
    let home = Home::new();
    home.rows("CREATE SCHEMA d1 COMMENT 'c1' WITH DBPROPERTIES (a = '1', b = '2')");
    home.rows("USE d1");
    assert_eq!(home.rows("SHOW CURRENT SCHEMA"), ["spark_catalog|d1"]);
    home.rows("CREATE TABLE t (a INT)");
    assert_eq!(home.rows("SHOW TABLES IN d1"), ["d1|t|false"]);
    assert_eq!(home.class("DROP SCHEMA d1"), "SCHEMA_NOT_EMPTY");
    assert_eq!(home.class("USE nope"), "SCHEMA_NOT_FOUND");
    home.rows("DROP SCHEMA d1 CASCADE");
    assert_eq!(home.rows("SHOW CURRENT SCHEMA"), ["spark_catalog|d1"]);
    home.rows("CREATE CATALOG main");
    home.rows("CREATE SCHEMA main.s");
    home.rows("CREATE TABLE main.s.t AS SELECT 1 AS x");
    assert_eq!(home.rows("SELECT main.s.t.x FROM main.s.t"), ["1"]);
    assert_eq!(home.rows("SELECT table_name FROM main.information_schema.tables"), ["t"]);
    assert_eq!(home.class("DROP CATALOG main"), "CATALOG_NOT_EMPTY");
    home.rows("DROP CATALOG main CASCADE");
    assert_eq!(home.class("CREATE TABLE a.b.c (x INT)"), "REQUIRES_SINGLE_PART_NAMESPACE");
}
