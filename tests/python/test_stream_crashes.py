"""What else a stream lives through, beside death at its own steps (`test_stream_faults.py`): death inside of the user's function, while
files are cleaned away, and beside a compaction of its table; a full disk; answers that are lost; a clock that is set. Afterwards
everything is there once.

BOATHOUSE_STREAM_FAULT_ROUNDS repeats each case with other rows and moments, BOATHOUSE_FAULT_SEED replays a choice.
"""

import datetime
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

import pytest
from conftest import Server
from test_faults import SEED, Bucket, Disk, environment, runs_to_death
from test_stream_faults import FILES, LEFT, ROUNDS, OnDisk, OnS3, Stream, offsets, streams, write_files
from test_streaming import until

pytestmark = [pytest.mark.skipif("BOATHOUSE_REMOTE" in os.environ, reason="needs servers of its own"), pytest.mark.usefixtures("own_sessions")]
rounds = pytest.mark.parametrize("round", range(ROUNDS))
places = pytest.mark.parametrize("place", [OnDisk, OnS3], ids=["disk", "s3"])


@pytest.fixture
def randomness(round):
    print(f"seed {SEED}, round {round}")
    return random.Random(SEED + round)


class ForEachBatch(Stream):
    """Writes each batch by the user's function, which kills its server at a batch, before it writes or after."""

    def __init__(self, folder, victim=None, batch=None, when=None):
        super().__init__("foreachBatch", None, folder)
        self.victim, self.batch, self.when = victim, batch, when

    def run(self, spark, path):
        victim, batch, when = self.victim, self.batch, self.when

        def write(frame, number):
            import os
            import signal

            def die(moment):
                if victim and (number, moment) == (batch, when):
                    os.kill(victim, signal.SIGKILL)

            die("before")
            once = {"txnAppId": "rows", "txnVersion": number}
            frame.write.format("delta").mode("append").options(**once).save(path + "/out")
            die("after")

        timed = self.source(spark, "a", LEFT).withWatermark("at", "10 minutes")
        counts = timed.selectExpr("id", "window(at, '20 minutes') AS w").groupBy("w", "id").count()
        writer = counts.writeStream.foreachBatch(write).option("checkpointLocation", path + "/checkpoint")
        writer.trigger(availableNow=True).start().awaitTermination()


@rounds
@places
@pytest.mark.parametrize("when", ["before", "after"])
def test_death_inside_foreach_batch(place, randomness, when, tmp_path):
    write_files(tmp_path / "in", randomness)
    place = place(tmp_path)
    try:
        calm = ForEachBatch(tmp_path / "in")
        calm.run(place.server.session(), place.path("calm"))
        wanted = calm.seen(place.server.session(), place.path("calm")), offsets(place, "calm")
        # Twice: also while it runs the batch again.
        batch = randomness.randrange(5)
        for _ in range(2):
            server = place.dying()
            assert runs_to_death(server, ForEachBatch(tmp_path / "in", server.process.pid, batch, when), place.path("rough"))
        calm.run(place.server.session(), place.path("rough"))
        assert (calm.seen(place.server.session(), place.path("rough")), offsets(place, "rough")) == wanted
    finally:
        place.close()


class Cleaned(Stream):
    """Rows of files that are cleaned away once they were read; each run has files of its own."""

    def __init__(self, folder, archive):
        super().__init__("rows", None, folder)
        self.archive = archive

    def run(self, spark, path):
        folder = pathlib.Path(path) / "in"
        if not folder.exists():
            shutil.copytree(self.folder / "a", folder)
        options = {"cleanSource": "archive", "sourceArchiveDir": path + "/archive"} if self.archive else {"cleanSource": "delete"}
        rows = spark.readStream.schema(LEFT).option("maxFilesPerTrigger", 1).options(**options).json(str(folder))
        writer = rows.writeStream.format("delta").option("checkpointLocation", path + "/checkpoint")
        writer.trigger(availableNow=True).start(path + "/out").awaitTermination()


