"""A stream dies before and after each durable step: of its logs, its state, its sink. Then it is started again, and its output,
state and offsets are those of a stream that nothing disturbed.

Each case is an aggregation, a join or a deduplication into a Delta table, over random rows. On the local disk the server ends
itself at a fault point (`spec::fault`, in debug builds); on an S3-like server a proxy between the two kills it before it passes
a request on, or before it gives the answer (`test_faults.py`). A part of the cases dies again when it is started again.

BOATHOUSE_STREAM_FAULT_CASES sets how many of the steps are tried for each kind of stream (`all`: each), BOATHOUSE_FAULT_SEED
replays a choice, BOATHOUSE_STREAM_FAULT_ROUNDS repeats everything with other rows.
"""

import json
import os
import pathlib
import random
import re
import signal

import pytest
from conftest import Server
from test_faults import SEED, SOURCES, Bucket, Disk
from test_streaming import until

pytestmark = pytest.mark.usefixtures("own_sessions")

CASES = os.environ.get("BOATHOUSE_STREAM_FAULT_CASES", "4")
ROUNDS = int(os.environ.get("BOATHOUSE_STREAM_FAULT_ROUNDS", "1"))
LEFT, RIGHT = "id INT, at TIMESTAMP, l STRING", "id INT, at2 TIMESTAMP, r STRING"
FILES = 5
# Old logs, old state and snapshots are there after few batches, so that removing and writing them is a step to die at.
SETTINGS = {"spark.sql.streaming.minBatchesToRetain": "2", "spark.sql.streaming.stateStore.minDeltasForSnapshot": "1"}


def write_files(folder, randomness):
    """Rows of two streams, a file a batch, whose times go on, some late and some twice."""
    for side, at in (("a", "at"), ("b", "at2")):
        (folder / side).mkdir(parents=True)
        for n in range(FILES):
            rows = []
            for _ in range(randomness.randrange(5, 40)):
                minute = max(0, n * 15 + randomness.randrange(-40, 15))
                row = {"id": randomness.randrange(6), at: f"2026-01-01T{minute // 60:02}:{minute % 60:02}:00Z", {"a": "l", "b": "r"}[side]: f"{side}{n}"}
                rows += [row] * randomness.choice([1, 1, 1, 2])
            file = folder / side / f"{n}.json"
            file.write_text("".join(json.dumps(r) + "\n" for r in rows))
            os.utime(file, (1.7e9 + n, 1.7e9 + n))


class Stream:
    """What `test_faults` runs: a stream that reads all there is into the table `out`."""

    def __init__(self, name, build, folder, mode="append"):
        self.name, self.build, self.folder, self.mode = name, build, folder, mode

    def source(self, spark, side, schema):
        return spark.readStream.schema(schema).option("maxFilesPerTrigger", 1).json(str(self.folder / side))

    # What is written, and read back: a sink of files by its log.
    format = "delta"

    def run(self, spark, path):
        for key, value in SETTINGS.items():
            spark.conf.set(key, value)
        writer = self.build(self, spark).writeStream.format(self.format).outputMode(self.mode).option("checkpointLocation", f"{path}/checkpoint")
        query = writer.trigger(availableNow=True).start(f"{path}/out")
        query.awaitTermination()

    def seen(self, spark, path):
        """Output, state, offsets, and what was read last: all but ids and times of the clock."""
        out = sorted(map(str, spark.read.format(self.format).load(f"{path}/out").collect()))
        state = []
        for store in self.stores:
            frame = spark.read.format("statestore").options(**store).load(f"{path}/checkpoint")
            state.append(sorted(map(str, frame.collect())))
        return out, state

    stores = ({},)


def aggregation(stream, spark):
    timed = stream.source(spark, "a", LEFT).withWatermark("at", "10 minutes")
    return timed.selectExpr("id", "window(at, '20 minutes') AS w", "l").groupBy("w", "id").agg({"l": "max", "*": "count"}).toDF("w", "id", "l", "n")


def deduplication(stream, spark):
    return stream.source(spark, "a", LEFT).withWatermark("at", "10 minutes").dropDuplicates(["id", "at"])


def join(stream, spark):
    from pyspark.sql.functions import expr

    left = stream.source(spark, "a", LEFT).withWatermark("at", "10 minutes").alias("a")
    right = stream.source(spark, "b", RIGHT).withWatermark("at2", "10 minutes").alias("b")
    on = expr("a.id = b.id AND b.at2 >= a.at AND b.at2 <= a.at + INTERVAL 20 MINUTES")
    return left.join(right, on, "leftOuter").selectExpr("a.id", "at", "l", "b.id AS id2", "at2", "r")


def sessions(stream, spark):
    timed = stream.source(spark, "a", LEFT).withWatermark("at", "10 minutes")
    from pyspark.sql.functions import session_window

    return timed.groupBy(session_window("at", "5 minutes").alias("w"), "id").count()


def streams(folder):
    made = [Stream("aggregation", aggregation, folder), Stream("deduplication", deduplication, folder), Stream("join", join, folder)]
    made += [Stream("sessions", sessions, folder), Stream("aggregation, complete", aggregation, folder, "complete")]
    made[2].stores = ({"joinSide": "left"}, {"joinSide": "right"})
    made.append(Stream("files", aggregation, folder))
    made[-1].format = "parquet"
    return made


