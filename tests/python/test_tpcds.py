"""All of TPC-DS over Delta tables through `spark.sql`: the answers are DuckDB's over the same data."""

import sys

import duckdb
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import tpcds_data
import tpch_data

SCALE = 0.01

pytestmark = pytest.mark.skipif(
    tpcds_data.extension() is None, reason="DuckDB's extension `tpcds` is not installed: make tpcds"
)


@pytest.fixture(scope="module")
def tpcds(remote, tmp_path_factory):
    """A session whose schema holds the tables, a DuckDB connection that has views over the same rows, and the queries."""
    from pyspark.sql import SparkSession

    data = tpcds_data.generate(tmp_path_factory.mktemp("tpcds") / "data", SCALE)
    spark = SparkSession.builder.remote(remote).create()
    for key, value in tpcds_data.CONF.items():
        spark.conf.set(key, value)
    spark.sql("CREATE SCHEMA IF NOT EXISTS tpcds")
    spark.sql("USE tpcds")
    duck = duckdb.connect()
    duck.execute(tpcds_data.DUCKDB)
    for table in tpcds_data.tables(data):
        spark.read.parquet(f"{data}/{table}.parquet").write.format("delta").mode("overwrite").saveAsTable(table)
        duck.execute(f"CREATE VIEW {table} AS FROM '{data}/{table}.parquet'")
    yield spark, duck, dict(tpcds_data.queries(data))
    spark.sql("DROP SCHEMA tpcds CASCADE")
    spark.stop()


def test_there_are_99_queries_with_answers(tpcds):
    _, duck, queries = tpcds
    assert len(queries) == 99
    answers = sum(bool(duck.execute(text).fetchall()) for text in queries.values())
    assert answers > 60, "queries without an answer prove little"


@pytest.mark.parametrize("name", [f"q{number:02}" for number in range(1, 100)])
def test_query(tpcds, name):
    spark, duck, queries = tpcds
    expected = duck.execute(queries[name]).fetchall()
    got = [tuple(row) for row in spark.sql(queries[name]).collect()]
    assert tpch_data.same_answer(got, expected), f"{got[:3]} is not {expected[:3]}"
