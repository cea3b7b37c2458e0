"""Python functions in worker processes: pickled, pandas and Arrow functions, groups, tables and data sources."""

from collections.abc import Iterator

import pandas as pd
import pytest
from pyspark.errors import PythonException
from pyspark.sql import functions as F
from pyspark.sql.types import StructType


@pytest.fixture
def df(spark):
    return spark.createDataFrame([(1, "a", 1.5), (2, "b", 2.5), (3, "a", None)], "id int, name string, value double")


def rows_of(df):
    return [tuple(r) for r in df.collect()]


def test_functions_of_rows(spark, df):
    @F.udf("string")
    def greet(name, n=0):
        return None if name is None else f"{name}!{n}"

    assert rows_of(df.select(greet("name"), greet(F.col("name"), n=F.col("id")))) == [
        ("a!0", "a!1"), ("b!0", "b!2"), ("a!0", "a!3")
    ]
    assert df.select(greet("name")).columns == ["greet(name)"]
    assert rows_of(df.filter(greet("name") == "a!0").select("id")) == [(1,), (3,)]
    assert rows_of(df.groupBy(greet("name").alias("g")).count().orderBy("g")) == [("a!0", 2), ("b!0", 1)]
    assert rows_of(df.select(greet(greet("name")))) == [("a!0!0",), ("b!0!0",), ("a!0!0",)]
    joined = df.alias("l").join(df.alias("r"), greet(F.col("l.name")) == greet(F.col("r.name")))
    assert joined.count() == 5


def test_functions_by_name_in_sql(spark, df):
    spark.udf.register("plus_one", lambda x: x + 1, "int")
    df.createOrReplaceTempView("numbers")
    assert rows_of(spark.sql("SELECT plus_one(id) AS x FROM numbers WHERE plus_one(id) > 2")) == [(3,), (4,)]


def test_types_go_and_come(spark):
    import datetime
    import decimal

    values = [
        (1, "int"), (2**40, "bigint"), (1.5, "double"), (True, "boolean"), ("x", "string"), (bytearray(b"ab"), "binary"),
        (datetime.date(2024, 2, 29), "date"), (datetime.datetime(2024, 1, 2, 3, 4, 5, 678), "timestamp"),
        (decimal.Decimal("1.25"), "decimal(10,2)"), ([1, None], "array<int>"), ({"k": 1}, "map<string,int>"),
    ]
    for value, kind in values:
        row = spark.createDataFrame([(value,), (None,)], f"v {kind}")
        same = F.udf(lambda v: v, kind)
        assert rows_of(row.select(same("v"))) == rows_of(row), kind
    nested = spark.sql("SELECT named_struct('a', 1, 'b', array('x')) AS s")
    assert rows_of(nested.select(F.udf(lambda s: s, nested.schema["s"].dataType)("s"))) == rows_of(nested)


