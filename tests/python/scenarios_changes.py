"""What DELETE, UPDATE and MERGE take as conditions and as new values, and what they refuse. See `recorded.py`."""

SCENARIOS = {}

PREPARED = [
    """CREATE TABLE {t} (id BIGINT, v STRING, n INT, `a b` INT, s STRUCT<x: INT, Y: STRING>, xs ARRAY<INT>) USING delta
       TBLPROPERTIES ('delta.columnMapping.mode' = 'name')""",
    """INSERT INTO {t} VALUES (1, 'a', 10, 1, named_struct('x', 1, 'Y', 'p'), array(1, 2)),
       (2, 'b', NULL, 2, named_struct('x', 2, 'Y', 'q'), array()), (3, NULL, 30, 3, NULL, NULL)""",
    "CREATE TABLE {o} (id BIGINT, w STRING) USING delta",
    "INSERT INTO {o} VALUES (2, 'x'), (3, NULL), (4, 'z')",
]


def scenario(name, *statements):
    def run(world):
        world.sql(*PREPARED)
        world.ask(*statements)
        world.table()

    assert name not in SCENARIOS, name
    SCENARIOS[name] = run


CONDITIONS = {
    "a window function": "row_number() OVER (ORDER BY id) = 1",
    "an aggregate": "count(*) > 1",
    "an aggregate of a column": "max(id) = id",
    "an aggregate that is a window": "max(id) OVER () = id",
    "a generator": "explode(array(1, 2)) = 1",
    "rand": "rand() < 2",
    "uuid": "uuid() IS NOT NULL",
    "now": "current_timestamp() > TIMESTAMP'2020-01-01'",
    "the user": "current_user() IS NOT NULL",
    "a row's place": "monotonically_increasing_id() >= 0",
    "a string": "'true'",
    "a string that is no boolean": "'x'",
    "a string column": "v",
    "a number": "1",
    "a number column": "n",
    "NULL": "NULL",
    "NULL of a type": "CAST(NULL AS BOOLEAN)",
    "false": "false",
    "a comparison with NULL": "n > 15",
    "not a comparison with NULL": "NOT (n > 15)",
    "equal NULL safe": "n <=> NULL",
    "an unknown column": "nothing = 1",
    "a column nearly known": "ids = 1",
    "an unknown field": "s.z = 1",
    "a field": "s.x = 2",
    "a field in another case": "S.y = 'q'",
    "a quoted name": "`A B` = 3",
    "an element": "xs[0] = 1",
    "an element that is not there": "xs[5] IS NULL",
    "division by zero": "1 / (id - 2) > 0",
    "a cast that fails": "CAST(v AS INT) = 1",
    "an unknown function": "nofunction(id) = 1",
    "IN a subquery": "id IN (SELECT id FROM {o})",
    "NOT IN a subquery with NULL": "v NOT IN (SELECT w FROM {o})",
    "EXISTS": "EXISTS (SELECT 1 FROM {o} o WHERE o.id = {t}.id)",
    "a scalar subquery": "id = (SELECT max(id) - 1 FROM {o})",
    "a scalar subquery of many rows": "id = (SELECT id FROM {o})",
    "a correlated scalar subquery": "(SELECT count(*) FROM {o} o WHERE o.w = v) = 0",
    "a subquery of the table": "id = (SELECT max(id) FROM {t})",
    "a metadata column": "_metadata.file_size > 0",
    "a star": "*",
    "a comparison of types": "v > 1",
    "a comparison of a date": "v = DATE'2020-01-01'",
    "a lambda": "exists(xs, x -> x > 1)",
    "a parameter": "id = :p",
}
for shown, condition in CONDITIONS.items():
    # The table has a name of its own where a subquery speaks of it.
    named = condition.replace("{t}.", "t.")
    scenario(f"DELETE: {shown}", f"DELETE FROM {{t}} AS t WHERE {named}")
    scenario(f"UPDATE: {shown}", f"UPDATE {{t}} AS t SET n = 7 WHERE {named}")

