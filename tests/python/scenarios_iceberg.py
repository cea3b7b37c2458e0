"""Tables that Iceberg can read too (`delta.enableIcebergCompatV1`, `V2`): what turns it on, what is refused in which words, what the log and the files
say. See `recorded.py`."""

import json
import re

import pyarrow.parquet as pq
from recorded import error_class
from scenarios_write import without_vectors

SCENARIOS = {}


def scenario(function):
    def run(world):
        without_vectors(world)
        function(world)

    SCENARIOS[function.__name__.replace("_", " ")] = run
    return run


# -- what is noted -----------------------------------------------------------------------------------------------------


def try_all(world, *statements):
    """The errors with their texts, where there are some."""
    for statement in statements:
        try:
            world.spark.sql(world.filled(statement)).collect()
            world.note(statement, "done")
        except Exception as error:
            text = re.sub(r"^\[[\w.]+\]\s*", "", str(error).split("SQLSTATE:")[0].split("JVM stacktrace")[0])
            text = re.sub(r"tableId=[-\w]+|(?<=AddFile )\S+(?= is missing)", "...", re.sub(r"\s+", " ", text)).strip()
            iceberg = error_class(error).startswith("DELTA_ICEBERG") or "IcebergCompat" in text
            world.note(statement, {"refused": error_class(error), "text": text} if iceberg else {"refused": error_class(error)})


def last(world, kind, name="t"):
    """The newest action of a kind."""
    found = None
    for version in range(len(list((world.directory / name / "_delta_log").glob("*.json")))):
        for action in world.actions(name, version):
            found = action.get(kind, found)
    return found


def names(world, name="t"):
    """What files call the columns, by what the table calls them."""
    out = {}

    def fields(struct, path):
        for field in struct["fields"]:
            out[field["metadata"].get("delta.columnMapping.physicalName", field["name"])] = ".".join([*path, field["name"]])
            inside(field["type"], [*path, field["name"]])

    def inside(t, path):
        if isinstance(t, dict) and t["type"] == "struct":
            fields(t, path)
        elif isinstance(t, dict):
            for key in ("elementType", "keyType", "valueType"):
                inside(t.get(key), [*path, key])

    for version in range(len(list((world.directory / name / "_delta_log").glob("*.json")))):
        for action in world.actions(name, version):
            if "metaData" in action:
                fields(json.loads(action["metaData"]["schemaString"]), [])
    return out


def readable(world, value, name="t"):
    """With the columns' own names."""
    text = json.dumps(value)
    for physical, logical in names(world, name).items():
        if physical.startswith("col-"):
            text = text.replace(physical, f"<{logical}>")
    return json.loads(text)


def tell_table(world, name="t"):
    """Protocol, properties and schema."""
    metadata = last(world, "metaData", name)
    protocol = last(world, "protocol", name)
    world.note("protocol", {k: sorted(v) if isinstance(v, list) else v for k, v in sorted(protocol.items())})
    world.note("properties", {k: v for k, v in sorted(metadata["configuration"].items()) if k != "delta.universalFormat.enabledFormats"})
    schema = json.loads(metadata["schemaString"])
    world.note("schema", readable(world, schema, name))


def tell_files(world, name="t"):
    """What the log says of the files that the last commits added, and what is in them."""
    adds = {}
    for version in range(len(list((world.directory / name / "_delta_log").glob("*.json")))):
        for action in world.actions(name, version):
            if "remove" in action:
                adds.pop(action["remove"]["path"], None)
            if "add" in action:
                adds[action["add"]["path"]] = action["add"]
    told = []
    for path, add in adds.items():
        stats = json.loads(add["stats"]) if add.get("stats") else None
        tags = {k: v for k, v in (add.get("tags") or {}).items() if k == "ICEBERG_COMPAT_VERSION"}
        entry = {"partition": add["partitionValues"], "stats": stats, "tags": tags, "vector": add.get("deletionVector") is not None}
        entry["file"] = parquet(world, path, name)
        told.append(readable(world, entry, name))
    world.note("files", sorted(told, key=lambda f: json.dumps(f, sort_keys=True)))


