"""`df.stat`, `describe`, `summary`, samples and partitions: expected values are what Apache Spark 4.2 gave (local[2])."""

import math

import pytest
from pyspark.sql import functions as F


@pytest.fixture
def df(spark):
    rows = [(1, "a", 1.5, None), (2, "b", 2.5, "x"), (3, None, float("nan"), "y")]
    return spark.createDataFrame(rows, "i int, s string, d double, t string")


def rows_of(df):
    return [tuple(r) for r in df.collect()]


def test_describe(df):
    described = df.describe()
    assert described.schema.simpleString() == "struct<summary:string,i:string,s:string,d:string,t:string>"
    assert all(f.nullable for f in described.schema)
    assert rows_of(described) == [
        ("count", "3", "2", "3", "2"),
        ("mean", "2.0", None, "NaN", None),
        ("stddev", "1.0", None, "NaN", None),
        ("min", "1", "a", "1.5", "x"),
        ("max", "3", "b", "NaN", "y"),
    ]
    assert rows_of(df.select(F.lit(True).alias("b")).describe()) == [(n,) for n in ("count", "mean", "stddev", "min", "max")]


def test_summary_by_name(df):
    assert rows_of(df.summary("count_distinct", "approx_count_distinct")) == [
        ("count_distinct", "3", "2", "3", "2"),
        ("approx_count_distinct", "3", "2", "3", "2"),
    ]
    assert rows_of(df.select("i").summary("25%", "50%", "75%")) == [("25%", "1"), ("50%", "2"), ("75%", "3")]
    for bad in ("foo", "abc%"):
        with pytest.raises(Exception, match="UNRECOGNIZED_STATISTIC"):
            df.summary(bad).collect()
    with pytest.raises(Exception, match="Percentiles must be in the range"):
        df.summary("150%").collect()


def test_crosstab(df):
    crossed = df.stat.crosstab("i", "s")
    assert [(f.name, f.dataType.simpleString(), f.nullable) for f in crossed.schema] == [
        ("i_s", "string", True), ("a", "bigint", False), ("b", "bigint", False), ("null", "bigint", False)
    ]
    assert sorted(rows_of(crossed)) == [("1", 1, 0, 0), ("2", 0, 1, 0), ("3", 0, 0, 1)]


def test_covariance_and_correlation(spark, df):
    assert df.stat.corr("i", "i") == 1.0
    assert math.isnan(df.stat.cov("i", "d")) and math.isnan(df.stat.corr("i", "d"))
    empty = spark.range(0)
    assert math.isnan(empty.stat.corr("id", "id")) and empty.stat.cov("id", "id") == 0.0
    with pytest.raises(Exception, match="Currently covariance calculation for columns with dataType string not supported"):
        df.stat.cov("s", "d")


def test_approximate_quantiles(spark, df):
    assert df.stat.approxQuantile(["i", "d"], [0.0, 0.5, 1.0], 0.0) == [[1.0, 2.0, 3.0], [1.5, 1.5, 2.5]]
    assert spark.range(0).stat.approxQuantile("id", [0.5], 0.1) == []
    with pytest.raises(Exception, match="Quantile calculation for column s with data type StringType is not supported"):
        df.stat.approxQuantile("s", [0.5], 0.1)


def test_frequent_items(spark, df):
    frequent = df.stat.freqItems(["i", "s", "t", "d"])
    got = frequent.collect()[0]
    assert got[:3] == ([1, 2, 3], [None, "a", "b"], [None, "x", "y"])
    assert got[3][:2] == [1.5, 2.5]
    assert [(f.name, f.nullable, f.dataType.containsNull) for f in frequent.schema][:2] == [
        ("i_freqItems", False, True), ("s_freqItems", False, True)
    ]
    many = spark.range(100).selectExpr("cast(id % 37 * 1000 as int) a", "id * 10000000000 b", "concat('k', id % 30) s")
    got = many.coalesce(1).stat.freqItems(["s"], 0.05).collect()[0]
    assert got[0] == "k6 k9 k3 k25 k8 k0 k2 k1 k27 k29 k5 k4 k24 k7 k26 k28".split()


def test_random_numbers_are_sparks(spark):
    numbers = spark.range(0, 10, 1, 3).select(F.rand(42), F.randn(42), F.spark_partition_id(), F.monotonically_increasing_id())
    got = rows_of(numbers)
    assert got[0] == (0.619189370225301, 2.384479054241165, 0, 0)
    assert got[3] == (0.8017532427858894, 1.1027054481455365, 1, 8589934592)
    assert got[9] == (0.7946993123364816, 1.453407919198987, 2, 17179869187)


