"""INSERT and appends that give a table new fields, inside of structs, arrays and maps too. See `recorded.py`."""

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


AUTO_MERGE = "spark.databricks.delta.schema.autoMerge.enabled"

# The type of a column, and values for it that have more, fewer or other fields.
MORE, FEWER, OTHER = "named_struct('a', 1, 'b', 'x', 'c', 2.5D)", "named_struct('a', 1)", "named_struct('b', 'x', 'c', 2.5D, 'a', 1)"
WIDER, RENAMED = "named_struct('a', 1L, 'b', 5, 'c', DATE'2020-01-01')", "named_struct('q', 1, 'r', 'x')"
PAIR = "STRUCT<a: INT, b: STRING>"
SHAPES = {
    "struct": (PAIR, "{}"),
    "array": (f"ARRAY<{PAIR}>", "array({}, NULL)"),
    "array without NULL": (f"ARRAY<{PAIR}>", "array({})"),
    "map": (f"MAP<STRING, {PAIR}>", "map('k', {}, 'n', NULL)"),
    "map without NULL": (f"MAP<STRING, {PAIR}>", "map('k', {})"),
    "key": (f"MAP<{PAIR}, INT>", "map({}, 5)"),
    "array of arrays": (f"ARRAY<ARRAY<{PAIR}>>", "array(array({}, NULL), NULL)"),
    "map of arrays": (f"MAP<INT, ARRAY<{PAIR}>>", "map(1, array({}, NULL), 2, NULL)"),
    "array of maps": (f"ARRAY<MAP<INT, {PAIR}>>", "array(map(1, {}, 2, NULL), NULL)"),
    "array in a struct": (f"STRUCT<l: ARRAY<{PAIR}>, n: INT>", "named_struct('l', array({}, NULL), 'n', 3)"),
    "struct in an array in a struct": (f"STRUCT<l: ARRAY<STRUCT<s: {PAIR}>>>", "named_struct('l', array(named_struct('s', {}), NULL))"),
}
VALUES = {"more": MORE, "fewer": FEWER, "other": OTHER, "wider": WIDER, "renamed": RENAMED}


OLD = "named_struct('a', 0, 'b', 'old')"
# How rows come to a table: the statement, whether the table may change, and of which kinds; the first two with all shapes.
WAYS = {
    "insert": ("INSERT INTO {} {}", "true", tuple(VALUES)),
    "append": (None, "true", ("more", "fewer", "wider")),
    "insert by name": ("INSERT INTO {} BY NAME {}", "true", ("more", "other", "wider")),
    "insert into columns": ("INSERT INTO {} (id, v) {}", "true", ("more", "wider")),
    "write to": ("write to", "true", ("more", "other", "wider")),
    "plain insert": ("INSERT INTO {} {}", "false", ("more", "other")),
    "plain insert by name": ("INSERT INTO {} BY NAME {}", "false", ("more", "other")),
    "plain append": (None, "false", ("more", "other")),
}


def table(world, shape, name, properties=""):
    column, value = SHAPES[shape]
    world.sql(f"CREATE TABLE {{{name}}} (id INT, v {column}) USING delta {properties}",
              f"INSERT INTO {{{name}}} VALUES (0, {value.format(OLD)}), (1, NULL)")


def tried(world, what, name, action):
    """The table after it, or the error."""
    world.attempt(what, action)
    if world.seen[-1][1] is None or "rows" in world.seen[-1][1]:
        world.seen.pop()
        loaded = world.spark.read.format("delta").load(world.path(name))
        world.note(what, [f.simpleString() for f in loaded.schema.fields])
        # Spark prints the address of a struct that is a key.
        value = "map_entries(v)" if loaded.schema["v"].dataType.simpleString().startswith("map<struct") else "v"
        world.rows(loaded.selectExpr("id", f"to_json({value}) AS v"), f"rows after {what}")


