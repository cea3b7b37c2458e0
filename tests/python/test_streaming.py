"""Structured Streaming with the released client: sources, sinks, checkpoints, state, the query API."""

import json
import os
import re
import shutil
import time

import pytest
from conftest import Server
from pyspark.errors import AnalysisException
from pyspark.sql.streaming.stateful_processor import StatefulProcessor

PROGRESS = {
    "id", "runId", "name", "timestamp", "batchId", "batchDuration", "numInputRows", "inputRowsPerSecond",
    "processedRowsPerSecond", "durationMs", "stateOperators", "sources", "sink",
}


def put(folder, name, *rows):
    """A file of JSON lines, newer than those before it, there at once as files of streams must be."""
    folder.mkdir(parents=True, exist_ok=True)
    hidden = folder / f".{name}"
    hidden.write_text("".join(json.dumps(r) + "\n" for r in rows))
    put.clock = max(getattr(put, "clock", 0), time.time()) + 0.01
    os.utime(hidden, (put.clock, put.clock))
    hidden.rename(folder / name)


def until(condition, seconds=300):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, "it did not happen"
        time.sleep(0.02)


def run(writer, *start):
    query = writer.trigger(availableNow=True).start(*start)
    assert query.awaitTermination(300)
    return query


def values(frame, *columns):
    return sorted(tuple(r[c] for c in columns) for r in frame.collect())


def test_what_is_known_of_a_stream_before_it_runs(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"a": 1})
    stream = spark.readStream.schema("a INT, b STRING").json(str(tmp_path / "in"))
    assert stream.isStreaming and not spark.range(1).isStreaming
    assert stream.filter("a > 0").selectExpr("a + 1 AS c").schema.simpleString() == "struct<c:int>"
    with pytest.raises(Exception, match="writeStream.start"):
        stream.collect()
    with pytest.raises(Exception, match="WRITE_STREAM_NOT_ALLOWED"):
        spark.range(3).writeStream.format("noop").start()
    with pytest.raises(Exception, match="Schema must be specified"):
        _ = spark.readStream.json(str(tmp_path / "in")).schema
    with pytest.raises(Exception, match="checkpointLocation must be specified"):
        stream.writeStream.format("parquet").start(str(tmp_path / "out"))
    with pytest.raises(Exception, match="queryName must be specified"):
        stream.writeStream.format("memory").start()
    with pytest.raises(Exception, match="STREAMING_OUTPUT_MODE.INVALID"):
        stream.writeStream.format("noop").outputMode("some").start()


def test_files_arrive(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"a": 1}, {"a": 2})
    stream = spark.readStream.schema("a INT").option("maxFilesPerTrigger", 1).json(str(tmp_path / "in"))
    query = stream.writeStream.format("memory").queryName("arrivals").start()
    query.processAllAvailable()
    assert values(spark.table("arrivals"), "a") == [(1,), (2,)]
    put(tmp_path / "in", "2.json", {"a": 3})
    put(tmp_path / "in", "3.json", {"a": 4})
    query.processAllAvailable()
    assert values(spark.table("arrivals"), "a") == [(1,), (2,), (3,), (4,)]

    assert [p["batchId"] for p in query.recentProgress] == [0, 1, 2]
    last = query.lastProgress
    assert set(json.loads(last.json)) >= PROGRESS and last["numInputRows"] == 1
    assert json.loads(last["sources"][0]["endOffset"]) == {"logOffset": 2}
    assert last["sink"]["description"] == "MemorySink" and last["sink"]["numOutputRows"] == 1
    # It looks for files again and again.
    until(lambda: query.status["message"] == "Waiting for data to arrive")
    assert query.isActive
    assert [q.name for q in spark.streams.active] == ["arrivals"]
    assert spark.streams.get(query.id).runId == query.runId
    assert spark.streams.get("00000000-0000-0000-0000-000000000000") is None
    query.stop()
    assert not query.isActive and query.status["message"] == "Stopped" and query.exception() is None
    assert query.awaitTermination(300) is True


def test_the_checkpoint_is_sparks(spark, tmp_path):
    for i in range(12):
        put(tmp_path / "in", f"{i:02}.json", {"a": i})
    stream = spark.readStream.schema("a INT").option("maxFilesPerTrigger", 1).json(str(tmp_path / "in"))
    checkpoint = tmp_path / "checkpoint"
    query = run(stream.writeStream.format("delta").option("checkpointLocation", str(checkpoint)), str(tmp_path / "out"))
    assert json.loads((checkpoint / "metadata").read_text()) == {"id": query.id}
    version, metadata, offset = (checkpoint / "offsets" / "11").read_text().split("\n")
    assert version == "v1" and json.loads(offset) == {"logOffset": 11}
    assert set(json.loads(metadata)) == {"batchWatermarkMs", "batchTimestampMs", "conf"}
    assert (checkpoint / "commits" / "11").read_text() == 'v1\n{"nextBatchWatermarkMs":0}'
    first = (checkpoint / "sources" / "0" / "0").read_text().split("\n")
    assert first[0] == "v1" and json.loads(first[1])["path"] == f"file://{tmp_path}/in/00.json"
    compact = (checkpoint / "sources" / "0" / "9.compact").read_text().split("\n")
    assert [json.loads(line)["batchId"] for line in compact[1:]] == list(range(10))
    # The same query again: nothing is new, and its id stays.
    again = run(stream.writeStream.format("delta").option("checkpointLocation", str(checkpoint)), str(tmp_path / "out"))
    assert again.id == query.id and again.runId != query.runId and again.recentProgress == []
    assert spark.read.format("delta").load(str(tmp_path / "out")).count() == 12


