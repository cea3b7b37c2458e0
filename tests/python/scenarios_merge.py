"""MERGE: schema evolution, structs, clauses, several matches, NULL keys, and sources of many kinds. See `recorded.py`."""

# Not those that depend on which rows are in one file.
FIGURES = [
    "numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted", "numSourceRows", "numTargetRowsMatchedUpdated",
    "numTargetRowsMatchedDeleted", "numTargetRowsNotMatchedBySourceUpdated", "numTargetRowsNotMatchedBySourceDeleted",
]
SCENARIOS = {}


def scenario(name, *prepared, merge, source=None, conf=()):
    """Statements, a MERGE whose answer is noted, and the table after it."""

    def run(world):
        for key, value in conf:
            world.spark.conf.set(key, value)
        world.sql(*prepared)
        if source:
            world.spark.sql(world.filled(source)).createOrReplaceTempView("s")
        world.ask(merge)
        world.schema()
        world.table()
        world.metrics(*FIGURES)

    assert name not in SCENARIOS, name
    SCENARIOS[name] = run


def simple(columns="id BIGINT, v STRING", rows="(1, 'a'), (2, 'b'), (3, 'c')", properties="'delta.enableDeletionVectors' = 'true'"):
    return [f"CREATE TABLE {{t}} ({columns}) USING delta TBLPROPERTIES ({properties})", f"INSERT INTO {{t}} VALUES {rows}"]


ON = "MERGE INTO {t} t USING s ON t.id = s.id "
EVOLVE = "MERGE WITH SCHEMA EVOLUTION INTO {t} t USING s ON t.id = s.id "
STAR = "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
EVOLUTION = [("spark.databricks.delta.schema.autoMerge.enabled", "true")]

# -- columns of a source that are more or fewer -----------------------------------------------------------------------

EXTRA = "SELECT * FROM VALUES (2L, 'x', 20), (4L, 'y', 40) AS s(id, v, extra)"
LACKING = "SELECT * FROM VALUES (2L), (4L) AS s(id)"
MIXED = "SELECT * FROM VALUES (2L, 20), (4L, 40) AS s(id, extra)"
REORDERED = "SELECT * FROM VALUES ('x', 2L), ('y', 4L) AS s(V, ID)"

for shown, rows in {"extra": EXTRA, "lacking": LACKING, "mixed": MIXED, "reordered": REORDERED}.items():
    scenario(f"star, {shown} column", *simple(), source=rows, merge=ON + STAR)
    scenario(f"star, {shown} column, evolving", *simple(), source=rows, merge=EVOLVE + STAR)
    scenario(f"star, {shown} column, autoMerge", *simple(), source=rows, merge=ON + STAR, conf=EVOLUTION)
    scenario(f"insert star, {shown} column, evolving", *simple(), source=rows, merge=EVOLVE + "WHEN NOT MATCHED THEN INSERT *")
    scenario(f"update star, {shown} column, evolving", *simple(), source=rows, merge=EVOLVE + "WHEN MATCHED THEN UPDATE SET *")

scenario("explicit new column, evolving", *simple(), source=EXTRA, merge=EVOLVE + "WHEN MATCHED THEN UPDATE SET extra = s.extra")
scenario("explicit new column, not evolving", *simple(), source=EXTRA, merge=ON + "WHEN MATCHED THEN UPDATE SET extra = s.extra")
scenario("explicit new column by another expression, evolving", *simple(), source=EXTRA,
         merge=EVOLVE + "WHEN MATCHED THEN UPDATE SET extra = s.extra + 1")
