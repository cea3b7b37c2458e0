"""Aggregates over sorted rows follow the sort, over many partitions and batches; expected values by arithmetic."""

from pyspark.sql import functions as F

ROWS = 200_000
GROUPS = 7


def shuffled(spark):
    """Every number once: `n` is unique, `k` its group, `v` what is aggregated; the rows come in no order."""
    n = (F.col("id") * 7919) % ROWS
    return spark.range(ROWS).select(n.alias("n"), (n % GROUPS).alias("k"), F.when(n % 3 != 0, n * 10).alias("v"))


def members(k):
    return range(k, ROWS, GROUPS)


def test_first_and_last(spark):
    found = shuffled(spark).orderBy("n").groupBy("k").agg(
        F.first("v"), F.first("v", True), F.last("v"), F.last("v", True)
    )
    for k, first, first_set, last, last_set in (tuple(r) for r in found.collect()):
        value = {n: None if n % 3 == 0 else n * 10 for n in members(k)}
        assert first == value[members(k)[0]]
        assert first_set == next(v for n in members(k) if (v := value[n]) is not None)
        assert last == value[members(k)[-1]]
        assert last_set == next(v for n in reversed(members(k)) if (v := value[n]) is not None)


def test_lists(spark):
    sorted_rows = shuffled(spark).filter("n < 1000").orderBy(F.desc("n")).filter("k > 2")
    found = sorted_rows.groupBy("k").agg(
        F.collect_list("v"), F.array_agg("n"), F.listagg(F.col("n").cast("string"), F.lit(","))
    )
    rows = {k: (list(v), list(n), text) for k, v, n, text in (tuple(r) for r in found.collect())}
    for k in range(3, GROUPS):
        down = [n for n in reversed(members(k)) if n < 1000]
        assert rows[k] == ([n * 10 for n in down if n % 3], down, ",".join(map(str, down)))


def test_without_groups_and_through_a_projection(spark):
    shuffled(spark).createOrReplaceTempView("shuffled")
    row = spark.sql("SELECT first(w), last(w) FROM (SELECT n + 1 AS w, n AS m FROM shuffled ORDER BY n DESC NULLS LAST)").first()
    assert tuple(row) == (ROWS, 1)
    assert spark.sql("SELECT first(n) FROM (SELECT * FROM shuffled ORDER BY n LIMIT 0)").first()[0] is None


def test_drop_duplicates_keeps_the_first(spark):
    kept = shuffled(spark).orderBy(F.desc("n")).dropDuplicates(["k"])
    assert sorted(r.n for r in kept.collect()) == list(range(ROWS - GROUPS, ROWS))


def test_ties_and_floats(spark):
    rows = spark.createDataFrame(
        [("a", 0.0, 1), ("a", -0.0, 2), ("a", float("nan"), 3), ("a", None, 4), ("b", None, 5)], "k string, d double, v int"
    )
    last = rows.orderBy(F.asc_nulls_first("d")).groupBy("k").agg(F.last("v"), F.first("v"))
    assert sorted(tuple(r) for r in last.collect()) == [("a", 3, 4), ("b", 5, 5)]