def test_a_batch_that_was_written_is_not_written_twice(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"a": 1})
    stream = spark.readStream.schema("a INT").json(str(tmp_path / "in"))
    checkpoint = tmp_path / "checkpoint"

    def once(path, format):
        return run(stream.writeStream.format(format).option("checkpointLocation", str(checkpoint / format)), str(path))

    for format in ["delta", "parquet"]:
        out = tmp_path / format
        once(out, format)
        # As after a crash between the write and the note that it is done.
        (checkpoint / format / "commits" / "0").unlink()
        put(tmp_path / "in", f"{format}.json", {"a": 2})
        once(out, format)
        count = 2 if format == "delta" else 3
        assert spark.read.format(format).load(str(out)).count() == count, format


def test_delta_tables_as_streams(spark, tmp_path):
    spark.sql("CREATE OR REPLACE TABLE source (id INT, name STRING) USING delta")
    spark.sql("INSERT INTO source VALUES (1, 'a'), (2, 'b')").collect()
    checkpoint = str(tmp_path / "checkpoint")

    def copy(**options):
        reader = spark.readStream
        for key, value in options.items():
            reader = reader.option(key, value)
        writer = reader.table("source").writeStream.option("checkpointLocation", checkpoint)
        query = writer.trigger(availableNow=True).toTable("target")
        query.awaitTermination(300)
        return query

    copy()
    assert values(spark.table("target"), "id") == [(1,), (2,)]
    spark.sql("INSERT INTO source VALUES (3, 'c')").collect()
    query = copy()
    assert values(spark.table("target"), "id") == [(1,), (2,), (3,)]
    assert query.lastProgress["numInputRows"] == 1
    end = json.loads(query.lastProgress["sources"][0]["endOffset"])
    assert (end["reservoirVersion"], end["index"], end["isStartingVersion"]) == (3, -1, False)

    spark.sql("UPDATE source SET name = 'z' WHERE id = 1").collect()
    with pytest.raises(Exception, match="DELTA_SOURCE_TABLE_IGNORE_CHANGES"):
        copy()
    copy(skipChangeCommits="true")
    spark.sql("INSERT INTO source VALUES (4, 'd')").collect()
    copy(skipChangeCommits="true")
    assert values(spark.table("target"), "id") == [(1,), (2,), (3,), (4,)]

    reader = spark.readStream.option("startingVersion", "2").option("ignoreChanges", "true").table("source")
    query = reader.writeStream.format("memory").queryName("later").start()
    query.processAllAvailable()
    assert (4, "d") in values(spark.table("later"), "id", "name") and (2, "b") not in values(
        spark.table("later").filter("name = 'a'"), "id", "name")
    query.stop()
    assert spark.sql("SELECT * FROM STREAM source").isStreaming


def test_deletions_of_a_delta_table(spark, tmp_path):
    table = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {table} (a INT) USING delta TBLPROPERTIES (delta.enableDeletionVectors = false)")
    for n in (1, 2):
        spark.sql(f"INSERT INTO {table} VALUES ({n})")

    def run(name, **options):
        reader = spark.readStream.format("delta").options(**options).load(str(tmp_path / "t"))
        writer = reader.writeStream.format("delta").option("checkpointLocation", str(tmp_path / f"{name} c"))
        writer.trigger(availableNow=True).start(str(tmp_path / name)).awaitTermination()
        return sorted(r.a for r in spark.read.format("delta").load(str(tmp_path / name)).collect())

    options = {"strict": {}, "lenient": {"ignoreDeletes": True}, "old": {"ignoreFileDeletion": True}}
    for name, given in options.items():
        assert run(name, **given) == [1, 2]
    # A file and all of its rows.
    spark.sql(f"DELETE FROM {table} WHERE a = 1")
    spark.sql(f"INSERT INTO {table} VALUES (3)")
    with pytest.raises(Exception, match="DELTA_SOURCE_IGNORE_DELETE"):
        run("strict")
    assert run("lenient", ignoreDeletes=True) == run("old", ignoreFileDeletion=True) == [1, 2, 3]
    # Rows that are written again are more than a deletion.
    spark.sql(f"UPDATE {table} SET a = 4 WHERE a = 3")
    with pytest.raises(Exception, match="DELTA_SOURCE_TABLE_IGNORE_CHANGES"):
        run("lenient", ignoreDeletes=True)