scenario("insert of a new column, evolving", *simple(), source=EXTRA, merge=EVOLVE + "WHEN NOT MATCHED THEN INSERT (id, extra) VALUES (s.id, s.extra)")
scenario("only named columns, evolving", *simple(), source=EXTRA, merge=EVOLVE + "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)")
scenario("star and named, evolving", *simple(), source=EXTRA, merge=EVOLVE + "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT *")
scenario("delete only, evolving", *simple(), source=EXTRA, merge=EVOLVE + "WHEN MATCHED THEN DELETE")
scenario("by source, evolving", *simple(), source=EXTRA, merge=EVOLVE + "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED BY SOURCE THEN UPDATE SET v = 'gone'")
scenario("no match at all, evolving", *simple(), source="SELECT * FROM VALUES (20L, 'x', 20) AS s(id, v, extra)", merge=EVOLVE + "WHEN MATCHED THEN UPDATE SET *")
scenario("two new columns in the source's order, evolving", *simple(), merge=EVOLVE + STAR,
         source="SELECT * FROM VALUES (2.5D, 2L, 'x', DATE'2024-01-01') AS s(b, id, v, a)")
scenario("a column that differs in case, evolving", *simple(), source="SELECT * FROM VALUES (2L, 'x', 1), (4L, 'y', 2) AS s(Id, V, Extra)", merge=EVOLVE + STAR)

scenario("a partitioned table, evolving", "CREATE TABLE {t} (id BIGINT, v STRING) USING delta PARTITIONED BY (v)", "INSERT INTO {t} VALUES (1, 'a'), (2, 'b')",
         source=EXTRA, merge=EVOLVE + STAR)
scenario("column mapping, evolving", *simple(properties="'delta.columnMapping.mode' = 'name'"), source=EXTRA, merge=EVOLVE + STAR)
scenario("copy on write, evolving", *simple(properties="'delta.enableDeletionVectors' = 'false'"), source=EXTRA, merge=EVOLVE + STAR)
scenario("not null columns, evolving", *simple("id BIGINT NOT NULL, v STRING NOT NULL"), source=MIXED, merge=EVOLVE + "WHEN NOT MATCHED THEN INSERT *")

# -- types -------------------------------------------------------------------------------------------------------------

TYPES = {
    "a string for a number": ("id BIGINT, v INT", "(1, 1), (2, 2)", "SELECT * FROM VALUES (2L, '20'), (4L, '40') AS s(id, v)"),
    "a string that is no number": ("id BIGINT, v INT", "(1, 1), (2, 2)", "SELECT * FROM VALUES (2L, 'x'), (4L, 'y') AS s(id, v)"),
    "a long for an int": ("id BIGINT, v INT", "(1, 1), (2, 2)", "SELECT * FROM VALUES (2L, 20L), (4L, 40L) AS s(id, v)"),
    "a long that is too large": ("id BIGINT, v INT", "(1, 1), (2, 2)", "SELECT * FROM VALUES (2L, 20000000000L) AS s(id, v)"),
    "a number for a string": ("id BIGINT, v STRING", "(1, 'a'), (2, 'b')", "SELECT * FROM VALUES (2L, 20), (4L, 40) AS s(id, v)"),
    "a date for a timestamp": ("id BIGINT, v TIMESTAMP", "(1, TIMESTAMP'2020-01-01')", "SELECT * FROM VALUES (1L, DATE'2021-01-01') AS s(id, v)"),
    "a boolean for a number": ("id BIGINT, v INT", "(1, 1), (2, 2)", "SELECT * FROM VALUES (2L, true) AS s(id, v)"),
    "an array for a number": ("id BIGINT, v INT", "(1, 1), (2, 2)", "SELECT * FROM VALUES (2L, array(1)) AS s(id, v)"),
    "a decimal for a decimal": ("id BIGINT, v DECIMAL(5, 2)", "(1, 1.5), (2, 2.5)", "SELECT * FROM VALUES (2L, 1.2345), (4L, 123.456) AS s(id, v)"),
    "a decimal that is too large": ("id BIGINT, v DECIMAL(4, 2)", "(1, 1.5), (2, 2.5)", "SELECT * FROM VALUES (2L, 12345.67) AS s(id, v)"),
    "void": ("id BIGINT, v STRING", "(1, 'a'), (2, 'b')", "SELECT * FROM VALUES (2L, NULL), (4L, NULL) AS s(id, v)"),
    "void in a new column": ("id BIGINT", "(1), (2)", "SELECT * FROM VALUES (2L, NULL), (4L, NULL) AS s(id, v)"),
}
for shown, (columns, rows, source) in TYPES.items():
    scenario(f"types: {shown}", *simple(columns, rows), source=source, merge=ON + STAR)
    scenario(f"types: {shown}, evolving", *simple(columns, rows), source=source, merge=EVOLVE + STAR)
