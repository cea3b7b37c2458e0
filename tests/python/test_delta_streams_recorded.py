"""Streams from Delta tables have the batches, and end with the errors, of delta-spark (`scenarios_delta_streams.py`)."""

import pytest
import scenarios_delta_streams
from recorded import check


@pytest.mark.parametrize("name", scenarios_delta_streams.SCENARIOS)
def test_delta_streams(spark, tmp_path, name):
    check("delta_streams", name, scenarios_delta_streams.SCENARIOS[name], spark, tmp_path)


# ---- where it is otherwise on purpose -----------------------------------------------------------------------------


def run(frame, path):
    frame.writeStream.option("checkpointLocation", str(path / "c")).trigger(availableNow=True).start(str(path / "out")).awaitTermination()


def test_latest_is_what_it_was_at_first(spark, tmp_path):
    """Between two starts nothing is lost, though the first one had no batch."""
    table = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {table} (id INT) USING delta")
    spark.sql(f"INSERT INTO {table} VALUES (1)")
    read = lambda: spark.readStream.format("delta").option("startingVersion", "latest").load(str(tmp_path / "t"))  # noqa: E731
    run(read(), tmp_path)
    spark.sql(f"INSERT INTO {table} VALUES (2)")
    run(read(), tmp_path)
    assert [row.id for row in spark.read.format("delta").load(str(tmp_path / "out")).collect()] == [2]


def test_the_order_of_event_times_is_a_flag(spark, tmp_path):
    spark.sql(f"CREATE TABLE delta.`{tmp_path / 't'}` (id INT) USING delta")
    with pytest.raises(Exception, match="DELTA_ILLEGAL_OPTION"):
        print(spark.readStream.format("delta").option("withEventTimeOrder", "x").load(str(tmp_path / "t")).schema)


@pytest.mark.parametrize("feed", [False, True])
def test_commits_that_are_gone(spark, tmp_path, feed):
    """An error, or left out where `failOnDataLoss` says so; delta-spark 4.4 fails over some of them in any case."""
    table = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {table} (id INT) USING delta TBLPROPERTIES (delta.enableChangeDataFeed = true, delta.checkpointInterval = 1)")
    read = spark.readStream.format("delta").option("readChangeFeed", feed)
    for n in range(3):
        spark.sql(f"INSERT INTO {table} VALUES ({n})")
    run(read.load(str(tmp_path / "t")), tmp_path)
    for n in range(3, 6):
        spark.sql(f"INSERT INTO {table} VALUES ({n})")
    for gone in range(6):
        for file in (tmp_path / "t" / "_delta_log").glob(f"{gone:020}.*"):
            file.unlink()
    with pytest.raises(Exception, match="DELTA_MISSING_FILES_UNEXPECTED_VERSION"):
        run(read.load(str(tmp_path / "t")), tmp_path)
    run(read.option("failOnDataLoss", False).load(str(tmp_path / "t")), tmp_path)
    assert sorted(row.id for row in spark.read.format("delta").load(str(tmp_path / "out")).collect()) == [0, 1, 2, 5]


def test_a_feed_that_comes_later(spark, tmp_path):
    """The checkpoint of a query that was refused goes on; delta-spark's has a batch that stays refused."""
    table = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {table} AS SELECT 1 AS id")
    read = lambda: spark.readStream.format("delta").option("readChangeFeed", True).load(str(tmp_path / "t"))  # noqa: E731
    with pytest.raises(Exception, match="DELTA_MISSING_CHANGE_DATA"):
        run(read(), tmp_path)
    spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES (delta.enableChangeDataFeed = true)")
    spark.sql(f"INSERT INTO {table} VALUES (2)")
    run(read(), tmp_path)
    rows = spark.read.format("delta").load(str(tmp_path / "out")).selectExpr("id", "_change_type", "_commit_version").collect()
    assert sorted(map(tuple, rows)) == [(1, "insert", 2), (2, "insert", 2)]