def parquet(world, path, name="t"):
    """The schema of a file, and the rows."""
    import urllib.parse

    file = pq.ParquetFile(world.directory / name / urllib.parse.unquote(path))
    lines = str(file.schema).splitlines()
    lines = [re.sub(r"\bschema\b|spark_schema|arrow_schema", "root", line.strip()) for line in lines if line.strip()]
    # Whether a value may be NULL is said of the plan there, and of the table here.
    lines = [re.sub("^required", "optional", line) for line in lines if not line.startswith("<pyarrow")]
    return {"schema": lines, "rows": file.metadata.num_rows}


# -- tables that are made ----------------------------------------------------------------------------------------------

V1, V2 = "'delta.enableIcebergCompatV1' = 'true'", "'delta.enableIcebergCompatV2' = 'true'"


@scenario
def made_by_create_table(world):
    for name, given in (("a", V1), ("b", V2)):
        world.sql(f"CREATE TABLE {{{name}}} (id BIGINT, s STRUCT<x: INT, y: STRING>) USING delta TBLPROPERTIES ({given})")
        tell_table(world, name)
        world.sql(f"INSERT INTO {{{name}}} VALUES (1, named_struct('x', 1, 'y', 'a'))")
        tell_files(world, name)


@scenario
def made_with_mapping_by_id(world):
    world.sql(f"CREATE TABLE {{t}} (id BIGINT) USING delta TBLPROPERTIES ({V2}, 'delta.columnMapping.mode' = 'id')", "INSERT INTO {t} VALUES (1)")
    tell_table(world)
    tell_files(world)


EVERY_TYPE = """SELECT CAST(1 AS TINYINT) AS t, CAST(1 AS SMALLINT) AS s, 1 AS i, 1L AS l, 1.5F AS f, 2.5D AS d, CAST(1.25 AS DECIMAL(5, 2)) AS dec, CAST(1 AS DECIMAL(15, 3)) AS dec2,
  CAST(1 AS DECIMAL(38, 10)) AS dec3, 'x' AS str, X'01' AS bin, true AS b, TIMESTAMP'2020-01-01 00:00:00.123456' AS ts, TIMESTAMP_NTZ'2020-01-01 00:00:00.5' AS ntz, DATE'2020-01-01' AS date"""


@scenario
def every_type(world):
    world.sql(f"CREATE TABLE {{a}} USING delta TBLPROPERTIES ({V1}) AS {EVERY_TYPE}")
    tell_files(world, "a")
    world.sql(f"""CREATE TABLE {{t}} USING delta TBLPROPERTIES ({V2}) AS
        SELECT *, array(array(1)) AS aa, map('k', array(1L)) AS ma, map(1, named_struct('sub', array(1))) AS ms, named_struct('m', map('a', map('b', 1)), 'n', 1) AS st FROM ({EVERY_TYPE})""")
    tell_table(world)
    tell_files(world)
    world.table()


@scenario
def partitioned(world):
    world.sql(f"CREATE TABLE {{t}} (p STRING, id BIGINT, q DATE, v STRING) USING delta PARTITIONED BY (p, q) TBLPROPERTIES ({V2})",
              "INSERT INTO {t} SELECT /*+ COALESCE(1) */ * FROM VALUES ('a', 1L, DATE'2020-01-01', 'x'), ('a', 2L, DATE'2020-01-01', 'y'), (NULL, 3L, NULL, 'z'), ('', 4L, DATE'2020-01-03', 'e')")
    tell_files(world)
    world.sql("UPDATE {t} SET v = 'u' WHERE id = 1", "DELETE FROM {t} WHERE id = 2", "MERGE INTO {t} t USING (SELECT 3 AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = 'm' WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
              "INSERT INTO {t} VALUES ('b', 5, DATE'2020-01-02', 'n')", "INSERT INTO {t} VALUES ('b', 6, DATE'2020-01-02', 'n')", "OPTIMIZE {t}")
    tell_files(world)
    world.table()


@scenario
def partitioned_first_version(world):
    world.sql(f"CREATE TABLE {{t}} USING delta PARTITIONED BY (p) TBLPROPERTIES ({V1}) AS SELECT 1 AS p, 2L AS id")
    tell_table(world)
    tell_files(world)


