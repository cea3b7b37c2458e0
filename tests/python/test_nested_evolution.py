"""Structs in maps and arrays that changed after files were written: what is in those files is read as the table has it now.

Expected rows follow from what was written: a field that a file lacks is NULL, wider types keep their values, names are the
table's.
"""

import pytest


@pytest.fixture
def new(spark, tmp_path):
    def make(columns, **properties):
        t = f"delta.`{tmp_path / 'table'}`"
        listed = ", ".join(f"'{k}' = '{v}'" for k, v in properties.items())
        properties = f" TBLPROPERTIES ({listed})" if listed else ""
        spark.sql(f"CREATE TABLE {t} ({columns}) USING delta{properties}")
        return t

    return make


def rows(frame):
    return [tuple(r) for r in frame.collect()]


def plain(value):
    """Rows as tuples, inside of maps and arrays too."""
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return tuple(plain(v) for v in value) if isinstance(value, tuple) else value


def test_fields_of_map_values(spark, new):
    t = new("id INT, m MAP<STRING, STRUCT<a: INT, b: STRING>>")
    spark.sql(f"INSERT INTO {t} VALUES (1, map('k', named_struct('a', 1, 'b', 'x'), 'n', NULL)), (2, NULL), (3, map())")
    spark.sql(f"ALTER TABLE {t} ADD COLUMNS (m.value.z INT FIRST, m.value.y DOUBLE AFTER a)")
    spark.sql(f"INSERT INTO {t} VALUES (4, map('k', named_struct('z', 7, 'a', 4, 'y', 0.5D, 'b', 'w')))")
    assert plain(rows(spark.table(t).orderBy("id"))) == [
        (1, {"k": (None, 1, None, "x"), "n": None}),
        (2, None),
        (3, {}),
        (4, {"k": (7, 4, 0.5, "w")}),
    ]
    # Fields that are there, fields that are not, and both, in what is shown and in filters.
    assert rows(spark.sql(f"SELECT id FROM {t} WHERE m['k'].z IS NULL AND m['k'].a = 1")) == [(1,)]
    assert rows(spark.sql(f"SELECT m['k'].z + m['k'].a, m['k'].b FROM {t} WHERE m['k'].z = 7")) == [(11, "w")]
    assert rows(spark.sql(f"SELECT id, v.y FROM {t} LATERAL VIEW explode(m) AS k, v WHERE v.b >= 'w' ORDER BY id")) == [
        (1, None),
        (4, 0.5),
    ]
    # Writes that read the old files: copies of their rows have the new fields.
    spark.sql(f"UPDATE {t} SET m = map('k', named_struct('z', 9, 'a', m['k'].a, 'y', 1D, 'b', m['k'].b)) WHERE id = 1")
    spark.sql(f"OPTIMIZE {t}")
    assert plain(rows(spark.sql(f"SELECT m FROM {t} ORDER BY id"))) == [
        ({"k": (9, 1, 1.0, "x")},),
        (None,),
        ({},),
        ({"k": (7, 4, 0.5, "w")},),
    ]


def test_maps_and_arrays_in_each_other(spark, new):
    t = new(
        """id INT,
           a ARRAY<MAP<STRING, STRUCT<x: INT>>>,
           b MAP<INT, ARRAY<STRUCT<x: INT>>>,
           c STRUCT<m: MAP<STRING, MAP<STRING, STRUCT<x: INT>>>, p: INT>"""
    )
    spark.sql(
        f"""INSERT INTO {t} VALUES (1, array(map('k', named_struct('x', 1)), NULL), map(2, array(named_struct('x', 3), NULL)),
            named_struct('m', map('o', map('i', named_struct('x', 4))), 'p', 5))"""
    )
    for path in ("a.element.value", "b.value.element", "c.m.value.value", "c"):
        spark.sql(f"ALTER TABLE {t} ADD COLUMN {path}.y STRING")
    assert plain(rows(spark.table(t))) == [
        (1, [{"k": (1, None)}, None], {2: [(3, None), None]}, ({"o": {"i": (4, None)}}, 5, None)),
    ]
    query = f"SELECT c.p, c.y, c.m['o']['i'].y, a[0]['k'].x, b[2][0].y, b[2][1].x FROM {t}"
    assert rows(spark.sql(query + " WHERE c.p = 5 AND c.y IS NULL AND c.m['o']['i'].x = 4")) == [
        (5, None, None, 1, None, None)
    ]
    assert rows(spark.sql(query + " WHERE c.m['o']['i'].y = 'q'")) == []


