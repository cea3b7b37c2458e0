"""A stream dies before and after each durable step: of its logs, its state, its sink. Then it is started again, and its output,
state and offsets are those of a stream that nothing disturbed.

Each case is an aggregation, a join or a deduplication into a Delta table, over random rows. The server ends itself at a fault
point (`spec::fault`, in debug builds), or a proxy between it and an S3-like server kills it before it passes a request on, or
before it gives the answer (`test_faults.py`). A part of the cases dies again when it is started again.

A step is known by what it does, and by the how manieth such step of its run it is, not by its number among all steps: files of state
and the files of a sink are written side by side, to an object store above all, so that they may come in any order. Each order is
sound, as neither is anything before the log of commits names it.

BOATHOUSE_STREAM_FAULT_CASES sets how many of the PLACES each kind of stream dies at (`all`: each), BOATHOUSE_FAULT_SEED
replays a choice, BOATHOUSE_STREAM_FAULT_ROUNDS repeats everything with other rows and other steps of the places.
"""

import collections
import json
import os
import pathlib
import random
import re
import signal
import typing

import pytest
from conftest import Server
from test_faults import SEED, SOURCES, Bucket, Disk, environment, runs_to_death
from test_streaming import until

pytestmark = pytest.mark.usefixtures("own_sessions")

CASES = os.environ.get("BOATHOUSE_STREAM_FAULT_CASES", "4")
ROUNDS = int(os.environ.get("BOATHOUSE_STREAM_FAULT_ROUNDS", "1"))
LEFT, RIGHT = "id INT, at TIMESTAMP, l STRING", "id INT, at2 TIMESTAMP, r STRING"
FILES = 5
# Old logs, old state and snapshots are there after few batches, so that removing and writing them is a step to die at.
SETTINGS = {
    "spark.sql.streaming.minBatchesToRetain": "2",
    "spark.sql.streaming.stateStore.minDeltasForSnapshot": "1",
    "spark.sql.streaming.fileSource.log.compactInterval": "2",
    "spark.sql.streaming.fileSource.log.cleanupDelay": "0",
}

# Where streams are to die, and which steps these are: fault points, and requests to the store.
PLACES = {
    "before the query has its id": r"(half-written|before-link|before PUT) checkpoint/metadata$",
    "before its first batch is planned": r"(after-link|after PUT) checkpoint/metadata$",
    "while a batch is planned": r"(half-written|before-link|before PUT) checkpoint/offsets/",
    "when a batch is planned": r"(after-link|after PUT) checkpoint/offsets/|after-offsets",
    "when a source has noted its files": r"(after-link|after PUT) checkpoint/sources/N/N$",
    "while a source notes its files": r"(half-written|before-link|before PUT) checkpoint/sources/N/N$",
    "while a source is read": r"streaming::reading",
    "when rows are merged with the state": r"before-state",
    "while state is written": r"(half-written|before PUT) checkpoint/state/N/N",
    "when some of the state is written": r"after-state-file|after PUT checkpoint/state/N/N",
    "while state is described": r"(half-written|link|PUT) checkpoint/state/N/_metadata",
    "before files of the sink": r"after-state |delta::before-bytes|before PUT out/part",
    "before the commit of the sink": r"delta::(after-bytes|after-data-file|before-vectors|after-vectors|before-commit)|after-files|after PUT out/part"
    r"|(half-written|before-link|before PUT) out/(_delta_log/N.json|_spark_metadata/N)",
    "after the commit of the sink": r"(after-link|after PUT) out/(_delta_log/N.json|_spark_metadata/N)|delta::after-commit|after-sink"
    r"|half-written out/_delta_log/N.crc",
    "while a batch is noted as done": r"(half-written|before-link|before PUT) checkpoint/commits/",
    "when a batch is done": r"(after-link|after PUT) checkpoint/commits/|streaming::after-commit",
    "while old logs are removed": r"(before-purge|DELETE) checkpoint/(offsets|commits|sources)",
    "while a log is made one file": r"(half-written|link|PUT) checkpoint/sources/N/N.compact",
    "when state is written whole": r"after-snapshot",
    "while old state is removed": r"(before-purge|DELETE) checkpoint/state",
}


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
    made.append(Stream("aggregation, update", aggregation, folder, "update"))
    made[2].stores = ({"joinSide": "left"}, {"joinSide": "right"})
    made.append(Stream("files", aggregation, folder))
    made[-1].format = "parquet"
    return made