@pytest.mark.parametrize("format", ["json", "csv", "parquet", "orc", "avro", "xml", "text"])
def test_files_of_every_format(spark, tmp_path, format):
    options = {"rowTag": "row"} if format == "xml" else {}
    columns = ["s"] if format == "text" else ["CAST(s AS INT) AS a", "s"]
    rows = spark.sql("SELECT string(id) AS s FROM range(6)").selectExpr(*columns)
    for n in range(2):
        rows.filter(f"s % 2 = {n}").coalesce(1).write.format(format).options(**options).mode("append").save(str(tmp_path / "in"))
    reader = spark.readStream.format(format).options(**options).option("maxFilesPerTrigger", 1)
    frame = (reader if format == "text" else reader.schema("a INT, s STRING")).load(str(tmp_path / "in"))
    query = frame.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c")).trigger(availableNow=True).start(str(tmp_path / "out"))
    query.awaitTermination()
    assert [p["numInputRows"] for p in query.recentProgress] == [3, 3]
    got = sorted(tuple(r) for r in spark.read.format("delta").load(str(tmp_path / "out")).collect())
    assert got == [(str(n),) if format == "text" else (n, str(n)) for n in range(6)]


def test_cloud_files(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"id": 1, "amount": 1.5})

    def load():
        stream = (spark.readStream.format("cloudFiles").option("cloudFiles.format", "json")
                  .option("cloudFiles.schemaHints", "id BIGINT").load(str(tmp_path / "in")))
        writer = stream.writeStream.option("checkpointLocation", str(tmp_path / "checkpoint"))
        query = writer.option("mergeSchema", "true").trigger(availableNow=True).toTable("landed")
        query.awaitTermination(300)

    load()
    put(tmp_path / "in", "2.json", {"id": 2, "amount": 2.5})
    load()
    assert values(spark.table("landed"), "id", "amount") == [(1, 1.5), (2, 2.5)]
    put(tmp_path / "in", "3.json", {"id": 3, "amount": 3.5, "note": "new"})
    with pytest.raises(Exception, match="UNKNOWN_FIELD_EXCEPTION"):
        load()
    load()
    assert values(spark.table("landed").filter("note IS NOT NULL"), "id", "note") == [(3, "new")]


def test_each_batch_as_a_dataframe(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"a": 1}, {"a": 2})
    stream = spark.readStream.schema("a INT").json(str(tmp_path / "in"))

    def both(batch, batch_id):
        batch.withColumn("batch", batch.a * 0 + batch_id).write.mode("append").saveAsTable("each_batch")
        assert batch.count() == 2

    run(stream.writeStream.foreachBatch(both))
    assert values(spark.table("each_batch"), "a", "batch") == [(1, 0), (2, 0)]

    def fails(batch, batch_id):
        raise ValueError("no luck today")

    query = stream.writeStream.foreachBatch(fails).trigger(availableNow=True).start()
    with pytest.raises(Exception, match="no luck today"):
        query.awaitTermination(300)
    assert "no luck today" in str(query.exception())


def test_each_row(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"a": 1}, {"a": 2})
    out = tmp_path / "rows.txt"

    def note(row):
        with open(out, "a") as f:
            f.write(f"{row.a}\n")

    def refuse(row):
        raise ValueError("no row is good enough")

    rows = spark.readStream.schema("a INT").json(str(tmp_path / "in"))
    run(rows.writeStream.foreach(note))
    assert sorted(out.read_text().split()) == ["1", "2"]
    with pytest.raises(Exception, match=r"(?s)PYTHON_EXCEPTION.*no row is good enough"):
        run(rows.writeStream.foreach(refuse))
    with pytest.raises(Exception, match="exit status: 4"):
        run(rows.writeStream.foreach(lambda row: os._exit(4)))


def test_listeners(spark, tmp_path):
    from pyspark.sql.streaming import StreamingQueryListener

    events = []

    class Listener(StreamingQueryListener):
        def onQueryStarted(self, event):
            events.append(("started", event.name))

        def onQueryProgress(self, event):
            events.append(("progress", event.progress.numInputRows))

        def onQueryIdle(self, event):
            pass

        def onQueryTerminated(self, event):
            events.append(("terminated", event.exception))

    listener = Listener()
    spark.streams.addListener(listener)
    put(tmp_path / "in", "1.json", {"a": 1})
    run(spark.readStream.schema("a INT").json(str(tmp_path / "in")).writeStream.format("noop").queryName("heard"))
    until(lambda: len(events) >= 3)
    spark.streams.removeListener(listener)
    # The client itself tells of the start, beside what comes from the server.
    assert ("started", "heard") in events
    assert [e for e in events if e[0] != "started"] == [("progress", 1), ("terminated", None)]


def test_rates(spark):
    stream = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 1000).load()
    run(stream.writeStream.format("memory").queryName("numbers"))
    row = spark.sql("SELECT count(*) AS n, min(value) AS a, max(value) AS b FROM numbers").first()
    assert (row.n, row.a, row.b) == (1000, 0, 999)
    query = spark.readStream.format("rate").option("rowsPerSecond", 100).load().writeStream.format("noop").start()
    until(lambda: query.lastProgress and query.lastProgress["numInputRows"] >= 100)
    query.stop()


def sale(n, at, amount=10.0, customer=101):
    return {"n": n, "customer": customer, "amount": amount, "at": at}


SALES = "n INT, customer INT, amount DOUBLE, at TIMESTAMP"


