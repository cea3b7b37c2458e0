"""Columns of Parquet files that are read again and again are kept in memory: the rows stay those of the files."""

import pathlib
import re

import pytest

KEY = "spark.databricks.io.cache.enabled"
TIMES = 4


def same_each_time(spark, query):
    """What a query gives without the cache, and then while the cache fills and serves."""
    spark.conf.set(KEY, "false")
    expected = sorted(map(tuple, spark.sql(query).collect()), key=repr)
    spark.conf.set(KEY, "true")
    for _ in range(TIMES):
        assert sorted(map(tuple, spark.sql(query).collect()), key=repr) == expected, query
    return expected


QUERIES = [
    "SELECT * FROM {t}",
    "SELECT id, p FROM {t} WHERE s = 'n5' AND id > 30",
    "SELECT count(*), sum(id), max(s), min(d), count(x) FROM {t}",
    "SELECT p, q, count(*) FROM {t} GROUP BY p, q",
    "SELECT s, x.a, xs FROM {t} WHERE id BETWEEN 95 AND 105",
    "SELECT count(*) FROM {t} WHERE id = 7 OR s IS NULL",
    "SELECT a.id, b.s FROM {t} a JOIN {t} b ON a.id = b.id + 1 WHERE a.p = 1 AND b.id < 50",
]
ROWS = """
    SELECT id, CASE WHEN id % 11 > 0 THEN concat('n', id % 10) END s, CAST(id % 3 AS INT) p, IF(id % 4 = 0, NULL, 'q w') q,
           CAST(id AS DECIMAL(20, 2)) / 4 d, IF(id % 5 = 0, NULL, struct(id AS a, array(id) AS b)) x, array(id, NULL) xs
    FROM range(2000)
"""


@pytest.mark.parametrize("form", ["delta", "parquet"])
@pytest.mark.parametrize("partitions", ["", "PARTITIONED BY (p, q)"])
def test_rows_are_the_same(spark, form, partitions):
    spark.sql(f"DROP TABLE IF EXISTS cached_{form}")
    spark.sql(f"CREATE TABLE cached_{form} USING {form} {partitions} AS {ROWS}")
    for query in QUERIES:
        assert same_each_time(spark, query.format(t=f"cached_{form}"))
    spark.sql(f"INSERT INTO cached_{form} (id, s, p, q) VALUES (-1, 'n5', 1, NULL)")
    for query in QUERIES:
        same_each_time(spark, query.format(t=f"cached_{form}"))
    spark.sql(f"DROP TABLE cached_{form}")


def test_deleted_rows_and_their_places(spark):
    spark.sql(f"CREATE OR REPLACE TABLE cached_deletes USING delta AS {ROWS}")
    queries = [q.format(t="cached_deletes") for q in QUERIES]
    queries.append("SELECT id, _metadata.file_size > 0, length(_metadata.file_name) FROM cached_deletes WHERE id < 300")
    for change in ["SELECT 1", "DELETE FROM cached_deletes WHERE id % 7 = 0", "UPDATE cached_deletes SET s = 'n5' WHERE id < 9"]:
        spark.sql(change)
        for query in queries:
            same_each_time(spark, query)
    spark.sql("DROP TABLE cached_deletes")


def files_of(spark, table):
    location = spark.sql(f"DESCRIBE DETAIL {table}").first()["location"].removeprefix("file:")
    return [p for p in pathlib.Path(location).rglob("*.parquet") if "_delta_log" not in p.parts]


def test_what_is_read_again_comes_from_memory(spark):
    spark.sql(f"CREATE OR REPLACE TABLE cached_gone USING delta AS {ROWS}")
    query = "SELECT sum(id), max(s) FROM cached_gone WHERE id > 5"
    expected = same_each_time(spark, query)
    for file in files_of(spark, "cached_gone"):
        file.unlink()
    assert [tuple(r) for r in spark.sql(query).collect()] == expected
    # Columns that were never read, and sessions without the cache, need the files.
    for setting, text in (("true", "SELECT max(d) FROM cached_gone WHERE id > 5"), ("false", query)):
        spark.conf.set(KEY, setting)
        with pytest.raises(Exception, match="FAILED_READ_FILE"):
            spark.sql(text).collect()
    spark.conf.set(KEY, "true")
    spark.sql("DROP TABLE cached_gone")