# Points that the streams of this test do not come to, with the reason.
UNREACHED = {
    # Files are cleaned away in `test_stream_crashes.py`, where each of these points must be come to.
    "streaming::before-clean",
}


class Step(typing.NamedTuple):
    """The n-th of the steps that do the same."""

    what: str
    n: int


def described(what, name):
    """A fault point or a request, without what differs from run to run and from batch to batch."""
    what, _, file = what.partition(f"/{name}/")
    kind = re.match(r"(before |after )?\S+", what)[0]
    file = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", file)
    return f"{kind} {re.sub('[0-9]+', 'N', file)}"


def numbered(steps):
    counts = collections.Counter()
    for what in steps:
        counts[what] += 1
        yield Step(what, counts[what])


def fault_of(step, steps):
    """The fault point of a step, and the how manieth time it is: a server knows the names of points alone."""
    point = step.what.split()[0]
    return point, sum(s.what.split()[0] == point for s in steps[: steps.index(step) + 1])


class OnDisk(Disk):
    def dying(self, fault=None):
        """A server that is to die."""
        with environment(**({"BOATHOUSE_FAULT": fault} if fault else {})):
            return Server(self.directory / "home of the dying")

    def steps(self, stream, name):
        self.log.write_text("")
        stream.run(self.server.session(), self.path(name))
        return list(numbered(described(line, name) for line in self.log.read_text().splitlines()))

    def dies_at(self, stream, name, step, steps):
        """Runs a stream by a server that is to die at a step; whether it did, and where."""
        self.log.write_text("")
        point, times = fault_of(step, steps)
        died = self.run_to_fault(stream, name, f"{point} {times}")
        lines = [described(line, name) for line in self.log.read_text().splitlines() if line.split()[0] == point]
        return died, lines[times - 1] if len(lines) >= times else None


class OnS3(Bucket):
    def __init__(self, directory):
        self.log = directory / "points.txt"
        self.log.touch()
        with environment(BOATHOUSE_FAULT_LOG=str(self.log)):
            super().__init__(directory)

    def dying(self, fault=None):
        with environment(**self.through_proxy, **({"BOATHOUSE_FAULT": fault} if fault else {})):
            return Server(self.directory / "home of the dying")

    def steps(self, stream, name):
        self.log.write_text("")
        requests = self.count(stream, name)
        points = self.log.read_text().splitlines()
        return list(numbered(described(what, name) for what in points + requests))

    def dies_at(self, stream, name, step, steps):
        when = step.what.split()[0]
        if when not in ("before", "after"):
            server = self.dying("{} {}".format(*fault_of(step, steps)))
            return runs_to_death(server, stream, self.path(name)), step.what
        server = self.dying()
        request = step.what.removeprefix(when + " ")
        self.proxy.watch(server, 2 * (step.n - 1) + (when == "after"), lambda r: described(r, name) == request)
        try:
            return runs_to_death(server, stream, self.path(name)), step.what
        finally:
            self.proxy.watch(None, 0)


def chosen(steps, randomness):
    """A step of each of the places, or of some of them, as far as the stream comes to them."""
    found = {place: [s for s in steps if re.search(pattern, s.what)] for place, pattern in PLACES.items()}
    found = {place: some for place, some in found.items() if some}
    names = list(found) if CASES == "all" else sorted(randomness.sample(list(found), min(int(CASES), len(found))))
    return {name: randomness.choice(found[name]) for name in names}


