"""Settings of streams take effect: each changes what a query leaves or tells, against what it does without them (docs/streaming.md)."""

import pytest
from conftest import Server
from test_streaming import put, run, until, values

FILES = 5


def files(spark, folder, schema="a INT, at TIMESTAMP"):
    for n in range(FILES):
        put(folder / "in", f"{n}.json", {"a": n, "at": f"2026-01-01T00:0{n}:00Z"})
    return spark.readStream.schema(schema).option("maxFilesPerTrigger", 1).json(str(folder / "in"))


def noop(frame, folder, mode="append"):
    return frame.writeStream.format("noop").outputMode(mode).option("checkpointLocation", str(folder / "c"))


def recent(spark, folder):
    return len(run(noop(files(spark, folder), folder)).recentProgress)


def batches_without_rows(spark, folder):
    """What the watermark has passed at the end is given out by a batch of its own."""
    windows = files(spark, folder).withWatermark("at", "1 second").groupBy("at").count()
    return [p["numInputRows"] for p in run(noop(windows, folder)).recentProgress]


def counts_of_counts(spark, folder):
    counts = files(spark, folder).groupBy("a").count().groupBy("count").count()
    try:
        run(noop(counts, folder, "update"))
    except Exception as error:
        return "correctness" in str(error)
    return "ran"


def log_of_source(spark, folder):
    run(noop(files(spark, folder), folder))
    return compact(folder / "c" / "sources" / "0")


def log_of_sink(spark, folder):
    run(files(spark, folder).writeStream.format("parquet").option("checkpointLocation", str(folder / "c")), str(folder / "out"))
    return compact(folder / "out" / "_spark_metadata")


def compact(log):
    return sorted(f.name for f in log.glob("*.compact"))


def policy(spark, folder):
    """The watermark of two inputs of which one is far behind."""
    late = files(spark, folder).withWatermark("at", "1 hour")
    both = late.union(files(spark, folder).withWatermark("at", "1 minute")).groupBy("at").count()
    query = run(noop(both, folder, "update"))
    return query.lastProgress["eventTime"]["watermark"][:16]


def columns_found(spark, folder):
    files(spark, folder)
    try:
        return spark.readStream.json(str(folder / "in")).columns
    except Exception as error:
        return "Schema must be specified" in str(error)


def kept_logs(spark, folder):
    run(noop(files(spark, folder), folder))
    return sorted(int(f.name) for f in (folder / "c" / "offsets").iterdir() if f.name.isdigit())


def sees_what_comes(spark, folder):
    """Whether a query looks again beside another one, which starts later and has read all there is."""
    stream = files(spark, folder)
    query = stream.writeStream.format("noop").start()
    until(lambda: query.lastProgress and query.lastProgress["batchId"] == FILES - 1 and query.status["message"] == "Waiting for data to arrive")
    spark.conf.unset("spark.sql.streaming.pollingDelay")
    other = stream.writeStream.format("noop").start()
    other.processAllAvailable()
    # A query that looks may be slow: it has as long as the other one takes for a number of batches.
    count = FILES
    while (waits := query.lastProgress["batchId"] == FILES - 1) and count < FILES + 20:
        put(folder / "in", f"{count}.json", {"a": count})
        other.processAllAvailable()
        count += 1
    if not waits:
        until(lambda: query.lastProgress["batchId"] == count - 1)
    query.stop()
    other.stop()
    return "waits" if waits else "looks"


def idle_events(spark, folder):
    """Of two queries without data one has the setting, and the other the default: who tells more often that it is idle."""
    from pyspark.sql.streaming import StreamingQueryListener

    events, ended = [], []

    class Listener(StreamingQueryListener):
        def onQueryStarted(self, event):
            pass

        def onQueryProgress(self, event):
            pass

        def onQueryIdle(self, event):
            events.append(str(event.id))

        def onQueryTerminated(self, event):
            ended.append(str(event.id))

    listener = Listener()
    spark.streams.addListener(listener)
    stream = files(spark, folder)
    query = stream.writeStream.format("noop").start()
    spark.conf.unset("spark.sql.streaming.noDataProgressEventInterval")
    other = stream.writeStream.format("noop").start()
    for each in (query, other):
        each.processAllAvailable()
    until(lambda: max(events.count(q.id) for q in (query, other)) >= 10)
    told = events.count(query.id), events.count(other.id)
    query.stop()
    other.stop()
    # The client waits for itself where events come while a listener is removed.
    until(lambda: len(ended) == 2)
    spark.streams.removeListener(listener)
    return "alike" if told[0] <= 2 * told[1] else "more"