def one_way(world, shape, kind, way):
    statement, merges, _ = WAYS[way]
    name = f"{way} {kind}".replace(" ", "_")
    query = f"SELECT 2 AS id, {SHAPES[shape][1].format(VALUES[kind])} AS v"
    table(world, shape, name)
    if statement is None:
        writer = world.spark.sql(query).write.format("delta").mode("append").option("mergeSchema", merges)
        tried(world, f"{way}: {kind}", name, lambda: writer.save(world.path(name)))
        return
    if statement == "write to":
        writer = world.spark.sql(query).writeTo(f"delta.`{world.path(name)}`").option("mergeSchema", merges)
        tried(world, f"{way}: {kind}", name, lambda: writer.append())
        return
    world.spark.conf.set(AUTO_MERGE, merges)
    tried(world, f"{way}: {kind}", name, lambda: world.spark.sql(statement.format(f"delta.`{world.path(name)}`", query)))
    world.spark.conf.set(AUTO_MERGE, "false")


# delta-spark casts arrays as a whole where their elements are no structs or differ in whether they may be NULL, and refuses then what it
# takes of others: INSERT into these is taken here.
CAST = ("array without NULL", "array of arrays", "array of maps", "array in a struct", "struct in an array in a struct")
REFUSED = {(shape, "insert", kind) for shape in CAST for kind in ("fewer", "wider")}


def of_shape(shape):
    def run(world):
        for way, (_, _, kinds) in WAYS.items():
            if way in ("insert", "append") or shape in ("struct", "array", "map"):
                for kind in kinds:
                    if (shape, way, kind) not in REFUSED:
                        one_way(world, shape, kind, way)

    return run


for shape in SHAPES:
    SCENARIOS[shape] = of_shape(shape)


@scenario
def fields_of_an_array_that_partitions_and_maps_columns(world):
    """New fields get names and ids of their own."""
    world.spark.conf.set(AUTO_MERGE, "true")
    world.sql(f"CREATE TABLE {{t}} (id INT, `P q` STRING, v ARRAY<{PAIR}>) USING delta PARTITIONED BY (`P q`) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
              "INSERT INTO {t} VALUES (1, 'a', array(named_struct('a', 1, 'b', 'x')))",
              "INSERT INTO {t} SELECT 2, 'b', array(named_struct('a', 2, 'b', 'y', 'C c', 5), NULL)",
              "INSERT INTO {t} SELECT 3, NULL, array(named_struct('a', 3, 'b', 'z', 'C c', 6, 'd', named_struct('e', 1)), NULL)")
    world.table()
    loaded = world.spark.read.format("delta").load(world.path("t"))
    world.note("columns", [f.simpleString() for f in loaded.schema.fields])
    world.rows(loaded.selectExpr("id", "v[0].`C c`", "v[0].d.e"), "fields")


@scenario
def several_writers_of_new_fields(world):
    """Statements that evolve, overwrite and insert from empty queries."""
    world.spark.conf.set(AUTO_MERGE, "true")
    table(world, "array", "t")
    for statement in (f"INSERT INTO {{t}} SELECT 2, array({MORE}, NULL) WHERE false", f"INSERT OVERWRITE {{t}} SELECT 3, array({MORE}, NULL)",
                      f"INSERT INTO {{t}} VALUES (4, array({MORE})), (5, NULL)", f"INSERT INTO {{t}} REPLACE WHERE id = 4 SELECT 4, array({MORE})"):
        tried(world, statement, "t", lambda s=statement: world.spark.sql(world.filled(s)))


@scenario
def evolution_by_words(world):
    for how in ("", "BY NAME"):
        for shape in ("struct", "array", "map"):
            name = f"{shape}_{how}".replace(" ", "_")
            table(world, shape, name)
            value = SHAPES[shape][1].format(MORE)
            tried(world, name, name, lambda h=how, n=name, v=value: world.spark.sql(f"INSERT WITH SCHEMA EVOLUTION INTO delta.`{world.path(n)}` {h} SELECT 2 AS id, {v} AS v, 'n' AS more"))


@scenario
def wider_types_in_elements(world):
    """With type widening a statement that evolves takes wider types inside, too."""
    world.spark.conf.set(AUTO_MERGE, "true")
    for shape in ("struct", "array", "map", "key"):
        name = f"w_{shape}"
        table(world, shape, name, "TBLPROPERTIES ('delta.enableTypeWidening' = 'true')")
        value = SHAPES[shape][1].format("named_struct('a', 3000000000L, 'b', 'x', 'c', 1)")
        tried(world, name, name, lambda n=name, v=value: world.spark.sql(f"INSERT INTO delta.`{world.path(n)}` SELECT 2, {v}"))


