"""What the log of a Delta table tells without its files, through the real client."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
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


def test_checkpoints_in_several_parts(spark, tmp_path):
    """As other writers make them: rows of one checkpoint in three files, and no commit from before it."""
    path, log = str(tmp_path / "t"), tmp_path / "t" / "_delta_log"
    t = f"delta.`{path}`"
    spark.sql(f"CREATE TABLE {t} (id BIGINT, p INT) USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.checkpointInterval' = '5')")
    for i in range(5):
        spark.sql(f"INSERT INTO {t} VALUES ({i}, {i % 2}), ({i + 100}, {i % 2})")
    spark.sql(f"DELETE FROM {t} WHERE id = 103")
    whole = log / f"{5:020}.checkpoint.parquet"
    rows = pq.read_table(whole)
    size = -(-rows.num_rows // 3)
    for part in range(3):
        pq.write_table(rows.slice(part * size, size), log / f"{5:020}.checkpoint.{part + 1:010}.{3:010}.parquet")
    (log / "_last_checkpoint").write_text(json.dumps({"version": 5, "size": rows.num_rows, "parts": 3}))
    whole.unlink()
    for name in [f"{v:020}.{kind}" for v in range(6) for kind in ("json", "crc")]:
        (log / name).unlink(missing_ok=True)
    expected = sorted([i for i in range(5)] + [i + 100 for i in range(5) if i != 3])
    copy, broken = str(tmp_path / "copy"), tmp_path / "broken"
    shutil.copytree(path, copy)
    shutil.copytree(path, broken)
    for place in (path, copy):
        found = spark.read.format("delta").load(place)
        assert sorted(r.id for r in found.collect()) == expected
        assert found.filter("p = 1").count() == 3
    # Without the hint too, and with writes after it, which make a checkpoint of our own.
    (tmp_path / "copy" / "_delta_log" / "_last_checkpoint").unlink()
    for i in range(5):
        spark.sql(f"INSERT INTO delta.`{copy}` VALUES ({1000 + i}, 7)")
    assert (tmp_path / "copy" / "_delta_log" / f"{10:020}.checkpoint.parquet").exists()
    assert sorted(r.id for r in spark.read.format("delta").load(copy).collect()) == [*expected, *range(1000, 1005)]
    # A checkpoint of which a part is gone is none, and nothing else tells what was before.
    (broken / "_delta_log" / f"{5:020}.checkpoint.{2:010}.{3:010}.parquet").unlink()
    with pytest.raises(Exception, match="DELTA_|checkpoint|log"):
        spark.read.format("delta").load(str(broken)).collect()
