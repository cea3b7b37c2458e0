"""Managed tables have places of their own: neither a table that is not made in the end nor one that many make at once takes the
files of another away."""

import pytest
from pyspark.errors import AnalysisException, PySparkException
from test_concurrency import condition, only_maker


def rows(spark, table):
    return [row[0] for row in spark.sql(f"SELECT * FROM {table} ORDER BY 1").collect()]


def files_of(spark, table):
    return spark.sql(f"SELECT DISTINCT _metadata.file_path FROM {table}").collect()


@pytest.mark.parametrize("made_by", ["AS SELECT raise_error('no') AS a", "(a INT, A INT)", "(a INT) PARTITIONED BY (b)"])
def test_what_is_replaced_stays_where_the_new_table_cannot_be_made(spark, made_by):
    spark.sql("CREATE TABLE kept USING parquet AS SELECT 1 AS a")
    with pytest.raises(PySparkException):
        spark.sql(f"CREATE OR REPLACE TABLE kept USING delta {made_by}").collect()
    assert rows(spark, "kept") == [1]
    before = files_of(spark, "kept")
    spark.sql("CREATE OR REPLACE TABLE kept USING delta AS SELECT 2 AS a")
    assert rows(spark, "kept") == [2]
    with pytest.raises(AnalysisException, match="PATH_NOT_FOUND"):
        spark.read.parquet(before[0][0]).collect()
    spark.sql("DROP TABLE kept")


def test_a_table_of_files_that_is_not_made_leaves_its_place_free(spark):
    for broken in ("AS SELECT raise_error('no') AS a", "", "AS SELECT 1 AS a, 2 AS A"):
        with pytest.raises(PySparkException):
            spark.sql(f"CREATE TABLE freed USING parquet {broken}").collect()
    spark.sql("CREATE TABLE freed USING parquet AS SELECT 1 AS a")
    assert files_of(spark, "freed")[0][0].split("/")[-2] == "freed"
    spark.sql("DROP TABLE freed")


@pytest.mark.parametrize("kind", ["USING parquet", "USING delta"])
def test_a_table_that_many_make_at_once(servers, kind):
    sessions = [servers[i % 2].session() for i in range(8)]

    def is_too_late(error):
        return condition(error) in ("TABLE_OR_VIEW_ALREADY_EXISTS", "LOCATION_ALREADY_EXISTS")

    for round in range(4):
        table = f"wanted_{round}_{kind[6:]}"
        maker = only_maker(sessions, lambda i, table=table: f"CREATE TABLE {table} {kind} AS SELECT {i}L AS id", is_too_late)
        for spark in sessions[:2]:
            assert rows(spark, table) == [maker]
    for session in sessions:
        session.stop()