@pytest.mark.parametrize("mode", ["complete", "update"])
def test_totals(spark, tmp_path, mode):
    put(tmp_path / "in", "1.json", sale(1, "2024-01-15T08:10:00Z"), sale(2, "2024-01-15T08:20:00Z", 20.0),
        sale(3, "2024-01-15T08:20:00Z", customer=102))
    stream = spark.readStream.schema(SALES).json(str(tmp_path / "in"))
    totals = stream.groupBy("customer").agg({"amount": "sum", "n": "avg"})
    query = totals.writeStream.format("memory").queryName(f"totals_{mode}").outputMode(mode).start()
    query.processAllAvailable()
    put(tmp_path / "in", "2.json", sale(4, "2024-01-15T09:20:00Z", 5.0, customer=102))
    query.processAllAvailable()
    got = values(spark.table(f"totals_{mode}"), "customer", "sum(amount)", "avg(n)")
    expected = [(101, 30.0, 1.5), (102, 15.0, 3.5)]
    if mode == "update":
        expected = sorted([*expected, (102, 10.0, 3.0)])
    assert got == expected
    operator = query.lastProgress["stateOperators"][0]
    assert (operator["operatorName"], operator["numRowsTotal"], operator["numRowsUpdated"]) == ("stateStoreSave", 2, 1)
    query.stop()


def test_a_checkpoint_that_is_deleted(spark, tmp_path):
    """The query is another one then, and begins at the beginning: what came before comes again."""
    put(tmp_path / "in", "1.json", {"n": 1})

    def batch():
        stream = spark.readStream.schema("n INT").json(str(tmp_path / "in"))
        writer = stream.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c"))
        return run(writer.option("path", str(tmp_path / "t"))).id

    first = batch()
    assert batch() == first and spark.read.format("delta").load(str(tmp_path / "t")).count() == 1
    shutil.rmtree(tmp_path / "c")
    assert batch() != first
    assert values(spark.read.format("delta").load(str(tmp_path / "t")), "n") == [(1,), (1,)]


def test_late_rows_and_final_results(spark, tmp_path):
    stream = spark.readStream.schema(SALES).option("maxFilesPerTrigger", 1).json(str(tmp_path / "in"))
    put(tmp_path / "in", "1.json", sale(1, "2024-01-15T08:00:00Z"), sale(2, "2024-01-15T08:00:00Z"))
    put(tmp_path / "in", "2.json", sale(3, "2024-01-15T10:00:00Z"))
    by_time = stream.withWatermark("at", "1 hour").groupBy("at").agg({"amount": "sum"})
    query = by_time.writeStream.format("memory").queryName("final").start()
    query.processAllAvailable()
    assert values(spark.table("final"), "sum(amount)") == [(20.0,)]
    put(tmp_path / "in", "3.json", sale(4, "2024-01-15T08:30:00Z"), sale(5, "2024-01-15T12:00:00Z"))
    query.processAllAvailable()
    # The row of 08:30 came too late; that of 10:00 is final now.
    assert values(spark.table("final"), "sum(amount)") == [(10.0,), (20.0,)]
    dropped = [o["numRowsDroppedByWatermark"] for p in query.recentProgress for o in p["stateOperators"]]
    assert sum(dropped) == 1
    assert query.lastProgress["eventTime"]["watermark"] == "2024-01-15T11:00:00.000Z"
    query.stop()


def test_duplicates(spark, tmp_path):
    stream = spark.readStream.schema(SALES).option("maxFilesPerTrigger", 1).json(str(tmp_path / "in"))
    put(tmp_path / "in", "1.json", sale(1, "2024-01-15T08:00:00Z"), sale(1, "2024-01-15T08:00:00Z"))
    put(tmp_path / "in", "2.json", sale(1, "2024-01-15T08:00:00Z"), sale(2, "2024-01-15T08:10:00Z"))
    run(stream.dropDuplicates(["n"]).writeStream.format("memory").queryName("firsts"))
    assert values(spark.table("firsts"), "n") == [(1,), (2,)]
    within = stream.withWatermark("at", "1 hour").dropDuplicatesWithinWatermark(["n"])
    run(within.writeStream.format("memory").queryName("within"))
    assert values(spark.table("within"), "n") == [(1,), (2,)]


def test_streams_meet_tables(spark, tmp_path):
    put(tmp_path / "in", "1.json", sale(1, "2024-01-15T08:00:00Z"), sale(2, "2024-01-15T08:00:00Z", customer=7))
    names = spark.createDataFrame([(101, "ann")], "customer INT, name STRING")
    stream = spark.readStream.schema(SALES).json(str(tmp_path / "in"))
    run(stream.join(names, "customer", "left").writeStream.format("memory").queryName("named"))
    assert values(spark.table("named").fillna("-"), "n", "name") == [(1, "ann"), (2, "-")]
    for how in ["right", "full"]:
        with pytest.raises(Exception, match="not supported"):
            stream.join(names, "customer", how).writeStream.format("noop").start()