VALUES = {
    "a window function": "row_number() OVER (ORDER BY id)",
    "an aggregate": "count(*)",
    "a generator": "explode(array(1, 2))",
    "rand": "CAST(rand() AS INT)",
    "a row's place": "CAST(monotonically_increasing_id() * 0 AS INT)",
    "a string": "'12'",
    "a string that is no number": "'x'",
    "a number too large": "30000000000",
    "a fraction": "1.5",
    "a boolean": "true",
    "a date": "DATE'2020-01-01'",
    "NULL": "NULL",
    "another column": "`a b` + 1",
    "itself": "n + 1",
    "a struct": "s",
    "a field": "s.x",
    "an array": "xs",
    "a scalar subquery": "(SELECT CAST(max(id) AS INT) FROM {o})",
    "a correlated subquery": "(SELECT CAST(max(o.id) AS INT) FROM {o} o WHERE o.id = t.id)",
    "division by zero": "10 / (id - 2)",
    "an unknown column": "nothing",
    "DEFAULT": "DEFAULT",
    "a star": "*",
}
for shown, value in VALUES.items():
    scenario(f"SET: {shown}", f"UPDATE {{t}} AS t SET n = {value} WHERE id <> 3")

SETS = {
    "an unknown column": "nothing = 1",
    "a column twice": "n = 1, n = 2",
    "a column twice in two cases": "n = 1, N = 2",
    "a column and its field": "s = NULL, s.x = 1",
    "two fields": "s.x = 9, s.y = 'n'",
    "a field twice": "s.x = 1, S.X = 2",
    "a field of NULL": "s.x = 5",
    "a field that is not there": "s.z = 1",
    "an element": "xs[0] = 1",
    "a whole struct": "s = named_struct('x', 7, 'Y', 'w')",
    "a struct in another order": "s = named_struct('Y', 'w', 'x', 7)",
    "a struct with a field more": "s = named_struct('x', 7, 'Y', 'w', 'z', 1)",
    "a struct with a field less": "s = named_struct('x', 7)",
    "a struct of other types": "s = named_struct('x', '7', 'Y', 8)",
    "an array of other types": "xs = array('1', '2')",
    "swapped columns": "n = `a b`, `a b` = n",
    "by the table's name": "t.n = t.n + 1",
    "by another name": "o.n = 1",
    "a quoted name": "`A b` = 5",
    "a metadata column": "_metadata.file_size = 1",
}
for shown, text in SETS.items():
    scenario(f"SET of {shown}", f"UPDATE {{t}} AS t SET {text}")