def started_again(spark, folder):
    """A query that runs is started again."""
    stream = files(spark, folder)
    first = noop(stream, folder).start()
    first.processAllAvailable()
    try:
        second = noop(stream, folder).start()
    except Exception as error:
        assert first.isActive
        first.stop()
        return "another query with same id is already active" in str(error)
    second.processAllAvailable()
    seen = (first.id == second.id, first.isActive, second.isActive, first.exception())
    second.stop()
    return seen


def nullable(spark, folder):
    fields = files(spark, folder, "a INT NOT NULL, at TIMESTAMP").schema.fields
    stream = files(spark, folder, "a INT NOT NULL, at TIMESTAMP")
    run(stream.selectExpr("a + 1 AS b").writeStream.format("memory").queryName("nulls"))
    assert values(spark.table("nulls"), "b") == [(n + 1,) for n in range(FILES)]
    return [f.nullable for f in fields]


def without_log(spark, folder):
    """Files beside those that the log of a sink names."""
    out = folder / "out"
    run(files(spark, folder).writeStream.format("json").option("checkpointLocation", str(folder / "c")), str(out))
    put(out, "other.json", {"a": 100})
    return spark.read.schema("a INT").json(str(out)).count()


def without_id(spark, folder):
    run(noop(files(spark, folder), folder))
    (folder / "c" / "metadata").unlink()
    try:
        run(noop(files(spark, folder), folder))
    except Exception as error:
        return "STREAMING_CHECKPOINT_MISSING_METADATA_FILE" in str(error)
    return "ran"


def short_batches(spark, folder):
    rate = spark.readStream.format("rate").load()
    try:
        query = rate.writeStream.format("console").outputMode("update").trigger(realTime="1 second").start()
    except Exception as error:
        return str(error).split("]")[0].strip("[")
    query.stop()


def old_logs_of_source(spark, folder):
    """The numbers of the files of the log of a source, of which those that hold all come each second batch."""
    for key, value in [("fileSource.log.compactInterval", "2"), ("fileSource.log.cleanupDelay", "0s"), ("minBatchesToRetain", "2")]:
        spark.conf.set(f"spark.sql.streaming.{key}", value)
    run(noop(files(spark, folder), folder))
    return sorted(int(f.name.split(".")[0]) for f in (folder / "c" / "sources" / "0").iterdir())


# The setting below `spark.sql.streaming.`, what is looked at, what is seen without the setting, the setting's value, what is seen with it.
CASES = [
    ("numRecentProgressUpdates", recent, 5, "2", 2),
    ("noDataMicroBatches.enabled", batches_without_rows, [1] * FILES + [0], "false", [1] * FILES),
    ("statefulOperator.checkCorrectness.enabled", counts_of_counts, True, "false", "ran"),
    ("fileSource.log.compactInterval", log_of_source, [], "3", ["2.compact"]),
    ("fileSink.log.compactInterval", log_of_sink, [], "3", ["2.compact"]),
    ("multipleWatermarkPolicy", policy, "2025-12-31T23:04", "max", "2026-01-01T00:03"),
    ("schemaInference", columns_found, True, "true", ["a", "at"]),
    ("minBatchesToRetain", kept_logs, [0, 1, 2, 3, 4], "3", [2, 3, 4]),
    # Two are kept at the least.
    ("minBatchesToRetain", kept_logs, [0, 1, 2, 3, 4], "1", [3, 4]),
    ("fileSource.log.deletion", old_logs_of_source, [1, 2, 3, 4], "false", [0, 1, 2, 3, 4]),
    ("stopActiveRunOnRestart", started_again, (True, False, True, None), "false", True),
    ("fileSource.schema.forceNullable", nullable, [True, True], "false", [False, True]),
    ("fileStreamSink.ignoreMetadata", without_log, FILES, "true", FILES + 1),
    ("checkpoint.verifyMetadataExists.enabled", without_id, True, "false", "ran"),
    ("realTimeMode.minBatchDuration", short_batches, "INVALID_STREAMING_REAL_TIME_MODE_TRIGGER_INTERVAL", "100ms",
     "STREAMING_REAL_TIME_MODE.INPUT_STREAM_NOT_SUPPORTED"),
    ("pollingDelay", sees_what_comes, "looks", "1h", "waits"),
    ("noDataProgressEventInterval", idle_events, "alike", "50ms", "more"),
]


