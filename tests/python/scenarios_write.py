"""How files are written and what commits say: statistics, sizes, codecs, transactions of applications, modes. See `recorded.py`."""

import collections
import json
import re

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def added(world, name="t", version=None):
    return [a["add"] for a in world.actions(name, version) if "add" in a]


def statistics(world, name="t"):
    """The statistics of the files of the last commit; of a column whose name is given at random, its place."""
    out = []
    for add in added(world, name):
        stats = json.loads(add["stats"])
        out.append({k: stats.get(k) for k in ("numRecords", "minValues", "maxValues", "nullCount", "tightBounds")})
    world.note("statistics", sorted(out, key=lambda s: json.dumps(s, sort_keys=True)))


def one_file(world, query, name="t", mode="append", **options):
    world.spark.sql(query).coalesce(1).write.format("delta").mode(mode).options(**options).save(world.path(name))


def info(world, *keys, name="t"):
    """What the last commit says of itself; predicates without the numbers that Spark gives to columns."""
    commit = next(a["commitInfo"] for a in world.actions(name) if "commitInfo" in a)
    told = {k: commit.get(k) for k in keys}
    world.note("commit", json.loads(re.sub(r"(\w)#\d+L?", r"\1", json.dumps(told))))


def without_vectors(world):
    """Tables have deletion vectors here where nothing is said, and there they have none."""
    world.spark.conf.set("spark.databricks.delta.properties.defaults.enableDeletionVectors", "false")


def serializable(world):
    """The only isolation level that delta-spark lets a table name, and the one of tables that name none; here it is WriteSerializable."""
    world.spark.conf.set("spark.databricks.delta.properties.defaults.isolationLevel", "Serializable")


# -- statistics ---------------------------------------------------------------------------------------------------------

EVERY_TYPE = """SELECT id, CAST(id AS TINYINT) AS t, CAST(id AS SMALLINT) AS s, CAST(id AS INT) AS i, CAST(id / 3 AS FLOAT) AS f, id / 7 AS d,
  CAST(id AS DECIMAL(20, 3)) AS dec, CAST(id AS STRING) AS str, CAST(CAST(id AS STRING) AS BINARY) AS bin, id % 2 = 0 AS b,
  date_add(DATE'2020-01-01', CAST(id AS INT)) AS date, timestamp_micros(id * 1000001) AS ts, timestamp_micros(id * 1000001)::TIMESTAMP_NTZ AS ntz,
  array(id) AS arr, map('k', id) AS m, named_struct('x', id, 'y', named_struct('z', CAST(id AS STRING), 'a', array(1))) AS st,
  IF(id % 3 = 0, NULL, id) AS n, CAST(NULL AS INT) AS nothing FROM range(20)"""


@scenario
def statistics_of_every_type(world):
    without_vectors(world)
    one_file(world, EVERY_TYPE)
    statistics(world)


@scenario
def statistics_of_odd_values(world):
    without_vectors(world)
    one_file(world, "SELECT * FROM VALUES (double('NaN'), -0.0D, 'a'), (1D, 0.0D, NULL), (double('Infinity'), -1.0D, 'b') AS t(a, b, c)")
    statistics(world)
    one_file(world, "SELECT double('NaN') AS a, float('NaN') AS b", "nan")
    statistics(world, "nan")
    one_file(world, "SELECT repeat('a', 40) AS a, concat(repeat('b', 31), 'é', 'z') AS b, concat(repeat('c', 30), '\\uD83D\\uDE00', 'z') AS c, repeat('\\uDBFF\\uDFFF', 40) AS d", "long")
    statistics(world, "long")
    one_file(world, "SELECT TIMESTAMP'1969-12-31 23:59:59.999999' AS a, TIMESTAMP'2020-01-01 00:00:00.123456' AS b, DATE'0001-01-01' AS c, TIMESTAMP_NTZ'2020-01-01 00:00:00.123456' AS d", "times")
    statistics(world, "times")
    one_file(world, "SELECT '' AS a, 'A\"quote' AS b, 'line\\nbreak' AS c, CAST(-0.001 AS DECIMAL(10, 3)) AS d, CAST(12345678901234567890.12 AS DECIMAL(38, 2)) AS e", "texts")
    statistics(world, "texts")
    one_file(world, "SELECT * FROM VALUES (float('-Infinity'), double('Infinity'), -0.0D, 0.0D), (-0.0F, -0.0D, 0.0D, -0.0D) AS t(a, b, c, d)", "zeros")
    statistics(world, "zeros")
    tie = "'\\uDBFF\\uDFFF'"
    one_file(world, f"SELECT concat(repeat('a', 32), '~b') AS a, concat(repeat('a', 32), '\\u007fb') AS b, concat(repeat('a', 32), repeat({tie}, 16), 'b') AS c, concat(repeat('a', 32), repeat({tie}, 17), 'b') AS d, repeat('é', 40) AS e", "ties")
    statistics(world, "ties")
    one_file(world, "SELECT true AS a, array(1) AS b", "unbounded")
    statistics(world, "unbounded")
    one_file(world, "SELECT CAST(NULL AS INT) AS a, true AS b, named_struct('x', CAST(NULL AS INT), 'y', true) AS s, named_struct('y', true) AS r", "empty")
    statistics(world, "empty")
    one_file(world, "SELECT struct(id AS x, CAST(NULL AS INT) AS y) AS s, IF(id = 1, NULL, struct(id AS x)) AS r FROM range(3)", "nulls")
    statistics(world, "nulls")


