"""Parts that a query names twice run once; expected values by arithmetic."""

import re

import pytest
from conftest import Server
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

ROWS = 30_000
GROUPS = 100
SUMS = {k: sum(range(k, ROWS, GROUPS)) for k in range(GROUPS)}
BY_GROUP = f"SELECT id % {GROUPS} AS k, sum(id) AS total FROM range({ROWS}) GROUP BY 1"


def readers(spark, query):
    """For each shared part how many readers it has, as the plan says."""
    plan = spark.sql(f"EXPLAIN {query}").first()[0]
    return sorted(int(n) for n in dict(re.findall(r"SharedRows number=(\d+), readers=(\d+)", plan)).values())


def rows(spark, query):
    return sorted(map(tuple, spark.sql(query).collect()))


@pytest.fixture
def numbers(spark, tmp_path):
    """A table of two files, so that plans have several partitions."""
    path = str(tmp_path / "numbers of mine")
    spark.range(ROWS).write.format("delta").save(path)
    spark.range(ROWS, ROWS + 7).write.format("delta").mode("append").save(path)
    spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW numbers AS SELECT * FROM delta.`{path}`")
    return path


def test_common_table_expression(spark, numbers):
    by_group = f"SELECT id % {GROUPS} AS k, sum(id) AS total FROM numbers WHERE id < {ROWS} GROUP BY 1"
    query = f"WITH s AS ({by_group}) SELECT a.k, a.total, b.total FROM s a JOIN s b ON a.k + 1 = b.k"
    assert readers(spark, query) == [2]
    assert rows(spark, query) == [(k, SUMS[k], SUMS[k + 1]) for k in range(GROUPS - 1)]


def test_one_inside_of_another(spark, numbers):
    query = f"""
        WITH s AS (SELECT id % {GROUPS} AS k, sum(id) AS total FROM numbers WHERE id < {ROWS} GROUP BY 1),
             ranked AS (SELECT k, total, row_number() OVER (ORDER BY total DESC) AS place FROM s)
        SELECT a.k, b.k, s.total FROM ranked a JOIN ranked b ON a.place = b.place + 1 JOIN s ON s.k = a.k"""
    assert readers(spark, query) == [2, 2]
    assert rows(spark, query) == [(k, k + 1, SUMS[k]) for k in range(GROUPS - 1)]


def test_data_frame_named_twice(spark, numbers):
    s = spark.table("numbers").filter(F.col("id") < ROWS).groupBy((F.col("id") % GROUPS).alias("k")).agg(F.sum("id").alias("t"))
    both = s.alias("a").join(s.alias("b"), F.expr("a.k = b.k")).select("a.k", F.expr("a.t + b.t"))
    assert sorted(map(tuple, both.collect())) == [(k, 2 * SUMS[k]) for k in range(GROUPS)]


def test_what_differs_stays_apart(spark, numbers):
    first = spark.sql(f"SELECT count(*) FROM delta.`{numbers}` VERSION AS OF 0").first()[0]
    assert first == ROWS
    versions = f"""
        SELECT a.n, b.n FROM (SELECT id % 2 AS k, count(*) AS n FROM delta.`{numbers}` VERSION AS OF 0 GROUP BY 1) a
        JOIN (SELECT id % 2 AS k, count(*) AS n FROM delta.`{numbers}` GROUP BY 1) b USING (k)"""
    assert readers(spark, versions) == []
    assert rows(spark, versions) == [(ROWS // 2, ROWS // 2 + 3), (ROWS // 2, ROWS // 2 + 4)]
    # Each copy has its own filter, which goes to the files.
    filters = f"WITH s AS ({BY_GROUP}) SELECT a.total, b.total FROM s a, s b WHERE a.k = 3 AND b.k = 4"
    assert rows(spark, filters) == [(SUMS[3], SUMS[4])]
    drawn = "SELECT DISTINCT id % 3 AS k, rand() > 2 AS r FROM numbers"
    apart = f"SELECT a.k FROM ({drawn}) a JOIN ({drawn}) b USING (k)"
    assert readers(spark, apart) == []
    # A common table is drawn once, as in Spark.
    once = f"WITH s AS ({drawn}) SELECT a.k FROM s a JOIN s b USING (k)"
    assert readers(spark, once) == [2]
    assert rows(spark, apart) == rows(spark, once) == [(0,), (1,), (2,)]


def test_a_reader_that_has_enough(spark, numbers):
    query = f"""
        WITH s AS (SELECT DISTINCT id FROM numbers WHERE id < {ROWS})
        SELECT count(*), sum(id) FROM (SELECT * FROM (SELECT * FROM s LIMIT 3) UNION ALL SELECT * FROM s)"""
    assert readers(spark, query) == [2]
    count, total = rows(spark, query)[0]
    assert count == ROWS + 3 and total >= sum(range(ROWS))
    assert len(spark.sql(f"WITH s AS ({BY_GROUP}) SELECT a.k FROM s a JOIN s b USING (k) LIMIT 1").collect()) == 1


def test_an_error_reaches_the_client(spark, numbers):
    query = "WITH s AS (SELECT id % 9 AS k, sum(1 / (id - 5)) AS t FROM numbers GROUP BY 1) SELECT * FROM s a JOIN s b USING (k)"
    assert readers(spark, query) == [2]
    with pytest.raises(PySparkException) as error:
        spark.sql(query).collect()
    assert error.value.getCondition() == "DIVIDE_BY_ZERO"
    assert rows(spark, "SELECT 1") == [(1,)]


def test_a_statement_that_writes(spark, numbers, tmp_path):
    target = tmp_path / "target"
    query = f"WITH s AS ({BY_GROUP}) SELECT a.k, a.total - b.total AS d FROM s a JOIN s b ON a.k = b.k"
    spark.sql(f"CREATE TABLE delta.`{target}` USING delta AS {query}")
    assert rows(spark, f"SELECT count(*), sum(d) FROM delta.`{target}`") == [(GROUPS, 0)]


def test_rows_that_do_not_fit_go_to_disk(tmp_path, own_sessions):
    server = Server(tmp_path / "home", "--memory-limit", "48m")
    try:
        spark = server.session()
        n = 600_000
        path = str(tmp_path / "wide")
        wide = "repeat(CAST(id AS STRING), 6) AS s"
        spark.sql(f"CREATE TABLE delta.`{path}` USING delta AS SELECT id, {wide} FROM range({n})")
        # The second reader begins when the first has read all: its own side of the union comes last.
        query = f"""
            WITH s AS (SELECT DISTINCT id, s FROM delta.`{path}`)
            SELECT count(*), sum(id), sum(length(s)) FROM (SELECT * FROM s UNION ALL SELECT * FROM s WHERE id >= 0)"""
        count, total, length = spark.sql(query).first()
        digits = sum(len(str(i)) for i in range(n))
        assert (count, total, length) == (2 * n, n * (n - 1), 2 * 6 * digits)
    finally:
        server.stop()
