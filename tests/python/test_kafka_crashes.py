"""Streams from and to Kafka that are disturbed: the network is cut in the middle of an answer, servers die while they write, topics grow and
lose records meanwhile. Nothing is lost that was there, and nothing is twice where that is promised.

BOATHOUSE_STREAM_FAULT_ROUNDS repeats each case, BOATHOUSE_FAULT_SEED replays a choice.
"""

import collections
import os
import random

import pytest
from conftest import Server
from network import Network
from test_faults import DEATH, SEED, environment
from test_kafka import name, run, stream, wait_for  # noqa: F401
from test_stream_faults import ROUNDS

pytestmark = pytest.mark.skipif("BOATHOUSE_REMOTE" in os.environ, reason="needs servers of its own")
rounds = pytest.mark.parametrize("round", range(ROUNDS))


@pytest.fixture
def randomness(round):
    print(f"seed {SEED}, round {round}")
    return random.Random(SEED + round)


@rounds
def test_the_network_is_cut(kafka, name, randomness, tmp_path):  # noqa: F811
    kafka.topic(name, 2)
    network, server = Network(kafka.broker.far, kafka.broker.near), Server(tmp_path / "home")
    sent = 0
    try:
        spark = server.session()
        rows = stream(spark, kafka, name, **{"kafka.bootstrap.servers": kafka.broker.far}).selectExpr("string(value) value")
        writer = rows.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c"))
        query = writer.start(str(tmp_path / "t"))
        count = spark.read.format("delta")
        for turn in range(3):
            # Sometimes before there is any record to be read, sometimes in the middle of them.
            network.cut_after(randomness.randrange(1, 200_000))
            new = [b"%d" % i + b" " * 200 for i in range(sent, sent + 1000)]
            kafka.send(name, new, turn % 2)
            sent += 1000
            assert network.is_cut.wait(300), "nobody asked for anything"
            network.mend()

            def has_all():
                # A query that gave up, which it may do late, is started again.
                nonlocal query
                query = query if query.isActive else writer.start(str(tmp_path / "t"))
                return count.load(str(tmp_path / "t")).count() >= sent

            wait_for(has_all)
        got = sorted(int(r[0]) for r in count.load(str(tmp_path / "t")).collect())
        assert got == list(range(sent))
        query.stop()
    finally:
        network.cut()
        server.stop()


@rounds
@pytest.mark.parametrize("point", ["streaming::after-offsets", "in the middle", "streaming::after-sink", "streaming::after-commit"])
def test_the_sink_has_everything_at_least_once(kafka, name, randomness, point, tmp_path):  # noqa: F811
    """Without transactions, what is twice is of the one batch that ran again."""
    kafka.topic(name)
    kafka.topic(name + "-out")
    kafka.send(name, [b"%d" % i for i in range(20_000)])
    target = {"kafka.bootstrap.servers": kafka.bootstrap, "topic": name + "-out"}
    limit = randomness.randrange(3000, 9000)

    def write(server):
        rows = stream(server.session(), kafka, name, maxOffsetsPerTrigger=str(limit)).selectExpr("value")
        return rows.writeStream.format("kafka").option("checkpointLocation", str(tmp_path / "c")).options(**target)

    with environment(**{} if point == "in the middle" else {"BOATHOUSE_FAULT": point}):
        server = Server(tmp_path / "home")
    try:
        write(server).trigger(availableNow=True).start()
    except Exception as e:
        # The server may be gone before it says that the query has started; nothing else is a reason to fail.
        assert point != "in the middle" and server.process.wait(300) is not None, e
        assert any(sign in str(e) for sign in DEATH), e
    if point == "in the middle":
        wait_for(lambda: len(kafka.messages(name + "-out")) > 0)
        server.kill()
    else:
        server.process.wait(300)
    server = Server(tmp_path / "home")
    again = write(server).trigger(availableNow=True).start()
    again.awaitTermination(300)
    assert again.exception() is None
    server.stop()
    counts = collections.Counter(int(m[3]) for m in kafka.messages(name + "-out"))
    assert sorted(counts) == list(range(20_000))
    twice = sorted(value for value, n in counts.items() if n > 1)
    assert max(counts.values()) <= 2 and (not twice or twice[-1] - twice[0] < limit)


@rounds
def test_a_topic_changes_while_the_stream_is_down(kafka, name, randomness, tmp_path):  # noqa: F811
    """Records age out between two runs, of which some were not read, and a partition comes up."""
    kafka.topic(name, 1)
    sent = randomness.randrange(50, 200)
    kafka.send(name, [b"%d" % i for i in range(sent)])
    server = Server(tmp_path / "home")
    try:
        spark = server.session()
        limit = randomness.randrange(10, sent)
        run(stream(spark, kafka, name).selectExpr("string(value) value").where(f"int(value) < {limit}"), tmp_path / "c", tmp_path / "t")
        kafka.send(name, [b"%d" % i for i in range(sent, sent + 100)])
        lost = randomness.randrange(1, 100)
        kafka.truncate(name, sent + lost)
        kafka.add_partitions(name, 2)
        kafka.send(name, [b"%d" % i for i in range(1000, 1010)], 1)
        rows = stream(spark, kafka, name).selectExpr("string(value) value")
        with pytest.raises(Exception, match="(?i)data loss|KAFKA_DATA_LOSS|were missed|failOnDataLoss"):
            run(rows, tmp_path / "c", tmp_path / "t")
        tolerant = stream(spark, kafka, name, failOnDataLoss="false").selectExpr("string(value) value")
        run(tolerant, tmp_path / "c", tmp_path / "t")
        got = sorted(int(r[0]) for r in spark.read.format("delta").load(str(tmp_path / "t")).collect())
        assert got == [*range(limit), *range(sent + lost, sent + 100), *range(1000, 1010)]
    finally:
        server.stop()
