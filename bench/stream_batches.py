"""What batches of a stream cost: rows a second, small batches, and going on with much state; for any session of Spark's API."""

import statistics
import time

from nexmark import finished, plain

COUNTS_KEYS = 1000


def with_rows(query):
    return [p for p in map(plain, query.recentProgress) if p["numInputRows"]]


def until_batches(query, count, seconds=300):
    """The first `count` reports of batches with rows."""
    deadline = time.time() + seconds
    while len(found := with_rows(query)) < count and query.isActive:
        assert time.time() < deadline, "no batches"
        time.sleep(0.05)
    if failure := query.exception():
        raise failure
    return found


def window_counts(spark, checkpoint, rows_per_batch, batches=8):
    """Rows a second of counts by window and key, from a source that makes numbers; the first two batches are not counted."""
    rows = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", rows_per_batch).load().withWatermark("timestamp", "10 seconds")
    counts = rows.selectExpr("window(timestamp, '10 seconds') AS w", f"value % {COUNTS_KEYS} AS k").groupBy("w", "k").count()
    query = counts.writeStream.format("noop").outputMode("update").option("checkpointLocation", str(checkpoint)).start()
    found = until_batches(query, batches)[2:]
    query.stop()
    return sum(p["numInputRows"] for p in found) / sum(p["durationMs"]["triggerExecution"] for p in found) * 1000


def small(spark, checkpoint, table, rows=1000, batches=60):
    """Milliseconds of batches of few rows, by what is done with them: (median, 99th percentile)."""
    made = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", rows).load().withWatermark("timestamp", "10 seconds")
    counts = made.selectExpr("window(timestamp, '10 seconds') AS w", f"value % {COUNTS_KEYS} AS k").groupBy("w", "k").count()
    kinds = {"stateless": (made, "noop", "append"), "counts": (counts, "noop", "update")}
    if table is not None:
        kinds["into Delta"] = (made, "delta", "append")
    result = {}
    for name, (frame, sink, mode) in kinds.items():
        writer = frame.writeStream.format(sink).outputMode(mode).option("checkpointLocation", str(checkpoint / name))
        query = writer.start(str(table)) if sink == "delta" else writer.start()
        found = sorted(p["durationMs"]["triggerExecution"] for p in until_batches(query, batches)[10:])
        query.stop()
        result[name] = statistics.median(found), found[len(found) * 99 // 100]
    return result


def keyed(spark, keys, folder):
    """Counts by a key of which each row has a new one, and the keys without duplicates; files, so that there is an end."""
    rows = spark.readStream.schema("k LONG").option("maxFilesPerTrigger", 1).parquet(str(folder))
    return {"counts": (rows.groupBy("k").count(), "update"), "keys": (rows.dropDuplicates(["k"]), "append")}


def remember(spark, work, keys):
    """Makes the state of a million keys; its bytes a key on the disk, by operator."""
    spark.range(keys).selectExpr("id * 7919 % 1000003 * 1000 + id AS k").write.mode("overwrite").parquet(str(work / "keys"))
    found = {}
    for name, (frame, mode) in keyed(spark, keys, work / "keys").items():
        checkpoint = work / f"{name} checkpoint"
        finished(frame.writeStream.format("noop").outputMode(mode).option("checkpointLocation", str(checkpoint)).trigger(availableNow=True).start())
        state = [f for f in (checkpoint / "state").rglob("*") if f.is_file()]
        found[name] = sum(f.stat().st_size for f in state) / keys
    return found


def go_on(spark, work, keys):
    """Seconds from the start of the query to the end of its first batch, of a few new rows, when it knows a million keys."""
    spark.range(10).selectExpr("-id AS k").write.mode("append").parquet(str(work / "keys"))
    spark.range(1).count()
    found = {}
    for name, (frame, mode) in keyed(spark, keys, work / "keys").items():
        begin = time.perf_counter()
        writer = frame.writeStream.format("noop").outputMode(mode).option("checkpointLocation", str(work / f"{name} checkpoint"))
        query = writer.trigger(availableNow=True).start()
        finished(query)
        found[name] = time.perf_counter() - begin
        state = plain(query.recentProgress[-1])["stateOperators"][0]
        # Of the ten new keys 0 may be a known one.
        assert keys + 9 <= state["numRowsTotal"] <= keys + 10, state
    return found
