"""A query that runs is its own: what becomes of its session, of other queries and of its checkpoint elsewhere does not change it."""

import json
import os
import re
import threading

import pytest
from conftest import Server
from test_faults import Bucket
from test_streaming import put, run, until, values

own_servers = pytest.mark.skipif("BOATHOUSE_REMOTE" in os.environ, reason="needs servers of its own")


def stream_of(spark, folder, schema="a INT"):
    folder.mkdir(exist_ok=True)
    return spark.readStream.schema(schema).option("maxFilesPerTrigger", 1).json(str(folder))


def test_settings_of_the_session_stay_as_they_were(spark, tmp_path):
    """Spark runs a query in a clone of its session."""
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    put(tmp_path / "in", "1.json", {"a": 0})
    shown = stream_of(spark, tmp_path / "in").selectExpr("a", "CAST(timestamp_seconds(a) AS STRING) AS t", "current_timezone() AS z")
    query = shown.writeStream.format("memory").queryName("zones").start()
    query.processAllAvailable()
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    put(tmp_path / "in", "2.json", {"a": 60})
    query.processAllAvailable()
    query.stop()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    assert values(spark.table("zones"), "a", "t", "z") == [(0, "1970-01-01 00:00:00", "UTC"), (60, "1970-01-01 00:01:00", "UTC")]


def test_a_table_is_the_one_that_was_named(spark, tmp_path):
    """Another current schema, and a temporary view of the name, do not lead the next batch elsewhere."""
    spark.sql("CREATE SCHEMA elsewhere")
    query = None
    try:
        put(tmp_path / "in", "1.json", {"a": 1})
        query = stream_of(spark, tmp_path / "in").writeStream.option("checkpointLocation", str(tmp_path / "c")).toTable("stays")
        query.processAllAvailable()
        spark.sql("USE elsewhere")
        put(tmp_path / "in", "2.json", {"a": 2})
        query.processAllAvailable()
        spark.sql("USE default")
        spark.createDataFrame([(7,)], "a INT").createOrReplaceTempView("stays")
        put(tmp_path / "in", "3.json", {"a": 3})
        query.processAllAvailable()
        query.stop()
        assert values(spark.table("default.stays"), "a") == [(1,), (2,), (3,)]
        assert spark.sql("SHOW TABLES IN elsewhere").filter("NOT isTemporary").count() == 0
    finally:
        if query:
            query.stop()
        spark.sql("USE default")
        spark.sql("DROP VIEW IF EXISTS stays")
        spark.sql("DROP TABLE IF EXISTS default.stays")
        spark.sql("DROP SCHEMA elsewhere CASCADE")


def test_batches_of_functions_are_in_the_session_that_started(spark, tmp_path):
    """With Spark Connect, `foreachBatch` works in the client's session: it sees what is set and made there meanwhile."""
    put(tmp_path / "in", "1.json", {"a": 1})
    out = str(tmp_path / "seen")

    def note(batch, batch_id):
        session = batch.sparkSession
        row = session.sql(f"SELECT '{session.conf.get('a.key')}' AS v, count(*) AS n FROM added")
        batch.crossJoin(row).write.mode("append").json(out)

    spark.conf.set("a.key", "one")
    spark.range(2).createOrReplaceTempView("added")
    query = stream_of(spark, tmp_path / "in").writeStream.foreachBatch(note).start()
    query.processAllAvailable()
    spark.conf.set("a.key", "two")
    spark.range(5).createOrReplaceTempView("added")
    put(tmp_path / "in", "2.json", {"a": 2})
    query.processAllAvailable()
    query.stop()
    assert values(spark.read.json(out), "a", "v", "n") == [(1, "one", 2), (2, "two", 5)]


