"""Filters of ranks: rows that cannot pass are dropped before they are sorted, and the result is that of Python's sort."""

import itertools

import pytest

ROWS = 150_000
TABLE = f"""
    (SELECT id, IF(id % 50 = 0, NULL, concat('g', id * 7919 % 7)) AS g, IF(id % 23 = 0, NULL, CAST(id * 104729 % 1009 AS DECIMAL(9, 2))) AS v
     FROM range({ROWS}))
"""


def data():
    for i in range(ROWS):
        yield i, None if i % 50 == 0 else f"g{i * 7919 % 7}", None if i % 23 == 0 else i * 104729 % 1009


def ranked(kind, most, descending=False):
    """Rows with a rank of at most `most`: (id, rank). NULL is less than all values."""
    found = set()
    by_group = sorted(data(), key=lambda r: r[1] or "")
    for _, rows in itertools.groupby(by_group, key=lambda r: r[1] or ""):
        rows = sorted(rows, key=lambda r: (-1 if r[2] is None else r[2]), reverse=descending)
        before, different = 0, 0
        for _, ties in itertools.groupby(rows, key=lambda r: r[2]):
            ties = list(ties)
            rank = different + 1 if kind == "dense_rank" else before + 1
            found |= {(r[0], rank) for r in ties if rank <= most}
            before, different = before + len(ties), different + 1
    return found


@pytest.mark.parametrize("kind", ["rank", "dense_rank"])
@pytest.mark.parametrize("condition, most", [("r <= 10", 10), ("r < 2", 1), ("3 >= r AND id >= 0", 3), ("r = 5", 5)])
def test_ranks(spark, kind, condition, most):
    query = f"SELECT id, r FROM (SELECT *, {kind}() OVER (PARTITION BY g ORDER BY v) AS r FROM {TABLE}) WHERE {condition}"
    assert "RankLimit" in spark.sql(f"EXPLAIN {query}").first()[0]
    expected = ranked(kind, most)
    if condition == "r = 5":
        expected = {(id, r) for id, r in expected if r == 5}
    assert {tuple(r) for r in spark.sql(query).collect()} == expected


def test_descending(spark):
    query = f"SELECT id, r FROM (SELECT *, rank() OVER (PARTITION BY g ORDER BY v DESC) AS r FROM {TABLE}) WHERE r <= 4"
    assert {tuple(r) for r in spark.sql(query).collect()} == ranked("rank", 4, descending=True)


def test_row_numbers_and_several_functions(spark):
    query = f"""
        SELECT id, n, r FROM (
            SELECT *, row_number() OVER (PARTITION BY g ORDER BY v, id) AS n, rank() OVER (PARTITION BY g ORDER BY v, id) AS r FROM {TABLE}
        ) WHERE n <= 7
    """
    assert "RankLimit" in spark.sql(f"EXPLAIN {query}").first()[0]
    found = [tuple(r) for r in spark.sql(query).collect()]
    assert len(found) == 8 * 7 and all(n == r for _, n, r in found)


def test_without_groups(spark):
    query = f"SELECT id FROM (SELECT *, rank() OVER (ORDER BY id DESC) AS r FROM {TABLE}) WHERE r <= 3"
    assert sorted(r.id for r in spark.sql(query).collect()) == [ROWS - 3, ROWS - 2, ROWS - 1]


def test_as_many_groups_as_rows(spark):
    query = f"SELECT count(*) FROM (SELECT *, rank() OVER (PARTITION BY id ORDER BY v) AS r FROM {TABLE}) WHERE r <= 3"
    assert spark.sql(query).first()[0] == ROWS


@pytest.mark.parametrize("function", ["sum(v)", "count(*)", "lead(id)"])
def test_functions_that_need_all_rows_have_them(spark, function):
    """What other functions of the same window say of the first rows does not change with the filter."""
    window = "OVER (PARTITION BY g ORDER BY v, id)"
    both = f"SELECT g, v, {function} {window} AS f, rank() {window} AS r FROM {TABLE}"
    expected = {tuple(r) for r in spark.sql(both).collect() if r.r <= 2}
    assert {tuple(r) for r in spark.sql(f"SELECT * FROM ({both}) WHERE r <= 2").collect()} == expected
