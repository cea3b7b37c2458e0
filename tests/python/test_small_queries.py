"""Queries over a few rows in memory: planned for one thread, in the order in which Spark gives the rows."""

import pytest


@pytest.fixture
def tables(spark):
    a = spark.createDataFrame([(1, "a"), (2, "b"), (3, "c"), (2, "bb")], "k int, x string")
    b = spark.createDataFrame([(2, 10), (4, 40), (1, 11)], "k int, y int")
    return a, b


@pytest.mark.parametrize("how, expected", [
    ("inner", [(1, "a", 11), (2, "b", 10), (2, "bb", 10)]),
    ("left_semi", [(1, "a"), (2, "b"), (2, "bb")]),
    ("left_anti", [(3, "c")]),
])
def test_joins_stream_the_left_side(tables, how, expected):
    a, b = tables
    assert [tuple(r) for r in a.join(b, "k", how).collect()] == expected


@pytest.mark.parametrize("how, expected", [
    ("left", [(1, "a", 11), (2, "b", 10), (3, "c", None), (2, "bb", 10)]),
    ("right", [(2, "bb", 10), (2, "b", 10), (1, "a", 11), (4, None, 40)]),
    ("full", [(1, "a", 11), (2, "b", 10), (2, "bb", 10), (3, "c", None), (4, None, 40)]),
])
def test_other_joins(tables, how, expected):
    a, b = tables
    got = [tuple(r) for r in a.join(b, "k", how).collect()]
    assert sorted(got, key=str) == sorted(expected, key=str)


def test_products_and_conditions(tables):
    a, b = tables
    products = sorted(tuple(r) for r in a.crossJoin(b.select("y")).collect())
    assert products == sorted((k, x, y) for k, x in [(1, "a"), (2, "b"), (3, "c"), (2, "bb")] for y in [10, 40, 11])
    less = sorted(tuple(r) for r in a.join(b, a.k < b.k).select("x", "y").collect())
    assert less == [("a", 10), ("a", 40), ("b", 40), ("bb", 40), ("c", 40)]


def test_groups_and_sets(tables):
    a, b = tables
    assert [tuple(r) for r in a.select("k").distinct().collect()] == [(1,), (2,), (3,)]
    assert [tuple(r) for r in a.groupBy("k").count().collect()] == [(1, 1), (2, 2), (3, 1)]
    assert sorted(a.select("k").intersect(b.select("k")).collect()) == [(1,), (2,)]
    assert sorted(a.select("k").exceptAll(b.select("k")).collect()) == [(2,), (3,)]
    assert a.select("k").subtract(b.select("k")).collect() == [(3,)]


def test_cached_rows_are_counted(tables):
    a, _ = tables
    cached = a.cache()
    assert (cached.count(), cached.count(), len(cached.collect())) == (4, 4, 4)
    cached.unpersist()
