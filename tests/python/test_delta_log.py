"""What the log of a Delta table tells without its files, through the real client."""

import os
import pathlib
import subprocess
import sys

import pytest
from conftest import ROOT, binary


@pytest.fixture()
def table(spark, tmp_path):
    path = tmp_path / "t"
    spark.sql(f"CREATE TABLE delta.`{path}` (id BIGINT, v BIGINT, s STRING) USING delta")
    for low in (0, 100, 200):
        rows = spark.range(low, low + 100).selectExpr("id", "IF(id % 10 = 0, NULL, id * 2) AS v", "CAST(id AS STRING) AS s")
        rows.write.format("delta").mode("append").save(str(path))
    return path


def without_files(path):
    for file in pathlib.Path(path).glob("*.parquet"):
        file.unlink()


def test_aggregates_of_a_whole_table_come_from_its_log(spark, table):
    spark.sql(f"DELETE FROM delta.`{table}` WHERE id = 150").collect()
    without_files(table)
    assert spark.sql(f"SELECT count(*), count(1) AS n FROM delta.`{table}`").collect() == [(299, 299)]
    assert spark.read.format("delta").load(str(table)).count() == 299
    # Bounds of a file with deleted rows are not values of the table any more, and a filter needs the rows.
    for query in ("max(id)", "count(v)", "count(DISTINCT id)", "count_if(id > 5)", "max(s)"):
        with pytest.raises(Exception, match="FILE_NOT_EXIST"):
            spark.sql(f"SELECT {query} FROM delta.`{table}`").collect()
    with pytest.raises(Exception, match="FILE_NOT_EXIST"):
        spark.sql(f"SELECT count(*) FROM delta.`{table}` WHERE id > 5").collect()


def test_bounds_come_from_the_log_where_they_are_exact(spark, table):
    without_files(table)
    row = spark.sql(f"SELECT max(v), min(id) AS low, count(v), count(*) FROM (SELECT v, id FROM delta.`{table}`) q").collect()[0]
    assert tuple(row) == (598, 0, 270, 300)
    schema = spark.sql(f"SELECT min(v) AS low, count(*) AS n FROM delta.`{table}`").schema
    assert [(f.name, f.dataType.simpleString()) for f in schema] == [("low", "bigint"), ("n", "bigint")]


def test_the_benchmark_of_long_logs_runs():
    command = [sys.executable, str(ROOT / "bench" / "delta_log.py"), "--files", "3000", "--no-wheel"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "BOATHOUSE": binary()})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout, done.stdout