def names(folder):
    return {f.name for f in folder.rglob("*.json")}


@rounds
@pytest.mark.parametrize("archive", [False, True], ids=["delete", "archive"])
def test_death_while_files_are_cleaned_away(randomness, archive, tmp_path):
    write_files(tmp_path / "in", randomness)
    stream, place = Cleaned(tmp_path / "in", archive), Disk(tmp_path)
    stream.stores = ()
    try:
        place.count(stream, "calm")
        wanted = stream.seen(place.server.session(), place.path("calm"))
        # The last file stays until there is a batch after its own. Files are cleaned beside the query, and may be when it has ended.
        until(lambda: place.seen_points().count("streaming::before-clean") == FILES - 1)
        steps = place.seen_points()
        cleans = [i for i, step in enumerate(steps) if step == "streaming::before-clean"]
        # Before a file is cleaned away, and before what comes after it. The last of them may come too late for the query to notice.
        step = randomness.choice(cleans[:-1]) + randomness.randrange(2)
        assert place.run_to_death(stream, "rough", step)
        stream.run(place.server.session(), place.path("rough"))
        assert stream.seen(place.server.session(), place.path("rough")) == wanted, f"at step {step} ({steps[step]})"
        # Cleaning goes on after the crash.
        root = pathlib.Path(place.path("rough"))
        cleaned = {f"{n}.json" for n in range(FILES - 1)} if archive else set()
        until(lambda: names(root / "in") == {f"{FILES - 1}.json"} and names(root / "archive") == cleaned)
    finally:
        place.close()


@rounds
@places
@pytest.mark.parametrize("kind", range(3), ids=["aggregation", "deduplication", "join"])
def test_recovery_beside_a_compaction(place, kind, randomness, tmp_path):
    """A batch that is in the table and not in the log of commits is run again, twice, while the table is compacted."""
    write_files(tmp_path / "in", randomness)
    stream, place = streams(tmp_path / "in")[kind], place(tmp_path)
    try:
        steps = place.steps(stream, "calm")
        spark = place.server.session()
        wanted = stream.seen(spark, place.path("calm")), offsets(place, "calm")
        ends = [step for step in steps if step.what.startswith("streaming::after-sink")]
        assert place.dies_at(stream, "rough", randomness.choice(ends[1:]), steps)[0]
        for _ in range(2):
            spark.sql(f"OPTIMIZE delta.`{place.path('rough')}/out`").collect()
            assert runs_to_death(place.dying("streaming::after-sink"), stream, place.path("rough"))
        spark.sql(f"OPTIMIZE delta.`{place.path('rough')}/out`").collect()
        stream.run(spark, place.path("rough"))
        assert (stream.seen(spark, place.path("rough")), offsets(place, "rough")) == wanted
    finally:
        place.close()


@rounds
def test_full_disk(randomness, tmp_path):
    """Where nothing can be written the query ends with an error that says so; with room it goes on."""
    write_files(tmp_path / "in", randomness)
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    stream, server = streams(tmp_path / "in")[0], Server(tmp_path / "home")
    try:
        spark = server.session()
        stream.run(spark, str(tmp_path / "calm"))
        wanted = stream.seen(spark, str(tmp_path / "calm"))
        usage = sum(f.stat().st_blocks * 512 for part in ("calm/out", "calm/checkpoint") for f in (tmp_path / part).rglob("*") if f.is_file())
        filler = small / "filler"
        failures = 0
        for share in (randomness.uniform(0, 0.4), randomness.uniform(0.4, 0.9)):
            free = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
            filler.write_bytes(b"x" * max(0, free - int(usage * share)))
            try:
                stream.run(spark, str(small / "rough"))
            except Exception as e:
                failures += 1
                assert "No space left on device" in str(e), e
            filler.unlink()
        assert failures > 0
        stream.run(spark, str(small / "rough"))
        assert stream.seen(spark, str(small / "rough")) == wanted
    finally:
        server.stop()
        subprocess.run(["umount", "-l", str(small)], check=True)