@scenario
def with_row_ids(world):
    world.sql(f"CREATE TABLE {{t}} (id BIGINT, p STRING) USING delta PARTITIONED BY (p) TBLPROPERTIES ({V2}, 'delta.enableRowTracking' = 'true')",
              "INSERT INTO {t} VALUES (1, 'a')", "UPDATE {t} SET id = 3 WHERE id = 1")
    (add,) = [a["add"] for a in world.actions() if "add" in a]
    text = json.dumps(readable(world, parquet(world, add["path"])))
    world.note("file", json.loads(re.sub(r"(_row-\w+-\w+(-col)?)-[-0-9a-f]+", r"\1", text)))
    world.table()


@scenario
def by_a_write(world):
    world.spark.conf.set("spark.databricks.delta.properties.defaults.enableIcebergCompatV2", "true")
    world.attempt("save", lambda: world.spark.range(3).write.format("delta").save(world.path("t")))
    world.spark.conf.set("spark.databricks.delta.properties.defaults.columnMapping.mode", "name")
    world.attempt("save mapped", lambda: world.spark.range(3).write.format("delta").save(world.path("u")))
    tell_table(world, "u")


# -- what is refused ---------------------------------------------------------------------------------------------------


def make(columns, properties, tail=""):
    return f"CREATE TABLE {{t}} ({columns}) USING delta {tail} TBLPROPERTIES ({properties})"


@scenario
def refused_at_once(world):
    try_all(
        world,
        make("id INT", f"{V1}, {V2}"),
        make("id INT", f"{V1}, 'delta.columnMapping.mode' = 'none'"),
        make("id INT", f"{V2}, 'delta.columnMapping.mode' = 'none'"),
        make("id INT", f"{V1}, 'delta.enableDeletionVectors' = 'true'"),
        make("id INT", f"{V2}, 'delta.enableDeletionVectors' = 'true'"),
        make("id INT, a ARRAY<INT>", V1),
        make("id INT, m MAP<STRING, INT>", V1),
        make("id INT, s STRUCT<x: STRUCT<y: ARRAY<INT>>>", V1),
        make("id INT, n VOID", V1),
        make("id INT, n VOID", V2),
        make("id INT, v VARIANT", V2),
        make("id INT, s STRUCT<x: ARRAY<VARIANT>>", V2),
        make("id INT, d DECIMAL(5, 2)", V2, "PARTITIONED BY (d)"),
        make("id INT", "'delta.feature.icebergCompatV2' = 'supported'"),
    )
    world.ask(make("id INT", "'delta.enableIcebergCompatV2' = 'perhaps'"))
    tell_table(world)


@scenario
def refused_by_select(world):
    # A statement that is refused leaves a directory there.
    try_all(world, f"CREATE TABLE {{t}} USING delta TBLPROPERTIES ({V1}) AS SELECT array(1) AS a", f"CREATE TABLE {{u}} USING delta TBLPROPERTIES ({V2}) AS SELECT 1 AS i, NULL AS a",
            f"CREATE TABLE {{v}} USING delta TBLPROPERTIES ({V2}, 'delta.enableDeletionVectors' = 'true') AS SELECT 1 AS a")


@scenario
def refused_with_default_vectors(world):
    world.spark.conf.set("spark.databricks.delta.properties.defaults.enableDeletionVectors", "true")
    try_all(world, make("id INT", V2))


# -- tables that exist -------------------------------------------------------------------------------------------------


@scenario
def turned_on_later(world):
    for name, mode in (("a", "none"), ("b", "name"), ("c", "id")):
        world.sql(f"CREATE TABLE {{{name}}} (id BIGINT, l ARRAY<INT>) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = '{mode}')", f"INSERT INTO {{{name}}} VALUES (1, array(1))")
        try_all(world, f"ALTER TABLE {{{name}}} SET TBLPROPERTIES ({V1})", f"ALTER TABLE {{{name}}} SET TBLPROPERTIES ({V2})")
        tell_table(world, name)
        world.sql(f"INSERT INTO {{{name}}} VALUES (2, array(2))")
        world.table(name)
    tell_files(world, "b")


@scenario
def turned_on_with_the_mapping(world):
    world.sql("CREATE TABLE {t} (id BIGINT) USING delta", "INSERT INTO {t} VALUES (1)")
    try_all(world, f"ALTER TABLE {{t}} SET TBLPROPERTIES ({V2}, 'delta.columnMapping.mode' = 'name')")
    tell_table(world)
    world.sql("INSERT INTO {t} VALUES (2)")
    tell_files(world)
    world.table()