def test_samples_are_sparks(spark):
    ids = lambda df: [r[0] for r in df.collect()]  # noqa: E731
    fifty = spark.range(0, 50, 1, 3)
    assert ids(fifty.sample(0.3, 7)) == [0, 6, 8, 11, 13, 18, 23, 26, 35, 36, 41, 42, 45, 49]
    assert ids(fifty.sample(True, 0.6, 7)) == [
        0, 3, 7, 7, 8, 9, 9, 10, 10, 13, 16, 16, 19, 20, 21, 22, 27, 27, 28, 29, 30, 33, 33, 34, 40, 43, 45, 45, 45, 47, 48
    ]
    fractions = {0: 0.5, 1: 1.0, 2: 0.3, 5: 0.9, 12: 0.7, 13: 0.5, 14: 0.5}
    assert ids(spark.range(0, 20, 1, 2).stat.sampleBy("id", fractions, seed=3)) == [0, 1, 5, 12, 13, 14]
    parts = spark.range(0, 40, 1, 3).selectExpr("id * 7 % 40 v").randomSplit([1.0, 2.0, 1.0], 24)
    assert ids(parts[0]) == [16, 1, 8, 27, 39, 3, 22]
    assert ids(parts[2]) == [21, 15, 5, 26]
    assert sorted(v for p in parts for v in ids(p)) == list(range(40))


