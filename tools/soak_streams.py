#!/usr/bin/env python3
"""Streams at a steady rate, whose server is killed at random: nothing lost, nothing twice, memory flat.

    python tools/soak_streams.py [--minutes 60] [--rate 2000] [--kill-every 60] [--seed N]

Files of rows come in each second. Three streams read them into Delta tables: one as they are, one without duplicates within the
watermark, one as counts by minute and key. The server dies (`kill -9`) at a random moment of each interval and is started again.
At the end the streams catch up; then each row must be in the first table once, the second must have each key of the rows once,
and the counts must be those of the rows. The server's memory after the first tenth is compared with that at the end.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import random
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "python"))

from conftest import Server  # noqa: E402

SCHEMA = "id BIGINT, key INT, at TIMESTAMP"
BEGIN = datetime.datetime(2026, 1, 1)


class Feed(threading.Thread):
    """Writes a file a second, each row's time a second later than that of the file before; some rows come twice."""

    def __init__(self, folder, rate, randomness):
        super().__init__(daemon=True)
        self.folder, self.rate, self.randomness = folder, rate, randomness
        self.rows, self.counts, self.files, self.stopped = 0, collections.Counter(), 0, threading.Event()
        folder.mkdir()

    def run(self):
        due = time.monotonic()
        while not self.stopped.is_set():
            self.write(self.files)
            due += 1
            self.stopped.wait(max(0, due - time.monotonic()))

    def write(self, second):
        at = BEGIN + datetime.timedelta(seconds=second)
        rows = [{"id": self.rows + i, "key": self.randomness.randrange(50), "at": at.isoformat() + "Z"} for i in range(self.rate)]
        self.rows += len(rows)
        for row in rows:
            self.counts[(at.replace(second=0), row["key"])] += 1
        hidden = self.folder / f".{second}"
        hidden.write_text("".join(json.dumps(row) + "\n" for row in rows))
        hidden.rename(self.folder / f"{second:06}.json")
        self.files = second + 1

    def finish(self):
        """A last file so late that all before it is over."""
        self.stopped.set()
        self.join()
        self.write(self.files + 3600)
        self.files += 1


class Streams:
    def __init__(self, home, folder):
        self.home, self.folder, self.server = home, folder, None

    def start(self):
        self.server = Server(self.home)
        spark = self.spark = self.server.session()
        source = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 10).json(str(self.folder)).withWatermark("at", "10 seconds")
        counts = source.selectExpr("window(at, '1 minute') AS w", "key").groupBy("w", "key").count().selectExpr("w.start AS at", "key", "count")
        queries = {"rows": source, "keys": source.dropDuplicatesWithinWatermark(["id"]), "counts": counts}
        self.queries = [
            frame.writeStream.format("delta").option("checkpointLocation", self.path(f"{name} checkpoint")).trigger(processingTime="1 second").start(self.path(name))
            for name, frame in queries.items()
        ]

    def path(self, name):
        return str(self.home.parent / name)

    def memory(self):
        pages = int(pathlib.Path(f"/proc/{self.server.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 2**20

    def check_alive(self):
        for query in self.queries:
            assert query.isActive, query.exception()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=int, default=2000, help="rows a second")
    parser.add_argument("--kill-every", type=float, default=60, help="seconds")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    randomness = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        feed, streams = Feed(directory / "in", arguments.rate, random.Random(arguments.seed)), Streams(directory / "home", directory / "in")
        feed.start()
        streams.start()
        soak(feed, streams, arguments, randomness)
        check(feed, streams)
        streams.server.stop()


def soak(feed, streams, arguments, randomness):
    end = time.monotonic() + 60 * arguments.minutes
    kills, memory, interval = 0, [], time.monotonic()
    while time.monotonic() < end:
        fatal = interval + randomness.uniform(0, arguments.kill_every)
        while time.monotonic() < min(end, fatal):
            time.sleep(min(1, max(0.01, fatal - time.monotonic())))
        streams.check_alive()
        memory.append(streams.memory())
        streams.server.kill()
        streams.start()
        kills += 1
        print(f"{feed.rows} rows, {kills} kills, {memory[-1]} MiB", flush=True)
        interval += arguments.kill_every
        while time.monotonic() < min(end, interval):
            time.sleep(0.2)
    early, late = memory[: max(1, len(memory) // 10)], memory[-max(1, len(memory) // 10) :]
    print(f"memory: {sum(early) / len(early):.0f} MiB in the beginning, {sum(late) / len(late):.0f} MiB at the end")


def check(feed, streams):
    feed.finish()
    for query in streams.queries:
        query.processAllAvailable()
        query.stop()
    spark = streams.spark
    read = {name: spark.read.format("delta").load(streams.path(name)) for name in ("rows", "keys", "counts")}
    for name in ("rows", "keys"):
        count, different, least, most = read[name].selectExpr("count(*)", "count(DISTINCT id)", "min(id)", "max(id)").first()
        assert (count, different, least, most) == (feed.rows, feed.rows, 0, feed.rows - 1), (name, count, different, least, most, feed.rows)
    last = max(at for at, _ in feed.counts)
    wanted = {k: n for k, n in feed.counts.items() if k[0] != last}
    got = collections.Counter()
    for at, key, count in read["counts"].collect():
        assert (at, key) not in got, f"{at} {key} is there twice"
        got[(at, key)] = count
    assert dict(got) == wanted
    print(f"{feed.rows} rows, each once; {len(wanted)} counts, each right")


if __name__ == "__main__":
    main()
