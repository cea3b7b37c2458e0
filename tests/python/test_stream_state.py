"""What streams remember when it is much: more than memory has room for, more than one batch of Arrow holds, columns that nobody reads."""

import json
import os
import pathlib
import re

import pytest
from conftest import Server
from test_streaming import put, run, until

own_servers = pytest.mark.skipif("BOATHOUSE_REMOTE" in os.environ, reason="needs servers of its own")

KEYS, ROWS, TIMES = 60_000, 2_000, 700


def megabytes(server, figure):
    """`VmRSS` or `VmHWM` (its peak) of a server."""
    text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(rf"{figure}:\s+(\d+) kB", text)[1]) / 1024


@own_servers
def test_a_restart_with_state_several_times_larger_than_memory(spark, tmp_path):
    """250 MB of values with 64 MB of memory, killed: what is on the disk is read in parts and goes to the disk again."""
    from pyspark.sql import functions as F

    def start(session):
        stream = session.readStream.format("rate-micro-batch").option("rowsPerBatch", ROWS).load()
        wide = stream.selectExpr(f"value % {KEYS} AS k", f"repeat(lpad(CAST(value AS STRING), 6, '0'), {TIMES}) AS text")
        latest = wide.groupBy("k").agg(F.max("text").alias("text"), F.count("*").alias("n"))
        return latest.writeStream.format("noop").outputMode("update").option("checkpointLocation", str(tmp_path / "checkpoint")).start()

    def reaches(query, batch):
        until(lambda: not query.isActive or (query.lastProgress is not None and query.lastProgress["batchId"] >= batch))
        assert query.exception() is None

    server = Server(tmp_path / "home", "--memory-limit", "64MB")
    try:
        reaches(start(server.session()), KEYS // ROWS + 1)
    finally:
        server.kill()
    server = Server(tmp_path / "home", "--memory-limit", "64MB")
    try:
        session = server.session()
        session.range(1).count()
        before = megabytes(server, "VmRSS")
        query = start(session)
        reaches(query, KEYS // ROWS + 4)
        query.stop()
        last = query.lastProgress
        assert last["stateOperators"][0]["memoryUsedBytes"] < 16 << 20
        # Not even once the values, of which there were some copies when all was read at once.
        assert megabytes(server, "VmHWM") - before < 200
    finally:
        server.stop()
    state = spark.read.format("statestore").load(str(tmp_path / "checkpoint")).selectExpr("key.k AS k", "value.*")
    # A batch that was committed when the query stopped may have no progress any more.
    committed = max(int(p.name) for p in (tmp_path / "checkpoint" / "commits").iterdir() if p.name.isdigit())
    end = (tmp_path / "checkpoint" / "offsets" / str(committed)).read_text().splitlines()[-1]
    total = json.loads(end)["offset"]
    expected = spark.range(total).selectExpr(f"id % {KEYS} AS k", "id").groupBy("k").agg(F.max("id").alias("last"), F.count("*").alias("n"))
    both = state.join(expected, "k").where(f"max = repeat(lpad(CAST(last AS STRING), 6, '0'), {TIMES}) AND count = n")
    assert (both.count(), state.count()) == (KEYS, KEYS)


def test_a_join_remembers_what_is_read(spark, tmp_path):
    """As Spark prunes columns: neither those that nobody reads, nor an event time that is not compared."""
    for side in "ab":
        put(tmp_path / side, "1.json", *({"id": i, "x": f"{side}{i}", "y": "not read"} for i in range(3)))
    a, b = (spark.readStream.schema("id INT, x STRING, y STRING").json(str(tmp_path / side)).alias(side) for side in "ab")
    from pyspark.sql.functions import expr

    joined = a.join(b, expr("a.id = b.id")).selectExpr("a.x", "b.id + 1 AS n")
    run(joined.writeStream.format("memory").queryName("narrow").option("checkpointLocation", str(tmp_path / "c")))
    assert sorted(map(tuple, spark.table("narrow").collect())) == [("a0", 1), ("a1", 2), ("a2", 3)]
    remembered = {}
    for side in ("left", "right"):
        state = spark.read.format("statestore").option("joinSide", side).load(str(tmp_path / "c"))
        remembered[side] = state.schema["value"].dataType.fieldNames(), state.count()
    assert remembered == {"left": (["id", "x"], 3), "right": (["id"], 3)}


def test_a_join_remembers_what_functions_and_subqueries_read(spark, tmp_path):
    """Their columns are not in any expression of the query."""
    for side in "ab":
        put(tmp_path / side, "1.json", *({"id": i, "x": f"{side}{i}", "y": i * 10} for i in range(3)))

    def joined(name):
        a, b = (spark.readStream.schema("id INT, x STRING, y INT").json(str(tmp_path / side)).alias(side) for side in "ab")
        a.createOrReplaceTempView(f"{name}_a")
        b.createOrReplaceTempView(f"{name}_b")
        return spark.sql(f"SELECT a.id, a.x, a.y, b.x AS z FROM {name}_a a JOIN {name}_b b ON a.id = b.id")

    def doubled(frames):
        for frame in frames:
            yield frame.assign(y=frame.y * 2)

    def answer(frame, name):
        run(frame.writeStream.format("memory").queryName(name).option("checkpointLocation", str(tmp_path / name)))
        return sorted(map(tuple, spark.table(name).collect()))

    mapped = joined("mapped").mapInPandas(doubled, "id INT, x STRING, y INT, z STRING").selectExpr("z")
    assert answer(mapped, "all_of_it") == [("b0",), ("b1",), ("b2",)]
    spark.createDataFrame([(10,), (20,)], "n INT").createOrReplaceTempView("some")
    joined("filtered").createOrReplaceTempView("pairs")
    filtered = spark.sql("SELECT z FROM pairs WHERE EXISTS (SELECT 1 FROM some WHERE n = pairs.y)")
    assert answer(filtered, "some_of_it") == [("b1",), ("b2",)]