# Points that the streams of this test do not come to, with the reason.
UNREACHED = {
    # Files are cleaned away in `test_stream_crashes.py`, where each of these points must be come to.
    "streaming::before-clean",
}


def chosen(steps, randomness):
    return range(steps) if CASES == "all" else sorted(randomness.sample(range(steps), min(int(CASES), steps)))


@pytest.mark.parametrize("place", [Disk, Bucket], ids=["disk", "s3"])
@pytest.mark.parametrize("round", range(ROUNDS))
def test_death_at_each_step_of_a_stream(place, round, tmp_path):
    randomness = random.Random(SEED + round)
    print(f"seed {SEED}, round {round}")
    write_files(tmp_path / "in", randomness)
    kinds = streams(tmp_path / "in")
    if place is Bucket and CASES != "all":
        kinds = randomness.sample(kinds, 1)
    place = place(tmp_path)
    deaths, reached = 0, set()
    try:
        for stream in kinds:
            undisturbed = stream.name.replace(" ", "_").replace(",", "")
            steps = place.count(stream, undisturbed)
            reached.update(steps)
            spark = place.server.session()
            wanted = stream.seen(spark, place.path(undisturbed)), offsets(place, undisturbed)
            for step in chosen(len(steps), randomness):
                label = f"{stream.name}, at step {step} ({steps[step]}), seed {SEED}, round {round}"
                name = f"{undisturbed}_{step}"
                deaths += place.run_to_death(stream, name, step)
                if randomness.random() < 0.3:
                    deaths += place.run_to_death(stream, name, randomness.randrange(20))
                stream.run(spark, place.path(name))
                got = stream.seen(spark, place.path(name)), offsets(place, name)
                assert got == wanted, label
                place.remove(name)
        if isinstance(place, Disk):
            text = "".join(p.read_text() for p in SOURCES.glob("streaming/src/**/*.rs"))
            points = set(re.findall(r'fault::(?:io_)?point\("(streaming::[^"]+)"\)', text))
            assert points - reached - UNREACHED == set(), "points that no stream comes to"
        print(f"{deaths} deaths")
        assert deaths > 0
    finally:
        place.close()


def offsets(place, name):
    """Which batches were planned and done, and how far each read."""
    if isinstance(place, Disk):
        root = pathlib.Path(place.path(name)) / "checkpoint"
        files = {p.relative_to(root).as_posix(): p.read_text() for log in ("offsets", "commits") for p in (root / log).iterdir() if p.name[0] != "."}
    else:
        prefix = f"{name}/checkpoint/"
        keys = [k for k in place.objects(name) if k.startswith((prefix + "offsets/", prefix + "commits/"))]
        files = {k.removeprefix(prefix): place.client.get_object(Bucket="tables", Key=k)["Body"].read().decode() for k in keys}
    kept = {}
    # What is older may be there or not: a stream that dies while it removes it, and has nothing to do ever after, leaves it.
    newest = sorted({int(file.split("/")[1]) for file in files})[-2:]
    for file, text in files.items():
        if int(file.split("/")[1]) not in newest:
            continue
        lines = text.split("\n")
        header = json.loads(lines[1])
        kept[file] = [header.get("batchWatermarkMs"), header.get("nextBatchWatermarkMs"), *lines[2:]]
    return kept


@pytest.mark.parametrize("paused", [False, True], ids=["both run", "one is asleep"])
def test_one_of_two_processes_goes_on(paused, tmp_path):
    """Two servers run one query on one checkpoint: exactly one goes on, and the table has each row once."""
    folder = tmp_path / "in"
    write_files(folder, random.Random(SEED))
    waiting = [(folder / "a" / f"{n}.json").rename(tmp_path / f"later{n}.json") for n in range(1, FILES)]
    stream = Stream("rows", None, folder)
    servers = [Server(tmp_path / "one"), Server(tmp_path / "two")]
    try:
        sessions = [server.session() for server in servers]
        queries = []
        for spark in sessions:
            writer = stream.source(spark, "a", LEFT).writeStream.format("delta").option("checkpointLocation", str(tmp_path / "checkpoint"))
            queries.append(writer.start(str(tmp_path / "out")))
            queries[0].processAllAvailable()
        if paused:
            servers[0].process.send_signal(signal.SIGSTOP)
        for n, file in enumerate(waiting, 1):
            file.rename(folder / "a" / f"{n}.json")
            if paused:
                queries[1].processAllAvailable()
        if paused:
            servers[0].process.send_signal(signal.SIGCONT)
        until(lambda: sum(q.isActive for q in queries) == 1)
        winner, loser = queries if queries[0].isActive else reversed(queries)
        assert "CONCURRENT_STREAM_LOG_UPDATE" in str(loser.exception())
        winner.processAllAvailable()
        rows = sorted(map(str, sessions[1].read.format("delta").load(str(tmp_path / "out")).collect()))
        assert rows == sorted(map(str, sessions[1].read.schema(LEFT).json(str(folder / "a")).collect()))
    finally:
        for server in servers:
            server.process.send_signal(signal.SIGCONT)
            server.stop()
