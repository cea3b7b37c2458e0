"""Aggregations over tables of which scattered rows are deleted."""

import pytest
from pyspark.sql.connect.session import SparkSession


@pytest.fixture(scope="module")
def table(remote, tmp_path_factory):
    spark = SparkSession.builder.remote(remote).create()
    path = tmp_path_factory.mktemp("deleted") / "t"
    rows = "id", "IF(id % 7 = 0, NULL, id) AS n", "IF(id % 5 = 0, NULL, concat('name ', id % 1000)) AS s", "double(id) / 4 AS x"
    spark.range(0, 100_000, 1, 3).selectExpr(*rows, "decimal(id) AS d", "named_struct('a', id) AS st").write.format("delta").save(str(path))
    # The greatest and the least of everything are among the deleted.
    spark.sql(f"DELETE FROM delta.`{path}` WHERE id % 20 = 3 OR id < 10 OR id > 99990")
    yield spark, f"delta.`{path}`"
    spark.stop()


LIVE = [i for i in range(100_000) if not (i % 20 == 3 or i < 10 or i > 99990)]
NUMBERS = [i for i in LIVE if i % 7]
NAMES = [f"name {i % 1000}" for i in LIVE if i % 5]


def ask(table, expressions, rest=""):
    spark, name = table
    query = f"SELECT {expressions} FROM {name} {rest}"
    plan = spark.sql(f"EXPLAIN {query}").first()[0]
    assert "LiveRowsExec" in plan
    return [tuple(row) for row in spark.sql(query).collect()]


def test_functions_that_pass_over_null(table):
    got = ask(table, "count(*), count(1), count(n), sum(id), sum(n), min(id), max(id), min(s), max(s), sum(x), avg(n), sum(d), count(DISTINCT s)")
    expected = (
        len(LIVE), len(LIVE), len(NUMBERS), sum(LIVE), sum(NUMBERS), min(LIVE), max(LIVE), min(NAMES), max(NAMES),
        sum(LIVE) / 4, sum(NUMBERS) / len(NUMBERS), sum(LIVE), len(set(NAMES)),
    )
    assert got == [expected]
    got = ask(table, "count(*), sum(id), max(s), min(x)")
    assert got == [(len(LIVE), sum(LIVE), max(NAMES), min(LIVE) / 4)]


@pytest.mark.parametrize(
    "expressions, rest, expected",
    [
        ("sum(coalesce(n, 1))", "", sum(NUMBERS) + len(LIVE) - len(NUMBERS)),
        ("count_if(n IS NULL)", "", len(LIVE) - len(NUMBERS)),
        ("count(*) FILTER (WHERE n IS NULL)", "", len(LIVE) - len(NUMBERS)),
        ("size(collect_list(n))", "", len(NUMBERS)),
        ("count(*)", "WHERE n IS NULL", len(LIVE) - len(NUMBERS)),
        ("count(n, s)", "", len([i for i in LIVE if i % 7 and i % 5])),
        ("max(st).a", "", max(LIVE)),
        ("first(id IS NULL)", "", False),
        ("bool_and(id IS NOT NULL)", "", True),
    ],
)
def test_functions_that_see_null(table, expressions, rest, expected):
    got = ask(table, expressions, rest)
    assert got == [(expected,)]


def test_groups_are_those_of_live_rows(table):
    got = ask(table, "id % 20 AS g, count(*)", "GROUP BY g ORDER BY g")
    expected = {}
    for i in LIVE:
        expected[i % 20] = expected.get(i % 20, 0) + 1
    assert got == sorted(expected.items())


def test_columns_that_are_not_null(spark, tmp_path):
    t = f"delta.`{tmp_path}/t`"
    spark.sql(f"CREATE TABLE {t} (id BIGINT NOT NULL) USING delta")
    spark.sql(f"INSERT INTO {t} SELECT id FROM range(100000)")
    spark.sql(f"DELETE FROM {t} WHERE id % 20 = 3")
    got = ask((spark, t), "count(*), sum(id)")
    assert got == [(95_000, sum(i for i in range(100_000) if i % 20 != 3))]
