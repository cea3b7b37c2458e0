"""How files are written and what commits say: statistics, sizes, codecs, transactions of applications, modes. See `recorded.py`."""

import collections
import json

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
    commit = next(a["commitInfo"] for a in world.actions(name) if "commitInfo" in a)
    world.note("commit", {k: commit.get(k) for k in keys})


# -- statistics ---------------------------------------------------------------------------------------------------------

EVERY_TYPE = """SELECT id, CAST(id AS TINYINT) AS t, CAST(id AS SMALLINT) AS s, CAST(id AS INT) AS i, CAST(id / 3 AS FLOAT) AS f, id / 7 AS d,
  CAST(id AS DECIMAL(20, 3)) AS dec, CAST(id AS STRING) AS str, CAST(CAST(id AS STRING) AS BINARY) AS bin, id % 2 = 0 AS b,
  date_add(DATE'2020-01-01', CAST(id AS INT)) AS date, timestamp_micros(id * 1000001) AS ts, timestamp_micros(id * 1000001)::TIMESTAMP_NTZ AS ntz,
  array(id) AS arr, map('k', id) AS m, named_struct('x', id, 'y', named_struct('z', CAST(id AS STRING), 'a', array(1))) AS st,
  IF(id % 3 = 0, NULL, id) AS n, CAST(NULL AS INT) AS nothing FROM range(20)"""


@scenario
def statistics_of_every_type(world):
    one_file(world, EVERY_TYPE)
    statistics(world)


@scenario
def statistics_of_odd_values(world):
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
    one_file(world, "SELECT struct(id AS x, CAST(NULL AS INT) AS y) AS s, IF(id = 1, NULL, struct(id AS x)) AS r FROM range(3)", "nulls")
    statistics(world, "nulls")


WIDE = "SELECT " + ", ".join(f"id + {i} AS c{i}" for i in range(36)) + " FROM range(3)"


@scenario
def statistics_of_the_first_columns(world):
    one_file(world, WIDE)
    statistics(world)


def with_property(key, value, query="SELECT id AS a, id * 2 AS b, named_struct('x', id, 'y', 'z') AS s, 'text' AS c, id AS d FROM range(3)", prepared=()):
    def run(world):
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


for value in ("0", "1", "2", "3", "4", "-1", "-2", "x"):
    SCENARIOS[f"dataSkippingNumIndexedCols = {value}"] = with_property("delta.dataSkippingNumIndexedCols", value)
for value in ("a", "d, b", "s", "s.x", "s.y,a", "nothing", "a,a", "", "A", "`a`"):
    SCENARIOS[f"dataSkippingStatsColumns = {value}"] = with_property("delta.dataSkippingStatsColumns", value)


@scenario
def statistics_columns_of_types_without_bounds(world):
    world.ask("CREATE TABLE {t} (a BINARY, b ARRAY<INT>, c INT) USING delta TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'b')")
    world.ask("CREATE TABLE {u} (a BINARY, b BOOLEAN, c INT) USING delta TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'a,b')")
    world.ask("CREATE TABLE {p} (a INT, b INT) USING delta PARTITIONED BY (b) TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'b')")


@scenario
def statistics_columns_win_over_their_number(world):
    world.sql("CREATE TABLE {t} (a INT, b INT, c INT) USING delta TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'c', 'delta.dataSkippingNumIndexedCols' = '1')")
    one_file(world, "SELECT 1 AS a, 2 AS b, 3 AS c")
    statistics(world)
    world.sql("ALTER TABLE {t} UNSET TBLPROPERTIES ('delta.dataSkippingStatsColumns')")
    one_file(world, "SELECT 1 AS a, 2 AS b, 3 AS c")
    statistics(world)


@scenario
def statistics_columns_that_are_renamed_or_dropped(world):
    world.sql("CREATE TABLE {t} (a INT, b INT, c INT) USING delta TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'b,c', 'delta.columnMapping.mode' = 'name')")
    world.ask("ALTER TABLE {t} RENAME COLUMN b TO bb", "ALTER TABLE {t} DROP COLUMN c")
    world.tell(world.spark.sql(world.filled("SHOW TBLPROPERTIES {t}")).filter("key LIKE '%dataSkipping%'"), "property", "key", "value")


@scenario
def statistics_of_a_partitioned_table(world):
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
    world.spark.conf.set("spark.databricks.delta.stats.collect", "false")
    one_file(world, "SELECT 1 AS a")
    world.note("has statistics", [a.get("stats") is not None for a in added(world)])


# -- files --------------------------------------------------------------------------------------------------------------