def test_names_and_checkpoints_are_taken_once(spark, tmp_path):
    """Of queries that are started together, one has the name, and one the checkpoint."""
    put(tmp_path / "in", "1.json", {"a": 1})
    stream = stream_of(spark, tmp_path / "in")

    def together(start):
        """How many could start, how many of them run on when all have tried, and what the others were told."""
        started, refused, barrier = [], [], threading.Barrier(4)

        def run_one(n):
            barrier.wait()
            try:
                started.append(start(n))
            except Exception as error:
                refused.append(str(error))

        threads = [threading.Thread(target=run_one, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        active = sum(query.isActive for query in started)
        for query in started:
            query.stop()
        return len(started), active, refused

    started, active, refused = together(lambda n: stream.writeStream.format("noop").queryName("once").start())
    assert (started, active, len(refused)) == (1, 1, 3) and all("already active" in r for r in refused)
    writer = stream.writeStream.format("noop").option("checkpointLocation", str(tmp_path / "c"))
    # Each takes the place of the one before.
    for _ in range(5):
        started, active, refused = together(lambda n: writer.start())
        assert (started, active, refused) == (4, 1, [])
    spark.conf.set("spark.sql.streaming.stopActiveRunOnRestart", False)
    try:
        started, active, refused = together(lambda n: writer.start())
    finally:
        spark.conf.unset("spark.sql.streaming.stopActiveRunOnRestart")
    assert (started, active, len(refused)) == (1, 1, 3)
    assert all(re.search("CONCURRENT_QUERY|is already active", r) for r in refused), refused


def test_any_query_also_one_that_is_started_later(spark, tmp_path):
    forever = stream_of(spark, tmp_path / "in").writeStream.format("noop").start()
    spark.streams.resetTerminated()
    ended = []
    waiting = threading.Thread(target=lambda: ended.append(spark.streams.awaitAnyTermination(60)))
    waiting.start()
    run(stream_of(spark, tmp_path / "other").writeStream.format("noop"))
    waiting.join(60)
    assert ended == [True]
    forever.stop()


def test_operators_are_those_of_the_checkpoint(spark, tmp_path):
    """Spark's errors where operators that remember were added, removed, or changed, in the words of Spark 4.2."""

    def count(stream):
        return stream.groupBy("a").count()

    def first(stream):
        return stream.dropDuplicates(["a"])

    def plain(stream):
        return stream

    other = "STREAMING_STATEFUL_OPERATOR_NOT_MATCH_IN_STATE_METADATA"
    cases = [
        (plain, count, "STREAMING_STATEFUL_OPERATOR_MISSING_STATE_DIRECTORY.*in current batch: \\[\\(OperatorId: 0 -> OperatorName: stateStoreSave\\)\\]"),
        (count, plain, f"{other}.*in the metadata: \\[\\(OperatorId: 0 -> OperatorName: stateStoreSave\\)\\]; .*in current batch: \\[\\]"),
        (count, first, other),
        (first, count, other),
        (count, lambda s: count(first(s)), f"{other}.*\\(OperatorId: 0 -> OperatorName: stateStoreSave\\), \\(OperatorId: 1 -> OperatorName: dedupe\\)"),
        (lambda s: count(first(s)), count, other),
        (first, lambda s: s.select("a").distinct(), None),
        (count, lambda s: s.groupBy("b").count(), "SCHEMA_NOT_COMPATIBLE"),
    ]
    for n, (before, after, words) in enumerate(cases):
        folder = tmp_path / f"in{n}"
        put(folder, "1.json", {"a": 1, "b": "x"})
        stream = stream_of(spark, folder, "a INT, b STRING")

        def once(build, n=n, stream=stream):
            writer = build(stream).writeStream.format("noop").outputMode("update")
            run(writer.option("checkpointLocation", str(tmp_path / f"c{n}")))

        once(before)
        put(folder, "2.json", {"a": 2, "b": "x"})
        if words is None:
            once(after)
        else:
            with pytest.raises(Exception, match=re.compile(words, re.DOTALL)):
                once(after)
            once(before)


def test_state_of_others_is_not_taken_for_none(spark, tmp_path):
    """A checkpoint whose commits do not name state of ours, as one of Spark: its totals would begin with nothing again."""
    put(tmp_path / "in", "1.json", {"a": 1})
    writer = stream_of(spark, tmp_path / "in").groupBy("a").count().writeStream.format("noop").outputMode("update")
    writer = writer.option("checkpointLocation", str(tmp_path / "c"))
    run(writer)
    commit = tmp_path / "c" / "commits" / "0"
    body = json.loads(commit.read_text().split("\n")[1])
    body.pop("stateUniqueIds")
    commit.write_text("v1\n" + json.dumps(body))
    put(tmp_path / "in", "2.json", {"a": 1})
    with pytest.raises(Exception, match="stateStoreSave.*does not name"):
        run(writer)


def test_streams_are_none_of_a_subquery(spark, tmp_path):
    """Spark 4.2 refuses each of these when the query is analyzed."""
    stream_of(spark, tmp_path / "a", "id INT, l STRING").createOrReplaceTempView("sa")
    stream_of(spark, tmp_path / "b", "id INT, l STRING").createOrReplaceTempView("sb")
    spark.createDataFrame([(1,)], "id INT").createOrReplaceTempView("tt")
    for text in [
        "SELECT id FROM sa WHERE id IN (SELECT id FROM sb)",
        "SELECT id FROM sa WHERE id NOT IN (SELECT id FROM sb)",
        "SELECT id FROM sa WHERE id IN (SELECT id FROM sb) OR id = 3",
        "SELECT id FROM sa WHERE EXISTS (SELECT 1 FROM sb WHERE sb.id = sa.id)",
        "SELECT id FROM sa WHERE id = (SELECT max(id) FROM sb)",
        "SELECT id, (SELECT max(id) FROM sb WHERE sb.id = sa.id) AS c FROM sa",
        "SELECT id, c FROM sa, LATERAL (SELECT max(l) AS c FROM sb WHERE sb.id = sa.id)",
        "SELECT id FROM tt WHERE id IN (SELECT id FROM sb)",
    ]:
        with pytest.raises(Exception, match="INVALID_SUBQUERY_EXPRESSION.STREAMING_QUERY"):
            spark.sql(text).writeStream.format("noop").start()
    run(spark.sql("SELECT id FROM sa WHERE id IN (SELECT id FROM tt)").writeStream.format("noop"))


@own_servers
@pytest.mark.usefixtures("own_sessions")
def test_an_answer_that_is_lost_is_no_other_process(tmp_path):
    """The store has what was written, and its answer does not come: the request that is made again finds the file of this query."""
    place = Bucket(tmp_path)
    try:
        place.proxy.fails = re.compile("/checkpoint/(offsets|commits|metadata|sources)")
        spark = place.server.session()
        for n in range(3):
            put(tmp_path / "in", f"{n}.json", {"a": n})
        stream = stream_of(spark, tmp_path / "in")
        run(stream.writeStream.format("delta").option("checkpointLocation", place.path("checkpoint")), place.path("out"))
        assert len(place.proxy.failed) >= 6
        assert values(spark.read.format("delta").load(place.path("out")), "a") == [(0,), (1,), (2,)]
    finally:
        place.close()


@own_servers
@pytest.mark.usefixtures("own_sessions")
def test_a_sink_of_files_is_whole_over_restarts(tmp_path):
    """Two servers in turn write one directory: each file that holds all names has those of the other."""
    servers = [Server(tmp_path / "one"), Server(tmp_path / "two")]
    try:
        for n in range(12):
            put(tmp_path / "in", f"{n:02}.json", {"a": n})
            spark = servers[n % 2].session()
            stream = stream_of(spark, tmp_path / "in")
            run(stream.writeStream.format("parquet").option("checkpointLocation", str(tmp_path / "c")), str(tmp_path / "out"))
        assert (tmp_path / "out" / "_spark_metadata" / "9.compact").exists()
        assert values(spark.read.parquet(str(tmp_path / "out")), "a") == [(n,) for n in range(12)]
    finally:
        for server in servers:
            server.stop()


def test_new_columns_are_noticed_by_every_trigger(spark, tmp_path):
    """`cloudFiles` looks at the files of a batch before the batch has them."""

    def start():
        stream = spark.readStream.format("cloudFiles").option("cloudFiles.format", "json").load(str(tmp_path / "in"))
        writer = stream.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c")).option("mergeSchema", "true")
        return writer.start(str(tmp_path / "out"))

    put(tmp_path / "in", "1.json", {"id": 1})
    query = start()
    query.processAllAvailable()
    put(tmp_path / "in", "2.json", {"id": 2, "note": "new"})
    until(lambda: not query.isActive)
    assert "UNKNOWN_FIELD_EXCEPTION" in str(query.exception())
    query = start()
    query.processAllAvailable()
    query.stop()
    rows = spark.read.format("delta").load(str(tmp_path / "out")).orderBy("id").collect()
    assert [(r.id, r.note, r._rescued_data) for r in rows] == [(1, None, None), (2, "new", None)]


def history(spark, path):
    return spark.sql(f"DESCRIBE HISTORY delta.`{path}`").count() - 1


def last_offset(checkpoint):
    last = max((checkpoint / "offsets").iterdir(), key=lambda p: int(p.name) if p.name.isdigit() else -1)
    return json.loads(last.read_text().split("\n")[2])


def test_commits_without_rows_are_passed(spark, tmp_path):
    """The log of a table that is only compacted goes on without the stream, and is not kept for it."""
    table, checkpoint = str(tmp_path / "t"), tmp_path / "c"
    for n in range(3):
        spark.range(n, n + 1).coalesce(1).write.format("delta").mode("append").save(table)
    writer = spark.readStream.format("delta").load(table).writeStream.format("delta").option("checkpointLocation", str(checkpoint))
    run(writer, str(tmp_path / "out"))
    spark.sql(f"OPTIMIZE delta.`{table}`")
    spark.sql(f"ALTER TABLE delta.`{table}` SET TBLPROPERTIES ('a' = 'b')")
    run(writer, str(tmp_path / "out"))
    offset = last_offset(checkpoint)
    assert (offset["reservoirVersion"], offset["index"]) == (history(spark, table) + 1, -1)
    run(writer, str(tmp_path / "out"))
    assert last_offset(checkpoint) == offset
    spark.range(7, 8).write.format("delta").mode("append").save(table)
    run(writer, str(tmp_path / "out"))
    assert values(spark.read.format("delta").load(str(tmp_path / "out")), "id") == [(0,), (1,), (2,), (7,)]


def test_where_a_stream_began_need_not_be_there_any_more(spark, tmp_path):
    table, log = str(tmp_path / "t"), tmp_path / "t" / "_delta_log"
    for n in range(12):
        spark.range(n, n + 1).write.format("delta").mode("append").save(table)
    stream = spark.readStream.format("delta").option("startingVersion", 2).load(table)
    writer = stream.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c"))
    run(writer, str(tmp_path / "out"))
    for version in range(8):
        (log / f"{version:020}.json").unlink()
    spark.range(50, 51).write.format("delta").mode("append").save(table)
    run(writer, str(tmp_path / "out"))
    assert values(spark.read.format("delta").load(str(tmp_path / "out")), "id") == [(n,) for n in [*range(2, 12), 50]]


def test_changes_are_read_as_far_as_a_batch_goes(spark, tmp_path):
    table = str(tmp_path / "t")
    spark.conf.set("spark.databricks.delta.properties.defaults.enableChangeDataFeed", "true")
    for n in range(7):
        spark.range(n, n + 1).coalesce(1).write.format("delta").mode("append").save(table)
    spark.conf.unset("spark.databricks.delta.properties.defaults.enableChangeDataFeed")
    stream = spark.readStream.format("delta").option("readChangeFeed", "true").option("startingVersion", 0).option("maxFilesPerTrigger", 2).load(table)
    query = run(stream.writeStream.format("memory").queryName("fed").option("checkpointLocation", str(tmp_path / "c")))
    assert [p["numInputRows"] for p in query.recentProgress] == [2, 2, 2, 1]
    assert values(spark.table("fed"), "_commit_version", "id") == [(n, n) for n in range(7)]
