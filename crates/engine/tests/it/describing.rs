//! SHOW and DESCRIBE: columns and rows as Spark gives them.

use crate::home::Home;

#[test]
fn result_schemas() {
    let home = Home::new();
    let tables =
        ["namespace: string not null", "tableName: string not null", "isTemporary: boolean not null"];
    assert_eq!(home.schema("SHOW TABLES"), tables);
    assert_eq!(home.schema("SHOW SCHEMAS"), ["namespace: string not null"]);
    assert_eq!(home.schema("SHOW CATALOGS"), ["catalog: string not null"]);
    assert_eq!(home.schema("SHOW FUNCTIONS"), ["function: string not null"]);
    assert_eq!(
        home.schema("DESCRIBE QUERY SELECT 1"),
        ["col_name: string not null", "data_type: string not null", "comment: string"]
    );
    assert_eq!(home.schema("DESCRIBE SCHEMA default"), ["info_name: string not null", "info_value: string"]);
    assert_eq!(home.schema("SET"), ["key: string not null", "value: string not null"]);
    assert_eq!(home.schema("CREATE SCHEMA s"), Vec::<String>::new());
}

#[test]
fn tables() {
    let home = Home::new();
    home.rows(
        "CREATE TABLE t (a INT NOT NULL COMMENT 'ca', b STRING DEFAULT 'x', c ARRAY<STRUCT<x: INT>>, p INT) \
         USING delta PARTITIONED BY (p) COMMENT 'tc' TBLPROPERTIES ('k' = 'v')",
    );
    assert_eq!(
        home.rows("DESCRIBE t"),
        [
            "a|int|ca",
            "b|string|NULL",
            "c|array<struct<x:int>>|NULL",
            "p|int|NULL",
            "# Partition Information||",
            "# col_name|data_type|comment",
            "p|int|NULL",
            "||",
            "# Column Default Values||",
            "b|string|'x'",
        ]
    );
    assert_eq!(home.rows("DESCRIBE t a"), ["col_name|a", "data_type|int", "comment|ca"]);
    assert_eq!(home.class("DESCRIBE t nope"), "COLUMN_NOT_FOUND");
    assert_eq!(home.rows("SHOW COLUMNS IN t"), ["a", "b", "c", "p"]);
    assert_eq!(home.rows("SHOW TBLPROPERTIES t ('k')"), ["k|v"]);
    assert_eq!(
        home.rows("SHOW TBLPROPERTIES t ('zz')"),
        ["zz|Table spark_catalog.default.t does not have property: zz"]
    );
    assert_eq!(home.class("SHOW COLUMNS IN default.t IN other"), "SHOW_COLUMNS_WITH_CONFLICT_NAMESPACE");
    assert_eq!(home.class("SHOW PARTITIONS nope"), "TABLE_OR_VIEW_NOT_FOUND");
    home.rows("INSERT INTO t VALUES (1, 'a', NULL, 7), (2, 'b', NULL, NULL)");
    assert_eq!(home.rows("SHOW PARTITIONS t"), ["p=__HIVE_DEFAULT_PARTITION__", "p=7"]);
}