def test_two_streams_meet(spark, tmp_path):
    put(tmp_path / "sales", "1.json", {"id": 1, "amount": 5.0}, {"id": 2, "amount": 6.0})
    put(tmp_path / "names", "1.json", {"id": 2, "name": "b"})
    sales = spark.readStream.schema("id INT, amount DOUBLE").json(str(tmp_path / "sales"))
    names = spark.readStream.schema("id INT, name STRING").json(str(tmp_path / "names"))
    query = sales.join(names, "id").writeStream.format("memory").queryName("pairs").start()
    query.processAllAvailable()
    assert values(spark.table("pairs"), "id", "name") == [(2, "b")]
    put(tmp_path / "names", "2.json", {"id": 1, "name": "a"})
    put(tmp_path / "sales", "2.json", {"id": 2, "amount": 7.0})
    query.processAllAvailable()
    assert values(spark.table("pairs"), "id", "name", "amount") == [(1, "a", 5.0), (2, "b", 6.0), (2, "b", 7.0)]
    assert query.lastProgress["stateOperators"][0]["operatorName"] == "symmetricHashJoin"
    query.stop()
    for how in ["left", "full"]:
        with pytest.raises(Exception, match="only in Append"):
            sales.join(names, "id", how).writeStream.format("noop").outputMode("update").start()


def test_the_first_rows(spark, tmp_path):
    stream = spark.readStream.schema("a INT").option("maxFilesPerTrigger", 1).json(str(tmp_path / "in"))
    for i in range(3):
        put(tmp_path / "in", f"{i}.json", {"a": 2 * i}, {"a": 2 * i + 1})
    run(stream.limit(3).writeStream.format("memory").queryName("few"))
    assert values(spark.table("few"), "a") == [(0,), (1,), (2,)]


def test_windows_of_time(spark, tmp_path):
    from pyspark.sql import functions as F

    stream = spark.readStream.schema(SALES).option("maxFilesPerTrigger", 1).json(str(tmp_path / "in"))
    put(tmp_path / "in", "1.json", sale(1, "2024-01-15T08:10:00Z"), sale(2, "2024-01-15T08:20:00Z"))
    put(tmp_path / "in", "2.json", sale(3, "2024-01-15T10:30:00Z"))
    hourly = (stream.withWatermark("at", "1 hour").groupBy(F.window("at", "1 hour"), "customer")
              .agg(F.sum("amount").alias("revenue")))
    query = hourly.writeStream.format("memory").queryName("hourly").start()
    query.processAllAvailable()
    put(tmp_path / "in", "3.json", sale(4, "2024-01-15T08:30:00Z"), sale(5, "2024-01-15T12:30:00Z"))
    query.processAllAvailable()
    got = [(r.window.start.hour, r.revenue) for r in spark.table("hourly").orderBy("window").collect()]
    assert [revenue for _, revenue in got] == [20.0, 10.0]
    query.stop()
    counts = stream.withWatermark("at", "1 hour").groupBy(F.window("at", "1 hour", "30 minutes")).count()
    run(counts.writeStream.format("memory").queryName("sliding").outputMode("complete"))
    assert sorted(r["count"] for r in spark.table("sliding").collect()) == sorted(
        r["count"] for r in spark.read.schema(SALES).json(str(tmp_path / "in"))
        .groupBy(F.window("at", "1 hour", "30 minutes")).count().collect())


def test_refusals_are_sparks(spark, tmp_path):
    put(tmp_path / "in", "1.json", sale(1, "2024-01-15T08:00:00Z"))
    stream = spark.readStream.schema(SALES).json(str(tmp_path / "in"))

    def start(frame, mode):
        frame.writeStream.format("noop").outputMode(mode).start().stop()

    counts = stream.groupBy("customer").count()
    timed = stream.withWatermark("at", "1 hour")
    for frame, mode, words in [
        (stream, "complete", "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION.*complete"),
        (counts, "append", "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION.*append"),
        (timed.groupBy("customer").count(), "append", "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION.*append"),
        (counts.groupBy("count").count(), "update", "correctness"),
        (stream.orderBy("n"), "append", "Sorting is not supported"),
        (counts.orderBy("count"), "update", "Sorting is not supported"),
        (stream.limit(3), "update", "Limits are not supported"),
        (stream.union(stream.limit(0).sparkSession.createDataFrame([], SALES)), "append", "Union between streaming and batch"),
        (stream.dropDuplicatesWithinWatermark(), "append", "without watermark"),
    ]:
        with pytest.raises(Exception, match=re.compile(words, re.DOTALL)):
            start(frame, mode)
    for frame, mode in [
        (stream, "append"), (stream, "update"), (counts, "update"), (counts, "complete"), (counts.orderBy("count"), "complete"),
        (timed.groupBy("at").count(), "append"), (stream.union(stream), "append"), (stream.distinct(), "update"),
    ]:
        start(frame, mode)