WIDE = "SELECT " + ", ".join(f"id + {i} AS c{i}" for i in range(36)) + " FROM range(3)"


@scenario
def statistics_of_the_first_columns(world):
    without_vectors(world)
    one_file(world, WIDE)
    statistics(world)


def with_property(key, value, query="SELECT id AS a, id * 2 AS b, named_struct('x', id, 'y', 'z') AS s, 'text' AS c, id AS d FROM range(3)", prepared=()):
    def run(world):
        without_vectors(world)
        fields = "a BIGINT, b BIGINT, s STRUCT<x: BIGINT, y: STRING>, c STRING, d BIGINT"
        world.sql(*prepared)
        world.ask(f"CREATE TABLE {{t}} ({fields}) USING delta TBLPROPERTIES ('{key}' = '{value}', 'delta.enableDeletionVectors' = 'true')")
        try:
            one_file(world, query)
        except Exception:
            world.note("not written", True)
            return
        statistics(world)
        world.sql("UPDATE {t} SET c = 'new' WHERE a = 1")
        statistics(world)

    return run


for value in ("0", "1", "2", "3", "4", "5", "-1", "-2", "x"):
    SCENARIOS[f"dataSkippingNumIndexedCols = {value}"] = with_property("delta.dataSkippingNumIndexedCols", value)
for value in ("a", "d, b", "s", "s.x", "s.y,a", "nothing", "a,a", "", "A", "`a`", "A,a", "s,s.x", "a.x", "s.nothing", "a,,b", "`a"):
    SCENARIOS[f"dataSkippingStatsColumns = {value}"] = with_property("delta.dataSkippingStatsColumns", value)


@scenario
def statistics_columns_of_types_without_bounds(world):
    world.ask("CREATE TABLE {t} (a BINARY, b ARRAY<INT>, c INT) USING delta TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'b')")
    world.ask("CREATE TABLE {u} (a BINARY, b BOOLEAN, c INT) USING delta TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'a,b')")
    world.ask("CREATE TABLE {p} (a INT, b INT) USING delta PARTITIONED BY (b) TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'b')")


@scenario
def statistics_columns_win_over_their_number(world):
    without_vectors(world)
    world.sql("CREATE TABLE {t} (a INT, b INT, c INT) USING delta TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'c', 'delta.dataSkippingNumIndexedCols' = '1')")
    one_file(world, "SELECT 1 AS a, 2 AS b, 3 AS c")
    statistics(world)
    world.sql("ALTER TABLE {t} UNSET TBLPROPERTIES ('delta.dataSkippingStatsColumns')")
    one_file(world, "SELECT 1 AS a, 2 AS b, 3 AS c")
    statistics(world)


@scenario
def statistics_columns_that_are_renamed_or_dropped(world):
    without_vectors(world)
    world.sql("CREATE TABLE {t} (a INT, b INT, c INT) USING delta TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'b,c', 'delta.columnMapping.mode' = 'name')")
    world.ask("ALTER TABLE {t} RENAME COLUMN b TO bb", "ALTER TABLE {t} DROP COLUMN c")
    skipping(world, "t")
    world.sql("CREATE TABLE {n} (a INT, b STRUCT<x: INT, y: STRUCT<z: INT>>, c STRING) USING delta TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'b.y.z,`c`,b.x', 'delta.columnMapping.mode' = 'name')")
    for change in ("RENAME COLUMN b.y TO yy", "RENAME COLUMN a TO aa", "RENAME COLUMN c TO `c d`", "DROP COLUMN `c d`", "DROP COLUMN b.x", "RENAME COLUMN b TO bb"):
        world.ask(f"ALTER TABLE {{n}} {change}")
        skipping(world, "n")
    one_file(world, "SELECT 1 AS aa, named_struct('yy', named_struct('z', 2)) AS bb", "n")
    world.note("kinds", [sorted(json.loads(a["stats"])) for a in added(world, "n")])


def skipping(world, name):
    world.tell(world.spark.sql(world.filled(f"SHOW TBLPROPERTIES {{{name}}}")).filter("key LIKE '%dataSkipping%'"), "property", "key", "value")


@scenario
def statistics_columns_of_tables_that_change(world):
    world.sql("CREATE TABLE {t} (a INT, b INT, c BINARY) USING delta")
    world.ask("ALTER TABLE {t} SET TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'q')", "ALTER TABLE {t} SET TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'c')",
              "ALTER TABLE {t} SET TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'a,b')", "ALTER TABLE {t} SET TBLPROPERTIES ('delta.dataSkippingNumIndexedCols' = '-3')")
    skipping(world, "t")
    world.attempt("overwriteSchema", lambda: one_file(world, "SELECT 1 AS z", mode="overwrite", overwriteSchema="true"))
    world.ask("CREATE OR REPLACE TABLE {t} (z INT) USING delta TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'a')")


@scenario
def statistics_of_clustering_columns(world):
    world.ask("CREATE TABLE {s} (a INT, b INT) USING delta CLUSTER BY (b) TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'a')",
              "CREATE TABLE {n} (a INT, b INT) USING delta CLUSTER BY (b) TBLPROPERTIES ('delta.dataSkippingNumIndexedCols' = '1')",
              "CREATE TABLE {t} (a INT, b INT, c BINARY) USING delta CLUSTER BY (b)", "ALTER TABLE {t} CLUSTER BY (c)",
              "ALTER TABLE {t} SET TBLPROPERTIES ('delta.dataSkippingNumIndexedCols' = '1')", "ALTER TABLE {t} CLUSTER BY (b)", "ALTER TABLE {t} CLUSTER BY (a)")