def test_pandas_and_arrow_functions(spark, df):
    import pyarrow as pa
    import pyarrow.compute as pc

    @F.pandas_udf("double")
    def doubled(v: pd.Series) -> pd.Series:
        return v * 2

    @F.pandas_udf("int")
    def counted(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for b in batches:
            yield b + 1

    @F.arrow_udf("int")
    def negated(v: pa.Array) -> pa.Array:
        return pc.negate(v)

    assert rows_of(df.select(doubled("value"), counted("id"), negated("id"))) == [(3.0, 2, -1), (5.0, 3, -2), (None, 4, -3)]

    @F.pandas_udf("double")
    def mean(v: pd.Series) -> float:
        return float(v.mean())

    assert rows_of(df.groupBy("name").agg(mean("value"), F.max("id")).orderBy("name")) == [("a", 1.5, 3), ("b", 2.5, 2)]
    from pyspark.sql import Window

    over = df.select("id", mean("id").over(Window.partitionBy("name")).alias("m")).orderBy("id")
    assert rows_of(over) == [(1, 2.0), (2, 2.0), (3, 2.0)]


def test_functions_of_partitions(spark):
    def evens(batches):
        for b in batches:
            yield b[b.id % 2 == 0]

    assert rows_of(spark.range(0, 10, 1, 3).mapInPandas(evens, "id long")) == [(i,) for i in range(0, 10, 2)]

    def tripled(batches):
        import pyarrow as pa
        import pyarrow.compute as pc

        for b in batches:
            yield pa.RecordBatch.from_arrays([pc.multiply(b.column("id"), 3)], ["id"])

    assert rows_of(spark.range(3).mapInArrow(tripled, "id long")) == [(0,), (3,), (6,)]


@pytest.mark.parametrize("empty_first", [True, False])
def test_frames_without_rows_lose_nothing(spark, empty_first):
    """A batch of no numbers has no bytes: those of the next one are not taken for it."""

    def with_empty(batches):
        for b in batches:
            yield from [b[:0], b[:0], b] if empty_first else [b, b[:0], b[:0]]

    assert rows_of(spark.range(5).mapInPandas(with_empty, "id long")) == [(i,) for i in range(5)]

    def doubled(batches):
        for b in batches:
            yield from [b.slice(0, 0), b, b.slice(0, 0), b] if empty_first else [b, b.slice(0, 0), b]

    assert spark.range(5).mapInArrow(doubled, "id long").count() == 10


def test_functions_of_groups(spark, df):
    def normalized(pdf):
        return pdf.assign(value=pdf.value - pdf.value.mean())

    got = df.groupBy("name").applyInPandas(normalized, df.schema).orderBy("id")
    assert rows_of(got) == [(1, "a", 0.0), (2, "b", 0.0), (3, "a", None)]

    def with_key(key, pdf):
        return pd.DataFrame([key + (len(pdf),)])

    assert rows_of(df.groupBy("name").applyInPandas(with_key, "name string, n long").orderBy("name")) == [("a", 2), ("b", 1)]

    def in_arrow(table):
        return table.select(["id"])

    assert sorted(rows_of(df.groupBy("name").applyInArrow(in_arrow, "id int"))) == [(1,), (2,), (3,)]
    other = spark.createDataFrame([("a", 10), ("c", 20)], "name string, w int")

    def both(left, right):
        name = (list(left.name) + list(right.name))[0]
        return pd.DataFrame({"name": [name], "l": [len(left)], "r": [len(right)]})

    got = df.groupBy("name").cogroup(other.groupBy("name")).applyInPandas(both, "name string, l long, r long")
    assert sorted(rows_of(got)) == [("a", 2, 1), ("b", 1, 0), ("c", 0, 1)]


def test_table_functions(spark):
    @F.udtf(returnType="c1: int, c2: int")
    class PlusOne:
        def eval(self, x: int):
            yield x, x + 1

        def terminate(self):
            yield -1, -1

    assert rows_of(PlusOne(F.lit(1))) == [(1, 2), (-1, -1)]
    spark.udtf.register("plus_one_table", PlusOne)
    assert rows_of(spark.sql("SELECT c2 FROM plus_one_table(7)")) == [(8,), (-1,)]
    got = spark.sql("SELECT * FROM VALUES (0, 1), (1, 2) t(x, y), LATERAL plus_one_table(x)")
    assert rows_of(got) == [(0, 1, 0, 1), (1, 2, 1, 2), (1, 2, -1, -1)]


def test_table_functions_that_say_their_columns(spark):
    from pyspark.sql.udtf import AnalyzeArgument, AnalyzeResult

    @F.udtf
    class Same:
        @staticmethod
        def analyze(a: AnalyzeArgument, **others: AnalyzeArgument) -> AnalyzeResult:
            schema = StructType().add("a", a.dataType)
            for name, other in others.items():
                schema = schema.add(name, other.dataType)
            return AnalyzeResult(schema)

        def eval(self, a, **others):
            yield (a, *others.values())

    assert rows_of(Same(F.lit(1), x=F.lit("y"))) == [(1, "y")]
    assert Same(F.lit(1), x=F.lit("y")).schema.simpleString() == "struct<a:int,x:string>"


def test_table_functions_over_tables(spark):
    @F.udtf(returnType="k: string, n: int")
    class Count:
        def __init__(self):
            self.key, self.n = None, 0

        def eval(self, row):
            self.key, self.n = row["k"], self.n + 1

        def terminate(self):
            yield self.key, self.n

    df = spark.createDataFrame([("a", 1), ("b", 2), ("a", 3)], "k string, v int")
    assert sorted(rows_of(Count(df.asTable().partitionBy("k")))) == [("a", 2), ("b", 1)]


def test_errors_carry_the_traceback(spark, df):
    @F.udf("int")
    def broken(x):
        raise ValueError("no such luck")

    with pytest.raises(PythonException, match="ValueError: no such luck"):
        df.select(broken("id")).collect()
    # The next function finds a worker of its own.
    assert rows_of(df.select(F.udf(lambda x: x, "int")("id"))) == [(1,), (2,), (3,)]


def test_a_crash_is_an_error(spark, df):
    @F.udf("int")
    def crash(x):
        import os

        os._exit(3)

    with pytest.raises(Exception, match="PYTHON_WORKER_CRASHED"):
        df.select(crash("id")).collect()


def test_data_sources(spark):
    from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition

    class Squares(DataSource):
        @classmethod
        def name(cls):
            return "squares"

        def schema(self):
            return "n int, square int"

        def reader(self, schema):
            return SquaresReader(int(self.options.get("upto", "3")))

    class SquaresReader(DataSourceReader):
        def __init__(self, upto):
            self.upto = upto

        def partitions(self):
            return [InputPartition(i) for i in range(self.upto)]

        def read(self, partition):
            yield partition.value, partition.value**2

    spark.dataSource.register(Squares)
    got = spark.read.format("squares").option("upto", 4).load()
    assert got.schema.simpleString() == "struct<n:int,square:int>"
    assert rows_of(got) == [(0, 0), (1, 1), (2, 4), (3, 9)]


@pytest.mark.parametrize("kind", ["perf"])
def test_profiles(spark, df, capsys, kind):
    @F.udf("int")
    def slow(x):
        return sum(range(x))

    def mapped(frames):
        yield from frames

    spark.conf.set("spark.sql.pyspark.udf.profiler", kind)
    try:
        df.select(slow("id")).collect()
        df.mapInPandas(mapped, df.schema).collect()
    finally:
        spark.conf.unset("spark.sql.pyspark.udf.profiler")
    spark.profile.show()
    shown = capsys.readouterr().out
    assert shown.count("Profile of UDF<id=") == 2 and "(slow)" in shown and "(mapped)" in shown
    spark.profile.clear()
    df.select(slow("id")).collect()
    spark.profile.show()
    assert "Profile" not in capsys.readouterr().out
