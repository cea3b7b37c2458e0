"""The operations of a Delta table, each with the table it starts from and what it leaves, for tests of crashes."""

ROWS = [(i, i % 3, f"name {i}") for i in range(60)]


class Operation:
    """`set_up` makes the table, `run` is the operation that is disturbed. `observe` is what a user sees of it: it is the
    same as before or as after, whatever happens, and the operation on what it was before leads to what is after."""

    def __init__(self, name, statement=None, properties="", prepare=(), observe=None, feature=None):
        self.name, self.statement, self.prepare = name, statement, prepare
        self.properties, self.extra, self.feature = properties, observe, feature

    def set_up(self, spark, path):
        spark.createDataFrame(ROWS[:30], "id BIGINT, k BIGINT, s STRING").repartition(2).createOrReplaceTempView("first")
        spark.createDataFrame(ROWS[30:], "id BIGINT, k BIGINT, s STRING").createOrReplaceTempView("second")
        properties = f"TBLPROPERTIES ({self.properties})" if self.properties else ""
        spark.sql(f"CREATE TABLE delta.`{path}` (id BIGINT, k BIGINT, s STRING) USING delta {properties}")
        spark.sql(f"INSERT INTO delta.`{path}` SELECT * FROM first")
        spark.sql(f"INSERT INTO delta.`{path}` SELECT * FROM second")
        for statement in self.prepare:
            self.sql(spark, statement, path)

    def run(self, spark, path):
        for statement in self.statement.split(";"):
            self.sql(spark, statement, path)

    @staticmethod
    def sql(spark, statement, path):
        text = statement.replace("{t}", f"delta.`{path}`").replace("{target}", f"delta.`{path}/target`").replace("{path}", path)
        return spark.sql(text).collect()

    def table(self, path):
        """The table that the operation changes."""
        return f"{path}/target" if self.statement and "{target}" in self.statement else path

    def observe(self, spark, path):
        table = self.table(path)
        try:
            rows = spark.sql(f"SELECT * FROM delta.`{table}`")
            seen = [rows.columns, sorted(map(tuple, rows.collect()), key=repr)]
        except Exception as e:
            if not is_missing(e):
                raise
            return None
        if self.extra:
            seen.append(sorted(map(tuple, self.sql(spark, self.extra, path)), key=repr))
        if self.feature:
            seen.append(f"delta.feature.{self.feature}" in [r[0] for r in self.sql(spark, "SHOW TBLPROPERTIES {t}", path)])
        return seen


def is_missing(error):
    text = str(error)
    return any(sign in text for sign in ("PATH_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND", "DELTA_TABLE_NOT_FOUND", "is not a Delta table"))


MERGE = """
MERGE INTO {t} t USING (SELECT id + 50 AS id, 7L AS k, 'merged' AS s FROM range(20)) s ON t.id = s.id
WHEN MATCHED AND s.id % 5 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *
"""
FEED = "'delta.enableChangeDataFeed' = 'true'"
NO_VECTORS = "'delta.enableDeletionVectors' = 'false'"
CHANGES = (
    "SELECT _change_type, id, k, s FROM table_changes_by_path('{path}', 0)"
    # The rows of the set-up are the same in both states.
    " WHERE _commit_version > 2"
)
VALUES = "SELECT id + 100 AS id, id % 4 AS k, 'new' AS s FROM range(40)"

OPERATIONS = [
    Operation("append", f"INSERT INTO {{t}} REPLACE WHERE id >= 100 {VALUES}"),
    Operation("overwrite", f"INSERT OVERWRITE {{t}} {VALUES}"),
    Operation("partitions", f"CREATE OR REPLACE TABLE {{t}} USING delta PARTITIONED BY (k) AS {VALUES}"),
    Operation("delete", "DELETE FROM {t} WHERE id % 7 = 1"),
    Operation("delete, many vectors", "DELETE FROM {t} WHERE id % 2 = 1", prepare=["INSERT INTO {t} SELECT id + 1000, 1, repeat('x', 9) FROM range(5000)"]),
    Operation("delete, files", "DELETE FROM {t} WHERE id % 7 = 1", NO_VECTORS),
    Operation("delete, changes", "DELETE FROM {t} WHERE id % 7 = 1", f"{FEED}, {NO_VECTORS}", observe=CHANGES),
    Operation("update", "UPDATE {t} SET s = 'changed' WHERE k = 1"),
    Operation("update, changes", "UPDATE {t} SET s = 'changed' WHERE k = 1", FEED, observe=CHANGES),
    Operation("merge", MERGE),
    Operation("merge, changes", MERGE, FEED, observe=CHANGES),
    Operation("optimize", "OPTIMIZE {t}"),
    Operation("zorder", "OPTIMIZE {t} ZORDER BY (k)", prepare=["DELETE FROM {t} WHERE id = 3"]),
    Operation("clustering", "OPTIMIZE {t}", prepare=["ALTER TABLE {t} CLUSTER BY (k)", "INSERT INTO {t} SELECT id + 200, id, 'c' FROM range(9)"]),
    Operation("reorg", "REORG TABLE {t} APPLY (PURGE)", prepare=["DELETE FROM {t} WHERE id % 7 = 1"]),
    Operation("restore", "RESTORE TABLE {t} TO VERSION AS OF 1"),
    Operation("shallow clone", "CREATE OR REPLACE TABLE {target} SHALLOW CLONE {t}"),
    Operation("deep clone", "CREATE OR REPLACE TABLE {target} DEEP CLONE {t}"),
    Operation("rename column", "ALTER TABLE {t} RENAME COLUMN s TO text", "'delta.columnMapping.mode' = 'name'"),
    Operation("drop feature", "ALTER TABLE {t} DROP FEATURE deletionVectors", prepare=["DELETE FROM {t} WHERE id = 3"], feature="deletionVectors"),
    Operation("manifest", "GENERATE symlink_format_manifest FOR TABLE {t}"),
    Operation("checkpoint", "UPDATE {t} SET s = 'tenth' WHERE k = 1", prepare=["INSERT INTO {t} VALUES (-1, 9, 'one more')"] * 7),
    Operation(
        "vacuum",
        "SET spark.databricks.delta.retentionDurationCheck.enabled = false; VACUUM {t} RETAIN 0 HOURS",
        prepare=["OPTIMIZE {t}"],
    ),
]
