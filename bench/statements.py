"""Small statements: the median and the 99th percentile of a round trip, and how many a second 16 sessions get. One command:

    make release && .venv/bin/python bench/statements.py --sail PYTHON_WITH_PYSAIL

Spark takes part where BOATHOUSE_SPARK_REMOTE names a Spark Connect server of it (`tools/delta_spark.py` starts one). Sessions are threads of
two processes, whose own work (1.6 ms a statement) is in all figures. The aim: 200 statements a second, p99 below both others'.
"""

import argparse
import contextlib
import multiprocessing
import os
import statistics
import tempfile
import threading
import time

from engines import Sail, Server

STATEMENTS = ["SELECT 1", "SELECT id % 3 AS k, sum(id) FROM range(1000) GROUP BY id % 3 ORDER BY k"]
SESSIONS, PROCESSES = 16, 2


def round_trips(remote, text, count):
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.remote(remote).create()
    times = []
    for i in range(count + 20):
        begin = time.perf_counter()
        spark.sql(text).collect()
        if i >= 20:
            times.append(time.perf_counter() - begin)
    spark.stop()
    return sorted(times)


def sessions(remote, text, seconds, counts):
    """Runs a text in sessions of one process for some seconds; tells how often."""
    from pyspark.sql import SparkSession

    done = []

    def run(spark, until):
        count = 0
        while time.monotonic() < until:
            spark.sql(text).collect()
            count += 1
        done.append(count)

    clients = [SparkSession.builder.remote(remote).create() for _ in range(SESSIONS // PROCESSES)]
    for client in clients:
        client.sql(text).collect()
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=run, args=(client, until)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts.put(sum(done))
    for client in clients:
        client.stop()


def a_second(remote, text, seconds):
    context = multiprocessing.get_context("spawn")
    counts = context.Queue()
    workers = [context.Process(target=sessions, args=(remote, text, seconds, counts)) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    total = sum(counts.get(timeout=seconds + 120) for _ in workers)
    for worker in workers:
        worker.join()
    return total / seconds


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--statements", type=int, default=300)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--sail", help="a Python that has pysail, to time Sail too")
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as stack:
        server = Server(f"{home}/home")
        stack.callback(server.stop)
        remotes = {"boathouse": server.remote}
        if options.sail:
            sail = Sail(options.sail, {})
            stack.callback(sail.stop)
            remotes["sail"] = sail.remote
        if os.environ.get("BOATHOUSE_SPARK_REMOTE"):
            remotes["spark"] = os.environ["BOATHOUSE_SPARK_REMOTE"]
        for text in STATEMENTS:
            print(text)
            for name, remote in remotes.items():
                times = round_trips(remote, text, options.statements)
                rate = a_second(remote, text, options.seconds)
                print(
                    f"  {name:10} median {statistics.median(times) * 1e3:6.2f} ms   99th percentile "
                    f"{times[int(len(times) * 0.99)] * 1e3:6.2f} ms   {SESSIONS} sessions {rate:6.0f} a second",
                    flush=True,
                )


if __name__ == "__main__":
    main()
