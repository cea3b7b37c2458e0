"""Settings of delta-spark for writes: empty commits, partition values of timestamps, types that grow by themselves. See `recorded.py`."""

from scenarios_write import serializable, without_vectors

SCENARIOS = {}


def scenario(function):
    def run(world):
        without_vectors(world)
        serializable(world)
        function(world)

    SCENARIOS[function.__name__.replace("_", " ")] = run
    return run


PREFIX = "spark.databricks.delta."


def tell_versions(world, name="t"):
    found = world.spark.sql(f"DESCRIBE HISTORY delta.`{world.path(name)}`").collect()
    world.note("versions", [[row["version"], row["operation"]] for row in found])


def empty_statements(world):
    world.sql("CREATE TABLE {t} (id BIGINT, v STRING) USING delta", "INSERT INTO {t} VALUES (1, 'a')")
    world.ask(
        "DELETE FROM {t} WHERE id = 5",
        "UPDATE {t} SET v = 'b' WHERE id = 5",
        "MERGE INTO {t} t USING (SELECT 5 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE",
        "MERGE INTO {t} t USING (SELECT 1 AS id) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
        "INSERT INTO {t} SELECT * FROM {t} WHERE id = 5",
    )
    world.sql("OPTIMIZE {t}")
    tell_versions(world)
    world.sql("DELETE FROM {t}")
    nothing = world.spark.range(0).selectExpr("id", "'x' AS v")
    world.attempt("append", lambda: nothing.write.format("delta").mode("append").save(world.path("t")))
    world.attempt("overwrite", lambda: nothing.write.format("delta").mode("overwrite").save(world.path("t")))
    world.attempt("replaceWhere", lambda: nothing.write.format("delta").mode("overwrite").option("replaceWhere", "id = 7").save(world.path("t")))
    world.ask("TRUNCATE TABLE {t}", "DELETE FROM {t}", "UPDATE {t} SET v = 'b'")
    tell_versions(world)
    world.note("actions", sorted({kind for a in world.actions() for kind in a}))


@scenario
def empty_commits_are_left_out(world):
    empty_statements(world)


@scenario
def empty_commits_are_recorded(world):
    world.spark.conf.set(PREFIX + "skipRecordingEmptyCommits", "false")
    empty_statements(world)


def partitions(world, name):
    """What the log says of partitions, the directories without what is given at random, and the rows."""
    adds = [a["add"] for a in world.actions(name) if "add" in a]
    world.note("partitions", sorted(([a["partitionValues"], a["path"].rsplit("/", 1)[0]] for a in adds), key=str))
    world.table(name)


@scenario
def partition_values_of_timestamps(world):
    for zone in ("UTC", "America/New_York", "Asia/Kolkata"):
        for utc in ("true", "false"):
            world.spark.conf.set("spark.sql.session.timeZone", zone)
            world.spark.conf.set(PREFIX + "write.utcTimestampPartitionValues", utc)
            name = f"{zone.split('/')[-1]}_{utc}"
            world.sql(
                f"CREATE TABLE {{{name}}} (id INT, ts TIMESTAMP, n TIMESTAMP_NTZ) USING delta PARTITIONED BY (ts, n)",
                f"INSERT INTO {{{name}}} VALUES (1, TIMESTAMP'2020-07-01 12:00:00', TIMESTAMP_NTZ'2020-07-01 12:00:00'), (2, TIMESTAMP'2020-01-01 00:00:00.123', TIMESTAMP_NTZ'2020-01-01 00:00:00.123'), (3, NULL, NULL), (4, TIMESTAMP'1969-12-31 23:59:59.999999', NULL)",
            )
            partitions(world, name)
            world.rows(world.spark.sql(world.filled(f"SELECT id FROM {{{name}}} WHERE ts = TIMESTAMP'2020-07-01 12:00:00'")), "found")


def types(world, name):
    world.schema(name)
    world.table(name)


@scenario
def types_that_grow_by_themselves(world):
    world.spark.conf.set(PREFIX + "schema.autoMerge.enabled", "true")
    for mode in ("always", "same_family_type", "NEVER", None):
        if mode:
            world.spark.conf.set(PREFIX + "typeWidening.allowAutomaticWidening", mode)
        else:
            world.spark.conf.unset(PREFIX + "typeWidening.allowAutomaticWidening")
        for how in ("insert", "append", "merge"):
            name = f"{mode}_{how}"
            world.sql(f"CREATE TABLE {{{name}}} (i INT, k INT, f FLOAT, d DECIMAL(5, 2)) USING delta TBLPROPERTIES ('delta.enableTypeWidening' = 'true')", f"INSERT INTO {{{name}}} VALUES (1, 1, 1, 1)")
            rows = "SELECT 2L AS i, 2.5D AS k, 2.5D AS f, CAST(2.125 AS DECIMAL(10, 4)) AS d"
            if how == "insert":
                world.ask(f"INSERT INTO {{{name}}} {rows}")
            elif how == "append":
                world.attempt("append", lambda name=name, rows=rows: world.spark.sql(rows).write.format("delta").mode("append").save(world.path(name)))
            else:
                world.ask(f"MERGE INTO {{{name}}} t USING ({rows}) s ON t.i = s.i WHEN NOT MATCHED THEN INSERT *")
            types(world, name)
    world.attempt("no mode", lambda: world.spark.conf.set(PREFIX + "typeWidening.allowAutomaticWidening", "sometimes"))


@scenario
def types_inside_that_grow(world):
    world.spark.conf.set(PREFIX + "schema.autoMerge.enabled", "true")
    world.sql("CREATE TABLE {t} (i INT, s STRUCT<x: INT>, l ARRAY<INT>, m MAP<STRING, INT>) USING delta TBLPROPERTIES ('delta.enableTypeWidening' = 'true')")
    rows = world.spark.sql("SELECT 1 AS i, named_struct('x', 2L) AS s, array(3L) AS l, map('a', 4L) AS m")
    world.attempt("append", lambda: rows.write.format("delta").mode("append").save(world.path("t")))
    types(world, "t")


@scenario
def clustering_columns(world):
    world.attempt("SET", lambda: world.spark.conf.set(PREFIX + "clusteredTable.numClusteringColumnsLimit", "2"))
    world.ask("CREATE TABLE {t} (a INT, b INT, c INT, d INT, e INT) USING delta CLUSTER BY (a, b, c, d, e)")