def test_names_of_fields_in_keys_and_values(spark, new):
    t = new(
        "id INT, m MAP<STRUCT<k: INT, l: INT>, STRUCT<a: INT, b: STRING>>", **{"delta.columnMapping.mode": "name"}
    )
    insert = f"INSERT INTO {t} VALUES ({{}}, map(named_struct('{{}}', 1, 'l', 2), named_struct('{{}}', 3, 'b', 'x')))"
    spark.sql(insert.format(1, "k", "a"))
    spark.sql(f"ALTER TABLE {t} RENAME COLUMN m.value.a TO aa")
    spark.sql(f"ALTER TABLE {t} RENAME COLUMN m.key.k TO kk")
    spark.sql(insert.format(2, "kk", "aa"))
    whole = {(1, 2): (3, "x")}
    assert plain(rows(spark.table(t).orderBy("id"))) == [(1, whole), (2, whole)]
    pairs = f"SELECT id, k.kk, v.aa FROM {t} LATERAL VIEW explode(m) AS k, v"
    assert rows(spark.sql(f"{pairs} WHERE v.aa = 3 AND k.kk = 1 ORDER BY id")) == [(1, 1, 3), (2, 1, 3)]
    # A field of the same name is another field.
    spark.sql(f"ALTER TABLE {t} DROP COLUMN m.value.aa")
    spark.sql(f"ALTER TABLE {t} ADD COLUMN m.value.aa BIGINT")
    spark.sql(f"INSERT INTO {t} VALUES (3, map(named_struct('kk', 1, 'l', 2), named_struct('b', 'x', 'aa', 8)))")
    assert plain(rows(spark.table(t).orderBy("id"))) == [
        (1, {(1, 2): ("x", None)}),
        (2, {(1, 2): ("x", None)}),
        (3, {(1, 2): ("x", 8)}),
    ]
    # Structs of which nothing is left that files have.
    spark.sql(f"ALTER TABLE {t} ADD COLUMN s STRUCT<a: INT>")
    spark.sql(f"INSERT INTO {t} VALUES (4, NULL, named_struct('a', 1)), (5, NULL, NULL)")
    spark.sql(f"ALTER TABLE {t} ADD COLUMN s.b INT")
    spark.sql(f"ALTER TABLE {t} DROP COLUMN s.a")
    assert plain(rows(spark.sql(f"SELECT id, s, s.b FROM {t} WHERE id >= 4 ORDER BY id"))) == [
        (4, (None,), None),
        (5, None, None),
    ]


def test_wider_types_in_maps(spark, new):
    t = new(
        "id INT, m MAP<SHORT, STRUCT<a: INT, d: DATE, e: DECIMAL(5, 2)>>, n MAP<STRING, ARRAY<FLOAT>>",
        **{"delta.enableTypeWidening": "true", "delta.feature.timestampNtz": "supported"},
    )
    spark.sql(
        f"""INSERT INTO {t} VALUES (1, map(1S, named_struct('a', 2147483647, 'd', DATE'2020-02-29', 'e', 123.45)),
            map('f', array(1.5F, NULL)))"""
    )
    for column, wider in (
        ("m.key", "INT"),
        ("m.value.a", "BIGINT"),
        ("m.value.d", "TIMESTAMP_NTZ"),
        ("m.value.e", "DECIMAL(10, 4)"),
        ("n.value.element", "DOUBLE"),
    ):
        spark.sql(f"ALTER TABLE {t} ALTER COLUMN {column} TYPE {wider}")
    assert rows(spark.sql(f"SELECT typeof(m), typeof(n) FROM {t}")) == [
        ("map<int,struct<a:bigint,d:timestamp_ntz,e:decimal(10,4)>>", "map<string,array<double>>")
    ]
    spark.sql(
        f"""INSERT INTO {t} VALUES (2, map(40000, named_struct('a', 2147483648L, 'd', TIMESTAMP_NTZ'2020-01-01 10:00:00',
            'e', 123456.7891)), map('f', array(0.1D)))"""
    )
    got = spark.sql(
        f"""SELECT id, k, v.a + 1, string(v.d), string(v.e), n['f'][0] FROM {t} LATERAL VIEW explode(m) AS k, v
            WHERE v.a >= 2147483647L ORDER BY id"""
    )
    assert rows(got) == [
        (1, 1, 2147483648, "2020-02-29 00:00:00", "123.4500", 1.5),
        (2, 40000, 2147483649, "2020-01-01 10:00:00", "123456.7891", 0.1),
    ]
    assert rows(spark.sql(f"SELECT m[1].a, m[40000].a FROM {t} ORDER BY id")) == [(2147483647, None), (None, 2147483648)]
    spark.sql(f"OPTIMIZE {t}")
    assert rows(spark.sql(f"SELECT max(m[1].a), max(m[40000].a) FROM {t}")) == [(2147483647, 2147483648)]


def test_the_change_feed_of_old_files(spark, new):
    t = new("id INT, m MAP<STRING, STRUCT<a: INT>>", **{"delta.enableChangeDataFeed": "true"})
    spark.sql(f"INSERT INTO {t} VALUES (1, map('k', named_struct('a', 1))), (2, map('k', named_struct('a', 2)))")
    spark.sql(f"ALTER TABLE {t} ADD COLUMN m.value.b INT")
    spark.sql(f"DELETE FROM {t} WHERE m['k'].b IS NULL AND m['k'].a = 2")
    path = t.split("`")[1]
    feed = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1).load(path)
    got = feed.selectExpr("id", "m['k'].a", "m['k'].b", "_change_type").orderBy("_commit_version", "id")
    assert rows(got) == [(1, 1, None, "insert"), (2, 2, None, "insert"), (2, 2, None, "delete")]
