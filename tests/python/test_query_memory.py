"""With little memory, statements of a few rows run, also right after one that failed for memory."""

import os

import pyarrow as pa
import pytest
from conftest import Server

SMALL = """
    SELECT k, count(*) OVER (PARTITION BY k ORDER BY v) AS n, sum(v) OVER (ORDER BY v) AS s
    FROM VALUES (1, 2), (1, 3), (2, 4) AS t(k, v) ORDER BY v
"""
LARGE = "SELECT length(listagg(concat(repeat('x', 1000), id))) FROM range(0, 40000)"


@pytest.fixture
def little_memory(tmp_path, monkeypatch):
    if os.environ.get("BOATHOUSE_REMOTE"):
        pytest.skip("needs a server of its own")
    monkeypatch.setenv("BOATHOUSE_PARTITIONS", "2")
    server = Server(tmp_path / "home", "--memory-limit", "16m")
    yield server.session()
    server.stop()


def test_a_statement_that_fails_for_memory_leaves_it_to_the_next(little_memory):
    spark = little_memory
    wanted = [(1, 1, 2), (1, 2, 5), (2, 1, 9)]
    assert [tuple(row) for row in spark.sql(SMALL).collect()] == wanted
    with pytest.raises(Exception, match="UNABLE_TO_ACQUIRE_MEMORY"):
        spark.sql(LARGE).collect()
    assert [tuple(row) for row in spark.sql(SMALL).collect()] == wanted


def test_texts_of_groups_are_joined_in_little_memory(little_memory):
    rows = little_memory.sql("""
        SELECT count(*), max(length(t)), min(length(t)) FROM (
            SELECT id % 50 AS g, listagg(CAST(id % 7 AS STRING), ',') WITHIN GROUP (ORDER BY id DESC) AS t
            FROM range(0, 60000) GROUP BY id % 50)
    """).collect()
    # 1,200 texts of one character in each group, and a comma between.
    assert [tuple(row) for row in rows] == [(50, 2399, 2399)]


def test_rows_of_a_batch(spark):
    """What a column of a batch may hold is bounded: batches of fewer rows take larger values."""

    def sizes(batches):
        for batch in batches:
            yield pa.RecordBatch.from_pydict({"n": [batch.num_rows]})

    frame = spark.range(0, 20, 1, 1).mapInArrow(sizes, "n BIGINT")
    assert [row.n for row in frame.collect()] == [20]
    spark.conf.set("spark.sql.parquet.columnarReaderBatchSize", "8")
    counted = [row.n for row in frame.collect()]
    assert sum(counted) == 20 and max(counted) <= 8
