#!/usr/bin/env python3
"""Streams beside Spark's: Nexmark, rows a second, small batches, and much state. One command:

    make release && .venv/bin/python bench/streams.py [--spark PYTHON] [--only nexmark rate small state]

Nexmark (q0-q5, q7, q8, q11-q13) reads files, a batch each; its answers over a small part are compared before anything is timed. Spark has
RocksDB's state store and two partitions. Aims: 5 million rows a second of counts by window, batches of 1,000 rows under 25 ms with a
durable checkpoint (median), going on with a million keys within 2 s.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "python"))

import nexmark  # noqa: E402
import stream_batches  # noqa: E402

ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
SMALL = dict(batches=5, events=5000, events_per_second=500)


def part_answers(spark, work, given):
    nexmark.opened(spark, work.parent / "small")
    return {name: nexmark.answer(spark, name, work / f"answer {name}") for name in given.queries}


def part_nexmark(spark, work, given):
    nexmark.opened(spark, work.parent / "large")
    return {name: nexmark.rate(spark, name, work / f"rate {name}", given.events) for name in given.queries}


def part_rate(spark, work, given):
    return stream_batches.window_counts(spark, work / "rate", given.rows_per_batch, given.rate_batches)


def part_small(spark, work, given):
    return stream_batches.small(spark, work / "batches", None if given.in_spark else work / "table", batches=given.small_batches)


def part_remember(spark, work, given):
    return stream_batches.remember(spark, work, given.keys)


def part_go_on(spark, work, given):
    return stream_batches.go_on(spark, work, given.keys)


PARTS = {"answers": part_answers, "nexmark": part_nexmark, "rate": part_rate, "small": part_small, "remember": part_remember, "go_on": part_go_on}
# What is asked for, and the parts of it, each in a process of its own.
TOPICS = {"nexmark": ["answers", "nexmark"], "rate": ["rate"], "small": ["small"], "state": ["remember", "go_on"]}


def spark_session():
    from pyspark.sql import SparkSession

    settings = {"spark.ui.enabled": "false", "spark.driver.memory": "6g", "spark.sql.shuffle.partitions": "2", "spark.sql.session.timeZone": "UTC",
                "spark.sql.streaming.stateStore.providerClass": ROCKSDB, "spark.log.level": "OFF"}
    builder = SparkSession.builder.master("local[2]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def ours(part, work, given):
    from conftest import Server
    from pyspark.sql.connect.session import SparkSession

    server = Server(work / "home")
    spark = server.session()
    try:
        # Not the one of the part before, whose server is gone.
        SparkSession._active_session.session = spark
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        return PARTS[part](spark, work, given)
    finally:
        spark.stop()
        server.stop()


def theirs(part, work, given):
    command = [given.spark, __file__, "--in-spark", part, "--work", str(work), *sys.argv[1:]]
    # The client's settings are not Spark's.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_"))}
    environment = kept | {"PYSPARK_PYTHON": given.spark, "TZ": "UTC"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if not given.verbose else None, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(part, folder, given):
    """What a part finds of both, Spark's `None` where there is no Spark."""
    found = []
    for name, run in (("ours", ours), ("theirs", theirs if given.spark else None)):
        work = folder / name
        work.mkdir(exist_ok=True)
        found.append(json.loads(json.dumps(run(part, work, given))) if run else None)
    return found


def compared(part, boathouse, spark):
    """Prints the figures of a part."""
    if part == "answers":
        for name, (rows, digest) in boathouse.items():
            assert rows > 0, f"{name} has no rows"
            assert spark is None or spark[name] == [rows, digest], f"{name}: {rows} rows, Spark: {spark[name][0]}, or other ones"
        print(f"answers: {len(boathouse)} queries, " + ", ".join(f"{name} {rows}" for name, (rows, _) in boathouse.items()) + (" rows, equal to Spark's" if spark else " rows"))
    elif part == "nexmark":
        for name, rate in boathouse.items():
            line(name, f"{rate:12,.0f} events/s", rate, spark and spark[name])
    elif part == "rate":
        line("counts by window", f"{boathouse:12,.0f} rows/s", boathouse, spark)
    elif part == "small":
        for name, (median, late) in boathouse.items():
            line(f"1,000 rows, {name}", f"{median:6.0f} ms median, {late:.0f} ms p99", 1 / max(median, 0.5), spark and name in spark and 1 / spark[name][0])
    else:
        unit = "bytes a key on disk" if part == "remember" else "s to go on"
        for name, figure in boathouse.items():
            line(f"state of {name}", f"{figure:6.2f} {unit}", 1 / figure, spark and 1 / spark[name])


def line(name, text, ours, theirs):
    print(f"{name:26} {text}" + (f"   {ours / theirs:5.1f} times as good as Spark" if theirs else ""), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spark", help="a Python with pyspark 4.2")
    parser.add_argument("--only", nargs="*", choices=list(TOPICS), default=list(TOPICS))
    parser.add_argument("--queries", nargs="*", choices=list(nexmark.QUERIES), default=list(nexmark.QUERIES))
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--events", type=int, default=200_000, help="events of a batch of Nexmark")
    parser.add_argument("--rate-batches", type=int, default=8, help="batches of rows by rate")
    parser.add_argument("--small-batches", type=int, default=60, help="batches of 1,000 rows")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rows-per-batch", type=int, default=5_000_000, help="rows of a batch of counts by window")
    parser.add_argument("--verbose", action="store_true", help="shows what Spark says")
    parser.add_argument("--in-spark", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--work", type=pathlib.Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.in_spark:
        print(json.dumps(PARTS[given.in_spark](spark_session(), given.work, given)))
        return
    os.environ["TZ"] = "UTC"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if "nexmark" in given.only:
            import nexmark_data

            nexmark_data.write(folder / "small", **SMALL)
            nexmark_data.write(folder / "large", given.batches, given.events, events_per_second=20_000)
        for topic in given.only:
            for part in TOPICS[topic]:
                compared(part, *measured(part, folder, given))


if __name__ == "__main__":
    main()