@pytest.mark.parametrize("key, seen, without, value, expected", CASES, ids=[f"{c[0]}={c[3]}" for c in CASES])
def test_the_setting_takes_effect(spark, tmp_path, key, seen, without, value, expected):
    if seen is not idle_events:
        # What is told by default comes after 10 seconds.
        assert seen(spark, tmp_path / "without") == without
    spark.conf.set(f"spark.sql.streaming.{key}", value)
    assert seen(spark, tmp_path / "with") == expected


def test_checkpoints_are_where_the_session_says(spark, tmp_path):
    stream = files(spark, tmp_path)
    spark.conf.set("spark.sql.streaming.checkpointLocation", str(tmp_path / "all"))
    run(stream.writeStream.format("parquet").queryName("here"), str(tmp_path / "out"))
    assert (tmp_path / "all" / "here" / "commits" / "4").exists()
    assert values(spark.read.parquet(str(tmp_path / "out")), "a") == [(n,) for n in range(FILES)]


@pytest.mark.parametrize("force", ["false", "true"])
def test_temporary_checkpoints_of_failures(tmp_path, own_sessions, force):
    """What became of a query that failed may be looked at, unless the session says otherwise."""
    server = Server(tmp_path / "home")
    try:
        spark = server.session()
        spark.conf.set("spark.sql.streaming.forceDeleteTempCheckpointLocation", force)
        query = files(spark, tmp_path).selectExpr("assert_true(a < 0)").writeStream.format("noop").start()
        with pytest.raises(Exception, match="USER_RAISED_EXCEPTION"):
            query.awaitTermination(300)
        left = list((tmp_path / "home" / "tmp").rglob("temporary-*/metadata"))
        assert [query.id in p.read_text() for p in left] == ([True] if force == "false" else [])
        fine = files(spark, tmp_path).writeStream.format("noop").trigger(availableNow=True).start()
        assert fine.awaitTermination(300)
        assert list((tmp_path / "home" / "tmp").rglob("temporary-*/metadata")) == left
    finally:
        server.stop()


def test_an_event_time_is_a_column(spark, tmp_path):
    nested = files(spark, tmp_path).selectExpr("struct(at) AS s", "a")
    with pytest.raises(Exception, match="EVENT_TIME_MUST_BE_TOP_LEVEL_COLUMN"):
        _ = nested.withWatermark("s.at", "1 second").schema
    assert nested.selectExpr("s.at AS at").alias("t").withWatermark("t.at", "1 second").columns == ["at"]


def test_what_is_noted_of_an_event_time_is_of_the_column(spark, tmp_path):
    """A cast to the type that a column has is no column, as in Spark."""
    marked = files(spark, tmp_path).withWatermark("at", "1 second")
    run(noop(marked.selectExpr("at AS t").groupBy("t").count(), tmp_path))
    with pytest.raises(Exception, match="without watermark"):
        noop(marked.selectExpr("CAST(at AS TIMESTAMP) AS t").groupBy("t").count(), tmp_path).start()


@pytest.mark.parametrize("time", ["current_timestamp()", "now()", "current_date()", "localtimestamp()", "unix_timestamp()"])
def test_rows_without_batches_have_no_time(spark, time):
    rate = spark.readStream.format("rate").load().selectExpr("value", f"{time} AS t")
    with pytest.raises(Exception, match="Continuous processing does not support current time operations"):
        rate.writeStream.format("noop").trigger(continuous="1 second").start()
    spark.readStream.format("rate").load().selectExpr("rand()").writeStream.format("noop").trigger(continuous="1 second").start().stop()