scenario("types: widened, evolving", *simple("id BIGINT, v INT", "(1, 1), (2, 2)", "'delta.enableTypeWidening' = 'true'"),
         source="SELECT * FROM VALUES (2L, 20000000000L), (4L, 4L) AS s(id, v)", merge=EVOLVE + STAR)
scenario("types: widened by a named column, evolving", *simple("id BIGINT, v INT", "(1, 1), (2, 2)", "'delta.enableTypeWidening' = 'true'"),
         source="SELECT * FROM VALUES (2L, 20000000000L), (4L, 4L) AS s(id, v)", merge=EVOLVE + "WHEN MATCHED THEN UPDATE SET v = s.v")
scenario("types: widened, not evolving", *simple("id BIGINT, v INT", "(1, 1), (2, 2)", "'delta.enableTypeWidening' = 'true'"),
         source="SELECT * FROM VALUES (2L, 20L), (4L, 4L) AS s(id, v)", merge=ON + STAR)

# -- structs, arrays and maps -----------------------------------------------------------------------------------------

STRUCT = simple("id BIGINT, n STRUCT<a: INT, b: STRING>", "(1, named_struct('a', 1, 'b', 'x')), (2, named_struct('a', 2, 'b', 'y')), (3, NULL)")
DEEP = simple("id BIGINT, n STRUCT<a: INT, d: STRUCT<x: INT, y: INT>>",
              "(1, named_struct('a', 1, 'd', named_struct('x', 1, 'y', 1))), (2, named_struct('a', 2, 'd', NULL))")
ARRAY = simple("id BIGINT, n ARRAY<STRUCT<a: INT, b: STRING>>", "(1, array(named_struct('a', 1, 'b', 'x'))), (2, NULL)")
MAP = simple("id BIGINT, n MAP<STRING, STRUCT<a: INT, b: STRING>>", "(1, map('k', named_struct('a', 1, 'b', 'x'))), (2, NULL)")
NESTED = {
    "struct, the same": (STRUCT, "named_struct('a', 20, 'b', 'z')"),
    "struct, a field more": (STRUCT, "named_struct('a', 20, 'b', 'z', 'c', 1.5D)"),
    "struct, a field less": (STRUCT, "named_struct('a', 20)"),
    "struct, another order": (STRUCT, "named_struct('b', 'z', 'a', 20)"),
    "struct, more and less": (STRUCT, "named_struct('a', 20, 'c', true)"),
    "struct, another type": (STRUCT, "named_struct('a', '20', 'b', 5)"),
    "struct, other case": (STRUCT, "named_struct('A', 20, 'B', 'z')"),
    "struct, null": (STRUCT, "CAST(NULL AS STRUCT<a: INT, b: STRING>)"),
    "struct, null with more": (STRUCT, "CAST(NULL AS STRUCT<a: INT, b: STRING, c: INT>)"),
    "deep, a field more": (DEEP, "named_struct('a', 20, 'd', named_struct('x', 5, 'y', 6, 'z', 7))"),
    "deep, a field less": (DEEP, "named_struct('a', 20, 'd', named_struct('y', 6))"),
    "array, the same": (ARRAY, "array(named_struct('a', 20, 'b', 'z'))"),
    "array, a field more": (ARRAY, "array(named_struct('a', 20, 'b', 'z', 'c', 1))"),
    "array, a field less": (ARRAY, "array(named_struct('a', 20))"),
    "array, another order": (ARRAY, "array(named_struct('b', 'z', 'a', 20))"),
    "map, the same": (MAP, "map('k', named_struct('a', 20, 'b', 'z'))"),
    "map, a field more": (MAP, "map('k', named_struct('a', 20, 'b', 'z', 'c', 1))"),
    "map, a field less": (MAP, "map('k', named_struct('a', 20))"),
}
for shown, (prepared, value) in NESTED.items():
    source = f"SELECT id, {value} AS n FROM VALUES (2L), (4L) AS s(id)"
    scenario(f"nested: {shown}", *prepared, source=source, merge=ON + STAR)
    scenario(f"nested: {shown}, evolving", *prepared, source=source, merge=EVOLVE + STAR)
    scenario(f"nested: {shown}, named, evolving", *prepared, source=source, merge=EVOLVE + "WHEN MATCHED THEN UPDATE SET n = s.n WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, s.n)")
