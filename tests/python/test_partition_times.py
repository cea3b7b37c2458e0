"""Partitions by TIMESTAMP, in sessions of several time zones, as delta-spark writes and reads them (`scenarios_partition_times.py`)."""

import json

import pytest
import scenarios_partition_times
from pyspark.errors.exceptions.connect import SparkConnectGrpcException
from recorded import check


@pytest.mark.parametrize("name", scenarios_partition_times.SCENARIOS)
def test_partition_times(spark, tmp_path, name):
    check("partition_times", name, scenarios_partition_times.SCENARIOS[name], spark, tmp_path)


@pytest.mark.parametrize("value", ["nonsense", "2021-02-30 00:00:00"])
def test_what_is_no_time_is_refused(spark, tmp_path, value):
    """delta-spark reads NULL, unless a filter asks for the column, when it fails; here a value that was lost is always told."""
    t = f"delta.`{tmp_path}`"
    spark.sql(f"CREATE TABLE {t} (id INT, ts TIMESTAMP) USING delta PARTITIONED BY (ts)")
    spark.sql(f"INSERT INTO {t} VALUES (1, TIMESTAMP'2021-06-30 00:00:00')")
    commit = tmp_path / "_delta_log" / f"{1:020}.json"
    actions = [json.loads(line) for line in commit.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"]["partitionValues"]["ts"] = value
    commit.write_text("".join(json.dumps(a) + "\n" for a in actions))
    for query in ("SELECT * FROM {}", "SELECT id FROM {} WHERE ts > TIMESTAMP'2020-01-01 00:00:00'"):
        with pytest.raises(SparkConnectGrpcException) as caught:
            spark.sql(query.format(t)).collect()
        assert caught.value.getCondition() == "DELTA_PARTITION_COLUMN_CAST_FAILED" and value in str(caught.value)


@pytest.mark.parametrize("in_utc", ["true", "false"])
def test_the_hour_that_clocks_show_twice(spark, tmp_path, in_utc):
    """Both moments are kept where the log has them in UTC; on the wall clock they are one, the first."""
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    spark.conf.set("spark.databricks.delta.write.utcTimestampPartitionValues", in_utc)
    first, second = 1636263000000000, 1636266600000000
    t = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {t} (id INT, ts TIMESTAMP) USING delta PARTITIONED BY (ts)")
    spark.sql(f"INSERT INTO {t} VALUES (1, timestamp_micros({first})), (2, timestamp_micros({second}))")
    read = [tuple(r) for r in spark.sql(f"SELECT id, unix_micros(ts) FROM {t} ORDER BY id").collect()]
    assert read == [(1, first), (2, second if in_utc == "true" else first)]