def records(world, name="t", version=None):
    return sorted(json.loads(a["stats"])["numRecords"] for a in added(world, name, version))


@scenario
def max_records_per_file(world):
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
    world.ask("DELETE FROM {t} WHERE id = 100")
    world.rows(world.spark.sql(world.filled("SELECT count(*) FROM {t} WHERE id = 100")), "delete by setting")


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
    world.spark.sql("SELECT id, CAST(id % 3 AS INT) AS p FROM range(9)").coalesce(1).write.format("delta").partitionBy("p").save(world.path("t"))
    info(world, *keys)
    for mode, options in (("append", {}), ("overwrite", {}), ("overwrite", {"replaceWhere": "id < 3"}), ("append", {"mergeSchema": "true"}), ("overwrite", {"overwriteSchema": "true"})):
        one_file(world, "SELECT id, CAST(id % 3 AS INT) AS p FROM range(3)", mode=mode, **options)
        info(world, *keys)
    for statement in ("INSERT INTO {t} VALUES (10, 1)", "INSERT OVERWRITE {t} VALUES (10, 1)", "INSERT INTO {t} REPLACE WHERE id = 10 VALUES (10, 2)", "INSERT INTO {t} SELECT id + 1, p FROM {t}",
                      "UPDATE {t} SET p = 5 WHERE id = 11", "DELETE FROM {t} WHERE id = 11", "TRUNCATE TABLE {t}", "ALTER TABLE {t} ADD COLUMNS (v INT COMMENT 'c')", "ALTER TABLE {t} ALTER COLUMN v COMMENT 'd'",
                      "COMMENT ON TABLE {t} IS 'x'", "ALTER TABLE {t} SET TBLPROPERTIES ('a' = 'b')", "ALTER TABLE {t} UNSET TBLPROPERTIES ('a')", "ALTER TABLE {t} ADD CONSTRAINT c CHECK (id > 0)",
                      "ALTER TABLE {t} DROP CONSTRAINT c", "ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')", "ALTER TABLE {t} RENAME COLUMN v TO w", "ALTER TABLE {t} DROP COLUMN w"):
        world.ask(statement)
        info(world, *keys)


# -- modes --------------------------------------------------------------------------------------------------------------


@scenario
def insert_by_name(world):
    world.sql("CREATE TABLE {t} (a INT, b STRING, c DATE) USING delta")
    world.ask("INSERT INTO {t} BY NAME SELECT 'x' AS b, 1 AS a", "INSERT INTO {t} BY NAME SELECT DATE'2020-01-01' AS C, 'y' AS B, 2 AS A",
              "INSERT INTO {t} BY NAME SELECT 1 AS nothing", "INSERT INTO {t} BY NAME SELECT 1 AS a, 2 AS a", "INSERT INTO {t} BY NAME SELECT 1 AS a, 'x' AS b, DATE'2020-01-01' AS c, 4 AS d",
              "INSERT OVERWRITE {t} BY NAME SELECT 9 AS a", "INSERT INTO {t} (b, a) SELECT 'z', 3", "INSERT INTO {t} (b, b) SELECT 'z', 'z'", "INSERT INTO {t} (nothing) SELECT 3")
    world.table()
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
    world.attempt("rows outside, not checked", lambda: write([(1, 5)], "p = 1", **{"spark.databricks.delta.replaceWhere.constraintCheck.enabled": "false"}))
    world.attempt("no such column", lambda: write([(1, 5)], "q = 1"))
    world.attempt("no condition", lambda: write([(1, 5)], "id"))
    world.attempt("null", lambda: write([(40, None)], "p IS NULL"))
    world.attempt("append", lambda: world.spark.sql("SELECT 1L AS id, 1 AS p").write.format("delta").mode("append").option("replaceWhere", "p = 1").save(world.path("t")))
    world.ask("INSERT INTO {t} REPLACE WHERE p = 3 SELECT 30L, 3", "INSERT INTO {t} REPLACE WHERE p = 3 SELECT 30L, 4")
    world.table()
    write([], "p = 3")
    world.table()


@scenario
def save_modes(world):
    frame = world.spark.range(2).coalesce(1)
    for mode in ("error", "errorifexists", "ignore", "overwrite", "append", "error", "ignore"):
        world.attempt(mode, lambda m=mode: frame.write.format("delta").mode(m).save(world.path("t")))
        world.note("rows", world.spark.read.format("delta").load(world.path("t")).count())
    world.attempt("another partitioning", lambda: frame.write.format("delta").mode("append").partitionBy("id").save(world.path("t")))
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