VALUE = "SELECT * FROM VALUES (1L, 10), (2L, 20), (3L, 30) AS s(id, v)"
scenario("nested: a field is set", *STRUCT, source=VALUE, merge=ON + "WHEN MATCHED THEN UPDATE SET n.a = s.v")
scenario("nested: two fields are set", *STRUCT, source=VALUE, merge=ON + "WHEN MATCHED THEN UPDATE SET n.a = s.v, n.b = 'new'")
scenario("nested: a field of a field is set", *DEEP, source=VALUE, merge=ON + "WHEN MATCHED THEN UPDATE SET n.d.x = s.v")
scenario("nested: a field that is not there is set", *STRUCT, source=VALUE, merge=ON + "WHEN MATCHED THEN UPDATE SET n.c = s.v")
scenario("nested: a field that is not there is set, evolving", *STRUCT, source=VALUE, merge=EVOLVE + "WHEN MATCHED THEN UPDATE SET n.c = s.v")
scenario("nested: a field and its struct are set", *STRUCT, source=VALUE, merge=ON + "WHEN MATCHED THEN UPDATE SET n.a = s.v, n = NULL")
scenario("nested: a column twice", *STRUCT, source=VALUE, merge=ON + "WHEN MATCHED THEN UPDATE SET id = s.v, id = 3")
scenario("nested: a field is inserted", *STRUCT, source=VALUE, merge=ON + "WHEN NOT MATCHED THEN INSERT (id, n.a) VALUES (s.id, s.v)")

# -- clauses -----------------------------------------------------------------------------------------------------------