@pytest.mark.parametrize("seed", range(3))
def test_killed_streams_lose_and_double_nothing(tmp_path, seed):
    """A stateless and a stateful query, killed again and again, end as if nothing had been."""
    for i in range(60):
        put(tmp_path / "in", f"{i:03}.json", *[sale(i * 10 + j, "2024-01-15T08:00:00Z", customer=j) for j in range(10)])

    def start(spark):
        stream = spark.readStream.schema(SALES).option("maxFilesPerTrigger", 1).json(str(tmp_path / "in"))
        rows = (stream.writeStream.format("delta").option("checkpointLocation", "/mnt/rows_checkpoint")
                .start("/mnt/rows"))
        sums = stream.groupBy("customer").agg({"amount": "sum", "n": "count"}).toDF("customer", "total", "sales")
        totals = (sums.writeStream.format("delta").outputMode("complete")
                  .option("checkpointLocation", "/mnt/totals_checkpoint").start("/mnt/totals"))
        return rows, totals

    home = tmp_path / "home"
    for round in range(4):
        server = Server(home)
        try:
            spark = server.session()
            rows, totals = start(spark)
            until(lambda: len(rows.recentProgress) >= 2 + seed + round)
        finally:
            server.kill()
    server = Server(home)
    try:
        spark = server.session()
        for query in start(spark):
            query.processAllAvailable()
            query.stop()
        got = spark.read.format("delta").load("/mnt/rows")
        assert (got.count(), got.select("n").distinct().count()) == (600, 600)
        sums = values(spark.read.format("delta").load("/mnt/totals"), "customer", "total", "sales")
        assert sums == [(c, 600.0, 60) for c in range(10)]
    finally:
        server.stop()


def test_files_that_were_read_are_cleaned_away(spark, tmp_path):
    for mode in ["delete", "archive"]:
        folder, archive = tmp_path / mode, tmp_path / "kept"
        for n in range(3):
            put(folder, f"{n}.json", {"a": n})
        stream = spark.readStream.schema("a INT").option("maxFilesPerTrigger", 1).option("cleanSource", mode).option("sourceArchiveDir", str(archive))
        writer = stream.json(str(folder)).writeStream.format("delta").option("checkpointLocation", str(tmp_path / f"{mode} checkpoint"))
        run(writer, str(tmp_path / f"{mode} out"))
        # The files of the last batch stay until there is another.
        until(lambda folder=folder: sorted(p.name for p in folder.glob("*.json")) == ["2.json"])
        assert values(spark.read.format("delta").load(str(tmp_path / f"{mode} out")), "a") == [(0,), (1,), (2,)]
        put(folder, "3.json", {"a": 3})
        run(writer, str(tmp_path / f"{mode} out"))
        until(lambda folder=folder: sorted(p.name for p in folder.glob("*.json")) == ["3.json"])
    moved = archive / str(folder).lstrip("/")
    assert sorted(p.name for p in moved.glob("*.json")) == ["0.json", "1.json", "2.json"]
    stream = spark.readStream.schema("a INT").option("cleanSource", "archive")
    with pytest.raises(Exception, match="Archive location must be provided"):
        _ = stream.json(str(folder)).schema
    with pytest.raises(Exception, match="Base archive path cannot be set"):
        _ = stream.option("sourceArchiveDir", str(folder / "old")).json(str(folder)).schema
    with pytest.raises(Exception, match="Invalid mode for clean source option some"):
        _ = stream.option("cleanSource", "some").json(str(folder)).schema


def test_tables_of_files_take_streams(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"a": 1, "b": "x"}, {"a": 2, "b": "y"})
    stream = spark.readStream.schema("a INT, b STRING").json(str(tmp_path / "in"))

    def into(table, format=None, **options):
        writer = stream.writeStream.option("checkpointLocation", str(tmp_path / f"checkpoint of {table}")).options(**options)
        writer = writer.format(format) if format else writer
        writer.trigger(availableNow=True).toTable(table).awaitTermination(300)

    into("files_made", "parquet")
    assert values(spark.table("files_made"), "a", "b") == [(1, "x"), (2, "y")]
    spark.sql("CREATE TABLE files_there (a INT, b STRING) USING json")
    into("files_there")
    put(tmp_path / "in", "2.json", {"a": 3, "b": "z"})
    into("files_there", "json")
    into("files_there", "json")
    assert values(spark.table("files_there"), "a", "b") == [(1, "x"), (2, "y"), (3, "z")]
    with pytest.raises(Exception, match="is different from the table"):
        into("files_there", "parquet")
    spark.sql("CREATE TEMP VIEW a_view AS SELECT 1 AS a")
    with pytest.raises(Exception, match="Streaming into views"):
        into("a_view")


def test_explain_of_a_stream_that_was_not_started(spark, tmp_path, capsys):
    from pyspark.sql import functions as F

    put(tmp_path / "in", "1.json", {"a": 1})
    timed = spark.readStream.schema("a INT, at TIMESTAMP").json(str(tmp_path / "in")).withWatermark("at", "1 minute")
    grouped = timed.dropDuplicates(["a"]).groupBy(F.session_window("at", "5 minutes"), "a").count()
    for extended in [False, True]:
        grouped.explain(extended)
        shown = capsys.readouterr().out
        for name in ["EventTimeWatermark", "StreamDeduplicate", "SessionWindows"]:
            assert name in shown, shown


def counted(key, frames, state):
    yield from frames


class Counting(StatefulProcessor):
    def init(self, handle):
        pass

    def handleInputRows(self, key, rows, timers):
        yield from rows

    def close(self):
        pass

    def handleInitialState(self, key, state, timers):
        pass


