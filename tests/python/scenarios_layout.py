"""Where rows of a table go: clustering columns inside structs and with odd names, Z-order, and tables replaced with other partitions. See `recorded.py`."""

import itertools
import json

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def log_of(world, name="t"):
    """The last commit's clustering columns, and what it and its files say of them."""
    found = {}
    for action in world.actions(name):
        if "domainMetadata" in action and action["domainMetadata"]["domain"] == "delta.clustering":
            columns = json.loads(action["domainMetadata"]["configuration"]).get("clusteringColumns")
            # Names in files are given at random.
            found["domain"] = [len(path) if path[-1].startswith("col-") else path for path in columns]
        if "commitInfo" in action:
            parameters = action["commitInfo"]["operationParameters"]
            told = ("clusterBy", "zOrderBy", "oldClusteringColumns", "newClusteringColumns", "isFull", "auto")
            found["operation"] = action["commitInfo"]["operation"]
            found["parameters"] = {k: v for k, v in parameters.items() if k in told}
        if "add" in action:
            tags = action["add"].get("tags") or {}
            found.setdefault("cubes", set()).add(tags.get("ZCUBE_ZORDER_BY"))
    if "cubes" in found:
        found["cubes"] = sorted(map(str, found["cubes"]))
    world.note("log", found)


def detail(world, name="t"):
    world.tell(world.spark.sql(f"DESCRIBE DETAIL delta.`{world.path(name)}`"), "detail", "clusteringColumns", "partitionColumns")


FIELDS = "a INT, `a.b` INT, `a b` STRING, `tick``tack` DATE, s STRUCT<x: INT, Y: STRUCT<z: STRING, `dot.ted` INT>, `d.o` INT>, `s.x` INT, arr ARRAY<INT>, arrs ARRAY<STRUCT<e: INT>>, m MAP<STRING, INT>"
ROWS = """SELECT CAST(id AS INT), CAST(id % 7 AS INT), concat('t', id % 5), date_add(DATE'2020-01-01', CAST(id % 9 AS INT)),
  named_struct('x', CAST(id % 11 AS INT), 'Y', named_struct('z', CAST(id % 3 AS STRING), 'dot.ted', CAST(id AS INT)), 'd.o', CAST(id % 4 AS INT)),
  CAST(id % 2 AS INT), array(1), array(named_struct('e', 1)), map('k', 1) FROM range({rows})"""
NAMES = (
    "a", "`a.b`", "`a b`", "`tick``tack`", "s.x", "`s.x`", "s.Y.z", "s.Y.`dot.ted`", "s.`d.o`", "`s.x`, s.x", "a, `a.b`, `a b`, s.x", "s", "s.Y", "arr",
)  # fmt: skip


def clustered_by(columns, properties):
    def run(world):
        world.ask(f"CREATE TABLE {{t}} ({FIELDS}) USING delta CLUSTER BY ({columns}) TBLPROPERTIES ({properties})")
        if not (world.directory / "t").exists():
            return
        log_of(world)
        detail(world)
        world.sql("INSERT INTO {t} " + ROWS.format(rows=100))
        world.sql("OPTIMIZE {t}")
        log_of(world)
        world.rows(world.spark.sql(world.filled("SELECT count(*), sum(a), sum(`a.b`), sum(s.x) FROM {t}")), "sums")

    return run


MAPPED = "'delta.columnMapping.mode' = 'name'"
for columns in NAMES:
    SCENARIOS[f"CLUSTER BY ({columns}), mapped"] = clustered_by(columns, MAPPED)
for columns in ("a", "s.x", "s.Y.z"):
    SCENARIOS[f"CLUSTER BY ({columns}), plain"] = lambda world, columns=columns: plain(world, columns)


def plain(world, columns):
    world.ask(f"CREATE TABLE {{t}} (a INT, s STRUCT<x: INT, Y: STRUCT<z: STRING>>) USING delta CLUSTER BY ({columns})")
    if (world.directory / "t").exists():
        log_of(world)
        detail(world)


@scenario
def clustering_is_altered(world):
    world.sql(f"CREATE TABLE {{t}} ({FIELDS}) USING delta CLUSTER BY (a) TBLPROPERTIES ({MAPPED})")
    for columns in ("s.x", "`a.b`, s.Y.z", "s.`d.o`", "`s.x`", "`a b`", "`tick``tack`", "nothing", "s", "s.x, `S`.`X`"):
        world.ask(f"ALTER TABLE {{t}} CLUSTER BY ({columns})")
        log_of(world)
        detail(world)
    world.sql("INSERT INTO {t} " + ROWS.format(rows=50), "OPTIMIZE {t}")
    log_of(world)
    world.ask("ALTER TABLE {t} CLUSTER BY (s.y.`dot.ted`)")
    world.sql("OPTIMIZE {t} FULL")
    log_of(world)
    world.ask("ALTER TABLE {t} CLUSTER BY NONE")
    log_of(world)
    detail(world)