FIVE = simple(rows="(1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e')")
SOURCE = "SELECT * FROM VALUES (2L, 'x'), (3L, 'y'), (6L, 'z'), (7L, NULL) AS s(id, v)"
CLAUSES = {
    "delete before update": "WHEN MATCHED AND s.v = 'x' THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v",
    "update before delete": "WHEN MATCHED AND s.v = 'x' THEN UPDATE SET v = s.v WHEN MATCHED THEN DELETE",
    "a condition of both": "WHEN MATCHED AND t.v = 'b' AND s.v = 'x' THEN UPDATE SET v = concat(t.v, s.v)",
    "a condition that is null": "WHEN MATCHED AND CAST(NULL AS BOOLEAN) THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'second'",
    "two inserts": "WHEN NOT MATCHED AND s.v IS NULL THEN INSERT (id, v) VALUES (s.id, 'null') WHEN NOT MATCHED THEN INSERT *",
    "insert of some columns": "WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id * 10)",
    "by source": "WHEN NOT MATCHED BY SOURCE AND t.id = 1 THEN DELETE WHEN NOT MATCHED BY SOURCE THEN UPDATE SET v = 'left'",
    "all kinds": "WHEN MATCHED AND s.id = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED AND s.v IS NOT NULL THEN INSERT *"
                 " WHEN NOT MATCHED BY TARGET THEN INSERT (id) VALUES (-s.id) WHEN NOT MATCHED BY SOURCE AND t.id > 4 THEN DELETE"
                 " WHEN NOT MATCHED BY SOURCE THEN UPDATE SET v = upper(v)",
    "clauses in another order": "WHEN NOT MATCHED THEN INSERT * WHEN MATCHED THEN UPDATE SET *",
    "by source before matched": "WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN MATCHED THEN UPDATE SET *",
    "an update that changes nothing": "WHEN MATCHED THEN UPDATE SET v = t.v",
    "no condition before the last": "WHEN MATCHED THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v",
    "no condition before the last insert": "WHEN NOT MATCHED THEN INSERT * WHEN NOT MATCHED THEN INSERT (id) VALUES (1)",
    "the target in an insert": "WHEN NOT MATCHED THEN INSERT (id, v) VALUES (t.id, s.v)",
    "the target in an insert's condition": "WHEN NOT MATCHED AND t.id = 1 THEN INSERT *",
    "the source by source": "WHEN NOT MATCHED BY SOURCE AND s.id = 1 THEN DELETE",
    "an aggregate in a condition": "WHEN MATCHED AND count(*) > 1 THEN DELETE",
    "a subquery in a condition": "WHEN MATCHED AND s.id IN (SELECT 2) THEN DELETE",
    "a column that is ambiguous": "WHEN MATCHED THEN UPDATE SET v = id",
    "a column that is not there": "WHEN MATCHED THEN UPDATE SET nothing = s.v",
    "an insert with too few values": "WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id)",
    "an insert that names a column twice": "WHEN NOT MATCHED THEN INSERT (id, id) VALUES (s.id, s.id)",
    "default values": "WHEN MATCHED THEN UPDATE SET v = DEFAULT WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, DEFAULT)",
    "no clause": "",
}
for shown, clauses in CLAUSES.items():
    scenario(f"clauses: {shown}", *FIVE, source=SOURCE, merge=ON + clauses)
    if shown in ("all kinds", "by source", "update before delete"):
        copied = simple(rows="(1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e')", properties="'delta.enableDeletionVectors' = 'false'")
        scenario(f"clauses: {shown}, copy on write", *copied, source=SOURCE, merge=ON + clauses)

# -- conditions --------------------------------------------------------------------------------------------------------

NULLS = simple(rows="(1, 'a'), (NULL, 'n'), (3, NULL)")
NULL_SOURCE = "SELECT * FROM VALUES (1L, 'x'), (CAST(NULL AS BIGINT), 'y') AS s(id, v)"
scenario("null keys", *NULLS, source=NULL_SOURCE, merge=ON + STAR)
scenario("null keys, null safe", *NULLS, source=NULL_SOURCE, merge="MERGE INTO {t} t USING s ON t.id <=> s.id " + STAR)
scenario("null keys by source", *NULLS, source=NULL_SOURCE, merge=ON + "WHEN NOT MATCHED BY SOURCE THEN DELETE")
scenario("on false", *FIVE, source=SOURCE, merge="MERGE INTO {t} t USING s ON false " + STAR)
scenario("on true", *FIVE, source="SELECT 'one' AS v", merge="MERGE INTO {t} t USING s ON true WHEN MATCHED THEN UPDATE SET v = s.v")
scenario("on a range", *FIVE, source="SELECT 3L AS low", merge="MERGE INTO {t} t USING s ON t.id > s.low WHEN MATCHED THEN UPDATE SET v = 'above'")
scenario("on the target only", *FIVE, source=SOURCE, merge="MERGE INTO {t} t USING s ON t.id = s.id AND t.v <> 'b' " + STAR)
scenario("on the source only", *FIVE, source=SOURCE, merge="MERGE INTO {t} t USING s ON t.id = s.id AND s.v = 'x' " + STAR)
scenario("on something volatile", *FIVE, source=SOURCE, merge="MERGE INTO {t} t USING s ON t.id = s.id AND rand() < 2 " + STAR)
scenario("on a subquery", *FIVE, source=SOURCE, merge="MERGE INTO {t} t USING s ON t.id = s.id AND t.id IN (SELECT 2) " + STAR)
scenario("on different types", *FIVE, source="SELECT * FROM VALUES ('2', 'x'), ('9', 'y') AS s(id, v)", merge=ON + STAR)