@pytest.mark.parametrize("kind", range(3), ids=["aggregation", "deduplication", "join"])
@pytest.mark.parametrize("place", [OnDisk, OnS3], ids=["disk", "s3"])
@pytest.mark.parametrize("round", range(ROUNDS))
def test_death_at_each_step_of_a_stream(place, kind, round, tmp_path):
    randomness = random.Random(SEED + round)
    print(f"seed {SEED}, round {round}")
    write_files(tmp_path / "in", randomness)
    kinds = streams(tmp_path / "in")
    # Each round has one of the others.
    others = [kinds[3 + round % (len(kinds) - 3)]] if place is OnDisk and kind == 0 else []
    kinds = [kinds[kind], *others]
    place = place(tmp_path)
    deaths = 0
    try:
        for stream in kinds:
            deaths += sum(dies_and_goes_on(place, stream, randomness))
        print(f"{deaths} deaths")
        assert deaths > 0
    finally:
        place.close()


def dies_and_goes_on(place, stream, randomness):
    """Deaths at places, each of a run of its own."""
    undisturbed = stream.name.replace(" ", "_").replace(",", "")
    steps = place.steps(stream, undisturbed)
    spark = place.server.session()
    wanted = stream.seen(spark, place.path(undisturbed)), offsets(place, undisturbed)
    for n, (where, step) in enumerate(chosen(steps, randomness).items()):
        label = f"{stream.name}, {where}: {step}, seed {SEED}"
        name = f"{undisturbed}_run_{n}"
        died, what = place.dies_at(stream, name, step, steps)
        assert died, f"{label}: it did not die"
        assert re.search(PLACES[where], what), f"{label}: it died at {what}"
        yield 1
        if randomness.random() < 0.3:
            yield place.dies_at(stream, name, randomness.choice(steps), steps)[0]
        stream.run(spark, place.path(name))
        got = stream.seen(spark, place.path(name)), offsets(place, name)
        assert got == wanted, label
        place.remove(name)


def test_streams_come_to_each_place(tmp_path):
    """Each place has steps, each point is come to, and each durable step is of a place."""
    write_files(tmp_path / "in", random.Random(SEED))
    place = OnDisk(tmp_path)
    try:
        steps = {s.what for i, stream in enumerate(streams(tmp_path / "in")) for s in place.steps(stream, f"run{i}")}
    finally:
        place.close()
    text = "".join(p.read_text() for p in SOURCES.glob("streaming/src/**/*.rs"))
    points = set(re.findall(r'fault::(?:io_)?point(?:_at)?\("(streaming::[^"]+)"', text))
    assert points - {s.split()[0] for s in steps} - UNREACHED == set(), "points that no stream comes to"
    assert [p for p, pattern in PLACES.items() if not any(re.search(pattern, s) for s in steps)] == []
    assert [s for s in steps if not any(re.search(pattern, s) for pattern in PLACES.values())] == []


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


@pytest.mark.parametrize("round", range(ROUNDS))
@pytest.mark.parametrize("paused", [False, True], ids=["both run", "one is asleep"])
@pytest.mark.parametrize("kind", [Disk, Bucket], ids=["disk", "s3"])
def test_one_of_two_processes_goes_on(kind, paused, round, tmp_path):
    """Two servers run one query on one checkpoint: exactly one goes on, and the table has each row once."""
    folder = tmp_path / "in"
    write_files(folder, random.Random(SEED + round))
    waiting = [(folder / "a" / f"{n}.json").rename(tmp_path / f"later{n}.json") for n in range(1, FILES)]
    stream, place = Stream("rows", None, folder), kind(tmp_path)
    with environment(**getattr(place, "through_proxy", {})):
        servers = [Server(tmp_path / "one"), Server(tmp_path / "two")]
    try:
        sessions = [server.session() for server in servers]
        queries = []
        for spark in sessions:
            writer = stream.source(spark, "a", LEFT).writeStream.format("delta").option("checkpointLocation", place.path("checkpoint"))
            queries.append(writer.start(place.path("out")))
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
        rows = sorted(map(str, sessions[1].read.format("delta").load(place.path("out")).collect()))
        assert rows == sorted(map(str, sessions[1].read.schema(LEFT).json(str(folder / "a")).collect()))
    finally:
        for server in servers:
            server.process.send_signal(signal.SIGCONT)
            server.stop()
        place.close()