@rounds
def test_a_lost_answer(randomness, tmp_path):
    """The store has done what was asked, and the connection breaks before it says so. The query goes on, or it does when it is started again."""
    write_files(tmp_path / "in", randomness)
    stream, place = streams(tmp_path / "in")[0], Bucket(tmp_path)
    try:
        place.count(stream, "calm")
        spark = place.server.session()
        wanted, changes = stream.seen(spark, place.path("calm")), len(place.proxy.changes)
        for step in sorted(randomness.sample(range(changes), 3)):
            name = f"rough{step}"
            place.proxy.watch(None, 0)
            place.proxy.lost = step
            # It fails once at most: one answer was lost.
            try:
                stream.run(spark, place.path(name))
            except Exception as e:
                print(f"failed when the answer to {step} was lost: {e}")
                stream.run(spark, place.path(name))
            assert place.proxy.lost is None, f"the answer to {step} of {changes} was not lost"
            assert stream.seen(spark, place.path(name)) == wanted, f"the answer to {step} was lost"
    finally:
        place.close()


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(which, now);
    if (which == CLOCK_REALTIME) {
        FILE *file = fopen(getenv("CLOCK_STEP"), "r");
        long step = 0;
        if (file) { if (fscanf(file, "%ld", &step) != 1) step = 0; fclose(file); }
        now->tv_sec += step;
    }
    return done;
}
"""


@rounds
def test_a_clock_that_is_set(randomness, tmp_path):
    """A stream whose server's clock goes back and forth, while it runs and between two runs."""
    source, library, step = tmp_path / "clock.c", tmp_path / "clock.so", tmp_path / "step"
    source.write_text(CLOCK)
    if not shutil.which("cc") or sys.platform != "linux":
        pytest.skip("needs a C compiler")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    write_files(tmp_path / "in", randomness)
    folder, out = tmp_path / "in" / "a", tmp_path / "out"
    later = [(folder / f"{n}.json").rename(tmp_path / f"later{n}.json") for n in range(5)]
    stream = Stream("rows", None, tmp_path / "in")

    def set_clock():
        seconds = randomness.choice([-1, 1]) * randomness.randrange(1000, 100_000)
        # At once: the clock is read meanwhile.
        written = step.with_suffix(".new")
        written.write_text(str(seconds))
        written.rename(step)
        return seconds

    for n, file in enumerate(later):
        steps = [set_clock()]
        with environment(LD_PRELOAD=str(library), CLOCK_STEP=str(step)):
            server = Server(tmp_path / "home")
        try:
            spark = server.session()
            rows = stream.source(spark, "a", LEFT)
            query = rows.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "checkpoint")).start(str(out))
            rate = spark.readStream.format("rate").option("rowsPerSecond", 1).load().writeStream.format("delta")
            rate = rate.option("checkpointLocation", str(tmp_path / "rate checkpoint")).start(str(tmp_path / "rate"))
            steps.append(set_clock())
            file.rename(folder / f"{n}.json")
            query.processAllAvailable()
            # The server has the clock that is set: its reports are off by one of the two steps.
            told = [datetime.datetime.fromisoformat(p["timestamp"]).timestamp() - time.time() for p in query.recentProgress]
            assert told and all(min(abs(off - s) for s in steps) < 500 for off in told), (told, steps)
            # Where the clock is behind there is no batch.
            until(lambda: rate.lastProgress or not rate.isActive or rate.status["message"] == "Waiting for data to arrive")
            assert rate.exception() is None, rate.exception()
            rate.stop()
            query.stop()
            got = sorted(map(str, spark.read.format("delta").load(str(out)).collect()))
            assert got == sorted(map(str, spark.read.schema(LEFT).json(str(folder)).collect()))
            numbers = spark.read.format("delta").load(str(tmp_path / "rate")).selectExpr("count(*)", "count(DISTINCT value)", "max(value) + 1")
            assert len(set(numbers.first())) == 1 or numbers.first()[0] == 0
        finally:
            server.stop()
