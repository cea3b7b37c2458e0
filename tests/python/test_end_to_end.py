"""The path a newcomer takes: DataFrames, SQL, Delta tables by name and path, errors as Python exceptions."""

import json
import subprocess

import pytest
from conftest import binary


def test_dataframes(spark):
    from pyspark.sql import functions as F

    df = spark.createDataFrame([(1, "a", 1.5), (2, "b", None), (3, "a", 2.5)], ["id", "name", "value"])
    assert df.schema.simpleString() == "struct<id:bigint,name:string,value:double>"
    got = df.groupBy("name").agg(F.sum("value").alias("total"), F.count("*").alias("n")).orderBy("name").collect()
    assert [tuple(r) for r in got] == [("a", 4.0, 2), ("b", None, 1)]
    joined = df.alias("l").join(df.alias("r"), F.col("l.id") == F.col("r.id") + 1).select("l.id", "r.name")
    assert sorted(tuple(r) for r in joined.collect()) == [(2, "a"), (3, "b")]


def test_delta_by_path_and_name(spark):
    df = spark.range(10).selectExpr("id", "id % 3 AS k")
    df.write.format("delta").mode("overwrite").save("/mnt/end_to_end")
    df.write.format("delta").mode("append").save("/mnt/end_to_end")
    assert spark.read.format("delta").load("/mnt/end_to_end").count() == 20
    assert spark.read.format("delta").option("versionAsOf", 0).load("/mnt/end_to_end").count() == 10
    spark.sql("CREATE OR REPLACE TABLE end_to_end AS SELECT k, count(*) AS n FROM delta.`/mnt/end_to_end` GROUP BY k")
    assert sorted(tuple(r) for r in spark.table("end_to_end").collect()) == [(0, 8), (1, 6), (2, 6)]


def test_errors_are_sparks(spark):
    from pyspark.errors import AnalysisException, ArithmeticException, ParseException

    with pytest.raises(AnalysisException) as missing:
        spark.sql("SELECT * FROM no_such_table").collect()
    assert missing.value.getCondition() == "TABLE_OR_VIEW_NOT_FOUND"
    with pytest.raises(ArithmeticException) as division:
        spark.sql("SELECT 1 / 0").collect()
    assert division.value.getCondition() == "DIVIDE_BY_ZERO"
    with pytest.raises(ParseException) as parse:
        spark.sql("SELEC 1")
    assert parse.value.getCondition() == "PARSE_SYNTAX_ERROR"
    with pytest.raises(AnalysisException) as column:
        spark.range(1).select("nope").collect()
    assert column.value.getCondition() == "UNRESOLVED_COLUMN.WITH_SUGGESTION"


def test_command_line(tmp_path):
    def sql(text, check=True):
        command = [binary(), "sql", "--home", str(tmp_path / "home"), "--format", "json", "-e", text]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if check:
            assert done.returncode == 0, done.stderr
        return done

    sql("CREATE TABLE sales (id STRING, amount DOUBLE); INSERT INTO sales VALUES ('a', 1.5), ('b', NULL)")
    # Another process sees the table.
    assert json.loads(sql("SELECT * FROM sales ORDER BY id").stdout) == [{"id": "a", "amount": 1.5}, {"id": "b", "amount": None}]
    failed = sql("SELECT nope FROM sales", check=False)
    assert failed.returncode == 1 and "UNRESOLVED_COLUMN" in failed.stderr and failed.stdout == ""
    usage = subprocess.run([binary(), "sql", "--format", "no"], capture_output=True, text=True, timeout=60)
    assert usage.returncode == 2


def test_only_loopback(tmp_path):
    done = subprocess.run(
        [binary(), "server", "--home", str(tmp_path / "home"), "--host", "0.0.0.0"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and "0.0.0.0" in done.stderr