REPLACED = [
    "(b STRING COMMENT 'second', a INT, s STRUCT<y: STRING, x: INT>, l ARRAY<STRUCT<e: INT>>, m MAP<STRING, INT>)", "(a INT, b STRING, s STRUCT<x: INT, y: STRING, z: DATE>, l ARRAY<STRUCT<e: INT, f: INT>>, m MAP<STRING, INT>, `new` INT COMMENT 'n')",
    "(a INT, b STRING, s STRUCT<x: INT, y: STRING>)", "(a INT, b STRING, s STRUCT<x: INT>, l ARRAY<STRUCT<e: INT>>, m MAP<STRING, INT>)", "(a INT, b STRING, q INT)", "(a BIGINT, b STRING, s STRUCT<x: INT, y: STRING>, l ARRAY<STRUCT<e: INT>>, m MAP<STRING, INT>)",
    "(a STRING, b STRING, s STRUCT<x: INT, y: STRING>, l ARRAY<STRUCT<e: INT>>, m MAP<STRING, INT>)", "(a INT, b STRING, s STRUCT<x: INT, y: STRING>, l ARRAY<STRUCT<e: INT>>, m MAP<STRING, BIGINT>)", "(A INT, B STRING, s STRUCT<X: INT, y: STRING>, l ARRAY<STRUCT<e: INT>>, m MAP<STRING, INT>)",
    "(a INT, a INT)", "(a INT, b STRING, s STRUCT<x: INT, y: STRING>, l ARRAY<STRUCT<e: INT>>, m MAP<STRING, INT>, `a b` INT)",
]
PROPERTIES = {"plain": "", "mapped": "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')", "widening": "TBLPROPERTIES ('delta.enableTypeWidening' = 'true')"}


def columns_are_replaced(kind):
    def run(world):
        for i, columns in enumerate(REPLACED):
            name = f"t{i}"
            world.sql(f"CREATE TABLE {{{name}}} (a INT NOT NULL COMMENT 'first', b STRING, s STRUCT<x: INT, y: STRING>, l ARRAY<STRUCT<e: INT>>, m MAP<STRING, INT>) USING delta {PROPERTIES[kind]}",
                      f"INSERT INTO {{{name}}} VALUES (1, 'b', named_struct('x', 2, 'y', 'z'), array(named_struct('e', 3), NULL), map('k', 4))")
            world.attempt(columns, lambda c=columns, n=name: world.spark.sql(f"ALTER TABLE delta.`{world.path(n)}` REPLACE COLUMNS {c}"))
            if "error" not in world.seen[-1][1]:
                loaded = world.spark.read.format("delta").load(world.path(name))
                world.note("columns", [[f.name, f.dataType.simpleString(), f.nullable, f.metadata.get("comment")] for f in loaded.schema.fields])
                world.rows(loaded.selectExpr("to_json(struct(*)) AS row"))
                last = world.spark.sql(f"DESCRIBE HISTORY delta.`{world.path(name)}` LIMIT 1").first()
                world.note("operation", [last["operation"], sorted(last["operationParameters"])])

    return run


for kind in PROPERTIES:
    SCENARIOS[f"columns are replaced: {kind}"] = columns_are_replaced(kind)


@scenario
def columns_that_may_not_go(world):
    world.sql("CREATE TABLE {t} (a INT, p INT, c INT) USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')", "INSERT INTO {t} VALUES (1, 2, 3)", "ALTER TABLE {t} ADD CONSTRAINT k CHECK (c > 0)")
    world.ask("ALTER TABLE {t} REPLACE COLUMNS (p INT, c INT)")
    world.table()
    world.sql("CREATE TABLE {i} (k BIGINT GENERATED ALWAYS AS IDENTITY, v INT) USING delta")
    world.ask("ALTER TABLE {i} REPLACE COLUMNS (k BIGINT, v INT, w INT)")