@scenario
def clustering_columns_renamed_and_dropped(world):
    world.sql(f"CREATE TABLE {{t}} ({FIELDS}) USING delta CLUSTER BY (`a.b`, s.Y.z, s.`d.o`) TBLPROPERTIES ({MAPPED})")
    world.ask("ALTER TABLE {t} DROP COLUMN `a.b`", "ALTER TABLE {t} DROP COLUMN s.y.z")
    world.ask("ALTER TABLE {t} DROP COLUMN s.`d.o`", "ALTER TABLE {t} DROP COLUMN a", "ALTER TABLE {t} DROP COLUMN `s.x`", "ALTER TABLE {t} DROP COLUMN s.y.`dot.ted`")
    world.ask("ALTER TABLE {t} RENAME COLUMN `a.b` TO `c.d.e`", "ALTER TABLE {t} RENAME COLUMN s.y.z TO `z z`", "ALTER TABLE {t} RENAME COLUMN s TO `t.u`")
    detail(world)


@scenario
def zorder_by_names(world):
    world.sql(f"CREATE TABLE {{t}} ({FIELDS}, p INT) USING delta PARTITIONED BY (p) TBLPROPERTIES ({MAPPED})")
    for columns in [c for c in NAMES if "`tick" not in c] + ["S.X", "s.y.Z", "nothing", "p", "s.x, p"]:
        world.sql("INSERT INTO {t} " + ROWS.format(rows=20).replace(" FROM range", ", 1 FROM range"))
        world.sql("INSERT INTO {t} " + ROWS.format(rows=20).replace(" FROM range", ", 1 FROM range"))
        world.attempt(f"ZORDER BY ({columns})", lambda c=columns: world.spark.sql(world.filled(f"OPTIMIZE {{t}} ZORDER BY ({c})")).select("metrics.numFilesAdded"))
        log_of(world)


@scenario
def shallow_clone_of_a_clustered_table(world):
    world.sql(f"CREATE TABLE {{t}} ({FIELDS}) USING delta CLUSTER BY (`a.b`, s.Y.z) TBLPROPERTIES ({MAPPED})")
    world.ask("CREATE TABLE {c} SHALLOW CLONE {t}")
    log_of(world, "c")
    detail(world, "c")


DATES = ("DATE'0001-01-01'", "DATE'9999-12-31'", "date_add(DATE'9999-12-31', 1)", "date_sub(DATE'0001-01-01', 1)", "date_sub(DATE'0001-01-01', 800)", "CAST(NULL AS DATE)")


@scenario
def partitions_by_dates_of_all_years(world):
    world.sql("CREATE TABLE {t} (id INT, d DATE) USING delta PARTITIONED BY (d)")
    for i, date in enumerate(DATES):
        world.sql(f"INSERT INTO {{t}} SELECT {i}, {date}")
    world.note("values", sorted(str(a["add"]["partitionValues"]["d"]) for v in range(1, 7) for a in world.actions(version=v) if "add" in a))
    world.ask("SELECT id, CAST(d AS STRING) AS d FROM {t}")
    for date in DATES[:-1]:
        for operator in ("=", "<", ">="):
            world.ask(f"SELECT sort_array(collect_list(id)) AS ids FROM {{t}} WHERE d {operator} {date}")
    world.ask("UPDATE {t} SET id = id + 10 WHERE d > DATE'9999-12-31'", "DELETE FROM {t} WHERE d < DATE'0001-01-01'", "SELECT id, CAST(d AS STRING) AS d FROM {t}")


@scenario
def partitions_by_bytes(world):
    world.sql("CREATE TABLE {t} (id INT, b BINARY) USING delta PARTITIONED BY (b)")
    world.sql("INSERT INTO {t} VALUES (1, X'C3A9'), (2, X''), (3, CAST('a/b' AS BINARY))")
    world.ask("SELECT id, hex(b) AS b FROM {t}", "SELECT id FROM {t} WHERE b = X'C3A9'", "SELECT id FROM {t} WHERE b IS NULL")


# -- tables that are replaced -------------------------------------------------------------------------------------------------

LAYOUTS = {"plain": "", "by p": "PARTITIONED BY (p)", "by q": "PARTITIONED BY (q)", "by p, q": "PARTITIONED BY (p, q)", "by q, p": "PARTITIONED BY (q, p)",
           "clustered": "CLUSTER BY (id)"}  # fmt: skip