# -- several matches ---------------------------------------------------------------------------------------------------

DOUBLE = "SELECT * FROM VALUES (2L, 'x'), (2L, 'y'), (6L, 'z'), (6L, 'z') AS s(id, v)"
SEVERAL = {
    "update": "WHEN MATCHED THEN UPDATE SET *",
    "delete": "WHEN MATCHED THEN DELETE",
    "delete with a condition": "WHEN MATCHED AND s.v = 'x' THEN DELETE",
    "delete with a condition that both meet": "WHEN MATCHED AND s.v <> 'q' THEN DELETE",
    "delete and insert": "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT *",
    "update where one matches": "WHEN MATCHED AND s.v = 'x' THEN UPDATE SET *",
    "delete one, update the other": "WHEN MATCHED AND s.v = 'x' THEN DELETE WHEN MATCHED THEN UPDATE SET *",
    "insert only": "WHEN NOT MATCHED THEN INSERT *",
    "delete and by source": "WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE THEN UPDATE SET v = 'left'",
}
for shown, clauses in SEVERAL.items():
    scenario(f"several matches: {shown}", *FIVE, source=DOUBLE, merge=ON + clauses)

# -- sources -----------------------------------------------------------------------------------------------------------

OTHER = ["CREATE TABLE {o} (id BIGINT, v STRING) USING delta", "INSERT INTO {o} VALUES (2, 'x'), (6, 'y')"]
USING = "MERGE INTO {{t}} t USING {} s ON t.id = s.id "
SOURCES = {
    "a table": "{o}",
    "a version of a table": "(SELECT * FROM {o} VERSION AS OF 1)",
    "a subquery": "(SELECT id + 1 AS id, max(v) AS v FROM {o} GROUP BY 1)",
    "a window": "(SELECT id, v FROM (SELECT *, row_number() OVER (PARTITION BY id ORDER BY v DESC) AS n FROM {o}) WHERE n = 1)",
    "a join": "(SELECT a.id, b.v FROM {o} a JOIN {o} b ON a.id = b.id)",
    "the target itself": "(SELECT id + 1 AS id, upper(v) AS v FROM {t} WHERE id >= 4)",
    "an old version of the target": "(SELECT id, 'old' AS v FROM {t} VERSION AS OF 0)",
    "values": "(VALUES (2L, 'x'), (6L, 'y') AS s(id, v))",
    "nothing": "(SELECT * FROM {o} WHERE false)",
    "something volatile": "(SELECT id, IF(rand() < 2, 'r', v) AS v FROM {o})",
    "the time of now": "(SELECT id, IF(current_timestamp() > TIMESTAMP'2020-01-01', 'now', v) AS v FROM {o})",
    "a limit": "(SELECT * FROM {o} ORDER BY id LIMIT 1)",
    "a union": "(SELECT * FROM {o} UNION ALL SELECT 9L, 'nine')",
    "a lateral view": "(SELECT id * 2 AS id, w AS v FROM {o} LATERAL VIEW explode(array('e')) x AS w)",
}
for shown, text in SOURCES.items():
    scenario(f"source: {shown}", *FIVE, *OTHER, merge=USING.format(text) + STAR)


def by_name_of_target(world):
    world.sql(*FIVE)
    world.spark.sql(SOURCE).createOrReplaceTempView("s")
    world.ask("WITH c AS (SELECT * FROM s) MERGE INTO {t} t USING c ON t.id = c.id " + STAR)
    world.table()