def test_partitions_hold(spark):
    twelve = spark.range(0, 12, 1, 4)
    numbered = lambda df: [tuple(r) for r in df.select("id", F.spark_partition_id()).collect()]  # noqa: E731
    assert numbered(twelve.coalesce(2)) == [(i, i // 6) for i in range(12)]
    assert numbered(twelve.repartitionByRange(3, "id")) == [(i, i // 4) for i in range(12)]
    by_hash = {0: {3, 6, 7, 11}, 1: {0}, 2: {1, 2, 4, 5, 8, 9, 10}}
    got = numbered(twelve.repartition(3, "id"))
    assert {p: {i for i, q in got if q == p} for p in range(3)} == by_hash
    spread = numbered(twelve.repartition(3))
    assert sorted(i for i, _ in spread) == list(range(12)) and {p for _, p in spread} == {0, 1, 2}
    # A limit does not move the partitions' numbers.
    assert numbered(spark.range(10, numPartitions=5).limit(10)) != []
    shown = spark.range(10, numPartitions=5).select("id", F.spark_partition_id().alias("p")).limit(8).collect()
    assert [tuple(r) for r in shown] == [(i, i // 2) for i in range(8)]


def test_partitions_fix_the_number_of_files(spark):
    for count in (1, 3):
        spark.range(0, 100, 1, 4).repartition(count).write.format("delta").mode("overwrite").save("/mnt/repartitioned")
        assert spark.sql("DESCRIBE DETAIL delta.`/mnt/repartitioned`").collect()[0]["numFiles"] == count
    spark.range(0, 100, 1, 4).coalesce(1).write.mode("overwrite").parquet("/mnt/coalesced")
    assert len(spark.read.parquet("/mnt/coalesced").inputFiles()) == 1


def test_rows_within_partitions_are_sorted(spark):
    df = spark.range(0, 6, 1, 2).sortWithinPartitions(F.col("id").desc())
    assert [r[0] for r in df.collect()] == [2, 1, 0, 5, 4, 3]


def test_transpose(spark):
    df = spark.createDataFrame([("b", 1, 2), ("a", 3, 4), (None, 5, 6)], "k string, x int, y bigint").transpose("k")
    assert [(f.name, f.dataType.simpleString(), f.nullable) for f in df.schema] == [
        ("key", "string", False), ("a", "bigint", True), ("b", "bigint", True)
    ]
    assert rows_of(df) == [("x", 3, 1), ("y", 4, 2)]
    assert rows_of(spark.createDataFrame([("b",)], "k string").transpose()) == []
    with pytest.raises(Exception, match="TRANSPOSE_NO_LEAST_COMMON_TYPE"):
        spark.createDataFrame([("b", 1, "q")], "k string, x int, y string").transpose("k").collect()
    with pytest.raises(Exception, match="TRANSPOSE_EXCEED_ROW_LIMIT"):
        spark.range(600).selectExpr("id", "id x").transpose().collect()


def test_as_of_joins(spark):
    from pyspark.sql.connect.dataframe import DataFrame

    left = spark.createDataFrame([(1, "a"), (5, "b"), (10, "c")], ["a", "left_val"])
    right = spark.createDataFrame([(1, 1), (2, 2), (3, 3), (6, 6), (7, 7)], ["a", "right_val"])
    assert isinstance(left, DataFrame)

    def joined(**options):
        df = left._joinAsOf(right, leftAsOfColumn="a", rightAsOfColumn="a", **options)
        return sorted(tuple(r) for r in df.collect())

    assert joined() == [(1, "a", 1, 1), (5, "b", 3, 3), (10, "c", 7, 7)]
    assert joined(direction="forward", how="left") == [(1, "a", 1, 1), (5, "b", 6, 6), (10, "c", None, None)]
    assert joined(direction="nearest") == [(1, "a", 1, 1), (5, "b", 6, 6), (10, "c", 7, 7)]
    assert joined(tolerance=F.lit(1), how="left") == [(1, "a", 1, 1), (5, "b", None, None), (10, "c", None, None)]
    assert joined(allowExactMatches=False, how="left") == [(1, "a", None, None), (5, "b", 3, 3), (10, "c", 7, 7)]
    with pytest.raises(Exception, match="AS_OF_JOIN.TOLERANCE_IS_NON_NEGATIVE"):
        joined(tolerance=F.lit(-1))


def test_observed_metrics(spark):
    from pyspark.sql import Observation

    seen = Observation("seen")
    metrics = [
        F.count(F.lit(1)).alias("c"), F.max("id"), (F.sum("id") / F.count("id")).alias("avg"), F.percentile_approx("id", 0.5).alias("p")
    ]
    spark.range(10).observe(seen, *metrics).collect()
    assert seen.get == {"c": 10, "max(id)": 9, "avg": 4.5, "p": 4}
    written = Observation("written")
    spark.range(7).observe(written, F.count(F.lit(1)).alias("rows")).write.format("delta").mode("overwrite").save("/mnt/observed")
    assert written.get == {"rows": 7}
    for metric, error in [
        (F.col("id"), "NON_AGGREGATE_FUNC_ARG_IS_ATTRIBUTE"),
        (F.count_distinct("id"), "AGGREGATE_EXPRESSION_WITH_DISTINCT_UNSUPPORTED"),
        (F.sum(F.sum("id")), "NESTED_AGGREGATES_UNSUPPORTED"),
    ]:
        with pytest.raises(Exception, match=f"INVALID_OBSERVED_METRICS.{error}"):
            spark.range(10).observe("x", metric).collect()


def test_text_columns_as_data(spark):
    json = spark.createDataFrame([('{"a": 1, "b": [true]}',), ('{"a": 2.5}',), ("{bad",)], "value string")
    got = spark.read.json(json)
    assert got.schema.simpleString() == "struct<_corrupt_record:string,a:double,b:array<boolean>>"
    assert rows_of(got) == [(None, 1.0, [True]), (None, 2.5, None), ("{bad", None, None)]
    csv = spark.createDataFrame([("a,b",), ("1,x",), ("2,y",)], "value string")
    got = spark.read.csv(csv, header=True, inferSchema=True)
    assert got.schema.simpleString() == "struct<a:int,b:string>"
    assert rows_of(got) == [(1, "x"), (2, "y")]


def test_time_windows(spark):
    times = [("2016-03-11 09:00:07", 1), ("2016-03-11 09:00:09", 2), ("2016-03-11 09:01:00", 4), (None, 8)]
    df = spark.createDataFrame(times, "dt string, v int").withColumn("dt", F.col("dt").cast("timestamp"))
    tumbling = df.groupBy(F.window("dt", "5 seconds")).agg(F.sum("v")).orderBy("window")
    assert tumbling.schema.simpleString() == "struct<window:struct<start:timestamp,end:timestamp>,sum(v):bigint>"
    assert not tumbling.schema["window"].nullable
    assert [(str(r[0][0]), str(r[0][1]), r[1]) for r in tumbling.collect()] == [
        ("2016-03-11 09:00:05", "2016-03-11 09:00:10", 3), ("2016-03-11 09:01:00", "2016-03-11 09:01:05", 4)
    ]
    sliding = df.groupBy(F.window("dt", "10 seconds", "5 seconds")).agg(F.sum("v")).orderBy("window")
    assert [r[1] for r in sliding.collect()] == [3, 3, 4, 4]
    sessions = df.groupBy(F.session_window("dt", "10 seconds")).agg(F.sum("v")).orderBy("session_window")
    assert [(str(r[0][0]), str(r[0][1]), r[1]) for r in sessions.collect()] == [
        ("2016-03-11 09:00:07", "2016-03-11 09:00:19", 3), ("2016-03-11 09:01:00", "2016-03-11 09:01:10", 4)
    ]
    ends = tumbling.select(F.window_time("window")).first()[0]
    assert str(ends) == "2016-03-11 09:00:09.999999"
