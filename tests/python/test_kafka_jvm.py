"""Spark's own Kafka connector beside ours: streams go back and forth over one checkpoint, the same options give the same rows or the same
refusal, and each reads what the other wrote.

`make test-jvm` runs them: it starts Apache Spark with its Kafka connector and names its Spark Connect server in BOATHOUSE_SPARK_REMOTE.
"""

import json
import re

import pytest
from test_kafka import name, read, run, stream, values, write  # noqa: F401  `name` is a fixture


@pytest.mark.parametrize("first", ["boathouse", "spark"])
def test_a_stream_goes_back_and_forth(jvm, spark, kafka, name, tmp_path, first):  # noqa: F811
    kafka.topic(name, 2)
    sessions = [spark, jvm] if first == "boathouse" else [jvm, spark]
    expected = []
    for turn in range(4):
        sent = [f"{turn}-{i}" for i in range(20)]
        kafka.send(name, sent[:15], 0)
        kafka.send(name, sent[15:], 1)
        expected += sent
        df = stream(sessions[turn % 2], kafka, name, maxOffsetsPerTrigger="7")
        run(df, tmp_path / "c", tmp_path / "t")
        for session in sessions:
            assert values(session.read.format("delta").load(str(tmp_path / "t"))) == sorted(expected)
    offsets = sorted(int(f.name) for f in (tmp_path / "c/offsets").glob("[0-9]*"))
    commits = sorted(int(f.name) for f in (tmp_path / "c/commits").glob("[0-9]*"))
    assert offsets == commits == list(range(len(offsets)))


def outcome(session, kafka, topic, options):
    """The rows, or how they were refused."""
    try:
        rows = read(session, kafka, topic, **options).selectExpr("partition", "offset", "string(key)", "string(value)").collect()
        return sorted(tuple(r) for r in rows)
    except Exception as e:
        # Java names its classes before its messages, we the classes of errors, and groups have names of their own.
        text = str(e).split("JVM stacktrace")[0].replace(topic, "T").strip()
        text = re.sub(r"^(\([\w.]+\) )?(\[[\w.]+\] )?", "", text)
        return text.split(" SQLSTATE")[0].split("consumer group")[0].strip()


def places(topic, **of):
    return json.dumps({topic: of})


@pytest.mark.parametrize("options", [
    {}, {"startingOffsets": {"0": 1, "1": -2}}, {"startingOffsets": {"0": 1}}, {"startingOffsets": {"0": -1, "1": 0}},
    {"startingOffsets": {"0": 5, "1": 0}}, {"startingOffsets": {"0": 99, "1": 0}}, {"endingOffsets": {"0": 2, "1": -1}},
    {"endingOffsets": {"0": -2, "1": -1}}, {"startingOffsets": {"0": 3, "1": 0}, "endingOffsets": {"0": 2, "1": 1}},
    {"startingOffsets": {"0": 0, "1": 0}, "endingOffsets": {"0": 2}},
    {"startingTimestamp": "1700000000002"}, {"startingTimestamp": "1700000009999"}, {"startingTimestamp": "soon"},
    {"startingTimestamp": "1700000009999", "startingOffsetsByTimestampStrategy": "latest"},
    {"endingTimestamp": "1700000000002"}, {"endingTimestamp": "1"},
    {"startingOffsetsByTimestamp": {"0": 1700000000001, "1": 1700000000000}}, {"startingOffsetsByTimestamp": {"0": 1700000000001}},
    {"endingOffsetsByTimestamp": {"0": 1700000000001, "1": 1700000000000}},
    {"subscribe": None, "assign": [1]}, {"subscribe": None, "assign": [7]}, {"minPartitions": "7"}, {"minPartitions": "0"},
    {"maxRecordsPerPartition": "2"}, {"startingOffsets": "latest"}, {"endingOffsets": "earliest"}, {"startingOffsets": "{"},
    {"subscribe": None}, {"kafka.enable.auto.commit": "true"}, {"kafka.key.deserializer": "x"}, {"failOnDataLoss": "maybe"},
], ids=str)
def test_the_same_options(jvm, spark, kafka, topic, options):
    given = {key: places(topic, **value) if isinstance(value, dict) else json.dumps({topic: value}) if isinstance(value, list) else value
             for key, value in options.items()}
    assert outcome(spark, kafka, topic, given) == outcome(jvm, kafka, topic, given)


@pytest.fixture(scope="module")
def topic(kafka):
    topic = kafka.topic("for-all-options", 2)
    for i in range(5):
        kafka.send(topic, [b"a%d" % i], 0, key=b"k", timestamp=1700000000000 + i)
    for i in range(3):
        kafka.send(topic, [b"b%d" % i], 1, timestamp=1700000000000 + i)
    return topic


def test_each_reads_what_the_other_wrote(jvm, spark, kafka, name):  # noqa: F811
    kafka.topic(name, 4)
    headers = "array(struct('a' AS key, X'03' AS value), struct('b' AS key, CAST(NULL AS BINARY) AS value))"
    rows = f"SELECT CAST(id AS STRING) key, IF(id % 3 = 0, NULL, CAST(id AS STRING)) value, IF(id % 2 = 0, {headers}, NULL) headers FROM range(50)"
    write(kafka, spark.sql(rows), name)
    ours = kafka.messages(name)
    kafka.topic(name + "-jvm", 4)
    write(kafka, jvm.sql(rows), name + "-jvm")
    theirs = kafka.messages(name + "-jvm")

    def without_offsets(messages):
        return sorted((m[0], m[2], m[3] or b"", m[4] or []) for m in messages)

    assert without_offsets(ours) == without_offsets(theirs)
    for topic in (name, name + "-jvm"):
        seen = [read(session, kafka, topic, includeHeaders="true").drop("timestamp").collect() for session in (spark, jvm)]
        assert sorted(map(str, seen[0])) == sorted(map(str, seen[1]))
