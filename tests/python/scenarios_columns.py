"""Columns and fields inside of them: names that files cannot have, NOT NULL, and lengths of strings that change. See `recorded.py`."""

SCENARIOS = {}
AUTO_MERGE = "spark.databricks.delta.schema.autoMerge.enabled"
MAPPED = "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def asked(world, *statements):
    """Statements, each with what the table is like after it: its schema where it went well."""
    for statement in statements:
        world.ask(statement)
        if not (isinstance(world.seen[-1][1], dict) and "error" in world.seen[-1][1]):
            world.schema()


# ---- names --------------------------------------------------------------------------------------------------------

# Where a name may stand in a type.
PLACES = ["STRUCT<{}: INT>", "ARRAY<STRUCT<{}: INT>>", "MAP<STRING, STRUCT<{}: INT>>", "MAP<STRUCT<{}: INT>, INT>", "STRUCT<a: STRUCT<{}: INT>>"]
NAMES = ["`b c`", "`b,c`", "`b;c`", "`b{c`", "`b}c`", "`b(c`", "`b)c`", "`b\nc`", "`b\tc`", "`b=c`", "`b.c`", "`b-c`", "`b``c`", "`ä`"]


@scenario
def names_of_fields_at_create(world):
    for i, place in enumerate(PLACES):
        world.ask(f"CREATE TABLE {{place{i}}} (id INT, s {place.format('`b c`')}) USING delta")
    for i, name in enumerate(NAMES):
        world.attempt(f"CREATE TABLE with {name}", lambda i=i, name=name: world.spark.sql(f"CREATE TABLE delta.`{world.path(f'name{i}')}` (id INT, s STRUCT<{name}: INT>) USING delta"))
    world.ask("CREATE TABLE {several} (`i d` INT, s STRUCT<`b c`: INT, `d e`: INT>) USING delta",
              "CREATE TABLE {selected} USING delta AS SELECT 1 AS id, named_struct('b c', 2) AS s",
              f"CREATE TABLE {{mapped}} (id INT, s STRUCT<`b c`: INT>) USING delta {MAPPED}", "INSERT INTO {mapped} VALUES (1, named_struct('b c', 2))")
    world.table("mapped")


@scenario
def names_of_fields_that_writers_make(world):
    frame = world.spark.sql("SELECT 1 AS id, named_struct('b c', 2) AS s")
    world.attempt("save", lambda: frame.write.format("delta").save(world.path("saved")))
    world.attempt("writeTo", lambda: frame.writeTo(world.t).using("delta").create())
    world.attempt("saved array", lambda: world.spark.sql("SELECT array(named_struct('b=c', 2)) AS s").write.format("delta").save(world.path("array")))
    world.sql("CREATE TABLE {t} (id INT, s STRUCT<a: INT>) USING delta", "INSERT INTO {t} VALUES (0, named_struct('a', 1))")
    more = world.spark.sql("SELECT 1 AS id, named_struct('a', 1, 'b c', 2) AS s")
    writer = more.write.format("delta")
    world.attempt("mergeSchema", lambda: writer.mode("append").option("mergeSchema", "true").save(world.path("t")))
    world.attempt("overwriteSchema", lambda: writer.mode("overwrite").option("overwriteSchema", "true").save(world.path("t")))
    world.spark.conf.set(AUTO_MERGE, "true")
    world.ask("INSERT INTO {t} SELECT 1, named_struct('a', 1, 'b c', 2)",
              "MERGE INTO {t} t USING (SELECT 1 AS id, named_struct('a', 1, 'b c', 2) AS s) n ON t.id = n.id WHEN NOT MATCHED THEN INSERT *",
              "MERGE INTO {t} t USING (SELECT 1 AS id, 5 AS `x y`) n ON t.id = n.id WHEN NOT MATCHED THEN INSERT *")
    world.table()
    world.schema()