def replaced(statement, before, after, named, select):
    def run(world):
        name = "replaced_layout" if named else "{t}"
        if named:
            world.sql(f"DROP TABLE IF EXISTS {name}")
        world.sql(f"CREATE TABLE {name} (id BIGINT, p INT, q STRING) USING delta {LAYOUTS[before]} " + ("LOCATION '" + world.path("t") + "'" if named == "external" else ""))
        world.sql(f"INSERT INTO {name} VALUES (1, 2, 'a')")
        place = f" LOCATION '{world.path('t')}'" if named == "external" else ""
        fields, query = ("", " AS SELECT 5L AS id, 6 AS p, 'b' AS q") if select else (" (id BIGINT, p INT, q STRING)", "")
        text = f"{statement} {name}{fields} USING delta {LAYOUTS[after]}{place}{query}"
        world.attempt("replace", lambda: world.spark.sql(world.filled(text)))
        world.ask(f"SELECT * FROM {name}")
        world.tell(world.spark.sql(world.filled(f"DESCRIBE DETAIL {name}")), "detail", "clusteringColumns", "partitionColumns")
        if named:
            world.sql(f"DROP TABLE {name}")

    return run


CHANGES = (("by p", "by q"), ("plain", "by p"), ("by p", "plain"), ("by p", "by p, q"), ("by p, q", "by q, p"), ("clustered", "by p"), ("by p", "clustered"),
           ("clustered", "plain"), ("plain", "clustered"))  # fmt: skip
for (before, after), named, select in itertools.product(CHANGES, ("path", "name", "external"), (False, True)):
    for statement in ("CREATE OR REPLACE TABLE", "REPLACE TABLE")[: 2 if (before, after) in CHANGES[:2] else 1]:
        how = "as select" if select else "of columns"
        SCENARIOS[f"{statement} {named} {how}: {before}, then {after}"] = replaced(statement, before, after, None if named == "path" else named, select)


def overwritten(before, by, named, **options):
    def run(world):
        name = "overwritten_layout" if named else "{t}"
        if named:
            world.sql(f"DROP TABLE IF EXISTS {name}")
        world.sql(f"CREATE TABLE {name} (id BIGINT, p INT, q STRING) USING delta {LAYOUTS[before]}", f"INSERT INTO {name} VALUES (1, 2, 'a')")
        frame = world.spark.sql("SELECT 5L AS id, 6 AS p, 'b' AS q")

        def write():
            writer = frame.write.format("delta").mode("overwrite").options(**options)
            writer = writer.partitionBy(*by) if by else writer
            return writer.saveAsTable(name) if named else writer.save(world.path("t"))

        world.attempt("overwrite", write)
        world.tell(world.spark.sql(world.filled(f"DESCRIBE DETAIL {name}")), "detail", "clusteringColumns", "partitionColumns")
        world.ask(f"SELECT * FROM {name}")
        if named:
            world.sql(f"DROP TABLE {name}")

    return run


OPTIONS = {"": {}, "overwriteSchema": {"overwriteSchema": "true"}, "replaceWhere": {"replaceWhere": "p = 6"}, "both": {"overwriteSchema": "true", "replaceWhere": "p = 6"}}
PARTITIONS = (("plain", ("p",)), ("by p", ()), ("by p", ("p",)), ("by p", ("q",)), ("by p", ("q", "p")), ("by p", ("P",)), ("clustered", ("p",)), ("clustered", ()))
for (before, by), named, (options, given) in itertools.product(PARTITIONS, (False, True), OPTIONS.items()):
    SCENARIOS[f"overwritten {'by name' if named else 'by path'}: {before}, then {list(by)} {options}"] = overwritten(before, by, named, **given)


def written_to(before, by, named, verb):
    def run(world):
        name = "written_layout" if named else "{t}"
        if named:
            world.sql(f"DROP TABLE IF EXISTS {name}")
        world.sql(f"CREATE TABLE {name} (id BIGINT, p INT, q STRING) USING delta {LAYOUTS[before]}", f"INSERT INTO {name} VALUES (1, 2, 'a')")
        writer = world.spark.sql("SELECT 5L AS id, 6 AS p, 'b' AS q").writeTo(world.filled(name)).using("delta")
        if by:
            from pyspark.sql.functions import col

            writer = writer.partitionedBy(*[col(c) for c in by])
        world.attempt(verb, lambda: getattr(writer, verb)())
        world.tell(world.spark.sql(world.filled(f"DESCRIBE DETAIL {name}")), "detail", "clusteringColumns", "partitionColumns")
        world.ask(f"SELECT * FROM {name}")
        if named:
            world.sql(f"DROP TABLE {name}")

    return run


for before, by, named, verb in itertools.product(("plain", "by p"), ((), ("p",), ("q",)), (False, True), ("replace", "createOrReplace")):
    SCENARIOS[f"writeTo {'name' if named else 'path'}, {verb}: {before}, then {list(by)}"] = written_to(before, by, named, verb)