VALUES = {
    "appendOnly": ("maybe", "TRUE"), "autoOptimize.optimizeWrite": ("maybe", "false"), "checkpointInterval": ("0", "x", "3"), "checkpointPolicy": ("none", "classic"),
    "columnMapping.mode": ("maybe", "none"), "enableChangeDataFeed": ("1",), "isolationLevel": ("maybe", "serializable"),
    "deletedFileRetentionDuration": ("1", "maybe", "1 month", "interval -1 day", "interval 2 weeks"), "nothing": ("x",), "minReaderVersion": ("x", "0", "2"),
}


@scenario
def values_of_properties(world):
    for key, values in VALUES.items():
        for i, value in enumerate(values):
            world.ask(f"CREATE TABLE {{{key.replace('.', '_')}_{i}}} (a INT) USING delta TBLPROPERTIES ('delta.{key}' = '{value}')")
    world.sql("CREATE TABLE {t} (a INT) USING delta")
    world.ask("ALTER TABLE {t} SET TBLPROPERTIES ('delta.appendOnly' = 'maybe')", "ALTER TABLE {t} SET TBLPROPERTIES ('delta.nothing' = 'x')", "ALTER TABLE {t} SET TBLPROPERTIES ('delta.isolationLevel' = 'x')")


@scenario
def statistics_of_a_partitioned_table(world):
    without_vectors(world)
    world.sql("CREATE TABLE {t} (a INT, p INT, b STRING) USING delta PARTITIONED BY (p)")
    one_file(world, "SELECT * FROM VALUES (1, 1, 'x'), (2, 2, NULL), (3, NULL, 'y') AS t(a, p, b)")
    statistics(world)
    world.note("partitions", sorted(json.dumps(a["partitionValues"]) for a in added(world)))