@scenario
def turned_on_with_vectors(world):
    world.sql("CREATE TABLE {t} (id BIGINT) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableDeletionVectors' = 'true')", "INSERT INTO {t} SELECT id FROM range(10)",
              "DELETE FROM {t} WHERE id = 3")
    try_all(
        world,
        f"ALTER TABLE {{t}} SET TBLPROPERTIES ({V2})",
        f"ALTER TABLE {{t}} SET TBLPROPERTIES ({V1}, 'delta.enableDeletionVectors' = 'false')",
        "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')",
        f"ALTER TABLE {{t}} SET TBLPROPERTIES ({V1})",
        "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableIcebergCompatV1' = 'false')",
        "REORG TABLE {t} APPLY (PURGE)",
        f"ALTER TABLE {{t}} SET TBLPROPERTIES ({V2})",
        "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
        "UPDATE {t} SET id = 100 WHERE id = 4",
    )
    tell_table(world)
    world.sql("ALTER TABLE {t} DROP FEATURE deletionVectors")
    world.note("protocol", sorted(last(world, "protocol")["writerFeatures"]))
    world.table()


@scenario
def one_version_at_a_time(world):
    world.sql(make("id BIGINT", V1), "INSERT INTO {t} VALUES (1)")
    try_all(
        world,
        f"ALTER TABLE {{t}} SET TBLPROPERTIES ({V2})",
        f"ALTER TABLE {{t}} SET TBLPROPERTIES ({V2}, 'delta.enableIcebergCompatV1' = 'false')",
        "INSERT INTO {t} VALUES (2)",
        f"ALTER TABLE {{t}} SET TBLPROPERTIES ({V1}, 'delta.enableIcebergCompatV2' = 'false')",
        "ALTER TABLE {t} UNSET TBLPROPERTIES ('delta.enableIcebergCompatV1')",
        "ALTER TABLE {t} ADD COLUMNS (a ARRAY<INT>)",
        f"ALTER TABLE {{t}} SET TBLPROPERTIES ({V1})",
    )
    tell_table(world)
    tell_files(world)


@scenario
def mapping_stays(world):
    world.sql(make("id BIGINT", V2), "INSERT INTO {t} VALUES (1)")
    world.spark.conf.set("spark.databricks.delta.columnMapping.allowRemoval", "true")
    try_all(
        world,
        "ALTER TABLE {t} UNSET TBLPROPERTIES ('delta.columnMapping.mode')",
        "ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'none')",
        "ALTER TABLE {t} DROP FEATURE columnMapping",
        "ALTER TABLE {t} DROP FEATURE icebergCompatV2",
    )


@scenario
def columns_that_come_later(world):
    world.sql("CREATE TABLE {a} (id BIGINT) USING delta TBLPROPERTIES ('delta.enableIcebergCompatV1' = 'true')", make("id BIGINT, l ARRAY<STRUCT<x: INT>>", V2))
    try_all(world, "ALTER TABLE {a} ADD COLUMNS (l ARRAY<INT>)", "ALTER TABLE {a} ADD COLUMNS (n VOID)", "ALTER TABLE {t} ADD COLUMNS (m MAP<STRING, ARRAY<INT>>)",
            "ALTER TABLE {t} ADD COLUMNS (l.element.y ARRAY<INT>)", "ALTER TABLE {t} RENAME COLUMN m TO mm", "ALTER TABLE {t} DROP COLUMN mm")
    world.spark.conf.set("spark.databricks.delta.schema.autoMerge.enabled", "true")
    rows = world.spark.sql("SELECT 1L AS id, array(named_struct('x', 1, 'y', array(2), 'z', map(1, 2))) AS l")
    world.attempt("write", lambda: rows.write.format("delta").mode("append").save(world.path("t")))
    try_all(world, "INSERT INTO {a} SELECT 1L AS id, array(1) AS l",
            "MERGE INTO {t} t USING (SELECT 7L AS id, map('a', 1) AS mn) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *")
    tell_table(world)
    world.table()