def test_a_file_written_anew_is_another(spark, tmp_path):
    path = f"{tmp_path}/x"
    for n in (10, 20, 30):
        spark.range(n).coalesce(1).write.mode("overwrite").parquet(path)
        (file,) = pathlib.Path(path).glob("*.parquet")
        file.rename(file.with_name("part.parquet"))
        for _ in range(TIMES):
            rows = spark.read.parquet(path).selectExpr("count(id)", "sum(id)").collect()
            assert tuple(rows[0]) == (n, n * (n - 1) // 2)


def test_types_are_those_of_the_reader(spark, tmp_path):
    spark.range(10).coalesce(1).write.parquet(f"{tmp_path}/x")
    for _ in range(TIMES):
        for name in ("bigint", "decimal(20,0)"):
            read = spark.read.schema(f"id {name}").parquet(f"{tmp_path}/x")
            assert read.selectExpr("typeof(max(id))", "string(sum(id))").first()[1] == "45"
        assert spark.read.schema("ID bigint").parquet(f"{tmp_path}/x").selectExpr("sum(ID)").first()[0] == 45
        assert spark.read.schema("other bigint").parquet(f"{tmp_path}/x").selectExpr("sum(other)").first()[0] is None


# Each column of another kind, with NULLs; `few` has a hundred of them.
MANY = """
    SELECT id, IF(id % 10 = 0, NULL, CAST(id AS INT)) i, CAST(id / 7 AS DECIMAL(20, 3)) d, concat('key ', id) s,
           IF(id % 10 = 0, NULL, date_add(DATE'1900-01-01', CAST(id % 40000 AS INT))) t, timestamp_micros(id * 1000) ts,
           CASE WHEN id % 3 = 0 THEN -0.0D WHEN id % 3 = 1 THEN 0.0D ELSE id END f
    FROM range(300000)
"""
LEARNT = [
    ("SELECT m.* FROM learnt_many m JOIN learnt_few k ON m.id = k.id", True),
    ("SELECT m.id, k.id FROM learnt_many m JOIN learnt_few k ON m.i = k.i", True),
    ("SELECT m.id, k.id FROM learnt_many m JOIN learnt_few k ON m.d = k.d AND m.s = k.s", True),
    ("SELECT m.id, k.id FROM learnt_many m JOIN learnt_few k ON m.t = k.t AND m.id = k.id", True),
    ("SELECT m.id, k.ts FROM learnt_many m JOIN learnt_few k ON m.ts = k.ts", True),
    # NULL meets NULL, and zeros are equal.
    ("SELECT m.id, k.id FROM learnt_many m JOIN learnt_few k ON m.i <=> k.i WHERE m.id < 200000", False),
    ("SELECT count(*), sum(m.id) FROM learnt_many m JOIN (SELECT DISTINCT f FROM learnt_few WHERE f = 0) k ON m.f = k.f", False),
    # Rows without a match stay.
    ("SELECT count(*), count(k.id) FROM learnt_many m LEFT JOIN learnt_few k ON m.id = k.id", False),
    ("SELECT count(*) FROM learnt_many m FULL JOIN learnt_few k ON m.i = k.i", False),
    ("SELECT count(*), sum(id) FROM learnt_many WHERE id NOT IN (SELECT id FROM learnt_few)", False),
    ("SELECT count(*), sum(id) FROM learnt_many m WHERE NOT EXISTS (SELECT 1 FROM learnt_few k WHERE k.i = m.i)", False),
    ("SELECT count(*) FROM learnt_many WHERE i NOT IN (SELECT i FROM learnt_few)", False),
    # Through a semi join of the table with itself, to both sides; and by two joins at once.
    (
        """SELECT count(*), sum(k.id) FROM learnt_few k WHERE k.id IN
           (SELECT a.id FROM learnt_many a, learnt_many b WHERE a.id = b.id AND a.i <= b.i)""",
        True,
    ),
    ("SELECT m.id FROM learnt_many m JOIN learnt_few k ON m.id = k.id JOIN learnt_few l ON m.d = l.d AND l.id < 105000", True),
    # More keys than are listed, all over the table: what an aggregate or an exchange in between is spared.
    ("SELECT count(*), sum(m.id) FROM learnt_many m JOIN learnt_spread k ON m.id = k.id", True),
    ("SELECT k.id, a.n FROM learnt_spread k JOIN (SELECT i, count(*) n FROM learnt_many GROUP BY i) a ON a.i = k.i", True),
    ("SELECT /*+ SHUFFLE_HASH(k) */ count(*), sum(m.i) FROM learnt_many m JOIN learnt_spread k ON m.id = k.id", True),
    ("SELECT /*+ SHUFFLE_HASH(k) */ k.id, m.s FROM learnt_many m JOIN learnt_spread k ON m.t = k.t AND m.s = k.s", True),
    ("SELECT /*+ SHUFFLE_HASH(k) */ count(*), sum(m.id) FROM learnt_many m JOIN learnt_spread k ON m.i <=> k.i", False),
    ("SELECT count(*), sum(m.id) FROM learnt_many m JOIN learnt_spread k ON 100000 DIV (m.id - 1) = k.id WHERE m.id > 1", False),
    ("SELECT count(*), sum(id) FROM learnt_many WHERE i NOT IN (SELECT i FROM learnt_spread WHERE i IS NOT NULL)", False),
    ("SELECT s FROM learnt_many ORDER BY id DESC LIMIT 5", False),
    ("SELECT id, i FROM learnt_many ORDER BY i NULLS FIRST, id LIMIT 5", False),
]


def test_what_joins_learn_leaves_rows_out(spark):
    spark.sql(f"CREATE OR REPLACE TABLE learnt_many USING delta AS {MANY}")
    spark.sql("CREATE OR REPLACE TABLE learnt_few USING delta AS SELECT * FROM learnt_many WHERE id % 200 IN (0, 1) AND id DIV 10000 = 10")
    spark.sql("CREATE OR REPLACE TABLE learnt_spread USING delta AS SELECT * FROM learnt_many WHERE id % 997 < 2")
    for change in ["SELECT 1", "DELETE FROM learnt_many WHERE id % 5 = 4 OR id = 100201"]:
        spark.sql(change)
        for query, leaves_out in LEARNT:
            assert same_each_time(spark, query)
            profile = spark.sql("EXPLAIN ANALYZE " + query).first()[0]
            left_out = sum(map(int, re.findall(r"rows_left_out=(\d+)", profile)))
            assert left_out > 0 or not leaves_out, profile
    spark.sql("DROP TABLE learnt_many")
    spark.sql("DROP TABLE learnt_few")
    spark.sql("DROP TABLE learnt_spread")