SCENARIOS["source: a common table expression"] = by_name_of_target


def evolving_twice(world):
    world.sql(*simple())
    for source in (EXTRA, "SELECT * FROM VALUES (4L, 'new', 5, true), (5L, 'w', 6, false) AS s(id, v, extra, flag)"):
        world.spark.sql(source).createOrReplaceTempView("s")
        world.ask(EVOLVE + STAR)
        world.table()
    world.ask("SELECT * FROM {t} VERSION AS OF 1")


SCENARIOS["evolving twice"] = evolving_twice

# -- constraints, generated columns, identities -------------------------------------------------------------------------

CHECKED = [*simple(), "ALTER TABLE {t} ADD CONSTRAINT positive CHECK (id > 0)"]
scenario("a CHECK that fails", *CHECKED, source="SELECT * FROM VALUES (-1L, 'x') AS s(id, v)", merge=ON + STAR)
scenario("a CHECK that holds", *CHECKED, source="SELECT * FROM VALUES (1L, 'x') AS s(id, v)", merge=ON + STAR)
scenario("NOT NULL that fails", *simple("id BIGINT NOT NULL, v STRING"), source="SELECT * FROM VALUES (CAST(NULL AS BIGINT), 'x') AS s(id, v)", merge=ON + STAR)
GENERATED = ["CREATE TABLE {t} (id BIGINT, v STRING, g BIGINT GENERATED ALWAYS AS (id * 2)) USING delta", "INSERT INTO {t} (id, v) VALUES (1, 'a'), (2, 'b')"]
scenario("generated columns", *GENERATED, source="SELECT * FROM VALUES (2L, 'x'), (4L, 'y') AS s(id, v)", merge=ON + "WHEN MATCHED THEN UPDATE SET id = s.id * 10, v = s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)")
scenario("generated columns by star", *GENERATED, source="SELECT * FROM VALUES (2L, 'x'), (4L, 'y') AS s(id, v)", merge=ON + STAR)
scenario("generated columns by star, evolving", *GENERATED, source="SELECT * FROM VALUES (2L, 'x'), (4L, 'y') AS s(id, v)", merge=EVOLVE + STAR)
DEFAULTS = ["CREATE TABLE {t} (id BIGINT, v STRING, d INT DEFAULT 7) USING delta TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')",
            "INSERT INTO {t} (id, v) VALUES (1, 'a'), (2, 'b')"]
scenario("defaults", *DEFAULTS, source="SELECT * FROM VALUES (2L, 'x'), (4L, 'y') AS s(id, v)", merge=ON + "WHEN MATCHED THEN UPDATE SET d = DEFAULT WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)")
scenario("defaults by star, evolving", *DEFAULTS, source="SELECT * FROM VALUES (2L, 'x'), (4L, 'y') AS s(id, v)", merge=EVOLVE + STAR)
IDENTITY = ["CREATE TABLE {t} (n BIGINT GENERATED ALWAYS AS IDENTITY, id BIGINT, v STRING) USING delta", "INSERT INTO {t} (id, v) VALUES (1, 'a')"]
scenario("identities", *IDENTITY, source="SELECT * FROM VALUES (1L, 'x'), (4L, 'y') AS s(id, v)", merge=ON + "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)")
scenario("identities that are set", *IDENTITY, source="SELECT * FROM VALUES (1L, 'x') AS s(id, v)", merge=ON + "WHEN MATCHED THEN UPDATE SET n = 5")
scenario("an append-only table", *simple(properties="'delta.appendOnly' = 'true'"), source=SOURCE, merge=ON + "WHEN NOT MATCHED THEN INSERT *")
scenario("an append-only table, update", *simple(properties="'delta.appendOnly' = 'true'"), source=SOURCE, merge=ON + STAR)
