"""All of TPC-H over Delta tables through `spark.sql`: the answers are DuckDB's over the same data."""

import sys

import duckdb
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import tpch_data

SCALE = 0.01


@pytest.fixture(scope="module")
def tpch(remote, tmp_path_factory):
    """A session whose schema holds the tables, and a DuckDB connection that has views over the same rows."""
    from pyspark.sql import SparkSession

    data = tpch_data.generate(tmp_path_factory.mktemp("tpch") / "data", SCALE)
    spark = SparkSession.builder.remote(remote).create()
    spark.sql("CREATE SCHEMA IF NOT EXISTS tpch")
    spark.sql("USE tpch")
    duck = duckdb.connect()
    for table in tpch_data.TABLES:
        spark.read.parquet(f"{data}/{table}.parquet").write.format("delta").mode("overwrite").saveAsTable(table)
        duck.execute(f"CREATE VIEW {table} AS FROM '{data}/{table}.parquet'")
    yield spark, duck
    spark.sql("DROP SCHEMA tpch CASCADE")
    spark.stop()


def test_tables_are_whole(tpch):
    spark, duck = tpch
    for table in tpch_data.TABLES:
        assert spark.table(table).count() == duck.execute(f"SELECT count(*) FROM {table}").fetchone()[0], table


@pytest.mark.parametrize("name,text", tpch_data.queries(), ids=[name for name, _ in tpch_data.queries()])
def test_query(tpch, name, text):
    spark, duck = tpch
    expected = duck.execute(text).fetchall()
    got = [tuple(row) for row in spark.sql(text).collect()]
    assert expected, "a query without an answer proves nothing"
    assert tpch_data.same_answer(got, expected), f"{got[:3]} is not {expected[:3]}"