USING = "MERGE INTO {t} AS t USING {o} AS o "
MERGES = {
    "window in ON": "ON t.id = o.id AND row_number() OVER (ORDER BY o.id) = 1 WHEN MATCHED THEN DELETE",
    "window in WHEN MATCHED": "ON t.id = o.id WHEN MATCHED AND row_number() OVER (ORDER BY o.id) = 1 THEN DELETE",
    "window in WHEN NOT MATCHED": "ON t.id = o.id WHEN NOT MATCHED AND rank() OVER (ORDER BY o.id) = 1 THEN INSERT (id) VALUES (o.id)",
    "window in WHEN NOT MATCHED BY SOURCE": "ON t.id = o.id WHEN NOT MATCHED BY SOURCE AND rank() OVER (ORDER BY t.id) = 1 THEN DELETE",
    "window in SET": "ON t.id = o.id WHEN MATCHED THEN UPDATE SET n = row_number() OVER (ORDER BY o.id)",
    "window in VALUES": "ON t.id = o.id WHEN NOT MATCHED THEN INSERT (id, n) VALUES (o.id, row_number() OVER (ORDER BY o.id))",
    "aggregate in ON": "ON t.id = max(o.id) WHEN MATCHED THEN DELETE",
    "aggregate in SET": "ON t.id = o.id WHEN MATCHED THEN UPDATE SET n = count(*)",
    "aggregate in VALUES": "ON t.id = o.id WHEN NOT MATCHED THEN INSERT (id, n) VALUES (o.id, count(*))",
    "generator in ON": "ON t.id = explode(array(o.id)) WHEN MATCHED THEN DELETE",
    "generator in SET": "ON t.id = o.id WHEN MATCHED THEN UPDATE SET n = explode(array(1, 2))",
    "generator in VALUES": "ON t.id = o.id WHEN NOT MATCHED THEN INSERT (id, n) VALUES (o.id, explode(array(1, 2)))",
    "rand in ON": "ON t.id = o.id AND rand() < 2 WHEN MATCHED THEN DELETE",
    "rand in WHEN MATCHED": "ON t.id = o.id WHEN MATCHED AND rand() < 2 THEN DELETE",
    "rand in SET": "ON t.id = o.id WHEN MATCHED THEN UPDATE SET n = CAST(rand() AS INT)",
    "now in ON": "ON t.id = o.id AND current_timestamp() > TIMESTAMP'2020-01-01' WHEN MATCHED THEN DELETE",
    "a number in ON": "ON 1 WHEN MATCHED THEN DELETE",
    "a string in ON": "ON 'true' WHEN NOT MATCHED BY SOURCE THEN DELETE",
    "NULL in ON": "ON NULL WHEN NOT MATCHED THEN INSERT (id) VALUES (o.id)",
    "a number in WHEN MATCHED": "ON t.id = o.id WHEN MATCHED AND 1 THEN DELETE",
    "NULL in WHEN MATCHED": "ON t.id = o.id WHEN MATCHED AND NULL THEN DELETE",
    "division by zero in ON": "ON t.id = o.id AND 1 / (t.id - 2) > 0 WHEN MATCHED THEN DELETE",
    "division by zero in SET": "ON t.id = o.id WHEN MATCHED THEN UPDATE SET n = 1 / (t.id - 2)",
    "a column of both sides": "ON id = o.id WHEN MATCHED THEN DELETE",
    "a column of both sides in WHEN MATCHED": "ON t.id = o.id WHEN MATCHED AND id > 2 THEN DELETE",
    "the source in WHEN NOT MATCHED BY SOURCE": "ON t.id = o.id WHEN NOT MATCHED BY SOURCE AND o.id > 2 THEN DELETE",
    "the target in WHEN NOT MATCHED": "ON t.id = o.id WHEN NOT MATCHED AND t.id > 2 THEN INSERT (id) VALUES (o.id)",
    "a column twice": "ON t.id = o.id WHEN MATCHED THEN UPDATE SET n = 1, n = 2",
    "an inserted column twice": "ON t.id = o.id WHEN NOT MATCHED THEN INSERT (id, ID) VALUES (o.id, o.id)",
    "more values than columns": "ON t.id = o.id WHEN NOT MATCHED THEN INSERT (id) VALUES (o.id, 1)",
    "a metadata column in ON": "ON t.id = o.id AND t._metadata.file_size > 0 WHEN MATCHED THEN DELETE",
    "a subquery in SET": "ON t.id = o.id WHEN MATCHED THEN UPDATE SET n = (SELECT 5)",
    "a parameter in ON": "ON t.id = :p WHEN MATCHED THEN DELETE",
}
for shown, text in MERGES.items():
    scenario(f"MERGE: {shown}", USING + text)

scenario("DELETE of an unknown table", "DELETE FROM {nothing} WHERE id = 1")
scenario("UPDATE of an unknown table", "UPDATE {nothing} SET id = 1")
scenario("DELETE of a view", "CREATE TEMPORARY VIEW changed_view AS SELECT * FROM {t}", "DELETE FROM changed_view WHERE id = 1", "UPDATE changed_view SET id = 5", "DROP VIEW changed_view")
scenario("DELETE without a condition", "DELETE FROM {t}")
scenario("UPDATE twice", "UPDATE {t} SET n = n + 1", "UPDATE {t} SET n = n + 1 WHERE n IS NOT NULL", "DELETE FROM {t} WHERE n IS NULL")
scenario("a common table", "WITH c AS (SELECT id FROM {o}) DELETE FROM {t} WHERE id IN (SELECT id FROM c)", "WITH c AS (SELECT id FROM {o}) UPDATE {t} SET n = 1 WHERE id IN (SELECT id FROM c)")