@scenario
def statistics_after_deletion_vectors(world):
    world.sql("CREATE TABLE {t} (a BIGINT, b BIGINT) USING delta TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    one_file(world, "SELECT id AS a, IF(id < 5, NULL, id) AS b FROM range(10)")
    world.sql("DELETE FROM {t} WHERE a < 2")
    statistics(world)
    world.note("vectors", [a["deletionVector"]["cardinality"] for a in added(world)])
    world.sql("OPTIMIZE {t}")
    world.sql("REORG TABLE {t} APPLY (PURGE)")
    statistics(world)


@scenario
def statistics_switched_off(world):
    without_vectors(world)
    world.spark.conf.set("spark.databricks.delta.stats.collect", "false")
    one_file(world, "SELECT id AS a FROM range(10)")
    world.note("has statistics", [a.get("stats") is not None for a in added(world)])
    world.sql("UPDATE {t} SET a = 20 WHERE a = 1")
    world.note("UPDATE", [a.get("stats") is not None for a in added(world)])
    world.sql("DELETE FROM {t} WHERE a = 2")
    world.sql("MERGE INTO {t} t USING (SELECT 3L AS a) s ON t.a = s.a WHEN MATCHED THEN UPDATE SET a = 30")
    world.table()


@scenario
def bounds_of_strings(world):
    world.spark.conf.set("spark.databricks.io.skipping.stringPrefixLength", "3")
    without_vectors(world)
    one_file(world, "SELECT 'abcde' AS a, 'abc' AS b, 'éééé' AS c")
    statistics(world)


# -- files --------------------------------------------------------------------------------------------------------------


def records(world, name="t", version=None):
    return sorted(json.loads(a["stats"])["numRecords"] for a in added(world, name, version))


@scenario
def max_records_per_file(world):
    without_vectors(world)
    for name, options in {"option": {"maxRecordsPerFile": "7"}, "more": {"maxRecordsPerFile": "70"}, "off": {"maxRecordsPerFile": "0"}}.items():
        one_file(world, "SELECT id FROM range(20)", name, **options)
        world.note(name, records(world, name))
    world.spark.conf.set("spark.sql.files.maxRecordsPerFile", "6")
    one_file(world, "SELECT id FROM range(20)", "setting")
    world.note("setting", records(world, "setting"))
    one_file(world, "SELECT id FROM range(20)", "both", maxRecordsPerFile="15")
    world.note("both", records(world, "both"))
    world.sql("CREATE TABLE {sql} (id BIGINT) USING delta", "INSERT INTO {sql} SELECT /*+ COALESCE(1) */ id FROM range(20)")
    world.note("INSERT", records(world, "sql"))
    world.sql("DELETE FROM {sql} WHERE id = 3", "OPTIMIZE {sql}")
    world.note("OPTIMIZE", records(world, "sql"))
    world.attempt("wrong", lambda: one_file(world, "SELECT 1 AS id", "wrong", maxRecordsPerFile="x"))


def suffixes(world, name="t"):
    return dict(collections.Counter(a["path"].split(".", 1)[1] for a in added(world, name)))


@scenario
def compression_codecs(world):
    for codec in ("snappy", "gzip", "zstd", "lz4", "lz4_raw", "none", "uncompressed", "brotli_", "SNAPPY"):
        name = f"c_{codec}"
        world.attempt(codec, lambda n=name, c=codec: one_file(world, "SELECT id FROM range(100)", n, compression=c))
        try:
            world.note(f"{codec}: files", suffixes(world, name))
        except (FileNotFoundError, ValueError):
            world.note(f"{codec}: files", None)
    world.spark.conf.set("spark.sql.parquet.compression.codec", "gzip")
    one_file(world, "SELECT id FROM range(100)", "setting")
    world.note("setting", suffixes(world, "setting"))
    world.sql("CREATE TABLE {sql} (id BIGINT) USING delta", "INSERT INTO {sql} SELECT /*+ COALESCE(1) */ id FROM range(3)")
    world.note("INSERT", suffixes(world, "sql"))
    world.sql("UPDATE {sql} SET id = 10")
    world.note("UPDATE", suffixes(world, "sql"))
    world.sql("CREATE TABLE {made} USING delta AS SELECT 1 AS id")
    world.note("CREATE TABLE AS SELECT", suffixes(world, "made"))


@scenario
def a_codec_of_the_table(world):
    world.ask("CREATE TABLE {t} (id BIGINT) USING delta TBLPROPERTIES ('delta.parquet.compression.codec' = 'zstd')")
    one_file(world, "SELECT id FROM range(100)")
    world.note("files", suffixes(world))


@scenario
def optimize_write(world):
    """Few files whichever task has the rows: a partition gets one file."""
    query = "SELECT id, CAST(id % 3 AS INT) AS p FROM range(0, 300, 1, 8)"
    for name, options in {"on": {"optimizeWrite": "true"}, "off": {"optimizeWrite": "false"}}.items():
        world.spark.sql(query).write.format("delta").partitionBy("p").options(**options).save(world.path(name))
        files = collections.Counter(a["partitionValues"]["p"] for a in added(world, name))
        world.note(name, {p: n == 1 for p, n in sorted(files.items())})
    world.sql("CREATE TABLE {t} (id BIGINT, p INT) USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.autoOptimize.optimizeWrite' = 'true')")
    world.spark.sql(query).write.format("delta").mode("append").save(world.path("t"))
    world.note("property", [len(added(world)), records(world)])
    world.sql(f"INSERT INTO {{t}} {query}")
    world.note("INSERT", len(added(world)))
    world.spark.sql(query).write.format("delta").mode("append").option("optimizeWrite", "false").save(world.path("t"))
    world.note("option over property", len(added(world)) > 3)
    world.spark.conf.set("spark.databricks.delta.optimizeWrite.enabled", "false")
    world.spark.sql(query).write.format("delta").mode("append").save(world.path("t"))
    world.note("setting over property", len(added(world)) > 3)
    world.spark.conf.set("spark.databricks.delta.optimizeWrite.enabled", "true")
    world.sql("UPDATE {t} SET id = id + 1 WHERE id % 7 = 0", "DELETE FROM {t} WHERE id % 11 = 0")
    world.note("rows", world.spark.read.format("delta").load(world.path("t")).count())


@scenario
def auto_compact(world):
    world.sql("CREATE TABLE {t} (id BIGINT) USING delta TBLPROPERTIES ('delta.autoOptimize.autoCompact' = 'true')")
    world.spark.conf.set("spark.databricks.delta.autoCompact.minNumFiles", "4")
    for i in range(6):
        one_file(world, f"SELECT id FROM range({i * 10}, {i * 10 + 10})")
    history = world.spark.sql(world.filled("DESCRIBE HISTORY {t}"))
    world.rows(history.selectExpr("version", "operation", "operationParameters['auto'] AS auto", "operationMetrics['numRemovedFiles'] AS removed"), "history", order=False)
    world.note("files", world.spark.sql(world.filled("DESCRIBE DETAIL {t}")).first()["numFiles"])
    world.rows(world.spark.sql(world.filled("SELECT count(*), sum(id) FROM {t}")), "rows")
    world.spark.conf.set("spark.databricks.delta.autoCompact.enabled", "false")
    for i in range(6):
        one_file(world, f"SELECT id FROM range({i * 10}, {i * 10 + 10})")
    world.note("off", world.spark.sql(world.filled("DESCRIBE DETAIL {t}")).first()["numFiles"])


@scenario
def auto_compact_by_setting(world):
    world.spark.conf.set("spark.databricks.delta.autoCompact.enabled", "true")
    world.spark.conf.set("spark.databricks.delta.autoCompact.minNumFiles", "3")
    world.sql("CREATE TABLE {t} (id BIGINT, p INT) USING delta PARTITIONED BY (p)")
    for i in range(4):
        one_file(world, f"SELECT id, IF(id % 10 = 0, 1, {i} % 2) AS p FROM range({i * 10}, {i * 10 + 10})")
    world.rows(world.spark.sql(world.filled("SELECT count(*), sum(id), sum(p) FROM {t}")), "rows")
    world.note("operations", [r["operation"] for r in world.spark.sql(world.filled("DESCRIBE HISTORY {t}")).collect()])


# -- commits ------------------------------------------------------------------------------------------------------------


@scenario
def transactions_of_applications(world):
    def write(app, version, mode="append", low=0, **options):
        frame = world.spark.sql(f"SELECT id, CAST(id % 2 AS INT) AS p FROM range({low}, {low + 4})").coalesce(1).write.format("delta").mode(mode)
        frame.partitionBy("p").options(txnAppId=app, txnVersion=version, **options).save(world.path("t"))

    def now(what):
        world.note(what, [max(a.name for a in (world.directory / "t" / "_delta_log").glob("*.json")), world.spark.read.format("delta").load(world.path("t")).count()])

    write("a", 1)
    write("a", 1)
    now("the same again")
    write("a", 0)
    now("an older one")
    write("a", 2)
    write("b", 1)
    now("newer, and another application")
    write("a", 3, "overwrite", 10, partitionOverwriteMode="dynamic")
    now("dynamic overwrite")
    write("a", 3, "overwrite", 20, partitionOverwriteMode="dynamic")
    now("dynamic overwrite again")
    write("a", 4, "overwrite", 30, replaceWhere="p = 0 OR p = 1")
    write("a", 4, "overwrite", 40, replaceWhere="p = 0 OR p = 1")
    now("replaceWhere twice")
    write("a", 5, "overwrite", 50)
    write("a", 5, "overwrite", 60)
    now("overwrite twice")
    world.table()
    world.note("txn", [{k: a["txn"][k] for k in ("appId", "version")} for a in world.actions() if "txn" in a])
    for shown, options in {"no version": {"txnAppId": "x"}, "no application": {"txnVersion": "1"}, "no number": {"txnAppId": "x", "txnVersion": "y"}}.items():
        world.attempt(shown, lambda o=options: one_file(world, "SELECT 1L AS id, 1 AS p", **o))
    world.spark.conf.set("spark.databricks.delta.write.txnAppId", "c")
    world.spark.conf.set("spark.databricks.delta.write.txnVersion", "7")
    world.ask("INSERT INTO {t} VALUES (100, 0)", "INSERT INTO {t} VALUES (100, 0)")
    world.rows(world.spark.sql(world.filled("SELECT count(*) FROM {t} WHERE id = 100")), "by setting")
    for statement in ("DELETE FROM {t} WHERE id = 100", "UPDATE {t} SET p = 5 WHERE id = 100", "MERGE INTO {t} t USING (SELECT 100L AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE",
                      "INSERT OVERWRITE {t} VALUES (200, 0)"):
        world.ask(statement)
        now(statement)
    world.spark.conf.set("spark.databricks.delta.write.txnVersion", "8")
    world.ask("UPDATE {t} SET p = 5 WHERE id = 100", "DELETE FROM {t} WHERE id = 100")
    world.table()
    world.spark.conf.set("spark.databricks.delta.write.txnVersion", "9")
    for version, statement in enumerate(("DELETE FROM {t} WHERE id = 12345", "UPDATE {t} SET p = 5 WHERE id = 12345", "MERGE INTO {t} t USING (SELECT 12345L AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE")):
        world.spark.conf.set("spark.databricks.delta.write.txnVersion", 10 + version)
        world.ask(statement)
        world.note("txn", [a["txn"]["version"] for a in world.actions() if "txn" in a])
    for statement in ("OPTIMIZE {t}", "ALTER TABLE {t} SET TBLPROPERTIES ('a' = 'b')"):
        world.attempt(statement, lambda s=statement: world.sql(s))
        world.note("txn", [a["txn"]["appId"] for a in world.actions() if "txn" in a])
    world.ask("TRUNCATE TABLE {t}", "CREATE TABLE {made} USING delta AS SELECT 1 AS a", "CREATE OR REPLACE TABLE {made} USING delta AS SELECT 2 AS a")
    world.table("made")
    world.spark.conf.set("spark.databricks.delta.write.txnVersion.autoReset.enabled", "true")
    world.spark.conf.set("spark.databricks.delta.write.txnVersion", "20")
    world.ask("INSERT INTO {t} VALUES (300, 0)", "INSERT INTO {t} VALUES (300, 0)")
    world.attempt("no number as a setting", lambda: world.spark.conf.set("spark.databricks.delta.write.txnVersion", "z"))


@scenario
def user_metadata(world):
    one_file(world, "SELECT 1 AS id", userMetadata="by option")
    info(world, "userMetadata")
    world.spark.conf.set("spark.databricks.delta.commitInfo.userMetadata", "by setting")
    one_file(world, "SELECT 2 AS id")
    info(world, "userMetadata")
    one_file(world, "SELECT 3 AS id", userMetadata="by option again")
    info(world, "userMetadata")
    for statement in ("INSERT INTO {t} VALUES (4)", "UPDATE {t} SET id = 5 WHERE id = 4", "DELETE FROM {t} WHERE id = 5", "OPTIMIZE {t}", "ALTER TABLE {t} SET TBLPROPERTIES ('a' = 'b')",
                      "MERGE INTO {t} t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE", "RESTORE TABLE {t} TO VERSION AS OF 1", "ALTER TABLE {t} ADD COLUMNS (v INT)"):
        world.sql(statement)
        info(world, "operation", "userMetadata")


@scenario
def what_commits_say(world):
    keys = ("operation", "operationParameters", "isolationLevel", "isBlindAppend")
    without_vectors(world)
    serializable(world)
    world.spark.sql("SELECT id, CAST(id % 3 AS INT) AS p FROM range(9)").coalesce(1).write.format("delta").partitionBy("p").save(world.path("t"))
    info(world, *keys)
    for mode, options in (("append", {}), ("overwrite", {}), ("overwrite", {"replaceWhere": "id < 3"}), ("append", {"mergeSchema": "true"}), ("overwrite", {"overwriteSchema": "true"})):
        one_file(world, "SELECT id, CAST(id % 3 AS INT) AS p FROM range(3)", mode=mode, **options)
        info(world, *keys)
    for statement in ("INSERT INTO {t} VALUES (10, 1)", "INSERT OVERWRITE {t} VALUES (10, 1)", "INSERT INTO {t} REPLACE WHERE id = 10 VALUES (10, 2)", "INSERT INTO {t} REPLACE WHERE p = 2 AND id IN (10, 11) OR id > 100 VALUES (10, 2)", "INSERT INTO {t} SELECT id + 1, p FROM {t}",
                      "UPDATE {t} SET p = 5 WHERE id = 11", "DELETE FROM {t} WHERE id = 11", "TRUNCATE TABLE {t}", "ALTER TABLE {t} ADD COLUMNS (v INT COMMENT 'c')", "ALTER TABLE {t} ALTER COLUMN v COMMENT 'd'",
                      "COMMENT ON TABLE {t} IS 'x'", "ALTER TABLE {t} SET TBLPROPERTIES ('a' = 'b')", "ALTER TABLE {t} UNSET TBLPROPERTIES ('a')", "ALTER TABLE {t} ADD CONSTRAINT c CHECK (id > 0)",
                      "ALTER TABLE {t} DROP CONSTRAINT c", "ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')", "ALTER TABLE {t} RENAME COLUMN v TO w", "ALTER TABLE {t} DROP COLUMN w"):
        world.ask(statement)
        info(world, *keys)


@scenario
def commits_that_change_no_data(world):
    keys = ("operation", "isolationLevel", "isBlindAppend")
    without_vectors(world)
    serializable(world)
    for i in range(3):
        one_file(world, f"SELECT {i}L AS id")
    one_file(world, "SELECT id FROM range(5)", mode="overwrite", dataChange="false")
    info(world, *keys)
    for statement in ("INSERT INTO {t} SELECT 1L WHERE false", "INSERT INTO {t} VALUES (7)", "OPTIMIZE {t}", "DELETE FROM {t} WHERE id = 1000", "UPDATE {t} SET id = 1 WHERE id = 1000",
                      "MERGE INTO {t} t USING (SELECT 1000L AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE", "TRUNCATE TABLE {t}", "TRUNCATE TABLE {t}", "DELETE FROM {t}", "INSERT OVERWRITE {t} SELECT 1L WHERE false"):
        world.sql(statement)
        info(world, *keys)
        world.note(statement, max(a.name for a in (world.directory / "t" / "_delta_log").glob("*.json")))


# -- modes --------------------------------------------------------------------------------------------------------------


@scenario
def insert_by_name(world):
    world.sql("CREATE TABLE {t} (a INT, b STRING, c DATE) USING delta")
    world.ask("INSERT INTO {t} BY NAME SELECT 'x' AS b, 1 AS a", "INSERT INTO {t} BY NAME SELECT DATE'2020-01-01' AS C, 'y' AS B, 2 AS A",
              "INSERT INTO {t} BY NAME SELECT 1 AS nothing", "INSERT INTO {t} BY NAME SELECT 1 AS a, 2 AS a", "INSERT INTO {t} BY NAME SELECT 1 AS a, 'x' AS b, DATE'2020-01-01' AS c, 4 AS d",
              "INSERT OVERWRITE {t} BY NAME SELECT 9 AS a", "INSERT INTO {t} (b, a) SELECT 'z', 3", "INSERT INTO {t} (b, b) SELECT 'z', 'z'", "INSERT INTO {t} (nothing) SELECT 3",
              "INSERT INTO {t} BY NAME SELECT 1 AS z, 2 AS z", "INSERT INTO {t} BY NAME SELECT 1 AS A, 2 AS a", "INSERT OVERWRITE {t} BY NAME SELECT 1 AS z", "INSERT INTO {t} SELECT 1, 'x', DATE'2020-01-01', 4",
              "INSERT INTO {t} REPLACE WHERE a = 1 SELECT 1, 'x', DATE'2020-01-01', 4")
    world.table()
    world.spark.sql("DROP TABLE IF EXISTS by_name")
    world.spark.sql("CREATE TABLE by_name (a INT, b STRING) USING delta")
    world.ask("INSERT INTO by_name BY NAME SELECT 1 AS z", "INSERT INTO by_name BY NAME SELECT 1 AS A, 2 AS a")
    for shown, query in {"more": "SELECT 1 AS a, 2 AS z", "twice": "SELECT 1 AS a, 2 AS A", "less": "SELECT 1 AS a"}.items():
        world.attempt(f"writeTo: {shown}", lambda q=query: world.spark.sql(q).writeTo("by_name").append())
        world.attempt(f"saveAsTable: {shown}", lambda q=query: world.spark.sql(q).write.format("delta").mode("append").saveAsTable("by_name"))
    world.attempt("insertInto: more", lambda: world.spark.sql("SELECT 1 AS a, 'x' AS b, 3 AS c").write.insertInto("by_name"))
    world.rows(world.spark.table("by_name"), "by_name")
    world.spark.sql("DROP TABLE by_name")
    world.spark.conf.set("spark.databricks.delta.schema.autoMerge.enabled", "true")
    world.ask("INSERT INTO {t} BY NAME SELECT 5 AS a, true AS d")
    world.table()


@scenario
def insert_by_name_with_options(world):
    world.sql("CREATE TABLE {t} (a INT, b STRING) USING delta")
    frame = world.spark.sql("SELECT 'x' AS b, 1 AS a, 2.5D AS extra")
    world.attempt("append", lambda: frame.write.format("delta").mode("append").save(world.path("t")))
    world.attempt("mergeSchema", lambda: frame.write.format("delta").mode("append").option("mergeSchema", "true").save(world.path("t")))
    world.attempt("lacking", lambda: frame.select("a").write.format("delta").mode("append").save(world.path("t")))
    world.attempt("overwriteSchema", lambda: frame.select("extra").write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(world.path("t")))
    world.attempt("overwriteSchema with append", lambda: frame.write.format("delta").mode("append").option("overwriteSchema", "true").save(world.path("t")))
    world.attempt("overwriteSchema with replaceWhere", lambda: frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").option("replaceWhere", "a = 1").save(world.path("t")))
    world.table()
    world.schema()


@scenario
def dynamic_overwrite(world):
    def write(rows, mode="overwrite", **options):
        world.spark.createDataFrame(rows, "id BIGINT, p INT").coalesce(1).write.format("delta").mode(mode).partitionBy("p").options(**options).save(world.path("t"))

    write([(1, 1), (2, 2), (3, None)], "append")
    write([(10, 1), (30, None)], partitionOverwriteMode="dynamic")
    world.table()
    write([(11, 1)], partitionOverwriteMode="DYNAMIC")
    world.table()
    world.metrics()
    world.spark.conf.set("spark.sql.sources.partitionOverwriteMode", "dynamic")
    write([(22, 2)])
    world.table()
    world.ask("INSERT OVERWRITE {t} SELECT 99L, 2")
    world.table()
    world.ask("INSERT OVERWRITE {t} PARTITION (p = 1) SELECT 98L")
    world.ask("INSERT OVERWRITE {t} PARTITION (p) SELECT 97L, 7")
    world.table()
    write([(5, 5)], partitionOverwriteMode="static")
    world.table()
    world.attempt("nonsense", lambda: write([(5, 5)], partitionOverwriteMode="nonsense"))
    world.attempt("with replaceWhere", lambda: write([(5, 5)], partitionOverwriteMode="dynamic", replaceWhere="p = 5"))
    world.attempt("with overwriteSchema", lambda: write([(5, 5)], partitionOverwriteMode="dynamic", overwriteSchema="true"))
    world.table()
    world.spark.conf.set("spark.databricks.delta.dynamicPartitionOverwrite.enabled", "false")
    world.attempt("forbidden", lambda: write([(5, 5)], partitionOverwriteMode="dynamic"))
    world.ask("INSERT OVERWRITE {t} SELECT 99L, 2")


@scenario
def replace_where(world):
    def write(rows, condition, **options):
        frame = world.spark.createDataFrame(rows, "id BIGINT, p INT").coalesce(1).write.format("delta").mode("overwrite")
        frame.option("replaceWhere", condition).options(**options).save(world.path("t"))

    world.sql("CREATE TABLE {t} (id BIGINT, p INT) USING delta PARTITIONED BY (p)", "INSERT INTO {t} VALUES (1, 1), (2, 2), (3, 3), (4, NULL)")
    write([(10, 1)], "p = 1")
    world.metrics()
    write([(20, 2)], "id = 2 OR id = 20")
    world.metrics()
    world.table()
    world.attempt("rows outside", lambda: write([(1, 5)], "p = 1"))
    world.attempt("no such column", lambda: write([(1, 5)], "q = 1"))
    world.attempt("no condition", lambda: write([(1, 5)], "id"))
    world.attempt("null", lambda: write([(40, None)], "p IS NULL"))
    world.attempt("append", lambda: world.spark.sql("SELECT 1L AS id, 1 AS p").write.format("delta").mode("append").option("replaceWhere", "p = 1").save(world.path("t")))
    world.ask("INSERT INTO {t} REPLACE WHERE p = 3 SELECT 30L, 3", "INSERT INTO {t} REPLACE WHERE p = 3 SELECT 30L, 4")
    world.table()
    write([], "p = 3")
    world.table()
    world.attempt("append outside", lambda: world.spark.sql("SELECT 2L AS id, 7 AS p").write.format("delta").mode("append").option("replaceWhere", "q = 1").save(world.path("t")))
    info(world, "operation", "operationParameters")
    world.spark.conf.set("spark.databricks.delta.replaceWhere.constraintCheck.enabled", "false")
    world.attempt("rows outside, not checked", lambda: write([(1, 5)], "p = 1"))
    world.ask("INSERT INTO {t} REPLACE WHERE p = 2 SELECT 200L, 8")
    world.table()
    world.spark.conf.set("spark.databricks.delta.replaceWhere.dataColumns.enabled", "false")
    world.attempt("by a data column", lambda: write([(1, 5)], "id = 1"))
    world.attempt("by a partition column", lambda: write([(2, 5)], "p = 5"))
    world.ask("INSERT INTO {t} REPLACE WHERE id = 200 SELECT 200L, 8")
    world.table()
    world.spark.conf.unset("spark.databricks.delta.replaceWhere.dataColumns.enabled")
    world.attempt("a new table", lambda: world.spark.sql("SELECT 1L AS id").write.format("delta").mode("overwrite").option("replaceWhere", "id = 1").save(world.path("new")))
    world.attempt("another schema and no such column", lambda: world.spark.sql("SELECT 1L AS z").write.format("delta").mode("overwrite").option("replaceWhere", "q = 1").save(world.path("t")))


@scenario
def save_modes(world):
    without_vectors(world)
    frame = world.spark.range(2).coalesce(1)
    # The Connect client does not take "errorifexists".
    for mode in ("error", "ignore", "overwrite", "append", "error", "ignore"):
        world.attempt(mode, lambda m=mode: frame.write.format("delta").mode(m).save(world.path("t")))
        world.note("rows", world.spark.read.format("delta").load(world.path("t")).count())
    world.attempt("another partitioning", lambda: frame.write.format("delta").mode("append").partitionBy("id").save(world.path("t")))
    world.attempt("another partition column", lambda: world.spark.sql("SELECT 1L AS id, 2 AS z").write.format("delta").mode("append").partitionBy("z").save(world.path("t")))
    world.attempt("no such partition column", lambda: frame.write.format("delta").mode("append").partitionBy("z").save(world.path("t")))
    world.attempt("another type", lambda: world.spark.sql("SELECT 'x' AS id").write.format("delta").mode("append").save(world.path("t")))
    world.attempt("another type by mergeSchema", lambda: world.spark.sql("SELECT 'x' AS id").write.format("delta").mode("append").option("mergeSchema", "true").save(world.path("t")))
    world.attempt("no columns", lambda: world.spark.sql("SELECT 1 AS a").drop("a").write.format("delta").save(world.path("empty")))
    world.attempt("columns twice", lambda: world.spark.sql("SELECT 1 AS a, 2 AS A").write.format("delta").save(world.path("twice")))
    world.attempt("void", lambda: world.spark.sql("SELECT NULL AS a, 1 AS b").write.format("delta").save(world.path("void")))
    world.attempt("all partitioned", lambda: frame.write.format("delta").partitionBy("id").save(world.path("all")))
    world.attempt("odd names", lambda: world.spark.sql("SELECT 1 AS `a b`, 2 AS `c,d`").write.format("delta").save(world.path("odd")))
    world.attempt("odd names mapped", lambda: world.spark.sql("SELECT 1 AS `a b`, 2 AS `c,d`").write.format("delta").option("delta.columnMapping.mode", "name").save(world.path("mapped")))
    world.attempt("a property", lambda: frame.write.format("delta").option("delta.appendOnly", "true").save(world.path("only")))
    world.attempt("append only", lambda: frame.write.format("delta").mode("overwrite").save(world.path("only")))


# -- protocols ----------------------------------------------------------------------------------------------------------

VERSIONS = "SET TBLPROPERTIES ('delta.minReaderVersion' = '{}', 'delta.minWriterVersion' = '{}')"
FEED = "SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')"
GENERATED = "SET TBLPROPERTIES ('delta.feature.generatedColumns' = 'supported')"
# Properties of a new table, and what happens to it.
PROTOCOLS = {
    "3 7": ("'delta.minReaderVersion' = '3', 'delta.minWriterVersion' = '7'", [VERSIONS.format(3, 7), FEED, VERSIONS.format(2, 5)]),
    "1 7": ("'delta.minReaderVersion' = '1', 'delta.minWriterVersion' = '7'", ["SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')", "DROP FEATURE deletionVectors"]),
    "2 5": ("'delta.minReaderVersion' = '2', 'delta.minWriterVersion' = '5'", [VERSIONS.format(3, 7), "SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"]),
    "writer 4": ("'delta.minWriterVersion' = '4'", [VERSIONS.format(1, 7), VERSIONS.format(1, 6), VERSIONS.format(2, 5), VERSIONS.format(2, 6)]),
    "nothing": ("'a' = 'b'", [VERSIONS.format(3, 7), VERSIONS.format(2, 3), VERSIONS.format(1, 3), VERSIONS.format(1, 5)]),
    "mapping": ("'delta.columnMapping.mode' = 'name'", [FEED, "ADD CONSTRAINT c CHECK (a > 0)", GENERATED, "DROP CONSTRAINT c", "DROP FEATURE checkConstraints"]),
    "feed": ("'delta.enableChangeDataFeed' = 'true'", ["ADD CONSTRAINT c CHECK (a > 0)", GENERATED, "SET TBLPROPERTIES ('delta.feature.rowTracking' = 'supported')"]),
    "reader 2": ("'delta.minReaderVersion' = '2'", []),
    "1 1": ("'delta.minReaderVersion' = '1', 'delta.minWriterVersion' = '1'", [FEED, VERSIONS.format(1, 2)]),
    "1 2 and vectors": ("'delta.minReaderVersion' = '1', 'delta.minWriterVersion' = '2', 'delta.enableDeletionVectors' = 'true'", []),
    "named": ("'delta.feature.changeDataFeed' = 'supported', 'delta.feature.checkConstraints' = 'supported', 'delta.feature.generatedColumns' = 'supported'", ["DROP FEATURE checkConstraints"]),
}


def protocols(properties, changes):
    def run(world):
        without_vectors(world)
        world.ask(f"CREATE TABLE {{t}} (a INT) USING delta TBLPROPERTIES ({properties})")
        for change in [None, *changes]:
            if change:
                world.ask(f"ALTER TABLE {{t}} {change}")
            world.rows(world.spark.sql(world.filled("DESCRIBE DETAIL {t}")).select("minReaderVersion", "minWriterVersion", "tableFeatures"), "protocol")

    return run


for name, (properties, changes) in PROTOCOLS.items():
    SCENARIOS[f"protocol: {name}"] = protocols(properties, changes)