def test_explain_of_functions_over_groups_of_a_stream(spark, capsys):
    timed = spark.readStream.format("rate").load().withWatermark("timestamp", "1 minute").selectExpr("value AS a", "timestamp")
    groups, begin = timed.groupBy("a"), spark.range(3).selectExpr("id AS a").groupBy("a")
    timed.createOrReplaceTempView("timed")
    frames = {
        "ApplyInPandasWithState": groups.applyInPandasWithState(counted, "a BIGINT", "n BIGINT", "append", "EventTimeTimeout"),
        "TransformWithState": groups.transformWithStateInPandas(Counting(), "a BIGINT", "append", "none"),
        "StreamingTableExec": groups.transformWithStateInPandas(Counting(), "a BIGINT", "append", "none", begin),
    }
    for name, frame in frames.items():
        for mode in ["simple", "extended", "formatted", "cost"]:
            frame.explain(mode=mode)
            shown = capsys.readouterr().out
            assert name in shown and "EventTimeWatermark" in shown, shown
    # It would run.
    with pytest.raises(AnalysisException, match="must be started with writeStream"):
        spark.sql("EXPLAIN ANALYZE SELECT * FROM timed").collect()


def test_continuous_queries(spark, tmp_path):
    stream = spark.readStream.format("rate").option("rowsPerSecond", 50).load().selectExpr("value * 2 AS twice")
    query = stream.writeStream.format("memory").queryName("at_once").trigger(continuous="1 second").start()
    until(lambda: spark.table("at_once").count() > 60)
    query.stop()
    rows = [twice for (twice,) in values(spark.table("at_once"), "twice")]
    assert rows == list(range(0, 2 * len(rows), 2))


def test_continuous_queries_have_checkpoints_of_intervals(spark, tmp_path):
    """Rows come out at once; how far they were read is noted once an interval, and when the query is stopped."""
    stream = spark.readStream.format("rate").option("rowsPerSecond", 50).load()

    def start(name, interval):
        writer = stream.writeStream.format("memory").queryName(name).option("checkpointLocation", str(tmp_path / name))
        return writer.trigger(continuous=interval).start()

    def logged(name, log):
        directory = tmp_path / name / log
        return sorted(int(f.name) for f in directory.iterdir() if f.name.isdigit()) if directory.exists() else []

    query = start("long", "1 hour")
    until(lambda: spark.table("long").count() > 60)
    assert logged("long", "offsets") == [] and query.lastProgress is None
    query.stop()
    assert logged("long", "offsets") == logged("long", "commits") == [0]
    rows = spark.table("long").count()
    assert query.lastProgress["numInputRows"] == query.lastProgress["sink"]["numOutputRows"] == rows
    assert query.lastProgress["sources"][0]["startOffset"] in (None, "null")

    spark.conf.set("spark.sql.streaming.numRecentProgressUpdates", "100000")
    query = start("short", "100 milliseconds")
    until(lambda: len(logged("short", "commits")) > 2)
    query.stop()
    assert sum(p["numInputRows"] for p in query.recentProgress) == spark.table("short").count()


def test_state_that_memory_has_no_room_for(tmp_path):
    """Values of state go to disk, and come back with their keys."""
    from pyspark.sql import functions as F

    server = Server(tmp_path / "home", "--memory-limit", "64MB")
    try:
        spark = server.session()
        spark.conf.set("spark.sql.streaming.minBatchesToRetain", "100000")
        stream = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 5_000).load()
        wide = stream.selectExpr("value % 40000 AS k", "repeat(CAST(value AS STRING), 150) AS text")
        counts = wide.groupBy("k").agg(F.max("text").alias("text"), F.count("*").alias("n"))
        writer = counts.writeStream.format("noop").outputMode("update").option("checkpointLocation", str(tmp_path / "checkpoint"))
        query = writer.start()
        until(lambda: not query.isActive or (query.lastProgress is not None and query.lastProgress["batchId"] >= 11), 300)
        assert query.exception() is None
        query.stop()
        # Each key once, and half of them twice: what was on disk was found again.
        assert query.lastProgress["stateOperators"][0]["memoryUsedBytes"] < 16 << 20
        state = spark.read.format("statestore").option("batchId", 11).load(str(tmp_path / "checkpoint"))
        assert tuple(state.selectExpr("count(*)", "sum(value.count)").first()) == (40_000, 60_000)
    finally:
        server.stop()


