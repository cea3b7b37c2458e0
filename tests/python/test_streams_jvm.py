"""Streams without state go back and forth between us and Spark on the JVM: over one checkpoint, each goes on where the other stopped.

`make test-jvm` runs them: it starts Apache Spark with delta-spark and names its Spark Connect server in BOATHOUSE_SPARK_REMOTE.
"""


import pytest
from test_streaming import put


def read(spark, kind, place, sink):
    """What is new since the last turn, in batches of a file."""
    reader = spark.readStream.option("maxFilesPerTrigger", 1)
    rows = reader.format("delta").load(str(place / "in")) if kind == "delta" else reader.schema("a INT").json(str(place / "in"))
    writer = rows.filter("a >= 0").writeStream.format(sink).option("checkpointLocation", str(place / "c"))
    query = writer.trigger(availableNow=True).start(str(place / "out"))
    query.awaitTermination()
    return query.id


def add(spark, kind, place, *values):
    if kind == "delta":
        spark.createDataFrame([(v,) for v in values], "a INT").coalesce(1).write.format("delta").mode("append").save(str(place / "in"))
    else:
        put(place / "in", f"{values[0]:03}.json", *[{"a": v} for v in values])


PAIRS = [("files", "delta"), ("files", "parquet"), ("delta", "delta")]
# Spark's second form of the log of offsets is the one of queries that it begins.
CASES = [(*pair, first, "1") for pair in PAIRS for first in ("boathouse", "spark")] + [(*pair, "spark", "2") for pair in (PAIRS[0], PAIRS[2])]


@pytest.mark.parametrize("kind, sink, first, log", CASES, ids=["-".join(case) for case in CASES])
def test_a_stream_goes_back_and_forth(jvm, spark, tmp_path, kind, sink, first, log):
    jvm.conf.set("spark.sql.streaming.offsetLog.formatVersion", log)
    sessions = [spark, jvm] if first == "boathouse" else [jvm, spark]
    ids, expected = set(), []
    # More than ten batches: the logs of files and of the sink are made one file on the way.
    for turn in range(3):
        for n in range(4):
            values = [turn * 100 + n * 10 + i for i in range(1 + n)]
            add(spark, kind, tmp_path, *values)
            expected += values
        ids.add(read(sessions[turn % 2], kind, tmp_path, sink))
        for session in sessions:
            out = session.read.format(sink).load(str(tmp_path / "out")).collect()
            assert sorted(r.a for r in out) == expected, f"turn {turn}, by {session}"
    assert len(ids) == 1
    offsets, commits = (sorted(int(f.name) for f in (tmp_path / "c" / part).glob("[0-9]*")) for part in ("offsets", "commits"))
    assert offsets == commits == list(range(12))
    assert (tmp_path / "c" / "offsets" / "0").read_text().startswith(f"v{log}\n")


@pytest.mark.parametrize("first", ["boathouse", "spark"])
def test_a_batch_that_was_planned_by_the_other(jvm, spark, tmp_path, first):
    """The plan of a batch is kept: it is run again with its rows by whoever comes."""
    one, other = (spark, jvm) if first == "boathouse" else (jvm, spark)
    add(spark, "files", tmp_path, 1)
    read(one, "files", tmp_path, "delta")
    add(spark, "files", tmp_path, 2, 3)
    read(one, "files", tmp_path, "delta")
    # As after a crash before the note that it is done.
    (tmp_path / "c" / "commits" / "1").unlink()
    (tmp_path / "c" / "commits" / ".1.crc").unlink(missing_ok=True)
    add(spark, "files", tmp_path, 4)
    read(other, "files", tmp_path, "delta")
    assert sorted(r.a for r in spark.read.format("delta").load(str(tmp_path / "out")).collect()) == [1, 2, 3, 4]