@scenario
def names_of_fields_in_ALTER_TABLE(world):
    world.sql("CREATE TABLE {t} (id INT, s STRUCT<a: INT>, l ARRAY<STRUCT<a: INT>>, m MAP<STRING, STRUCT<a: INT>>) USING delta")
    asked(world, "ALTER TABLE {t} ADD COLUMNS (s.`b c` INT)", "ALTER TABLE {t} ADD COLUMNS (s.`b.c` INT)", "ALTER TABLE {t} ADD COLUMNS (l.element.`b=c` INT)",
          "ALTER TABLE {t} ADD COLUMNS (m.value.`b;c` INT)", "ALTER TABLE {t} ADD COLUMNS (n STRUCT<`b c`: INT>)", "ALTER TABLE {t} ADD COLUMNS (`n o` INT)",
          "ALTER TABLE {t} REPLACE COLUMNS (id INT, s STRUCT<a: INT, `b c`: INT>, l ARRAY<STRUCT<a: INT>>, m MAP<STRING, STRUCT<a: INT>>)",
          "ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')", "ALTER TABLE {t} ADD COLUMNS (s.`d e` INT)")
    world.sql("CREATE TABLE {u} (id INT, s STRUCT<a: INT>) USING delta " + MAPPED)
    world.ask("ALTER TABLE {u} RENAME COLUMN s.a TO `a b`", "ALTER TABLE {u} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'none')",
              "ALTER TABLE {u} RENAME COLUMN s.`a b` TO a", "ALTER TABLE {u} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'none')")


# ---- NOT NULL -----------------------------------------------------------------------------------------------------

@scenario
def fields_of_elements_become_NOT_NULL(world):
    world.sql("CREATE TABLE {t} (id INT, l ARRAY<STRUCT<a: INT>>, m MAP<STRING, STRUCT<a: INT>>, k MAP<STRUCT<a: INT>, INT>, n ARRAY<INT>) USING delta")
    asked(world, "ALTER TABLE {t} ALTER COLUMN l.element.a SET NOT NULL", "ALTER TABLE {t} ALTER COLUMN m.value.a SET NOT NULL", "ALTER TABLE {t} ALTER COLUMN k.key.a SET NOT NULL",
          "ALTER TABLE {t} ALTER COLUMN l.element SET NOT NULL", "ALTER TABLE {t} ALTER COLUMN n.element SET NOT NULL", "ALTER TABLE {t} ALTER COLUMN m.value SET NOT NULL", "ALTER TABLE {t} ALTER COLUMN m.key SET NOT NULL",
          "ALTER TABLE {t} ALTER COLUMN l.element.a DROP NOT NULL", "ALTER TABLE {t} ALTER COLUMN n.element DROP NOT NULL")
    world.ask("INSERT INTO {t} VALUES (1, array(named_struct('a', NULL)), NULL, NULL, NULL)", "INSERT INTO {t} VALUES (1, NULL, NULL, NULL, array(NULL))")


@scenario
def fields_are_declared_NOT_NULL(world):
    world.sql("CREATE TABLE {t} (id INT, s STRUCT<a: INT NOT NULL, b: INT>) USING delta")
    world.schema()
    world.ask("INSERT INTO {t} VALUES (1, named_struct('a', NULL, 'b', 1))", "INSERT INTO {t} VALUES (1, NULL)")
    asked(world, "ALTER TABLE {t} ALTER COLUMN s.a DROP NOT NULL", "ALTER TABLE {t} ALTER COLUMN s.a DROP NOT NULL")
    world.ask("INSERT INTO {t} VALUES (1, named_struct('a', NULL, 'b', 1))")
    world.table()
    world.ask("CREATE TABLE {u} (id INT, l ARRAY<STRUCT<a: INT NOT NULL>>) USING delta", "CREATE TABLE {v} (id INT, s STRUCT<l: ARRAY<STRUCT<a: INT NOT NULL>>>) USING delta")


# ---- lengths of strings -------------------------------------------------------------------------------------------

LONG = "'abcdefghijklm'"


def altered(world, name, what, clause):
    """Whether a column may be changed so; how the table is then."""
    world.attempt(what, lambda: world.spark.sql(f"ALTER TABLE delta.`{world.path(name)}` {clause}"))
    if "error" in (world.seen[-1][1] or {}):
        return False
    world.schema(name)
    return True


def inserted(world, name, what, values):
    world.attempt(what, lambda: world.spark.sql(f"INSERT INTO delta.`{world.path(name)}` VALUES ({values})"))


