"""Settings of streams take effect: each changes what a query leaves or tells, against what it does without them (docs/streaming.md)."""

import pytest
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
    for n in range(FILES, FILES + 3):
        put(folder / "in", f"{n}.json", {"a": n})
        other.processAllAvailable()
    if waits := query.lastProgress["batchId"] == FILES - 1:
        other.stop()
    else:
        until(lambda: query.lastProgress["batchId"] == FILES + 2)
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
    until(lambda: max(events.count(q.id) for q in (query, other)) >= 10, 60)
    told = events.count(query.id), events.count(other.id)
    query.stop()
    other.stop()
    # The client waits for itself where events come while a listener is removed.
    until(lambda: len(ended) == 2)
    spark.streams.removeListener(listener)
    return "alike" if told[0] <= 2 * told[1] else "more"


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