def test_old_logs_and_state_are_removed(spark, tmp_path):
    spark.conf.set("spark.sql.streaming.minBatchesToRetain", "3")
    spark.conf.set("spark.sql.streaming.stateStore.minDeltasForSnapshot", "2")
    for n in range(12):
        put(tmp_path / "in", f"{n:02}.json", {"a": n % 2})
    counts = spark.readStream.schema("a INT").option("maxFilesPerTrigger", 1).json(str(tmp_path / "in")).groupBy("a").count()
    writer = counts.writeStream.format("noop").outputMode("update").option("checkpointLocation", str(tmp_path / "c"))
    run(writer)
    for log in ["offsets", "commits"]:
        assert sorted(int(p.name) for p in (tmp_path / "c" / log).iterdir()) >= [8, 9, 10, 11]
        assert min(int(p.name) for p in (tmp_path / "c" / log).iterdir()) >= 8
    versions = sorted(int(p.name.split("_")[0]) for p in (tmp_path / "c" / "state" / "0" / "0").iterdir())
    assert versions[-1] == 12 and versions[0] >= 5
    # The oldest batch that is kept can be read, and a stream goes on from the last.
    state = spark.read.format("statestore").option("batchId", 9).load(str(tmp_path / "c"))
    assert sorted(r["value"]["count"] for r in state.collect()) == [5, 5]
    put(tmp_path / "in", "12.json", {"a": 0})
    run(writer)
    last = spark.read.format("statestore").load(str(tmp_path / "c"))
    assert sorted(r["value"]["count"] for r in last.collect()) == [6, 7]


def hourly(spark, folder):
    from pyspark.sql.functions import col, sum, window

    sales = spark.readStream.schema("customer_id INT, amount DOUBLE, timestamp TIMESTAMP").json(str(folder))
    timed = sales.withWatermark("timestamp", "1 hour")
    return timed.groupBy(window(col("timestamp"), "1 hour"), col("customer_id")).agg(sum("amount").alias("hourly_revenue"))


def bought(customer, amount, hour):
    return {"customer_id": customer, "amount": amount, "timestamp": f"2026-01-01T{hour:02}:10:00Z"}


@pytest.mark.parametrize("by_name", [False, True], ids=["path", "name"])
def test_rows_of_a_table_are_updated(spark, tmp_path, by_name):
    """Update mode into Delta: a window that changes takes the place of what was said of it."""

    def go_on():
        writer = hourly(spark, tmp_path / "in").writeStream.format("delta").outputMode("update").trigger(availableNow=True)
        writer = writer.option("checkpointLocation", str(tmp_path / "c"))
        query = writer.toTable("hourly_revenues") if by_name else writer.start(str(tmp_path / "out"))
        query.awaitTermination(300)
        table = spark.table("hourly_revenues") if by_name else spark.read.format("delta").load(str(tmp_path / "out"))
        return sorted(tuple(r) for r in table.selectExpr("hour(window.start)", "coalesce(customer_id, 0)", "hourly_revenue").collect())

    spark.conf.set("spark.sql.session.timeZone", "UTC")
    put(tmp_path / "in", "1.json", bought(1, 10.0, 10), bought(None, 1.0, 10))
    assert go_on() == [(10, 0, 1.0), (10, 1, 10.0)]
    put(tmp_path / "in", "2.json", bought(1, 5.0, 10), bought(2, 7.0, 11), bought(None, 2.0, 10))
    assert go_on() == [(10, 0, 3.0), (10, 1, 15.0), (11, 2, 7.0)]
    # As after a crash between the commit of the table and the note that the batch is done.
    last = max(int(f.name) for f in (tmp_path / "c" / "commits").glob("[0-9]*"))
    (tmp_path / "c" / "commits" / str(last)).unlink()
    put(tmp_path / "in", "3.json", bought(2, 1.0, 11))
    assert go_on() == [(10, 0, 3.0), (10, 1, 15.0), (11, 2, 8.0)]
    # Too late: the watermark has passed the window.
    put(tmp_path / "in", "4.json", bought(3, 1.0, 20))
    go_on()
    put(tmp_path / "in", "5.json", bought(1, 100.0, 10), bought(3, 2.0, 20))
    assert go_on() == [(10, 0, 3.0), (10, 1, 15.0), (11, 2, 8.0), (20, 3, 3.0)]


def test_updates_of_tables_that_have_keys_and_those_without(spark, tmp_path):
    put(tmp_path / "in", "1.json", bought(1, 10.0, 10), bought(1, 11.0, 11))
    counts = hourly(spark, tmp_path / "in")

    def write(frame, name, **trigger):
        writer = frame.writeStream.format("delta").outputMode("update").option("checkpointLocation", str(tmp_path / f"c{name}"))
        writer.trigger(**(trigger or {"availableNow": True})).start(str(tmp_path / name)).awaitTermination(300)
        return [tuple(r) for r in spark.read.format("delta").load(str(tmp_path / name)).collect()]

    # One group of all rows, and rows that are only added.
    total = counts.sparkSession.readStream.schema("amount DOUBLE").json(str(tmp_path / "in")).groupBy().sum("amount").toDF("total")
    assert write(total, "total") == [(21.0,)]
    put(tmp_path / "in", "2.json", bought(1, 1.0, 10))
    assert write(total, "total") == [(22.0,)]
    assert len(write(spark.readStream.schema("amount DOUBLE").json(str(tmp_path / "in")), "plain")) == 3
    # Keys under other names.
    renamed = counts.selectExpr("customer_id AS who", "window AS hours", "hourly_revenue * 2 AS twice").filter("twice > 0")
    assert len(write(renamed, "renamed")) == 2
    for frame in (counts.select("customer_id", "hourly_revenue"), counts.selectExpr("window.start", "customer_id", "hourly_revenue")):
        with pytest.raises(Exception, match="DELTA_UNSUPPORTED_OUTPUT_MODE"):
            write(frame, "refused")