@scenario
def lengths_that_change(world):
    for i, (old, new) in enumerate([("VARCHAR(5)", "STRING"), ("VARCHAR(5)", "VARCHAR(10)"), ("VARCHAR(5)", "VARCHAR(5)"), ("VARCHAR(5)", "VARCHAR(3)"), ("VARCHAR(5)", "CHAR(5)"), ("VARCHAR(5)", "CHAR(10)"),
                                    ("CHAR(5)", "STRING"), ("CHAR(5)", "VARCHAR(5)"), ("CHAR(5)", "VARCHAR(10)"), ("CHAR(5)", "VARCHAR(3)"), ("CHAR(5)", "CHAR(5)"), ("CHAR(5)", "CHAR(10)"), ("STRING", "VARCHAR(10)"), ("STRING", "CHAR(5)"), ("INT", "STRING"), ("VARCHAR(5)", "INT")]):
        for word, statement in (("ALTER", "ALTER COLUMN v TYPE"), ("CHANGE", "CHANGE COLUMN v v")):
            name = f"{word}{i}"
            world.sql(f"CREATE TABLE {{{name}}} (id INT, v {old}) USING delta")
            if old != "INT":
                world.sql(f"INSERT INTO {{{name}}} VALUES (1, 'ab')")
            if not altered(world, name, f"{old}: {statement} {new}", f"{statement} {new}"):
                continue
            inserted(world, name, "thirteen characters", f"2, {LONG}")
            inserted(world, name, "seven characters", "3, 'abcdefg'")
            world.rows(world.spark.sql(f"SELECT id, v, length(v) FROM delta.`{world.path(name)}`"))


# Where a string stands in a column, the name of it for ALTER, and values of five and seven characters.
INSIDE = {
    "struct": ("STRUCT<a: {}, b: INT>", "v.a", "named_struct('a', {}, 'b', 1)"),
    "array": ("ARRAY<{}>", "v.element", "array({})"),
    "value": ("MAP<STRING, {}>", "v.value", "map('k', {})"),
    "key": ("MAP<{}, INT>", "v.key", "map({}, 1)"),
    "array of structs": ("ARRAY<STRUCT<a: {}>>", "v.element.a", "array(named_struct('a', {}))"),
    "struct of arrays": ("STRUCT<a: ARRAY<{}>>", "v.a.element", "named_struct('a', array({}))"),
}


@scenario
def lengths_inside_of_columns_change(world):
    for i, (shape, path, value) in enumerate(INSIDE.values()):
        for j, (old, new) in enumerate([("VARCHAR(5)", "STRING"), ("VARCHAR(5)", "VARCHAR(10)"), ("VARCHAR(5)", "VARCHAR(3)"), ("CHAR(5)", "STRING"), ("CHAR(5)", "VARCHAR(10)"), ("STRING", "VARCHAR(10)")]):
            name = f"inside{i}_{j}"
            world.sql(f"CREATE TABLE {{{name}}} (id INT, v {shape.format(old)}) USING delta")
            clause = f"ALTER COLUMN {path} TYPE {new}"
            if altered(world, name, f"{shape.format(old)}: {clause}", clause):
                for text in (LONG, "'abcdefg'"):
                    inserted(world, name, f"INSERT {text}", f"2, {value.format(text)}")


@scenario
def lengths_of_whole_columns_change(world):
    for i, (shape, _, value) in enumerate(INSIDE.values()):
        for j, (old, new) in enumerate([("VARCHAR(5)", "STRING"), ("VARCHAR(5)", "VARCHAR(10)"), ("CHAR(5)", "STRING")]):
            name = f"whole{i}_{j}"
            world.sql(f"CREATE TABLE {{{name}}} (id INT, v {shape.format(old)}) USING delta")
            clause = f"CHANGE COLUMN v v {shape.format(new)}"
            if altered(world, name, f"{shape.format(old)}: {clause}", clause):
                inserted(world, name, "INSERT", f"2, {value.format(LONG)}")


@scenario
def lengths_of_columns_with_comments_and_mapping(world):
    world.sql(f"CREATE TABLE {{t}} (id INT, v VARCHAR(5) COMMENT 'five', s STRUCT<a: CHAR(5)>) USING delta {MAPPED}", "INSERT INTO {t} VALUES (1, 'ab', named_struct('a', 'ab'))")
    world.ask("ALTER TABLE {t} CHANGE COLUMN v v VARCHAR(10) COMMENT 'ten'", "ALTER TABLE {t} ALTER COLUMN v TYPE STRING", "ALTER TABLE {t} ALTER COLUMN s.a TYPE STRING",
              f"INSERT INTO {{t}} VALUES (2, {LONG}, named_struct('a', 'abcde'))", f"INSERT INTO {{t}} VALUES (3, 'ab', named_struct('a', {LONG}))")
    world.table()
