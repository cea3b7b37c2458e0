"""ROLLUP, CUBE and GROUPING SETS are the union of a GROUP BY for each set."""

import pytest
from conftest import Server

ROWS = """
    SELECT IF(id % 7 = 0, NULL, id % 5) AS a, CAST(id % 3 AS STRING) AS b, id % 2 = 0 AS c, CAST(id AS DECIMAL(12, 2)) / 4 AS d,
           CAST(id AS DOUBLE) AS f, id AS n FROM range({rows})
"""
FUNCTIONS = [
    "count(*)",
    "sum(n), avg(n), min(n), max(d), count(a)",
    "sum(d), avg(d)",
    "count(DISTINCT n % 11), sum(n) FILTER (WHERE n % 3 = 0)",
    "sort_array(collect_set(n % 4)), bool_and(c), bit_xor(n)",
    "round(stddev(f), 6), round(skewness(f), 6), approx_count_distinct(n)",
    "max_by(n, d), any_value(1), percentile(n, 0.5)",
]
SETS = {
    "ROLLUP (a, b, c)": ["a, b, c", "a, b", "a", ""],
    "CUBE (a, b)": ["a, b", "a", "b", ""],
    "GROUPING SETS ((a), (b, c), (a, c))": ["a", "b, c", "a, c"],
    "GROUPING SETS ((a, b), (a, b), ())": ["a, b", "a, b", ""],
    "a, ROLLUP (b)": ["a, b", "a"],
}


def rows(spark, query):
    return sorted((tuple(row) for row in spark.sql(query).collect()), key=repr)


def union(functions, sets, table):
    def of(keys):
        wanted = [k.strip() for k in keys.split(",") if k.strip()]
        columns = [k if k in wanted else f"CAST(NULL AS {t}) AS {k}" for k, t in (("a", "BIGINT"), ("b", "STRING"), ("c", "BOOLEAN"))]
        grouped = f" GROUP BY {keys}" if keys else ""
        return f"SELECT {', '.join(columns)}, {functions} FROM {table}{grouped}"

    return " UNION ALL ".join(of(keys) for keys in sets)


def columns(sets):
    """Keys that no set has are no columns of the query."""
    named = {k.strip() for keys in sets for k in keys.split(",") if k.strip()}
    return ", ".join(k if k in named else f"CAST(NULL AS {t}) AS {k}" for k, t in (("a", "BIGINT"), ("b", "STRING"), ("c", "BOOLEAN")))


@pytest.mark.parametrize("grouping", SETS)
@pytest.mark.parametrize("functions", FUNCTIONS)
def test_as_the_union_of_all_sets(spark, grouping, functions):
    spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW sets_rows AS {ROWS.format(rows=2000)}")
    query = f"SELECT {columns(SETS[grouping])}, {functions} FROM sets_rows GROUP BY {grouping}"
    found = rows(spark, query)
    assert found == rows(spark, union(functions, SETS[grouping], "sets_rows"))
    assert len(found) > 3


def test_no_rows(spark):
    empty = f"(SELECT * FROM ({ROWS.format(rows=5)}) WHERE n < 0)"
    # Spark's Expand makes nothing of nothing: there is no row for the whole.
    assert rows(spark, f"SELECT a, count(*) FROM {empty} GROUP BY ROLLUP (a)") == []
    assert rows(spark, f"SELECT a, count(*) FROM {empty} GROUP BY GROUPING SETS ((a))") == []


def test_many_groups_and_little_memory(tmp_path, own_sessions):
    server = Server(tmp_path / "home", "--memory-limit", "64m")
    try:
        spark = server.session()
        n = 400_000
        spark.sql(f"CREATE TABLE big USING delta AS SELECT id AS a, id % 1000 AS b, id % 10 AS c, id AS n FROM range({n})")
        query = "SELECT a, b, c, sum(n) AS t, grouping_id() AS g FROM big GROUP BY CUBE (a, b, c)"
        # Sets with `a` have n groups; of (b, c) there are 1000, as of (b); 10 of (c), and the whole.
        counted = dict(map(tuple, spark.sql(f"SELECT g, count(*) FROM ({query}) GROUP BY g").collect()))
        assert counted == {0: n, 1: n, 2: n, 3: n, 4: 1000, 5: 1000, 6: 10, 7: 1}
        totals = {row[0] for row in spark.sql(f"SELECT sum(t) FROM ({query}) GROUP BY g").collect()}
        assert totals == {n * (n - 1) // 2}
    finally:
        server.stop()