@scenario
def partitioning_stays(world):
    world.sql(make("a INT, b INT", V2, "PARTITIONED BY (a)"), "INSERT INTO {t} VALUES (1, 2)")
    rows = "AS SELECT 1L AS a, 2 AS b"
    replace = "CREATE OR REPLACE TABLE {t} USING delta"
    try_all(world, f"{replace} PARTITIONED BY (b) TBLPROPERTIES ({V2}) {rows}", f"{replace} TBLPROPERTIES ({V2}) {rows}", f"{replace} PARTITIONED BY (b) TBLPROPERTIES ({V1}) {rows}",
            f"{replace} PARTITIONED BY (a) TBLPROPERTIES ({V2}) {rows}", f"{replace} {rows}")
    tell_table(world)
    frame = world.spark.range(3).selectExpr("id AS a", "1 AS b")
    world.sql("CREATE TABLE {u} (a BIGINT, b INT) USING delta PARTITIONED BY (a) TBLPROPERTIES ('delta.enableIcebergCompatV1' = 'true')")
    world.attempt("overwriteSchema", lambda: frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").partitionBy("b").save(world.path("u")))
    world.table("u")


@scenario
def replaced_by_one(world):
    world.sql("CREATE TABLE {t} (a INT) USING delta", "INSERT INTO {t} VALUES (1)")
    try_all(world, f"CREATE OR REPLACE TABLE {{t}} USING delta TBLPROPERTIES ({V2}) AS SELECT array(1) AS a")
    world.note("protocol", sorted(last(world, "protocol")["writerFeatures"]))
    world.table()
    world.sql("CREATE TABLE {u} (a INT) USING delta TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    try_all(world, f"CREATE OR REPLACE TABLE {{u}} USING delta TBLPROPERTIES ({V2}) AS SELECT 1 AS a")


@scenario
def types_that_grow(world):
    world.sql("CREATE TABLE {t} (i INT, f FLOAT, b TINYINT, d DECIMAL(5, 2), l ARRAY<INT>, s STRUCT<x: INT>) USING delta TBLPROPERTIES ('delta.enableTypeWidening' = 'true', 'delta.enableIcebergCompatV2' = 'true')",
              "INSERT INTO {t} VALUES (1, 1, 1, 1, array(1), named_struct('x', 1))")
    try_all(
        world,
        "ALTER TABLE {t} ALTER COLUMN i TYPE DOUBLE",
        "ALTER TABLE {t} ALTER COLUMN i TYPE DECIMAL(12, 1)",
        "ALTER TABLE {t} ALTER COLUMN d TYPE DECIMAL(10, 4)",
        "ALTER TABLE {t} ALTER COLUMN l.element TYPE DOUBLE",
        "ALTER TABLE {t} ALTER COLUMN s.x TYPE DOUBLE",
        "ALTER TABLE {t} ALTER COLUMN i TYPE BIGINT",
        "ALTER TABLE {t} ALTER COLUMN f TYPE DOUBLE",
        "ALTER TABLE {t} ALTER COLUMN b TYPE INT",
        "ALTER TABLE {t} ALTER COLUMN d TYPE DECIMAL(10, 2)",
        "ALTER TABLE {t} ALTER COLUMN l.element TYPE BIGINT",
    )
    world.table()
    world.sql("CREATE TABLE {u} (i INT, s STRUCT<`x y`: MAP<STRING, INT>>) USING delta TBLPROPERTIES ('delta.enableTypeWidening' = 'true', 'delta.columnMapping.mode' = 'name')", "INSERT INTO {u} VALUES (1, NULL)",
              "ALTER TABLE {u} ALTER COLUMN s.`x y`.value TYPE DOUBLE")
    try_all(world, f"ALTER TABLE {{u}} SET TBLPROPERTIES ({V2})")
    world.sql("CREATE TABLE {w} (d DATE) USING delta TBLPROPERTIES ('delta.enableTypeWidening' = 'true', 'delta.columnMapping.mode' = 'name', 'delta.feature.timestampNtz' = 'supported')", "ALTER TABLE {w} ALTER COLUMN d TYPE TIMESTAMP_NTZ")
    try_all(world, f"ALTER TABLE {{w}} SET TBLPROPERTIES ({V1})")


@scenario
def types_that_grow_by_writes(world):
    world.spark.conf.set("spark.databricks.delta.schema.autoMerge.enabled", "true")
    world.sql("CREATE TABLE {t} (i INT, d DECIMAL(5, 2)) USING delta TBLPROPERTIES ('delta.enableTypeWidening' = 'true', 'delta.enableIcebergCompatV2' = 'true')")
    try_all(world, "INSERT INTO {t} SELECT 1L AS i, CAST(1 AS DECIMAL(7, 2)) AS d", "INSERT INTO {t} SELECT 1 AS i, CAST(1.25 AS DECIMAL(12, 4)) AS d")
    world.schema()
    world.table()


@scenario
def statistics_are_needed(world):
    world.sql(make("id BIGINT", V2))
    world.spark.conf.set("spark.databricks.delta.stats.collect", "false")
    world.ask("INSERT INTO {t} VALUES (1)", "UPDATE {t} SET id = 2", "INSERT INTO {t} VALUES (2)")
    world.table()


@scenario
def files_without_statistics_stay(world):
    world.spark.conf.set("spark.databricks.delta.stats.collect", "false")
    world.sql("CREATE TABLE {t} (id BIGINT) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name')", "INSERT INTO {t} VALUES (1)")
    world.spark.conf.set("spark.databricks.delta.stats.collect", "true")
    try_all(world, f"ALTER TABLE {{t}} SET TBLPROPERTIES ({V2})", "INSERT INTO {t} VALUES (2)", "RESTORE TABLE {t} TO VERSION AS OF 1", f"CREATE TABLE {{u}} SHALLOW CLONE {{t}} TBLPROPERTIES ({V2})", "OPTIMIZE {t}")
    tell_table(world)


@scenario
def gone_back_and_cloned(world):
    world.sql("CREATE TABLE {t} (id BIGINT, l ARRAY<INT>) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name')", "INSERT INTO {t} VALUES (1, array(1))",
              f"ALTER TABLE {{t}} SET TBLPROPERTIES ({V2})", "INSERT INTO {t} VALUES (2, array(2))")
    try_all(world, "CREATE TABLE {c} SHALLOW CLONE {t}", "RESTORE TABLE {t} TO VERSION AS OF 1", "INSERT INTO {t} VALUES (3, array(3))", "RESTORE TABLE {t} TO VERSION AS OF 3")
    tell_table(world)
    tell_table(world, "c")
    world.table()
    world.sql("CREATE TABLE {v} (id BIGINT) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableDeletionVectors' = 'true')", "INSERT INTO {v} VALUES (1)",
              "ALTER TABLE {v} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')", f"ALTER TABLE {{v}} SET TBLPROPERTIES ({V2})")
    try_all(world, "RESTORE TABLE {v} TO VERSION AS OF 1", f"CREATE TABLE {{e}} SHALLOW CLONE {{v}} VERSION AS OF 2 TBLPROPERTIES ({V2})")


@scenario
def cloned_with_vectors(world):
    world.sql("CREATE TABLE {v} (id BIGINT) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableDeletionVectors' = 'true')", "INSERT INTO {v} VALUES (1)")
    try_all(world, f"CREATE TABLE {{d}} SHALLOW CLONE {{v}} TBLPROPERTIES ({V2})")


@scenario
def files_that_are_there_already(world):
    world.spark.range(3).write.parquet(world.path("p"))
    world.spark.conf.set("spark.databricks.delta.properties.defaults.enableIcebergCompatV2", "true")
    world.attempt("CONVERT", lambda: world.spark.sql(f"CONVERT TO DELTA parquet.`{world.path('p')}`"))


# -- REORG TABLE .. UPGRADE UNIFORM ------------------------------------------------------------------------------------


def upgrade(version):
    return f"REORG TABLE {{t}} APPLY (UPGRADE UNIFORM (ICEBERG_COMPAT_VERSION = {version}))"


def tell_history(world, name="t"):
    """Without what turns UniForm on at the end, which is not done here."""
    found = world.spark.sql(f"DESCRIBE HISTORY delta.`{world.path(name)}`").collect()
    reorgs = [row for row in found if row["operation"].startswith("REORG")]
    parameters = [{k: json.loads(v) if v.startswith("{") else v for k, v in sorted(row["operationParameters"].items())} for row in reorgs]
    world.note("history", [[row["operation"], given] for row, given in zip(reorgs, parameters, strict=True)])


@scenario
def upgraded_to_the_second(world):
    world.sql("CREATE TABLE {t} (id BIGINT, p STRING, l ARRAY<INT>) USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')", "INSERT INTO {t} SELECT id, 'a', array(1) FROM range(10)",
              "DELETE FROM {t} WHERE id = 3", "INSERT INTO {t} SELECT id, 'b', array(2) FROM range(3)")
    try_all(world, upgrade(2), upgrade(2))
    tell_history(world)
    tell_table(world)
    tell_files(world)
    world.table()


@scenario
def upgraded_to_the_first(world):
    world.sql("CREATE TABLE {t} (id BIGINT) USING delta", "INSERT INTO {t} VALUES (1)")
    try_all(world, upgrade(1))
    tell_history(world)
    tell_table(world)
    try_all(world, upgrade(2))
    tell_history(world)
    tell_files(world)
    try_all(world, upgrade(1))
    tell_history(world)
    tell_table(world)


@scenario
def upgrades_that_are_refused(world):
    world.sql("CREATE TABLE {t} (id BIGINT, l ARRAY<INT>, v VARIANT) USING delta")
    try_all(world, upgrade(0), upgrade(3), upgrade(4), upgrade(1), upgrade(2), "REORG TABLE {t} WHERE id = 1 APPLY (UPGRADE UNIFORM (ICEBERG_COMPAT_VERSION = 2))", "REORG TABLE {t} APPLY (UPGRADE UNIFORM)",
            "REORG TABLE {t} APPLY (UPGRADE UNIFORM (ICEBERG_COMPAT_VERSION = '2'))")
    tell_history(world)


@scenario
def upgrades_of_tables_mapped_by_id(world):
    """They keep their mapping: one that has the version already is only written again."""
    world.sql("CREATE TABLE {t} (id BIGINT, `a b` STRING) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'id')", "INSERT INTO {t} VALUES (1, 'x')")
    try_all(world, upgrade(1), upgrade(2))
    tell_history(world)
    tell_table(world)
    world.table()
    world.sql("ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableIcebergCompatV2' = 'true')")
    try_all(world, upgrade(2), upgrade(1))
    tell_history(world)
    tell_files(world)
    world.table()


# -- partitions in files without Iceberg -------------------------------------------------------------------------------


@scenario
def partitions_in_files(world):
    # Where nothing is said, delta-spark 4.4 does as for "b", and we as for "c".
    for name, given in (("b", "'delta.writePartitionColumnsToParquet' = 'true'"), ("c", "'delta.writePartitionColumnsToParquet' = 'false'"), ("d", "'delta.enableMaterializePartitionColumnsFeature' = 'true'"),
                        ("e", "'delta.feature.materializePartitionColumns' = 'supported'"), ("f", "'delta.feature.materializePartitionColumns' = 'supported', 'delta.writePartitionColumnsToParquet' = 'false'")):
        try_all(world, f"CREATE TABLE {{{name}}} (p INT, v INT) USING delta PARTITIONED BY (p) TBLPROPERTIES ({given})", f"INSERT INTO {{{name}}} VALUES (1, 2)")
        if (world.directory / name / "_delta_log").exists():
            tell_table(world, name)
            tell_files(world, name)
    try_all(world, "ALTER TABLE {d} DROP FEATURE materializePartitionColumns", "INSERT INTO {d} VALUES (2, 3)")
    tell_table(world, "d")


# -- types that do not turn on by themselves ---------------------------------------------------------------------------


@scenario
def columns_of_types_that_need_a_feature(world):
    world.sql("CREATE TABLE {t} (id BIGINT) USING delta")
    try_all(world, "ALTER TABLE {t} ADD COLUMNS (v VARIANT)", "ALTER TABLE {t} ADD COLUMNS (n TIMESTAMP_NTZ)")
    world.sql(f"CREATE TABLE {{u}} (id BIGINT) USING delta TBLPROPERTIES ({V2}, 'delta.feature.variantType' = 'supported')")
    try_all(world, "ALTER TABLE {u} ADD COLUMNS (v VARIANT)")
    world.note("protocol", sorted(last(world, "protocol")["writerFeatures"]))
